// The quantised product's tile text on emulated chips: packed blocks as the packer writes them, the code that the
// compiler makes of the text, and sums in float64. Weights are rounded to binary16 as tile.unpack says, by arithmetic
// written down once more (RoundedWeight.h); what is left to differ are the roundings of float32 sums. How far rounded
// weights are from those that the file means is bounded for each storage type.
#include "lib/Interpret/KernelInterpreter.h"
#include "test/device/RoundedWeight.h"
#include "test/device/TileKernel.h"
#include <gtest/gtest.h>

using namespace stepdown;
using namespace stepdown::test;

namespace {

struct Case {
  const char *name, *type;
  int64_t m, n, warps; ///< of the tile
  uint32_t rows, tokens, columns, blocks;
  const char *chip = "sm_90a";
  bool on(const char *name) const { return std::string(chip) == name; }
};

/// Words of the packed blocks and the tensor map that tile.launch asks for.
struct Operands {
  Matrix weight;                 ///< of words of 8 bytes, a row a tile of rows
  Matrix tokens, scales, result; ///< tokens' elements are of binary16

  /// Rows of tokens lie `gap` elements further apart than they are long, behind which is NaN.
  Operands(const Weight &w, uint32_t count, uint32_t stride, uint32_t gap = 0)
      : weight(uint32_t(tilesOf(kTiles16, w.rows)), 0, 0, false), tokens(count, w.columns, w.columns + gap, true),
        scales(1, count, count, false), result(count, w.rows, stride, false) {
    weight.bytes = w.packed();
    weight.columns = weight.stride = uint32_t(weight.bytes.size() / weight.rows / 8);
  }

  Launch launch(mlir::DictionaryAttr attribute, Matrix *addend) {
    std::vector<Matrix *> all = {&weight, &tokens, &scales, &result};
    if (addend)
      all.insert(all.end() - 1, addend);
    return Launch(attribute, all, [&](mlir::MemRefType box) {
      return blockMap(weight.bytes.data(), weight.bytes.size(), weight.rows, box);
    });
  }
};

QuantisedMatmulParameters parametersOf(const Case &c, const Weight &w) {
  QuantisedMatmulParameters p;
  p.m = c.m, p.n = c.n, p.warps = c.warps, p.format = &w.format;
  // On sm_80 a step of few tokens has copies of two turns under way, beyond what blocks are copied ahead.
  p.weightStages = c.on("sm_80") && c.n == 8 ? 4 : 2;
  p.tokenStages = c.on("sm_90a") || (c.on("sm_80") && p.weightStages == 2) ? 4 : 8;
  p.registers = c.warps == 4 ? 168 : 232;
  p.group = 2;
  return p;
}

/// Y of the tokens, by code of the compiler; `conflicts` counts bank conflicts.
void run(const Case &c, const Weight &w, Operands &o, uint64_t seed, uint64_t &conflicts, Matrix *addend = nullptr) {
  mlir::DialectRegistry registry;
  registerKernelDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  QuantisedMatmulParameters parameters = parametersOf(c, w);
  parameters.addend = addend;
  auto module = quantisedMatmulKernel(context, parameters);
  ASSERT_TRUE(module) << module.error().text();
  TileKernel lowered(**module, true, c.chip);
  ASSERT_EQ(lowered.error, "");
  emulated::Emulator &emulator = lowered.code->emulator;
  Launch launch = o.launch(lowered.launch(), addend);
  launch.shape.grid = {c.blocks, 1, 1};
  emulated::Options options;
  options.seed = seed;
  const Status status = launch.run(emulator, "quantised_matmul", options);
  ASSERT_TRUE(status) << status.error().text();
  conflicts += emulator.statistics().bankConflicts;
}

void fill(Operands &o, std::vector<double> &tokens, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  for (uint32_t t = 0; t < o.tokens.rows; ++t) {
    o.scales.set(0, t, std::ldexp(1.0f, int(t % 5) - 2));
    for (uint32_t k = 0; k < o.tokens.columns; ++k) {
      const uint16_t bits = f32ToF16(normal(random));
      std::memcpy(&o.tokens.bytes[(size_t(t) * o.tokens.stride + k) * 2], &bits, 2);
      tokens.push_back(f16ToF32(bits));
    }
  }
}

class EmulatedQuantised : public testing::TestWithParam<Case> {};
} // namespace

