// The operations of the reference evaluator against values worked out by hand and against properties of their formulas:
// what no recorded checkpoint covers.
#include "lib/Reference/Operations.h"
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <random>

using namespace stepdown;
using namespace stepdown::reference;

namespace {

Tensor<double> tensor(size_t rows, size_t columns, std::vector<double> values) {
  Tensor<double> t(rows, columns);
  t.values = std::move(values);
  return t;
}

Tensor<double> random(size_t rows, size_t columns, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal;
  Tensor<double> t(rows, columns);
  for (double &value : t.values)
    value = normal(generator);
  return t;
}

Batch sequence(size_t tokens, int32_t first = 0) {
  Batch batch;
  for (size_t t = 0; t < tokens; ++t)
    batch.sequences.push_back(0), batch.positions.push_back(first + int32_t(t));
  return batch;
}

Cache<double> emptyCache(size_t heads, size_t size) { return {heads, size, size, false, {}}; }

double dot(const double *a, const double *b, size_t size) {
  double sum = 0;
  for (size_t i = 0; i < size; ++i)
    sum += a[i] * b[i];
  return sum;
}

TEST(ReferenceOperations, RoutesToTheFirstOfEqualExperts) {
  const double e = std::exp(-1);
  Tensor<double> z = tensor(2, 6, {1, 2, 1, 2, 0, 9, 0, -1, 0, 0, 0, 9}); // five experts, and padding
  auto [ids, shares] = route(z, 5, 3, true, 2.0, 4);
  EXPECT_EQ(ids, (std::vector<int32_t>{1, 3, 0, 0, 2, 3}));
  EXPECT_DOUBLE_EQ(shares.row(0)[0], 2 / (2 + e));
  EXPECT_DOUBLE_EQ(shares.row(0)[2], 2 * e / (2 + e));
  EXPECT_EQ(shares.row(0)[3], 0);
  EXPECT_DOUBLE_EQ(shares.row(1)[1], 2.0 / 3);
  Tensor<double> ofAll = route(z, 5, 3, false, 1.0, 3).second;
  EXPECT_DOUBLE_EQ(ofAll.row(0)[0], 1 / (2 + 2 * e + e * e));
  EXPECT_DOUBLE_EQ(ofAll.row(1)[2], 1 / (4 + e));
}

TEST(ReferenceOperations, RoutesToDifferentExpertsWhateverTheNumbersAre) {
  const double none = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  Tensor<double> z = tensor(2, 5, {nan, -none, 3, nan, 2, nan, nan, -none, nan, nan});
  auto [ids, shares] = route(z, 5, 4, true, 1.0, 4);
  EXPECT_EQ(ids, (std::vector<int32_t>{2, 4, 0, 1, 0, 1, 2, 3}));
  EXPECT_DOUBLE_EQ(shares.row(0)[0], 1 / (1 + std::exp(-1)));
  EXPECT_EQ(shares.row(0)[2], 0);
  EXPECT_DOUBLE_EQ(shares.row(1)[3], 0.25);
}

TEST(ReferenceOperations, ExpertsAreRowsOfOneMatrix) {
  std::vector<float> stored(3 * 2 * 5); // three experts of two rows
  for (size_t i = 0; i < stored.size(); ++i)
    stored[i] = float(i);
  Matrix weight{blockFormat(Storage::F32), reinterpret_cast<const uint8_t *>(stored.data()), 6, 5};
  Tensor<double> x = tensor(1, 5, {1, 0, 0, 0, 2});
  Tensor<double> y = expertLinear(x, {2, 0}, weight, {3, 2, false}); // expert 2 at rank 0
  EXPECT_EQ(y.values, (std::vector<double>{20 + 2 * 24, 25 + 2 * 29, 0 + 2 * 4, 5 + 2 * 9}));
  const std::vector<double> bias = {100, 200, 300, 400, 500, 600}; // two elements an expert
  EXPECT_EQ(expertLinear(x, {2, 0}, weight, {3, 2, false}, &bias).values, (std::vector<double>{568, 683, 108, 223}));
  Tensor<double> own = tensor(1, 10, {1, 0, 0, 0, 0, 0, 1, 0, 0, 0}); // columns for each rank
  EXPECT_EQ(expertLinear(own, {2, 0}, weight, {3, 2, true}).values, (std::vector<double>{20, 25, 1, 6}));
  Tensor<double> packed(1, 32); // as a block has them: zeros behind those of the last rank
  std::copy(own.values.begin(), own.values.end(), packed.values.begin());
  EXPECT_EQ(expertLinear(packed, {2, 0}, weight, {3, 2, true}).values, (std::vector<double>{20, 25, 1, 6}));
  EXPECT_EQ(combineExperts(y, tensor(1, 3, {0.5, 2, 9}), 2).values, (std::vector<double>{34 + 16, 41.5 + 46}));
}

TEST(ReferenceOperations, RmsNormOfARowAndOfEachHead) {
  Tensor<double> x = tensor(1, 4, {3, 4, 0, 5});
  Tensor<double> row = rmsNorm(x, {1, 2, 1, 1}, 0.0); // mean of squares 12.5
  EXPECT_DOUBLE_EQ(row.values[1], 4 / std::sqrt(12.5) * 2);
  Tensor<double> heads = rmsNorm(x, {1, 2}, 0.5); // 12.5 in both heads, plus eps
  EXPECT_DOUBLE_EQ(heads.values[0], 3 / std::sqrt(13.0));
  EXPECT_DOUBLE_EQ(heads.values[3], 5 / std::sqrt(13.0) * 2);
}

TEST(ReferenceOperations, LayerNormSubtractsTheMean) {
  const std::vector<double> bias = {0, 0, 0, 10};
  Tensor<double> x = tensor(1, 4, {1, 3, 1, 3}); // mean 2, variance 1
  EXPECT_EQ(layerNorm(x, {1, 1, 2, 1}, &bias, 3.0).values, (std::vector<double>{-0.5, 0.5, -1, 10.5}));
  EXPECT_EQ((layerNorm<double>(x, {1, 1, 2, 1}, nullptr, 3.0).values), (std::vector<double>{-0.5, 0.5, -1, 0.5}));
}

TEST(ReferenceOperations, ASumScalesItsSecondOperand) {
  EXPECT_EQ(add(tensor(1, 2, {1, 2}), tensor(1, 2, {4, 8}), 0.25).values, (std::vector<double>{2, 4}));
}

TEST(ReferenceOperations, AGateThatIsClamped) {
  // Below, inside and above; NaN stays.
  Tensor<double> y =
      gatedActivation(tensor(1, 4, {-9, 2, 8, NAN}), tensor(1, 4, {-9, 2, 8, 1}), Activation::ClampedSwish);
  EXPECT_NEAR(y.values[0], -9 / (1 + std::exp(1.702 * 9)) * -6, 1e-15);
  EXPECT_NEAR(y.values[1], 2 / (1 + std::exp(1.702 * -2)) * 3, 1e-14);
  EXPECT_NEAR(y.values[2], 7 / (1 + std::exp(1.702 * -7)) * 8, 1e-13);
  EXPECT_TRUE(std::isnan(y.values[3]));
}

TEST(ReferenceOperations, GatedActivations) {
  Tensor<double> gate = tensor(1, 3, {-1, 0, 2}), up = tensor(1, 3, {3, 3, 0.5});
  for (double g : {-1.0, 2.0}) {
    size_t i = g < 0 ? 0 : 2;
    double u = up.values[i];
    EXPECT_NEAR(gatedActivation(gate, up, Activation::Silu).values[i], u * g / (1 + std::exp(-g)), 1e-15);
    EXPECT_NEAR(gatedActivation(gate, up, Activation::GeluErf).values[i], u * g / 2 * std::erfc(-g / std::sqrt(2.0)),
                1e-15);
    EXPECT_NEAR(gatedActivation(gate, up, Activation::Sigmoid).values[i], u / (1 + std::exp(-g)), 1e-15);
    double inner = std::sqrt(2 / M_PI) * (g + 0.044715 * std::pow(g, 3));
    EXPECT_NEAR(gatedActivation(gate, up, Activation::GeluTanh).values[i], u * g / (1 + std::exp(-2 * inner)), 1e-15);
  }
  EXPECT_EQ(gatedActivation(gate, up, Activation::Silu).values[1], 0);
}

TEST(ReferenceOperations, RopeKeepsLengthsAndDependsOnDistancesOnly) {
  const double frequencies[] = {1, 0.1};
  for (bool adjacent : {true, false}) {
    RopeShape shape{adjacent, 6, frequencies, 2, 1.0}; // 4 of 6 columns rotate
    Tensor<double> q = random(1, 12, 1), k = random(1, 12, 2);
    auto rotated = [&](const Tensor<double> &x, int32_t position) { return rope(x, sequence(1, position), shape); };
    double near = dot(rotated(q, 9).row(0), rotated(k, 4).row(0), 12);
    double far = dot(rotated(q, 1009).row(0), rotated(k, 1004).row(0), 12);
    EXPECT_NEAR(near, far, 1e-9);
    EXPECT_GT(std::abs(near - dot(q.row(0), k.row(0), 12)), 1e-3);
    EXPECT_NEAR(dot(rotated(q, 9).row(0), rotated(q, 9).row(0), 12), dot(q.row(0), q.row(0), 12), 1e-12);
    EXPECT_EQ(rotated(q, 9).values[4], q.values[4]);
    EXPECT_EQ(rotated(q, 9).values[11], q.values[11]);
  }
}

TEST(ReferenceOperations, RopeTurnsTheRightColumns) {
  const double quarter[] = {M_PI / 2, 0};
  Tensor<double> x = tensor(1, 4, {1, 2, 3, 4});
  Tensor<double> adjacent = rope(x, sequence(1, 1), {true, 4, quarter, 2, 2.0});
  Tensor<double> half = rope(x, sequence(1, 1), {false, 4, quarter, 2, 2.0});
  const double expectedAdjacent[] = {-4, 2, 6, 8}, expectedHalf[] = {-6, 4, 2, 8}; // twice the rotated values
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(adjacent.values[i], expectedAdjacent[i], 1e-12);
    EXPECT_NEAR(half.values[i], expectedHalf[i], 1e-12);
  }
}

