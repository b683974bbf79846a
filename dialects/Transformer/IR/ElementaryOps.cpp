// Elementary functions of plain modules.
#include "dialects/Transformer/IR/TransformerOps.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace stepdown::transformer;

unsigned ElementaryOp::arity(StringRef function) {
  return llvm::StringSwitch<unsigned>(function)
      .Cases({"math.exp", "math.exp2", "math.expm1", "math.log", "math.log2", "math.log10", "math.log1p"}, 1)
      .Cases({"math.sin", "math.cos", "math.tan", "math.asin", "math.acos", "math.atan"}, 1)
      .Cases({"math.sinh", "math.cosh", "math.tanh", "math.asinh", "math.acosh", "math.atanh"}, 1)
      .Cases({"math.erf", "math.erfc", "math.cbrt", "math.rsqrt"}, 1)
      .Cases({"math.powf", "math.atan2", "math.fpowi"}, 2)
      .Default(0);
}

LogicalResult ElementaryOp::verify() {
  const unsigned count = arity(getFunction());
  if (!count) // C1
    return emitOpError("expects an elementary function of math, but got '") << getFunction() << "'";
  if (getOperands().size() != count) // C2
    return emitOpError("expects ") << count << " operands of '" << getFunction() << "', but got "
                                   << getOperands().size();
  if (getOperands().front().getType() != getResult().getType()) // C3
    return emitOpError("expects a first operand of type ")
           << getResult().getType() << ", but got " << getOperands().front().getType();
  return success();
}
