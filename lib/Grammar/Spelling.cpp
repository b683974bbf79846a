#include "lib/Grammar/Spelling.h"

#include "lib/Text/Tokenizer/Utf8.h"
#include <algorithm>

namespace stepdown::grammar {

int32_t Speller::anyBytes(int count, int32_t to) {
  if (count == 0)
    return to;
  auto [at, isNew] = tails.try_emplace({count, to}, -1);
  if (isNew) {
    const int32_t rest = anyBytes(count - 1, to), state = nfa.add();
    nfa.edge(state, {0x80, 0xbf}, rest);
    tails[{count, to}] = state;
    return state;
  }
  return at->second;
}

int32_t Speller::anyDigits(int count, int32_t to) {
  if (count == 0)
    return to;
  auto at = digitTails.find({count, to});
  if (at != digitTails.end())
    return at->second;
  const int32_t rest = anyDigits(count - 1, to), state = nfa.add();
  digit(state, 0, 15, rest);
  return digitTails[{count, to}] = state;
}

int32_t Speller::backslash(int32_t from) {
  auto [at, isNew] = slashes.try_emplace(from, -1);
  if (isNew) {
    at->second = nfa.add();
    nfa.edge(from, {'\\', '\\'}, at->second);
  }
  return at->second;
}

int32_t Speller::escapeU(int32_t from) {
  auto [at, isNew] = unicode.try_emplace(from, -1);
  if (isNew) {
    at->second = nfa.add();
    nfa.edge(backslash(from), {'u', 'u'}, at->second);
  }
  return at->second;
}

/// A hexadecimal digit of low .. high.
void Speller::digit(int32_t from, uint32_t low, uint32_t high, int32_t to) {
  if (low < 10)
    nfa.edge(from, {'0' + low, '0' + std::min(high, 9u)}, to);
  if (high >= 10) {
    const uint32_t first = std::max(low, 10u) - 10;
    nfa.edge(from, {'a' + first, 'a' + high - 10}, to);
    nfa.edge(from, {'A' + first, 'A' + high - 10}, to);
  }
}

/// The numbers low .. high in `digits` hexadecimal digits.
void Speller::hex(int32_t from, uint32_t low, uint32_t high, int digits, int32_t to) {
  const int shift = 4 * (digits - 1);
  const uint32_t mask = (1u << shift) - 1;
  uint32_t first = low >> shift;
  const uint32_t last = high >> shift;
  if (digits == 1)
    return digit(from, first, last, to);
  auto partly = [&](uint32_t lead, uint32_t least, uint32_t most) {
    const int32_t next = nfa.add();
    digit(from, lead, lead, next);
    hex(next, least, most, digits - 1, to);
  };
  if (first == last && !((low & mask) == 0 && (high & mask) == mask))
    return partly(first, low & mask, high & mask);
  uint32_t whole = first, wholeLast = last;
  if ((low & mask) != 0)
    partly(whole++, low & mask, mask);
  if ((high & mask) != mask)
    partly(wholeLast--, 0, high & mask);
  if (whole <= wholeLast && wholeLast <= last)
    digit(from, whole, wholeLast, anyDigits(digits - 1, to));
}

void Speller::utf8(int32_t from, Range range, int32_t to) {
  static constexpr struct {
    uint32_t low, high;
    int length;
  } lengths[] = {{0, 0x7f, 1}, {0x80, 0x7ff, 2}, {0x800, 0xffff, 3}, {0x10000, lastCodePoint, 4}};
  for (auto [low, high, length] : lengths) {
    const uint32_t first = std::max(low, range.low), last = std::min(high, range.high);
    if (first > last)
      continue;
    if (length == 1) {
      nfa.edge(from, {first, last}, to);
      continue;
    }
    // A lead byte, and the same question of six bits fewer.
    const uint32_t mark = length == 2 ? 0xc0 : length == 3 ? 0xe0 : 0xf0;
    struct Step {
      int32_t from;
      uint32_t low, high;
      int left; ///< continuation bytes after this one
    };
    std::vector<Step> work = {{from, first, last, length - 1}};
    while (!work.empty()) {
      const Step step = work.back();
      work.pop_back();
      const uint32_t lead = step.left == length - 1 ? mark : 0x80;
      const int shift = 6 * step.left;
      const uint32_t mask = (1u << shift) - 1;
      uint32_t begin = step.low >> shift, end = step.high >> shift;
      auto partly = [&](uint32_t value, uint32_t least, uint32_t most) {
        const int32_t next = nfa.add();
        nfa.edge(step.from, {lead + value, lead + value}, next);
        work.push_back({next, least, most, step.left - 1});
      };
      if (step.left == 0) {
        nfa.edge(step.from, {lead + begin, lead + end}, to);
        continue;
      }
      if (begin == end && !((step.low & mask) == 0 && (step.high & mask) == mask)) {
        partly(begin, step.low & mask, step.high & mask);
        continue;
      }
      if ((step.low & mask) != 0)
        partly(begin++, step.low & mask, mask);
      if ((step.high & mask) != mask)
        partly(end--, 0, step.high & mask);
      if (begin <= end)
        nfa.edge(step.from, {lead + begin, lead + end}, anyBytes(step.left, to));
    }
  }
}

void Speller::escapes(int32_t from, Range range, int32_t to) {
  static constexpr char shorts[][2] = {{'"', '"'},  {'\\', '\\'}, {'/', '/'},  {'\b', 'b'},
                                       {'\f', 'f'}, {'\n', 'n'},  {'\r', 'r'}, {'\t', 't'}};
  for (auto [character, letter] : shorts)
    if (range.low <= uint32_t(character) && uint32_t(character) <= range.high)
      nfa.edge(backslash(from), {uint32_t(letter), uint32_t(letter)}, to);
  auto wide = [&](uint32_t low, uint32_t high) {
    const uint32_t first = std::max(low, range.low), last = std::min(high, range.high);
    if (first <= last)
      hex(escapeU(from), first, last, 4, to);
  };
  wide(0, 0x1f);
  wide('"', '"');
  wide('\\', '\\');
  wide(0x7f, 0xd7ff);
  wide(0xe000, 0xffff);
  // Two units of UTF-16: the first is the same for 1,024 code points.
  if (range.high < 0x10000)
    return;
  const uint32_t low = std::max(range.low, 0x10000u) - 0x10000, high = range.high - 0x10000;
  uint32_t first = low >> 10, last = high >> 10;
  auto units = [&](uint32_t lead, uint32_t leadLast, uint32_t least, uint32_t most) {
    const int32_t middle = nfa.add();
    hex(escapeU(from), 0xd800 + lead, 0xd800 + leadLast, 4, middle);
    hex(escapeU(middle), 0xdc00 + least, 0xdc00 + most, 4, to);
  };
  if (first == last)
    return units(first, first, low & 0x3ff, high & 0x3ff);
  if (low & 0x3ff)
    units(first, first, low & 0x3ff, 0x3ff), ++first;
  if ((high & 0x3ff) != 0x3ff)
    units(last, last, 0, high & 0x3ff), --last;
  if (first <= last)
    units(first, last, 0, 0x3ff);
}

void Speller::characters(int32_t from, const Ranges &ranges, int32_t to) {
  for (Range range : ranges) {
    range.high = std::min(range.high, lastCodePoint);
    if (spelling == Spelling::Utf8) {
      utf8(from, range, to);
      continue;
    }
    for (Range plain : {Range{0x20, 0x21}, Range{0x23, 0x5b}, Range{0x5d, lastCodePoint}}) {
      plain.low = std::max(plain.low, range.low);
      plain.high = std::min(plain.high, range.high);
      if (plain.low <= plain.high)
        utf8(from, plain, to);
    }
    escapes(from, range, to);
  }
}

void Speller::text(int32_t from, std::string_view text, int32_t to) {
  if (text.empty())
    nfa.empty(from, to);
  while (!text.empty()) {
    const size_t length = characterLength(text);
    const uint32_t point = codePoint(text, length);
    text.remove_prefix(length);
    const int32_t next = text.empty() ? to : nfa.add();
    characters(from, {{point, point}}, next);
    from = next;
  }
}

void Speller::language(int32_t from, const Dfa &dfa, int32_t to) {
  std::vector<int32_t> at(dfa.states());
  for (int32_t &state : at)
    state = nfa.add();
  nfa.empty(from, at[0]);
  for (size_t s = 0; s < dfa.states() && nfa.checkSize(); ++s) { // who called refuses what is too large
    std::map<int32_t, Ranges> byTarget;
    for (size_t c = 0; c < dfa.classes(); ++c)
      if (int32_t target = dfa.next[s * dfa.classes() + c]; target >= 0)
        byTarget[target].push_back({dfa.starts[c], dfa.last(c)});
    for (auto &[target, ranges] : byTarget)
      characters(at[s], normalised(ranges), at[target]);
    if (dfa.accepts[s])
      nfa.empty(at[s], to);
  }
}

} // namespace stepdown::grammar
