// The program of a block: for each tile of the result, the first turn's packed blocks are read into registers and its
// tokens put into LDS; each turn then issues the loads of the next, computes, and puts the tokens that have come into
// the other half of their ring, behind which is the one barrier of a turn.
#include "passes/AMD/QuantisedEmitter.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::amd {

static constexpr int64_t kPiece = 16; // bytes of a chunk's row

QuantisedEmitter::QuantisedEmitter(KernelOp kernel, const QuantisedPlan &plan, LLVM::LLVMFuncOp function)
    : SumEmitter(kernel, plan.chip, plan.threads, function, plan.blocksDown, plan.blocksAcross), plan(plan) {}

SmallVector<Type> QuantisedEmitter::convert(Type type) {
  if (isa<VectorType, AccumulatorType>(type))
    return SmallVector<Type>(blocksDown * blocksAcross, VectorType::get(chip.sums(), b.getF32Type()));
  return {type.isIndex() ? Type(b.getI32Type()) : type};
}

LogicalResult QuantisedEmitter::emit() {
  b.setInsertionPointToStart(&function.getBody().front());
  element = b.getF16Type();
  begin();
  return emitProgram(kernel, plan.role, [&] { prepare(); });
}

LogicalResult QuantisedEmitter::emitOperation(Operation &op) {
  auto done = [](auto &&emit) {
    emit();
    return success();
  };
  return llvm::TypeSwitch<Operation *, LogicalResult>(&op)
      .Case([&](ScheduleOp schedule) { return emitSchedule(schedule); })
      .Case([&](scf::ForOp loop) { return emitTurnsOf(loop); })
      .Case([&](UnpackOp unpacked) { return done([&] { unpack(unpacked); }); })
      .Case([&](WaitOp wait) { // what a turn needs is there; of tokens, tiles come in their order
        return done([&] {
          if (wait.getTiles().front().getType() != plan.weight.getTo().getType())
            tiles.try_emplace(wait.getTiles().front(), int64_t(tiles.size()));
        });
      })
      .Case<ReleaseOp>([&](auto) { return success(); }) // a barrier separates turns
      .Case([&](MmaOp mma) { return done([&] { multiply64(mma); }); })
      .Case([&](MmaWaitOp wait) {
        return done([&] {
          for (auto [vector, sum] : llvm::zip(wait.getVectors(), wait.getSums()))
            map(vector, lookup(sum));
        });
      })
      .Case([&](ReadOp) { return success(); }) // where a map uses it
      .Case([&](MapOp each) { return done([&] { mapElements(each); }); })
      .Case([&](StoreOp stored) { return done([&] { store(stored); }); })
      .Case([&](memref::DimOp dim) { return sizeOf(dim); })
      .Default([&](Operation *other) -> LogicalResult {
        auto constant = dyn_cast<arith::ConstantOp>(other);
        if (!constant || !isRegisterTile(constant.getType()))
          return emitScalar(*other);
        auto splat = cast<SplatElementsAttr>(constant.getValue());
        const auto type = VectorType::get(chip.sums(), b.getF32Type());
        Value number = arith::ConstantOp::create(b, SplatElementsAttr::get(type, splat.getSplatValue<Attribute>()));
        map(constant.getResult(), SmallVector<Value>(blocksDown * blocksAcross, number));
        return success();
      });
}

void QuantisedEmitter::prepare() {
  placeSums(1);
  prepareCopy(plan.tokenTile);
  const int64_t lanes = plan.lanesOfRow();
  laneColumns = lanes == 1 ? i32(0) : divided(lane, chip.rows);
  preparePieces();
  // Of 64 columns a lane takes the chunks of its quads.
  Value first = laneColumns, token = remainder(lane, chip.rows);
  if (lanes == 4)
    first = add(multiply(divided(laneColumns, 2), i32(4)), remainder(laneColumns, 2));
  for (int64_t chunk = 0; chunk < (lanes == 4 ? 4 : 8); chunk += lanes == 1 ? 1 : 2) {
    Value mine = add(first, i32(chunk)), turned = binary("arith.xori", token, bits(mine, 7));
    tokenPlaces.push_back(multiply(add(multiply(mine, i32(plan.tokenTile.rows)), turned), i32(kPiece)));
  }
}

LogicalResult QuantisedEmitter::fetch(Value column) {
  followTile(plan.copies, plan.turns);
  map(plan.copies.getInductionVar(), column);
  if (failed(emitNumbers(plan.copying.getBody().front())) || failed(emitNumbers(*plan.copies.getBody())))
    return failure();
  fetchPieces(lookup(plan.weight.getRow()).front(), lookup(plan.weight.getColumn()).front());
  loaded.clear();
  for (int64_t tile = 0; tile < plan.turnTiles; ++tile) {
    map(plan.inner.getInductionVar(), i32(tile * kUnpacked));
    if (failed(emitNumbers(*plan.inner.getBody())))
      return failure();
    loaded.push_back(load(plan.tokenTile));
  }
  return success();
}

void QuantisedEmitter::arrive(Value to) {
  for (auto [tile, each] : llvm::enumerate(loaded))
    put(each, add(to, i32(int64_t(tile) * plan.tileBytes)));
  loaded.clear();
  synchronise();
}

