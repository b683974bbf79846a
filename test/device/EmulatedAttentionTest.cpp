// Attention's tile text on the emulated sm_90a, sm_80 and AMD's chips, and its plain meaning, against softmax(scale Q
// K^T + mask) V computed in float64 from what the text says it means. Lengths are prime; sequences of a batch lie one
// behind the other.
//
// What a result may differ by. The text's scale is a float32 constant. Scores are sums of d products in float32.
// Weights, powers of two of them, are rounded to 8 bits for the product with V (2^-9 of each), have the error of their
// scores and of ex2.approx (2^-22), and are summed in float32 by block and rescaled. So the sum of |weight| |v| is off
// by no more than 2^-8 and (d max|q||k| scale + keys
// + 16) 2^-23 of itself, and the result is rounded to 8 bits. Of f16 both roundings are to 11 bits, and a weight below
// 2^-26 of the largest is off by 2^-26 of that: it is zero to gfx90a, whose products take no subnormal numbers. Of all
// keys that is no more than keys max|v| 2^-26.
#include "lib/Interpret/KernelInterpreter.h"
#include "test/device/TileKernel.h"
#include <gtest/gtest.h>

using namespace stepdown;
using namespace stepdown::test;

namespace {
constexpr int64_t kAll = AttentionParameters::kUnbounded;

struct Case {
  const char *name;
  AttentionParameters parameters;
  uint32_t heads, keyHeads;
  std::vector<std::pair<uint32_t, uint32_t>> lengths; ///< queries and keys of each sequence
  uint32_t blocks;
  const char *chip = "sm_90a";
  float first = 0; ///< of the first column of the first key, where queries have 8 and other keys 0
};

void PrintTo(const Case &c, std::ostream *out) { *out << c.name; }

AttentionParameters tiles(int64_t d, int64_t m, int64_t n, int64_t warps, int64_t left, int64_t right) {
  AttentionParameters p;
  p.d = d, p.m = m, p.n = n, p.warps = warps, p.left = left, p.right = right;
  p.registers = warps == 4 ? 240 : warps == 8 ? 240 : 160;
  p.scale = 1 / std::sqrt(double(d));
  return p;
}
AttentionParameters amd(int64_t d, int64_t m, int64_t n, int64_t warps, int64_t left, int64_t right) {
  AttentionParameters p = tiles(d, m, n, warps, left, right);
  p.registerFile = 131072;
  return p;
}
AttentionParameters ofHalves(AttentionParameters p) {
  p.element = p.result = "f16";
  return p;
}
AttentionParameters capped(AttentionParameters p, double cap) {
  p.cap = cap;
  return p;
}
AttentionParameters sinking(AttentionParameters p) {
  p.sinks = true;
  return p;
}
/// The sink of each head: one that weighs next to nothing, as much as a key, as much as all keys, much more, more than
/// float32 holds, and nothing at all.
float sinkOf(uint32_t head) { return std::array{-31.0f, 0.75f, 5.5f, 13.0f, 96.0f, -INFINITY}[head % 6]; }

struct Batch {
  std::vector<AttentionSequence> sequences;
  uint32_t queries = 0, keys = 0;
  explicit Batch(const Case &c) {
    for (auto [q, k] : c.lengths) {
      sequences.push_back({queries, q, keys, k});
      queries += q, keys += k;
    }
  }
};

/// The result of one query and head [d], what of it may be rounding, and what that of the scale in the text.
void attend(const Case &c, const AttentionSequence &s, int64_t query, uint32_t head, const Matrix &q, const Matrix &k,
            const Matrix &v, std::vector<double> &out, std::vector<double> &tolerance,
            std::vector<double> &scaleTolerance) {
  const AttentionParameters &p = c.parameters;
  const int64_t d = p.d, keyHead = head / (c.heads / c.keyHeads), position = s.keys - s.queries + query;
  const bool half = p.element == "f16";
  const double rounding = half ? 0x1p-11 : 0x1p-8;
  std::vector<double> scores, weights;
  double top = -INFINITY, error = 0, largest = 0;
  for (int64_t j = 0; j < s.keys; ++j) {
    double sum = 0, magnitude = 0;
    for (int64_t x = 0; x < d; ++x) {
      const double product = q.get(s.firstQuery + query, head * d + x) * k.get(s.firstKey + j, keyHead * d + x);
      sum += product, magnitude += std::fabs(product);
    }
    sum *= p.scale;
    if (p.cap > 0)
      sum = p.cap * std::tanh(sum / p.cap);
    const bool seen = j >= position - p.left && j <= position + p.right;
    scores.push_back(seen ? sum : -INFINITY);
    if (seen)
      top = std::max(top, sum), largest = std::max(largest, std::fabs(sum)),
      error = std::max(error, d * magnitude * p.scale);
  }
  // A sink's power is rounded as a score's is, its logarithm's base with the constant. Beside one that is 2^126 times
  // the largest weight, or of f16 2^114 times, a key may be worth nothing: its share is no normal number.
  const double sink = p.sinks ? sinkOf(head) : -INFINITY, apart = sink - top;
  const bool drowned = apart > (half ? 114 : 126) * std::log(2.0);
  if (std::isfinite(sink))
    top = std::max(top, sink), largest += std::fabs(sink);
  double all = std::exp(sink - top);
  for (double score : scores) {
    weights.push_back(std::isinf(score) ? 0 : std::exp(score - top));
    all += weights.back();
  }
  out.assign(d, 0), tolerance.assign(d, 0), scaleTolerance.assign(d, 0);
  for (int64_t x = 0; x < d && all > 0; ++x) {
    double magnitude = 0, most = 0;
    for (int64_t j = 0; j < s.keys; ++j) {
      const double value = v.get(s.firstKey + j, keyHead * d + x), term = weights[j] / all * value;
      out[x] += term, magnitude += std::fabs(term), most = std::max(most, std::fabs(value));
    }
    scaleTolerance[x] = magnitude * 4 * largest * 0x1p-24;
    tolerance[x] = magnitude * (rounding + (error + s.keys + 16 + (p.sinks ? 4 * largest : 0)) * 0x1p-23) +
                   std::fabs(out[x]) * rounding + (half ? s.keys * most * 0x1p-26 : 0) + (drowned ? magnitude : 0);
  }
}

class EmulatedAttention : public testing::TestWithParam<Case> {};
} // namespace

