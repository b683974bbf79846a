// Verifiers of what lies between kernels.
#include "dialects/Transformer/IR/TransformerOps.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace stepdown::transformer;

int64_t QuantizeOp::getReadColumns() {
  const int64_t all = cast<RankedTensorType>(getX().getType()).getDimSize(1);
  return getGroups() ? all / (*getGroups())[1] * (*getGroups())[0] : all;
}

LogicalResult QuantizeOp::verify() {
  if (auto groups = getGroups()) {
    auto x = dyn_cast<RankedTensorType>(getX().getType());
    if (groups->size() != 2 || (*groups)[0] < 1 || (*groups)[1] < (*groups)[0] || !x || x.getRank() != 2 ||
        x.getDimSize(1) % (*groups)[1]) // C2
      return emitOpError() << "expects groups [n, m] with 1 <= n <= m and m a divisor of the columns of "
                           << getX().getType() << " (C2), but got [" << *groups << "]";
  }
  auto from = dyn_cast<RankedTensorType>(getX().getType()), to = dyn_cast<RankedTensorType>(getResult().getType());
  auto block = to ? dyn_cast<ActivationType>(to.getElementType()) : ActivationType();
  if (!from || from.getRank() != 2 || !block || to.getRank() != 2 || block.getTokens() != 1 ||
      to.getDimSize(1) * int64_t(block.getColumns()) !=
          int64_t(llvm::alignTo(getReadColumns(), block.getColumns()))) // C1
    return emitOpError() << "expects a result block of one token for every 32 columns of x (C1), but got "
                         << getX().getType() << " and " << getResult().getType();
  return success();
}

LogicalResult DispatchOp::verify() {
  const int64_t inputs = getNumOperands(), values = inputs + getNumResults();
  if (getDims().size() * 2 != getSources().size()) // C1
    return emitOpError() << "expects dims for every pair of sources (C1), but got " << getDims().size() << " for "
                         << getSources().size() << " numbers";
  for (Attribute dims : getDims())
    if (!isa<DenseI64ArrayAttr>(dims))
      return emitOpError() << "expects dims to be arrays of i64 (C1), but got " << dims;
  for (size_t i = 0; i < getSources().size(); i += 2)
    if (getSources()[i] < 0 || getSources()[i] >= values) // C2
      return emitOpError() << "expects sources below " << values << " (C2), but got " << getSources()[i];
  for (size_t i = 0; i < getInplace().size(); i += 2)
    if (i + 1 == getInplace().size() || getInplace()[i] < 0 || getInplace()[i] >= inputs || getInplace()[i + 1] < 0 ||
        getInplace()[i + 1] >= int64_t(getNumResults())) // C3
      return emitOpError() << "expects inplace pairs of an input and a result (C3)";
  return success();
}
