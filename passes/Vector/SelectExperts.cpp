// The choice of each token's experts, and the sum of what they give.
//
// The largest is found lane by lane, each lane keeping its first; of lanes that are equal the lowest number wins, so
// that ties go to the expert that comes first. NaN and -infinity count as the lowest finite number, so what is left is
// always larger than what was chosen: no expert is chosen twice, and every id is below the number of experts whatever
// the values are, since kernels behind this one take ids for addresses.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Vector/SelectTileOps.h"
#include "llvm/Support/MathExtras.h"
#include <limits>

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown {
namespace {

constexpr double kNone = -std::numeric_limits<double>::infinity(), kLowest = std::numeric_limits<float>::lowest();

/// The numbers first, first + 1, ... in lanes of 32 bits.
Value counted(Emitter &e, int64_t first) {
  SmallVector<int32_t> numbers;
  for (int64_t lane = 0; lane < e.lanes; ++lane)
    numbers.push_back(int32_t(first + lane));
  return arith::ConstantOp::create(e.b, e.loc, DenseElementsAttr::get(e.vec(e.i32), ArrayRef<int32_t>(numbers)));
}

/// `values` in the first `count` lanes (all, where there are more), `other` in those behind.
Value keepFirst(Emitter &e, Value values, int64_t count, Value other) {
  if (count >= e.lanes)
    return values;
  Value most = e.splat(e.vec(e.i32), double(count));
  return e.select(e.less(counted(e, 0), most), values, other);
}

} // namespace

void selectRoute(RouteOp op, Emitter &e) {
  Value z = op.getZ(), ids = op.getIds(), weights = op.getWeights(), zero = e.number(0);
  const VectorType lanes = e.vec(e.f32), ints = e.vec(e.i32);
  const int64_t experts = op.getExperts(), used = cast<MemRefType>(ids.getType()).getDimSize(1);
  const int64_t vectors = llvm::divideCeil(experts, e.lanes), chosen = llvm::divideCeil(used, e.lanes);
  Value none = e.splat(lanes, kNone), lowest = e.splat(lanes, kLowest), nothing = e.splat(lanes, 0.0);
  Value left = e.scratch(4 * e.lanes * vectors); // z of the experts that are not chosen yet, else -infinity
  Value best = e.scratch(4 * e.lanes * chosen);  // z of the chosen ones
  e.loop(e.dim(z, 0), [&](Value r) {
    Value from = e.pointer(z, {r, zero}), most = none;
    for (int64_t v = 0; v < vectors; ++v) {
      Value given = e.load(lanes, e.at(from, 4 * e.lanes * v));
      Value each = keepFirst(e, e.select(e.less(lowest, given), given, lowest), experts - e.lanes * v, none);
      e.store(each, e.at(left, 4 * e.lanes * v));
      most = e.max(most, each);
    }
    Value top = e.spread(e.maxLanes(most)), sum = nothing;
    if (!op.getNormalised())
      for (int64_t v = 0; v < vectors; ++v) {
        Value part = e.exp(e.sub(e.load(lanes, e.at(left, 4 * e.lanes * v)), top));
        sum = e.add(sum, keepFirst(e, part, experts - e.lanes * v, nothing));
      }
    e.loop(e.number(used), [&](Value rank) {
      Value largest = none, at = e.splat(ints, 0.0);
      for (int64_t v = 0; v < vectors; ++v) {
        Value each = e.load(lanes, e.at(left, 4 * e.lanes * v)), isLarger = e.less(largest, each);
        largest = e.select(isLarger, each, largest);
        at = e.select(isLarger, counted(e, e.lanes * v), at);
      }
      Value value = e.maxLanes(largest);
      Value equal = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, largest, e.spread(value));
      at = e.select(equal, at, e.splat(ints, double(experts - 1)));
      Value id = vector::ReductionOp::create(e.b, e.loc, vector::CombiningKind::MINSI, at);
      memref::StoreOp::create(e.b, e.loc, id, ids, ValueRange{r, rank});
      e.store(value, e.at(best, rank, 4));
      e.store(e.splat(e.f32, kNone), e.at(left, e.cast(id, e.index), 4));
    });
    SmallVector<Value> parts;
    for (int64_t v = 0; v < chosen; ++v) {
      Value part = e.exp(e.sub(e.load(lanes, e.at(best, 4 * e.lanes * v)), top));
      parts.push_back(keepFirst(e, part, used - e.lanes * v, nothing));
      if (op.getNormalised())
        sum = e.add(sum, parts.back());
    }
    Value scale = e.splat(e.f32, op.getScale().convertToDouble());
    Value factor = e.spread(arith::DivFOp::create(e.b, e.loc, scale, e.sumLanes(sum)));
    Value to = e.pointer(weights, {r, zero});
    for (int64_t v = 0; v < cast<MemRefType>(weights.getType()).getDimSize(1); ++v)
      e.store(v < chosen ? e.mul(parts[v], factor) : nothing, e.at(to, 4 * e.lanes * v));
  });
  op.erase();
}

void selectCombine(CombineOp op, Emitter &e) {
  Value x = op.getX(), weights = op.getWeights(), out = op.getY(), zero = e.number(0);
  const int64_t ranks = op.getRanks(), vectors = cast<MemRefType>(out.getType()).getDimSize(1);
  e.loop(e.dim(out, 0), [&](Value r) {
    Value from = e.pointer(x, {r, zero}), to = e.pointer(out, {r, zero}), given = e.pointer(weights, {r, zero});
    SmallVector<Value> factors;
    for (int64_t rank = 0; rank < ranks; ++rank)
      factors.push_back(e.loadSpread(e.f32, e.at(given, 4 * rank)));
    e.loop(e.number(vectors), [&](Value c) {
      Value first = e.at(from, c, 4 * e.lanes), sum;
      for (int64_t rank = 0; rank < ranks; ++rank) {
        Value each = e.load(e.vec(e.f32), e.at(first, 4 * e.lanes * vectors * rank));
        sum = sum ? e.fma(factors[rank], each, sum) : e.mul(factors[rank], each);
      }
      e.store(sum, e.at(to, c, 4 * e.lanes));
    });
  });
  op.erase();
}

} // namespace stepdown
