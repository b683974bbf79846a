// Products of a slot: steps of 32 bytes along k, of each the fragments of A and B that a warp needs, and every product
// of the two. ldmatrix loads four matrices of 8 x 8 at once, whose rows of 16 bytes its lanes name, eight each: for A
// those of 16 x 16 (of int8, 16 x 32: ldmatrix knows pairs of bytes), for B two sums' of 16 x 8. A slot's rows of 128
// bytes are one pattern in eights (SharedLayout.h), so the rows of a matrix stand in eight different sixteens of bytes:
// no two of them meet in a bank.
//
// Lane l holds of a sum m16n8 in register i row l / 4 + 8 (i / 2), column 2 (l mod 4) + i mod 2 (PTX ISA,
// mma.m16n8k16).
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "passes/NVIDIA/SharedLayout.h"
#include "passes/NVIDIA/WarpEmitter.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::nvidia {

void WarpEmitter::prepareFragments() {
  auto bits = [&](Value value, int64_t from, int64_t count) {
    return binary("arith.andi", binary("arith.shrui", value, i32(from)), i32((int64_t(1) << count) - 1));
  };
  Value down = binary("arith.divui", warp, i32(plan.warpsAcross));
  Value across = binary("arith.remui", warp, i32(plan.warpsAcross));
  Value rowOfWarp = multiply(down, i32(plan.blocksDown * kWarpRows));
  Value columnOfWarp = multiply(across, i32(plan.blocksAcross * kWarpColumns));
  firstRow = add(rowOfWarp, bits(lane, 2, 3));
  firstColumn = add(columnOfWarp, multiply(bits(lane, 0, 2), i32(2)));

  // Which row of its matrix a lane names, and which half of the 16 along each dimension the matrix is.
  Value row = bits(lane, 0, 3), low = bits(lane, 3, 1), high = bits(lane, 4, 1);
  auto at = [&](Value place, Value piece) { // the row's, whose number in its pattern is `row`
    return add(multiply(place, i32(kRowBytes)), multiply(binary("arith.xori", piece, row), i32(kPieceBytes)));
  };
  auto in16 = [&](Value half) { return add(multiply(half, i32(8)), row); };
  const int64_t piecesOfStep = kWarpReduction / kPieceBytes;
  const int64_t places = kRowBytes / kPieceBytes / piecesOfStep; // of steps in a row
  for (int64_t step = 0; step < places; ++step)
    fromA.push_back(at(add(rowOfWarp, in16(low)), add(i32(step * piecesOfStep), high)));
  if (plan.text.first.getTransposeB()) { // rows along k, as A's
    for (int64_t step = 0; step < places; ++step)
      fromB.push_back(at(add(columnOfWarp, in16(high)), add(i32(step * piecesOfStep), low)));
    return;
  }
  const MemRefType w = plan.text.b.getTo().getType();
  for (int64_t pair = 0; pair < std::min(plan.blocksAcross, places); ++pair) {
    Value column = add(columnOfWarp, i32(pair * kWarpColumns));
    Value block = multiply(binary("arith.divui", column, i32(blockColumns(w))), i32(blockBytes(w)));
    Value piece =
        binary("arith.divui", binary("arith.remui", column, i32(blockColumns(w))), i32(kPieceBytes / elementBytes(w)));
    fromB.push_back(add(block, at(in16(low), add(piece, high))));
  }
}

void WarpEmitter::multiply(MmaOp op) {
  const bool transposeB = op.getTransposeB();
  const auto a = cast<MemRefType>(op.getA().getType()), w = op.getB().getType();
  SmallVector<Value> sums;
  if (op.getAcc()) {
    sums = lookup(op.getAcc());
  } else {
    Value zero = arith::ConstantOp::create(b, b.getZeroAttr(sumType()));
    sums.assign(held(), zero);
  }
  auto moved = [&](ArrayRef<Value> from) {
    return llvm::map_to_vector(from, [&](Value place) { return add(place, slot); });
  };
  const SmallVector<Value> rowsA = moved(fromA), rowsB = moved(fromB);
  const int64_t places = fromA.size();
  for (int64_t step = 0; step < plan.steps; ++step) {
    SmallVector<SmallVector<Value>> left, right;
    for (int64_t i = 0; i < plan.blocksDown; ++i)
      left.push_back((loadMatrices(rowsA[step % places], step / places * blockBytes(a) + i * kWarpRows * kRowBytes,
                                   /*transposed=*/false)));
    for (int64_t j = 0; j < plan.blocksAcross; ++j) {
      const int64_t place = transposeB ? step % places : j % places;
      const int64_t offset = transposeB
                                 ? step / places * blockBytes(w) + j * kWarpColumns * kRowBytes
                                 : j / places * blockBytes(w) + step * (kWarpReduction / elementBytes(w)) * kRowBytes;
      right.push_back(loadMatrices(rowsB[place], plan.offsetB + offset, !transposeB));
    }
    for (int64_t i = 0; i < plan.blocksDown; ++i)
      for (int64_t j = 0; j < 2 * plan.blocksAcross; ++j)
        multiplyWarp(a.getElementType(), left[i], ArrayRef<Value>(right[j / 2]).slice(j % 2 * 2, 2),
                     MutableArrayRef<Value>(sums).slice((i * plan.blocksAcross * 2 + j) * 4, 4));
  }
  map(op.getResult(), sums);
  // The slot is filled next, and the one behind it multiplied.
  spare = slot;
  Value next = add(slot, i32(plan.slotBytes));
  slot = arith::SelectOp::create(b, compare(arith::CmpIPredicate::eq, next, i32(plan.sharedBytes)), i32(0), next);
}

ThreadEmitter::Place WarpEmitter::placeOf(int64_t element) const {
  const int64_t sum = element / 4, across = 2 * plan.blocksAcross;
  return {sum / across * kWarpRows + element % 4 / 2 * 8, sum % across * 8 + element % 2};
}

void WarpEmitter::mapElements(MapOp op) {
  auto element = [&](unsigned number, int64_t i) -> Value {
    Value operand = op.getOperands()[number];
    auto read = operand.getDefiningOp<ReadOp>();
    return read ? readElement(read, firstRow, firstColumn, placeOf(i)) : lookup(operand)[i];
  };
  mapTile(op, held(), element, [&](Operation &inner, IRMapping &elements) { return mapped(inner, elements); });
}

} // namespace stepdown::nvidia
