// Products of a slot: steps of two chunks along k, of each the fragments of A and B that a wave needs, 16 bytes a lane,
// and every product of the two. Which k a lane's elements are does not matter as long as those of A and B are the same:
// a lane's 8 neighbours of one chunk are the halves of two MFMAs of gfx942, or one of gfx950 and one WMMA of gfx1201.
#include "lib/Kernels/ChipLimits.h"
#include "passes/AMD/KernelEmitter.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::amd {

static constexpr int64_t kPiece = 16; // bytes of a chunk's row

void WaveEmitter::prepareFragments(const TilePlan &tile, Value firstRow) {
  Value across = remainder(lane, chip.rows), half = chip.twice ? i32(0) : divided(lane, chip.rows);
  Places &places = this->places[&tile];
  Value row = add(firstRow, across);
  auto place = [&](Value chunk, Value turned) {
    places.from.push_back(add(multiply(add(multiply(chunk, i32(tile.rows)), turned), i32(kPiece)), i32(tile.offset)));
  };
  if (tile.alongK) { // one for each chunk of 8 that a lane reads: those of the next 8 are an offset further
    const int64_t apart = 8 / std::min<int64_t>(8, tile.chunks);
    for (int64_t chunk = 0; chunk < std::min<int64_t>(8, tile.chunks); chunk += chip.twice ? 1 : 2) {
      Value mine = add(half, i32(chunk));
      place(mine, binary("arith.xori", row, bits(multiply(mine, i32(apart)), 7)));
    }
    return;
  }
  for (int64_t next = 0; next < 64; next += chip.rows) { // one for each block's rows in 64
    Value mine = add(row, i32(next));
    if (tile.pairs) { // a half has the words of a chunk
      Value turned = binary("arith.xori", mine, divided(bits(mine, 32), 8));
      Value word = add(multiply(half, i32(kChunk / 2 * tile.rows)), turned);
      places.from.push_back(add(multiply(word, i32(4)), i32(tile.offset)));
      continue;
    }
    place(half, binary("arith.xori", mine, bits(divided(mine, 8), 7)));
  }
}

void KernelEmitter::prepareProducts() {
  placeSums(plan.waveColumns);
  prepareFragments(plan.a, firstRow);
  prepareFragments(plan.b, firstColumn);
}

void KernelEmitter::beginSums() {
  const auto type = VectorType::get(chip.sums(), sumType());
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(type));
  sums.assign(plan.blocksDown * plan.blocksAcross, zero);
}

SmallVector<Value> WaveEmitter::fragments(const TilePlan &tile, Value slot, int64_t step, int64_t blocks,
                                          int64_t first) {
  const Places &places = this->places[&tile];
  const auto type = VectorType::get(kChunk, b.getI16Type());
  const int64_t reads = chip.twice ? 2 : 1, inStep = kStep / kChunk; // chunks
  SmallVector<Value> made;
  for (int64_t block = first; block < first + blocks; ++block)
    for (int64_t read = 0; read < reads; ++read) {
      int64_t which, offset;
      if (tile.alongK) {
        const int64_t distinct = places.from.size(), number = step * reads + read;
        which = number % distinct;
        offset = (number / distinct * std::min<int64_t>(8, tile.chunks) * tile.rows + block * chip.rows) * kPiece;
      } else {
        const int64_t in64 = 64 / chip.rows;
        which = block % in64;
        offset = block / in64 * 64 * kPiece + (step * inStep + read) * tile.rows * kPiece;
      }
      Value from = lds(add(places.from[which], slot));
      if (tile.pairs) {
        made.push_back(
            wordsFrom(from, block / (64 / chip.rows) * 64 * 4 + step * (kStep / 2) * tile.rows * 4, tile.rows * 4));
        continue;
      }
      Value at = LLVM::GEPOp::create(b, from.getType(), b.getI8Type(), from, ArrayRef<LLVM::GEPArg>{int32_t(offset)});
      made.push_back(LLVM::LoadOp::create(b, type, at, kPiece));
    }
  return made;
}

