// What each operation of a kernel becomes on packed tensors.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Linalg/KernelBuilder.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {

static constexpr int64_t kDynamic = ShapedType::kDynamic;

Value KernelBuilder::dim(Value tensor, int64_t which) { return tensor::DimOp::create(*b, loc, tensor, which); }

Value KernelBuilder::splat(double value) {
  return arith::ConstantOp::create(*b, loc, DenseElementsAttr::get(lane(), b->getF32FloatAttr(value).getValue()));
}

/// Where `of` is computed: its argument if the kernel yields it, else a tensor of its own with the rows of `like`.
Value KernelBuilder::destination(Value of, RankedTensorType type, Value like) {
  if (Value place = of ? destinations.lookup(of) : Value())
    return place;
  SmallVector<Value> sizes;
  if (type.isDynamicDim(0))
    sizes.push_back(dim(like, 0));
  return tensor::EmptyOp::create(*b, loc, type.getShape(), type.getElementType(), sizes);
}

Value KernelBuilder::generic(Value out, ValueRange ins, ArrayRef<AffineMap> maps, unsigned parallel, unsigned reduction,
                             function_ref<Value(OpBuilder &, ValueRange)> body) {
  SmallVector<utils::IteratorType> iterators(parallel, utils::IteratorType::parallel);
  iterators.append(reduction, utils::IteratorType::reduction);
  return linalg::GenericOp::create(
             *b, loc, TypeRange{out.getType()}, ins, ValueRange{out}, maps, iterators,
             [&](OpBuilder &inner, Location, ValueRange in) { linalg::YieldOp::create(inner, loc, body(inner, in)); })
      .getResult(0);
}

Value KernelBuilder::zeros(Value out) {
  unsigned rank = cast<RankedTensorType>(out.getType()).getRank();
  Value zero = splat(0);
  return generic(out, {}, {b->getMultiDimIdentityMap(rank)}, rank, 0, [&](OpBuilder &, ValueRange) { return zero; });
}

LogicalResult KernelBuilder::lower(Operation &op) {
  auto one = [&](Value v) { return values[v].front(); };
  auto set = [&](Operation *made) { values[op.getResult(0)] = Values(made->getResults()); };
  if (auto add = dyn_cast<AddOp>(op))
    return lowerAdd(add), success();
  if (auto norm = dyn_cast<RMSNormOp>(op))
    return lowerNorm(norm), success();
  if (auto norm = dyn_cast<LayerNormOp>(op))
    return lowerLayerNorm(norm), success();
  if (auto quantize = dyn_cast<QuantizeOp>(op)) {
    if (!quantize.getGroups() && columns(quantize.getX().getType()) % 32)
      return op.emitOpError() << "expects columns in multiples of 32, but got " << quantize.getX().getType();
    return lowerQuantize(quantize), success();
  }
  if (auto select = dyn_cast<SelectRowsOp>(op))
    return lowerSelect(select), success();
  if (auto gate = dyn_cast<GatedActivationOp>(op))
    return lowerGate(gate), success();
  if (auto linear = dyn_cast<LinearOp>(op))
    return lowerLinear(linear, linear.getX(), linear.getWeight(), linear.getBias(), 1, 0), success();
  if (auto logits = dyn_cast<LogitsOp>(op)) {
    lowerLinear(logits, logits.getX(), logits.getWeight(), logits.getBias(), logits.getScale().convertToDouble(),
                logits.getSoftcap().convertToDouble());
    return success();
  }
  if (auto embedding = dyn_cast<EmbeddingOp>(op)) {
    auto type = lanes({kDynamic, columns(embedding.getResult().getType()) / laneCount});
    Value tokens = one(embedding.getTokens()), out = destination(embedding.getResult(), type, tokens);
    set(tile::GatherOp::create(*b, loc, out.getType(), tokens, one(embedding.getTable()), out,
                               embedding.getScaleAttr()));
    return success();
  }
  if (auto rope = dyn_cast<RopeOp>(op)) {
    Value x = one(rope.getX());
    Value out = destination(rope.getResult(), cast<RankedTensorType>(x.getType()), rowsLike);
    Values batch = values[rope.getBatch()];
    if (rope.getTables().empty())
      return rope.emitOpError() << "expects the tables of its angles, as fuse-rope-append makes them";
    set(tile::RotateOp::create(*b, loc, out.getType(), x, batch[0], one(rope.getTables()[0]), one(rope.getTables()[1]),
                               out, rope.getPairsAttr(), rope.getHeadDimAttr()));
    return success();
  }
  if (auto append = dyn_cast<KVAppendOp>(op)) {
    Values batch = values[append.getBatch()], cache = values[append.getCache()];
    SmallVector<Type> types = {cache[0].getType(), cache[1].getType()};
    set(tile::CacheStoreOp::create(*b, loc, types, one(append.getK()), one(append.getV()), batch[0], batch[1], batch[2],
                                   cache[0], cache[1]));
    return success();
  }
  if (auto attention = dyn_cast<AttentionOp>(op)) {
    Values batch = values[attention.getBatch()], cache = values[attention.getCache()];
    Value q = one(attention.getQ());
    Value out = destination(attention.getResult(), cast<RankedTensorType>(q.getType()), rowsLike);
    Value sinks = attention.getSinks() ? one(attention.getSinks()) : Value();
    set(tile::AttendOp::create(*b, loc, out.getType(), q, cache[0], cache[1], batch[0], batch[1], batch[2], sinks, out,
                               attention.getScaleAttr(), attention.getWindowAttr(), attention.getSoftcapAttr()));
    return success();
  }
  return op.emitOpError() << "expects an operation that the linalg stage can lower inside a kernel";
}