TEST_P(EmulatedAttention, IsSoftmaxOfItsScores) {
  const Case &c = GetParam();
  const Batch batch(c);
  const uint32_t d = uint32_t(c.parameters.d), width = c.heads * d, keyWidth = c.keyHeads * d;
  // Rows lie a multiple of 16 bytes apart; between them stands NaN.
  const std::string element = c.parameters.element;
  Matrix q(batch.queries, width, width + 8, true, element), k(batch.keys, keyWidth, keyWidth + 16, true, element),
      v(batch.keys, keyWidth, keyWidth + 24, true, element);
  std::mt19937 random(batch.queries * 31 + batch.keys * 17 + d);
  std::normal_distribution<float> normal;
  for (Matrix *matrix : {&q, &k, &v})
    for (uint32_t r = 0; r < matrix->rows; ++r)
      for (uint32_t x = 0; x < matrix->columns; ++x)
        matrix->set(r, x, normal(random));
  if (c.first) {
    for (uint32_t r = 0; r < q.rows; ++r)
      q.set(r, 0, 8);
    for (uint32_t r = 0; r < k.rows; ++r)
      k.set(r, 0, r ? 0 : c.first);
  }
  const std::vector<int32_t> entries = attentionTiles(c.parameters, batch.sequences);
  const uint32_t count = uint32_t(entries.size() / 5);
  Matrix work(count, 5, 5, false);
  std::memcpy(work.bytes.data(), entries.data(), work.bytes.size());
  Matrix sinks(1, c.heads, c.heads + 3, false);
  std::vector<double> wideSinks;
  for (uint32_t head = 0; head < c.heads; ++head)
    sinks.set(0, head, sinkOf(head)), wideSinks.push_back(sinkOf(head));

  mlir::DialectRegistry registry;
  registerKernelDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  auto text = attentionKernel(context, c.parameters), module = attentionKernel(context, c.parameters);
  ASSERT_TRUE(text) << text.error().text();

  std::vector<double> wideQ, wideK, wideV, wideWork(entries.begin(), entries.end()), meant(batch.queries * width, NAN);
  for (auto [matrix, wide] : {std::pair(&q, &wideQ), {&k, &wideK}, {&v, &wideV}})
    for (uint32_t r = 0; r < matrix->rows; ++r)
      for (uint32_t x = 0; x < matrix->columns; ++x)
        wide->push_back(matrix->get(r, x));
  std::vector<std::variant<int64_t, InterpretedMatrix>> wide = {
      InterpretedMatrix{wideQ.data(), batch.queries, width, width},
      InterpretedMatrix{wideK.data(), batch.keys, keyWidth, keyWidth},
      InterpretedMatrix{wideV.data(), batch.keys, keyWidth, keyWidth}, InterpretedMatrix{wideWork.data(), count, 5, 5}};
  if (c.parameters.sinks)
    wide.push_back(InterpretedMatrix{wideSinks.data(), 1, c.heads, c.heads});
  wide.push_back(InterpretedMatrix{meant.data(), batch.queries, width, width});
  const Status interpreted = interpretKernel(*(*text)->getOps<tile::KernelOp>().begin(), wide);
  ASSERT_TRUE(interpreted) << interpreted.error().text();

  TileKernel lowered(**module, true, c.chip);
  ASSERT_EQ(lowered.error, "");
  std::vector<double> out, tolerance, scaleTolerance;
  for (uint64_t seed : {0, 3}) {
    Matrix result(batch.queries, width, width + seed, true, element);
    std::vector<Matrix *> matrices = {&q, &k, &v, &work, &result};
    if (c.parameters.sinks)
      matrices.insert(matrices.end() - 1, &sinks);
    Launch launch(lowered.launch(), matrices);
    launch.shape.grid = {c.blocks, 1, 1};
    emulated::Options options;
    options.seed = seed;
    const Status status = launch.run(lowered.code->emulator, "attention", options);
    ASSERT_TRUE(status) << status.error().text();
    EXPECT_EQ(lowered.code->emulator.statistics().bankConflicts, 0u);
    double worst = 0;
    for (const AttentionSequence &s : batch.sequences)
      for (int64_t query = 0; query < s.queries; ++query)
        for (uint32_t head = 0; head < c.heads; ++head) {
          attend(c, s, query, head, q, k, v, out, tolerance, scaleTolerance);
          for (uint32_t x = 0; x < d; ++x) {
            const uint32_t r = uint32_t(s.firstQuery + query), at = head * d + x;
            ASSERT_NEAR(meant[size_t(r) * width + at], out[x], scaleTolerance[x] + 1e-12)
                << r << ", " << at << " interpreted";
            const double off = std::fabs(result.get(r, at) - out[x]);
            ASSERT_LE(off, tolerance[x]) << r << ", " << at << ", seed " << seed << ": expects " << out[x];
            worst = std::max(worst, tolerance[x] > 0 ? off / tolerance[x] : 0);
          }
        }
    EXPECT_GT(worst, 0.02) << "a tolerance this wide would find nothing";
    for (uint32_t r = 0; r < batch.queries; ++r)
      for (uint32_t x = width; x < result.stride; ++x)
        ASSERT_TRUE(std::isnan(result.get(r, x))) << r << ", " << x << " lies outside, but was written";
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, EmulatedAttention,
    testing::Values(Case{"one_block", tiles(64, 64, 64, 4, kAll, kAll), 1, 1, {{61, 59}}, 1},
                    Case{"full", tiles(64, 64, 64, 4, kAll, kAll), 2, 2, {{67, 131}}, 1},
                    Case{"causal", tiles(64, 128, 64, 8, kAll, 0), 3, 3, {{197, 197}}, 2},
                    Case{"causal_128", tiles(128, 128, 128, 8, kAll, 0), 2, 1, {{131, 197}}, 2},
                    Case{"causal_in_blocks", tiles(64, 128, 32, 8, kAll, 0), 1, 1, {{197, 331}}, 1},
                    Case{"window_of_blocks", tiles(64, 64, 16, 4, 101, 0), 1, 1, {{131, 263}}, 1},
                    Case{"window", tiles(64, 64, 64, 4, 37, 0), 1, 1, {{197, 197}}, 3},
                    Case{"band", tiles(64, 64, 64, 4, 17, 71), 1, 1, {{131, 127}}, 1},
                    Case{"ragged", tiles(64, 64, 64, 4, kAll, 0), 4, 2, {{61, 61}, {1, 131}, {67, 67}, {3, 3}}, 2},
                    Case{"sees_nothing", tiles(64, 64, 64, 4, kAll, 0), 1, 1, {{71, 5}}, 1},
                    Case{"capped", capped(tiles(64, 64, 64, 4, kAll, 0), 1.5), 1, 1, {{67, 67}}, 1},
                    Case{"three_warpgroups", tiles(64, 192, 128, 12, kAll, 0), 1, 1, {{193, 257}}, 1},
                    Case{"head_of_256", tiles(256, 128, 80, 8, kAll, 0), 1, 1, {{131, 167}}, 1},
                    Case{"halves", ofHalves(tiles(64, 64, 64, 4, kAll, 0)), 2, 1, {{61, 131}, {3, 67}}, 1}),
    [](const testing::TestParamInfo<Case> &info) { return std::string(info.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Warps, EmulatedAttention,
    testing::Values(
        Case{"sm_80_one_block", tiles(64, 64, 64, 4, kAll, kAll), 1, 1, {{61, 59}}, 1, "sm_80"},
        Case{"sm_80_causal", tiles(64, 128, 64, 8, kAll, 0), 2, 1, {{131, 197}}, 2, "sm_80"},
        Case{"sm_80_band", tiles(64, 64, 16, 4, 17, 71), 1, 1, {{67, 131}}, 1, "sm_80"},
        Case{"sm_80_sees_nothing", tiles(64, 64, 32, 4, kAll, 0), 1, 1, {{71, 5}}, 1, "sm_80"},
        Case{"sm_80_ragged", tiles(128, 64, 64, 4, kAll, 0), 2, 1, {{61, 61}, {1, 131}, {3, 3}}, 1, "sm_80"},
        Case{"sm_80_capped", capped(ofHalves(tiles(64, 64, 64, 4, kAll, 0)), 1.5), 1, 1, {{67, 67}}, 1, "sm_80"},
        Case{"sm_80_head_of_256", tiles(256, 128, 32, 8, kAll, 0), 1, 1, {{67, 131}}, 1, "sm_80"}),
    [](const testing::TestParamInfo<Case> &info) { return std::string(info.param.name); });

// Sinks: alone, and with a window, a cap and shared keys; where a query sees nothing else; of heads of each size. Six
// heads have one of each kind.
INSTANTIATE_TEST_SUITE_P(
    Sinks, EmulatedAttention,
    testing::Values(
        Case{"sm_90a_sinks", sinking(tiles(64, 64, 64, 4, kAll, 0)), 6, 2, {{67, 131}}, 2},
        Case{"sm_90a_window_sinks", sinking(capped(tiles(64, 128, 64, 8, 37, 0), 7)), 3, 1, {{61, 61}, {3, 131}}, 2},
        Case{"sm_90a_sinks_of_128", sinking(tiles(128, 128, 128, 8, kAll, 0)), 2, 1, {{131, 197}}, 1},
        Case{"sm_90a_sinks_of_256", sinking(tiles(256, 128, 80, 8, kAll, 0)), 3, 1, {{67, 131}}, 1},
        Case{"sm_90a_sinks_see_nothing", sinking(tiles(64, 64, 64, 4, kAll, 0)), 6, 2, {{71, 5}}, 1},
        Case{"sm_80_sinks", sinking(tiles(64, 64, 64, 4, kAll, 0)), 6, 2, {{67, 131}}, 2, "sm_80"},
        Case{"sm_80_window_sinks",
             sinking(capped(tiles(128, 64, 64, 4, 37, 0), 7)),
             3,
             1,
             {{61, 61}, {3, 131}},
             1,
             "sm_80"},
        Case{"sm_80_sinks_of_256", sinking(tiles(256, 128, 32, 8, kAll, 0)), 3, 1, {{67, 131}}, 1, "sm_80"},
        Case{"gfx942_sinks", sinking(amd(64, 64, 64, 4, kAll, 0)), 6, 2, {{67, 131}}, 2, "gfx942"},
        Case{"gfx942_window_sinks",
             sinking(capped(amd(128, 128, 64, 8, 37, 0), 7)),
             3,
             1,
             {{61, 61}, {3, 131}},
             1,
             "gfx942"},
        Case{"gfx942_sinks_see_nothing", sinking(amd(64, 64, 64, 4, kAll, 0)), 6, 2, {{71, 5}}, 1, "gfx942"},
        Case{"gfx942_sinks_of_256", sinking(amd(256, 128, 32, 8, kAll, 0)), 3, 1, {{67, 131}}, 1, "gfx942"},
        Case{"gfx950_window_sinks",
             sinking(capped(amd(64, 128, 64, 8, 37, 0), 7)),
             4,
             2,
             {{61, 61}, {3, 131}},
             2,
             "gfx950"},
        Case{"gfx1100_sinks", sinking(amd(64, 64, 32, 4, kAll, 0)), 6, 2, {{67, 131}}, 2, "gfx1100"},
        Case{"gfx1100_window_sinks",
             sinking(capped(amd(128, 128, 32, 8, 37, 0), 7)),
             3,
             1,
             {{61, 61}, {3, 131}},
             1,
             "gfx1100"},
        Case{"gfx1100_sinks_of_256", sinking(amd(256, 64, 16, 4, 37, 0)), 3, 1, {{67, 131}}, 1, "gfx1100"},
        Case{"gfx1201_window_sinks",
             sinking(capped(amd(64, 64, 64, 4, 37, 0), 7)),
             4,
             2,
             {{61, 61}, {3, 131}},
             2,
             "gfx1201"},
        Case{"gfx90a_halves_sinks",
             sinking(ofHalves(amd(64, 64, 64, 4, kAll, 0))),
             4,
             2,
             {{61, 131}, {3, 67}},
             1,
             "gfx90a"},
        Case{"gfx1201_halves_sinks", sinking(ofHalves(amd(64, 64, 64, 4, 37, 0))), 4, 1, {{61, 131}}, 1, "gfx1201"},
        Case{"sm_90a_halves_sinks", sinking(ofHalves(tiles(64, 64, 64, 4, 37, 0))), 6, 1, {{61, 131}}, 1}),
    [](const testing::TestParamInfo<Case> &info) { return std::string(info.param.name); });

// Blocks of one wave's 32 or 16 queries, or of more; emulated, never run on hardware.
INSTANTIATE_TEST_SUITE_P(
    Amd, EmulatedAttention,
    testing::Values(
        Case{"gfx942_one_block", amd(64, 64, 64, 4, kAll, kAll), 1, 1, {{61, 59}}, 1, "gfx942"},
        Case{"gfx942_causal", amd(64, 128, 64, 8, kAll, 0), 3, 3, {{197, 197}}, 2, "gfx942"},
        Case{
            "gfx942_ragged", amd(128, 256, 64, 16, kAll, 0), 4, 2, {{61, 61}, {1, 131}, {67, 67}, {3, 3}}, 2, "gfx942"},
        Case{"gfx942_window", amd(64, 64, 64, 4, 37, 0), 1, 1, {{197, 197}}, 3, "gfx942"},
        Case{"gfx942_sees_nothing", amd(64, 64, 64, 4, kAll, 0), 1, 1, {{71, 5}}, 1, "gfx942"},
        Case{"gfx942_head_of_256", amd(256, 128, 32, 8, kAll, 0), 1, 1, {{131, 167}}, 1, "gfx942"},
        Case{"gfx90a_band", amd(64, 64, 64, 4, 17, 71), 1, 1, {{131, 127}}, 1, "gfx90a"},
        Case{"gfx90a_capped", capped(amd(64, 64, 64, 4, kAll, 0), 1.5), 1, 1, {{67, 67}}, 1, "gfx90a"},
        Case{"gfx950_causal", amd(64, 128, 64, 8, kAll, 0), 3, 3, {{197, 197}}, 2, "gfx950"},
        Case{"gfx950_ragged", amd(128, 128, 64, 8, kAll, 0), 2, 1, {{61, 61}, {1, 131}, {3, 3}}, 2, "gfx950"},
        Case{"gfx950_head_of_256", amd(256, 128, 32, 8, kAll, 0), 1, 1, {{131, 167}}, 1, "gfx950"},
        Case{"gfx1100_causal", amd(64, 128, 64, 8, kAll, 0), 3, 3, {{197, 197}}, 2, "gfx1100"},
        Case{"gfx1100_ragged", amd(128, 128, 32, 8, kAll, 0), 2, 1, {{61, 61}, {1, 131}}, 2, "gfx1100"},
        Case{"gfx1100_few_queries", amd(64, 64, 32, 4, 23, 0), 1, 1, {{61, 131}}, 1, "gfx1100"},
        Case{"gfx1100_head_of_128", amd(128, 128, 32, 8, kAll, 0), 2, 1, {{131, 197}, {3, 67}}, 1, "gfx1100"},
        Case{"gfx1100_head_of_256", amd(256, 64, 16, 4, 37, 0), 2, 1, {{67, 131}, {1, 17}}, 1, "gfx1100"},
        Case{"gfx1201_causal", amd(128, 128, 64, 8, kAll, 0), 2, 1, {{131, 197}}, 2, "gfx1201"},
        Case{"gfx1201_window", amd(64, 64, 64, 4, 37, 0), 1, 1, {{197, 197}}, 3, "gfx1201"},
        Case{"gfx1201_head_of_128", amd(128, 128, 32, 8, kAll, 0), 2, 1, {{131, 197}}, 2, "gfx1201"},
        Case{"gfx1201_head_of_256", amd(256, 64, 16, 4, 37, 0), 2, 1, {{67, 131}, {1, 17}}, 1, "gfx1201"},
        Case{"gfx90a_head_of_128", amd(128, 128, 64, 8, kAll, 0), 1, 1, {{131, 167}}, 1, "gfx90a"},
        Case{"gfx942_halves", ofHalves(amd(64, 64, 64, 4, kAll, 0)), 2, 1, {{61, 131}, {3, 67}}, 1, "gfx942"},
        Case{"gfx950_halves", ofHalves(amd(64, 64, 64, 4, kAll, 0)), 1, 1, {{61, 131}}, 1, "gfx950"},
        Case{"gfx1100_halves", ofHalves(amd(64, 64, 32, 4, kAll, 0)), 2, 1, {{61, 131}, {3, 67}}, 1, "gfx1100"},
        Case{"gfx1201_halves", ofHalves(amd(64, 64, 64, 4, kAll, 0)), 1, 1, {{61, 131}}, 1, "gfx1201"},
        // A key that draws nearly all weight: others have e^-11 or so each, a seventieth together.
        Case{"gfx90a_halves_of_one", ofHalves(amd(64, 64, 64, 4, kAll, kAll)), 1, 1, {{67, 1031}}, 1, "gfx90a", 11},
        Case{"gfx942_halves_of_one", ofHalves(amd(64, 64, 64, 4, kAll, kAll)), 1, 1, {{67, 1031}}, 1, "gfx942", 11},
        Case{"gfx90a_halves", ofHalves(amd(64, 64, 64, 4, kAll, 0)), 2, 1, {{61, 131}, {3, 67}}, 1, "gfx90a"},
        Case{"gfx90a_head_of_256", amd(256, 128, 32, 8, kAll, 0), 1, 1, {{131, 167}}, 1, "gfx90a"}),
    [](const testing::TestParamInfo<Case> &info) { return std::string(info.param.name); });
