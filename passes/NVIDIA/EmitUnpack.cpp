// Weights from packed blocks in shared memory into registers, as the first operand of a product is laid out there.
// Where each value lies is said by lib/Target/Layout.h, what it means by lib/Checkpoint/BlockFormat.h; nothing here is
// of one storage type.
//
// Of an instruction's 64 x 16 the warp w has the rows of one packed block, and its lane l, with g = l / 4 and c = l mod
// 4, columns 2 c, 2 c + 1, 8 + 2 c and 9 + 2 c of two rows, which are 2 g and 2 g + 1 here: what a block has of two
// such rows are 8 bytes of each vector of quads, 4 of a field of two bytes, 2 of a field of one. The columns are half
// of the quads c / 2 and 2 + c / 2. Lanes of a warp then read 128 neighbouring bytes of a plane with several vectors,
// each twice, and no two words of one bank.
//
// A code becomes a number by its place: the bytes 0x64 above it make it 1024 + code in binary16, exactly.
//
// Of a type with minimums codes are counted from the middle of their range, and the minimum from there: d q + m is
// d (q - c) + (m + c d), whose second term is small. What d and m lose by rounding would else be off by nearly the same
// for all columns of a block, and add up. Scales and minimums are therefore products of float32, which are exact, and
// their sum is rounded to binary16.
#include "lib/Target/Layout.h"
#include "passes/NVIDIA/KernelEmitter.h"
#include "passes/NVIDIA/SharedLayout.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::nvidia {
namespace {

constexpr int64_t kStep = 16;                    // columns of an instruction
constexpr int32_t kExponent = 0x64646464;        // of 1024 in binary16
constexpr int32_t kLow = 0x4140, kHigh = 0x4342; // selectors: bytes 0 and 1, or 2 and 3, below those of kExponent

} // namespace

/// The bytes of `low` and `high` that the nibbles of `selector` number.
Value KernelEmitter::permute(Value low, Value high, Value selector) {
  return LLVM::CallIntrinsicOp::create(b, b.getI32Type(), b.getStringAttr("llvm.nvvm.prmt"),
                                       ValueRange{low, high, selector})
      .getResult(0);
}

namespace {

/// Reads what one lane holds of 32 columns of two rows.
class Unpacker {
public:
  using Binary = function_ref<Value(StringRef, Value, Value)>;
  using Permute = function_ref<Value(Value, Value, Value)>;
  Unpacker(ImplicitLocOpBuilder &b, const PackedBlock &packed, Binary binary, Permute permute)
      : b(b), packed(packed), format(*packed.format), binary(binary), permute(permute),
        pair(VectorType::get(2, b.getF16Type())) {}

  /// Appends the four registers of each of two instructions. `block` is where the block begins, `codes` where its codes
  /// of these columns do, and `scales` that as if the columns' groups were its first. `g`, `c`: of the lane.
  void columns32(Value block, Value codes, Value scales, Value g, Value c, SmallVectorImpl<Value> &made) {
    this->g = g, this->c = c;
    odd = binary("arith.andi", c, i32(1));
    half = binary("arith.shrui", c, i32(1));
    d = halves(block, packed.d.offset);
    if (packed.m.exists())
      m = halves(block, packed.m.offset);
    Value selector = arith::SelectOp::create(b, isOdd(), i32(0x7632), i32(0x5410));
    for (int64_t s = 0; s < kCodeColumns / kStep; ++s) {
      const int64_t which = s * kStep / format.group;
      Value scale = d, minimum, product = m ? wide(d) : Value();
      if (packed.scales.exists()) {
        Value factor = bytesAt(scales, packed.scales.offset + which * packed.scales.stride, /*isSigned=*/true);
        if (m)
          product = mul(product, wide(factor)); // exact
        scale = m ? narrow(product) : mul(d, factor);
      }
      if (m) {
        Value least = wide(m);
        if (packed.minimums.exists())
          least = mul(arith::NegFOp::create(b, least),
                      wide(bytesAt(scales, packed.minimums.offset + which * packed.minimums.stride, false)));
        Value centred = mul(product, splat(centre(), b.getF32Type())); // exact
        minimum = narrow(binary("arith.addf", centred, least));
      }
      SmallVector<Value> registers(4);
      for (int64_t row = 0; row < 2; ++row) {
        Value four = codesOf(codes, s, row, selector);
        Value mine = spread(scale, row), least = minimum ? spread(minimum, row) : Value();
        for (int64_t part = 0; part < 2; ++part)
          registers[2 * part + row] = number(four, part ? kHigh : kLow, mine, least);
      }
      made.append(registers);
    }
  }

private:
  Value i32(int64_t value) { return arith::ConstantOp::create(b, b.getI32IntegerAttr(int32_t(value))); }
  Value isOdd() { return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, odd, i32(0)); }
  Value bits(Value value, Type type) { return LLVM::BitcastOp::create(b, type, value); }
  Value splat(float value, Type element) {
    return arith::ConstantOp::create(
        b, DenseElementsAttr::get(VectorType::get(2, element), b.getFloatAttr(element, value).getValue()));
  }
  Value mul(Value x, Value y) { return binary("arith.mulf", x, y); }
  Value wide(Value x) { return arith::ExtFOp::create(b, VectorType::get(2, b.getF32Type()), x); }
  Value narrow(Value x) { return arith::TruncFOp::create(b, pair, x); }
  /// What codes of a type with minimums are counted from.
  float centre() const { return format.minimum == BlockFormat::None ? 0.0f : float(1 << (format.bits - 1)); }
  Value at(Value pointer, Value offset) {
    return LLVM::GEPOp::create(b, pointer.getType(), b.getI8Type(), pointer, ArrayRef<LLVM::GEPArg>{offset});
  }
  Value at(Value pointer, int64_t offset) {
    return LLVM::GEPOp::create(b, pointer.getType(), b.getI8Type(), pointer, ArrayRef<LLVM::GEPArg>{int32_t(offset)});
  }
  Value times(Value x, int64_t factor) { return binary("arith.muli", x, i32(factor)); }

