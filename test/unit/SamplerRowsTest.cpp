// Rows of many logits: the vectorised passes, cuts over a whole vocabulary, and what a draw may cost.
#include "runtime/Sampler/RowPasses.h"
#include "test/unit/Distributions.h"
#include <cstring>
#include <limits>
#include <new>

using namespace stepdown;
using namespace stepdown::test;

namespace {
size_t allocations = 0;
}

void *operator new(size_t bytes) {
  ++allocations;
  if (void *memory = std::malloc(bytes))
    return memory;
  throw std::bad_alloc();
}
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, size_t) noexcept { std::free(memory); }

namespace {

constexpr size_t small = 300; // several blocks, the last one not full

TEST(Sampler, PassesAgreeBetweenInstructionSetsAndWithDoubles) {
  std::vector<float> logits = someLogits(5003, 1);
  logits[77] = -std::numeric_limits<float>::infinity();
  const RowPasses *variants[3];
  size_t count = rowPassVariants(variants);
  double first = 0;
  for (size_t v = 0; v < count; ++v) {
    float highest = *std::max_element(logits.begin(), logits.end());
    double sum = variants[v]->expSum(logits.data(), logits.size(), 1.0f, highest), exact = 0;
    for (float l : logits)
      exact += std::exp(static_cast<double>(l) - highest);
    EXPECT_NEAR(sum / exact, 1.0, 3e-7);
    first = v == 0 ? sum : first;
    EXPECT_EQ(std::memcmp(&sum, &first, sizeof sum), 0) << "variant " << v;
    std::vector<float> weights(logits.size());
    variants[v]->exponentials(logits.data(), logits.size(), 0.5f, highest * 0.5f, weights.data());
    for (size_t i = 0; i < logits.size(); ++i) {
      double e = std::exp(logits[i] * 0.5 - highest * 0.5);
      EXPECT_NEAR(weights[i], e, e * 1e-6) << logits[i];
    }
  }
}

TEST(Sampler, DrawsAndAcceptsWithoutAllocation) {
  std::vector<float> logits = someLogits(small, 17);
  SamplingOptions o;
  o.topK = 50;
  o.topP = o.typicalP = 0.9f;
  o.minP = 0.01f;
  o.topNSigma = 2.0f;
  o.repetitionPenalty = 1.1f;
  o.dryMultiplier = 0.8f;
  o.xtcProbability = 0.5f;
  o.penaltyWindow = 64;
  o.logitBias = {{3, 1.0f}};
  Sampler sampler = make(o, small);
  LogProbabilities probabilities;
  size_t before = allocations;
  for (int i = 0; i < 300; ++i) {
    Result<int32_t> id = sampler.draw(logits.data(), 0, i, &probabilities);
    sampler.accept(id ? *id : 0);
  }
  EXPECT_EQ(allocations, before);
}

TEST(Sampler, ExtremesOfTemperature) {
  std::vector<float> logits = {1.0f, 5.0f, 0.0f, -3.0f};
  SamplingOptions o;
  o.temperature = 1e-30f;
  EXPECT_EQ(*make(o, 4).draw(logits.data(), 0, 0), 1);
  o.temperature = 1e-4f;
  expectDraws(make(o, 4), logits, {0, 1, 0, 0});
  o.temperature = 1e9f;
  expectDraws(make(o, 4), logits, {0.25, 0.25, 0.25, 0.25});
  o.temperature = 1e-4f;
  logits[1] = 3e38f;
  Result<int32_t> r = make(o, 4).draw(logits.data(), 0, 0);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, ErrorCode::SamplingLogits);
}

TEST(Sampler, CutsByMassOverAWholeVocabularyAreExact) {
  // The set that top-p and typical keep of 6,000 tokens, told by which tokens are ever drawn at a temperature that
  // makes all of them equally likely.
  constexpr size_t many = 6000;
  std::vector<float> logits = someLogits(many, 18, 0.5);
  Distribution p = softmax(logits);
  double entropy = 0;
  for (double x : p)
    entropy -= x * std::log(x);
  Distribution nearness(many);
  for (size_t i = 0; i < many; ++i)
    nearness[i] = -std::fabs(-std::log(p[i]) - entropy);
  for (bool typical : {false, true}) {
    SamplingOptions o;
    (typical ? o.typicalP : o.topP) = 0.02f;
    o.temperature = 1e9f;
    o.order = {typical ? SamplingStep::Typical : SamplingStep::TopP, SamplingStep::Temperature};
    std::vector<size_t> order = ranking(typical ? nearness : p);
    size_t keep = prefixOfMass(p, order, 0.02);
    ASSERT_GT(keep, 30u);
    std::vector<bool> expected(many), drawn(many);
    for (size_t i = 0; i < keep; ++i)
      expected[order[i]] = true;
    Sampler sampler = make(o, many);
    for (int i = 0; i < 4000; ++i)
      drawn[*sampler.draw(logits.data(), 0, i)] = true;
    size_t differ = 0;
    for (size_t i = 0; i < many; ++i)
      differ += expected[i] != drawn[i];
    EXPECT_LE(differ, 1u) << keep; // the last token may go either way by rounding
  }
}

