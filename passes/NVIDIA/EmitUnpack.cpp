// Weights from packed blocks in shared memory into registers, as the first operand of a product is laid out there. What
// is made of what a lane reads is said by lib/Kernels/BlockUnpacker.h, here is where it reads.
//
// Of an instruction's 64 x 16 (of warps alone, 16 x 16 each) the warp w has the rows of one packed block, and its lane
// l, with g = l / 4 and c = l mod 4, columns 2 c, 2 c + 1, 8 + 2 c and 9 + 2 c of two rows, which are 2 g and 2 g + 1
// here: what a block has of two such rows are 8 bytes of each vector of quads, 4 of a field of two bytes, 2 of a field
// of one. The columns are half of the quads c / 2 and 2 + c / 2. Lanes of a warp then read 128 neighbouring bytes of a
// plane with several vectors, each twice, and no two words of one bank.
#include "lib/Kernels/BlockUnpacker.h"
#include "passes/NVIDIA/RegisterEmitter.h"
#include "passes/NVIDIA/SharedLayout.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::nvidia {
namespace {

constexpr int64_t kStep = 16; // columns of an instruction

} // namespace

/// The bytes of `low` and `high` that the nibbles of `selector` number.
Value RegisterEmitter::permute(Value low, Value high, Value selector) {
  return LLVM::CallIntrinsicOp::create(b, b.getI32Type(), b.getStringAttr("llvm.nvvm.prmt"),
                                       ValueRange{low, high, selector})
      .getResult(0);
}

namespace {

/// Reads what one lane holds of 32 columns of two rows.
class Unpacker final : BlockUnpacker {
public:
  using Bytes = function_ref<Value(Value, Value, Value)>;
  Unpacker(ImplicitLocOpBuilder &b, const PackedBlock &packed, Bytes bytes)
      : BlockUnpacker(b, packed, VectorType::get(2, b.getF16Type())), bytes(bytes) {}

  /// Appends the four registers of each of two instructions. `block` is where the block begins, `codes` where its codes
  /// of these columns do, and `scales` that as if the columns' groups were its first. `g`, `c`: of the lane.
  void columns32(Value block, Value codes, Value scales, Value g, Value c, SmallVectorImpl<Value> &made) {
    this->g = g, this->c = c;
    odd = binary("arith.andi", c, i32(1));
    half = binary("arith.shrui", c, i32(1));
    Value d = halves(block, packed.d.offset), m = packed.m.exists() ? halves(block, packed.m.offset) : Value();
    Value selector = arith::SelectOp::create(b, isOdd(), i32(0x7632), i32(0x5410));
    for (int64_t s = 0; s < kCodeColumns / kStep; ++s) {
      const int64_t which = s * kStep / format.group;
      auto field = [&](const PackedField &of, bool isSigned) {
        return of.exists() ? bytesAt(scales, of.offset + which * of.stride, isSigned) : Value();
      };
      const auto [scale, minimum] = scaleOf(d, m, field(packed.scales, true), field(packed.minimums, false));
      SmallVector<Value> registers(4);
      for (int64_t row = 0; row < 2; ++row) {
        Value four = codesOf(codes, s, row, selector);
        Value mine = spread(scale, row), least = minimum ? spread(minimum, row) : Value();
        for (int64_t part = 0; part < 2; ++part)
          registers[2 * part + row] = number(four, part, mine, least);
      }
      made.append(registers);
    }
  }

private:
  Value permute(Value low, Value high, int32_t selector) override { return bytes(low, high, i32(selector)); }
  /// A nibble of the selector each.
  Value pick(Value low, Value high, Value numbers) override {
    Value near = binary("arith.ori", numbers, binary("arith.shrui", numbers, i32(4)));
    near = binary("arith.andi", near, i32(0x00ff00ff));
    return bytes(low, high, binary("arith.ori", near, binary("arith.shrui", near, i32(8))));
  }

  Value isOdd() { return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, odd, i32(0)); }
  Value at(Value pointer, Value offset) {
    return LLVM::GEPOp::create(b, pointer.getType(), b.getI8Type(), pointer, ArrayRef<LLVM::GEPArg>{offset});
  }
  Value at(Value pointer, int64_t offset) {
    return LLVM::GEPOp::create(b, pointer.getType(), b.getI8Type(), pointer, ArrayRef<LLVM::GEPArg>{int32_t(offset)});
  }

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
    return exact(permute(word, i32(kExponent), kLow), isSigned ? 128 : 0);
  }

  /// Row `row` of a pair of rows, twice.
  Value spread(Value rows, int64_t row) {
    Value word = bits(rows, b.getI32Type());
    return bits(permute(word, word, row ? 0x3232 : 0x1010), pair);
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
      x = bytes(x, y, selector);
      all = join(plane, x, shift, all);
    }
    return looked(all);
  }

  Bytes bytes;
  Value g, c, odd, half;
};

} // namespace

void RegisterEmitter::unpack(UnpackOp op, Value slot, int64_t offset) {
  const MemRefType tile = op.getTile().getType();
  const auto block = cast<transformer::BlockType>(tile.getElementType());
  const PackedBlock packed = packedBlock(*block.getLayout(), block.getFormat());
  const RegisterTile made(op.getResult().getType(), role);
  const int64_t columns = op.getResult().getType().getDimSize(1), rowBytes = tile.getDimSize(1) * packed.bytes;
  auto bytes = [&](Value low, Value high, Value selector) { return permute(low, high, selector); };
  Unpacker unpacker(b, packed, bytes);

  // A packed block is the 16 rows of a warp.
  Value blockRow = add(multiply(warpgroup, i32(made.rows / packed.rows)), binary("arith.shrui", thread, i32(5)));
  Value first = shared(add(slot, multiply(blockRow, i32(rowBytes))), offset);
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
