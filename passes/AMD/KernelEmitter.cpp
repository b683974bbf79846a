// The program of a block: for each tile of the result, the first slot is filled; each turn of the loop over k then
// issues the loads of the next slot, computes the products of this one, and puts what has come into the other. Two
// turns stand in the loop's body, one for each slot: places in LDS are then what offsets reach. An odd turn stands
// behind it.
#include "passes/AMD/KernelEmitter.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::amd {

KernelEmitter::KernelEmitter(KernelOp kernel, const KernelPlan &plan, LLVM::LLVMFuncOp function)
    : TileEmitter(kernel, plan.chip->name), kernel(kernel), plan(plan), chip(*plan.chip), function(function) {}

Value KernelEmitter::intrinsic(StringRef name, Type result, ValueRange operands) {
  if (result)
    return LLVM::CallIntrinsicOp::create(b, result, b.getStringAttr(name), operands).getResult(0);
  LLVM::CallIntrinsicOp::create(b, b.getStringAttr(name), operands);
  return Value();
}

Value KernelEmitter::blockIndex() { return intrinsic("llvm.amdgcn.workgroup.id.x", b.getI32Type(), {}); }

/// The first of the hidden arguments is how many blocks there are along x (code object v5).
Value KernelEmitter::blockCount() {
  Value hidden = intrinsic("llvm.amdgcn.implicitarg.ptr", LLVM::LLVMPointerType::get(b.getContext(), 4), {});
  return LLVM::LoadOp::create(b, b.getI32Type(), hidden, 4, /*isVolatile=*/false, /*isNonTemporal=*/false,
                              /*isInvariant=*/true);
}

Value KernelEmitter::lds(Value offset) {
  return LLVM::GEPOp::create(b, base.getType(), b.getI8Type(), base, ArrayRef<LLVM::GEPArg>{offset});
}

Value KernelEmitter::divided(Value a, int64_t by) { return binary("arith.divui", a, i32(by)); }
Value KernelEmitter::remainder(Value a, int64_t by) { return binary("arith.remui", a, i32(by)); }

SmallVector<Type> KernelEmitter::convert(Type type) { return {type.isIndex() ? Type(b.getI32Type()) : type}; }

void KernelEmitter::readParameters() {
  unsigned next = 0;
  auto parameter = [&]() -> Value { return function.getBody().front().getArgument(next++); };
  for (BlockArgument argument : kernel.getBody().getArguments()) {
    if (!isa<MemRefType>(argument.getType())) {
      map(argument, parameter());
      continue;
    }
    Matrix matrix;
    matrix.pointer = parameter();
    matrix.stride = parameter();
    matrix.rows = parameter();
    matrix.columns = parameter();
    matrices[argument] = matrix;
  }
}

void KernelEmitter::identifyThread() {
  base = LLVM::AddressOfOp::create(b, LLVM::LLVMPointerType::get(b.getContext(), 3), "lds");
  thread = intrinsic("llvm.amdgcn.workitem.id.x", b.getI32Type(), {});
  lane = remainder(thread, chip.lanes);
  // All lanes have one wave, but only of a scalar does LLVM know.
  wave = intrinsic("llvm.amdgcn.readfirstlane", b.getI32Type(), {divided(thread, chip.lanes)});
}

LogicalResult KernelEmitter::emit() {
  b.setInsertionPointToStart(&function.getBody().front());
  element = plan.first.getShapeOfA().getElementType();
  readParameters();
  identifyThread();
  for (Operation &op : kernel.getBody().front()) {
    b.setLoc(op.getLoc());
    if (isa<ChannelOp, RoleOp>(op))
      continue;
    if (failed(emitOperation(op)))
      return failure();
  }
  prepareCopy(plan.a);
  prepareCopy(plan.b);
  prepareProducts();
  if (failed(emitBlock(plan.role.getBody().front())))
    return failure();
  LLVM::ReturnOp::create(b, ValueRange());
  return success();
}

LogicalResult KernelEmitter::emitOperation(Operation &op) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(&op)
      .Case([&](ScheduleOp schedule) { return emitSchedule(schedule); })
      .Case([&](scf::ForOp loop) { return emitProducts(loop); })
      .Case([&](scf::IfOp branch) { return emitBranch(branch); })
      .Case([&](StoreOp store) { return this->store(store); })
      .Case([&](WaitOp wait) {
        // In front of the loop the first slot; in it that of the turn.
        auto loop = dyn_cast<scf::ForOp>(wait->getParentOp());
        fetch(lookup(loop ? loop.getInductionVar() : plan.copies.getLowerBound()).front());
        return success();
      })
      .Case([&](ReleaseOp) { return success(); }) // a barrier separates what reads a slot from what fills it again
      .Case([&](MmaOp mma) {
        if (!mma.getAcc())
          beginSums();
        issued.push_back(arriving);
        return success();
      })
      .Case([&](MmaWaitOp wait) {
        computeUntil(wait.getPending());
        return success();
      })
      .Case([&](memref::DimOp dim) -> LogicalResult {
        std::optional<int64_t> index = dim.getConstantIndex();
        if (!index || !matrices.contains(dim.getSource()))
          return dim.emitOpError() << "expects the size of an argument's known dimension, but got another";
        const Matrix &matrix = matrices[dim.getSource()];
        map(dim.getResult(), *index == 0 ? matrix.rows : matrix.columns);
        return success();
      })
      .Default([&](Operation *other) { return emitScalar(*other); });
}

LogicalResult KernelEmitter::emitProducts(scf::ForOp op) {
  if (issued.size() != 1)
    return op.emitOpError() << "expects one product in flight where the loop over k begins on " << chip.name
                            << ", but got " << issued.size();
  arrive(); // the first slot
  auto number = [&](Value value) { return lookup(value).front(); };
  Value lower = number(op.getLowerBound()), upper = number(op.getUpperBound()), step = number(op.getStep());
  auto turn = [&](Value index, Value slot) -> LogicalResult {
    map(op.getInductionVar(), index);
    issued.assign(1, slot);
    if (failed(emitBlock(*op.getBody())))
      return failure();
    if (issued.size() != 1)
      return op.emitOpError() << "expects one product in flight where a turn of the loop over k ends on " << chip.name
                              << ", but got " << issued.size();
    arrive();
    return success();
  };
  Value distance = binary("arith.maxsi", binary("arith.subi", upper, lower), i32(0));
  Value stride = multiply(step, i32(2)); // those of a pair whose tiles the matrices have whole
  Value last = add(lower, multiply(binary("arith.divui", distance, stride), stride));
  SmallVector<Value> carried = sums;
  whole = true;
  LogicalResult made = emitTurns(lower, last, stride, carried, [&](Value index, SmallVectorImpl<Value> &inside) {
    sums = llvm::to_vector(inside);
    if (failed(turn(index, i32(0))) || failed(turn(add(index, step), i32(plan.slotBytes))))
      return failure();
    inside = sums;
    return success();
  });
  whole = false;
  if (failed(made))
    return failure();
  carried.push_back(i32(0)); // the slot of the product in flight
  made = emitTurns(last, upper, step, carried, [&](Value index, SmallVectorImpl<Value> &inside) {
    sums = llvm::to_vector(ArrayRef<Value>(inside).drop_back());
    if (failed(turn(index, inside.back())))
      return failure();
    inside = sums;
    inside.push_back(issued.front());
    return success();
  });
  issued.assign(1, carried.pop_back_val());
  sums = carried;
  return made;
}

} // namespace stepdown::amd
