// What a warp does on chips whose warps multiply: copies of tiles by cp.async, loads of their matrices by ldmatrix, and
// mma.sync m16n8.
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "passes/NVIDIA/SharedLayout.h"
#include "passes/NVIDIA/ThreadEmitter.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::nvidia {

void ThreadEmitter::prepareCopies(int64_t bytes) {
  const int64_t pieces = kRowBytes / kPieceBytes;
  Value piece = binary("arith.andi", inBlock, i32(pieces - 1));
  copyRow = binary("arith.divui", inBlock, i32(pieces));
  copyColumn = multiply(piece, i32(kPieceBytes / bytes));
  Value turned = binary("arith.xori", piece, binary("arith.andi", copyRow, i32(kPatternRows - 1)));
  copyTo = add(multiply(copyRow, i32(kRowBytes)), multiply(turned, i32(kPieceBytes)));
}

void ThreadEmitter::copyTile(CopyOp op, Value slot, int64_t offset, int64_t threads) {
  const Location outside = b.getLoc();
  b.setLoc(op.getLoc());
  const MemRefType tile = op.getTo().getType();
  const Matrix &from = matrices[op.getFrom()];
  const int64_t bytes = elementBytes(tile), pieces = kRowBytes / kPieceBytes, apart = threads / pieces; // rows
  auto wide = [&](Value value) -> Value { return arith::ExtSIOp::create(b, b.getI64Type(), value); };
  Value row = add(lookup(op.getRow()).front(), copyRow), column = add(lookup(op.getColumn()).front(), copyColumn);
  Value rowBytes = multiply(from.stride, i64(bytes));
  Value begin = add(multiply(wide(row), rowBytes), multiply(wide(column), i64(bytes)));
  OpBuilder::InsertionGuard guard(b);
  const int64_t units = std::max<int64_t>(tile.getDimSize(0) / apart, 1);
  if (tile.getDimSize(0) < apart) { // the first threads have a piece
    Value some = compare(arith::CmpIPredicate::slt, inBlock, i32(tile.getDimSize(0) * pieces));
    b.setInsertionPoint(scf::IfOp::create(b, some, /*withElseRegion=*/false).thenBlock()->getTerminator());
  }
  for (int64_t block = 0; block < tile.getDimSize(1) / blockColumns(tile); ++block) {
    Value left = binary("arith.subi", from.columns, add(column, i32(block * blockColumns(tile))));
    left = binary("arith.maxsi", binary("arith.minsi", left, i32(kPieceBytes / bytes)), i32(0));
    Value some = multiply(left, i32(bytes));
    for (int64_t unit = 0; unit < units; ++unit) {
      Value there = compare(arith::CmpIPredicate::slt, add(row, i32(unit * apart)), from.rows);
      Value size = arith::SelectOp::create(b, there, some, i32(0));
      Value distance = add(begin, multiply(rowBytes, i64(unit * apart)));
      Value source =
          LLVM::GEPOp::create(b, from.pointer.getType(), b.getI8Type(), from.pointer, ArrayRef<LLVM::GEPArg>{distance});
      source = LLVM::GEPOp::create(b, source.getType(), b.getI8Type(), source,
                                   ArrayRef<LLVM::GEPArg>{int32_t(block * kRowBytes)});
      Value to = shared(add(copyTo, slot), offset + block * blockBytes(tile) + unit * apart * kRowBytes);
      NVVM::CpAsyncOp::create(b, to, source, uint32_t(kPieceBytes), NVVM::LoadCacheModifierKind::CG, size);
    }
  }
  b.setLoc(outside);
}

SmallVector<Value> ThreadEmitter::loadMatrices(Value from, int64_t offset, bool transposed) {
  const auto type = LLVM::LLVMStructType::getLiteral(b.getContext(), SmallVector<Type>(4, b.getI32Type()));
  Value loaded = NVVM::LdMatrixOp::create(
      b, type, shared(from, offset), 4, transposed ? NVVM::MMALayout::col : NVVM::MMALayout::row,
      NVVM::LdStMatrixShapeAttr::get(b.getContext(), 8, 8), NVVM::LdStMatrixEltType::B16);
  SmallVector<Value> parts;
  for (int64_t i = 0; i < 4; ++i)
    parts.push_back(LLVM::ExtractValueOp::create(b, loaded, ArrayRef<int64_t>{i}));
  return parts;
}

void ThreadEmitter::multiplyWarp(Type element, ArrayRef<Value> left, ArrayRef<Value> right,
                                 MutableArrayRef<Value> sum) {
  const bool half = element.isF16(), integers = element.isInteger();
  auto operands = [&](ArrayRef<Value> parts) { // bf16 and int8 come as words
    return llvm::map_to_vector(parts, [&](Value part) -> Value {
      return half ? Value(LLVM::BitcastOp::create(b, VectorType::get(2, b.getF16Type()), part)) : part;
    });
  };
  const auto type = LLVM::LLVMStructType::getLiteral(b.getContext(), SmallVector<Type>(4, sum.front().getType()));
  const NVVM::MMATypes each = half ? NVVM::MMATypes::f16 : integers ? NVVM::MMATypes::s8 : NVVM::MMATypes::bf16;
  const std::optional<NVVM::MMAIntOverflow> overflow =
      integers ? std::optional(NVVM::MMAIntOverflow::wrapped) : std::nullopt;
  Value made = NVVM::MmaOp::create(
      b, type, operands(left), operands(right), sum, {16, 8, kWarpReduction * 8 / element.getIntOrFloatBitWidth()},
      std::nullopt, overflow, std::array{each, each}, std::array{NVVM::MMALayout::row, NVVM::MMALayout::col});
  for (int64_t e = 0; e < 4; ++e)
    sum[e] = LLVM::ExtractValueOp::create(b, made, ArrayRef<int64_t>{e});
}

} // namespace stepdown::nvidia
