// Structure: layers applies the kinds of layer, kernel is one dispatch.
#include "dialects/Transformer/IR/TransformerOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/BitVector.h"

using namespace mlir;
using namespace stepdown::transformer;

LogicalResult LayersOp::verify() {
  if (getOrder().empty()) // C2
    return emitOpError("expects at least one layer");
  int64_t count = getKinds().size();
  llvm::BitVector applied(count);
  for (int64_t kind : getOrder()) {
    if (kind < 0 || kind >= count) // C3
      return emitOpError("expects order to index ") << count << " kinds, but got " << kind;
    applied.set(kind);
  }
  if (!applied.all()) // C4
    return emitOpError("expects every kind to be applied, but ") << getKinds()[applied.find_first_unset()] << " is not";
  if (getRows() && !cast<RankedTensorType>(getX().getType()).isDynamicDim(0)) // C7
    return emitOpError("expects a dynamic number of tokens with rows, but got ") << getX().getType();
  if (getRows() && llvm::count(getOrder(), getOrder().back()) > 1) // C8
    return emitOpError("expects the last layer alone to be of its kind with rows, but ")
           << getKinds()[getOrder().back()] << " is applied " << llvm::count(getOrder(), getOrder().back()) << " times";
  return success();
}

LogicalResult LayersOp::verifySymbolUses(SymbolTableCollection &symbols) {
  for (auto [index, kind] : llvm::enumerate(getKinds())) {
    const bool takesRows = getRows() && int64_t(index) == getOrder().back();
    auto function = symbols.lookupNearestSymbolFrom<func::FuncOp>(*this, cast<FlatSymbolRefAttr>(kind));
    if (!function) // C5
      return emitOpError("expects ") << kind << " to name a func.func";
    FunctionType type = function.getFunctionType();
    auto isLayer = [&] {
      return type.getNumInputs() == 3 + takesRows && type.getNumResults() == 2 &&
             type.getInput(0) == getX().getType() && isa<BatchType>(type.getInput(1)) &&
             isa<CacheType>(type.getInput(2)) && (!takesRows || type.getInput(3) == getRows().getType()) &&
             type.getResult(0) == type.getInput(0) && type.getResult(1) == type.getInput(2);
    };
    if (!isLayer()) // C6
      return emitOpError("expects ") << kind << " of type (" << getX().getType()
                                     << ", !transformer.batch, !transformer.cache"
                                     << (takesRows ? ", rows) -> (" : ") -> (") << getX().getType()
                                     << ", the same cache), but got " << type;
  }
  return success();
}

LogicalResult KernelOp::verifyRegions() {
  if (getLabel().empty()) // C1
    return emitOpError("expects a name that is not empty");
  Block &body = getBody().front();
  if (body.getArgumentTypes() != getInputs().getTypes()) // C2
    return emitOpError("expects body arguments (")
           << getInputs().getTypes() << "), but got (" << body.getArgumentTypes() << ")";
  auto yielded = cast<YieldOp>(body.getTerminator()).getValues().getTypes();
  if (yielded != getResultTypes()) // C3
    return emitOpError("expects the body to yield (") << getResultTypes() << "), but got (" << yielded << ")";
  if (getNumResults() == 0) // C4
    return emitOpError("expects at least one result");
  WalkResult nested = getBody().walk([](KernelOp) { return WalkResult::interrupt(); });
  if (nested.wasInterrupted()) // C5
    return emitOpError("expects no kernel in its body");
  return success();
}

// transformer.kernel "label" (%a = %x : type, ...) -> (types) attributes {...} { body }
ParseResult KernelOp::parse(OpAsmParser &parser, OperationState &result) {
  StringAttr label;
  if (parser.parseAttribute(label, parser.getBuilder().getNoneType(), "label", result.attributes))
    return failure();
  SmallVector<OpAsmParser::Argument> arguments;
  SmallVector<OpAsmParser::UnresolvedOperand> operands;
  SmallVector<Type> types;
  auto parseInput = [&]() -> ParseResult {
    return failure(parser.parseArgument(arguments.emplace_back()) || parser.parseEqual() ||
                   parser.parseOperand(operands.emplace_back()) || parser.parseColonType(types.emplace_back()));
  };
  SMLoc location = parser.getCurrentLocation();
  if (parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Paren, parseInput) ||
      parser.resolveOperands(operands, types, location, result.operands) || parser.parseArrow())
    return failure();
  auto parseOutput = [&]() { return parser.parseType(result.types.emplace_back()); };
  if (parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Paren, parseOutput) ||
      parser.parseOptionalAttrDictWithKeyword(result.attributes))
    return failure();
  for (auto [argument, type] : llvm::zip_equal(arguments, types))
    argument.type = type;
  Region *body = result.addRegion();
  if (parser.parseRegion(*body, arguments))
    return failure();
  ensureTerminator(*body, parser.getBuilder(), result.location);
  return success();
}

void KernelOp::print(OpAsmPrinter &printer) {
  printer << ' ' << getLabelAttr() << " (";
  llvm::interleaveComma(llvm::zip(getBody().getArguments(), getInputs()), printer, [&](auto pair) {
    auto [argument, input] = pair;
    printer << argument << " = " << input << " : " << input.getType();
  });
  printer << ") -> (" << getResultTypes() << ")";
  printer.printOptionalAttrDictWithKeyword((*this)->getAttrs(), {"label"});
  printer << ' ';
  printer.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}
