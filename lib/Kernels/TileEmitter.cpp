#include "lib/Kernels/TileEmitter.h"
#include "lib/Kernels/ChipLimits.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown {

void TileEmitter::emitEntry(EntryOp op, Value table, Value stride, function_ref<Value(Value)> uniform) {
  Value row = arith::ExtSIOp::create(b, b.getI64Type(), lookup(op.getRow()).front());
  const Type pointer = table.getType();
  Value first = LLVM::GEPOp::create(b, pointer, b.getI32Type(), table, ArrayRef<LLVM::GEPArg>{multiply(row, stride)});
  for (OpResult number : op.getNumbers()) {
    Value at = LLVM::GEPOp::create(b, pointer, b.getI32Type(), first,
                                   ArrayRef<LLVM::GEPArg>{int32_t(number.getResultNumber())});
    map(number, uniform(LLVM::LoadOp::create(b, b.getI32Type(), at)));
  }
}

Value TileEmitter::i32(int64_t value) { return arith::ConstantOp::create(b, b.getI32IntegerAttr(int32_t(value))); }
Value TileEmitter::i64(int64_t value) { return arith::ConstantOp::create(b, b.getI64IntegerAttr(value)); }
Value TileEmitter::binary(StringRef name, Value a, Value c) {
  OperationState state(b.getLoc(), name, {a, c}, {a.getType()});
  return b.create(state)->getResult(0);
}
Value TileEmitter::add(Value a, Value c) { return binary("arith.addi", a, c); }
Value TileEmitter::multiply(Value a, Value c) { return binary("arith.muli", a, c); }
Value TileEmitter::compare(arith::CmpIPredicate predicate, Value a, Value c) {
  return arith::CmpIOp::create(b, predicate, a, c);
}
SmallVector<Value> TileEmitter::lookup(Value value) {
  auto it = values.find(value);
  assert(it != values.end() && "a value is emitted before its uses");
  return it->second;
}

void TileEmitter::map(Value value, ValueRange made) { values[value] = llvm::to_vector(made); }

LogicalResult TileEmitter::emitProgram(KernelOp kernel, RoleOp role, function_ref<void()> prepare) {
  for (Operation &op : kernel.getBody().front()) {
    b.setLoc(op.getLoc());
    if (!isa<ChannelOp, RoleOp>(op) && failed(emitOperation(op)))
      return failure();
  }
  prepare();
  if (failed(emitBlock(role.getBody().front())))
    return failure();
  LLVM::ReturnOp::create(b, ValueRange());
  return success();
}

void TileEmitter::followTile(Operation *theirs, Operation *ours) {
  auto tile = [](Operation *op) { return op->getParentOfType<ScheduleOp>().getBody().getArguments(); };
  for (auto [from, to] : llvm::zip(tile(theirs), tile(ours)))
    map(from, lookup(to));
}

LogicalResult TileEmitter::emitNumbers(Block &block) {
  for (Operation &op : block) {
    if (isa<AcquireOp, CopyOp, CommitOp, scf::ForOp>(op) || op.hasTrait<OpTrait::IsTerminator>())
      continue;
    if (failed(isa<EntryOp>(op) || isa<arith::ArithDialect>(op.getDialect()) ? emitOperation(op) : emitScalar(op)))
      return failure();
  }
  return success();
}

LogicalResult TileEmitter::emitBlock(Block &block) {
  for (Operation &op : block)
    if (!op.hasTrait<OpTrait::IsTerminator>()) {
      b.setLoc(op.getLoc());
      if (failed(emitOperation(op)))
        return failure();
    }
  return success();
}

/// Numbers are as they are, but for indices.
static Type numberType(Type type) { return type.isIndex() ? IntegerType::get(type.getContext(), 32) : type; }

LogicalResult TileEmitter::emitScalar(Operation &op) {
  if (!isa<arith::ArithDialect>(op.getDialect()) ||
      llvm::any_of(op.getResultTypes(), [](Type type) { return !type.isIntOrIndexOrFloat(); }))
    return unfit(&op) << "expects an operation on numbers, or one of the tile dialect that " << chip
                      << " has a form for";
  if (isa<arith::IndexCastOp, arith::IndexCastUIOp>(op)) {
    Value from = lookup(op.getOperand(0)).front();
    const unsigned have = from.getType().getIntOrFloatBitWidth();
    const Type to = numberType(op.getResult(0).getType());
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
    result.setType(numberType(result.getType()));
    map(op.getResult(result.getResultNumber()), Value(result));
  }
  if (auto constant = dyn_cast<arith::ConstantOp>(made); constant && op.getResult(0).getType().isIndex()) {
    const int64_t value = cast<IntegerAttr>(constant.getValue()).getInt();
    if (!llvm::isInt<32>(value))
      return unfit(&op) << "expects indices of 32 bits on " << chip << ", but got " << value;
    constant.setValueAttr(b.getI32IntegerAttr(int32_t(value)));
  }
  return success();
}