void KernelBuilder::lowerAdd(AddOp op) {
  Value x = values[op.getA()].front(), y = values[op.getB()].front();
  auto type = cast<RankedTensorType>(x.getType());
  AffineMap id = b->getMultiDimIdentityMap(2);
  values[op.getResult()] = {
      generic(destination(op.getResult(), type, x), {x, y}, {id, id, id}, 2, 0,
              [&](OpBuilder &i, ValueRange in) -> Value { return arith::AddFOp::create(i, loc, in[0], in[1]); })};
}

/// Sum of squares in a partial sum a lane, columns ascending; then the partial sums in lane order.
void KernelBuilder::lowerNorm(RMSNormOp op) {
  Value x = values[op.getX()].front(), weight = values[op.getWeight()].front();
  auto type = cast<RankedTensorType>(x.getType());
  const int64_t all = type.getDimSize(1), width = cast<RankedTensorType>(weight.getType()).getDimSize(0);
  const int64_t heads = all / width;
  MLIRContext *c = op.getContext();
  AffineExpr t = getAffineDimExpr(0, c), h = getAffineDimExpr(1, c), i = getAffineDimExpr(2, c);
  AffineMap head = AffineMap::get(3, 0, {t, h}, c);
  AffineMap column = AffineMap::get(3, 0, {i}, c);
  // [rows, heads, width] view of the rows
  auto split = [&](Value v) -> Value {
    auto from = cast<RankedTensorType>(v.getType());
    SmallVector<OpFoldResult> shape = {dim(v, 0), b->getIndexAttr(heads), b->getIndexAttr(width)};
    if (!from.isDynamicDim(0))
      shape[0] = b->getIndexAttr(from.getDimSize(0));
    Value view = tensor::ExpandShapeOp::create(*b, loc, lanes({from.getDimSize(0), heads, width}), v,
                                               ArrayRef<ReassociationIndices>{{0}, {1, 2}}, shape);
    return view;
  };
  AffineMap id = b->getMultiDimIdentityMap(3), id2 = b->getMultiDimIdentityMap(2);
  Value in = split(x);
  Value squares = zeros(destination(Value(), lanes({kDynamic, heads}), rowsLike));
  squares = generic(squares, {in}, {id, head}, 2, 1,
                    [&](OpBuilder &k, ValueRange v) -> Value { return math::FmaOp::create(k, loc, v[0], v[0], v[1]); });
  Type f32 = b->getF32Type();
  const int64_t counted = width * laneCount - op.getPadding();
  const double eps = op.getEps().convertToDouble(), inverse = 1.0 / counted;
  Value factor =
      generic(destination(Value(), lanes({kDynamic, heads}), rowsLike), {squares}, {id2, id2}, 2, 0,
              [&](OpBuilder &k, ValueRange v) -> Value {
                Value sum = vector::ReductionOp::create(k, loc, vector::CombiningKind::ADD, v[0]);
                auto number = [&](double n) { return arith::ConstantOp::create(k, loc, k.getF32FloatAttr(n)); };
                Value mean = arith::MulFOp::create(k, loc, sum, number(inverse));
                Value root = math::SqrtOp::create(k, loc, arith::AddFOp::create(k, loc, mean, number(eps)));
                Value one = arith::DivFOp::create(k, loc, f32, number(1.0), root);
                return vector::BroadcastOp::create(k, loc, lane(), one);
              });
  Value out = split(destination(op.getResult(), type, rowsLike));
  Value y = generic(out, {in, factor, weight}, {id, head, column, id}, 3, 0, [&](OpBuilder &k, ValueRange v) -> Value {
    return arith::MulFOp::create(k, loc, arith::MulFOp::create(k, loc, v[0], v[1]), v[2]);
  });
  Value joined = tensor::CollapseShapeOp::create(*b, loc, type, y, ArrayRef<ReassociationIndices>{{0}, {1, 2}});
  values[op.getResult()] = {joined};
}

