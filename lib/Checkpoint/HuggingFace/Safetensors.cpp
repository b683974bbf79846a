// The header is walked, never built: of its JSON nothing is kept but the tensors, which the bytes of the header back.
#include "lib/Checkpoint/HuggingFace/Safetensors.h"
#include "lib/Checkpoint/GgufShard.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

namespace stepdown {
namespace {

using nlohmann::json;

constexpr uint64_t mostHeaderBytes = 100'000'000; // what the format allows
constexpr size_t lengthBytes = 8, mostDimensions = 8, mostNameBytes = 1024;

struct Dtype {
  const char *name;
  unsigned bits; // of an element
  bool readable;
  Storage storage; // where it is readable
};
constexpr Dtype dtypes[] = {{"F32", 32, true, Storage::F32},         {"F16", 16, true, Storage::F16},
                            {"BF16", 16, true, Storage::BF16},       {"F64", 64, false, Storage::F32},
                            {"I64", 64, false, Storage::F32},        {"U64", 64, false, Storage::F32},
                            {"I32", 32, false, Storage::F32},        {"U32", 32, false, Storage::F32},
                            {"I16", 16, false, Storage::F32},        {"U16", 16, false, Storage::F32},
                            {"I8", 8, false, Storage::F32},          {"U8", 8, false, Storage::F32},
                            {"BOOL", 8, false, Storage::F32},        {"F8_E4M3", 8, false, Storage::F32},
                            {"F8_E5M2", 8, false, Storage::F32},     {"F8_E8M0", 8, false, Storage::F32},
                            {"F6_E2M3", 6, false, Storage::F32},     {"F6_E3M2", 6, false, Storage::F32},
                            {"F4", 4, false, Storage::F32},          {"C64", 64, false, Storage::F32},
                            {"F8_E4M3FNUZ", 8, false, Storage::F32}, {"F8_E5M2FNUZ", 8, false, Storage::F32}};

/// A tensor as the header says it.
struct Entry {
  std::string name, dtype;
  std::vector<uint64_t> shape, offsets;
  bool hasDtype = false, hasShape = false, hasOffsets = false;
};

/// Takes the header apart: an object of names, of which each is an object of dtype, shape and data_offsets, but
/// __metadata__, an object of texts.
class HeaderWalk : public nlohmann::json_sax<json> {
public:
  std::vector<Entry> entries;
  std::string problem; ///< what is wrong, without the file
  ErrorCode code = ErrorCode::SafetensorsHeader;

  bool null() override { return value("null"); }
  bool boolean(bool) override { return value("a boolean"); }
  bool number_integer(json::number_integer_t) override { return value("a negative number"); }
  bool number_float(json::number_float_t, const std::string &) override {
    return value("a number that is no whole one below 2^64");
  }
  bool binary(json::binary_t &) override { return value("bytes"); }

  bool number_unsigned(json::number_unsigned_t number) override {
    if (depth != Depth::Array)
      return value("a number");
    std::vector<uint64_t> &numbers = field == "shape" ? entries.back().shape : entries.back().offsets;
    if (numbers.size() == mostDimensions)
      return refuse(field + ": expects at most " + std::to_string(mostDimensions) + " numbers, but got more");
    numbers.push_back(number);
    return true;
  }

  bool string(std::string &text) override {
    if (depth == Depth::Notes)
      return true;
    if (depth != Depth::Tensor || field != "dtype")
      return value("a text");
    entries.back().dtype = text;
    entries.back().hasDtype = true;
    return true;
  }

  bool start_object(size_t) override {
    if (depth == Depth::Nothing)
      depth = Depth::Names;
    else if (depth == Depth::Names)
      depth = notes ? Depth::Notes : Depth::Tensor;
    else
      return value("an object");
    return true;
  }