TEST_P(EmulatedQuantised, IsTheProductOfRoundedWeights) {
  const Case &c = GetParam();
  const Weight w(c.type, c.rows, c.columns);
  for (size_t i = 0; i < w.meant.size(); ++i)
    ASSERT_LE(std::fabs(w.rounded[i] - w.meant[i]), w.bound[i]) << i << ": expects " << w.meant[i];
  uint64_t conflicts = 0;
  for (uint64_t seed : {0, 3}) {
    Operands o(w, c.tokens, c.rows + uint32_t(seed), uint32_t(seed) * 8);
    std::vector<double> tokens;
    fill(o, tokens, c.rows * 31 + c.tokens);
    run(c, w, o, seed, conflicts);
    if (HasFatalFailure())
      return;
    double worst = 0;
    for (uint32_t t = 0; t < c.tokens; ++t)
      for (uint32_t r = 0; r < o.result.stride; ++r) {
        const double got = o.result.get(t, r), scale = o.scales.get(0, t);
        if (r >= c.rows) {
          ASSERT_TRUE(std::isnan(got)) << t << ", " << r << " lies outside, but was written";
          continue;
        }
        double sum = 0, magnitude = 0;
        for (uint32_t k = 0; k < c.columns; ++k) {
          const double term = w.rounded[size_t(r) * c.columns + k] * tokens[size_t(t) * c.columns + k] * scale;
          sum += term, magnitude += std::fabs(term);
        }
        const double off = std::fabs(got - sum);
        ASSERT_LE(off, magnitude * c.columns * 0x1p-24) << t << ", " << r << ", seed " << seed << ": expects " << sum;
        worst = std::max(worst, off / (magnitude * c.columns * 0x1p-24));
      }
    EXPECT_GT(worst, 1e-4) << "a tolerance this wide would find nothing";
  }
  EXPECT_EQ(conflicts, 0u);
}

// One prime K for each kind of block, whose columns it is a multiple of: the last slot of weights is not full.
INSTANTIATE_TEST_SUITE_P(
    Types, EmulatedQuantised,
    testing::Values(Case{"q4_0", "q4_0", 64, 8, 4, 61, 7, 32 * 11, 1}, Case{"q8_0", "q8_0", 64, 8, 4, 67, 3, 32 * 5, 2},
                    Case{"q4_k", "q4_k", 64, 8, 4, 59, 5, 256 * 3, 1},
                    Case{"q4_1", "q4_1", 64, 8, 4, 61, 7, 32 * 11, 1}, Case{"q5_0", "q5_0", 64, 8, 4, 61, 2, 32 * 7, 1},
                    Case{"q5_1", "q5_1", 64, 8, 4, 61, 2, 32 * 7, 1}, Case{"q2_k", "q2_k", 64, 8, 4, 61, 2, 256, 1},
                    Case{"q3_k", "q3_k", 64, 8, 4, 61, 2, 256, 1}, Case{"q5_k", "q5_k", 64, 8, 4, 61, 2, 256, 1},
                    Case{"q6_k", "q6_k", 64, 8, 4, 61, 2, 256, 1}, Case{"iq4_nl", "iq4_nl", 64, 8, 4, 61, 2, 32 * 7, 1},
                    Case{"iq4_xs", "iq4_xs", 64, 8, 4, 61, 2, 256, 1},
                    Case{"two_warpgroups", "q4_0", 128, 16, 8, 197, 23, 32 * 17, 2},
                    Case{"two_of_64_rows", "q4_k", 256, 8, 8, 257, 11, 512, 1},
                    Case{"wide", "q8_0", 128, 64, 8, 131, 67, 32 * 9, 2}, Case{"one", "q4_0", 64, 8, 4, 1, 1, 32, 1}),
    [](const testing::TestParamInfo<Case> &info) { return std::string(info.param.name); });