void KernelBuilder::lowerLayerNorm(LayerNormOp op) {
  Value x = values[op.getX()].front(), weight = values[op.getWeight()].front(), bias = values[op.getBias()].front();
  auto type = cast<RankedTensorType>(x.getType());
  const double inverse = 1.0 / (type.getDimSize(1) * laneCount), eps = op.getEps().convertToDouble();
  MLIRContext *c = op.getContext();
  AffineMap id = b->getMultiDimIdentityMap(2), row = AffineMap::get(2, 0, {getAffineDimExpr(0, c)}, c);
  AffineMap column = AffineMap::get(2, 0, {getAffineDimExpr(1, c)}, c), id1 = b->getMultiDimIdentityMap(1);
  auto mean = [&](OpBuilder &k, Value v) -> Value {
    Value sum = vector::ReductionOp::create(k, loc, vector::CombiningKind::ADD, v);
    return arith::MulFOp::create(k, loc, sum, arith::ConstantOp::create(k, loc, k.getF32FloatAttr(inverse)));
  };
  Value sums = generic(zeros(destination(Value(), lanes({kDynamic}), rowsLike)), {x}, {id, row}, 1, 1,
                       [&](OpBuilder &k, ValueRange v) -> Value { return arith::AddFOp::create(k, loc, v[0], v[1]); });
  Value means = generic(
      destination(Value(), lanes({kDynamic}), rowsLike), {sums}, {id1, id1}, 1, 0,
      [&](OpBuilder &k, ValueRange v) -> Value { return vector::BroadcastOp::create(k, loc, lane(), mean(k, v[0])); });
  Value squares = generic(zeros(destination(Value(), lanes({kDynamic}), rowsLike)), {x, means}, {id, row, row}, 1, 1,
                          [&](OpBuilder &k, ValueRange v) -> Value {
                            Value d = arith::SubFOp::create(k, loc, v[0], v[1]);
                            return math::FmaOp::create(k, loc, d, d, v[2]);
                          });
  Value factor =
      generic(destination(Value(), lanes({kDynamic}), rowsLike), {squares}, {id1, id1}, 1, 0,
              [&](OpBuilder &k, ValueRange v) -> Value {
                auto number = [&](double n) { return arith::ConstantOp::create(k, loc, k.getF32FloatAttr(n)); };
                Value root = math::SqrtOp::create(k, loc, arith::AddFOp::create(k, loc, mean(k, v[0]), number(eps)));
                return vector::BroadcastOp::create(k, loc, lane(), arith::DivFOp::create(k, loc, number(1.0), root));
              });
  values[op.getResult()] = {generic(destination(op.getResult(), type, rowsLike), {x, means, factor, weight, bias},
                                    {id, row, row, column, column, id}, 2, 0, [&](OpBuilder &k, ValueRange v) -> Value {
                                      Value d = arith::SubFOp::create(k, loc, v[0], v[1]);
                                      Value n = arith::MulFOp::create(k, loc, d, v[2]);
                                      return math::FmaOp::create(k, loc, n, v[3], v[4]);
                                    })};
}

void KernelBuilder::lowerQuantize(QuantizeOp op) {
  Value x = values[op.getX()].front(), out = destinations.lookup(op.getResult());
  auto type = cast<RankedTensorType>(x.getType());
  if (type.getRank() == 3) { // a linear kernel's [tiles, tokens, vectors]
    x = tensor::CollapseShapeOp::create(*b, loc, x, ArrayRef<ReassociationIndices>{{0, 1}, {2}});
  }
  auto pack = tile::PackActivationOp::create(*b, loc, TypeRange{out.getType()}, x, out, op.getGroupsAttr());
  values[op.getResult()] = {pack.getResult(0)};
}