  bool key(std::string &name) override {
    if (depth == Depth::Names) {
      notes = name == "__metadata__";
      field.clear();
      if (!names.insert(name).second) {
        code = ErrorCode::SafetensorsDuplicate;
        return wrong("tensor '" + printable(name) + "': expects each name once, but it is repeated");
      }
      if (notes)
        return true;
      if (name.empty() || name.size() > mostNameBytes)
        return wrong("header: expects names of 1 to " + std::to_string(mostNameBytes) + " bytes, but got one of " +
                     std::to_string(name.size()));
      entries.emplace_back();
      entries.back().name = name;
      return true;
    }
    if (depth == Depth::Notes)
      return true;
    Entry &entry = entries.back();
    field = name;
    bool *seen = name == "dtype"          ? &entry.hasDtype
                 : name == "shape"        ? &entry.hasShape
                 : name == "data_offsets" ? &entry.hasOffsets
                                          : nullptr;
    if (!seen)
      return refuse("expects dtype, shape and data_offsets, but got '" + printable(name) + "'");
    return *seen ? refuse(name + ": expects it once, but it is repeated") : true;
  }

  bool end_object() override {
    if (depth == Depth::Tensor) {
      const Entry &entry = entries.back();
      const char *lacking = !entry.hasDtype     ? "dtype"
                            : !entry.hasShape   ? "shape"
                            : !entry.hasOffsets ? "data_offsets"
                                                : nullptr;
      if (lacking)
        return refuse(std::string("expects dtype, shape and data_offsets, but ") + lacking + " is missing");
    }
    depth = depth == Depth::Names ? Depth::Done : Depth::Names;
    return true;
  }

  bool start_array(size_t) override {
    if (depth != Depth::Tensor || field == "dtype")
      return value("an array");
    (field == "shape" ? entries.back().hasShape : entries.back().hasOffsets) = true;
    depth = Depth::Array;
    return true;
  }

  bool end_array() override {
    depth = Depth::Tensor;
    if (field == "data_offsets" && entries.back().offsets.size() != 2)
      return refuse("data_offsets: expects two numbers, but got " + std::to_string(entries.back().offsets.size()));
    return true;
  }

  bool parse_error(size_t at, const std::string &, const nlohmann::detail::exception &) override {
    return wrong("offset " + std::to_string(lengthBytes + (at ? at - 1 : 0)) +
                 ": header: expects JSON, but it is none");
  }

private:
  enum class Depth { Nothing, Names, Tensor, Array, Notes, Done };

  bool wrong(std::string text) {
    if (problem.empty())
      problem = std::move(text);
    return false;
  }
  bool refuse(const std::string &text) { return wrong("tensor '" + printable(entries.back().name) + "': " + text); }
  bool value(const char *got) {
    if (depth == Depth::Nothing)
      return wrong(std::string("header: expects an object, but got ") + got);
    if (depth == Depth::Notes)
      return wrong(std::string("__metadata__: expects texts, but got ") + got);
    if (depth == Depth::Names)
      return notes ? wrong(std::string("__metadata__: expects an object, but got ") + got)
                   : refuse(std::string("expects an object, but got ") + got);
    return refuse(field + ": expects " + (field == "dtype" ? "a text" : "whole numbers from 0 on") + ", but got " +
                  got);
  }

