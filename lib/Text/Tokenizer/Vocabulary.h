// The tokens of a vocabulary as the file holds them: text, type, score, special ids; and the way from text to id.
//
// A vocabulary has up to a quarter of a million tokens and is read each time a model is loaded, so nothing is copied
// per token: texts stay in the mapped file, and one flat open-addressing table holds (32 bits of hash, id) per slot.
// Filling it is also what finds a token that appears twice.
#pragma once
#include "lib/Base/Result.h"
#include "lib/Checkpoint/Metadata.h"
#include "lib/Text/Tokenizer/KnownTokens.h"
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stepdown {

/// Numbered as tokenizer.ggml.token_type numbers them; 0 (undefined) is read as Normal.
enum class TokenType : uint8_t { Normal = 1, Unknown = 2, Control = 3, UserDefined = 4, Unused = 5, Byte = 6 };

/// tokenizer.ggml.model: llama, gpt2, gemma4, bert, t5.
enum class TokenizerModel { Spm, Bpe, SpmBpe, WordPiece, Unigram };

/// U+2581, which stands for a space in the texts of all models but byte-level BPE.
constexpr std::string_view spaceMark = "\xe2\x96\x81";

/// E0309: `value` of `key` is not an array of `expected`.
Error wrongArray(const Metadata &metadata, const char *key, const GgufValue &value, const char *expected);

/// E0385: a key of the tokenizer that `log` has not noted changes the ids of a text, or may.
Status checkTokenizerKeys(const Metadata &metadata, const KeyLog &log, TokenizerModel model);

class Vocabulary {
public:
  static Result<std::unique_ptr<Vocabulary>> create(const Metadata &metadata);

  /// The id of the token with exactly this text, or -1.
  int32_t find(std::string_view text) const;
  /// The same in two steps, for those who look up many: begin to fetch what finding a text of this hash will read.
  void fetch(uint64_t hash) const { __builtin_prefetch(&slots[hash & mask64]); }
  int32_t find(std::string_view text, uint64_t hash) const;
  /// As find, but -1 for control, unknown and byte tokens: plain text never turns into those.
  int32_t findPlain(std::string_view text) const;

  int32_t size() const { return static_cast<int32_t>(texts.size()); }
  bool contains(int32_t id) const { return id >= 0 && id < size(); }
  std::string_view text(int32_t id) const { return texts[id]; }
  TokenType type(int32_t id) const { return types[id]; }
  float score(int32_t id) const { return scores.empty() ? 0.0f : scores[id]; }
  bool isSpecial(int32_t id) const { return types[id] == TokenType::Control || types[id] == TokenType::Unknown; }
  bool isPlain(int32_t id) const { return !isSpecial(id) && types[id] != TokenType::Byte; }
  /// The id of `<0xNN>`, or -1 where the vocabulary has no byte tokens. All 256 or none are there, but for those of
  /// characters that are tokens in an SpmBpe.
  int32_t byteToken(uint8_t byte) const { return byteTokens[byte]; }
  size_t longestText() const { return longest; } ///< bytes

  TokenizerModel model;
  std::string modelName; ///< general.name in lower case: two families have habits that no key tells
  std::string pre;       ///< tokenizer.ggml.pre, "default" where it is missing
  int32_t bos = -1, eos = -1, eot = -1, eom = -1, unknown = -1, separator = -1, padding = -1, mask = -1;
  int32_t fillPrefix = -1, fillSuffix = -1, fillMiddle = -1, fillPad = -1, fillRepository = -1, fillSeparator = -1;
  bool addBos = false, addEos = false, addSpacePrefix = false;
  /// What only a tokenizer.json says (lib/Checkpoint/HuggingFace/TokenizerJson.h). Where it is there special ids have
  /// no defaults, and tokens are what the file types them.
  struct FromJson {
    std::vector<std::string> preTokenizer;      ///< "Split REGEX", "Keep REGEX", "Digits", "ByteLevel", in order
    bool ignoreMerges = false, nfc = false;     ///< words that are tokens are taken whole; text is composed first
    std::vector<int32_t> stripLeft, stripRight; ///< ascending: tokens that take the white space beside them
    std::vector<int32_t> late;                  ///< ascending: tokens that are looked for in what the others left
    /// Metaspace: "▁" is put before each piece of text between tokens, or before one that begins the text, but where
    /// it has a space there already; and words are cut before each "▁".
    enum class Prefix { None, Always, First } prefix = Prefix::None;
    bool cutsAtMarks = false;
    bool marksFirst = false;  ///< of Unigram: the decoder Metaspace, to which the marks of the first token are nothing
    bool stripsSpace = false; ///< the decoder drops one space at the start
    bool cleansUp = false;    ///< of WordPiece: it drops spaces before punctuation
    /// Of Unigram: ids from this one on are of added tokens, which texts are not cut into.
    int32_t modelTokens = std::numeric_limits<int32_t>::max();

    /// Whether "▁" goes before `piece`, which begins the text or does not.
    bool prefixes(std::string_view piece, bool isFirst) const {
      return prefix != Prefix::None && (isFirst || prefix == Prefix::Always) && !piece.empty() && piece[0] != ' ' &&
             piece.substr(0, spaceMark.size()) != spaceMark;
    }
  };
  std::optional<FromJson> fromJson;
  std::vector<int32_t> endOfGeneration; ///< ascending
  std::vector<int32_t> suppressed;      ///< ascending
  std::vector<std::string> warnings;

private:
  Status readModel(const Metadata &metadata);
  Status readTokens(const Metadata &metadata);
  Status readScores(const Metadata &metadata);
  Status readTypes(const Metadata &metadata);
  Status buildTable(const Metadata &metadata, const GgufValue &tokens);
  Status readFromJson(const Metadata &metadata);
  Status readByteTokens(const Metadata &metadata);
  Status readSpecialIds(const Metadata &metadata);
  Status readSpecialId(const Metadata &metadata, const char *name, int64_t fallback, int32_t &id);
  Status readSwitches(const Metadata &metadata);
  Status readSuppressed(const Metadata &metadata);
  Status readEndIds(const Metadata &metadata);
  /// Appends the ids that `key` lists, if it is there; E0307 for one that is no token's.
  Status readIds(const Metadata &metadata, const std::string &key, std::vector<int32_t> &ids) const;
  void findEndOfGeneration(const Metadata &metadata);
  /// The id that the file gives for a part of a text with a hole, or -1.
  int32_t fillOf(KnownToken::Role role) const;

  std::vector<std::string_view> texts;
  std::vector<TokenType> types;
  std::vector<float> scores;   // empty where the model uses none
  std::vector<uint64_t> slots; // hash in the upper half, id + 1 in the lower; 0 is free; a power of two of them
  uint64_t mask64 = 0;
  int32_t byteTokens[256];
  size_t longest = 0;
};

} // namespace stepdown
