// WordPiece ("bert"): words of a normalised text, each cut from the left into the longest pieces that are tokens.
// Word-initial pieces are stored as "▁piece", continuations bare; or, of a tokenizer.json, as "piece" and "##piece".
#include "lib/Text/Tokenizer/Encoder.h"
#include "lib/Text/Tokenizer/Utf8.h"
#include "lib/Text/Tokenizer/Vocabulary.h"

#include <algorithm>
#include <utf8proc.h>

namespace stepdown {
namespace {

/// Words of more characters are unknown as a whole, as BERT has it.
constexpr size_t mostWordCharacters = 100;

bool isHan(uint32_t c) {
  constexpr struct {
    uint32_t first, last;
  } ranges[] = {{0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F},
                {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F}};
  return std::any_of(std::begin(ranges), std::end(ranges),
                     [c](const auto &range) { return c >= range.first && c <= range.last; });
}

bool isWhiteSpace(uint32_t c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

class WordPiece final : public Encoder {
public:
  WordPiece(const Vocabulary &vocabulary, bool lowercase, bool stripAccents)
      : vocabulary(vocabulary), lowercase(lowercase), stripAccents(stripAccents),
        first(vocabulary.fromJson ? "" : spaceMark), further(vocabulary.fromJson ? "##" : "") {}

  Status encode(std::string_view fragment, std::vector<int32_t> &ids, uint64_t &steps) const override {
    std::string word(first); // with the mark that word-initial pieces have
    size_t characters = 0;
    auto finish = [&] {
      if (characters)
        encodeWord(word, characters, ids, steps);
      word.resize(first.size());
      characters = 0;
    };
    while (!fragment.empty()) {
      ++steps;
      size_t length = characterLength(fragment);
      uint32_t c = length ? codePoint(fragment, length) : 0xFFFD;
      fragment.remove_prefix(std::max<size_t>(length, 1));
      auto category = utf8proc_category(static_cast<int32_t>(c));
      bool lineBreak = c == '\t' || c == '\n' || c == '\r';
      // Control characters vanish before white space is looked for, so U+000B and U+0085 do not end a word.
      if (c == 0xFFFD || (!lineBreak && category >= UTF8PROC_CATEGORY_CC))
        continue;
      if (isWhiteSpace(c)) {
        finish();
        continue;
      }
      int32_t parts[8] = {static_cast<int32_t>(c)};
      long count = 1;
      if (stripAccents) {
        int state = 0;
        count = utf8proc_decompose_char(static_cast<int32_t>(c), parts, 8, UTF8PROC_DECOMPOSE, &state);
        if (count < 1 || count > 8)
          parts[0] = static_cast<int32_t>(c), count = 1;
      }
      for (long i = 0; i < count; ++i)
        add(static_cast<uint32_t>(parts[i]), word, characters, finish);
    }
    finish();
    return Done{};
  }

private:
  template <typename Finish> void add(uint32_t c, std::string &word, size_t &characters, const Finish &finish) const {
    auto category = utf8proc_category(static_cast<int32_t>(c));
    if (stripAccents && category == UTF8PROC_CATEGORY_MN)
      return;
    bool punctuation = (category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO) ||
                       (c > 32 && c < 127 && category >= UTF8PROC_CATEGORY_SM && category <= UTF8PROC_CATEGORY_SO);
    bool alone = punctuation || isHan(c);
    if (alone)
      finish();
    // The one character whose lower case is two: I with a dot above.
    if (lowercase && c == 0x130) {
      appendCodePoint(word, 'i');
      c = 0x307;
      ++characters;
    }
    appendCodePoint(word, lowercase ? static_cast<uint32_t>(utf8proc_tolower(static_cast<int32_t>(c))) : c);
    ++characters;
    if (alone)
      finish();
  }

  void encodeWord(std::string_view word, size_t characters, std::vector<int32_t> &ids, uint64_t &steps) const {
    const size_t before = ids.size();
    std::string piece(further);
    bool known = characters <= mostWordCharacters;
    for (size_t at = 0; known && at < word.size();) {
      size_t end = std::min(word.size(), at + vocabulary.longestText());
      int32_t id = -1;
      for (; end > at; --end) {
        bool boundary = end == word.size() || static_cast<uint8_t>(word[end]) >> 6 != 2;
        if (!boundary)
          continue;
        ++steps;
        std::string_view text = word.substr(at, end - at);
        if (at > 0 && !further.empty())
          text = piece.replace(further.size(), std::string::npos, text);
        if ((id = vocabulary.findPlain(text)) >= 0)
          break;
      }
      // The mark alone is no piece: it would leave the rest of the word to continuations.
      known = id >= 0 && (at > 0 || end > first.size());
      if (known)
        ids.push_back(id);
      at = end;
    }
    if (known)
      return;
    ids.resize(before);
    ids.push_back(vocabulary.unknown);
  }

  const Vocabulary &vocabulary;
  bool lowercase, stripAccents;
  const std::string_view first, further; // what stands before a piece that begins a word, and before others
};

} // namespace

Result<std::unique_ptr<Encoder>> createWordPiece(const Metadata &metadata, const Vocabulary &vocabulary) {
  bool lowercase = true;
  if (metadata.has("tokenizer.ggml.normalizer.lowercase")) {
    Result<bool> value = metadata.boolean("tokenizer.ggml.normalizer.lowercase");
    if (!value)
      return value.error();
    lowercase = *value;
  }
  bool stripAccents = lowercase;
  if (metadata.has("tokenizer.ggml.normalizer.strip_accents")) {
    Result<bool> value = metadata.boolean("tokenizer.ggml.normalizer.strip_accents");
    if (!value)
      return value.error();
    stripAccents = *value;
  }
  return std::unique_ptr<Encoder>(new WordPiece(vocabulary, lowercase, stripAccents));
}

} // namespace stepdown