  Depth depth = Depth::Nothing;
  bool notes = false;          // the member that follows is __metadata__
  std::string field;           // of the tensor at hand
  std::set<std::string> names; // of the whole header
};

/// The tensor of `entry`, whose data lie in `available` bytes from `begin` of the file on.
Result<SafeTensor> tensorOf(const std::string &file, const Entry &entry, uint64_t begin, uint64_t available,
                            const uint8_t *span) {
  const std::string where = file + ": tensor '" + printable(entry.name) + "'";
  const Dtype *dtype =
      std::find_if(std::begin(dtypes), std::end(dtypes), [&](const Dtype &each) { return entry.dtype == each.name; });
  const bool known = dtype != std::end(dtypes);
  const auto wrongType = [&] {
    return fail(ErrorCode::SafetensorsDtype, "%s: dtype: expects F32, F16 or BF16, but got %s%s", where.c_str(),
                printable(entry.dtype).c_str(), known ? "" : " (unknown)");
  };
  if (!known || dtype->bits % 8)
    return wrongType();
  uint64_t elements = 1, bytes = 0;
  bool wraps = false;
  for (uint64_t dimension : entry.shape) {
    if (dimension == 0)
      return fail(ErrorCode::SafetensorsShape, "%s: shape: expects dimensions of at least 1, but got %s", where.c_str(),
                  shapeText(entry.shape).c_str());
    wraps |= __builtin_mul_overflow(elements, dimension, &elements);
  }
  wraps |= __builtin_mul_overflow(elements, uint64_t(dtype->bits / 8), &bytes);
  const uint64_t first = entry.offsets[0], last = entry.offsets[1];
  if (wraps || last < first || last - first != bytes)
    return !dtype->readable
               ? wrongType()
               : fail(ErrorCode::SafetensorsShape,
                      "%s: data_offsets: expects as many bytes as shape %s of %s has, but got %" PRIu64 " to %" PRIu64,
                      where.c_str(), shapeText(entry.shape).c_str(), dtype->name, first, last);
  if (last > available)
    return fail(ErrorCode::SafetensorsPlace,
                "%s: data_offsets: expects them within the %" PRIu64 " bytes of data, but got %" PRIu64 " to %" PRIu64,
                where.c_str(), available, first, last);
  return SafeTensor{entry.name,
                    dtype->storage,
                    entry.shape,
                    begin + first,
                    bytes,
                    span + begin + first,
                    dtype->readable ? "" : dtype->name};
}

} // namespace

std::string shapeText(const std::vector<uint64_t> &shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

Result<std::vector<SafeTensor>> readSafetensors(const std::string &file, const uint8_t *span, size_t size) {
  const char *name = file.c_str();
  uint64_t length = 0;
  if (size < lengthBytes)
    return fail(ErrorCode::SafetensorsHeader, "%s: offset 0: header length: expects 8 bytes, but the file has %zu",
                name, size);
  for (size_t i = 0; i < lengthBytes; ++i) // little-endian
    length |= uint64_t(span[i]) << (8 * i);
  if (length > mostHeaderBytes || length > size - lengthBytes)
    return fail(ErrorCode::SafetensorsHeader,
                "%s: offset 0: header length: expects at most %" PRIu64 ", and the %zu bytes that remain in the file, "
                "but got %" PRIu64,
                name, mostHeaderBytes, size - lengthBytes, length);
  const char *header = reinterpret_cast<const char *>(span) + lengthBytes;
  if (length == 0 || header[0] != '{')
    return fail(ErrorCode::SafetensorsHeader, "%s: offset 8: header: expects '{', but got %s", name,
                length ? printable({header, 1}).c_str() : "nothing");
  HeaderWalk walk;
  if (!json::sax_parse(header, header + length, &walk))
    return fail(walk.code, "%s: %s", name, walk.problem.c_str());

  const uint64_t begin = lengthBytes + length, available = size - begin;
  std::vector<SafeTensor> tensors;
  for (const Entry &entry : walk.entries) {
    Result<SafeTensor> tensor = tensorOf(file, entry, begin, available, span);
    if (!tensor)
      return tensor.error();
    tensors.push_back(std::move(*tensor));
  }
  std::sort(tensors.begin(), tensors.end(),
            [](const SafeTensor &a, const SafeTensor &b) { return a.offset < b.offset; });
  uint64_t end = begin;
  for (const SafeTensor &tensor : tensors) {
    if (tensor.offset != end)
      return fail(ErrorCode::SafetensorsPlace,
                  "%s: tensor '%s': data_offsets: expects them to begin at %" PRIu64
                  ", where the tensor before ends, but got %" PRIu64 " (%s)",
                  name, printable(tensor.name).c_str(), end - begin, tensor.offset - begin,
                  tensor.offset < end ? "an overlap" : "a gap");
    end = tensor.offset + tensor.bytes;
  }
  if (end != size)
    return fail(ErrorCode::SafetensorsPlace,
                "%s: expects the data to end where the last tensor does, at %" PRIu64 ", but the file has %zu bytes",
                name, end, size);
  return tensors;
}

} // namespace stepdown
