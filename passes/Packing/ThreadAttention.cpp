// What a thread does with the paged cache. Attention is one pass over the positions that a query sees, in their order,
// with a running maximum and sum (Milakov and Gimelshein 2018, "Online normalizer calculation for softmax"): the same
// operations whatever blocks the positions lie in, and whatever else is in the step. The weighted sum of values is kept
// where the result is to lie, of which a thread has the columns of one query head.
#include "dialects/Tile/IR/TileOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Packing/ThreadKernel.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {

static constexpr double kNone = -1e30; ///< the maximum of no score: exp(kNone - z) = 0

ThreadKernel::Paged ThreadKernel::paged(Value batch, Value token, Value position, Value keys) {
  // Keys lie in groups of positions, as the layout says.
  const auto *axis = llvm::find(layout.cache.keys, uint32_t(STEPDOWN_AXIS_GROUPS));
  Value groups = memref::DimOp::create(*b, loc, keys, axis - std::begin(layout.cache.keys));
  Value size = mul(groups, number(layout.cache.lanes));
  Value sequence = index(argument(batch, 1), {token});
  Value entry = arith::DivUIOp::create(*b, loc, position, size);
  return {index(argument(batch, 2), {sequence, entry}), arith::RemUIOp::create(*b, loc, position, size)};
}

ThreadKernel::Values ThreadKernel::cacheIndices(const uint32_t (&axes)[STEPDOWN_MAX_RANK], const Paged &at, Value head,
                                                Value channel, Value lane) {
  Values indices;
  for (uint32_t axis : axes)
    switch (axis) {
    case STEPDOWN_AXIS_BLOCKS:
      indices.push_back(at.block);
      break;
    case STEPDOWN_AXIS_HEADS:
      indices.push_back(head);
      break;
    case STEPDOWN_AXIS_POSITIONS:
      indices.push_back(lane ? add(at.place, lane) : at.place);
      break;
    case STEPDOWN_AXIS_GROUPS:
      indices.push_back(div(at.place, layout.cache.lanes));
      break;
    case STEPDOWN_AXIS_LANES:
      indices.push_back(lane ? lane : rem(at.place, layout.cache.lanes));
      break;
    case STEPDOWN_AXIS_CHANNELS:
      indices.push_back(channel);
      break;
    }
  return indices;
}

Value ThreadKernel::cached(Value cache, bool ofKeys, const Paged &at, Value head, Value channel) {
  Value x = load(cache, cacheIndices(ofKeys ? layout.cache.keys : layout.cache.values, at, head, channel));
  return x.getType().isF32() ? x : Value(arith::ExtFOp::create(*b, loc, b->getF32Type(), x));
}

ThreadKernel::Values ThreadKernel::valueAt(Value values, const Paged &at, Value head, Value channel) {
  Type element = cast<MemRefType>(values.getType()).getElementType();
  Values numbers;
  Value all = vector::LoadOp::create(*b, loc, VectorType::get({kQuadColumns}, element), values,
                                     cacheIndices(layout.cache.values, at, head, channel));
  for (int64_t e = 0; e < kQuadColumns; ++e) {
    Value x = vector::ExtractOp::create(*b, loc, all, e);
    numbers.push_back(element.isF32() ? x : Value(arith::ExtFOp::create(*b, loc, b->getF32Type(), x)));
  }
  return numbers;
}

void ThreadKernel::put(Value cache, bool ofKeys, const Paged &at, Value head, Value channel, Value number) {
  Type element = cast<MemRefType>(cache.getType()).getElementType();
  if (!element.isF32())
    number = arith::TruncFOp::create(*b, loc, element, number);
  memref::StoreOp::create(*b, loc, number, cache,
                          cacheIndices(ofKeys ? layout.cache.keys : layout.cache.values, at, head, channel));
}

