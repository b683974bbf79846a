// The parameters of a launch, of the words of its operands.
#pragma once
#include "runtime/Load/KernelImage.h"
#include <cstdint>
#include <vector>

namespace stepdown::emulated {

/// Bytes of `kernel`'s parameters, as the chip lays them out: each at a multiple of its size, tensor maps of 64.
size_t parameterBytes(const ImageKernel &kernel);

/// These bytes for operands of `words` [kernel.words()]; tensor maps as stepdown_tensor_map. E1003 for a size that a
/// parameter or a tensor map cannot hold: more than 2^31 - 1 elements, none, rows that are not whole 16 bytes.
Result<std::vector<uint8_t>> encodeParameters(const ImageKernel &kernel, const uint64_t *words);

} // namespace stepdown::emulated
