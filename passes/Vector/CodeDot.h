// Products of a weight's codes with 8-bit activation blocks, with the weights in registers: one token at a time, of
// tiles of any size, on any target.
#pragma once
#include "dialects/Transformer/IR/ActivationFields.h"
#include "dialects/Transformer/IR/TransformerOps.h"
#include "passes/Vector/WeightReader.h"

namespace stepdown {

/// Rows are taken as many at a time as a register has lanes, so that the unpacked codes of AVX2's 8 rows stay in
/// registers. ActivationType says where the fields of a block lie.
class CodeDot {
public:
  using Value = mlir::Value;
  using Values = Emitter::Values;
  /// `tilesOfOne`: for onlyToken() alone.
  CodeDot(Emitter &emitter, transformer::ActivationType type, bool tilesOfOne = false);

  int64_t parts() const { return e.lanes / lanes; }

  /// Unpacks the 32 columns `sub` of a weight.
  void open(WeightReader &weight, Value sub);
  /// The rows that token() computes from here on: those of part `which`.
  void take(int64_t which);
  /// The accumulator of one token after these columns: float32 [registerLanes() rows]. `a` points to the activation
  /// block, 4 bytes on for each token.
  Value token(Value a, Value sum);

  /// The same for the only token of its tile, with the rows of `weights`, a register each: no weight is unpacked before
  /// it is multiplied, and of every quad all registers at once, so that what is spread of the activations serves them
  /// all and nothing but accumulators stays in registers.
  Values onlyToken(llvm::MutableArrayRef<WeightReader> weights, Value sub, Value a, mlir::ValueRange sums);

private:
  /// `sum` plus what 32 columns of `w` and a token give. One group: `dot(start)` is `start` and the products with all
  /// quads. Two: `group(g, plane)` is what a plane of codes gives with those of a group, times its factor; added up as
  /// integers, which outliers of 7 bits and factors of 8 leave within 31 bits, but not both planes of residual codes.
  /// `high()`: products with the high codes of outliers; `highOfGroups()` 128 times those, times their factors. Where
  /// groups have scales of their own, `highOfOne(i)`: products with the high codes of outlier i, and its group's scale.
  Value scaled(Value a, Value sum, llvm::function_ref<Value(Value)> dot, llvm::function_ref<Value(int, int)> group,
               llvm::function_ref<Value()> high, llvm::function_ref<Value()> highOfGroups,
               llvm::function_ref<std::pair<Value, Value>(int)> highOfOne);
  /// The sum of all codes of 32 columns, as their products count them.
  Value allCodes(Value a);
  /// What products of a group begin with: less by what its codes are too large by. Nothing where pairs of products are
  /// summed, whose factors have 16 bits: bothGroups() takes it off.
  Value beginning(const WeightReader::Codes &w, Value a, int g, int plane);
  /// Products of a plane of codes with those of both groups, times their factors.
  Value bothGroups(Value a, int plane, llvm::function_ref<Value(int, int)> group);
  /// Not zero where outlier `i` is in quads 4 to 7, which have the scale of the second group: then 4 * 64.
  Value upperHalf(Value a, int i);
  /// A 32-bit value of the token in all lanes.
  Value field(mlir::Type type, Value a, int64_t offset);
  /// Products with all quads, added to `start`; with residual codes 256 times those of the codes plus those of the
  /// residual codes (the scale counts the 256).
  Value codes(Value a, Value start);
  /// Which quad outlier `i` is, times 64; for the tokens of a tile that the step does not have, whose bytes are
  /// whatever was there, some quad.
  Value placeOf(Value a, int i);
  /// Products with the high codes of `which` outliers: their weights are found by their numbers.
  Value highCodes(Value a, llvm::ArrayRef<int> which, Value factor);
  /// Weights where a number can name them: 8 quads, then for two groups 128 times their factors, or their scales.
  void keep();
  Value keptAt(int64_t which) { return e.at(kept, 64 * which + 4 * lanes * part); }

  Emitter &e;
  const transformer::ActivationFields fields;
  const int64_t lanes, tokens;
  const bool residual, outliers;
  int64_t part = 0;           ///< which rows of the 16, in units of `lanes`
  WeightReader::Codes all, w; ///< of 16 rows, and of these
  Value factors[2];           ///< of these rows' groups, as QuadSum takes them
  Value kept;                 ///< what keep() stored
};

} // namespace stepdown
