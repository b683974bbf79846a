// Products of unpacked weights with the float32 activations of a tile of tokens, on any target: weights lie in the
// first-level cache as float32, sums beside them, and registers hold the sums of some tokens at a time.
#pragma once
#include "passes/Vector/WeightReader.h"

namespace stepdown {

/// A weight is unpacked once for all tiles that pass, and the columns of a token are added in ascending order, as
/// streamWeights() of passes/Vector/SelectBlockDot.cpp adds them.
class FloatTile {
public:
  using Value = mlir::Value;
  /// `tokens`: of a tile.
  FloatTile(Emitter &emitter, int64_t tokens);

  /// Adds what all columns of row tile `n` of `weights` [row tile][block] give to `sums`: float32 [tiles][tokens][16
  /// rows], of the tiles [first, first + tiles) of `activations` [tile][block].
  void addRows(const BlockFormat &format, Value weights, Value n, Value activations, Value first, Value tiles,
               Value sums);

private:
  /// Groups of 32 columns that are kept: 8 KB, which leaves a first-level cache of 32 KB room for as much of
  /// activations, and for sums. These are loaded and stored once for them all.
  static constexpr int64_t kGroups = 4;

  /// Unpacks the 32 columns `sub` of a weight as group `group` < kGroups.
  void open(WeightReader &weight, Value sub, Value group);
  /// Adds what the first `columns` of these give to `sums`: float32 [tokens][16 rows]. `tile` points to their
  /// activations: float32 [columns][tokens].
  void add(Value tile, Value columns, Value sums);
  /// The same for `count` tokens, from the first that both point to.
  void addTokens(Value tile, Value columns, int64_t count, Value sums);

  Emitter &e;
  const int64_t tokens, lanes, parts;
  Value kept; ///< float32 [kGroups][32 columns][16 rows]
};

} // namespace stepdown
