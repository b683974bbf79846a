// Byte-pair merging by rank: byte-level ("gpt2"), and on characters with "▁" for spaces ("gemma4").
//
// Merges are looked up by the ids of the two tokens, never by text: one 64-bit key, one probe. What a merge makes need
// not be a token itself; then it stands for its single characters, and nothing merges with it any further.
#include "lib/Checkpoint/GgufShard.h"
#include "lib/Text/Tokenizer/ByteAlphabet.h"
#include "lib/Text/Tokenizer/Encoder.h"
#include "lib/Text/Tokenizer/MergeList.h"
#include "lib/Text/Tokenizer/PreTokenizers.h"
#include "lib/Text/Tokenizer/TextHash.h"
#include "lib/Text/Tokenizer/Utf8.h"
#include "lib/Text/Tokenizer/Vocabulary.h"

#include <cinttypes>
#include <string>

namespace stepdown {
namespace {

/// Pair of ids -> merge, in one open-addressing table.
class MergeTable {
public:
  explicit MergeTable(size_t merges) {
    size_t capacity = 16;
    while (capacity < merges * 2)
      capacity *= 2;
    slots.assign(capacity, Slot{~uint64_t(0), {0, 0}});
  }
  /// The first of two equal merges counts. Room is fetched a few merges before it is filled: see flush.
  void add(int32_t left, int32_t right, Merge merge) {
    Slot &next = waiting[count++ % lag];
    if (count > lag)
      insert(next);
    next = {key(left, right), merge};
    __builtin_prefetch(&slots[home(next.key)], 1);
  }
  /// To be called after the last add, and before any find.
  void flush() {
    for (size_t i = count > lag ? count - lag : 0; i < count; ++i)
      insert(waiting[i % lag]);
    count = 0;
  }
  bool find(int32_t left, int32_t right, Merge &merge) const {
    const Slot &slot = slots[at(key(left, right))];
    merge = slot.merge;
    return slot.key != ~uint64_t(0);
  }

private:
  struct Slot {
    uint64_t key;
    Merge merge;
  };
  static uint64_t key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
  }
  void insert(const Slot &merge) {
    Slot &slot = slots[at(merge.key)];
    if (slot.key == ~uint64_t(0))
      slot = merge;
  }
  size_t home(uint64_t key) const {
    uint64_t mixed = (key ^ key >> 29) * 0x9e3779b97f4a7c15;
    return (mixed ^ mixed >> 32) & (slots.size() - 1);
  }
  /// The slot of `key`, or the free one where it belongs.
  size_t at(uint64_t key) const {
    size_t slot = home(key);
    while (slots[slot].key != key && slots[slot].key != ~uint64_t(0))
      slot = (slot + 1) & (slots.size() - 1);
    return slot;
  }
  static constexpr size_t lag = 8; // a power of two
  std::vector<Slot> slots;
  Slot waiting[lag];
  size_t count = 0;
};

/// Names whose tokenizer.json says ignore_merges: a word that is a token is taken whole.
constexpr std::string_view wholeWordPres[] = {"llama3",  "llama-v3", "llama-bpe", "falcon3", "falcon-h1",
                                              "pixtral", "midm-2.0", "lfm2",      "tekken",  "jina-v5-nano"};

class Bpe final : public Encoder {
public:
  Bpe(const Vocabulary &vocabulary, MergeTable merges, std::unique_ptr<WordSplitter> splitter)
      : vocabulary(vocabulary), merges(std::move(merges)), splitter(std::move(splitter)),
        byteLevel(vocabulary.model == TokenizerModel::Bpe) {
    if (vocabulary.fromJson)
      wholeWords = vocabulary.fromJson->ignoreMerges, cutsAtMarks = vocabulary.fromJson->cutsAtMarks;
    else
      for (std::string_view name : wholeWordPres)
        wholeWords = wholeWords || (byteLevel && vocabulary.pre == name);
    for (int byte = 0; byte < 256; ++byte) {
      std::string character;
      appendCodePoint(character, ByteAlphabet::get().characterOf(static_cast<uint8_t>(byte)));
      byteIds[byte] = byteLevel ? vocabulary.findPlain(character) : vocabulary.byteToken(static_cast<uint8_t>(byte));
    }
  }

