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

void Scheduler::add(std::vector<int32_t> tokens, RequestClient &client) {
  if (tokens.empty()) {
    client.failed(fail(ErrorCode::RequestField, "prompt: expects at least one token, but got none"));
    return;
  }
  uint32_t context = session.of().head().max_context;
  if (tokens.size() > context) {
    client.failed(
        fail(ErrorCode::ContextFull, "prompt: expects at most %u tokens, but got %zu", context, tokens.size()));
    return;
  }
  entering.push_back({std::move(tokens), &client, -1, 0, -1, false, false});
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
    if (!fits(request.tokens.size()) && !alone)
      return;
    Result<int32_t> sequence = session.createSequence();
    if (!sequence && !alone)
      return;
    if (!sequence) {
      request.client->failed(sequence.error());
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
    // Its blocks go back at once: the requests behind it in this very step may need them.
    session.freeSequence(request.sequence);
    request.finished = request.refused = true;
    request.client->failed(submitted.error());
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
    Request &request = requests[rowOwners[row]];
    request.next = request.client->draw(session.logits(row));
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
