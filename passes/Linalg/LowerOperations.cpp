// What each operation on rows computes, as linalg: the one place that says so, for kernels of models and functions of
// plain modules alike. The kernels' linalg is packed for a target later; products with stored blocks stay whole until
// then, and only what is done with each of their numbers becomes linalg here.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"
#include "passes/Linalg/LinalgBuilder.h"
#include "passes/Linalg/Passes.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {
#define GEN_PASS_DEF_LOWEROPERATIONS
#include "passes/Linalg/Passes.h.inc"

namespace {

Value add(OpBuilder &k, Location loc, Value a, Value b) { return arith::AddFOp::create(k, loc, a, b); }
Value sub(OpBuilder &k, Location loc, Value a, Value b) { return arith::SubFOp::create(k, loc, a, b); }
Value mul(OpBuilder &k, Location loc, Value a, Value b) { return arith::MulFOp::create(k, loc, a, b); }

/// One value for each of [T, N], of the same place of every input.
Value rowwise(LinalgBuilder &p, ValueRange ins, LinalgBuilder::Body body) {
  SmallVector<SmallVector<unsigned>> indices(ins.size() + 1, {0, 1});
  return p.generic(p.empty(tensor::getMixedSizes(p.b, p.loc, ins[0])), ins, 2, 0, indices, body);
}

/// A value for each sum.
Value eachSum(LinalgBuilder &p, Value sums, LinalgBuilder::Body body) {
  const unsigned rank = cast<RankedTensorType>(sums.getType()).getRank();
  SmallVector<unsigned> all;
  llvm::append_range(all, llvm::seq(0u, rank));
  return p.generic(p.empty(tensor::getMixedSizes(p.b, p.loc, sums)), {sums}, rank, 0, {all, all}, body);
}

/// 1 / sqrt(sum / n + eps) of each sum of squares.
Value inverseDeviation(LinalgBuilder &p, Value squares, int64_t n, const APFloat &eps) {
  return eachSum(p, squares, [&](OpBuilder &k, ValueRange v) -> Value {
    Value mean = mul(k, p.loc, v[0], p.number(k, 1.0 / n));
    Value root = math::SqrtOp::create(k, p.loc, add(k, p.loc, mean, p.number(k, eps.convertToDouble())));
    return arith::DivFOp::create(k, p.loc, p.number(k, 1), root);
  });
}

struct LowerAdd : OpRewritePattern<AddOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AddOp op, PatternRewriter &rewriter) const override {
    LinalgBuilder p(rewriter, op.getLoc());
    const double scale = op.getScale().convertToDouble();
    rewriter.replaceOp(op, rowwise(p, {op.getA(), op.getB()}, [&](OpBuilder &k, ValueRange v) -> Value {
                         return scale == 1 ? add(k, p.loc, v[0], v[1])
                                           : math::FmaOp::create(k, p.loc, v[1], p.number(k, scale), v[0]);
                       }));
    return success();
  }
};

/// y = x * (1 / sqrt(mean x^2 + eps)) * weight, over heads of as many columns as the weight has; columns that are
/// padding are zeros, and not counted.
struct LowerRMSNorm : OpRewritePattern<RMSNormOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(RMSNormOp op, PatternRewriter &rewriter) const override {
    LinalgBuilder p(rewriter, op.getLoc());
    auto type = cast<RankedTensorType>(op.getX().getType());
    const int64_t n = cast<RankedTensorType>(op.getWeight().getType()).getDimSize(0);
    SmallVector<ReassociationIndices> groups = {{0}, {1, 2}};
    auto split = type.clone({type.getDimSize(0), type.getDimSize(1) / n, n});
    Value x = tensor::ExpandShapeOp::create(rewriter, p.loc, split, op.getX(), groups);
    SmallVector<OpFoldResult> shape = tensor::getMixedSizes(p.b, p.loc, x);
    Value squares =
        p.generic(p.filled(ArrayRef(shape).drop_back(), 0), {x}, 3, 1, {{0, 1, 2}, {0, 1}},
                  [&](OpBuilder &k, ValueRange v) -> Value { return math::FmaOp::create(k, p.loc, v[0], v[0], v[1]); });
    Value factor = inverseDeviation(p, squares, n - op.getPadding(), op.getEps());
    Value y = p.generic(p.empty(shape), {x, factor, op.getWeight()}, 3, 0, {{0, 1, 2}, {0, 1}, {2}, {0, 1, 2}},
                        [&](OpBuilder &k, ValueRange v) { return mul(k, p.loc, mul(k, p.loc, v[0], v[1]), v[2]); });
    rewriter.replaceOpWithNewOp<tensor::CollapseShapeOp>(op, type, y, groups);
    return success();
  }
};

