// Functions of plain modules compute elementary functions as accurately as a library would, of any float type.
#include "dialects/Transformer/IR/TransformerOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/Vector/Elementary.h"
#include "passes/Vector/ExpandArithmetic.h"
#include "passes/Vector/NarrowFloats.h"
#include "passes/Vector/Passes.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace stepdown {
#define GEN_PASS_DEF_EXPANDELEMENTARY
#include "passes/Vector/Passes.h.inc"

namespace {

/// `op` in float64, or null where it is none of the elementary functions.
Value expand(Elementary &e, Operation *op, ValueRange x) {
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case([&](math::ExpOp) { return e.exp(x[0]); })
      .Case([&](math::Exp2Op) { return e.exp2(x[0]); })
      .Case([&](math::ExpM1Op) { return e.expm1(x[0]); })
      .Case([&](math::LogOp) { return e.log(x[0]); })
      .Case([&](math::Log2Op) { return e.log2(x[0]); })
      .Case([&](math::Log10Op) { return e.log10(x[0]); })
      .Case([&](math::Log1pOp) { return e.log1p(x[0]); })
      .Case([&](math::PowFOp) { return e.pow(x[0], x[1]); })
      .Case([&](math::CbrtOp) { return e.cbrt(x[0]); })
      .Case([&](math::SinOp) { return e.sin(x[0]); })
      .Case([&](math::CosOp) { return e.cos(x[0]); })
      .Case([&](math::TanOp) { return e.tan(x[0]); })
      .Case([&](math::AsinOp) { return e.asin(x[0]); })
      .Case([&](math::AcosOp) { return e.acos(x[0]); })
      .Case([&](math::AtanOp) { return e.atan(x[0]); })
      .Case([&](math::Atan2Op) { return e.atan2(x[0], x[1]); })
      .Case([&](math::SinhOp) { return e.sinh(x[0]); })
      .Case([&](math::CoshOp) { return e.cosh(x[0]); })
      .Case([&](math::TanhOp) { return e.tanh(x[0]); })
      .Case([&](math::AsinhOp) { return e.asinh(x[0]); })
      .Case([&](math::AcoshOp) { return e.acosh(x[0]); })
      .Case([&](math::AtanhOp) { return e.atanh(x[0]); })
      .Case([&](math::ErfOp) { return e.erf(x[0]); })
      .Case([&](math::ErfcOp) { return e.erfc(x[0]); })
      .Case([&](math::FPowIOp) { return e.pow(x[0], x[1]); })
      .Default([](Operation *) { return Value(); });
}

struct ExpandElementary : impl::ExpandElementaryBase<ExpandElementary> {
  /// `value` as float64 of its shape.
  static Value widen(OpBuilder &b, Location loc, Value value) {
    Type element = getElementTypeOrSelf(value.getType()), type = b.getF64Type();
    if (auto vector = dyn_cast<VectorType>(value.getType()))
      type = VectorType::get(vector.getShape(), type);
    if (isa<IntegerType>(element))
      return arith::SIToFPOp::create(b, loc, type, value);
    return element.isF64() ? value : Value(arith::ExtFOp::create(b, loc, type, value));
  }

  static void expandOne(Operation *op) {
    OpBuilder b(op);
    Location loc = op->getLoc();
    if (auto named = dyn_cast<transformer::ElementaryOp>(op)) {
      OperationState state(loc, named.getFunction(), named.getOperands(), op->getResultTypes());
      Operation *function = b.create(state);
      op->replaceAllUsesWith(function);
      op->erase();
      return expandOne(function);
    }
    if (auto both = dyn_cast<math::SincosOp>(op)) {
      both.getSin().replaceAllUsesWith(math::SinOp::create(b, loc, both.getOperand()));
      both.getCos().replaceAllUsesWith(math::CosOp::create(b, loc, both.getOperand()));
      Operation *cosine = op->getPrevNode(), *sine = cosine->getPrevNode();
      op->erase();
      expandOne(sine);
      expandOne(cosine);
      return;
    }
    if (!isa_and_nonnull<math::MathDialect>(op->getDialect()) || op->getNumResults() != 1)
      return;
    Type type = op->getResult(0).getType();
    if (!isa<FloatType>(getElementTypeOrSelf(type)))
      return;
    if (isa<math::RsqrtOp>(op)) {
      Value x = widen(b, loc, op->getOperand(0));
      Type wide = x.getType();
      TypedAttr one = b.getF64FloatAttr(1);
      if (auto vector = dyn_cast<VectorType>(wide))
        one = DenseElementsAttr::get(vector, Attribute(one));
      Value y = arith::DivFOp::create(b, loc, arith::ConstantOp::create(b, loc, one), math::SqrtOp::create(b, loc, x));
      replace(b, op, y, type);
      return;
    }
    if (isa<math::SqrtOp, math::AbsFOp, math::CeilOp, math::FloorOp, math::TruncOp, math::RoundOp, math::RoundEvenOp,
            math::FmaOp, math::CopySignOp>(op))
      return; // an instruction each
    SmallVector<Value> wide;
    for (Value operand : op->getOperands())
      wide.push_back(widen(b, loc, operand));
    Elementary elementary(b, loc, !getElementTypeOrSelf(type).isF64());
    if (Value y = expand(elementary, op, wide))
      replace(b, op, y, type);
  }

  static void replace(OpBuilder &b, Operation *op, Value y, Type type) {
    if (y.getType() != type)
      y = arith::TruncFOp::create(b, op->getLoc(), type, y);
    op->getResult(0).replaceAllUsesWith(y);
    op->erase();
  }

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    arith::populateCeilFloorDivExpandOpsPatterns(patterns);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      return signalPassFailure();
    expandArithmetic(getOperation());
    SmallVector<Operation *> work;
    getOperation().walk([&](Operation *op) { work.push_back(op); });
    for (Operation *op : work)
      expandOne(op);
    expandNarrowFloats(getOperation());
  }
};
} // namespace
} // namespace stepdown
