// What is handed to kernels on a device, and which artifacts it takes.
#include "runtime/Load/KernelParameters.h"
#include "runtime/Devices.h"
#include "runtime/Load/Model.h"
#include "test/unit/ToyModel.h"
#include <cstring>
#include <gtest/gtest.h>

using namespace stepdown;
using namespace stepdown::test;

namespace {

TEST(KernelParameters, HaveNoMapOfAnOperandWhoseKernelThenGoesByTheAddress) {
  ImageKernel kernel;
  kernel.name = "product";
  kernel.ranks = {2};
  kernel.parameters = {{0, STEPDOWN_HOLDS_MAP, 0, 9, 3, {64, 64}, 1}, {0, STEPDOWN_HOLDS_ADDRESS, 0, 0, 0, {}, 0}};
  unsigned encoded = 0;
  auto encode = [&](const TensorMapShape &, void *map) -> Status {
    ++encoded;
    std::memset(map, 0x5a, 128);
    return Done{};
  };
  alignas(64) uint8_t bytes[192];
  ASSERT_LE(parameterBytes(kernel), sizeof bytes);
  struct Case {
    uint64_t address, rows, columns;
    bool mapped;
  };
  for (const Case &c : {Case{4096, 3, 8, true}, Case{4096, 3, 7, false}, Case{4104, 3, 8, false},
                        Case{4096, 0, 8, false}, Case{4096, 3, 0, false}}) {
    const uint64_t words[] = {c.address, c.rows, c.columns};
    std::memset(bytes, 0xff, sizeof bytes);
    const unsigned before = encoded;
    const Status both = encodeParameters(kernel, words, encode, bytes);
    ASSERT_TRUE(both) << both.error().text();
    EXPECT_EQ(encoded - before, c.mapped);
    EXPECT_EQ(std::vector<uint8_t>(bytes, bytes + 128), std::vector<uint8_t>(128, c.mapped ? 0x5a : 0));
    EXPECT_EQ(std::memcmp(bytes + 128, words, 8), 0);
    ImageKernel copies = kernel; // by the map whatever comes, and reads by the address
    copies.parameters[0].or_address = 0;
    const Status mapped = encodeParameters(copies, words, encode, bytes);
    ASSERT_EQ(bool(mapped), c.mapped);
    if (!mapped)
      EXPECT_EQ(mapped.error().code, ErrorCode::KernelLaunch);
  }
}

TEST(EmulatedArtifact, OfOtherTargetsIsRefusedWithTheList) {
  const auto refused = Model::load(ToyModel().write(), *openDevice("emulated:sm_90a"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(static_cast<int>(refused.error().code), 911);
  EXPECT_NE(refused.error().message.find("expects code for device emulated:sm_90a, but the artifact holds targets cpu"),
            std::string::npos)
      << refused.error().message;
}

} // namespace
