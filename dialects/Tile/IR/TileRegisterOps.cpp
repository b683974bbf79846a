// Syntax and verifiers of the operations on tiles in registers.
#include "dialects/Tile/IR/TileOps.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace stepdown::tile;

//===-- Map ------------------------------------------------------------------------------------------------------===//

ParseResult MapOp::parse(OpAsmParser &parser, OperationState &result) {
  SmallVector<OpAsmParser::Argument> elements;
  SmallVector<OpAsmParser::UnresolvedOperand> operands;
  SmallVector<Type> types;
  Type made;
  const SMLoc place = parser.getCurrentLocation();
  auto pair = [&]() -> ParseResult {
    return failure(parser.parseArgument(elements.emplace_back()) || parser.parseEqual() ||
                   parser.parseOperand(operands.emplace_back()));
  };
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Paren, pair) ||
      parser.parseOptionalAttrDictWithKeyword(result.attributes) || parser.parseColon() ||
      parser.parseTypeList(types) || parser.parseArrow() || parser.parseType(made))
    return failure();
  if (types.size() != operands.size())
    return parser.emitError(place) << "expects a type for each of " << operands.size() << " tiles, but got "
                                   << types.size();
  for (auto [element, type] : llvm::zip(elements, types))
    element.type = getElementTypeOrSelf(type);
  result.addTypes(made);
  return failure(parser.resolveOperands(operands, types, place, result.operands) ||
                 parser.parseRegion(*result.addRegion(), elements));
}

