#include "passes/NVIDIA/AttentionEmitter.h"
#include "lib/Kernels/ChipLimits.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "passes/NVIDIA/SharedLayout.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::nvidia {

//===-- Plan -----------------------------------------------------------------------------------------------------===//

FailureOr<AttentionPlan> planAttention(KernelOp kernel, const ChipFacts &chip) {
  FailureOr<AttentionText> text = attentionText(kernel, chip.name);
  if (failed(text) || failed(checkCluster(kernel, chip.name)))
    return failure();
  AttentionPlan plan = {};
  plan.chip = &chip;
  plan.text = *text;
  for (ChannelOp ring : operationsIn<ChannelOp>(kernel))
    if (const bool once = ring.getResult() == text->queries.getTo().getDefiningOp<AcquireOp>().getChannel();
        ring.getType().getDepth() != (once ? 1 : 2))
      return unfit(ring) << "expects a channel of one slot for queries, and of two for keys and values, on "
                         << chip.name;
  plan.threads = text->role.getThreads();
  const VectorType scores = text->scores.getType().getSum(), sum = text->sums.getType().getSum();
  const auto queries = cast<MemRefType>(text->scores.getA().getType()), keys = text->scores.getB().getType(),
             values = text->sums.getB().getType();
  const int64_t rows = plan.threads / kWarpgroup * 64;
  if (plan.threads % kWarpgroup || scores.getDimSize(0) != rows || scores.getDimSize(1) % kWarpColumns ||
      scores.getDimSize(1) > 256 || sum.getDimSize(1) > 256)
    return unfit(text->scores) << "expects " << kWarpRows << " queries for each warp, in fours, and at most 256 keys "
                               << "and columns in " << kWarpColumns << " on " << chip.name << ", but got "
                               << text->scores.getType() << " and " << text->sums.getType();
  for (MemRefType tile : {queries, keys, values})
    if (!isSwizzled(tile) || elementBytes(tile) != 2 ||
        tile.getDimSize(0) * (kRowBytes / kPieceBytes) % plan.threads != 0)
      return unfit(text->scores) << "expects tiles of 16 bits with rows of whole 128 bytes, in eights that "
                                 << plan.threads << " threads of " << chip.name << " can share out, but got " << tile;
  plan.slotBytes = tileBytes(keys);
  plan.keysOffset = tileBytes(queries);
  plan.valuesOffset = plan.keysOffset + 2 * plan.slotBytes;
  plan.sharedBytes = plan.valuesOffset + 2 * plan.slotBytes;
  if (failed(checkMemory(kernel, chip, plan.sharedBytes, {2, 2 * plan.slotBytes, /*anyCount=*/false, "queries"})))
    return failure();
  return plan;
}

//===-- Program --------------------------------------------------------------------------------------------------===//

AttentionEmitter::AttentionEmitter(KernelOp kernel, const AttentionPlan &plan, LLVM::LLVMFuncOp function)
    : RegisterEmitter(kernel, plan.chip->name, function), plan(plan) {
  role = this->plan.text.role;
}

SmallVector<Type> AttentionEmitter::convert(Type type) {
  if (type.isIndex())
    return {b.getI32Type()};
  if (auto sum = dyn_cast<AccumulatorType>(type))
    type = sum.getSum();
  auto vector = dyn_cast<VectorType>(type);
  if (!vector)
    return {type};
  const int64_t count = RegisterTile(vector, role).count();
  return vector.getElementTypeBitWidth() == 16 ? SmallVector<Type>(count / 2, b.getI32Type())
                                               : SmallVector<Type>(count, vector.getElementType());
}

LogicalResult AttentionEmitter::emit() {
  b.setInsertionPointToStart(&function.getBody().front());
  readPointers(kernel, function.getBody().front(), matrices);
  identifyThread();
  thread = binary("arith.andi", inBlock, i32(kWarpgroup - 1));
  warpgroup = binary("arith.shrui", warp, i32(2));
  return emitProgram(kernel, role, [&] {
    prepareCopies(2);
    prepareFragments();
  });
}

