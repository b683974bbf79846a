// What operations of a kernel that the linalg stage leaves whole become on packed tensors; PackStructured.cpp has the
// others.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "passes/Packing/KernelPacker.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {

static constexpr int64_t kDynamic = ShapedType::kDynamic;

Value KernelPacker::dim(Value tensor, int64_t which) { return tensor::DimOp::create(*b, loc, tensor, which); }

Value KernelPacker::splat(double value) {
  return arith::ConstantOp::create(*b, loc, DenseElementsAttr::get(lane(), b->getF32FloatAttr(value).getValue()));
}

/// Where `of` is computed: its argument if the kernel yields it, else a tensor of its own with the rows of `like`.
Value KernelPacker::destination(Value of, RankedTensorType type, Value like) {
  if (Value place = of ? destinations.lookup(of) : Value())
    return place;
  SmallVector<Value> sizes;
  if (type.isDynamicDim(0))
    sizes.push_back(dim(like, 0));
  return tensor::EmptyOp::create(*b, loc, type.getShape(), type.getElementType(), sizes);
}

Value KernelPacker::generic(Value out, ValueRange ins, ArrayRef<AffineMap> maps, unsigned parallel, unsigned reduction,
                            function_ref<Value(OpBuilder &, ValueRange)> body) {
  SmallVector<utils::IteratorType> iterators(parallel, utils::IteratorType::parallel);
  iterators.append(reduction, utils::IteratorType::reduction);
  return linalg::GenericOp::create(
             *b, loc, TypeRange{out.getType()}, ins, ValueRange{out}, maps, iterators,
             [&](OpBuilder &inner, Location, ValueRange in) { linalg::YieldOp::create(inner, loc, body(inner, in)); })
      .getResult(0);
}

Value KernelPacker::zeros(Value out) {
  unsigned rank = cast<RankedTensorType>(out.getType()).getRank();
  Value zero = splat(0);
  return generic(out, {}, {b->getMultiDimIdentityMap(rank)}, rank, 0, [&](OpBuilder &, ValueRange) { return zero; });
}

LogicalResult KernelPacker::pack(Operation &op) {
  auto one = [&](Value v) { return values[v].front(); };
  auto set = [&](Operation *made) { values[op.getResult(0)] = Values(made->getResults()); };
  if (isa<arith::ConstantOp, tensor::EmptyOp, tensor::DimOp, linalg::FillOp>(op))
    return success(); // made anew where they are used
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op))
    return packSplit(expand);
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op))
    return packJoin(collapse);
  if (auto structured = dyn_cast<linalg::GenericOp>(op))
    return packGeneric(structured);
  if (auto quantize = dyn_cast<QuantizeOp>(op)) {
    if (!quantize.getGroups() && columns(quantize.getX().getType()) % 32)
      return op.emitOpError() << "expects columns in multiples of 32, but got " << quantize.getX().getType();
    return packQuantize(quantize), success();
  }
  if (auto select = dyn_cast<SelectRowsOp>(op))
    return packSelect(select), success();
  if (auto linear = dyn_cast<LinearOp>(op))
    return packLinear(linear), success();
  if (auto linear = dyn_cast<ExpertLinearOp>(op))
    return packExpertLinear(linear), success();
  if (auto route = dyn_cast<RouteOp>(op)) {
    auto type = lanes({kDynamic, columns(route.getWeights().getType()) / laneCount});
    auto chosen = RankedTensorType::get({kDynamic, int64_t(route.getUsed())}, b->getI32Type());
    Value z = one(route.getZ()), ids = destination(route.getIds(), chosen, z);
    Value weights = destination(route.getWeights(), type, z);
    auto made = tile::RouteOp::create(*b, loc, TypeRange{ids.getType(), weights.getType()}, z, ids, weights,
                                      route.getExpertsAttr(), route.getNormalisedAttr(), route.getScaleAttr());
    values[route.getIds()] = {made.getResult(0)}, values[route.getWeights()] = {made.getResult(1)};
    return success();
  }
  if (auto combine = dyn_cast<CombineExpertsOp>(op)) {
    auto type = lanes({kDynamic, columns(combine.getResult().getType()) / laneCount});
    Value x = one(combine.getX()), out = destination(combine.getResult(), type, x);
    set(tile::CombineOp::create(*b, loc, TypeRange{out.getType()}, x, one(combine.getWeights()), out,
                                b->getI64IntegerAttr(combine.getRanks())));
    return success();
  }
  if (auto adapt = dyn_cast<AdaptOp>(op)) {
    Value x = one(adapt.getX()), out = destination(adapt.getResult(), cast<RankedTensorType>(x.getType()), x);
    set(tile::AdaptOp::create(*b, loc, TypeRange{out.getType()}, x, one(adapt.getOf()), one(adapt.getSlots()),
                              one(adapt.getDown()), one(adapt.getUp()), out));
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
    if (!rope.getCoarse())
      return rope.emitOpError() << "expects the tables of its angles, as fuse-rope-append makes them";
    set(tile::RotateOp::create(*b, loc, out.getType(), x, batch[0], one(rope.getCoarse()), one(rope.getFine()), out,
                               rope.getPairsAttr(), rope.getHeadDimAttr()));
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
    if (!isRows(attention.getQ().getType()))
      return attention.emitOpError() << "expects q of f32 in a kernel of a model, but got "
                                     << attention.getQ().getType();
    Value q = one(attention.getQ());
    Value out = destination(attention.getResult(), cast<RankedTensorType>(q.getType()), rowsLike);
    Value sinks = attention.getSinks() ? one(attention.getSinks()) : Value();
    set(tile::AttendOp::create(*b, loc, out.getType(), q, cache[0], cache[1], batch[0], batch[1], batch[2], sinks, out,
                               attention.getScaleAttr(), attention.getWindowAttr(), attention.getSoftcapAttr()));
    return success();
  }
  return op.emitOpError() << "expects an operation that has a packed form inside a kernel";
}

