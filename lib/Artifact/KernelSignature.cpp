// Dimensions and places are those of the dispatch that the kernel was compiled for, to the letter: kernels with static
// dimensions never read the operands' words, and those that do take it for granted that they agree with each other.
// What else a kernel relies on is what it uses as an index: tokens into a table, positions into tables of angles, and
// the entries of the block table that its window reaches.
#include "lib/Artifact/KernelSignature.h"
#include "dialects/Tile/IR/BlockCopy.h"
#include "dialects/Tile/IR/TileOps.h"
#include "lib/Artifact/Tables.h"
#include "lib/CodeGen/KernelImages.h"
#include <algorithm>
#include <cstring>
#include <map>

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {
namespace {

/// Bytes of one element of an argument, 0 for an element that no kernel has.
uint64_t elementBytes(Type element) {
  if (auto block = dyn_cast<BlockType>(element))
    return block.getBytes();
  if (auto block = dyn_cast<ActivationType>(element))
    return block.getBytes();
  if (auto vector = dyn_cast<VectorType>(element))
    return vector.getNumElements() * (vector.getElementTypeBitWidth() / 8);
  return element.isIntOrFloat() ? element.getIntOrFloatBitWidth() / 8 : 0;
}

uint64_t smaller(uint64_t bound, uint64_t other) { return bound ? std::min(bound, other) : other; }

/// What the values of `argument` must be below, or how far back its entries are read; 0 where it does not matter.
uint64_t boundOf(FunctionOpInterface kernel, BlockArgument argument, DispatchOp dispatch) {
  if (auto told = kernel.getArgAttrOfType<IntegerAttr>(argument.getArgNumber(), tile::kBoundAttr))
    return told.getInt();
  uint64_t bound = 0;
  bool all = false;
  auto dimsOf = [&](Value value) {
    const unsigned number = cast<BlockArgument>(value).getArgNumber();
    return cast<DenseI64ArrayAttr>(dispatch.getDims()[number]).asArrayRef();
  };
  for (Operation *user : argument.getUsers()) {
    if (auto gather = dyn_cast<tile::GatherOp>(user)) {
      auto block = cast<BlockType>(cast<RankedTensorType>(gather.getTable().getType()).getElementType());
      bound = smaller(bound, uint64_t(dimsOf(gather.getTable())[0]) * block.getRows());
    } else if (auto rotate = dyn_cast<tile::RotateOp>(user)) {
      if (rotate.getPositions() == argument)
        bound = smaller(bound, uint64_t(dimsOf(rotate.getCoarse())[0]) * dimsOf(rotate.getFine())[0]);
    } else if (auto attend = dyn_cast<tile::AttendOp>(user)) {
      if (attend.getTable() != argument)
        continue;
      all |= attend.getWindow() <= 0;
      bound = std::max(bound, uint64_t(std::max<int64_t>(attend.getWindow(), 0)));
    } else if (auto store = dyn_cast<tile::CacheStoreOp>(user)) {
      if (store.getTable() == argument)
        bound = std::max<uint64_t>(bound, 1);
    }
  }
  return all ? 0 : bound;
}

/// Columns of the results of `dispatch`, each filled up to whole tiles of `width`.
int64_t columnsOfTiles(DispatchOp dispatch, int64_t width) {
  int64_t all = 0;
  llvm::SmallDenseSet<int64_t> seen; // a product may stand for others
  for (auto [argument, dims] : llvm::enumerate(dispatch.getDims().getAsRange<DenseI64ArrayAttr>()))
    if (const int64_t source = dispatch.getSources()[2 * argument];
        source >= int64_t(dispatch.getInputs().size()) && seen.insert(source).second)
      all += llvm::alignTo(dims[1], width);
  return all;
}

Error wrong(DispatchOp dispatch, const std::string &what) {
  return fail(ErrorCode::ProgramShape, "the step program cannot be written: kernel %s: %s",
              dispatch.getKernel().str().c_str(), what.c_str());
}

template <typename T> std::string bytesOf(const std::vector<T> &records) {
  return {reinterpret_cast<const char *>(records.data()), records.size() * sizeof(T)};
}

/// Appends `own` to `all` where they are not in it yet, and says where they are.
template <typename T>
uint32_t place(const std::vector<T> &own, std::vector<T> &all, std::map<std::string, uint32_t> &known) {
  auto [entry, isNew] = known.try_emplace(bytesOf(own), uint32_t(all.size()));
  if (isNew)
    all.insert(all.end(), own.begin(), own.end());
  return entry->second;
}

} // namespace

Result<std::vector<CodeEntry>> variantsOf(DispatchOp dispatch, const std::vector<stepdown_operand> &operands,
                                          ModuleOp kernels, ArrayRef<Bucket> buckets) {
  std::vector<CodeEntry> variants;
  bool anyTile = false; // of the function before
  for (auto [b, bucket] : llvm::enumerate(buckets)) {
    const std::string name = dispatch.getKernel().str() + "_b" + std::to_string(b);
    auto kernel = kernels.lookupSymbol<FunctionOpInterface>(name);
    const bool ofTiles = isa_and_nonnull<tile::KernelOp>(kernel.getOperation());
    if (!kernel) {
      if (variants.empty() || (!anyTile && variants.back().record.tile != uint32_t(bucket.tile)))
        return wrong(dispatch, "expects a function for tiles of " + std::to_string(bucket.tile) + " tokens");
      variants.push_back(variants.back());
      variants.back().record.tile = bucket.tile;
      if (stepdown_grid &tokens = variants.back().launch.grid[0]; tokens.size < 0) // of a tile kernel it is columns
        tokens.divisor = bucket.tile;
      continue;
    }
    if (kernel.getNumArguments() != operands.size())
      return wrong(dispatch, "expects as many arguments as operands");
    anyTile = kernel->hasAttr(tile::kAnyTileAttr);
    CodeEntry variant;
    variant.function = name;
    variant.record.count = operands.size();
    variant.record.extent = dispatch.getByRows() ? STEPDOWN_BY_ROWS : STEPDOWN_BY_TOKENS;
    variant.record.tile = bucket.tile;
    // Threads divide the tiles of tokens, and what a tile's results are cut into, among each other.
    const int32_t extent = dispatch.getByRows() ? STEPDOWN_DIM_ROWS : STEPDOWN_DIM_TOKENS;
    variant.launch.grid[0] = {extent, uint32_t(bucket.tile)};
    // On a device a block of threads has one token, and each of its threads a column.
    if (auto grid = kernel->getAttrOfType<DenseI64ArrayAttr>(tile::kGridAttr)) {
      variant.function = imageName(name);
      variant.name = name;
      variant.launch.block[0] = grid[1];
      variant.launch.grid[1] = {int32_t(grid[0]), uint32_t(grid[1])};
      if (ofTiles) { // a block has a tile of a result's columns and of tokens
        variant.launch.grid[0] = {int32_t(columnsOfTiles(dispatch, grid[0])), uint32_t(grid[0])};
        variant.launch.grid[1] = {extent, uint32_t(grid[3])};
        variant.launch.shared_bytes = grid[2];
      }
    }
    for (auto [argument, operand] : llvm::zip(kernel.getArguments(), operands)) {
      stepdown_parameter parameter{};
      parameter.place = operand.place;
      parameter.rank = operand.rank;
      const Type element = cast<ShapedType>(argument.getType()).getElementType();
      parameter.element_bytes = ofTiles && isa<BlockType>(element) ? uint64_t(tile::kWordBytes) : elementBytes(element);
      if (!parameter.element_bytes)
        return wrong(dispatch, "expects arguments of numbers, vectors or blocks");
      parameter.bound = boundOf(kernel, argument, dispatch);
      std::copy(std::begin(operand.dims), std::end(operand.dims), parameter.dims);
      variant.parameters.push_back(parameter);
    }
    variants.push_back(std::move(variant));
  }
  return variants;
}

std::vector<uint8_t> layOutCode(const NativeCode &code, const std::vector<CodeEntry> &entries, uint64_t alignment,
                                std::vector<uint32_t> &numbers) {
  std::vector<stepdown_entry> records;
  std::vector<stepdown_parameter> parameters;
  std::vector<stepdown_value> values;
  std::vector<stepdown_launch> launches;
  std::map<std::string, uint32_t> knownParameters, knownValues, knownLaunches, knownNames, known;
  Names names;
  for (const CodeEntry &entry : entries) {
    stepdown_entry record = entry.record;
    record.offset = code.entries.at(entry.function);
    record.first = entry.values.empty() ? place(entry.parameters, parameters, knownParameters)
                                        : place(entry.values, values, knownValues);
    record.launch = place(std::vector<stepdown_launch>{entry.launch}, launches, knownLaunches);
    record.name = STEPDOWN_NO_NAME;
    if (!entry.name.empty()) {
      auto [name, isNew] = knownNames.try_emplace(entry.name, 0);
      if (isNew)
        name->second = names.add(entry.name);
      record.name = name->second;
    }
    auto [number, isNew] = known.try_emplace(bytesOf(std::vector<stepdown_entry>{record}), uint32_t(records.size()));
    if (isNew)
      records.push_back(record);
    numbers.push_back(number->second);
  }
  Tables tables;
  tables.bytes.resize(sizeof(stepdown_code));
  stepdown_code header{};
  header.alignment = alignment;
  header.parameters = tables.add(parameters);
  header.values = tables.add(values);
  header.launches = tables.add(launches);
  header.strings = tables.add(names.bytes);
  const uint64_t before = llvm::alignTo(tables.bytes.size(), alignof(stepdown_entry));
  header.instructions = llvm::alignTo(before + records.size() * sizeof(stepdown_entry), STEPDOWN_PAGE);
  for (stepdown_entry &record : records)
    record.offset += header.instructions;
  header.entries = tables.add(records);
  std::memcpy(tables.bytes.data(), &header, sizeof header);
  tables.bytes.resize(header.instructions);
  tables.bytes.insert(tables.bytes.end(), code.bytes.begin(), code.bytes.end());
  return std::move(tables.bytes);
}

} // namespace stepdown
