// The product of fp8 with scales on the emulated sm_90a, against float64 of the numbers that the codes stand for; and
// what ending its sums behind each 128 columns is worth where the matrix unit keeps 14 bits of them.
#include "dialects/Tile/IR/TileOps.h"
#include "test/device/TileKernel.h"
#include <array>
#include <cmath>
#include <gtest/gtest.h>
#include <random>

using namespace stepdown;
using namespace stepdown::test;

namespace {

constexpr uint32_t kBlock = 128;
enum class Scales { OfTensors, OfRows, OfBlocks };

MatmulParameters tiles(int64_t m, int64_t n, int64_t stages, const char *element, const char *result) {
  MatmulParameters p;
  p.m = m, p.n = n, p.k = kBlock, p.stages = stages, p.warps = m / 16, p.registers = m == 64 ? 168 : 232;
  p.group = 2, p.element = element, p.result = result, p.transposeB = true;
  return p;
}

/// A [m, k], B [n, k] of fp8 and their scales: one number each, one for each row of A, or those of blocks.
struct Problem {
  uint32_t m, n, k;
  Matrix a, b, scalesA, scalesB, out;
  std::vector<double> wideA, wideB; ///< what a and b hold

  Problem(uint32_t m, uint32_t n, uint32_t k, Scales scales, const MatmulParameters &p, float least)
      : m(m), n(n), k(k), a(m, k, padded(k), true, p.element), b(n, k, padded(k), true, p.element),
        scalesA(scales == Scales::OfTensors ? 1 : m, scales == Scales::OfBlocks ? blocks(k) : 1,
                scales == Scales::OfBlocks ? blocks(k) + 2 : 1, false),
        scalesB(scales == Scales::OfBlocks ? blocks(n) : 1, scales == Scales::OfBlocks ? blocks(k) : 1,
                scales == Scales::OfBlocks ? blocks(k) : 1, false),
        out(m, n, n + 3, p.result == "bf16") {
    std::mt19937 random(m * 31 + n * 17 + k);
    std::uniform_real_distribution<float> element(least, 1), scale(0.0625f, 4);
    for (Matrix *matrix : {&a, &b, &scalesA, &scalesB})
      for (uint32_t r = 0; r < matrix->rows; ++r)
        for (uint32_t c = 0; c < matrix->columns; ++c)
          matrix->set(r, c, matrix == &a || matrix == &b ? element(random) : scale(random));
    for (auto [matrix, wide] : {std::pair(&a, &wideA), std::pair(&b, &wideB)})
      for (uint32_t r = 0; r < matrix->rows; ++r)
        for (uint32_t x = 0; x < k; ++x)
          wide->push_back(matrix->get(r, x));
  }
  static uint32_t blocks(uint32_t size) { return (size + kBlock - 1) / kBlock; }
  static uint32_t padded(uint32_t columns) { return (columns + 15) / 16 * 16; } // rows of whole 16 bytes; NaN behind k

  static double scaleAt(const Matrix &scales, uint32_t r, uint32_t c) {
    return scales.get(std::min(r, scales.rows - 1), std::min(c, scales.columns - 1));
  }
  /// The element, and the sum of its products' magnitudes.
  std::pair<double, double> meant(uint32_t r, uint32_t c, bool scaled) const {
    double sum = 0, magnitude = 0;
    for (uint32_t x = 0; x < k; ++x) {
      const double scale = scaled ? scaleAt(scalesA, r, x / kBlock) * scaleAt(scalesB, c / kBlock, x / kBlock) : 1;
      const double product = wideA[size_t(r) * k + x] * wideB[size_t(c) * k + x] * scale;
      sum += product;
      magnitude += std::fabs(product);
    }
    return {sum, magnitude};
  }

  Status run(TileKernel &lowered, const char *name, std::vector<Matrix *> matrices, uint32_t blocks,
             const emulated::Options &options) {
    Launch launch(lowered.launch(), matrices);
    launch.shape.grid = {blocks, 1, 1};
    return launch.run(lowered.code->emulator, name, options);
  }
};

struct ScaledCase {
  MatmulParameters parameters;
  Scales scales;
  uint32_t m, n, k, blocks;
  const char *chip = "sm_90a";
};

class EmulatedScaled : public testing::TestWithParam<ScaledCase> {
protected:
  EmulatedScaled() : context(dialects(), mlir::MLIRContext::Threading::DISABLED) {}
  static mlir::DialectRegistry dialects() {
    mlir::DialectRegistry registry;
    registerKernelDialects(registry);
    return registry;
  }
  mlir::MLIRContext context;
};
} // namespace

