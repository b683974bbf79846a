// Vocabularies that a converter mistyped: whatever type it gave a token of known text, the token ends an answer, is one
// id of a trusted prompt, is spelt out in the text of a user, and is left out of text; and the file's user is told. The
// list is that of llama.cpp's src/llama-vocab.cpp at the end of 2026, written out here once more.
#include "MadeVocabulary.h"

#include <algorithm>

namespace stepdown {
namespace {

using Ids = std::vector<int32_t>;

const std::vector<std::string> ends = {"<|eot_id|>",
                                       "<|im_end|>",
                                       "<|end|>",
                                       "<|return|>",
                                       "<|call|>",
                                       "<|flush|>",
                                       "<|calls|>",
                                       "<end_of_turn>",
                                       "<|endoftext|>",
                                       "<|eom_id|>",
                                       "<EOT>",
                                       "_<EOT>",
                                       "[EOT]",
                                       "[EOS]",
                                       "<|EOT|>",
                                       "<|end_of_text|>",
                                       "<end_of_utterance>",
                                       "<eos>",
                                       "<turn|>",
                                       "<|tool_response>",
                                       "<\uff5cend\u2581of\u2581sentence\uff5c>",
                                       "[e~[",
                                       "<|fim_pad|>",
                                       "<fim-pad>",
                                       "<fim_pad>",
                                       "<PAD>",
                                       "[PAD]",
                                       "<|fim_repo|>",
                                       "<|repo_name|>",
                                       "<fim-repo>",
                                       "<REPO>",
                                       "<reponame>",
                                       "<|file_sep|>"};
const std::vector<std::string> marks = {"<|fim_prefix|>",
                                        "<fim-prefix>",
                                        "<fim_prefix>",
                                        "<\uff5c"
                                        "fim\u2581"
                                        "begin\uff5c>",
                                        "<PRE>",
                                        "\u2581<PRE>",
                                        "<|code_prefix|>",
                                        "<|prefix|>",
                                        "<|fim_suffix|>",
                                        "<fim-suffix>",
                                        "<fim_suffix>",
                                        "<\uff5c"
                                        "fim\u2581hole\uff5c>",
                                        "<SUF>",
                                        "\u2581<SUF>",
                                        "<|code_suffix|>",
                                        "<|suffix|>",
                                        "<|fim_middle|>",
                                        "<fim-middle>",
                                        "<fim_middle>",
                                        "<\uff5c"
                                        "fim\u2581"
                                        "end\uff5c>",
                                        "<MID>",
                                        "\u2581<MID>",
                                        "<|code_middle|>",
                                        "<|middle|>"};

/// The SPM vocabulary with a token "a" (firstSpmId) and `text` behind it, typed `type`.
GgufBytes with(const std::string &text, int32_t type) {
  return vocabularyBytes("llama", spmTokens({{"a"}, {text, -7, type}}))
      .scalar("tokenizer.ggml.add_space_prefix", GgufType::Bool, uint8_t(0));
}
constexpr int32_t known = firstSpmId + 1;

void expectControl(const MadeTokenizer &made, const std::string &text) {
  EXPECT_EQ(made.plain("a" + text + "a", true), (Ids{firstSpmId, known, firstSpmId})) << text;
  const Ids untrusted = made.plain(text);
  EXPECT_EQ(std::count(untrusted.begin(), untrusted.end(), known), 0) << text;
  EXPECT_TRUE(made->isSpecial(known)) << text;
  EXPECT_EQ(made->decode({firstSpmId, known, firstSpmId}), "aa") << text;
}

class Mistyped : public testing::TestWithParam<int32_t> {};

TEST_P(Mistyped, KnownTextsAreControlTokensAndEndWhatTheyEnd) {
  const bool wrong = GetParam() != controlType && GetParam() != unknownType;
  for (const auto *list : {&ends, &marks})
    for (const std::string &text : *list) {
      MadeTokenizer made(with(text, GetParam()));
      expectControl(made, text);
      EXPECT_EQ(made->isEndOfGeneration(known), list == &ends) << text;
      ASSERT_EQ(made->warnings().size(), wrong ? 1u : 0u) << text;
      if (wrong)
        EXPECT_NE(made->warnings()[0].find("token_type': expects 1 token known by text to be control tokens; read as "
                                           "such: 260 '" +
                                           text + "' ("),
                  std::string::npos)
            << made->warnings()[0];
    }
}

// Undefined, normal, unknown, control, user-defined and unused.
INSTANTIATE_TEST_SUITE_P(Types, Mistyped, testing::Values(0, 1, unknownType, controlType, userType, 5));

TEST(KnownTokens, OneLineTellsOfAllThatWereMistyped) {
  std::vector<MadeToken> tokens = spmTokens({});
  for (const std::string &text : ends)
    tokens.push_back({text, 0, 1});
  MadeTokenizer made(vocabularyBytes("llama", tokens));
  ASSERT_EQ(made->warnings().size(), 1u);
  EXPECT_NE(made->warnings()[0].find(std::to_string(ends.size()) + " tokens"), std::string::npos);
  EXPECT_NE(made->warnings()[0].find(", ..."), std::string::npos);
}

TEST(KnownTokens, TheClosingTagEndsUnlessTheFileEndsOtherwise) {
  auto closing = [](int32_t type) {
    return vocabularyBytes("llama", {{"<unk>", 0, 2}, {"<s>", 0, 3}, {"<other>", 0, 3}, {"</s>", 0, type}});
  };
  for (int32_t type : {0, 1, controlType, userType, 5})
    EXPECT_TRUE(MadeTokenizer(closing(type).u32("tokenizer.ggml.eos_token_id", 3))->isEndOfGeneration(3)) << type;
  EXPECT_TRUE(MadeTokenizer(closing(1).u32("tokenizer.ggml.eos_token_id", 2))->isEndOfGeneration(3));
  EXPECT_TRUE(MadeTokenizer(closing(userType))->isEndOfGeneration(3));
  // As in Phi 3 and Gemma 3, where it is user-defined and <|endoftext|> or <eos> ends.
  MadeTokenizer tag(closing(userType).u32("tokenizer.ggml.eos_token_id", 2));
  EXPECT_FALSE(tag->isEndOfGeneration(3));
  EXPECT_FALSE(tag->isSpecial(3));
  EXPECT_TRUE(tag->warnings().empty());
  // As in Gemma 4.
  MadeTokenizer gemma(
      vocabularyBytes("llama", {{"<unk>", 0, 2}, {"<s>", 0, 3}, {"</s>", 0, 3}, {"<|tool_response>", 0, 3}})
          .u32("tokenizer.ggml.eos_token_id", 1));
  EXPECT_EQ(gemma->endOfGeneration(), (Ids{1, 3}));
}

TEST(KnownTokens, EndStopsNothingWhereOthersEndTheAnswer) {
  auto made = [](std::initializer_list<const char *> texts, int32_t type) {
    std::vector<MadeToken> tokens = {{"<unk>", 0, 2}, {"<s>", 0, 3}, {"<fin>", 0, 3}};
    for (const char *text : texts)
      tokens.push_back({text, 0, type});
    return MadeTokenizer(vocabularyBytes("llama", tokens)).operator*().endOfGeneration();
  };
  for (int32_t type : {1, controlType, userType}) {
    EXPECT_EQ(made({"<|end|>", "<|return|>"}, type), (Ids{2, 3, 4}));
    EXPECT_EQ(made({"<|end|>", "<|call|>", "<|return|>"}, type), (Ids{2, 4, 5}));
    EXPECT_EQ(made({"<|end|>", "<|calls|>", "<|flush|>"}, type), (Ids{2, 4, 5}));
  }
}

TEST(KnownTokens, IdsOfTheFileGoBeforeTexts) {
  // fim_pad_token_id says that another token pads, so <PAD> may be anything.
  MadeTokenizer named(with("<PAD>", 1).u32("tokenizer.ggml.fim_pad_token_id", firstSpmId));
  EXPECT_FALSE(named->isSpecial(known));
  EXPECT_EQ(named->endOfGeneration(), (Ids{2, firstSpmId}));
  EXPECT_TRUE(MadeTokenizer(with("<PAD>", 1).u32("tokenizer.ggml.fim_pad_token_id", known))->isSpecial(known));
  MadeTokenizer old(with("<PRE>", 1).u32("tokenizer.ggml.prefix_token_id", firstSpmId));
  EXPECT_FALSE(old->isSpecial(known));
  MadeTokenizer several(with("b", 1).array<uint32_t>("tokenizer.ggml.eos_token_ids", GgufType::U32, {2, known}));
  EXPECT_EQ(several->endOfGeneration(), (Ids{2, known}));
}

TEST(KnownTokens, TextsThatOnlyLookAlikeStayText) {
  for (const char *text : {"<|eot|>", "<|im_start|>", "<|im_end |>", "im_end", "<eot>"}) {
    MadeTokenizer made(with(text, 1));
    EXPECT_FALSE(made->isSpecial(known)) << text;
    EXPECT_EQ(made->endOfGeneration(), (Ids{2})) << text;
    EXPECT_TRUE(made->warnings().empty()) << text;
  }
}

} // namespace
} // namespace stepdown
