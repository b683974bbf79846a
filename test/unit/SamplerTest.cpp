// The sampler against closed forms: each filter's surviving set and probabilities are worked out in Distributions.h,
// and 1e5 draws must follow them by the chi-square test.
#include "runtime/Sampler/Philox.h"
#include "test/unit/Distributions.h"
#include <cstring>
#include <limits>
#include <map>

using namespace stepdown;
using namespace stepdown::test;

namespace {

constexpr size_t small = 300; // several blocks, the last one not full

TEST(Sampler, PhiloxMatchesThePublishedVectors) {
  // Known answers distributed with the paper's library, for counter and key of all zeroes and all ones.
  EXPECT_EQ(philox(0, 0, 0), (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox(~0ull, ~0ull, ~0ull), (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(Sampler, DrawsTheSoftmaxAtATemperature) {
  std::vector<float> logits = someLogits(small, 2);
  for (float t : {1.0f, 0.5f, 2.0f}) {
    SamplingOptions o;
    o.temperature = t;
    expectDraws(make(o, small), logits, softmax(logits, t));
  }
}

TEST(Sampler, GreedyTakesTheLowestIdOfTheLargest) {
  std::vector<float> logits(1000, 0.0f);
  logits[700] = logits[300] = 2.0f;
  SamplingOptions o;
  o.temperature = 0;
  EXPECT_EQ(*make(o, 1000).draw(logits.data(), 0, 0), 300);
  o.logitBias = {{300, -1.0f}};
  EXPECT_EQ(*make(o, 1000).draw(logits.data(), 0, 0), 700);
}

TEST(Sampler, TopKKeepsTheKLargest) {
  std::vector<float> logits = someLogits(small, 3);
  Distribution p = softmax(logits);
  for (int k : {1, 3, 40, 250}) {
    SamplingOptions o;
    o.topK = k;
    expectDraws(make(o, small), logits, onlyFirst(p, ranking(p), k));
  }
}

TEST(Sampler, TopKBreaksTiesByLowerId) {
  std::vector<float> logits(small, 1.0f);
  SamplingOptions o;
  o.topK = 4;
  Distribution expected(small);
  for (int i = 0; i < 4; ++i)
    expected[i] = 0.25;
  expectDraws(make(o, small), logits, expected);
}

TEST(Sampler, TopPKeepsTheSmallestSetOfMass) {
  for (double spread : {0.2, 1.0, 3.0}) { // from nearly flat to peaked: all depths of the search
    std::vector<float> logits = someLogits(small, 4, spread);
    Distribution p = softmax(logits);
    for (float mass : {0.1f, 0.5f, 0.9f, 0.99f}) {
      SamplingOptions o;
      o.topP = mass;
      expectDraws(make(o, small), logits, onlyFirst(p, ranking(p), prefixOfMass(p, ranking(p), mass)));
    }
  }
}

TEST(Sampler, MinPKeepsAFractionOfTheBest) {
  std::vector<float> logits = someLogits(small, 5);
  Distribution p = softmax(logits);
  double best = *std::max_element(p.begin(), p.end());
  for (float fraction : {0.02f, 0.3f, 1.0f}) {
    SamplingOptions o;
    o.minP = fraction;
    Distribution expected(small);
    for (size_t i = 0; i < small; ++i)
      expected[i] = p[i] >= fraction * best * (1 - 1e-9) ? p[i] : 0;
    expectDraws(make(o, small), logits, normalised(expected));
  }
}

TEST(Sampler, TypicalKeepsTheMassNearestToTheEntropy) {
  std::vector<float> logits = someLogits(small, 6);
  Distribution p = softmax(logits);
  double entropy = 0;
  for (double x : p)
    entropy -= x * std::log(x);
  Distribution nearness(small);
  for (size_t i = 0; i < small; ++i)
    nearness[i] = -std::fabs(-std::log(p[i]) - entropy);
  for (float mass : {0.2f, 0.7f}) {
    SamplingOptions o;
    o.typicalP = mass;
    expectDraws(make(o, small), logits, onlyFirst(p, ranking(nearness), prefixOfMass(p, ranking(nearness), mass)));
  }
}

TEST(Sampler, TopNSigmaCutsAtDeviationsBelowTheBest) {
  std::vector<float> logits = someLogits(small, 8);
  double mean = std::accumulate(logits.begin(), logits.end(), 0.0) / small, square = 0;
  for (float l : logits)
    square += (l - mean) * (l - mean);
  double sigma = std::sqrt(square / small), highest = *std::max_element(logits.begin(), logits.end());
  for (float temperature : {1.0f, 1.5f}) { // the cut is the same at every temperature
    SamplingOptions o;
    o.topNSigma = 1.2f;
    o.temperature = temperature;
    Distribution p = softmax(logits, temperature);
    for (size_t i = 0; i < small; ++i)
      p[i] = logits[i] >= highest - 1.2 * sigma ? p[i] : 0;
    expectDraws(make(o, small), logits, normalised(p));
  }
}

TEST(Sampler, XtcDropsTheTopChoicesButTheLeast) {
  std::vector<float> logits = {3.0f, 2.5f, 2.0f, 0.0f, -1.0f};
  Distribution p = softmax(logits);
  ASSERT_GT(p[2], 0.1);
  ASSERT_LT(p[3], 0.1);
  Distribution acted = normalised({0, 0, p[2], p[3], p[4]}), expected(5);
  SamplingOptions o;
  o.xtcThreshold = 0.1f;
  o.xtcProbability = 0.3f;
  for (size_t i = 0; i < 5; ++i)
    expected[i] = 0.7 * p[i] + 0.3 * acted[i];
  expectDraws(make(o, 5), logits, expected);
  o.topK = 4; // from here on the row is a list of candidates
  Distribution four = normalised({p[0], p[1], p[2], p[3], 0}), fourActed = normalised({0, 0, p[2], p[3], 0});
  for (size_t i = 0; i < 5; ++i)
    expected[i] = 0.7 * four[i] + 0.3 * fourActed[i];
  expectDraws(make(o, 5), logits, expected);
  o.topK = 0;
  o.xtcThreshold = 0.6f; // at most one token can reach it
  expectDraws(make(o, 5), logits, p);
}

TEST(Sampler, PenaltiesFollowTheirFormulas) {
  std::vector<float> logits = {2.0f, -1.0f, 0.5f, 1.0f, 0.0f};
  SamplingOptions o;
  o.repetitionPenalty = 1.5f;
  o.presencePenalty = 0.25f;
  o.frequencyPenalty = 0.5f;
  Sampler sampler = make(o, 5);
  sampler.accept(1, false); // of the prompt: repetition only
  for (int32_t id : {0, 0, 2})
    sampler.accept(id);
  std::vector<float> changed = {2.0f / 1.5f - 2 * 0.5f - 0.25f, -1.0f * 1.5f, 0.5f / 1.5f - 0.5f - 0.25f, 1.0f, 0.0f};
  expectDraws(sampler, logits, softmax(changed));
  Sampler fork = sampler;
  sampler.reset();
  expectDraws(sampler, logits, softmax(logits));
  expectDraws(fork, logits, softmax(changed));
}

TEST(Sampler, PenaltyWindowForgets) {
  std::vector<float> logits = {1.0f, 1.0f, 1.0f};
  SamplingOptions o;
  o.presencePenalty = 1.0f;
  o.penaltyWindow = 2;
  Sampler sampler = make(o, 3);
  for (int32_t id : {0, 1, 2})
    sampler.accept(id);
  expectDraws(sampler, logits, softmax({1.0f, 0.0f, 0.0f}));
}

TEST(Sampler, DryPunishesTheContinuationOfARun) {
  // History 1 2 3 4 1 2 3: the last three repeat, so 4 continues a run of 3; nothing else continues a run.
  std::vector<float> logits(6, 1.0f);
  SamplingOptions o;
  o.dryMultiplier = 0.8f;
  o.dryBase = 1.75f;
  o.dryAllowedLength = 2;
  Sampler sampler = make(o, 6);
  for (int32_t id : {1, 2, 3, 4, 1, 2, 3})
    sampler.accept(id);
  std::vector<float> changed = logits;
  changed[4] -= 0.8f * 1.75f;
  expectDraws(sampler, logits, softmax(changed));
  o.dryBreakers = {2}; // the run now holds only the 3 after the breaker
  Sampler broken = make(o, 6);
  for (int32_t id : {1, 2, 3, 4, 1, 2, 3})
    broken.accept(id);
  expectDraws(broken, logits, softmax(logits));
}

TEST(Sampler, DryMatchesAQuadraticSearch) {
  std::mt19937 engine(9);
  for (int round = 0; round < 50; ++round) {
    SamplingOptions o;
    o.dryMultiplier = 1.0f;
    o.dryBase = 1.1f;
    o.dryAllowedLength = 1;
    o.dryWindow = 40;
    o.temperature = 0;
    Sampler sampler = make(o, 3);
    std::vector<int32_t> history(60);
    for (int32_t &id : history)
      sampler.accept(id = static_cast<int32_t>(engine() % 3));
    std::vector<int32_t> text(history.end() - 40, history.end());
    float logits[3] = {0, 0, 0}, changed[3] = {0, 0, 0};
    int longest[3] = {0, 0, 0};
    for (size_t next = 1; next < text.size(); ++next) {
      size_t run = 0;
      while (run < next && text[next - 1 - run] == text[text.size() - 1 - run])
        ++run;
      longest[text[next]] = std::max<int>(longest[text[next]], run);
    }
    for (int i = 0; i < 3; ++i)
      changed[i] -= longest[i] >= 1 ? std::pow(1.1f, longest[i] - 1) : 0;
    EXPECT_EQ(*sampler.draw(logits, 0, 0), std::max_element(changed, changed + 3) - changed) << round;
  }
}

TEST(Sampler, OrderOfTemperatureMatters) {
  std::vector<float> logits = someLogits(small, 10);
  SamplingOptions o;
  o.temperature = 2.0f;
  o.topP = 0.8f;
  Distribution hot = softmax(logits, 2), cold = softmax(logits);
  Distribution first = onlyFirst(hot, ranking(hot), prefixOfMass(hot, ranking(hot), 0.8f));
  Distribution last = onlyFirst(hot, ranking(cold), prefixOfMass(cold, ranking(cold), 0.8f));
  ASSERT_NE(first, last);
  expectDraws(make(o, small), logits, first);
  o.order = temperatureLast();
  expectDraws(make(o, small), logits, last);
}

TEST(Sampler, StepsOutsideTheOrderAreNotApplied) {
  std::vector<float> logits = someLogits(small, 11);
  SamplingOptions o;
  o.topK = 2;
  o.order = {SamplingStep::Temperature};
  expectDraws(make(o, small), logits, softmax(logits));
}

TEST(Sampler, MirostatHoldsTheSurpriseNearItsTarget) {
  std::vector<float> logits = someLogits(small, 12, 2.0);
  Distribution p = softmax(logits);
  SamplingOptions o;
  o.mirostatTau = 5.0f;
  Sampler sampler = make(o, small);
  double sum = 0;
  for (int i = 0; i < 20000; ++i)
    sum += -std::log2(p[*sampler.draw(logits.data(), 1, i)]);
  EXPECT_NEAR(sum / 20000, 5.0, 0.05);
}

TEST(Sampler, DrawIsAFunctionOfSeedRequestAndPosition) {
  std::vector<float> logits = someLogits(small, 13);
  SamplingOptions o;
  o.seed = 42;
  Sampler a = make(o, small), b = make(o, small);
  std::vector<int32_t> forwards, backwards(200);
  for (int i = 0; i < 200; ++i)
    forwards.push_back(*a.draw(logits.data(), 3, i));
  for (int i = 199; i >= 0; --i) {
    (void)*b.draw(logits.data(), 99, i); // another request in between changes nothing
    backwards[i] = *b.draw(logits.data(), 3, i);
  }
  EXPECT_EQ(forwards, backwards);
  o.seed = 43;
  Sampler c = make(o, small);
  std::vector<int32_t> other;
  for (int i = 0; i < 200; ++i)
    other.push_back(*c.draw(logits.data(), 3, i));
  EXPECT_NE(forwards, other);
}

TEST(Sampler, LogProbabilitiesAreOfTheModelItself) {
  std::vector<float> logits = someLogits(small, 14);
  Distribution p = softmax(logits);
  std::vector<size_t> order = ranking(p);
  SamplingOptions o;
  o.temperature = 0.3f;
  o.topK = 5;
  o.logitBias = {{static_cast<int32_t>(order[0]), -100.0f}};
  LogProbabilities out;
  int32_t id = *make(o, small).draw(logits.data(), 0, 0, &out);
  EXPECT_NEAR(out.chosen, std::log(p[id]), 1e-5);
  ASSERT_EQ(out.count, 20);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(out.top[i].id, static_cast<int32_t>(order[i]));
    EXPECT_NEAR(out.top[i].value, std::log(p[order[i]]), 1e-5);
  }
}

TEST(Sampler, MaskRulesTokensOut) {
  std::vector<float> logits = someLogits(small, 15);
  std::vector<uint64_t> allowed(small / 64 + 1);
  Distribution p = softmax(logits);
  for (size_t i = 0; i < small; ++i)
    if (i % 3)
      p[i] = 0;
    else
      allowed[i / 64] |= 1ull << (i % 64);
  p = normalised(p);
  Sampler sampler = make({}, small);
  for (int i = 0; i < 2000; ++i)
    ASSERT_GT(p[*sampler.draw(logits.data(), 0, i, nullptr, allowed.data())], 0);
  std::fill(allowed.begin(), allowed.end(), 0);
  Result<int32_t> none = sampler.draw(logits.data(), 0, 0, nullptr, allowed.data());
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::SamplingEmpty);
}

TEST(Sampler, RefusesWhatHasNoMeaning) {
  auto code = [](auto change) {
    SamplingOptions o;
    change(o);
    Result<Sampler> r = Sampler::create(o, 10);
    EXPECT_FALSE(r);
    return r.error().code;
  };
  EXPECT_EQ(code([](SamplingOptions &o) { o.temperature = -1; }), ErrorCode::SamplingOption);
  EXPECT_EQ(code([](SamplingOptions &o) { o.topP = 0; }), ErrorCode::SamplingOption);
  EXPECT_EQ(code([](SamplingOptions &o) { o.minP = NAN; }), ErrorCode::SamplingOption);
  EXPECT_EQ(code([](SamplingOptions &o) { o.logitBias = {{10, 1.0f}}; }), ErrorCode::SamplingToken);
  float logits[3] = {0, NAN, 0};
  Result<int32_t> r = make({}, 3).draw(logits, 0, 0);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, ErrorCode::SamplingLogits);
}

} // namespace
