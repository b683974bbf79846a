// Tensor infos: names, shapes, types and where the data lies. Infos are checked while they are read; their places in
// the data section only once all are known, because the section begins after the last of them.
#include "lib/Checkpoint/Gguf.h"
#include "lib/Checkpoint/GgufShard.h"

#include <algorithm>
#include <cinttypes>
#include <unordered_set>

namespace stepdown {
namespace {

constexpr size_t mostNameBytes = 63;
constexpr uint32_t mostRank = 4;

struct InfoReader {
  const std::string &file;
  ByteCursor &cursor;
  uint64_t alignment;
  bool metadataOnly;
  std::unordered_set<std::string_view> names{};
  uint64_t total = 0; // of all tensors, each padded to the alignment
  std::string label{};

  Error refuse(ErrorCode code, size_t offset, const char *field, const std::string &expectation) const {
    return fail(code, "%s: offset %zu: %s: %s: %s", file.c_str(), offset, label.c_str(), field, expectation.c_str());
  }
  template <typename T> Status field(const char *name, T &value) {
    if (cursor.read(value))
      return Done{};
    return refuse(ErrorCode::GgufTruncated, cursor.offset, name,
                  "expects " + std::to_string(sizeof(T)) + " bytes, but " + std::to_string(cursor.remaining()) +
                      " remain in the file");
  }

