// The hand-written product on the emulator, against float64.
#include "lib/CodeGen/Emulation.h"
#include "lib/CodeGen/KernelModule.h"
#include "runtime/emulated/Emulator.h"
#include "test/device/EmulatedKernel.h"
#include "test/device/ProductKernel.h"
#include <chrono>
#include <gtest/gtest.h>

using namespace stepdown;
using namespace stepdown::test;

namespace {

struct Case {
  uint32_t m, n, k, tile, stages;
  bool registersA;
};

class EmulatedProduct : public testing::TestWithParam<Case> {};

} // namespace

TEST_P(EmulatedProduct, EqualsFloat64) {
  const Case c = GetParam();
  ProductKernel kernel;
  kernel.n = c.tile;
  kernel.stages = c.stages;
  kernel.registersA = c.registersA;
  EmulatedKernel emulated(kernel.text());
  ASSERT_EQ(emulated.error, "");
  for (uint64_t seed : {0, 1, 7}) {
    ProductProblem problem(c.m, c.n, c.k);
    const Status status = problem.run(emulated.emulator, kernel, seed);
    ASSERT_TRUE(status) << status.error().text();
    EXPECT_EQ(problem.wrong(), "") << "seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, EmulatedProduct,
                         testing::Values(Case{64, 32, 64, 32, 2, false}, Case{61, 29, 67, 32, 2, false},
                                         Case{127, 67, 191, 32, 3, false}, Case{67, 31, 199, 16, 2, true},
                                         Case{71, 257, 331, 256, 2, false}));
