// What lies at positions that a row does not see reaches no row: not what another sequence has left in a block, not
// what was forgotten, not what a window has passed, not the later tokens of a step. NaN is what shows, since no weight
// of 0 makes it 0. All are compared with the same tokens, a step each, in memory that nobody had before.
#include "runtime/Session/Session.h"
#include "runtime/cpu/CpuDevice.h"
#include "runtime/emulated/EmulatedDevice.h"
#include "test/device/CompiledModel.h"
#include "test/device/CountingDevice.h"
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <map>

using namespace stepdown;
using namespace stepdown::test;

namespace {

constexpr int32_t kUnsound = 211, kVocabulary = 307; ///< a token whose keys and values are NaN
constexpr int kMost = 53, kWindow = 11;              ///< positions; what a row sees in a layer of windows
constexpr const char *kWhole = "--family llama --type Q8_0 --layers 1 --width 32 --heads 2 --kv-heads 1 --head-dim 16 "
                               "--ffn 32 --vocab 307 --context 127 --mix token_embd=F32 --unsound 211 --head untied";
constexpr const char *kWindows = "--family gemma3 --type Q8_0 --layers 2 --pattern 1,1 --window 11 --width 32 "
                                 "--heads 2 --kv-heads 1 --head-dim 16 --ffn 32 --vocab 307 --context 127 "
                                 "--mix token_embd=F32 --unsound 211 --head untied";

struct Case {
  const char *name, *device, *model, *options;
};

/// A session whose device tells where its cache lies, and its sequences.
struct Rows {
  std::shared_ptr<CountingDevice> device;
  std::unique_ptr<Session> session;

  explicit Rows(const Case &of) {
    const std::string chip = of.device;
    device = std::make_shared<CountingDevice>(chip == "cpu" ? makeCpuDevice() : makeEmulatedDevice(of.device));
    auto model = Model::load(compiledModel(of.model, of.options), device);
    EXPECT_TRUE(model) << model.error().text();
    Session::Options options;
    options.maxSequences = 3;
    options.threads = 1;
    session = std::move(*Session::create(*model, options));
  }
  int32_t begin() { return *session->createSequence(); }
  /// Every byte of the cache is 255, of which 8-bit floats, binary16 and float32 are NaN.
  void poison() {
    auto queue = std::move(*device->queue(1));
    for (const auto &[address, held] : device->living)
      if (held.purpose == "cache") {
        const std::vector<uint8_t> bytes(held.bytes, 255);
        ASSERT_TRUE(queue->upload(address, bytes.data(), bytes.size()));
        ASSERT_TRUE(queue->sync());
      }
  }
  /// The rows of `ids`, in one step.
  std::vector<std::vector<float>> step(int32_t sequence, const std::vector<int32_t> &ids) {
    std::vector<Session::Token> batch;
    for (int32_t id : ids)
      batch.push_back({sequence, id, true});
    EXPECT_TRUE(session->submit(batch.data(), batch.size()));
    const Status done = session->step();
    EXPECT_TRUE(done) << done.error().text();
    std::vector<std::vector<float>> rows;
    for (size_t i = 0; i < ids.size(); ++i)
      rows.emplace_back(session->logits(i), session->logits(i) + kVocabulary);
    return rows;
  }
};

/// Tokens [from, end) of the text, none of them the unsound one.
std::vector<int32_t> text(int from, int end) {
  std::vector<int32_t> ids;
  for (int i = from; i < end; ++i)
    ids.push_back(3 + 11 * i % 199);
  return ids;
}

/// The rows of the text, a step each, as far as somebody has asked.
struct Alone {
  Rows rows;
  int32_t sequence;
  std::vector<std::vector<float>> seen; ///< of each position

  explicit Alone(const Case &of) : rows(of), sequence(rows.begin()) {}
  const std::vector<float> &at(int position) {
    for (int next = int(seen.size()); next <= position; ++next) {
      seen.push_back(rows.step(sequence, text(next, next + 1)).front());
      EXPECT_TRUE(std::isfinite(seen.back()[0]));
    }
    return seen[position];
  }
};

struct HiddenPositions : testing::TestWithParam<Case> {
  static std::map<std::string, Alone> alone; ///< of each case

