// A channel is a ring with two barriers a slot. `full` completes when its one arrival, the producer's with the bytes it
// has asked for, and all those bytes have come; `empty` when each warpgroup that reads has arrived. A barrier counts
// phases; who waits names the parity of the phase to end. Slots are gone through in order, so a consumer waits on
// parity 0 in its first round, 1 in the second ...; a producer's first round must not wait at all, and waiting for
// parity 1 on a barrier in its first phase does not: so it begins with 1.
//
// In a cluster each block copies its part of what all of them read into the shared memory of each of them, where the
// bytes count for that block's own `full`. It may do so once all blocks have let go of the slot: `empty` completes when
// the warpgroups of all of them have arrived. Then `full` is in the phase that the bytes are for in each block, since
// who has let go has seen the one before. No block begins before all barriers are there, and none ends while another
// may still arrive at its own.
#include "passes/NVIDIA/KernelEmitter.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "passes/NVIDIA/SharedLayout.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::nvidia {

KernelEmitter::KernelEmitter(KernelOp kernel, const KernelPlan &plan, LLVM::LLVMFuncOp function)
    : RegisterEmitter(kernel, "sm_90a", function), plan(plan) {}

SmallVector<Type> KernelEmitter::convert(Type type) {
  if (type.isIndex())
    return {b.getI32Type()};
  if (auto sum = dyn_cast<AccumulatorType>(type); sum && role) {
    const RegisterTile tile(sum.getSum(), role);
    const SmallVector<Type> part(tile.columns / 2, sum.getSum().getElementType());
    return SmallVector<Type>(tile.rows / 64 * tile.parts, LLVM::LLVMStructType::getLiteral(b.getContext(), part));
  }
  if (auto vector = dyn_cast<VectorType>(type); vector && role) {
    const int64_t count = RegisterTile(vector, role).count();
    return vector.getElementTypeBitWidth() == 16 ? SmallVector<Type>(count / 2, b.getI32Type())
                                                 : SmallVector<Type>(count, vector.getElementType());
  }
  return {type};
}

//===-- Prologue -------------------------------------------------------------------------------------------------===//

void KernelEmitter::readParameters() {
  unsigned next = 0;
  auto parameter = [&]() -> Value { return function.getBody().front().getArgument(next++); };
  for (auto [argument, entry] : llvm::zip(kernel.getBody().getArguments(), plan.arguments)) {
    if (!isa<MemRefType>(argument.getType())) {
      map(argument, parameter());
      continue;
    }
    Matrix matrix;
    if (entry.box)
      matrix.map = parameter();
    if (entry.pointer) {
      matrix.pointer = parameter();
      matrix.stride = parameter();
    }
    if (!isPacked(cast<MemRefType>(argument.getType()))) {
      matrix.rows = parameter();
      matrix.columns = parameter();
    }
    matrices[argument] = matrix;
  }
  chooseProduct(kernel, matrices);
}

void KernelEmitter::initialiseBarriers() {
  auto first = scf::IfOp::create(b, compare(arith::CmpIPredicate::eq, inBlock, i32(0)), /*withElseRegion=*/false);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(first.thenBlock()->getTerminator());
    for (auto [argument, entry] : llvm::zip(kernel.getBody().getArguments(), plan.arguments))
      if (Value map = matrices.lookup(argument).map;
          map && !entry.staged && !argument.use_empty()) // else it may be zeros
        NVVM::PrefetchOp::create(b, NVVM::PrefetchCacheLevelAttr(), NVVM::CacheEvictionPriorityAttr(), map, Value(),
                                 b.getUnitAttr());
    for (auto &[channel, ring] : plan.channels)
      for (int64_t slot = 0; slot < cast<ChannelOp>(channel).getType().getDepth(); ++slot) {
        NVVM::MBarrierInitOp::create(b, barrier(ring.full, i32(slot)), i32(1), Value());
        NVVM::MBarrierInitOp::create(b, barrier(ring.empty, i32(slot)), i32(ring.readers * cluster), Value());
      }
    NVVM::FenceMbarrierInitOp::create(b);
    NVVM::FenceProxyOp::create(b, NVVM::ProxyKindAttr::get(b.getContext(), NVVM::ProxyKind::async_shared),
                               NVVM::SharedSpaceAttr::get(b.getContext(), NVVM::SharedSpace::shared_cta));
  }
  if (cluster > 1)
    return meetCluster();
  NVVM::Barrier0Op::create(b);
}