TEST(Sampler, PassesOverKeysAgreeBetweenInstructionSetsAndWithDoubles) {
  std::vector<float> logits = someLogits(5003, 3);
  logits[78] = -std::numeric_limits<float>::infinity();
  const float highest = *std::max_element(logits.begin(), logits.end()) * 0.5f;
  const KeyOf key = {0.5f, highest, -2.5f};
  const size_t count = logits.size();
  std::vector<double> expected(keyIntervals);
  std::vector<std::vector<int32_t>> members(keyIntervals);
  double total = 0, moment = 0;
  for (size_t i = 0; i < count; ++i) {
    const double x = logits[i] * 0.5 - highest, w = std::exp(x);
    const auto interval = static_cast<size_t>(std::min(1023.0, std::fabs(-2.5 - x) * 32));
    expected[interval] += w;
    members[interval].push_back(static_cast<int32_t>(i));
    total += w;
    moment += w > 0 ? w * x : 0;
  }
  const RowPasses *variants[3];
  for (size_t v = 0, all = rowPassVariants(variants); v < all; ++v) {
    std::vector<float> weights(count), out(count);
    std::vector<double> sums(keyIntervals);
    std::vector<int32_t> ids(count);
    double sum, mean;
    variants[v]->weigh(logits.data(), count, 0.5f, highest, weights.data(), sum, mean);
    EXPECT_NEAR(sum / total, 1, 3e-7);
    EXPECT_NEAR(mean / moment, 1, 1e-6);
    variants[v]->addByKey(logits.data(), count, key, weights.data(), sums.data());
    for (size_t k = 0; k < keyIntervals; ++k)
      EXPECT_NEAR(sums[k], expected[k], 1e-6 * total) << k; // no key of this row lies on a border
    for (size_t k : {0u, 3u, 100u, 1023u}) {
      const size_t found = variants[v]->idsInInterval(logits.data(), count, key, k, ids.data());
      EXPECT_EQ(std::vector<int32_t>(ids.begin(), ids.begin() + static_cast<long>(found)), members[k]) << k;
    }
    variants[v]->keepKeys(logits.data(), count, key, 1.0f, out.data());
    for (size_t i = 0; i < count; ++i)
      EXPECT_EQ(out[i], std::fabs(-2.5f - (logits[i] * 0.5f - highest)) <= 1.0f
                            ? logits[i] * 0.5f
                            : -std::numeric_limits<float>::infinity());
  }
}

// Few tokens of many hold the mass, as a trained model has it: blocks without a survivor are not touched.
TEST(Sampler, CutsOfAPeakedRowAreThoseOfTheWholeOne) {
  std::vector<float> logits = someLogits(6000, 5, 1.0);
  for (int i = 0; i < 6; ++i)
    logits[997 * i + 3] = 12.0f - 0.5f * static_cast<float>(i);
  Distribution p = softmax(logits);
  SamplingOptions topP, minP;
  topP.topP = 0.9f;
  minP.minP = 0.2f;
  const std::vector<size_t> order = ranking(p);
  expectDraws(make(topP, 6000), logits, onlyFirst(p, order, prefixOfMass(p, order, 0.9)));
  size_t likely = 0;
  while (p[order[likely]] >= 0.2 * p[order[0]])
    ++likely;
  expectDraws(make(minP, 6000), logits, onlyFirst(p, order, likely));
}

TEST(Sampler, CutsOfEqualLogitsKeepTheLowestIds) {
  constexpr size_t large = 262144;
  const std::vector<float> logits(large, 1.5f);
  for (bool typical : {false, true}) {
    SamplingOptions o;
    (typical ? o.typicalP : o.topP) = 0.25f;
    Sampler sampler = make(o, large);
    int32_t highest = 0;
    for (int i = 0; i < 400; ++i)
      highest = std::max(highest, *sampler.draw(logits.data(), 0, i));
    EXPECT_LT(highest, 65536);
    EXPECT_GT(highest, 60000);
  }
}

TEST(Sampler, CutsByMassOfAFlatRowOf262144AreExact) {
  constexpr size_t large = 262144;
  std::vector<float> logits = someLogits(large, 21, 0.5);
  Distribution p = softmax(logits);
  double mean = 0; // of the logits; how far a token's lies from it is surprise less entropy
  for (size_t i = 0; i < large; ++i)
    mean += p[i] * logits[i];
  Distribution nearness(large);
  for (size_t i = 0; i < large; ++i)
    nearness[i] = -std::fabs(logits[i] - mean);
  for (bool typical : {false, true}) {
    SamplingOptions o;
    (typical ? o.typicalP : o.topP) = 4e-4f;
    o.temperature = 1e9f; // all that are left are equally likely
    o.order = {typical ? SamplingStep::Typical : SamplingStep::TopP, SamplingStep::Temperature};
    std::vector<size_t> order = ranking(typical ? nearness : p);
    const size_t keep = prefixOfMass(p, order, 4e-4);
    ASSERT_GT(keep, 10u);
    std::vector<bool> drawn(large);
    Sampler sampler = make(o, large);
    for (int i = 0; i < 1500; ++i)
      drawn[*sampler.draw(logits.data(), 0, i)] = true;
    size_t differ = 0;
    for (size_t i = 0; i < large; ++i)
      differ += drawn[order[i]] != (i < keep);
    EXPECT_LE(differ, typical ? 2u : 1u) << keep; // the last may go either way by rounding
  }
}

TEST(Sampler, AgreesWithItselfAtAVocabularyOf262144) {
  // The dense path and the path through candidates are different code for the same draw.
  constexpr size_t large = 262144;
  std::vector<float> logits = someLogits(large, 16, 2.0);
  SamplingOptions dense, sparse;
  sparse.topP = 1.0f - 6e-8f; // keeps all but the last few, so nearly every draw is the same
  Sampler a = make(dense, large), b = make(sparse, large);
  int same = 0;
  for (int i = 0; i < 40; ++i)
    same += *a.draw(logits.data(), 0, i) == *b.draw(logits.data(), 0, i);
  EXPECT_GE(same, 38);
}

} // namespace
