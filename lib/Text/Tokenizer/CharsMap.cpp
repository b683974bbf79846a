#include "lib/Text/Tokenizer/CharsMap.h"
#include "lib/Text/Tokenizer/Vocabulary.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>

namespace stepdown {
namespace {

constexpr uint32_t labelMask = 0x800000FF, leafFlag = 256, valueMask = 0x7FFFFFFF;
/// Keys are a few characters; a longer one would make normalising slow, not better.
constexpr size_t mostKeyBytes = 512;

} // namespace

Result<CharsMap> CharsMap::create(const Metadata &metadata) {
  constexpr const char *key = "tokenizer.ggml.precompiled_charsmap";
  CharsMap map;
  const GgufValue *value = metadata.find(key);
  if (!value)
    return map;
  std::string where = metadata.file() + ": offset " + std::to_string(value->offset) + ": key '" + key + "'";
  if (value->type != GgufType::Array || (value->element != GgufType::U8 && value->element != GgufType::I8))
    return wrongArray(metadata, key, *value, "u8 or i8");
  if (value->count == 0)
    return map;
  uint32_t bytes = 0;
  if (value->count >= sizeof bytes)
    std::memcpy(&bytes, value->bytes, sizeof bytes);
  uint64_t room = value->count >= sizeof bytes ? value->count - sizeof bytes : 0;
  if (bytes == 0 || bytes > room || bytes % sizeof(uint32_t))
    return fail(ErrorCode::CharsMapHeader,
                "%s: expects a length and a trie of that many bytes (a multiple of 4) in %" PRIu64 " bytes, but got a "
                "length of %u",
                where.c_str(), value->count, bytes);
  map.trie.resize(bytes / sizeof(uint32_t));
  std::memcpy(map.trie.data(), value->bytes + sizeof bytes, bytes);
  map.replacements = std::string_view(reinterpret_cast<const char *>(value->bytes) + sizeof bytes + bytes,
                                      static_cast<size_t>(room - bytes));
  if (Status ok = map.verify(where); !ok)
    return ok.error();
  return map;
}

/// A depth-first walk over all that is reachable. Sub-tries may be shared, but never be their own ancestors.
Status CharsMap::verify(const std::string &where) const {
  size_t lastNul = replacements.rfind('\0'); // npos: none
  enum State : uint8_t { New, Open, Closed };
  std::vector<State> states(trie.size(), New);
  std::vector<uint16_t> heights(trie.size(), 0); // bytes of the longest key from an entry on
  struct Visit {
    size_t entry, position;
    uint32_t nextByte;
    uint16_t height;
  };
  std::vector<Visit> path;
  auto open = [&](size_t entry, size_t position) -> Status {
    if (position >= trie.size())
      return fail(ErrorCode::CharsMapIndex,
                  "%s: entry %zu: expects an index below the %zu entries of the trie, but got %zu", where.c_str(),
                  entry, trie.size(), position);
    if (entry != 0 && (trie[entry] & leafFlag)) {
      size_t offset = trie[position] & valueMask;
      if (lastNul == replacements.npos || offset > lastNul)
        return fail(ErrorCode::CharsMapString,
                    "%s: entry %zu: expects the offset of a text that NUL ends within %zu bytes, but got %zu",
                    where.c_str(), position, replacements.size(), offset);
    }
    if (path.size() > mostKeyBytes)
      return fail(ErrorCode::CharsMapCycle, "%s: entry %zu: expects keys of at most %zu bytes, but got a longer one",
                  where.c_str(), entry, mostKeyBytes);
    states[entry] = Open;
    path.push_back({entry, position, 1, 0});
    return Done{};
  };
  if (Status ok = open(0, base(trie[0])); !ok)
    return ok;
  while (!path.empty()) {
    Visit &top = path.back();
    if (top.nextByte == 256) {
      Visit done = top;
      path.pop_back();
      states[done.entry] = Closed;
      heights[done.entry] = static_cast<uint16_t>(done.height + 1);
      if (!path.empty())
        path.back().height = std::max(path.back().height, heights[done.entry]);
      continue;
    }
    uint32_t byte = top.nextByte++;
    size_t child = top.position ^ byte;
    if (child >= trie.size() || (trie[child] & labelMask) != byte)
      continue;
    if (states[child] == Open)
      return fail(ErrorCode::CharsMapCycle, "%s: entry %zu: expects a trie, but entry %zu leads back to it",
                  where.c_str(), child, top.entry);
    if (states[child] == Closed) {
      top.height = std::max(top.height, heights[child]);
      if (path.size() + heights[child] > mostKeyBytes)
        return fail(ErrorCode::CharsMapCycle, "%s: entry %zu: expects keys of at most %zu bytes, but got a longer one",
                    where.c_str(), child, mostKeyBytes);
      continue;
    }
    if (Status ok = open(child, child ^ base(trie[child])); !ok)
      return ok;
  }
  return Done{};
}

size_t CharsMap::find(std::string_view text, std::string_view &replacement, bool shortest) const {
  if (trie.empty())
    return 0;
  size_t longest = 0, value = 0, position = base(trie[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    uint8_t byte = static_cast<uint8_t>(text[i]);
    size_t entry = position ^ byte;
    if (byte == 0 || entry >= trie.size() || (trie[entry] & labelMask) != byte)
      break;
    position = entry ^ base(trie[entry]);
    if (trie[entry] & leafFlag) {
      longest = i + 1;
      value = trie[position] & valueMask;
      if (shortest)
        break;
    }
  }
  if (longest)
    replacement = replacements.data() + value; // up to its NUL, which is there
  return longest;
}

} // namespace stepdown
