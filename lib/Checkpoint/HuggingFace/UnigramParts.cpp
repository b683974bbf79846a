// What stands around a Unigram model in a tokenizer.json, and Metaspace, which BPE models have too.
#include "lib/Checkpoint/GgufShard.h"
#include "lib/Checkpoint/HuggingFace/TokenizerJson.h"

#include <optional>

namespace stepdown {
namespace {

constexpr const char *spaceMark = "\xe2\x96\x81";

/// The bytes of `text` in base 64, which ends in '=' where it is no multiple of three bytes.
std::optional<std::vector<uint8_t>> bytesOfBase64(const std::string &text) {
  if (text.size() % 4 != 0)
    return std::nullopt;
  const size_t padding = text.empty() ? 0 : (text.back() == '=') + (text[text.size() - 2] == '=');
  std::vector<uint8_t> bytes;
  bytes.reserve(text.size() / 4 * 3);
  uint32_t word = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const int value = c >= 'A' && c <= 'Z'                     ? c - 'A'
                      : c >= 'a' && c <= 'z'                   ? c - 'a' + 26
                      : c >= '0' && c <= '9'                   ? c - '0' + 52
                      : c == '+'                               ? 62
                      : c == '/'                               ? 63
                      : c == '=' && i + padding >= text.size() ? 0
                                                               : -1;
    if (value < 0)
      return std::nullopt;
    word = word << 6 | static_cast<uint32_t>(value);
    if (i % 4 == 3)
      for (int shift : {16, 8, 0})
        bytes.push_back(static_cast<uint8_t>(word >> shift));
  }
  bytes.resize(bytes.size() - padding);
  return bytes;
}

Status readNormalizer(const std::vector<TokenizerPart> &parts, TokenizerParts &out) {
  int stage = 0; // Precompiled, then Strip, then Replace, once each
  for (const TokenizerPart &part : parts) {
    out.normalizes = true;
    const int kind = part.type == "Precompiled" ? 1 : part.type == "Strip" ? 2 : part.type == "Replace" ? 3 : 0;
    if (kind <= stage)
      return unsupportedPart(part, "type",
                             "expects Precompiled, Strip and Replace, in this order, before a Unigram model");
    stage = kind;
    if (kind == 1) {
      Result<std::string> map = part.object.text("precompiled_charsmap");
      if (!map)
        return map.error();
      std::optional<std::vector<uint8_t>> bytes = bytesOfBase64(*map);
      if (!bytes)
        return part.object.refuse("precompiled_charsmap", "expects base 64");
      out.charsMap = std::move(*bytes);
      out.words.push_back("Precompiled");
    } else if (kind == 2) {
      Result<bool> left = part.object.boolean("strip_left", false), right = part.object.boolean("strip_right", false);
      for (const Result<bool> *each : {&left, &right})
        if (!*each)
          return each->error();
      if (*left || !*right)
        return unsupportedPart(part, *left ? "strip_left" : "strip_right", *left ? "expects false" : "expects true");
      out.words.push_back("StripRight");
    } else {
      Result<JsonObject> pattern = part.object.object("pattern");
      Result<std::string> text = pattern ? pattern->text("Regex") : Result<std::string>(pattern.error());
      Result<std::string> content = text ? part.object.text("content") : text;
      if (!content)
        return content.error();
      if (*text != " {2,}" || (*content != " " && *content != spaceMark))
        return unsupportedPart(part, "pattern", "expects Replace of ' {2,}' by a space or U+2581");
      out.words.push_back("Spaces " + *content);
    }
  }
  return Done{};
}

} // namespace

Error unsupportedPart(const TokenizerPart &part, const char *key, const std::string &expectation) {
  return part.object.refuse(ErrorCode::TokenizerJsonUnsupported, key, expectation);
}

/// prepend_scheme, beside which old files have the switch add_prefix_space, and split.
Status readMetaspace(const TokenizerPart &part, TokenizerParts &out) {
  Result<std::string> mark = part.object.text("replacement"), scheme = part.object.text("prepend_scheme", "always");
  for (const Result<std::string> *each : {&mark, &scheme})
    if (!*each)
      return each->error();
  Result<bool> prefix = part.object.boolean("add_prefix_space", true), split = part.object.boolean("split", true);
  for (const Result<bool> *each : {&prefix, &split})
    if (!*each)
      return each->error();
  part.object.skip("str_rep"); // of old files, the replacement once more
  if (*mark != spaceMark)
    return unsupportedPart(part, "replacement", "expects U+2581");
  if (*scheme != "always" && *scheme != "first" && *scheme != "never")
    return unsupportedPart(part, "prepend_scheme", "expects always, first or never");
  if (!*prefix && *scheme != "never") // the package refuses it, too
    return part.object.refuse("add_prefix_space", "expects true where prepend_scheme is " + *scheme);
  out.metaspace.push_back(*scheme);
  if (*split)
    out.metaspace.push_back("split");
  return Done{};
}

Status readUnigramParts(const JsonObject &tokenizer, const std::vector<TokenizerPart> &normalizer,
                        const std::vector<TokenizerPart> &words, const std::vector<TokenizerPart> &decoder,
                        TokenizerParts &out) {
  if (Status read = readNormalizer(normalizer, out); !read)
    return read;
  const bool splits = words.size() == 2 && words[0].type == "WhitespaceSplit";
  if (words.empty() || words.size() > 1 + size_t(splits) || words.back().type != "Metaspace")
    return tokenizer.refuse(ErrorCode::TokenizerJsonUnsupported, "pre_tokenizer",
                            "expects Metaspace, alone or behind WhitespaceSplit, before a Unigram model");
  if (splits)
    out.words.push_back("WhitespaceSplit");
  if (Status read = readMetaspace(words.back(), out); !read)
    return read;
  const std::string scheme = out.metaspace.front();
  if (scheme == "first")
    return unsupportedPart(words.back(), "prepend_scheme", "expects always or never before a Unigram model");
  if (decoder.size() != 1 || decoder[0].type != "Metaspace")
    return tokenizer.refuse(ErrorCode::TokenizerJsonUnsupported, "decoder", "expects Metaspace behind a Unigram model");
  TokenizerParts back;
  if (Status read = readMetaspace(decoder[0], back); !read)
    return read;
  if (back.metaspace.front() != scheme)
    return unsupportedPart(decoder[0], "prepend_scheme", "expects " + scheme + ", as pre_tokenizer says");
  if (scheme == "always")
    out.metaspace.push_back("unmark");
  return Done{};
}

} // namespace stepdown