  static void TearDownTestSuite() { alone.clear(); }
  /// An emulated step takes a second: all of them only where the environment asks for it.
  bool isShort() const { return GetParam().device != std::string("cpu") && !getenv("STEPDOWN_LONG_HIDDEN"); }
  bool isOnMatrixUnits() const { return GetParam().device != std::string("cpu"); }
  /// That rows from position `first` on are those of the text; the last `others` are not looked at.
  void expectRows(int first, const std::vector<std::vector<float>> &rows, size_t others = 0) {
    for (size_t i = 0; i + others < rows.size(); ++i) {
      const std::vector<float> &own = alone.try_emplace(GetParam().name, GetParam()).first->second.at(first + int(i));
      EXPECT_EQ(std::memcmp(rows[i].data(), own.data(), kVocabulary * sizeof(float)), 0)
          << "position " << first + i << ", first number " << rows[i][0] << " for " << own[0];
    }
  }
};
std::map<std::string, Alone> HiddenPositions::alone;

TEST_P(HiddenPositions, whatLiesInFreshBlocksReachesNoRow) {
  Rows rows(GetParam());
  rows.poison();
  const int32_t sequence = rows.begin();
  int position = 0;
  // Tiles of tokens and single ones, windows that begin within 16 positions.
  for (int count : isShort() ? std::vector<int>{3, 1} : std::vector<int>{7, 1, 13, 2, 17}) {
    expectRows(position, rows.step(sequence, text(position, position + count)));
    position += count;
  }
  if (isShort())
    return;
  const int32_t other = *rows.session->fork(sequence); // has a copy of half a block
  for (int32_t each : {sequence, other})
    expectRows(position, rows.step(each, text(position, position + 13)));
}

TEST_P(HiddenPositions, whatASequenceLeavesInItsBlocksReachesNoOther) {
  if (isShort())
    GTEST_SKIP() << "STEPDOWN_LONG_HIDDEN is not set";
  Rows rows(GetParam());
  const int32_t first = rows.begin();
  EXPECT_TRUE(std::isnan(rows.step(first, std::vector<int32_t>(47, kUnsound)).back()[0]));
  rows.session->freeSequence(first);
  const int32_t second = rows.begin();
  expectRows(0, rows.step(second, text(0, 1)));
  expectRows(1, rows.step(second, text(1, 19)));
}

TEST_P(HiddenPositions, forgottenPositionsReachNoRow) {
  if (isShort())
    GTEST_SKIP() << "STEPDOWN_LONG_HIDDEN is not set";
  Rows rows(GetParam());
  const int32_t sequence = rows.begin();
  rows.step(sequence, text(0, 5));
  rows.step(sequence, std::vector<int32_t>(5, kUnsound));
  ASSERT_TRUE(rows.session->truncate(sequence, 5));
  const int32_t other = *rows.session->fork(sequence);
  expectRows(5, rows.step(sequence, text(5, 6)));
  expectRows(5, rows.step(other, text(5, 8)));
}

// A processor's tiles have four tokens.
TEST_P(HiddenPositions, laterTokensOfAStepReachNoRow) {
  if (isOnMatrixUnits())
    GTEST_SKIP() << "a block multiplies with the values of all its tokens: docs/decisions/models-on-devices.md";
  for (int before : {1, 2, 3, 4, 6}) {
    Rows rows(GetParam());
    std::vector<int32_t> ids = text(0, before);
    ids.insert(ids.end(), 2, kUnsound);
    expectRows(0, rows.step(rows.begin(), ids), 2);
  }
}

TEST_P(HiddenPositions, whatAWindowHasPassedReachesNoRow) {
  if (GetParam().model != kWindows)
    GTEST_SKIP() << "no windows";
  if (isOnMatrixUnits())
    GTEST_SKIP() << "a block multiplies with the values of all its tokens: docs/decisions/models-on-devices.md";
  if (isShort())
    GTEST_SKIP() << "STEPDOWN_LONG_HIDDEN is not set";
  Rows rows(GetParam());
  const int32_t sequence = rows.begin();
  std::vector<int32_t> ids = text(0, kMost);
  constexpr int kPassed = 2 * (kWindow - 1); // positions that two layers of windows see behind their own
  for (int i = 0; i < 17; ++i)
    ids[i] = kUnsound;
  auto all = rows.step(sequence, {ids.begin(), ids.begin() + 41});
  EXPECT_TRUE(std::isnan(all[16 + kPassed][0]));
  all.erase(all.begin(), all.begin() + 17 + kPassed);
  ASSERT_EQ(all.size(), 4u);
  expectRows(17 + kPassed, all);
  for (int i = 41; i < kMost; ++i)
    expectRows(i, rows.step(sequence, {ids[i]}));
}

constexpr const char *kEvery = "--target=cpu,emulated:sm_90a,emulated:gfx942";
INSTANTIATE_TEST_SUITE_P(Caches, HiddenPositions,
                         testing::Values(Case{"f32", "cpu", kWhole, "--target=cpu --kv-type=f32"},
                                         Case{"q8_0", "cpu", kWindows, "--target=cpu --kv-type=q8_0"},
                                         Case{"fp8_e4m3", "cpu", kWindows, "--target=cpu --kv-type=fp8_e4m3"},
                                         Case{"f16", "cpu", kWindows, kEvery},
                                         Case{"sm_90a", "emulated:sm_90a", kWindows, kEvery},
                                         Case{"gfx942", "emulated:gfx942", kWindows, kEvery}),
                         [](auto &each) { return std::string(each.param.name); });

} // namespace