void MapOp::print(OpAsmPrinter &printer) {
  printer << " (";
  llvm::interleaveComma(llvm::zip(getBody().getArguments(), getOperands()), printer,
                        [&](auto pair) { printer << std::get<0>(pair) << " = " << std::get<1>(pair); });
  printer << ')';
  printer.printOptionalAttrDictWithKeyword((*this)->getAttrs());
  printer << " : ";
  llvm::interleaveComma(getOperandTypes(), printer);
  printer << " -> " << getType() << ' ';
  printer.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

LogicalResult MapOp::verifyRegions() {
  const VectorType made = getType();
  for (Type type : getOperandTypes()) {
    auto tile = cast<VectorType>(type);
    for (unsigned d : {0, 1})
      if (tile.getDimSize(d) != made.getDimSize(d) && tile.getDimSize(d) != 1) // C1
        return emitOpError() << "expects tiles of " << made.getDimSize(0) << " rows or one and " << made.getDimSize(1)
                             << " columns or one (C1), but got " << type;
  }
  Block &block = getBody().front();
  auto elements = llvm::map_range(getOperandTypes(), [](Type type) { return getElementTypeOrSelf(type); });
  auto yield = dyn_cast<YieldOp>(block.getTerminator());
  if (!llvm::equal(block.getArgumentTypes(), elements) || !yield ||
      yield.getValue().getType() != made.getElementType()) // C2
    return emitOpError() << "expects a region from an element of each tile to " << made.getElementType()
                         << " (C2), but got another";
  for (Operation &op : block.without_terminator())
    if (!isa<arith::ArithDialect, math::MathDialect>(op.getDialect()) || op.getNumRegions() != 0 ||
        op.getNumResults() != 1 || !op.getResult(0).getType().isIntOrIndexOrFloat()) // C3
      return op.emitOpError() << "expects an operation of arith or math on numbers (C3 of tile.map)";
  return success();
}

//===-- Reduce, mask, convert ------------------------------------------------------------------------------------===//

static VectorType columnsOf(VectorType tile, int64_t columns) {
  return VectorType::get({tile.getDimSize(0), columns}, tile.getElementType());
}

LogicalResult ReduceOp::inferReturnTypes(MLIRContext *, std::optional<Location>, ValueRange operands,
                                         DictionaryAttr attributes, OpaqueProperties properties, RegionRange regions,
                                         SmallVectorImpl<Type> &types) {
  auto tile = operands.empty() ? VectorType() : dyn_cast<VectorType>(operands[0].getType());
  if (!tile || tile.getRank() != 2)
    return failure();
  const int64_t into = ReduceOp::Adaptor(operands, attributes, properties, regions).getInto();
  if (into < 1)
    return failure();
  types.push_back(columnsOf(tile, into));
  return success();
}

ParseResult ReduceOp::parse(OpAsmParser &parser, OperationState &result) {
  OpAsmParser::UnresolvedOperand value, acc;
  StringRef word;
  VectorType tile;
  const SMLoc place = parser.getCurrentLocation();
  if (parser.parseKeyword(&word) || parser.parseOperand(value))
    return failure();
  const bool adds = succeeded(parser.parseOptionalComma());
  if (adds && parser.parseOperand(acc))
    return failure();
  int64_t into = 1;
  if (succeeded(parser.parseOptionalKeyword("into"))) {
    const SMLoc count = parser.getCurrentLocation();
    if (parser.parseInteger(into))
      return failure();
    if (into < 1)
      return parser.emitError(count) << "expects a positive count, but got " << into;
    result.addAttribute("into", parser.getBuilder().getI64IntegerAttr(into));
  }
  if (parser.parseOptionalAttrDict(result.attributes) || parser.parseColonType(tile) ||
      parser.resolveOperand(value, tile, result.operands))
    return failure();
  const std::optional<arith::AtomicRMWKind> kind = arith::symbolizeAtomicRMWKind(word);
  if (!kind)
    return parser.emitError(place) << "expects addf or maxnumf, but got " << word;
  if (!isRegisterTile(tile))
    return parser.emitError(place) << "expects a vector of static rank 2, but got " << tile;
  result.addAttribute("kind", arith::AtomicRMWKindAttr::get(parser.getContext(), *kind));
  result.addTypes(columnsOf(tile, into));
  return adds ? parser.resolveOperand(acc, columnsOf(tile, into), result.operands) : success();
}

void ReduceOp::print(OpAsmPrinter &printer) {
  printer << ' ' << arith::stringifyAtomicRMWKind(getKind()) << ' ' << getValue();
  if (getAcc())
    printer << ", " << getAcc();
  if (getInto() != 1)
    printer << " into " << int64_t(getInto());
  printer.printOptionalAttrDict((*this)->getAttrs(), {"kind", "into"});
  printer << " : " << getValue().getType();
}

LogicalResult ReduceOp::verify() {
  if (getKind() != arith::AtomicRMWKind::addf && getKind() != arith::AtomicRMWKind::maxnumf) // C1
    return emitOpError() << "expects addf or maxnumf (C1), but got " << arith::stringifyAtomicRMWKind(getKind());
  if (!isa<FloatType>(getValue().getType().getElementType())) // C2
    return emitOpError() << "expects floats (C2), but got " << getValue().getType();
  if (getAcc() && getAcc().getType() != getType()) // C3
    return emitOpError() << "expects an acc of type " << getType() << " (C3), but got " << getAcc().getType();
  if (getValue().getType().getDimSize(1) % int64_t(getInto()) != 0) // C4
    return emitOpError() << "expects a multiple of " << int64_t(getInto()) << " columns (C4), but got "
                         << getValue().getType();
  return success();
}

LogicalResult MaskOp::verify() {
  if (!isa<FloatType>(getType().getElementType())) // C1
    return emitOpError() << "expects floats (C1), but got " << getType();
  return success();
}

LogicalResult ConvertOp::verify() {
  const VectorType from = getValue().getType(), to = getType();
  auto wide = dyn_cast<FloatType>(from.getElementType()), narrow = dyn_cast<FloatType>(to.getElementType());
  if (from.getShape() != to.getShape() || !wide || !narrow || narrow.getWidth() >= wide.getWidth()) // C1
    return emitOpError() << "expects a tile of the same size and of a narrower float (C1), but got " << from << " and "
                         << to;
  return success();
}

//===-- Products of a warp ---------------------------------------------------------------------------------------===//

LogicalResult WarpMmaOp::verify() {
  if (getA().size() != getB().size() || getSum().size() != getNumResults()) // C1
    return emitOpError() << "expects as many elements of a as of b, and as many results as sums (C1), but got "
                         << getA().size() << ", " << getB().size() << ", " << getNumResults() << " and "
                         << getSum().size();
  const auto sizes = std::pair(getA().size(), getSum().size());
  if (sizes != std::pair<size_t, size_t>(4, 4) && sizes != std::pair<size_t, size_t>(8, 8) &&
      sizes != std::pair<size_t, size_t>(16, 8)) // C2
    return emitOpError() << "expects 4 elements of an operand and 4 sums, 8 and 8, or 16 and 8 (C2), but got "
                         << getA().size() << " and " << getSum().size();
  return success();
}