/// Four words that lie `apart` bytes from each other, as a piece.
Value WaveEmitter::wordsFrom(Value from, int64_t offset, int64_t apart) {
  Value all = LLVM::UndefOp::create(b, VectorType::get(kChunk / 2, b.getI32Type()));
  for (int64_t i = 0; i < kChunk / 2; ++i) {
    Value at = LLVM::GEPOp::create(b, from.getType(), b.getI8Type(), from,
                                   ArrayRef<LLVM::GEPArg>{int32_t(offset + i * apart)});
    all = LLVM::InsertElementOp::create(b, all, LLVM::LoadOp::create(b, b.getI32Type(), at, 4), i32(i));
  }
  return LLVM::BitcastOp::create(b, VectorType::get(kChunk, b.getI16Type()), all);
}

Value WaveEmitter::operandOfSteps(ArrayRef<SmallVector<Value>> steps, int64_t block) {
  SmallVector<Value> parts;
  for (const SmallVector<Value> &each : steps)
    parts.push_back(each[block]);
  SmallVector<int32_t> all;
  while (int64_t(all.size()) < kChunk * int64_t(parts.size()))
    all.push_back(int32_t(all.size()));
  Value whole = LLVM::ShuffleVectorOp::create(b, parts[0], parts[1], all);
  return LLVM::BitcastOp::create(b, VectorType::get(chip.held / 2, b.getI32Type()), whole);
}

Value WaveEmitter::operand(ArrayRef<Value> fragments, int64_t block, int64_t instruction) {
  // LLVM has bf16 operands as integers where they are older than its type.
  Type part = !element.isBF16()                  ? Type(b.getF16Type())
              : chip.mfma && chip.held == kChunk ? Type(b.getBF16Type())
                                                 : b.getI16Type();
  const bool each = chip.twice && chip.held == kChunk; // an instruction takes one of the two chunks
  Value whole = fragments[each ? 2 * block + instruction : chip.twice ? 2 * block : block];
  if (chip.held != kChunk) {
    SmallVector<int32_t> elements;
    for (int64_t i = 0; i < chip.held; ++i)
      elements.push_back(int32_t(instruction * chip.held + i));
    whole = LLVM::ShuffleVectorOp::create(b, whole, chip.twice ? fragments[2 * block + 1] : whole, elements);
  }
  if (elementBytes() == 2)
    return LLVM::BitcastOp::create(b, VectorType::get(chip.held, part), whole);
  // MFMA takes four and eight int8 as one number.
  const int64_t words = chip.held / 2;
  Type pairs = chip.mfma && words <= 2 ? Type(b.getIntegerType(32 * words)) : VectorType::get(words, b.getI32Type());
  return LLVM::BitcastOp::create(b, pairs, whole);
}

Value WaveEmitter::product(Value left, Value right, Value sum) {
  SmallVector<Value> operands = {left, right, sum};
  if (element.isInteger() && !chip.mfma) { // both are signed, and sums wrap
    auto flag = [&](bool set) -> Value { return arith::ConstantOp::create(b, b.getBoolAttr(set)); };
    return intrinsic(chip.i8, sum.getType(), {flag(true), left, flag(true), right, sum, flag(false)});
  }
  if (elementBytes() == 1 && !element.isInteger()) {
    const bool e5m2 = isa<Float8E5M2Type>(element);
    if (chip.fnuz) // no broadcast, no permutation
      operands.append(3, i32(0));
    else if (chip.mfma) // both types, then of each factor which byte scales it, and by what: zeros for no scales
      for (int32_t number : {int32_t(e5m2), int32_t(e5m2), 0, 0, 0, 0})
        operands.push_back(i32(number));
    return intrinsic(e5m2 ? chip.e5m2 : chip.e4m3, sum.getType(), operands);
  }
  if (chip.mfma) // no broadcast, no permutation
    operands.append(3, i32(0));
  return intrinsic(element.isInteger() ? chip.i8 : element.isBF16() ? chip.bf16 : chip.f16, sum.getType(), operands);
}

