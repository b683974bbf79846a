// SPM and byte-level BPE on vocabularies of a few tokens: merging, bytes, BOS and EOS, special tokens, decoding.
#include "MadeVocabulary.h"
#include "lib/Text/Tokenizer/ByteAlphabet.h"
#include "lib/Text/Tokenizer/Utf8.h"

#include <atomic>
#include <map>
#include <random>
#include <thread>

namespace stepdown {
namespace {

using Ids = std::vector<int32_t>;
using Texts = std::vector<std::string>;

GgufBytes spm(const std::vector<MadeToken> &tokens) { return vocabularyBytes("llama", spmTokens(tokens)); }

/// All 256 byte characters (id = order of the byte), then `tokens`.
std::vector<MadeToken> bpeTokens(const std::vector<MadeToken> &tokens) {
  std::vector<MadeToken> all;
  for (int byte = 0; byte < 256; ++byte) {
    std::string text;
    appendCodePoint(text, ByteAlphabet::get().characterOf(static_cast<uint8_t>(byte)));
    all.push_back({text});
  }
  all.insert(all.end(), tokens.begin(), tokens.end());
  return all;
}

GgufBytes bpe(const std::vector<MadeToken> &tokens, const Texts &merges, const std::string &pre = "gpt-2") {
  return vocabularyBytes("gpt2", bpeTokens(tokens))
      .text("tokenizer.ggml.pre", pre)
      .strings("tokenizer.ggml.merges", merges);
}

TEST(Spm, MergesTheHighestScoreFirst) {
  MadeTokenizer made(spm({{"a"}, {"b"}, {"c"}, {"ab", -2}, {"bc", -1}})
                         .scalar("tokenizer.ggml.add_space_prefix", GgufType::Bool, uint8_t(0)));
  EXPECT_EQ(made.pieces("abc"), (Texts{"a", "bc"}));
}

TEST(Spm, MergesTheLeftmostOfEqualScores) {
  MadeTokenizer made(spm({{"a"}, {"aa", -1}}).scalar("tokenizer.ggml.add_space_prefix", GgufType::Bool, uint8_t(0)));
  EXPECT_EQ(made.pieces("aaa"), (Texts{"aa", "a"}));
}

TEST(Spm, WritesSpacesAsMarksAndPutsOneInFront) {
  MadeTokenizer made(spm({{"\u2581"},
                          {"a"},
                          {"\u2581"
                           "a",
                           -1}}));
  EXPECT_EQ(made.plain("a a"), (Ids{firstSpmId + 2, firstSpmId + 2}));
  EXPECT_EQ(made->decode(made.plain("a a")), "a a");
  EXPECT_EQ(made->decode(made.plain("  a")), "  a");
  EXPECT_EQ(made.plain(""), Ids());
}

TEST(Spm, SpellsWhatIsNoTokenByItsBytes) {
  MadeTokenizer made(spm({{"\u2581"}}));
  EXPECT_EQ(made.plain("\u00e9\xff"), (Ids{firstSpmId, spmByte(0xc3), spmByte(0xa9), spmByte(0xff)}));
  EXPECT_EQ(made->decode(made.plain("\u00e9\xff")), "\u00e9\xff");
}

TEST(Spm, OneUnknownTokenStandsForARunWithoutByteTokens) {
  MadeTokenizer made(vocabularyBytes(
      "llama", {{"<unk>", 0, unknownType}, {"<s>", 0, controlType}, {"</s>", 0, controlType}, {"\u2581"}, {"a"}}));
  EXPECT_EQ(made.plain("xya"), (Ids{3, 0, 4}));
}

TEST(Spm, PlainTextNeverBecomesAControlOrByteToken) {
  // The pieces would merge into the texts of tokens 1 and 3.
  MadeTokenizer made(
      spm({{"<"}, {"s"}, {">"}, {"<s", -1}, {"0"}, {"x"}, {"<0", -1}, {"<0x", -1}, {"<0x0", -1}, {"<0x00", -1}})
          .scalar("tokenizer.ggml.add_space_prefix", GgufType::Bool, uint8_t(0)));
  EXPECT_EQ(made.pieces("<s>"), (Texts{"<s", ">"}));
  EXPECT_EQ(made.pieces("<0x00>"), (Texts{"<0x00", ">"}));
  EXPECT_EQ(made.plain("<s>", true), (Ids{1}));
}

TEST(Spm, WordsJoinWhereATokenHasAnInnerMark) {
  MadeTokenizer made(spm({{"\u2581"},
                          {"a"},
                          {">"},
                          {">\u2581", -1},
                          {">\u2581"
                           "a",
                           -1}})
                         .scalar("tokenizer.ggml.add_space_prefix", GgufType::Bool, uint8_t(0)));
  EXPECT_EQ(made.plain("> a"), (Ids{firstSpmId + 4}));
  EXPECT_EQ(made.plain("a a"), (Ids{firstSpmId + 1, firstSpmId, firstSpmId + 1}));
}

TEST(Bpe, MergesTheLowestRankFirst) {
  MadeTokenizer made(bpe({{"ab"}, {"bc"}, {"abc"}}, {"b c", "a b", "a bc"}));
  EXPECT_EQ(made.pieces("abc"), (Texts{"abc"}));
  MadeTokenizer other(bpe({{"ab"}, {"bc"}}, {"a b", "b c"}));
  EXPECT_EQ(other.pieces("abc"), (Texts{"ab", "c"}));
}

TEST(Bpe, TakesAWholeWordOnlyWhereTheModelIgnoresMerges) {
  EXPECT_EQ(MadeTokenizer(bpe({{"abc"}}, {}, "gpt-2")).pieces("abc"), (Texts{"a", "b", "c"}));
  EXPECT_EQ(MadeTokenizer(bpe({{"abc"}}, {}, "llama-bpe")).pieces("abc"), (Texts{"abc"}));
}

TEST(Bpe, WhatAMergeMakesNeedNotBeAToken) {
  MadeTokenizer made(bpe({{"abc"}}, {"a b"}));
  EXPECT_EQ(made.plain("ab"), (Ids{'a', 'b'}));
}

TEST(Bpe, KeepsBytesThatAreNoText) {
  MadeTokenizer made(bpe({}, {}));
  std::string all;
  for (int byte = 0; byte < 256; ++byte)
    all += static_cast<char>(byte);
  EXPECT_EQ(made.plain(all).size(), 256u);
  EXPECT_EQ(made->decode(made.plain(all)), all);
}

TEST(Bpe, ABytelessVocabularyUsesTheUnknownTokenOrSaysSo) {
  std::vector<MadeToken> tokens(12, MadeToken{""});
  for (int i = 0; i < 12; ++i)
    tokens[i].text = std::string(1, static_cast<char>('a' + i));
  GgufBytes bare =
      vocabularyBytes("gpt2", tokens).text("tokenizer.ggml.pre", "gpt-2").strings("tokenizer.ggml.merges", {});
  MadeTokenizer without(bare);
  Result<Ids> refused = without->encode("az");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::TextUnspellable);
  EXPECT_NE(refused.error().message.find("0x7A"), std::string::npos) << refused.error().message;
  MadeTokenizer with(GgufBytes(bare).u32("tokenizer.ggml.unknown_token_id", 5));
  EXPECT_EQ(with.plain("az"), (Ids{0, 5}));
}

TEST(Bpe, SpmStyleMergesCharactersAndFallsBackToBytes) {
  std::vector<MadeToken> tokens = spmTokens({{"\u2581"},
                                             {"a"},
                                             {"b"},
                                             {"\u2581"
                                              "a"},
                                             {"\u2581"
                                              "ab"}});
  MadeTokenizer made(vocabularyBytes("gemma4", tokens)
                         .strings("tokenizer.ggml.merges", {"\u2581 a", "\u2581"
                                                                        "a b"}));
  EXPECT_EQ(made.plain("ab ab"), (Ids{firstSpmId + 1, firstSpmId + 2, firstSpmId + 4}));
  EXPECT_EQ(made.plain("\u00e9"), (Ids{spmByte(0xc3), spmByte(0xa9)}));
  EXPECT_EQ(made->decode(made.plain("ab ab\n\u00e9")), "ab ab\n\u00e9");
}

TEST(Bpe, SpmStyleMergesMayNameRunsOfSpacesThatTheFileStoresAsSpaces) {
  std::vector<MadeToken> tokens = spmTokens({{"\u2581"}, {"a"}, {"  ", 0, userType}, {"    ", 0, userType}});
  MadeTokenizer made(vocabularyBytes("gemma4", tokens)
                         .strings("tokenizer.ggml.merges", {"\u2581 \u2581", "\u2581\u2581 \u2581\u2581"}));
  EXPECT_EQ(made.plain("a       a"), (Ids{firstSpmId + 1, firstSpmId + 3, firstSpmId + 2, firstSpmId, firstSpmId + 1}));
}

/// Merging as the definition has it: look through all pairs, again and again.
Texts mergeSlowly(std::string_view text, const std::map<std::string, int> &ranks) {
  Texts parts;
  for (char c : text)
    parts.emplace_back(1, c);
  for (;;) {
    size_t best = parts.size();
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      auto here = ranks.find(parts[i] + " " + parts[i + 1]);
      if (here == ranks.end())
        continue;
      if (best == parts.size() || here->second < ranks.at(parts[best] + " " + parts[best + 1]))
        best = i;
    }
    if (best == parts.size())
      return parts;
    parts[best] += parts[best + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(Bpe, AgreesWithTheDefinitionOnRandomMerges) {
  std::mt19937 random(7);
  for (int round = 0; round < 40; ++round) {
    // Merges of any two pieces made so far, in an order that need not be the one in which they were made.
    Texts pieces = {"a", "b", "c"}, merges;
    std::vector<MadeToken> tokens;
    while (merges.size() < 40) {
      std::string left = pieces[random() % pieces.size()], right = pieces[random() % pieces.size()];
      std::string both = left + right;
      if (std::find(merges.begin(), merges.end(), left + " " + right) != merges.end() || both.size() > 12)
        continue;
      merges.push_back(left + " " + right);
      if (std::find(pieces.begin(), pieces.end(), both) == pieces.end()) {
        pieces.push_back(both);
        tokens.push_back({both});
      }
    }
    std::shuffle(merges.begin(), merges.end(), random);
    std::map<std::string, int> ranks;
    for (size_t i = 0; i < merges.size(); ++i)
      ranks[merges[i]] = static_cast<int>(i);
    MadeTokenizer made(bpe(tokens, merges));
    for (size_t length : {5, 15, 20, 21, 40, 200}) {
      std::string text;
      while (text.size() < length)
        text += static_cast<char>('a' + random() % 3);
      EXPECT_EQ(made.pieces(text), mergeSlowly(text, ranks)) << text;
    }
  }
}

TEST(BeginAndEnd, AreAddedAsTheFileAsksAndNeverTwice) {
  GgufBytes file = spm({{"\u2581"}, {"a"}}).scalar("tokenizer.ggml.add_eos_token", GgufType::Bool, uint8_t(1));
  MadeTokenizer made(file);
  Ids a = {firstSpmId, firstSpmId + 1};
  EXPECT_EQ(made.plain("a"), a);
  EXPECT_EQ(made.whole("a"), (Ids{1, a[0], a[1], 2}));
  EXPECT_EQ(made.whole(""), (Ids{1, 2}));
  EXPECT_EQ(made.whole("<s>a</s>", true), (Ids{1, a[0], a[1], 2}));
  EXPECT_EQ(made.whole("<s>", true), (Ids{1, 2}));
  // Not parsed, so only text: the first BOS is still missing.
  EXPECT_EQ(made.whole("<s>a").front(), 1);
  EXPECT_GT(made.whole("<s>a").size(), made.whole("a").size());
  MadeTokenizer silent(spm({{"\u2581"}, {"a"}}).scalar("tokenizer.ggml.add_bos_token", GgufType::Bool, uint8_t(0)));
  EXPECT_EQ(silent.whole("a"), a);
}

TEST(BeginAndEnd, OlderFilesOfSomePreTokenizersMeanBos) {
  EXPECT_FALSE(MadeTokenizer(bpe({}, {}, "gpt-2"))->addsBos());
  EXPECT_TRUE(MadeTokenizer(bpe({}, {}, "llama-bpe"))->addsBos());
  EXPECT_EQ(MadeTokenizer(bpe({}, {}, "tekken")).whole("a"), (Ids{11, 'a'}));
}

TEST(SpecialTokens, LongerOnesGoFirstAndUserDefinedOnesAlways) {
  MadeTokenizer made(
      bpe({{"<a>", 0, controlType}, {"<a><b>", 0, controlType}, {"  ", 0, userType}, {"    ", 0, userType}}, {}));
  EXPECT_EQ(made.plain("<a><b><a>", true), (Ids{257, 256}));
  EXPECT_EQ(made.plain("<a>"), (Ids{'<', 'a', '>'}));
  EXPECT_EQ(made.plain("x       y"), (Ids{'x', 259, 258, ' ', 'y'}));
}

TEST(SpecialTokens, AShorterOneFitsBesideALongerOne) {
  MadeTokenizer runs(
      bpe({{"bcde", 0, controlType}, {"abc", 0, controlType}, {"ab", 0, controlType}, {"de!", 0, controlType}}, {}));
  EXPECT_EQ(runs.plain("abcde!", true), (Ids{'a', 256, '!'}));
  EXPECT_EQ(runs.plain("abcd", true), (Ids{257, 'd'}));
  EXPECT_EQ(runs.plain("abde!", true), (Ids{258, 259}));
}

TEST(SpecialTokens, Phi3OnesSwallowTheSpaceAfterThem) {
  std::vector<MadeToken> tokens = spmTokens({{"\u2581"}, {"a"}, {"<|user|>", 0, controlType}});
  MadeTokenizer phi(vocabularyBytes("llama", tokens).text("general.name", "Phi-3 mini"));
  EXPECT_EQ(phi.plain("<|user|> \n a", true), (Ids{firstSpmId + 2, firstSpmId, firstSpmId + 1}));
  EXPECT_EQ(phi.plain("<s> a", true), (Ids{1, firstSpmId, firstSpmId, firstSpmId + 1}));
  MadeTokenizer other(vocabularyBytes("llama", tokens).text("general.name", "other"));
  EXPECT_EQ(other.plain("<|user|> a", true), (Ids{firstSpmId + 2, firstSpmId, firstSpmId, firstSpmId + 1}));
}

TEST(Decoder, HidesSpecialTokensUnlessAsked) {
  MadeTokenizer made(spm({{"\u2581"}, {"a"}}));
  Ids ids = {1, firstSpmId, firstSpmId + 1, 2, 0};
  EXPECT_EQ(made->decode(ids), "a");
  EXPECT_EQ(made->decode(ids, true), "<s> a</s><unk>");
  EXPECT_EQ(made->piece(firstSpmId), " ");
  EXPECT_EQ(made->piece(spmByte('A')), "A");
  EXPECT_EQ(made->piece(-1), "");
  EXPECT_EQ(made->piece(1 << 30), "");
}

TEST(Decoder, RefusesIdsOutsideTheVocabulary) {
  MadeTokenizer made(spm({}));
  EXPECT_TRUE(made->check({0, 258}));
  for (int32_t id : {-1, 259}) {
    Status status = made->check({0, id});
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::TokenRange);
    EXPECT_NE(status.error().message.find("token 1: expects an id from 0 to 258, but got " + std::to_string(id)),
              std::string::npos)
        << status.error().message;
  }
}

TEST(StreamDecoder, GivesOutWholeCharactersOnly) {
  MadeTokenizer made(bpe({}, {}));
  StreamDecoder stream(*made);
  EXPECT_EQ(stream.push(0xf0), "");
  EXPECT_EQ(stream.push(0x9f), "");
  EXPECT_EQ(stream.push(0x98), "");
  EXPECT_EQ(stream.push(0x80), "\U0001F600");
  EXPECT_EQ(stream.push('x'), "x");
  EXPECT_EQ(stream.flush(), "");
}

TEST(StreamDecoder, ReplacesWhatCanBecomeNoCharacter) {
  MadeTokenizer made(bpe({}, {}));
  auto stream = [&](std::string_view bytes) {
    StreamDecoder decoder(*made);
    std::string out;
    for (char c : bytes)
      out += decoder.push(static_cast<uint8_t>(c));
    return out + "|" + decoder.flush();
  };
  EXPECT_EQ(stream("a\xff"
                   "b"),
            "a\ufffd"
            "b|");
  EXPECT_EQ(stream("\xe2\x82"), "|\ufffd");
  EXPECT_EQ(stream("\xe2\x82x"), "\ufffdx|");
  EXPECT_EQ(stream("\xed\xa0\x80"), "\ufffd\ufffd\ufffd|"); // a surrogate
  EXPECT_EQ(stream("\xc0\xaf"), "\ufffd\ufffd|");           // an overlong form
  EXPECT_EQ(stream("\xf0\x9f\xf0\x9f\x98\x80"), "\ufffd\U0001F600|");
}

TEST(StreamDecoder, KeepsTheSpaceOfAContinuation) {
  MadeTokenizer made(spm({{"\u2581"
                           "a"}}));
  StreamDecoder continued(*made);
  EXPECT_EQ(continued.push(firstSpmId), " a");
  StreamDecoder fromStart(*made, false, true);
  EXPECT_EQ(fromStart.push(1), "");
  EXPECT_EQ(fromStart.push(firstSpmId), "a");
  EXPECT_EQ(fromStart.push(firstSpmId), " a");
}

TEST(EndOfGeneration, IsReadFromIdsAndFromTexts) {
  MadeTokenizer made(bpe({{"<|im_end|>", 0, controlType},
                          {"<end_of_turn>", 0, 1},
                          {"<|eot_id|>", 0, userType},
                          {"stop", 0, controlType}},
                         {})
                         .u32("tokenizer.ggml.eos_token_id", 'e')
                         .u32("tokenizer.ggml.eot_token_id", 'f')
                         .u32("tokenizer.ggml.eom_token_id", 'g'));
  EXPECT_EQ(made->endOfGeneration(), (Ids{'e', 'f', 'g', 256, 257, 258}));
  EXPECT_TRUE(made->isEndOfGeneration(256));
  EXPECT_FALSE(made->isEndOfGeneration(259));
  // It ends a turn, so the text of a user must not spell it, whatever the file calls it.
  EXPECT_EQ(made.plain("<|eot_id|>").size(), 10u);
}

TEST(EndOfGeneration, EndStopsNothingWhereReturnAndCallDo) {
  MadeToken end{"<|end|>", 0, controlType}, finish{"<|return|>", 0, controlType}, call{"<|call|>", 0, controlType};
  EXPECT_TRUE(MadeTokenizer(bpe({end}, {}))->isEndOfGeneration(256));
  MadeTokenizer harmony(bpe({end, finish, call}, {}));
  EXPECT_FALSE(harmony->isEndOfGeneration(256));
  EXPECT_TRUE(harmony->isEndOfGeneration(257));
  EXPECT_TRUE(harmony->isEndOfGeneration(258));
}

TEST(Vocabulary, ReadsSuppressedTokensAndWarnsOfAMissingPreTokenizer) {
  MadeTokenizer made(vocabularyBytes("gpt2", bpeTokens({}))
                         .strings("tokenizer.ggml.merges", {})
                         .array<int32_t>("tokenizer.ggml.suppress_tokens", GgufType::I32, {9, 3, 9}));
  EXPECT_EQ(made->suppressed(), (Ids{3, 9}));
  ASSERT_EQ(made->warnings().size(), 1u);
  EXPECT_NE(made->warnings()[0].find("tokenizer.ggml.pre"), std::string::npos);
  EXPECT_TRUE(MadeTokenizer(bpe({}, {}))->warnings().empty());
}

TEST(Encode, ComposesOnlyWhenAsked) {
  MadeTokenizer made(bpe({}, {}));
  EncodeOptions options;
  options.addSpecial = false;
  EXPECT_EQ(*made->encode("e\u0301", options), (Ids{'e', 0xcc, 0x81}));
  options.normalizeNfc = true;
  EXPECT_EQ(*made->encode("e\u0301", options), (Ids{0xc3, 0xa9}));
  std::string marks = "e";
  for (int i = 0; i < 200000; ++i)
    marks += i % 2 ? "\u0316" : "\u0301";
  EXPECT_EQ(made->encode(marks, options)->size(), marks.size());
}

TEST(Encode, ServesManyThreadsAtATime) {
  MadeTokenizer made(bpe({{"ab"}, {"<|im_end|>", 0, controlType}}, {"a b"}, "gpt-4o"));
  std::string text;
  for (int i = 0; i < 200; ++i)
    text += "ab Cd\u4e2d " + std::to_string(i) + "<|im_end|>";
  EncodeOptions options;
  options.parseSpecial = true;
  const Ids expected = *made->encode(text, options);
  std::vector<std::thread> threads;
  std::atomic<int> equal{0};
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      for (int repeat = 0; repeat < 5; ++repeat) {
        Result<Ids> ids = made->encode(text, options);
        equal += ids && *ids == expected && made->decode(*ids, true) == text;
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(equal, 40);
}

/// Steps for texts of one and two lengths tell linear from quadratic without a clock.
TEST(Encode, TakesLinearTime) {
  MadeTokenizer merging(bpe({{"ab"}, {"abab"}, {"aa"}, {"aaaa"}, {"  ", 0, userType}, {"\n", 0, userType}},
                            {"a b", "ab ab", "a a", "aa aa"}, "deepseek-llm"));
  MadeTokenizer scoring(spm({{"\u2581"},
                             {"a"},
                             {"b"},
                             {"ab", -1},
                             {"abab", -2},
                             {"aa", -3},
                             {"\u2581\u2581", -4},
                             {"\u2581\u2581\u2581\u2581", -5}}));
  for (const MadeTokenizer *made : {&merging, &scoring})
    for (std::string_view unit : {"a", "ab", "abba", " ", "\n", "ab ", "1", "!", "\u4e2d", "  x", "\xff"}) {
      auto steps = [&](size_t bytes) {
        std::string text;
        while (text.size() < bytes)
          text += unit;
        uint64_t count = 0;
        EncodeOptions options;
        options.steps = &count;
        EXPECT_TRUE((*made)->encode(text + "\u4e2d", options));
        return static_cast<double>(count);
      };
      EXPECT_LT(steps(200000), 2.1 * steps(100000) + 1000) << unit;
      EXPECT_LT(steps(200000), 30 * 200000) << unit;
    }
}

} // namespace
} // namespace stepdown
