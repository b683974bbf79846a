// What the processor, as a device, takes of code and of launches.
#include "runtime/Checksum.h"
#include "runtime/Devices.h"
#include <gtest/gtest.h>
#include <vector>

using namespace stepdown;

namespace {

/// One work-group of one thread.
constexpr stepdown_launch kOneGroup = {{{1, 1}, {1, 1}, {1, 1}}, {1, 1, 1}, {1, 1, 1}, 0};

struct CpuDevice : testing::Test {
  std::shared_ptr<Device> device = *openDevice("cpu");
  std::vector<uint8_t> bytes = std::vector<uint8_t>(67, 0xc3); // x86's return
  uint64_t code = *device->loadCode(bytes.data(), bytes.size(), checksumOf(bytes.data(), bytes.size()));

  std::string refusal(const stepdown_launch &launch, const char *name = nullptr) {
    Result<uint64_t> kernel = device->kernel(code, 5, name, launch);
    return kernel ? "" : kernel.error().text();
  }
};

TEST_F(CpuDevice, runsItsOwnTargetAlone) {
  EXPECT_TRUE(device->runs("cpu"));
  EXPECT_FALSE(device->runs("cpu2"));
  EXPECT_FALSE(device->runs("emulated:sm_90a"));
  EXPECT_FALSE(device->accepts(0));
}

TEST_F(CpuDevice, allocatesAtItsAlignment) {
  Result<Memory> memory = device->allocate(3, "test");
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->address % device->alignment(), 0u);
  device->release(*memory);
}

// Threads divide the grid, whatever it is; there are no work-groups inside which threads would share anything.
TEST_F(CpuDevice, takesNoBlockClusterOrSharedMemory) {
  stepdown_launch launch = kOneGroup;
  launch.grid[0] = {STEPDOWN_DIM_TOKENS, 7};
  EXPECT_EQ(refusal(launch), "");
  EXPECT_EQ(*device->kernel(code, 5, nullptr, launch), code + 5);
  EXPECT_EQ(refusal(launch, "linear").substr(0, 12), "error E0920:");
  for (uint32_t (stepdown_launch::*field)[3] : {&stepdown_launch::block, &stepdown_launch::cluster})
    for (int d = 0; d < 3; ++d) {
      stepdown_launch other = launch;
      (other.*field)[d] = 32;
      EXPECT_EQ(refusal(other).substr(0, 12), "error E0920:") << refusal(other);
    }
  launch.shared_bytes = 1;
  EXPECT_EQ(refusal(launch), "error E0920: code: expects no shared memory for device cpu, but the entry at offset 5 "
                             "asks for 1 bytes");
}

} // namespace
