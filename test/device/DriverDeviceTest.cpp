// GPUs behind drivers that are none: the whole of runtime/driver, with kernels that the emulator executes, and with
// every call of the driver failing in turn.
#include "runtime/driver/DriverDevice.h"
#include "runtime/driver/DriverRecords.h"
#include "test/device/DriverDevices.h"
#include "test/device/Kinds.h"
#include <cmath>
#include <random>
#include <set>
#include <thread>

using namespace stepdown;
using namespace stepdown::test;

namespace {

TEST_P(DriverDevices, RunFunctionsAndGiveEverythingBack) {
  const uint64_t launches = fake.launches;
  const uint64_t before = held();
  Status done = work();
  ASSERT_TRUE(done) << done.error().text();
  EXPECT_GT(fake.launches, launches);
  EXPECT_EQ(held(), before);
}

// Tile kernels: of sm_90a with tensor maps and more shared memory than a kernel has unasked. Within the rounding of
// float32 sums of exact products.
TEST_P(DriverDevices, RunTileKernels) {
  auto device = open();
  ASSERT_TRUE(device) << device.error().text();
  auto library = FunctionLibrary::load(artifactOf(kind), *device);
  ASSERT_TRUE(library) << library.error().text();
  constexpr int64_t m = 131, k = 72, n = 136;
  std::mt19937 random(17);
  std::normal_distribution<float> normal;
  std::vector<_Float16> a(m * k), b(k * n);
  for (auto *list : {&a, &b})
    for (_Float16 &value : *list)
      value = static_cast<_Float16>(normal(random));
  auto results = (*library)->call(*(*library)->find("tiles"),
                                  {{STEPDOWN_F16, {m, k}, a.data()}, {STEPDOWN_F16, {k, n}, b.data()}});
  ASSERT_TRUE(results) << results.error().text();
  const auto *c = static_cast<const float *>((*results)->arrays()[0].data);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0, size = 0;
      for (int64_t l = 0; l < k; ++l) {
        const double term = double(a[i * k + l]) * double(b[l * n + j]);
        sum += term, size += std::fabs(term);
      }
      ASSERT_LE(std::fabs(c[i * n + j] - sum), size * k * 0x1p-24) << i << ", " << j;
    }
}

// Whatever call fails, with whatever error: a number, nothing lost, and the next attempt is as good as the first.
TEST_P(DriverDevices, SayANumberWhicheverCallFails) {
  std::set<int> codes;
  std::set<std::string> failed;
  const bool contexts = kind.vendor == &driver::kNvidia; // HIP has nothing that ends with its last user
  for (int error : {driver::kOutOfMemory, 1, 719}) {
    if (error == 719 && !contexts)
      continue;
    for (uint64_t k = 1;; ++k) {
      const uint64_t calls = fake.calls;
      fake.failError = error;
      fake.failAt = calls + k;
      fake.lastFailed = nullptr;
      Status done = work();
      fake.failAt = 0;
      if (!fake.lastFailed)
        break;
      failed.insert(fake.lastFailed);
      if (!done) {
        codes.insert(int(done.error().code));
        EXPECT_NE(done.error().message.find("expects"), std::string::npos) << done.error().text();
        EXPECT_EQ(done.error().message.find('\n'), std::string::npos) << done.error().text();
        if (error == 719) {
          EXPECT_TRUE(done.error().code == ErrorCode::DeviceLost || done.error().code == ErrorCode::DriverMissing)
              << fake.lastFailed << ": " << done.error().text();
        }
      }
      ASSERT_LT(k, 5000u);
    }
  }
  for (int code : {601, 922, 1012, 1013, 1015})
    EXPECT_TRUE(codes.count(code)) << code;
  for (const char *name : {"allocate", "toDevice", "toHost", "launch", "loadModule", "waitForStream", "makeStream"})
    EXPECT_TRUE(failed.count(name)) << name;
  Status done = work();
  EXPECT_TRUE(done) << done.error().text();
}

