// WordPiece and Unigram on vocabularies of a few tokens.
#include "MadeVocabulary.h"

#include <random>

namespace stepdown {
namespace {

using Ids = std::vector<int32_t>;

constexpr uint8_t no = 0, yes = 1;

/// [PAD] [UNK] [CLS] [SEP] [MASK], then `tokens` from id 5.
GgufBytes bert(const std::vector<std::string> &tokens) {
  std::vector<MadeToken> all = {{"[PAD]", 0, controlType},
                                {"[UNK]", 0, controlType},
                                {"[CLS]", 0, controlType},
                                {"[SEP]", 0, controlType},
                                {"[MASK]", 0, controlType}};
  for (const std::string &text : tokens)
    all.push_back({text});
  return vocabularyBytes("bert", all)
      .u32("tokenizer.ggml.padding_token_id", 0)
      .u32("tokenizer.ggml.unknown_token_id", 1)
      .u32("tokenizer.ggml.cls_token_id", 2)
      .u32("tokenizer.ggml.seperator_token_id", 3)
      .u32("tokenizer.ggml.mask_token_id", 4);
}

TEST(WordPiece, TakesTheLongestPieceFromTheLeft) {
  MadeTokenizer made(bert({"\u2581un", "\u2581u", "able", "a", "b"}));
  EXPECT_EQ(made.plain("unable"), (Ids{5, 7}));
  EXPECT_EQ(made.plain("unab un"), (Ids{5, 8, 9, 5}));
  EXPECT_EQ(made->decode({5, 7, 5}), "unable un");
}

TEST(WordPiece, AWordThatDoesNotFitIsUnknownAsAWhole) {
  MadeTokenizer made(bert({"\u2581un", "able"}));
  EXPECT_EQ(made.plain("unablex un"), (Ids{1, 5}));
}

TEST(WordPiece, AlwaysWrapsInClsAndSep) {
  MadeTokenizer made(bert({"\u2581a"}).scalar("tokenizer.ggml.add_bos_token", GgufType::Bool, no));
  EXPECT_EQ(made.whole("a"), (Ids{2, 5, 3}));
  EXPECT_EQ(made.whole("[CLS]a[SEP]", true), (Ids{2, 5, 3}));
  EXPECT_EQ(made->bos(), 2);
  EXPECT_EQ(made->eos(), 3);
}

TEST(WordPiece, LowersCaseAndStripsAccents) {
  MadeTokenizer made(bert({"\u2581"
                           "eia",
                           "\u2581\u00c9"}));
  EXPECT_EQ(made.plain("\u00c9I\u00c5"), (Ids{5}));
  EXPECT_EQ(made.plain("\u00e9\u0130a"), (Ids{5})); // the dot above is a mark too
  MadeTokenizer cased(bert({"\u2581"
                            "e",
                            "\u2581\u00c9"})
                          .scalar("tokenizer.ggml.normalizer.lowercase", GgufType::Bool, no));
  EXPECT_EQ(cased.plain("\u00c9"), (Ids{6}));
  MadeTokenizer accents(bert({"\u2581\u00e9"}).scalar("tokenizer.ggml.normalizer.strip_accents", GgufType::Bool, no));
  EXPECT_EQ(accents.plain("\u00c9"), (Ids{5}));
  MadeTokenizer stripped(bert({"\u2581"
                               "E"})
                             .scalar("tokenizer.ggml.normalizer.lowercase", GgufType::Bool, no)
                             .scalar("tokenizer.ggml.normalizer.strip_accents", GgufType::Bool, yes));
  EXPECT_EQ(stripped.plain("\u00c9"), (Ids{5}));
}

TEST(WordPiece, PunctuationAndHanStandAlone) {
  MadeTokenizer made(bert({"\u2581"
                           "a",
                           "\u2581"
                           "b",
                           "\u2581"
                           "!",
                           "\u2581"
                           "$",
                           "\u2581\u4e2d", "\u2581\u3001"}));
  EXPECT_EQ(made.plain("a!b$\u4e2d"
                       "a\u3001b"),
            (Ids{5, 7, 6, 8, 9, 5, 10, 6}));
}

TEST(WordPiece, ControlCharactersVanishAndWhiteSpaceEndsWords) {
  MadeTokenizer made(bert({"\u2581"
                           "ab",
                           "\u2581"
                           "a",
                           "\u2581"
                           "b"}));
  for (std::string_view gone :
       {std::string_view("\0", 1), std::string_view("\x01"), std::string_view("\x0b"), std::string_view("\u0085"),
        std::string_view("\u200d"), std::string_view("\ufffd"), std::string_view("\xff")})
    EXPECT_EQ(made.plain("a" + std::string(gone) + "b"), (Ids{5}));
  for (std::string_view space : {" ", "\t", "\n", "\r", "\u00a0", "\u2003", "\u2028", "\u3000"})
    EXPECT_EQ(made.plain("a" + std::string(space) + "b"), (Ids{6, 7})) << space;
}

TEST(WordPiece, AWordOfMoreThanAHundredCharactersIsUnknown) {
  MadeTokenizer made(bert({"\u2581"
                           "a",
                           "a"}));
  EXPECT_EQ(made.plain(std::string(100, 'a')).size(), 100u);
  EXPECT_EQ(made.plain(std::string(101, 'a')), (Ids{1}));
  EXPECT_EQ(made.plain(std::string(1 << 20, 'a')), (Ids{1}));
}

/// <pad> </s> <unk>, then `tokens` from id 3.
std::vector<MadeToken> t5Tokens(const std::vector<MadeToken> &tokens) {
  std::vector<MadeToken> all = {{"<pad>", 0, controlType}, {"</s>", 0, controlType}, {"<unk>", 0, unknownType}};
  all.insert(all.end(), tokens.begin(), tokens.end());
  return all;
}
GgufBytes t5(const std::vector<MadeToken> &tokens) { return vocabularyBytes("t5", t5Tokens(tokens)); }

TEST(Unigram, TakesTheHighestSumOfScores) {
  MadeTokenizer made(t5({{"a", -1}, {"b", -1}, {"c", -1}, {"ab", -1.5f}, {"bc", -1.2f}}));
  EXPECT_EQ(made.plain("abc"), (Ids{3, 7}));
  EXPECT_EQ(made.plain("ab"), (Ids{6}));
}

TEST(Unigram, AddsEosAndNoBos) {
  MadeTokenizer made(t5({{"a", -1}}));
  EXPECT_EQ(made.whole("a"), (Ids{3, 1}));
  EXPECT_EQ(made->bos(), -1);
}

TEST(Unigram, OneUnknownTokenStandsForARun) {
  MadeTokenizer made(t5({{"a", -1}}));
  EXPECT_EQ(made.plain("xyaz\u00e9"), (Ids{2, 3, 2}));
}

TEST(Unigram, CollapsesSpacesOnlyWhenAsked) {
  std::vector<MadeToken> tokens = {{"\u2581", -3},
                                   {"a", -1},
                                   {"\u2581"
                                    "a",
                                    -1}};
  MadeTokenizer collapsing(t5(tokens)
                               .scalar("tokenizer.ggml.add_space_prefix", GgufType::Bool, yes)
                               .scalar("tokenizer.ggml.remove_extra_whitespaces", GgufType::Bool, yes));
  EXPECT_EQ(collapsing.plain("  a   a  "), (Ids{5, 5}));
  EXPECT_EQ(collapsing.plain("   "), Ids());
  EXPECT_EQ(collapsing->decode({5, 5}), "a a");
  MadeTokenizer keeping(t5(tokens));
  EXPECT_EQ(keeping.plain(" a  a "), (Ids{5, 3, 5, 3}));
  EXPECT_EQ(keeping->decode(keeping.plain(" a  a ")), " a  a ");
}

TEST(Unigram, AgreesWithAllCutsOfShortTexts) {
  std::mt19937 random(11);
  for (int round = 0; round < 30; ++round) {
    std::vector<MadeToken> tokens;
    for (const char *text : {"a", "b", "ab", "ba", "aa", "aba", "bab", "abab"})
      if (random() % 4)
        tokens.push_back({text, -1.0f - static_cast<float>(random() % 1000) / 250});
    MadeTokenizer made(t5(tokens));
    float lowest = 0;
    for (const MadeToken &token : tokens)
      lowest = std::min(lowest, token.score);
    auto scoreOf = [&](std::string_view piece) {
      for (const MadeToken &token : tokens)
        if (token.text == piece)
          return static_cast<double>(token.score);
      return piece.size() == 1 ? lowest - 10.0 : -1e9;
    };
    for (int repeat = 0; repeat < 20; ++repeat) {
      std::string text;
      for (int i = 0; i < 9; ++i)
        text += static_cast<char>('a' + random() % 2);
      double best = -1e18;
      for (int cuts = 0; cuts < 1 << 8; ++cuts) {
        double sum = 0;
        for (size_t begin = 0, end = 1; end <= text.size(); ++end)
          if (end == text.size() || cuts >> (end - 1) & 1) {
            sum += scoreOf(text.substr(begin, end - begin));
            begin = end;
          }
        best = std::max(best, sum);
      }
      double sum = 0;
      size_t covered = 0;
      Ids ids = made.plain(text);
      bool hasUnknown = std::count(ids.begin(), ids.end(), 2) != 0;
      for (int32_t id : ids)
        if (id != 2) {
          sum += tokens.at(static_cast<size_t>(id) - 3).score;
          covered += tokens.at(static_cast<size_t>(id) - 3).text.size();
        }
      sum += static_cast<double>(text.size() - covered) * (lowest - 10.0);
      EXPECT_TRUE(hasUnknown || covered == text.size());
      EXPECT_NEAR(sum, best, 1e-4) << text;
    }
  }
}

/// A map with one key "X" -> "ab" and one key "XY" -> "" : see lib/Text/Tokenizer/CharsMap.h for the layout.
std::vector<uint8_t> smallCharsMap() {
  std::vector<uint32_t> trie(512, 0);
  auto entry = [](uint32_t base, uint32_t label, bool leaf) { return base << 10 | label | (leaf ? 256u : 0u); };
  trie[0] = entry(256, 0, false); // the root stands at position 256
  uint32_t x = 256 ^ 'X', atX = 128, y = atX ^ 'Y';
  trie[x] = entry(x ^ atX, 'X', true); // and "X" at 128,
  trie[atX] = 0x80000000u | 0;         // which holds the value 0
  trie[y] = entry(y ^ 5, 'Y', true);   // "XY" at 5
  trie[5] = 0x80000000u | 3;
  std::vector<uint8_t> bytes;
  auto add = [&](uint32_t word) {
    for (int i = 0; i < 4; ++i)
      bytes.push_back(static_cast<uint8_t>(word >> 8 * i));
  };
  add(static_cast<uint32_t>(trie.size() * 4));
  for (uint32_t word : trie)
    add(word);
  for (char c : {'a', 'b', '\0', '\0'})
    bytes.push_back(static_cast<uint8_t>(c));
  return bytes;
}

TEST(Unigram, NormalisesByTheLongestKeyOfTheCharacterMap) {
  MadeTokenizer made(t5({{"a", -1}, {"b", -1}, {"Y", -1}, {"\ufffd", -1}})
                         .array<uint8_t>("tokenizer.ggml.precompiled_charsmap", GgufType::U8, smallCharsMap()));
  EXPECT_EQ(made.plain("X"), (Ids{3, 4}));
  EXPECT_EQ(made.plain("XYb"), (Ids{4}));
  EXPECT_EQ(made.plain("YX"), (Ids{5, 3, 4}));
  EXPECT_EQ(made.plain("\xff"), (Ids{6}));
}

/// `change` spoils the map; the text of the refusal has to hold `words`.
template <typename Change> void expectRefused(ErrorCode code, const std::string &words, const Change &change) {
  std::vector<uint8_t> bytes = smallCharsMap();
  change(bytes);
  MadeMetadata made(t5({{"a", -1}}).array<uint8_t>("tokenizer.ggml.precompiled_charsmap", GgufType::U8, bytes));
  Result<Tokenizer> tokenizer = Tokenizer::create(made.metadata());
  ASSERT_FALSE(tokenizer) << words;
  EXPECT_EQ(tokenizer.error().code, code) << tokenizer.error().message;
  EXPECT_NE(tokenizer.error().message.find(words), std::string::npos) << tokenizer.error().message;
}

void setEntry(std::vector<uint8_t> &bytes, size_t index, uint32_t entry) {
  std::memcpy(&bytes.at(4 + index * 4), &entry, sizeof entry);
}

TEST(CharsMap, RefusesWhatIsBroken) {
  expectRefused(ErrorCode::CharsMapHeader, "a length of 0", [](auto &bytes) { bytes.resize(3); });
  expectRefused(ErrorCode::CharsMapHeader, "a length of 2048", [](auto &bytes) { bytes.resize(2000); });
  expectRefused(ErrorCode::CharsMapHeader, "a length of 2047", [](auto &bytes) { bytes[0] = 0xff, bytes[1] = 7; });
  expectRefused(ErrorCode::CharsMapHeader, "a length of 0", [](auto &bytes) { bytes[0] = bytes[1] = 0; });
  expectRefused(ErrorCode::CharsMapIndex, "below the 512 entries",
                [](auto &bytes) { setEntry(bytes, 256 ^ 'X', 1000u << 10 | 'X'); });
  expectRefused(ErrorCode::CharsMapIndex, "entry 0", [](auto &bytes) { setEntry(bytes, 0, 512u << 10); });
  expectRefused(ErrorCode::CharsMapString, "within 4 bytes, but got 4",
                [](auto &bytes) { setEntry(bytes, 5, 0x80000004u); });
  expectRefused(ErrorCode::CharsMapString, "within 4 bytes, but got 3", [](auto &bytes) { bytes.back() = 'c'; });
  expectRefused(ErrorCode::CharsMapCycle, "leads back to it", [](auto &bytes) {
    uint32_t y = 128 ^ 'Y'; // "XY" stands where the root does, so "XYX" is "X" again
    setEntry(bytes, y, (y ^ 256) << 10 | 'Y');
  });
}

} // namespace
} // namespace stepdown
