#include "runtime/Functions/HostCalls.h"

#include <cstring>

namespace stepdown {

using ull = unsigned long long;

/// Operands that a launch may have: those of kernels of a compiler that knows no more than 1024 values.
static constexpr uint64_t mostWords = 1 << 14;
/// Before so many pieces wait to be read, the device catches up.
static constexpr size_t mostSent = 256;

HostCalls::HostCalls(Queue &queue, Device &device, const std::vector<uint64_t> &kernels, const Allocation &arena,
                     const uint64_t *next)
    : queue(queue), device(device), kernels(kernels), arena(arena), next(next) {
  functions.owner = this;
  functions.host.launch = [](stepdown_host *host, uint64_t kernel, const uint64_t *operands, uint64_t words, uint64_t x,
                             uint64_t y, uint64_t z) -> int32_t {
    const uint64_t grid[] = {x, y, z};
    return of(host).keep(of(host).launch(kernel, operands, words, grid));
  };
  functions.host.read = [](stepdown_host *host, void *to, uint64_t from, uint64_t bytes) -> int32_t {
    HostCalls &calls = of(host);
    // Not to and from the function's own memory: where a wait fails, the function ends before the copy does.
    calls.fetched.emplace_back(bytes);
    Status got = calls.queue.download(calls.fetched.back().data(), from, bytes);
    if (got)
      got = calls.queue.sync();
    if (!got)
      return calls.keep(std::move(got));
    std::memcpy(to, calls.fetched.back().data(), bytes);
    calls.fetched.pop_back();
    return 0;
  };
  functions.host.write = [](stepdown_host *host, uint64_t to, const void *from, uint64_t bytes) -> int32_t {
    HostCalls &calls = of(host);
    calls.fetched.emplace_back(static_cast<const uint8_t *>(from), static_cast<const uint8_t *>(from) + bytes);
    Status put = calls.commit();
    if (put)
      put = calls.queue.upload(to, calls.fetched.back().data(), bytes);
    if (put)
      put = calls.queue.sync();
    if (put)
      calls.fetched.pop_back();
    return calls.keep(std::move(put));
  };
}

HostCalls::~HostCalls() {
  if (!sent.empty() || !fetched.empty())
    (void)bool(queue.sync());
}

int32_t HostCalls::keep(Status status) {
  if (status)
    return 0;
  if (first)
    first = std::move(status);
  return 1;
}

Status HostCalls::commit() {
  const size_t taken = *next - arena->address;
  if (taken <= committed)
    return Done{};
  if (Status ready = arena.commit(committed, taken); !ready)
    return ready;
  committed = taken;
  return Done{};
}

Status HostCalls::launch(uint64_t kernel, const uint64_t *operands, uint64_t words, const uint64_t *grid) {
  if (kernel >= kernels.size() || words > mostWords)
    return fail(ErrorCode::KernelLaunch,
                "launch: expects one of %zu kernels and at most %llu operands, but got %llu and %llu", kernels.size(),
                (ull)mostWords, (ull)kernel, (ull)words);
  Launch one = {kernels[kernel], 0, static_cast<uint32_t>(words)};
  for (int d = 0; d < 3; ++d) {
    if (grid[d] == 0)
      return Done{};
    if (grid[d] > UINT32_MAX)
      return fail(ErrorCode::KernelLaunch, "launch: expects at most %u blocks in dimension %d, but got %llu",
                  UINT32_MAX, d, (ull)grid[d]);
    one.grid[d] = static_cast<uint32_t>(grid[d]);
  }
  if (Status ready = commit(); !ready)
    return ready;
  one.values = operands;
  if (!device.readsOperands())
    return queue.launch(&one, 1);
  if (!place->address) {
    Result<Memory> memory = device.allocate(mostWords * sizeof(uint64_t), "operands");
    if (!memory)
      return memory.error();
    place = Allocation(device, *memory);
  }
  if (sent.size() == mostSent) {
    if (Status done = queue.sync(); !done)
      return done;
    sent.clear();
  }
  // The stream is in order: the launch before has read its operands when these arrive.
  sent.emplace_back(operands, operands + words);
  one.operands = place->address;
  if (words)
    if (Status put = queue.upload(place->address, sent.back().data(), words * sizeof(uint64_t)); !put)
      return put;
  return queue.launch(&one, 1);
}

} // namespace stepdown