void KernelPacker::packQuantize(QuantizeOp op) {
  Value x = values[op.getX()].front(), out = destinations.lookup(op.getResult());
  auto type = cast<RankedTensorType>(x.getType());
  if (type.getRank() == 3) // a linear kernel's [tiles, tokens, vectors]
    x = tensor::CollapseShapeOp::create(*b, loc, x, ArrayRef<ReassociationIndices>{{0, 1}, {2}});
  auto pack = tile::PackActivationOp::create(*b, loc, TypeRange{out.getType()}, x, out, op.getGroupsAttr());
  values[op.getResult()] = {pack.getResult(0)};
}

/// out[tile, token, rows] = sum over blocks of w[rows, block] . a[tile, block][token].
Value KernelPacker::product(Operation *op, Value a, Value w, Value out) {
  MLIRContext *c = op->getContext();
  AffineExpr m = getAffineDimExpr(0, c), t = getAffineDimExpr(1, c), n = getAffineDimExpr(2, c),
             k = getAffineDimExpr(3, c);
  return generic(zeros(out), {w, a},
                 {AffineMap::get(4, 0, {n, k}, c), AffineMap::get(4, 0, {m, k}, c), AffineMap::get(4, 0, {m, t, n}, c)},
                 3, 1, [&](OpBuilder &i, ValueRange v) -> Value {
                   Value token = linalg::IndexOp::create(i, loc, 1);
                   return tile::BlockDotOp::create(i, loc, v[0], v[1], token, v[2]);
                 });
}

/// The product of a tile's tokens and rows, where what is made of it goes.
void KernelPacker::packLinear(LinearOp op) {
  auto block = cast<BlockType>(cast<RankedTensorType>(op.getWeight().getType()).getElementType());
  Value a = views[{op.getX(), packedBlock(layout, block.getFormat()).columns}], w = values[op.getWeight()].front();
  Value out = finalPlace(op.getResult());
  if (!out)
    out = tensor::EmptyOp::create(*b, loc, ArrayRef<int64_t>{kDynamic, bucket.tile, kDynamic}, lane(),
                                  ValueRange{dim(a, 0), dim(w, 0)});
  values[op.getResult()] = {product(op, a, w, out)};
}

/// The same of one token and the expert that its ids name at one rank; what the ids are is nobody's to check but this
/// kernel's, so that tables of an artifact that were altered lead to another expert and not to another place.
void KernelPacker::packExpertLinear(ExpertLinearOp op) {
  auto block = cast<BlockType>(cast<RankedTensorType>(op.getWeight().getType()).getElementType());
  Value a = views[{op.getX(), packedBlock(layout, block.getFormat()).columns}], all = values[op.getWeight()].front();
  Value ids = values[op.getIds()].front(), first = arith::ConstantIndexOp::create(*b, loc, 0);
  auto sizes = [](RankedTensorType type, int64_t rank) { // all dynamic
    return RankedTensorType::get(SmallVector<int64_t>(rank, kDynamic), type.getElementType());
  };
  const OpFoldResult zero = b->getIndexAttr(0), one = b->getIndexAttr(1);
  Value expert = tensor::ExtractOp::create(*b, loc, ids, ValueRange{first, first});
  expert = arith::IndexCastOp::create(*b, loc, b->getIndexType(), expert);
  Value last = arith::SubIOp::create(*b, loc, dim(all, 0), arith::ConstantIndexOp::create(*b, loc, 1));
  expert = arith::MinUIOp::create(*b, loc, expert, last);
  Value w = tensor::ExtractSliceOp::create(
      *b, loc, sizes(cast<RankedTensorType>(all.getType()), 2), all, ArrayRef<OpFoldResult>{expert, zero, zero},
      ArrayRef<OpFoldResult>{one, dim(all, 1), dim(all, 2)}, ArrayRef<OpFoldResult>{one, one, one});
  if (op.getByRank())
    a = tensor::ExtractSliceOp::create(
        *b, loc, sizes(cast<RankedTensorType>(a.getType()), 2), a, ArrayRef<OpFoldResult>{zero, zero, zero},
        ArrayRef<OpFoldResult>{dim(a, 0), one, dim(a, 2)}, ArrayRef<OpFoldResult>{one, one, one});
  Value out = finalPlace(op.getResult());
  if (!out)
    out = tensor::EmptyOp::create(*b, loc, ArrayRef<int64_t>{kDynamic, 1, kDynamic}, lane(),
                                  ValueRange{dim(ids, 0), dim(all, 1)});
  Value y = product(op, a, w, out);
  if (op.getBias()) {
    Value biases = values[op.getBias()].front();
    Value bias = tensor::ExtractSliceOp::create(
        *b, loc, sizes(cast<RankedTensorType>(biases.getType()), 1), biases, ArrayRef<OpFoldResult>{expert, zero},
        ArrayRef<OpFoldResult>{one, dim(biases, 1)}, ArrayRef<OpFoldResult>{one, one});
    AffineMap rows = AffineMap::get(3, 0, {getAffineDimExpr(2, op.getContext())}, op.getContext());
    y = generic(y, {bias}, {rows, b->getMultiDimIdentityMap(3)}, 3, 0,
                [&](OpBuilder &i, ValueRange v) -> Value { return arith::AddFOp::create(i, loc, v[1], v[0]); });
  }
  values[op.getResult()] = {y};
}

void KernelPacker::packSelect(SelectRowsOp op) {
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
