// The matrix product's one tile text on the emulated sm_90a and sm_80: the code that the compiler makes of it, with all
// its barriers, TMA and wgmma, or cp.async, ldmatrix and mma.sync, against the text's plain meaning in float64, from
// which it may differ by the roundings of float32 sums and of the result.
#include "test/device/MatmulCase.h"

using namespace stepdown;
using namespace stepdown::test;

namespace {

MatmulParameters tiles(int64_t m, int64_t n, int64_t k, int64_t stages, int64_t warps, const char *result) {
  MatmulParameters p;
  p.m = m, p.n = n, p.k = k, p.stages = stages, p.warps = warps, p.result = result;
  p.registers = warps == 4 ? 168 : 232;
  p.group = 2;
  return p;
}

MatmulParameters of(const char *element, MatmulParameters p, bool transposeB = true) {
  p.element = element, p.transposeB = transposeB;
  return p;
}

class EmulatedMatmul : public testing::TestWithParam<MatmulCase> {};
} // namespace

TEST_P(EmulatedMatmul, MeansWhatItsTextMeansWithoutBankConflicts) {
  uint64_t conflicts = 0;
  expectMatmul(GetParam(), "sm_90a", &conflicts);
  EXPECT_EQ(conflicts, 0u);
}

class WarpMatmul : public EmulatedMatmul {};
TEST_P(WarpMatmul, MeansWhatItsTextMeansWithoutBankConflicts) {
  uint64_t conflicts = 0;
  expectMatmul(GetParam(), "sm_80", &conflicts);
  EXPECT_EQ(conflicts, 0u);
}

// What TMA reads of both factors, in a turn of two tiles: of 128 x 256 a pair of blocks saves a third.
TEST(ClusterMatmul, ReadsBOnce) {
  mlir::DialectRegistry registry;
  registerKernelDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  const uint32_t m = 64, n = 128, k = 64, steps = 3;
  for (int64_t blocks : {1, 2}) {
    MatmulParameters p = tiles(m, n, k, 2, 4, "f32");
    p.cluster = blocks;
    auto module = matmulKernel(context, p);
    ASSERT_TRUE(module) << module.error().text();
    TileKernel lowered(**module);
    ASSERT_EQ(lowered.error, "");
    Matrix a(2 * m, steps * k, steps * k, true), b(steps * k, n, n, true), c(2 * m, n, n, false);
    Launch launch(lowered.launch(), {&a, &b, &c});
    launch.shape.grid = {2, 1, 1};
    const Status status = launch.run(lowered.code->emulator, "matmul");
    ASSERT_TRUE(status) << status.error().text();
    EXPECT_EQ(lowered.code->emulator.statistics().bulkBytes, steps * (2 * m * k + 2 / blocks * k * n) * 2);
  }
}

// What is written of C, each element once: by TMA rows of a box of 64 columns, where its rows lie at multiples of 16
// bytes, and else by lanes, of a whole tile in pairs.
TEST(StagedMatmul, WritesWholeLines) {
  struct Writes : emulated::Observer {
    uint64_t count = 0, bytes = 0;
    void launches(const char *) override {}
    void touches(const void *, uint32_t size, bool write) override { count += write, bytes += write ? size : 0; }
  };
  mlir::DialectRegistry registry;
  registerKernelDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  auto module = matmulKernel(context, tiles(64, 128, 64, 2, 4, "bf16"));
  ASSERT_TRUE(module) << module.error().text();
  TileKernel lowered(**module);
  ASSERT_EQ(lowered.error, "");
  const uint32_t m = 64, n = 193, k = 61;
  for (auto [stride, writes] : {std::pair(200u, m * 4), std::pair(198u, m * (128 / 2 + 65))}) {
    Matrix a(m, k, 64, true), b(k, n, 200, true), c(m, n, stride, true);
    for (Matrix *matrix : {&a, &b})
      for (uint32_t r = 0; r < matrix->rows; ++r)
        for (uint32_t x = 0; x < matrix->columns; ++x)
          matrix->set(r, x, float(r + x));
    Launch launch(lowered.launch(), {&a, &b, &c});
    launch.shape.grid = {1, 1, 1};
    Writes seen;
    emulated::Options options;
    options.observer = &seen;
    const Status status = launch.run(lowered.code->emulator, "matmul", options);
    ASSERT_TRUE(status) << status.error().text();
    EXPECT_EQ(seen.bytes, uint64_t(m) * n * 2);
    EXPECT_EQ(seen.count, writes) << "rows " << stride << " elements apart";
  }
}

static MatmulParameters inCluster(int64_t blocks, MatmulParameters p) { return p.cluster = blocks, p; }

static MatmulParameters inShares(int64_t shares, MatmulParameters p) { return p.shares = shares, p; }

// Sums in shares, of which the last has fewer slots, and the last of these is not whole.
INSTANTIATE_TEST_SUITE_P(Shares, EmulatedMatmul,
                         testing::Values(MatmulCase{inShares(4, tiles(64, 64, 64, 2, 4, "f32")), 61, 67, 701, 1},
                                         MatmulCase{inShares(2, of("i8", tiles(64, 64, 128, 2, 4, "i32"))), 67, 61, 613,
                                                    2}));
