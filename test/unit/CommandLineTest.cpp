// The option table: what a command line is taken for, what is refused, and what is meant by what was typed.
#include "lib/CommandLine/CommandLine.h"
#include "lib/Base/Suggestion.h"
#include <gtest/gtest.h>

using namespace stepdown;
using namespace stepdown::commandline;

namespace {

Tool tool() {
  Command command{"draw",
                  "MODEL",
                  "Draws.",
                  {{nullptr, 0, nullptr, "What is drawn"},
                   Option("max-tokens", 'n', "N", "tokens at most").whole(0, 99).by("7"),
                   Option("tokens", 0, "1,2", "ids").whole(0, 50).lists(),
                   Option("warmth", 'w', "T", "how warm").real().by("0.5"),
                   Option("kind", 0, "KIND", "which").oneOf({"plain", "striped"}).by("plain"),
                   Option("order", 0, "LIST", "steps").oneOf({"first", "second"}).lists(),
                   Option("device", 0, "NAME", "where").among({"cpu"}),
                   Option("stop", 0, "TEXT", "end there").repeats(),
                   Option("explain", 0, "FORM", "tell why").oneOf({"text", "json"}).orBare("text"),
                   Option("output", 'o', "FILE", "where to").file(),
                   {"exact", 0, nullptr, "no rounding"}},
                  "tool draw x",
                  nullptr};
  return {"tool", "draw", "It draws.", "tool 1", {command}};
}

struct CommandLine : testing::Test {
  const Tool table = tool();
  Result<Arguments> parse(const std::vector<const char *> &words) const {
    return Arguments::parse(table, table.commands[0], int(words.size()), words.data());
  }
  std::string refusal(const std::vector<const char *> &words) const {
    auto arguments = parse(words);
    if (arguments)
      return "";
    EXPECT_EQ(arguments.error().code, ErrorCode::Usage);
    return arguments.error().message;
  }
};

TEST_F(CommandLine, takesValuesHoweverTheyAreWritten) {
  for (auto words : {std::vector<const char *>{"m", "-n", "13"},
                     {"-n13", "m"},
                     {"--max-tokens", "13", "m"},
                     {"--max-tokens=13", "m"},
                     {"-n", "3", "m", "-n", "13"}}) {
    auto arguments = parse(words);
    ASSERT_TRUE(arguments) << arguments.error().message;
    EXPECT_EQ(arguments->integer("max-tokens"), 13);
    EXPECT_EQ(arguments->positionals(1)->at(0), "m");
  }
  auto arguments = parse({"--", "-n", "--exact"});
  ASSERT_TRUE(arguments);
  EXPECT_EQ(arguments->positionals(2)->at(1), "--exact");
  EXPECT_FALSE(arguments->has("exact"));
}

TEST_F(CommandLine, givesTheDefaultsOfTheTable) {
  auto arguments = parse({"m"});
  ASSERT_TRUE(arguments);
  EXPECT_EQ(arguments->integer("max-tokens"), 7);
  EXPECT_EQ(arguments->real("warmth"), 0.5);
  EXPECT_EQ(arguments->value("kind"), "plain");
  EXPECT_EQ(arguments->integers("tokens"), std::vector<int64_t>{});
  EXPECT_EQ(arguments->value("explain"), "");
  EXPECT_FALSE(arguments->has("max-tokens"));
  EXPECT_EQ(parse({"--explain", "m"})->value("explain"), "text") << "takes no next word for its value";
  EXPECT_EQ(parse({"--explain", "m"})->positionals(1)->at(0), "m");
  EXPECT_EQ(parse({"--explain=json"})->value("explain"), "json");
  EXPECT_EQ(parse({"--stop", "a", "--stop=b"})->all("stop"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(parse({"--tokens", "3,1,47"})->integers("tokens"), (std::vector<int64_t>{3, 1, 47}));
}

TEST_F(CommandLine, refusesWhatTheTableDoesNotAllow) {
  EXPECT_EQ(refusal({"--colour"}), "draw: expects an option that it knows, but got --colour; see tool draw --help");
  EXPECT_EQ(refusal({"-n"}), "draw: expects N after -n, but nothing follows; see tool draw --help");
  EXPECT_EQ(refusal({"-n", "100"}),
            "draw: expects a whole number from 0 to 99 for --max-tokens, but got \"100\"; see tool draw --help");
  for (const char *wrong : {"", " 1", "1x", "1.5", "-1", "99999999999999999999"})
    EXPECT_NE(refusal({"-n", wrong}), "") << wrong;
  EXPECT_NE(refusal({"--tokens=1,,2"}), "");
  EXPECT_NE(refusal({"--tokens=51"}), "");
  EXPECT_NE(refusal({"--warmth", "nan"}), "");
  EXPECT_NE(refusal({"--exact=1"}), "");
  EXPECT_NE(refusal({"-o", ""}), "");
  EXPECT_NE(refusal({"--explain=yaml"}), "");
  EXPECT_EQ(refusal({"--device", "moon"}), "") << "refused where it is used";
}

TEST_F(CommandLine, saysWhatWasMeant) {
  EXPECT_NE(refusal({"--max-token", "1"}).find("; did you mean --max-tokens?"), std::string::npos);
  EXPECT_NE(refusal({"--wramth=1"}).find("; did you mean --warmth?"), std::string::npos);
  EXPECT_NE(refusal({"--kind", "stripped"}).find("; did you mean striped?"), std::string::npos);
  EXPECT_NE(refusal({"--order=first,secnd"}).find("; did you mean second?"), std::string::npos);
  EXPECT_EQ(refusal({"--kind", "dotted"}).find("did you mean"), std::string::npos);
}

TEST(Suggestion, countsEditsAndSwaps) {
  EXPECT_EQ(editDistance("", "abc"), 3u);
  EXPECT_EQ(editDistance("kitten", "sitting"), 3u);
  EXPECT_EQ(editDistance("generate", "genrate"), 1u);
  EXPECT_EQ(editDistance("ab", "ba"), 1u);
  EXPECT_EQ(editDistance("abcd", "badc"), 2u);
}

TEST(Suggestion, isNothingWhereNothingIsLikeIt) {
  const std::vector<std::string> names = {"generate", "chat", "eval", "bench", "x86-64-v3", "x86-64-v4-vnni"};
  EXPECT_EQ(closest("genrate", names), "generate");
  EXPECT_EQ(closest("x86-64-v4", names), "x86-64-v4-vnni");
  EXPECT_EQ(closest("gen", names), "generate");
  EXPECT_EQ(closest("x86", names), "") << "two begin like that";
  EXPECT_EQ(closest("walk", names), "");
  EXPECT_EQ(closest("", names), "");
  EXPECT_EQ(closest(std::string(100000, 'g'), names), "");
}

TEST_F(CommandLine, helpAndManualTellDefaultsAndLimits) {
  for (const std::string &text : {helpText(table, table.commands[0]), manualPage(table)}) {
    EXPECT_NE(text.find("tokens at most (0 to 99; default 7)"), std::string::npos) << text;
    EXPECT_NE(text.find("which: plain or striped (default plain)"), std::string::npos) << text;
    EXPECT_NE(text.find("end there (repeatable)"), std::string::npos) << text;
  }
}

} // namespace
