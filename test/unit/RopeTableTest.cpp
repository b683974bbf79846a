// Frequency tables against the recorded ones of another implementation (conformance vectors), and against the formulas
// worked by hand where the vectors are absent.
#include "lib/Frontend/RopeTable.h"
#include "test/unit/MadeModel.h"
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>

using namespace stepdown;

static std::string vectors() {
  const char *set = std::getenv("STEPDOWN_VECTORS");
  return set ? set : STEPDOWN_SOURCE_DIR "/../shared/vectors";
}

static RopeTableParameters parametersOf(const nlohmann::json &c) {
  static const std::map<std::string, RopeScheme> schemes = {
      {"default", RopeScheme::Default}, {"linear", RopeScheme::Linear}, {"dynamic", RopeScheme::DynamicNtk},
      {"yarn", RopeScheme::Yarn},       {"llama3", RopeScheme::Llama3}, {"longrope", RopeScheme::LongRope}};
  RopeTableParameters p;
  p.scheme = schemes.at(c["rope_type"]);
  p.base = c["rope_theta"];
  p.dimensions = int(int(c["head_dim"]) * c.value("partial_rotary_factor", 1.0));
  p.factor = c.value("factor", 1.0);
  p.trainedContext = c["context_length"];
  p.originalContext = c.value("original_max_position_embeddings", double(c["context_length"]));
  p.sequenceLength = c["sequence_length"].is_null() ? p.trainedContext : double(c["sequence_length"]);
  p.lowFrequencyFactor = c.value("low_freq_factor", 1.0);
  p.highFrequencyFactor = c.value("high_freq_factor", 4.0);
  p.betaFast = c.value("beta_fast", 32.0);
  p.betaSlow = c.value("beta_slow", 1.0);
  p.truncate = c.value("truncate", true);
  p.mscale = c.value("mscale", 0.0);
  p.mscaleAllDimensions = c.value("mscale_all_dim", 0.0);
  if (c.contains("attention_factor"))
    p.attentionFactor = double(c["attention_factor"]);
  p.shortFactors = c.value("short_factor", std::vector<double>());
  p.longFactors = c.value("long_factor", std::vector<double>());
  return p;
}

TEST(RopeTableConformance, EqualsRecordedTables) {
  std::ifstream file(vectors() + "/rope/rope.json");
  if (!file)
    GTEST_SKIP() << "no conformance vectors rope/rope.json";
  const nlohmann::json recorded = nlohmann::json::parse(file);
  ASSERT_GT(recorded["cases"].size(), 5u);
  for (const nlohmann::json &c : recorded["cases"]) {
    SCOPED_TRACE(std::string(c["name"]));
    RopeTable table = ropeTable(parametersOf(c));
    std::vector<double> expected = c["inverse_frequencies"];
    ASSERT_EQ(table.inverseFrequencies.size(), expected.size());
    for (size_t k = 0; k < expected.size(); ++k)
      EXPECT_NEAR(table.inverseFrequencies[k] / expected[k], 1, 1e-6) << "pair " << k;
    EXPECT_NEAR(table.attentionFactor / double(c["attention_factor_expected"]), 1, 1e-6);
  }
}

/// The table of a generated checkpoint, of its window layers (`local`) or of those that see everything, for runs as
/// long as `context`.
static RopeTable tableOfModel(const std::string &options, uint64_t context, bool local = false) {
  Result<Checkpoint> gguf = Checkpoint::open(makeModel(options));
  EXPECT_TRUE(bool(gguf)) << gguf.error().text();
  Result<ModelParameters> parameters = readParameters(*gguf);
  EXPECT_TRUE(bool(parameters)) << parameters.error().text();
  Result<RopeTable> table = ropeTable(*gguf, *parameters, local, context);
  EXPECT_TRUE(bool(table)) << table.error().text();
  return *table;
}

