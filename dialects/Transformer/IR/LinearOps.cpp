// Linear layers: linear, and logits, which is one over the rows that are asked for; and the sums that take them in.
#include "dialects/Transformer/IR/TransformerOps.h"
#include "llvm/Support/MathExtras.h"
#include <cmath>

using namespace mlir;
using namespace stepdown::transformer;

/// C5 to C8 of both; `rows` is what messages call the rows of x.
template <typename Op> static LogicalResult verifyProduct(Op op, const char *rows) {
  RankedTensorType x = op.getX().getType(), weight = op.getWeight().getType(), result = op.getResult().getType();
  const int64_t given = columns(weight), wanted = isActivations(x) ? llvm::alignTo(given, 32) : given;
  if (wanted != columns(x)) // C5
    return op.emitOpError("expects a weight of ") << columns(x) << " columns, but got " << given;
  if (columns(result) != weight.getDimSize(0)) // C6
    return op.emitOpError("expects a result of ") << weight.getDimSize(0) << " columns, but got " << columns(result);
  if (op.getBias() && op.getBias().getType().getDimSize(0) != weight.getDimSize(0)) // C7
    return op.emitOpError("expects a bias of ")
           << weight.getDimSize(0) << " elements, but got " << op.getBias().getType().getDimSize(0);
  if (!mayBeEqual(x.getDimSize(0), result.getDimSize(0))) // C8
    return op.emitOpError("expects a result of ")
           << x.getDimSize(0) << " " << rows << ", but got " << result.getDimSize(0);
  return success();
}

LogicalResult LinearOp::verify() { return verifyProduct(*this, "tokens"); }

LogicalResult AddOp::verify() {
  if (const double scale = getScale().convertToDouble(); !std::isfinite(scale)) // C3
    return emitOpError("expects a finite scale, but got ") << scale;
  return success();
}

LogicalResult AddBiasOp::verify() {
  if (const int64_t bias = getBias().getType().getDimSize(0); bias != columns(getX().getType())) // C3
    return emitOpError("expects a bias of ") << columns(getX().getType()) << " elements, but got " << bias;
  return success();
}

LogicalResult LogitsOp::verify() {
  if (failed(verifyProduct(*this, "rows")))
    return failure();
  double scale = getScale().convertToDouble(), softcap = getSoftcap().convertToDouble();
  if (!std::isfinite(scale) || !std::isfinite(softcap) || softcap < 0) // C9
    return emitOpError("expects a finite scale and a finite softcap that is not negative, but got ")
           << scale << " and " << softcap;
  return success();
}
