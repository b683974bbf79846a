// Where the fields of an 8-bit activation block lie, for those that write and read them. ActivationType says what a
// block is; whoever changes its fields changes this.
#pragma once
#include "llvm/ADT/StringRef.h"
#include <cstdint>

namespace stepdown::transformer {

/// Offsets in bytes in the block of one token. Where a block has several, a field of all of them lies together: that of
/// token t is at offset * tokens + 4 * t.
struct ActivationFields {
  explicit ActivationFields(llvm::StringRef element)
      : planes(element == "q8x2" ? 2 : 1), outliers(element == "q8o2" ? 2 : 0) {}

  const int64_t planes;   ///< of codes: those of the values, those of what they leave
  const int64_t outliers; ///< quads that have high codes

  int64_t scale() const { return 0; }                           ///< float32
  int64_t scaledSum() const { return 4; }                       ///< float32: of all values
  int64_t scaledUpper() const { return 8; }                     ///< float32: of the last 16
  int64_t sum(int64_t plane) const { return 12 + 8 * plane; }   ///< int32: of all codes, with 128 times high ones
  int64_t upper(int64_t plane) const { return 16 + 8 * plane; } ///< int32: of the last 16
  int64_t codes(int64_t plane, int64_t quad) const {            ///< 4 x int8
    return 12 + 8 * planes + 32 * plane + 4 * quad;
  }
  int64_t high(int64_t i) const { return codes(planes, i); }             ///< 4 x int8: of outlier i
  int64_t place(int64_t i) const { return codes(planes, outliers + i); } ///< int32: 64 times its quad
  int64_t bytes() const { return codes(planes, 2 * outliers); }
};

} // namespace stepdown::transformer
