// Registration of the tile dialect, the code that TableGen generates for it, and its attribute.
#include "dialects/Tile/IR/TileDialect.h"
#include "dialects/Tile/IR/TileOps.h"
#include "lib/Target/Layout.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/Interfaces/FoldInterfaces.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Transforms/InliningUtils.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace stepdown::tile;

#include "dialects/Tile/IR/TileDialect.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/Tile/IR/TileTypes.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/Tile/IR/TileAttrs.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/Tile/IR/TileOps.cpp.inc"

namespace {
/// Functions of plain modules become part of their callers.
struct Inlining : DialectInlinerInterface {
  using DialectInlinerInterface::DialectInlinerInterface;
  bool isLegalToInline(Operation *op, Region *, bool, IRMapping &) const final { return isa<LaunchOp>(op); }
};
/// Tiles in registers are a role's: their constants stay in it.
struct Folding : DialectFoldInterface {
  using DialectFoldInterface::DialectFoldInterface;
  bool shouldMaterializeInto(Region *region) const final { return isa<RoleOp>(region->getParentOp()); }
};
} // namespace

void TileDialect::initialize() {
  addInterfaces<Inlining, Folding>();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/Tile/IR/TileTypes.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/Tile/IR/TileAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/Tile/IR/TileOps.cpp.inc"
      >();
}

bool stepdown::tile::isLanes(Type type) {
  auto vector = dyn_cast<VectorType>(type);
  return vector && vector.getRank() == 1 && stepdown::layoutOfRows(vector.getDimSize(0)) &&
         vector.getElementType().isF32();
}

TilingAttr::Cut TilingAttr::getCut(unsigned argument, unsigned dimension) const {
  const int64_t loop = getArguments()[argument][2 * dimension], size = getArguments()[argument][2 * dimension + 1];
  return {loop, std::abs(size), size < 0};
}

LogicalResult TilingAttr::verify(function_ref<InFlightDiagnostic()> emitError, ArrayRef<DenseI64ArrayAttr> parts,
                                 ArrayRef<DenseI64ArrayAttr> arguments) {
  for (DenseI64ArrayAttr loops : parts)
    for (int64_t loop : loops.asArrayRef())
      if (loop < 0) // C1
        return emitError() << "expects loops that are not negative (C1), but got " << loop;
  for (DenseI64ArrayAttr cuts : arguments)
    for (int64_t i = 0; i + 1 < cuts.size(); i += 2) {
      if (cuts[i] == whole)
        continue;
      if (cuts[i] < 0) // C1
        return emitError() << "expects loops that are not negative (C1), but got " << cuts[i];
      if (cuts[i + 1] == 0) // C1
        return emitError() << "expects tiles of at least one element (C1), but got 0";
    }
  return success();
}

Attribute TilingAttr::parse(AsmParser &parser, Type) {
  using Delimiter = AsmParser::Delimiter;
  SmallVector<DenseI64ArrayAttr> parts, arguments;
  auto numbers = [&](SmallVectorImpl<DenseI64ArrayAttr> &lists,
                     function_ref<ParseResult(SmallVectorImpl<int64_t> &)> item) {
    return parser.parseCommaSeparatedList(Delimiter::Square, [&]() -> ParseResult {
      SmallVector<int64_t> list;
      if (parser.parseCommaSeparatedList(Delimiter::Square, [&] { return item(list); }))
        return failure();
      lists.push_back(DenseI64ArrayAttr::get(parser.getContext(), list));
      return success();
    });
  };
  auto loop = [&](SmallVectorImpl<int64_t> &list) { return parser.parseInteger(list.emplace_back()); };
  auto cut = [&](SmallVectorImpl<int64_t> &list) -> ParseResult {
    if (succeeded(parser.parseOptionalKeyword("whole"))) {
      list.append({whole, 0});
      return success();
    }
    int64_t of, size;
    const SMLoc place = parser.getCurrentLocation();
    if (parser.parseInteger(of) || parser.parseKeyword("by") || parser.parseInteger(size))
      return failure();
    if (size < 0) // C1
      return parser.emitError(place) << "expects tiles of at least one element (C1), but got " << size;
    const bool exact = succeeded(parser.parseOptionalKeyword("exact"));
    list.append({of, exact ? -size : size});
    return success();
  };
  const SMLoc place = parser.getCurrentLocation();
  if (parser.parseLess() || parser.parseKeyword("parts") || parser.parseEqual() || numbers(parts, loop) ||
      parser.parseComma() || parser.parseKeyword("arguments") || parser.parseEqual() || numbers(arguments, cut) ||
      parser.parseGreater())
    return {};
  return getChecked([&] { return parser.emitError(place); }, parser.getContext(), parts, arguments);
}

void TilingAttr::print(AsmPrinter &printer) const {
  printer << "<parts = [";
  llvm::interleaveComma(getParts(), printer,
                        [&](DenseI64ArrayAttr loops) { printer << '[' << loops.asArrayRef() << ']'; });
  printer << "], arguments = [";
  llvm::interleaveComma(llvm::seq<unsigned>(0, getArguments().size()), printer, [&](unsigned argument) {
    printer << '[';
    llvm::interleaveComma(llvm::seq<unsigned>(0, getRank(argument)), printer, [&](unsigned d) {
      const Cut cut = getCut(argument, d);
      if (cut.isWhole())
        printer << "whole";
      else
        printer << cut.loop << " by " << cut.size << (cut.exact ? " exact" : "");
    });
    printer << ']';
  });
  printer << "]>";
}

