// Threads that work through stages of parts together, spinning for each other before they sleep.
//
// A decode step is some 200 kernels of 5 to 50 microseconds, each cut into one part a thread, and none may begin before
// all parts of the one before it are done. Waking a sleeping thread costs as much as a kernel, so waiters spin. But
// where other programs want the cores too, a thread may be off its core for milliseconds, and everybody else would wait
// for it at every kernel. So parts are claimed: a thread takes its own part first, and after a short patience also
// those that nobody has taken. A thread that comes back late finds its parts done and skips ahead. Who computes a part
// never changes what it computes.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace stepdown {

/// A number that threads wait for: spin, yield, then sleep.
class alignas(64) WaitWord {
public:
  uint32_t load() const { return value.load(std::memory_order_acquire); }
  /// Adds one; wakes the sleepers where `wakes`. Returns the new number.
  uint32_t advance(bool wakes = true);
  void wake();
  /// Returns once the word is no longer `old`; the writer's memory is visible then.
  void waitWhile(uint32_t old);
  /// Sleeps, without a spin, until woken or no longer `old`.
  void sleepWhile(uint32_t old);

private:
  std::atomic<uint32_t> value{0};
  std::atomic<uint32_t> sleepers{0};
};

class ThreadPool {
public:
  /// Computes `part` of `parts` of `stage`.
  using Body = void (*)(void *context, size_t stage, int part, int parts);

  /// Starts `threads` - 1 threads; where the system refuses some, the pool is smaller.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  int size() const { return count; }

  /// Calls `body` once for each part of each of `stages`; a stage begins when the one before it is done, and sees what
  /// it wrote. The caller takes part. One caller at a time; allocates nothing.
  void run(Body body, void *context, size_t stages);

private:
  /// The last stage, counted over all runs, whose part some thread has taken.
  struct alignas(64) Claim {
    std::atomic<uint32_t> ticket{0};
  };
  void work(int thread);
  void execute(int thread);
  bool take(int part, size_t stage);
  /// Takes what nobody has taken of the others' parts; whether there was any.
  bool takeOthers(int thread, size_t stage);
  bool done(size_t stage) const;
  void waitFor(int thread, size_t stage, int &patience);

  int count = 1;
  std::vector<std::thread> workers;
  std::unique_ptr<Claim[]> claims; ///< [threads]
  // The present run; changed only while the gate is shut and nobody is inside.
  Body body = nullptr;
  void *argument = nullptr;
  size_t stages = 0;
  uint32_t base = 0; ///< stages of all runs before
  std::atomic<bool> stopping{false};

  WaitWord started;                          ///< advances when a run begins
  WaitWord finished;                         ///< parts done, over all runs
  WaitWord left;                             ///< advances when a thread leaves a run
  alignas(64) std::atomic<uint32_t> gate{0}; ///< `open`, plus the number of threads inside
};

} // namespace stepdown
