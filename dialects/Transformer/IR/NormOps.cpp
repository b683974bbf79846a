// Norms: rms_norm, layer_norm.
#include "dialects/Transformer/IR/TransformerOps.h"
#include <cmath>

using namespace mlir;
using namespace stepdown::transformer;

static bool isEpsilon(const APFloat &eps) {
  double value = eps.convertToDouble();
  return std::isfinite(value) && value >= 0;
}

LogicalResult RMSNormOp::verify() {
  int64_t elements = getWeight().getType().getDimSize(0);
  if (columns(getX().getType()) % elements) // C3
    return emitOpError("expects a weight whose elements divide ")
           << columns(getX().getType()) << " columns, but got " << elements;
  if (!isEpsilon(getEps())) // C4
    return emitOpError("expects a finite eps that is not negative, but got ") << getEps().convertToDouble();
  if (int64_t(getPadding()) < 0 || int64_t(getPadding()) >= elements) // C5
    return emitOpError("expects a padding of 0 to ") << elements - 1 << " columns, but got " << int64_t(getPadding());
  return success();
}

LogicalResult LayerNormOp::verify() {
  int64_t weight = getWeight().getType().getDimSize(0);
  int64_t bias = getBias() ? getBias().getType().getDimSize(0) : weight;
  if (weight != columns(getX().getType()) || bias != weight) // C3
    return emitOpError("expects weight and bias of ")
           << columns(getX().getType()) << " elements, but got " << weight << " and " << bias;
  if (!isEpsilon(getEps())) // C4
    return emitOpError("expects a finite eps that is not negative, but got ") << getEps().convertToDouble();
  return success();
}
