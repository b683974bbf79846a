// Products of unpacked weights with neighbouring tokens of a tile, for targets whose registers cannot hold the weights
// of 16 rows: AVX2. Weights and sums lie in the first-level cache, and registers hold nothing but accumulators.
#pragma once
#include "dialects/Transformer/IR/ActivationFields.h"
#include "dialects/Transformer/IR/TransformerOps.h"
#include "passes/Vector/WeightReader.h"

namespace stepdown {

/// 32 columns of 16 rows times some tokens. Each load of a weight serves all these tokens, and each activation that is
/// spread both registers of rows: six loads for eight products, where rows of weights in registers take a load for each
/// (Zen 3: two loads and two products a cycle). Sums are the same bits as CodeDot's.
class TokenTile {
public:
  using Value = mlir::Value;
  /// Whether these are tokens that add() and widen() divide, 4, 8 or 16, and a weight's groups have no float scales.
  static bool takes(transformer::ActivationType type, const BlockFormat &format);
  /// `type`: one that takes() says yes of, as of all weights.
  TokenTile(Emitter &emitter, transformer::ActivationType type);

  /// Unpacks the 32 columns `sub` of a weight.
  void open(WeightReader &weight, Value sub);
  /// Reads the activations of a tile for these columns, before its tokens are added.
  void widen(Value tile);
  /// Tokens that add() takes, after open(): 4 or 2, a divisor of the tile's.
  int64_t count() const { return tokens; }
  /// Adds what these columns give to `sums`: float32 [count()][16 rows]. `tile` points to the activations of which
  /// token `first` is the first to add.
  void add(Value tile, Value first, Value sums);

private:
  /// Products of all quads [plane][token][part], times their groups' factors; of one group all planes together.
  Emitter::Values dots(Value a);
  void addRun(int64_t begin, int64_t end, Value a, Emitter::Values &sums);
  /// 128 times the products of outliers' high codes, times their factors, of token `t` [part].
  Emitter::Values highDots(Value a, int64_t t);
  Emitter::Values wideDots(Value activations);
  Emitter::Values signedDots(Value a);
  /// Codes of a quad that lies at `quad` [part].
  Emitter::Values weights(Value quad);
  Value field(mlir::Type type, Value a, int64_t offset, int64_t t);
  Value keptVector(mlir::Type type, int64_t offset, int64_t part);
  Value placeOf(Value a, int outlier, int64_t t);
  Value pinned(Value v);

  Emitter &e;
  const transformer::ActivationFields fields;
  const int64_t lanes, parts, tileTokens;
  const bool residual, outliers;
  int64_t run = 0;       ///< quads whose pairs' sums fit 16 bits
  int64_t tokens = 0;    ///< at a time
  WeightReader::Codes w; ///< of 16 rows: what open() stored
  bool isSigned = false; ///< codes have a sign, and activations one code: magnitudes lie behind the codes
  /// [8 quads][16 rows][4], or as words, or with their magnitudes; a scale; of each group: biases, factors, 128 times
  /// the factors, what codes are too large by times the factors.
  Value kept;
  /// Where pairs of codes do not fit 16 bits: [2][8 quads][16 tokens][2] of 16 bits, a tile's activations with all
  /// bits.
  Value wide;
};

} // namespace stepdown
