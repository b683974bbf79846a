// Steps are numbered from the first of a tile of the result on. Group s has the tokens of step s, which is issued at
// step s - (slots of tokens - 1), or, of the first ones, in front of the loop; so at a step all groups but the latest
// (slots of tokens - 2) must have come. The packed blocks of a turn go with the group that is issued so many turns
// before as their ring has slots to spare, and must not be in one that is later than the turn's first step:
// planQuantised refuses rings of more tokens.
//
// Lane l names row l mod 8 of matrix l / 8 of the four that ldmatrix loads: 8 tokens of 32 columns, which are the
// second operands of two instructions. The 8 rows stand in eight different sixteens of bytes (SharedLayout.h).
#include "passes/NVIDIA/QuantisedEmitter.h"
#include "lib/Kernels/ChipLimits.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "passes/NVIDIA/SharedLayout.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::nvidia {

static constexpr int64_t kTokens = 8; // of an instruction

//===-- Plan -----------------------------------------------------------------------------------------------------===//

FailureOr<QuantisedPlan> planQuantised(KernelOp kernel, const ChipFacts &chip) {
  FailureOr<QuantisedText> text = quantisedText(kernel, chip.name);
  if (failed(text) || failed(checkCluster(kernel, chip.name)))
    return failure();
  if (sharesOf(kernel) > 1)
    return unfit(kernel) << "expects a product of two matrices where blocks share a sum out on " << chip.name;
  QuantisedPlan plan = {};
  static_cast<QuantisedText &>(plan) = *text;
  plan.chip = &chip;
  MmaOp mma = plan.first;
  if (failed(checkElements(mma, chip.name)))
    return failure();
  plan.threads = plan.role.getThreads();
  const VectorType sum = mma.getType().getSum();
  const MemRefType tokens = mma.getB().getType(), packed = plan.weight.getTo().getType();
  const int64_t warps = plan.threads / kWarp;
  if (plan.threads % kWarpgroup || sum.getDimSize(0) % (warps * kWarpRows))
    return unfit(mma) << "expects a multiple of " << kWarpRows << " rows for each warp, in fours, on " << chip.name
                      << ", but got " << mma.getType() << " for " << warps;
  const int64_t pieces = tokens.getDimSize(0) * (kRowBytes / kPieceBytes);
  if (!isSwizzled(tokens) || tokens.getElementTypeBitWidth() != 16 ||
      (pieces > plan.threads && pieces % plan.threads != 0))
    return unfit(mma) << "expects tiles of tokens of 16 bits with rows of 128 bytes, in eights that " << plan.threads
                      << " threads of " << chip.name << " can share out, but got " << tokens;
  const int64_t registers = std::min<int64_t>(255, 65536 / plan.threads / 8 * 8);
  if (const int64_t sums = sum.getNumElements() / plan.threads; sums >= registers)
    return unfit(mma) << "expects sums that leave some of the " << registers << " registers of a thread on "
                      << chip.name << ", but got " << mma.getType() << ": " << sums << " for each of " << plan.threads
                      << " threads";
  plan.weightSlots = plan.weightRing.getType().getDepth(), plan.tokenSlots = plan.tokenRing.getType().getDepth();
  if (plan.weightSlots < 2)
    return unfit(plan.weightRing) << "expects a channel of two slots of packed blocks or more on " << chip.name
                                  << ", but got " << plan.weightRing.getType();
  if (const int64_t most = plan.turnTiles * (plan.weightSlots - 1) + 1; plan.tokenSlots < 2 || plan.tokenSlots > most)
    return unfit(plan.tokenRing) << "expects a channel of 2 to " << most << " slots of tokens beside "
                                 << plan.weightSlots << " of packed blocks on " << chip.name << ", but got "
                                 << plan.tokenRing.getType();
  plan.weightBytes = llvm::alignTo(tileBytes(packed), kPatternBytes);
  plan.tokenBytes = tileBytes(tokens);
  plan.tokensOffset = plan.weightSlots * plan.weightBytes;
  plan.sharedBytes = plan.tokensOffset + plan.tokenSlots * plan.tokenBytes;
  const bool blocks = plan.tokensOffset > plan.sharedBytes / 2; // the ring that takes the most
  if (failed(checkMemory(kernel, chip, plan.sharedBytes,
                         {blocks ? plan.weightSlots : plan.tokenSlots, blocks ? plan.weightBytes : plan.tokenBytes,
                          /*anyCount=*/!blocks})))
    return failure();
  return plan;
}

