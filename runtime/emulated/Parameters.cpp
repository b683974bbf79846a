#include "runtime/emulated/Parameters.h"

#include "include/stepdown/Emulation.h"
#include <algorithm>
#include <cstring>

namespace stepdown::emulated {
namespace {

using ull = unsigned long long;

struct Place {
  size_t bytes, alignment;
};
Place placeOf(const stepdown_kernel_parameter &parameter) {
  switch (parameter.holds) {
  case STEPDOWN_HOLDS_MAP:
    return {sizeof(stepdown_tensor_map), 64};
  case STEPDOWN_HOLDS_SIZE:
    return {4, 4};
  case STEPDOWN_HOLDS_VALUE:
    return {parameter.dimension, parameter.dimension};
  default:
    return {8, 8};
  }
}

/// What an operand's words say.
struct Operand {
  uint64_t address;
  const uint64_t *dims;
  uint32_t rank;
  /// Elements from one index of dimension `d` to the next.
  uint64_t stride(uint32_t d) const {
    uint64_t elements = 1;
    for (uint32_t i = d + 1; i < rank; ++i)
      elements *= dims[i];
    return elements;
  }
};

/// As cuTensorMapEncodeTiled: the innermost dimension first.
Status encodeMap(const ImageKernel &kernel, const stepdown_kernel_parameter &parameter, const Operand &operand,
                 stepdown_tensor_map &map) {
  const std::string what = std::string(kernel.name) + ": operand " + std::to_string(parameter.operand);
  map = {};
  map.rank = uint8_t(operand.rank);
  map.element_type = parameter.element_type;
  map.element_bytes = uint8_t(mapElementBytes(parameter.element_type));
  map.swizzle = parameter.swizzle;
  map.check = STEPDOWN_EMULATION_MAGIC;
  map.address = operand.address;
  if (map.address % 16)
    return fail(ErrorCode::KernelLaunch, "%s: expects an address that is a multiple of 16, but got %llx", what.c_str(),
                (ull)map.address);
  for (uint32_t i = 0; i < operand.rank; ++i) {
    const uint32_t d = operand.rank - 1 - i;
    map.sizes[i] = operand.dims[d];
    map.box[i] = parameter.box[i];
    map.step[i] = 1;
    if (map.sizes[i] == 0)
      return fail(ErrorCode::KernelLaunch,
                  "%s: expects a size of dimension %u of at least 1 for a tensor map, but got 0", what.c_str(), d);
    if (i == 0)
      continue;
    const uint64_t bytes = operand.stride(d) * map.element_bytes;
    if (bytes % 16 || bytes >> 36)
      return fail(ErrorCode::KernelLaunch,
                  "%s: expects rows of dimension %u of whole 16 bytes for a tensor map, but got %llu bytes",
                  what.c_str(), d, (ull)bytes);
    map.strides[i - 1] = uint32_t(bytes / 16);
  }
  return Done{};
}

} // namespace

size_t parameterBytes(const ImageKernel &kernel) {
  size_t end = 0;
  for (const stepdown_kernel_parameter &parameter : kernel.parameters) {
    const Place place = placeOf(parameter);
    end = (end + place.alignment - 1) / place.alignment * place.alignment + place.bytes;
  }
  return end;
}

Result<std::vector<uint8_t>> encodeParameters(const ImageKernel &kernel, const uint64_t *words) {
  std::vector<Operand> operands;
  for (uint32_t rank : kernel.ranks) {
    operands.push_back({words[0], words + 1, rank});
    uint64_t elements = 1; // of an operand whose dimensions of size 0 were 1
    for (uint32_t d = 0; d < rank; ++d) {
      const uint64_t size = operands.back().dims[d];
      if (size > INT32_MAX || __builtin_mul_overflow(elements, std::max<uint64_t>(size, 1), &elements) ||
          elements >> 48)
        return fail(ErrorCode::KernelLaunch,
                    "%s: operand %zu: expects at most 2147483647 in a dimension and 2^48 elements in all, but got %llu "
                    "in dimension %u",
                    std::string(kernel.name).c_str(), operands.size() - 1, (ull)size, d);
    }
    words += 1 + rank;
  }
  std::vector<uint8_t> bytes(parameterBytes(kernel));
  size_t at = 0;
  for (const stepdown_kernel_parameter &parameter : kernel.parameters) {
    const Operand &operand = operands[parameter.operand];
    const Place place = placeOf(parameter);
    at = (at + place.alignment - 1) / place.alignment * place.alignment;
    stepdown_tensor_map map;
    uint64_t value = 0;
    const void *from = &value;
    switch (parameter.holds) {
    case STEPDOWN_HOLDS_ADDRESS:
    case STEPDOWN_HOLDS_VALUE:
      value = operand.address;
      break;
    case STEPDOWN_HOLDS_SIZE:
      value = operand.dims[parameter.dimension];
      break;
    case STEPDOWN_HOLDS_STRIDE:
      value = operand.stride(parameter.dimension);
      break;
    case STEPDOWN_HOLDS_MAP:
      if (Status encoded = encodeMap(kernel, parameter, operand, map); !encoded)
        return encoded.error();
      from = &map;
    }
    std::memcpy(bytes.data() + at, from, place.bytes);
    at += place.bytes;
  }
  return bytes;
}

} // namespace stepdown::emulated