TEST(ReferenceOperations, AttentionOverTwoKeysIsASigmoidOfTheirScores) {
  Cache<double> cache = kvAppend(tensor(2, 1, {0, 1}), tensor(2, 1, {10, 20}), sequence(2), emptyCache(1, 1));
  Tensor<double> q = tensor(1, 1, {3});
  auto at = [&](AttentionShape shape, const std::vector<double> *sinks = nullptr) {
    return attention(q, sequence(1, 1), cache, sinks, shape).values[0];
  };
  auto expected = [](double z, double sink = 0) { // scores 0 and z, a share for the sink
    return (10 + 20 * std::exp(z)) / (1 + std::exp(z) + sink);
  };
  EXPECT_NEAR(at({0.5, 0, 0, true}), expected(1.5), 1e-12);
  EXPECT_NEAR(at({0.5, 2, 0, true}), expected(2 * std::tanh(0.75)), 1e-12);
  EXPECT_NEAR(at({0.5, 0, 1, true}), 20, 1e-12); // a window of 1 sees itself
  EXPECT_NEAR(at({0.5, 0, 2, true}), expected(1.5), 1e-12);
  std::vector<double> sinks = {0.7};
  EXPECT_NEAR(at({0.5, 0, 0, true}, &sinks), expected(1.5, std::exp(0.7)), 1e-12);
}