//===-- Program --------------------------------------------------------------------------------------------------===//

QuantisedEmitter::QuantisedEmitter(KernelOp kernel, const QuantisedPlan &plan, LLVM::LLVMFuncOp function)
    : RegisterEmitter(kernel, plan.chip->name, function), plan(plan) {
  role = this->plan.role;
}

SmallVector<Type> QuantisedEmitter::convert(Type type) {
  if (type.isIndex())
    return {b.getI32Type()};
  if (auto sum = dyn_cast<AccumulatorType>(type))
    type = sum.getSum();
  auto vector = dyn_cast<VectorType>(type);
  if (!vector)
    return {type};
  return SmallVector<Type>(RegisterTile(vector, role).count(), vector.getElementType()); // of sums alone
}

LogicalResult QuantisedEmitter::emit() {
  b.setInsertionPointToStart(&function.getBody().front());
  readPointers(kernel, function.getBody().front(), matrices);
  chooseProduct(kernel, matrices);
  identifyThread();
  thread = binary("arith.andi", inBlock, i32(kWarpgroup - 1));
  warpgroup = binary("arith.shrui", warp, i32(2));
  return emitProgram(kernel, role, [&] {
    prepareCopies(2);
    prepareFragments();
  });
}

LogicalResult QuantisedEmitter::emitOperation(Operation &op) {
  auto done = [&](auto &&emitted) { return emitted(), success(); };
  return llvm::TypeSwitch<Operation *, LogicalResult>(&op)
      .Case([&](ScheduleOp schedule) { return emitSchedule(schedule); })
      .Case([&](scf::ForOp loop) { return emitTurnsOf(loop); })
      .Case([&](WaitOp wait) { // blocks have come with the first tokens
        return wait.getChannel() == plan.weightRing.getResult() || step > 0 ? arrive() : success();
      })
      .Case([&](UnpackOp unpacked) { return done([&] { unpack(unpacked, weights.slot, 0); }); })
      .Case<ReleaseOp>([&](auto) { return success(); }) // where the next step is waited for all warps meet
      .Case([&](MmaOp mma) { return done([&] { multiply(mma); }); })
      .Case([&](MmaWaitOp wait) { // it is computed
        for (auto [vector, sum] : llvm::zip(wait.getVectors(), wait.getSums()))
          map(vector, lookup(sum));
        return success();
      })
      .Case([&](ReadOp) { return success(); }) // its maps read
      .Case([&](MapOp each) { return isMappedLate(each) ? success() : done([&] { mapElements(each); }); })
      .Case([&](StoreOp stored) -> LogicalResult {
        if (!stored.getTransposed() || !stored.getTo().getType().getElementType().isF32())
          return unfit(stored) << "expects to store f32, rows as columns, on " << chip << ", but got "
                               << stored.getTo().getType();
        return done([&] { storeTransposed(stored); });
      })
      .Case([&](memref::DimOp dim) { return sizeOf(dim); })
      .Default([&](Operation *other) -> LogicalResult {
        auto constant = dyn_cast<arith::ConstantOp>(other);
        if (!constant || !isRegisterTile(constant.getType()))
          return emitScalar(*other);
        return done([&] { fill(constant); });
      });
}

//===-- Copies ---------------------------------------------------------------------------------------------------===//

LogicalResult QuantisedEmitter::whereThere(Value turn, function_ref<LogicalResult()> copies) {
  OpBuilder::InsertionGuard guard(b);
  Value first = lookup(plan.copies.getLowerBound()).front(), end = lookup(plan.copies.getUpperBound()).front();
  if (turn != first) { // zeros are copied where there is not even that
    auto there = scf::IfOp::create(b, compare(arith::CmpIPredicate::slt, turn, end), /*withElseRegion=*/false);
    b.setInsertionPoint(there.thenBlock()->getTerminator());
  }
  map(plan.copies.getInductionVar(), turn);
  if (failed(emitNumbers(plan.copying.getBody().front())) || failed(emitNumbers(*plan.copies.getBody())))
    return failure();
  return copies();
}

LogicalResult QuantisedEmitter::fetchWeight(Value turn, Value slot) {
  return whereThere(turn, [&] { return copyBlocks(plan.weight, slot), success(); });
}

