// Distributions worked out the slow and obvious way (sort everything, add up), for the sampler's tests to compare with.
#pragma once
#include "runtime/Sampler/Sampler.h"
#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <numeric>
#include <random>

namespace stepdown::test {

using Distribution = std::vector<double>; // [vocabulary], 0 for tokens that can't be drawn

inline std::vector<float> someLogits(size_t count, uint32_t seed, double spread = 3.0) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal(0.0, spread);
  std::vector<float> logits(count);
  for (float &l : logits)
    l = static_cast<float>(normal(engine));
  return logits;
}

inline Distribution softmax(const std::vector<float> &logits, double temperature = 1) {
  double highest = *std::max_element(logits.begin(), logits.end()), total = 0;
  Distribution p(logits.size());
  for (size_t i = 0; i < p.size(); ++i)
    total += p[i] = std::exp((logits[i] - highest) / temperature);
  for (double &x : p)
    x /= total;
  return p;
}

inline Distribution normalised(Distribution p) {
  double total = std::accumulate(p.begin(), p.end(), 0.0);
  for (double &x : p)
    x /= total;
  return p;
}

inline std::vector<size_t> ranking(const Distribution &p) {
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] != p[b] ? p[a] > p[b] : a < b; });
  return order;
}

inline Distribution onlyFirst(const Distribution &p, const std::vector<size_t> &order, size_t keep) {
  Distribution out(p.size());
  for (size_t i = 0; i < keep; ++i)
    out[order[i]] = p[order[i]];
  return normalised(out);
}

inline size_t prefixOfMass(const Distribution &p, const std::vector<size_t> &order, double mass) {
  double sum = 0;
  for (size_t i = 0; i < order.size(); ++i)
    if ((sum += p[order[i]]) >= mass)
      return i + 1;
  return order.size();
}

inline Sampler make(const SamplingOptions &options, size_t vocabulary) {
  Result<Sampler> sampler = Sampler::create(options, static_cast<int32_t>(vocabulary));
  EXPECT_TRUE(sampler) << sampler.error().text();
  return *sampler;
}

/// 1e5 draws follow `expected`: nothing impossible is drawn, and chi-square (cells of expectation < 5 pooled) stays
/// below its mean plus five standard deviations; the numbers are a fixed function of the seed, so this never flickers.
inline void expectDraws(Sampler sampler, const std::vector<float> &logits, const Distribution &expected) {
  constexpr int draws = 100000;
  std::vector<int> counts(logits.size());
  for (int i = 0; i < draws; ++i) {
    Result<int32_t> id = sampler.draw(logits.data(), 7, i);
    ASSERT_TRUE(id) << id.error().text();
    ++counts[*id];
  }
  double chi = 0, pooledExpected = 0, pooledCount = 0;
  int cells = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    double e = expected[i] * draws;
    if (expected[i] == 0)
      ASSERT_EQ(counts[i], 0) << "token " << i << " is ruled out";
    if (e < 5) {
      pooledExpected += e;
      pooledCount += counts[i];
      continue;
    }
    chi += (counts[i] - e) * (counts[i] - e) / e;
    ++cells;
  }
  if (pooledExpected >= 5) {
    chi += (pooledCount - pooledExpected) * (pooledCount - pooledExpected) / pooledExpected;
    ++cells;
  }
  double freedom = std::max(cells - 1, 0);
  EXPECT_LE(chi, freedom + 5 * std::sqrt(2 * freedom) + 1e-9) << cells << " cells";
}

} // namespace stepdown::test
