// Where each pre-tokenizer cuts a text. The pieces were found by following the pattern by hand.
#include "lib/Text/Tokenizer/PreTokenizers.h"

#include <algorithm>
#include <ctime>
#include <gtest/gtest.h>

namespace stepdown {
namespace {

/// The pieces with a bar between.
std::string cut(std::string_view name, std::string_view text) {
  const PreTokenizer *row = findPreTokenizer(name);
  if (!row)
    return "unknown";
  Result<std::unique_ptr<WordSplitter>> splitter = WordSplitter::create(*row);
  if (!splitter)
    return splitter.error().text();
  std::vector<std::string_view> words;
  uint64_t steps = 0;
  Status ok = (*splitter)->split(text, words, steps);
  if (!ok)
    return ok.error().text();
  std::string out;
  for (std::string_view word : words) {
    EXPECT_FALSE(word.empty());
    out += out.empty() ? "" : "|";
    out += word;
  }
  return out;
}

TEST(PreTokenizers, KnowTheirNamesAndNoOthers) {
  std::vector<std::string_view> names = preTokenizerNames();
  EXPECT_GE(names.size(), 69u);
  for (size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ(cut(names[i], "a").find("error"), std::string::npos) << cut(names[i], "a");
    EXPECT_EQ(std::count(names.begin(), names.end(), names[i]), 1) << names[i];
  }
  EXPECT_EQ(findPreTokenizer("gpt-5"), nullptr);
  EXPECT_EQ(findPreTokenizer(""), nullptr);
  EXPECT_EQ(findPreTokenizer("GPT-2"), nullptr);
  // Kept matches of a tokenizer.json: all of a text where the pattern stands alone and ends in white space.
  const std::string llama3 = findPreTokenizer("llama3")->patterns.front(),
                    bloom = findPreTokenizer("bloom")->patterns.front();
  EXPECT_EQ(findPreTokenizer(std::vector<std::string>{"Keep " + llama3}), findPreTokenizer("llama3"));
  EXPECT_EQ(findPreTokenizer(std::vector<std::string>{"Split " + bloom}), findPreTokenizer("bloom"));
  EXPECT_EQ(findPreTokenizer(std::vector<std::string>{"Keep " + bloom}), nullptr);
  EXPECT_EQ(findPreTokenizer({"Split \\p{N}", "Keep " + findPreTokenizer("gpt-2")->patterns.front() + "|\\s+"}),
            nullptr);
}

TEST(PreTokenizers, Gpt2) {
  EXPECT_EQ(cut("gpt-2", "I've 2024  years!\n x"), "I|'ve| 2024| | years|!|\n| x");
  EXPECT_EQ(cut("gpt-2", "I'VE"), "I|'|VE");
  EXPECT_EQ(cut("mpt", "a   "), "a|   ");
  EXPECT_EQ(cut("olmo", "\tx"), "\t|x");
}

TEST(PreTokenizers, SmollmCutsDigitsFirst) {
  EXPECT_EQ(cut("smollm", "in 2024."), "in| |2|0|2|4|.");
  EXPECT_EQ(cut("starcoder", "x\u00bd"), "x|\u00bd");
}

TEST(PreTokenizers, Llama3) {
  EXPECT_EQ(cut("llama-bpe", "I'VE 20245\n\n (x)"), "I|'VE| |202|45|\n\n| (|x|)");
  EXPECT_EQ(cut("llama3", "a.\n\nb"), "a|.\n\n|b");
  EXPECT_EQ(cut("dbrx", "  \n  x"), "  \n| | x");
  EXPECT_EQ(cut("llama3", "-word"), "-word");
}

TEST(PreTokenizers, Qwen2) {
  EXPECT_EQ(cut("qwen2", "I'll 2024"), "I|'ll| |2|0|2|4");
  EXPECT_EQ(cut("qwen2", "e\u0301a"), "e|\u0301a");
  EXPECT_EQ(cut("qwen35", "e\u0301a"), "e\u0301a");
}

TEST(PreTokenizers, FalconAndDefault) {
  EXPECT_EQ(cut("falcon", "a$1 12345`"), "a|$|1| |123|45|`");
  EXPECT_EQ(cut("falcon", "123456"), "123|456");
  EXPECT_EQ(cut("default", "x 1234"), "x| |123|4");
  EXPECT_EQ(cut("default", "a`b"), "a|`|b");
}

TEST(PreTokenizers, DeepSeek) {
  EXPECT_EQ(cut("deepseek-coder", "a\nb, \u4e2d\u6587"
                                  "12"),
            "a|\n|b|,| |\u4e2d\u6587|1|2");
  EXPECT_EQ(cut("deepseek-llm", "ab \u4e2d\u6587 12!  "), "ab| |\u4e2d\u6587| |12|!|  ");
  EXPECT_EQ(cut("deepseek-llm", "   \u4e2d  "), "   |\u4e2d|  ");
  EXPECT_EQ(cut("deepseek-v3", "12345 foo.bar \u4e2d\u6587"), "123|45| foo|.bar| |\u4e2d\u6587");
}

TEST(PreTokenizers, Gpt4oSplitsWhereCaseRises) {
  EXPECT_EQ(cut("gpt-4o", "HelloWorld ABCd'll 1234"), "Hello|World| ABCd'll| |123|4");
  EXPECT_EQ(cut("gpt-4o", "a /\n/x"), "a| /\n/|x");
  EXPECT_EQ(cut("tekken", "Hello'll 12"), "Hello|'ll| |1|2");
}

TEST(PreTokenizers, BloomAndViking) {
  EXPECT_EQ(cut("bloom", "foo12 bar, (x)"), "foo12| bar|, (|x|)");
  EXPECT_EQ(cut("viking", "foo12"), "foo|1|2");
}

TEST(PreTokenizers, SuperbpeGroupsDigitsFromTheRight) {
  EXPECT_EQ(cut("superbpe", "a b 1234567 12"), "a b |1|234|567| |12");
  EXPECT_EQ(cut("superbpe", "123456"), "123|456");
  EXPECT_EQ(cut("superbpe", "1234\u00bd"
                            "123"),
            "1|234\u00bd|123");
}

TEST(PreTokenizers, OthersOfTheirOwn) {
  EXPECT_EQ(cut("bailingmoe", "I'LL 12"), "I|'LL| |1|2");
  EXPECT_EQ(cut("gemma4", "a b\n\nc"), "a b|\n\n|c");
}

TEST(PreTokenizers, WhiteSpaceIsUnicodes) {
  EXPECT_EQ(cut("gpt-2", "a\u0085\u0085"
                         "b"),
            "a|\u0085|\u0085|b");
  // U+180E was white space once and is none now.
  EXPECT_EQ(cut("gpt-2", "a\u180e"
                         "b"),
            "a|\u180e|b");
  EXPECT_EQ(cut("llama3", " \u180e"), " \u180e");
}

TEST(PreTokenizers, SeeNothingBeyondTheirPiece) {
  // The space before a digit is the end of its piece, so the lookahead finds no word after it.
  EXPECT_EQ(cut("smollm", "a  1"), "a|  |1");
}

double threadSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// What PCRE2 backtracks over counts in no steps of ours, so this takes a clock: runs of all kinds, and runs that end
/// in what the pattern did not hope for, four times as long.
TEST(PreTokenizers, TakeLinearTimeForRuns) {
  const char *const runs[] = {" ",       "\n",     "\r\n",   "a",      "A",   "7",   "'",  "'s", ".", "\u0301",
                              "e\u0301", "\u4e2d", "\u0e01", "\u00b2", " \n", "\n ", "aA", "1,", "-", "_ "};
  const char *const ends[] = {"", "x", "\n", "!"};
  for (std::string_view name : preTokenizerNames()) {
    Result<std::unique_ptr<WordSplitter>> splitter = WordSplitter::create(*findPreTokenizer(name));
    ASSERT_TRUE(splitter) << name;
    for (const char *run : runs)
      for (const char *end : ends) {
        auto seconds = [&](size_t bytes) {
          std::string text;
          while (text.size() < bytes)
            text += run;
          text += end;
          std::vector<std::string_view> words;
          uint64_t steps = 0;
          const double start = threadSeconds();
          Status ok = (*splitter)->split(text, words, steps);
          EXPECT_TRUE(ok) << name << ": " << run << end << ": " << ok.error().text();
          return threadSeconds() - start;
        };
        if (double small = seconds(5003); small > 0.005) // 1 us a byte is no longer the work of one pass
          EXPECT_LT(seconds(20011), 8 * std::min(small, seconds(5003)))
              << name << ": '" << run << "' and '" << end << "'";
      }
  }
}

} // namespace
} // namespace stepdown