LogicalResult QuantisedEmitter::fetchTokens(Value turn, int64_t step, Value slot) {
  return whereThere(turn, [&]() -> LogicalResult {
    map(plan.inner.getInductionVar(), i32(step * kUnpacked));
    if (failed(emitNumbers(*plan.inner.getBody())))
      return failure();
    copyTile(plan.tokens, slot, plan.tokensOffset, plan.threads);
    return success();
  });
}

/// Each warp copies a row of packed blocks at a time: those lie one behind the other in memory as in the slot. Zeros
/// for what lies outside of the weight.
void QuantisedEmitter::copyBlocks(CopyOp op, Value slot) {
  const Location outside = b.getLoc();
  b.setLoc(op.getLoc());
  const MemRefType tile = op.getTo().getType();
  const Matrix &from = matrices[op.getFrom()]; // of words
  const int64_t warps = plan.threads / kWarp, rowBytes = tile.getDimSize(1) * plan.packed.bytes;
  const int64_t wordsOfBlock = plan.packed.bytes / kWordBytes, wordsOfPiece = kPieceBytes / kWordBytes;
  Value row = add(lookup(op.getRow()).front(), warp);
  Value word = multiply(lookup(op.getColumn()).front(), i32(wordsOfBlock));
  Value mine = multiply(lane, i32(wordsOfPiece));
  Value to = add(slot, add(multiply(warp, i32(rowBytes)), multiply(lane, i32(kPieceBytes))));
  auto wide = [&](Value value) -> Value { return arith::ExtSIOp::create(b, b.getI64Type(), value); };
  for (int64_t next = 0; next < tile.getDimSize(0); next += warps) {
    Value here = add(row, i32(next));
    Value inRows = compare(arith::CmpIPredicate::slt, here, from.rows);
    Value begin = LLVM::GEPOp::create(b, from.pointer.getType(), b.getI64Type(), from.pointer,
                                      ArrayRef<LLVM::GEPArg>{add(multiply(wide(here), from.stride), wide(word))});
    for (int64_t piece = 0; piece * kPieceBytes < rowBytes; piece += kWarp) {
      OpBuilder::InsertionGuard guard(b);
      if (const int64_t left = rowBytes / kPieceBytes - piece; left < kWarp) {
        auto some = scf::IfOp::create(b, compare(arith::CmpIPredicate::slt, lane, i32(left)), /*withElseRegion=*/false);
        b.setInsertionPoint(some.thenBlock()->getTerminator());
      }
      Value inRow = add(mine, i32(piece * wordsOfPiece));
      Value there = binary("arith.andi", inRows, compare(arith::CmpIPredicate::slt, add(word, inRow), from.columns));
      Value size = arith::SelectOp::create(b, there, i32(kPieceBytes), i32(0));
      Value source =
          LLVM::GEPOp::create(b, begin.getType(), b.getI64Type(), begin, ArrayRef<LLVM::GEPArg>{wide(inRow)});
      Value target = shared(to, next * rowBytes + piece * kPieceBytes);
      NVVM::CpAsyncOp::create(b, target, source, uint32_t(kPieceBytes), NVVM::LoadCacheModifierKind::CG, size);
    }
  }
  b.setLoc(outside);
}

LogicalResult QuantisedEmitter::begin() {
  followTile(plan.copies, plan.turns);
  Value first = lookup(plan.copies.getLowerBound()).front(), step = lookup(plan.copies.getStep()).front();
  auto turnAt = [&](int64_t turns) { return turns ? add(first, multiply(step, i32(turns))) : first; };
  NVVM::Barrier0Op::create(b); // warps may still read slots for the tile before
  for (int64_t group = 0, turns = 0; group < plan.tokenSlots - 1; ++group) {
    // The blocks of a turn by its first step, and with the last of these groups all that are left.
    for (; turns < plan.weightSlots - 1 && (turns * plan.turnTiles <= group || group == plan.tokenSlots - 2); ++turns)
      if (failed(fetchWeight(turnAt(turns), i32(turns * plan.weightBytes))))
        return failure();
    if (failed(fetchTokens(turnAt(group / plan.turnTiles), group % plan.turnTiles, i32(group * plan.tokenBytes))))
      return failure();
    NVVM::CpAsyncCommitGroupOp::create(b);
  }
  return success();
}

