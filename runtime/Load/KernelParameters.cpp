#include "runtime/Load/KernelParameters.h"

#include <algorithm>
#include <cstring>

namespace stepdown {
namespace {

using ull = unsigned long long;

constexpr size_t kMapBytes = 128;

struct Place {
  size_t bytes, alignment;
};
Place placeOf(const stepdown_kernel_parameter &parameter) {
  switch (parameter.holds) {
  case STEPDOWN_HOLDS_MAP:
    return {kMapBytes, 64};
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

/// Whether a tensor map describes `operand`, of elements of so many bytes: encode() says what one wants.
bool isMappable(const Operand &operand, uint64_t bytes) {
  bool mappable = operand.address % 16 == 0;
  for (uint32_t d = 0; d < operand.rank; ++d)
    mappable = mappable && operand.dims[d] && (d + 1 == operand.rank || operand.stride(d) * bytes % 16 == 0);
  return mappable;
}

Status encode(const ImageKernel &kernel, const stepdown_kernel_parameter &parameter, const Operand &operand,
              const EncodeMap &encodeMap, void *map) {
  const std::string what = std::string(kernel.name) + ": operand " + std::to_string(parameter.operand);
  TensorMapShape shape = {};
  shape.rank = operand.rank;
  shape.elementType = parameter.element_type;
  shape.elementBytes = mapElementBytes(parameter.element_type);
  shape.swizzle = parameter.swizzle;
  shape.address = operand.address;
  if (shape.address % 16)
    return fail(ErrorCode::KernelLaunch, "%s: expects an address that is a multiple of 16, but got %llx", what.c_str(),
                (ull)shape.address);
  for (uint32_t i = 0; i < operand.rank; ++i) {
    const uint32_t d = operand.rank - 1 - i;
    shape.sizes[i] = operand.dims[d];
    shape.box[i] = parameter.box[i];
    shape.strides[i] = operand.stride(d) * shape.elementBytes;
    if (shape.sizes[i] == 0)
      return fail(ErrorCode::KernelLaunch,
                  "%s: expects a size of dimension %u of at least 1 for a tensor map, but got 0", what.c_str(), d);
    if (i && (shape.strides[i] % 16 || shape.strides[i] >> 36))
      return fail(ErrorCode::KernelLaunch,
                  "%s: expects rows of dimension %u of whole 16 bytes for a tensor map, but got %llu bytes",
                  what.c_str(), d, (ull)shape.strides[i]);
  }
  return encodeMap(shape, map);
}

} // namespace

std::vector<size_t> parameterPlaces(const ImageKernel &kernel) {
  std::vector<size_t> places;
  size_t end = 0;
  for (const stepdown_kernel_parameter &parameter : kernel.parameters) {
    const Place place = placeOf(parameter);
    places.push_back((end + place.alignment - 1) / place.alignment * place.alignment);
    end = places.back() + place.bytes;
  }
  return places;
}

size_t parameterBytes(const ImageKernel &kernel) {
  return kernel.parameters.empty() ? 0 : parameterPlaces(kernel).back() + placeOf(kernel.parameters.back()).bytes;
}

Status encodeParameters(const ImageKernel &kernel, const uint64_t *words, const EncodeMap &encodeMap, uint8_t *bytes) {
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
  size_t at = 0;
  for (const stepdown_kernel_parameter &parameter : kernel.parameters) {
    const Operand &operand = operands[parameter.operand];
    const Place place = placeOf(parameter);
    at = (at + place.alignment - 1) / place.alignment * place.alignment;
    alignas(64) uint8_t map[kMapBytes];
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
      if (parameter.or_address && !isMappable(operand, mapElementBytes(parameter.element_type)))
        std::memset(map, 0, sizeof map);
      else if (Status encoded = encode(kernel, parameter, operand, encodeMap, map); !encoded)
        return encoded;
      from = map;
    }
    std::memcpy(bytes + at, from, place.bytes);
    at += place.bytes;
  }
  return Done{};
}

} // namespace stepdown
