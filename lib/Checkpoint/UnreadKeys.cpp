#include "lib/Checkpoint/UnreadKeys.h"
#include "lib/Checkpoint/GgufShard.h"

#include <algorithm>
#include <cinttypes>

namespace stepdown {
namespace {

bool names(const UnreadKey &rule, std::string_view key) {
  std::string_view name = rule.name;
  if (name.empty() || name.back() != '*')
    return key == name;
  name.remove_suffix(1);
  return key.substr(0, name.size()) == name;
}

/// Whether every number of `value` is 0, which of strings and arrays the empty ones are too.
bool isZero(const GgufValue &value) {
  if (value.type == GgufType::String)
    return value.count == 0;
  if (value.element == GgufType::String)
    return std::all_of(value.strings.begin(), value.strings.end(), [](std::string_view text) { return text.empty(); });
  size_t bytes = ggufValueBytes(static_cast<uint32_t>(value.element)) * static_cast<size_t>(value.count);
  if (value.element == GgufType::F32 || value.element == GgufType::F64) { // -0.0 is 0, and has a bit
    const size_t size = ggufValueBytes(static_cast<uint32_t>(value.element));
    for (size_t at = 0; at < bytes; at += size) {
      float single = 0;
      double number = 0;
      std::memcpy(size == sizeof single ? static_cast<void *>(&single) : &number, value.bytes + at, size);
      if (size == sizeof single ? single != 0 : number != 0)
        return false;
    }
    return true;
  }
  return std::all_of(value.bytes, value.bytes + bytes, [](uint8_t byte) { return byte == 0; });
}

bool isOne(const Metadata &metadata, std::string_view key, const GgufValue &value) {
  if (value.type == GgufType::Array || value.type == GgufType::String)
    return false;
  Result<double> number = metadata.real(key);
  return number && *number == 1;
}

std::string valueText(const Metadata &metadata, std::string_view key, const GgufValue &value) {
  if (value.type == GgufType::Array)
    return "an array of " + std::to_string(value.count);
  if (value.type == GgufType::String)
    return "'" + printable({reinterpret_cast<const char *>(value.bytes), static_cast<size_t>(value.count)}) + "'";
  if (Result<bool> flag = metadata.boolean(key))
    return *flag ? "true" : "false";
  char text[32] = "?";
  if (Result<double> number = metadata.real(key))
    std::snprintf(text, sizeof text, "%g", *number);
  return text;
}

} // namespace

Status judgeUnread(const Metadata &metadata, const KeyLog &log, std::string_view prefix, const UnreadKey *rules,
                   size_t count, ErrorCode code, const std::string &reader) {
  for (std::string_view key : metadata.keys()) {
    if (key.substr(0, prefix.size()) != prefix || log.asked(key))
      continue;
    const GgufValue &value = *metadata.find(key);
    const UnreadKey *rule = std::find_if(rules, rules + count,
                                         [&](const UnreadKey &each) { return names(each, key.substr(prefix.size())); });
    std::string expected;
    if (rule == rules + count)
      expected = reader + " reads no such key, and what it changes is not known";
    else if (rule->fate == UnreadKey::Harmless)
      continue;
    else if (rule->fate == UnreadKey::Refused)
      expected = reader + " computes without " + rule->what;
    else if (isZero(value) || (rule->fate == UnreadKey::OffAtOne && isOne(metadata, key, value)))
      continue;
    else
      expected = reader + " computes without " + rule->what +
                 (rule->fate == UnreadKey::OffAtOne ? ", as 1 or 0 say" : ", as 0 says");
    return fail(code, "%s: offset %" PRIu64 ": key '%s': expects none (%s), but got %s", metadata.file().c_str(),
                value.offset, printable(key).c_str(), expected.c_str(), valueText(metadata, key, value).c_str());
  }
  return Done{};
}

} // namespace stepdown
