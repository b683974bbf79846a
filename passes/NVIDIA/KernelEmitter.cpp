// A channel is a ring with two barriers a slot. `full` completes when its one arrival, the producer's with the bytes it
// has asked for, and all those bytes have come; `empty` when each warpgroup that reads has arrived. A barrier counts
// phases; who waits names the parity of the phase to end. Slots are gone through in order, so a consumer waits on
// parity 0 in its first round, 1 in the second ...; a producer's first round must not wait at all, and waiting for
// parity 1 on a barrier in its first phase does not: so it begins with 1.
#include "passes/NVIDIA/KernelEmitter.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/NVIDIA/SharedLayout.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::nvidia {

KernelEmitter::KernelEmitter(KernelOp kernel, const KernelPlan &plan, LLVM::LLVMFuncOp function)
    : kernel(kernel), plan(plan), function(function), b(kernel.getLoc(), kernel.getContext()) {}

//===-- Values ---------------------------------------------------------------------------------------------------===//

Value KernelEmitter::i32(int64_t value) { return arith::ConstantOp::create(b, b.getI32IntegerAttr(int32_t(value))); }
Value KernelEmitter::i64(int64_t value) { return arith::ConstantOp::create(b, b.getI64IntegerAttr(value)); }
Value KernelEmitter::binary(StringRef name, Value a, Value c) {
  OperationState state(b.getLoc(), name, {a, c}, {a.getType()});
  return b.create(state)->getResult(0);
}
Value KernelEmitter::add(Value a, Value c) { return binary("arith.addi", a, c); }
Value KernelEmitter::multiply(Value a, Value c) { return binary("arith.muli", a, c); }
Value KernelEmitter::compare(arith::CmpIPredicate predicate, Value a, Value c) {
  return arith::CmpIOp::create(b, predicate, a, c);
}
Value KernelEmitter::shared(Value offset) {
  return LLVM::GEPOp::create(b, base.getType(), b.getI8Type(), base, ArrayRef<LLVM::GEPArg>{offset});
}

SmallVector<Value> KernelEmitter::lookup(Value value) {
  auto it = values.find(value);
  assert(it != values.end() && "a value is emitted before its uses");
  return it->second;
}

void KernelEmitter::map(Value value, ValueRange made) { values[value] = llvm::to_vector(made); }

SmallVector<Type> KernelEmitter::convert(Type type, RoleOp role) {
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
    matrix.rows = parameter();
    matrix.columns = parameter();
    matrices[argument] = matrix;
  }
}

void KernelEmitter::identifyThread() {
  base = LLVM::AddressOfOp::create(b, LLVM::LLVMPointerType::get(b.getContext(), 3), "smem");
  address = LLVM::PtrToIntOp::create(b, b.getI32Type(), base);
  Value inBlock = NVVM::ThreadIdXOp::create(b, b.getI32Type());
  thread = binary("arith.andi", inBlock, i32(kWarpgroup - 1));
  lane = binary("arith.andi", inBlock, i32(31));
  // All lanes have one warp, but only after a shuffle does ptxas know, and keep it in a uniform register.
  warp = NVVM::ShflOp::create(b, b.getI32Type(), i32(-1), binary("arith.shrui", inBlock, i32(5)), i32(0), i32(31),
                              NVVM::ShflKind::idx, UnitAttr());
}

void KernelEmitter::initialiseBarriers() {
  Value inBlock = NVVM::ThreadIdXOp::create(b, b.getI32Type());
  auto first = scf::IfOp::create(b, compare(arith::CmpIPredicate::eq, inBlock, i32(0)), /*withElseRegion=*/false);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(first.thenBlock()->getTerminator());
    for (BlockArgument argument : kernel.getBody().getArguments())
      if (Value map = matrices.lookup(argument).map)
        NVVM::PrefetchOp::create(b, NVVM::PrefetchCacheLevelAttr(), NVVM::CacheEvictionPriorityAttr(), map, Value(),
                                 b.getUnitAttr());
    for (auto &[channel, ring] : plan.channels)
      for (int64_t slot = 0; slot < cast<ChannelOp>(channel).getType().getDepth(); ++slot) {
        NVVM::MBarrierInitOp::create(b, barrier(ring.full, i32(slot)), i32(1), Value());
        NVVM::MBarrierInitOp::create(b, barrier(ring.empty, i32(slot)), i32(ring.readers), Value());
      }
    NVVM::FenceMbarrierInitOp::create(b);
    NVVM::FenceProxyOp::create(b, NVVM::ProxyKindAttr::get(b.getContext(), NVVM::ProxyKind::async_shared),
                               NVVM::SharedSpaceAttr::get(b.getContext(), NVVM::SharedSpace::shared_cta));
  }
  NVVM::Barrier0Op::create(b);
}

