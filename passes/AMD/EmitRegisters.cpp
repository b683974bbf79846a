// Tiles in registers. A lane holds of a wave's tile what the matrix instruction leaves it of each sum, one sum behind
// the other: element i of a lane is where held() says.
#include "passes/AMD/SumEmitter.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::amd {

void SumEmitter::placeSums(int64_t waveColumns) {
  Value down = divided(wave, waveColumns), right = remainder(wave, waveColumns);
  firstRow = multiply(down, i32(blocksDown * chip.rows));
  firstColumn = multiply(right, i32(blocksAcross * chip.rows));
  laneRow = add(firstRow, multiply(divided(lane, chip.rows), i32(layout.apply({0, chip.rows})[0])));
}

SumEmitter::Held SumEmitter::held(int64_t element) const {
  const int64_t sum = element / chip.sums(), number = element % chip.sums();
  return {sum / blocksAcross * chip.rows + layout.apply({number, 0})[0], sum % blocksAcross * chip.rows};
}

SmallVector<Value> SumEmitter::elementsOf(ValueRange sums) {
  SmallVector<Value> elements;
  for (Value sum : sums)
    if (isa<VectorType>(sum.getType()))
      for (int64_t i = 0; i < chip.sums(); ++i)
        elements.push_back(LLVM::ExtractElementOp::create(b, sum, i32(i)));
    else
      elements.push_back(sum);
  return elements;
}

/// What a lane reads of a matrix for its elements of the result's tile, at a place of the whole. A matrix of one row,
/// or of one column, has that for all of them, and so has a tile: one row further is then no element further.
SumEmitter::Read SumEmitter::prepareRead(ReadOp op) {
  const Matrix &from = matrices[op.getFrom()];
  Value one = i32(1), none = i32(0);
  Value rows = compare(arith::CmpIPredicate::sgt, from.rows, one),
        columns = compare(arith::CmpIPredicate::sgt, from.columns, one);
  auto where = [&](Value some, Value number) -> Value { return arith::SelectOp::create(b, some, number, none); };
  Read read;
  read.element = op.getFrom().getType().getElementType();
  // As where sums are stored: multiples of the stride depend on the tile, else LLVM would keep all of them.
  Value inside = compare(arith::CmpIPredicate::slt, lookup(op.getRow()).front(), from.rows);
  if (op->getParentOfType<scf::ForOp>()) // nor through a loop: they depend on its turn as well
    inside =
        binary("arith.andi", inside,
               binary("arith.ori", compare(arith::CmpIPredicate::slt, lookup(op.getColumn()).front(), from.columns),
                      compare(arith::CmpIPredicate::sle, from.columns, one)));
  Value stride = arith::SelectOp::create(b, inside, arith::TruncIOp::create(b, b.getI32Type(), from.stride), none);
  read.stride = op.getType().getDimSize(0) == 1 ? none : where(rows, stride);
  read.next = op.getType().getDimSize(1) == 1 ? none : where(columns, one);
  // What is for all of the map's is the last row's, or column's, in place of what lies behind.
  auto place = [&](Value index, Value size, unsigned dimension) {
    const bool forAll = op.getType().getDimSize(dimension) == 1;
    return forAll ? binary("arith.minsi", index, add(size, i32(-1))) : index;
  };
  Value row = where(rows, place(lookup(op.getRow()).front(), from.rows, 0));
  Value column = where(columns, place(lookup(op.getColumn()).front(), from.columns, 1));
  read.buffer = resource(from, read.element, row, none, op.getType().getDimSize(0), from.columns);
  Value right = add(column, multiply(add(firstColumn, remainder(lane, chip.rows)), read.next));
  read.first = add(multiply(laneRow, read.stride), right);
  return read;
}

/// The same of a matrix whose columns lie along the tile's rows, of more than one row and column.
SumEmitter::Read SumEmitter::prepareTurnedRead(ReadOp op) {
  const Matrix &from = matrices[op.getFrom()];
  Read read;
  read.element = op.getFrom().getType().getElementType();
  Value row = lookup(op.getRow()).front();
  read.stride = i32(1), read.next = arith::TruncIOp::create(b, b.getI32Type(), from.stride);
  read.buffer = resource(from, read.element, row, i32(0), op.getType().getDimSize(1), from.columns);
  read.column = add(lookup(op.getColumn()).front(), laneRow), read.columns = from.columns;
  read.first = add(multiply(add(firstColumn, remainder(lane, chip.rows)), read.next), read.column);
  return read;
}

/// Zero behind the matrix's last row, and behind the last column of one whose columns lie along the tile's rows.
Value SumEmitter::readElement(const Read &read, int64_t i) {
  const int64_t bytes = read.element.getIntOrFloatBitWidth() / 8;
  const Held at = held(i);
  Value apart = add(multiply(read.stride, i32(at.row)), multiply(read.next, i32(at.column)));
  Value offset = multiply(add(read.first, apart), i32(bytes));
  if (read.column) {
    Value inside = compare(arith::CmpIPredicate::slt, add(read.column, i32(at.row)), read.columns);
    offset = arith::SelectOp::create(b, inside, offset, i32(-1));
  }
  const Type bits = b.getIntegerType(bytes * 8);
  Value got = intrinsic("llvm.amdgcn.raw.ptr.buffer.load", bits, {read.buffer, offset, i32(0), i32(0)});
  Value value = LLVM::BitcastOp::create(b, read.element, got);
  return read.element.isF32() ? value : Value(arith::ExtFOp::create(b, b.getF32Type(), value));
}

void SumEmitter::mapElements(MapOp op) {
  SmallVector<Read> reads(op.getOperands().size());
  for (auto [read, operand] : llvm::zip(reads, op.getOperands()))
    if (auto from = operand.getDefiningOp<ReadOp>())
      read = from.getTransposed() ? prepareTurnedRead(from) : prepareRead(from);
  SmallVector<SmallVector<Value>> held;
  for (auto [read, operand] : llvm::zip(reads, op.getOperands()))
    held.push_back(read.buffer ? SmallVector<Value>() : elementsOf(lookup(operand)));
  auto element = [&](unsigned operand, int64_t i) {
    return reads[operand].buffer ? readElement(reads[operand], i) : held[operand][i];
  };
  mapTile(op, elements(), element, [&](Operation &inner, IRMapping &elements) { return mapped(inner, elements); });
}

} // namespace stepdown::amd
