// The matrix product's one tile text on the emulated chips of AMD: MFMA or WMMA, LDS in two slots, buffers that check
// bounds. Emulated, never run on hardware.
#include "test/device/MatmulCase.h"

using namespace stepdown;
using namespace stepdown::test;

namespace {

MatmulParameters tiles(int64_t m, int64_t n, int64_t k, int64_t warps, const char *result = "f32",
                       const char *element = "bf16") {
  MatmulParameters p;
  p.m = m, p.n = n, p.k = k, p.stages = 2, p.warps = warps, p.result = result, p.element = element;
  p.registers = warps == 4 ? 168 : 232;
  p.registerFile = 131072;
  p.group = 2;
  return p;
}

MatmulParameters eights(int64_t m, int64_t n, int64_t k, int64_t warps) {
  MatmulParameters p = tiles(m, n, k, warps, "i32", "i8");
  p.transposeB = true;
  return p;
}

struct OnChip {
  const char *chip;
  MatmulCase product;
};

MatmulParameters inShares(int64_t shares, MatmulParameters p) { return p.shares = shares, p; }

class AmdMatmul : public testing::TestWithParam<OnChip> {};
} // namespace

TEST_P(AmdMatmul, MeansWhatItsTextMeansWithoutBankConflicts) {
  uint64_t conflicts = 0;
  expectMatmul(GetParam().product, GetParam().chip, &conflicts);
  EXPECT_EQ(conflicts, 0u);
}

INSTANTIATE_TEST_SUITE_P(Gfx942, AmdMatmul,
                         testing::Values(OnChip{"gfx942", {tiles(64, 64, 32, 4), 61, 67, 71, 1}},
                                         OnChip{"gfx942", {tiles(64, 64, 32, 4), 1, 1, 1, 1}},
                                         OnChip{"gfx942", {tiles(64, 64, 64, 4, "bf16"), 65, 63, 193, 3}},
                                         OnChip{"gfx942", {tiles(128, 128, 64, 8), 127, 129, 199, 2}},
                                         OnChip{"gfx942", {tiles(128, 256, 32, 8), 131, 257, 331, 2}},
                                         OnChip{"gfx942", {tiles(256, 256, 32, 16), 263, 257, 331, 2}}));

// Sums in shares, of which the last has fewer slots, and the last of these is not whole.
INSTANTIATE_TEST_SUITE_P(Gfx942Shares, AmdMatmul,
                         testing::Values(OnChip{"gfx942", {inShares(4, tiles(64, 64, 32, 4)), 61, 67, 349, 1}}));
INSTANTIATE_TEST_SUITE_P(Gfx1201Shares, AmdMatmul,
                         testing::Values(OnChip{"gfx1201", {inShares(2, tiles(64, 64, 32, 4)), 67, 61, 349, 2}}));

INSTANTIATE_TEST_SUITE_P(Gfx90a, AmdMatmul,
                         testing::Values(OnChip{"gfx90a", {tiles(64, 64, 32, 4), 61, 67, 71, 1}},
                                         OnChip{"gfx90a", {tiles(128, 256, 32, 8, "bf16"), 131, 257, 199, 2}}));

INSTANTIATE_TEST_SUITE_P(Gfx950, AmdMatmul,
                         testing::Values(OnChip{"gfx950", {tiles(64, 64, 32, 4), 61, 67, 71, 1}},
                                         OnChip{"gfx950", {tiles(128, 128, 64, 8, "bf16"), 127, 129, 199, 2}},
                                         OnChip{"gfx950", {tiles(128, 256, 64, 8), 131, 257, 331, 2}}));

INSTANTIATE_TEST_SUITE_P(Gfx1100, AmdMatmul,
                         testing::Values(OnChip{"gfx1100", {tiles(64, 64, 32, 4), 61, 67, 71, 1}},
                                         OnChip{"gfx1100", {tiles(64, 64, 32, 4), 1, 1, 1, 1}},
                                         OnChip{"gfx1100", {tiles(128, 128, 32, 8, "bf16"), 127, 129, 199, 2}}));