LogicalResult KernelEmitter::emit() {
  b.setInsertionPointToStart(&function.getBody().front());
  readParameters();
  identifyThread();
  initialiseBarriers();
  for (Operation &op : kernel.getBody().front()) {
    b.setLoc(op.getLoc());
    if (isa<ChannelOp>(op))
      continue;
    if (failed(isa<RoleOp>(op) ? emitRole(cast<RoleOp>(op)) : emitOperation(op)))
      return failure();
  }
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
      ends[channel->getResult(0)] = {cell(0), cell(fills ? 1 : 0), cell(0)};
  }
  return emitBlock(op.getBody().front());
}

LogicalResult KernelEmitter::emitBlock(Block &block) {
  for (Operation &op : block)
    if (!op.hasTrait<OpTrait::IsTerminator>()) {
      b.setLoc(op.getLoc());
      if (failed(emitOperation(op)))
        return failure();
    }
  return success();
}

LogicalResult KernelEmitter::emitOperation(Operation &op) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(&op)
      .Case([&](ScheduleOp schedule) { return emitSchedule(schedule); })
      .Case([&](scf::ForOp loop) { return emitLoop(loop); })
      .Case([&](scf::IfOp branch) { return emitBranch(branch); })
      .Case([&](StoreOp store) { return this->store(store); })
      .Case([&](AcquireOp acquire) { return take(acquire.getChannel(), acquire.getTiles(), true), success(); })
      .Case([&](WaitOp wait) { return take(wait.getChannel(), wait.getTiles(), false), success(); })
      .Case([&](ReleaseOp release) { return this->release(release.getChannel()), success(); })
      .Case([&](CommitOp) { return success(); }) // the acquire has arrived, with the bytes of all copies
      .Case([&](CopyOp copy) { return this->copy(copy), success(); })
      .Case([&](MmaOp mma) { return multiply(mma), success(); })
      .Case([&](MmaWaitOp wait) { return this->wait(wait), success(); })
      .Case([&](ReadOp) { return success(); }) // its maps read
      .Case([&](MapOp map) { return mapElements(map), success(); })
      .Case([&](ReduceOp reduce) { return this->reduce(reduce), success(); })
      .Case([&](MaskOp mask) { return this->mask(mask), success(); })
      .Case([&](ConvertOp convert) { return narrow(convert), success(); })
      .Case([&](EntryOp entry) { return load(entry), success(); })
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

void KernelEmitter::load(EntryOp op) {
  const Matrix &table = matrices[op.getTable()];
  Value row = arith::ExtSIOp::create(b, b.getI64Type(), lookup(op.getRow()).front());
  const Type pointer = table.pointer.getType();
  Value first = LLVM::GEPOp::create(b, pointer, b.getI32Type(), table.pointer,
                                    ArrayRef<LLVM::GEPArg>{multiply(row, table.stride)});
  for (OpResult number : op.getNumbers()) {
    Value at = LLVM::GEPOp::create(b, pointer, b.getI32Type(), first,
                                   ArrayRef<LLVM::GEPArg>{int32_t(number.getResultNumber())});
    map(number, LLVM::LoadOp::create(b, b.getI32Type(), at).getResult());
  }
}

LogicalResult KernelEmitter::emitScalar(Operation &op) {
  if (auto constant = dyn_cast<arith::ConstantOp>(op); constant && isRegisterTile(constant.getType()) && role)
    return fill(constant), success();
  if (!isa<arith::ArithDialect>(op.getDialect()) ||
      llvm::any_of(op.getResultTypes(), [](Type type) { return !type.isIntOrIndexOrFloat(); }))
    return op.emitOpError() << "expects an operation on numbers, or one of the tile dialect that sm_90a has a form for";
  if (isa<arith::IndexCastOp, arith::IndexCastUIOp>(op)) {
    Value from = lookup(op.getOperand(0)).front();
    const unsigned have = from.getType().getIntOrFloatBitWidth();
    const Type to = convert(op.getResult(0).getType(), {}).front();
    const unsigned want = to.getIntOrFloatBitWidth();
    Value made = from;
    if (have > want)
      made = arith::TruncIOp::create(b, to, from);
    else if (have < want)
      made = isa<arith::IndexCastOp>(op) ? Value(arith::ExtSIOp::create(b, to, from))
                                         : Value(arith::ExtUIOp::create(b, to, from));
    map(op.getResult(0), made);
    return success();
  }
  IRMapping operands;
  for (Value operand : op.getOperands())
    operands.map(operand, lookup(operand).front());
  Operation *made = b.clone(op, operands);
  for (OpResult result : made->getResults()) {
    result.setType(convert(result.getType(), {}).front());
    map(op.getResult(result.getResultNumber()), Value(result));
  }
  if (auto constant = dyn_cast<arith::ConstantOp>(made); constant && op.getResult(0).getType().isIndex()) {
    const int64_t value = cast<IntegerAttr>(constant.getValue()).getInt();
    if (!llvm::isInt<32>(value))
      return op.emitOpError() << "expects indices of 32 bits on sm_90a, but got " << value;
    constant.setValueAttr(b.getI32IntegerAttr(int32_t(value)));
  }
  return success();
}

