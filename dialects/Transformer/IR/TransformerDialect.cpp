// Registration of the transformer dialect, and the code that TableGen generates for it.
#include "dialects/Transformer/IR/TransformerDialect.h"
#include "dialects/Transformer/IR/TransformerOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/Transforms/InliningUtils.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace stepdown::transformer;

#include "dialects/Transformer/IR/TransformerDialect.cpp.inc"
#include "dialects/Transformer/IR/TransformerEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/Transformer/IR/TransformerAttrs.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/Transformer/IR/TransformerOps.cpp.inc"

namespace {
/// Functions of plain modules become part of their callers.
struct Inlining : DialectInlinerInterface {
  using DialectInlinerInterface::DialectInlinerInterface;
  bool isLegalToInline(Operation *op, Region *, bool, IRMapping &) const final { return isa<ElementaryOp>(op); }
};
} // namespace

void TransformerDialect::initialize() {
  addInterfaces<Inlining>();
  registerTypes();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/Transformer/IR/TransformerAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/Transformer/IR/TransformerOps.cpp.inc"
      >();
}

LogicalResult TransformerDialect::verifyOperationAttribute(Operation *op, NamedAttribute attribute) {
  StringRef name = attribute.getName().getValue();
  if (name == kWindowAttr || name == kPlainAttr || name == kCompiledAttr)
    return success();
  if (name != modelAttrName)
    return op->emitOpError("expects no attribute of the transformer dialect but '")
           << modelAttrName << "', but got '" << attribute.getName().getValue() << "'";
  if (!isa<ModuleOp>(op))
    return op->emitOpError("expects '") << modelAttrName << "' on a module only";
  if (!isa<ModelAttr>(attribute.getValue()))
    return op->emitOpError("expects '") << modelAttrName << "' to be a #transformer.model, but got "
                                        << attribute.getValue();
  return success();
}

LogicalResult ModelAttr::verify(function_ref<InFlightDiagnostic()> emitError, StringRef name, StringRef architecture,
                                int64_t positions, int64_t width, int64_t layers, int64_t vocabulary) {
  for (auto [value, what] : {std::pair(positions, "positions"), std::pair(width, "width"), std::pair(layers, "layers"),
                             std::pair(vocabulary, "vocabulary")})
    if (value <= 0) // C1
      return emitError() << "expects a positive " << what << ", but got " << value;
  return success();
}