/// All threads of all blocks of the cluster; of a role of one thread the others come first.
void KernelEmitter::meetCluster() {
  NVVM::ClusterArriveOp::create(b, UnitAttr());
  NVVM::ClusterWaitOp::create(b, UnitAttr());
}

LogicalResult KernelEmitter::emit() {
  b.setInsertionPointToStart(&function.getBody().front());
  readParameters();
  identifyThread();
  thread = binary("arith.andi", inBlock, i32(kWarpgroup - 1));
  if (cluster > 1)
    rank = binary("arith.remui", blockIndex(0), i32(cluster));
  if (plan.sum)
    share = takeShare(*plan.sum, sharesOf(kernel), matrices);
  initialiseBarriers();
  for (Operation &op : kernel.getBody().front()) {
    b.setLoc(op.getLoc());
    if (isa<ChannelOp>(op))
      continue;
    if (failed(isa<RoleOp>(op) ? emitRole(cast<RoleOp>(op)) : emitOperation(op)))
      return failure();
  }
  if (cluster > 1)
    meetCluster();
  LLVM::ReturnOp::create(b, ValueRange());
  return success();
}

LogicalResult KernelEmitter::emitRole(RoleOp op) {
  role = op;
  ends.clear();
  const RolePlan &place = plan.roles.find(op)->second;
  OpBuilder::InsertionGuard guard(b);
  // Warps below this role's are other roles': one comparison tells.
  Value inRole = binary("arith.subi", warp, i32(place.firstWarp));
  auto mine = scf::IfOp::create(b, compare(arith::CmpIPredicate::ult, inRole, i32(op.getWarps())),
                                /*withElseRegion=*/false);
  b.setInsertionPoint(mine.thenBlock()->getTerminator());
  const int64_t registers = op.getRegisters();
  if (registers != plan.registers)
    NVVM::SetMaxRegisterOp::create(
        b, b.getI32IntegerAttr(registers),
        NVVM::SetMaxRegisterActionAttr::get(b.getContext(), registers < plan.registers
                                                                ? NVVM::SetMaxRegisterAction::decrease
                                                                : NVVM::SetMaxRegisterAction::increase));
  warpgroup = binary("arith.shrui", inRole, i32(2));
  if (place.single) {
    auto one = scf::IfOp::create(b, compare(arith::CmpIPredicate::eq, inRole, i32(0)), /*withElseRegion=*/false);
    b.setInsertionPoint(one.thenBlock()->getTerminator());
    Value elected = NVVM::ElectSyncOp::create(b, b.getI1Type(), Value());
    auto thread = scf::IfOp::create(b, elected, /*withElseRegion=*/false);
    b.setInsertionPoint(thread.thenBlock()->getTerminator());
  }
  auto cell = [&](int64_t value) -> Value {
    Value place;
    {
      OpBuilder::InsertionGuard entry(b); // where LLVM looks for what can be kept in registers
      b.setInsertionPointToStart(&function.getBody().front());
      place = LLVM::AllocaOp::create(b, LLVM::LLVMPointerType::get(b.getContext()), b.getI32Type(), i32(1));
    }
    LLVM::StoreOp::create(b, i32(value), place);
    return place;
  };
  for (auto &[channel, ring] : plan.channels) {
    bool fills = false, reads = false;
    for (Operation *user : channel->getUsers())
      if (user->getParentOfType<RoleOp>() == op)
        (isa<AcquireOp, CommitOp>(user) ? fills : reads) = true;
    if (fills || reads)
      ends[channel->getResult(0)] = {cell(0), cell(fills ? 1 : 0)};
  }
  if (!place.single)
    prepareDescriptors();
  const int64_t warpgroups = op.getThreads() / kWarpgroup;
  // A barrier's number comes out of a register of each lane: made of the thread's number it is in one.
  auto ofWarpgroup = [&](int64_t first) {
    return add(binary("arith.shrui", NVVM::ThreadIdXOp::create(b, b.getI32Type()), i32(7)),
               i32(first - place.firstWarp / 4));
  };
  if (place.stage) {
    stageBarrier = warpgroups == 1 ? i32(place.stage->firstBarrier) : ofWarpgroup(place.stage->firstBarrier);
    Value first = compare(arith::CmpIPredicate::eq, binary("arith.andi", inRole, i32(3)), i32(0));
    issuer = binary("arith.andi", first, NVVM::ElectSyncOp::create(b, b.getI1Type(), Value()));
  }
  if (failed(place.firstTurn ? emitInTurns(op, ofWarpgroup(place.firstTurn)) : emitBlock(op.getBody().front())))
    return failure();
  if (place.stage) // shared memory is the block's until it has been read
    onIssuer([&] { waitForStages(0); });
  return success();
}