//===-- Control flow ---------------------------------------------------------------------------------------------===//

LogicalResult KernelEmitter::emitSchedule(ScheduleOp op) {
  Value rows = lookup(op.getRows()).front(), columns = lookup(op.getColumns()).front();
  auto tilesOf = [&](Value size, int64_t by) { return binary("arith.divui", add(size, i32(by - 1)), i32(by)); };
  Value down = tilesOf(rows, op.getHeight()), across = tilesOf(columns, op.getWidth());
  Value block = NVVM::BlockIdXOp::create(b, b.getI32Type()), blocks = NVVM::GridDimXOp::create(b, b.getI32Type());
  auto loop = scf::ForOp::create(b, block, multiply(down, across), blocks);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(loop.getBody()->getTerminator());
  Value number = loop.getInductionVar(), group = i32(op.getGroup());
  Value each = multiply(group, across); // tiles of a group of rows
  Value firstRow = multiply(binary("arith.divui", number, each), group), inGroup = binary("arith.remui", number, each);
  Value height = binary("arith.minui", binary("arith.subi", down, firstRow), group);
  Value row = add(firstRow, binary("arith.remui", inGroup, height)), column = binary("arith.divui", inGroup, height);
  map(op.getBody().getArgument(0), multiply(row, i32(op.getHeight())));
  map(op.getBody().getArgument(1), multiply(column, i32(op.getWidth())));
  return emitBlock(op.getBody().front());
}

LogicalResult KernelEmitter::emitLoop(scf::ForOp op) {
  SmallVector<Value> inits;
  for (Value init : op.getInitArgs())
    llvm::append_range(inits, lookup(init));
  auto bound = [&](Value value) { return lookup(value).front(); };
  auto loop = scf::ForOp::create(b, bound(op.getLowerBound()), bound(op.getUpperBound()), bound(op.getStep()), inits);
  auto spread = [&](ValueRange originals, ValueRange made) {
    for (Value value : originals) {
      const size_t count = convert(value.getType(), role).size();
      map(value, made.take_front(count));
      made = made.drop_front(count);
    }
  };
  map(op.getInductionVar(), loop.getInductionVar());
  spread(op.getRegionIterArgs(), loop.getRegionIterArgs());
  OpBuilder::InsertionGuard guard(b);
  Block *body = loop.getBody();
  if (inits.empty())
    b.setInsertionPoint(body->getTerminator());
  else
    b.setInsertionPointToEnd(body);
  if (failed(emitBlock(*op.getBody())))
    return failure();
  if (!inits.empty()) {
    SmallVector<Value> yielded;
    for (Value value : op.getYieldedValues())
      llvm::append_range(yielded, lookup(value));
    scf::YieldOp::create(b, yielded);
  }
  spread(op.getResults(), loop.getResults());
  return success();
}

LogicalResult KernelEmitter::emitBranch(scf::IfOp op) {
  if (op.getNumResults() != 0)
    return op.emitOpError() << "expects branches without results on sm_90a";
  auto branch = scf::IfOp::create(b, lookup(op.getCondition()).front(), op.elseBlock() != nullptr);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(branch.thenBlock()->getTerminator());
  if (failed(emitBlock(*op.thenBlock())))
    return failure();
  if (!op.elseBlock())
    return success();
  b.setInsertionPoint(branch.elseBlock()->getTerminator());
  return emitBlock(*op.elseBlock());
}

//===-- Channels -------------------------------------------------------------------------------------------------===//

Value KernelEmitter::barrier(int64_t first, Value slot) { return shared(add(multiply(slot, i32(8)), i32(first))); }

