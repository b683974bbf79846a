// Weights of small floats with a scale for a part of the matrix: 8-bit floats (E4M3 of OCP, which has no infinities)
// and MXFP4, E2M1 with a power of two for 32 columns.
#pragma once
#include "lib/Base/Result.h"
#include "lib/Checkpoint/HuggingFace/WeightPart.h"

namespace stepdown {

struct Float8Form {
  uint64_t rows = 0, columns = 0;
  const uint8_t *codes = nullptr;           ///< [rows, columns]
  const uint8_t *scales = nullptr;          ///< [ceil(rows / blockRows), ceil(columns / blockColumns)]
  bool powers = false;                      ///< scales are bytes e, for 2^(e - 127); else of scaleType
  Storage scaleType = Storage::F32;         ///< F32, F16 or BF16
  uint64_t blockRows = 1, blockColumns = 1; ///< of one scale
};

/// bf16 where each product is one whatever its code is, else f32. E1453: a scale is not positive and finite.
Result<std::unique_ptr<WeightPart>> float8Part(const std::string &where, const Float8Form &form);

/// gpt-oss's MXFP4: of a row, 16 bytes for 32 columns, whose low halves are the columns 0, 2, 4, ..., and a byte of
/// scale. Row r of the part is row first + r * stride of codes [all rows, columns / 2] and scales [all rows, columns /
/// 32].
std::unique_ptr<WeightPart> mxfp4Part(const uint8_t *codes, const uint8_t *scales, uint64_t rows, uint64_t columns,
                                      uint64_t first, uint64_t stride);

/// The value of an E4M3 code.
float e4m3ToF32(uint8_t code);

} // namespace stepdown
