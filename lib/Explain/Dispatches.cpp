#include "lib/Explain/Dispatches.h"
#include "dialects/Tile/IR/TileOps.h"
#include "lib/Explain/ExpertTraffic.h"
#include "lib/Explain/Footprint.h"
#include "lib/Explain/SplitTraffic.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/MathExtras.h"
#include <algorithm>

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {
namespace {

constexpr uint64_t kPositions = 512;

/// `load` as a work-group has it, which computes for one token: the average one.
StepLoad ofGroup(const StepLoad &load) { return {1, load.length - (load.tokens - 1) / 2, 1}; }

DispatchTraffic measure(FunctionOpInterface kernel, DispatchOp dispatch, const StepLoad &load, uint64_t window,
                        ExplainedDispatch &row) {
  DispatchTraffic all, group;
  auto launch = kernel->getAttrOfType<DenseI64ArrayAttr>(tile::kGridAttr);
  const uint64_t count = row.byRows ? load.rows : load.tokens, threads = launch ? launch[1] : 1;
  row.columns = launch ? launch[0] : 1;
  if (kernel->hasAttr(tile::kSplitsAttr))
    return measureSplits(kernel, dispatch, load, window);
  if (kernel->hasAttr(tile::kExpertsAttr))
    return measureExperts(kernel, dispatch, count);
  const uint64_t across = llvm::divideCeil(row.columns, threads);
  if (!measureLaunch(kernel, dispatch, load, window, row.columns, all)) {
    row.byOperands = true;
    all.asked = all.read();
  } else {
    measureLaunch(kernel, dispatch, ofGroup(load), window, llvm::divideCeil(row.columns, across), group);
    all.asked = group.read() * across * count;
  }
  all.threads = threads;
  all.grid[0] = count, all.grid[1] = across;
  return all;
}

/// Instructions that take a weight out of its block and round it to binary16, as numbers' operations are counted: two
/// for an instruction, of which Q4_0 takes 436 for 128 weights and Q4_K 783 (docs/decisions/quantised-products.md).
constexpr uint64_t kUnpacking = 7;

/// Of products with quantised weights: each work-group reads its rows of the weight for its tile of tokens.
DispatchTraffic measureTiles(tile::KernelOp kernel, DispatchOp dispatch, const StepLoad &load, ExplainedDispatch &row) {
  DispatchTraffic all;
  measureOperands(kernel, dispatch, load, all);
  auto launch = kernel->getAttrOfType<DenseI64ArrayAttr>(tile::kGridAttr);
  row.ofTiles = true;
  row.columns = 0;
  uint64_t across = 0; // of all products, of which the arguments of some may stand for others
  const int64_t inputs = dispatch.getInputs().size(), products = launch.size() > 4 ? launch[4] : 1;
  llvm::SmallDenseSet<int64_t> seen;
  for (auto [argument, dims] : llvm::enumerate(dispatch.getDims().getAsRange<DenseI64ArrayAttr>()))
    if (const int64_t source = dispatch.getSources()[2 * argument]; source >= inputs && seen.insert(source).second)
      row.columns += dims[1], across += llvm::divideCeil(dims[1], launch[0]);
  const uint64_t count = row.byRows ? load.rows : load.tokens, tileTokens = launch[3];
  const uint64_t tiles = llvm::divideCeil(count, tileTokens);
  const uint64_t inner = cast<DenseI64ArrayAttr>(dispatch.getDims()[products])[1], weights = row.columns * inner;
  all.threads = launch[1];
  all.grid[0] = across, all.grid[1] = tiles;
  // What is added to a product each work-group reads where it stores.
  const bool adds = kernel.getNumArguments() > uint64_t(2 * products + 2);
  const uint64_t addend = adds ? count * row.columns * sizeof(float) : 0;
  all.asked = all.weightsRead * tiles + (all.otherRead - addend) * across + addend;
  all.operations = kUnpacking * weights * tiles;
  all.products = 2 * weights * tiles * tileTokens;
  return all;
}

/// The function of `dispatch` for so many tokens or rows: that of their bucket, or the last one before it.
FunctionOpInterface variantFor(ModuleOp kernels, DispatchOp dispatch, uint64_t count, const Target &target,
                               uint64_t &variant) {
  FunctionOpInterface found;
  for (auto [number, bucket] : llvm::enumerate(target.buckets)) {
    auto kernel = kernels.lookupSymbol<FunctionOpInterface>((dispatch.getKernel() + "_b" + Twine(number)).str());
    if (kernel && (!found || uint64_t(bucket.minTokens) <= count))
      found = kernel, variant = number;
  }
  return found;
}

} // namespace

DispatchReport explainDispatches(ModuleOp module, const Target &target) {
  DispatchReport report;
  report.device = target.device;
  report.chip = target.chip ? target.chip : "";
  auto model = module->getAttrOfType<ModelAttr>(modelAttrName);
  const uint64_t length = std::min<uint64_t>(kPositions, model ? model.getPositions() : kPositions);
  report.one = {1, length, 1};
  report.many = {length, length, 1};
  auto kernels = module.lookupSymbol<ModuleOp>("kernels");
  llvm::StringMap<uint64_t> times;
  module.walk([&](LayersOp layers) {
    for (int64_t kind : layers.getOrder())
      ++times[cast<FlatSymbolRefAttr>(layers.getKinds()[kind]).getValue()];
  });
  for (auto function : module.getOps<func::FuncOp>())
    for (auto dispatch : function.getOps<DispatchOp>()) {
      ExplainedDispatch row;
      row.function = function.getName().str();
      row.kernel = dispatch.getKernel().str();
      row.byRows = dispatch.getByRows();
      if (auto layer = times.find(function.getName()); layer != times.end())
        row.times = layer->second;
      uint64_t window = 0;
      if (auto noted = function->getAttrOfType<IntegerAttr>(kWindowAttr))
        window = noted.getInt();
      for (auto [load, traffic] : {std::pair(&report.one, &row.one), std::pair(&report.many, &row.many)}) {
        uint64_t variant = 0;
        auto kernel = variantFor(kernels, dispatch, row.byRows ? load->rows : load->tokens, target, variant);
        assert(kernel && "a dispatch has a kernel for the first bucket");
        auto tiles = dyn_cast<tile::KernelOp>(kernel.getOperation());
        *traffic = tiles ? measureTiles(tiles, dispatch, *load, row) : measure(kernel, dispatch, *load, window, row);
        traffic->variant = variant;
      }
      report.dispatches.push_back(std::move(row));
    }
  return report;
}

const char *nameOf(Bound bound) {
  switch (bound) {
  case Bound::Memory:
    return "memory";
  case Bound::Cache:
    return "cache";
  case Bound::Operations:
    return "operations";
  case Bound::Products:
    return "products";
  case Bound::Chain:
    return "chain";
  case Bound::Launch:
    return "launch";
  }
  return "";
}

Prediction predict(const DispatchTraffic &traffic, const Machine &machine) {
  const uint64_t groups = traffic.busy ? traffic.busy : traffic.groups();
  if (groups == 0)
    return {0, Bound::Launch}; // is not launched
  // Units that have a work-group, and lanes of them that have a thread: a machine's float32 rate is that of two
  // operations a lane and clock.
  const double units = double(std::min<uint64_t>(groups, machine.units));
  const double lanes = machine.float32 / (2 * machine.clock * machine.units);
  const double resident = std::min(1.0, double(traffic.threads) * double(groups) / (units * lanes));
  const double unitRate = units * machine.unitBytes * machine.clock;
  const std::pair<double, Bound> bounds[] = {
      {double(traffic.read() + traffic.written()) / std::min(machine.bandwidth, unitRate), Bound::Memory},
      {double(traffic.asked) / unitRate, Bound::Cache},
      {double(traffic.operations) / (machine.float32 * units / machine.units * resident), Bound::Operations},
      {double(traffic.products) / (machine.float16 * units / machine.units), Bound::Products},
      {double(traffic.chain) * machine.latency / machine.clock, Bound::Chain}};
  const auto longest = *std::max_element(std::begin(bounds), std::end(bounds),
                                         [](const auto &a, const auto &b) { return a.first < b.first; });
  return {machine.launch + longest.first, longest.first < machine.launch ? Bound::Launch : longest.second};
}

double predictStep(const DispatchReport &report, bool many, const Machine &machine, bool replayed) {
  Machine as = machine;
  if (replayed)
    as.launch = machine.replay;
  double seconds = 0;
  for (const ExplainedDispatch &dispatch : report.dispatches)
    seconds += double(dispatch.times) * predict(many ? dispatch.many : dispatch.one, as).seconds;
  return seconds;
}

} // namespace stepdown