  /// A field of binary16 of both rows.
  Value halves(Value block, int64_t offset) {
    return LLVM::LoadOp::create(b, pair, at(at(block, times(g, 4)), offset), 4);
  }

  /// A field of one byte of both rows, as binary16.
  Value bytesAt(Value block, int64_t offset, bool isSigned) {
    Value two = LLVM::LoadOp::create(b, b.getIntegerType(16), at(at(block, times(g, 2)), offset), 2);
    Value word = arith::ExtUIOp::create(b, b.getI32Type(), two);
    if (isSigned)
      word = binary("arith.xori", word, i32(0x8080));
    return exact(permute(word, i32(kExponent), i32(kLow)), isSigned ? 128 : 0);
  }

  /// 1024 + x + `offset` in each half of `word` as x.
  Value exact(Value word, int64_t offset) {
    return binary("arith.addf", bits(word, pair), splat(-float(1024 + offset), b.getF16Type()));
  }

  /// Row `row` of a pair of rows, twice.
  Value spread(Value rows, int64_t row) {
    Value word = bits(rows, b.getI32Type());
    return bits(permute(word, word, i32(row ? 0x3232 : 0x1010)), pair);
  }

  /// One word of each vector of `plane` that the lane reads: of both rows, quad `half` of the two behind each other
  /// that begin at quad `first`.
  Value word(Value codes, const PackedPlane &plane, int64_t first, int64_t row) {
    Value place = at(codes, times(g, 2 * kQuadColumns));
    if (plane.vectors() > 1)
      place = at(place, times(half, plane.vectorBytes));
    place = at(place, plane.offset + first % plane.vectors() * plane.vectorBytes);
    auto rows = VectorType::get(2, b.getI32Type());
    Value two = LLVM::LoadOp::create(b, rows, place, 8);
    Value one = LLVM::ExtractElementOp::create(b, two, i32(row));
    return plane.vectors() > 1 ? one : binary("arith.shrui", one, times(half, plane.bits));
  }

  /// The codes of an instruction's four columns of one row, a byte each.
  Value codesOf(Value codes, int64_t step, int64_t row, Value selector) {
    Value all;
    for (int64_t i = 0; i < packed.planes; ++i) {
      const PackedPlane &plane = packed.plane[i];
      const int64_t first = step * kStep / kQuadColumns, second = first + 2;
      const int64_t shift = plane.shiftOf(int(first)), more = plane.shiftOf(int(second)) - shift;
      Value x = word(codes, plane, first, row), y = word(codes, plane, second, row);
      if (more)
        y = binary("arith.shrui", y, i32(more));
      x = permute(x, y, selector);
      if (plane.bits < 8) {
        if (shift)
          x = binary("arith.shrui", x, i32(shift));
        x = binary("arith.andi", x, i32(((1 << plane.bits) - 1) * 0x01010101));
        if (plane.low)
          x = binary("arith.shli", x, i32(plane.low));
      }
      all = all ? binary("arith.ori", all, x) : x;
    }
    return format.table ? fromTable(all) : all;
  }

