// What every Device does, whatever runs its kernels: memory, copies in order, events.
#include "test/device/Kinds.h"
#ifdef STEPDOWN_FAKE_DRIVERS
#include "test/device/driver/FakeDrivers.h"
#endif
#include <cstring>
#include <numeric>
#include <vector>

using namespace stepdown;

namespace {

struct Devices : testing::TestWithParam<test::DeviceKind> {
  std::shared_ptr<Device> device = GetParam().make();
  std::unique_ptr<Queue> queue = std::move(*device->queue(1));

  std::vector<uint8_t> bytes(uint64_t from, size_t size) {
    std::vector<uint8_t> got(size, 0xab);
    EXPECT_TRUE(queue->download(got.data(), from, size));
    EXPECT_TRUE(queue->sync());
    return got;
  }
};

TEST_P(Devices, allocateZeroedBytesAtTheirAlignment) {
  const size_t before = device->allocated();
  std::vector<Memory> all;
  for (size_t size : {1, 3, 4099, 65537}) {
    Result<Memory> memory = device->allocate(size, "test");
    ASSERT_TRUE(memory) << memory.error().text();
    EXPECT_EQ(memory->address % device->alignment(), 0u);
    EXPECT_EQ(memory->bytes, size);
    EXPECT_EQ(bytes(memory->address, size), std::vector<uint8_t>(size));
    EXPECT_EQ(bytes(memory->address + size, device->alignment()).size(), device->alignment()) << "may be read";
    all.push_back(*memory);
  }
  EXPECT_EQ(device->allocated() - before, 1u + 3 + 4099 + 65537);
  for (Memory &memory : all) {
    device->release(memory);
    EXPECT_EQ(memory.address, 0u);
    device->release(memory); // nothing
  }
  EXPECT_EQ(device->allocated(), before);
  Result<Memory> none = device->allocate(SIZE_MAX - 4096, "test");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::OutOfMemory);
}

TEST_P(Devices, doCopiesInTheOrderOfTheirCalls) {
  Allocation a(*device, *device->allocate(1009, "a")), b(*device, *device->allocate(1009, "b"));
  std::vector<uint8_t> first(1009), second(1009), got(1009), later(1009);
  std::iota(first.begin(), first.end(), uint8_t(1));
  std::iota(second.begin(), second.end(), uint8_t(100));
  ASSERT_TRUE(queue->upload(a->address, first.data(), first.size()));
  ASSERT_TRUE(queue->copy(b->address + 7, a->address, 1002));
  ASSERT_TRUE(queue->upload(a->address, second.data(), second.size()));
  ASSERT_TRUE(queue->download(got.data(), b->address, got.size()));
  ASSERT_TRUE(queue->download(later.data(), a->address, later.size()));
  const uint64_t event = queue->record();
  ASSERT_TRUE(queue->wait(event));
  EXPECT_TRUE(queue->happened(event));
  EXPECT_EQ(later, second);
  EXPECT_EQ(std::vector<uint8_t>(got.begin(), got.begin() + 7), std::vector<uint8_t>(7));
  EXPECT_EQ(std::memcmp(got.data() + 7, first.data(), 1002), 0);
  EXPECT_TRUE(queue->happened(event)) << "for good";
  ASSERT_TRUE(queue->upload(a->address, first.data(), 0));
  ASSERT_TRUE(queue->sync());
  EXPECT_GE(queue->width(), 1);
}

TEST_P(Devices, reserveAddressesThatBecomeMemoryWhereTheyAreWritten) {
  Result<Memory> memory = device->reserve("test");
  ASSERT_TRUE(memory) << memory.error().text();
  Allocation held(*device, *memory);
  ASSERT_GE(held->bytes, size_t(1) << 24);
  EXPECT_EQ(held->bytes % 4096, 0u);
  const std::vector<uint8_t> ones(3 * 4096, 1);
  const uint64_t at = held->address + held->bytes - ones.size();
  Status ready = held.commit(held->bytes - ones.size(), held->bytes);
  ASSERT_TRUE(ready) << ready.error().text();
  ASSERT_TRUE(queue->upload(at, ones.data(), ones.size()));
  EXPECT_EQ(bytes(at, ones.size()), ones);
  held.discard(held->bytes - 8192, held->bytes - 4096);
  EXPECT_EQ(bytes(at, 4096), std::vector<uint8_t>(4096, 1)) << "outside of what was given back";
  EXPECT_EQ(bytes(at + 8192, 4096), std::vector<uint8_t>(4096, 1));
}

TEST_P(Devices, adoptBytesOfTheHost) {
  static const std::vector<uint8_t> mine = [] {
    std::vector<uint8_t> some(70001);
    std::iota(some.begin(), some.end(), uint8_t(3));
    return some;
  }();
  const size_t before = device->allocated();
  Result<uint64_t> address = device->adopt(mine.data(), mine.size());
  ASSERT_TRUE(address) << address.error().text();
  EXPECT_EQ(bytes(*address, mine.size()), mine);
  Result<uint64_t> part = device->adopt(mine.data() + 4099, 1009);
  ASSERT_TRUE(part) << part.error().text();
  EXPECT_EQ(bytes(*part, 1009), std::vector<uint8_t>(mine.begin() + 4099, mine.begin() + 4099 + 1009));
  EXPECT_EQ(bytes(*address, mine.size()), mine);
  EXPECT_EQ(device->allocated(), before);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Devices, testing::ValuesIn(test::kMemoryKinds),
                         [](const auto &info) { return info.param.name; });

#ifdef STEPDOWN_FAKE_DRIVERS
std::shared_ptr<Device> openBehind(const char *library, const char *device) {
  test::fakeDriver(library);
  Result<std::shared_ptr<Device>> opened = openDevice(device);
  if (!opened)
    ADD_FAILURE() << opened.error().text();
  return opened ? *opened : nullptr;
}
constexpr test::DeviceKind kDriverKinds[] = {{"nvidia", [] { return openBehind("libcuda.so.1", "nvidia:sm_90a"); }},
                                             {"amd", [] { return openBehind("libamdhip64.so.7", "amd:gfx942"); }}};
INSTANTIATE_TEST_SUITE_P(Drivers, Devices, testing::ValuesIn(kDriverKinds),
                         [](const auto &info) { return info.param.name; });
#endif

} // namespace