LogicalResult QuantisedEmitter::emitTurnsOf(scf::ForOp op) {
  auto number = [&](Value value) { return lookup(value).front(); };
  Value lower = number(op.getLowerBound()), step = number(op.getStep());
  if (failed(fetch(lower)))
    return failure();
  arrive(i32(0)); // all waves met behind the last turn of the tile before, and read no tokens since
  SmallVector<Value> carried = lookupAll(op.getInitArgs());
  const size_t sums = carried.size();
  llvm::append_range(carried, coming);
  carried.push_back(i32(0));
  if (failed(emitTurns(lower, number(op.getUpperBound()), step, carried,
                       [&](Value index, SmallVectorImpl<Value> &inside) -> LogicalResult {
                         slot = inside.pop_back_val();
                         here.assign(inside.begin() + sums, inside.end());
                         inside.truncate(sums);
                         if (failed(fetch(add(index, step))))
                           return failure();
                         tiles.clear();
                         if (failed(emitTurn(op, index, inside)))
                           return failure();
                         Value other = binary("arith.xori", slot, i32(plan.ldsBytes / 2));
                         arrive(other);
                         llvm::append_range(inside, coming);
                         inside.push_back(other);
                         return success();
                       })))
    return failure();
  carried.truncate(sums);
  mapAll(op.getResults(), carried);
  return success();
}

/// Step by step along k: what an instruction takes of each block's rows, and of each 16 tokens.
void QuantisedEmitter::multiply64(MmaOp op) {
  const int64_t words = chip.held / 2, perChunk = kPiece / 4; // of two elements each
  const auto chunk = VectorType::get(perChunk, b.getI32Type());
  SmallVector<Value> weights = lookup(op.getA()), tokens;
  for (int64_t j = 0; j < blocksAcross; ++j)
    for (Value place : tokenPlaces) {
      Value from = lds(add(place, slot));
      const int64_t offset = tiles.at(op.getB()) * plan.tileBytes + j * chip.rows * kPiece;
      Value at = LLVM::GEPOp::create(b, from.getType(), b.getI8Type(), from, ArrayRef<LLVM::GEPArg>{int32_t(offset)});
      Value got = LLVM::LoadOp::create(b, chunk, at, kPiece);
      for (int64_t i = 0; i < perChunk; ++i)
        tokens.push_back(LLVM::ExtractElementOp::create(b, got, i32(i)));
    }
  auto operand = [&](ArrayRef<Value> from) -> Value {
    Value all = LLVM::UndefOp::create(b, VectorType::get(words, b.getI32Type()));
    for (auto [i, word] : llvm::enumerate(from))
      all = LLVM::InsertElementOp::create(b, all, word, i32(int64_t(i)));
    return LLVM::BitcastOp::create(b, VectorType::get(chip.held, b.getF16Type()), all);
  };
  const int64_t all = weights.size() / blocksDown;
  SmallVector<Value> sums = op.getAcc() ? lookup(op.getAcc()) : SmallVector<Value>();
  if (sums.empty())
    sums.assign(blocksDown * blocksAcross,
                arith::ConstantOp::create(b, b.getZeroAttr(VectorType::get(chip.sums(), b.getF32Type()))));
  for (int64_t next = 0; next < all; next += words)
    for (int64_t i = 0; i < blocksDown; ++i)
      for (int64_t j = 0; j < blocksAcross; ++j) {
        Value &sum = sums[i * blocksAcross + j];
        sum = product(operand(ArrayRef<Value>(weights).slice(i * all + next, words)),
                      operand(ArrayRef<Value>(tokens).slice(j * all + next, words)), sum);
      }
  map(op.getResult(), sums);
}

/// result[r, c] goes to row c of the matrix, column r.
void QuantisedEmitter::store(StoreOp op) {
  const Matrix &to = matrices[op.getTo()];
  const Type type = op.getTo().getType().getElementType();
  const int64_t bytes = type.getIntOrFloatBitWidth() / 8;
  Value row = lookup(op.getRow()).front(), column = lookup(op.getColumn()).front();
  Value buffer = resource(to, type, row, i32(0), op.getValue().getType().getDimSize(1), to.columns);
  Value stride = arith::TruncIOp::create(b, b.getI32Type(), to.stride), right = add(column, laneRow);
  const SmallVector<Value> elements = elementsOf(lookup(op.getValue()));
  for (auto [i, element] : llvm::enumerate(elements)) {
    const Held at = held(int64_t(i));
    Value token = add(add(firstColumn, remainder(lane, chip.rows)), i32(at.column)), mine = add(right, i32(at.row));
    // Behind the buffer's end where the matrix has no such column.
    Value offset = multiply(add(multiply(token, stride), mine), i32(bytes));
    offset = arith::SelectOp::create(b, compare(arith::CmpIPredicate::slt, mine, to.columns), offset, i32(-1));
    intrinsic("llvm.amdgcn.raw.ptr.buffer.store", Type(), {element, buffer, offset, i32(0), i32(0)});
  }
}

} // namespace stepdown::amd
