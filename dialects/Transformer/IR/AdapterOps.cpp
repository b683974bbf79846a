// Adapters beside the weights: their matrices, and what they add to a linear.
#include "dialects/Transformer/IR/TransformerOps.h"

using namespace mlir;
using namespace stepdown::transformer;

LogicalResult AdapterOp::verify() {
  if (getTensor().empty()) // C2
    return emitOpError("expects a name of the tensor");
  if (getDown() == getUp()) // C3
    return emitOpError("expects one of down and up");
  const auto groups = getGroups();
  const int64_t size = getResult().getType().getDimSize(getDown() ? 1 : 2);
  if (groups && (groups->size() != 2 || (*groups)[0] < 1 || (*groups)[1] < (*groups)[0] || size % (*groups)[1])) // C4
    return emitOpError("expects groups [n, m] with 1 <= n <= m, of which m divides ") << size;
  return success();
}

std::string AdapterOp::getName(int64_t index) {
  std::string name = getTensor().str();
  if (const size_t at = name.find("{layer}"); at != name.npos)
    name.replace(at, 7, std::to_string(index));
  return name + (getDown() ? ".lora_a" : ".lora_b");
}

LogicalResult AdaptOp::verify() {
  const RankedTensorType down = getDown().getType(), up = getUp().getType();
  const int64_t in = columns(getOf().getType()), out = columns(getX().getType());
  if (down.getDimSize(0) != up.getDimSize(0) || up.getDimSize(0) < 1) // C2
    return emitOpError("expects down and up of as many slots, at least 1, but got ")
           << down.getDimSize(0) << " and " << up.getDimSize(0);
  if (down.getDimSize(1) != in) // C3
    return emitOpError("expects down of ") << in << " rows, but got " << down.getDimSize(1);
  if (up.getDimSize(2) != out || columns(getResult().getType()) != out) // C4
    return emitOpError("expects up and result of ")
           << out << " columns, but got " << up.getDimSize(2) << " and " << columns(getResult().getType());
  if (down.getDimSize(2) < up.getDimSize(1)) // C5
    return emitOpError("expects down of ") << up.getDimSize(1) << " columns or more, but got " << down.getDimSize(2);
  const int64_t tokens = getX().getType().getDimSize(0);
  for (Type type : {Type(getOf().getType()), Type(getSlots().getType()), Type(getResult().getType())})
    if (!mayBeEqual(tokens, cast<RankedTensorType>(type).getDimSize(0))) // C6
      return emitOpError("expects x, of, slots and result of as many tokens");
  return success();
}
