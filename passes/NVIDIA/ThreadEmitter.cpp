#include "passes/NVIDIA/ThreadEmitter.h"
#include "lib/Kernels/ChipLimits.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::nvidia {

Value ThreadEmitter::blockIndex(int axis) {
  return axis ? Value(NVVM::BlockIdYOp::create(b, b.getI32Type())) : Value(NVVM::BlockIdXOp::create(b, b.getI32Type()));
}
Value ThreadEmitter::blockCount(int axis) {
  return axis ? Value(NVVM::GridDimYOp::create(b, b.getI32Type())) : Value(NVVM::GridDimXOp::create(b, b.getI32Type()));
}

void ThreadEmitter::identifyThread() {
  base = LLVM::AddressOfOp::create(b, LLVM::LLVMPointerType::get(b.getContext(), 3), "smem");
  address = LLVM::PtrToIntOp::create(b, b.getI32Type(), base);
  inBlock = NVVM::ThreadIdXOp::create(b, b.getI32Type());
  lane = binary("arith.andi", inBlock, i32(31));
  // All lanes have one warp, but only after a shuffle does ptxas know, and keep it in a uniform register.
  warp = NVVM::ShflOp::create(b, b.getI32Type(), i32(-1), binary("arith.shrui", inBlock, i32(5)), i32(0), i32(31),
                              NVVM::ShflKind::idx, UnitAttr());
}

Value ThreadEmitter::shared(Value offset, int64_t more) {
  Value at = LLVM::GEPOp::create(b, base.getType(), b.getI8Type(), base, ArrayRef<LLVM::GEPArg>{offset});
  return LLVM::GEPOp::create(b, base.getType(), b.getI8Type(), at, ArrayRef<LLVM::GEPArg>{int32_t(more)});
}

LogicalResult ThreadEmitter::sizeOf(memref::DimOp op) {
  std::optional<int64_t> index = op.getConstantIndex();
  if (!index || !matrices.contains(op.getSource()))
    return unfit(op) << "expects the size of an argument's known dimension, but got another";
  const Matrix &matrix = matrices[op.getSource()];
  map(op.getResult(), *index == 0 ? matrix.rows : matrix.columns);
  return success();
}

void ThreadEmitter::load(EntryOp op) {
  const Matrix &table = matrices[op.getTable()];
  emitEntry(op, table.pointer, table.stride, [](Value read) { return read; });
}

Value ThreadEmitter::mapped(Operation &op, IRMapping &elements) {
  auto operand = [&](unsigned i) { return elements.lookup(op.getOperand(i)); };
  auto approximate = [&](StringRef intrinsic, Value x) {
    return LLVM::CallIntrinsicOp::create(b, x.getType(), b.getStringAttr(intrinsic), ValueRange{x}).getResult(0);
  };
  if (isa<math::Exp2Op>(op))
    return approximate("llvm.nvvm.ex2.approx.ftz.f", operand(0));
  if (isa<math::TanhOp>(op)) {
    auto fast = LLVM::FastmathFlagsAttr::get(b.getContext(), LLVM::FastmathFlags::afn);
    return LLVM::TanhOp::create(b, operand(0), fast);
  }
  if (isa<arith::DivFOp>(op))
    return binary("arith.mulf", operand(0), approximate("llvm.nvvm.rcp.approx.ftz.f", operand(1)));
  return b.clone(op, elements)->getResult(0);
}

Value ThreadEmitter::narrowed(Type element, Value low, Value high) {
  const auto nearest = NVVM::FPRoundingModeAttr::get(b.getContext(), NVVM::FPRoundingMode::RN);
  const auto type = VectorType::get(2, element);
  if (element.isBF16())
    return NVVM::ConvertF32x2ToBF16x2Op::create(b, type, high, low, Value(), nearest);
  return NVVM::ConvertF32x2ToF16x2Op::create(b, type, high, low, Value(), nearest);
}

Value ThreadEmitter::readElement(ReadOp op, Value inTileRow, Value inTileColumn, Place at) {
  const Matrix &from = matrices[op.getFrom()];
  const Type element = op.getFrom().getType().getElementType();
  auto inside = [&](Value place, Value size) { return binary("arith.minsi", place, add(size, i32(-1))); };
  // A tile of one row, or of one column, has that for all of its maps'.
  auto placed = [&](Value first, Value inTile, int64_t more, unsigned dimension) {
    return op.getType().getDimSize(dimension) == 1 ? first : add(add(first, inTile), i32(more));
  };
  const bool turned = op.getTransposed(); // rows of the tile lie along columns of the matrix
  auto along = [&](Value first, bool rows) {
    return rows ? placed(first, inTileRow, at.row, 0) : placed(first, inTileColumn, at.column, 1);
  };
  Value row = inside(along(lookup(op.getRow()).front(), !turned), from.rows);
  Value column = inside(along(lookup(op.getColumn()).front(), turned), from.columns);
  Value place = add(multiply(arith::ExtSIOp::create(b, b.getI64Type(), row), from.stride),
                    arith::ExtSIOp::create(b, b.getI64Type(), column));
  Value where = LLVM::GEPOp::create(b, from.pointer.getType(), element, from.pointer, ArrayRef<LLVM::GEPArg>{place});
  Value value = LLVM::LoadOp::create(b, element, where, element.getIntOrFloatBitWidth() / 8);
  return element.isF32() ? value : Value(arith::ExtFOp::create(b, b.getF32Type(), value));
}

