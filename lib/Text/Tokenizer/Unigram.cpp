// Unigram ("t5"): of all ways to cut the normalised text into tokens, the one with the highest sum of scores.
#include "lib/Text/Tokenizer/CharsMap.h"
#include "lib/Text/Tokenizer/Encoder.h"
#include "lib/Text/Tokenizer/UnigramText.h"
#include "lib/Text/Tokenizer/Utf8.h"
#include "lib/Text/Tokenizer/Vocabulary.h"

#include <algorithm>
#include <limits>

namespace stepdown {
namespace {

/// All tokens as a trie whose edges lie in one open-addressing table: (node, byte) -> node.
class TokenTrie {
public:
  explicit TokenTrie(const Vocabulary &vocabulary) : edges(1024, Edge{0, 0}), tokens(1, -1) {
    const int32_t count =
        vocabulary.fromJson ? std::min(vocabulary.fromJson->modelTokens, vocabulary.size()) : vocabulary.size();
    for (int32_t id = 0; id < count; ++id) {
      // The package takes what is written as a byte's token for that, too.
      if (!vocabulary.isPlain(id) && !(vocabulary.fromJson && vocabulary.type(id) == TokenType::Byte))
        continue;
      uint32_t node = 0;
      for (char c : vocabulary.text(id))
        node = addStep(node, static_cast<uint8_t>(c));
      tokens[node] = id;
    }
  }
  /// The node after `byte`, or 0 (the root, which no edge leads to).
  uint32_t step(uint32_t node, uint8_t byte) const { return edges[slot(node, byte)].node; }
  /// The token that ends at `node`, or -1.
  int32_t token(uint32_t node) const { return tokens[node]; }

private:
  struct Edge {
    uint64_t key;
    uint32_t node; // 0: free
  };
  static uint64_t keyOf(uint32_t node, uint8_t byte) { return static_cast<uint64_t>(node) << 8 | byte; }
  size_t slot(uint32_t node, uint8_t byte) const {
    uint64_t key = keyOf(node, byte), mixed = key * 0x9e3779b97f4a7c15;
    size_t at = (mixed ^ mixed >> 32) & (edges.size() - 1);
    while (edges[at].node && edges[at].key != key)
      at = (at + 1) & (edges.size() - 1);
    return at;
  }
  uint32_t addStep(uint32_t node, uint8_t byte) {
    size_t at = slot(node, byte);
    if (edges[at].node)
      return edges[at].node;
    uint32_t created = static_cast<uint32_t>(tokens.size());
    edges[at] = {keyOf(node, byte), created};
    tokens.push_back(-1);
    if (tokens.size() * 2 > edges.size()) {
      std::vector<Edge> old(edges.size() * 2, Edge{0, 0});
      old.swap(edges);
      for (const Edge &edge : old)
        if (edge.node)
          edges[slot(static_cast<uint32_t>(edge.key >> 8), static_cast<uint8_t>(edge.key))] = edge;
    }
    return created;
  }

  std::vector<Edge> edges;
  std::vector<int32_t> tokens; // by node
};

class Unigram final : public Encoder {
public:
  Unigram(const Vocabulary &vocabulary, CharsMap map, bool removeExtraSpaces, std::optional<UnigramText> json)
      : vocabulary(vocabulary), trie(vocabulary), map(std::move(map)), removeExtraSpaces(removeExtraSpaces),
        json(std::move(json)) {
    double lowest = 0;
    for (int32_t id = 0; id < vocabulary.size(); ++id) {
      if (vocabulary.type(id) == TokenType::Normal || this->json)
        lowest = std::min<double>(lowest, vocabulary.score(id));
      fallsBack = fallsBack || (this->json && vocabulary.type(id) == TokenType::Byte);
    }
    unknownScore = lowest - 10.0;
  }