INSTANTIATE_TEST_SUITE_P(Gfx1201, AmdMatmul,
                         testing::Values(OnChip{"gfx1201", {tiles(64, 64, 32, 4), 61, 67, 71, 1}},
                                         OnChip{"gfx1201", {tiles(64, 64, 64, 4, "bf16"), 65, 63, 193, 3}},
                                         OnChip{"gfx1201", {tiles(128, 128, 32, 8), 127, 129, 199, 2}}));

// Sums of int8 are exact.
INSTANTIATE_TEST_SUITE_P(Eights, AmdMatmul,
                         testing::Values(OnChip{"gfx90a", {eights(64, 64, 128, 4), 67, 61, 397, 2}},
                                         OnChip{"gfx942", {eights(64, 64, 128, 4), 1, 1, 1, 1}},
                                         OnChip{"gfx942", {eights(128, 256, 64, 8), 131, 257, 331, 2}},
                                         OnChip{"gfx950", {eights(128, 128, 128, 8), 127, 129, 397, 2}},
                                         OnChip{"gfx1100", {eights(64, 64, 64, 4), 67, 61, 199, 1}},
                                         OnChip{"gfx1201", {eights(128, 128, 64, 8), 127, 129, 199, 2}}),
                         [](auto &info) {
                           return info.param.chip + std::string("_") + std::to_string(info.param.product.m);
                         });

static MatmulParameters floats(const char *element, int64_t m, int64_t n, int64_t k, int64_t warps,
                               const char *result = "f32") {
  MatmulParameters p = tiles(m, n, k, warps, result, element);
  p.transposeB = true;
  return p;
}

// Of OCP's fp8, on the chips that multiply it, and on gfx942, which multiplies FNUZ's.
INSTANTIATE_TEST_SUITE_P(
    Floats, AmdMatmul,
    testing::Values(OnChip{"gfx942", {floats("f8E4M3FN", 64, 64, 128, 4), 67, 61, 397, 2}},
                    OnChip{"gfx942", {floats("f8E4M3FN", 64, 64, 64, 4), 1, 1, 1, 1}},
                    OnChip{"gfx942", {floats("f8E4M3FN", 128, 256, 64, 8, "bf16"), 131, 257, 331, 2}},
                    OnChip{"gfx942", {inShares(2, floats("f8E4M3FN", 64, 64, 64, 4)), 67, 61, 397, 2}},
                    OnChip{"gfx950", {floats("f8E4M3FN", 64, 64, 128, 4), 67, 61, 397, 2}},
                    OnChip{"gfx950", {floats("f8E5M2", 64, 64, 64, 4), 1, 1, 1, 1}},
                    OnChip{"gfx950", {floats("f8E5M2", 128, 128, 128, 8, "bf16"), 127, 129, 397, 2}},
                    OnChip{"gfx950", {floats("f8E4M3FN", 128, 256, 128, 8), 131, 257, 331, 2}},
                    OnChip{"gfx950", {inShares(4, floats("f8E4M3FN", 64, 64, 64, 4)), 67, 61, 397, 2}},
                    OnChip{"gfx1201", {inShares(2, floats("f8E5M2", 64, 64, 64, 4)), 61, 67, 349, 1}},
                    OnChip{"gfx1201", {floats("f8E4M3FN", 64, 64, 64, 4), 67, 61, 199, 1}},
                    OnChip{"gfx1201", {floats("f8E5M2", 64, 64, 64, 4), 1, 1, 1, 1}},
                    OnChip{"gfx1201", {floats("f8E5M2", 128, 128, 64, 8, "bf16"), 127, 129, 199, 2}}),
    [](auto &info) { return info.param.chip + std::string("_") + std::to_string(info.index); });
