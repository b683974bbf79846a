// Cuts a text at its special tokens, before any algorithm sees it.
//
// User-defined tokens are always cut out; control and unknown tokens only where the caller trusts the text. Longer
// tokens go first, each at its leftmost places in what is still raw. Instead of searching the text once for each of
// thousands of tokens, one pass finds the longest candidate at every position; positions are then taken up by length,
// and one that meets text already taken falls back to the next shorter candidate there. That is linear but for the
// fall-backs, of which a position has at most as many as candidates begin there.
//
// Vocabularies of a tokenizer.json are cut as the Python package tokenizers cuts: the leftmost token first, of several
// there the longest, and some tokens only in what the others left.
#pragma once
#include "lib/Text/Tokenizer/Tokenizer.h"
#include "lib/Text/Tokenizer/Vocabulary.h"

namespace stepdown {

class SpecialTokens {
public:
  explicit SpecialTokens(const Vocabulary &vocabulary);

  struct Fragment {
    int32_t id;        // of a special token; -1: raw text
    size_t begin, end; // bytes of the text
  };
  /// The fragments of `text` in order; adjacent raw ones never occur, nor empty ones. `untrusted` may be null.
  std::vector<Fragment> partition(std::string_view text, bool parseSpecial, const std::vector<TextRange> *untrusted,
                                  uint64_t &steps) const;

private:
  struct Candidate {
    std::string_view text;
    int32_t id;
    bool always;    // also in text that is not trusted
    bool stripLeft; // takes the white space before it
    bool stripRight;
    bool late; // looked for in what the others left
  };
  /// The longest candidate at the beginning of `text`, or null; `trusted` bytes of it may be read as control tokens.
  const Candidate *longest(std::string_view text, size_t trusted, bool late, uint64_t &steps) const;
  /// Bytes from `at` on that a control token may have.
  static size_t trustedFrom(size_t at, std::string_view text, bool parseSpecial,
                            const std::vector<TextRange> *untrusted);
  /// Appends the fragments of bytes [begin, end) of `text`, leftmost tokens first.
  void cutLeftmost(std::string_view text, size_t begin, size_t end, bool late, bool parseSpecial,
                   const std::vector<TextRange> *untrusted, uint64_t &steps, std::vector<Fragment> &fragments) const;

  std::vector<Candidate> candidates; // by text
  uint32_t firstByte[257];           // range of the candidates that begin with a byte
  bool anyAlways = false;
  bool leftmost = false, anyLate = false;
};

} // namespace stepdown
