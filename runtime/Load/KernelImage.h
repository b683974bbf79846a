// Finds and verifies an image of GPU kernels among a section's instructions (include/stepdown/KernelImage.h).
#pragma once
#include "include/stepdown/KernelImage.h"
#include "lib/Base/Result.h"
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace stepdown {

/// One kernel of an image, its records copied.
struct ImageKernel {
  std::string_view name;
  std::vector<uint32_t> ranks; ///< of its operands
  std::vector<stepdown_kernel_parameter> parameters;

  /// Words of a dispatch's operands: an address each, and its dimensions.
  uint32_t words() const;
};

/// Names, code and operations lie in the bytes that it was found in.
struct KernelImage {
  std::vector<ImageKernel> kernels;
  const uint8_t *operations = nullptr, *code = nullptr;
  size_t operationBytes = 0, codeBytes = 0;

  const ImageKernel *find(std::string_view name) const; ///< null: none
};

/// The image that begins with the first of `size` bytes. E0507 where a table, a name or a parameter is none: it lies
/// outside, names an operand or dimension that the kernel lacks, or describes a box that no tensor map has.
Result<KernelImage> locateImage(const uint8_t *bytes, size_t size);

/// Bytes of an element of a tensor map of `type` (CUtensorMapDataType); 0 where there is no such type.
uint32_t mapElementBytes(uint32_t type);

} // namespace stepdown
