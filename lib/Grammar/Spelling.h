// How code points are written as bytes: in UTF-8, or in a JSON string.
//
// In a JSON string a printable ASCII character is written as itself, and / as \/ too; any other may be written as
// itself where JSON lets it, as \uXXXX in UTF-16 with digits of either case, or by its short escape (\n). A lone
// surrogate is no text.
#pragma once
#include "lib/Grammar/Automaton.h"
#include <map>

namespace stepdown::grammar {

enum class Spelling { Utf8, JsonString };

/// Writes edges of code points into an automaton as paths of bytes, which share what they have in common.
class Speller {
public:
  Speller(Nfa &nfa, Spelling spelling) : nfa(nfa), spelling(spelling) {}
  /// Any character of `ranges` leads from `from` to `to`.
  void characters(int32_t from, const Ranges &ranges, int32_t to);
  /// A text of code points, given in UTF-8.
  void text(int32_t from, std::string_view utf8, int32_t to);
  /// What `dfa`, of code points, takes.
  void language(int32_t from, const Dfa &dfa, int32_t to);

private:
  void utf8(int32_t from, Range range, int32_t to);
  void escapes(int32_t from, Range range, int32_t to);
  void hex(int32_t from, uint32_t low, uint32_t high, int digits, int32_t to);
  /// A state from which any `count` continuation bytes, or hexadecimal digits, lead to `to`.
  int32_t anyBytes(int count, int32_t to);
  int32_t anyDigits(int count, int32_t to);
  /// The state behind the backslash at `from`, and behind \u.
  int32_t backslash(int32_t from);
  int32_t escapeU(int32_t from);
  void digit(int32_t from, uint32_t low, uint32_t high, int32_t to);

  Nfa &nfa;
  const Spelling spelling;
  std::map<std::pair<int, int32_t>, int32_t> tails, digitTails;
  std::map<int32_t, int32_t> slashes, unicode;
};

} // namespace stepdown::grammar
