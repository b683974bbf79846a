#include "lib/Grammar/Schema/Numbers.h"

#include <algorithm>
#include <cstdlib>

namespace stepdown::grammar {
namespace {

constexpr Range digit = {'0', '9'};

/// Builds automata of ASCII texts.
struct Builder {
  Nfa nfa;

  int32_t then(int32_t from, Range range) {
    const int32_t to = nfa.add();
    nfa.edge(from, range, to);
    return to;
  }
  int32_t then(int32_t from, char c) { return then(from, Range{uint32_t(c), uint32_t(c)}); }
  /// Any digits, none too.
  int32_t digits(int32_t from) {
    const int32_t loop = nfa.add();
    nfa.empty(from, loop);
    nfa.edge(loop, digit, loop);
    return loop;
  }
  /// A point and at least one digit, or nothing, then the end.
  void anyFraction(int32_t from) {
    nfa.empty(from, Nfa::end);
    nfa.empty(digits(then(then(from, '.'), digit)), Nfa::end);
  }
  /// A fraction above `wanted` (digits without zeros at the end), or equal to it where `equal` says so, then the end.
  void fractionAbove(int32_t from, const std::string &wanted, bool equal) {
    if (equal && wanted.empty())
      return anyFraction(from);
    int32_t at = then(from, '.');
    for (char c : wanted) {
      if (c < '9')
        nfa.empty(digits(then(at, Range{uint32_t(c) + 1, '9'})), Nfa::end);
      at = then(at, c);
    }
    if (equal) {
      nfa.empty(digits(at), Nfa::end);
      return;
    }
    const int32_t zeros = nfa.add(); // and then a digit that is none
    nfa.empty(at, zeros);
    nfa.edge(zeros, {'0', '0'}, zeros);
    nfa.empty(digits(then(zeros, Range{'1', '9'})), Nfa::end);
  }
};

/// The digits before and behind the point; "0" where there are none before.
void split(const Decimal &value, std::string &whole, std::string &fraction) {
  const int64_t count = static_cast<int64_t>(value.digits.size());
  whole = value.point <= 0 ? "0" : value.digits.substr(0, std::min(value.point, count));
  if (value.point > count)
    whole.append(value.point - count, '0');
  fraction = value.point < 0 ? std::string(-value.point, '0') + value.digits
                             : value.digits.substr(std::min(value.point, count));
  if (value.digits.empty())
    whole = "0", fraction.clear();
}

/// Texts without a sign whose number is above that of `bound`, whose sign does not count.
Result<Dfa> magnitudesAbove(const Decimal &bound, bool equal) {
  std::string whole, fraction;
  split(bound, whole, fraction);
  Builder b;
  int32_t at = Nfa::start;
  // As many digits: greater at the first that differs.
  for (size_t i = 0; i < whole.size(); ++i) {
    if (whole[i] < '9') {
      int32_t greater = b.then(at, Range{uint32_t(whole[i]) + 1, '9'});
      for (size_t rest = i + 1; rest < whole.size(); ++rest)
        greater = b.then(greater, digit);
      b.anyFraction(greater);
    }
    at = b.then(at, whole[i]);
  }
  b.fractionAbove(at, fraction, equal);
  // More digits.
  int32_t longer = b.then(Nfa::start, Range{'1', '9'});
  for (size_t i = 0; i < whole.size(); ++i)
    longer = b.then(longer, digit);
  b.anyFraction(b.digits(longer));
  return determinise(b.nfa);
}

const Dfa &anyMagnitude() {
  static const Dfa any = [] {
    Builder b;
    b.anyFraction(b.then(Nfa::start, '0'));
    b.anyFraction(b.digits(b.then(Nfa::start, Range{'1', '9'})));
    return *determinise(b.nfa);
  }();
  return any;
}

/// Texts of `plain` without a sign, and of `negative` behind one.
Result<Dfa> withSigns(const Dfa *plain, const Dfa *negative) {
  Builder b;
  if (plain)
    plain->into(b.nfa, Nfa::start, Nfa::end);
  if (negative)
    negative->into(b.nfa, b.then(Nfa::start, '-'), Nfa::end);
  return determinise(b.nfa);
}

} // namespace

Result<Decimal> Decimal::parse(const std::string &text) {
  Decimal value;
  size_t at = 0;
  if (text[at] == '-') {
    value.negative = true;
    ++at;
  }
  bool seenPoint = false;
  int64_t exponent = 0;
  for (; at < text.size(); ++at) {
    if (text[at] == '.') {
      seenPoint = true;
      continue;
    }
    if (text[at] == 'e' || text[at] == 'E') {
      exponent = std::strtoll(text.c_str() + at + 1, nullptr, 10);
      break;
    }
    value.digits += text[at];
    value.point += !seenPoint;
  }
  const size_t zeros = std::min(value.digits.find_first_not_of('0'), value.digits.size());
  value.digits.erase(0, zeros);
  value.point += std::clamp<int64_t>(exponent, -100000, 100000) - static_cast<int64_t>(zeros);
  while (!value.digits.empty() && value.digits.back() == '0')
    value.digits.pop_back();
  if (value.digits.empty())
    return Decimal();
  if (value.point > 1000 || value.point < -1000 || value.digits.size() > 1000)
    return fail(ErrorCode::SchemaSyntax, "schema: expects numbers of at most 1000 digits, but got %.60s", text.c_str());
  return value;
}

bool Decimal::operator<(const Decimal &other) const {
  if (digits.empty() || other.digits.empty())
    return digits.empty() ? !other.digits.empty() && !other.negative : negative;
  if (negative != other.negative)
    return negative;
  const bool less = point != other.point ? point < other.point : digits < other.digits;
  const bool same = point == other.point && digits == other.digits;
  return !same && less != negative;
}

const Dfa &anyNumber() {
  static const Dfa any = *withSigns(&anyMagnitude(), &anyMagnitude());
  return any;
}

Result<Dfa> numbersAbove(const Decimal &bound, bool equal) {
  if (!bound.negative && !bound.digits.empty()) {
    Result<Dfa> above = magnitudesAbove(bound, equal);
    return above ? withSigns(&*above, nullptr) : above;
  }
  // Above zero or a negative number: those without a sign, and behind a sign what is smaller than the bound's
  // magnitude.
  Result<Dfa> beyond = magnitudesAbove(bound, !equal);
  if (!beyond)
    return beyond;
  Result<Dfa> within = combined(anyMagnitude(), *beyond, Combine::Minus);
  if (!within)
    return within;
  if (!bound.digits.empty())
    return withSigns(&anyMagnitude(), &*within);
  Result<Dfa> above = magnitudesAbove(bound, equal);
  return above ? withSigns(&*above, &*within) : above;
}

Result<Dfa> numbersEqual(const Decimal &value) {
  Result<Dfa> least = numbersAbove(value, true), above = numbersAbove(value, false);
  if (!least || !above)
    return least ? above : least;
  return combined(*least, *above, Combine::Minus);
}

Result<Dfa> multiplesOf(const Decimal &unit) {
  // unit = number / 10^places; a text is a multiple where its digits up to `places` behind the point, as a number, are
  // one of `number`, and what follows is zeros.
  const int64_t places = std::max<int64_t>(0, static_cast<int64_t>(unit.digits.size()) - unit.point);
  std::string number = unit.digits;
  const int64_t zeros = unit.point + places - static_cast<int64_t>(unit.digits.size());
  number.append(std::max<int64_t>(zeros, 0), '0');
  const uint64_t modulus = number.size() > 9 ? UINT64_MAX : std::strtoull(number.c_str(), nullptr, 10);
  if (modulus > maxStates / static_cast<uint64_t>(places + 2))
    return tooLarge("multipleOf");
  // States: the remainder before the point, and behind it after each place.
  const size_t columns = static_cast<size_t>(places) + 2;
  Nfa nfa;
  const int32_t base = static_cast<int32_t>(nfa.states.size());
  nfa.states.resize(nfa.states.size() + modulus * columns + 1);
  auto at = [&](size_t column, uint64_t rest) { return base + static_cast<int32_t>(column * modulus + rest); };
  const int32_t trailing = base + static_cast<int32_t>(modulus * columns); // zeros behind all places
  nfa.empty(Nfa::start, at(0, 0));
  nfa.edge(trailing, {'0', '0'}, trailing);
  nfa.empty(trailing, Nfa::end);
  for (uint64_t rest = 0; rest < modulus; ++rest) {
    for (size_t column = 0; column < columns; ++column) {
      // Column 0: before the point; column k + 1: behind it, k places read.
      const size_t read = column == 0 ? 0 : column - 1;
      if (column != 0 && read == static_cast<size_t>(places)) {
        if (rest == 0)
          nfa.empty(at(column, rest), trailing);
        continue;
      }
      for (uint32_t d = 0; d < 10; ++d)
        nfa.edge(at(column, rest), {'0' + d, '0' + d}, at(column == 0 ? 0 : column + 1, (rest * 10 + d) % modulus));
      uint64_t filled = rest; // as if zeros followed
      for (size_t k = read; k < static_cast<size_t>(places); ++k)
        filled = filled * 10 % modulus;
      if (filled == 0)
        nfa.empty(at(column, rest), Nfa::end);
      if (column == 0)
        nfa.edge(at(0, rest), {'.', '.'}, at(1, rest));
    }
  }
  Result<Dfa> digits = determinise(nfa);
  if (!digits)
    return digits;
  Result<Dfa> signs = withSigns(&*digits, &*digits);
  return signs ? combined(anyNumber(), *signs, Combine::And) : signs;
}

} // namespace stepdown::grammar
