// The program of a block: for each tile of queries, these are read into registers, and the first keys put into LDS.
// Each turn of the loop over keys then issues the loads of the keys of the next turn and of the values of this one,
// computes with the keys of this one and the values of the one before, and puts what has come into the other slots,
// behind which is the one barrier of a turn.
#include "passes/AMD/AttentionEmitter.h"
#include "lib/Kernels/ChipLimits.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::amd {

static constexpr int64_t kPiece = 16, kParts = 4; // bytes of 8 elements; numbers that a sum in parts has in a lane

AttentionEmitter::AttentionEmitter(KernelOp kernel, const AttentionPlan &plan, LLVM::LLVMFuncOp function)
    : WaveEmitter(kernel, *plan.chip, plan.threads, function), plan(plan) {}

int64_t AttentionEmitter::count(Type type) const {
  const int64_t columns = cast<VectorType>(type).getDimSize(1);
  return columns == 1 ? 1 : columns < 16 ? kParts : columns / chip.rows * chip.sums();
}

bool AttentionEmitter::isSums(Type type) const {
  auto tile = dyn_cast<VectorType>(type);
  return tile && tile.getElementType().isF32() && tile.getDimSize(1) >= chip.rows;
}

Value AttentionEmitter::vectorOf(VectorType type, ArrayRef<Value> numbers) {
  Value all = LLVM::UndefOp::create(b, type);
  for (auto [i, number] : llvm::enumerate(numbers))
    all = LLVM::InsertElementOp::create(b, all, number, i32(i));
  return all;
}

SmallVector<Type> AttentionEmitter::convert(Type type) {
  if (!isa<VectorType>(type))
    return {type.isIndex() ? Type(b.getI32Type()) : type};
  if (cast<VectorType>(type).getElementType().isF32())
    return SmallVector<Type>(count(type), b.getF32Type());
  return SmallVector<Type>(count(type) / kChunk, VectorType::get(kChunk, b.getI16Type()));
}

LogicalResult AttentionEmitter::emit() {
  b.setInsertionPointToStart(&function.getBody().front());
  element = plan.text.scores.getShapeOfA().getElementType();
  whole = true; // a head's columns all lie in the matrix
  sparing = plan.narrow;
  begin();
  half = divided(lane, chip.rows);
  query = add(multiply(wave, i32(chip.rows)), remainder(lane, chip.rows));
  return emitProgram(kernel, plan.text.role, [&] {
    for (const TilePlan *tile : {&plan.keys, &plan.values}) {
      prepareCopy(*tile);
      prepareFragments(*tile, i32(0));
    }
  });
}

LogicalResult AttentionEmitter::emitOperation(Operation &op) {
  auto done = [&](auto &&emitted) { return emitted(), success(); };
  return llvm::TypeSwitch<Operation *, LogicalResult>(&op)
      .Case([&](ScheduleOp schedule) { return emitSchedule(schedule); })
      .Case([&](scf::ForOp loop) { return emitBlocks(loop); })
      .Case([&](EntryOp entry) { return done([&] { readEntry(entry); }); })
      .Case([&](WaitOp waited) { return wait(waited); })
      .Case([&](MmaOp mma) { return done([&] { multiply(mma); }); })
      .Case([&](MmaWaitOp waited) { return done([&] { takeSums(waited); }); })
      .Case([&](MapOp each) {
        auto element = [&](unsigned operand, int64_t i) {
          const SmallVector<Value> elements = lookup(each.getOperands()[operand]);
          return elements[elements.size() == 1 ? 0 : i];
        };
        auto mapOne = [&](Operation &inner, IRMapping &elements) { return mapped(inner, elements); };
        return done([&] { mapTile(each, count(each.getType()), element, mapOne); });
      })
      .Case([&](ReduceOp reduction) { return done([&] { reduce(reduction); }); })
      .Case([&](MaskOp masked) { return done([&] { mask(masked); }); })
      .Case([&](ReadOp number) { return read(number); })
      .Case([&](ConvertOp narrowed) { return done([&] { narrow(narrowed); }); })
      .Case([&](StoreOp stored) { return done([&] { store(stored); }); })
      // A barrier separates what reads a slot from what fills it again; all waves compute at once.
      .Case<ReleaseOp, EnterTurnOp, LeaveTurnOp>([&](auto) { return success(); })
      .Case([&](memref::DimOp dim) { return sizeOf(dim); })
      .Default([&](Operation *other) -> LogicalResult {
        auto constant = dyn_cast<arith::ConstantOp>(other);
        if (!constant || !isRegisterTile(constant.getType()))
          return emitScalar(*other);
        auto splat = cast<SplatElementsAttr>(constant.getValue());
        Value number = arith::ConstantOp::create(b, cast<TypedAttr>(splat.getSplatValue<Attribute>()));
        map(constant.getResult(), SmallVector<Value>(count(constant.getType()), number));
        return success();
      });
}