// Warps that copy and multiply. Of 8 tokens the first 64 threads copy alone.
INSTANTIATE_TEST_SUITE_P(Warps, EmulatedQuantised,
                         testing::Values(Case{"sm_80_q4_0", "q4_0", 64, 8, 4, 61, 7, 32 * 11, 1, "sm_80"},
                                         Case{"sm_80_q8_0", "q8_0", 64, 8, 4, 67, 3, 32 * 5, 2, "sm_80"},
                                         Case{"sm_80_q4_k", "q4_k", 64, 8, 4, 59, 5, 256 * 7, 1, "sm_80"},
                                         Case{"sm_80_q4_1", "q4_1", 64, 8, 4, 61, 7, 32 * 11, 1, "sm_80"},
                                         Case{"sm_80_q5_0", "q5_0", 64, 8, 4, 61, 2, 32 * 7, 1, "sm_80"},
                                         Case{"sm_80_q5_1", "q5_1", 64, 16, 4, 61, 19, 32 * 7, 1, "sm_80"},
                                         Case{"sm_80_q2_k", "q2_k", 64, 8, 4, 61, 2, 256, 1, "sm_80"},
                                         Case{"sm_80_q3_k", "q3_k", 64, 8, 4, 61, 2, 256, 1, "sm_80"},
                                         Case{"sm_80_q5_k", "q5_k", 64, 8, 4, 61, 2, 256, 1, "sm_80"},
                                         Case{"sm_80_q6_k", "q6_k", 64, 8, 4, 61, 2, 256, 1, "sm_80"},
                                         Case{"sm_80_iq4_nl", "iq4_nl", 64, 8, 4, 61, 2, 32 * 7, 1, "sm_80"},
                                         Case{"sm_80_iq4_xs", "iq4_xs", 64, 8, 4, 61, 2, 256, 1, "sm_80"},
                                         Case{"sm_80_eight_warps", "q4_0", 128, 16, 8, 197, 23, 32 * 37, 2, "sm_80"},
                                         Case{"sm_80_two_of_64_rows", "q4_k", 256, 8, 8, 257, 11, 512, 1, "sm_80"},
                                         Case{"sm_80_wide", "q8_0", 128, 64, 8, 131, 67, 32 * 19, 2, "sm_80"},
                                         Case{"sm_80_one", "q4_0", 64, 8, 4, 1, 1, 32, 1, "sm_80"}),
                         [](const testing::TestParamInfo<Case> &info) { return std::string(info.param.name); });

