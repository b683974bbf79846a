// Attention: rope, kv_append, attention.
#include "dialects/Transformer/IR/TransformerOps.h"
#include <cmath>

using namespace mlir;
using namespace stepdown::transformer;

LogicalResult RopeOp::verify() {
  int64_t head = getHeadDim(), pairs = getInverseFrequencies().size();
  if (head <= 0 || columns(getX().getType()) % head) // C2
    return emitOpError("expects a positive head_dim that divides ")
           << columns(getX().getType()) << " columns, but got " << head;
  if (pairs < 1 || pairs > head / 2) // C3
    return emitOpError("expects between 1 and ") << head / 2 << " inverse frequencies, but got " << pairs;
  for (double frequency : getInverseFrequencies())
    if (!std::isfinite(frequency) || frequency < 0) // C4
      return emitOpError("expects finite inverse frequencies that are not negative, but got ") << frequency;
  double factor = getAttentionFactor().convertToDouble();
  if (!std::isfinite(factor) || factor <= 0) // C5
    return emitOpError("expects a finite and positive attention_factor, but got ") << factor;
  if (const int count = (getCoarse() ? 1 : 0) + (getFine() ? 1 : 0);
      count == 1 || (count == 2 && !isa<KernelOp>((*this)->getParentOp()))) // C6
    return emitOpError("expects two tables in a transformer.kernel, elsewhere none (C6), but got ") << count;
  for (Value table : {getCoarse(), getFine()})
    if (table && cast<RankedTensorType>(table.getType()).getDimSize(2) != pairs) // C6
      return emitOpError("expects tables of ") << pairs << " pairs (C6), but got " << table.getType();
  return success();
}

LogicalResult KVAppendOp::verify() {
  CacheType cache = getCache().getType();
  RankedTensorType k = getK().getType(), v = getV().getType();
  int64_t keys = int64_t(cache.getHeads()) * cache.getKey(), values = int64_t(cache.getHeads()) * cache.getValue();
  if (columns(k) != keys) // C2
    return emitOpError("expects k of ") << keys << " columns, but got " << columns(k);
  if (columns(v) != values) // C3
    return emitOpError("expects v of ") << values << " columns, but got " << columns(v);
  if (!mayBeEqual(k.getDimSize(0), v.getDimSize(0))) // C4
    return emitOpError("expects v of ") << k.getDimSize(0) << " tokens, but got " << v.getDimSize(0);
  return success();
}

LogicalResult AttentionOp::verify() {
  CacheType cache = getCache().getType();
  RankedTensorType q = getQ().getType(), result = getResult().getType();
  if (columns(q) % cache.getKey()) // C4
    return emitOpError("expects columns that are a multiple of the cache's key, ")
           << cache.getKey() << ", but got " << columns(q);
  int64_t heads = columns(q) / cache.getKey();
  if (heads % cache.getHeads()) // C5
    return emitOpError("expects query heads that are a multiple of the cache's ")
           << cache.getHeads() << " heads, but got " << heads;
  if (columns(result) != heads * cache.getValue()) // C6
    return emitOpError("expects a result of ") << heads * cache.getValue() << " columns, but got " << columns(result);
  if (getSinks() && getSinks().getType().getDimSize(0) != heads) // C7
    return emitOpError("expects sinks of ") << heads << " elements, but got " << getSinks().getType().getDimSize(0);
  if (!mayBeEqual(q.getDimSize(0), result.getDimSize(0))) // C8
    return emitOpError("expects a result of ") << q.getDimSize(0) << " tokens, but got " << result.getDimSize(0);
  double scale = getScale().convertToDouble(), softcap = getSoftcap().convertToDouble();
  if (!std::isfinite(scale) || scale <= 0 || !std::isfinite(softcap) || softcap < 0) // C9
    return emitOpError("expects a finite and positive scale and a finite softcap that is not negative, but got ")
           << scale << " and " << softcap;
  if (int64_t(getWindow()) < 0) // C10
    return emitOpError("expects a window that is not negative, but got ") << int64_t(getWindow());
  const Type from = q.getElementType(), to = result.getElementType();
  if (from.isF32() ? !to.isF32() : cache.getElement() != from || (to != from && !to.isF32())) // C11
    return emitOpError("expects q, cache and result of one element, a result of f32, or q and result of f32, but got ")
           << from << ", " << cache.getElement() << " and " << to;
  return success();
}
