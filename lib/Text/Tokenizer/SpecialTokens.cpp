#include "lib/Text/Tokenizer/SpecialTokens.h"

#include "lib/Text/Tokenizer/Utf8.h"

#include <algorithm>
#include <map>

namespace stepdown {
namespace {

bool isAsciiSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// Unicode's White_Space.
bool isSpace(uint32_t c) {
  return c == ' ' || (c >= '\t' && c <= '\r') || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/// Where the white space that ends at `end` begins, not before `begin`.
size_t spaceBefore(std::string_view text, size_t begin, size_t end) {
  while (end > begin) {
    size_t at = end - 1;
    while (at > begin && (static_cast<uint8_t>(text[at]) & 0xc0) == 0x80)
      --at;
    const size_t length = characterLength(text.substr(at, end - at));
    if (length != end - at || !isSpace(codePoint(text.substr(at), length)))
      break;
    end = at;
  }
  return end;
}

/// Where the white space that begins at `begin` ends, not behind `end`.
size_t spaceAfter(std::string_view text, size_t begin, size_t end) {
  for (size_t length; begin < end && (length = characterLength(text.substr(begin, end - begin)));) {
    if (!isSpace(codePoint(text.substr(begin), length)))
      break;
    begin += length;
  }
  return begin;
}

bool isOneOf(std::string_view text, std::initializer_list<std::string_view> list) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

} // namespace

SpecialTokens::SpecialTokens(const Vocabulary &vocabulary) {
  // tokenizer.json says lstrip and rstrip for each token and GGUF has no key for it: these families are known to need
  // it.
  const std::string &name = vocabulary.modelName;
  bool phi3 = name.find("phi-3") != name.npos || name.find("phi3") != name.npos;
  bool stripsMask = isOneOf(vocabulary.pre, {"jina-v2-es", "jina-v2-de", "jina-v2-code"});
  bool modernBert = vocabulary.pre == "modern-bert";
  const auto &json = vocabulary.fromJson;
  leftmost = json.has_value();
  auto has = [](const std::vector<int32_t> &ids, int32_t id) { return std::binary_search(ids.begin(), ids.end(), id); };
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    bool always = vocabulary.type(id) == TokenType::UserDefined;
    if (!always && !vocabulary.isSpecial(id))
      continue;
    std::string_view text = vocabulary.text(id);
    bool stripLeft = (stripsMask && text == "<mask>") || (modernBert && text == "[MASK]");
    bool stripRight = phi3 && !isOneOf(text, {"<unk>", "<s>", "<|endoftext|>"});
    const bool late = json && has(json->late, id);
    if (json)
      stripLeft = has(json->stripLeft, id), stripRight = has(json->stripRight, id);
    candidates.push_back({text, id, always, stripLeft, stripRight, late});
    anyLate = anyLate || late;
    anyAlways = anyAlways || always;
  }
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate &a, const Candidate &b) { return a.text < b.text; });
  size_t index = 0;
  for (int byte = 0; byte < 256; ++byte) {
    firstByte[byte] = static_cast<uint32_t>(index);
    while (index < candidates.size() && static_cast<uint8_t>(candidates[index].text[0]) == byte)
      ++index;
  }
  firstByte[256] = static_cast<uint32_t>(index);
}

const SpecialTokens::Candidate *SpecialTokens::longest(std::string_view text, size_t trusted, bool late,
                                                       uint64_t &steps) const {
  uint8_t first = static_cast<uint8_t>(text[0]);
  const Candidate *low = candidates.data() + firstByte[first], *high = candidates.data() + firstByte[first + 1];
  const Candidate *best = nullptr;
  // The range of candidates that agree with the text so far narrows byte by byte; a prefix sorts before what it begins.
  for (size_t length = 1; low < high; ++length) {
    ++steps;
    if (low->text.size() == length) {
      if ((low->always || length <= trusted) && low->late == late)
        best = low;
      ++low;
    }
    if (length == text.size())
      break;
    uint8_t byte = static_cast<uint8_t>(text[length]);
    auto before = [length](const Candidate &c, uint8_t b) { return static_cast<uint8_t>(c.text[length]) < b; };
    auto after = [length](uint8_t b, const Candidate &c) { return b < static_cast<uint8_t>(c.text[length]); };
    low = std::lower_bound(low, high, byte, before);
    high = std::upper_bound(low, high, byte, after);
  }
  return best;
}

size_t SpecialTokens::trustedFrom(size_t at, std::string_view text, bool parseSpecial,
                                  const std::vector<TextRange> *untrusted) {
  if (!parseSpecial || !untrusted)
    return parseSpecial ? text.size() : 0;
  auto next = std::upper_bound(untrusted->begin(), untrusted->end(), at,
                               [](size_t place, const TextRange &range) { return place < range.end; });
  return next == untrusted->end() ? text.size() : next->begin > at ? next->begin - at : 0;
}

