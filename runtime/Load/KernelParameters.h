// What a launch hands a kernel, made of a dispatch's operands: include/stepdown/KernelImage.h says which.
#pragma once
#include "runtime/Load/KernelImage.h"
#include <functional>

namespace stepdown {

/// A tensor map to be made, as cuTensorMapEncodeTiled takes it: the innermost dimension first.
struct TensorMapShape {
  uint64_t address;
  uint64_t sizes[STEPDOWN_MAX_RANK];
  uint64_t strides[STEPDOWN_MAX_RANK]; ///< bytes from one index of a dimension to the next; the innermost is dense
  uint32_t box[STEPDOWN_MAX_RANK];
  uint32_t rank, elementType, elementBytes, swizzle;
};
/// Writes the 128 bytes of a map, at a multiple of 64.
using EncodeMap = std::function<Status(const TensorMapShape &, void *map)>;

/// Bytes of a kernel's parameters, each at a multiple of its size, tensor maps at one of 64.
size_t parameterBytes(const ImageKernel &kernel);
/// Where each of them begins.
std::vector<size_t> parameterPlaces(const ImageKernel &kernel);

/// Writes the parameters for operands `words` [kernel.words()] into `bytes` [parameterBytes(kernel)]. E1003 for
/// operands that are larger than any memory, and for those that no tensor map describes: an address or rows that are
/// not multiples of 16 bytes, or a dimension of 0. Of these the map is zeros where the parameter says `or_address`: the
/// kernel then goes by that.
Status encodeParameters(const ImageKernel &kernel, const uint64_t *words, const EncodeMap &encodeMap, uint8_t *bytes);

} // namespace stepdown
