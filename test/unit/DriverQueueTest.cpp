// A driver's queue over a table of functions that do nothing, so that what is counted is the queue's own.
#include "runtime/driver/DriverQueue.h"
#include "runtime/driver/DriverRecords.h"
#include "test/unit/CountedAllocations.h"
#include <algorithm>
#include <gtest/gtest.h>

using namespace stepdown;
using namespace stepdown::driver;

namespace {

/// Calls since the last begin().
struct Seen {
  uintptr_t handles;           ///< streams and events, numbered from 1 on
  uint64_t copies, eventWaits; ///< to the device; of the host for an event
  bool waited[4];              ///< for the stream of this number
  const char *fails;           ///< this function does
} seen;

int made(void **handle, unsigned) { return *handle = reinterpret_cast<void *>(++seen.handles), 0; }
int fails(const char *name) { return seen.fails == name ? 1 : 0; }
constexpr const char *kRecord = "recordEvent", *kWait = "waitInStream", *kSettle = "waitForStream";

Driver nothing() {
  seen = {};
  Driver driver;
  driver.useDevice = [](int) { return 0; };
  driver.makeStream = driver.makeEvent = made;
  driver.endStream = driver.endEvent = [](void *) { return 0; };
  driver.waitForStream = [](void *stream) {
    seen.waited[std::min<uintptr_t>(reinterpret_cast<uintptr_t>(stream), 3)] = true;
    return fails(kSettle);
  };
  driver.recordEvent = [](void *, void *) { return fails(kRecord); };
  driver.queryEvent = [](void *) { return kNotReady; };
  driver.waitInStream = [](void *, void *, unsigned) { return fails(kWait); };
  driver.waitForEvent = [](void *) { return ++seen.eventWaits, 0; };
  driver.toDevice = [](uint64_t, const void *, size_t, void *) { return ++seen.copies, 0; };
  driver.between = [](uint64_t, uint64_t, size_t, void *) { return 0; };
  return driver;
}

/// A queue that stages uploads of up to 64 bytes. Its stream is 1, that of its uploads 2.
struct Staging {
  const Driver driver = nothing();
  std::unique_ptr<Context> context = std::move(*Context::open(driver, "amd:none", {}));
  Kernels kernels{*context};
  std::unique_ptr<DriverQueue> queue = std::move(*DriverQueue::create(*context, kernels));
  Staging() {
    Memory memory;
    memory.address = 4096, memory.bytes = Queue::kStagedUploads * 64;
    EXPECT_TRUE(queue->stage(memory));
  }
  Status upload() {
    const uint8_t bytes[61] = {};
    return queue->upload(1 << 20, bytes, sizeof bytes);
  }
};

// As a session's steps without rows do: two uploads and an event each, of which the GPU has done none before somebody
// waits for it.
TEST(DriverQueueAllocation, aThousandStepsAllocateNothing) {
#ifdef STEPDOWN_SANITIZED
  GTEST_SKIP() << "a sanitizer owns malloc";
#endif
  Staging staging;
  bool good = true;
  const uint64_t before = test::allocations;
  ASSERT_GT(before, 0u);
  for (int i = 0; i < 1000; ++i) {
    good = staging.upload() && good;
    good = staging.upload() && good;
    staging.queue->record();
  }
  EXPECT_EQ(test::allocations - before, 0u);
  EXPECT_TRUE(good);
  EXPECT_EQ(seen.copies, 2000u);
  EXPECT_GT(seen.eventWaits, 900u);
  EXPECT_LE(seen.handles, 2 + Queue::kStagedUploads + Queue::kStagedUploads);
}

// An upload that fails behind its copy leaves that in the second stream, for which the first one does not wait.
TEST(DriverQueue, waitsForWhatAFailedUploadHasLeft) {
  for (const char *name : {kRecord, kWait}) {
    Staging staging;
    ASSERT_TRUE(staging.upload());
    staging.queue->record(); // so that the next upload comes while others are under way
    seen.fails = name;
    EXPECT_FALSE(staging.upload()) << name;
    EXPECT_FALSE(seen.waited[2]) << name;
    seen.fails = kSettle;
    EXPECT_FALSE(staging.queue->sync()) << name;
    seen.fails = nullptr;
    ASSERT_TRUE(staging.queue->sync()) << name;
    EXPECT_TRUE(seen.waited[1] && seen.waited[2]) << name;
    std::fill(std::begin(seen.waited), std::end(seen.waited), false);
    ASSERT_TRUE(staging.queue->sync()) << name;
    EXPECT_TRUE(seen.waited[1] && !seen.waited[2]) << name << ": nothing is left any more";
  }
}

} // namespace
