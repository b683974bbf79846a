// Operations of a plain module that stand for several: transformer's on rows of float32, and linalg's aggregates.
// Kernels of models hold none of them; lower-kernels knows what theirs become on packed tensors.
#include "dialects/Transformer/IR/TransformerOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Linalg/DecomposeRelayout.h"
#include "passes/Linalg/Passes.h"
#include "passes/Linalg/PlainLinalg.h"
#include "passes/Linalg/SizeArithmetic.h"
#include "passes/Linalg/SoundForms.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {
#define GEN_PASS_DEF_DECOMPOSEOPERATIONS
#include "passes/Linalg/Passes.h.inc"

namespace {

struct DecomposeOperations : impl::DecomposeOperationsBase<DecomposeOperations> {
  static SmallVector<OpFoldResult> shapeOf(PlainLinalg &p, Value x) {
    SmallVector<OpFoldResult> shape;
    for (int64_t d = 0; d < cast<RankedTensorType>(x.getType()).getRank(); ++d)
      shape.push_back(p.mixedSize(x, d));
    return shape;
  }

  /// One value for each of [T, N], of the same place of every input.
  static Value rowwise(PlainLinalg &p, ValueRange ins, PlainLinalg::Body body) {
    SmallVector<SmallVector<unsigned>> indices(ins.size() + 1, {0, 1});
    return p.generic(p.empty(shapeOf(p, ins[0])), ins, 2, 0, indices, body);
  }

  /// y = x * (1 / sqrt(mean x^2 + eps)) * weight, over heads of as many columns as the weight has.
  static Value lowerRMSNorm(OpBuilder &b, RMSNormOp op) {
    PlainLinalg p(b, op.getLoc());
    auto type = cast<RankedTensorType>(op.getX().getType());
    const int64_t n = cast<RankedTensorType>(op.getWeight().getType()).getDimSize(0);
    SmallVector<ReassociationIndices> groups = {{0}, {1, 2}};
    auto split = type.clone({type.getDimSize(0), type.getDimSize(1) / n, n});
    Value x = tensor::ExpandShapeOp::create(b, p.loc, split, op.getX(), groups);
    SmallVector<OpFoldResult> shape = shapeOf(p, x);
    Value squares =
        p.generic(p.filled(ArrayRef(shape).drop_back(), 0), {x}, 3, 1, {{0, 1, 2}, {0, 1}},
                  [&](OpBuilder &k, ValueRange v) -> Value { return math::FmaOp::create(k, p.loc, v[0], v[0], v[1]); });
    Value factor = inverseDeviation(p, squares, n - op.getPadding(), op.getEps().convertToDouble());
    Value y = p.generic(p.empty(shape), {x, factor, op.getWeight()}, 3, 0, {{0, 1, 2}, {0, 1}, {2}, {0, 1, 2}},
                        [&](OpBuilder &k, ValueRange v) -> Value {
                          return arith::MulFOp::create(k, p.loc, arith::MulFOp::create(k, p.loc, v[0], v[1]), v[2]);
                        });
    return tensor::CollapseShapeOp::create(b, p.loc, type, y, groups);
  }

  /// A value for each sum.
  static Value eachSum(PlainLinalg &p, Value sums, PlainLinalg::Body body) {
    const unsigned rank = cast<RankedTensorType>(sums.getType()).getRank();
    SmallVector<unsigned> all;
    llvm::append_range(all, llvm::seq(0u, rank));
    return p.generic(p.empty(shapeOf(p, sums)), {sums}, rank, 0, {all, all}, body);
  }

  /// 1 / sqrt(sum / n + eps) of each sum of squares.
  static Value inverseDeviation(PlainLinalg &p, Value squares, int64_t n, double eps) {
    return eachSum(p, squares, [&](OpBuilder &k, ValueRange v) -> Value {
      Value mean = arith::MulFOp::create(k, p.loc, v[0], p.number(k, 1.0 / n));
      Value root = math::SqrtOp::create(k, p.loc, arith::AddFOp::create(k, p.loc, mean, p.number(k, eps)));
      return arith::DivFOp::create(k, p.loc, p.number(k, 1), root);
    });
  }

  static Value lowerLayerNorm(OpBuilder &b, LayerNormOp op) {
    PlainLinalg p(b, op.getLoc());
    Value x = op.getX();
    const int64_t n = cast<RankedTensorType>(x.getType()).getDimSize(1);
    SmallVector<OpFoldResult> shape = shapeOf(p, x);
    Value zeros = p.filled(ArrayRef(shape).drop_back(), 0);
    Value sums = p.generic(zeros, {x}, 2, 1, {{0, 1}, {0}}, [&](OpBuilder &k, ValueRange v) -> Value {
      return arith::AddFOp::create(k, p.loc, v[0], v[1]);
    });
    Value means = eachSum(p, sums, [&](OpBuilder &k, ValueRange v) -> Value {
      return arith::MulFOp::create(k, p.loc, v[0], p.number(k, 1.0 / n));
    });
    Value squares = p.generic(zeros, {x, means}, 2, 1, {{0, 1}, {0}, {0}}, [&](OpBuilder &k, ValueRange v) -> Value {
      Value d = arith::SubFOp::create(k, p.loc, v[0], v[1]);
      return math::FmaOp::create(k, p.loc, d, d, v[2]);
    });
    Value factor = inverseDeviation(p, squares, n, op.getEps().convertToDouble());
    return p.generic(p.empty(shape), {x, means, factor, op.getWeight(), op.getBias()}, 2, 0,
                     {{0, 1}, {0}, {0}, {1}, {1}, {0, 1}}, [&](OpBuilder &k, ValueRange v) -> Value {
                       Value d = arith::SubFOp::create(k, p.loc, v[0], v[1]);
                       return math::FmaOp::create(k, p.loc, arith::MulFOp::create(k, p.loc, d, v[2]), v[3], v[4]);
                     });
  }