// AMD's chips: tiles of 16 tokens at least. Emulated, never run on hardware.
INSTANTIATE_TEST_SUITE_P(Amd, EmulatedQuantised,
                         testing::Values(Case{"gfx942_q4_0", "q4_0", 32, 16, 4, 61, 7, 32 * 11, 1, "gfx942"},
                                         Case{"gfx942_q8_0", "q8_0", 32, 16, 4, 67, 3, 32 * 5, 2, "gfx942"},
                                         Case{"gfx942_q4_k", "q4_k", 32, 16, 4, 59, 5, 256 * 3, 1, "gfx942"},
                                         Case{"gfx942_q4_1", "q4_1", 32, 16, 4, 61, 7, 32 * 11, 1, "gfx942"},
                                         Case{"gfx942_q5_0", "q5_0", 32, 16, 4, 61, 2, 32 * 7, 1, "gfx942"},
                                         Case{"gfx942_q5_1", "q5_1", 32, 16, 4, 61, 2, 32 * 7, 1, "gfx942"},
                                         Case{"gfx942_q2_k", "q2_k", 32, 16, 4, 61, 2, 256, 1, "gfx942"},
                                         Case{"gfx942_q3_k", "q3_k", 32, 16, 4, 61, 2, 256, 1, "gfx942"},
                                         Case{"gfx942_q5_k", "q5_k", 32, 16, 4, 61, 2, 256, 1, "gfx942"},
                                         Case{"gfx942_q6_k", "q6_k", 32, 16, 4, 61, 2, 256, 1, "gfx942"},
                                         Case{"gfx942_iq4_nl", "iq4_nl", 32, 16, 4, 61, 2, 32 * 7, 1, "gfx942"},
                                         Case{"gfx942_iq4_xs", "iq4_xs", 32, 16, 4, 61, 2, 256, 1, "gfx942"},
                                         Case{"gfx942_four_waves", "q4_0", 64, 32, 8, 197, 37, 32 * 17, 2, "gfx942"},
                                         Case{"gfx942_two_blocks_of_rows", "q4_k", 64, 16, 4, 197, 19, 512, 1,
                                              "gfx942"},
                                         Case{"gfx942_wide", "q8_0", 64, 64, 8, 131, 67, 32 * 9, 2, "gfx942"},
                                         Case{"gfx942_one", "q4_0", 32, 16, 4, 1, 1, 32, 1, "gfx942"},
                                         Case{"gfx90a_q4_k", "q4_k", 32, 16, 4, 59, 5, 256 * 3, 1, "gfx90a"},
                                         Case{"gfx950_q5_0", "q5_0", 32, 16, 4, 61, 7, 32 * 11, 1, "gfx950"},
                                         Case{"gfx950_q3_k", "q3_k", 32, 16, 4, 61, 2, 512, 1, "gfx950"},
                                         Case{"gfx1100_q8_0", "q8_0", 64, 16, 4, 67, 3, 32 * 5, 2, "gfx1100"},
                                         Case{"gfx1100_q2_k", "q2_k", 64, 16, 4, 61, 5, 512, 1, "gfx1100"},
                                         Case{"gfx1201_q4_1", "q4_1", 64, 16, 4, 61, 7, 32 * 11, 1, "gfx1201"},
                                         Case{"gfx1201_q6_k", "q6_k", 64, 32, 4, 131, 37, 512, 2, "gfx1201"},
                                         Case{"gfx1201_q5_1", "q5_1", 64, 16, 4, 61, 3, 32 * 7, 1, "gfx1201"}),
                         [](const testing::TestParamInfo<Case> &info) { return std::string(info.param.name); });

namespace {
/// A chip and tiles that it runs.
struct Tiles {
  const char *chip;
  int64_t m;
  std::vector<int64_t> n;
  int64_t warps = 4;
};
std::string nameOf(const testing::TestParamInfo<Tiles> &info) {
  return std::string(info.param.chip) + "_" + std::to_string(info.param.m);
}
class SameBytes : public testing::TestWithParam<Tiles> {};
class AddedTo : public testing::TestWithParam<Tiles> {};
} // namespace

// What lets a prompt and a step of one token have the same bytes.
TEST_P(SameBytes, OfAnyNumberOfTokens) {
  const auto [chip, m, sizes, warps] = GetParam();
  const Weight w("q4_k", 61, 512);
  std::vector<std::vector<uint8_t>> results;
  for (int64_t n : sizes) {
    Operands o(w, 71, 61);
    std::vector<double> tokens;
    fill(o, tokens, 5);
    uint64_t conflicts = 0;
    run({"n", "q4_k", m, n, warps, 61, 71, 512, 1, chip}, w, o, 0, conflicts);
    if (HasFatalFailure())
      return;
    results.push_back(o.result.bytes);
    EXPECT_EQ(results.back(), results.front()) << n;
    EXPECT_EQ(conflicts, 0u) << n;
  }
}

