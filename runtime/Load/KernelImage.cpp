#include "runtime/Load/KernelImage.h"

#include <algorithm>
#include <cstring>
#include <tuple>

namespace stepdown {
namespace {

using ull = unsigned long long;

Error bad(const char *table, uint32_t index, const char *field, ull low, ull high, ull value) {
  return fail(ErrorCode::ArtifactTable, "image of kernels: %s %u: %s: expects from %llu to %llu, but got %llu", table,
              index, field, low, high, value);
}

/// The records of `table`, copied: an image may stand anywhere.
template <typename T>
bool copy(const uint8_t *bytes, size_t size, const stepdown_table &table, std::vector<T> &records) {
  if (table.offset > size || table.count > (size - table.offset) / sizeof(T))
    return false;
  records.resize(table.count);
  if (table.count)
    std::memcpy(records.data(), bytes + table.offset, table.count * sizeof(T));
  return true;
}

Status checkParameter(uint32_t i, const ImageKernel &kernel, const stepdown_kernel_parameter &p) {
  if (p.operand >= kernel.ranks.size())
    return bad("parameter", i, "operand", 0, kernel.ranks.size(), p.operand);
  const uint32_t rank = kernel.ranks[p.operand];
  switch (p.holds) {
  case STEPDOWN_HOLDS_ADDRESS:
    return Done{};
  case STEPDOWN_HOLDS_SIZE:
  case STEPDOWN_HOLDS_STRIDE:
    if (p.dimension >= rank)
      return bad("parameter", i, "dimension below the operand's rank", 0, rank, p.dimension);
    return Done{};
  case STEPDOWN_HOLDS_MAP:
    if (rank == 0)
      return bad("parameter", i, "rank of a tensor map's operand", 1, STEPDOWN_MAX_RANK, 0);
    if (mapElementBytes(p.element_type) == 0)
      return bad("parameter", i, "element type", 0, 10, p.element_type);
    if (p.swizzle > 3)
      return bad("parameter", i, "swizzle", 0, 3, p.swizzle);
    for (uint32_t d = 0; d < rank; ++d)
      if (p.box[d] < 1 || p.box[d] > 256)
        return bad("parameter", i, "box", 1, 256, p.box[d]);
    if (p.or_address > 1)
      return bad("parameter", i, "or_address", 0, 1, p.or_address);
    if (p.or_address && std::none_of(kernel.parameters.begin(), kernel.parameters.end(), [&](const auto &other) {
          return other.holds == STEPDOWN_HOLDS_ADDRESS && other.operand == p.operand;
        }))
      return fail(ErrorCode::ArtifactTable,
                  "image of kernels: parameter %u: or_address: expects a kernel that takes the address of operand %u",
                  i, p.operand);
    return Done{};
  case STEPDOWN_HOLDS_VALUE:
    if (rank)
      return bad("parameter", i, "rank of a number", 0, 0, rank);
    if (p.dimension != 1 && p.dimension != 2 && p.dimension != 4 && p.dimension != 8)
      return bad("parameter", i, "bytes of a number", 1, 8, p.dimension);
    return Done{};
  }
  return bad("parameter", i, "holds", STEPDOWN_HOLDS_ADDRESS, STEPDOWN_HOLDS_VALUE, p.holds);
}

} // namespace

uint32_t mapElementBytes(uint32_t type) {
  // u8, u16, u32, s32, u64, s64, f16, f32, f64, bf16, f32 with denormals as zeros
  static constexpr uint8_t bytes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4};
  return type < sizeof bytes ? bytes[type] : 0;
}

uint32_t ImageKernel::words() const {
  uint32_t words = 0;
  for (uint32_t rank : ranks)
    words += 1 + rank;
  return words;
}

const ImageKernel *KernelImage::find(std::string_view name) const {
  for (const ImageKernel &kernel : kernels)
    if (kernel.name == name)
      return &kernel;
  return nullptr;
}

Result<KernelImage> locateImage(const uint8_t *bytes, size_t size) {
  stepdown_image head = {};
  if (size >= sizeof head)
    std::memcpy(&head, bytes, sizeof head);
  if (head.magic != STEPDOWN_IMAGE_MAGIC)
    return fail(ErrorCode::ArtifactTable, "image of kernels: expects one in %zu bytes, but they begin with %08x", size,
                head.magic);
  KernelImage image;
  std::vector<stepdown_image_kernel> kernels;
  std::vector<uint32_t> ranks;
  std::vector<stepdown_kernel_parameter> parameters;
  std::vector<char> strings;
  if (!copy(bytes, size, head.kernels, kernels) || !copy(bytes, size, head.ranks, ranks) ||
      !copy(bytes, size, head.parameters, parameters) || !copy(bytes, size, head.strings, strings))
    return fail(ErrorCode::ArtifactTable, "image of kernels: expects tables inside %zu bytes", size);
  if (strings.empty() || strings.back() != 0)
    return fail(ErrorCode::ArtifactTable, "image of kernels: strings: expects a last byte of 0");
  for (auto [what, offset, count] : {std::tuple("operations", head.operations, head.operation_bytes),
                                     std::tuple("code", head.code, head.code_bytes)})
    if (offset > size || count > size - offset)
      return fail(ErrorCode::ArtifactTable,
                  "image of kernels: %s: expects %llu bytes inside %zu, but they begin at %llu", what, (ull)count, size,
                  (ull)offset);
  image.operations = bytes + head.operations;
  image.operationBytes = head.operation_bytes;
  image.code = bytes + head.code;
  image.codeBytes = head.code_bytes;
  for (uint32_t k = 0; k < kernels.size(); ++k) {
    const stepdown_image_kernel &record = kernels[k];
    if (record.name >= strings.size())
      return bad("kernel", k, "name", 0, strings.size() - 1, record.name);
    if (record.first_rank > ranks.size() || record.operand_count > ranks.size() - record.first_rank)
      return bad("kernel", k, "operands", 0, ranks.size(), ull(record.first_rank) + record.operand_count);
    if (record.first_parameter > parameters.size() ||
        record.parameter_count > parameters.size() - record.first_parameter)
      return bad("kernel", k, "parameters", 0, parameters.size(), ull(record.first_parameter) + record.parameter_count);
    ImageKernel kernel;
    kernel.name = reinterpret_cast<const char *>(bytes + head.strings.offset + record.name);
    kernel.ranks.assign(ranks.begin() + record.first_rank, ranks.begin() + record.first_rank + record.operand_count);
    kernel.parameters.assign(parameters.begin() + record.first_parameter,
                             parameters.begin() + record.first_parameter + record.parameter_count);
    for (uint32_t i = 0; i < kernel.ranks.size(); ++i)
      if (kernel.ranks[i] > STEPDOWN_MAX_RANK)
        return bad("operand", record.first_rank + i, "rank", 0, STEPDOWN_MAX_RANK, kernel.ranks[i]);
    for (uint32_t i = 0; i < kernel.parameters.size(); ++i)
      if (Status good = checkParameter(record.first_parameter + i, kernel, kernel.parameters[i]); !good)
        return good.error();
    image.kernels.push_back(std::move(kernel));
  }
  return image;
}

} // namespace stepdown
