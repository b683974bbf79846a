// Attention's products with a cache of blocks (dialects/Transformer/IR/CachedRows.h), in integers.
#pragma once
#include "passes/Vector/Emitter.h"

namespace stepdown {

/// What `rows` query rows make of 16 positions at a time, where keys lie [keyDim + scales][16 positions] and values
/// [position][valueDim + scales]. Both dimensions are multiples of 16.
class AttendCodes {
public:
  using Value = mlir::Value;
  AttendCodes(Emitter &emitter, int64_t rows, int64_t keyDim, int64_t valueDim, int64_t rowsAtOnce);

  /// Takes the query [keyDim] at `from` as row `row`, times `scale`.
  void open(Value from, int64_t row, Value scale);
  /// weights[row][16] = q[row] . k of 16 positions, but for unit(row). Keys at `later` are fetched meanwhile.
  void scores(Value keys, Value later, Value weights);
  /// The factor of a row's scores, in all lanes.
  Value unit(Value row);
  /// sums[row][valueDim] += weights[row][16] . v; where a weight is 0, whatever lies there.
  void accumulate(Value values, Value later, Value weights, Value sums);

private:
  Emitter::Values dots(int64_t r0, int64_t count, Value first, int64_t channels, Value keys, Value later);
  void codeWeights(Value values, Value weights);

  Emitter &e;
  const int64_t rows, keyDim, valueDim, valueSize, atOnce;
  const mlir::VectorType floats, ints;
  Value query, queryUnits;  ///< [keyDim / 2][rows][2] of 16 bits; [rows]
  Value codes, weightUnits; ///< of each block of values: [rows][16] of 16 bits; [rows]
};

} // namespace stepdown
