// SentencePiece BPE ("llama"): characters merge into the neighbouring pair whose text is the token of highest score.
//
// There is no pre-tokenizer, so on paper one heap holds the whole text. But two characters of which no token contains
// the pair never end up in one token, and what happens on one side of such a place never matters on the other. In all
// published vocabularies nearly every word begins at such a place (before "▁"), so words are merged one by one, in
// memory that stays in cache. Which characters may stand before an inner "▁" is read from the vocabulary.
#include "lib/Text/Tokenizer/Encoder.h"
#include "lib/Text/Tokenizer/MergeList.h"
#include "lib/Text/Tokenizer/Utf8.h"
#include "lib/Text/Tokenizer/Vocabulary.h"

#include <bitset>
#include <cstring>
#include <string>

namespace stepdown {
namespace {

/// Higher scores first, as an integer that is smaller for them.
uint32_t rankOfScore(float score) {
  float positiveZero = score + 0.0f;
  uint32_t bits;
  std::memcpy(&bits, &positiveZero, sizeof bits);
  uint32_t ascending = bits >> 31 ? ~bits : bits | 0x80000000u;
  return ~ascending;
}

class Spm final : public Encoder {
public:
  explicit Spm(const Vocabulary &vocabulary) : vocabulary(vocabulary) {
    for (int32_t id = 0; id < vocabulary.size(); ++id) {
      if (!vocabulary.isPlain(id))
        continue;
      std::string_view text = vocabulary.text(id);
      for (size_t at = text.find(spaceMark, 1); at != text.npos; at = text.find(spaceMark, at + 1))
        joinsSpace.set(static_cast<uint8_t>(text[at - 1]));
    }
  }

  Status encode(std::string_view fragment, std::vector<int32_t> &ids, uint64_t &steps) const override {
    if (fragment.empty())
      return Done{};
    std::string text = markSpaces(fragment, vocabulary.addSpacePrefix);
    steps += text.size();

    MergeList list;
    bool afterUnknown = false;
    for (size_t begin = 0; begin < text.size();) {
      size_t end = text.find(spaceMark, begin + 1);
      while (end != text.npos && joinsSpace[static_cast<uint8_t>(text[end - 1])])
        end = text.find(spaceMark, end + 1);
      end = end == text.npos ? text.size() : end;
      if (Status ok = encodeWord(std::string_view(text).substr(begin, end - begin), list, ids, afterUnknown, steps);
          !ok)
        return ok;
      begin = end;
    }
    return Done{};
  }

private:
  Status encodeWord(std::string_view word, MergeList &list, std::vector<int32_t> &ids, bool &afterUnknown,
                    uint64_t &steps) const {
    if (word.size() > UINT32_MAX / 2)
      return fail(ErrorCode::TextTooLong, "text: expects words below 2^31 bytes, but got one of %zu", word.size());
    list.clear();
    for (size_t at = 0; at < word.size();) {
      size_t length = std::max<size_t>(characterLength(word.substr(at)), 1);
      list.add(static_cast<uint32_t>(at), static_cast<uint32_t>(length), vocabulary.findPlain(word.substr(at, length)));
      at += length;
    }
    list.merge(
        [&](const MergeSymbol &left, const MergeSymbol &right, Merge &merge) {
          merge.id = vocabulary.findPlain(word.substr(left.begin, right.end - left.begin));
          if (merge.id < 0)
            return false;
          merge.rank = rankOfScore(vocabulary.score(merge.id));
          return true;
        },
        steps);
    list.forEach([&](const MergeSymbol &symbol) {
      bool unknown = false;
      if (symbol.id >= 0) {
        ids.push_back(symbol.id);
      } else if (vocabulary.byteToken(0) >= 0) {
        for (char c : word.substr(symbol.begin, symbol.end - symbol.begin))
          ids.push_back(vocabulary.byteToken(static_cast<uint8_t>(c)));
      } else if (vocabulary.unknown >= 0) {
        unknown = true;
        if (!afterUnknown) // one token stands for a run of unknown characters
          ids.push_back(vocabulary.unknown);
      }
      afterUnknown = unknown;
    });
    return Done{};
  }

  const Vocabulary &vocabulary;
  std::bitset<256> joinsSpace; // last bytes of characters that some token has before an inner "▁"
};

} // namespace

std::string markSpaces(std::string_view fragment, bool prefix) {
  std::string text;
  text.reserve(fragment.size() + fragment.size() / 2 + spaceMark.size());
  if (prefix && !fragment.empty())
    text += spaceMark;
  for (char c : fragment)
    if (c == ' ')
      text += spaceMark;
    else
      text += c;
  return text;
}

Result<std::unique_ptr<Encoder>> createSpm(const Metadata &metadata, const Vocabulary &vocabulary) {
  return std::unique_ptr<Encoder>(new Spm(vocabulary));
}

} // namespace stepdown
