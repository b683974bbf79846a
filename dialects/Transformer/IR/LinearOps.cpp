// Linear layers: linear.
#include "dialects/Transformer/IR/TransformerOps.h"

using namespace mlir;
using namespace stepdown::transformer;

LogicalResult LinearOp::verify() {
  RankedTensorType x = getX().getType(), weight = getWeight().getType(), result = getResult().getType();
  if (columns(weight) != columns(x)) // C5
    return emitOpError("expects a weight of ") << columns(x) << " columns, but got " << columns(weight);
  if (columns(result) != weight.getDimSize(0)) // C6
    return emitOpError("expects a result of ") << weight.getDimSize(0) << " columns, but got " << columns(result);
  if (getBias() && getBias().getType().getDimSize(0) != weight.getDimSize(0)) // C7
    return emitOpError("expects a bias of ")
           << weight.getDimSize(0) << " elements, but got " << getBias().getType().getDimSize(0);
  if (!mayBeEqual(x.getDimSize(0), result.getDimSize(0))) // C8
    return emitOpError("expects a result of ") << x.getDimSize(0) << " tokens, but got " << result.getDimSize(0);
  return success();
}
