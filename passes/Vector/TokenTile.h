// Products of unpacked weights with neighbouring tokens of a tile, for targets whose registers cannot hold the weights
// of 16 rows: AVX2. Weights and sums lie in the first-level cache, and registers hold nothing but accumulators.
#pragma once
#include "dialects/Transformer/IR/TransformerOps.h"
#include "passes/Vector/WeightReader.h"

namespace stepdown {

/// 32 columns of 16 rows times some tokens. Each load of a weight serves all these tokens, and each activation that is
/// spread both registers of rows: six loads for eight products, where rows of weights in registers take a load for each
/// (Zen 3: two loads and two products a cycle). Sums are the same bits as CodeDot's.
class TokenTile {
public:
  using Value = mlir::Value;
  TokenTile(Emitter &emitter, transformer::ActivationType type);

  /// Unpacks the 32 columns `sub` of a weight.
  void open(WeightReader &weight, Value sub);
  /// Tokens that add() takes, after open(): 4, 2 or 1, a divisor of the tile's.
  int64_t count() const { return tokens; }
  /// Adds what these columns give to `sums`: float32 [count()][16 rows]. `a` points to the first token's activations.
  void add(Value a, Value sums);

private:
  /// Products of all quads [plane][token][part], times their groups' factors; of one group all planes together.
  Emitter::Values dots(Value a);
  void addRun(int64_t begin, int64_t end, Value a, Emitter::Values &sums);
  /// 128 times the products of outliers' high codes, times their factors, of token `t` [part].
  Emitter::Values highDots(Value a, int64_t t);
  /// Codes of a quad that lies at `quad`, as pairs' factors: registers [plane][part].
  Emitter::Values weights(Value quad);
  Value field(mlir::Type type, Value a, int64_t offset, int64_t t);
  Value keptVector(mlir::Type type, int64_t offset, int64_t part);
  Value placeOf(Value a, int outlier, int64_t t);
  Value pinned(Value v);

  Emitter &e;
  const int64_t lanes, parts, tileTokens;
  const bool residual, outliers;
  int64_t planes = 1;    ///< of a weight's codes: two nibbles where pairs of whole codes do not fit 16 bits
  int64_t run = 0;       ///< quads whose pairs' sums fit 16 bits
  int64_t tokens = 0;    ///< at a time
  WeightReader::Codes w; ///< of 16 rows: what open() stored
  Value kept; ///< [planes][8 quads][16 rows][4]; a scale; of each group: biases, factors, 128 times the factors
};

} // namespace stepdown