  Status encode(std::string_view fragment, std::vector<int32_t> &ids, uint64_t &steps) const override {
    std::string marked;
    if (!byteLevel) {
      marked = markSpaces(fragment, vocabulary.addSpacePrefix);
      fragment = marked;
    }
    steps += fragment.size();
    MergeList list;
    std::vector<std::string_view> words;
    while (!fragment.empty()) {
      // Bytes that are no UTF-8 are words of their own, so that they come back as they were.
      size_t length = wellFormedLength(fragment);
      if (length) {
        if (Status ok = splitter->split(fragment.substr(0, length), words, steps); !ok)
          return ok;
      } else {
        while (length < fragment.size() && !characterLength(fragment.substr(length)))
          ++length;
        words.assign(1, fragment.substr(0, length));
      }
      for (std::string_view word : words)
        for (size_t end; !word.empty(); word.remove_prefix(end)) {
          end = cutsAtMarks ? std::min(word.find(spaceMark, 1), word.size()) : word.size();
          if (Status ok = encodeWord(word.substr(0, end), list, ids, steps); !ok)
            return ok;
        }
      fragment.remove_prefix(length);
    }
    return Done{};
  }

private:
  Status encodeWord(std::string_view word, MergeList &list, std::vector<int32_t> &ids, uint64_t &steps) const {
    if (word.size() == 1 && byteIds[static_cast<uint8_t>(word[0])] >= 0 && byteLevel) {
      ids.push_back(byteIds[static_cast<uint8_t>(word[0])]);
      return Done{};
    }
    if (word.size() > INT32_MAX)
      return fail(ErrorCode::TextTooLong, "text: expects words below 2^31 bytes, but got one of %zu", word.size());
    if (wholeWords && word.size() <= vocabulary.longestText()) {
      std::string spelt;
      for (char c : word)
        appendCodePoint(spelt, ByteAlphabet::get().characterOf(static_cast<uint8_t>(c)));
      if (int32_t id = vocabulary.findPlain(spelt); id >= 0) {
        ids.push_back(id);
        return Done{};
      }
    }
    list.clear();
    for (size_t at = 0, length; at < word.size(); at += length) {
      length = byteLevel ? 1 : std::max<size_t>(characterLength(word.substr(at)), 1);
      list.add(static_cast<uint32_t>(at), static_cast<uint32_t>(length),
               byteLevel ? byteIds[static_cast<uint8_t>(word[at])] : vocabulary.findPlain(word.substr(at, length)));
    }
    list.merge([&](const MergeSymbol &left, const MergeSymbol &right,
                   Merge &merge) { return left.id >= 0 && right.id >= 0 && merges.find(left.id, right.id, merge); },
               steps);
    Status result = Done{};
    list.forEach([&](const MergeSymbol &symbol) {
      if (symbol.id >= 0)
        ids.push_back(symbol.id);
      else if (Status ok = spell(word.substr(symbol.begin, symbol.end - symbol.begin), ids); !ok)
        result = ok;
    });
    return result;
  }

  /// What is no token, by its single characters, and those by their bytes.
  Status spell(std::string_view text, std::vector<int32_t> &ids) const {
    for (size_t at = 0, length; at < text.size(); at += length) {
      length = byteLevel ? 1 : std::max<size_t>(characterLength(text.substr(at)), 1);
      int32_t id = byteLevel ? -1 : vocabulary.findPlain(text.substr(at, length));
      if (id >= 0) {
        ids.push_back(id);
        continue;
      }
      for (char c : text.substr(at, length)) {
        int32_t byteId = byteIds[static_cast<uint8_t>(c)];
        if (byteId < 0 && vocabulary.unknown < 0)
          return fail(
              ErrorCode::TextUnspellable,
              "text: expects bytes that the vocabulary can spell, but got 0x%02X, and there is no unknown token",
              static_cast<uint8_t>(c));
        ids.push_back(byteId >= 0 ? byteId : vocabulary.unknown);
      }
    }
    return Done{};
  }