void SpecialTokens::cutLeftmost(std::string_view text, size_t begin, size_t end, bool late, bool parseSpecial,
                                const std::vector<TextRange> *untrusted, uint64_t &steps,
                                std::vector<Fragment> &fragments) const {
  size_t raw = begin;      // where what no token took begins
  size_t spaceEnd = begin; // of the white space that a token took behind it
  for (size_t at = begin; at < end;) {
    const uint8_t first = static_cast<uint8_t>(text[at]);
    const Candidate *found =
        firstByte[first] == firstByte[first + 1]
            ? nullptr
            : longest(text.substr(at, end - at), trustedFrom(at, text, parseSpecial, untrusted), late, steps);
    if (!found) {
      ++at;
      continue;
    }
    // White space that a token took may begin the next one, which then takes it from there.
    if (at < raw)
      fragments.back().end = raw = at;
    const size_t left = found->stripLeft ? spaceBefore(text, raw, at) : at;
    at += found->text.size();
    size_t right = at;
    if (found->stripRight)
      spaceEnd = right = at < spaceEnd ? spaceEnd : spaceAfter(text, at, end);
    if (left > raw)
      fragments.push_back({-1, raw, left});
    fragments.push_back({found->id, left, right});
    raw = right;
  }
  if (raw < end)
    fragments.push_back({-1, raw, end});
}

std::vector<SpecialTokens::Fragment> SpecialTokens::partition(std::string_view text, bool parseSpecial,
                                                              const std::vector<TextRange> *untrusted,
                                                              uint64_t &steps) const {
  std::vector<Fragment> fragments;
  if (text.empty())
    return fragments;
  if (leftmost) {
    cutLeftmost(text, 0, text.size(), false, parseSpecial, untrusted, steps, fragments);
    if (!anyLate)
      return fragments;
    std::vector<Fragment> whole;
    for (const Fragment &fragment : fragments)
      if (fragment.id >= 0)
        whole.push_back(fragment);
      else
        cutLeftmost(text, fragment.begin, fragment.end, true, parseSpecial, untrusted, steps, whole);
    return whole;
  }
  auto trusted = [&](size_t at) { return trustedFrom(at, text, parseSpecial, untrusted); };
  struct Place {
    size_t at;
    const Candidate *candidate;
  };
  // By length, longest first; each list in order of the text.
  std::map<size_t, std::vector<Place>, std::greater<size_t>> places;
  if (!candidates.empty() && (parseSpecial || anyAlways))
    for (size_t at = 0; at < text.size(); ++at) {
      uint8_t first = static_cast<uint8_t>(text[at]);
      if (firstByte[first] == firstByte[first + 1])
        continue;
      if (const Candidate *found = longest(text.substr(at), trusted(at), false, steps))
        places[found->text.size()].push_back({at, found});
    }
  if (places.empty())
    return {{-1, 0, text.size()}};

  std::vector<bool> taken(text.size());
  std::vector<Fragment> found;
  while (!places.empty()) {
    auto group = places.begin();
    size_t length = group->first;
    std::vector<Place> list = std::move(group->second);
    places.erase(group);
    // Fall-backs from longer candidates came in out of order.
    auto inOrder = [](const Place &a, const Place &b) { return a.at < b.at; };
    if (!std::is_sorted(list.begin(), list.end(), inOrder))
      std::sort(list.begin(), list.end(), inOrder);
    for (const Place &place : list) {
      size_t begin = place.at, end = begin + length;
      // What was taken before is at least as long as this, so it cannot lie strictly inside.
      if (taken[begin])
        continue;
      if (taken[end - 1]) {
        if (length > 1)
          if (const Candidate *shorter = longest(text.substr(begin, length - 1), trusted(begin), false, steps))
            places[shorter->text.size()].push_back({begin, shorter});
        continue;
      }
      while (place.candidate->stripRight && end < text.size() && !taken[end] && isAsciiSpace(text[end]))
        ++end;
      while (place.candidate->stripLeft && begin > 0 && !taken[begin - 1] && isAsciiSpace(text[begin - 1]))
        --begin;
      steps += end - begin;
      for (size_t i = begin; i < end; ++i)
        taken[i] = true;
      found.push_back({place.candidate->id, begin, end});
    }
  }
  std::sort(found.begin(), found.end(), [](const Fragment &a, const Fragment &b) { return a.begin < b.begin; });
  size_t raw = 0;
  for (const Fragment &special : found) {
    if (special.begin > raw)
      fragments.push_back({-1, raw, special.begin});
    fragments.push_back(special);
    raw = special.end;
  }
  if (raw < text.size())
    fragments.push_back({-1, raw, text.size()});
  return fragments;
}

} // namespace stepdown