LogicalResult AttentionEmitter::emitOperation(Operation &op) {
  auto done = [&](auto &&emitted) { return emitted(), success(); };
  return llvm::TypeSwitch<Operation *, LogicalResult>(&op)
      .Case([&](ScheduleOp schedule) { return emitSchedule(schedule); })
      .Case([&](scf::ForOp loop) { return emitBlocks(loop); })
      .Case([&](EntryOp entry) { return done([&] { load(entry); }); })
      .Case([&](WaitOp waited) { return wait(waited); })
      // Warps meet where slots are filled again, and all of them compute at once.
      .Case<ReleaseOp, EnterTurnOp, LeaveTurnOp>([&](auto) { return success(); })
      .Case([&](MmaOp mma) { return done([&] { multiply(mma); }); })
      .Case([&](MmaWaitOp waited) { // it is computed
        for (auto [vector, sum] : llvm::zip(waited.getVectors(), waited.getSums()))
          map(vector, lookup(sum));
        return success();
      })
      .Case([&](MapOp each) { return done([&] { mapElements(each); }); })
      .Case([&](ReduceOp reduction) { return done([&] { reduce(reduction); }); })
      .Case([&](MaskOp masked) { return done([&] { mask(masked); }); })
      .Case([&](ReadOp) { return success(); }) // its maps read
      .Case([&](ConvertOp narrowed) { return done([&] { narrow(narrowed); }); })
      .Case([&](StoreOp stored) { return store(stored); })
      .Case([&](memref::DimOp dim) { return sizeOf(dim); })
      .Default([&](Operation *other) -> LogicalResult {
        auto constant = dyn_cast<arith::ConstantOp>(other);
        if (!constant || !isRegisterTile(constant.getType()))
          return emitScalar(*other);
        return done([&] { fill(constant); });
      });
}

LogicalResult AttentionEmitter::store(StoreOp op) {
  if (op.getTransposed())
    return unfit(op) << "expects to store rows as rows on " << chip;
  const RegisterTile tile(op.getValue().getType(), role);
  Value row = add(multiply(warp, i32(kWarpRows)), rowInWarp(tile));
  Value column = multiply(binary("arith.andi", lane, i32(3)), i32(2));
  return storePairs(op, row, column, [&](int64_t i) { return Place{tile.row(i), tile.column(i)}; });
}

//===-- Copies ---------------------------------------------------------------------------------------------------===//