/// y[tile, token, rows] = sum over blocks of weight[rows, block] . x[tile, block][token], then bias, scale and
/// soft-cap.
void KernelBuilder::lowerLinear(Operation *op, Value x, Value weight, Value bias, double scale, double softcap) {
  auto block = cast<BlockType>(cast<RankedTensorType>(weight.getType()).getElementType());
  Value a = views[{x, packedBlock(layout, block.getFormat()).columns}], w = values[weight].front();
  Value out = destinations.lookup(op->getResult(0));
  if (!out) {
    out = tensor::EmptyOp::create(*b, loc, ArrayRef<int64_t>{kDynamic, bucket.tile, kDynamic}, lane(),
                                  ValueRange{dim(a, 0), dim(w, 0)});
  }
  MLIRContext *c = op->getContext();
  AffineExpr m = getAffineDimExpr(0, c), t = getAffineDimExpr(1, c), n = getAffineDimExpr(2, c),
             k = getAffineDimExpr(3, c);
  Value y =
      generic(zeros(out), {w, a},
              {AffineMap::get(4, 0, {n, k}, c), AffineMap::get(4, 0, {m, k}, c), AffineMap::get(4, 0, {m, t, n}, c)}, 3,
              1, [&](OpBuilder &i, ValueRange v) -> Value {
                Value token = linalg::IndexOp::create(i, loc, 1);
                return tile::BlockDotOp::create(i, loc, v[0], v[1], token, v[2]);
              });
  AffineMap id = b->getMultiDimIdentityMap(3), rows = AffineMap::get(3, 0, {getAffineDimExpr(2, c)}, c);
  if (bias)
    y = generic(y, {values[bias].front()}, {rows, id}, 3, 0,
                [&](OpBuilder &i, ValueRange v) -> Value { return arith::AddFOp::create(i, loc, v[1], v[0]); });
  if (scale != 1 || softcap != 0)
    y = generic(y, {}, {id}, 3, 0, [&](OpBuilder &i, ValueRange v) -> Value {
      auto number = [&](double s) {
        return arith::ConstantOp::create(i, loc, DenseElementsAttr::get(lane(), i.getF32FloatAttr(s).getValue()));
      };
      Value z = arith::MulFOp::create(i, loc, v[0], number(scale));
      if (softcap != 0) {
        z = math::TanhOp::create(i, loc, arith::MulFOp::create(i, loc, z, number(1.0 / softcap)));
        z = arith::MulFOp::create(i, loc, z, number(softcap));
      }
      return z;
    });
  values[op->getResult(0)] = {y};
}

void KernelBuilder::lowerGate(GatedActivationOp op) {
  Value gate = values[op.getGate()].front(), up = values[op.getUp()].front();
  auto type = cast<RankedTensorType>(gate.getType());
  unsigned rank = type.getRank();
  Value out = destinations.lookup(op.getResult());
  if (!out)
    out = gate; // in place of the gate
  AffineMap id = b->getMultiDimIdentityMap(rank);
  auto activate = [&](OpBuilder &k, Value g) -> Value {
    auto number = [&](double s) {
      return arith::ConstantOp::create(k, loc, DenseElementsAttr::get(lane(), k.getF32FloatAttr(s).getValue()));
    };
    auto mul = [&](Value p, Value q) -> Value { return arith::MulFOp::create(k, loc, p, q); };
    auto add = [&](Value p, Value q) -> Value { return arith::AddFOp::create(k, loc, p, q); };
    if (op.getKind() == Gate::Silu)
      return arith::DivFOp::create(k, loc, g, add(number(1.0), math::ExpOp::create(k, loc, mul(g, number(-1.0)))));
    Value inner;
    if (op.getKind() == Gate::GeluTanh) {
      Value cubic = math::FmaOp::create(k, loc, mul(mul(g, g), number(0.044715)), g, g);
      inner = math::TanhOp::create(k, loc, mul(cubic, number(0.79788456080286535588)));
    } else {
      inner = math::ErfOp::create(k, loc, mul(g, number(0.70710678118654752440)));
    }
    return mul(mul(g, number(0.5)), add(number(1.0), inner));
  };
  if (out == gate)
    values[op.getResult()] = {generic(gate, {up}, {id, id}, rank, 0, [&](OpBuilder &k, ValueRange v) -> Value {
      return arith::MulFOp::create(k, loc, activate(k, v[1]), v[0]);
    })};
  else
    values[op.getResult()] = {generic(out, {gate, up}, {id, id, id}, rank, 0, [&](OpBuilder &k, ValueRange v) -> Value {
      return arith::MulFOp::create(k, loc, activate(k, v[0]), v[1]);
    })};
}

void KernelBuilder::lowerSelect(SelectRowsOp op) {
  Value x = values[op.getX()].front(), rows = values[op.getRows()].front();
  auto type = cast<RankedTensorType>(x.getType());
  MLIRContext *c = op.getContext();
  AffineMap id = b->getMultiDimIdentityMap(2), row = AffineMap::get(2, 0, {getAffineDimExpr(0, c)}, c);
  values[op.getResult()] = {generic(destination(op.getResult(), type, rows), {rows}, {row, id}, 2, 0,
                                    [&](OpBuilder &k, ValueRange v) -> Value {
                                      Value index = arith::IndexCastOp::create(k, loc, k.getIndexType(), v[0]);
                                      Value column = linalg::IndexOp::create(k, loc, 1);
                                      return tensor::ExtractOp::create(k, loc, x, ValueRange{index, column});
                                    })};
}

} // namespace stepdown
