// Metadata pairs: one pass over the bytes that checks every length, then typed reads that explain every refusal.
// Arrays stay where they are; only arrays of strings get a table of views, one reserve each, because their elements
// cannot be found without walking them.
#include "lib/Checkpoint/Metadata.h"
#include "lib/Checkpoint/GgufShard.h"

#include <algorithm>
#include <cinttypes>

namespace stepdown {
namespace {

struct ValueType {
  const char *name;
  size_t bytes; // 0: not a scalar
};
constexpr ValueType valueTypes[] = {{"u8", 1},  {"i8", 1},  {"u16", 2},  {"i16", 2},    {"u32", 4},
                                    {"i32", 4}, {"f32", 4}, {"bool", 1}, {"string", 0}, {"array", 0},
                                    {"u64", 8}, {"i64", 8}, {"f64", 8}};
constexpr uint32_t valueTypeCount = sizeof valueTypes / sizeof valueTypes[0];
constexpr uint64_t mostKeyBytes = 65535;

Error truncated(const std::string &file, const ByteCursor &cursor, const std::string &field, size_t bytes) {
  return fail(ErrorCode::GgufTruncated, "%s: offset %zu: %s: expects %zu bytes, but %zu remain in the file",
              file.c_str(), cursor.offset, field.c_str(), bytes, cursor.remaining());
}

/// Reads length and bytes of a string; `field` names it in messages.
Status readString(const std::string &file, ByteCursor &cursor, const char *field, const std::string &key,
                  std::string_view &text) {
  auto where = [&] { return key.empty() ? std::string(field) : "key '" + key + "': " + field; };
  uint64_t length;
  size_t begin = cursor.offset;
  if (!cursor.read(length))
    return truncated(file, cursor, where(), sizeof length);
  if (!cursor.read(text, length))
    return fail(
        ErrorCode::GgufStringLength,
        "%s: offset %zu: %s: expects a length of at most the %zu bytes that remain in the file, but got %" PRIu64,
        file.c_str(), begin, where().c_str(), cursor.remaining(), length);
  return Done{};
}

Status readArray(const std::string &file, ByteCursor &cursor, const std::string &key, GgufValue &value) {
  uint32_t element;
  size_t begin = cursor.offset;
  if (!cursor.read(element))
    return truncated(file, cursor, "key '" + key + "': element type", sizeof element);
  if (element >= valueTypeCount)
    return fail(ErrorCode::GgufValueType, "%s: offset %zu: key '%s': element type: expects 0 to 12, but got %u",
                file.c_str(), begin, key.c_str(), element);
  if (element == static_cast<uint32_t>(GgufType::Array))
    return fail(ErrorCode::GgufNestedArray,
                "%s: offset %zu: key '%s': element type: expects a scalar or string, but got 9 (array of arrays)",
                file.c_str(), begin, key.c_str());
  value.element = static_cast<GgufType>(element);
  begin = cursor.offset;
  if (!cursor.read(value.count))
    return truncated(file, cursor, "key '" + key + "': array count", sizeof value.count);
  bool isString = value.element == GgufType::String;
  size_t elementBytes = isString ? sizeof(uint64_t) : valueTypes[element].bytes;
  if (value.count > cursor.remaining() / elementBytes)
    return fail(
        ErrorCode::GgufArrayLength,
        "%s: offset %zu: key '%s': array count: expects at most %zu elements of %s in the %zu bytes that remain, "
        "but got %" PRIu64,
        file.c_str(), begin, key.c_str(), cursor.remaining() / elementBytes, valueTypes[element].name,
        cursor.remaining(), value.count);
  value.offset = cursor.offset;
  value.bytes = cursor.here();
  if (!isString) {
    cursor.offset += static_cast<size_t>(value.count) * elementBytes;
    return Done{};
  }
  value.strings.reserve(static_cast<size_t>(value.count));
  for (uint64_t i = 0; i < value.count; ++i) {
    uint64_t length;
    size_t mark = cursor.offset;
    std::string_view text;
    // The fast path of vocabularies of a quarter million strings: no text is built unless the string is bad.
    if (cursor.read(length) && cursor.read(text, length)) {
      value.strings.push_back(text);
      continue;
    }
    cursor.offset = mark;
    std::string field = "element " + std::to_string(i);
    return readString(file, cursor, field.c_str(), key, text).error();
  }
  return Done{};
}

Status readValue(const std::string &file, ByteCursor &cursor, const std::string &key, GgufValue &value) {
  uint32_t type;
  size_t begin = cursor.offset;
  if (!cursor.read(type))
    return truncated(file, cursor, "key '" + key + "': value type", sizeof type);
  if (type >= valueTypeCount)
    return fail(ErrorCode::GgufValueType, "%s: offset %zu: key '%s': value type: expects 0 to 12, but got %u",
                file.c_str(), begin, key.c_str(), type);
  value.type = value.element = static_cast<GgufType>(type);
  value.offset = cursor.offset;
  if (value.type == GgufType::Array)
    return readArray(file, cursor, key, value);
  if (value.type == GgufType::String) {
    std::string_view text;
    if (Status ok = readString(file, cursor, "string length", key, text); !ok)
      return ok;
    value.bytes = reinterpret_cast<const uint8_t *>(text.data());
    value.count = text.size();
    return Done{};
  }
  size_t bytes = valueTypes[type].bytes;
  if (!cursor.holds(bytes))
    return truncated(file, cursor, "key '" + key + "': value", bytes);
  value.bytes = cursor.here();
  cursor.offset += bytes;
  return Done{};
}

template <typename T> T load(const uint8_t *bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

/// One element of an integer type as a sign and a magnitude in 64 bits; false for types that are not integers.
bool loadInteger(GgufType type, const uint8_t *bytes, int64_t &value, bool &exceeds) {
  exceeds = false;
  switch (type) {
  case GgufType::U8:
    value = load<uint8_t>(bytes);
    return true;
  case GgufType::I8:
    value = load<int8_t>(bytes);
    return true;
  case GgufType::U16:
    value = load<uint16_t>(bytes);
    return true;
  case GgufType::I16:
    value = load<int16_t>(bytes);
    return true;
  case GgufType::U32:
    value = load<uint32_t>(bytes);
    return true;
  case GgufType::I32:
    value = load<int32_t>(bytes);
    return true;
  case GgufType::I64:
    value = load<int64_t>(bytes);
    return true;
  case GgufType::U64: {
    uint64_t wide = load<uint64_t>(bytes);
    exceeds = wide > INT64_MAX;
    value = static_cast<int64_t>(wide);
    return true;
  }
  default:
    return false;
  }
}

std::string typeText(const GgufValue &value) {
  std::string name = valueTypes[static_cast<uint32_t>(value.type)].name;
  return value.type == GgufType::Array ? name + " of " + valueTypes[static_cast<uint32_t>(value.element)].name : name;
}

Error wrongType(const std::string &file, std::string_view key, const GgufValue &value, const char *expected) {
  return fail(ErrorCode::MetadataType, "%s: offset %" PRIu64 ": key '%s': expects %s, but got %s", file.c_str(),
              value.offset, printable(key).c_str(), expected, typeText(value).c_str());
}

Error missing(const std::string &file, std::string_view key) {
  return fail(ErrorCode::MetadataMissing, "%s: key '%s': expects it in the metadata, but it is missing", file.c_str(),
              printable(key).c_str());
}

} // namespace

const char *ggufValueTypeName(uint32_t id) { return id < valueTypeCount ? valueTypes[id].name : nullptr; }
size_t ggufValueBytes(uint32_t id) { return id < valueTypeCount ? valueTypes[id].bytes : 0; }

Result<Metadata> Metadata::parse(const std::string &file, const uint8_t *span, size_t size, size_t &offset,
                                 uint64_t count) {
  if (offset > size)
    return fail(ErrorCode::GgufTruncated,
                "%s: offset %zu: metadata: expects an offset within the file, which has %zu bytes", file.c_str(),
                offset, size);
  ByteCursor cursor{span, size, offset};
  Metadata meta;
  meta.name = file;
  // A count is only a claim: reserve for what real files have, and grow with what is really there.
  meta.order.reserve(static_cast<size_t>(std::min<uint64_t>(count, 256)));
  for (uint64_t i = 0; i < count; ++i) {
    size_t begin = cursor.offset;
    std::string_view key;
    std::string field = "metadata pair " + std::to_string(i) + ": key length";
    if (Status ok = readString(file, cursor, field.c_str(), "", key); !ok)
      return ok.error();
    if (key.empty() || key.size() > mostKeyBytes)
      return fail(ErrorCode::GgufKeyLength, "%s: offset %zu: %s: expects 1 to %" PRIu64 " bytes, but got %zu",
                  file.c_str(), begin, field.c_str(), mostKeyBytes, key.size());
    if (meta.values.count(key))
      return fail(ErrorCode::GgufKeyDuplicate, "%s: offset %zu: key '%s': expects each key once, but it is repeated",
                  file.c_str(), begin, printable(key).c_str());
    GgufValue value;
    if (Status ok = readValue(file, cursor, printable(key), value); !ok)
      return ok.error();
    meta.order.push_back(key);
    meta.values.emplace(key, std::move(value));
  }
  offset = cursor.offset;
  return meta;
}

// Of this thread: metadata is shared by threads that read it at the same time, and a log is not.
static thread_local KeyLog *innermost = nullptr;

KeyLog::KeyLog(const Metadata &metadata) : metadata(metadata), outer(innermost) { innermost = this; }
KeyLog::~KeyLog() { innermost = outer; }

const GgufValue *Metadata::find(std::string_view key) const {
  auto it = values.find(key);
  if (it == values.end())
    return nullptr;
  for (KeyLog *log = innermost; log; log = log->outer)
    if (&log->metadata == this)
      log->keys.insert(it->first);
  return &it->second;
}

Result<uint64_t> Metadata::unsignedInteger(std::string_view key) const {
  const GgufValue *value = find(key);
  if (!value)
    return missing(name, key);
  if (value->type == GgufType::U64)
    return load<uint64_t>(value->bytes);
  int64_t number;
  bool exceeds;
  if (!loadInteger(value->type, value->bytes, number, exceeds))
    return wrongType(name, key, *value, "an unsigned integer");
  if (number < 0)
    return fail(ErrorCode::MetadataType,
                "%s: offset %" PRIu64 ": key '%s': expects an unsigned integer, but got %" PRId64, name.c_str(),
                value->offset, printable(key).c_str(), number);
  return static_cast<uint64_t>(number);
}

Result<int64_t> Metadata::integer(std::string_view key) const {
  const GgufValue *value = find(key);
  if (!value)
    return missing(name, key);
  int64_t number;
  bool exceeds;
  if (!loadInteger(value->type, value->bytes, number, exceeds))
    return wrongType(name, key, *value, "an integer");
  if (exceeds)
    return fail(ErrorCode::MetadataType,
                "%s: offset %" PRIu64 ": key '%s': expects a value below 2^63, but got %" PRIu64, name.c_str(),
                value->offset, printable(key).c_str(), static_cast<uint64_t>(number));
  return number;
}

Result<double> Metadata::real(std::string_view key) const {
  const GgufValue *value = find(key);
  if (!value)
    return missing(name, key);
  if (value->type == GgufType::F32)
    return static_cast<double>(load<float>(value->bytes));
  if (value->type == GgufType::F64)
    return load<double>(value->bytes);
  if (value->type == GgufType::U64)
    return static_cast<double>(load<uint64_t>(value->bytes));
  int64_t number;
  bool exceeds;
  if (!loadInteger(value->type, value->bytes, number, exceeds))
    return wrongType(name, key, *value, "a number");
  return static_cast<double>(number);
}

Result<bool> Metadata::boolean(std::string_view key) const {
  const GgufValue *value = find(key);
  if (!value)
    return missing(name, key);
  if (value->type != GgufType::Bool)
    return wrongType(name, key, *value, "bool");
  return *value->bytes != 0;
}

Result<std::string_view> Metadata::string(std::string_view key) const {
  const GgufValue *value = find(key);
  if (!value)
    return missing(name, key);
  if (value->type != GgufType::String)
    return wrongType(name, key, *value, "string");
  return std::string_view(reinterpret_cast<const char *>(value->bytes), static_cast<size_t>(value->count));
}

Result<std::vector<std::string_view>> Metadata::strings(std::string_view key) const {
  const GgufValue *value = find(key);
  if (!value)
    return missing(name, key);
  if (value->type != GgufType::Array || value->element != GgufType::String)
    return wrongType(name, key, *value, "array of string");
  return value->strings;
}

Result<std::vector<float>> Metadata::reals(std::string_view key) const {
  const GgufValue *value = find(key);
  if (!value)
    return missing(name, key);
  if (value->type != GgufType::Array || value->element != GgufType::F32)
    return wrongType(name, key, *value, "array of f32");
  std::vector<float> numbers(static_cast<size_t>(value->count));
  if (!numbers.empty())
    std::memcpy(numbers.data(), value->bytes, numbers.size() * sizeof(float));
  return numbers;
}

Result<std::vector<int64_t>> Metadata::integers(std::string_view key) const {
  const GgufValue *value = find(key);
  if (!value)
    return missing(name, key);
  // An array of bytes may be as long as the file: the element size keeps the vector within 8 times of it.
  if (value->type != GgufType::Array)
    return wrongType(name, key, *value, "array of integers");
  size_t bytes = ggufValueBytes(static_cast<uint32_t>(value->element));
  std::vector<int64_t> numbers;
  if (value->element == GgufType::Bool) {
    for (uint64_t i = 0; i < value->count; ++i)
      numbers.push_back(value->bytes[i] != 0);
    return numbers;
  }
  int64_t number;
  bool exceeds;
  if (bytes == 0 || value->element == GgufType::F32 || value->element == GgufType::F64)
    return wrongType(name, key, *value, "array of integers");
  numbers.reserve(static_cast<size_t>(value->count));
  for (uint64_t i = 0; i < value->count; ++i) {
    loadInteger(value->element, value->bytes + i * bytes, number, exceeds);
    if (exceeds)
      return fail(ErrorCode::MetadataType,
                  "%s: offset %" PRIu64 ": key '%s': element %" PRIu64 ": expects a value below 2^63, but got %" PRIu64,
                  name.c_str(), value->offset + i * bytes, printable(key).c_str(), i, static_cast<uint64_t>(number));
    numbers.push_back(number);
  }
  return numbers;
}

} // namespace stepdown
