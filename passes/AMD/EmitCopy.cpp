// Tiles from global memory to LDS: 16 bytes a load through a buffer that ends with the matrix, so that rows behind its
// last are zeros. Columns behind the last are the next row's, or what is between rows: of a matrix whose rows lie along
// n they reach columns of the result that are not stored; along k they are made zeros, in the last turn of the loop
// alone. A row is read to the next multiple of 16 bytes.
#include "passes/AMD/WaveEmitter.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::amd {

static constexpr int64_t kBytes = 2, kPiece = 16; // of an element that is turned, of a load

/// The row of LDS that row `row` of a tile goes to, so that the rows that an instruction leaves a lane of a sum are 8
/// neighbours of the tile's: those of the first half of a wave are the first 8 of 16.
Value WaveEmitter::ordered(Value row) {
  auto moved = [&](int64_t from, int64_t to) {
    Value bit = bits(row, int64_t(1) << from);
    return from < to ? multiply(bit, i32(int64_t(1) << (to - from))) : divided(bit, int64_t(1) << (from - to));
  };
  Value made = binary("arith.subi", row, bits(row, 15));
  for (int64_t from = 0; from < 4; ++from) {
    // Bit 3 is the half, the others are the number of the lane's sum: where the layout has them.
    const std::vector<int64_t> at = from == 3 ? layout.apply({0, chip.rows}) : layout.apply({int64_t(1) << from, 0});
    made = add(made, moved(from, llvm::Log2_64(at[0])));
  }
  return made;
}

void WaveEmitter::prepareCopy(const TilePlan &tile) {
  Places &places = this->places[&tile];
  auto place = [&](Value offset) { places.to.push_back(add(offset, i32(tile.offset))); };
  if (tile.alongK) {
    places.row = divided(thread, tile.chunks);
    Value chunk = remainder(thread, tile.chunks);
    places.column = multiply(chunk, i32(inChunk()));
    const int64_t apart = 8 / std::min<int64_t>(8, tile.chunks), rows = threads / tile.chunks; // to the next unit
    for (int64_t unit = 0; unit < std::min(tile.units, tile.ways(threads)); ++unit) {
      Value row = add(places.row, i32(unit * rows));
      if (tile.ordered)
        row = ordered(row);
      Value turned = binary("arith.xori", row, bits(multiply(chunk, i32(apart)), 7));
      place(multiply(add(multiply(chunk, i32(tile.rows)), turned), i32(kPiece)));
    }
    return;
  }
  if (tile.pairs) { // neighbouring lanes copy neighbouring eights of two rows
    const int64_t eights = tile.rows / 8;
    Value pair = divided(thread, eights), eight = remainder(thread, eights);
    places.row = multiply(pair, i32(2));
    places.column = multiply(eight, i32(8));
    Value first = multiply(add(multiply(pair, i32(tile.rows)), places.column), i32(4));
    Value flipped = multiply(divided(bits(eight, 4), 4), i32(kPiece));
    for (int64_t half = 0; half < 2; ++half)
      place(add(first, binary("arith.xori", flipped, i32(half * kPiece))));
    return;
  }
  // Lanes first share out a chunk's 8 along k, then eights of rows, then chunks.
  const int64_t parts = kChunk / tile.deep, eights = tile.rows / 8;
  Value part = remainder(thread, parts), unit = divided(thread, parts);
  Value eight = remainder(unit, eights), chunk = divided(unit, eights);
  places.row = add(multiply(chunk, i32(kChunk)), multiply(part, i32(tile.deep)));
  places.column = multiply(eight, i32(8));
  Value first = add(multiply(add(multiply(chunk, i32(tile.rows)), places.column), i32(kPiece)),
                    multiply(part, i32(tile.deep * kBytes)));
  for (int64_t row = 0; row < 8; ++row) // place flips three bits of the row: no offset reaches the others from one
    place(add(first, multiply(binary("arith.xori", bits(eight, 7), i32(row)), i32(kPiece))));
}

