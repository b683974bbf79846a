#include "runtime/Scheduler/Scheduler.h"

#include <algorithm>

namespace stepdown {

Scheduler::Scheduler(Session &session, uint32_t chunk) : session(session), chunk(chunk) {
  requests.reserve(session.kv().sequences());
  owned.reserve(session.kv().sequences());
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

Status Scheduler::expectPrompt(const Request &request) const {
  const uint32_t context = session.of().head().max_context, vocabulary = session.of().head().vocabulary;
  const std::vector<int32_t> &tokens = request.tokens;
  if (tokens.empty())
    return fail(ErrorCode::RequestField, "prompt: expects at least one token, but got none");
  const int32_t held = request.borrowed ? session.length(request.sequence) : 0;
  if (held < 0)
    return fail(ErrorCode::SequenceUnknown, "sequence: expects one that was created, but got %d", request.sequence);
  for (size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i] < 0 || static_cast<uint32_t>(tokens[i]) >= vocabulary)
      return fail(ErrorCode::StepTokenRange, "prompt: token %zu: expects an id from 0 to %u, but got %d", i,
                  vocabulary - 1, tokens[i]);
  const uint32_t room = context - static_cast<uint32_t>(held);
  if (tokens.size() > room)
    return fail(ErrorCode::ContextFull, "prompt: expects at most %u tokens, but got %zu", room, tokens.size());
  if (request.clients.size() > size_t(session.kv().sequences()))
    return fail(ErrorCode::SequenceLimit, "request: expects at most %d answers, but %zu are wanted",
                session.kv().sequences(), request.clients.size());
  return Done{};
}

void Scheduler::add(std::vector<int32_t> tokens, std::vector<RequestClient *> clients) {
  queue({std::move(tokens), std::move(clients)});
}

void Scheduler::resume(int32_t sequence, std::vector<int32_t> tokens, RequestClient &client) {
  queue({std::move(tokens), {&client}, sequence, true});
}

void Scheduler::queue(Request &&request) {
  if (Status good = expectPrompt(request); !good)
    refuse(request, good.error());
  else
    entering.push_back(std::move(request));
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
  requests.erase(std::remove_if(requests.begin(), requests.end(), abandoned), requests.end());
}

void Scheduler::refuse(Request &request, const Error &error) {
  // Its blocks go back at once: the requests behind it in this very step may need them.
  leave(request);
  request.finished = request.refused = true;
  for (RequestClient *client : request.clients)
    client->failed(error);
}

// Whether every group has the blocks of a prompt free, beside those that prompts which entered before have yet to take;
// a group with a window needs no more than it holds at once.
bool Scheduler::fits(size_t tokens) const {
  const KVCache &cache = session.kv();
  const Program &program = session.of().program();
  for (size_t g = 0; g < cache.groupCount(); ++g) {
    auto blocks = [&](uint64_t positions) {
      if (uint64_t window = program.groups[g].window)
        positions = std::min<uint64_t>(positions, window + program.head.max_step_tokens + cache.blockSize());
      return (positions + cache.blockSize() - 1) / cache.blockSize();
    };
    uint64_t needed = blocks(tokens + 1);
    for (const Request &request : requests)
      needed +=
          blocks(request.tokens.size() + 1) - std::min(blocks(request.tokens.size() + 1), blocks(request.submitted));
    if (needed > cache.freeBlocks(g))
      return false;
  }
  return true;
}

void Scheduler::enter() {
  while (!entering.empty()) {
    Request &request = entering.front();
    bool alone = requests.empty();
    const size_t sequences = request.clients.size() + answering();
    if (sequences > size_t(session.kv().sequences()) && !alone)
      return;
    if (!fits(request.tokens.size()) && !alone)
      return;
    if (!request.borrowed) {
      Result<int32_t> sequence = session.createSequence();
      if (!sequence && !alone)
        return;
      if (!sequence) {
        refuse(request, sequence.error());
        entering.pop_front();
        continue;
      }
      request.sequence = *sequence;
    }
    requests.push_back(std::move(request));
    entering.pop_front();
  }
}

// Queues tokens, wanting the rows after the last `wanted` of them.
bool Scheduler::give(Request &request, const int32_t *ids, size_t count, size_t wanted) {
  batch.clear();
  for (size_t i = 0; i < count; ++i)
    batch.push_back({request.sequence, ids[i], i + wanted >= count});
  Status submitted = session.submit(batch.data(), batch.size());
  if (!submitted) {
    refuse(request, submitted.error());
    return false;
  }
  if (wanted)
    owned.push_back({static_cast<size_t>(&request - requests.data()),
                     owned.empty() ? 0 : owned.back().first + owned.back().count, wanted});
  return true;
}

void Scheduler::submitDrawn() {
  for (Request &request : requests) {
    const size_t count = request.next.size();
    // What fits into no step is refused by one that is empty.
    const bool room = count <= std::min(session.roomForTokens(), session.roomForRows());
    if (!count || (!room && !owned.empty()))
      continue;
    give(request, request.next.data(), count, count);
    request.next.clear();
  }
}

void Scheduler::submitPrompts() {
  size_t budget = chunk ? chunk : session.roomForTokens();
  for (Request &request : requests) {
    size_t left = request.tokens.size() - request.submitted;
    size_t count = std::min({left, budget, size_t(session.roomForTokens())});
    if (!count || request.finished)
      continue;
    bool last = count == left;
    if (last && !session.roomForRows()) {
      // The last token waits for a step that has room for its row.
      last = false;
      if (--count == 0)
        continue;
    }
    if (!give(request, request.tokens.data() + request.submitted, count, last ? 1 : 0))
      continue;
    request.submitted += count;
    budget -= count;
  }
}

void Scheduler::draw(Request &request, const LogitRows &rows) {
  const size_t kept = std::min(request.clients[0]->draw(rows, request.next), rows.count);
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
    // The fork comes before anything is drawn: it must hold the prompt and no more.
    while (requests[those.owner].clients.size() > 1) {
      Request branch;
      branch.clients = {requests[those.owner].clients.back()};
      requests[those.owner].clients.pop_back();
      Result<int32_t> sequence = session.fork(requests[those.owner].sequence);
      if (!sequence) {
        refuse(branch, sequence.error());
        continue;
      }
      branch.sequence = *sequence;
      draw(branch, rows);
      requests.push_back(std::move(branch));
    }
    draw(requests[those.owner], rows);
  }
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
  submitDrawn();
  submitPrompts();
  if (Status stepped = session.step(); !stepped)
    return stepped.error();
  drawAll();
  for (const Request &request : requests)
    if (request.finished && !request.refused)
      leave(request);
  requests.erase(std::remove_if(requests.begin(), requests.end(), [](const Request &r) { return r.finished; }),
                 requests.end());
  return !requests.empty() || !entering.empty();
}

} // namespace stepdown
