#include "runtime/cpu/ThreadPool.h"

#include <climits>
#include <exception>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace stepdown {
namespace {

// 4,096 pauses are 40 to 150 microseconds: longer than the kernels and the sampling between two steps. 64 yields more
// let others run before the thread sleeps for good.
constexpr int spins = 4096, yields = 64;
// 64 pauses are 1 to 3 microseconds: a thread that runs takes its part within them.
constexpr int fullPatience = 64;
// The gate is open to threads that want to join the run.
constexpr uint32_t open = 1u << 31;

/// Tells the processor that this thread waits for another.
void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb"); // yield is nothing on most; isb takes about as long as x86's pause
#endif
}

long futex(std::atomic<uint32_t> &word, int operation, uint32_t value) {
  static_assert(sizeof(std::atomic<uint32_t>) == 4, "a futex is 32 bits");
  return syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), operation | FUTEX_PRIVATE_FLAG, value, nullptr,
                 nullptr, 0);
}

} // namespace

uint32_t WaitWord::advance(bool wakes) {
  // Sequentially consistent on both sides: either the waiter's registration is seen here, or the new value there.
  uint32_t now = value.fetch_add(1, std::memory_order_seq_cst) + 1;
  if (wakes)
    wake();
  return now;
}

void WaitWord::wake() {
  if (sleepers.load(std::memory_order_seq_cst))
    futex(value, FUTEX_WAKE, INT_MAX);
}

void WaitWord::waitWhile(uint32_t old) {
  for (int i = 0; i < spins; ++i) {
    if (load() != old)
      return;
    pause();
  }
  for (int i = 0; i < yields; ++i) {
    if (load() != old)
      return;
    sched_yield();
  }
  while (load() == old)
    sleepWhile(old);
}

void WaitWord::sleepWhile(uint32_t old) {
  sleepers.fetch_add(1, std::memory_order_seq_cst);
  if (value.load(std::memory_order_seq_cst) == old)
    futex(value, FUTEX_WAIT, old);
  sleepers.fetch_sub(1, std::memory_order_relaxed);
}

ThreadPool::ThreadPool(int threads) {
  // The workers read `count` and `claims`, which are final before the first run: they wait for one until then.
  workers.reserve(threads > 1 ? threads - 1 : 0);
  claims = std::make_unique<Claim[]>(threads > 1 ? threads : 1);
  for (int i = 1; i < threads; ++i) {
    try {
      workers.emplace_back([this, i] { work(i); });
    } catch (const std::exception &) {
      break; // no thread or no memory for one: a smaller pool computes the same
    }
  }
  count = 1 + static_cast<int>(workers.size());
}

ThreadPool::~ThreadPool() {
  stopping = true;
  started.advance();
  for (std::thread &worker : workers)
    worker.join();
}

void ThreadPool::run(Body newBody, void *context, size_t newStages) {
  if (count == 1) {
    for (size_t stage = 0; stage < newStages; ++stage)
      newBody(context, stage, 0, 1);
    return;
  }
  body = newBody;
  argument = context;
  stages = newStages;
  gate.store(open, std::memory_order_release);
  started.advance();
  execute(0);
  // Whoever is inside still reads this run; whoever is not, can no longer enter.
  gate.fetch_and(~open, std::memory_order_acq_rel);
  for (uint32_t seen = left.load(); gate.load(std::memory_order_acquire) != 0; seen = left.load())
    left.waitWhile(seen);
  base += static_cast<uint32_t>(stages);
}

void ThreadPool::work(int thread) {
  for (uint32_t seen = 0;;) {
    started.waitWhile(seen);
    seen = started.load();
    if (stopping)
      return;
    uint32_t inside = gate.load(std::memory_order_acquire);
    while ((inside & open) && !gate.compare_exchange_weak(inside, inside + 1, std::memory_order_acq_rel))
      ;
    if (!(inside & open))
      continue; // came too late: the others did it all
    execute(thread);
    gate.fetch_sub(1, std::memory_order_acq_rel);
    left.advance();
  }
}

void ThreadPool::execute(int thread) {
  int patience = fullPatience;
  for (size_t stage = 0; stage < stages; ++stage) {
    take(thread, stage);
    waitFor(thread, stage, patience);
  }
}

bool ThreadPool::take(int part, size_t stage) {
  // All parts of the stage before were taken, so the claim reads either that stage, or this or a later one.
  uint32_t before = base + static_cast<uint32_t>(stage);
  if (!claims[part].ticket.compare_exchange_strong(before, before + 1, std::memory_order_relaxed))
    return false;
  body(argument, stage, part, count);
  finished.advance(false);
  if (done(stage))
    finished.wake();
  return true;
}

bool ThreadPool::takeOthers(int thread, size_t stage) {
  bool any = false;
  for (int i = 1; i < count; ++i)
    any |= take((thread + i) % count, stage);
  return any;
}

bool ThreadPool::done(size_t stage) const {
  uint32_t target = (base + static_cast<uint32_t>(stage) + 1) * static_cast<uint32_t>(count);
  return static_cast<int32_t>(finished.load() - target) >= 0;
}

void ThreadPool::waitFor(int thread, size_t stage, int &patience) {
  for (int i = 0; i < patience; ++i) {
    if (done(stage))
      return;
    pause();
  }
  // A thread that was late is likely to be late again: its next part is taken without waiting for it.
  patience = takeOthers(thread, stage) ? 0 : fullPatience;
  for (int i = 0; !done(stage); ++i) {
    if (i < spins) {
      pause();
    } else if (i < spins + yields) {
      sched_yield();
    } else {
      uint32_t seen = finished.load();
      if (!done(stage))
        finished.sleepWhile(seen);
    }
  }
}

} // namespace stepdown
