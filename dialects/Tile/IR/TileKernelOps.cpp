// Types, syntax and verifiers of the operations of GPU kernels; TileProtocol.cpp checks what roles do with channels.
#include "dialects/Tile/IR/TileOps.h"
#include "dialects/Tile/IR/TileProtocol.h"
#include "lib/Target/Layout.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/FunctionImplementation.h"

using namespace mlir;
using namespace stepdown::tile;

//===-- Types ----------------------------------------------------------------------------------------------------===//

static bool inSharedMemory(MemRefType type) {
  auto space = dyn_cast_or_null<IntegerAttr>(type.getMemorySpace());
  return space && space.getInt() == 3;
}

/// A number, or some columns of the rows of a weight as a layout of lib/Target packs them.
static bool isElement(Type type) {
  auto block = dyn_cast<stepdown::transformer::BlockType>(type);
  return type.isIntOrFloat() || (block && block.getLayout());
}

int64_t stepdown::tile::elementBytes(Type element) {
  auto block = dyn_cast<stepdown::transformer::BlockType>(element);
  return block ? block.getBytes() : element.getIntOrFloatBitWidth() / 8;
}

bool stepdown::tile::isSharedTile(Type type) {
  auto memref = dyn_cast<MemRefType>(type);
  return memref && memref.getRank() == 2 && memref.hasStaticShape() && inSharedMemory(memref) &&
         isElement(memref.getElementType());
}

bool stepdown::tile::isGlobalMatrix(Type type) {
  auto memref = dyn_cast<MemRefType>(type);
  return memref && memref.getRank() == 2 && !memref.getMemorySpace() && isElement(memref.getElementType());
}

bool stepdown::tile::isRegisterTile(Type type) {
  auto vector = dyn_cast<VectorType>(type);
  return vector && vector.getRank() == 2 && !vector.isScalable();
}

LogicalResult ChannelType::verify(function_ref<InFlightDiagnostic()> emitError, int64_t depth,
                                  ArrayRef<MemRefType> payload) {
  if (depth < 1) // C1
    return emitError() << "expects a depth of at least 1 (C1), but got " << depth;
  if (payload.empty()) // C1
    return emitError() << "expects slots of at least one tile (C1), but got none";
  for (MemRefType tile : payload)
    if (!isSharedTile(tile)) // C1
      return emitError() << "expects tiles of static rank 2 in memory space 3 (C1), but got " << tile;
  return success();
}

int64_t ChannelType::getSlotBytes() const {
  int64_t bytes = 0;
  for (MemRefType tile : getPayload())
    bytes += tile.getNumElements() * elementBytes(tile.getElementType());
  return bytes;
}

Type ChannelType::parse(AsmParser &parser) {
  int64_t depth = 0;
  SmallVector<MemRefType> payload;
  const SMLoc place = parser.getCurrentLocation();
  auto tile = [&]() -> ParseResult { return parser.parseType(payload.emplace_back()); };
  if (parser.parseLess() || parser.parseInteger(depth) || parser.parseKeyword("x") ||
      parser.parseCommaSeparatedList(tile) || parser.parseGreater())
    return {};
  return getChecked([&] { return parser.emitError(place); }, parser.getContext(), depth, ArrayRef<MemRefType>(payload));
}

void ChannelType::print(AsmPrinter &printer) const {
  printer << '<' << getDepth() << " x ";
  llvm::interleaveComma(getPayload(), printer);
  printer << '>';
}

Type AccumulatorType::parse(AsmParser &parser) {
  SmallVector<int64_t> shape;
  Type element;
  const SMLoc place = parser.getCurrentLocation();
  if (parser.parseLess() || parser.parseDimensionList(shape, /*allowDynamic=*/false) || parser.parseType(element) ||
      parser.parseGreater())
    return {};
  if (shape.size() != 2 || llvm::is_contained(shape, 0) || !element.isIntOrFloat()) {
    parser.emitError(place) << "expects rows, columns and a number type";
    return {};
  }
  return get(parser.getContext(), VectorType::get(shape, element));
}

