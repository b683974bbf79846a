// Reads packed weight blocks as vectors of their rows: the one place that turns the description of a block
// (lib/Target/Layout.h) into instructions, for every storage type.
#pragma once
#include "lib/Target/Layout.h"
#include "passes/Vector/Emitter.h"

namespace stepdown {

class WeightReader {
public:
  using Value = mlir::Value;
  /// Of rows [row, row + lanes) of a packed block; 0 lanes: all of them.
  WeightReader(Emitter &emitter, const BlockFormat &format, int row = 0, int64_t lanes = 0);

  /// Loads what a whole block shares: its scale and minimum. `block` points to the packed block.
  void open(Value block);

  /// 32 columns for an 8-bit dot product: sum over the columns is
  ///     scale * sum_g factor[g] * (dot of the quads of group g - excess * sum of the activations' codes of group g)
  ///         + sum_g bias[g] * (sum of the activations of group g).
  /// Two groups have integer factors, so that their products are added up before they are floats; or each has a scale
  /// of its own in place of the one, and no factor.
  struct Codes {
    Emitter::Values quads; ///< 8 x vector<lanes x i32>: byte i of a row is column 4 q + i, as QuadSum takes it
    int maxCode;           ///< largest code
    bool isLess;           ///< bytes are the code - 128, signed
    int excess;            ///< what bytes are larger by than what they stand for: a power of two, or 0
    int groups;            ///< 1 or 2
    Value scale, bias[2];  ///< vector<lanes x f32>; no bias without minima
    Value groupScale[2];   ///< vector<lanes x f32> in place of scale, or none
    Value factor[2];       ///< vector<lanes x i32> of 8 bits and a sign, or none: one group
  };
  Codes codes(Value sub);
  /// The same, but for the quads.
  Codes scales(Value sub);
  /// Quad `q` of the 32 columns `sub`, as in Codes.
  Value quad(Value sub, int q) { return taken(numbers(sub, q)); }
  /// The same of a quad whose number, 0 to 7, is known at run time.
  Value quad(Value sub, Value q) { return taken(numbers(sub, q)); }
  /// Codes::factor, or groupScale, of a group whose number is known at run time, of a format with two groups.
  Value factor(Value sub, Value group);
  Value groupScale(Value sub, Value group);

  /// column(c) for c = 0 ... 31 of the 32 columns `sub`: vector<lanes x f32>, the exact value of each row.
  void values(Value sub, llvm::function_ref<void(int, Value)> column);

  int subBlocks() const { return packed.columns / kCodeColumns; }
  const PackedBlock &layout() const { return packed; }

private:
  Value codesAt(Value sub);
  /// A quad's codes as they are stored: of a format with a table, numbers into it.
  Value numbers(Value sub, int q);
  Value numbers(Value sub, Value q);
  /// Of those, unsigned bytes: code - offset is the value. Or those as QuadSum takes them.
  Value unsignedCodes(Value numbers);
  Value taken(Value numbers);
  Value masked(Value x, const PackedPlane &plane);
  Value tableOf(int bias);
  Value groupField(const PackedField &field, Value sub, int group, bool isSigned);
  Value integers(Value at, bool isSigned);
  /// The numbers that packed scales at `at` are: float32.
  Value scalesAt(Value at);
  /// Of group `group` of the 32 columns `sub`.
  Value groupPlace(const PackedField &field, Value sub, int group);

  Emitter &e;
  PackedBlock packed;
  const BlockFormat &format;
  const int row;
  const int64_t lanes;
  int offset;  ///< what codes, after the table, are too large by
  int maxCode; ///< largest code, after the table
  int less;    ///< what QuadSum takes is less than codes by: 0 or 128
  Value block, d, m;
};

} // namespace stepdown
