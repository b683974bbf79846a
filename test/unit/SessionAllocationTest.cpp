// Counts every call of malloc and its kin, and so of operator new: 1,000 decode steps make none.
#include "runtime/Devices.h"
#include "runtime/Session/Session.h"
#include "test/unit/CountedAllocations.h"
#include "test/unit/ToyModel.h"
#include <cstdlib>
#include <gtest/gtest.h>

std::atomic<uint64_t> stepdown::test::allocations{0};
using stepdown::test::allocations;

#ifndef STEPDOWN_SANITIZED
extern "C" {
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void *malloc(size_t bytes) { return ++allocations, __libc_malloc(bytes); }
void *calloc(size_t count, size_t bytes) { return ++allocations, __libc_calloc(count, bytes); }
void *realloc(void *old, size_t bytes) { return ++allocations, __libc_realloc(old, bytes); }
void *aligned_alloc(size_t alignment, size_t bytes) { return ++allocations, __libc_memalign(alignment, bytes); }
}
#endif

using namespace stepdown;

TEST(SessionAllocation, aThousandDecodeStepsAllocateNothing) {
#ifdef STEPDOWN_SANITIZED
  GTEST_SKIP() << "a sanitizer owns malloc";
#endif
  test::ToyModel toy;
  toy.maxContext = 2048;
  toy.window = 40;
  auto model = Model::load(toy.write(), *openDevice(nullptr));
  ASSERT_TRUE(model);
  for (int threads : {1, 2}) {
    Session::Options options;
    options.threads = threads;
    options.kvBlock = 16;
    options.kvPositions = 8192;
    auto session = std::move(*Session::create(*model, options));
    std::vector<int32_t> sequences = {*session->createSequence(), *session->createSequence()};
    size_t deviceBytes = (*model)->device().allocated();
    bool good = true;
    auto decode = [&](int i) {
      Session::Token batch[2] = {{sequences[0], i % 40, true}, {sequences[1], i % 39, i % 2 == 0}};
      good = good && session->submit(batch, 1 + i % 2) && session->step();
    };
    uint64_t before = allocations;
    ASSERT_GT(before, 0u); // the counter counts
    for (int i = 0; i < 1000; ++i)
      decode(i);
    EXPECT_EQ(allocations - before, 0u) << threads << " threads";
    EXPECT_EQ((*model)->device().allocated(), deviceBytes);
    EXPECT_TRUE(good);
  }
}
