// Uploads that drivers which are none bring under the work before them: in order, from bytes that the caller has
// changed since, without waiting or allocating, and every function failing in turn.
#include "runtime/driver/DriverRecords.h"
#include "test/device/DriverDevices.h"

using namespace stepdown;
using test::DriverDevices;

namespace {

constexpr size_t kBytes = 61, kPlace = 64;

/// Uploads that come to one place, from where work of the queue takes them to a place of their own each.
struct Uploads {
  Allocation staging, place, results;
  std::vector<uint8_t> got; ///< the queue's until it ends, where sync() fails
  std::unique_ptr<Queue> queue;

  Status begin(Device &device, size_t count) {
    std::pair<Allocation *, size_t> wanted[] = {
        {&staging, Queue::kStagedUploads * kPlace}, {&place, 4 * kPlace}, {&results, count * kPlace}};
    for (auto [memory, bytes] : wanted) {
      Result<Memory> made = device.allocate(bytes, "a test");
      if (!made)
        return made.error();
      *memory = Allocation(device, *made);
    }
    Result<std::unique_ptr<Queue>> made = device.queue(0);
    if (!made)
      return made.error();
    queue = std::move(*made);
    EXPECT_FALSE(queue->keepsUploads());
    return queue->stage(*staging);
  }
  /// The caller's bytes are others when upload() has returned.
  Status send(uint8_t number, size_t bytes = kBytes) {
    std::vector<uint8_t> own(bytes, number);
    Status sent = queue->upload(place->address, own.data(), bytes);
    std::fill(own.begin(), own.end(), 0xee);
    if (sent)
      sent = queue->copy(results->address + number * kPlace, place->address, kBytes);
    if (sent)
      queue->record();
    return sent;
  }
  /// Whether the first `count` results are what was sent.
  Status finish(size_t count) {
    got.assign(count * kPlace, 0xee);
    Status done = queue->download(got.data(), results->address, got.size());
    if (done)
      done = queue->sync();
    for (size_t i = 0; done && i < count; ++i)
      for (size_t b = 0; b < kPlace; ++b)
        EXPECT_EQ(got[i * kPlace + b], b < kBytes ? i : 0) << i << ", " << b;
    return done;
  }
};

// The fake's streams do nothing before somebody asks, so each upload comes while others, and copies, are under way.
TEST_P(DriverDevices, BringUploadsUnderTheWorkBefore) {
  auto device = open();
  ASSERT_TRUE(device) << device.error().text();
  constexpr size_t kCount = 97;
  Uploads uploads;
  ASSERT_TRUE(uploads.begin(**device, kCount));
  EXPECT_TRUE(uploads.queue->keepsUploads());
  uint64_t holds = 0;
  fake.failName = "waitForStream", fake.failError = 1; // nobody waits for all
  for (size_t i = 0; i < kCount; ++i) {
    Status sent = uploads.send(uint8_t(i));
    ASSERT_TRUE(sent) << i << ": " << sent.error().text();
    if (i == 2 * Queue::kStagedUploads)
      holds = held();
  }
  EXPECT_STREQ(fake.failName, "waitForStream");
  fake.failName = nullptr;
  EXPECT_EQ(held(), holds) << "events are used again";
  Status done = uploads.finish(kCount);
  EXPECT_TRUE(done) << done.error().text();
}

// What has no room in a slot is waited for; what comes to a queue at rest needs no second stream.
TEST_P(DriverDevices, WaitForUploadsThatNoSlotTakes) {
  auto device = open();
  ASSERT_TRUE(device) << device.error().text();
  Uploads uploads;
  ASSERT_TRUE(uploads.begin(**device, 3));
  fake.failName = "waitInStream", fake.failError = 1;
  ASSERT_TRUE(uploads.send(0));
  ASSERT_TRUE(uploads.send(1, 3 * kPlace + 1));
  ASSERT_TRUE(uploads.queue->sync());
  ASSERT_TRUE(uploads.send(2));
  EXPECT_STREQ(fake.failName, "waitInStream");
  fake.failName = nullptr;
  EXPECT_TRUE(uploads.finish(3));
}

TEST_P(DriverDevices, SayANumberWhicheverUploadFails) {
  std::set<std::string> failed;
  for (uint64_t k = 1;; ++k) {
    const uint64_t before = held();
    {
      auto device = open();
      ASSERT_TRUE(device) << device.error().text();
      Uploads uploads;
      fake.failError = driver::kOutOfMemory;
      fake.failAt = fake.calls + k;
      fake.lastFailed = nullptr;
      Status done = uploads.begin(**device, 19);
      for (uint8_t i = 0; done && i < 19; ++i)
        done = uploads.send(i);
      if (done)
        done = uploads.finish(19);
      fake.failAt = 0;
      if (!done) {
        const ErrorCode code = done.error().code;
        EXPECT_TRUE(code == ErrorCode::DriverRefused || code == ErrorCode::OutOfMemory) << done.error().text();
      }
    }
    EXPECT_LE(held(), before + 1) << k; // what failed to be given back
    if (!fake.lastFailed)
      break;
    failed.insert(fake.lastFailed);
    ASSERT_LT(k, 1000u);
  }
  for (const char *name : {"makeStream", "makeEvent", "recordEvent", "waitInStream", "toDevice", "between"})
    EXPECT_TRUE(failed.count(name)) << name;
}

} // namespace
