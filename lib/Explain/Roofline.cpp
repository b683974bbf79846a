// What a kernel must move and compute, whatever its code does: each operand is read once and each result written once.
// Operations count each multiplication, addition, comparison and function of a value as one.
#include "dialects/Transformer/IR/CachedRows.h"
#include "lib/Explain/Report.h"
#include <algorithm>

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {
namespace {

/// A batch of `tokens` at the end of a sequence of `length` positions.
struct Load {
  uint64_t tokens, length, rows;

  /// Positions that some token of it sees.
  uint64_t positions(uint64_t window) const { return window ? std::min(length, tokens + window - 1) : length; }
  /// Pairs of a token and a position it sees.
  uint64_t pairs(uint64_t window) const {
    uint64_t sum = 0;
    for (uint64_t p = length - tokens; p < length; ++p)
      sum += window ? std::min(p + 1, window) : p + 1;
    return sum;
  }
};

uint64_t matrixBytes(RankedTensorType type, uint64_t rows, const Layout &layout) {
  auto block = cast<BlockType>(type.getElementType());
  const uint64_t tile = packedBytes(layout, block.getFormat(), layout.rows, type.getDimSize(1) * block.getElements());
  return rows * tile / layout.rows;
}

uint64_t cacheBytes(CacheType type, uint64_t positions) { return positions * cachedBytes(type); }

/// Bytes of `value` that a kernel reads or writes for `count` tokens or rows.
uint64_t bytesOf(Type type, uint64_t count, const Layout &layout) {
  if (isa<BatchType>(type))
    return count * 8; // position and sequence
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor)
    return 0; // caches: the operations inside say what they touch
  if (isa<BlockType>(tensor.getElementType()))
    return matrixBytes(tensor, tilesOf(layout, tensor.getDimSize(0)) * layout.rows, layout);
  if (auto block = dyn_cast<ActivationType>(tensor.getElementType()))
    return count * tensor.getDimSize(1) * (block.getBytes() / block.getTokens());
  uint64_t bytes = 4;
  for (int64_t size : tensor.getShape())
    bytes *= ShapedType::isDynamic(size) ? count : size;
  return bytes;
}

uint64_t operationsOf(Operation *op, const Load &load, uint64_t count) {
  auto columns = [&](Value value) { return uint64_t(cast<RankedTensorType>(value.getType()).getDimSize(1)); };
  if (isa<LinearOp, LogitsOp>(op)) {
    auto weight = cast<RankedTensorType>(op->getOperand(1).getType());
    const uint64_t in = weight.getDimSize(1) * cast<BlockType>(weight.getElementType()).getElements();
    return count * weight.getDimSize(0) * (2 * in + (op->getNumOperands() > 2));
  }
  if (auto experts = dyn_cast<ExpertLinearOp>(op)) // of the experts of each token
    return count * columns(experts.getResult()) *
           (2 * stepdown::transformer::columns(experts.getWeight().getType()) + bool(experts.getBias()));
  if (auto attention = dyn_cast<AttentionOp>(op)) {
    CacheType cache = attention.getCache().getType();
    const uint64_t heads = columns(attention.getQ()) / cache.getKey();
    // Products with keys and values; scale, maximum, exponential and sum of each score.
    const uint64_t pairs = attention.getCausal() ? load.pairs(attention.getWindow()) : load.tokens * load.length;
    return heads * pairs * (2 * (cache.getKey() + cache.getValue()) + 4);
  }
  if (isa<SelectRowsOp, KVAppendOp, KernelOp, YieldOp>(op) || op->getNumResults() == 0)
    return 0;
  if (auto quantize = dyn_cast<QuantizeOp>(op)) {
    // Magnitude or remainder, product and rounding for each code; q8o2 also finds and splits the largest; floats are
    // only moved.
    auto element = cast<RankedTensorType>(quantize.getResult().getType()).getElementType();
    auto block = cast<ActivationType>(element);
    return (block.isFloat() ? 0 : block.getElement() == "q8" ? 3 : 6) * count * columns(quantize.getX());
  }
  if (!isRows(op->getResult(0).getType()))
    return 0;
  const uint64_t values = count * columns(op->getResult(0));
  if (auto rope = dyn_cast<RopeOp>(op)) // four products and two sums a pair
    return values / rope.getHeadDim() * rope.getInverseFrequencies().size() * 6;
  if (isa<RMSNormOp, ActivationOp>(op))
    return 4 * values;
  if (isa<LayerNormOp>(op))
    return 7 * values;
  if (isa<GatedActivationOp>(op))
    return 5 * values;
  if (auto combine = dyn_cast<CombineExpertsOp>(op)) // a product and a sum of each expert's
    return 2 * count * columns(combine.getX());
  if (auto adapt = dyn_cast<AdaptOp>(op)) // where every token has an adapter
    return 2 * count * uint64_t(adapt.getUp().getType().getDimSize(1)) *
               (columns(adapt.getOf()) + columns(adapt.getX())) +
           values;
  return values; // embedding, add
}

KernelTraffic measure(KernelOp kernel, const Load &load, bool byRows, const Layout &layout) {
  KernelTraffic out;
  const uint64_t count = byRows ? load.rows : load.tokens;
  out.tokens = count;
  llvm::SmallDenseSet<Value> gathered; // tables of which only the rows of the tokens are read
  for (Operation &op : kernel.getBody().front()) {
    out.operations += operationsOf(&op, load, count);
    if (auto embedding = dyn_cast<EmbeddingOp>(op)) {
      gathered.insert(embedding.getTable());
      out.read += matrixBytes(cast<RankedTensorType>(embedding.getTable().getType()), count, layout);
    } else if (auto experts = dyn_cast<ExpertLinearOp>(op)) { // at most as many as tokens have
      auto type = cast<RankedTensorType>(experts.getWeight().getType());
      const uint64_t most = std::min<uint64_t>(count * uint64_t(experts.getRanks()), experts.getExperts());
      gathered.insert(experts.getWeight());
      out.read += matrixBytes(type, most * uint64_t(experts.getRowsOfExpert()), layout);
      if (experts.getBias()) {
        gathered.insert(experts.getBias());
        out.read += most * uint64_t(experts.getRowsOfExpert()) * sizeof(float);
      }
    } else if (auto adapt = dyn_cast<AdaptOp>(op)) { // at most as many slots as tokens have
      for (Value slots : {adapt.getDown(), adapt.getUp()}) {
        auto type = cast<RankedTensorType>(slots.getType());
        gathered.insert(slots);
        out.read += 2 * std::min<uint64_t>(count, type.getDimSize(0)) * type.getDimSize(1) * type.getDimSize(2);
      }
    } else if (auto append = dyn_cast<KVAppendOp>(op)) {
      out.written += cacheBytes(append.getCache().getType(), count);
    } else if (auto attention = dyn_cast<AttentionOp>(op)) {
      out.read += cacheBytes(attention.getCache().getType(), load.positions(attention.getWindow()));
    }
  }
  for (auto [input, argument] : llvm::zip(kernel.getInputs(), kernel.getBody().front().getArguments())) {
    if (gathered.contains(argument))
      continue;
    auto table = input.getDefiningOp<RopeTableOp>();
    auto type = dyn_cast<RankedTensorType>(input.getType());
    if (table && type) // one row a token at most
      out.read += std::min<uint64_t>(count, type.getDimSize(0)) * type.getDimSize(1) * type.getDimSize(2) * 4;
    else
      out.read += bytesOf(input.getType(), count, layout);
  }
  for (Value output : kernel.getOutputs())
    out.written += bytesOf(output.getType(), count, layout);
  return out;
}

} // namespace

