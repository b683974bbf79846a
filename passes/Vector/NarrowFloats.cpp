#include "passes/Vector/NarrowFloats.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include <cmath>

using namespace mlir;

namespace stepdown {
bool isNarrow(Type type) {
  return isa<Float16Type, BFloat16Type, Float8E4M3FNType, Float8E5M2Type>(getElementTypeOrSelf(type));
}

Type withElement(Type like, Type element) {
  auto vector = dyn_cast<VectorType>(like);
  return vector ? Type(VectorType::get(vector.getShape(), element)) : element;
}

namespace {

bool isEight(Type type) { return isa<Float8E4M3FNType, Float8E5M2Type>(getElementTypeOrSelf(type)); }

class NarrowFloats {
public:
  explicit NarrowFloats(Operation *op) : b(op), loc(op->getLoc()) {}

  Value number(Type like, int64_t value, Type element) {
    Type type = withElement(like, element);
    TypedAttr attr = b.getIntegerAttr(element, value);
    if (auto vector = dyn_cast<VectorType>(type))
      attr = DenseElementsAttr::get(vector, Attribute(attr));
    return arith::ConstantOp::create(b, loc, attr);
  }
  Value bits(Value v, Type element) { return arith::BitcastOp::create(b, loc, withElement(v.getType(), element), v); }

  /// Eight bits as float32. f8E5M2 is the upper half of an f16. f8E4M3FN in its place has the exponents of numbers 2^8
  /// smaller, those of subnormal ones too, and one code in place of the infinity: all digits set.
  Value widenEight(Value v) {
    const bool e5m2 = isa<Float8E5M2Type>(getElementTypeOrSelf(v.getType()));
    Type i16 = withElement(v.getType(), b.getI16Type()), f16 = withElement(v.getType(), b.getF16Type()),
         f32 = withElement(v.getType(), b.getF32Type());
    auto constant = [&](int64_t value) { return number(v.getType(), value, b.getI16Type()); };
    Value all = arith::ExtUIOp::create(b, loc, i16, bits(v, b.getI8Type()));
    Value high = arith::ShLIOp::create(b, loc, all, constant(8));
    if (e5m2)
      return arith::ExtFOp::create(b, loc, f32, Value(arith::BitcastOp::create(b, loc, f16, high)));
    Value magnitude = arith::AndIOp::create(b, loc, all, constant(0x7f));
    Value sign = arith::AndIOp::create(b, loc, high, constant(-0x8000));
    Value half = arith::OrIOp::create(b, loc, sign, arith::ShLIOp::create(b, loc, magnitude, constant(7)));
    Value small = arith::ExtFOp::create(b, loc, f32, Value(arith::BitcastOp::create(b, loc, f16, half)));
    Value value = arith::MulFOp::create(b, loc, small, real(f32, 256));
    Value none = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, magnitude, constant(0x7f));
    Value nan = bits(number(f32, 0x7fc00000, b.getI32Type()), b.getF32Type());
    return arith::SelectOp::create(b, loc, none, nan, value);
  }