void AccumulatorType::print(AsmPrinter &printer) const {
  printer << '<' << getSum().getDimSize(0) << 'x' << getSum().getDimSize(1) << 'x' << getSum().getElementType() << '>';
}

//===-- Kernel and role ------------------------------------------------------------------------------------------===//

ParseResult KernelOp::parse(OpAsmParser &parser, OperationState &result) {
  StringAttr name;
  SmallVector<OpAsmParser::Argument> arguments;
  if (parser.parseSymbolName(name, getSymNameAttrName(result.name), result.attributes) ||
      parser.parseArgumentList(arguments, OpAsmParser::Delimiter::Paren, /*allowType=*/true) ||
      parser.parseOptionalAttrDictWithKeyword(result.attributes))
    return failure();
  SmallVector<Type> types;
  for (const OpAsmParser::Argument &argument : arguments)
    types.push_back(argument.type);
  result.addAttribute(getFunctionTypeAttrName(result.name),
                      TypeAttr::get(FunctionType::get(parser.getContext(), types, {})));
  Region *body = result.addRegion();
  if (parser.parseRegion(*body, arguments))
    return failure();
  if (body->empty()) {
    Block &block = body->emplaceBlock();
    for (const OpAsmParser::Argument &argument : arguments)
      block.addArgument(argument.type, result.location);
  }
  return success();
}

