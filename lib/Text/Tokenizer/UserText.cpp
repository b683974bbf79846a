#include "lib/Text/Tokenizer/UserText.h"

#include <algorithm>
#include <charconv>

namespace stepdown {
namespace {

// U+FDD0 and U+FDD1 are for use within a program. One that a user writes is shielded like a control token.
constexpr std::string_view opening = "\xef\xb7\x90", closing = "\xef\xb7\x91";

} // namespace

std::string UserText::shield(std::string_view text) {
  std::string out;
  auto hide = [&](std::string_view hidden) {
    out.append(opening).append(std::to_string(shielded.size())).append(closing);
    shielded.emplace_back(hidden);
  };
  auto keep = [&](std::string_view plain) {
    for (size_t at; (at = std::min(plain.find(opening), plain.find(closing))) != plain.npos;) {
      out.append(plain.substr(0, at));
      hide(plain.substr(at, opening.size()));
      plain.remove_prefix(at + opening.size());
    }
    out.append(plain);
  };
  size_t done = 0;
  for (const TextRange &range : tokenizer->controlRanges(text)) {
    keep(text.substr(done, range.begin - done));
    hide(text.substr(range.begin, range.end - range.begin));
    done = range.end;
  }
  keep(text.substr(done));
  return out;
}

std::string UserText::reveal(std::string_view rendered, std::vector<TextRange> *ranges) const {
  std::string out;
  while (!rendered.empty()) {
    size_t at = std::min(rendered.find(opening), rendered.size());
    out.append(rendered.substr(0, at));
    rendered.remove_prefix(at);
    if (rendered.empty())
      break;
    const char *digits = rendered.data() + opening.size(), *end = rendered.data() + rendered.size();
    size_t index = 0;
    auto [last, error] = std::from_chars(digits, end, index);
    std::string_view rest(last, static_cast<size_t>(end - last));
    if (error != std::errc() || index >= shielded.size() || rest.substr(0, closing.size()) != closing) {
      // A template wrote the character itself.
      out.append(opening);
      rendered.remove_prefix(opening.size());
      continue;
    }
    if (ranges)
      ranges->push_back({out.size(), out.size() + shielded[index].size()});
    out.append(shielded[index]);
    rendered = rest.substr(closing.size());
  }
  return out;
}

Result<std::vector<int32_t>> UserText::encode(std::string_view rendered, bool addSpecial) const {
  std::vector<TextRange> ranges;
  std::string text = reveal(rendered, &ranges);
  EncodeOptions options;
  options.addSpecial = addSpecial;
  options.parseSpecial = true;
  options.untrusted = &ranges;
  return tokenizer->encode(text, options);
}

} // namespace stepdown
