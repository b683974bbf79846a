// Which experts a token has no code says: each has others than those before it while there are any, so that a prompt
// has as many tokens for each. DeviceTrafficTest holds the bytes to those that the emulator sees.
#include "lib/Explain/ExpertTraffic.h"
#include "dialects/Tile/IR/TileOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/Support/MathExtras.h"
#include <algorithm>

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {
namespace {

constexpr uint64_t kNumber = 4;   ///< bytes of an id, an entry, a float32
constexpr uint64_t kTile = 16;    ///< rows of a product of matrix units
constexpr uint64_t kColumns = 32; ///< that a warp has at a time
/// Instructions that take a weight out of its block and round it to binary16, as numbers' operations are counted, two
/// for an instruction: see docs/decisions/experts.md.
constexpr uint64_t kUnpacking = 14;

DispatchTraffic measureGroups(uint64_t tile, uint64_t experts, uint64_t ranks, uint64_t tokens, uint64_t threads) {
  constexpr uint64_t kTeam = 32;
  const uint64_t pairs = tokens * ranks, teams = threads / kTeam;
  DispatchTraffic all;
  all.busy = std::min(tokens, llvm::divideCeil(experts, teams));
  all.otherRead = pairs * kNumber;
  all.otherWritten = (pairs + pairs / tile + experts) * kNumber;
  all.asked = all.busy * all.otherRead;
  all.operations = 6 * experts * pairs; // two comparisons and two sums to count, one each to place
  all.chain = (2 * llvm::divideCeil(pairs, kTeam) + kTeam) * llvm::divideCeil(experts, teams * tokens);
  return all;
}

} // namespace

DispatchTraffic measureExperts(FunctionOpInterface kernel, DispatchOp dispatch, uint64_t tokens) {
  auto of = kernel->getAttrOfType<DenseI64ArrayAttr>(tile::kExpertsAttr);
  auto grid = kernel->getAttrOfType<DenseI64ArrayAttr>(tile::kGridAttr);
  const uint64_t tile = of[0], experts = of[1], ranks = of[2], threads = grid[1];
  const bool isProduct = of.size() > 3;
  DispatchTraffic all;
  if (!isProduct)
    all = measureGroups(tile, experts, ranks, tokens, threads);
  all.threads = threads;
  all.grid[0] = tokens, all.grid[1] = llvm::divideCeil(uint64_t(grid[0]), threads);
  if (!isProduct || !tokens)
    return all;
  const uint64_t pairs = tokens * ranks, rowBlocks = of[4], rowsOfBlock = of[5];
  const uint64_t touched = std::min(pairs, experts);
  const uint64_t tiles = touched * llvm::divideCeil(llvm::divideCeil(pairs, touched), tile);
  const uint64_t members = std::min(tile, llvm::divideCeil(pairs, touched)); // pairs of a tile
  if (tile > 1)
    all.otherRead += (pairs + pairs / tile + experts) * kNumber;
  llvm::SmallDenseSet<std::pair<int64_t, int64_t>> seen;
  uint64_t asked = 0, columns = 0, shares = 1, wide = 0; // of the last weight
  for (unsigned i = 0; i < kernel.getNumArguments(); ++i) {
    const int64_t number = dispatch.getSources()[2 * i], inputs = dispatch.getInputs().size();
    auto type = cast<MemRefType>(kernel.getArgument(i).getType());
    auto dims = cast<DenseI64ArrayAttr>(dispatch.getDims()[i]).asArrayRef();
    auto block = dyn_cast<BlockType>(type.getElementType());
    if (block) { // once for each product, of which two may have one weight
      const uint64_t rows = cast<RankedTensorType>(dispatch.getInputs()[number].getType()).getDimSize(0) / experts;
      const uint64_t bytes = uint64_t(dims[1]) * block.getBytes() / block.getRows();
      wide = dims[1] * packedBlock(*block.getLayout(), block.getFormat()).columns;
      shares = std::min<uint64_t>(wide / kColumns, 4), columns += wide;
      asked += rowsOfBlock * bytes;
      all.operations += kUnpacking * tiles * rowBlocks * rowsOfBlock * wide;
      all.products += 2 * tiles * llvm::alignTo(tile, kTile) * rowBlocks * rowsOfBlock * wide;
      if (seen.insert({number, 0}).second)
        all.weightsRead += touched * rows * bytes;
      continue;
    }
    if (!seen.insert({number, 0}).second)
      continue;
    const uint64_t bytes = type.getElementTypeBitWidth() / 8;
    if (number >= inputs) { // rows of all ranks, without padding
      all.otherWritten += tokens * transformer::columns(dispatch.getOutputs()[number - inputs].getType()) * bytes;
    } else if (dims.size() == 1) { // a bias of each row of an expert
      all.weightsRead += touched * uint64_t(dims[0]) / experts * bytes;
    } else if (i != 2) { // the table is read above
      const bool isScale = dims[1] <= 1;
      all.otherRead += tokens * bytes * (isScale ? 1 : transformer::columns(dispatch.getInputs()[number].getType()));
    }
    if (type.getElementType().isF16())
      asked += members * wide * bytes;
  }
  all.busy = std::min(tiles * rowBlocks, all.groups());
  all.asked = tiles * rowBlocks * (asked + 2 * members * kNumber);
  all.chain = llvm::divideCeil(columns, kColumns * shares) * 2 + shares;
  return all;
}

} // namespace stepdown