INSTANTIATE_TEST_SUITE_P(Tokens, SameBytes,
                         testing::Values(Tiles{"sm_90a", 64, {8, 32, 64, 256}}, Tiles{"sm_80", 64, {8, 16, 64, 128}},
                                         Tiles{"gfx942", 64, {16, 32, 64}}, Tiles{"gfx1201", 64, {16, 32, 64}}),
                         nameOf);

// An element of the product is rounded, added to the addend's and rounded: what two launches would have made of it.
TEST_P(AddedTo, WhatLiesBesideTheProduct) {
  const auto [chip, m, sizes, warps] = GetParam();
  const Weight w("q4_1", 61, 352);
  for (int64_t n : sizes) {
    SCOPED_TRACE(n);
    Operands alone(w, 23, 61), sum(w, 23, 67, 8);
    std::vector<double> tokens;
    fill(alone, tokens, 5);
    fill(sum, tokens, 5);
    Matrix addend(23, 61, 71, false); // NaN behind its columns
    std::mt19937 random(11);
    std::normal_distribution<float> normal(0, 30);
    for (uint32_t t = 0; t < addend.rows; ++t)
      for (uint32_t r = 0; r < addend.columns; ++r)
        addend.set(t, r, normal(random));
    uint64_t conflicts = 0;
    const Case c = {"added", "q4_1", m, n, warps, 61, 23, 352, 2, chip};
    run(c, w, alone, 0, conflicts);
    run(c, w, sum, 3, conflicts, &addend);
    if (HasFatalFailure())
      return;
    for (uint32_t t = 0; t < 23; ++t)
      for (uint32_t r = 0; r < sum.result.stride; ++r) {
        if (r >= 61)
          ASSERT_TRUE(std::isnan(sum.result.get(t, r))) << t << ", " << r;
        else
          ASSERT_EQ(float(sum.result.get(t, r)), float(alone.result.get(t, r)) + float(addend.get(t, r)))
              << t << ", " << r;
      }
    EXPECT_EQ(conflicts, 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(Addends, AddedTo,
                         testing::Values(Tiles{"sm_90a", 64, {8, 64}}, Tiles{"sm_80", 64, {8, 64}},
                                         Tiles{"sm_80", 128, {128}, 8}, Tiles{"gfx942", 32, {16}},
                                         Tiles{"gfx942", 64, {32}}, Tiles{"gfx1100", 64, {16}},
                                         Tiles{"gfx1201", 64, {16}}),
                         nameOf);

TEST(EmulatedQuantisedTile, MeansTheProduct) {
  const Weight w("q5_1", 37, 96);
  mlir::DialectRegistry registry;
  registerKernelDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  auto module = quantisedMatmulKernel(context, parametersOf({"n", "q5_1", 64, 8, 4, 37, 11, 96, 1}, w));
  ASSERT_TRUE(module) << module.error().text();
  Operands o(w, 11, 37);
  std::vector<double> tokens, scales, meant = w.meant, result(11 * 37, NAN);
  fill(o, tokens, 5);
  for (uint32_t t = 0; t < 11; ++t)
    scales.push_back(o.scales.get(0, t));
  const Status status =
      interpretKernel(*(*module)->getOps<tile::KernelOp>().begin(),
                      {InterpretedMatrix{meant.data(), 37, 96, 96}, InterpretedMatrix{tokens.data(), 11, 96, 96},
                       InterpretedMatrix{scales.data(), 1, 11, 11}, InterpretedMatrix{result.data(), 11, 37, 37}});
  ASSERT_TRUE(status) << status.error().text();
  for (uint32_t t = 0; t < 11; ++t)
    for (uint32_t r = 0; r < 37; ++r) {
      double sum = 0, magnitude = 0;
      for (uint32_t k = 0; k < 96; ++k) {
        const double term = w.meant[r * 96 + k] * tokens[t * 96 + k] * scales[t];
        sum += term, magnitude += std::fabs(term);
      }
      ASSERT_NEAR(result[t * 37 + r], sum, magnitude * 96 * 0x1p-53) << t << ", " << r;
    }
}