/// y = (x - mean x) * (1 / sqrt(variance + eps)) * weight + bias, or without bias.
struct LowerLayerNorm : OpRewritePattern<LayerNormOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(LayerNormOp op, PatternRewriter &rewriter) const override {
    LinalgBuilder p(rewriter, op.getLoc());
    Value x = op.getX();
    const int64_t n = cast<RankedTensorType>(x.getType()).getDimSize(1);
    SmallVector<OpFoldResult> shape = tensor::getMixedSizes(p.b, p.loc, x);
    Value zeros = p.filled(ArrayRef(shape).drop_back(), 0);
    Value sums = p.generic(zeros, {x}, 2, 1, {{0, 1}, {0}},
                           [&](OpBuilder &k, ValueRange v) { return add(k, p.loc, v[0], v[1]); });
    Value means =
        eachSum(p, sums, [&](OpBuilder &k, ValueRange v) { return mul(k, p.loc, v[0], p.number(k, 1.0 / n)); });
    Value squares = p.generic(zeros, {x, means}, 2, 1, {{0, 1}, {0}, {0}}, [&](OpBuilder &k, ValueRange v) -> Value {
      Value d = sub(k, p.loc, v[0], v[1]);
      return math::FmaOp::create(k, p.loc, d, d, v[2]);
    });
    Value factor = inverseDeviation(p, squares, n, op.getEps());
    const bool biased = op.getBias() != nullptr;
    SmallVector<Value> operands = {x, means, factor, op.getWeight()};
    SmallVector<SmallVector<unsigned>> maps = {{0, 1}, {0}, {0}, {1}};
    if (biased) {
      operands.push_back(op.getBias());
      maps.push_back({1});
    }
    maps.push_back({0, 1});
    rewriter.replaceOp(op, p.generic(p.empty(shape), operands, 2, 0, maps, [&](OpBuilder &k, ValueRange v) -> Value {
      Value d = mul(k, p.loc, sub(k, p.loc, v[0], v[1]), v[2]);
      return biased ? Value(math::FmaOp::create(k, p.loc, d, v[3], v[4])) : mul(k, p.loc, d, v[3]);
    }));
    return success();
  }
};

struct LowerGatedActivation : OpRewritePattern<GatedActivationOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(GatedActivationOp op, PatternRewriter &rewriter) const override {
    LinalgBuilder p(rewriter, op.getLoc());
    rewriter.replaceOp(op, rowwise(p, {op.getGate(), op.getUp()}, [&](OpBuilder &k, ValueRange v) {
                         Value up = v[1];
                         if (op.getKind() == Gate::ClampedSwish)
                           up = add(k, p.loc, atLeast(p, k, atMost(p, k, up, 7), -7), p.number(k, 1));
                         return mul(k, p.loc, activate(p, k, op.getKind(), v[0]), up);
                       }));
    return success();
  }

  /// NaN stays what it is.
  static Value atMost(LinalgBuilder &p, OpBuilder &k, Value x, double most) {
    return arith::MinimumFOp::create(k, p.loc, x, p.number(k, most));
  }
  static Value atLeast(LinalgBuilder &p, OpBuilder &k, Value x, double least) {
    return arith::MaximumFOp::create(k, p.loc, x, p.number(k, least));
  }

  static Value activate(LinalgBuilder &p, OpBuilder &k, Gate kind, Value g) {
    auto times = [&](Value a, double c) { return mul(k, p.loc, a, p.number(k, c)); };
    if (kind == Gate::ClampedSwish) {
      g = atMost(p, k, g, 7);
      Value decay = math::ExpOp::create(k, p.loc, times(g, -1.702));
      return arith::DivFOp::create(k, p.loc, g, add(k, p.loc, p.number(k, 1), decay));
    }
    if (kind == Gate::Silu) {
      Value decay = math::ExpOp::create(k, p.loc, times(g, -1));
      return arith::DivFOp::create(k, p.loc, g, add(k, p.loc, p.number(k, 1), decay));
    }
    if (kind == Gate::Sigmoid) {
      Value decay = math::ExpOp::create(k, p.loc, times(g, -1));
      return arith::DivFOp::create(k, p.loc, p.number(k, 1), add(k, p.loc, p.number(k, 1), decay));
    }
    Value inner;
    if (kind == Gate::GeluTanh) {
      Value cubic = math::FmaOp::create(k, p.loc, times(mul(k, p.loc, g, g), 0.044715), g, g);
      inner = math::TanhOp::create(k, p.loc, times(cubic, 0.79788456080286535588)); // sqrt(2 / pi)
    } else {
      inner = math::ErfOp::create(k, p.loc, times(g, 0.70710678118654752440)); // 1 / sqrt(2)
    }
    return mul(k, p.loc, times(g, 0.5), add(k, p.loc, p.number(k, 1), inner));
  }
};

