// Reads packed weight blocks as vectors of their rows: the one place that turns the description of a block
// (lib/Target/Layout.h) into instructions, for every storage type.
#pragma once
#include "lib/Target/Layout.h"
#include "passes/Vector/Emitter.h"

namespace stepdown {

class WeightReader {
public:
  using Value = mlir::Value;
  WeightReader(Emitter &emitter, const BlockFormat &format);

  /// Loads what a whole block shares: its scale and minimum. `block` points to the packed block.
  void open(Value block);

  /// 32 columns for an 8-bit dot product: sum over the columns is
  ///     sum_g scale[g] * (dot of the quads of group g)  +  bias[g] * (sum of the activations of group g).
  struct Codes {
    Emitter::Values quads;   ///< 8 x vector<lanes x i32>: unsigned bytes, byte i of a lane is column 4 q + i of a row
    int maxCode;             ///< largest byte
    int groups;              ///< 1 or 2
    Value scale[2], bias[2]; ///< vector<lanes x f32>
  };
  Codes codes(Value sub);

  /// column(c) for c = 0 ... 31 of the 32 columns `sub`: vector<lanes x f32>, the exact value of each row.
  void values(Value sub, llvm::function_ref<void(int, Value)> column);

  int subBlocks() const { return packed.columns / kCodeColumns; }

private:
  Emitter::Values quads(Value sub);
  Value tableOf(int bias);
  Value groupField(const PackedField &field, Value sub, int group, bool isSigned);

  Emitter &e;
  PackedBlock packed;
  const BlockFormat &format;
  int offset; ///< what codes, after the table, are too large by
  Value block, d, m;
};

} // namespace stepdown
