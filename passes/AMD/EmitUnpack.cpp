// Weights from packed blocks in memory into registers, as the first operand of a product is laid out there. What is
// made of what a lane reads is said by lib/Kernels/BlockUnpacker.h, here is where it reads: a lane has one row, and of
// it the columns that passes/AMD/QuantisedPlan.h says.
#include "lib/Kernels/BlockUnpacker.h"
#include "passes/AMD/QuantisedEmitter.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::amd {
namespace {

class Unpacker final : BlockUnpacker {
public:
  using Get = function_ref<Value(const PackedPiece &)>;
  /// `shifts`: of the lane's words of each plane; null: none.
  Unpacker(ImplicitLocOpBuilder &b, const PackedBlock &packed, ArrayRef<Value> shifts, Get get)
      : BlockUnpacker(b, packed, b.getF16Type()), shifts(shifts), get(get) {}

  /// Appends the words of the quads, two columns each.
  void append(const LaneColumns &columns, SmallVectorImpl<Value> &made) {
    Value d = half(columns.d), m = packed.m.exists() ? half(columns.m) : Value();
    SmallVector<Scale> scales;
    for (int64_t g = 0; g < kCodeColumns / format.group; ++g) {
      Value factor, least;
      if (!columns.scales.empty())
        factor = arith::SIToFPOp::create(b, b.getF16Type(), get(columns.scales[g]));
      if (!columns.minimums.empty())
        least = arith::UIToFPOp::create(b, b.getF16Type(), get(columns.minimums[g]));
      Scale one = scaleOf(d, m, factor, least);
      scales.push_back({twice(one.scale), one.minimum ? twice(one.minimum) : Value()});
    }
    for (const LaneColumns::Quad &quad : columns.quads) {
      Value codes;
      for (int p = 0; p < packed.planes; ++p) {
        Value word = get(quad.words[p]);
        if (shifts[p])
          word = binary("arith.shrui", word, shifts[p]);
        codes = join(packed.plane[p], word, quad.shifts[p], codes);
      }
      codes = looked(codes);
      for (bool last : {false, true})
        made.push_back(number(codes, last, scales[quad.group].scale, scales[quad.group].minimum));
    }
  }

private:
  Value half(const PackedPiece &piece) { return bits(get(piece), b.getF16Type()); }
  Value twice(Value x) {
    Value one = LLVM::InsertElementOp::create(b, LLVM::UndefOp::create(b, pair), x, i32(0));
    return LLVM::ShuffleVectorOp::create(b, one, one, ArrayRef<int32_t>{0, 0});
  }
  /// v_perm_b32, whose selector has bytes.
  Value permute(Value low, Value high, int32_t selector) override {
    int32_t selected = 0;
    for (int i = 0; i < 4; ++i)
      selected |= (selector >> 4 * i & 7) << 8 * i;
    return pick(low, high, i32(selected));
  }
  Value pick(Value low, Value high, Value numbers) override {
    return LLVM::CallIntrinsicOp::create(b, b.getI32Type(), b.getStringAttr("llvm.amdgcn.perm"),
                                         ValueRange{high, low, numbers})
        .getResult(0);
  }

  ArrayRef<Value> shifts;
  Get get;
};

} // namespace

/// A lane's place in a block, for each kind of piece: that of its row, and where its columns begin beside those of the
/// first lane of the row.
void QuantisedEmitter::preparePieces() {
  const PackedBlock &packed = plan.packed;
  const int64_t lanes = plan.lanesOfRow();
  Value row = remainder(lane, chip.rows);
  Value half = lanes == 4 ? remainder(laneColumns, 2) : laneColumns;
  Value far = lanes == 4 ? divided(laneColumns, 2) : i32(0); // by 32 columns
  const bool other = packed.columns == kCodeColumns;         // which are those of another block
  auto base = [&](PackedPiece::Kind kind, int64_t rowBytes, int64_t further) {
    pieceBases[kind] = add(multiply(row, i32(rowBytes)), multiply(far, i32(other ? packed.bytes : further)));
  };
  base(PackedPiece::Half, packed.d.bytes, 0);
  base(PackedPiece::Byte, packed.scales.bytes, kCodeColumns / packed.format->group * packed.scales.stride);
  for (int p = 0; p < packed.planes; ++p) {
    const PackedPlane &plane = packed.plane[p];
    const auto kind = p ? PackedPiece::SecondPlane : PackedPiece::FirstPlane;
    base(kind, kQuadColumns, packed.codeBytes);
    if (lanes == 1)
      continue;
    // The quads of the second half are two further: in other vectors, or in higher bits.
    if (plane.vectors() > 2)
      pieceBases[kind] = add(pieceBases[kind], multiply(half, i32(2 * plane.vectorBytes)));
    else
      planeShifts[p] = multiply(half, i32(2 / plane.vectors() * plane.bits));
  }
}

void QuantisedEmitter::fetchPieces(Value row, Value column) {
  b.setLoc(plan.weight.getLoc());
  const Matrix &from = matrices[plan.weight.getFrom()];
  const Type word = b.getI64Type(); // that the weight's matrix is of
  Value turn = multiply(column, i32(plan.packed.bytes));
  std::map<PackedPiece::Kind, Value> begins;
  for (auto [kind, base] : pieceBases)
    begins[kind] = add(base, turn);
  coming.assign(plan.blocksDown * plan.pieces.size(), Value());
  for (int64_t i = 0; i < plan.blocksDown; ++i) {
    Value mine = add(row, add(multiply(wave, i32(plan.blocksDown)), i32(i)));
    Value buffer = resource(from, word, mine, i32(0), 1, from.columns);
    for (auto [piece, number] : plan.pieces) {
      const unsigned bits = piece.kind == PackedPiece::Half ? 16 : piece.kind == PackedPiece::Byte ? 8 : 32;
      coming[i * plan.pieces.size() + number] =
          intrinsic("llvm.amdgcn.raw.ptr.buffer.load", b.getIntegerType(bits),
                    {buffer, add(begins[piece.kind], i32(piece.offset)), i32(0), i32(0)});
    }
  }
}

void QuantisedEmitter::unpack(UnpackOp op) {
  SmallVector<Value> words;
  for (int64_t i = 0; i < plan.blocksDown; ++i) {
    auto get = [&](const PackedPiece &piece) { return here[i * plan.pieces.size() + plan.pieces.at(piece)]; };
    Unpacker unpacker(b, plan.packed, planeShifts, get);
    for (const LaneColumns &columns : plan.columns64(*constantOf(op.getColumn())))
      unpacker.append(columns, words);
  }
  map(op.getResult(), words);
}

} // namespace stepdown::amd