  Status encode(std::string_view fragment, std::vector<int32_t> &ids, uint64_t &steps) const override {
    if (!json)
      return cut(normalize(fragment, steps), ids, steps);
    for (const std::string &word : json->words(fragment, steps))
      if (Status done = cut(word, ids, steps); !done)
        return done;
    return Done{};
  }

private:
  /// Appends the ids of a text that is normalised.
  Status cut(std::string_view text, std::vector<int32_t> &ids, uint64_t &steps) const {
    if (text.size() > UINT32_MAX)
      return fail(ErrorCode::TextTooLong, "text: expects below 2^32 bytes once normalised, but got %zu", text.size());
    struct Best {
      double score = -std::numeric_limits<double>::infinity();
      int32_t id = -1;
      uint32_t begin = 0;
    };
    std::vector<Best> best(text.size() + 1); // the best way to cut the text up to each byte
    best[0].score = 0;
    auto offer = [&](size_t begin, size_t end, int32_t id, double score) {
      double sum = best[begin].score + score;
      if (sum > best[end].score)
        best[end] = {sum, id, static_cast<uint32_t>(begin)};
    };
    for (size_t begin = 0, length; begin < text.size(); begin += length) {
      length = std::max<size_t>(characterLength(text.substr(begin)), 1);
      bool single = false; // a token for the character alone
      uint32_t node = 0;
      for (size_t end = begin; end < text.size() && (node = trie.step(node, static_cast<uint8_t>(text[end])));) {
        ++end;
        ++steps;
        int32_t id = trie.token(node);
        if (id < 0)
          continue;
        offer(begin, end, id, vocabulary.type(id) == TokenType::UserDefined && !json ? 0.0 : vocabulary.score(id));
        single = single || end - begin == length;
      }
      if (!single)
        offer(begin, begin + length, vocabulary.unknown, unknownScore);
    }
    size_t first = ids.size();
    for (size_t end = text.size(); end > 0; end = best[end].begin) {
      const int32_t id = best[end].id;
      if (id == vocabulary.unknown && hasBytes(text.substr(best[end].begin, end - best[end].begin)))
        for (size_t at = end; at > best[end].begin;)
          ids.push_back(vocabulary.byteToken(static_cast<uint8_t>(text[--at])));
      else if (id != vocabulary.unknown || ids.size() == first || ids.back() != id)
        ids.push_back(id);
    }
    std::reverse(ids.begin() + static_cast<std::ptrdiff_t>(first), ids.end());
    return Done{};
  }

  /// Whether a tokenizer.json has tokens for all bytes of `text`, which stand in place of the unknown token.
  bool hasBytes(std::string_view text) const {
    return fallsBack && std::all_of(text.begin(), text.end(),
                                    [&](char c) { return vocabulary.byteToken(static_cast<uint8_t>(c)) >= 0; });
  }

  /// Characters mapped, spaces collapsed where the file asks for it and written as "▁", one in front.
  std::string normalize(std::string_view fragment, uint64_t &steps) const {
    std::string text;
    text.reserve(fragment.size() + fragment.size() / 2 + spaceMark.size());
    bool started = false, owesSpace = false;
    auto add = [&](std::string_view characters) {
      for (char c : characters) {
        if (c == ' ' && removeExtraSpaces) {
          owesSpace = started;
          continue;
        }
        if (owesSpace || (!started && vocabulary.addSpacePrefix))
          text += spaceMark;
        owesSpace = false;
        started = true;
        if (c == ' ')
          text += spaceMark;
        else
          text += c;
      }
    };
    while (!fragment.empty()) {
      ++steps;
      std::string_view replacement;
      size_t length = map.match(fragment, replacement);
      if (!length && (length = characterLength(fragment)))
        replacement = fragment.substr(0, length);
      add(length ? replacement : "\xef\xbf\xbd");
      fragment.remove_prefix(std::max<size_t>(length, 1));
    }
    return text;
  }

  const Vocabulary &vocabulary;
  TokenTrie trie;
  CharsMap map;
  bool removeExtraSpaces;
  std::optional<UnigramText> json; ///< what a tokenizer.json does in place of normalize()
  bool fallsBack = false;          ///< of such a file: characters that are no token become their bytes
  double unknownScore;
};

} // namespace

Result<std::unique_ptr<Encoder>> createUnigram(const Metadata &metadata, const Vocabulary &vocabulary) {
  Result<CharsMap> map = CharsMap::create(metadata);
  if (!map)
    return map.error();
  if (vocabulary.fromJson) {
    Result<UnigramText> text = UnigramText::create(metadata, vocabulary, std::move(*map));
    if (!text)
      return text.error();
    return std::unique_ptr<Encoder>(new Unigram(vocabulary, CharsMap(), false, std::move(*text)));
  }
  bool removeExtraSpaces = false;
  if (metadata.has("tokenizer.ggml.remove_extra_whitespaces")) {
    Result<bool> value = metadata.boolean("tokenizer.ggml.remove_extra_whitespaces");
    if (!value)
      return value.error();
    removeExtraSpaces = *value;
  }
  return std::unique_ptr<Encoder>(new Unigram(vocabulary, std::move(*map), removeExtraSpaces, std::nullopt));
}

} // namespace stepdown
