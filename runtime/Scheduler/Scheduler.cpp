#include "runtime/Scheduler/Scheduler.h"

#include <algorithm>

namespace stepdown {

Scheduler::Scheduler(Session &session, uint32_t chunk) : session(session), chunk(chunk) {
  requests.reserve(session.kv().sequences());
  rowOwners.reserve(session.kv().sequences());
  batch.reserve(session.of().head().max_step_tokens);
}

Scheduler::~Scheduler() {
  for (Request &request : requests)
    session.freeSequence(request.sequence);
}

Status Scheduler::expectPrompt(const std::vector<int32_t> &tokens, size_t clients) const {
  uint32_t context = session.of().head().max_context;
  if (tokens.empty())
    return fail(ErrorCode::RequestField, "prompt: expects at least one token, but got none");
  if (tokens.size() > context)
    return fail(ErrorCode::ContextFull, "prompt: expects at most %u tokens, but got %zu", context, tokens.size());
  if (clients > size_t(session.kv().sequences()))
    return fail(ErrorCode::SequenceLimit, "request: expects at most %d answers, but %zu are wanted",
                session.kv().sequences(), clients);
  return Done{};
}

void Scheduler::add(std::vector<int32_t> tokens, std::vector<RequestClient *> clients) {
  Request request{std::move(tokens), std::move(clients), -1, 0, -1, false, false};
  if (Status good = expectPrompt(request.tokens, request.clients.size()); !good)
    refuse(request, good.error());
  else
    entering.push_back(std::move(request));
}

void Scheduler::refuse(Request &request, const Error &error) {
  // Its blocks go back at once: the requests behind it in this very step may need them.
  if (request.sequence >= 0)
    session.freeSequence(request.sequence);
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
    size_t sequences = request.clients.size();
    for (const Request &other : requests)
      sequences += other.clients.size();
    if (sequences > size_t(session.kv().sequences()) && !alone)
      return;
    if (!fits(request.tokens.size()) && !alone)
      return;
    Result<int32_t> sequence = session.createSequence();
    if (!sequence && !alone)
      return;
    if (!sequence) {
      refuse(request, sequence.error());
      entering.pop_front();
      continue;
    }
    request.sequence = *sequence;
    requests.push_back(std::move(request));
    entering.pop_front();
  }
}

bool Scheduler::give(Request &request, const int32_t *ids, size_t count, bool wantLogits) {
  batch.clear();
  for (size_t i = 0; i < count; ++i)
    batch.push_back({request.sequence, ids[i], wantLogits && i + 1 == count});
  Status submitted = session.submit(batch.data(), batch.size());
  if (!submitted) {
    refuse(request, submitted.error());
    return false;
  }
  computed += count;
  if (wantLogits)
    rowOwners.push_back(&request - requests.data());
  return true;
}

void Scheduler::submitDrawn() {
  for (Request &request : requests) {
    if (request.next < 0 || !session.roomForTokens() || !session.roomForRows())
      continue;
    int32_t id = request.next;
    request.next = -1;
    give(request, &id, 1, true);
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
    if (!give(request, request.tokens.data() + request.submitted, count, last))
      continue;
    request.submitted += count;
    budget -= count;
  }
}

void Scheduler::drawAll() {
  for (size_t row = 0; row < rowOwners.size(); ++row) {
    size_t owner = rowOwners[row];
    const float *logits = session.logits(row);
    // The fork comes before anything is drawn: it must hold the prompt and no more.
    while (requests[owner].clients.size() > 1) {
      Request branch{{}, {requests[owner].clients.back()}, -1, 0, -1, false, false};
      requests[owner].clients.pop_back();
      Result<int32_t> sequence = session.fork(requests[owner].sequence);
      if (!sequence) {
        refuse(branch, sequence.error());
        continue;
      }
      branch.sequence = *sequence;
      branch.next = branch.clients[0]->draw(logits);
      branch.finished = branch.next < 0;
      requests.push_back(std::move(branch));
    }
    Request &request = requests[owner];
    request.next = request.clients[0]->draw(logits);
    request.finished = request.next < 0;
  }
}

Result<bool> Scheduler::step() {
  enter();
  if (requests.empty())
    return false;
  rowOwners.clear();
  submitDrawn();
  submitPrompts();
  if (Status stepped = session.step(); !stepped)
    return stepped.error();
  drawAll();
  for (Request &request : requests)
    if (request.finished && !request.refused)
      session.freeSequence(request.sequence);
  requests.erase(std::remove_if(requests.begin(), requests.end(), [](const Request &r) { return r.finished; }),
                 requests.end());
  return !requests.empty() || !entering.empty();
}

} // namespace stepdown
