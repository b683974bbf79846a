// The program of a block: for each tile of the result, all slots but one are filled. Each turn of the loop over k waits
// for its slot, meets all warps, behind which the slot of the turn before is read and those of the copies are written,
// issues the copies into that one, and multiplies. A group of copies is committed in each turn, if need be an empty
// one, so that how many groups may be under way is the same number throughout.
//
// Tiles lie in shared memory as TMA's 128-byte swizzle has them (SharedLayout.h). What is outside of a matrix comes as
// zeros: a copy says how many of its 16 bytes there are.
#include "passes/NVIDIA/WarpEmitter.h"
#include "lib/Kernels/ChipLimits.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "passes/NVIDIA/SharedLayout.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::nvidia {

WarpEmitter::WarpEmitter(KernelOp kernel, const WarpPlan &plan, LLVM::LLVMFuncOp function)
    : ThreadEmitter(kernel, plan.chip->name, function), plan(plan) {}

SmallVector<Type> WarpEmitter::convert(Type type) {
  if (type.isIndex())
    return {b.getI32Type()};
  if (isa<AccumulatorType, VectorType>(type)) // of the size of the result's tile
    return SmallVector<Type>(held(), sumType());
  return {type};
}

LogicalResult WarpEmitter::emit() {
  b.setInsertionPointToStart(&function.getBody().front());
  readPointers(kernel, function.getBody().front(), matrices);
  identifyThread();
  if (plan.sum)
    takeShare(*plan.sum, sharesOf(kernel), matrices);
  return emitProgram(kernel, plan.text.role, [&] {
    prepareCopies(elementBytes(plan.text.a.getTo().getType()));
    prepareFragments();
  });
}

LogicalResult WarpEmitter::emitOperation(Operation &op) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(&op)
      .Case([&](ScheduleOp schedule) { return emitSchedule(schedule); })
      .Case([&](scf::ForOp loop) { return emitProducts(loop); })
      .Case([&](scf::IfOp branch) { return emitBranch(branch); })
      .Case([&](StoreOp store) -> LogicalResult {
        if (store.getTransposed())
          return unfit(store) << "expects to store rows as rows on " << chip;
        return storePairs(store, firstRow, firstColumn, [&](int64_t i) { return placeOf(i); });
      })
      .Case([&](WaitOp wait) {
        if (auto loop = dyn_cast<scf::ForOp>(wait->getParentOp()))
          arrive(lookup(loop.getInductionVar()).front());
        else
          begin(wait);
        return success();
      })
      .Case([&](ReleaseOp) { return success(); }) // where the next slot is waited for all warps meet
      .Case([&](MmaOp mma) { return multiply(mma), success(); })
      .Case([&](MmaWaitOp wait) { // it is computed
        for (auto [vector, sum] : llvm::zip(wait.getVectors(), wait.getSums()))
          map(vector, lookup(sum));
        return success();
      })
      .Case([&](ReadOp) { return success(); }) // its maps read
      .Case([&](MapOp each) { return mapElements(each), success(); })
      .Case([&](memref::DimOp dim) { return sizeOf(dim); })
      .Default([&](Operation *other) { return emitScalar(*other); });
}

/// The loop over k: sums go through it, and which slot is next.
LogicalResult WarpEmitter::emitProducts(scf::ForOp op) {
  SmallVector<Value> carried = lookupAll(op.getInitArgs());
  carried.append({slot, spare});
  auto number = [&](Value value) { return lookup(value).front(); };
  LogicalResult made = emitTurns(number(op.getLowerBound()), number(op.getUpperBound()), number(op.getStep()), carried,
                                 [&](Value index, SmallVectorImpl<Value> &inside) {
                                   spare = inside.pop_back_val();
                                   slot = inside.pop_back_val();
                                   if (failed(emitTurn(op, index, inside)))
                                     return failure();
                                   inside.append({slot, spare});
                                   return success();
                                 });
  if (failed(made))
    return failure();
  carried.pop_back_n(2);
  mapAll(op.getResults(), carried);
  return success();
}

/// All slots of a tile but one begin to be filled, and the first is waited for.
void WarpEmitter::begin(WaitOp wait) {
  followTile(plan.text.copies, wait);
  auto number = [&](Value value) { return lookup(value).front(); };
  Value first = number(plan.text.copies.getLowerBound()), step = number(plan.text.copies.getStep());
  NVVM::Barrier0Op::create(b); // warps may still read slots for the tile before
  for (int64_t i = 0; i < plan.stages - 1; ++i) {
    fetch(add(first, multiply(step, i32(i))), i32(i * plan.slotBytes));
    NVVM::CpAsyncCommitGroupOp::create(b);
  }
  slot = i32(0);
  spare = i32((plan.stages - 1) * plan.slotBytes);
  arrive(first);
}

void WarpEmitter::arrive(Value step) {
  NVVM::CpAsyncWaitGroupOp::create(b, uint32_t(plan.stages - 2));
  NVVM::Barrier0Op::create(b);
  Value ahead = multiply(lookup(plan.text.copies.getStep()).front(), i32(plan.stages - 1));
  fetch(add(step, ahead), spare);
  NVVM::CpAsyncCommitGroupOp::create(b);
}

/// Issues the copies into `slot` for the turn at `step`, where there is such a turn.
void WarpEmitter::fetch(Value step, Value slot) {
  scf::ForOp copies = plan.text.copies;
  map(copies.getInductionVar(), step);
  Value there = compare(arith::CmpIPredicate::slt, step, lookup(copies.getUpperBound()).front());
  auto branch = scf::IfOp::create(b, there, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(branch.thenBlock()->getTerminator());
  copyTile(plan.text.a, slot, 0, plan.threads);
  copyTile(plan.text.b, slot, plan.offsetB, plan.threads);
}

} // namespace stepdown::nvidia
