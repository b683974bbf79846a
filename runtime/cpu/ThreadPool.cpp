#include "runtime/cpu/ThreadPool.h"

#include <climits>
#include <exception>
#include <immintrin.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace stepdown {
namespace {

// 4,096 pauses are 40 to 150 microseconds: longer than the kernels and the sampling between two steps. 64 yields more
// let others run before the thread sleeps for good.
constexpr int spins = 4096, yields = 64;

long futex(std::atomic<uint32_t> &word, int operation, uint32_t value) {
  static_assert(sizeof(std::atomic<uint32_t>) == 4, "a futex is 32 bits");
  return syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), operation | FUTEX_PRIVATE_FLAG, value, nullptr,
                 nullptr, 0);
}

} // namespace

void WaitWord::advance() {
  // Sequentially consistent on both sides: either the waiter's registration is seen here, or the new value there.
  value.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers.load(std::memory_order_seq_cst))
    futex(value, FUTEX_WAKE, INT_MAX);
}

void WaitWord::waitWhile(uint32_t old) {
  for (int i = 0; i < spins; ++i) {
    if (value.load(std::memory_order_acquire) != old)
      return;
    _mm_pause();
  }
  for (int i = 0; i < yields; ++i) {
    if (value.load(std::memory_order_acquire) != old)
      return;
    sched_yield();
  }
  sleepers.fetch_add(1, std::memory_order_seq_cst);
  while (value.load(std::memory_order_seq_cst) == old)
    futex(value, FUTEX_WAIT, old);
  sleepers.fetch_sub(1, std::memory_order_relaxed);
}

ThreadPool::ThreadPool(int threads) {
  // The workers read `count`, so it is final before the first barrier: they wait for a job until then.
  workers.reserve(threads > 1 ? threads - 1 : 0);
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

void ThreadPool::run(Job job, void *context) {
  if (count == 1) {
    job(context, 0, 1);
    return;
  }
  current = job;
  argument = context;
  started.advance();
  job(context, 0, count);
  barrier();
}

void ThreadPool::barrier() {
  if (count == 1)
    return;
  uint32_t phase = passed.load();
  if (arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == count) {
    arrived.store(0, std::memory_order_relaxed);
    passed.advance();
    return;
  }
  passed.waitWhile(phase);
}

void ThreadPool::work(int thread) {
  for (uint32_t seen = 0;; ++seen) {
    started.waitWhile(seen);
    if (stopping)
      return;
    current(argument, thread, count);
    barrier();
  }
}

} // namespace stepdown
