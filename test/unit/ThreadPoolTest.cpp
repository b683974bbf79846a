#include "runtime/cpu/ThreadPool.h"
#include <chrono>
#include <gtest/gtest.h>
#include <thread>

using stepdown::ThreadPool;

namespace {

struct Phases {
  ThreadPool *pool;
  std::vector<int> values; // [threads]
  bool torn = false;
};

// Plain memory written before a barrier must be seen by every thread after it: TSan watches the same accesses.
void exchange(void *context, int thread, int threads) {
  auto &p = *static_cast<Phases *>(context);
  for (int phase = 1; phase <= 200; ++phase) {
    p.values[thread] = phase * (thread + 1);
    p.pool->barrier();
    for (int t = 0; t < threads; ++t)
      if (p.values[t] != phase * (t + 1))
        p.torn = true;
    p.pool->barrier();
  }
}

TEST(ThreadPool, barriersPublishWhatEveryThreadWrote) {
  for (int threads : {1, 2, 3, 4}) {
    ThreadPool pool(threads);
    Phases phases{&pool, std::vector<int>(threads)};
    for (int i = 0; i < 5; ++i)
      pool.run(exchange, &phases);
    EXPECT_FALSE(phases.torn) << threads << " threads";
    EXPECT_EQ(phases.values[threads - 1], 200 * threads);
  }
}

TEST(ThreadPool, wakesAfterItSlept) {
  ThreadPool pool(2);
  std::vector<int> calls(2);
  auto count = [](void *context, int thread, int) { ++(*static_cast<std::vector<int> *>(context))[thread]; };
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20)); // far longer than the spin
    pool.run(count, &calls);
  }
  EXPECT_EQ(calls, (std::vector<int>{3, 3}));
}

TEST(ThreadPool, manyPoolsWorkAtOnce) {
  std::vector<std::thread> owners;
  std::vector<int> good(4);
  for (int o = 0; o < 4; ++o)
    owners.emplace_back([&good, o] {
      ThreadPool pool(2);
      Phases phases{&pool, std::vector<int>(2)};
      pool.run(exchange, &phases);
      good[o] = !phases.torn;
    });
  for (std::thread &owner : owners)
    owner.join();
  EXPECT_EQ(good, (std::vector<int>{1, 1, 1, 1}));
}

} // namespace