TEST_P(DriverDevices, SayWhatMemoryWasWantedAndWhatIsFree) {
  fake.memory = used() + (1 << 20);
  auto device = open();
  ASSERT_TRUE(device) << device.error().text();
  Result<Memory> kept = (*device)->allocate(1000000, "first");
  ASSERT_TRUE(kept) << kept.error().text();
  Result<Memory> none = (*device)->allocate(50000, "logits");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().text(), std::string("error E0601: logits: expects 50000 bytes of memory of device ") +
                                     kind.device + ", but 48320 of its " + std::to_string(fake.memory) + " are free");
  (*device)->release(*kept);
  EXPECT_TRUE((*device)->allocate(50000, "logits"));
  EXPECT_EQ((*device)->allocated(), 50000u);
}

// Arrays that a call makes: where addresses become memory by and by as much as there is, elsewhere a part of it.
TEST_P(DriverDevices, FillTheArenaUntilMemoryIsFull) {
  const uint64_t before = held(), inUse = used() / (2 << 20) * (2 << 20);
  for (int maps : {1, 0}) {
    fake.mapsMemory = maps;
    fake.memory = used() + (96 << 20);
    auto device = open();
    ASSERT_TRUE(device) << device.error().text();
    Result<Memory> made = (*device)->reserve("arena");
    ASSERT_TRUE(made) << made.error().text();
    Allocation arena(**device, *made);
    const bool grows = maps && kind.vendor == &driver::kNvidia;
    EXPECT_EQ(arena->bytes, grows ? inUse + (96u << 20) : 24u << 20);
    const size_t empty = (*device)->allocated();
    EXPECT_EQ(empty, grows ? 0 : arena->bytes);
    Status some = arena.commit(0, 5000), more = arena.commit(4000, 10 << 20), again = arena.commit(0, 9 << 20);
    ASSERT_TRUE(some && more && again);
    if (!grows)
      continue;
    EXPECT_EQ((*device)->allocated(), 12u << 20); // whole pieces, with what may be read behind the end
    auto queue = std::move(*(*device)->queue(1));
    std::vector<uint8_t> sent(9 << 20, 7), got(9 << 20);
    ASSERT_TRUE(queue->upload(arena->address + 1000, sent.data(), sent.size()));
    ASSERT_TRUE(queue->download(got.data(), arena->address + 1000, got.size()));
    ASSERT_TRUE(queue->sync());
    EXPECT_EQ(sent, got);
    Result<Memory> other = (*device)->allocate(60 << 20, "other");
    ASSERT_TRUE(other) << other.error().text();
    Status full = arena.commit(0, 64 << 20);
    ASSERT_FALSE(full);
    EXPECT_NE(full.error().text().find("error E0601: arena: expects "), std::string::npos) << full.error().text();
    (*device)->release(*other);
    EXPECT_TRUE(arena.commit(0, 64 << 20));
    arena.discard(4 << 20, arena->bytes);
    EXPECT_LE((*device)->allocated(), 12u << 20);
    EXPECT_TRUE(arena.commit(0, 20 << 20));
  }
  EXPECT_EQ(held(), before);
}

TEST_P(DriverDevices, AreRefusedInALine) {
  struct Case {
    const char *gpus;
    int version, code;
    const char *text;
  };
  const bool cuda = kind.vendor == &driver::kNvidia;
  const Case cases[] = {
      {"", 0, 922, "finds none"},
      {cuda ? "Fake A100=8.0,Fake B200=10.0" : "Fake MI250X=gfx90a:xnack-", 0, 1011,
       cuda ? "this machine has Fake A100 (sm_80), Fake B200 (sm_100)" : "this machine has Fake MI250X (gfx90a)"}};
  for (const Case &each : cases) {
    fake.gpus = each.gpus;
    auto device = open();
    ASSERT_FALSE(device);
    EXPECT_EQ(int(device.error().code), each.code);
    EXPECT_NE(device.error().message.find(each.text), std::string::npos) << device.error().text();
  }
  fake.gpus = cuda ? "Fake A100=8.0,Fake H100=9.0" : "Fake MI250X=gfx90a,Fake MI300X=gfx942";
  auto second = open();
  EXPECT_TRUE(second) << second.error().text();
}

