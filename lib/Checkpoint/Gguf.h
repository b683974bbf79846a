// GGUF versions 2 and 3, read from a bounded span: metadata pairs and tensor infos, checked before anything is trusted.
// Every refusal is a numbered error (01xx) naming file, field, offset and value. Nothing is allocated that the bytes
// cannot back. The same metadata bytes travel inside an artifact, so this reader also serves the runtime.
#pragma once
#include "lib/Base/MappedFile.h"
#include "lib/Base/Result.h"
#include "lib/Checkpoint/BlockFormat.h"
#include <cstdint>
#include <memory>
#include <optional>
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

struct GgufTensor {
  std::string_view name;
  Storage storage;
  int rank;
  uint64_t dims[4]; ///< dims[0] is contiguous; a linear weight [out, in] has dims {in, out}
  uint64_t offset;  ///< of the data from the start of the file
  uint64_t bytes;
  const uint8_t *data;
};

/// One checkpoint file, mapped and checked. Split files are opened through shard 1 (E01xx for a wrong set).
class Gguf {
public:
  /// `metadataOnly` accepts unknown tensor types and does not check tensors (tokenize, render, inspect).
  static Result<Gguf> open(const std::string &path, bool metadataOnly = false);
  const Metadata &metadata() const { return *meta; }
  const std::vector<GgufTensor> &tensors() const { return infos; }
  const GgufTensor *tensor(std::string_view name) const;
  const MappedFile &file() const { return files.front(); }
  uint64_t metadataBegin() const { return pairsBegin; } ///< first byte of the pairs, for copying them verbatim
  uint64_t metadataEnd() const { return pairsEnd; }
  uint64_t metadataCount() const { return pairs; }

private:
  std::vector<MappedFile> files;
  std::shared_ptr<Metadata> meta;
  std::vector<GgufTensor> infos;
  std::unordered_map<std::string_view, size_t> byName;
  uint64_t pairsBegin = 0, pairsEnd = 0, pairs = 0;
};

/// The files of the split model whose first shard is called `path`, by the name alone: NAME-00001-of-00003.gguf and its
/// two siblings, which may not be there. `path` alone where it is no such name.
std::vector<std::string> shardPaths(const std::string &path);

} // namespace stepdown
