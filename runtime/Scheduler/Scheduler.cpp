#include "runtime/Scheduler/Scheduler.h"

#include <algorithm>

namespace stepdown {

Scheduler::Scheduler(Session &session, const Options &options) : session(session), options(options) {
  requests.reserve(session.kv().sequences());
  owned.reserve(session.kv().sequences());
  branches.reserve(session.kv().sequences());
  batch.reserve(session.of().head().max_step_tokens);
}

Scheduler::~Scheduler() {
  for (const Request &request : requests)
    leave(request);
}

void Scheduler::leave(const Request &request) {
  if (!request.borrowed)
    session.freeSequence(request.sequence);
}

void Scheduler::cancel(const RequestClient &client) {
  // Of a request that is left by all, which are gone then; it keeps its prompt for those who stay.
  auto abandoned = [&](Request &request) {
    std::vector<RequestClient *> &clients = request.clients;
    auto found = std::find(clients.begin(), clients.end(), &client);
    if (found == clients.end())
      return false;
    clients.erase(found);
    if (clients.empty())
      leave(request);
    return clients.empty();
  };
  entering.erase(std::remove_if(entering.begin(), entering.end(), abandoned), entering.end());
  branches.erase(std::remove_if(branches.begin(), branches.end(), abandoned), branches.end()); // of a step that threw
  requests.erase(std::remove_if(requests.begin(), requests.end(), abandoned), requests.end());
}

void Scheduler::refuse(Request &request, const Error &error) {
  // Its blocks go back at once: the requests behind it in this very step may need them.
  leave(request);
  request.finished = request.refused = true;
  for (RequestClient *client : request.clients)
    client->failed(error);
}

// Prompts go on behind what others have computed of them by now, those alone that the step may come to: what these
// compute is there for those behind them.
void Scheduler::reuse() {
  if (!session.prefixes())
    return;
  size_t room = options.chunk ? options.chunk : session.roomForTokens();
  for (Request &request : requests)
    request.restoring = false;
  for (Request &request : requests) {
    if (!room)
      return;
    if (!request.inPrompt() || request.borrowed)
      continue;
    // A row is drawn from a token that is computed.
    const size_t most = request.tokens.size() - request.next.empty();
    const uint64_t restored = session.restored();
    const auto held =
        static_cast<size_t>(session.reuse(request.sequence, request.tokens.data(), static_cast<int32_t>(most)));
    const size_t more = held - request.submitted;
    request.submitted = held;
    if (session.restored() > restored && !request.restored) {
      request.restored = true;
      ++counted.restored;
    }
    request.restoring = session.restoresMore();
    if (!request.restoring)
      room -= std::min(room, request.tokens.size() - held);
    if (request.again)
      continue;
    counted.prompts += !request.sought;
    request.sought = true;
    if (!more)
      continue;
    counted.hits += !request.found;
    request.found = true;
    counted.reused += more;
    for (RequestClient *client : request.clients)
      client->reused(more);
  }
}

// What it holds in whole blocks.
void Scheduler::remember(Request &request) {
  if (!session.prefixes() || request.refused)
    return;
  const auto length = static_cast<size_t>(std::max(0, session.length(request.sequence)));
  const size_t whole = length - length % static_cast<size_t>(session.kv().blockSize());
  if (whole <= request.known)
    return;
  session.remember(request.sequence);
  request.known = whole;
}

// Says how many tokens the step takes of each. The first in order has something whatever the others want: of its
// prompt, one token and a row are set aside.
void Scheduler::share() {
  size_t tokens = session.roomForTokens(), rows = session.roomForRows();
  if (options.stepTokens)
    tokens = std::min<size_t>(tokens, options.stepTokens);
  const size_t aside = requests.front().inPrompt() && !requests.front().restoring && tokens && rows;
  tokens -= aside, rows -= aside;
  for (Request &request : requests) {
    request.share = !request.inPrompt() && tokens && rows;
    tokens -= request.share, rows -= request.share;
  }
  tokens += aside, rows += aside;
  size_t ofPrompts = options.chunk ? std::min<size_t>(tokens, options.chunk) : tokens;
  for (Request &request : requests) {
    if (!request.inPrompt() || request.restoring)
      continue;
    const size_t left = request.tokens.size() - request.submitted;
    request.share = std::min(left, ofPrompts);
    if (request.share == left && request.next.empty()) { // whose row is drawn from
      if (!rows)
        --request.share; // it waits for a step that has room for its row
      else
        --rows;
    }
    ofPrompts -= request.share;
    tokens -= request.share;
  }
  for (Request &request : requests) { // guesses have what is left
    if (request.inPrompt() || !request.share)
      continue;
    const size_t guesses = std::min({request.next.size() - 1, tokens, rows});
    request.share += guesses, tokens -= guesses, rows -= guesses;
  }
}

bool Scheduler::preemptBehind(size_t index) {
  for (size_t last = requests.size(); --last > index;)
    if (!requests[last].borrowed) {
      preempt(last);
      return true;
    }
  return false;
}

// Submits the share of a request, with rows after the last `rows` of its tokens.
Status Scheduler::queue(const Request &request, size_t rows) {
  const int32_t *ids = request.inPrompt() ? request.tokens.data() + request.submitted : request.next.data();
  batch.clear();
  for (size_t i = 0; i < request.share; ++i)
    batch.push_back({request.sequence, ids[i], i + rows >= request.share});
  return session.submit(batch.data(), batch.size());
}

// Queues what the step takes of a request.
void Scheduler::give(size_t index) {
  Request &request = requests[index]; // preempted are only those behind it
  const bool prompt = request.inPrompt();
  const bool last = prompt && request.submitted + request.share == request.tokens.size();
  size_t wanted = prompt ? last && request.next.empty() : request.share;
  // Rows of others, or of a step that threw, may be queued before.
  const size_t first = session.of().head().max_step_rows - session.roomForRows();
  auto lacksBlocks = [](const Status &status) { return !status && status.error().code == ErrorCode::CacheFull; };
  Status submitted = queue(request, wanted);
  if (lacksBlocks(submitted) && !prompt && request.share > 1) { // guesses are worth nobody's blocks
    request.share = wanted = 1;
    submitted = queue(request, wanted);
  }
  while (lacksBlocks(submitted) && preemptBehind(index))
    submitted = queue(request, wanted);
  if (lacksBlocks(submitted) && index > 0)
    return; // until those before it are done
  if (!submitted)
    return refuse(request, submitted.error());
  if (wanted)
    owned.push_back({index, first, wanted});
  if (watcher)
    for (const RequestClient *client : request.clients)
      watcher->takes(*client, request.share, prompt);
  if (prompt)
    request.submitted += request.share;
  else
    request.next.clear();
}

void Scheduler::draw(Request &request, const LogitRows &rows) {
  const size_t kept = std::min(request.clients[0]->draw(rows, request.next), rows.count);
  if (watcher)
    watcher->drew(*request.clients[0]);
  request.finished = request.next.empty();
  if (kept == rows.count)
    return;
  const auto wrong = static_cast<int32_t>(rows.count - kept);
  Status forgotten = session.truncate(request.sequence, session.length(request.sequence) - wrong);
  if (!forgotten && (request.borrowed || !request.finished))
    refuse(request, forgotten.error());
}

void Scheduler::drawAll() {
  for (const Rows &those : owned) {
    const LogitRows rows = {session.logits(those.first), those.count, session.rowStride()};
    // The fork comes before anything is drawn: it must hold the prompt and no more, which is remembered by then.
    Request &request = requests[those.owner];
    if (request.clients.size() > 1)
      remember(request);
    while (request.clients.size() > 1) {
      Request branch;
      branch.rank = request.rank;
      branch.arrival = request.arrival;
      branch.branch = static_cast<uint32_t>(request.clients.size() - 1);
      branch.known = request.known;
      branch.adapter = request.adapter;
      branch.clients = {request.clients.back()};
      request.clients.pop_back();
      Result<int32_t> sequence = session.fork(request.sequence);
      if (!sequence) {
        refuse(branch, sequence.error());
        continue;
      }
      branch.sequence = *sequence;
      branches.push_back(std::move(branch));
      draw(branches.back(), rows);
    }
    draw(request, rows);
  }
  for (Request &branch : branches)
    join(std::move(branch));
  branches.clear();
}

size_t Scheduler::answering() const {
  size_t count = 0;
  for (const Request &request : requests)
    count += request.clients.size();
  return count;
}

Result<bool> Scheduler::step() {
  enter();
  if (requests.empty())
    return false;
  owned.clear();
  ++counted.steps;
  reuse();
  share();
  for (size_t i = 0; i < requests.size(); ++i)
    if (requests[i].share)
      give(i);
  if (watcher)
    watcher->stepping();
  if (Status stepped = session.step(); !stepped)
    return stepped.error();
  if (watcher)
    watcher->stepped();
  drawAll();
  for (Request &request : requests)
    remember(request);
  for (const Request &request : requests)
    if (request.finished && !request.refused)
      leave(request);
  requests.erase(std::remove_if(requests.begin(), requests.end(), [](const Request &r) { return r.finished; }),
                 requests.end());
  return !requests.empty() || !entering.empty();
}

} // namespace stepdown
