// The bytes that --explain tells of each kernel of a plain module's functions are those that the emulator sees touched:
// written to the byte, read to the byte by kernels of tiles.
#include "runtime/Functions/FunctionLibrary.h"
#include "runtime/emulated/EmulatedDevice.h"
#include "test/device/CompiledModel.h"
#include "test/device/TouchedBytes.h"
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace stepdown;
using namespace stepdown::test;

namespace {

struct Counter final : emulated::Observer {
  struct Seen {
    std::string kernel;
    uint64_t read, written;
  };
  std::vector<Seen> launched;
  TouchedBytes reads, writes;

  void launches(const char *kernel) override {
    close();
    launched.push_back({kernel, 0, 0});
  }
  void touches(const void *address, uint32_t bytes, bool write) override {
    (write ? writes : reads).touch(address, bytes);
  }
  void close() {
    if (!launched.empty())
      launched.back().read = reads.count(), launched.back().written = writes.count();
    reads.clear(), writes.clear();
  }
};

// A sum in shares with something behind it; one whose result starts from what is there; a batch, of a launch each; and
// rows that are padded, with a sum of rows behind them, which threads compute.
constexpr const char *kModule = R"(
func.func @shared(%a: tensor<61x1031xf16>, %b: tensor<1031x67xf16>, %c: tensor<61x67xf32>) -> tensor<61x67xf32> {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%c : tensor<61x67xf32>) -> tensor<61x67xf32>
  %p = linalg.matmul ins(%a, %b : tensor<61x1031xf16>, tensor<1031x67xf16>) outs(%f : tensor<61x67xf32>) -> tensor<61x67xf32>
  %r = arith.maximumf %p, %f : tensor<61x67xf32>
  return %r : tensor<61x67xf32>
}
func.func @adds(%a: tensor<3x4099xbf16>, %b: tensor<4099x5xbf16>, %c: tensor<3x5xbf16>) -> tensor<3x5xbf16> {
  %p = linalg.matmul ins(%a, %b : tensor<3x4099xbf16>, tensor<4099x5xbf16>) outs(%c : tensor<3x5xbf16>) -> tensor<3x5xbf16>
  return %p : tensor<3x5xbf16>
}
func.func @batch(%a: tensor<3x67x64xf16>, %b: tensor<3x64x72xf16>, %c: tensor<3x67x72xf32>) -> tensor<3x67x72xf32> {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%c : tensor<3x67x72xf32>) -> tensor<3x67x72xf32>
  %p = linalg.batch_matmul ins(%a, %b : tensor<3x67x64xf16>, tensor<3x64x72xf16>) outs(%f : tensor<3x67x72xf32>) -> tensor<3x67x72xf32>
  return %p : tensor<3x67x72xf32>
}
func.func @padded(%a: tensor<131x61xbf16>, %b: tensor<61x67xbf16>, %c: tensor<131x67xf32>, %s: tensor<131xf32>) -> tensor<131xf32> {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%c : tensor<131x67xf32>) -> tensor<131x67xf32>
  %p = linalg.matmul ins(%a, %b : tensor<131x61xbf16>, tensor<61x67xbf16>) outs(%f : tensor<131x67xf32>) -> tensor<131x67xf32>
  %g = linalg.fill ins(%zero : f32) outs(%s : tensor<131xf32>) -> tensor<131xf32>
  %r = linalg.reduce {arith.addf} ins(%p : tensor<131x67xf32>) outs(%g : tensor<131xf32>) dimensions = [1]
  return %r : tensor<131xf32>
}
)";

class FunctionTraffic : public testing::TestWithParam<const char *> {};
INSTANTIATE_TEST_SUITE_P(, FunctionTraffic, testing::Values("sm_90a", "sm_80", "gfx942", "gfx1100"),
                         [](auto &each) { return std::string(each.param); });

} // namespace

TEST_P(FunctionTraffic, EqualsWhatExplainTells) {
  const std::string target = std::string("emulated:") + GetParam(), base = testing::TempDir() + "traffic-" + GetParam(),
                    module = base + ".mlir", artifact = base + ".stepdown";
  std::ofstream(module) << kModule;
  const auto told = nlohmann::json::parse(outputOf(std::string(STEPDOWN_COMPILE) + " " + module + " -o " + artifact +
                                                   " --explain=json --target=" + target));
  Counter counter;
  emulated::Options watched;
  watched.observer = &counter;
  auto library = FunctionLibrary::load(artifact, makeEmulatedDevice(target.c_str(), watched));
  ASSERT_TRUE(library) << library.error().text();
  int shared = 0;
  const uint64_t hidden = std::string(GetParam()).find("gfx") == 0 ? 4 : 0; // how many blocks there are, of a launch
  for (const auto &function : told["functions"]) {
    const std::string name = function["name"];
    SCOPED_TRACE(name);
    const auto number = (*library)->find(name);
    ASSERT_TRUE(number) << number.error().text();
    std::vector<Array> arguments = (*library)->functions()[*number].arguments;
    std::vector<std::vector<uint8_t>> data;
    for (Array &argument : arguments) {
      data.emplace_back(argument.bytes());
      argument.data = data.back().data();
    }
    counter.launched.clear();
    auto results = (*library)->call(*number, arguments);
    ASSERT_TRUE(results) << results.error().text();
    counter.close();
    ASSERT_EQ(function["kernels"].size(), 1u);
    ASSERT_EQ(function["kernels"][0]["target"], target);
    size_t at = 0;
    for (const auto &kernel : function["kernels"][0]["kernels"])
      for (int run = 0; run < int(kernel["times"]); ++run, ++at) {
        ASSERT_LT(at, counter.launched.size());
        const Counter::Seen &seen = counter.launched[at];
        SCOPED_TRACE(seen.kernel);
        EXPECT_EQ(kernel["bytes_written"], seen.written) << kernel;
        if (kernel["kernel"].is_null()) {
          EXPECT_GE(kernel["bytes_read"], seen.read) << kernel;
          continue;
        }
        EXPECT_EQ(kernel["kernel"], seen.kernel);
        EXPECT_EQ(kernel["bytes_read"].get<uint64_t>() + hidden, seen.read) << kernel;
        shared += seen.kernel.find("shares") != std::string::npos;
      }
    EXPECT_EQ(at, counter.launched.size());
  }
  EXPECT_EQ(shared, 2);
  std::remove(module.c_str());
  std::remove(artifact.c_str());
}
