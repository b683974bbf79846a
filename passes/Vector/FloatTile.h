// Products of unpacked weights with the float32 activations of a tile of tokens, on any target: weights lie in the
// first-level cache as float32, sums beside them, and registers hold the sums of some tokens at a time.
#pragma once
#include "passes/Vector/WeightReader.h"

namespace stepdown {

/// 32 columns of 16 rows times the tokens of a tile. A weight is unpacked once for all tiles that pass, and the columns
/// of a token are added in ascending order, as streamWeights() of passes/Vector/SelectBlockDot.cpp adds them.
class FloatTile {
public:
  using Value = mlir::Value;
  /// `tokens`: of a tile.
  FloatTile(Emitter &emitter, int64_t tokens);

  /// Unpacks the 32 columns `sub` of a weight.
  void open(WeightReader &weight, Value sub);
  /// Adds what these columns give to `sums`: float32 [tokens][16 rows]. `tile` points to its activations: float32 [32
  /// columns][tokens].
  void add(Value tile, Value sums);

private:
  /// The same for `count` tokens, from the first that both point to.
  void addTokens(Value tile, int64_t count, Value sums);

  Emitter &e;
  const int64_t tokens, lanes, parts;
  Value kept; ///< float32 [32 columns][16 rows]
};

} // namespace stepdown
