#include "lib/Text/TextStream.h"
#include "runtime/Load/Model.h"
#include "test/unit/ToyModel.h"
#include <gtest/gtest.h>
#include <random>

using namespace stepdown;

namespace {

struct Text : testing::Test {
  test::ArtifactBuilder builder = test::ToyModel().build();
  std::string bytes;
  std::optional<Tokenizer> tokenizer;
  void SetUp() override {
    std::vector<uint8_t> section = builder.metadataSection();
    bytes.assign(section.begin(), section.end());
    auto metadata = parseMetadata("toy", bytes);
    ASSERT_TRUE(metadata) << metadata.error().message;
    auto made = Tokenizer::create(*metadata);
    ASSERT_TRUE(made) << made.error().message;
    tokenizer.emplace(std::move(*made));
  }
  static std::vector<int32_t> ids(const std::string &letters) {
    std::vector<int32_t> ids;
    for (char c : letters)
      ids.push_back(c == ' ' ? 3 : 4 + c - 'a');
    return ids;
  }
};

TEST_F(Text, aStopStringAcrossTokensNeverShows) {
  TextStream stream(*tokenizer, {"stop"});
  std::string shown;
  for (int32_t id : ids("go sto stop on"))
    shown += stream.push(id);
  EXPECT_TRUE(stream.stopped());
  EXPECT_EQ(shown + stream.finish(), "go sto ");
}

TEST_F(Text, theEarliestOfSeveralStopsWins) {
  TextStream stream(*tokenizer, {"cd", "bc"});
  std::string shown;
  for (int32_t id : ids("abcd"))
    shown += stream.push(id);
  EXPECT_EQ(shown, "a");
}

TEST_F(Text, aBeginningThatComesToNothingIsShown) {
  TextStream stream(*tokenizer, {"aab"});
  std::string shown;
  for (int32_t id : ids("aaac"))
    shown += stream.push(id);
  EXPECT_EQ(shown, "aaac");
  shown += stream.push(4);
  EXPECT_EQ(shown, "aaac");
  EXPECT_EQ(stream.finish(), "a");
}

// Against a search of the whole text: two letters only, so that beginnings overlap.
TEST_F(Text, findsWhatASearchOfTheWholeTextFinds) {
  std::mt19937 random(11);
  auto letters = [&](size_t n) {
    std::string text(n, 'a');
    for (char &c : text)
      c = random() % 3 ? 'a' : 'b';
    return text;
  };
  for (int round = 0; round < 2000; ++round) {
    std::string text = letters(29), stop = letters(1 + random() % 7);
    TextStream stream(*tokenizer, {stop, ""});
    std::string shown;
    for (int32_t id : ids(text))
      shown += stream.push(id);
    shown += stream.finish();
    ASSERT_EQ(shown, text.substr(0, text.find(stop))) << text << " stopped by " << stop;
    ASSERT_EQ(stream.stopped(), text.find(stop) != std::string::npos);
  }
}

// The text fits the stop string up to its last letter, again and again: 10^5 letters against 10^5 are 10^10 pairs.
TEST_F(Text, aStopStringThatNearlyFitsTakesTimeOfTheTextAlone) {
  const size_t length = 100003;
  TextStream stream(*tokenizer, {std::string(length, 'a') + "b"});
  size_t shown = 0;
  for (int32_t id : ids(std::string(2 * length, 'a') + "c"))
    shown += stream.push(id).size();
  EXPECT_EQ(shown, 2 * length + 1);
}

TEST_F(Text, halfACodePointWaits) {
  TextStream stream(*tokenizer, {});
  EXPECT_EQ(stream.push(30), "");
  EXPECT_EQ(stream.push(31), "");
  EXPECT_EQ(stream.push(32), "\xe2\x82\xac");
  EXPECT_EQ(stream.push(30), "");
  EXPECT_EQ(stream.finish(), "\xef\xbf\xbd");
}

} // namespace