TEST(ReferenceOperations, CausalityHidesLaterPositionsOnly) {
  Cache<double> cache = kvAppend(random(5, 4, 3), random(5, 4, 4), sequence(5), emptyCache(1, 4));
  Cache<double> prefix = kvAppend(random(5, 4, 3), random(5, 4, 4), sequence(5), emptyCache(1, 4));
  prefix.sequences[0].erase(3), prefix.sequences[0].erase(4);
  Tensor<double> q = random(1, 4, 5);
  EXPECT_EQ(attention(q, sequence(1, 2), cache, static_cast<std::vector<double> *>(nullptr), {1, 0, 0, true}).values,
            attention(q, sequence(1, 2), prefix, static_cast<std::vector<double> *>(nullptr), {1, 0, 0, false}).values);
}

TEST(ReferenceOperations, QueryHeadsShareKeyHeadsInGroups) {
  Cache<double> cache = kvAppend(random(3, 4, 6), random(3, 4, 7), sequence(3), emptyCache(2, 2)); // 2 heads of 2
  Tensor<double> q = random(1, 8, 8);                                                              // 4 heads of 2
  AttentionShape shape{1, 0, 0, true};
  Tensor<double> all = attention(q, sequence(1, 2), cache, static_cast<std::vector<double> *>(nullptr), shape);
  for (size_t h = 0; h < 4; ++h) {
    Cache<double> one = emptyCache(1, 2);
    for (auto &[position, entry] : cache.sequences[0]) {
      auto part = [&](const std::vector<double> &v) {
        return std::vector<double>(v.begin() + h / 2 * 2, v.begin() + h / 2 * 2 + 2);
      };
      one.sequences[0][position] = {part(entry.key), part(entry.value)};
    }
    Tensor<double> single = attention(tensor(1, 2, {q.values[2 * h], q.values[2 * h + 1]}), sequence(1, 2), one,
                                      static_cast<std::vector<double> *>(nullptr), shape);
    EXPECT_EQ(single.values[0], all.values[2 * h]);
    EXPECT_EQ(single.values[1], all.values[2 * h + 1]);
  }
}