  /// float32 as `type` of eight bits, to the nearest, ties to even. What is too large becomes infinity, in f8E4M3FN,
  /// which has none, NaN.
  Value narrowEight(Value v, Type type) {
    const bool e5m2 = isa<Float8E5M2Type>(getElementTypeOrSelf(type));
    const int64_t fraction = e5m2 ? 2 : 3, bias = e5m2 ? 15 : 7, lost = 23 - fraction, most = e5m2 ? 0x7c : 0x7f;
    auto constant = [&](int64_t value) { return number(type, value, b.getI32Type()); };
    Value all = bits(v, b.getI32Type());
    Value magnitude = arith::AndIOp::create(b, loc, all, constant(0x7fffffff));
    Value last = arith::AndIOp::create(b, loc, arith::ShRUIOp::create(b, loc, magnitude, constant(lost)), constant(1));
    Value nearest = arith::AddIOp::create(b, loc, last, constant((1 << (lost - 1)) - 1));
    Value digits = arith::ShRUIOp::create(b, loc, arith::AddIOp::create(b, loc, magnitude, nearest), constant(lost));
    Value normal = arith::SubIOp::create(b, loc, digits, constant((127 - bias) << fraction));
    normal = arith::MinSIOp::create(b, loc, normal, constant(most));
    // Of what is below the normal numbers the units are counted: a sum with 2^23 of them is rounded to whole ones.
    Value units = real(v.getType(), std::ldexp(1.0, 23 + 1 - int(bias) - int(fraction)));
    Value size = bits(magnitude, b.getF32Type());
    Value counted = arith::SubIOp::create(b, loc, bits(arith::AddFOp::create(b, loc, size, units), b.getI32Type()),
                                          bits(units, b.getI32Type()));
    Value below = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, magnitude, constant((128 - bias) << 23));
    Value code = arith::SelectOp::create(b, loc, below, counted, normal);
    Value nan = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNO, v, v);
    code = arith::SelectOp::create(b, loc, nan, constant(e5m2 ? 0x7e : 0x7f), code);
    Value sign = arith::AndIOp::create(b, loc, arith::ShRUIOp::create(b, loc, all, constant(24)), constant(0x80));
    Value eight =
        arith::TruncIOp::create(b, loc, withElement(type, b.getI8Type()), arith::OrIOp::create(b, loc, code, sign));
    return arith::BitcastOp::create(b, loc, type, eight);
  }

  Value real(Type like, double value) {
    Type type = withElement(like, b.getF32Type());
    TypedAttr attr = b.getF32FloatAttr(float(value));
    if (auto vector = dyn_cast<VectorType>(type))
      attr = DenseElementsAttr::get(vector, Attribute(attr));
    return arith::ConstantOp::create(b, loc, attr);
  }

  /// A narrow float as float32.
  Value widen(Value v) {
    if (isEight(v.getType()))
      return widenEight(v);
    Type f32 = withElement(v.getType(), b.getF32Type());
    if (getElementTypeOrSelf(v.getType()).isF16())
      return arith::ExtFOp::create(b, loc, f32, v);
    Type i32 = withElement(v.getType(), b.getI32Type());
    Value wide = arith::ExtUIOp::create(b, loc, i32, bits(v, b.getI16Type()));
    return arith::BitcastOp::create(b, loc, f32, arith::ShLIOp::create(b, loc, wide, number(i32, 16, b.getI32Type())));
  }

  /// float32 as the narrow `type`, to the nearest, ties to even.
  Value narrow(Value v, Type type) {
    if (isEight(type))
      return narrowEight(v, type);
    if (getElementTypeOrSelf(type).isF16())
      return arith::TruncFOp::create(b, loc, type, v);
    Value all = bits(v, b.getI32Type());
    auto constant = [&](int64_t value) { return number(type, value, b.getI32Type()); };
    Value last = arith::AndIOp::create(b, loc, arith::ShRUIOp::create(b, loc, all, constant(16)), constant(1));
    Value rounded = arith::AddIOp::create(b, loc, all, arith::AddIOp::create(b, loc, last, constant(0x7fff)));
    Value nan = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNO, v, v);
    rounded = arith::SelectOp::create(b, loc, nan, constant(0x7fc00000), rounded);
    Value high = arith::ShRUIOp::create(b, loc, rounded, constant(16));
    Value half = arith::TruncIOp::create(b, loc, withElement(type, b.getI16Type()), high);
    return arith::BitcastOp::create(b, loc, type, half);
  }

  /// float64 as float32 such that rounding it again to fewer digits gives what rounding once would: where digits are
  /// lost, toward zero and with the last bit set.
  Value roundToOdd(Value v) {
    Type f32 = withElement(v.getType(), b.getF32Type());
    Value near = arith::TruncFOp::create(b, loc, f32, v);
    Value back = arith::ExtFOp::create(b, loc, v.getType(), near);
    Value all = bits(near, b.getI32Type()), one = number(f32, 1, b.getI32Type());
    Value above = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, math::AbsFOp::create(b, loc, back),
                                        math::AbsFOp::create(b, loc, v));
    Value down = arith::SelectOp::create(b, loc, above, arith::SubIOp::create(b, loc, all, one), all);
    Value odd = bits(arith::OrIOp::create(b, loc, down, one), b.getF32Type());
    Value exact = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UEQ, back, v);
    return arith::SelectOp::create(b, loc, exact, near, odd);
  }

  OpBuilder b;
  Location loc;
};

void expandOne(Operation *op) {
  if (op->getNumResults() != 1 || isa<arith::BitcastOp, arith::SelectOp, arith::ConstantOp>(op))
    return; // bits are bits
  NarrowFloats n(op);
  Type result = op->getResult(0).getType();
  auto finish = [&](Value value) {
    op->getResult(0).replaceAllUsesWith(value);
    op->erase();
  };
  if (isa<arith::ExtFOp>(op)) {
    if (isNarrow(op->getOperand(0).getType())) {
      Value wide = n.widen(op->getOperand(0));
      if (isNarrow(result)) // of eight bits, which the others hold
        return finish(n.narrow(wide, result));
      finish(wide.getType() == result ? wide : Value(arith::ExtFOp::create(n.b, n.loc, result, wide)));
    }
    return;
  }
  if (isa<arith::TruncFOp>(op)) {
    if (!isNarrow(result))
      return;
    Value v = op->getOperand(0);
    if (isNarrow(v.getType()))
      v = n.widen(v);
    finish(n.narrow(getElementTypeOrSelf(v.getType()).isF64() ? n.roundToOdd(v) : v, result));
    return;
  }
  SmallVector<Value> operands;
  for (Value operand : op->getOperands())
    operands.push_back(isNarrow(operand.getType()) ? n.widen(operand) : operand);
  OperationState state(n.loc, op->getName(), operands,
                       isNarrow(result) ? withElement(result, n.b.getF32Type()) : result, op->getAttrs());
  Value wide = n.b.create(state)->getResult(0);
  finish(isNarrow(result) ? n.narrow(wide, result) : wide);
}

} // namespace

void expandNarrowFloats(func::FuncOp function) {
  SmallVector<Operation *> work;
  function.walk([&](Operation *op) {
    if (!isa_and_nonnull<arith::ArithDialect, math::MathDialect>(op->getDialect()))
      return;
    if (llvm::any_of(op->getOperandTypes(), isNarrow) || llvm::any_of(op->getResultTypes(), isNarrow))
      work.push_back(op);
  });
  for (Operation *op : work)
    expandOne(op);
}

} // namespace stepdown