LogicalResult KernelEmitter::emitInTurns(RoleOp op, Value barrier) {
  const int64_t warpgroups = op.getThreads() / kWarpgroup, firstTurn = plan.roles.find(op)->second.firstTurn;
  turn = barrier;
  Value last = compare(arith::CmpIPredicate::eq, turn, i32(firstTurn + warpgroups - 1));
  nextTurn = arith::SelectOp::create(b, last, i32(firstTurn), add(turn, i32(1)));
  // The first turn is the first warpgroup's: nobody leaves one before it, so the last one says so. At the end what the
  // last has left is taken.
  auto only = [&](int64_t number) {
    return scf::IfOp::create(b, compare(arith::CmpIPredicate::eq, warpgroup, i32(number)), /*withElseRegion=*/false);
  };
  {
    auto end = only(warpgroups - 1);
    OpBuilder::InsertionGuard inner(b);
    b.setInsertionPoint(end.thenBlock()->getTerminator());
    arriveAt(i32(firstTurn));
  }
  if (failed(emitBlock(op.getBody().front())))
    return failure();
  auto first = only(0);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(first.thenBlock()->getTerminator());
  meetAt(i32(firstTurn));
  return success();
}

//===-- Turns ----------------------------------------------------------------------------------------------------===//

// Each warpgroup has a named barrier for its turn, at which it meets the one before it.
void KernelEmitter::arriveAt(Value turn) {
  LLVM::CallIntrinsicOp::create(b, b.getStringAttr("llvm.nvvm.barrier.cta.arrive.aligned.count"),
                                ValueRange{turn, i32(2 * kWarpgroup)});
}
void KernelEmitter::meetAt(Value turn) {
  LLVM::CallIntrinsicOp::create(b, b.getStringAttr("llvm.nvvm.barrier.cta.sync.aligned.count"),
                                ValueRange{turn, i32(2 * kWarpgroup)});
}

LogicalResult KernelEmitter::takeTurn(bool enters) {
  if (plan.roles.find(role)->second.firstTurn)
    enters ? meetAt(turn) : arriveAt(nextTurn);
  return success();
}

LogicalResult KernelEmitter::emitOperation(Operation &op) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(&op)
      .Case([&](ScheduleOp schedule) { return emitSchedule(schedule); })
      .Case([&](scf::ForOp loop) { return plan.roles.find(role)->second.single ? emitLoop(loop) : emitParts(loop); })
      .Case([&](scf::IfOp branch) { return emitBranch(branch); })
      .Case([&](StoreOp store) { return this->store(store); })
      .Case([&](AcquireOp acquire) { return take(acquire.getChannel(), acquire.getTiles(), true), success(); })
      .Case([&](WaitOp wait) { return take(wait.getChannel(), wait.getTiles(), false), success(); })
      .Case([&](ReleaseOp release) { return this->release(release), success(); })
      .Case([&](EnterTurnOp) { return takeTurn(true); })
      .Case([&](LeaveTurnOp) { return takeTurn(false); })
      .Case([&](CommitOp) { return success(); }) // the acquire has arrived, with the bytes of all copies
      .Case([&](CopyOp copy) { return this->copy(copy), success(); })
      .Case([&](UnpackOp unpacked) {
        const TileView &view = tiles[unpacked.getTile()];
        return unpack(unpacked, multiply(view.slot, i32(view.slotBytes)), view.offset), success();
      })
      .Case([&](MmaOp mma) { return multiply(mma), success(); })
      .Case([&](MmaWaitOp wait) { return this->wait(wait), success(); })
      .Case([&](ReadOp) { return success(); }) // its maps read
      .Case([&](MapOp map) { return isMappedLate(map) ? success() : (mapElements(map), success()); })
      .Case([&](ReduceOp reduce) { return this->reduce(reduce), success(); })
      .Case([&](MaskOp mask) { return this->mask(mask), success(); })
      .Case([&](ConvertOp convert) { return narrow(convert), success(); })
      .Case([&](EntryOp entry) { return load(entry), success(); })
      .Case([&](memref::DimOp dim) { return sizeOf(dim); })
      .Default([&](Operation *other) {
        auto constant = dyn_cast<arith::ConstantOp>(other);
        if (constant && isRegisterTile(constant.getType()) && role)
          return fill(constant), success();
        return emitScalar(*other);
      });
}

