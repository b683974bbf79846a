// Products are chains of wgmma on descriptors of shared memory: one fence, an instruction for each 16 elements of the
// reduction and each part of the sum, one commit. The first product of a sum does not read what its registers held
// (scale-d is zero): zeros written by moves, with a product in flight, would make ptxas wait for each (C7515).
//
// A sum m64nN lies in registers so: thread t of the warpgroup, lane l of warp w, has in register i row
// 16 w + l / 4 + 8 (i / 2 mod 2), column 8 (i / 4) + 2 (l mod 4) + i mod 2 (PTX ISA, wgmma D fragment).
#include "passes/NVIDIA/KernelEmitter.h"
#include "passes/NVIDIA/SharedLayout.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::nvidia {

static constexpr int64_t kReduction = 16; // elements of the reduction that an instruction takes, of 16 bits each

int64_t instructionColumns(VectorType sum) {
  for (int64_t columns = 256; columns > 8; columns -= 8)
    if (sum.getDimSize(1) % columns == 0)
      return columns;
  return 8;
}

Value KernelEmitter::descriptor(Value tile, bool transposed, Value across) {
  auto type = cast<MemRefType>(tile.getType());
  Value begin = add(address, tiles[tile].offset);
  if (across)
    begin = add(begin, across);
  // 14 bits of address, in units of 16 bytes.
  Value field = binary("arith.andi", binary("arith.shrui", begin, i32(4)), i32(0x3fff));
  Value wide = arith::ExtUIOp::create(b, b.getI64Type(), field);
  return binary("arith.ori", wide, i64(descriptorBits(type, transposed)));
}

void KernelEmitter::multiply(MmaOp op) {
  const MemRefType a = op.getA().getType(), bType = op.getB().getType();
  const VectorType sum = op.getType().getSum();
  const bool rowsOfB = !op.getTransposeB(); // b is [K, N]: the matrix unit runs along its rows
  const int64_t columns = instructionColumns(sum), warpgroups = role.getThreads() / kWarpgroup;
  const int64_t rows = sum.getDimSize(0) / warpgroups, parts = sum.getDimSize(1) / columns;
  MLIRContext *context = b.getContext();
  const auto element =
      NVVM::WGMMATypesAttr::get(context, a.getElementType().isBF16() ? NVVM::WGMMATypes::bf16 : NVVM::WGMMATypes::f16);
  const auto one = NVVM::WGMMAScaleInAttr::get(context, NVVM::WGMMAScaleIn::one);
  auto layout = [&](bool row) {
    return NVVM::MMALayoutAttr::get(context, row ? NVVM::MMALayout::row : NVVM::MMALayout::col);
  };

  Value first = multiply(warpgroup, i32(acrossOffset(a, false, rows)));
  Value descriptorA = descriptor(op.getA(), false, first), descriptorB = descriptor(op.getB(), rowsOfB, Value());
  SmallVector<Value> made;
  if (op.getAcc())
    made = lookup(op.getAcc());
  else
    for (Type type : convert(op.getType(), role))
      made.push_back(LLVM::UndefOp::create(b, type));
  NVVM::WgmmaFenceAlignedOp::create(b);
  for (int64_t k = 0; k < a.getDimSize(1); k += kReduction) {
    const auto scale = NVVM::WGMMAScaleOutAttr::get(context, k == 0 && !op.getAcc() ? NVVM::WGMMAScaleOut::zero
                                                                                    : NVVM::WGMMAScaleOut::one);
    for (int64_t m = 0; m < rows / 64; ++m)
      for (int64_t n = 0; n < parts; ++n) {
        Value &part = made[m * parts + n];
        const int64_t offsetA = reductionOffset(a, false, k) + acrossOffset(a, false, 64 * m);
        const int64_t offsetB = reductionOffset(bType, rowsOfB, k) + acrossOffset(bType, rowsOfB, columns * n);
        part = NVVM::WgmmaMmaAsyncOp::create(b, part.getType(), part, add(descriptorA, i64(offsetA / 16)),
                                             add(descriptorB, i64(offsetB / 16)),
                                             NVVM::MMAShapeAttr::get(context, 64, columns, kReduction), element,
                                             element, NVVM::WGMMATypesAttr::get(context, NVVM::WGMMATypes::f32), scale,
                                             one, one, layout(true), layout(rowsOfB), NVVM::MMAIntOverflowAttr());
      }
  }
  NVVM::WgmmaGroupSyncAlignedOp::create(b);
  map(op.getResult(), made);
}

