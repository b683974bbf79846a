// Threads that spin for the next step before they sleep.
//
// A decode step is some 200 kernels of 5 to 50 microseconds with a barrier after each: waking a sleeping thread costs
// as much as a kernel, so waiters spin. Spinning for ever burns a core that another process may need, and on a machine
// with more threads than cores it starves the very thread that is waited for; so a waiter gives its core away after a
// short spin, and sleeps on a futex after a long one. A waker makes the system call only when somebody sleeps.
#pragma once
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace stepdown {

/// A number that threads wait for: spin, yield, then sleep.
class alignas(64) WaitWord {
public:
  uint32_t load() const { return value.load(std::memory_order_acquire); }
  /// Adds one and wakes the sleepers.
  void advance();
  /// Returns once the word is no longer `old`; the writer's memory is visible then.
  void waitWhile(uint32_t old);

private:
  std::atomic<uint32_t> value{0};
  std::atomic<uint32_t> sleepers{0};
};

class ThreadPool {
public:
  /// What every thread runs: thread 0 is the caller of run().
  using Job = void (*)(void *context, int thread, int threads);

  /// Starts `threads` - 1 threads; where the system refuses some, the pool is smaller.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  int size() const { return count; }

  /// Runs `job` on every thread and returns when all are done. One caller at a time; allocates nothing.
  void run(Job job, void *context);
  /// Inside a job: returns once every thread of the pool is here, and makes what each wrote visible to all.
  void barrier();

private:
  void work(int thread);
  int count = 1;
  std::vector<std::thread> workers;
  Job current = nullptr;
  void *argument = nullptr;
  bool stopping = false;
  WaitWord started;                        ///< advances when a job is there
  alignas(64) std::atomic<int> arrived{0}; ///< threads inside the present barrier
  WaitWord passed;                         ///< advances when a barrier opens
};

} // namespace stepdown
