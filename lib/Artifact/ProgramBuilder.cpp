// Walks @step and the layer kinds. A value lies in a buffer of the arena unless it is an input, a weight or a cache;
// the residual stream has one buffer for the whole step, which every layer reads and leaves its result in. The buffers
// of the entry, of each kind and of the exit share the bytes behind it, since only one of them runs at a time; inside a
// run a buffer's bytes are free again after its last reader (first fit).
#include "lib/Artifact/ProgramBuilder.h"
#include "dialects/Transformer/IR/CachedRows.h"
#include "include/stepdown/CacheDims.h"
#include "lib/Checkpoint/BlockFormat.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/MathExtras.h"
#include <algorithm>
#include <cmath>

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {
namespace {

uint32_t elementOf(CacheType cache) {
  return hasBlocks(cache)                            ? STEPDOWN_CACHED_Q8_0
         : isa<Float8E4M3FNType>(cache.getElement()) ? STEPDOWN_CACHED_E4M3
         : cache.getElement().isF32()                ? uint32_t(STEPDOWN_F32)
                                                     : uint32_t(STEPDOWN_F16);
}

struct Place {
  stepdown_place place = STEPDOWN_AT_BUFFER;
  uint32_t index = 0;
};

class Builder {
public:
  Builder(ModuleOp module, const Target &target, int64_t maxTokens, bool exact)
      : module(module), target(target), layout(*target.layout), exact(exact) {
    int64_t tile = 1;
    program.alignment = layout.alignment;
    for (const Bucket &bucket : target.buckets) {
      program.buckets.push_back({uint32_t(bucket.minTokens), uint32_t(bucket.tile)});
      tile = std::max<int64_t>(tile, bucket.tile);
    }
    rows = llvm::alignTo(maxTokens, tile);
    program.header.max_step_tokens = program.header.max_step_rows = maxTokens;
  }

  Result<BuiltProgram> build();

private:
  struct Run {
    std::vector<std::string> slots;   ///< per-layer weights, `{layer}` in the name
    std::vector<Operation *> slotOps; ///< weights and matrices of adapters
    uint32_t first = 0, count = 0;
    CacheType cache;
    uint32_t window = 0;
  };

  Error wrong(Operation *op, const char *what) {
    std::string text;
    llvm::raw_string_ostream(text) << op->getName() << ": " << what;
    return fail(ErrorCode::ProgramShape, "the step program cannot be written: %s", text.c_str());
  }

  Status walk(Operation *from, Operation *to, Run &run);
  Status dispatch(DispatchOp op, Run &run);
  void handOver(LayersOp layers);
  Result<Place> placeOf(Value value, int64_t part, Run &run);
  uint64_t bufferBytes(Type type);
  uint32_t buffer(Value value, StringRef name, Operation *last);
  uint32_t weight(WeightOp op, int64_t layer);
  uint32_t adapter(AdapterOp op, int64_t layer);
  template <typename Op> Place slotOf(Op op, Run &run, uint32_t (Builder::*stored)(Op, int64_t));
  uint32_t table(RopeTableOp op);
  uint32_t newBuffer(const std::string &name, uint64_t offset, uint64_t bytes);
  Result<uint32_t> kernel(DispatchOp op, const std::vector<stepdown_operand> &operands);
  static bool isTrivial(Operation *op) {
    return isa<WeightOp, AdapterOp, RopeTableOp, PositionsOp, AdapterSlotsOp, func::ReturnOp, LayersOp>(op);
  }

  ModuleOp module;
  const Target &target;
  const Layout &layout;
  bool exact;
  bool seesAll = false; ///< attention of an encoder was met
  int64_t rows;
  BuiltProgram program;
  llvm::DenseMap<Value, Place> places;
  llvm::DenseMap<Value, uint32_t> bufferOf;
  std::map<std::tuple<std::string, int64_t, size_t, size_t>, uint32_t> weightIndex; ///< tensor, first row, groups
  std::map<std::string, uint32_t> kernelIndex; ///< by name and what its variants are compiled for
  struct Live {
    uint64_t offset, bytes;
    Operation *last;
  };
  std::vector<Live> live; ///< of the current run
  uint64_t base = 0, high = 0;
  uint32_t residual = 0;
  Value logits;
};

uint32_t Builder::newBuffer(const std::string &name, uint64_t offset, uint64_t bytes) {
  program.buffers.push_back({0, 0, offset, bytes});
  program.bufferNames.push_back(name);
  return program.buffers.size() - 1;
}

/// Bytes of a buffer for an activation of the largest step, and behind it as many as kernels may read.
uint64_t Builder::bufferBytes(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  uint64_t bytes = rows * llvm::alignTo(tensor.getDimSize(1), layout.rows) * 4;
  if (auto block = dyn_cast<ActivationType>(tensor.getElementType()))
    bytes = rows * tensor.getDimSize(1) * (block.getBytes() / block.getTokens());
  return llvm::alignTo(bytes + layout.alignment, layout.alignment);
}

/// A buffer for `value` in the current run, live until `last`.
uint32_t Builder::buffer(Value value, StringRef name, Operation *last) {
  const uint64_t bytes = bufferBytes(value.getType());
  Operation *now = value.getDefiningOp();
  llvm::erase_if(live, [&](const Live &l) { return l.last->isBeforeInBlock(now); });
  llvm::sort(live, [](const Live &a, const Live &c) { return a.offset < c.offset; });
  uint64_t offset = base;
  for (const Live &l : live) {
    if (offset + bytes <= l.offset)
      break;
    offset = std::max(offset, l.offset + l.bytes);
  }
  live.push_back({offset, bytes, last});
  high = std::max(high, offset + bytes);
  return newBuffer(name.str(), offset, bytes);
}

uint32_t Builder::weight(WeightOp op, int64_t layer) {
  auto type = cast<RankedTensorType>(op.getResult().getType());
  ProgramWeight w;
  w.tensor = op.getTensorName(layer);
  if (auto range = op.getRows())
    w.firstRow = (*range)[0];
  if (auto groups = op.getGroups())
    w.padding.group = (*groups)[0], w.padding.groupRoom = (*groups)[1];
  if (op.getColumns())
    w.padding.columns = columns(type);
  auto [entry, isNew] = weightIndex.try_emplace({w.tensor, w.firstRow, w.padding.group, w.padding.groupRoom},
                                                uint32_t(program.weights.size()));
  if (!isNew)
    return entry->second;
  if (auto block = dyn_cast<BlockType>(type.getElementType())) {
    w.dims = {op.getStoredColumns(), op.getStoredRows()};
    w.storage = uint32_t(block.getFormat().storage);
    w.layout = &layout;
  } else {
    w.dims = {op.getStoredRows()};
    w.storage = uint32_t(Storage::F32);
  }
  program.weights.push_back(std::move(w));
  return entry->second;
}

uint32_t Builder::adapter(AdapterOp op, int64_t layer) {
  ProgramWeight w;
  w.tensor = op.getName(layer);
  w.isAdapter = true;
  auto groups = op.getGroups();
  w.padding.group = groups ? (*groups)[0] : 1, w.padding.groupRoom = groups ? (*groups)[1] : 1;
  auto [entry, isNew] =
      weightIndex.try_emplace({w.tensor, 0, w.padding.group, w.padding.groupRoom}, uint32_t(program.weights.size()));
  if (!isNew)
    return entry->second;
  const ArrayRef<int64_t> shape = op.getResult().getType().getShape();
  w.dims.assign(shape.rbegin(), shape.rend());
  w.storage = uint32_t(Storage::F16);
  program.weights.push_back(std::move(w));
  return entry->second;
}

uint32_t Builder::table(RopeTableOp op) {
  std::string name;
  llvm::raw_string_ostream stream(name);
  stream << "rope_table[" << op.getStride() << ", " << op.getFactor();
  for (double f : op.getInverseFrequencies())
    stream << ", " << llvm::format("%.17g", f);
  stream << "]";
  auto [entry, isNew] = weightIndex.try_emplace({name, -1, 1, 1}, uint32_t(program.weights.size()));
  if (!isNew)
    return entry->second;
  auto type = cast<RankedTensorType>(op.getResult().getType());
  const int64_t count = type.getDimSize(0), pairs = type.getDimSize(2);
  const double factor = op.getFactor().convertToDouble();
  ProgramWeight w;
  w.tensor = "rope_table." + std::to_string(program.weights.size());
  w.dims = {pairs, 2, count};
  w.storage = uint32_t(Storage::F32);
  for (int64_t i = 0; i < count; ++i)
    for (int part = 0; part < 2; ++part)
      for (int64_t k = 0; k < pairs; ++k) {
        double angle = double(i * op.getStride()) * op.getInverseFrequencies()[k];
        w.table.push_back(float(factor * (part ? std::sin(angle) : std::cos(angle))));
      }
  program.weights.push_back(std::move(w));
  return entry->second;
}

/// Where `op` lies, which `stored` adds to the program's weights: of a layer, by the number that it has in its list.
template <typename Op> Place Builder::slotOf(Op op, Run &run, uint32_t (Builder::*stored)(Op, int64_t)) {
  if (!op.isPerLayer())
    return {STEPDOWN_AT_WEIGHT, (this->*stored)(op, 0)};
  const auto known = llvm::find(run.slotOps, op.getOperation());
  const uint32_t number = known - run.slotOps.begin();
  if (known == run.slotOps.end())
    run.slotOps.push_back(op);
  return {STEPDOWN_AT_LAYER_WEIGHT, number};
}

Result<Place> Builder::placeOf(Value value, int64_t part, Run &run) {
  if (isa<BatchType>(value.getType())) {
    static const stepdown_place parts[] = {STEPDOWN_AT_POSITIONS, STEPDOWN_AT_SEQUENCES, STEPDOWN_AT_BLOCK_TABLE,
                                           STEPDOWN_AT_LAST};
    seesAll |= parts[part] == STEPDOWN_AT_LAST;
    return Place{parts[part], 0};
  }
  if (isa<CacheType>(value.getType()))
    return Place{part ? STEPDOWN_AT_VALUES : STEPDOWN_AT_KEYS, 0};
  if (value.getDefiningOp<PositionsOp>())
    return Place{STEPDOWN_AT_POSITIONS, 0};
  if (value.getDefiningOp<AdapterSlotsOp>())
    return Place{STEPDOWN_AT_ADAPTERS, 0};
  if (auto op = value.getDefiningOp<WeightOp>())
    return slotOf(op, run, &Builder::weight);
  if (auto op = value.getDefiningOp<AdapterOp>())
    return slotOf(op, run, &Builder::adapter);
  if (auto op = value.getDefiningOp<RopeTableOp>())
    return Place{STEPDOWN_AT_WEIGHT, table(op)};
  auto known = places.find(value);
  if (known == places.end())
    return fail(ErrorCode::ProgramShape, "the step program cannot be written: a value of a dispatch has no place");
  return known->second;
}

Status Builder::dispatch(DispatchOp op, Run &run) {
  // Where the results lie.
  for (auto [i, result] : llvm::enumerate(op.getOutputs())) {
    if (isa<CacheType>(result.getType()))
      continue;
    if (result == logits) {
      places[result] = {STEPDOWN_AT_LOGITS, 0};
      continue;
    }
    Operation *last = op;
    bool leaves = false; // the run hands it on as the residual stream; wanted rows stay where they are
    bool enters = false; // to the first layers: the buffer of a step's beginning that holds it is not the stream's
    for (Operation *user : result.getUsers()) {
      leaves |= isa<func::ReturnOp, LayersOp>(user) && !op.getByRows();
      enters |= isa<LayersOp>(user);
      if (last->isBeforeInBlock(user))
        last = user;
    }
    bool shared = false;
    for (size_t p = 0; p + 1 < op.getInplace().size(); p += 2) {
      Value input = op.getInputs()[op.getInplace()[p]];
      if (op.getInplace()[p + 1] != int64_t(i) || !places.contains(input))
        continue;
      const bool dead = llvm::all_of(input.getUsers(), [&](Operation *user) { return !op->isBeforeInBlock(user); });
      const Place from = places.lookup(input); // a copy: what is put into the map next may move all that it holds
      if (!dead || (enters && (from.place != STEPDOWN_AT_BUFFER || from.index != residual)))
        continue;
      places[result] = from;
      for (Live &l : live)
        if (from.place == STEPDOWN_AT_BUFFER && program.buffers[from.index].offset == l.offset)
          l.last = last;
      shared = true;
    }
    if (leaves) {
      if (shared && places[result].index != residual)
        return wrong(op, "the residual stream is not computed in place");
      // Who computes one result replaces the number that it has read; who computes several may read a row once more.
      const bool reads = llvm::any_of(op.getInputs(), [&](Value input) {
        auto known = places.find(input);
        return known != places.end() && known->second.place == STEPDOWN_AT_BUFFER && known->second.index == residual;
      });
      if (!shared && op.getNumResults() > 1 && reads)
        return wrong(op, "a launch of several results reads the residual stream that it leaves one of them in");
      places[result] = {STEPDOWN_AT_BUFFER, residual};
      continue;
    }
    if (!shared)
      places[result] = {STEPDOWN_AT_BUFFER, buffer(result, (op.getKernel() + "." + Twine(i)).str(), last)};
  }
  std::vector<stepdown_operand> operands;
  for (size_t i = 0; i < op.getSources().size(); i += 2) {
    const int64_t source = op.getSources()[i], inputs = op.getInputs().size();
    Value value = source < inputs ? op.getInputs()[source] : op.getOutputs()[source - inputs];
    Result<Place> place = placeOf(value, op.getSources()[i + 1], run);
    if (!place)
      return place.error();
    stepdown_operand operand{};
    operand.place = place->place;
    operand.index = place->index;
    ArrayRef<int64_t> dims = cast<DenseI64ArrayAttr>(op.getDims()[i / 2]).asArrayRef();
    if (dims.size() > STEPDOWN_MAX_RANK)
      return wrong(op, "an operand has too many dimensions");
    operand.rank = dims.size();
    llvm::copy(dims, operand.dims);
    operands.push_back(operand);
  }
  Result<uint32_t> number = kernel(op, operands);
  if (!number)
    return number.error();
  program.dispatches.push_back({*number, uint32_t(op.getByRows() ? STEPDOWN_BY_ROWS : STEPDOWN_BY_TOKENS),
                                uint32_t(program.operands.size()), uint32_t(operands.size())});
  program.operands.insert(program.operands.end(), operands.begin(), operands.end());
  ++run.count;
  return Done{};
}

/// The number of the kernel of `op` for `operands`.
Result<uint32_t> Builder::kernel(DispatchOp op, const std::vector<stepdown_operand> &operands) {
  auto kernels = module.lookupSymbol<ModuleOp>("kernels");
  if (!kernels)
    return fail(ErrorCode::ProgramShape, "the step program cannot be written: expects the module @kernels");
  Result<std::vector<CodeEntry>> variants = variantsOf(op, operands, kernels, target.buckets);
  if (!variants)
    return variants.error();
  std::string key = op.getKernel().str() + (op.getByRows() ? "/rows" : "/tokens");
  for (const stepdown_parameter &p : variants->front().parameters) // the others differ in their blocks alone
    key.append(reinterpret_cast<const char *>(&p), sizeof p);
  const stepdown_launch &launch = variants->front().launch; // of one product, or of several
  key.append(reinterpret_cast<const char *>(&launch), sizeof launch);
  auto [known, isNew] = kernelIndex.try_emplace(key, uint32_t(program.kernels.size()));
  if (isNew) {
    program.kernels.push_back(op.getKernel().str());
    llvm::append_range(program.variants, *variants);
  }
  return known->second;
}

/// The dispatches from `from` (inclusive) to `to` (exclusive, or all that follow).
Status Builder::walk(Operation *from, Operation *to, Run &run) {
  run.first = program.dispatches.size();
  for (Operation *op = from; op && op != to; op = op->getNextNode()) {
    if (isTrivial(op))
      continue;
    auto launch = dyn_cast<DispatchOp>(op);
    if (!launch)
      return wrong(op, "only dispatches are left after the packing phase");
    if (Status status = dispatch(launch, run); !status)
      return status;
  }
  return Done{};
}

/// The result of the last layer's run is live until its last reader behind `layers`.
void Builder::handOver(LayersOp layers) {
  auto kind = cast<FlatSymbolRefAttr>(layers.getKinds()[layers.getOrder().back()]);
  auto function = module.lookupSymbol<func::FuncOp>(kind.getValue());
  const Place place = places.at(function.getBody().front().getTerminator()->getOperand(0));
  places[layers.getResult()] = place;
  Operation *last = layers;
  for (Operation *user : layers->getUsers())
    if (last->isBeforeInBlock(user))
      last = user;
  const stepdown_buffer &buffer = program.buffers[place.index];
  live.push_back({buffer.offset, buffer.bytes, last});
}

Result<BuiltProgram> Builder::build() {
  auto step = module.lookupSymbol<func::FuncOp>("step");
  auto model = module->getAttrOfType<ModelAttr>(modelAttrName);
  if (!step || !model)
    return fail(ErrorCode::ProgramShape, "the step program cannot be written: expects @step and a transformer.model");
  Block &body = step.getBody().front();
  auto layersOps = llvm::to_vector(body.getOps<LayersOp>());
  if (layersOps.size() != 1 || step.getNumArguments() != 3)
    return fail(ErrorCode::ProgramShape, "the step program cannot be written: expects one transformer.layers in @step");
  LayersOp layers = layersOps.front();
  places[step.getArgument(0)] = {STEPDOWN_AT_TOKENS, 0};
  places[step.getArgument(1)] = {STEPDOWN_AT_ROWS, 0};
  logits = cast<func::ReturnOp>(body.getTerminator()).getOperand(0);

  const uint64_t residualBytes = bufferBytes(layers.getX().getType());
  residual = newBuffer("residual", 0, residualBytes);
  base = high = residualBytes;

  Run entry;
  if (Status status = walk(&body.front(), layers, entry); !status)
    return status.error();
  program.header.entry_first = entry.first, program.header.entry_count = entry.count;
  places[layers.getResult()] = {STEPDOWN_AT_BUFFER, residual};

  std::vector<Run> runs;
  for (Attribute kind : layers.getKinds()) {
    auto function = module.lookupSymbol<func::FuncOp>(cast<FlatSymbolRefAttr>(kind).getValue());
    Run run;
    run.cache = cast<CacheType>(function.getArgument(2).getType());
    places[function.getArgument(0)] = {STEPDOWN_AT_BUFFER, residual};
    if (function.getNumArguments() == 4)
      places[function.getArgument(3)] = {STEPDOWN_AT_ROWS, 0};
    live.clear();
    if (Status status = walk(&function.getBody().front().front(), nullptr, run); !status)
      return status.error();
    if (auto window = function->getAttrOfType<IntegerAttr>(kWindowAttr))
      run.window = window.getInt();
    program.kinds.push_back({run.first, run.count});
    runs.push_back(std::move(run));
  }
  // Layers of one cache shape and window share block tables.
  for (auto [index, kind] : llvm::enumerate(layers.getOrder())) {
    Run &run = runs[kind];
    stepdown_cache_group group{0,
                               run.cache.getHeads(),
                               uint32_t(cachedSize(run.cache, run.cache.getKey())),
                               uint32_t(cachedSize(run.cache, run.cache.getValue())),
                               run.window,
                               elementOf(run.cache)};
    auto same = std::find_if(program.groups.begin(), program.groups.end(), [&](const stepdown_cache_group &g) {
      return g.kv_heads == group.kv_heads && g.key_dim == group.key_dim && g.value_dim == group.value_dim &&
             g.window == group.window && g.element == group.element;
    });
    if (same == program.groups.end())
      same = program.groups.insert(same, group);
    stepdown_layer layer{uint32_t(kind), uint32_t(same - program.groups.begin()), same->layers++,
                         uint32_t(program.weightLists.size()), uint32_t(run.slotOps.size())};
    for (Operation *op : run.slotOps)
      program.weightLists.push_back(isa<WeightOp>(op) ? weight(cast<WeightOp>(op), index)
                                                      : adapter(cast<AdapterOp>(op), index));
    program.layers.push_back(layer);
  }
  Run exit;
  live.clear();
  if (layers.getRows()) // the last layer left its result in a buffer of its own, which the exit reads
    handOver(layers);
  if (Status status = walk(layers->getNextNode(), nullptr, exit); !status)
    return status.error();
  program.header.exit_first = exit.first, program.header.exit_count = exit.count;
  if (!entry.slotOps.empty() || !exit.slotOps.empty())
    return fail(ErrorCode::ProgramShape,
                "the step program cannot be written: a weight of a layer is read outside the layers");
  program.header.vocabulary = model.getVocabulary();
  program.header.width = model.getWidth();
  program.header.max_context = model.getPositions();
  program.header.exact = exact;
  // An encoder's rows, where logits would be; they may be as wide as logits.
  const int64_t outputs = columns(logits.getType());
  program.header.outputs = seesAll || outputs != model.getVocabulary() ? outputs : 0;
  program.header.logits_stride = llvm::alignTo(outputs, layout.rows);
  program.cache = layout.cache;
  program.header.arena_bytes = high;
  return std::move(program);
}

} // namespace

Result<BuiltProgram> buildProgram(ModuleOp module, const Target &target, int64_t maxTokens, bool exact) {
  return Builder(module, target, maxTokens, exact).build();
}

} // namespace stepdown