/// C2 of the tiling attribute.
static LogicalResult verifyTiling(FunctionOpInterface function, TilingAttr tiling) {
  if (tiling.getArguments().size() != function.getNumArguments())
    return function.emitOpError() << "expects tile.tiling of " << function.getNumArguments()
                                  << " arguments (C2), but got " << tiling.getArguments().size();
  for (auto [i, type] : llvm::enumerate(function.getArgumentTypes())) {
    auto shaped = dyn_cast<ShapedType>(type);
    if (const int64_t rank = shaped && shaped.hasRank() ? shaped.getRank() : 0; rank != tiling.getRank(i))
      return function.emitOpError() << "expects tile.tiling to cut each dimension of " << type << " (C2), but got "
                                    << tiling.getRank(i);
  }
  if (tiling.getParts().size() > 1 && tiling.getParts().size() != function.getNumResults())
    return function.emitOpError() << "expects a part for each of " << function.getNumResults()
                                  << " results, or one for all (C2), but got " << tiling.getParts().size();
  return success();
}

/// Whether `kernel` has a weight and a result for each of `products`, and its first role says which tiles a block has.
static bool isOfProducts(KernelOp kernel, int64_t products) {
  const ArrayRef<Type> types = kernel.getArgumentTypes();
  if (products < 1 || products > int64_t(types.size()) / 2 || !isa<MemRefType>(types.front()) ||
      !isa<MemRefType>(types.back()) || !llvm::all_equal(types.take_front(products)) ||
      !llvm::all_equal(types.take_back(products)))
    return false;
  auto roles = kernel.getBody().getOps<RoleOp>();
  bool scheduled = false;
  if (!roles.empty())
    (*roles.begin()).walk([&](ScheduleOp) { scheduled = true; });
  return scheduled;
}

LogicalResult TileDialect::verifyOperationAttribute(Operation *op, NamedAttribute attribute) {
  const StringRef name = attribute.getName().getValue();
  auto function = dyn_cast<FunctionOpInterface>(op);
  if (function && !op->getAttrOfType<TypeAttr>("function_type")) // which its own verifier misses, later
    return success();
  if ((name == kCyclicAttr || name == kAnyTileAttr) && function && isa<UnitAttr>(attribute.getValue()))
    return success();
  if (name == kLaunchAttr && function && isa<DictionaryAttr>(attribute.getValue()))
    return success();
  if (name == kUnselectedAttr && isa<ModuleOp>(op) && isa<ArrayAttr>(attribute.getValue()))
    return success();
  auto registers = dyn_cast<IntegerAttr>(attribute.getValue());
  if (name == "tile.register_file" && isa<KernelOp>(op) && registers && registers.getInt() > 0)
    return success();
  if (name == kClusterAttr && isa<KernelOp>(op) && registers && registers.getInt() > 1 &&
      llvm::isPowerOf2_64(registers.getInt()))
    return success();
  constexpr int64_t kMostShares = 64;
  if (name == kSharesAttr && isa<KernelOp>(op) && registers && registers.getInt() > 1 &&
      registers.getInt() <= kMostShares && llvm::isPowerOf2_64(registers.getInt()))
    return success();
  auto grid = dyn_cast<DenseI64ArrayAttr>(attribute.getValue());
  const bool ofTiles = isa<KernelOp>(op);
  if (name == kGridAttr && function && grid && (grid.size() == (ofTiles ? 4 : 2) || (ofTiles && grid.size() == 5)) &&
      grid[0] > 0 && grid[1] > 0 && grid[1] <= kThreads && (!ofTiles || grid[3] > 0)) {
    if (grid.size() == 5 && !isOfProducts(cast<KernelOp>(op), grid[4]))
      return op->emitOpError() << "expects the fifth number of '" << kGridAttr
                               << "' to be that of products, each with one of the first arguments and one of the last, "
                                  "matrices of one type, and a schedule in the first role, but got "
                               << grid[4];
    return success();
  }
  if (name == kSplitsAttr && function && grid && (grid.size() == 2 || grid.size() == 4) &&
      llvm::all_of(grid.asArrayRef(), [](int64_t number) { return number > 0; })) {
    if (grid.size() == 4 && grid[0] % grid[3] != 0)
      return op->emitOpError() << "expects '" << kSplitsAttr << "' of a chunk in whole warps, but got " << grid[0]
                               << " positions and " << grid[3] << " lanes";
    return success();
  }
  if (name == kExpertsAttr && function && grid && (grid.size() == 3 || grid.size() == 6) &&
      llvm::all_of(grid.asArrayRef(), [](int64_t number) { return number > 0; }))
    return success();
  auto tiling = dyn_cast<TilingAttr>(attribute.getValue());
  if (name == kTilingAttr && function && tiling)
    return verifyTiling(function, tiling);
  return op->emitOpError() << "expects no attribute of the tile dialect but '" << kTilingAttr << "', a #tile.tiling, '"
                           << kCyclicAttr << "', '" << kAnyTileAttr << "', '" << kLaunchAttr << "', '" << kSplitsAttr
                           << "', '" << kExpertsAttr << "' and '" << kGridAttr
                           << "', columns and threads, on a function, 'tile.register_file', a number, '" << kSharesAttr
                           << "', a power of two up to " << kMostShares << ", and '" << kClusterAttr
                           << "', a power of two, on a kernel, and '" << kUnselectedAttr << "' on a module, but got '"
                           << name << "'";
}
