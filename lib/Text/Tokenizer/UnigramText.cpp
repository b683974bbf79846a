#include "lib/Text/Tokenizer/UnigramText.h"
#include "lib/Checkpoint/GgufShard.h"
#include "lib/Text/Tokenizer/Utf8.h"
#include "lib/Text/Tokenizer/Vocabulary.h"

#include <algorithm>
#include <utf8proc.h>

namespace stepdown {
namespace {

/// The property White_Space of Unicode, by which Rust's strings split and strip.
bool isWhiteSpace(uint32_t c) {
  return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
         c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/// `text` as UTF-8.
std::string wellFormed(std::string_view text) {
  std::string out;
  for (size_t at = 0, length; at < text.size(); at += std::max<size_t>(length, 1)) {
    length = characterLength(text.substr(at));
    out.append(length ? text.substr(at, length) : "\xef\xbf\xbd");
  }
  return out;
}

/// Bytes of the extended grapheme cluster that the well-formed `text` begins with.
size_t clusterLength(std::string_view text) {
  utf8proc_int32_t state = 0;
  size_t at = characterLength(text);
  for (uint32_t last = codePoint(text, at); at < text.size();) {
    const size_t length = characterLength(text.substr(at));
    const uint32_t next = codePoint(text.substr(at), length);
    if (utf8proc_grapheme_break_stateful(static_cast<int32_t>(last), static_cast<int32_t>(next), &state))
      break;
    at += length, last = next;
  }
  return at;
}

void replaceSpaces(std::string &text) {
  std::string out;
  for (char c : text)
    if (c == ' ')
      out.append(spaceMark);
    else
      out += c;
  text = std::move(out);
}

} // namespace

Result<UnigramText> UnigramText::create(const Metadata &metadata, const Vocabulary &vocabulary, CharsMap map) {
  UnigramText text;
  const Vocabulary::FromJson &json = *vocabulary.fromJson;
  constexpr std::string_view replace = "Spaces ";
  for (const std::string &step : json.preTokenizer) {
    if (step == "Precompiled")
      text.maps = true;
    else if (step == "StripRight")
      text.stripsRight = true;
    else if (step == "WhitespaceSplit")
      text.splits = true;
    else if (step.compare(0, replace.size(), replace) == 0 && step.size() > replace.size())
      text.spaces = step.substr(replace.size());
    else
      return fail(ErrorCode::TokenizerJsonUnsupported,
                  "%s/tokenizer.json: expects steps that are known before a Unigram model, but got '%s'",
                  metadata.file().c_str(), printable(step).c_str());
  }
  text.map = std::move(map);
  text.prefixes = json.prefix == Vocabulary::FromJson::Prefix::Always, text.cutsAtMarks = json.cutsAtMarks;
  return text;
}

/// A grapheme cluster of less than 6 bytes, or else each of its characters, becomes what the map has for the shortest
/// key that it begins with: all of it, whatever stands behind that key. That is what the package does.
std::string UnigramText::mapped(std::string_view text, uint64_t &steps) const {
  constexpr size_t mostCluster = 6;
  std::string out;
  std::string_view replacement;
  while (!text.empty()) {
    const size_t length = clusterLength(text);
    ++steps;
    if (length < mostCluster && map.matchShortest(text.substr(0, length), replacement)) {
      out.append(replacement);
    } else {
      for (size_t at = 0, size; at < length; at += size) {
        size = characterLength(text.substr(at));
        const std::string_view character = text.substr(at, size);
        out.append(map.matchShortest(character, replacement) ? replacement : character);
      }
    }
    text.remove_prefix(length);
  }
  return out;
}

std::vector<std::string> UnigramText::words(std::string_view fragment, uint64_t &steps) const {
  std::string text = wellFormed(fragment);
  if (maps)
    text = mapped(text, steps);
  if (stripsRight)
    while (!text.empty()) {
      size_t last = text.size() - 1;
      while (last && (static_cast<uint8_t>(text[last]) & 0xc0) == 0x80)
        --last;
      if (!isWhiteSpace(codePoint(std::string_view(text).substr(last), text.size() - last)))
        break;
      text.resize(last);
    }
  if (!spaces.empty()) {
    std::string out;
    for (size_t at = 0, end; at < text.size(); at = end) {
      end = std::min(text.find_first_not_of(' ', at), text.size());
      if (end - at >= 2)
        out.append(spaces);
      else
        out.append(text, at, (end = std::max(end, at + 1)) - at);
    }
    text = std::move(out);
  }
  std::vector<std::string> parts;
  if (splits) {
    std::string word;
    for (size_t at = 0, length; at < text.size(); at += length) {
      length = characterLength(std::string_view(text).substr(at));
      if (!isWhiteSpace(codePoint(std::string_view(text).substr(at), length)))
        word.append(text, at, length);
      else if (!word.empty())
        parts.push_back(std::move(word)), word.clear();
    }
    if (!word.empty())
      parts.push_back(std::move(word));
  } else if (!text.empty()) {
    parts.push_back(std::move(text));
  }
  std::vector<std::string> words;
  for (std::string &part : parts) {
    replaceSpaces(part);
    if (prefixes && part.compare(0, spaceMark.size(), spaceMark) != 0)
      part.insert(0, spaceMark);
    for (size_t at = 0, end; at < part.size(); at = end) {
      end = cutsAtMarks ? std::min(part.find(spaceMark, at + 1), part.size()) : part.size();
      words.push_back(part.substr(at, end - at));
    }
  }
  return words;
}

} // namespace stepdown
