#include "lib/Kernels/BlockUnpacker.h"

using namespace mlir;

namespace stepdown {

Value BlockUnpacker::splat(float value, Type type) {
  auto vector = dyn_cast<VectorType>(type);
  FloatAttr number = b.getFloatAttr(vector ? vector.getElementType() : type, value);
  if (vector)
    return arith::ConstantOp::create(b, DenseElementsAttr::get(vector, number.getValue()));
  return arith::ConstantOp::create(b, number);
}

Value BlockUnpacker::binary(StringRef name, Value x, Value y) {
  OperationState state(b.getLoc(), name, {x, y}, {x.getType()});
  return b.create(state)->getResult(0);
}

Type BlockUnpacker::wideRows() {
  auto vector = dyn_cast<VectorType>(rows);
  return vector ? Type(vector.clone(b.getF32Type())) : b.getF32Type();
}

BlockUnpacker::Scale BlockUnpacker::scaleOf(Value d, Value m, Value factor, Value least) {
  auto wide = [&](Value x) -> Value { return arith::ExtFOp::create(b, wideRows(), x); };
  auto narrow = [&](Value x) -> Value { return arith::TruncFOp::create(b, rows, x); };
  if (!m)
    return {factor ? mul(d, factor) : d, Value()};
  Value product = wide(d), minimum = wide(m);
  if (factor)
    product = mul(product, wide(factor)); // exact
  if (least)
    minimum = mul(arith::NegFOp::create(b, minimum), wide(least));
  Value centred = mul(product, splat(centre(), wideRows())); // exact
  return {factor ? narrow(product) : d, narrow(binary("arith.addf", centred, minimum))};
}

Value BlockUnpacker::join(const PackedPlane &plane, Value x, int64_t shift, Value all) {
  if (plane.bits < 8) {
    if (shift)
      x = binary("arith.shrui", x, i32(shift));
    x = binary("arith.andi", x, i32(((1 << plane.bits) - 1) * 0x01010101));
    if (plane.low)
      x = binary("arith.shli", x, i32(plane.low));
  }
  return all ? binary("arith.ori", all, x) : x;
}

/// Of four codes below 16: bytes of a table of 8 are what a permutation picks.
Value BlockUnpacker::fromTable(Value codes) {
  int32_t words[4] = {};
  for (int i = 0; i < 16; ++i)
    words[i / 4] |= int32_t(uint32_t(uint8_t(format.table[i] ^ 0x80)) << 8 * (i % 4));
  Value numbers = binary("arith.andi", codes, i32(0x07070707));
  Value low = pick(i32(words[0]), i32(words[1]), numbers), high = pick(i32(words[2]), i32(words[3]), numbers);
  Value isHigh = binary("arith.andi", binary("arith.shrui", codes, i32(3)), i32(0x01010101));
  Value mask = binary("arith.muli", isHigh, i32(255));
  Value difference = binary("arith.andi", binary("arith.xori", low, high), mask);
  return binary("arith.xori", low, difference);
}

Value BlockUnpacker::number(Value codes, bool last, Value scale, Value minimum) {
  const int64_t offset = format.table ? 128 : format.offset + int64_t(centre());
  Value x = mul(exact(permute(codes, i32(kExponent), last ? kHigh : kLow), offset), scale);
  return bits(minimum ? binary("arith.addf", x, minimum) : x, b.getI32Type());
}

} // namespace stepdown