LogicalResult ThreadEmitter::storePairs(StoreOp op, Value inTileRow, Value inTileColumn,
                                        function_ref<Place(int64_t)> placeOf) {
  const VectorType sum = op.getValue().getType();
  const Type element = op.getTo().getType().getElementType();
  const bool integers = sum.getElementType().isSignlessInteger(32) && element == sum.getElementType();
  if (!integers && (!sum.getElementType().isF32() || (!element.isF32() && !element.isBF16() && !element.isF16())))
    return unfit(op) << "expects to store f32 as f32, bf16 or f16, or i32, on " << chip << ", but got " << sum << " to "
                     << op.getTo().getType();
  const Matrix &to = matrices[op.getTo()];
  const int64_t bytes = element.getIntOrFloatBitWidth() / 8;
  const SmallVector<Value> held = lookup(op.getValue());
  Value row = lookup(op.getRow()).front(), column = lookup(op.getColumn()).front();
  Value firstRow = add(row, inTileRow), firstColumn = add(column, inTileColumn);

  auto less = arith::CmpIPredicate::sle;
  Value end = op.getRows() ? binary("arith.minsi", to.rows, lookup(op.getRows()).front()) : to.rows;
  Value stride = to.stride;
  Value whole = binary("arith.andi", compare(less, add(row, i32(sum.getDimSize(0))), end),
                       compare(less, add(column, i32(sum.getDimSize(1))), to.columns));
  Value place = LLVM::PtrToIntOp::create(b, b.getI64Type(), to.pointer);
  Value odd =
      binary("arith.ori", binary("arith.andi", place, i64(2 * bytes - 1)), binary("arith.andi", stride, i64(1)));
  Value even = compare(arith::CmpIPredicate::eq, odd, i64(0));
  auto branch = scf::IfOp::create(b, binary("arith.andi", whole, even), /*withElseRegion=*/true);
  // A row's pairs one behind the other: its address is used up before the next one's is made.
  SmallVector<std::pair<int64_t, int64_t>> order; // row, element
  for (size_t i = 0; i < held.size(); i += 2)
    order.emplace_back(placeOf(int64_t(i)).row, int64_t(i));
  llvm::sort(order);
  const auto type = VectorType::get(2, element);
  for (bool fast : {true, false}) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint((fast ? branch.thenBlock() : branch.elseBlock())->getTerminator());
    Value begin, rowThere;
    int64_t latest = -1;
    for (auto [row, first] : order) {
      const Place at = placeOf(first);
      if (at.row != latest) {
        latest = at.row;
        Value r = add(firstRow, i32(at.row));
        Value wideRow = arith::ExtSIOp::create(b, b.getI64Type(), r);
        Value wideColumn = arith::ExtSIOp::create(b, b.getI64Type(), firstColumn);
        begin = LLVM::GEPOp::create(b, to.pointer.getType(), element, to.pointer,
                                    ArrayRef<LLVM::GEPArg>{add(multiply(wideRow, stride), wideColumn)});
        rowThere = fast ? Value() : compare(arith::CmpIPredicate::slt, r, end);
      }
      Value low = held[first], high = held[first + 1], pair;
      if (element.isBF16() || element.isF16()) {
        pair = narrowed(element, low, high);
      } else {
        pair = LLVM::UndefOp::create(b, type);
        pair = LLVM::InsertElementOp::create(b, pair, low, i32(0));
        pair = LLVM::InsertElementOp::create(b, pair, high, i32(1));
      }
      Value to2 =
          LLVM::GEPOp::create(b, to.pointer.getType(), element, begin, ArrayRef<LLVM::GEPArg>{int32_t(at.column)});
      if (fast) {
        LLVM::StoreOp::create(b, pair, to2, 2 * bytes);
        continue;
      }
      for (int64_t e = 0; e < 2; ++e) {
        Value c = add(firstColumn, i32(at.column + e));
        Value there = binary("arith.andi", rowThere, compare(arith::CmpIPredicate::slt, c, to.columns));
        auto one = scf::IfOp::create(b, there, /*withElseRegion=*/false);
        OpBuilder::InsertionGuard inner(b);
        b.setInsertionPoint(one.thenBlock()->getTerminator());
        Value value = LLVM::ExtractElementOp::create(b, pair, i32(e));
        Value to1 = LLVM::GEPOp::create(b, to.pointer.getType(), element, to2, ArrayRef<LLVM::GEPArg>{int32_t(e)});
        LLVM::StoreOp::create(b, value, to1, bytes);
      }
    }
  }
  return success();
}

} // namespace stepdown::nvidia
