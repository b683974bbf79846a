// Indices are rows of numbers with one distance: what a loop counts, its products, sums, quotients and remainders by
// constants. What is none is widened to one, which counts a few activations too many where an index depends on a
// comparison; DeviceTrafficTest holds the counts to those that the emulator sees.
#include "lib/Explain/Footprint.h"
#include "dialects/Tile/IR/BlockCopy.h"
#include "dialects/Tile/IR/TileOps.h"
#include "dialects/Transformer/IR/CachedRows.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/Support/MathExtras.h"
#include <numeric>
#include <utility>

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {
namespace {

constexpr int64_t kBlock = 32; ///< positions of a cache block: what a session takes where nobody says another

struct Range {
  int64_t first = 0, step = 1, count = 1;
  int64_t last() const { return first + (count - 1) * step; }
};

/// The narrowest range of `step` from `first` to `last`.
Range spanning(int64_t first, int64_t last, int64_t step) {
  return step ? Range{first, step, (last - first) / step + 1} : Range{first, 1, 1};
}

/// Of the numbers of `a`, no larger than `most`; from -1 on they are not known.
Range atMost(const Range &a, int64_t most) {
  if (a.first < 0)
    return {0, 1, most + 1};
  return a.last() <= most ? a : spanning(std::min(a.first, most), most, a.step);
}

int64_t stepOf(const Range &a) { return a.count > 1 ? a.step : 0; }

Range hull(const Range &a, const Range &b) {
  const int64_t step = std::gcd(std::gcd(stepOf(a), stepOf(b)), std::abs(a.first - b.first));
  return spanning(std::min(a.first, b.first), std::max(a.last(), b.last()), step);
}

Range sum(const Range &a, const Range &b) {
  return spanning(a.first + b.first, a.last() + b.last(), std::gcd(stepOf(a), stepOf(b)));
}

Range quotient(const Range &a, int64_t c) {
  if (a.step % c == 0 && a.first % c == 0)
    return {a.first / c, a.count > 1 ? a.step / c : 1, a.count};
  return spanning(a.first / c, a.last() / c, 1);
}

Range remainder(const Range &a, int64_t c) {
  if (a.first / c == a.last() / c)
    return {a.first % c, a.step, a.count};
  const int64_t step = std::gcd(stepOf(a), c);
  return {a.first % step, step, std::min(a.count, c / step)};
}

class Launch {
public:
  Launch(FunctionOpInterface kernel, DispatchOp dispatch, const StepLoad &load, uint64_t window, uint64_t columns,
         DispatchTraffic &out)
      : kernel(kernel), dispatch(dispatch), load(load), window(window), columns(columns), out(out),
        arguments(kernel.getNumArguments()) {}

  bool run() {
    auto loops = kernel.getFunctionBody().front().getOps<scf::ParallelOp>();
    if (!llvm::hasSingleElement(loops))
      return false;
    scf::ParallelOp grid = *loops.begin();
    if (grid.getNumLoops() != 2)
      return false;
    ranges[grid.getInductionVars()[0]] = {0, 1, int64_t(count())};
    ranges[grid.getInductionVars()[1]] = {0, 1, int64_t(columns)};
    walk(*grid.getBody(), double(count()) * double(columns));
    out.operations = uint64_t(operations + 0.5);
    out.chain = criticalPath(*grid.getBody());
    for (auto [number, argument] : llvm::enumerate(arguments))
      addBytes(number, argument.read, argument.written);
    return known;
  }

  /// Every operand once, however many arguments it is.
  void takeOperands() {
    llvm::SmallDenseSet<std::pair<int64_t, int64_t>> seen;
    for (unsigned i = 0; i < kernel.getNumArguments(); ++i) {
      if (!seen.insert({dispatch.getSources()[2 * i], dispatch.getSources()[2 * i + 1]}).second)
        continue;
      uint64_t bytes = elementBytes(i);
      for (int64_t size : dimsOf(i))
        bytes *= sizeOf(size);
      if (isCache(i))
        bytes = cacheBytes(i, visible());
      const bool isResult = dispatch.getSources()[2 * i] >= int64_t(dispatch.getInputs().size());
      addBytes(i, isResult ? 0 : bytes, isResult ? bytes : 0);
    }
  }

private:
  struct Argument {
    std::optional<SmallVector<Range>> reads, writes; ///< of each dimension, over all accesses
    uint64_t read = 0, written = 0;
  };

  uint64_t count() { return dispatch.getByRows() ? load.rows : load.tokens; }
  /// Positions that some token sees, and the most that one sees.
  uint64_t visible() const { return window ? std::min(load.length, load.tokens + window - 1) : load.length; }
  uint64_t most() const { return window ? std::min(load.length, window) : load.length; }
  /// Pairs of a token and a position that it sees.
  double pairs() const {
    double all = 0;
    for (uint64_t p = load.length - load.tokens; p < load.length; ++p)
      all += double(window ? std::min(p + 1, window) : p + 1);
    return all;
  }

  // --- operands ------------------------------------------------------------------------------------------------------

  Value sourceOf(unsigned argument) {
    const int64_t source = dispatch.getSources()[2 * argument], inputs = dispatch.getInputs().size();
    return source < inputs ? dispatch.getInputs()[source] : dispatch.getOutputs()[source - inputs];
  }
  int64_t partOf(unsigned argument) { return dispatch.getSources()[2 * argument + 1]; }
  ArrayRef<int64_t> dimsOf(unsigned argument) {
    return cast<DenseI64ArrayAttr>(dispatch.getDims()[argument]).asArrayRef();
  }
  bool isCache(unsigned argument) { return isa<CacheType>(sourceOf(argument).getType()); }
  bool isTable(unsigned argument) { return isa<BatchType>(sourceOf(argument).getType()) && partOf(argument) == 2; }
  bool isWeight(unsigned argument) { return sourceOf(argument).getDefiningOp<WeightOp>() || isAngles(argument); }
  bool isAngles(unsigned argument) { return bool(sourceOf(argument).getDefiningOp<RopeTableOp>()); }
  uint64_t elementBytes(unsigned argument) {
    Type element = cast<MemRefType>(kernel.getArgument(argument).getType()).getElementType();
    if (auto block = dyn_cast<BlockType>(element)) // a tile kernel copies words of blocks
      return isa<tile::KernelOp>(kernel.getOperation()) ? uint64_t(tile::kWordBytes) : uint64_t(block.getBytes());
    return element.isIntOrFloat() ? element.getIntOrFloatBitWidth() / 8 : 0;
  }
  uint64_t cacheBytes(unsigned argument, uint64_t positions) {
    auto cache = cast<CacheType>(sourceOf(argument).getType());
    return positions * cache.getHeads() * cachedSize(cache, partOf(argument) ? cache.getValue() : cache.getKey()) *
           elementBytes(argument);
  }
  uint64_t sizeOf(int64_t dimension) const {
    switch (dimension) {
    case STEPDOWN_DIM_TOKENS:
    case STEPDOWN_DIM_TOKEN_TILES:
      return load.tokens;
    case STEPDOWN_DIM_ROWS:
    case STEPDOWN_DIM_ROW_TILES:
      return load.rows;
    case STEPDOWN_DIM_TABLE_WIDTH:
      return llvm::divideCeil(load.length, kBlock);
    default:
      return dimension < 0 ? 1 : dimension; // one sequence
    }
  }

  void addBytes(unsigned argument, uint64_t read, uint64_t written) {
    (isCache(argument) ? out.cacheRead : isWeight(argument) ? out.weightsRead : out.otherRead) += read;
    (isCache(argument) ? out.cacheWritten : out.otherWritten) += written;
  }

  // --- indices -------------------------------------------------------------------------------------------------------

  std::optional<int64_t> constant(Value value) {
    APInt number;
    if (!matchPattern(value, m_ConstantInt(&number)))
      return std::nullopt;
    return number.getSExtValue();
  }

  /// What a thread finds where it reads an index.
  Range loaded(memref::LoadOp op) {
    auto argument = dyn_cast<BlockArgument>(op.getMemRef());
    if (!argument)
      return {};
    const unsigned number = argument.getArgNumber();
    const int64_t tokens = load.tokens, rows = load.rows;
    if (isa<BatchType>(sourceOf(number).getType()))
      return partOf(number) == 0   ? Range{int64_t(load.length) - tokens, 1, tokens}
             : partOf(number) == 3 ? Range{int64_t(load.length) - 1, 0, tokens}
                                   : Range{};
    if (isChoices(sourceOf(number).getType())) // experts: each another one, while there are any
      return {0, 1, int64_t(count()) * rangeOf(op.getIndices()[1]).count};
    if (dimsOf(number).size() == 1 && dimsOf(number)[0] == STEPDOWN_DIM_ROWS) // the last tokens
      return {tokens - rows, 1, rows};
    return {0, 1, tokens}; // ids, each another
  }

  Range rangeOf(Value value) {
    if (auto found = ranges.find(value); found != ranges.end())
      return found->second;
    Range range = evaluate(value);
    ranges[value] = range;
    return range;
  }

  /// Of a value without which the launch would be known as well; from -1 on where it is not.
  Range rangeIfKnown(Value value) {
    const llvm::DenseMap<Value, Range> before = ranges;
    const bool was = std::exchange(known, true);
    const Range range = rangeOf(value);
    const bool found = std::exchange(known, was);
    if (!found)
      ranges = before;
    return found ? range : Range{-1};
  }

  Range evaluate(Value value) {
    if (auto number = constant(value))
      return {*number, 1, 1};
    Operation *op = value.getDefiningOp();
    if (!op)
      return unknown();
    if (auto cast = dyn_cast<arith::IndexCastOp>(op))
      return rangeOf(cast.getIn());
    if (auto read = dyn_cast<memref::LoadOp>(op))
      return loaded(read);
    if (isa<memref::DimOp>(op)) // of a cache: how its blocks are cut is the session's
      return {kBlock, 1, 1};
    if (auto choice = dyn_cast<arith::SelectOp>(op))
      return hull(rangeOf(choice.getTrueValue()), rangeOf(choice.getFalseValue()));
    if (auto least = dyn_cast<arith::MinUIOp>(op))
      if (const auto most = constant(least.getRhs()))
        return atMost(rangeIfKnown(least.getLhs()), *most);
    if (op->getNumOperands() != 2)
      return unknown();
    const Range a = rangeOf(op->getOperand(0)), b = rangeOf(op->getOperand(1));
    if (isa<arith::AddIOp>(op))
      return sum(a, b);
    if (isa<arith::SubIOp>(op))
      return sum(a, {-b.last(), b.step, b.count});
    if (isa<arith::MulIOp>(op) && (a.count == 1 || b.count == 1)) {
      const Range &many = a.count == 1 ? b : a;
      const int64_t factor = a.count == 1 ? a.first : b.first;
      return {many.first * factor, many.count > 1 ? many.step * factor : 1, many.count};
    }
    if (b.count == 1 && b.first > 0 && isa<arith::DivUIOp>(op))
      return quotient(a, b.first);
    if (b.count == 1 && b.first > 0 && isa<arith::RemUIOp>(op))
      return remainder(a, b.first);
    return unknown();
  }
  Range unknown() {
    known = false;
    return {};
  }

  // --- accesses ------------------------------------------------------------------------------------------------------

  void access(Value memory, ValueRange indices, int64_t width, bool write) {
    if (memory.getDefiningOp<memref::AllocaOp>()) // that threads of a block share
      return;
    auto place = dyn_cast<BlockArgument>(memory);
    if (!place || place.getOwner() != &kernel.getFunctionBody().front()) {
      known = false;
      return;
    }
    const unsigned number = place.getArgNumber();
    Argument &argument = arguments[number];
    uint64_t &bytes = write ? argument.written : argument.read;
    if (isCache(number)) {
      bytes = std::max(bytes, cacheBytes(number, inPositions ? visible() : load.tokens));
      return;
    }
    if (isTable(number)) {
      const uint64_t end = load.length, begin = end - (inPositions ? visible() : load.tokens);
      bytes = std::max<uint64_t>(bytes, ((end - 1) / kBlock - begin / kBlock + 1) * elementBytes(number));
      return;
    }
    auto &all = write ? argument.writes : argument.reads;
    SmallVector<Range> here;
    for (auto [index, size] : llvm::zip(indices, dimsOf(number))) {
      Range range = rangeOf(index);
      if (width > 1 && here.size() + 1 == indices.size())
        range = range.step <= width || range.count == 1 ? spanning(range.first, range.last() + width - 1, 1) : range;
      known &= size <= 0 || (range.first < size && range.last() >= 0);
      if (size > 0 && known && (range.first < 0 || range.last() >= size)) // widened beyond what there is
        range = spanning(std::max<int64_t>(range.first, 0), std::min(range.last(), size - 1), range.step);
      here.push_back(range);
    }
    if (!all)
      all = here;
    for (auto [together, range] : llvm::zip(*all, here))
      together = hull(together, range);
    bytes = elementBytes(number);
    for (const Range &range : *all)
      bytes *= range.count;
  }

  /// The numbers that `high` and `low` are the quotient and the remainder of by one constant; null: they are not.
  Value dividend(Value high, Value low) {
    auto div = high.getDefiningOp<arith::DivUIOp>();
    auto rem = low.getDefiningOp<arith::RemUIOp>();
    if (!div || !rem || div.getLhs() != rem.getLhs() || constant(div.getRhs()) != constant(rem.getRhs()))
      return {};
    return div.getLhs();
  }

  void unpack(tile::UnpackQuadOp op) {
    auto place = dyn_cast<BlockArgument>(op.getBlocks());
    auto type = dyn_cast<BlockType>(cast<MemRefType>(op.getBlocks().getType()).getElementType());
    if (!place || !type || op.getIndices().size() != 2) {
      known = false;
      return;
    }
    Value row = dividend(op.getIndices()[0], op.getRow());
    const uint64_t rows = row ? rangeOf(row).count : rangeOf(op.getIndices()[0]).count * rangeOf(op.getRow()).count;
    uint64_t quads = rangeOf(op.getIndices()[1]).count * rangeOf(op.getQuad()).count;
    // A number of one column alone: (column mod columns of a block) / 4, in block column / columns.
    if (auto quad = op.getQuad().getDefiningOp<arith::DivUIOp>())
      if (Value column = dividend(op.getIndices()[1], quad.getLhs()))
        quads = quotient(rangeOf(column), kQuadColumns).count;
    const BlockFormat &format = type.getFormat();
    const uint64_t columnsOfBlock = packedBlock(*type.getLayout(), format).columns;
    const uint64_t bytes = format.isQuantised() ? rows * llvm::divideCeil(quads * kQuadColumns, columnsOfBlock) *
                                                      (type.getBytes() / type.getRows())
                                                : rows * quads * kQuadColumns * format.bytes;
    Argument &argument = arguments[place.getArgNumber()];
    argument.read = std::max(argument.read, bytes);
  }

  // --- work ----------------------------------------------------------------------------------------------------------

  /// Products, sums, comparisons and functions of numbers.
  static uint64_t operationsOf(Operation &op) {
    if (isa<math::FmaOp>(op))
      return 2;
    if (auto quad = dyn_cast<tile::UnpackQuadOp>(op)) { // a product for each number, with a sum where there are minima
      auto type = cast<BlockType>(cast<MemRefType>(quad.getBlocks().getType()).getElementType());
      const BlockFormat &format = type.getFormat();
      const PackedBlock packed = packedBlock(*type.getLayout(), format);
      if (!format.isQuantised())
        return 0;
      return kQuadColumns * (packed.m.exists() ? 2 : 1) + packed.scales.exists() + packed.minimums.exists();
    }
    StringRef dialect = op.getName().getDialectNamespace();
    if (op.getNumResults() != 1 || (dialect != "arith" && dialect != "math") ||
        isa<arith::ConstantOp, arith::SelectOp, arith::ExtFOp, arith::TruncFOp, arith::BitcastOp>(op))
      return 0;
    return llvm::any_of(op.getOperandTypes(), [](Type type) { return isa<FloatType>(type); });
  }

  bool isPositions(scf::ForOp loop) { return !constant(loop.getLowerBound()) || !constant(loop.getUpperBound()); }
  uint64_t trips(scf::ForOp loop) {
    return isPositions(loop) ? most()
                             : llvm::divideCeil(*constant(loop.getUpperBound()) - *constant(loop.getLowerBound()),
                                                std::max<int64_t>(1, constant(loop.getStep()).value_or(1)));
  }

  void walk(Block &block, double times) {
    for (Operation &op : block) {
      operations += times * double(operationsOf(op));
      if (auto read = dyn_cast<memref::LoadOp>(op)) {
        access(read.getMemRef(), read.getIndices(), 1, false);
      } else if (auto write = dyn_cast<memref::StoreOp>(op)) {
        access(write.getMemRef(), write.getIndices(), 1, true);
      } else if (auto quad = dyn_cast<vector::LoadOp>(op)) {
        access(quad.getBase(), quad.getIndices(), quad.getVectorType().getNumElements(), false);
      } else if (auto weights = dyn_cast<tile::UnpackQuadOp>(op)) {
        unpack(weights);
      } else if (auto loop = dyn_cast<scf::ForOp>(op)) {
        walkLoop(loop, times);
      } else if (auto choice = dyn_cast<scf::IfOp>(op)) {
        walkChoice(choice, times);
      } else if (op.getNumRegions() || !isMemoryEffectFree(&op)) {
        known &= isa<scf::ReduceOp, scf::YieldOp, gpu::BarrierOp>(op);
      }
    }
  }

  /// Where what is chosen by is whether one number of the launch is below another, each side has its part of the
  /// numbers and runs as often as there are any; a side without a number does not run.
  void walkChoice(scf::IfOp choice, double times) {
    auto below = choice.getCondition().getDefiningOp<arith::CmpIOp>();
    const auto end = below ? constant(below.getRhs()) : std::nullopt;
    const Range all =
        end && below.getPredicate() == arith::CmpIPredicate::ult ? rangeIfKnown(below.getLhs()) : Range{-1};
    const bool isCut = all.first >= 0 && all.step >= 0 && *end >= 0; // as unsigned numbers they are the same
    int64_t before = all.count;                                      // of which so many are below the end
    if (isCut && (all.step || all.first >= *end))
      before = all.first >= *end ? 0 : std::min<int64_t>(all.count, llvm::divideCeil(*end - all.first, all.step));
    auto side = [&](Block *block, const Range &part) {
      if (!block || (isCut && part.count == 0))
        return;
      const llvm::DenseMap<Value, Range> outside = ranges; // what is first used in one side is another in the other
      if (isCut)
        ranges[below.getLhs()] = part;
      walk(*block, isCut ? times * double(part.count) / double(all.count) : times);
      ranges = outside;
    };
    side(choice.thenBlock(), {all.first, all.step, before});
    side(choice.elseBlock(), {all.first + before * all.step, all.step, all.count - before});
  }

  void walkLoop(scf::ForOp loop, double times) {
    if (!isPositions(loop)) {
      ranges[loop.getInductionVar()] = {*constant(loop.getLowerBound()),
                                        std::max<int64_t>(1, constant(loop.getStep()).value_or(1)),
                                        std::max<int64_t>(1, int64_t(trips(loop)))};
      return walk(*loop.getBody(), times * double(trips(loop)));
    }
    ranges[loop.getInductionVar()] = {int64_t(load.length - visible()), 1, int64_t(visible())};
    inPositions = true;
    walk(*loop.getBody(), times * pairs() / double(load.tokens));
    inPositions = false;
  }

  /// The most operations of one run of `block` that wait for each other. Loads and whole numbers take no part.
  uint64_t criticalPath(Block &block) {
    llvm::DenseMap<Value, uint64_t> depth;
    uint64_t most = 0;
    for (Operation &op : block) {
      uint64_t before = 0, own = operationsOf(op) ? 1 : 0;
      for (Value operand : op.getOperands())
        before = std::max(before, depth.lookup(operand));
      llvm::SetVector<Value> captured;
      getUsedValuesDefinedAbove(op.getRegions(), captured);
      for (Value value : captured)
        before = std::max(before, depth.lookup(value));
      if (auto loop = dyn_cast<scf::ForOp>(op))
        own = trips(loop) *
              (loop.getBody()->getOps<scf::ForOp>().empty() ? carried(loop) : criticalPath(*loop.getBody()));
      else if (auto choice = dyn_cast<scf::IfOp>(op))
        own = std::max(criticalPath(*choice.thenBlock()), choice.elseBlock() ? criticalPath(*choice.elseBlock()) : 0);
      for (Value result : op.getResults())
        depth[result] = before + own;
      most = std::max(most, before + own);
    }
    return most;
  }

  /// Operations of an innermost loop's turn that wait for the turn before.
  uint64_t carried(scf::ForOp loop) {
    llvm::DenseMap<Value, int64_t> depth; // of what the turn before reaches
    for (Value start : loop.getRegionIterArgs())
      depth[start] = 0;
    for (Operation &op : loop.getBody()->without_terminator()) {
      int64_t before = -1;
      for (Value operand : op.getOperands())
        if (auto found = depth.find(operand); found != depth.end())
          before = std::max(before, found->second);
      if (before >= 0)
        for (Value result : op.getResults())
          depth[result] = before + (operationsOf(op) ? 1 : 0);
    }
    int64_t most = 0;
    for (Value next : loop.getBody()->getTerminator()->getOperands())
      if (auto found = depth.find(next); found != depth.end())
        most = std::max(most, found->second);
    return uint64_t(most);
  }

  FunctionOpInterface kernel;
  DispatchOp dispatch;
  const StepLoad &load;
  const uint64_t window, columns;
  DispatchTraffic &out;
  std::vector<Argument> arguments;
  llvm::DenseMap<Value, Range> ranges;
  double operations = 0;
  bool known = true, inPositions = false;
};

} // namespace

void measureOperands(FunctionOpInterface kernel, DispatchOp dispatch, const StepLoad &load, DispatchTraffic &traffic) {
  traffic = {};
  Launch(kernel, dispatch, load, 0, 0, traffic).takeOperands();
}

bool measureLaunch(FunctionOpInterface kernel, DispatchOp dispatch, const StepLoad &load, uint64_t window,
                   uint64_t columns, DispatchTraffic &traffic) {
  DispatchTraffic measured;
  if (Launch(kernel, dispatch, load, window, columns, measured).run()) {
    traffic = measured;
    return true;
  }
  traffic = {};
  Launch(kernel, dispatch, load, window, columns, traffic).takeOperands();
  return false;
}

} // namespace stepdown
