// tokenizer.ggml.precompiled_charsmap: how a Unigram model normalises characters, as SentencePiece compiles it.
//
//     u32 bytes of the trie | the trie, u32 entries | replacements, each ended by NUL
//
// The trie is a double array. An entry e holds base = (e >> 10) << ((e & 512) >> 6), label = e & 0x800000FF and a leaf
// flag in bit 8. From position p, byte b leads to entry i = p ^ b when label(i) = b, and on to position i ^ base(i); if
// i has its leaf flag, the entry at that position is the offset of the replacement for the bytes read so far.
// The whole trie is walked once when it is loaded, so matching needs no checks.
#pragma once
#include "lib/Base/Result.h"
#include "lib/Checkpoint/Metadata.h"
#include <string_view>
#include <vector>

namespace stepdown {

class CharsMap {
public:
  /// An empty map where the file has none. E0309, E0316 to E0319.
  static Result<CharsMap> create(const Metadata &metadata);
  /// The longest key that `text` begins with: its bytes, or 0, and what replaces them.
  size_t match(std::string_view text, std::string_view &replacement) const { return find(text, replacement, false); }
  /// The same of the shortest key.
  size_t matchShortest(std::string_view text, std::string_view &replacement) const {
    return find(text, replacement, true);
  }

private:
  size_t find(std::string_view text, std::string_view &replacement, bool shortest) const;
  Status verify(const std::string &where) const;
  static size_t base(uint32_t entry) { return static_cast<size_t>(entry >> 10) << ((entry & 512) >> 6); }

  std::vector<uint32_t> trie;
  std::string_view replacements;
};

} // namespace stepdown