LogicalResult KernelEmitter::store(StoreOp op) {
  const VectorType sum = op.getValue().getType();
  const Type element = op.getTo().getType().getElementType();
  if (!sum.getElementType().isF32() || (!element.isF32() && !element.isBF16()))
    return op.emitOpError() << "expects to store f32 as f32 or bf16 on sm_90a, but got " << sum << " to "
                            << op.getTo().getType();
  const Matrix &to = matrices[op.getTo()];
  const int64_t columns = instructionColumns(sum), parts = sum.getDimSize(1) / columns;
  const int64_t rows = sum.getDimSize(0) / (role.getThreads() / kWarpgroup),
                bytes = element.getIntOrFloatBitWidth() / 8;
  const SmallVector<Value> held = lookup(op.getValue());
  Value row = lookup(op.getRow()).front(), column = lookup(op.getColumn()).front();
  Value inWarp = binary("arith.shrui", lane, i32(2));
  Value warpRow = multiply(binary("arith.shrui", thread, i32(5)), i32(16));
  Value firstRow = add(add(row, multiply(warpgroup, i32(rows))), add(warpRow, inWarp));
  Value firstColumn = add(column, multiply(binary("arith.andi", lane, i32(3)), i32(2)));

  // Pairs go out as one where all rows and columns are there and none begins at an odd place.
  auto less = arith::CmpIPredicate::sle;
  Value stride = to.stride;
  Value whole = binary("arith.andi", compare(less, add(row, i32(sum.getDimSize(0))), to.rows),
                       compare(less, add(column, i32(sum.getDimSize(1))), to.columns));
  Value place = LLVM::PtrToIntOp::create(b, b.getI64Type(), to.pointer);
  Value odd =
      binary("arith.ori", binary("arith.andi", place, i64(2 * bytes - 1)), binary("arith.andi", stride, i64(1)));
  Value even = compare(arith::CmpIPredicate::eq, odd, i64(0));
  auto branch = scf::IfOp::create(b, binary("arith.andi", whole, even), /*withElseRegion=*/true);
  for (bool fast : {true, false}) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint((fast ? branch.thenBlock() : branch.elseBlock())->getTerminator());
    for (int64_t m = 0; m < rows / 64; ++m)
      for (int64_t half = 0; half < 2; ++half) {
        Value r = add(firstRow, i32(64 * m + 8 * half));
        Value wideRow = arith::ExtSIOp::create(b, b.getI64Type(), r);
        Value wideColumn = arith::ExtSIOp::create(b, b.getI64Type(), firstColumn);
        Value begin = LLVM::GEPOp::create(b, to.pointer.getType(), element, to.pointer,
                                          ArrayRef<LLVM::GEPArg>{add(multiply(wideRow, stride), wideColumn)});
        Value rowThere = fast ? Value() : compare(arith::CmpIPredicate::slt, r, to.rows);
        for (int64_t n = 0; n < parts; ++n)
          for (int64_t i = 2 * half; i < columns / 2; i += 4) {
            const int64_t offset = n * columns + i / 4 * 8;
            Value low = LLVM::ExtractValueOp::create(b, held[m * parts + n], ArrayRef<int64_t>{i});
            Value high = LLVM::ExtractValueOp::create(b, held[m * parts + n], ArrayRef<int64_t>{i + 1});
            auto type = VectorType::get(2, element);
            Value pair;
            if (element.isBF16()) {
              pair = NVVM::ConvertF32x2ToBF16x2Op::create(
                  b, type, high, low, Value(), NVVM::FPRoundingModeAttr::get(b.getContext(), NVVM::FPRoundingMode::RN));
            } else {
              pair = LLVM::UndefOp::create(b, type);
              pair = LLVM::InsertElementOp::create(b, pair, low, i32(0));
              pair = LLVM::InsertElementOp::create(b, pair, high, i32(1));
            }
            Value at =
                LLVM::GEPOp::create(b, to.pointer.getType(), element, begin, ArrayRef<LLVM::GEPArg>{int32_t(offset)});
            if (fast) {
              LLVM::StoreOp::create(b, pair, at, 2 * bytes);
              continue;
            }
            for (int64_t e = 0; e < 2; ++e) {
              Value c = add(firstColumn, i32(offset + e));
              Value there = binary("arith.andi", rowThere, compare(arith::CmpIPredicate::slt, c, to.columns));
              auto one = scf::IfOp::create(b, there, /*withElseRegion=*/false);
              OpBuilder::InsertionGuard inner(b);
              b.setInsertionPoint(one.thenBlock()->getTerminator());
              Value value = LLVM::ExtractElementOp::create(b, pair, i32(e));
              Value to1 = LLVM::GEPOp::create(b, to.pointer.getType(), element, at, ArrayRef<LLVM::GEPArg>{int32_t(e)});
              LLVM::StoreOp::create(b, value, to1, bytes);
            }
          }
      }
  }
  return success();
}

} // namespace stepdown::nvidia