TEST_P(EmulatedScaled, EqualsFloat64) {
  const ScaledCase &c = GetParam();
  auto module = scaledMatmulKernel(context, c.parameters);
  ASSERT_TRUE(module) << module.error().text();
  TileKernel lowered(**module, true, c.chip);
  ASSERT_EQ(lowered.error, "");
  for (uint64_t seed : {0, 3}) {
    Problem p(c.m, c.n, c.k, c.scales, c.parameters, -1);
    emulated::Options options;
    options.seed = seed;
    const Status status =
        p.run(lowered, "scaled_matmul", {&p.a, &p.b, &p.scalesA, &p.scalesB, &p.out}, c.blocks, options);
    ASSERT_TRUE(status) << status.error().text();
    EXPECT_EQ(lowered.code->emulator.statistics().bankConflicts, 0u);
    for (uint32_t r = 0; r < c.m; ++r)
      for (uint32_t x = 0; x < p.out.stride; ++x) {
        const double got = p.out.get(r, x);
        if (x >= c.n) {
          ASSERT_TRUE(std::isnan(got)) << r << ", " << x << " lies outside, but was written";
          continue;
        }
        const auto [sum, magnitude] = p.meant(r, x, true);
        // float32: a rounding of each product's sum, of scales and of each slot's sum; then that of the result.
        const double rounding = p.out.narrow ? 0x1p-8 : 0;
        ASSERT_LE(std::fabs(got - sum), std::fabs(sum) * rounding + magnitude * (c.k + 3) * 0x1p-24)
            << r << ", " << x << ", seed " << seed << ": expects " << sum << ", but got " << got;
      }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, EmulatedScaled,
    testing::Values(ScaledCase{tiles(64, 64, 3, "f8E4M3FN", "f32"), Scales::OfBlocks, 61, 67, 71, 1},
                    ScaledCase{tiles(64, 64, 3, "f8E4M3FN", "f32"), Scales::OfTensors, 1, 1, 1, 1},
                    // Two tiles of columns for each scale of B, in one block and in two; a slot along k that is
                    // whole, that lacks a column, and that has one; and nothing but whole tiles.
                    ScaledCase{tiles(64, 64, 3, "f8E4M3FN", "f32"), Scales::OfBlocks, 61, 193, 127, 1},
                    ScaledCase{tiles(64, 64, 3, "f8E5M2", "bf16"), Scales::OfBlocks, 67, 257, 129, 2},
                    ScaledCase{tiles(64, 64, 2, "f8E4M3FN", "f32"), Scales::OfBlocks, 128, 256, 128, 2},
                    ScaledCase{tiles(64, 128, 2, "f8E4M3FN", "bf16"), Scales::OfBlocks, 67, 257, 613, 2},
                    ScaledCase{tiles(64, 128, 4, "f8E5M2", "f32"), Scales::OfRows, 67, 131, 257, 2},
                    ScaledCase{tiles(128, 128, 6, "f8E4M3FN", "bf16"), Scales::OfBlocks, 257, 139, 397, 2},
                    ScaledCase{tiles(128, 128, 4, "f8E4M3FN", "f32"), Scales::OfTensors, 131, 127, 331, 2}));

// AMD's chips that multiply fp8, gfx942 that of FNUZ. Emulated, never run on hardware. One slot that is not whole;
// three, of which the last lacks columns; and all of them whole.
INSTANTIATE_TEST_SUITE_P(
    Amd, EmulatedScaled,
    testing::Values(ScaledCase{tiles(64, 64, 2, "f8E4M3FN", "f32"), Scales::OfBlocks, 61, 67, 71, 1, "gfx942"},
                    ScaledCase{tiles(64, 128, 2, "f8E4M3FN", "bf16"), Scales::OfRows, 67, 257, 613, 2, "gfx942"},
                    ScaledCase{tiles(128, 128, 2, "f8E4M3FN", "f32"), Scales::OfBlocks, 131, 139, 397, 2, "gfx942"},
                    ScaledCase{tiles(64, 64, 2, "f8E4M3FN", "f32"), Scales::OfBlocks, 61, 67, 71, 1, "gfx950"},
                    ScaledCase{tiles(64, 64, 2, "f8E5M2", "f32"), Scales::OfTensors, 1, 1, 1, 1, "gfx950"},
                    ScaledCase{tiles(64, 128, 2, "f8E5M2", "bf16"), Scales::OfRows, 67, 257, 613, 2, "gfx950"},
                    ScaledCase{tiles(128, 128, 2, "f8E4M3FN", "f32"), Scales::OfBlocks, 257, 139, 397, 2, "gfx950"},
                    ScaledCase{tiles(64, 64, 2, "f8E4M3FN", "f32"), Scales::OfBlocks, 61, 193, 127, 1, "gfx1201"},
                    ScaledCase{tiles(64, 64, 2, "f8E5M2", "f32"), Scales::OfRows, 67, 131, 257, 2, "gfx1201"},
                    ScaledCase{tiles(64, 64, 2, "f8E4M3FN", "f32"), Scales::OfBlocks, 128, 128, 384, 1, "gfx1201"},
                    ScaledCase{tiles(128, 128, 2, "f8E4M3FN", "bf16"), Scales::OfBlocks, 131, 257, 397, 2, "gfx1201"}),
    [](auto &info) { return info.param.chip + std::string("_") + std::to_string(info.index); });

// That the shapes above would see it where each tile of 64 columns took a block of scales of its own.
TEST(EmulatedScaledBlocks, OfNarrowTilesAreSharedByTwo) {
  mlir::DialectRegistry registry;
  registerKernelDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  const MatmulParameters parameters = tiles(64, 64, 3, "f8E4M3FN", "f32");
  auto module = scaledMatmulKernel(context, parameters);
  ASSERT_TRUE(module) << module.error().text();
  int altered = 0;
  (*module)->walk([&](mlir::arith::DivUIOp op) {
    auto schedule = mlir::dyn_cast<tile::ScheduleOp>(op->getParentOp());
    if (!schedule || op.getLhs() != schedule.getBody().getArgument(1))
      return;
    mlir::OpBuilder b(op);
    op.getRhsMutable().assign(mlir::arith::ConstantIndexOp::create(b, op.getLoc(), 64));
    ++altered;
  });
  ASSERT_EQ(altered, 1);
  TileKernel lowered(**module);
  ASSERT_EQ(lowered.error, "");
  Problem p(61, 193, 127, Scales::OfBlocks, parameters, -1);
  const Status status = p.run(lowered, "scaled_matmul", {&p.a, &p.b, &p.scalesA, &p.scalesB, &p.out}, 1, {});
  ASSERT_TRUE(status) << status.error().text();
  int wrong = 0;
  for (uint32_t r = 0; r < p.m; ++r)
    for (uint32_t c = 64; c < 128; ++c) {
      const auto [sum, magnitude] = p.meant(r, c, true);
      wrong += std::fabs(p.out.get(r, c) - sum) > magnitude * (p.k + 3) * 0x1p-24;
    }
  EXPECT_GT(wrong, 61 * 64 / 2);
}

// The product of two scales may have no float32 where that with what they scale has one.
TEST(EmulatedScaledBlocks, AreScaledByOneFactorAfterTheOther) {
  mlir::DialectRegistry registry;
  registerKernelDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  const MatmulParameters parameters = tiles(64, 64, 3, "f8E4M3FN", "f32");
  auto module = scaledMatmulKernel(context, parameters);
  ASSERT_TRUE(module) << module.error().text();
  TileKernel lowered(**module);
  ASSERT_EQ(lowered.error, "");
  struct Case {
    float scaleA, scaleB, element;
  };
  for (const Case &c : {Case{1e20f, 1e20f, 0x1p-9f}, Case{1e-24f, 1e-22f, 448}}) {
    Problem p(7, 5, 131, Scales::OfTensors, parameters, -1);
    p.scalesA.set(0, 0, c.scaleA), p.scalesB.set(0, 0, c.scaleB);
    for (auto [matrix, wide] : {std::pair(&p.a, &p.wideA), std::pair(&p.b, &p.wideB)})
      for (uint32_t r = 0; r < matrix->rows; ++r)
        for (uint32_t x = 0; x < p.k; ++x) // the first row of A is zeros
          matrix->set(r, x, (*wide)[size_t(r) * p.k + x] = matrix == &p.a && r == 0 ? 0 : c.element);
    const Status status = p.run(lowered, "scaled_matmul", {&p.a, &p.b, &p.scalesA, &p.scalesB, &p.out}, 1, {});
    ASSERT_TRUE(status) << status.error().text();
    for (uint32_t r = 0; r < p.m; ++r)
      for (uint32_t x = 0; x < p.n; ++x) {
        const auto [sum, magnitude] = p.meant(r, x, true);
        ASSERT_LE(std::fabs(p.out.get(r, x) - sum), magnitude * 0x1p-20 + 0x1p-149)
            << r << ", " << x << ": expects " << sum << ", but got " << p.out.get(r, x);
      }
  }
}

// The largest error of a product of 4099 columns beside the sum of its products' magnitudes, with 14 bits kept: of
// numbers of both signs, and of positive ones, whose sums grow until what is added is cut off most.
TEST(EmulatedScaledSums, AreOfFloat32BehindEach128Columns) {
  mlir::DialectRegistry registry;
  registerKernelDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  const MatmulParameters parameters = tiles(64, 64, 3, "f8E4M3FN", "f32");
  auto plain = matmulKernel(context, parameters), scaled = scaledMatmulKernel(context, parameters);
  ASSERT_TRUE(plain && scaled);
  TileKernel before(**plain), after(**scaled);
  ASSERT_EQ(before.error + after.error, "");
  for (float least : {-1.0f, 0.0f}) {
    Problem p(31, 29, 4099, Scales::OfTensors, parameters, least);
    p.scalesA.set(0, 0, 1), p.scalesB.set(0, 0, 1);
    auto error = [&](TileKernel &kernel, const char *name, std::vector<Matrix *> matrices, uint32_t bits) {
      emulated::Options options;
      options.fp8SumBits = bits;
      const Status status = p.run(kernel, name, matrices, 1, options);
      EXPECT_TRUE(status) << status.error().text();
      double largest = 0;
      for (uint32_t r = 0; r < p.m; ++r)
        for (uint32_t c = 0; c < p.n; ++c) {
          const auto [sum, magnitude] = p.meant(r, c, false);
          largest = std::max(largest, std::fabs(p.out.get(r, c) - sum) / magnitude);
        }
      return largest;
    };
    std::vector<Matrix *> two = {&p.a, &p.b, &p.out}, all = {&p.a, &p.b, &p.scalesA, &p.scalesB, &p.out};
    const double kept = error(before, "matmul", two, 14), ended = error(after, "scaled_matmul", all, 14),
                 wide = error(before, "matmul", two, 24);
    std::printf(
        "numbers from %g to 1: 2^%.1f with sums of 14 bits, 2^%.1f with sums that end behind 128 columns, 2^%.1f "
        "with sums of 24 bits\n",
        least, std::log2(kept), std::log2(ended), std::log2(wide));
    // The figures of docs/emulator.md, which are of these numbers.
    const std::array<double, 3> stated = least < 0 ? std::array{-12.5, -16.7, -28.0} : std::array{-3.9, -10.8, -21.2};
    EXPECT_NEAR(std::log2(kept), stated[0], 0.051);
    EXPECT_NEAR(std::log2(ended), stated[1], 0.051);
    EXPECT_NEAR(std::log2(wide), stated[2], 0.051);
  }
}

// Parameters that make no kernel of scales.
TEST(EmulatedScaledText, RefusesOtherBlocksAndElements) {
  mlir::DialectRegistry registry;
  registerKernelDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  auto said = [&](const MatmulParameters &parameters) {
    auto module = scaledMatmulKernel(context, parameters);
    EXPECT_FALSE(module);
    return module ? "" : module.error().text();
  };
  MatmulParameters p = tiles(64, 64, 3, "f8E4M3FN", "f32"), slots = p, columns = p, element = p, rows = p;
  slots.k = 64, columns.n = 96, element.element = "bf16", rows.transposeB = false;
  EXPECT_NE(said(slots).find("expects slots of 128 columns and tiles whose columns divide 128, but got 64 and 64"),
            std::string::npos)
      << said(slots);
  EXPECT_NE(said(columns).find("but got 128 and 96"), std::string::npos) << said(columns);
  EXPECT_NE(said(element).find("expects elements of fp8"), std::string::npos) << said(element);
  EXPECT_NE(said(rows).find("B with rows along N"), std::string::npos) << said(rows);
}