void KernelEmitter::waitFor(Value barrier, Value parity) {
  auto loop = scf::WhileOp::create(b, TypeRange(), ValueRange());
  OpBuilder::InsertionGuard guard(b);
  b.createBlock(&loop.getBefore());
  Value done = NVVM::MBarrierTryWaitOp::create(b, b.getI1Type(), barrier, parity, Value(),
                                               NVVM::MemScopeKindAttr::get(b.getContext(), NVVM::MemScopeKind::CTA));
  Value again = binary("arith.xori", done, arith::ConstantOp::create(b, b.getBoolAttr(true)));
  scf::ConditionOp::create(b, again, ValueRange());
  b.createBlock(&loop.getAfter());
  scf::YieldOp::create(b);
}

void KernelEmitter::advance(Value slot, Value parity, int64_t depth) {
  Value next = add(LLVM::LoadOp::create(b, b.getI32Type(), slot), i32(1));
  Value around = compare(arith::CmpIPredicate::eq, next, i32(depth));
  LLVM::StoreOp::create(b, Value(arith::SelectOp::create(b, around, i32(0), next)), slot);
  if (!parity)
    return;
  Value turned = binary("arith.xori", LLVM::LoadOp::create(b, b.getI32Type(), parity),
                        arith::ExtUIOp::create(b, b.getI32Type(), around));
  LLVM::StoreOp::create(b, turned, parity);
}

void KernelEmitter::take(Value channel, ValueRange views, bool fill) {
  const ChannelPlan &ring = plan.channels.find(channel.getDefiningOp())->second;
  const End &end = ends[channel];
  Value slot = LLVM::LoadOp::create(b, b.getI32Type(), end.slot);
  Value parity = LLVM::LoadOp::create(b, b.getI32Type(), end.parity);
  waitFor(barrier(fill ? ring.empty : ring.full, slot), parity);
  Value full;
  if (fill) {
    int64_t bytes = 0; // whole boxes: what lies outside the matrix comes as zeros, and counts
    for (Value view : views)
      bytes += tileBytes(cast<MemRefType>(view.getType()));
    full = barrier(ring.full, slot);
    NVVM::MBarrierArriveExpectTxOp::create(b, b.getI64Type(), full, i32(bytes),
                                           NVVM::MemScopeKindAttr::get(b.getContext(), NVVM::MemScopeKind::CTA),
                                           b.getBoolAttr(false), Value());
  }
  Value begin = add(multiply(slot, i32(ring.slotBytes)), i32(ring.offset));
  for (auto [view, offset] : llvm::zip(views, ring.tiles))
    tiles[view] = {add(begin, i32(offset)), full};
  advance(end.slot, end.parity, cast<ChannelType>(channel.getType()).getDepth());
}

void KernelEmitter::release(Value channel) {
  const ChannelPlan &ring = plan.channels.find(channel.getDefiningOp())->second;
  const End &end = ends[channel];
  // One thread speaks for its warpgroup: mma_wait has waited for all of it.
  auto one = scf::IfOp::create(b, compare(arith::CmpIPredicate::eq, thread, i32(0)), /*withElseRegion=*/false);
  Value slot;
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(one);
    slot = LLVM::LoadOp::create(b, b.getI32Type(), end.oldest);
    b.setInsertionPoint(one.thenBlock()->getTerminator());
    NVVM::MBarrierArriveOp::create(b, b.getI64Type(), barrier(ring.empty, slot), Value(),
                                   NVVM::MemScopeKindAttr::get(b.getContext(), NVVM::MemScopeKind::CTA));
  }
  advance(end.oldest, Value(), cast<ChannelType>(channel.getType()).getDepth());
}

void KernelEmitter::copy(CopyOp op) {
  const MemRefType tile = op.getTo().getType();
  const TileView view = tiles[op.getTo()];
  Value row = lookup(op.getRow()).front(), column = lookup(op.getColumn()).front();
  for (int64_t c = 0; c < tile.getDimSize(1); c += blockColumns(tile)) {
    Value to = shared(add(view.offset, i32(c / blockColumns(tile) * blockBytes(tile))));
    Value cluster = LLVM::AddrSpaceCastOp::create(b, LLVM::LLVMPointerType::get(b.getContext(), 7), to);
    NVVM::CpAsyncBulkTensorGlobalToSharedClusterOp::create(
        b, cluster, matrices[op.getFrom()].map, ValueRange{add(column, i32(c)), row}, view.barrier, ValueRange(),
        Value(), Value(), NVVM::TMALoadModeAttr::get(b.getContext(), NVVM::TMALoadMode::TILE), b.getBoolAttr(false),
        NVVM::CTAGroupKindAttr(), Value());
  }
}

} // namespace stepdown::nvidia
