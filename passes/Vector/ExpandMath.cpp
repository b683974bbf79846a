// exp, tanh and erf as the emitter's polynomials, the same for every width.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "passes/Vector/Emitter.h"
#include "passes/Vector/Passes.h"

using namespace mlir;

namespace stepdown {
#define GEN_PASS_DEF_EXPANDMATH
#include "passes/Vector/Passes.h.inc"

/// erf(x) = 1 - (a1 t + ... + a5 t^5) exp(-x^2), t = 1 / (1 + p |x|), odd; Abramowitz and Stegun 7.1.26, absolute error
/// 1.5e-7.
static Value expandErf(Emitter &e, Value x) {
  Type type = x.getType();
  auto constant = [&](double v) { return e.splat(type, v); };
  Value magnitude = math::AbsFOp::create(e.b, e.loc, x);
  Value t = arith::DivFOp::create(e.b, e.loc, constant(1.0), e.fma(magnitude, constant(0.3275911), constant(1.0)));
  Value p = constant(1.061405429);
  for (double a : {-1.453152027, 1.421413741, -0.284496736, 0.254829592})
    p = e.fma(p, t, constant(a));
  Value decay = e.exp(e.mul(e.mul(x, x), constant(-1.0)));
  Value y = e.sub(constant(1.0), e.mul(e.mul(p, t), decay));
  return math::CopySignOp::create(e.b, e.loc, y, x);
}

namespace {
struct ExpandMath : impl::ExpandMathBase<ExpandMath> {
  void runOnOperation() override {
    SmallVector<Operation *> work;
    getOperation().walk([&](Operation *op) {
      if (isa<math::ExpOp, math::TanhOp, math::ErfOp>(op) && getElementTypeOrSelf(op->getResult(0).getType()).isF32())
        work.push_back(op);
    });
    for (Operation *op : work) {
      OpBuilder builder(op);
      Emitter e(builder, op->getLoc(), targets().front());
      Value x = op->getOperand(0);
      Value y = isa<math::ExpOp>(op) ? e.exp(x) : isa<math::TanhOp>(op) ? e.tanh(x) : expandErf(e, x);
      op->getResult(0).replaceAllUsesWith(y);
      op->erase();
    }
  }
};
} // namespace
} // namespace stepdown