  static Value lowerGate(OpBuilder &b, GatedActivationOp op) {
    PlainLinalg p(b, op.getLoc());
    return rowwise(p, {op.getGate(), op.getUp()}, [&](OpBuilder &k, ValueRange v) -> Value {
      auto mul = [&](Value a, Value c) -> Value { return arith::MulFOp::create(k, p.loc, a, c); };
      auto add = [&](Value a, Value c) -> Value { return arith::AddFOp::create(k, p.loc, a, c); };
      Value g = v[0];
      if (op.getKind() == Gate::Silu) {
        Value decay = math::ExpOp::create(k, p.loc, mul(g, p.number(k, -1)));
        return mul(arith::DivFOp::create(k, p.loc, g, add(p.number(k, 1), decay)), v[1]);
      }
      Value inner;
      if (op.getKind() == Gate::GeluTanh) {
        Value cubic = math::FmaOp::create(k, p.loc, mul(mul(g, g), p.number(k, 0.044715)), g, g);
        inner = math::TanhOp::create(k, p.loc, mul(cubic, p.number(k, 0.79788456080286535588)));
      } else {
        inner = math::ErfOp::create(k, p.loc, mul(g, p.number(k, 0.70710678118654752440)));
      }
      return mul(mul(mul(g, p.number(k, 0.5)), add(p.number(k, 1), inner)), v[1]);
    });
  }

  static Value lowerAdd(OpBuilder &b, AddOp op) {
    PlainLinalg p(b, op.getLoc());
    return rowwise(p, {op.getA(), op.getB()},
                   [&](OpBuilder &k, ValueRange v) -> Value { return arith::AddFOp::create(k, p.loc, v[0], v[1]); });
  }

  llvm::DenseMap<Operation *, CacheType> caches; ///< of attentions, as they were

  /// Arrays in place of batches, caches and blocks of one float, wherever they occur.
  void usePlainTypes() {
    getOperation().walk([&](Operation *op) {
      if (auto attention = dyn_cast<AttentionOp>(op))
        caches[op] = attention.getCache().getType();
    });
    getOperation().walk([&](Operation *op) {
      for (Value result : op->getResults())
        result.setType(plainType(result.getType()));
      for (Region &region : op->getRegions())
        for (Block &block : region)
          for (BlockArgument argument : block.getArguments())
            argument.setType(plainType(argument.getType()));
      if (auto function = dyn_cast<func::FuncOp>(op)) {
        auto plain = [](TypeRange types) { return llvm::map_to_vector(types, plainType); };
        function.setType(
            FunctionType::get(&getContext(), plain(function.getArgumentTypes()), plain(function.getResultTypes())));
      }
    });
  }

  LogicalResult decompose(Operation *op, bool plain) {
    if (isa<linalg::PackOp, linalg::UnPackOp>(op))
      checkPack(op);
    IRRewriter rewriter(op);
    Value one = decomposeLinear(rewriter, op, plain);
    if (!one)
      one = decomposeAttention(rewriter, op, caches.lookup(op));
    if (auto norm = dyn_cast<RMSNormOp>(op))
      one = lowerRMSNorm(rewriter, norm);
    else if (auto layer = dyn_cast<LayerNormOp>(op))
      one = lowerLayerNorm(rewriter, layer);
    else if (auto gate = dyn_cast<GatedActivationOp>(op))
      one = lowerGate(rewriter, gate);
    else if (auto add = dyn_cast<AddOp>(op))
      one = lowerAdd(rewriter, add);
    if (one) {
      rewriter.replaceOp(op, one);
      return success();
    }
    FailureOr<SmallVector<Value>> parts = failure();
    if (auto softmax = dyn_cast<linalg::SoftmaxOp>(op))
      parts = softmax.decomposeOperation(rewriter);
    else if (auto concat = dyn_cast<tensor::ConcatOp>(op)) {
      checkConcat(op);
      parts = concat.decomposeOperation(rewriter);
    } else if (isRelayout(op)) {
      return succeeded(decomposeRelayout(rewriter, op)) ? success() : refuse(op);
    }
    if (failed(parts))
      return refuse(op);
    rewriter.replaceOp(op, *parts);
    return success();
  }

  static LogicalResult refuse(Operation *op) {
    return op->emitOpError() << "expects a form that takes linalg and tensor operations alone, but there is none of it";
  }

  void runOnOperation() override {
    // Batches, caches and stored blocks have an array form in plain modules alone.
    auto outer = getOperation()->getParentOfType<ModuleOp>();
    const bool plain = getOperation()->hasAttr(kPlainAttr) || (outer && outer->hasAttr(kPlainAttr));
    if (plain)
      usePlainTypes();
    SmallVector<Operation *> work;
    getOperation().walk([&](Operation *op) {
      if (isRelayout(op) ||
          isa<RMSNormOp, LayerNormOp, GatedActivationOp, AddOp, LogitsOp, linalg::SoftmaxOp, tensor::ConcatOp>(op) ||
          (isa<LinearOp>(op) && (plain || op->getNumOperands() > 2)) ||
          (plain && isa<SelectRowsOp, RopeOp, KVAppendOp, AttentionOp, EmbeddingOp>(op)))
        work.push_back(op);
    });
    for (Operation *op : work)
      if (failed(decompose(op, plain)))
        return signalPassFailure();
    if (plain)
      giveSoundForms(getOperation());
  }
};
} // namespace
} // namespace stepdown