void KernelEmitter::compute(Value slot) {
  if (slot == arriving)
    arrive();
  b.setLoc(plan.first.getLoc());
  const int64_t together = chip.steps();
  for (int64_t step = 0; step < plan.steps; step += together) {
    SmallVector<SmallVector<Value>> a, w;
    for (int64_t next = step; next < step + together; ++next) {
      a.push_back(fragments(plan.a, slot, next, plan.blocksDown));
      w.push_back(fragments(plan.b, slot, next, plan.blocksAcross));
    }
    auto take = [&](ArrayRef<SmallVector<Value>> from, int64_t block, int64_t instruction) {
      return together > 1 ? operandOfSteps(from, block) : operand(from[0], block, instruction);
    };
    for (int64_t instruction = 0; instruction < chip.instructions(); ++instruction)
      for (int64_t i = 0; i < plan.blocksDown; ++i)
        for (int64_t j = 0; j < plan.blocksAcross; ++j) {
          Value &sum = sums[i * plan.blocksAcross + j];
          sum = product(take(a, i, instruction), take(w, j, instruction), sum);
        }
  }
}

void KernelEmitter::computeUntil(size_t left) {
  while (issued.size() > left) {
    compute(issued.front());
    issued.pop_front();
  }
}

void KernelEmitter::takeSums(MmaWaitOp op) {
  if (op.getVectors().empty())
    return;
  SmallVector<Value> elements = elementsOf(sums);
  if (convertsCodes()) { // both factors are half of what they mean
    Value four = arith::ConstantOp::create(b, b.getF32FloatAttr(4));
    for (Value &sum : elements)
      sum = binary("arith.mulf", sum, four);
  }
  map(op.getVectors().front(), elements);
}

LogicalResult KernelEmitter::store(StoreOp op) {
  const Type type = op.getTo().getType().getElementType();
  const bool integers = sumType().isInteger();
  if (integers ? !type.isInteger(32) : !type.isF32() && !type.isBF16() && !type.isF16())
    return unfit(op) << "expects to store f32 as f32, bf16 or f16, or i32, on " << chip.name << ", but got "
                     << op.getValue().getType() << " to " << op.getTo().getType();
  const int64_t bytes = type.getIntOrFloatBitWidth() / 8;
  const auto [to, row, column, buffer, stride] = destination(op);
  Value first = add(add(column, firstColumn), remainder(lane, chip.rows));
  SmallVector<Value> begins, there;
  for (int64_t j = 0; j < plan.blocksAcross; ++j) {
    Value at = add(first, i32(j * chip.rows));
    there.push_back(compare(arith::CmpIPredicate::slt, at, to.columns));
    begins.push_back(multiply(add(multiply(laneRow, stride), at), i32(bytes)));
  }
  // The multiples of the stride depend on the tile, and each is used up before the next: LLVM would keep all of them
  // through the loop over k, and spill.
  Value some = compare(arith::CmpIPredicate::slt, row, to.rows);
  Value apart = arith::SelectOp::create(b, some, stride, i32(0));
  const SmallVector<Value> elements = lookup(op.getValue());
  for (int64_t i = 0; i < plan.blocksDown; ++i)
    for (int64_t number = 0; number < chip.sums(); ++number) {
      const int64_t row = i * plan.blocksAcross * chip.sums() + number;
      Value below = multiply(apart, i32(held(row).row * bytes));
      for (int64_t j = 0; j < plan.blocksAcross; ++j) {
        // Behind every buffer's end where the matrix has no such column.
        Value offset = arith::SelectOp::create(b, there[j], add(begins[j], below), i32(-1));
        Value value = elements[row + j * chip.sums()];
        if (!integers && !type.isF32())
          value = LLVM::BitcastOp::create(b, b.getI16Type(), arith::TruncFOp::create(b, type, value));
        intrinsic("llvm.amdgcn.raw.ptr.buffer.store", Type(), {value, buffer, offset, i32(0), i32(0)});
      }
    }
  return success();
}

} // namespace stepdown::amd