LogicalResult TileEmitter::emitSchedule(ScheduleOp op) {
  Value rows = lookup(op.getRows()).front(), columns = lookup(op.getColumns()).front();
  auto tilesOf = [&](Value size, int64_t by) { return binary("arith.divui", add(size, i32(by - 1)), i32(by)); };
  Value down = tilesOf(rows, op.getHeight() * cluster), across = tilesOf(columns, op.getWidth());
  // Blocks that start one after the other, those along x, take neighbouring tiles.
  Value block = blockIndex(0), blocks = ownBlocks ? ownBlocks : blockCount(0);
  if (firstBlock)
    block = binary("arith.subi", block, firstBlock);
  if (alongTwo)
    block = add(block, multiply(blockIndex(1), blocks)), blocks = multiply(blocks, blockCount(1));
  // A cluster takes a turn together, so that all of its blocks have as many; what it goes over is all of their rows.
  Value rank;
  if (cluster > 1) {
    rank = binary("arith.remui", block, i32(cluster));
    block = binary("arith.divui", block, i32(cluster)), blocks = binary("arith.divui", blocks, i32(cluster));
  }
  auto loop = scf::ForOp::create(b, block, multiply(down, across), blocks);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(loop.getBody()->getTerminator());
  Value number = loop.getInductionVar(), group = i32(std::max<int64_t>(op.getGroup() / cluster, 1));
  Value each = multiply(group, across); // tiles of a group of rows
  Value firstRow = multiply(binary("arith.divui", number, each), group), inGroup = binary("arith.remui", number, each);
  Value height = binary("arith.minui", binary("arith.subi", down, firstRow), group);
  Value row = add(firstRow, binary("arith.remui", inGroup, height)), column = binary("arith.divui", inGroup, height);
  if (cluster > 1)
    row = add(multiply(row, i32(cluster)), rank);
  map(op.getBody().getArgument(0), multiply(row, i32(op.getHeight())));
  map(op.getBody().getArgument(1), multiply(column, i32(op.getWidth())));
  return emitBlock(op.getBody().front());
}

void TileEmitter::shareBlocks(ArrayRef<Value> columns, int64_t width) {
  Value block = blockIndex(0), begin = i32(0);
  SmallVector<Value> begins, counts;
  for (Value each : columns) {
    begins.push_back(begin);
    counts.push_back(binary("arith.divui", add(each, i32(width - 1)), i32(width)));
    begin = add(begin, counts.back());
    if (counts.size() < columns.size())
      behind.push_back(compare(arith::CmpIPredicate::uge, block, begin));
  }
  firstBlock = ofProduct(begins), ownBlocks = ofProduct(counts);
}

Value TileEmitter::ofProduct(ArrayRef<Value> each) {
  Value chosen = each.front();
  for (auto [isBehind, next] : llvm::zip(behind, each.drop_front()))
    chosen = LLVM::SelectOp::create(b, isBehind, next, chosen);
  return chosen;
}

void TileEmitter::mapAll(ValueRange originals, ValueRange made) {
  for (Value value : originals) {
    const size_t count = convert(value.getType()).size();
    map(value, made.take_front(count));
    made = made.drop_front(count);
  }
}

SmallVector<Value> TileEmitter::lookupAll(ValueRange originals) {
  SmallVector<Value> made;
  for (Value value : originals)
    llvm::append_range(made, lookup(value));
  return made;
}

LogicalResult TileEmitter::emitTurns(Value lower, Value upper, Value step, SmallVectorImpl<Value> &carried,
                                     function_ref<LogicalResult(Value, SmallVectorImpl<Value> &)> body) {
  auto loop = scf::ForOp::create(b, lower, upper, step, carried);
  OpBuilder::InsertionGuard guard(b);
  if (carried.empty())
    b.setInsertionPoint(loop.getBody()->getTerminator());
  else
    b.setInsertionPointToEnd(loop.getBody());
  SmallVector<Value> inside(loop.getRegionIterArgs());
  if (failed(body(loop.getInductionVar(), inside)))
    return failure();
  if (!carried.empty())
    scf::YieldOp::create(b, inside);
  carried.assign(loop.getResults().begin(), loop.getResults().end());
  return success();
}

LogicalResult TileEmitter::emitTurn(scf::ForOp op, Value index, SmallVectorImpl<Value> &carried) {
  map(op.getInductionVar(), index);
  mapAll(op.getRegionIterArgs(), carried);
  if (failed(emitBlock(*op.getBody())))
    return failure();
  carried = lookupAll(op.getYieldedValues());
  return success();
}

LogicalResult TileEmitter::emitLoop(scf::ForOp op) {
  SmallVector<Value> carried = lookupAll(op.getInitArgs());
  auto bound = [&](Value value) { return lookup(value).front(); };
  if (failed(emitTurns(bound(op.getLowerBound()), bound(op.getUpperBound()), bound(op.getStep()), carried,
                       [&](Value index, SmallVectorImpl<Value> &inside) { return emitTurn(op, index, inside); })))
    return failure();
  mapAll(op.getResults(), carried);
  return success();
}

void TileEmitter::mapTile(MapOp op, int64_t count, function_ref<Value(unsigned, int64_t)> element,
                          function_ref<Value(Operation &, IRMapping &)> mapped) {
  Block &body = op.getBody().front();
  IRMapping elements;
  for (Operation &inner : body.without_terminator()) {
    for (Value operand : inner.getOperands()) // numbers from outside
      if (operand.getParentRegion() != &op.getBody())
        elements.map(operand, lookup(operand).front());
    if (isa<arith::ConstantOp>(inner))
      elements.map(inner.getResult(0), b.clone(inner)->getResult(0));
  }
  SmallVector<Value> results;
  for (int64_t i = 0; i < count; ++i) {
    for (BlockArgument argument : body.getArguments())
      elements.map(argument, element(argument.getArgNumber(), i));
    for (Operation &inner : body.without_terminator())
      if (!isa<arith::ConstantOp>(inner))
        elements.map(inner.getResult(0), mapped(inner, elements));
    results.push_back(elements.lookup(cast<YieldOp>(body.getTerminator()).getValue()));
  }
  map(op.getResult(), results);
}

LogicalResult TileEmitter::emitBranch(scf::IfOp op) {
  if (op.getNumResults() != 0)
    return unfit(op) << "expects branches without results on " << chip;
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

} // namespace stepdown
