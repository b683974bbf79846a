// A mixture of experts: which of them a token has, products with the weights of these, and the sum of what they give.
#include "dialects/Transformer/IR/TransformerOps.h"
#include "llvm/Support/MathExtras.h"
#include <cmath>

using namespace mlir;
using namespace stepdown::transformer;

/// Whether `types` have as many tokens as one another.
static bool sameTokens(TypeRange types) {
  const int64_t tokens = cast<RankedTensorType>(types.front()).getDimSize(0);
  return llvm::all_of(types, [&](Type type) { return mayBeEqual(tokens, cast<RankedTensorType>(type).getDimSize(0)); });
}

LogicalResult RouteOp::verify() {
  const int64_t experts = getExperts(), used = getUsed(), given = columns(getZ().getType());
  if (experts < 1 || experts > given) // C2
    return emitOpError("expects 1 to the ") << given << " experts that z has columns for, but got " << experts;
  if (used < 1 || used > std::min(experts, kMostUsed)) // C3
    return emitOpError("expects to use 1 to ") << std::min(experts, kMostUsed) << " experts, but got " << used;
  if (getIds().getType().getDimSize(1) != used) // C4
    return emitOpError("expects ids of ") << used << " ranks, but got " << getIds().getType().getDimSize(1);
  if (columns(getWeights().getType()) < used) // C5
    return emitOpError("expects weights of ")
           << used << " columns or more, but got " << columns(getWeights().getType());
  if (!sameTokens({getZ().getType(), getIds().getType(), getWeights().getType()})) // C6
    return emitOpError("expects z, ids and weights of as many tokens");
  if (const double scale = getScale().convertToDouble(); !std::isfinite(scale) || scale <= 0) // C7
    return emitOpError("expects a finite and positive scale, but got ") << scale;
  return success();
}

LogicalResult ExpertLinearOp::verify() {
  const int64_t experts = getExperts(), rows = getWeight().getType().getDimSize(0);
  if (experts < 1 || rows % experts != 0) // C5
    return emitOpError("expects a number of experts that divides the weight's ")
           << rows << " rows, but got " << experts;
  RankedTensorType x = getX().getType();
  const int64_t given = columns(getWeight().getType()), ranks = getByRank() ? getRanks() : 1;
  const bool fits = isActivations(x) ? columns(x) == int64_t(llvm::alignTo(ranks * given, 32)) ||
                                           columns(x) == ranks * int64_t(llvm::alignTo(given, 32))
                                     : columns(x) == ranks * given;
  if (!fits) // C6
    return emitOpError("expects x of ") << ranks << " times the weight's " << given << " columns, but got "
                                        << columns(x);
  const int64_t wanted = getRanks() * getRowsOfExpert();
  if (columns(getResult().getType()) != wanted) // C7
    return emitOpError("expects a result of ") << wanted << " columns, but got " << columns(getResult().getType());
  if (!sameTokens({x, getIds().getType(), getResult().getType()})) // C8
    return emitOpError("expects x, ids and result of as many tokens");
  if (getBias() && getBias().getType().getDimSize(0) != rows) // C9
    return emitOpError("expects a bias of ") << rows << " elements, but got " << getBias().getType().getDimSize(0);
  return success();
}

LogicalResult CombineExpertsOp::verify() {
  const int64_t given = columns(getX().getType()), each = columns(getResult().getType());
  if (each == 0 || given % each != 0) // C3
    return emitOpError("expects a result whose columns divide the ") << given << " of x, but got " << each;
  const int64_t most = std::min(columns(getWeights().getType()), RouteOp::kMostUsed);
  if (getRanks() > most || getRanks() < 1) // C4
    return emitOpError("expects 1 to ") << most << " ranks, each with a weight, but got " << getRanks();
  if (!sameTokens({getX().getType(), getWeights().getType(), getResult().getType()})) // C5
    return emitOpError("expects x, weights and result of as many tokens");
  return success();
}