  /// table[code] + 128 of four codes below 16: bytes of a table of 8 are what a permutation picks.
  Value fromTable(Value codes) {
    int32_t words[4] = {};
    for (int i = 0; i < 16; ++i)
      words[i / 4] |= int32_t(uint32_t(uint8_t(format.table[i] ^ 0x80)) << 8 * (i % 4));
    Value near = binary("arith.ori", codes, binary("arith.shrui", codes, i32(4)));
    near = binary("arith.andi", near, i32(0x00ff00ff));
    Value numbers = binary("arith.ori", near, binary("arith.shrui", near, i32(8))); // a nibble each
    numbers = binary("arith.andi", numbers, i32(0x7777));
    Value low = permute(i32(words[0]), i32(words[1]), numbers), high = permute(i32(words[2]), i32(words[3]), numbers);
    Value isHigh = binary("arith.andi", binary("arith.shrui", codes, i32(3)), i32(0x01010101));
    Value mask = binary("arith.muli", isHigh, i32(255));
    Value difference = binary("arith.andi", binary("arith.xori", low, high), mask);
    return binary("arith.xori", low, difference);
  }

  /// Two columns of one row, as a register of a product has them.
  Value number(Value codes, int32_t which, Value scale, Value minimum) {
    const int64_t offset = format.table ? 128 : format.offset + int64_t(centre());
    Value x = mul(exact(permute(codes, i32(kExponent), i32(which)), offset), scale);
    return bits(minimum ? binary("arith.addf", x, minimum) : x, b.getI32Type());
  }

  ImplicitLocOpBuilder &b;
  const PackedBlock &packed;
  const BlockFormat &format;
  Binary binary;
  Permute permute;
  const VectorType pair;
  Value g, c, odd, half, d, m;
};

} // namespace

void KernelEmitter::unpack(UnpackOp op) {
  const MemRefType tile = op.getTile().getType();
  const auto block = cast<transformer::BlockType>(tile.getElementType());
  const PackedBlock packed = packedBlock(*block.getLayout(), block.getFormat());
  const TileView &view = tiles[op.getTile()];
  const RegisterTile made(op.getResult().getType(), role);
  const int64_t columns = op.getResult().getType().getDimSize(1), rowBytes = tile.getDimSize(1) * packed.bytes;
  auto apply = [&](StringRef name, Value x, Value y) { return binary(name, x, y); };
  auto bytes = [&](Value low, Value high, Value selector) { return permute(low, high, selector); };
  Unpacker unpacker(b, packed, apply, bytes);

  // A packed block is the 16 rows of a warp.
  Value blockRow = add(multiply(warpgroup, i32(made.rows / packed.rows)), binary("arith.shrui", thread, i32(5)));
  Value first = shared(add(multiply(view.slot, i32(view.slotBytes)), multiply(blockRow, i32(rowBytes))), view.offset);
  Value column = lookup(op.getColumn()).front();
  Value g = binary("arith.shrui", lane, i32(2)), c = binary("arith.andi", lane, i32(3));
  auto behind = [&](Value pointer, Value offset, int64_t more = 0) -> Value {
    Value at = LLVM::GEPOp::create(b, pointer.getType(), b.getI8Type(), pointer, ArrayRef<LLVM::GEPArg>{offset});
    return LLVM::GEPOp::create(b, pointer.getType(), b.getI8Type(), at, ArrayRef<LLVM::GEPArg>{int32_t(more)});
  };
  SmallVector<Value> registers;
  for (int64_t m = 0; m < made.rows / 64; ++m)
    for (int64_t next = 0; next < columns; next += kCodeColumns) {
      Value at = add(column, i32(next));
      Value number = binary("arith.divui", at, i32(packed.columns)),
            inside = binary("arith.remui", at, i32(packed.columns));
      Value begin = behind(first, multiply(number, i32(packed.bytes)), m * 64 / packed.rows * rowBytes);
      Value sub = binary("arith.divui", inside, i32(kCodeColumns));
      Value codes = behind(begin, multiply(sub, i32(packed.codeBytes)), packed.codesOffset);
      Value scales = behind(begin, multiply(sub, i32(kCodeColumns / packed.format->group * packed.rows)));
      unpacker.columns32(begin, codes, scales, g, c, registers);
    }
  map(op.getResult(), registers);
}

} // namespace stepdown::nvidia
