// The program of a block: for each tile of the result, the first slot is filled; each turn of the loop over k then
// issues the loads of the next slot, computes the products of this one, and puts what has come into the other. Two
// turns stand in the loop's body, one for each slot: places in LDS are then what offsets reach. An odd turn stands
// behind it.
#include "passes/AMD/KernelEmitter.h"
#include "lib/Kernels/ChipLimits.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::amd {

/// s_waitcnt of gfx9: vmcnt 0, and no wait for other counters (bits 3:0 and 15:14, 6:4, 11:8).
static constexpr int32_t kLoadsAreThere = 0x0f70;

KernelEmitter::KernelEmitter(KernelOp kernel, const KernelPlan &plan, LLVM::LLVMFuncOp function)
    : SumEmitter(kernel, plan.chip, plan.threads, function, plan.blocksDown, plan.blocksAcross), plan(plan) {}

SmallVector<Type> KernelEmitter::convert(Type type) {
  if (isRegisterTile(type)) // of the size of the result's tile
    return SmallVector<Type>(elements(), cast<VectorType>(type).getElementType());
  return {type.isIndex() ? Type(b.getI32Type()) : type};
}

LogicalResult KernelEmitter::emit() {
  b.setInsertionPointToStart(&function.getBody().front());
  element = plan.first.getShapeOfA().getElementType();
  begin();
  if (plan.sum)
    takeShare(*plan.sum, sharesOf(kernel), matrices);
  return emitProgram(kernel, plan.role, [&] {
    prepareCopy(plan.a);
    prepareCopy(plan.b);
    prepareProducts();
  });
}

LogicalResult KernelEmitter::emitOperation(Operation &op) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(&op)
      .Case([&](ScheduleOp schedule) { return emitSchedule(schedule); })
      .Case([&](scf::ForOp loop) { return plan.turns ? emitTurnsOf(loop) : emitProducts(loop); })
      .Case([&](scf::IfOp branch) { return emitBranch(branch); })
      .Case([&](StoreOp store) { return this->store(store); })
      .Case([&](WaitOp wait) {
        if (plan.turns)
          return success(); // the turn before has
        // In front of the loop the first slot; in it that of the turn.
        auto loop = dyn_cast<scf::ForOp>(wait->getParentOp());
        fetch(lookup(loop ? loop.getInductionVar() : plan.copies.getLowerBound()).front());
        return success();
      })
      .Case([&](ReleaseOp) { return success(); }) // a barrier separates what reads a slot from what fills it again
      .Case([&](MmaOp mma) {
        if (!mma.getAcc())
          beginSums();
        if (plan.turns)
          compute(current);
        else
          issued.push_back(arriving);
        return success();
      })
      .Case([&](MmaWaitOp wait) {
        computeUntil(wait.getPending());
        takeSums(wait);
        return success();
      })
      .Case([&](ReadOp) { return success(); }) // where a map uses it
      .Case([&](MapOp each) {
        mapElements(each);
        return success();
      })
      .Case([&](memref::DimOp dim) { return sizeOf(dim); })
      .Default([&](Operation *other) -> LogicalResult {
        auto constant = dyn_cast<arith::ConstantOp>(other);
        if (!plan.turns || !constant || !isRegisterTile(constant.getType()))
          return emitScalar(*other);
        auto splat = cast<SplatElementsAttr>(constant.getValue());
        Value number = arith::ConstantOp::create(b, cast<TypedAttr>(splat.getSplatValue<Attribute>()));
        map(constant.getResult(), SmallVector<Value>(elements(), number));
        return success();
      });
}

