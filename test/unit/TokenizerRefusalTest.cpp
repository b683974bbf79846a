// Every way in which the tokenizer keys of a file can be wrong is refused with its own number, and the message names
// file, key, what was expected and what is there.
#include "MadeVocabulary.h"

#include <functional>
#include <sys/mman.h>

namespace stepdown {
namespace {

struct Refusal {
  const char *name;
  ErrorCode code;
  std::vector<std::string> words; // all in the message
  std::function<GgufBytes()> file;
};

std::vector<MadeToken> letters(int count) {
  std::vector<MadeToken> tokens;
  for (int i = 0; i < count; ++i)
    tokens.push_back({std::string(1, static_cast<char>('a' + i))});
  return tokens;
}

GgufBytes gpt2(const std::vector<std::string> &merges) {
  return vocabularyBytes("gpt2", letters(12))
      .text("tokenizer.ggml.pre", "gpt-2")
      .strings("tokenizer.ggml.merges", merges);
}

GgufBytes llama(const std::vector<MadeToken> &extra = {}) { return vocabularyBytes("llama", spmTokens(extra)); }

/// A vocabulary whose arrays the caller adds.
GgufBytes bare(const std::string &model) {
  return GgufBytes()
      .text("tokenizer.ggml.model", model)
      .strings("tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "a"});
}

const std::vector<Refusal> &refusals() {
  static const std::vector<Refusal> all = {
      // 32: special ids, written and by default
      {"BosOutside",
       ErrorCode::SpecialTokenRange,
       {"tokenizer.ggml.bos_token_id", "below the 259 tokens", "but got 259"},
       [] { return llama().u32("tokenizer.ggml.bos_token_id", 259); }},
      {"EosHuge",
       ErrorCode::SpecialTokenRange,
       {"tokenizer.ggml.eos_token_id", "but got 4294967295"},
       [] { return llama().u32("tokenizer.ggml.eos_token_id", UINT32_MAX); }},
      {"UnknownHuge64",
       ErrorCode::SpecialTokenRange,
       {"tokenizer.ggml.unknown_token_id", "but got 4294967296"},
       [] { return llama().scalar("tokenizer.ggml.unknown_token_id", GgufType::U64, uint64_t(1) << 32); }},
      {"MaskOutside",
       ErrorCode::SpecialTokenRange,
       {"tokenizer.ggml.mask_token_id"},
       [] { return llama().u32("tokenizer.ggml.mask_token_id", 300); }},
      {"NegativeId",
       ErrorCode::MetadataType,
       {"tokenizer.ggml.bos_token_id", "-1"},
       [] { return llama().scalar("tokenizer.ggml.bos_token_id", GgufType::I32, int32_t(-1)); }},
      {"TextAsId",
       ErrorCode::MetadataType,
       {"tokenizer.ggml.eot_token_id", "string"},
       [] { return llama().text("tokenizer.ggml.eot_token_id", "</s>"); }},
      {"DefaultBosOutside",
       ErrorCode::SpecialTokenRange,
       {"tokenizer.ggml.bos_token_id", "default 11", "11 tokens"},
       [] {
         return vocabularyBytes("gpt2", letters(11))
             .text("tokenizer.ggml.pre", "gpt-2")
             .strings("tokenizer.ggml.merges", {});
       }},
      {"DefaultEosOutside",
       ErrorCode::SpecialTokenRange,
       {"tokenizer.ggml.eos_token_id", "default 2"},
       [] { return vocabularyBytes("llama", letters(2)); }},
      {"DefaultClsOutside",
       ErrorCode::SpecialTokenRange,
       {"default 100"},
       [] { return vocabularyBytes("bert", letters(5)); }},
      {"DefaultUnknownOutside",
       ErrorCode::SpecialTokenRange,
       {"tokenizer.ggml.unknown_token_id", "default 2"},
       [] { return vocabularyBytes("t5", letters(2)); }},
      {"SuppressedOutside",
       ErrorCode::SpecialTokenRange,
       {"tokenizer.ggml.suppress_tokens", "element 1", "but got 259"},
       [] { return llama().array<int32_t>("tokenizer.ggml.suppress_tokens", GgufType::I32, {0, 259}); }},
      {"SuppressedNegative",
       ErrorCode::SpecialTokenRange,
       {"element 0", "but got -1"},
       [] { return llama().array<int32_t>("tokenizer.ggml.suppress_tokens", GgufType::I32, {-1}); }},
      // 33: arrays shorter than the tokens
      {"ScoresShort",
       ErrorCode::TokenArrayShort,
       {"tokenizer.ggml.scores", "4 tokens", "but got 3"},
       [] { return bare("llama").array<float>("tokenizer.ggml.scores", GgufType::F32, {0, 0, 0}); }},
      {"ScoresMissing", ErrorCode::MetadataMissing, {"tokenizer.ggml.scores"}, [] { return bare("llama"); }},
      {"TypesShort",
       ErrorCode::TokenArrayShort,
       {"tokenizer.ggml.token_type", "4 tokens", "but got 1"},
       [] {
         return bare("llama")
             .array<float>("tokenizer.ggml.scores", GgufType::F32, {0, 0, 0, 0})
             .array<int32_t>("tokenizer.ggml.token_type", GgufType::I32, {1});
       }},
      // 34: other element types
      {"ScoresOfBytes",
       ErrorCode::TokenArrayType,
       {"expects an array of f32 or i32, but got an array of u8"},
       [] { return bare("llama").array<uint8_t>("tokenizer.ggml.scores", GgufType::U8, {0, 0, 0, 0}); }},
      {"ScoresOfTexts",
       ErrorCode::TokenArrayType,
       {"tokenizer.ggml.scores"},
       [] { return bare("llama").strings("tokenizer.ggml.scores", {"0", "0", "0", "0"}); }},
      {"ScoresNoArray",
       ErrorCode::TokenArrayType,
       {"tokenizer.ggml.scores", "but got f32"},
       [] { return bare("llama").f32("tokenizer.ggml.scores", 0); }},
      {"UnusedScoresOfTexts",
       ErrorCode::TokenArrayType,
       {"tokenizer.ggml.scores"},
       [] { return bare("gpt2").strings("tokenizer.ggml.scores", {"0", "0", "0", "0"}); }},
      {"TypesOfFloats",
       ErrorCode::TokenArrayType,
       {"tokenizer.ggml.token_type", "i32"},
       [] { return bare("gpt2").array<float>("tokenizer.ggml.token_type", GgufType::F32, {1, 1, 1, 1}); }},
      {"TypesOfLongs",
       ErrorCode::TokenArrayType,
       {"tokenizer.ggml.token_type"},
       [] { return bare("gpt2").array<int64_t>("tokenizer.ggml.token_type", GgufType::I64, {1, 1, 1, 1}); }},
      {"SuppressedOfFloats",
       ErrorCode::TokenArrayType,
       {"tokenizer.ggml.suppress_tokens"},
       [] { return llama().array<float>("tokenizer.ggml.suppress_tokens", GgufType::F32, {1}); }},
      {"TypeSeven",
       ErrorCode::TokenTypeNumber,
       {"element 3", "but got 7"},
       [] { return bare("gpt2").array<int32_t>("tokenizer.ggml.token_type", GgufType::I32, {1, 1, 1, 7}); }},
      {"TypeNegative",
       ErrorCode::TokenTypeNumber,
       {"element 0", "but got -1"},
       [] { return bare("gpt2").array<int32_t>("tokenizer.ggml.token_type", GgufType::I32, {-1, 1, 1, 1}); }},
      {"ScoreNaN",
       ErrorCode::TokenScore,
       {"element 2", "nan"},
       [] {
         return bare("llama").array<float>("tokenizer.ggml.scores", GgufType::F32, {0, 0, __builtin_nanf(""), 0});
       }},
      {"ScoreInfinite",
       ErrorCode::TokenScore,
       {"element 1", "inf"},
       [] { return bare("t5").array<float>("tokenizer.ggml.scores", GgufType::F32, {0, __builtin_inff(), 0, 0}); }},
      // 35: merges
      {"MergesMissing",
       ErrorCode::MetadataMissing,
       {"tokenizer.ggml.merges"},
       [] { return vocabularyBytes("gpt2", letters(12)).text("tokenizer.ggml.pre", "gpt-2"); }},
      {"MergesOfNumbers",
       ErrorCode::MetadataType,
       {"tokenizer.ggml.merges", "array of u32"},
       [] {
         return vocabularyBytes("gpt2", letters(12)).array<uint32_t>("tokenizer.ggml.merges", GgufType::U32, {1});
       }},
      {"MergeWithoutSpace", ErrorCode::MergeFormat, {"merge 1", "'ab'"}, [] { return gpt2({"a b", "ab"}); }},
      {"MergeEmpty", ErrorCode::MergeFormat, {"merge 0"}, [] { return gpt2({""}); }},
      {"MergeOfOneSpace", ErrorCode::MergeFormat, {"merge 0"}, [] { return gpt2({" "}); }},
      {"MergeWithoutRight", ErrorCode::MergeFormat, {"merge 0", "'a '"}, [] { return gpt2({"a "}); }},
      {"MergeUnknownLeft", ErrorCode::MergePart, {"merge 1", "'z' is none"}, [] { return gpt2({"a b", "z a"}); }},
      {"MergeUnknownRight", ErrorCode::MergePart, {"merge 0", "'b c' is none"}, [] { return gpt2({"a b c"}); }},
      // 36: byte tokens
      {"ByteTokenNegative",
       ErrorCode::ByteTokenText,
       {"token 259", "<0x-1>"},
       [] { return llama({{"<0x-1>", 0, byteType}}); }},
      {"ByteTokenNotHex",
       ErrorCode::ByteTokenText,
       {"token 259", "<0xZZ>"},
       [] { return llama({{"<0xZZ>", 0, byteType}}); }},
      {"ByteTokenLowerCase", ErrorCode::ByteTokenText, {"<0xff>"}, [] { return llama({{"<0xff>", 0, byteType}}); }},
      {"ByteTokenLong", ErrorCode::ByteTokenText, {"<0x100>"}, [] { return llama({{"<0x100>", 0, byteType}}); }},
      {"ByteTokenShort", ErrorCode::ByteTokenText, {"'x'"}, [] { return llama({{"x", 0, byteType}}); }},
      {"ByteTokenMissing",
       ErrorCode::ByteTokenMissing,
       {"but got 255", "<0x41> is missing"},
       [] {
         std::vector<MadeToken> tokens = spmTokens({});
         tokens.erase(tokens.begin() + 3 + 0x41);
         return vocabularyBytes("llama", tokens);
       }},
      {"ByteTokensAllUnknown",
       ErrorCode::ByteTokenMissing,
       {"tokenizer.ggml.tokens", "normal tokens of single bytes", "there are none"},
       [] {
         std::vector<MadeToken> tokens = letters(13);
         for (MadeToken &token : tokens)
           token.type = unknownType;
         return vocabularyBytes("gpt2", tokens)
             .text("tokenizer.ggml.pre", "gpt-2")
             .strings("tokenizer.ggml.merges", {});
       }},
      // 37: token texts
      {"TokensMissing",
       ErrorCode::MetadataMissing,
       {"tokenizer.ggml.tokens"},
       [] { return GgufBytes().text("tokenizer.ggml.model", "llama"); }},
      {"TokensOfNumbers",
       ErrorCode::MetadataType,
       {"tokenizer.ggml.tokens"},
       [] {
         return GgufBytes()
             .text("tokenizer.ggml.model", "llama")
             .array<int32_t>("tokenizer.ggml.tokens", GgufType::I32, {1});
       }},
      {"NoTokens",
       ErrorCode::TokenCount,
       {"tokenizer.ggml.tokens", "but got 0"},
       [] { return GgufBytes().text("tokenizer.ggml.model", "gpt2").strings("tokenizer.ggml.tokens", {}); }},
      {"EmptyToken", ErrorCode::TokenEmpty, {"token 259"}, [] { return llama({{""}}); }},
      {"DuplicateToken",
       ErrorCode::TokenDuplicate,
       {"token 260", "'ab' is also token 259"},
       [] { return llama({{"ab"}, {"ab"}}); }},
      {"LongToken",
       ErrorCode::TokenLength,
       {"token 259", "65535", "but got 65536"},
       [] { return llama({{std::string(65536, 'a')}}); }},
      // kinds
      {"ModelMissing", ErrorCode::MetadataMissing, {"tokenizer.ggml.model"}, [] { return GgufBytes(); }},
      {"ModelUnknown", ErrorCode::TokenizerModel, {"'rwkv'", "gpt2"}, [] { return bare("rwkv"); }},
      {"ModelNone", ErrorCode::TokenizerModel, {"'none'"}, [] { return bare("none"); }},
      {"PreUnknown",
       ErrorCode::PreTokenizerUnknown,
       {"tokenizer.ggml.pre", "'gpt-5'"},
       [] {
         return vocabularyBytes("gpt2", letters(12))
             .text("tokenizer.ggml.pre", "gpt-5")
             .strings("tokenizer.ggml.merges", {});
       }},
      {"PreNoText",
       ErrorCode::MetadataType,
       {"tokenizer.ggml.pre"},
       [] {
         return vocabularyBytes("gpt2", letters(12)).u32("tokenizer.ggml.pre", 1).strings("tokenizer.ggml.merges", {});
       }},
      {"SwitchNoBool",
       ErrorCode::MetadataType,
       {"tokenizer.ggml.add_bos_token"},
       [] { return llama().u32("tokenizer.ggml.add_bos_token", 1); }},
      {"CharsMapOfFloats",
       ErrorCode::TokenArrayType,
       {"tokenizer.ggml.precompiled_charsmap"},
       [] {
         return vocabularyBytes("t5", letters(4))
             .array<float>("tokenizer.ggml.precompiled_charsmap", GgufType::F32, {0});
       }},
      // keys that no reader of the kind asks for
      {"CharsMapOfAnotherKind",
       ErrorCode::TokenizerKeyUnread,
       {"tokenizer.ggml.precompiled_charsmap", "kind llama", "an array of 4"},
       [] { return llama().array<uint8_t>("tokenizer.ggml.precompiled_charsmap", GgufType::U8, {1, 2, 3, 4}); }},
      {"ExtraWhitespacesOfAnotherKind",
       ErrorCode::TokenizerKeyUnread,
       {"tokenizer.ggml.remove_extra_whitespaces", "kind gpt2", "true"},
       [] { return gpt2({}).scalar("tokenizer.ggml.remove_extra_whitespaces", GgufType::Bool, uint8_t(1)); }},
      {"LowerCaseOfAnotherKind",
       ErrorCode::TokenizerKeyUnread,
       {"tokenizer.ggml.normalizer.lowercase", "kind gpt2"},
       [] { return gpt2({}).scalar("tokenizer.ggml.normalizer.lowercase", GgufType::Bool, uint8_t(1)); }},
      {"AKeyOfNextYear",
       ErrorCode::TokenizerKeyUnread,
       {"tokenizer.ggml.reverse", "offset", "got 0"},
       [] { return gpt2({}).u32("tokenizer.ggml.reverse", 0); }},
      {"FillOutside",
       ErrorCode::SpecialTokenRange,
       {"tokenizer.ggml.fim_rep_token_id", "but got 12"},
       [] { return gpt2({}).u32("tokenizer.ggml.fim_rep_token_id", 12); }},
      {"EndsOutside",
       ErrorCode::SpecialTokenRange,
       {"tokenizer.ggml.eos_token_ids", "but got 259"},
       [] { return llama().array<uint32_t>("tokenizer.ggml.eos_token_ids", GgufType::U32, {2, 259}); }},
  };
  return all;
}

class TokenizerRefusal : public testing::TestWithParam<size_t> {};

TEST_P(TokenizerRefusal, HasItsNumberAndSaysWhy) {
  const Refusal &refusal = refusals()[GetParam()];
  MadeMetadata made(refusal.file());
  Result<Tokenizer> tokenizer = Tokenizer::create(made.metadata());
  ASSERT_FALSE(tokenizer);
  EXPECT_EQ(tokenizer.error().code, refusal.code) << tokenizer.error().text();
  EXPECT_NE(tokenizer.error().message.find("made.gguf"), std::string::npos) << tokenizer.error().message;
  for (const std::string &word : refusal.words)
    EXPECT_NE(tokenizer.error().message.find(word), std::string::npos) << word << " in " << tokenizer.error().message;
}

INSTANTIATE_TEST_SUITE_P(All, TokenizerRefusal, testing::Range<size_t>(0, refusals().size()),
                         [](const auto &info) { return std::string(refusals()[info.param].name); });

TEST(TokenizerAcceptance, TakesWhatRealFilesHave) {
  // Scores of whole numbers, and arrays longer than the tokens.
  MadeTokenizer whole(bare("llama").array<int32_t>("tokenizer.ggml.scores", GgufType::I32, {0, 0, 0, -1, 5}));
  EXPECT_EQ(whole->vocabularySize(), 4);
  // Ids of any integer type, and types left undefined.
  MadeTokenizer other(vocabularyBytes("llama", {{"<unk>", 0, 2}, {"<s>", 0, 3}, {"</s>", 0, 3}, {"a", 0, 0}})
                          .scalar("tokenizer.ggml.bos_token_id", GgufType::U64, uint64_t(1))
                          .scalar("tokenizer.ggml.eos_token_id", GgufType::I16, int16_t(2)));
  EXPECT_EQ(other->bos(), 1);
  EXPECT_EQ(other->eos(), 2);
  // Keys that ask for nothing here.
  const uint8_t no = 0, yes = 1;
  MadeTokenizer asks(llama()
                         .scalar("tokenizer.ggml.remove_extra_whitespaces", GgufType::Bool, no)
                         .array<uint8_t>("tokenizer.ggml.precompiled_charsmap", GgufType::U8, {})
                         .scalar("tokenizer.ggml.add_sep_token", GgufType::Bool, yes)
                         .u32("tokenizer.ggml.token_type_count", 2)
                         .text("tokenizer.chat_template.tool_use", "{{ x }}")
                         .strings("tokenizer.chat_templates", {"tool_use"})
                         .text("tokenizer.huggingface.json", "{}"));
  EXPECT_TRUE(asks->warnings().empty());
}

TEST(TokenizerAcceptance, TellsOfSwitchesThatItsKindDoesNotHave) {
  MadeTokenizer made(gpt2({}).scalar("tokenizer.ggml.add_space_prefix", GgufType::Bool, uint8_t(1)));
  ASSERT_EQ(made->warnings().size(), 1u);
  EXPECT_NE(made->warnings()[0].find("add_space_prefix"), std::string::npos);
}

TEST(TokenizerRefusalOfText, HasALimitOf31Bits) {
  // 39: pages that nobody touches take no memory.
  size_t bytes = size_t(1) << 31;
  void *map = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(map, MAP_FAILED);
  MadeTokenizer made(llama());
  Result<std::vector<int32_t>> ids = made->encode(std::string_view(static_cast<const char *>(map), bytes));
  munmap(map, bytes);
  ASSERT_FALSE(ids);
  EXPECT_EQ(ids.error().code, ErrorCode::TextTooLong);
  EXPECT_NE(ids.error().message.find("but got 2147483648"), std::string::npos) << ids.error().message;
}

} // namespace
} // namespace stepdown