struct LowerActivation : OpRewritePattern<ActivationOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ActivationOp op, PatternRewriter &rewriter) const override {
    LinalgBuilder p(rewriter, op.getLoc());
    rewriter.replaceOp(op, rowwise(p, op.getX(), [&](OpBuilder &k, ValueRange v) {
                         return LowerGatedActivation::activate(p, k, op.getKind(), v[0]);
                       }));
    return success();
  }
};

/// The product, then its bias, for each of its numbers.
Value addBias(LinalgBuilder &p, Value y, Value bias) {
  return p.generic(p.empty(tensor::getMixedSizes(p.b, p.loc, y)), {y, bias}, 2, 0, {{0, 1}, {1}, {0, 1}},
                   [&](OpBuilder &k, ValueRange v) { return add(k, p.loc, v[0], v[1]); });
}

struct LowerBias : OpRewritePattern<LinearOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(LinearOp op, PatternRewriter &rewriter) const override {
    if (!op.getBias())
      return rewriter.notifyMatchFailure(op, "expects a bias: a product alone is packed, or decomposed, whole");
    LinalgBuilder p(rewriter, op.getLoc());
    Value y = LinearOp::create(rewriter, p.loc, op.getType(), op.getX(), op.getWeight(), Value());
    rewriter.replaceOp(op, addBias(p, y, op.getBias()));
    return success();
  }
};

struct LowerAddBias : OpRewritePattern<AddBiasOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AddBiasOp op, PatternRewriter &rewriter) const override {
    LinalgBuilder p(rewriter, op.getLoc());
    rewriter.replaceOp(op, addBias(p, op.getX(), op.getBias()));
    return success();
  }
};

struct LowerLogits : OpRewritePattern<LogitsOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(LogitsOp op, PatternRewriter &rewriter) const override {
    LinalgBuilder p(rewriter, op.getLoc());
    Value y = LinearOp::create(rewriter, p.loc, op.getType(), op.getX(), op.getWeight(), Value());
    if (op.getBias())
      y = addBias(p, y, op.getBias());
    const double scale = op.getScale().convertToDouble(), softcap = op.getSoftcap().convertToDouble();
    if (scale != 1 || softcap != 0)
      y = rowwise(p, y, [&](OpBuilder &k, ValueRange v) { return p.capped(k, v[0], scale, softcap); });
    rewriter.replaceOp(op, y);
    return success();
  }
};

struct LowerOperations : impl::LowerOperationsBase<LowerOperations> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<LowerAdd, LowerRMSNorm, LowerLayerNorm, LowerGatedActivation, LowerActivation, LowerBias, LowerAddBias,
                 LowerLogits>(&getContext());
    walkAndApplyPatterns(getOperation(), std::move(patterns));
  }
};
} // namespace
} // namespace stepdown
