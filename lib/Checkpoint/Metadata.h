// What a checkpoint says beside its tensors: pairs of a key and a value, in GGUF's encoding and under GGUF's names
// wherever the checkpoint is from. The same bytes travel inside an artifact, so this reader also serves the runtime.
// Every refusal is a numbered error (01xx, 02xx) naming file, key, offset and value. Nothing is allocated that the
// bytes cannot back.
#pragma once
#include "lib/Base/Result.h"
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace stepdown {

enum class GgufType : uint32_t { U8, I8, U16, I16, U32, I32, F32, Bool, String, Array, U64, I64, F64 };

/// One metadata value; arrays stay in the mapped bytes.
struct GgufValue {
  GgufType type;                         ///< of the value; Array for arrays
  GgufType element;                      ///< element type of an array
  uint64_t count = 1;                    ///< elements of an array
  uint64_t offset = 0;                   ///< of the value's first byte in the file, for messages
  const uint8_t *bytes = nullptr;        ///< little-endian scalar, string bytes (count = length), or array elements
  std::vector<std::string_view> strings; ///< elements of an array of strings
};

class KeyLog;

/// Metadata by key. Typed reads accept any integer type whose value fits; the error names key, expected and actual
/// type.
class Metadata {
public:
  /// Parses `count` pairs at `span[offset...]`; `offset` moves past them. `file` is for messages.
  static Result<Metadata> parse(const std::string &file, const uint8_t *span, size_t size, size_t &offset,
                                uint64_t count);

  bool has(std::string_view key) const { return find(key) != nullptr; }
  const GgufValue *find(std::string_view key) const;
  Result<uint64_t> unsignedInteger(std::string_view key) const; ///< E0201 missing, E0202 wrong type or negative
  Result<int64_t> integer(std::string_view key) const;
  Result<double> real(std::string_view key) const; ///< f32 or f64 or integer
  Result<bool> boolean(std::string_view key) const;
  Result<std::string_view> string(std::string_view key) const;
  Result<std::vector<std::string_view>> strings(std::string_view key) const;
  Result<std::vector<float>> reals(std::string_view key) const;       ///< array of f32
  Result<std::vector<int64_t>> integers(std::string_view key) const;  ///< array of any integer type or bool
  const std::vector<std::string_view> &keys() const { return order; } ///< in file order
  const std::string &file() const { return name; }

private:
  friend class KeyLog;
  std::string name;
  std::vector<std::string_view> order;
  std::unordered_map<std::string_view, GgufValue> values;
};

/// Notes which keys of `metadata` the thread that made it asks for while it lives, by whatever read, so that what
/// nobody asked for can be judged (UnreadKeys.h). Logs of one thread nest, and every one that fits notes.
class KeyLog {
public:
  explicit KeyLog(const Metadata &metadata);
  KeyLog(const KeyLog &) = delete;
  ~KeyLog();
  bool asked(std::string_view key) const { return keys.count(key) != 0; }

private:
  friend class Metadata;
  const Metadata &metadata;
  KeyLog *outer;                             // of this thread, or null
  std::unordered_set<std::string_view> keys; // views of the metadata's own
};

} // namespace stepdown
