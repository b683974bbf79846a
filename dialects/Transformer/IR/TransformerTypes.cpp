// Types of the transformer dialect: what they hold, how they verify, and the shapes that operations ask for.
#include "dialects/Transformer/IR/ActivationFields.h"
#include "dialects/Transformer/IR/TransformerDialect.h"
#include "lib/Target/Layout.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace stepdown::transformer;

/// Storage names are keywords: q4_1, not "q4_1".
static ParseResult parseStorageName(AsmParser &parser, std::string &name) {
  StringRef keyword;
  if (parser.parseKeyword(&keyword))
    return failure();
  name = keyword.str();
  return success();
}
static void printStorageName(AsmPrinter &printer, StringRef name) { printer << name; }

/// element (`,` (`tokens` | `columns`) `=` number)*, neither where it is the default.
static ParseResult parseActivationShape(AsmParser &parser, std::string &element, unsigned &tokens, unsigned &columns) {
  tokens = 1, columns = 32;
  if (parseStorageName(parser, element))
    return failure();
  while (succeeded(parser.parseOptionalComma())) {
    bool isTokens = succeeded(parser.parseOptionalKeyword("tokens"));
    if ((!isTokens && parser.parseKeyword("columns")) || parser.parseEqual() ||
        parser.parseInteger(isTokens ? tokens : columns))
      return failure();
  }
  return success();
}
static void printActivationShape(AsmPrinter &printer, StringRef element, unsigned tokens, unsigned columns) {
  printer << element;
  if (tokens != 1)
    printer << ", tokens = " << tokens;
  if (columns != 32)
    printer << ", columns = " << columns;
}

#define GET_TYPEDEF_CLASSES
#include "dialects/Transformer/IR/TransformerTypes.cpp.inc"

void TransformerDialect::registerTypes() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/Transformer/IR/TransformerTypes.cpp.inc"
      >();
}

LogicalResult BlockType::verify(function_ref<InFlightDiagnostic()> emitError, StringRef storage, unsigned rows) {
  if (!stepdown::blockFormat(storage.data(), storage.size())) // C1
    return emitError() << "expects a storage type such as q4_1, but got '" << storage << "'";
  if (rows != 1 && !stepdown::layoutOfRows(rows)) // C2
    return emitError() << "expects 1 or " << stepdown::layoutRows() << " rows, but got " << rows;
  return success();
}

const stepdown::BlockFormat &BlockType::getFormat() const {
  return *stepdown::blockFormat(getStorage().data(), getStorage().size());
}
const stepdown::Layout *BlockType::getLayout() const { return stepdown::layoutOfRows(getRows()); }
int64_t BlockType::getElements() const {
  return getLayout() ? packedBlock(*getLayout(), getFormat()).columns : getFormat().elements;
}
int64_t BlockType::getBytes() const {
  return getLayout() ? packedBlock(*getLayout(), getFormat()).bytes : getFormat().bytes;
}

LogicalResult ActivationType::verify(function_ref<InFlightDiagnostic()> emitError, StringRef element, unsigned tokens,
                                     unsigned columns) {
  if (!llvm::is_contained({"q8", "q8o2", "q8x2", "bf16x2", "bf16", "f32"}, element)) // C1
    return emitError() << "expects element q8, q8o2, q8x2, bf16x2, bf16 or f32, but got '" << element << "'";
  if (tokens < 1 || tokens > 64) // C2
    return emitError() << "expects between 1 and 64 tokens, but got " << tokens;
  if (columns != 32 && columns != 64 && columns != 128 && columns != 256) // C3
    return emitError() << "expects 32, 64, 128 or 256 columns, but got " << columns;
  return success();
}

int64_t ActivationType::getBytes() const {
  const int64_t perToken = isFloat() ? 4 * 32 : ActivationFields(getElement()).bytes();
  return perToken * getTokens() * getColumns() / 32;
}

bool ActivationType::isFloat() const { return getElement() == "f32" || getBFloats() > 0; }

int64_t ActivationType::getBFloats() const { return getElement() == "bf16x2" ? 2 : getElement() == "bf16" ? 1 : 0; }

LogicalResult CacheType::verify(function_ref<InFlightDiagnostic()> emitError, unsigned heads, unsigned key,
                                unsigned value, Type element) {
  if (!heads || !key || !value) // C1
    return emitError() << "expects positive heads, key and value, but got " << heads << ", " << key << " and " << value;
  auto block = dyn_cast<BlockType>(element);
  const bool isBlock = block && block.getStorage() == "q8_0" && block.getRows() == 1;
  if (!isa<Float16Type, BFloat16Type, Float32Type, Float8E4M3FNType>(element) && !isBlock) // C2
    return emitError() << "expects element f16, bf16, f32, f8E4M3FN or !transformer.block<q8_0>, but got " << element;
  return success();
}

namespace stepdown::transformer {

static bool isRowsOf(Type type, function_ref<bool(Type)> element) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && tensor.getRank() == 2 && element(tensor.getElementType()) && !tensor.isDynamicDim(1) &&
         tensor.getDimSize(1) > 0;
}

bool isRows(Type type) {
  return isRowsOf(type, [](Type element) { return element.isF32(); });
}

bool isNarrowRows(Type type) {
  return isRowsOf(type, [](Type element) { return element.isF16() || element.isBF16(); });
}

bool isIndices(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && tensor.getRank() == 1 && tensor.getElementType().isSignlessInteger(32);
}

bool isChoices(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && tensor.getRank() == 2 && tensor.getElementType().isSignlessInteger(32) && !tensor.isDynamicDim(1) &&
         tensor.getDimSize(1) > 0;
}

bool isAdapter(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && tensor.getRank() == 3 && tensor.getElementType().isF16() && tensor.hasStaticShape() &&
         !llvm::is_contained(tensor.getShape(), 0);
}

bool isVector(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && tensor.getRank() == 1 && tensor.getElementType().isF32() && tensor.hasStaticShape() &&
         tensor.getDimSize(0) > 0;
}

bool isAngles(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && tensor.getRank() == 3 && tensor.getElementType().isF32() && tensor.getDimSize(1) == 2 &&
         !tensor.isDynamicDim(2);
}

bool isMatrix(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor || tensor.getRank() != 2 || !tensor.hasStaticShape() || tensor.getNumElements() == 0)
    return false;
  auto block = dyn_cast<BlockType>(tensor.getElementType());
  return block && block.getRows() == 1;
}

bool isActivations(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && tensor.getRank() == 2 && isa<ActivationType>(tensor.getElementType()) && !tensor.isDynamicDim(1);
}

int64_t columns(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  auto block = dyn_cast<BlockType>(tensor.getElementType());
  if (auto activation = dyn_cast<ActivationType>(tensor.getElementType()))
    return tensor.getDimSize(1) * activation.getColumns();
  return tensor.getDimSize(1) * (block ? block.getElements() : 1);
}

bool mayBeEqual(int64_t a, int64_t b) { return a == b || ShapedType::isDynamic(a) || ShapedType::isDynamic(b); }

} // namespace stepdown::transformer
