// Operations of a plain module that stand for several: transformer's on rows of float32, and linalg's aggregates.
// Kernels of models hold none of them; lower-kernels knows what theirs become on packed tensors.
#include "dialects/Transformer/IR/TransformerOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Linalg/Passes.h"
#include "passes/Linalg/PlainLinalg.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {
#define GEN_PASS_DEF_DECOMPOSEOPERATIONS
#include "passes/Linalg/Passes.h.inc"

namespace {

using Body = llvm::function_ref<Value(OpBuilder &, ValueRange)>;

/// Builds linalg on rows of float32; every tensor has the rows of `like`.
class Rows {
public:
  Rows(OpBuilder &b, Location loc, Value like) : b(b), loc(loc), like(like) {}

  Value number(OpBuilder &k, double value) { return arith::ConstantOp::create(k, loc, k.getF32FloatAttr(value)); }
  AffineMap map(unsigned dims, ArrayRef<unsigned> results) {
    return AffineMap::getMultiDimMapWithTargets(dims, results, b.getContext());
  }

  /// [rows, rest...], unset.
  Value empty(ArrayRef<int64_t> rest) {
    SmallVector<int64_t> shape = {cast<RankedTensorType>(like.getType()).getDimSize(0)};
    shape.append(rest.begin(), rest.end());
    SmallVector<Value> dynamic;
    if (ShapedType::isDynamic(shape[0]))
      dynamic.push_back(tensor::DimOp::create(b, loc, like, 0));
    return tensor::EmptyOp::create(b, loc, shape, b.getF32Type(), dynamic);
  }

  Value elementwise(ArrayRef<int64_t> rest, ValueRange ins, ArrayRef<AffineMap> maps, Body body) {
    SmallVector<AffineMap> all(maps);
    const unsigned rank = rest.size() + 1;
    all.push_back(b.getMultiDimIdentityMap(rank));
    return generic(empty(rest), ins, all, SmallVector<utils::IteratorType>(rank, utils::IteratorType::parallel), body);
  }

  /// sum over the last dimension of what `body` makes of the inputs and the sum so far; inputs are [rows, rest..., n].
  Value sum(ArrayRef<int64_t> rest, ValueRange ins, ArrayRef<AffineMap> maps, Body body) {
    Value zero = linalg::FillOp::create(b, loc, ValueRange{number(b, 0)}, ValueRange{empty(rest)}).getResult(0);
    SmallVector<AffineMap> all(maps);
    const unsigned rank = rest.size() + 2;
    all.push_back(b.getMultiDimIdentityMap(rank).dropResult(rank - 1));
    SmallVector<utils::IteratorType> iterators(rank, utils::IteratorType::parallel);
    iterators.back() = utils::IteratorType::reduction;
    return generic(zero, ins, all, iterators, body);
  }

private:
  Value generic(Value out, ValueRange ins, ArrayRef<AffineMap> maps, ArrayRef<utils::IteratorType> iterators,
                Body body) {
    return linalg::GenericOp::create(
               b, loc, TypeRange{out.getType()}, ins, ValueRange{out}, maps, iterators,
               [&](OpBuilder &k, Location, ValueRange values) { linalg::YieldOp::create(k, loc, body(k, values)); })
        .getResult(0);
  }
  OpBuilder &b;
  Location loc;
  Value like;
};

struct DecomposeOperations : impl::DecomposeOperationsBase<DecomposeOperations> {
  static int64_t columnsOf(Value x) { return cast<RankedTensorType>(x.getType()).getDimSize(1); }

  /// y = x / sqrt(mean x^2 + eps) * weight, over heads of as many columns as the weight has.
  static Value lowerRMSNorm(OpBuilder &b, RMSNormOp op) {
    Location loc = op.getLoc();
    Value x = op.getX();
    auto type = cast<RankedTensorType>(x.getType());
    const int64_t n = cast<RankedTensorType>(op.getWeight().getType()).getDimSize(0), heads = columnsOf(x) / n;
    Rows rows(b, loc, x);
    SmallVector<ReassociationIndices> groups = {{0}, {1, 2}};
    auto split = RankedTensorType::get({type.getDimSize(0), heads, n}, type.getElementType());
    Value in = tensor::ExpandShapeOp::create(b, loc, split, x, groups);
    const double inverse = 1.0 / n, eps = op.getEps().convertToDouble();
    Value squares = rows.sum({heads}, {in}, {rows.map(3, {0, 1, 2})}, [&](OpBuilder &k, ValueRange v) -> Value {
      return math::FmaOp::create(k, loc, v[0], v[0], v[1]);
    });
    Value y = rows.elementwise(
        {heads, n}, {in, squares, op.getWeight()}, {rows.map(3, {0, 1, 2}), rows.map(3, {0, 1}), rows.map(3, {2})},
        [&](OpBuilder &k, ValueRange v) -> Value {
          Value mean = arith::MulFOp::create(k, loc, v[1], rows.number(k, inverse));
          Value root = math::SqrtOp::create(k, loc, arith::AddFOp::create(k, loc, mean, rows.number(k, eps)));
          return arith::MulFOp::create(k, loc, arith::DivFOp::create(k, loc, v[0], root), v[2]);
        });
    return tensor::CollapseShapeOp::create(b, loc, type, y, groups);
  }

