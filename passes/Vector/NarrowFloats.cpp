#include "passes/Vector/NarrowFloats.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace stepdown {
bool isNarrow(Type type) { return isa<Float16Type, BFloat16Type>(getElementTypeOrSelf(type)); }

Type withElement(Type like, Type element) {
  auto vector = dyn_cast<VectorType>(like);
  return vector ? Type(VectorType::get(vector.getShape(), element)) : element;
}

namespace {

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

  /// f16 or bf16 as float32.
  Value widen(Value v) {
    Type f32 = withElement(v.getType(), b.getF32Type());
    if (getElementTypeOrSelf(v.getType()).isF16())
      return arith::ExtFOp::create(b, loc, f32, v);
    Type i32 = withElement(v.getType(), b.getI32Type());
    Value wide = arith::ExtUIOp::create(b, loc, i32, bits(v, b.getI16Type()));
    return arith::BitcastOp::create(b, loc, f32, arith::ShLIOp::create(b, loc, wide, number(i32, 16, b.getI32Type())));
  }

  /// float32 as `type` of f16 or bf16, to the nearest, ties to even.
  Value narrow(Value v, Type type) {
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
      finish(wide.getType() == result ? wide : Value(arith::ExtFOp::create(n.b, n.loc, result, wide)));
    }
    return;
  }
  if (isa<arith::TruncFOp>(op)) {
    if (!isNarrow(result))
      return;
    Value v = op->getOperand(0);
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