TEST(RopeTableConformance, CheckpointsThatCarryASchemeEqualRecordedTables) {
  std::ifstream file(vectors() + "/rope/rope.json");
  if (!file)
    GTEST_SKIP() << "no conformance vectors rope/rope.json";
  const nlohmann::json recorded = nlohmann::json::parse(file);
  size_t compared = 0;
  for (auto [name, options] : std::map<std::string, std::string>{
           {"plain", "--head-dim 64 --freq-base 10000 --context 4096"},
           {"linear", "--head-dim 64 --freq-base 10000 --context 4096 --rope linear:5"},
           {"llama3", "--head-dim 128 --freq-base 500000 --context 32768 --rope llama3:8"},
           {"llama3 small head", "--head-dim 64 --freq-base 500000 --context 32768 --rope llama3:32"},
           {"YaRN", "--head-dim 128 --freq-base 1000000 --context 131072 --rope yarn:4:32768"}})
    for (const nlohmann::json &c : recorded["cases"]) {
      if (c["name"] != name)
        continue;
      SCOPED_TRACE(name);
      RopeTable table = tableOfModel("--family llama --layers 1 " + options, 1000);
      std::vector<double> expected = c["inverse_frequencies"];
      ASSERT_EQ(table.inverseFrequencies.size(), expected.size());
      for (size_t k = 0; k < expected.size(); ++k)
        EXPECT_NEAR(table.inverseFrequencies[k] / expected[k], 1, 1e-6) << "pair " << k;
      EXPECT_NEAR(table.attentionFactor / double(c["attention_factor_expected"]), 1, 1e-6);
      ++compared;
    }
  EXPECT_EQ(compared, 5u);
}

TEST(RopeTable, WindowLayersThatHaveABaseOfTheirOwnRotatePlainly) {
  const std::string family = "--family gemma3 --layers 2 --pattern 1,0 --window 16 --context 4096 --freq-base 100000";
  for (const char *rope : {" --rope linear:4", " --rope llama3:8", " --rope yarn:4:1024:1.3"}) {
    SCOPED_TRACE(rope);
    const RopeTable plain = tableOfModel(family, 128), scaled = tableOfModel(family + rope, 128);
    EXPECT_LT(scaled.inverseFrequencies.back(), plain.inverseFrequencies.back() * 0.5);
    const RopeTable local = tableOfModel(family + rope, 128, true);
    EXPECT_EQ(local.inverseFrequencies, tableOfModel(family, 128, true).inverseFrequencies);
    EXPECT_EQ(local.attentionFactor, 1);
  }
}

TEST(RopeTable, LongRopeFactorsOfACheckpointFollowTheContextOfTheRun) {
  const char *options = "--family phi3 --layers 1 --rope longrope:128:1.19 --context 4096 --freq-base 10000";
  RopeTable plain = tableOfModel("--family phi3 --layers 1 --freq-base 10000", 128);
  RopeTable within = tableOfModel(options, 128), beyond = tableOfModel(options, 129);
  EXPECT_NEAR(plain.inverseFrequencies.back() / within.inverseFrequencies.back(), 1.2, 1e-6);
  EXPECT_NEAR(plain.inverseFrequencies.back() / beyond.inverseFrequencies.back(), 8, 1e-6);
  EXPECT_NEAR(within.attentionFactor, 1.19, 1e-6);
}

TEST(RopeTable, PlainHalvesAtEachPair) {
  RopeTable table = ropeTable({RopeScheme::Default, /*base=*/16, /*dimensions=*/8});
  ASSERT_EQ(table.inverseFrequencies.size(), 4u);
  for (int k = 0; k < 4; ++k)
    EXPECT_DOUBLE_EQ(table.inverseFrequencies[k], std::pow(0.5, k));
  EXPECT_EQ(table.attentionFactor, 1);
}

TEST(RopeTable, LinearDividesEveryPair) {
  RopeTable table = ropeTable({RopeScheme::Linear, 16, 8, /*factor=*/4});
  for (int k = 0; k < 4; ++k)
    EXPECT_DOUBLE_EQ(table.inverseFrequencies[k], std::pow(0.5, k) / 4);
}