void measureKernels(ModuleOp fused, const Layout &layout, FusionReport &report) {
  auto model = fused->getAttrOfType<ModelAttr>(modelAttrName);
  const uint64_t length = std::min<uint64_t>(512, model ? model.getPositions() : 512);
  llvm::StringMap<uint64_t> times;
  fused.walk([&](LayersOp layers) {
    for (int64_t kind : layers.getOrder())
      ++times[cast<FlatSymbolRefAttr>(layers.getKinds()[kind]).getValue()];
  });
  size_t next = 0;
  for (auto function : fused.getOps<func::FuncOp>()) {
    llvm::DenseSet<Value> rows; // values with a row for each wanted row of logits
    for (auto layers : function.getOps<LayersOp>())
      if (layers.getRows())
        rows.insert(layers.getResult());
    for (auto kernel : function.getOps<KernelOp>()) {
      ExplainedKernel &row = report.kernels[next++];
      auto at = times.find(function.getName());
      row.times = at == times.end() ? 1 : at->second;
      row.byRows = llvm::any_of(kernel.getInputs(), [&](Value input) { return rows.contains(input); }) ||
                   llvm::any_of(kernel.getBody().front(), [](Operation &op) { return isa<SelectRowsOp>(op); });
      if (row.byRows)
        rows.insert(kernel.getOutputs().begin(), kernel.getOutputs().end());
      row.one = measure(kernel, {1, length, 1}, row.byRows, layout);
      row.many = measure(kernel, {length, length, 1}, row.byRows, layout);
    }
  }
}

} // namespace stepdown
