// Weights of 2 to 8 bits with a scale and a zero point for a group of columns: (code - zero) * scale. GPTQ, AWQ and
// compressed-tensors differ in where the bits lie, and in nothing else.
#pragma once
#include "lib/Base/Result.h"
#include "lib/Checkpoint/HuggingFace/WeightPart.h"

namespace stepdown {

/// Unsigned codes of `bits` bits, packed without gaps into streams of little-endian words: code i of stream s has bits
/// [i * bits, (i + 1) * bits) of the words at s * streamStep + k * wordStep, k = 0, 1, ...
struct PackedCodes {
  const uint8_t *words = nullptr; ///< null: there are none
  int bits = 0;
  uint64_t wordStep = 1, streamStep = 0; ///< in words of 4 bytes
  bool interleaved = false; ///< AWQ: of 8 codes of a word those at 0, 2, 4, 6, 1, 3, 5, 7 follow each other

  uint32_t at(uint64_t stream, uint64_t i) const;
};

struct IntegerForm {
  uint64_t rows = 0, columns = 0;
  PackedCodes codes = {};            ///< a stream a row, or `byColumn` a column
  bool byColumn = false;             ///< else by row
  const int8_t *bytes = nullptr;     ///< in place of codes: signed ones [rows, columns]
  PackedCodes zeros = {};            ///< a stream a group, of rows
  const int8_t *zeroBytes = nullptr; ///< in place of zeros: [rows, groups]
  int zero = 0;                      ///< of each group where there are neither; else added to them
  const uint8_t *scales = nullptr;   ///< of row r and group g at r * scaleRowStep + g * scaleGroupStep
  Storage scaleType = Storage::F16;  ///< F32, F16 or BF16
  uint64_t scaleRowStep = 0, scaleGroupStep = 0;
  uint64_t groups = 1, group = 0;   ///< group: columns of one, which go on behind each other where groupOf is null
  const uint8_t *groupOf = nullptr; ///< [columns] of int32
};

/// Looks at all scales, zero points and groups: E1453 for a scale that is not finite, E1454 for a group beyond the
/// last. `where` begins the message.
Result<std::unique_ptr<WeightPart>> integerPart(const std::string &where, const IntegerForm &form);

} // namespace stepdown