/// Column `column` of the token's keys and values, keys first.
void ThreadKernel::append(KVAppendOp op, Value token, Value column) {
  const CacheType type = op.getCache().getType();
  const int64_t keyColumns = type.getHeads() * type.getKey();
  Value keys = argument(op.getCache(), 0), values = argument(op.getCache(), 1);
  bound(argument(op.getBatch(), 2), 1);
  const Paged at = paged(op.getBatch(), token, index(argument(op.getBatch(), 0), {token}), keys);
  auto choice = scf::IfOp::create(*b, loc, less(column, number(keyColumns)), /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(*b);
  b->setInsertionPointToStart(choice.thenBlock());
  put(keys, true, at, div(column, type.getKey()), rem(column, type.getKey()), this->at(op.getK(), {token, column}));
  b->setInsertionPointToStart(choice.elseBlock());
  Value own = arith::SubIOp::create(*b, loc, column, number(keyColumns));
  put(values, false, at, div(own, type.getValue()), rem(own, type.getValue()), this->at(op.getV(), {token, own}));
}

void ThreadKernel::attend(AttentionOp op, Value token, Value head) {
  const CacheType type = op.getCache().getType();
  const int64_t queryHeads = op.getQ().getType().getDimSize(1) / type.getKey();
  if (!op.getCausal() || !isRows(op.getQ().getType())) {
    refuse(op, "causal attention of float32");
    return;
  }
  Value keys = argument(op.getCache(), 0), values = argument(op.getCache(), 1), out = argument(result);
  const int64_t window = op.getWindow();
  if (window > 0)
    bound(argument(op.getBatch(), 2), window);
  Value keyHead = div(head, queryHeads / type.getHeads()), position = index(argument(op.getBatch(), 0), {token});
  Value first = mul(head, number(type.getKey())), mine = mul(head, number(type.getValue()));
  auto sub = [&](Value a, Value c) -> Value { return arith::SubFOp::create(*b, loc, a, c); };
  auto times = [&](Value a, Value c) -> Value { return arith::MulFOp::create(*b, loc, a, c); };
  auto plus = [&](Value a, Value c) -> Value { return arith::AddFOp::create(*b, loc, a, c); };
  auto exp = [&](Value x) -> Value { return math::ExpOp::create(*b, loc, x); };
  auto eachColumn = [&](function_ref<Value(Value column, Value before)> body) {
    loop(number(0), number(type.getValue()), ValueRange(), [&](Value i, ValueRange) {
      Value column = add(mine, i);
      Value before = load(out, {token, column});
      memref::StoreOp::create(*b, loc, body(i, before), out, ValueRange{token, column});
      return Values();
    });
  };
  loop(number(0), number(type.getValue()), ValueRange(), [&](Value i, ValueRange) {
    memref::StoreOp::create(*b, loc, real(0), out, ValueRange{token, add(mine, i)});
    return Values();
  });
  // A sink is a score that no value belongs to.
  Value most = op.getSinks() ? load(argument(op.getSinks()), {head}) : real(kNone);
  Value sum = real(op.getSinks() ? 1 : 0);
  Value begin = number(0), end = add(position, number(1));
  if (window > 0)
    begin = select(less(number(window), end), arith::SubIOp::create(*b, loc, end, number(window)), begin);
  Values totals = loop(begin, end, {most, sum}, [&](Value j, ValueRange carried) {
    const Paged at = paged(op.getBatch(), token, j, keys);
    Value z = loop(number(0), number(type.getKey()), real(0), [&](Value i, Value score) -> Value {
      return math::FmaOp::create(*b, loc, this->at(op.getQ(), {token, add(first, i)}),
                                 cached(keys, true, at, keyHead, i), score);
    });
    z = times(z, real(op.getScale().convertToDouble()));
    if (const double cap = op.getSoftcap().convertToDouble(); cap != 0)
      z = times(math::TanhOp::create(*b, loc, times(z, real(1 / cap))), real(cap));
    Value top = arith::MaximumFOp::create(*b, loc, carried[0], z);
    Value kept = exp(sub(carried[0], top)), weight = exp(sub(z, top));
    eachColumn([&](Value i, Value before) -> Value {
      return math::FmaOp::create(*b, loc, weight, cached(values, false, at, keyHead, i), times(before, kept));
    });
    return Values{top, plus(times(carried[1], kept), weight)};
  });
  eachColumn([&](Value, Value before) -> Value { return arith::DivFOp::create(*b, loc, before, totals[1]); });
}

} // namespace stepdown