LogicalResult QuantisedEmitter::arrive() {
  NVVM::CpAsyncWaitGroupOp::create(b, uint32_t(plan.tokenSlots - 2));
  NVVM::Barrier0Op::create(b);
  Value columns = lookup(plan.copies.getStep()).front();
  auto turnAhead = [&](int64_t turns) { return add(turn, multiply(columns, i32(turns))); };
  if (step == 0 && failed(fetchWeight(turnAhead(plan.weightSlots - 1), weights.spare)))
    return failure();
  const int64_t ahead = step + plan.tokenSlots - 1;
  if (failed(fetchTokens(turnAhead(ahead / plan.turnTiles), ahead % plan.turnTiles, tokens.spare)))
    return failure();
  NVVM::CpAsyncCommitGroupOp::create(b);
  return success();
}

void QuantisedEmitter::advance(Ring &ring, int64_t bytes, int64_t slots) {
  ring.spare = ring.slot;
  Value next = add(ring.slot, i32(bytes)), last = compare(arith::CmpIPredicate::eq, next, i32(bytes * slots));
  ring.slot = arith::SelectOp::create(b, last, i32(0), next);
}

LogicalResult QuantisedEmitter::emitTurnsOf(scf::ForOp op) {
  auto number = [&](Value value) { return lookup(value).front(); };
  if (failed(begin()))
    return failure();
  SmallVector<Value> carried = lookupAll(op.getInitArgs());
  const size_t sums = carried.size();
  carried.append(
      {i32(0), i32((plan.weightSlots - 1) * plan.weightBytes), i32(0), i32((plan.tokenSlots - 1) * plan.tokenBytes)});
  if (failed(emitTurns(number(op.getLowerBound()), number(op.getUpperBound()), number(op.getStep()), carried,
                       [&](Value index, SmallVectorImpl<Value> &inside) -> LogicalResult {
                         weights = {inside[sums], inside[sums + 1]}, tokens = {inside[sums + 2], inside[sums + 3]};
                         inside.truncate(sums);
                         turn = index, step = 0;
                         if (failed(emitTurn(op, index, inside)))
                           return failure();
                         advance(weights, plan.weightBytes, plan.weightSlots);
                         inside.append({weights.slot, weights.spare, tokens.slot, tokens.spare});
                         return success();
                       })))
    return failure();
  carried.truncate(sums);
  mapAll(op.getResults(), carried);
  return success();
}

//===-- Products -------------------------------------------------------------------------------------------------===//

void QuantisedEmitter::prepareFragments() {
  Value row = binary("arith.andi", lane, i32(kTokens - 1)), matrix = binary("arith.shrui", lane, i32(3));
  const int64_t matrices = 4; // that a load has
  for (int64_t piece = 0; piece < kRowBytes / kPieceBytes; piece += matrices) {
    Value turned = binary("arith.xori", add(matrix, i32(piece)), row);
    fromTokens.push_back(add(multiply(row, i32(kRowBytes)), multiply(turned, i32(kPieceBytes))));
  }
}

/// Step by step along k: what a warp has of 16 rows each, and of 8 tokens each.
void QuantisedEmitter::multiply(MmaOp op) {
  const SmallVector<Value> held = lookup(op.getA());
  SmallVector<Value> sums;
  if (op.getAcc())
    sums = lookup(op.getAcc());
  else
    sums.assign(convert(op.getType()).size(), arith::ConstantOp::create(b, b.getF32FloatAttr(0)));
  const Type element = op.getB().getType().getElementType();
  const int64_t across = op.getB().getType().getDimSize(0) / kTokens, down = sums.size() / 4 / across;
  const int64_t words = held.size() / down; // of 16 rows, four each 16 columns
  for (auto [part, place] : llvm::enumerate(fromTokens)) {
    Value from = add(place, tokens.slot);
    for (int64_t j = 0; j < across; ++j) {
      const SmallVector<Value> right =
          loadMatrices(from, plan.tokensOffset + j * kTokens * kRowBytes, /*transposed=*/false);
      for (int64_t half = 0; half < 2; ++half)
        for (int64_t i = 0; i < down; ++i)
          multiplyWarp(element, ArrayRef<Value>(held).slice(i * words + (2 * int64_t(part) + half) * 4, 4),
                       ArrayRef<Value>(right).slice(2 * half, 2),
                       MutableArrayRef<Value>(sums).slice((i * across + j) * 4, 4));
    }
  }
  map(op.getResult(), sums);
  advance(tokens, plan.tokenBytes, plan.tokenSlots);
  ++step;
}

} // namespace stepdown::nvidia
