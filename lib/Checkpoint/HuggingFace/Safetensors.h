// The safetensors format, read from a bounded span: a length of 8 bytes, so many bytes of JSON that say dtype, shape
// and place of each tensor, then the data. Everything is checked before it is trusted, and every refusal (E1403 to
// E1407) names file and tensor. Source: the format text and the reader of github.com/huggingface/safetensors.
#pragma once
#include "lib/Base/Result.h"
#include "lib/Checkpoint/BlockFormat.h"
#include <cstdint>
#include <string>
#include <vector>

namespace stepdown {

struct SafeTensor {
  std::string name;
  Storage storage;             ///< F32, F16 or BF16
  std::vector<uint64_t> shape; ///< outermost first, as PyTorch says it; each at least 1; empty for a scalar
  uint64_t offset;             ///< of the data from the start of the file
  uint64_t bytes;
  const uint8_t *data;
  std::string other; ///< another type, of a tensor that can be left out but not read; else ""
};

/// The tensors of the file that lies in `span` [size], in the order of their data, which they fill without a gap.
/// `file` is for messages. The result points into `span`.
Result<std::vector<SafeTensor>> readSafetensors(const std::string &file, const uint8_t *span, size_t size);

/// `[2, 3]`.
std::string shapeText(const std::vector<uint64_t> &shape);

} // namespace stepdown
