// What regular expressions and the right-hand sides of GBNF say, as a tree.
#pragma once
#include "lib/Grammar/Spelling.h"

namespace stepdown::grammar {

struct Expression {
  enum class Kind : uint8_t {
    Characters, ///< one of `ranges`
    Sequence,   ///< `parts`, one after the other; none: the empty text
    Either,     ///< one of `parts`
    Repeat,     ///< parts[0], `least` to `most` times
    Rule,       ///< a text of rule `rule`
    Begin,      ///< nothing, before the first character
    End,        ///< nothing, after the last
  };
  static constexpr uint32_t unbounded = UINT32_MAX;
  Kind kind = Kind::Sequence;
  Ranges ranges = {};
  std::vector<Expression> parts = {};
  uint32_t least = 0, most = 0;
  int32_t rule = 0;

  static Expression characters(Ranges ranges) { return {Kind::Characters, std::move(ranges)}; }
  static Expression sequence(std::vector<Expression> parts) { return {Kind::Sequence, {}, std::move(parts)}; }
  static Expression either(std::vector<Expression> parts) { return {Kind::Either, {}, std::move(parts)}; }
  static Expression repeat(Expression part, uint32_t least, uint32_t most) {
    return {Kind::Repeat, {}, {std::move(part)}, least, most};
  }
};

/// The symbol of an edge that calls rule `rule` of a grammar; those below are bytes.
constexpr uint32_t symbolOf(int32_t rule) { return 256 + static_cast<uint32_t>(rule); }

/// Adds `expression` to an automaton of bytes, or, where `points`, of code points. E1306.
Status addExpression(Nfa &nfa, const Expression &expression, int32_t from, int32_t to, bool points);

} // namespace stepdown::grammar
