// Tiles in registers: elementwise operations on what a thread holds of them, reductions between the four lanes that
// hold a row, stores of rows as columns, and the narrowing that makes a product's sum the first operand of the next
// one.
//
// A thread holds of each 64 rows of its warpgroup what EmitMatrix.cpp says of an m64nN sum, two rows of it; of a tile
// with one column therefore two numbers, which four lanes hold alike. The first operand of a product from registers is
// laid out as the sum is, pairs of neighbouring columns in 32 bits (PTX ISA, wgmma A fragment): narrowing moves
// nothing.
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "passes/NVIDIA/RegisterEmitter.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::nvidia {

RegisterTile::RegisterTile(VectorType type, RoleOp role)
    : rows(type.getDimSize(0) / (role.getThreads() / kWarpgroup)), single(type.getDimSize(1) == 1),
      paired(unpacks(role)), columns(single ? 1 : instructionColumns(type)),
      parts(single ? 1 : type.getDimSize(1) / columns) {}

int64_t RegisterTile::row(int64_t index) const {
  return (single ? index / 2 : index / (columns / 2 * parts)) * 64 + half(index) * halfRows();
}

Value RegisterEmitter::rowInWarp(const RegisterTile &tile) {
  Value row = binary("arith.shrui", lane, i32(2));
  return tile.paired ? multiply(row, i32(2)) : row;
}

int64_t RegisterTile::column(int64_t index) const {
  const int64_t inPart = index % (columns / 2);
  return single ? 0 : index / (columns / 2) % parts * columns + inPart / 4 * 8 + inPart % 2;
}

void RegisterEmitter::mapElements(MapOp op, int64_t first, int64_t count) {
  const RegisterTile made(op.getType(), role);
  Value inWarp = add(multiply(binary("arith.shrui", thread, i32(5)), i32(16)), rowInWarp(made));
  Value row = add(multiply(warpgroup, i32(made.rows)), inWarp);
  Value column = multiply(binary("arith.andi", lane, i32(3)), i32(2));
  auto element = [&](unsigned number, int64_t index) -> Value {
    const int64_t i = first + index;
    Value operand = op.getOperands()[number];
    if (auto read = operand.getDefiningOp<ReadOp>())
      return readElement(read, row, column, {made.row(i), made.column(i)});
    const RegisterTile from(cast<VectorType>(operand.getType()), role);
    return lookup(operand)[from.single ? made.rowIndex(i) : i];
  };
  mapTile(op, count, element, [&](Operation &inner, IRMapping &elements) { return mapped(inner, elements); });
}

void RegisterEmitter::reduce(ReduceOp op) {
  const RegisterTile from(op.getValue().getType(), role);
  const SmallVector<Value> held = lookup(op.getValue());
  auto combine = [&](Value x, Value y) -> Value {
    return op.getKind() == arith::AtomicRMWKind::addf ? binary("arith.addf", x, y) : binary("arith.maxnumf", x, y);
  };
  const RegisterTile made(op.getType(), role);
  const SmallVector<Value> acc = op.getAcc() ? lookup(op.getAcc()) : SmallVector<Value>();
  const bool exchanges = made.single && !from.single;                        // four lanes hold a row
  const bool late = exchanges && op.getKind() == arith::AtomicRMWKind::addf; // acc counts once, not for each lane
  // Numbers of one row are combined in two chains, of even and of odd columns: none has to wait for each other one.
  SmallVector<Value> results(made.count()), odd(made.count());
  for (int64_t i = 0; i < from.count(); ++i) {
    int64_t place = from.rowIndex(i);
    if (!made.single)
      for (place = 0; made.row(place) != from.row(i) || made.column(place) != from.column(i) % made.columns;)
        ++place;
    Value &all = made.single && from.column(i) % 2 ? odd[place] : results[place];
    if (!all && &all == &results[place] && !acc.empty() && !late)
      all = acc[place];
    all = all ? combine(all, held[i]) : held[i];
  }
  for (auto [i, all] : llvm::enumerate(results)) {
    if (odd[i])
      all = combine(all, odd[i]);
    for (int64_t distance : {1, 2})
      if (exchanges)
        all = combine(all, NVVM::ShflOp::create(b, all.getType(), i32(-1), all, i32(distance), i32(31),
                                                NVVM::ShflKind::bfly, UnitAttr()));
    if (late && !acc.empty())
      all = combine(all, acc[i]);
  }
  map(op.getResult(), results);
}

void RegisterEmitter::mask(MaskOp op) {
  if (open.contains(op)) {
    map(op.getResult(), lookup(op.getValue()));
    return;
  }
  const RegisterTile tile(op.getType(), role);
  SmallVector<Value> held = lookup(op.getValue());
  auto number = [&](Value index) { return lookup(index).front(); };
  // The lane's first column and row; columns are then counted from that one, so that what they are compared with is one
  // number a row.
  Value column = add(number(op.getColumn()), multiply(binary("arith.andi", lane, i32(3)), i32(2)));
  Value inWarp = add(multiply(binary("arith.shrui", thread, i32(5)), i32(16)), rowInWarp(tile));
  Value row = add(add(number(op.getRow()), multiply(warpgroup, i32(tile.rows))), inWarp);
  Value infinity = arith::ConstantOp::create(b, b.getF32FloatAttr(-std::numeric_limits<float>::infinity()));
  SmallVector<Value> end(tile.rows / 64 * 2), begin(end.size());
  for (int64_t i = 0; i < tile.count(); ++i) {
    Value &last = end[tile.rowIndex(i)], &first = begin[tile.rowIndex(i)];
    if (!last) {
      Value here = add(row, i32(tile.row(i)));
      last = number(op.getColumns());
      if (op.getBelow())
        last = binary("arith.minsi", last, add(here, number(op.getBelow())));
      last = binary("arith.subi", last, column);
      if (op.getFrom())
        first = binary("arith.subi", add(here, number(op.getFrom())), column);
    }
    Value at = i32(tile.column(i));
    Value seen = compare(arith::CmpIPredicate::slt, at, last);
    if (first)
      seen = binary("arith.andi", seen, compare(arith::CmpIPredicate::sge, at, first));
    held[i] = arith::SelectOp::create(b, seen, held[i], infinity);
  }
  map(op.getResult(), held);
}

