// What unpacking a weight has in common on all chips: the arithmetic between what lies in a packed block and binary16.
// How a lane gets to its bytes is the chip's. Where each value lies is said by lib/Target/Layout.h, what it means by
// lib/Checkpoint/BlockFormat.h; nothing here is of one storage type.
//
// A code becomes a number by its place: the bytes 0x64 above it make it 1024 + code in binary16, exactly.
//
// Of a type with minimums codes are counted from the middle of their range, and the minimum from there: d q + m is
// d (q - c) + (m + c d), whose second term is small. What d and m lose by rounding would else be off by nearly the same
// for all columns of a block, and add up. Scales and minimums are therefore products of float32, which are exact, and
// their sum is rounded to binary16.
#pragma once
#include "lib/Target/Layout.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace stepdown {

class BlockUnpacker {
public:
  virtual ~BlockUnpacker() = default;

protected:
  using Value = mlir::Value;
  /// A lane has scales of one row, or of several: `rows` is f16, or a vector of as many.
  BlockUnpacker(mlir::ImplicitLocOpBuilder &b, const PackedBlock &packed, mlir::Type rows)
      : b(b), packed(packed), format(*packed.format), pair(mlir::VectorType::get(2, b.getF16Type())), rows(rows) {}

  /// The bytes of `low`, 0 to 3, and of `high`, 4 to 7, that the four nibbles of `selector` number, the lowest first.
  virtual Value permute(Value low, Value high, int32_t selector) = 0;
  /// The same of the four bytes of `numbers`, each below 8.
  virtual Value pick(Value low, Value high, Value numbers) = 0;

  /// What codes of a group are multiplied by, and what is then added; null: nothing.
  struct Scale {
    Value scale, minimum;
  };
  /// Of a block's d and m, and of a group's scale and minimum, where blocks have them; all of type `rows`.
  Scale scaleOf(Value d, Value m, Value factor, Value least);
  /// Four codes, a byte each, of which `all` has the planes before (null: none): those that stand from bit `shift` on
  /// in each byte of `x`.
  Value join(const PackedPlane &plane, Value x, int64_t shift, Value all);
  /// What codes stand for, where the type has a table: its number plus 128.
  Value looked(Value codes) { return format.table ? fromTable(codes) : codes; }
  /// The first two or the last two of four codes as numbers, in one word.
  Value number(Value codes, bool last, Value scale, Value minimum);
  /// 1024 + x - `offset` - 1024 in each half of `word` as x - offset.
  Value exact(Value word, int64_t offset) {
    return binary("arith.addf", bits(word, pair), splat(-float(1024 + offset), pair));
  }

  Value i32(int64_t value) { return mlir::arith::ConstantOp::create(b, b.getI32IntegerAttr(int32_t(value))); }
  Value bits(Value value, mlir::Type type) { return mlir::LLVM::BitcastOp::create(b, type, value); }
  Value splat(float value, mlir::Type type);
  Value binary(mlir::StringRef name, Value x, Value y);
  Value mul(Value x, Value y) { return binary("arith.mulf", x, y); }
  Value times(Value x, int64_t factor) { return binary("arith.muli", x, i32(factor)); }

  static constexpr int32_t kExponent = 0x64646464;        ///< of 1024 in binary16
  static constexpr int32_t kLow = 0x4140, kHigh = 0x4342; ///< bytes 0 and 1, or 2 and 3, below those of kExponent

  mlir::ImplicitLocOpBuilder &b;
  const PackedBlock &packed;
  const BlockFormat &format;
  const mlir::VectorType pair; ///< of binary16

private:
  mlir::Type wideRows();
  /// What codes of a type with minimums are counted from.
  float centre() const { return format.minimum == BlockFormat::None ? 0.0f : float(1 << (format.bits - 1)); }
  Value fromTable(Value codes);
  const mlir::Type rows;
};

} // namespace stepdown