WaveEmitter::Loaded AttentionEmitter::fetch(const TilePlan &tile, Value key) {
  map(plan.text.copies.getInductionVar(), key);
  return load(tile);
}

/// The places of the copies, then the queries: what the instruction takes of a lane for each 16 columns. In front of
/// LDS the pieces of a lane's half.
void AttentionEmitter::readQueries() {
  CopyOp copy = plan.text.queries;
  const Matrix &from = matrices[copy.getFrom()];
  const int64_t bytes = element.getIntOrFloatBitWidth() / 8;
  Value row = lookup(copy.getRow()).front(), column = lookup(copy.getColumn()).front();
  Value buffer = resource(from, element, row, column, copy.getTo().getType().getDimSize(0), from.columns);
  Value stride = arith::TruncIOp::create(b, b.getI32Type(), from.stride);
  Value first = multiply(multiply(query, stride), i32(bytes));
  const bool alone = !chip.twice || plan.queriesInLds;
  if (alone)
    first = add(first, multiply(half, i32(kPiece)));
  const auto words = VectorType::get(4, b.getI32Type());
  queries.clear();
  for (int64_t piece = 0; piece < plan.width / kChunk; piece += alone ? 2 : 1) {
    Value got =
        intrinsic("llvm.amdgcn.raw.ptr.buffer.load", words, {buffer, add(first, i32(piece * kPiece)), i32(0), i32(0)});
    queries.push_back(LLVM::BitcastOp::create(b, VectorType::get(kChunk, b.getI16Type()), got));
  }
}

/// Where piece `piece` of the lane's query is in LDS: neighbouring lanes have neighbouring queries.
Value AttentionEmitter::queryPlace(int64_t piece, Value half) {
  const int64_t rows = plan.threads / chip.lanes * chip.rows;
  Value from = multiply(add(multiply(half, i32(rows)), query), i32(kPiece));
  return lds(add(from, i32(plan.queriesOffset + piece * rows * kPiece)));
}

/// What the instruction takes of the lane's query in step `step`.
SmallVector<Value> AttentionEmitter::queriesOf(int64_t step) {
  const int64_t reads = chip.twice ? 2 : 1;
  SmallVector<Value> made;
  for (int64_t read = 0; read < reads; ++read) {
    if (!plan.queriesInLds) {
      made.push_back(queries[step * reads + read]);
      continue;
    }
    Value from = queryPlace(step * 2 + read, chip.twice ? i32(0) : half);
    made.push_back(LLVM::LoadOp::create(b, VectorType::get(kChunk, b.getI16Type()), from, kPiece));
  }
  return made;
}

