#include "passes/Linalg/PlainOperations.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include <limits>

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {

static Type plainType(Type type) {
  MLIRContext *context = type.getContext();
  if (isa<BatchType>(type))
    return RankedTensorType::get({ShapedType::kDynamic}, IntegerType::get(context, 32));
  if (auto cache = dyn_cast<CacheType>(type))
    return RankedTensorType::get(
        {ShapedType::kDynamic, int64_t(cache.getHeads()) * (int64_t(cache.getKey()) + int64_t(cache.getValue()))},
        cache.getElement());
  auto tensor = dyn_cast<RankedTensorType>(type);
  auto block = tensor ? dyn_cast<BlockType>(tensor.getElementType()) : BlockType();
  if (!block || block.getRows() != 1)
    return type;
  if (block.getStorage() == "f32")
    return tensor.clone(Float32Type::get(context));
  if (block.getStorage() == "f16")
    return tensor.clone(Float16Type::get(context));
  if (block.getStorage() == "bf16")
    return tensor.clone(BFloat16Type::get(context));
  return type;
}

/// out[i, c] = scale * rows[index[i], c].
static Value gather(LinalgBuilder &p, Value table, Value index, double scale) {
  Value out = p.empty({tensor::getMixedSize(p.b, p.loc, index, 0), tensor::getMixedSize(p.b, p.loc, table, 1)});
  return p.generic(out, {index}, 2, 0, {{0}, {0, 1}}, [&](OpBuilder &k, ValueRange v) -> Value {
    Value row = arith::IndexCastOp::create(k, p.loc, k.getIndexType(), v[0]);
    Value column = linalg::IndexOp::create(k, p.loc, 1);
    Value value = p.toF32(k, tensor::ExtractOp::create(k, p.loc, table, ValueRange{row, column}));
    return scale == 1 ? value : Value(arith::MulFOp::create(k, p.loc, value, p.number(k, scale)));
  });
}

/// y[t, o] = sum_c x[t, c] * weight[o, c].
static Value product(LinalgBuilder &p, Value x, Value weight) {
  Value out = p.filled({tensor::getMixedSize(p.b, p.loc, x, 0), tensor::getMixedSize(p.b, p.loc, weight, 0)}, 0);
  return p.generic(out, {x, weight}, 3, 1, {{0, 2}, {1, 2}, {0, 1}}, [&](OpBuilder &k, ValueRange v) -> Value {
    Value term = arith::MulFOp::create(k, p.loc, v[0], p.toF32(k, v[1]));
    return arith::AddFOp::create(k, p.loc, v[2], term);
  });
}

static Value lowerEmbedding(LinalgBuilder &p, EmbeddingOp op, EmbeddingOp::Adaptor in) {
  return gather(p, in.getTable(), in.getTokens(), op.getScale().convertToDouble());
}

static Value lowerPositions(LinalgBuilder &, PositionsOp, PositionsOp::Adaptor in) { return in.getBatch(); }

static Value lowerSelectRows(LinalgBuilder &p, SelectRowsOp, SelectRowsOp::Adaptor in) {
  return gather(p, in.getX(), in.getRows(), 1);
}

/// Its bias is added by lower-operations.
static Value lowerLinear(LinalgBuilder &p, LinearOp, LinearOp::Adaptor in) {
  return product(p, in.getX(), in.getWeight());
}

// --- rotation and attention ------------------------------------------------------------------------------------------

/// [rows, columns...] of `x`, its columns as `shape`.
static Value split(LinalgBuilder &p, Value x, ArrayRef<int64_t> shape) {
  auto type = cast<RankedTensorType>(x.getType());
  SmallVector<int64_t> all = {type.getDimSize(0)};
  all.append(shape.begin(), shape.end());
  ReassociationIndices columns;
  for (size_t d = 1; d < all.size(); ++d)
    columns.push_back(d);
  return tensor::ExpandShapeOp::create(p.b, p.loc, type.clone(all), x, SmallVector<ReassociationIndices>{{0}, columns});
}

/// Columns [first, first + count), every `step`-th, of all heads of x [T, H, D].
static void slice(LinalgBuilder &p, Value x, int64_t first, int64_t count, int64_t step,
                  SmallVector<OpFoldResult> (&bounds)[3]) {
  Builder &b = p.b;
  bounds[0] = {b.getIndexAttr(0), b.getIndexAttr(0), b.getIndexAttr(first)};
  bounds[1] = {tensor::getMixedSize(p.b, p.loc, x, 0), tensor::getMixedSize(p.b, p.loc, x, 1), b.getIndexAttr(count)};
  bounds[2] = {b.getIndexAttr(1), b.getIndexAttr(1), b.getIndexAttr(step)};
}

static Value lowerRope(LinalgBuilder &p, RopeOp op, RopeOp::Adaptor in) {
  OpBuilder &b = p.b;
  Value x = in.getX(), positions = in.getBatch();
  auto type = cast<RankedTensorType>(x.getType());
  const int64_t columns = op.getHeadDim(), heads = type.getDimSize(1) / columns;
  ArrayRef<double> frequencies = op.getInverseFrequencies();
  const int64_t pairs = frequencies.size();
  Value table = arith::ConstantOp::create(
      b, p.loc, DenseElementsAttr::get(RankedTensorType::get({pairs}, b.getF64Type()), frequencies));
  auto angles = [&](bool sine) {
    Value out = p.empty({tensor::getMixedSize(p.b, p.loc, positions, 0), b.getIndexAttr(pairs)});
    return p.generic(out, {positions, table}, 2, 0, {{0}, {1}, {0, 1}}, [&](OpBuilder &k, ValueRange v) -> Value {
      Value position = arith::SIToFPOp::create(k, p.loc, k.getF64Type(), v[0]);
      Value angle = arith::MulFOp::create(k, p.loc, position, v[1]);
      Value y = sine ? Value(math::SinOp::create(k, p.loc, angle)) : Value(math::CosOp::create(k, p.loc, angle));
      Value factor = arith::ConstantOp::create(k, p.loc, k.getF64FloatAttr(op.getAttentionFactor().convertToDouble()));
      return arith::TruncFOp::create(k, p.loc, k.getF32Type(), arith::MulFOp::create(k, p.loc, y, factor));
    });
  };
  Value c = angles(false), s = angles(true), whole = split(p, x, {heads, columns}), out = whole;
  const bool adjacent = op.getPairs() == Pairs::Adjacent;
  SmallVector<OpFoldResult> at[2][3];
  Value part[2];
  for (int i = 0; i < 2; ++i) {
    slice(p, whole, adjacent ? i : i * pairs, pairs, adjacent ? 2 : 1, at[i]);
    part[i] = tensor::ExtractSliceOp::create(b, p.loc, whole, at[i][0], at[i][1], at[i][2]);
  }
  for (int i = 0; i < 2; ++i) { // u c - v s, and v c + u s
    Value room = p.empty({tensor::getMixedSize(p.b, p.loc, whole, 0), b.getIndexAttr(heads), b.getIndexAttr(pairs)});
    Value turned = p.generic(
        room, {part[i], part[1 - i], c, s}, 3, 0, {{0, 1, 2}, {0, 1, 2}, {0, 2}, {0, 2}, {0, 1, 2}},
        [&](OpBuilder &k, ValueRange v) -> Value {
          Value a = arith::MulFOp::create(k, p.loc, v[0], v[2]);
          Value d = arith::MulFOp::create(k, p.loc, v[1], v[3]);
          return i ? Value(arith::AddFOp::create(k, p.loc, a, d)) : Value(arith::SubFOp::create(k, p.loc, a, d));
        });
    out = tensor::InsertSliceOp::create(b, p.loc, turned, out, at[i][0], at[i][1], at[i][2]);
  }
  return tensor::CollapseShapeOp::create(b, p.loc, type, out, SmallVector<ReassociationIndices>{{0}, {1, 2}});
}

/// Rows of the cache are keys and values beside each other; each token replaces that of its position.
static Value lowerAppend(LinalgBuilder &p, KVAppendOp, KVAppendOp::Adaptor in) {
  OpBuilder &b = p.b;
  Value positions = in.getBatch(), cache = in.getCache();
  const Type element = cast<RankedTensorType>(cache.getType()).getElementType();
  Value zero = arith::ConstantIndexOp::create(b, p.loc, 0), one = arith::ConstantIndexOp::create(b, p.loc, 1);
  Value tokens = getValueOrCreateConstantIndexOp(b, p.loc, tensor::getMixedSize(p.b, p.loc, positions, 0));
  auto loop = scf::ForOp::create(b, p.loc, zero, tokens, one, ValueRange{cache});
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value token = loop.getInductionVar(), now = loop.getRegionIterArgs()[0];
  Value position = arith::IndexCastOp::create(b, p.loc, b.getIndexType(),
                                              tensor::ExtractOp::create(b, p.loc, positions, ValueRange{token}));
  int64_t column = 0;
  for (Value rows : {in.getK(), in.getV()}) {
    const int64_t count = cast<RankedTensorType>(rows.getType()).getDimSize(1);
    SmallVector<OpFoldResult> sizes = {b.getIndexAttr(1), b.getIndexAttr(count)},
                              steps = {b.getIndexAttr(1), b.getIndexAttr(1)};
    auto type = RankedTensorType::get({1, count}, b.getF32Type());
    Value row = tensor::ExtractSliceOp::create(b, p.loc, type, rows, ArrayRef<OpFoldResult>{token, b.getIndexAttr(0)},
                                               sizes, steps);
    if (!element.isF32()) {
      Value room = tensor::EmptyOp::create(b, p.loc, sizes, element);
      row = p.generic(room, {row}, 2, 0, {{0, 1}, {0, 1}}, [&](OpBuilder &k, ValueRange v) -> Value {
        return arith::TruncFOp::create(k, p.loc, element, v[0]);
      });
    }
    now = tensor::InsertSliceOp::create(b, p.loc, row, now, ArrayRef<OpFoldResult>{position, b.getIndexAttr(column)},
                                        sizes, steps);
    column += count;
  }
  scf::YieldOp::create(b, p.loc, now);
  return loop.getResult(0);
}

static Value lowerAttention(LinalgBuilder &p, AttentionOp op, AttentionOp::Adaptor in) {
  OpBuilder &b = p.b;
  Value q = in.getQ(), positions = in.getBatch(), cache = in.getCache(), sinks = in.getSinks();
  const CacheType cacheType = op.getCache().getType();
  const int64_t heads = cacheType.getHeads(), key = cacheType.getKey(), value = cacheType.getValue();
  const int64_t group = cast<RankedTensorType>(q.getType()).getDimSize(1) / (heads * key);
  auto columns = [&](int64_t first, int64_t size) {
    SmallVector<OpFoldResult> from = {b.getIndexAttr(0), b.getIndexAttr(first)},
                              sizes = {tensor::getMixedSize(p.b, p.loc, cache, 0), b.getIndexAttr(heads * size)},
                              steps = {b.getIndexAttr(1), b.getIndexAttr(1)};
    return split(p, tensor::ExtractSliceOp::create(b, p.loc, cache, from, sizes, steps), {heads, size});
  };
  Value keys = columns(0, key), values = columns(heads * key, value), queries = split(p, q, {heads, group, key});
  const OpFoldResult t = tensor::getMixedSize(p.b, p.loc, q, 0), h = b.getIndexAttr(heads), g = b.getIndexAttr(group),
                     n = tensor::getMixedSize(p.b, p.loc, cache, 0);
  auto f32 = [&](OpBuilder &k, Value v) { return p.toF32(k, v); };
  // Loops are (t, h, g, p, i).
  Value scores = p.generic(p.filled({t, h, g, n}, 0), {queries, keys}, 5, 1, {{0, 1, 2, 4}, {3, 1, 4}, {0, 1, 2, 3}},
                           [&](OpBuilder &k, ValueRange v) -> Value {
                             Value term = arith::MulFOp::create(k, p.loc, f32(k, v[0]), f32(k, v[1]));
                             return arith::AddFOp::create(k, p.loc, v[2], term);
                           });
  const int64_t window = op.getWindow();
  scores = p.generic(p.empty({t, h, g, n}), {scores, positions}, 4, 0, {{0, 1, 2, 3}, {0}, {0, 1, 2, 3}},
                     [&](OpBuilder &k, ValueRange v) -> Value {
                       Value z = p.capped(k, v[0], op.getScale().convertToDouble(), op.getSoftcap().convertToDouble());
                       Value at = linalg::IndexOp::create(k, p.loc, 3);
                       Value here = arith::IndexCastOp::create(k, p.loc, k.getIndexType(), v[1]);
                       Value behind = arith::SubIOp::create(k, p.loc, here, at);
                       auto limit = [&](arith::CmpIPredicate predicate, int64_t bound) -> Value {
                         return arith::CmpIOp::create(k, p.loc, predicate, behind,
                                                      arith::ConstantIndexOp::create(k, p.loc, bound));
                       };
                       Value low = p.number(k, -std::numeric_limits<double>::infinity());
                       if (op.getCausal())
                         z = arith::SelectOp::create(k, p.loc, limit(arith::CmpIPredicate::sge, 0), z, low);
                       if (window)
                         z = arith::SelectOp::create(k, p.loc, limit(arith::CmpIPredicate::slt, window), z, low);
                       return z;
                     });
  // Finite: weights of a token that sees nothing are then zeros.
  Value top = p.filled({t, h, g}, std::numeric_limits<float>::lowest());
  Value sink;
  if (sinks) {
    auto type = RankedTensorType::get({heads, group}, b.getF32Type());
    sink = tensor::ExpandShapeOp::create(b, p.loc, type, sinks, SmallVector<ReassociationIndices>{{0, 1}});
    top = p.generic(top, {sink}, 3, 0, {{1, 2}, {0, 1, 2}}, [&](OpBuilder &, ValueRange v) -> Value { return v[0]; });
  }
  top = p.generic(top, {scores}, 4, 1, {{0, 1, 2, 3}, {0, 1, 2}},
                  [&](OpBuilder &k, ValueRange v) -> Value { return arith::MaximumFOp::create(k, p.loc, v[1], v[0]); });
  auto weightOf = [&](OpBuilder &k, Value z, Value most) -> Value {
    return math::ExpOp::create(k, p.loc, arith::SubFOp::create(k, p.loc, z, most));
  };
  Value weights = p.generic(p.empty({t, h, g, n}), {scores, top}, 4, 0, {{0, 1, 2, 3}, {0, 1, 2}, {0, 1, 2, 3}},
                            [&](OpBuilder &k, ValueRange v) -> Value { return weightOf(k, v[0], v[1]); });
  Value sum = p.filled({t, h, g}, 0);
  if (sink)
    sum = p.generic(sum, {sink, top}, 3, 0, {{1, 2}, {0, 1, 2}, {0, 1, 2}},
                    [&](OpBuilder &k, ValueRange v) -> Value { return weightOf(k, v[0], v[1]); });
  sum = p.generic(sum, {weights}, 4, 1, {{0, 1, 2, 3}, {0, 1, 2}},
                  [&](OpBuilder &k, ValueRange v) -> Value { return arith::AddFOp::create(k, p.loc, v[1], v[0]); });
  // Loops are (t, h, g, i, p).
  Value mixed = p.generic(p.filled({t, h, g, b.getIndexAttr(value)}, 0), {weights, values}, 5, 1,
                          {{0, 1, 2, 4}, {4, 1, 3}, {0, 1, 2, 3}}, [&](OpBuilder &k, ValueRange v) -> Value {
                            Value term = arith::MulFOp::create(k, p.loc, v[0], f32(k, v[1]));
                            return arith::AddFOp::create(k, p.loc, v[2], term);
                          });
  const Type element = cast<RankedTensorType>(op.getResult().getType()).getElementType();
  Value room = tensor::EmptyOp::create(b, p.loc, {t, h, g, b.getIndexAttr(value)}, element);
  Value y = p.generic(room, {mixed, sum}, 4, 0, {{0, 1, 2, 3}, {0, 1, 2}, {0, 1, 2, 3}},
                      [&](OpBuilder &k, ValueRange v) -> Value {
                        Value zero = p.number(k, 0);
                        Value none = arith::CmpFOp::create(k, p.loc, arith::CmpFPredicate::OEQ, v[1], zero);
                        Value share = arith::DivFOp::create(k, p.loc, v[0], v[1]);
                        share = arith::SelectOp::create(k, p.loc, none, zero, share);
                        return element.isF32() ? share : Value(arith::TruncFOp::create(k, p.loc, element, share));
                      });
  return tensor::CollapseShapeOp::create(b, p.loc, op.getResult().getType(), y,
                                         SmallVector<ReassociationIndices>{{0}, {1, 2, 3}});
}

namespace {
template <typename Op> struct PlainForm : OpConversionPattern<Op> {
  using Adaptor = typename Op::Adaptor;
  using Form = Value (*)(LinalgBuilder &, Op, Adaptor);
  PlainForm(const TypeConverter &types, MLIRContext *context, Form form)
      : OpConversionPattern<Op>(types, context), form(form) {}

  LogicalResult matchAndRewrite(Op op, Adaptor in, ConversionPatternRewriter &rewriter) const override {
    LinalgBuilder p(rewriter, op.getLoc());
    rewriter.replaceOp(op, form(p, op, in));
    return success();
  }

  Form form;
};

/// Any other operation, on arrays in place of what it was written for.
struct PlainOperands : ConversionPattern {
  PlainOperands(const TypeConverter &types, MLIRContext *context)
      : ConversionPattern(types, MatchAnyOpTypeTag(), /*benefit=*/0, context) {}

  LogicalResult matchAndRewrite(Operation *op, ArrayRef<Value> operands,
                                ConversionPatternRewriter &rewriter) const override {
    OperationState plain(op->getLoc(), op->getName(), operands, {}, op->getAttrs(), op->getSuccessors());
    if (failed(typeConverter->convertTypes(op->getResultTypes(), plain.types)))
      return rewriter.notifyMatchFailure(op, "expects results that an array stands for");
    for (Region &region : op->getRegions()) {
      Region *moved = plain.addRegion();
      rewriter.inlineRegionBefore(region, *moved, moved->end());
      if (failed(rewriter.convertRegionTypes(moved, *typeConverter)))
        return rewriter.notifyMatchFailure(op, "expects arguments that an array stands for");
    }
    rewriter.replaceOp(op, rewriter.create(plain));
    return success();
  }
};
} // namespace

PlainTypes::PlainTypes() { addConversion(plainType); }

void populatePlainPatterns(const PlainTypes &types, RewritePatternSet &patterns, ConversionTarget &target) {
  MLIRContext *context = patterns.getContext();
  patterns.add<PlainForm<EmbeddingOp>>(types, context, lowerEmbedding);
  patterns.add<PlainForm<PositionsOp>>(types, context, lowerPositions);
  patterns.add<PlainForm<SelectRowsOp>>(types, context, lowerSelectRows);
  patterns.add<PlainForm<LinearOp>>(types, context, lowerLinear);
  patterns.add<PlainForm<RopeOp>>(types, context, lowerRope);
  patterns.add<PlainForm<KVAppendOp>>(types, context, lowerAppend);
  patterns.add<PlainForm<AttentionOp>>(types, context, lowerAttention);
  patterns.add<PlainOperands>(types, context);
  populateFunctionOpInterfaceTypeConversionPattern<func::FuncOp>(patterns, types);
  target.addIllegalOp<EmbeddingOp, PositionsOp, SelectRowsOp, LinearOp, RopeOp, KVAppendOp, AttentionOp>();
  target.markUnknownOpDynamicallyLegal([&](Operation *op) {
    auto function = dyn_cast<func::FuncOp>(op);
    return types.isLegal(op) && (!function || types.isSignatureLegal(function.getFunctionType())) &&
           llvm::all_of(op->getRegions(), [&](Region &region) { return types.isLegal(&region); });
  });
}

} // namespace stepdown