void KernelOp::print(OpAsmPrinter &printer) {
  printer << ' ';
  printer.printSymbolName(getSymName());
  printer << '(';
  llvm::interleaveComma(getBody().getArguments(), printer,
                        [&](BlockArgument argument) { printer.printRegionArgument(argument); });
  printer << ')';
  printer.printOptionalAttrDictWithKeyword((*this)->getAttrs(), {getSymNameAttrName(), getFunctionTypeAttrName()});
  printer << ' ';
  printer.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

LogicalResult KernelOp::verifyRegions() {
  if (!getResultTypes().empty()) // C1
    return emitOpError() << "expects no results (C1), but got " << getResultTypes().size();
  for (Type type : getArgumentTypes())
    if (!isGlobalMatrix(type) && !type.isIntOrIndexOrFloat()) // C1
      return emitOpError() << "expects matrices in global memory and numbers as arguments (C1), but got " << type;
  int64_t bytes = 0, registers = 0, threads = 0;
  for (Operation &op : getBody().front()) {
    if (auto channel = dyn_cast<ChannelOp>(op)) {
      bytes += channel.getType().getDepth() * (channel.getType().getSlotBytes() + kBarrierBytes);
    } else if (auto role = dyn_cast<RoleOp>(op)) {
      threads += role.getThreads();
      registers += role.getThreads() * role.getRegisters();
    } else if (!isa<memref::DimOp>(op) && !isa<arith::ArithDialect>(op.getDialect())) { // C6
      return op.emitOpError() << "expects to stand in a role (C6), but stands beside them";
    }
  }
  if (bytes > kSharedBytes) // C2
    return emitOpError() << "expects channels of at most " << kSharedBytes << " bytes (C2), but got " << bytes;
  if (threads > kThreads) // C3
    return emitOpError() << "expects roles of at most " << kThreads << " threads (C3), but got " << threads;
  const auto file = (*this)->getAttrOfType<IntegerAttr>("tile.register_file");
  const int64_t most = file ? file.getInt() : kRegisters;
  if (registers > most) // C3
    return emitOpError() << "expects roles of at most " << most << " registers (C3), but got " << registers;
  return checkProtocol(*this); // C4, C5
}

LogicalResult RoleOp::verify() {
  if (getWarps() < 4 || getWarps() % 4 != 0 || getWarps() > kThreads / 32) // C1
    return emitOpError() << "expects warps in fours, up to " << kThreads / 32 << " (C1), but got "
                         << int64_t(getWarps());
  if (getRegisters() < 24 || getRegisters() > 240 || getRegisters() % 8 != 0) // C2
    return emitOpError() << "expects a multiple of 8 from 24 to 240 registers (C2), but got "
                         << int64_t(getRegisters());
  WalkResult fits = walk([&](MmaOp mma) {
    const VectorType sum = mma.getType().getSum();
    const int64_t needed = sum.getNumElements() * sum.getElementTypeBitWidth() / 32 / getThreads();
    if (needed <= int64_t(getRegisters()))
      return WalkResult::advance();
    mma.emitOpError() << "expects a sum that " << getRegisters() << " registers of " << getThreads()
                      << " threads hold (C3 of tile.role), but " << mma.getType() << " takes " << needed;
    return WalkResult::interrupt();
  });
  return failure(fits.wasInterrupted());
}

//===-- Schedule -------------------------------------------------------------------------------------------------===//

ParseResult ScheduleOp::parse(OpAsmParser &parser, OperationState &result) {
  Builder &b = parser.getBuilder();
  SmallVector<OpAsmParser::Argument> first;
  OpAsmParser::UnresolvedOperand rows, columns;
  int64_t height, width, group;
  if (parser.parseArgumentList(first, OpAsmParser::Delimiter::Paren) || parser.parseKeyword("in") ||
      parser.parseLParen() || parser.parseOperand(rows) || parser.parseKeyword("by") || parser.parseInteger(height) ||
      parser.parseComma() || parser.parseOperand(columns) || parser.parseKeyword("by") || parser.parseInteger(width) ||
      parser.parseRParen() || parser.parseKeyword("grouped") || parser.parseInteger(group) ||
      parser.parseOptionalAttrDictWithKeyword(result.attributes))
    return failure();
  if (first.size() != 2)
    return parser.emitError(parser.getNameLoc())
           << "expects the row and the column of a tile, but got " << first.size() << " names";
  const Type index = b.getIndexType();
  first[0].type = first[1].type = index;
  result.addAttribute("height", b.getI64IntegerAttr(height));
  result.addAttribute("width", b.getI64IntegerAttr(width));
  result.addAttribute("group", b.getI64IntegerAttr(group));
  return failure(parser.resolveOperand(rows, index, result.operands) ||
                 parser.resolveOperand(columns, index, result.operands) ||
                 parser.parseRegion(*result.addRegion(), first));
}

void ScheduleOp::print(OpAsmPrinter &printer) {
  Block &block = getBody().front();
  printer << " (" << block.getArgument(0) << ", " << block.getArgument(1) << ") in (" << getRows() << " by "
          << getHeight() << ", " << getColumns() << " by " << getWidth() << ") grouped " << getGroup();
  printer.printOptionalAttrDictWithKeyword((*this)->getAttrs(), {"height", "width", "group"});
  printer << ' ';
  printer.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

LogicalResult ScheduleOp::verify() {
  for (int64_t size : {int64_t(getHeight()), int64_t(getWidth()), int64_t(getGroup())})
    if (size < 1) // C1
      return emitOpError() << "expects positive heights, widths and groups (C1), but got " << size;
  if (getBody().getNumArguments() != 2)
    return emitOpError() << "expects a row and a column, but got " << getBody().getNumArguments() << " arguments";
  return success();
}

//===-- Slots, copies and products -------------------------------------------------------------------------------===//

template <typename Op> static LogicalResult verifyView(Op op) {
  auto payload = op.getChannel().getType().getPayload();
  if (!llvm::equal(op.getTiles().getTypes(), payload)) // C1
    return op.emitOpError() << "expects the tiles of " << op.getChannel().getType() << " (C1), but got "
                            << op.getTiles().getTypes();
  return success();
}
LogicalResult AcquireOp::verify() { return verifyView(*this); }
LogicalResult WaitOp::verify() { return verifyView(*this); }

LogicalResult CopyOp::verify() {
  if (getFrom().getType().getElementType() != getTo().getType().getElementType()) // C1
    return emitOpError() << "expects one element type (C1), but got " << getFrom().getType() << " and "
                         << getTo().getType();
  return success();
}

LogicalResult StoreOp::verify() {
  const Type from = getValue().getType().getElementType(), to = getTo().getType().getElementType();
  const bool rounds =
      isa<FloatType>(from) && isa<FloatType>(to) && to.getIntOrFloatBitWidth() < from.getIntOrFloatBitWidth();
  if (from != to && !rounds) // C1
    return emitOpError() << "expects one element type, or a narrower float to round to (C1), but got "
                         << getValue().getType() << " and " << getTo().getType();
  if (getTransposed() && getRows()) // C2
    return emitOpError() << "expects no bound of rows of what is transposed (C2), but got one";
  return success();
}

LogicalResult UnpackOp::verify() {
  const MemRefType tile = getTile().getType();
  const VectorType made = getResult().getType();
  auto block = dyn_cast<stepdown::transformer::BlockType>(tile.getElementType());
  if (!block || !block.getFormat().isQuantised()) // C1
    return emitOpError() << "expects blocks of a quantised storage type (C1), but got " << tile;
  const int64_t rows = tile.getDimSize(0) * block.getRows(), columns = tile.getDimSize(1) * block.getElements();
  if (made.getDimSize(0) != rows || made.getDimSize(1) % stepdown::kCodeColumns != 0 || made.getDimSize(1) > columns ||
      !made.getElementType().isF16()) // C2
    return emitOpError() << "expects " << rows << " rows and whole " << stepdown::kCodeColumns << " columns, at most "
                         << columns << ", of f16 (C2), but got " << made;
  return success();
}

LogicalResult ReadOp::verify() {
  const Type from = getFrom().getType().getElementType(), to = getValue().getType().getElementType();
  if (!to.isF32() || (!from.isF32() && !from.isBF16() && !from.isF16())) // C1
    return emitOpError() << "expects f32, bf16 or f16 as f32 (C1), but got " << getFrom().getType() << " as "
                         << getValue().getType();
  for (Operation *user : getValue().getUsers()) {
    if (!isa<MapOp>(user) || user->getBlock() != (*this)->getBlock()) // C2
      return emitOpError() << "expects uses by tile.map of its block alone (C2), but got " << user->getName();
    for (Operation *op = (*this)->getNextNode(); op != user; op = op->getNextNode())
      if (isa<StoreOp>(op)) // C2
        return emitOpError() << "expects no store before it is used (C2), but there is one";
  }
  return success();
}

LogicalResult EntryOp::verify() {
  if (!getTable().getType().getElementType().isSignlessInteger(32)) // C1
    return emitOpError() << "expects a table of i32 (C1), but got " << getTable().getType();
  return success();
}

ParseResult MmaOp::parse(OpAsmParser &parser, OperationState &result) {
  OpAsmParser::UnresolvedOperand a, b, acc;
  Type typeA, typeB, typeAcc;
  AccumulatorType sum;
  bool adds = false;
  if (parser.parseOperand(a) || parser.parseComma() || parser.parseOperand(b))
    return failure();
  if (succeeded(parser.parseOptionalComma())) {
    adds = true;
    if (parser.parseOperand(acc))
      return failure();
  }
  if (parser.parseOptionalAttrDict(result.attributes) || parser.parseColonType(typeA) || parser.parseComma() ||
      parser.parseType(typeB))
    return failure();
  if (adds && succeeded(parser.parseOptionalComma()) && parser.parseType(typeAcc))
    return failure();
  if (parser.parseArrow() || parser.parseType(sum) || parser.resolveOperand(a, typeA, result.operands) ||
      parser.resolveOperand(b, typeB, result.operands) ||
      (adds && parser.resolveOperand(acc, typeAcc ? typeAcc : Type(sum), result.operands)))
    return failure();
  result.addTypes(sum);
  return success();
}

void MmaOp::print(OpAsmPrinter &printer) {
  printer << ' ' << getA() << ", " << getB();
  if (getAcc())
    printer << ", " << getAcc();
  printer.printOptionalAttrDict((*this)->getAttrs());
  printer << " : " << getA().getType() << ", " << getB().getType();
  if (getAcc() && getAcc().getType() != getType())
    printer << ", " << getAcc().getType();
  printer << " -> " << getType();
}

LogicalResult MmaOp::verify() {
  const ShapedType a = getShapeOfA(), b = getB().getType();
  const VectorType sum = getType().getSum();
  const unsigned k = getTransposeB() ? 1 : 0;
  if (a.getDimSize(0) != sum.getDimSize(0) || b.getDimSize(1 - k) != sum.getDimSize(1) ||
      a.getDimSize(1) != b.getDimSize(k) || a.getElementType() != b.getElementType()) // C1
    return emitOpError() << "expects tiles whose product is " << getType() << " (C1), but got " << a << " and " << b;
  if (getAcc() && getAcc().getType() != getType() && getAcc().getType() != sum) // C1
    return emitOpError() << "expects a sum of type " << getType() << " (C1), but got " << getAcc().getType();
  if (getAcc() && !getAcc().hasOneUse()) // C2
    return emitOpError() << "expects a sum that nothing else uses (C2), but it has other uses";
  return success();
}

LogicalResult MmaWaitOp::inferReturnTypes(MLIRContext *, std::optional<Location>, ValueRange operands, DictionaryAttr,
                                          OpaqueProperties, RegionRange, SmallVectorImpl<Type> &types) {
  for (Value sum : operands)
    if (auto type = dyn_cast<AccumulatorType>(sum.getType()))
      types.push_back(type.getSum());
  return success();
}

LogicalResult MmaWaitOp::verify() {
  if (int64_t(getPending()) < 0) // C1
    return emitOpError() << "expects a pending count of at least 0 (C1), but got " << int64_t(getPending());
  return success();
}

/// A share of a sum that has no slot along k would wait for one for good. Whole slots are shared out, so that what is
/// known of the first factor's columns tells.
static LogicalResult verifyShares(LaunchOp launch, KernelOp kernel, int64_t shares) {
  auto copies = kernel.getBody().getOps<ChannelOp>();
  const auto factor = dyn_cast<ShapedType>(launch->getOperand(0).getType());
  if (copies.empty() || !factor || factor.getRank() != 2)
    return launch.emitOpError() << "expects a product where a sum is shared out (C3)";
  const MemRefType tile = (*copies.begin()).getType().getPayload().front();
  const int64_t each = tile.getRank() == 2 ? tile.getDimSize(1) : 0, columns = factor.getDimSize(1);
  if (each <= 0 || shares < 1)
    return launch.emitOpError() << "expects slots of a product where a sum is shared out (C3), but got " << tile;
  // At most 64 shares: nothing below overflows.
  const int64_t slots = ShapedType::isDynamic(columns) ? 0 : columns / each + (columns % each != 0);
  if (slots < shares || (slots + shares - 1) / shares * (shares - 1) >= slots) // C3
    return launch.emitOpError() << "expects a slot of " << each << " along k at least for each of " << shares
                                << " shares of the sum (C3), but got " << factor;
  return success();
}

LogicalResult LaunchOp::verifySymbolUses(SymbolTableCollection &symbols) {
  Operation *symbol = symbols.lookupNearestSymbolFrom(*this, getKernelAttr());
  if (isa_and_nonnull<gpu::GPUModuleOp>(symbol))
    return success();
  auto kernel = dyn_cast_or_null<KernelOp>(symbol);
  if (!kernel) // C1
    return emitOpError() << "expects a tile.kernel @" << getKernel() << " (C1), but there is none";
  const ArrayRef<Type> types = kernel.getArgumentTypes();
  if (types.size() != getNumOperands()) // C2
    return emitOpError() << "expects " << types.size() << " matrices (C2), but got " << getNumOperands();
  for (auto [type, operand] : llvm::zip(types, getOperandTypes())) {
    auto matrix = dyn_cast<MemRefType>(type);
    if (!matrix || matrix.getElementType() != cast<ShapedType>(operand).getElementType()) // C2
      return emitOpError() << "expects a matrix as the kernel's " << type << " (C2), but got " << operand;
  }
  auto shares = kernel->getAttrOfType<IntegerAttr>(kSharesAttr);
  return shares ? verifyShares(*this, kernel, shares.getInt()) : success();
}