// One GPU is lost in the middle of a call: it says so from then on, everything else goes on, and once nobody holds it
// any more it can be opened anew.
TEST_P(DriverDevices, AreLostAlone) {
  if (kind.vendor != &driver::kNvidia)
    GTEST_SKIP() << "a process of HIP has one context for its life";
  auto device = open();
  ASSERT_TRUE(device) << device.error().text();
  auto library = FunctionLibrary::load(artifactOf(kind), *device);
  ASSERT_TRUE(library) << library.error().text();
  auto queue = std::move(*(*device)->queue(1));
  Result<Memory> memory = (*device)->allocate(1000, "some");
  ASSERT_TRUE(memory);
  fake.failName = "launch";
  fake.failError = 700;
  Status lost = product(**library);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, ErrorCode::DeviceLost);
  EXPECT_NE(lost.error().message.find("error 700 (fake error 700): the GPU is lost"), std::string::npos)
      << lost.error().text();
  uint32_t word = 0;
  for (Status after :
       {product(**library), queue->upload(memory->address, &word, 4), queue->sync(), queue->wait(queue->record())}) {
    ASSERT_FALSE(after);
    EXPECT_EQ(after.error().code, ErrorCode::DeviceLost);
    EXPECT_NE(after.error().message.find("was lost before: error 700"), std::string::npos) << after.error().text();
  }
  EXPECT_FALSE((*device)->allocate(1, "more"));
  EXPECT_FALSE((*device)->queue(1));
  auto emulated = FunctionLibrary::load(artifactOf(kind), *openDevice(kind.emulated));
  ASSERT_TRUE(emulated) << emulated.error().text();
  EXPECT_TRUE(product(**emulated)) << "another device";
  queue.reset();
  (*device)->release(*memory);
  device = fail(ErrorCode::DeviceLost, "closed");
  library = fail(ErrorCode::DeviceLost, "closed");
  Status again = work();
  EXPECT_TRUE(again) << again.error().text();
}

TEST_P(DriverDevices, RefuseLaunchesThatTheyCannotMake) {
  auto device = open();
  ASSERT_TRUE(device) << device.error().text();
  const uint8_t bytes[16] = {};
  Result<uint64_t> none = (*device)->kernel(99, 0, "k", {});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::LaunchUnsupported);
  none = (*device)->kernel(1, 0, nullptr, {});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::LaunchUnsupported);
  EXPECT_FALSE((*device)->loadCode(bytes, sizeof bytes, 1));
  auto queue = std::move(*(*device)->queue(1));
  const Launch launch = {7, 0, 0};
  Status launched = queue->launch(&launch, 1);
  ASSERT_FALSE(launched);
  EXPECT_EQ(launched.error().code, ErrorCode::KernelLaunch);
  // Code that the driver does not take.
  fake.artifact = nullptr;
  auto library = FunctionLibrary::load(artifactOf(kind), *device);
  ASSERT_FALSE(library);
  EXPECT_EQ(library.error().code, ErrorCode::DriverCode);
}

TEST_P(DriverDevices, ServeFourThreadsAtOnce) {
  auto device = open();
  ASSERT_TRUE(device) << device.error().text();
  auto library = FunctionLibrary::load(artifactOf(kind), *device);
  ASSERT_TRUE(library) << library.error().text();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int round = 0; round < 3; ++round) {
        Status done = product(**library);
        ASSERT_TRUE(done) << done.error().text();
      }
    });
  for (std::thread &thread : threads)
    thread.join();
}

INSTANTIATE_TEST_SUITE_P(Kinds, DriverDevices, testing::Values(0, 1),
                         [](const auto &info) { return info.param ? "amd" : "nvidia"; });

} // namespace