TEST(ReferenceOperations, SequencesDoNotSeeEachOther) {
  Cache<double> both = emptyCache(1, 2);
  Batch ragged{{5, 8, 5}, {0, 0, 1}};
  Tensor<double> k = random(3, 2, 9), v = random(3, 2, 10);
  both = kvAppend(k, v, ragged, both);
  Tensor<double> y =
      attention(random(1, 2, 11), Batch{{8}, {0}}, both, static_cast<std::vector<double> *>(nullptr), {1, 0, 0, true});
  EXPECT_EQ(y.values, (std::vector<double>{v.row(1)[0], v.row(1)[1]}));
}

// A head of 33 channels has blocks of 32 and 1: their scales are 1 and 2^-10, each a binary16.
TEST(ReferenceOperations, ACacheOfBlocksRoundsToCodesOfEachHead) {
  Tensor<double> k(1, 66);
  for (size_t i = 0; i < 66; ++i)
    k.values[i] = i == 0 ? 127 : i == 32 || i == 65 ? 127.0 / 1024 : i < 32 ? 0.5 * double(i) : 0;
  Cache<double> cache = emptyCache(2, 33);
  cache.hasBlocks = true;
  cache = kvAppend(k, k, sequence(1), cache);
  const auto &entry = cache.sequences[0][0];
  for (size_t i : {0, 32, 33, 64, 65})
    EXPECT_EQ(entry.key[i], k.values[i]) << i;
  EXPECT_EQ(entry.key[1], 0) << "0.5 lies between codes, and goes to the even one";
  EXPECT_EQ(entry.key[3], 2);
  EXPECT_EQ(entry.key[31], 16);
  EXPECT_EQ(entry.value, entry.key);
}

TEST(ReferenceOperations, AFloat16CacheRoundsAndAFloat32CacheDoesNot) {
  Cache<double> half{1, 1, 1, true, {}}, full{1, 1, 1, false, {}};
  Tensor<double> third = tensor(1, 1, {1.0 / 3});
  EXPECT_EQ(kvAppend(third, third, sequence(1), half).sequences[0][0].key[0], 0.333251953125);
  EXPECT_EQ(kvAppend(third, third, sequence(1), full).sequences[0][0].key[0], 1.0 / 3);
}

// Each number of f8E4M3FN stays; what lies between two goes to the one whose last digit is 0.
TEST(ReferenceOperations, ACacheOfEightBitFloatsRoundsToTheNearest) {
  auto decoded = [](int code) { return code < 8 ? code * 0x1p-9 : std::ldexp(1 + code % 8 / 8.0, code / 8 - 7); };
  auto rounded = [](double value) {
    Cache<double> cache = emptyCache(1, 1);
    cache.isE4M3 = true;
    Tensor<double> given = tensor(1, 1, {value});
    return kvAppend(given, given, sequence(1), cache).sequences[0][0].key[0];
  };
  for (int code = 0; code < 127; ++code)
    for (int sign : {1, -1}) {
      const double value = decoded(code), next = decoded(code + 1), middle = (value + next) / 2;
      EXPECT_EQ(rounded(sign * value), sign * value) << code;
      EXPECT_EQ(std::signbit(rounded(sign * value)), sign < 0) << code; // of zero, too
      if (code == 126)
        continue; // the next is NaN
      EXPECT_EQ(rounded(sign * middle), sign * (code % 2 ? next : value)) << code;
      EXPECT_EQ(rounded(sign * std::nextafter(middle, 0)), sign * value) << code;
      EXPECT_EQ(rounded(sign * std::nextafter(middle, 1e3)), sign * next) << code;
    }
  EXPECT_EQ(rounded(464), 448);
  EXPECT_EQ(rounded(-HUGE_VAL), -448);
  EXPECT_TRUE(std::isnan(rounded(std::nan(""))));
}

