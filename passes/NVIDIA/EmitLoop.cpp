// A loop that goes through the slots of rings, in parts. Where a mask lets a whole block of columns through it does
// nothing, so the blocks in the middle, the most by far, go through a loop without it, and those in front of them and
// behind them through another. In the middle loop the body stands as often as the rings are deep: what a slot's number
// decides, addresses of barriers and descriptors, then is a number for each copy that the loop does not change, and
// parities alone change from turn to turn. What is left of the middle when its blocks are shared out in copies goes
// with those behind it.
#include "passes/NVIDIA/KernelEmitter.h"
#include <numeric>

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::nvidia {

/// Copies of a body at most.
static constexpr int64_t kCopies = 8;

/// How often the body of `op` stands in its middle loop: the least multiple of its rings' depths.
static int64_t copiesOf(scf::ForOp op) {
  if (llvm::any_of(op.getRegionIterArgs(), [](Value value) { return isa<VectorType>(value.getType()); }))
    return 1;                                               // what is computed with in registers needs them all
  llvm::MapVector<Value, std::pair<int64_t, int64_t>> uses; // of each ring: waits and releases
  bool multiplies = false;
  for (Operation &inner : op.getBody()->without_terminator()) {
    if (auto wait = dyn_cast<WaitOp>(inner))
      ++uses[wait.getChannel()].first;
    else if (auto release = dyn_cast<ReleaseOp>(inner))
      ++uses[release.getChannel()].second;
    else if (isa<AcquireOp>(inner) || (inner.getNumRegions() != 0 && !isa<MapOp>(inner)))
      return 1;
    multiplies |= isa<MmaOp>(inner);
  }
  int64_t copies = 1;
  for (auto &[channel, count] : uses) {
    if (count.first != 1 || count.second != 1)
      return 1;
    copies = std::lcm(copies, cast<ChannelType>(channel.getType()).getDepth());
  }
  return multiplies && copies <= kCopies ? copies : 1;
}

/// The masks of the loop's body that move with it and else are what they were before it.
static SmallVector<MaskOp> masksOf(scf::ForOp op) {
  SmallVector<MaskOp> masks;
  for (auto mask : op.getBody()->getOps<MaskOp>()) {
    auto outside = [&](Value value) { return !value || op.isDefinedOutsideOfLoop(value); };
    if (mask.getColumn() == op.getInductionVar() && outside(mask.getRow()) && outside(mask.getColumns()) &&
        outside(mask.getFrom()) && outside(mask.getBelow()))
      masks.push_back(mask);
  }
  return masks;
}

/// Which slots the copies of a body take, and how their parities differ from the first one's.
void KernelEmitter::beginRounds(scf::ForOp op) {
  for (auto wait : op.getBody()->getOps<WaitOp>()) {
    Value channel = wait.getChannel(), first = LLVM::LoadOp::create(b, b.getI32Type(), ends[channel].slot);
    const int64_t depth = cast<ChannelType>(channel.getType()).getDepth();
    Round &round = rounds[channel];
    for (int64_t i = 0; i < depth; ++i) {
      Value next = add(first, i32(i)), past = compare(arith::CmpIPredicate::uge, next, i32(depth));
      round.slots.push_back(arith::SelectOp::create(b, past, add(next, i32(-depth)), next));
      round.turned.push_back(arith::ExtUIOp::create(b, b.getI32Type(), past));
    }
    round.next = 0;
  }
}

/// Behind all copies a ring is at the slot that it was at; its parity has changed with each time around.
void KernelEmitter::endRounds(int64_t copies) {
  for (auto &[channel, round] : rounds) {
    round.next = 0;
    if (copies / int64_t(round.slots.size()) % 2 == 0)
      continue;
    Value parity = ends[channel].parity;
    LLVM::StoreOp::create(b, binary("arith.xori", LLVM::LoadOp::create(b, b.getI32Type(), parity), i32(1)), parity);
  }
}

LogicalResult KernelEmitter::emitParts(scf::ForOp op) {
  const int64_t copies = copiesOf(op);
  const SmallVector<MaskOp> masks = masksOf(op);
  if (copies == 1 && masks.empty())
    return emitLoop(op);
  SmallVector<Value> carried;
  for (Value init : op.getInitArgs())
    llvm::append_range(carried, lookup(init));
  auto number = [&](Value value) { return lookup(value).front(); };
  Value lower = number(op.getLowerBound()), upper = number(op.getUpperBound()), step = number(op.getStep());
  auto least = [&](Value x, Value y) { return binary("arith.minsi", x, y); };
  auto notNegative = [&](Value x) { return binary("arith.maxsi", x, i32(0)); };

  // Blocks from `first` on begin late enough for all rows of the warpgroup; those that end by `end` do early enough.
  Value first = lower, end, from;
  for (MaskOp mask : masks) {
    const RegisterTile tile(mask.getType(), role);
    Value row = add(number(mask.getRow()), multiply(warpgroup, i32(tile.rows)));
    Value stop = number(mask.getColumns());
    if (mask.getBelow())
      stop = least(stop, add(row, number(mask.getBelow())));
    stop = add(stop, i32(-mask.getType().getDimSize(1)));
    end = end ? least(end, stop) : stop;
    if (!mask.getFrom())
      continue;
    Value start = add(add(row, number(mask.getFrom())), i32(tile.rows - 1));
    from = from ? binary("arith.maxsi", from, start) : start;
  }
  auto turn = [&](Value index, SmallVectorImpl<Value> &inside) { return emitTurn(op, index, inside); };
  auto turnsIn = [&](Value distance) {
    return binary("arith.divui", notNegative(add(distance, binary("arith.subi", step, i32(1)))), step);
  };
  if (from) {
    first = add(lower, multiply(turnsIn(binary("arith.subi", from, lower)), step));
    if (failed(emitTurns(lower, least(first, upper), step, carried, turn)))
      return failure();
  }
  // Turns in the middle: those below `upper` whose blocks begin at `end` or before.
  Value middle = turnsIn(binary("arith.subi", upper, first));
  if (end)
    middle = least(middle, turnsIn(add(binary("arith.subi", end, first), i32(1))));
  Value most = binary("arith.divui", middle, i32(copies));
  Value stride = multiply(step, i32(copies)), last = add(first, multiply(most, stride));
  if (copies > 1)
    beginRounds(op);
  open.insert(masks.begin(), masks.end());
  LogicalResult made = emitTurns(first, last, stride, carried, [&](Value index, SmallVectorImpl<Value> &inside) {
    for (int64_t copy = 0; copy < copies; ++copy)
      if (failed(emitTurn(op, add(index, multiply(step, i32(copy))), inside)))
        return failure();
    endRounds(copies);
    return success();
  });
  open.clear();
  rounds.clear();
  if (failed(made) || failed(emitTurns(last, upper, step, carried, turn)))
    return failure();
  mapAll(op.getResults(), carried);
  return success();
}

} // namespace stepdown::nvidia