  Status readName(StoredTensor &tensor);
  Status readShape(StoredTensor &tensor);
  Status readType(StoredTensor &tensor);
  Status sizeUp(StoredTensor &tensor, size_t shapeOffset);
  Status readOne(StoredTensor &tensor);
};

Status InfoReader::readName(StoredTensor &tensor) {
  size_t begin = cursor.offset;
  uint64_t length;
  if (Status ok = field("name length", length); !ok)
    return ok;
  if (length == 0 || length > mostNameBytes)
    return refuse(ErrorCode::GgufTensorName, begin, "name length",
                  "expects 1 to 63 bytes, but got " + std::to_string(length));
  if (!cursor.read(tensor.name, length))
    return refuse(ErrorCode::GgufTruncated, cursor.offset, "name",
                  "expects " + std::to_string(length) + " bytes, but " + std::to_string(cursor.remaining()) +
                      " remain in the file");
  label = "tensor '" + printable(tensor.name) + "'";
  if (!names.insert(tensor.name).second)
    return refuse(ErrorCode::GgufTensorDuplicate, begin, "name", "expects each name once, but it is repeated");
  return Done{};
}

Status InfoReader::readShape(StoredTensor &tensor) {
  size_t begin = cursor.offset;
  uint32_t rank;
  if (Status ok = field("number of dimensions", rank); !ok)
    return ok;
  if (rank == 0 || rank > mostRank)
    return refuse(ErrorCode::GgufTensorRank, begin, "number of dimensions",
                  "expects 1 to 4, but got " + std::to_string(rank));
  tensor.rank = static_cast<int>(rank);
  for (uint32_t i = 0; i < mostRank; ++i) {
    tensor.dims[i] = 1;
    if (i >= rank)
      continue;
    size_t offset = cursor.offset;
    std::string name = "dimension " + std::to_string(i);
    if (Status ok = field(name.c_str(), tensor.dims[i]); !ok)
      return ok;
    if (tensor.dims[i] == 0 || tensor.dims[i] > INT64_MAX)
      return refuse(ErrorCode::GgufTensorDimension, offset, name.c_str(),
                    "expects 1 to 2^63-1, but got " + std::to_string(static_cast<int64_t>(tensor.dims[i])));
  }
  return Done{};
}

/// Ids that ik_llama.cpp gives to types of its own, in files that say that they are GGUF.
bool isOfIkLlama(uint32_t id) { return (id >= 97 && id <= 99) || (id >= 133 && id <= 158) || (id >= 202 && id <= 399); }

Status InfoReader::readType(StoredTensor &tensor) {
  size_t begin = cursor.offset;
  uint32_t id;
  if (Status ok = field("type", id); !ok)
    return ok;
  tensor.storage = static_cast<Storage>(id);
  if (blockFormat(tensor.storage) || metadataOnly)
    return Done{};
  const char *known = ggufTypeName(id);
  if (!known)
    return refuse(ErrorCode::GgufTensorType, begin, "type",
                  "expects a type id of GGUF, but got " + std::to_string(static_cast<int32_t>(id)) +
                      (id < 64           ? " (removed or unknown)"
                       : isOfIkLlama(id) ? " (a private type of ik_llama.cpp)"
                                         : " (unknown)"));
  return refuse(ErrorCode::GgufTensorTypeUnsupported, begin, "type",
                "expects one of " + blockFormatNames() + ", but got " + std::to_string(id) + " (" + known + ")");
}

/// Bytes of the tensor, every product checked. Unknown types (metadata only) have 0.
Status InfoReader::sizeUp(StoredTensor &tensor, size_t shapeOffset) {
  tensor.bytes = 0;
  const BlockFormat *format = blockFormat(tensor.storage);
  uint64_t elements = 1;
  bool wraps = false;
  for (uint64_t dim : tensor.dims)
    wraps |= __builtin_mul_overflow(elements, dim, &elements);
  if (wraps || elements > INT64_MAX)
    return refuse(ErrorCode::GgufTensorSize, shapeOffset, "dimensions",
                  "expects fewer than 2^63 elements, but got " + std::to_string(tensor.dims[0]) + " x " +
                      std::to_string(tensor.dims[1]) + " x " + std::to_string(tensor.dims[2]) + " x " +
                      std::to_string(tensor.dims[3]));
  if (!format)
    return Done{};
  if (tensor.dims[0] % format->elements != 0)
    return refuse(ErrorCode::GgufTensorBlock, shapeOffset, "dimension 0",
                  "expects a multiple of " + std::to_string(format->elements) + ", the block of " + format->name +
                      ", but got " + std::to_string(tensor.dims[0]));
  if (__builtin_mul_overflow(elements / format->elements, static_cast<uint64_t>(format->bytes), &tensor.bytes) ||
      tensor.bytes > INT64_MAX)
    return refuse(ErrorCode::GgufTensorSize, shapeOffset, "dimensions",
                  "expects fewer than 2^63 bytes, but got " + std::to_string(elements) + " elements of " +
                      format->name);
  return Done{};
}

Status InfoReader::readOne(StoredTensor &tensor) {
  if (Status ok = readName(tensor); !ok)
    return ok;
  size_t shapeOffset = cursor.offset;
  if (Status ok = readShape(tensor); !ok)
    return ok;
  if (Status ok = readType(tensor); !ok)
    return ok;
  if (Status ok = sizeUp(tensor, shapeOffset); !ok)
    return ok;
  size_t begin = cursor.offset;
  if (Status ok = field("offset", tensor.offset); !ok)
    return ok;
  tensor.data = nullptr;
  if (metadataOnly)
    return Done{};
  if (tensor.offset % alignment != 0)
    return refuse(ErrorCode::GgufTensorOffset, begin, "offset",
                  "expects a multiple of the alignment " + std::to_string(alignment) + ", but got " +
                      std::to_string(tensor.offset));
  // Below 2^63 + 2^20, so the padding itself cannot wrap; the sum can.
  uint64_t padded = (tensor.bytes + alignment - 1) / alignment * alignment;
  if (__builtin_add_overflow(total, padded, &total))
    return refuse(ErrorCode::GgufDataSize, shapeOffset, "dimensions",
                  "expects all tensors together to stay below 2^64 bytes, but they exceed it with this one of " +
                      std::to_string(tensor.bytes));
  return Done{};
}

/// Places: in bounds, and in the order of their offsets each where the one before, padded, ends.
Status place(const std::string &file, const ByteCursor &cursor, uint64_t alignment,
             std::vector<StoredTensor> &tensors) {
  uint64_t section = (cursor.offset + alignment - 1) / alignment * alignment;
  if (section > cursor.size)
    return fail(ErrorCode::GgufDataTruncated,
                "%s: offset %zu: data section: expects it to begin at %" PRIu64 ", but the file ends at %zu",
                file.c_str(), cursor.offset, section, cursor.size);
  uint64_t available = cursor.size - section;
  std::vector<StoredTensor *> order;
  order.reserve(tensors.size());
  for (StoredTensor &tensor : tensors)
    order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const StoredTensor *a, const StoredTensor *b) {
    return a->offset != b->offset ? a->offset < b->offset : a < b;
  });
  for (const StoredTensor *tensor : order) {
    if (tensor->offset >= available)
      return fail(ErrorCode::GgufTensorBounds,
                  "%s: tensor '%s': offset: expects it below %" PRIu64
                  ", the size of the data section, but got %" PRIu64,
                  file.c_str(), printable(tensor->name).c_str(), available, tensor->offset);
    if (tensor->bytes > available - tensor->offset)
      return fail(ErrorCode::GgufDataTruncated,
                  "%s: offset %" PRIu64 ": tensor '%s': data: expects %" PRIu64 " bytes, but %" PRIu64
                  " remain in the file",
                  file.c_str(), section + tensor->offset, printable(tensor->name).c_str(), tensor->bytes,
                  available - tensor->offset);
  }
  uint64_t end = 0; // of the tensor before, relative to the section
  const StoredTensor *before = nullptr;
  for (StoredTensor *tensor : order) {
    if (tensor->offset < end)
      return fail(ErrorCode::GgufTensorOverlap,
                  "%s: tensor '%s': offset: expects at least %" PRIu64 ", where tensor '%s' ends, but got %" PRIu64,
                  file.c_str(), printable(tensor->name).c_str(), end, printable(before->name).c_str(), tensor->offset);
    if (uint64_t next = (end + alignment - 1) / alignment * alignment; tensor->offset != next)
      return fail(ErrorCode::GgufTensorGap,
                  "%s: tensor '%s': offset: expects %" PRIu64 ", the next after the data before it, but got %" PRIu64
                  " (a gap)",
                  file.c_str(), printable(tensor->name).c_str(), next, tensor->offset);
    end = tensor->offset + tensor->bytes;
    before = tensor;
  }
  for (StoredTensor &tensor : tensors) {
    tensor.offset += section;
    tensor.data = cursor.span + tensor.offset;
  }
  return Done{};
}

} // namespace

Result<std::vector<StoredTensor>> readTensorInfos(const std::string &file, ByteCursor &cursor, uint64_t count,
                                                  uint64_t alignment, bool metadataOnly) {
  InfoReader reader{file, cursor, alignment, metadataOnly};
  std::vector<StoredTensor> tensors;
  for (uint64_t i = 0; i < count; ++i) {
    reader.label = "tensor " + std::to_string(i);
    StoredTensor tensor{};
    if (Status ok = reader.readOne(tensor); !ok)
      return ok.error();
    tensors.push_back(tensor);
  }
  if (!metadataOnly && count != 0)
    if (Status ok = place(file, cursor, alignment, tensors); !ok)
      return ok.error();
  return tensors;
}

} // namespace stepdown