TEST(RopeTable, DynamicNtkLeavesTheFirstPairAndDividesTheLastByTheFactor) {
  RopeTableParameters p{RopeScheme::DynamicNtk, 16, 8, /*factor=*/3, /*trainedContext=*/100};
  p.sequenceLength = 100; // within the trained length: nothing changes
  EXPECT_DOUBLE_EQ(ropeTable(p).inverseFrequencies[3], 0.125);
  p.sequenceLength = 200; // 3 * 200 / 100 - 2 = 4 times slower at the last pair
  EXPECT_DOUBLE_EQ(ropeTable(p).inverseFrequencies[0], 1);
  EXPECT_NEAR(ropeTable(p).inverseFrequencies[3], 0.125 / 4, 1e-15);
}

TEST(RopeTable, Llama3KeepsFastPairsAndDividesSlowOnes) {
  RopeTableParameters p{RopeScheme::Llama3, 1e6, 64, /*factor=*/8};
  p.originalContext = 8192;
  RopeTable plain = ropeTable({RopeScheme::Default, 1e6, 64}), scaled = ropeTable(p);
  EXPECT_EQ(scaled.inverseFrequencies.front(), plain.inverseFrequencies.front());
  EXPECT_DOUBLE_EQ(scaled.inverseFrequencies.back(), plain.inverseFrequencies.back() / 8);
  for (size_t k = 1; k < 32; ++k)
    EXPECT_LT(scaled.inverseFrequencies[k], scaled.inverseFrequencies[k - 1]) << "pair " << k;
}

TEST(RopeTable, YarnKeepsFastPairsDividesSlowOnesAndSharpensAttention) {
  RopeTableParameters p{RopeScheme::Yarn, 1e6, 64, /*factor=*/4};
  p.originalContext = 32768;
  RopeTable plain = ropeTable({RopeScheme::Default, 1e6, 64}), scaled = ropeTable(p);
  EXPECT_EQ(scaled.inverseFrequencies.front(), plain.inverseFrequencies.front());
  EXPECT_DOUBLE_EQ(scaled.inverseFrequencies.back(), plain.inverseFrequencies.back() / 4);
  EXPECT_DOUBLE_EQ(scaled.attentionFactor, 0.1 * std::log(4.0) + 1);
  p.attentionFactor = 1.5;
  EXPECT_EQ(ropeTable(p).attentionFactor, 1.5);
}

// 5 positions are less than a turn of the first pair: high lies below low, and all pairs behind the first are slow.
TEST(RopeTable, YarnOfAContextBelowOneTurnDividesAllPairsButTheFirst) {
  RopeTableParameters p{RopeScheme::Yarn, 1e4, 22, /*factor=*/3};
  p.originalContext = 5;
  const RopeTable plain = ropeTable({RopeScheme::Default, 1e4, 22}), scaled = ropeTable(p);
  EXPECT_EQ(scaled.inverseFrequencies.front(), plain.inverseFrequencies.front());
  for (size_t k = 1; k < plain.inverseFrequencies.size(); ++k)
    EXPECT_DOUBLE_EQ(scaled.inverseFrequencies[k], plain.inverseFrequencies[k] / 3) << k;
}

TEST(RopeTable, LongRopeChoosesFactorsByLength) {
  RopeTableParameters p{RopeScheme::LongRope, 16, 4, /*factor=*/32};
  p.originalContext = 4096;
  p.shortFactors = {1, 2};
  p.longFactors = {4, 8};
  p.sequenceLength = 4096;
  EXPECT_DOUBLE_EQ(ropeTable(p).inverseFrequencies[1], 0.25 / 2);
  p.sequenceLength = 4097;
  EXPECT_DOUBLE_EQ(ropeTable(p).inverseFrequencies[1], 0.25 / 8);
  EXPECT_DOUBLE_EQ(ropeTable(p).attentionFactor, std::sqrt(1 + 5.0 / 12.0)); // log 32 / log 4096
}