void AttentionEmitter::fetch(CopyOp op, Value key, Value end, Value slot, int64_t offset) {
  map(plan.text.copies.getInductionVar(), key);
  auto there = scf::IfOp::create(b, compare(arith::CmpIPredicate::slt, key, end), /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(there.thenBlock()->getTerminator());
  copyTile(op, multiply(slot, i32(plan.slotBytes)), offset, plan.threads);
}

void AttentionEmitter::arrive(int64_t groups) {
  NVVM::CpAsyncWaitGroupOp::create(b, uint32_t(groups));
  NVVM::Barrier0Op::create(b);
}

/// The queries and the first keys begin to be copied, then the second keys and the first values.
LogicalResult AttentionEmitter::beginTile(WaitOp op) {
  followTile(plan.text.copies, op);
  if (failed(emitNumbers(plan.text.copying.getBody().front())))
    return failure();
  auto number = [&](Value value) { return lookup(value).front(); };
  Value first = number(plan.text.copies.getLowerBound()), end = number(plan.text.copies.getUpperBound());
  Value second = add(first, number(plan.text.copies.getStep()));
  NVVM::Barrier0Op::create(b); // warps may still read the values of the tile before
  copyTile(plan.text.queries, i32(0), 0, plan.threads);
  fetch(plan.text.keys, first, end, i32(0), plan.keysOffset);
  NVVM::CpAsyncCommitGroupOp::create(b);
  fetch(plan.text.keys, second, end, i32(1), plan.keysOffset);
  fetch(plan.text.values, first, end, i32(0), plan.valuesOffset);
  NVVM::CpAsyncCommitGroupOp::create(b);
  arrive(1);
  slot = i32(0);
  return success();
}

LogicalResult AttentionEmitter::wait(WaitOp op) {
  auto is = [&](CopyOp copy) { return copy.getTo().getDefiningOp<AcquireOp>().getChannel() == op.getChannel(); };
  const bool inLoop = isa<scf::ForOp>(op->getParentOp());
  if (is(plan.text.queries) && failed(beginTile(op)))
    return failure();
  if (is(plan.text.values) && !inLoop)
    arrive(0);
  Value from = is(plan.text.values) ? binary("arith.xori", slot, i32(1)) : slot;
  slots[op.getTiles().front()] = multiply(from, i32(plan.slotBytes));
  return success();
}

LogicalResult AttentionEmitter::emitBlocks(scf::ForOp op) {
  auto number = [&](Value value) { return lookup(value).front(); };
  SmallVector<Value> carried = lookupAll(op.getInitArgs());
  carried.push_back(i32(1));
  Value upper = number(op.getUpperBound()), step = number(op.getStep());
  if (failed(emitTurns(number(op.getLowerBound()), upper, step, carried,
                       [&](Value key, SmallVectorImpl<Value> &inside) -> LogicalResult {
                         slot = inside.pop_back_val();
                         Value now = slot, other = binary("arith.xori", slot, i32(1));
                         arrive(0);
                         fetch(plan.text.keys, add(key, step), upper, other, plan.keysOffset);
                         fetch(plan.text.values, key, upper, now, plan.valuesOffset);
                         NVVM::CpAsyncCommitGroupOp::create(b);
                         if (failed(emitTurn(op, key, inside)))
                           return failure();
                         inside.push_back(other);
                         return success();
                       })))
    return failure();
  slot = carried.pop_back_val();
  mapAll(op.getResults(), carried);
  return success();
}

//===-- Products -------------------------------------------------------------------------------------------------===//

/// As a product's (EmitWarpMatrix.cpp): eight rows of a matrix stand in eight different sixteens of bytes.
void AttentionEmitter::prepareFragments() {
  auto bits = [&](int64_t from, int64_t count) {
    return binary("arith.andi", binary("arith.shrui", lane, i32(from)), i32((int64_t(1) << count) - 1));
  };
  Value row = bits(0, 3), low = bits(3, 1), high = bits(4, 1);
  auto at = [&](Value place, Value piece) {
    return add(multiply(place, i32(kRowBytes)), multiply(binary("arith.xori", piece, row), i32(kPieceBytes)));
  };
  auto in16 = [&](Value half) { return add(multiply(half, i32(8)), row); };
  Value mine = add(multiply(warp, i32(kWarpRows)), in16(low));
  for (int64_t piece = 0; piece < kRowBytes / kPieceBytes; piece += kWarpReduction / kPieceBytes) {
    fromQueries.push_back(at(mine, add(i32(piece), high)));
    fromKeys.push_back(at(in16(high), add(i32(piece), low)));
    fromValues.push_back(at(in16(low), add(i32(piece), high)));
  }
}

void AttentionEmitter::multiply(MmaOp op) {
  const bool registers = op.takesRegisters();
  const auto w = op.getB().getType();
  const Type element = w.getElementType();
  const int64_t places = fromKeys.size();
  SmallVector<Value> sums;
  if (op.getAcc())
    sums = lookup(op.getAcc());
  else
    sums.assign(convert(op.getType()).size(), arith::ConstantOp::create(b, b.getF32FloatAttr(0)));
  const SmallVector<Value> held = registers ? lookup(op.getA()) : SmallVector<Value>();
  SmallVector<Value> rows;
  for (Value place : registers ? fromValues : fromKeys)
    rows.push_back(add(place, slots.at(op.getB())));
  const int64_t pairs = sums.size() / 8, steps = w.getDimSize(registers ? 0 : 1) / 16; // of 16 columns; 16 deep
  for (int64_t step = 0; step < steps; ++step) {
    SmallVector<Value> left;
    if (registers) {
      left = llvm::to_vector(ArrayRef<Value>(held).slice(step * 4, 4));
    } else {
      const auto q = cast<MemRefType>(op.getA().getType());
      left = loadMatrices(fromQueries[step % places], step / places * blockBytes(q), /*transposed=*/false);
    }
    for (int64_t pair = 0; pair < pairs; ++pair) {
      SmallVector<Value> right =
          registers ? loadMatrices(rows[pair % places],
                                   plan.valuesOffset + pair / places * blockBytes(w) + step * 16 * kRowBytes,
                                   /*transposed=*/true)
                    : loadMatrices(rows[step % places],
                                   plan.keysOffset + step / places * blockBytes(w) + pair * 16 * kRowBytes,
                                   /*transposed=*/false);
      for (int64_t j = 0; j < 2; ++j)
        multiplyWarp(element, left, ArrayRef<Value>(right).slice(j * 2, 2),
                     MutableArrayRef<Value>(sums).slice((pair * 2 + j) * 4, 4));
    }
  }
  map(op.getResult(), sums);
}

} // namespace stepdown::nvidia
