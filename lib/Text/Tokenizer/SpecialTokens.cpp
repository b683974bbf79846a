#include "lib/Text/Tokenizer/SpecialTokens.h"

#include <algorithm>
#include <map>

namespace stepdown {
namespace {

bool isAsciiSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

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
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    bool always = vocabulary.type(id) == TokenType::UserDefined;
    if (!always && !vocabulary.isSpecial(id))
      continue;
    std::string_view text = vocabulary.text(id);
    bool stripLeft = (stripsMask && text == "<mask>") || (modernBert && text == "[MASK]");
    bool stripRight = phi3 && !isOneOf(text, {"<unk>", "<s>", "<|endoftext|>"});
    candidates.push_back({text, id, always, stripLeft, stripRight});
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

const SpecialTokens::Candidate *SpecialTokens::longest(std::string_view text, size_t trusted, uint64_t &steps) const {
  uint8_t first = static_cast<uint8_t>(text[0]);
  const Candidate *low = candidates.data() + firstByte[first], *high = candidates.data() + firstByte[first + 1];
  const Candidate *best = nullptr;
  // The range of candidates that agree with the text so far narrows byte by byte; a prefix sorts before what it begins.
  for (size_t length = 1; low < high; ++length) {
    ++steps;
    if (low->text.size() == length) {
      if (low->always || length <= trusted)
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

std::vector<SpecialTokens::Fragment> SpecialTokens::partition(std::string_view text, bool parseSpecial,
                                                              const std::vector<TextRange> *untrusted,
                                                              uint64_t &steps) const {
  std::vector<Fragment> fragments;
  if (text.empty())
    return fragments;
  // Bytes from `at` on that a control token may have.
  auto trustedFrom = [&](size_t at) -> size_t {
    if (!parseSpecial || !untrusted)
      return parseSpecial ? text.size() : 0;
    auto next = std::upper_bound(untrusted->begin(), untrusted->end(), at,
                                 [](size_t place, const TextRange &range) { return place < range.end; });
    return next == untrusted->end() ? text.size() : next->begin > at ? next->begin - at : 0;
  };
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
      if (const Candidate *found = longest(text.substr(at), trustedFrom(at), steps))
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
          if (const Candidate *shorter = longest(text.substr(begin, length - 1), trustedFrom(begin), steps))
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