  static Value lowerLayerNorm(OpBuilder &b, LayerNormOp op) {
    Location loc = op.getLoc();
    Value x = op.getX();
    const int64_t n = columnsOf(x);
    Rows rows(b, loc, x);
    AffineMap all = rows.map(2, {0, 1}), row = rows.map(2, {0}), column = rows.map(2, {1});
    const double inverse = 1.0 / n, eps = op.getEps().convertToDouble();
    Value sums = rows.sum(
        {}, {x}, {all}, [&](OpBuilder &k, ValueRange v) -> Value { return arith::AddFOp::create(k, loc, v[0], v[1]); });
    auto centred = [&](OpBuilder &k, Value value, Value sum) -> Value {
      return arith::SubFOp::create(k, loc, value, arith::MulFOp::create(k, loc, sum, rows.number(k, inverse)));
    };
    Value squares = rows.sum({}, {x, sums}, {all, row}, [&](OpBuilder &k, ValueRange v) -> Value {
      Value d = centred(k, v[0], v[1]);
      return math::FmaOp::create(k, loc, d, d, v[2]);
    });
    return rows.elementwise({n}, {x, sums, squares, op.getWeight(), op.getBias()}, {all, row, row, column, column},
                            [&](OpBuilder &k, ValueRange v) -> Value {
                              Value variance = arith::MulFOp::create(k, loc, v[2], rows.number(k, inverse));
                              Value root = math::SqrtOp::create(
                                  k, loc, arith::AddFOp::create(k, loc, variance, rows.number(k, eps)));
                              Value y = arith::DivFOp::create(k, loc, centred(k, v[0], v[1]), root);
                              return math::FmaOp::create(k, loc, y, v[3], v[4]);
                            });
  }

  static Value lowerGate(OpBuilder &b, GatedActivationOp op) {
    Location loc = op.getLoc();
    Rows rows(b, loc, op.getGate());
    AffineMap all = rows.map(2, {0, 1});
    return rows.elementwise(
        {columnsOf(op.getGate())}, {op.getGate(), op.getUp()}, {all, all}, [&](OpBuilder &k, ValueRange v) -> Value {
          auto mul = [&](Value p, Value q) -> Value { return arith::MulFOp::create(k, loc, p, q); };
          auto add = [&](Value p, Value q) -> Value { return arith::AddFOp::create(k, loc, p, q); };
          Value g = v[0], one = rows.number(k, 1);
          if (op.getKind() == Gate::Silu) {
            Value decay = math::ExpOp::create(k, loc, arith::NegFOp::create(k, loc, g));
            return mul(arith::DivFOp::create(k, loc, g, add(one, decay)), v[1]);
          }
          Value inner;
          if (op.getKind() == Gate::GeluTanh) {
            Value cubic = math::FmaOp::create(k, loc, mul(mul(g, g), rows.number(k, 0.044715)), g, g);
            inner = math::TanhOp::create(k, loc, mul(cubic, rows.number(k, 0.79788456080286535588)));
          } else {
            inner = math::ErfOp::create(k, loc, mul(g, rows.number(k, 0.70710678118654752440)));
          }
          return mul(mul(mul(g, rows.number(k, 0.5)), add(one, inner)), v[1]);
        });
  }

  static Value lowerAdd(OpBuilder &b, AddOp op) {
    Rows rows(b, op.getLoc(), op.getA());
    AffineMap all = rows.map(2, {0, 1});
    return rows.elementwise(
        {columnsOf(op.getA())}, {op.getA(), op.getB()}, {all, all},
        [&](OpBuilder &k, ValueRange v) -> Value { return arith::AddFOp::create(k, op.getLoc(), v[0], v[1]); });
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

  LogicalResult decompose(Operation *op) {
    IRRewriter rewriter(op);
    Value one = decomposeLinear(rewriter, op);
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
    else if (auto concat = dyn_cast<tensor::ConcatOp>(op))
      parts = concat.decomposeOperation(rewriter);
    else if (auto pack = dyn_cast<linalg::PackOp>(op))
      return succeeded(linalg::lowerPack(rewriter, pack)) ? success() : refuse(op);
    else if (auto unpack = dyn_cast<linalg::UnPackOp>(op))
      return succeeded(linalg::lowerUnPack(rewriter, unpack)) ? success() : refuse(op);
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
      if (isa<RMSNormOp, LayerNormOp, GatedActivationOp, AddOp, SelectRowsOp, linalg::SoftmaxOp, linalg::PackOp,
              linalg::UnPackOp, tensor::ConcatOp>(op) ||
          (plain && isa<RopeOp, KVAppendOp, AttentionOp, LinearOp, LogitsOp, EmbeddingOp>(op)))
        work.push_back(op);
    });
    for (Operation *op : work)
      if (failed(decompose(op)))
        return signalPassFailure();
  }
};
} // namespace
} // namespace stepdown