Value WaveEmitter::resource(const Matrix &matrix, Type element, Value row, Value column, int64_t rows, Value columns) {
  auto wide = [&](Value value) -> Value { return arith::ExtSIOp::create(b, b.getI64Type(), value); };
  Value first = add(multiply(wide(row), matrix.stride), wide(column));
  Value begin =
      LLVM::GEPOp::create(b, matrix.pointer.getType(), element, matrix.pointer, ArrayRef<LLVM::GEPArg>{first});
  Value left = binary("arith.minsi", binary("arith.subi", matrix.rows, row), i32(rows));
  Value stride = arith::TruncIOp::create(b, b.getI32Type(), matrix.stride);
  Value elements = add(multiply(binary("arith.subi", left, i32(1)), stride), binary("arith.subi", columns, column));
  Value some = compare(arith::CmpIPredicate::sgt, left, i32(0));
  Value bytes = multiply(elements, i32(element.getIntOrFloatBitWidth() / 8));
  Value records = arith::SelectOp::create(b, some, bytes, i32(0));
  Value length = arith::ExtUIOp::create(b, b.getI64Type(), records);
  Value zero = arith::ConstantOp::create(b, b.getI16IntegerAttr(0));
  return intrinsic("llvm.amdgcn.make.buffer.rsrc", LLVM::LLVMPointerType::get(b.getContext(), 8),
                   {begin, zero, length, i32(chip.resource)});
}

WaveEmitter::Destination WaveEmitter::destination(StoreOp op) {
  Matrix to = matrices[op.getTo()];
  if (op.getRows())
    to.rows = binary("arith.minsi", to.rows, lookup(op.getRows()).front());
  Value row = lookup(op.getRow()).front(), column = lookup(op.getColumn()).front();
  Value buffer = resource(to, op.getTo().getType().getElementType(), row, i32(0), op.getValue().getType().getDimSize(0),
                          to.columns);
  return {to, row, column, buffer, arith::TruncIOp::create(b, b.getI32Type(), to.stride)};
}

