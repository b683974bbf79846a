// The numbers that keywords of a schema name, as languages of their texts: -?(0|[1-9][0-9]*)(\.[0-9]+)?. A number has
// many texts ("1.5", "1.50"), and a language that has one of them has all.
#pragma once
#include "lib/Grammar/Automaton.h"

namespace stepdown::grammar {

/// A number as its digits: (-1 if negative) * 0.digits * 10^point, without zeros at either end; none: zero.
struct Decimal {
  bool negative = false;
  std::string digits;
  int64_t point = 0;
  /// The number that a JSON text is; E1310 where it needs more than 1,000 digits.
  static Result<Decimal> parse(const std::string &text);
  bool operator<(const Decimal &other) const;
};

/// All numbers.
const Dfa &anyNumber();
/// Numbers above `bound`, and those equal to it where `equal` says so. E1306.
Result<Dfa> numbersAbove(const Decimal &bound, bool equal);
Result<Dfa> numbersEqual(const Decimal &value);
/// Whole multiples of `unit`, above 0; E1306 where remainders take too many states.
Result<Dfa> multiplesOf(const Decimal &unit);

} // namespace stepdown::grammar