TEST(ReferenceOperations, LinearAndLogitsReadStoredRows) {
  const float stored[] = {1, 2, 3, 4, 5, 6};
  uint8_t bytes[sizeof stored];
  std::memcpy(bytes, stored, sizeof stored);
  Matrix weight{blockFormat(Storage::F32), bytes, 3, 2};
  std::vector<double> bias = {10, 20, 30};
  Tensor<double> x = tensor(2, 2, {1, 0, 1, -1});
  EXPECT_EQ(linear(x, weight, &bias).values, (std::vector<double>{11, 23, 35, 9, 19, 29}));
  Tensor<double> z = logits(x, weight, &bias, 0.5, 3);
  EXPECT_DOUBLE_EQ(z.values[0], 3 * std::tanh(5.5 / 3));
  EXPECT_EQ(embedding<double>({2, 0}, weight, 2).values, (std::vector<double>{10, 12, 2, 4}));
}

TEST(ReferenceOperations, QuantizeKeepsTheLargestValueAndRoundsTheRest) {
  Tensor<double> x(1, 64);
  x.values[0] = -127, x.values[1] = 0.4, x.values[2] = 0.6, x.values[40] = 1e-3; // the second block has its own scale
  Tensor<double> y = quantize(x, Codes::One);
  EXPECT_NEAR(y.values[0], -127, 1e-4);
  EXPECT_EQ(y.values[1], 0);
  EXPECT_NEAR(y.values[2], 1, 1e-6);
  EXPECT_NEAR(y.values[40], 1e-3, 1e-9);
  EXPECT_EQ(y.values[41], 0);
  Tensor<double> z = quantize(x, Codes::Residual); // the residual keeps 1 / 256 of a step
  EXPECT_NEAR(z.values[1], 0.4, 0.5 / 256 + 1e-6);
  EXPECT_NEAR(z.values[2], 0.6, 0.5 / 256 + 1e-6);
}

TEST(ReferenceOperations, OutliersDoNotCoarsenTheOthers) {
  Tensor<double> x(1, 32);
  for (int i = 0; i < 32; ++i)
    x.values[i] = 0.01 * (i % 7 - 3);                         // at most 0.03
  x.values[5] = 2.5, x.values[6] = -0.9, x.values[30] = -1.7; // in quads 1 and 7
  Tensor<double> one = quantize(x, Codes::One), y = quantize(x, Codes::Outliers);
  double worst = 0, worstOfOne = 0;
  for (int i = 0; i < 32; ++i) {
    worst = std::max(worst, std::abs(x.values[i] - y.values[i]));
    worstOfOne = std::max(worstOfOne, std::abs(x.values[i] - one.values[i]));
  }
  EXPECT_LE(worst, 0.5 * 0.03 / 127 * 1.001); // half a step of what the other six quads need
  EXPECT_GT(worstOfOne, 0.004);

  x.values[30] = -900; // 127 * 128 + 63 steps at most: the scale follows
  y = quantize(x, Codes::Outliers);
  EXPECT_NEAR(y.values[30], -900, 900.0 / 16319);
  EXPECT_NEAR(y.values[5], 2.5, 900.0 / 16319);
  x.values[0] = x.values[15] = x.values[20] = 500; // a third quad of large values is no outlier
  y = quantize(x, Codes::Outliers);
  EXPECT_NEAR(y.values[20], 500, 500.0 / 254);
  EXPECT_EQ(quantize(Tensor<double>(1, 32), Codes::Outliers).values, std::vector<double>(32, 0.0));
}

} // namespace