INSTANTIATE_TEST_SUITE_P(SharesOnSm80, WarpMatmul,
                         testing::Values(MatmulCase{inShares(4, of("f16", tiles(64, 64, 64, 3, 4, "f32"))), 67, 61, 701,
                                                    2}));

// In clusters, of which some have a block without rows: B comes once for all blocks.
INSTANTIATE_TEST_SUITE_P(
    Clusters, EmulatedMatmul,
    testing::Values(MatmulCase{inCluster(2, tiles(64, 64, 64, 2, 4, "f32")), 61, 67, 71, 2},
                    MatmulCase{inCluster(2, tiles(64, 64, 64, 2, 4, "bf16")), 1, 1, 1, 2},
                    MatmulCase{inCluster(2, of("f16", tiles(64, 128, 64, 3, 4, "f32"))), 193, 131, 331, 4},
                    MatmulCase{inCluster(4, tiles(64, 64, 128, 2, 4, "bf16")), 331, 131, 257, 4},
                    MatmulCase{inCluster(2, of("i8", tiles(64, 64, 128, 2, 4, "i32"))), 67, 61, 613, 2},
                    MatmulCase{inCluster(2, MatmulParameters()), 257, 257, 331, 2}));
INSTANTIATE_TEST_SUITE_P(Sm80, WarpMatmul,
                         testing::Values(MatmulCase{tiles(64, 64, 64, 4, 4, "f32"), 61, 67, 71, 1},
                                         MatmulCase{tiles(64, 64, 64, 4, 4, "f32"), 1, 1, 1, 1},
                                         MatmulCase{tiles(64, 64, 64, 2, 4, "bf16"), 65, 63, 193, 3},
                                         MatmulCase{tiles(64, 64, 128, 3, 4, "f32"), 67, 131, 257, 2},
                                         MatmulCase{of("f16", tiles(64, 128, 64, 3, 4, "f32"), false), 67, 131, 331, 2},
                                         MatmulCase{of("f16", tiles(128, 128, 64, 4, 8, "f32")), 127, 129, 397, 2},
                                         MatmulCase{tiles(128, 256, 64, 3, 8, "bf16"), 131, 257, 331, 2}));
INSTANTIATE_TEST_SUITE_P(Sm80Eights, WarpMatmul,
                         testing::Values(MatmulCase{of("i8", tiles(64, 64, 128, 4, 4, "i32")), 1, 1, 1, 1},
                                         MatmulCase{of("i8", tiles(64, 128, 256, 2, 4, "i32")), 67, 131, 613, 2},
                                         MatmulCase{of("i8", tiles(128, 256, 128, 3, 8, "i32")), 131, 257, 331, 2}));
// Of 8 bits, a slot of 128 along k is what one of 64 of 16 bits is; sums of integers are exact.
INSTANTIATE_TEST_SUITE_P(
    Eights, EmulatedMatmul,
    testing::Values(MatmulCase{of("f8E4M3FN", tiles(64, 64, 128, 3, 4, "f32")), 61, 67, 71, 1},
                    MatmulCase{of("f8E4M3FN", tiles(128, 128, 128, 3, 8, "bf16")), 127, 129, 397, 2},
                    MatmulCase{of("f8E4M3FN", tiles(128, 256, 128, 4, 8, "f32")), 131, 257, 331, 2},
                    MatmulCase{of("f8E5M2", tiles(64, 128, 128, 2, 4, "f32")), 65, 131, 257, 2},
                    MatmulCase{of("i8", tiles(64, 64, 128, 2, 4, "i32")), 1, 1, 1, 1},
                    MatmulCase{of("i8", tiles(64, 64, 256, 2, 4, "i32")), 67, 61, 613, 2},
                    MatmulCase{of("i8", tiles(128, 256, 128, 4, 8, "i32")), 131, 257, 331, 2}));
INSTANTIATE_TEST_SUITE_P(Shapes, EmulatedMatmul,
                         testing::Values(MatmulCase{tiles(64, 64, 64, 2, 4, "f32"), 61, 67, 71, 1},
                                         MatmulCase{tiles(64, 64, 64, 2, 4, "f32"), 1, 1, 1, 1},
                                         MatmulCase{tiles(64, 64, 64, 3, 4, "bf16"), 65, 63, 193, 3},
                                         MatmulCase{tiles(64, 64, 128, 2, 4, "f32"), 67, 131, 257, 2},
                                         MatmulCase{tiles(128, 128, 64, 3, 8, "bf16"), 127, 129, 199, 2},
                                         MatmulCase{tiles(256, 64, 64, 2, 8, "f32"), 257, 61, 101, 2},
                                         MatmulCase{tiles(256, 64, 64, 2, 8, "bf16"), 257, 61, 101, 1},
                                         MatmulCase{of("f16", tiles(64, 192, 64, 2, 4, "f16")), 67, 193, 71, 1},
                                         MatmulCase{MatmulParameters(), 131, 257, 331, 2}));
