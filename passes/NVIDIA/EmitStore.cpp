// Stores of what products leave in registers. Where a matrix is one that TMA can write, a warpgroup stages its part of
// the result in shared memory, in boxes of 64 rows of 128 bytes with the swizzle of SharedLayout.h, and one of its
// threads has TMA write each: whole lines go out, and what lies outside of the matrix is left out, while the warpgroup
// goes on with its next products. Each warpgroup has two boxes and a named barrier. A box is filled again when the
// thread that had it written has seen that it was read, and the others have met it; and it is written when all have
// filled it and fenced that off for TMA, which reads by another proxy.
//
// stmatrix takes an 8 x 8 matrix as a sum's registers hold it, and writes rows of 16 bytes: those of a matrix are at
// eight different places of the swizzle, and so in different banks.
#include "lib/Kernels/ChipLimits.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "passes/NVIDIA/KernelEmitter.h"
#include "passes/NVIDIA/SharedLayout.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::nvidia {

void KernelEmitter::meetWarpgroup() {
  LLVM::CallIntrinsicOp::create(b, b.getStringAttr("llvm.nvvm.barrier.cta.sync.aligned.count"),
                                ValueRange{stageBarrier, i32(kWarpgroup)});
}

void KernelEmitter::onIssuer(function_ref<void()> body) {
  auto branch = scf::IfOp::create(b, issuer, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(branch.thenBlock()->getTerminator());
  body();
}

/// Of the boxes that the thread has had written, all but the latest `pending` have been read.
void KernelEmitter::waitForStages(int64_t pending) {
  NVVM::CpAsyncBulkWaitGroupOp::create(b, b.getI32IntegerAttr(int32_t(pending)), b.getUnitAttr());
}

void KernelEmitter::storeBoxes(StoreOp op) {
  const StagePlan &stage = *plan.roles.find(role)->second.stage;
  const RegisterTile tile(op.getValue().getType(), role);
  const Matrix &to = matrices[op.getTo()];
  const MemRefType box = stageBox(op);
  const int64_t wide = box.getDimSize(1);
  const SmallVector<Value> held = lookup(op.getValue());
  MLIRContext *context = b.getContext();

  // Where the lane's row of four matrices begins: two of rows, the first 8 and the next, and two of columns.
  Value inWarp = binary("arith.andi", lane, i32(15));
  Value row = add(multiply(binary("arith.shrui", thread, i32(5)), i32(16)), inWarp);
  Value piece = binary("arith.xori", binary("arith.shrui", lane, i32(4)), binary("arith.andi", lane, i32(7)));
  Value ofBoxes = multiply(warpgroup, i32(stage.boxes * kStageBytes));
  Value place = add(add(multiply(row, i32(kRowBytes)), multiply(piece, i32(kPieceBytes))), ofBoxes);
  Value firstRow = add(lookup(op.getRow()).front(), multiply(warpgroup, i32(tile.rows)));
  Value firstColumn = lookup(op.getColumn()).front();
  auto pair = [&](int64_t i) -> Value {
    return LLVM::BitcastOp::create(b, b.getI32Type(), narrowed(box.getElementType(), held[i], held[i + 1]));
  };

  const int64_t across = op.getValue().getType().getDimSize(1) / wide, count = tile.rows / kStageRows * across;
  onIssuer([&] { waitForStages(0); });
  for (int64_t i = 0; i < count; ++i) {
    const int64_t rows = i / across, begin = i % across * wide, offset = stage.offset + i % stage.boxes * kStageBytes;
    const bool filledBefore = i >= stage.boxes; // in this result
    if (i == 0 || filledBefore)
      meetWarpgroup();
    for (int64_t c = 0; c < wide; c += 16) {
      SmallVector<Value> matrices;
      for (int64_t column : {begin + c, begin + c + 8}) {
        const int64_t first =
            (rows * tile.parts + column / tile.columns) * (tile.columns / 2) + column % tile.columns / 2;
        matrices.push_back(pair(first));
        matrices.push_back(pair(first + 2));
      }
      Value there = binary("arith.xori", place, i32(c * 2));
      NVVM::StMatrixOp::create(b, shared(there, offset), matrices,
                               NVVM::MMALayoutAttr::get(context, NVVM::MMALayout::row),
                               NVVM::LdStMatrixShapeAttr::get(context, 8, 8),
                               NVVM::LdStMatrixEltTypeAttr::get(context, NVVM::LdStMatrixEltType::B16));
    }
    NVVM::FenceProxyOp::create(b, NVVM::ProxyKindAttr::get(context, NVVM::ProxyKind::async_shared),
                               NVVM::SharedSpaceAttr::get(context, NVVM::SharedSpace::shared_cta));
    meetWarpgroup();
    onIssuer([&] {
      NVVM::CpAsyncBulkTensorSharedCTAToGlobalOp::create(
          b, to.map, shared(ofBoxes, offset),
          ValueRange{add(firstColumn, i32(begin)), add(firstRow, i32(rows * kStageRows))}, Value(),
          NVVM::TMAStoreModeAttr::get(context, NVVM::TMAStoreMode::TILE), Value());
      NVVM::CpAsyncBulkCommitGroupOp::create(b);
      if (i + 1 < count && i + 1 >= stage.boxes)
        waitForStages(stage.boxes - 1);
    });
  }
}

LogicalResult KernelEmitter::store(StoreOp op) {
  if (op.getTransposed() && !op.getTo().getType().getElementType().isF32())
    return unfit(op) << "expects to store f32 where it is transposed on sm_90a, but got " << op.getTo().getType();
  if (op.getTransposed())
    return storeTransposed(op), success();
  auto direct = [&] {
    const RegisterTile tile(op.getValue().getType(), role);
    Value warpRow = multiply(binary("arith.shrui", thread, i32(5)), i32(16));
    Value row = add(multiply(warpgroup, i32(tile.rows)), add(warpRow, rowInWarp(tile)));
    Value column = multiply(binary("arith.andi", lane, i32(3)), i32(2));
    return storePairs(op, row, column, [&](int64_t i) { return Place{tile.row(i), tile.column(i)}; });
  };
  if (!plan.staged.contains(op))
    return direct();
  // What no tensor map describes comes without one: a matrix, or rows, that are not at multiples of 16 bytes.
  const Matrix &to = matrices[op.getTo()];
  Value place = LLVM::PtrToIntOp::create(b, b.getI64Type(), to.pointer);
  Value stride = multiply(to.stride, i64(elementBytes(op.getTo().getType())));
  Value odd = binary("arith.andi", binary("arith.ori", place, stride), i64(15));
  auto branch = scf::IfOp::create(b, compare(arith::CmpIPredicate::eq, odd, i64(0)), /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(branch.thenBlock()->getTerminator());
  storeBoxes(op);
  b.setInsertionPoint(branch.elseBlock()->getTerminator());
  return direct();
}

} // namespace stepdown::nvidia
