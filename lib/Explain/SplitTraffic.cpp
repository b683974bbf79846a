// Which chunks of positions a query sees follows from where it stands, and each chunk that it sees is a block's: so
// bytes are added up token by token. DeviceTrafficTest holds them to those that the emulator sees.
#include "lib/Explain/SplitTraffic.h"
#include "dialects/Tile/IR/TileOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/Support/MathExtras.h"
#include <algorithm>

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {
namespace {

constexpr uint64_t kBlock = 32; ///< positions of a cache block: what a session takes where nobody says another
constexpr uint64_t kNumber = 4; ///< bytes of what is no key or value

/// Of one query: positions, chunks, and shares of the context that have any.
struct Seen {
  uint64_t positions, chunks, shares;
};

Seen seenFrom(uint64_t position, uint64_t window, uint64_t chunk, uint64_t splits) {
  const uint64_t end = position + 1, begin = window && window < end ? end - window : 0;
  const uint64_t chunks = position / chunk + 1 - begin / chunk;
  return {end - begin, chunks, std::min(chunks, splits)};
}

/// Of blocks on matrix units, `splits` being of a chunk, splits, tokens of a block and lanes of a warp: what tokens
/// share.
void measureMatrixBlocks(ArrayRef<int64_t> splits, CacheType cache, uint64_t queries, uint64_t element,
                         const StepLoad &load, uint64_t window, DispatchTraffic &all) {
  constexpr uint64_t kTile = 16; // rows, positions and channels of a product
  const uint64_t chunk = splits[0], shares = splits[1], most = splits[2], heads = cache.getHeads();
  const uint64_t columns = cache.getKey() + cache.getValue();
  uint64_t longest = 0, widest = 0;
  for (uint64_t p = load.length - load.tokens, next = 0; p < load.length; p = next) {
    next = std::min(load.length, (p / most + 1) * most);
    const uint64_t begin = window && window < p + 1 ? p + 1 - window : 0;
    const uint64_t chunks = (next - 1) / chunk + 1 - begin / chunk, busy = std::min(chunks, shares);
    const uint64_t positions = llvm::alignTo(next, kTile) - begin / kTile * kTile;
    const uint64_t rows = llvm::alignTo((next - p) * queries, kTile);
    longest = std::max(longest, llvm::divideCeil(chunks, shares)), widest = std::max(widest, next - p);
    all.busy += heads * busy;
    // Whether a token leads its block all blocks find out, of its sequence and position and those of the token before
    // it; the leader's, busy or not, go through those behind it.
    const uint64_t before = p > load.length - load.tokens ? 2 : 0;
    all.asked += heads * kNumber *
                 (shares * (before + (next - p - 1) * 4) + (shares - busy) * 2 * (next - p)); // busy ones': below
    all.asked +=
        heads * (positions * columns * element +
                 busy * ((next - p) * (queries * cache.getKey() + 2) + chunks / busy * (chunk / kTile)) * kNumber);
    all.products += 2 * heads * positions * rows * columns;
    all.operations += heads * positions * rows * 6; // as many as threads have of a score beside its products
  }
  const uint64_t first = load.length - load.tokens + 1, begin = window && window < first ? first - window : 0;
  all.cacheRead = (llvm::alignTo(load.length, kTile) - begin / kTile * kTile) * heads * columns * element;
  // A thread's own of a chunk: products of its warp's scores, three passes over a sixteenth of a row and its parts, and
  // products with each 16 positions' values.
  const uint64_t inChunk = chunk / kTile, warps = chunk / splits[3];
  all.chain = longest * (cache.getKey() / kTile * (inChunk / warps) + 3 * (chunk / 8 + 8) + inChunk);
  all.chain += 2 + 2 * (widest - 1); // sequences and positions of the token before and of those behind it
}

} // namespace

DispatchTraffic measureSplits(FunctionOpInterface kernel, DispatchOp dispatch, const StepLoad &load, uint64_t window) {
  DispatchTraffic all;
  auto splits = kernel->getAttrOfType<DenseI64ArrayAttr>(tile::kSplitsAttr);
  auto grid = kernel->getAttrOfType<DenseI64ArrayAttr>(tile::kGridAttr);
  const uint64_t chunk = splits[0], shares = splits[1], tokens = load.tokens;
  const bool onMatrixUnits = splits.size() > 2;
  auto dimsOf = [&](unsigned i) { return cast<DenseI64ArrayAttr>(dispatch.getDims()[i]).asArrayRef(); };
  auto sourceOf = [&](unsigned i) -> Value {
    const int64_t source = dispatch.getSources()[2 * i], inputs = dispatch.getInputs().size();
    return source < inputs ? dispatch.getInputs()[source] : dispatch.getOutputs()[source - inputs];
  };
  CacheType cache;
  uint64_t element = 0, outColumns = 0, sinks = 0, rowColumns = 0; // of rows that are read
  uint64_t written = 0, results = 0;                               // bytes of a token
  for (unsigned i = 0; i < kernel.getNumArguments(); ++i) {
    Value source = sourceOf(i);
    if (auto type = dyn_cast<CacheType>(source.getType())) {
      cache = type;
      element = cast<MemRefType>(kernel.getArgument(i).getType()).getElementTypeBitWidth() / 8;
    } else if (source.getDefiningOp() == dispatch) {
      const uint64_t wide = columns(source.getType()); // without padding
      outColumns = std::max(outColumns, wide);
      written += wide * (cast<MemRefType>(kernel.getArgument(i).getType()).getElementTypeBitWidth() / 8);
      ++results;
    } else if (dimsOf(i).size() == 2 && !isa<BatchType>(source.getType())) {
      rowColumns = columns(source.getType());
    } else if (dimsOf(i).size() == 1 && dimsOf(i)[0] > 0) {
      sinks = dimsOf(i)[0] * kNumber;
    }
  }
  all.threads = grid[1];
  all.grid[0] = tokens, all.grid[1] = llvm::divideCeil(uint64_t(grid[0]), all.threads);
  double operations = 0;
  uint64_t longest = 0, mostShares = 0;
  for (uint64_t p = load.length - tokens; p < load.length; ++p) {
    const Seen seen = seenFrom(p, window, chunk, shares);
    longest = std::max(longest, llvm::divideCeil(seen.chunks, shares));
    mostShares = std::max(mostShares, seen.shares);
    if (!cache) { // joins: of each share a sum of a column, the maximum and the sum of weights of its head
      const uint64_t numbers = rowColumns / shares * seen.shares;
      all.otherRead += (1 + numbers) * kNumber;
      all.asked += all.grid[1] * kNumber + numbers * kNumber;
      operations += double(outColumns) * (10 * double(seen.shares) + 1);
      if (results > 1) // rows of a product beside it: their largest number, in a tree, and what they are divided by
        operations += double(3 * outColumns + all.threads - 1);
      continue;
    }
    // Query columns of a cache head; a block that has positions reads them, with the token's position, sequence and
    // entries of the table.
    const uint64_t heads = cache.getHeads(), columns = cache.getKey() + cache.getValue();
    const uint64_t queries = outColumns / shares / (cache.getValue() + 2) / heads;
    all.otherRead += (heads * queries * cache.getKey() + 2) * kNumber;
    all.otherWritten += heads * queries * (cache.getValue() + 2) * seen.shares * kNumber;
    if (onMatrixUnits)
      continue;
    all.busy += heads * seen.shares;
    all.asked += seen.positions * heads * columns * element +
                 heads * seen.shares * (queries * cache.getKey() + 2) * kNumber +
                 heads * (seen.chunks * (chunk / kBlock)) * kNumber;
    operations += double(seen.positions * heads * queries) * double(2 * columns + 6);
  }
  all.operations = uint64_t(operations);
  if (!cache) {
    all.weightsRead += sinks;
    all.otherWritten = tokens * written;
    all.chain = 5 * mostShares + 1;
    if (results > 1)
      all.chain += 2 * llvm::divideCeil(outColumns, all.threads) + llvm::Log2_64_Ceil(all.threads) + 1;
    return all;
  }
  // Over all tokens each position once, and the entries of the table that have them.
  const uint64_t visible = window ? std::min(load.length, tokens + window - 1) : load.length;
  all.otherRead += ((load.length - 1) / kBlock - (load.length - visible) / kBlock + 1) * kNumber;
  if (onMatrixUnits) {
    const uint64_t queries = outColumns / shares / (cache.getValue() + 2) / cache.getHeads();
    measureMatrixBlocks(splits, cache, queries, element, load, window, all);
    return all;
  }
  all.cacheRead = visible * cache.getHeads() * (cache.getKey() + cache.getValue()) * element;
  // A thread's own sums of a chunk: scores, maxima, and every so manieth position; then those of the teams.
  const uint64_t teams = std::max<uint64_t>(1, chunk / std::max<uint64_t>(1, cache.getValue() / 4));
  all.chain = longest * (cache.getKey() + chunk / 8 + llvm::divideCeil(chunk, teams)) + teams;
  return all;
}

} // namespace stepdown