/// One loop over the turns whose next tiles the matrices have whole, and one over the others.
LogicalResult KernelEmitter::emitTurnsOf(scf::ForOp op) {
  auto number = [&](Value value) { return lookup(value).front(); };
  Value lower = number(op.getLowerBound()), upper = number(op.getUpperBound()), step = number(op.getStep());
  auto take = [&](Value from, Value to) { // tiles from column `from` on, on their way to slot `to`
    fetch(from);
    arriving = to;
  };
  take(lower, i32(0));
  arrive(); // all waves met behind the last turn of the tile before, and read no slot since
  SmallVector<Value> carried = lookupAll(op.getInitArgs());
  carried.push_back(i32(0));
  auto turn = [&](Value index, SmallVectorImpl<Value> &inside) -> LogicalResult {
    current = inside.pop_back_val();
    Value other = binary("arith.subi", i32(plan.slotBytes), current);
    take(add(index, step), other);
    if (failed(emitTurn(op, index, inside)))
      return failure();
    arrive();
    inside.push_back(other);
    return success();
  };
  Value slots = binary("arith.divui", binary("arith.maxsi", binary("arith.subi", upper, lower), i32(0)), step);
  Value last = add(lower, multiply(binary("arith.maxsi", binary("arith.subi", slots, i32(1)), i32(0)), step));
  whole = true, scheduled = chip.mfma;
  LogicalResult made = emitTurns(lower, last, step, carried, turn);
  whole = scheduled = false;
  if (failed(made) || failed(emitTurns(last, upper, step, carried, turn)))
    return failure();
  carried.pop_back();
  mapAll(op.getResults(), carried);
  return success();
}

LogicalResult KernelEmitter::emitProducts(scf::ForOp op) {
  if (issued.size() != 1)
    return unfit(op) << "expects one product in flight where the loop over k begins on " << chip.name << ", but got "
                     << issued.size();
  arrive(); // the first slot
  auto number = [&](Value value) { return lookup(value).front(); };
  Value lower = number(op.getLowerBound()), upper = number(op.getUpperBound()), step = number(op.getStep());
  auto turn = [&](Value index, Value slot) -> LogicalResult {
    map(op.getInductionVar(), index);
    issued.assign(1, slot);
    if (failed(emitBlock(*op.getBody())))
      return failure();
    if (issued.size() != 1)
      return unfit(op) << "expects one product in flight where a turn of the loop over k ends on " << chip.name
                       << ", but got " << issued.size();
    arrive();
    return success();
  };
  Value distance = binary("arith.maxsi", binary("arith.subi", upper, lower), i32(0));
  Value stride = multiply(step, i32(2)); // those of a pair whose tiles the matrices have whole
  Value last = add(lower, multiply(binary("arith.divui", distance, stride), stride));
  if (!plan.b.alongK && chip.mfma) { // 32 bits tell how far a turn is along the rows of B
    const Matrix &w = matrices[plan.b.copy.getFrom()];
    Value bytes = multiply(multiply(arith::ExtUIOp::create(b, b.getI64Type(), w.rows), w.stride), i64(elementBytes()));
    Value tells = compare(arith::CmpIPredicate::ult, bytes, i64(int64_t(1) << 32));
    last = arith::SelectOp::create(b, tells, last, lower);
  }
  SmallVector<Value> carried = sums;
  whole = true, scheduled = chip.mfma;
  LogicalResult made = emitTurns(lower, last, stride, carried, [&](Value index, SmallVectorImpl<Value> &inside) {
    sums = llvm::to_vector(inside);
    if (failed(turn(index, i32(0))) || failed(turn(add(index, step), i32(plan.slotBytes))))
      return failure();
    inside = sums;
    return success();
  });
  whole = scheduled = false;
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

void KernelEmitter::fetch(Value step) {
  followTile(plan.copies, plan.first);
  map(plan.copies.getInductionVar(), step);
  first = issued.empty() && !plan.turns;
  if (!plan.turns)
    arriving = first ? i32(0) : binary("arith.subi", i32(plan.slotBytes), issued.back());
  loaded = {load(plan.a), load(plan.b)};
  if (scheduled) // LLVM would move the loads behind the products, where nothing hides them
    intrinsic("llvm.amdgcn.sched.barrier", Type(), {i32(0)});
}

void KernelEmitter::arrive() {
  if (loaded.empty())
    return;
  if (first)
    synchronise(); // waves may still read it for the tile before
  if (scheduled)   // for all loads at once, of which the products have hidden the last too
    intrinsic("llvm.amdgcn.s.waitcnt", Type(), {i32(kLoadsAreThere)});
  for (const Loaded &each : loaded)
    put(each, arriving);
  loaded.clear();
  synchronise();
}

} // namespace stepdown::amd