//===-- Channels -------------------------------------------------------------------------------------------------===//

Value KernelEmitter::barrier(int64_t first, Value slot) { return shared(multiply(slot, i32(8)), first); }

static NVVM::MemScopeKindAttr scope(OpBuilder &b, bool ofCluster) {
  return NVVM::MemScopeKindAttr::get(b.getContext(), ofCluster ? NVVM::MemScopeKind::CLUSTER : NVVM::MemScopeKind::CTA);
}

void KernelEmitter::waitFor(Value barrier, Value parity, bool ofCluster) {
  auto loop = scf::WhileOp::create(b, TypeRange(), ValueRange());
  OpBuilder::InsertionGuard guard(b);
  b.createBlock(&loop.getBefore());
  Value done = NVVM::MBarrierTryWaitOp::create(b, b.getI1Type(), barrier, parity, Value(), scope(b, ofCluster));
  Value again = binary("arith.xori", done, arith::ConstantOp::create(b, b.getBoolAttr(true)));
  scf::ConditionOp::create(b, again, ValueRange());
  b.createBlock(&loop.getAfter());
  scf::YieldOp::create(b);
}

void KernelEmitter::advance(Value slot, Value parity, int64_t depth) {
  Value now = LLVM::LoadOp::create(b, b.getI32Type(), slot), before = LLVM::LoadOp::create(b, b.getI32Type(), parity);
  Value next, turns; // whether the next slot is the first one
  if (depth == 2) {
    next = binary("arith.xori", now, i32(1));
    turns = now;
  } else {
    next = add(now, i32(1));
    Value around = compare(arith::CmpIPredicate::eq, next, i32(depth));
    next = arith::SelectOp::create(b, around, i32(0), next);
    turns = arith::ExtUIOp::create(b, b.getI32Type(), around);
  }
  LLVM::StoreOp::create(b, next, slot);
  LLVM::StoreOp::create(b, binary("arith.xori", before, turns), parity);
}

void KernelEmitter::take(Value channel, ValueRange views, bool fill) {
  const ChannelPlan &ring = plan.channels.find(channel.getDefiningOp())->second;
  const End &end = ends[channel];
  const int64_t depth = cast<ChannelType>(channel.getType()).getDepth();
  auto round = rounds.find(channel);
  Value parity = LLVM::LoadOp::create(b, b.getI32Type(), end.parity), slot;
  if (round == rounds.end()) {
    slot = LLVM::LoadOp::create(b, b.getI32Type(), end.slot);
  } else {
    Round &held = round->second;
    slot = held.slots[held.next % depth];
    parity = binary("arith.xori", parity, held.turned[held.next % depth]);
    if (held.next / depth % 2)
      parity = binary("arith.xori", parity, i32(1));
    ++held.next;
  }
  waitFor(barrier(fill ? ring.empty : ring.full, slot), parity, fill && cluster > 1);
  Value full;
  if (fill) {
    int64_t bytes = 0; // whole boxes: what lies outside the matrix comes as zeros, and counts
    for (Value view : views)
      bytes += tileBytes(cast<MemRefType>(view.getType()));
    full = barrier(ring.full, slot);
    NVVM::MBarrierArriveExpectTxOp::create(b, b.getI64Type(), full, i32(bytes), scope(b, false), b.getBoolAttr(false),
                                           Value());
  }
  for (auto [view, offset] : llvm::zip(views, ring.tiles))
    tiles[view] = {slot, ring.slotBytes, ring.offset + offset, full};
  if (round == rounds.end())
    advance(end.slot, end.parity, depth);
}

/// How many slots of `channel` the operations of `block` in front of `end` leave held.
static int64_t heldAfter(Value channel, Block *block, Operation *end) {
  int64_t held = 0;
  for (Operation &op : *block) {
    if (&op == end)
      break;
    if (auto wait = dyn_cast<WaitOp>(op))
      held += wait.getChannel() == channel;
    else if (auto release = dyn_cast<ReleaseOp>(op))
      held -= release.getChannel() == channel;
    else if (auto branch = dyn_cast<scf::IfOp>(op)) // both ways leave the same, and loops what they found
      held += heldAfter(channel, branch.thenBlock(), nullptr);
  }
  Operation *parent = block->getParentOp();
  return end && !isa<RoleOp>(parent) ? held + heldAfter(channel, parent->getBlock(), parent) : held;
}