void RegisterEmitter::narrow(ConvertOp op) {
  const SmallVector<Value> held = lookup(op.getValue());
  const Type element = op.getType().getElementType();
  SmallVector<Value> pairs;
  for (size_t i = 0; i < held.size(); i += 2)
    pairs.push_back(LLVM::BitcastOp::create(b, b.getI32Type(), narrowed(element, held[i], held[i + 1])));
  map(op.getResult(), pairs);
}

void RegisterEmitter::fill(arith::ConstantOp op) {
  const auto splat = cast<SplatElementsAttr>(op.getValue());
  Value element = arith::ConstantOp::create(b, cast<TypedAttr>(splat.getSplatValue<Attribute>()));
  const RegisterTile tile(cast<VectorType>(op.getType()), role);
  map(op.getResult(), SmallVector<Value>(tile.count(), element));
}

/// What all elements of a tile read at once would take as many registers as their sums.
bool RegisterEmitter::isMappedLate(MapOp op) {
  auto turned = [](Value operand) {
    auto read = operand.getDefiningOp<ReadOp>();
    return read && read.getTransposed();
  };
  if (!op->hasOneUse() || !llvm::any_of(op.getOperands(), turned))
    return false;
  auto store = dyn_cast<StoreOp>(*op->user_begin());
  return store && store.getTransposed() && store->getBlock() == op->getBlock();
}

/// Where a thread's two rows are neighbours it stores pairs of them: those of a warp are 16 neighbours of a row.
void RegisterEmitter::storeTransposed(StoreOp op) {
  const VectorType sum = op.getValue().getType();
  const Matrix &to = matrices[op.getTo()];
  const RegisterTile tile(sum, role);
  constexpr int64_t kTogether = 16; // elements of a map that are on their way
  auto late = op.getValue().getDefiningOp<MapOp>();
  late = late && isMappedLate(late) ? late : MapOp();
  SmallVector<Value> held = late ? SmallVector<Value>(tile.count()) : lookup(op.getValue());
  auto less = arith::CmpIPredicate::slt;
  Value warpRow = multiply(binary("arith.shrui", thread, i32(5)), i32(16));
  Value column = add(lookup(op.getColumn()).front(), multiply(warpgroup, i32(tile.rows))); // of the matrix
  column = add(column, add(warpRow, rowInWarp(tile)));
  Value row = add(lookup(op.getRow()).front(), multiply(binary("arith.andi", lane, i32(3)), i32(2)));
  Value place = LLVM::PtrToIntOp::create(b, b.getI64Type(), to.pointer);
  Value odd = binary("arith.ori", binary("arith.andi", place, i64(7)), binary("arith.andi", to.stride, i64(1)));
  Value even = compare(arith::CmpIPredicate::eq, odd, i64(0));
  const Type pairType = VectorType::get(2, b.getF32Type());
  auto guarded = [&](Value condition, function_ref<void()> then, function_ref<void()> otherwise) {
    auto branch = scf::IfOp::create(b, condition, /*withElseRegion=*/bool(otherwise));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(branch.thenBlock()->getTerminator());
    then();
    if (otherwise) {
      b.setInsertionPoint(branch.elseBlock()->getTerminator());
      otherwise();
    }
  };
  for (int64_t i = 0; i < tile.count(); ++i) {
    if (late && i % kTogether == 0) {
      const int64_t count = std::min(kTogether, tile.count() - i);
      mapElements(late, i, count);
      llvm::copy(lookup(late.getResult()), held.begin() + i);
    }
    if (tile.half(i))
      continue; // goes with the first row's
    Value low = held[i], high = held[i + 2];
    Value r = add(row, i32(tile.column(i))), c = add(column, i32(tile.row(i)));
    Value second = add(c, i32(tile.halfRows()));
    auto address = [&](Value at) -> Value {
      Value wide = add(multiply(arith::ExtSIOp::create(b, b.getI64Type(), r), to.stride),
                       arith::ExtSIOp::create(b, b.getI64Type(), at));
      return LLVM::GEPOp::create(b, to.pointer.getType(), b.getF32Type(), to.pointer, ArrayRef<LLVM::GEPArg>{wide});
    };
    auto alone = [&](Value at, Value value) {
      guarded(compare(less, at, to.columns), [&] { LLVM::StoreOp::create(b, value, address(at), 4); }, {});
    };
    auto both = [&] { alone(c, low), alone(second, high); };
    guarded(compare(less, r, to.rows),
            [&] {
              if (!tile.paired)
                return both();
              guarded(
                  binary("arith.andi", even, compare(less, second, to.columns)),
                  [&] {
                    Value pair = LLVM::UndefOp::create(b, pairType);
                    pair = LLVM::InsertElementOp::create(b, pair, low, i32(0));
                    pair = LLVM::InsertElementOp::create(b, pair, high, i32(1));
                    LLVM::StoreOp::create(b, pair, address(c), 8);
                  },
                  both);
            },
            {});
  }
}

} // namespace stepdown::nvidia
