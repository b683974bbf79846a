// Text to token ids and back, as the metadata of a checkpoint (or the metadata section of an artifact) describes it:
// SPM, byte-level BPE, SPM-style BPE, WordPiece and Unigram (GGUF keys tokenizer.ggml.*).
//
// A Tokenizer never changes after `create`; any number of threads may use one at a time. It keeps views into the bytes
// that the Metadata was parsed from: the mapped file (not the Metadata itself) must outlive it.
#pragma once
#include "lib/Base/Result.h"
#include "lib/Checkpoint/Metadata.h"
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace stepdown {

class Vocabulary;
class Encoder;
class SpecialTokens;

/// Bytes [begin, end) of a text.
struct TextRange {
  size_t begin, end;
};

struct EncodeOptions {
  /// Wrap the text in BOS and EOS ([CLS] and [SEP]) as the file asks for; never a second one beside one in the text.
  bool addSpecial = true;
  /// Read the text of control tokens ("<|im_start|>") as those tokens. Never for text that a user wrote.
  bool parseSpecial = false;
  /// Bring the text into Unicode NFC first, which the tokenizer.json of Qwen models asks for and GGUF cannot say.
  bool normalizeNfc = false;
  /// When set, the elementary steps taken are added to it: the figure that proves linear time without a clock.
  uint64_t *steps = nullptr;
  /// With parseSpecial: ranges, ascending and apart, in which a user wrote. A control token that would touch one is
  /// read as plain text. See UserText.h.
  const std::vector<TextRange> *untrusted = nullptr;
};

class Tokenizer {
public:
  /// Reads and checks every tokenizer key; E02xx and E03xx name file, key, offset and value.
  static Result<Tokenizer> create(const Metadata &metadata);
  Tokenizer(Tokenizer &&) noexcept;
  Tokenizer &operator=(Tokenizer &&) noexcept;
  ~Tokenizer();

  /// The ids of `text`, which may be any bytes. E0322 when it has 2^31 bytes or more, E0323 when it has a character
  /// that the vocabulary cannot spell and no unknown token stands for.
  Result<std::vector<int32_t>> encode(std::string_view text, const EncodeOptions &options = {}) const;

  /// Where `text` spells control or unknown tokens, ascending: what encode would take for them with parseSpecial.
  std::vector<TextRange> controlRanges(std::string_view text) const;

  /// The bytes of `ids`; control and unknown tokens only when `keepSpecial`. Ids outside the vocabulary are skipped.
  std::string decode(const std::vector<int32_t> &ids, bool keepSpecial = false) const;
  /// The bytes that one token stands for, a space for "▁" included; the text of control tokens; "" outside the
  /// vocabulary.
  std::string piece(int32_t id) const;
  /// E0324 naming the first id that is outside the vocabulary.
  Status check(const std::vector<int32_t> &ids) const;

  int32_t vocabularySize() const;
  /// Special ids, or -1 where the file has none. For WordPiece bos is [CLS] and eos is [SEP].
  int32_t bos() const;
  int32_t eos() const;
  int32_t eot() const;
  int32_t eom() const;
  int32_t unknown() const;
  int32_t separator() const;
  int32_t padding() const;
  int32_t mask() const;
  bool addsBos() const;
  bool addsEos() const;
  /// Control and unknown tokens: what decode hides.
  bool isSpecial(int32_t id) const;
  /// Tokens after which a model has nothing more to say: eos, eot, eom and control tokens known by their text.
  bool isEndOfGeneration(int32_t id) const;
  const std::vector<int32_t> &endOfGeneration() const; ///< ascending
  /// tokenizer.ggml.suppress_tokens: never to be sampled; ascending.
  const std::vector<int32_t> &suppressed() const;
  /// What a user should know about the file, one line each ("pre-tokenizer is missing ...").
  const std::vector<std::string> &warnings() const;

private:
  Tokenizer();
  friend class StreamDecoder;
  std::unique_ptr<const Vocabulary> vocabulary;
  std::unique_ptr<const SpecialTokens> specials;
  std::unique_ptr<const Encoder> encoder;
};

/// Text of tokens as they are drawn. Gives out only complete UTF-8 characters; bytes that can no longer become one turn
/// into U+FFFD. The tokenizer must outlive it.
class StreamDecoder {
public:
  /// `startOfText`: the first token is the first of a whole text, so the space that encoding put before it is dropped.
  explicit StreamDecoder(const Tokenizer &tokenizer, bool keepSpecial = false, bool startOfText = false);
  /// The text that became complete with this token; often "".
  std::string push(int32_t id);
  /// What is left of an incomplete character, as U+FFFD, or "".
  std::string flush();

private:
  const Tokenizer *tokenizer;
  bool keepSpecial;
  bool dropSpace;
  std::string pending; // at most 3 bytes: the beginning of a character
};

} // namespace stepdown