/// Of a ring the slots held are the latest ones, and how many they are the text says.
Value KernelEmitter::oldest(ReleaseOp op) {
  Value channel = op.getChannel();
  const int64_t depth = cast<ChannelType>(channel.getType()).getDepth();
  const int64_t behind = depth - heldAfter(channel, op->getBlock(), op);
  if (auto round = rounds.find(channel); round != rounds.end())
    return round->second.slots[(round->second.next + behind) % depth];
  Value next = LLVM::LoadOp::create(b, b.getI32Type(), ends[channel].slot);
  if (behind == 0)
    return next;
  if (depth == 2)
    return binary("arith.xori", next, i32(1));
  Value slot = add(next, i32(behind));
  Value past = compare(arith::CmpIPredicate::uge, slot, i32(depth));
  return arith::SelectOp::create(b, past, add(slot, i32(-depth)), slot);
}

void KernelEmitter::release(ReleaseOp op) {
  const ChannelPlan &ring = plan.channels.find(op.getChannel().getDefiningOp())->second;
  Value empty = barrier(ring.empty, oldest(op));
  // One thread speaks for its warpgroup, to each block of the cluster: mma_wait has waited for all of it. Where lanes
  // read, one speaks for its warp.
  if (ring.unpacked)
    NVVM::SyncWarpOp::create(b, i32(-1));
  auto one = scf::IfOp::create(b, compare(arith::CmpIPredicate::eq, ring.unpacked ? lane : thread, i32(0)),
                               /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(one.thenBlock()->getTerminator());
  if (cluster == 1) {
    NVVM::MBarrierArriveOp::create(b, b.getI64Type(), empty, Value(), scope(b, false));
    return;
  }
  // By one thread to all: the address in a block of the thread's number would be asked for by all threads.
  for (int64_t block = 0; block < cluster; ++block) {
    Value there = NVVM::MapaOp::create(b, LLVM::LLVMPointerType::get(b.getContext(), 7), empty, i32(block));
    NVVM::MBarrierArriveOp::create(b, Type(), there, Value(), scope(b, true));
  }
}

void KernelEmitter::copy(CopyOp op) {
  const MemRefType tile = op.getTo().getType();
  const TileView view = tiles[op.getTo()];
  Value row = lookup(op.getRow()).front(), column = lookup(op.getColumn()).front();
  if (share) { // tensor maps are of whole matrices
    Value &along = op == plan.sum->b && !plan.sum->transposeB ? row : column;
    along = add(along, share);
  }
  const bool together = plan.shared.contains(op);
  Value blocks; // all of the cluster
  if (together)
    blocks = LLVM::ConstantOp::create(b, b.getI16Type(), b.getI16IntegerAttr(int16_t((1 << cluster) - 1)));
  auto load = [&](Value to, ValueRange coordinates) {
    Value inCluster = LLVM::AddrSpaceCastOp::create(b, LLVM::LLVMPointerType::get(b.getContext(), 7), to);
    NVVM::CpAsyncBulkTensorGlobalToSharedClusterOp::create(
        b, inCluster, matrices[op.getFrom()].map, coordinates, view.barrier, ValueRange(), blocks, Value(),
        NVVM::TMALoadModeAttr::get(b.getContext(), NVVM::TMALoadMode::TILE), b.getBoolAttr(false),
        NVVM::CTAGroupKindAttr(), Value());
  };
  if (isPacked(tile)) {
    const int64_t pieces = piecesOf(tile::elementBytes(tile.getElementType()));
    return load(shared(multiply(view.slot, i32(view.slotBytes)), view.offset),
                {i32(0), multiply(column, i32(pieces)), row});
  }
  Value slot = multiply(view.slot, i32(view.slotBytes));
  if (together) {
    Value first = multiply(rank, i32(tile.getDimSize(0) / cluster)); // of the rows that this block copies
    row = add(row, first);
    slot = add(slot, multiply(first, i32(kRowBytes)));
  }
  for (int64_t c = 0; c < tile.getDimSize(1); c += blockColumns(tile)) {
    Value to = shared(slot, view.offset + c / blockColumns(tile) * blockBytes(tile));
    load(to, {add(column, i32(c)), row});
  }
}

} // namespace stepdown::nvidia