WaveEmitter::Loaded WaveEmitter::load(const TilePlan &tile) {
  CopyOp copy = tile.copy;
  b.setLoc(copy.getLoc());
  const Matrix &matrix = matrices[copy.getFrom()];
  const MemRefType type = copy.getTo().getType();
  const Places &places = this->places[&tile];
  Value row = lookup(copy.getRow()).front(), column = lookup(copy.getColumn()).front();
  Value columns = binary("arith.andi", add(matrix.columns, i32(inChunk() - 1)), i32(-inChunk()));
  // Where all of a turn's tiles are there, how far it is along k takes no part in the check of bounds: one number of
  // the wave then is all that changes from turn to turn. Else along k the buffer is the same in each turn of the loop,
  // and a lane's place in it moves. Whether that number takes part in the check of bounds, AMD's documents and LLVM's
  // do not agree (docs/emulator.md): a buffer that all turns lie in is right in both readings.
  const bool scalar = scheduled, turns = scalar && !tile.alongK;
  Value begins = tile.alongK ? i32(0) : column;
  Value buffer = resource(matrix, storedAs(), turns ? i32(0) : row, begins,
                          turns ? std::numeric_limits<int32_t>::max() : type.getDimSize(0), columns);
  Value stride = multiply(arith::TruncIOp::create(b, b.getI32Type(), matrix.stride), i32(elementBytes()));
  const auto words = VectorType::get(4, b.getI32Type());
  const auto piece = VectorType::get(kChunk, b.getI16Type());
  Loaded made = {&tile, {}};
  Value turn = !scalar ? i32(0) : tile.alongK ? multiply(column, i32(elementBytes())) : multiply(row, stride);
  Value across = tile.alongK && !scalar ? add(places.column, column) : places.column;
  if (turns) // columns behind the last: any that are there, since nobody stores their sums
    across = binary("arith.minsi", across, binary("arith.subi", columns, add(column, i32(inChunk()))));
  Value first = add(multiply(places.row, stride), multiply(across, i32(elementBytes())));
  Value inside = tile.wholeChunks ? compare(arith::CmpIPredicate::slt, across, matrix.columns) : Value();
  auto loadAt = [&](int64_t rows) {
    Value offset = add(first, multiply(stride, i32(rows)));
    if (inside) // behind the buffer's end
      offset = arith::SelectOp::create(b, inside, offset, i32(-1));
    Value got = intrinsic("llvm.amdgcn.raw.ptr.buffer.load", words, {buffer, offset, turn, i32(0)});
    made.pieces.push_back(LLVM::BitcastOp::create(b, piece, got));
  };
  if (!tile.alongK) {
    const int64_t apart = threads / (tile.rows / 8 * (kChunk / tile.deep)) * kChunk; // rows to the next unit
    for (int64_t unit = 0; unit < tile.units; ++unit)
      for (int64_t k = 0; k < tile.deep; ++k)
        loadAt(unit * apart + k);
    return made;
  }
  for (int64_t unit = 0; unit < tile.units; ++unit)
    loadAt(unit * (threads / tile.chunks));
  if (whole || tile.wholeChunks)
    return made;
  // How many of this thread's columns the matrix has.
  Value there = binary("arith.subi", binary("arith.subi", matrix.columns, column), places.column);
  Value cut = compare(arith::CmpIPredicate::sgt, add(column, i32(type.getDimSize(1))), matrix.columns);
  const SmallVector<Type> types(made.pieces.size(), piece);
  auto branch = scf::IfOp::create(b, types, cut, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToEnd(&branch.getElseRegion().front());
  scf::YieldOp::create(b, made.pieces);
  b.setInsertionPointToEnd(&branch.getThenRegion().front());
  SmallVector<Value> masked;
  if (elementBytes() ==
      1) { // words of four: a comparison for each number would take more scalar registers than there are
    Value mask = LLVM::UndefOp::create(b, words);
    for (int64_t word = 0; word < 4; ++word) {
      Value some = binary("arith.maxsi", binary("arith.minsi", add(there, i32(-4 * word)), i32(4)), i32(0));
      Value out = multiply(binary("arith.subi", i32(4), some), i32(8));
      Value kept = binary("arith.shrui", i64(0xffffffff), arith::ExtUIOp::create(b, b.getI64Type(), out));
      mask = LLVM::InsertElementOp::create(b, mask, arith::TruncIOp::create(b, b.getI32Type(), kept), i32(word));
    }
    for (Value each : made.pieces) {
      Value all = LLVM::BitcastOp::create(b, words, each);
      masked.push_back(LLVM::BitcastOp::create(b, piece, binary("arith.andi", all, mask)));
    }
  } else {
    const auto numbers = VectorType::get(kChunk, b.getI32Type());
    SmallVector<int32_t> order;
    for (int64_t i = 0; i < kChunk; ++i)
      order.push_back(int32_t(i));
    Value one = LLVM::InsertElementOp::create(b, LLVM::UndefOp::create(b, numbers), there, i32(0));
    Value all = LLVM::ShuffleVectorOp::create(b, one, one, SmallVector<int32_t>(kChunk, 0));
    Value index = arith::ConstantOp::create(b, DenseIntElementsAttr::get(numbers, order));
    Value kept = compare(arith::CmpIPredicate::slt, index, all);
    Value none = arith::ConstantOp::create(b, b.getZeroAttr(piece));
    for (Value each : made.pieces)
      masked.push_back(arith::SelectOp::create(b, kept, each, none));
  }
  scf::YieldOp::create(b, masked);
  made.pieces.assign(branch.getResults().begin(), branch.getResults().end());
  return made;
}

bool WaveEmitter::convertsCodes() const { return chip.fnuz && elementBytes() == 1 && !element.isInteger(); }

/// 16 codes of OCP's e4m3 as FNUZ's of half of what they are: minus zero, whose bits are NaN there, becomes zero, and
/// NaN becomes these bits. Four codes are a word, and no sum of their lower seven bits carries into the next one.
Value WaveEmitter::converted(Value piece) {
  const auto words = VectorType::get(4, b.getI32Type());
  auto all = [&](uint32_t number) -> Value {
    return arith::ConstantOp::create(b, DenseElementsAttr::get(words, APInt(32, number)));
  };
  Value codes = LLVM::BitcastOp::create(b, words, piece), signs = all(0x80808080);
  Value low = binary("arith.andi", codes, all(0x7f7f7f7f));
  Value isSome = binary("arith.addi", low, all(0x7f7f7f7f)); // in the place of the sign
  Value sign = binary("arith.andi", binary("arith.andi", codes, isSome), signs);
  Value nan = binary("arith.andi", binary("arith.addi", low, all(0x01010101)), signs);
  Value itsBits = binary("arith.subi", nan, binary("arith.shrui", nan, all(7)));
  Value number = binary("arith.andi", binary("arith.ori", low, sign), binary("arith.xori", itsBits, all(0xffffffff)));
  return LLVM::BitcastOp::create(b, piece.getType(), binary("arith.ori", number, nan));
}

void WaveEmitter::put(const Loaded &loaded, Value slot) {
  const TilePlan &tile = *loaded.tile;
  b.setLoc(tile.copy->getLoc());
  const Places &places = this->places[&tile];
  SmallVector<Value> to;
  if (sparing && !tile.alongK) // the three bits of the row alone: all of a tile else lies at a multiple of 128 bytes
    for (size_t row = 0; row < places.to.size(); ++row)
      to.push_back(lds(binary("arith.xori", add(places.to.front(), slot), i32(row * kPiece))));
  else
    for (Value place : places.to)
      to.push_back(lds(add(place, slot)));
  auto at = [&](Value pointer, int64_t offset) -> Value {
    return LLVM::GEPOp::create(b, pointer.getType(), b.getI8Type(), pointer, ArrayRef<LLVM::GEPArg>{int32_t(offset)});
  };
  if (tile.alongK) {
    const int64_t apart = threads / tile.chunks * kPiece, ways = to.size(); // to the rows of the next unit
    for (auto [unit, piece] : llvm::enumerate(loaded.pieces))
      LLVM::StoreOp::create(b, convertsCodes() ? converted(piece) : piece,
                            at(to[unit % ways], int64_t(unit) / ways * ways * apart), kPiece);
    return;
  }
  if (tile.pairs) {
    const int64_t apart = threads / (tile.rows / 8) * tile.rows * 4;
    for (int64_t unit = 0; unit < tile.units; ++unit)
      for (int32_t half = 0; half < 2; ++half) {
        SmallVector<int32_t> turned;
        for (int32_t row = half * 4; row < half * 4 + 4; ++row)
          turned.append({row, row + int32_t(kChunk)});
        Value words = LLVM::ShuffleVectorOp::create(b, loaded.pieces[unit * 2], loaded.pieces[unit * 2 + 1], turned);
        LLVM::StoreOp::create(b, words, at(to[half], unit * apart), kPiece);
      }
    return;
  }
  const int64_t apart = threads / (tile.rows / 8 * (kChunk / tile.deep)) * tile.rows * kPiece; // chunks
  for (int64_t unit = 0; unit < tile.units; ++unit)
    for (int64_t row = 0; row < 8; ++row) {
      // One row's elements of neighbouring k, in pairs.
      SmallVector<Value> parts;
      for (int64_t k = 0; k < tile.deep; k += 2) {
        Value low = loaded.pieces[unit * tile.deep + k], high = loaded.pieces[unit * tile.deep + k + 1];
        parts.push_back(
            LLVM::ShuffleVectorOp::create(b, low, high, ArrayRef<int32_t>{int32_t(row), int32_t(row + kChunk)}));
      }
      while (parts.size() > 1) {
        SmallVector<Value> joined;
        for (size_t i = 0; i < parts.size(); i += 2) {
          SmallVector<int32_t> both;
          for (int64_t n = 2 * cast<VectorType>(parts[i].getType()).getNumElements(); int64_t(both.size()) < n;)
            both.push_back(int32_t(both.size()));
          joined.push_back(LLVM::ShuffleVectorOp::create(b, parts[i], parts[i + 1], both));
        }
        parts = std::move(joined);
      }
      LLVM::StoreOp::create(b, parts.front(), at(to[row], unit * apart), tile.deep * kBytes);
    }
}

/// Not the barrier but the fences wait for LDS.
void WaveEmitter::synchronise() {
  LLVM::FenceOp::create(b, LLVM::AtomicOrdering::release, "workgroup");
  intrinsic("llvm.amdgcn.s.barrier", Type(), {});
  LLVM::FenceOp::create(b, LLVM::AtomicOrdering::acquire, "workgroup");
}

} // namespace stepdown::amd