LogicalResult AttentionEmitter::wait(WaitOp op) {
  Value tile = op.getTiles().front();
  const bool inLoop = isa<scf::ForOp>(op->getParentOp());
  auto slotBytes = [&](const TilePlan &of, Value number) { return multiply(number, i32(of.slotBytes)); };
  if (op.getChannel() == plan.text.queries.getTo().getDefiningOp<AcquireOp>().getChannel()) {
    followTile(plan.text.copies, op);
    if (failed(emitNumbers(plan.text.copying.getBody().front())))
      return failure();
    readQueries();
    return success();
  }
  if (op.getChannel() == plan.text.sums.getB().getDefiningOp<WaitOp>().getChannel()) { // values, of the turn before
    slots[tile] = slotBytes(plan.values, binary("arith.xori", slot, i32(1)));
    return success();
  }
  if (!inLoop) { // the first keys of a tile
    // Of the tile before all waves have read keys and queries: they met behind that, and read only values since.
    put(fetch(plan.keys, lookup(plan.text.copies.getLowerBound()).front()), i32(0));
    for (size_t i = 0; plan.queriesInLds && i < queries.size(); ++i)
      LLVM::StoreOp::create(b, queries[i], queryPlace(2 * i, half), kPiece);
    synchronise();
    slot = i32(0);
  }
  slots[tile] = slotBytes(plan.keys, slot);
  return success();
}

/// What `loop` carries, with the sums of an instruction as one vector: LLVM would give numbers that are carried one by
/// one other registers than the instruction's.
SmallVector<Value> AttentionEmitter::packed(scf::ForOp loop, ArrayRef<Value> numbers) {
  const auto sums = VectorType::get(chip.sums(), b.getF32Type());
  SmallVector<Value> made;
  for (Value carried : loop.getInitArgs()) {
    const auto held = numbers.take_front(convert(carried.getType()).size());
    numbers = numbers.drop_front(held.size());
    if (!isSums(carried.getType())) {
      llvm::append_range(made, held);
      continue;
    }
    for (size_t first = 0; first < held.size(); first += chip.sums())
      made.push_back(vectorOf(sums, held.slice(first, chip.sums())));
  }
  return made;
}

SmallVector<Value> AttentionEmitter::unpacked(scf::ForOp loop, ArrayRef<Value> carried) {
  SmallVector<Value> numbers;
  for (Value argument : loop.getInitArgs()) {
    const int64_t count = convert(argument.getType()).size(),
                  values = isSums(argument.getType()) ? count / chip.sums() : count;
    for (Value value : carried.take_front(values))
      if (isSums(argument.getType()))
        for (int64_t i = 0; i < chip.sums(); ++i)
          numbers.push_back(LLVM::ExtractElementOp::create(b, value, i32(i)));
      else
        numbers.push_back(value);
    carried = carried.drop_front(values);
  }
  return numbers;
}

