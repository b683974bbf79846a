// Who has a sequence and blocks, and who waits for them.
#include "runtime/Scheduler/Scheduler.h"

#include <algorithm>
#include <tuple>

namespace stepdown {

bool Scheduler::Request::before(const Request &other) const {
  return std::tie(rank, arrival, branch) < std::tie(other.rank, other.arrival, other.branch);
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

void Scheduler::add(std::vector<int32_t> tokens, std::vector<RequestClient *> clients, int32_t priority) {
  Request request;
  request.tokens = std::move(tokens);
  request.clients = std::move(clients);
  queue(std::move(request), priority);
}

void Scheduler::resume(int32_t sequence, std::vector<int32_t> tokens, RequestClient &client) {
  Request request;
  request.tokens = std::move(tokens);
  request.clients = {&client};
  request.sequence = sequence;
  request.borrowed = true;
  request.known = SIZE_MAX; // it may have been computed elsewhere, by other kernels: nobody else begins with it
  queue(std::move(request), 0);
}

void Scheduler::queue(Request &&request, int32_t priority) {
  if (Status good = expectPrompt(request); !good)
    return refuse(request, good.error());
  if (!request.borrowed) {
    Result<std::shared_ptr<const int32_t>> held = session.holdAdapter(request.clients.front()->adapter());
    if (!held)
      return refuse(request, held.error());
    request.adapter = std::move(*held);
  }
  const int64_t level = std::clamp(priority, -mostPriority, mostPriority);
  request.rank = static_cast<int64_t>(counted.steps) - level * options.patience;
  request.arrival = arrivals++;
  wait(std::move(request));
}

void Scheduler::wait(Request &&request) {
  auto behind = std::upper_bound(entering.begin(), entering.end(), request,
                                 [](const Request &a, const Request &b) { return a.before(b); });
  entering.insert(behind, std::move(request));
}

void Scheduler::join(Request &&request) {
  auto behind = std::upper_bound(requests.begin(), requests.end(), request,
                                 [](const Request &a, const Request &b) { return a.before(b); });
  requests.insert(behind, std::move(request));
}

// Whether every group has the blocks of what `request` is to compute first, if of the others the first `staying` stay:
// beside those that their prompts have yet to take, and one more for each that draws. A group with a window needs no
// more than it holds at once.
bool Scheduler::fits(const Request &request, size_t staying) const {
  const KVCache &cache = session.kv();
  const Program &program = session.of().program();
  size_t sequences = request.clients.size();
  for (size_t i = 0; i < staying; ++i)
    sequences += requests[i].clients.size();
  if (sequences > size_t(cache.sequences()))
    return false;
  std::vector<int32_t> leaving; // their sequences
  for (size_t i = staying; i < requests.size(); ++i)
    leaving.push_back(requests[i].sequence);
  // Of what those who stay have already it takes no block.
  const auto most = static_cast<int32_t>(request.tokens.size()) - 1;
  const int32_t shared =
      request.borrowed ? 0 : session.sharedPrefix(request.tokens.data(), most, leaving, request.slot());
  for (size_t g = 0; g < cache.groupCount(); ++g) {
    auto blocks = [&](uint64_t positions) {
      if (uint64_t window = program.groups[g].window)
        positions = std::min<uint64_t>(positions, window + program.head.max_step_tokens + cache.blockSize());
      return (positions + cache.blockSize() - 1) / cache.blockSize();
    };
    auto whole = [&](const Request &each) {
      return blocks(each.tokens.size() + std::max<size_t>(1, each.next.size()));
    };
    uint64_t needed = whole(request);
    if (!program.groups[g].window)
      needed -= shared / cache.blockSize();
    for (size_t i = 0; i < staying; ++i)
      needed +=
          requests[i].inPrompt() ? whole(requests[i]) - std::min(whole(requests[i]), blocks(requests[i].submitted)) : 1;
    if (needed > cache.freeBlocks(g) + cache.idleBlocks(g) + cache.heldBy(g, leaving))
      return false;
  }
  return true;
}

// Makes it so that the first that waits fits, if those behind it can give up enough: last first, and no more than it
// takes.
bool Scheduler::makeRoom() {
  size_t ahead = requests.size();
  while (ahead > 0 && entering.front().before(requests[ahead - 1]) && !requests[ahead - 1].borrowed)
    --ahead;
  if (ahead > 0 && !fits(entering.front(), ahead))
    return false;
  // They go among those that wait behind the first of these, which so stays the first.
  while (requests.size() > ahead && !fits(entering.front(), requests.size()))
    preempt(requests.size() - 1);
  return requests.empty() || fits(entering.front(), requests.size());
}

void Scheduler::enter() {
  while (!entering.empty()) {
    if (!makeRoom())
      return;
    Request request = std::move(entering.front());
    entering.pop_front();
    if (!request.borrowed) {
      Result<int32_t> sequence = session.createSequence(request.slot());
      if (!sequence && !requests.empty())
        return wait(std::move(request));
      if (!sequence) {
        refuse(request, sequence.error());
        continue;
      }
      request.sequence = *sequence;
    }
    join(std::move(request));
  }
}

// Gives up the blocks of a request that has queued nothing in this step.
void Scheduler::preempt(size_t index) {
  const int32_t length = session.length(requests[index].sequence);
  if (!requests[index].inPrompt()) { // what was drawn is to be computed, too
    const int32_t *held = session.tokens(requests[index].sequence);
    requests[index].tokens.assign(held, held + length);
  }
  counted.recomputed += static_cast<uint64_t>(length);
  ++counted.preemptions;
  Request request = std::move(requests[index]);
  requests.erase(requests.begin() + static_cast<ptrdiff_t>(index));
  session.freeSequence(request.sequence);
  request.sequence = -1;
  request.submitted = request.share = request.known = 0;
  request.again = true;
  request.restored = false;
  wait(std::move(request));
}

} // namespace stepdown
