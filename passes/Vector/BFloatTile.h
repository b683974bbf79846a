// Products of bfloat16 weights with bfloat16 activations, two neighbouring columns an instruction, where a target has
// it: a weight is multiplied as it is, an activation is the sum of one or two numbers (ActivationType).
//
// A row's sum is that of the products with the first numbers, columns in ascending order, plus that of the products
// with the second ones: two sums, since one alone would have to wait for each of its products twice. Both begin and end
// as they do for one token whatever the tile is, so that results do not depend on it. The instruction rounds to nearest
// after each product and takes subnormal numbers for zeros: 2^-126 times a product is what that can cost.
#pragma once
#include "dialects/Transformer/IR/TransformerOps.h"
#include "passes/Vector/Emitter.h"

namespace stepdown {

class BFloatTile {
public:
  using Value = mlir::Value;
  using Values = Emitter::Values;
  static constexpr int64_t kMostTiles = 4; ///< that addRows() takes
  BFloatTile(Emitter &emitter, transformer::ActivationType type);
  /// Whether blocks of `type` are bfloat16 on the emitter's target, in registers that hold all rows.
  static bool takes(const Emitter &emitter, transformer::ActivationType type);

  /// Adds what all columns of row tile `n` of `weights` [row tile][block] give to `sums`: float32 [tiles][tokens][16
  /// rows], of the tiles [first, first + tiles) of `activations` [tile][block].
  void addRows(const BlockFormat &format, Value weights, Value n, Value activations, Value first, Value tiles,
               Value sums);
  /// The same for the only token of tile `m`, whose sum of 16 rows lies at `sum`.
  void addToken(const BlockFormat &format, Value weights, Value n, Value activations, Value m, Value sum);

private:
  static constexpr int64_t kPairs = kCodeColumns / 2;
  /// Groups of 32 columns of which weights are kept, 8 KB: half of the first-level cache is left to activations and
  /// sums. These are loaded and stored once for them all.
  static constexpr int64_t kGroups = 8;

  /// Two columns of 16 rows, those of a row together, from where they lie one behind the other.
  Value pairs(Value columns);
  Value spread(Value a);
  Value product(Value sum, Value w, Value a);
  /// Adds what `groups` kept groups and a plane of the activations at `tile` give to `sums` [tokens][16 rows].
  void add(Value tile, Value groups, int64_t plane, Value sums);

  Emitter &e;
  const int64_t planes, tokens, bytes; ///< of a block of activations
  const mlir::VectorType lanes, numbers;
  Value kept;  ///< [kGroups][16 pairs of columns][16 rows][2] bfloat16
  Value rests; ///< [tiles][tokens][16 rows] float32: sums of the second plane
};

} // namespace stepdown