/// As emitTurns, but what is carried is asked behind a turn: LLVM does not turn a loop of so many values round by
/// itself, and then copies the sums in each turn.
LogicalResult AttentionEmitter::emitWhile(Value lower, Value upper, Value step, SmallVectorImpl<Value> &carried,
                                          function_ref<LogicalResult(Value, SmallVectorImpl<Value> &)> body) {
  auto isBelow = [&](Value index) { return compare(arith::CmpIPredicate::slt, index, upper); };
  auto some = scf::IfOp::create(b, TypeRange(ValueRange(carried)), isBelow(lower), /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToEnd(&some.getElseRegion().front());
  scf::YieldOp::create(b, carried);
  b.setInsertionPointToEnd(&some.getThenRegion().front());
  SmallVector<Value> inside = {lower};
  llvm::append_range(inside, carried);
  const SmallVector<Type> types(ValueRange(inside).getTypes());
  auto loop = scf::WhileOp::create(b, types, inside);
  const SmallVector<Location> places(types.size(), b.getLoc());
  Block *turn = b.createBlock(&loop.getBefore(), {}, types, places);
  inside.assign(turn->args_begin() + 1, turn->args_end());
  if (failed(body(turn->getArgument(0), inside)))
    return failure();
  Value next = add(turn->getArgument(0), step);
  inside.insert(inside.begin(), next);
  scf::ConditionOp::create(b, isBelow(next), inside);
  Block *again = b.createBlock(&loop.getAfter(), {}, types, places);
  scf::YieldOp::create(b, again->getArguments());
  b.setInsertionPointAfter(loop);
  scf::YieldOp::create(b, loop.getResults().drop_front());
  carried.assign(some.getResults().begin(), some.getResults().end());
  return success();
}

LogicalResult AttentionEmitter::emitBlocks(scf::ForOp op) {
  auto number = [&](Value value) { return lookup(value).front(); };
  auto arrive = [&](ArrayRef<Loaded> loaded, Value keysTo, Value valuesTo) {
    put(loaded[0], multiply(keysTo, i32(plan.keys.slotBytes)));
    put(loaded[1], multiply(valuesTo, i32(plan.values.slotBytes)));
    synchronise();
  };
  Value lower = number(op.getLowerBound()), step = number(op.getStep());
  arrive({fetch(plan.keys, lower), fetch(plan.values, binary("arith.subi", lower, step))}, i32(1), i32(0));
  SmallVector<Value> carried = packed(op, lookupAll(op.getInitArgs()));
  carried.push_back(i32(1));
  auto turn = [&](Value key, SmallVectorImpl<Value> &inside) {
    slot = inside.pop_back_val();
    Value other = binary("arith.xori", slot, i32(1)), now = slot;
    SmallVector<Loaded> next;
    auto fetchKeys = [&] { next.push_back(fetch(plan.keys, add(key, step))); };
    auto fetchValues = [&] { next.push_back(fetch(plan.values, key)); };
    if (!plan.late)
      fetchKeys();
    if (!plan.narrow)
      fetchValues();
    else // when the products have left their fragments' registers
      behindProducts = [&] {
        if (plan.late)
          fetchKeys();
        fetchValues();
      };
    SmallVector<Value> numbers = unpacked(op, inside);
    if (failed(emitTurn(op, key, numbers)))
      return failure();
    if (auto fetch = std::exchange(behindProducts, nullptr))
      fetch();
    inside = packed(op, numbers);
    arrive(next, other, now);
    inside.push_back(other);
    return success();
  };
  Value upper = number(op.getUpperBound());
  // Of heads of 64 columns an MFMA's masks would then take more scalar registers than there are.
  LogicalResult made = chip.mfma && plan.width <= 64 ? emitTurns(lower, upper, step, carried, turn)
                                                     : emitWhile(lower, upper, step, carried, turn);
  slot = carried.pop_back_val();
  mapAll(op.getResults(), unpacked(op, carried));
  return made;
}

/// Transposed: rows of the sum are keys, or columns of values, its columns queries.
void AttentionEmitter::multiply(MmaOp op) {
  const bool registers = op.takesRegisters();
  const TilePlan &tile = registers ? plan.values : plan.keys;
  const int64_t blocks = tile.rows / chip.rows, steps = tile.chunks * kChunk / kStep;
  const auto type = VectorType::get(chip.sums(), b.getF32Type());
  SmallVector<Value> &sums = products[op.getResult()];
  if (!op.getAcc()) {
    sums.assign(blocks, arith::ConstantOp::create(b, b.getZeroAttr(type)));
  } else {
    const SmallVector<Value> before = lookup(op.getAcc());
    sums.clear();
    for (int64_t block = 0; block < blocks; ++block)
      sums.push_back(vectorOf(type, ArrayRef(before).slice(block * chip.sums(), chip.sums())));
  }
  const SmallVector<Value> held = registers ? lookup(op.getA()) : SmallVector<Value>();
  Value slot = slots[op.getB()];
  const int64_t together = plan.narrow ? std::min<int64_t>(chip.twice ? 2 : 4, blocks) : blocks; // on their way
  for (int64_t step = 0; step < steps; ++step) {
    SmallVector<Value> across;
    if (!registers) {
      across = queriesOf(step);
    } else if (chip.twice) { // both halves take all 16 keys, of which each has 8
      Value mine = held[step], theirs = otherHalf(mine);
      Value first = compare(arith::CmpIPredicate::eq, half, i32(0));
      across = {arith::SelectOp::create(b, first, mine, theirs), arith::SelectOp::create(b, first, theirs, mine)};
    } else {
      across = {held[step]};
    }
    for (int64_t first = 0; first < blocks; first += together) {
      const int64_t count = std::min(together, blocks - first);
      const SmallVector<Value> down = fragments(tile, slot, step, count, first);
      for (int64_t instruction = 0; instruction < chip.instructions(); ++instruction)
        for (int64_t block = 0; block < count; ++block) {
          Value &sum = sums[first + block];
          sum = product(operand(down, block, instruction), operand(across, 0, instruction), sum);
        }
      if (plan.narrow)
        intrinsic("llvm.amdgcn.sched.barrier", Type(), i32(0));
    }
  }
}

void AttentionEmitter::takeSums(MmaWaitOp op) {
  if (auto fetch = std::exchange(behindProducts, nullptr))
    fetch();
  for (auto [accumulator, vector] : llvm::zip(op.getSums(), op.getVectors())) {
    SmallVector<Value> elements;
    for (Value sum : products[accumulator])
      for (int64_t i = 0; i < chip.sums(); ++i)
        elements.push_back(LLVM::ExtractElementOp::create(b, sum, i32(i)));
    map(vector, elements);
  }
}

Value AttentionEmitter::otherHalf(Value value) {
  Value from = multiply(binary("arith.xori", lane, i32(chip.rows)), i32(4));
  const Type type = value.getType(), word = b.getI32Type();
  const int64_t words = type.isF32() ? 1 : kChunk / 2;
  auto exchange = [&](Value x) { return intrinsic("llvm.amdgcn.ds.bpermute", word, {from, x}); };
  if (words == 1)
    return LLVM::BitcastOp::create(b, type, exchange(LLVM::BitcastOp::create(b, word, value)));
  const auto all = VectorType::get(words, word);
  Value given = LLVM::BitcastOp::create(b, all, value), got = LLVM::UndefOp::create(b, all);
  for (int64_t i = 0; i < words; ++i)
    got = LLVM::InsertElementOp::create(b, got, exchange(LLVM::ExtractElementOp::create(b, given, i32(i))), i32(i));
  return LLVM::BitcastOp::create(b, type, got);
}

void AttentionEmitter::reduce(ReduceOp op) {
  const bool sum = op.getKind() == arith::AtomicRMWKind::addf;
  auto combine = [&](Value x, Value y) -> Value {
    return sum ? binary("arith.addf", x, y) : binary("arith.maxnumf", x, y);
  };
  const SmallVector<Value> held = lookup(op.getValue());
  const SmallVector<Value> acc = op.getAcc() ? lookup(op.getAcc()) : SmallVector<Value>();
  const bool single = op.getType().getDimSize(1) == 1;
  SmallVector<Value> parts(std::min<int64_t>(kParts, held.size())); // none waits for each other number
  if (!single && !acc.empty())
    parts = acc;
  for (auto [i, value] : llvm::enumerate(held)) {
    Value &part = parts[i % parts.size()];
    part = part ? combine(part, value) : value;
  }
  if (single) {
    Value all = parts.front();
    for (Value part : ArrayRef<Value>(parts).drop_front())
      all = combine(all, part);
    all = combine(all, otherHalf(all));
    if (!acc.empty())
      all = combine(all, acc.front());
    parts = {all};
  }
  map(op.getResult(), parts);
}

void AttentionEmitter::mask(MaskOp op) {
  SmallVector<Value> held = lookup(op.getValue());
  auto number = [&](Value index) { return lookup(index).front(); };
  // Columns are counted from the lane's first, so that what they are compared with is one number.
  Value column = add(number(op.getColumn()), multiply(half, i32(8))), here = add(number(op.getRow()), query);
  Value last = number(op.getColumns()), first;
  if (op.getBelow())
    last = binary("arith.minsi", last, add(here, number(op.getBelow())));
  last = binary("arith.subi", last, column);
  if (op.getFrom())
    first = binary("arith.subi", add(here, number(op.getFrom())), column);
  Value infinity = arith::ConstantOp::create(b, b.getF32FloatAttr(-std::numeric_limits<float>::infinity()));
  for (auto [i, value] : llvm::enumerate(held)) {
    // Of each 16 keys the halves of a wave have 8 neighbours: the order of keys in LDS.
    Value at = i32(i / 8 * 16 + i % 8);
    Value seen = compare(arith::CmpIPredicate::slt, at, last);
    if (first)
      seen = binary("arith.andi", seen, compare(arith::CmpIPredicate::sge, at, first));
    value = arith::SelectOp::create(b, seen, value, infinity);
  }
  map(op.getResult(), held);
}

/// One number for all elements, which lanes read alike: in a vector register, since scalar ones are what binds.
LogicalResult AttentionEmitter::read(ReadOp op) {
  if (op.getType().getNumElements() != 1)
    return unfit(op) << "expects to read one number beside an attention on " << chip.name << ", but got "
                     << op.getType();
  const Matrix &from = matrices[op.getFrom()];
  const Type type = op.getFrom().getType().getElementType();
  Value buffer = resource(from, type, lookup(op.getRow()).front(), i32(0), 1, from.columns);
  Value place = multiply(lookup(op.getColumn()).front(), i32(type.getIntOrFloatBitWidth() / 8));
  Value number = intrinsic("llvm.amdgcn.raw.ptr.buffer.load", type, {buffer, place, i32(0), i32(0)});
  map(op.getValue(), type.isF32() ? number : Value(arith::ExtFOp::create(b, b.getF32Type(), number)));
  return success();
}

void AttentionEmitter::narrow(ConvertOp op) {
  const SmallVector<Value> held = lookup(op.getValue());
  const auto wide = VectorType::get(kChunk, b.getF32Type()), narrow = VectorType::get(kChunk, element);
  SmallVector<Value> pieces;
  for (size_t i = 0; i < held.size(); i += kChunk) {
    Value all = LLVM::UndefOp::create(b, wide);
    for (int64_t n = 0; n < kChunk; ++n)
      all = LLVM::InsertElementOp::create(b, all, held[i + n], i32(n));
    Value rounded = arith::TruncFOp::create(b, narrow, all);
    pieces.push_back(LLVM::BitcastOp::create(b, VectorType::get(kChunk, b.getI16Type()), rounded));
  }
  map(op.getResult(), pieces);
}

void AttentionEmitter::store(StoreOp op) {
  const Type type = op.getTo().getType().getElementType();
  const int64_t bytes = type.getIntOrFloatBitWidth() / 8;
  const auto [to, row, column, buffer, stride] = destination(op);
  const int64_t halfColumn = layout.apply({0, chip.rows})[0];
  Value first = add(add(multiply(query, stride), column), multiply(half, i32(halfColumn)));
  const SmallVector<Value> elements = lookup(op.getValue());
  for (auto [i, value] : llvm::enumerate(elements)) {
    const int64_t at = int64_t(i) / chip.sums() * chip.rows + layout.apply({int64_t(i) % chip.sums(), 0})[0];
    Value given = value;
    if (!type.isF32())
      given = LLVM::BitcastOp::create(b, b.getI16Type(), arith::TruncFOp::create(b, type, value));
    intrinsic("llvm.amdgcn.raw.ptr.buffer.store", Type(),
              {given, buffer, multiply(add(first, i32(at)), i32(bytes)), i32(0), i32(0)});
  }
}

} // namespace stepdown::amd