  const Vocabulary &vocabulary;
  MergeTable merges;
  std::unique_ptr<WordSplitter> splitter;
  bool byteLevel;
  bool wholeWords = false, cutsAtMarks = false;
  int32_t byteIds[256]; // token of a single byte, or -1
};

/// Converters store the user-defined tokens of SPM-style vocabularies, runs of spaces among them, with "▁" as a space
/// already, but leave the merges that made them as they were.
int32_t findPart(const Vocabulary &vocabulary, std::string_view part, uint64_t hash) {
  int32_t id = vocabulary.find(part, hash);
  if (id >= 0 || vocabulary.model != TokenizerModel::SpmBpe || part.find(spaceMark) == part.npos)
    return id;
  std::string spaced;
  for (size_t mark; (mark = part.find(spaceMark)) != part.npos; part.remove_prefix(mark + spaceMark.size()))
    spaced.append(part.substr(0, mark)) += ' ';
  return vocabulary.find(spaced.append(part));
}

Result<MergeTable> readMerges(const Metadata &metadata, const Vocabulary &vocabulary) {
  constexpr const char *key = "tokenizer.ggml.merges";
  const GgufValue *value = metadata.find(key);
  if (!value || value->type != GgufType::Array || value->element != GgufType::String)
    return metadata.strings(key).error();
  const char *file = metadata.file().c_str();
  if (value->count > INT32_MAX)
    return fail(ErrorCode::MergeFormat, "%s: offset %" PRIu64 ": key '%s': expects below 2^31 merges, but got %" PRIu64,
                file, value->offset, key, value->count);
  MergeTable table(value->count);
  // Three look-ups a merge in tables larger than a cache: the places are fetched a few merges ahead of their use.
  constexpr size_t ahead = 8; // a power of two
  struct Ahead {
    std::string_view left, right;
    std::string joined;
    uint64_t hashes[3];
  } merges[ahead];
  auto fetch = [&](size_t rank) {
    Ahead &merge = merges[rank % ahead];
    std::string_view text = value->strings[rank];
    size_t space = std::min(text.find(' ', 1), text.size());
    merge.left = text.substr(0, space);
    merge.right = text.substr(std::min(space + 1, text.size()));
    merge.joined.assign(merge.left).append(merge.right);
    const std::string_view texts[] = {merge.left, merge.right, merge.joined};
    for (int i = 0; i < 3; ++i) {
      merge.hashes[i] = hashText(texts[i]);
      vocabulary.fetch(merge.hashes[i]);
    }
  };
  for (size_t rank = 0; rank < std::min<size_t>(ahead, value->strings.size()); ++rank)
    fetch(rank);
  for (size_t rank = 0; rank < value->strings.size(); ++rank) {
    std::string_view text = value->strings[rank];
    Ahead &merge = merges[rank % ahead];
    auto offset = [&] {
      return value->offset + static_cast<uint64_t>(text.data() - reinterpret_cast<const char *>(value->bytes));
    };
    if (merge.left.empty() || merge.right.empty())
      return fail(ErrorCode::MergeFormat,
                  "%s: offset %" PRIu64 ": key '%s': merge %zu: expects two parts with a space between, but got '%s'",
                  file, offset(), key, rank, printable(text).c_str());
    const std::string_view parts[] = {merge.left, merge.right};
    int32_t ids[2];
    for (int i = 0; i < 2; ++i)
      if ((ids[i] = findPart(vocabulary, parts[i], merge.hashes[i])) < 0)
        return fail(ErrorCode::MergePart,
                    "%s: offset %" PRIu64 ": key '%s': merge %zu: expects parts that are tokens, but '%s' is none",
                    file, offset(), key, rank, printable(parts[i]).c_str());
    int32_t id = vocabulary.find(merge.joined, merge.hashes[2]);
    if (id < 0 || vocabulary.isPlain(id)) // no plain text turns into a control token
      table.add(ids[0], ids[1], {static_cast<uint32_t>(rank), id});
    if (rank + ahead < value->strings.size())
      fetch(rank + ahead);
  }
  table.flush();
  return table;
}

/// "'Split ...', 'Digits'", of which each is cut short.
std::string partsText(const std::vector<std::string> &parts) {
  std::string text;
  for (const std::string &part : parts)
    text += (text.empty() ? "'" : ", '") + printable(part) + "'";
  return text.empty() ? "none" : text;
}

/// A vocabulary without some bytes cannot spell some texts, which are refused; one without any can spell none.
Status checkBytes(const Metadata &metadata, const Vocabulary &vocabulary) {
  if (vocabulary.model != TokenizerModel::Bpe || vocabulary.unknown >= 0)
    return Done{};
  for (int byte = 0; byte < 256; ++byte) {
    std::string character;
    appendCodePoint(character, ByteAlphabet::get().characterOf(static_cast<uint8_t>(byte)));
    if (vocabulary.findPlain(character) >= 0)
      return Done{};
  }
  return fail(ErrorCode::ByteTokenMissing,
              "%s: offset %" PRIu64
              ": key 'tokenizer.ggml.tokens': expects normal tokens of single bytes, or an unknown "
              "token, but there are none",
              metadata.file().c_str(), metadata.find("tokenizer.ggml.tokens")->offset);
}

} // namespace

Result<std::unique_ptr<Encoder>> createBpe(const Metadata &metadata, const Vocabulary &vocabulary) {
  std::string_view name = vocabulary.model == TokenizerModel::SpmBpe ? std::string_view("gemma4") : vocabulary.pre;
  static const PreTokenizer whole{{"tokenizer.json"}, {}, false}; // nothing is cut
  const bool cuts = !vocabulary.fromJson || vocabulary.model == TokenizerModel::Bpe;
  const PreTokenizer *row = !cuts                 ? &whole
                            : vocabulary.fromJson ? findPreTokenizer(vocabulary.fromJson->preTokenizer)
                                                  : findPreTokenizer(name);
  if (!row && vocabulary.fromJson)
    return fail(ErrorCode::TokenizerJsonUnsupported,
                "%s/tokenizer.json: key 'pre_tokenizer': expects patterns of a known pre-tokenizer, but got %s",
                metadata.file().c_str(), partsText(vocabulary.fromJson->preTokenizer).c_str());
  if (!row)
    return fail(ErrorCode::PreTokenizerUnknown,
                "%s: offset %" PRIu64 ": key 'tokenizer.ggml.pre': expects the name of a known pre-tokenizer, but got "
                "'%s'",
                metadata.file().c_str(), metadata.find("tokenizer.ggml.pre")->offset, printable(name).c_str());
  Result<std::unique_ptr<WordSplitter>> splitter = WordSplitter::create(*row);
  if (!splitter)
    return splitter.error();
  if (Status bytes = checkBytes(metadata, vocabulary); !bytes)
    return bytes.error();
  Result<MergeTable> merges = readMerges(metadata, vocabulary);
  if (!merges)
    return merges.error();
  return std::unique_ptr<Encoder>(new Bpe(vocabulary, std::move(*merges), std::move(*splitter)));
}

} // namespace stepdown
