#include "runtime/cpu/ThreadPool.h"
#include <chrono>
#include <gtest/gtest.h>
#include <thread>

using stepdown::ThreadPool;

namespace {

struct Phases {
  std::vector<int> values; // [threads], plain memory
  std::vector<int> calls;  // [threads]
  bool torn = false;
};

// What a part wrote in one stage must be seen by every part of the next: TSan watches the same accesses.
void exchange(void *context, size_t stage, int part, int parts) {
  auto &p = *static_cast<Phases *>(context);
  int phase = static_cast<int>(stage / 2);
  if (stage % 2 == 0) {
    p.values[part] = phase * (part + 1);
    ++p.calls[part];
    return;
  }
  for (int t = 0; t < parts; ++t)
    if (p.values[t] != phase * (t + 1))
      p.torn = true;
}

TEST(ThreadPool, everyPartRunsOnceAndStagesFollowEachOther) {
  for (int threads : {1, 2, 3, 4, 7}) {
    ThreadPool pool(threads);
    Phases phases{std::vector<int>(threads), std::vector<int>(threads)};
    for (int i = 0; i < 5; ++i)
      pool.run(exchange, &phases, 400);
    EXPECT_FALSE(phases.torn) << threads << " threads";
    EXPECT_EQ(phases.calls, std::vector<int>(threads, 1000)) << threads << " threads";
  }
}

TEST(ThreadPool, wakesAfterItSlept) {
  ThreadPool pool(2);
  Phases phases{std::vector<int>(2), std::vector<int>(2)};
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20)); // far longer than the spin
    pool.run(exchange, &phases, 2);
  }
  EXPECT_EQ(phases.calls, (std::vector<int>{3, 3}));
}

// A part that takes long keeps the next stage from beginning, whoever else is ready, and even if they have gone to
// sleep.
TEST(ThreadPool, aSlowPartIsWaitedFor) {
  ThreadPool pool(3);
  std::vector<int> order(3);
  pool.run(
      [](void *context, size_t stage, int part, int) {
        auto &order = *static_cast<std::vector<int> *>(context);
        if (stage == 0 && part == 1)
          std::this_thread::sleep_for(std::chrono::milliseconds(30));
        if (stage == 0)
          order[part] = 1;
        else if (part == 0)
          order[0] = order[1] + order[2];
      },
      &order, 2);
  EXPECT_EQ(order[0], 2);
}

TEST(ThreadPool, noStagesAreNoWork) {
  ThreadPool pool(2);
  pool.run([](void *, size_t, int, int) { FAIL(); }, nullptr, 0);
}

TEST(ThreadPool, manyPoolsWorkAtOnce) {
  std::vector<std::thread> owners;
  std::vector<int> good(4);
  for (int o = 0; o < 4; ++o)
    owners.emplace_back([&good, o] {
      ThreadPool pool(2);
      Phases phases{std::vector<int>(2), std::vector<int>(2)};
      for (int i = 0; i < 20; ++i)
        pool.run(exchange, &phases, 50);
      good[o] = !phases.torn && phases.calls == std::vector<int>(2, 500);
    });
  for (std::thread &owner : owners)
    owner.join();
  EXPECT_EQ(good, (std::vector<int>{1, 1, 1, 1}));
}

} // namespace
