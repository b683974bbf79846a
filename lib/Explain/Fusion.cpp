// Edges are found by following values backwards through the boundaries of kernels; the operations of the frontend are
// still there, inside kernels, and two of them are fused where they lie in the same one. Where they do not, the reason
// is the first predicate that holds of the two operations, of what tiles compute and need, and of what else is between.
#include "lib/Explain/Report.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {
namespace {

/// A value as its producer in the frontend's module, and the packing on the way.
struct Source {
  Value value;
  QuantizeOp packing;
};

Source sourceOf(Value value) {
  QuantizeOp packing;
  for (;;) {
    if (auto argument = dyn_cast<BlockArgument>(value)) {
      auto kernel = dyn_cast<KernelOp>(argument.getOwner()->getParentOp());
      if (!kernel)
        return {value, packing};
      value = kernel.getInputs()[argument.getArgNumber()];
      continue;
    }
    auto result = cast<OpResult>(value);
    if (auto kernel = dyn_cast<KernelOp>(result.getOwner())) {
      value = kernel.getBody().front().getTerminator()->getOperand(result.getResultNumber());
    } else if (auto quantize = dyn_cast<QuantizeOp>(result.getOwner())) {
      packing = quantize;
      value = quantize.getX();
    } else {
      return {value, packing};
    }
  }
}

bool isStored(Operation *op) { return isa<WeightOp, RopeTableOp>(op); }
bool isComputed(Operation *op) {
  return isa<TransformerDialect>(op->getDialect()) && !isStored(op) && !isa<KernelOp, YieldOp, QuantizeOp>(op);
}
int64_t columnsOf(Value value) { return cast<RankedTensorType>(value.getType()).getDimSize(1); }

class Explainer {
public:
  Explainer(FusionReport &report, const Layout &layout) : report(report), layout(layout) {}

  void run(func::FuncOp function) {
    for (auto kernel : function.getOps<KernelOp>()) {
      kernelIndex[kernel] = report.kernels.size();
      ExplainedKernel row;
      row.function = function.getName().str();
      row.label = kernel.getLabel().str();
      report.kernels.push_back(row);
      for (Value input : kernel.getInputs())
        if (auto before = input.getDefiningOp<KernelOp>())
          readers[before].insert(kernel);
    }
    function.walk([&](Operation *consumer) {
      if (!isComputed(consumer))
        return;
      for (Value operand : consumer->getOperands()) {
        Source source = sourceOf(operand);
        if (Operation *producer = source.value.getDefiningOp(); producer && isComputed(producer))
          edge(function, producer, consumer, source.packing);
        else if (auto argument = dyn_cast<BlockArgument>(source.value);
                 argument && argument.getArgNumber() == 0 && function.getName() != "step")
          fromLayerBefore(function, consumer);
      }
    });
  }

private:
  int64_t tilesOf(Operation *linear) { return stepdown::tilesOf(layout, columnsOf(linear->getResult(0))); }
  KernelOp kernelOf(Operation *op) { return op->getParentOfType<KernelOp>(); }

  ExplainedOp describe(Operation *op) {
    ExplainedOp out;
    out.op = op->getName().stripDialect().str();
    if (auto name = dyn_cast<NameLoc>(op->getLoc()))
      out.name = name.getName().str();
    if (KernelOp kernel = kernelOf(op))
      out.kernel = kernelIndex.lookup(kernel);
    return out;
  }

  void fromLayerBefore(func::FuncOp function, Operation *consumer) {
    ExplainedEdge e;
    e.function = function.getName().str();
    e.producer.op = "layers";
    e.consumer = describe(consumer);
    e.reason = "crosses the layer loop: one function serves every layer of its kind, whatever ran before";
    report.edges.push_back(std::move(e));
  }

  void edge(func::FuncOp function, Operation *producer, Operation *consumer, QuantizeOp packing) {
    ExplainedEdge e;
    e.function = function.getName().str();
    e.producer = describe(producer);
    e.consumer = describe(consumer);
    e.fused = kernelOf(producer) && kernelOf(producer) == kernelOf(consumer);
    if (!e.fused)
      e.reason = reason(producer, consumer);
    if (packing) {
      e.packingKernel = kernelIndex.lookup(kernelOf(packing));
      if (kernelOf(packing) != kernelOf(producer))
        e.packingReason = packingReason(producer, packing);
    }
    report.edges.push_back(std::move(e));
  }

  template <typename... Ops> static bool holds(KernelOp kernel) {
    return kernel && llvm::any_of(kernel.getBody().front(), [](Operation &op) { return isa<Ops...>(op); });
  }

  /// Kernels that read what `kernel` writes and run before `last`, which depends on one of them.
  bool dependsThroughOthers(KernelOp kernel, KernelOp last) {
    llvm::SmallSetVector<Operation *, 8> reached;
    for (Operation *reader : readers[kernel])
      if (reader != last)
        reached.insert(reader);
    for (size_t i = 0; i < reached.size(); ++i)
      for (Operation *reader : readers[reached[i]]) {
        if (reader == last)
          return true;
        reached.insert(reader);
      }
    return false;
  }

  std::string reason(Operation *producer, Operation *consumer) {
    KernelOp from = kernelOf(producer), to = kernelOf(consumer);
    if (isa<LayersOp>(producer) || isa<LayersOp>(consumer))
      return "crosses the layer loop: the layers run as a loop over functions, and this operation runs once a step";
    if (isa<AttentionOp>(consumer)) {
      if (isa<KVAppendOp>(producer))
        return "a token reads keys and values of other tokens: those of the whole step must be in the cache first";
      if (holds<KVAppendOp>(from))
        return "attention waits for the keys and values of the whole step, which the producer's kernel stores";
    }
    if (isa<LinearOp, LogitsOp>(consumer)) {
      const int64_t tiles = tilesOf(consumer);
      if (tiles > 1)
        return llvm::formatv(
            "the linear needs whole rows of its input in each of its {0} tiles, which would each compute "
            "the producer again",
            tiles);
    }
    if (isa<LinearOp, LogitsOp>(producer))
      if (std::string text = reasonAfterLinear(producer, consumer, to); !text.empty())
        return text;
    if (from && to && dependsThroughOthers(from, to))
      return "the consumer also needs kernels that run between the two and read the producer's kernel";
    if (from && readers[from].size() > 1)
      return llvm::formatv("the producer's kernel is read by {0} kernels", readers[from].size());
    return llvm::formatv("no fusion joins {0} and {1}", producer->getName().stripDialect(),
                         consumer->getName().stripDialect());
  }

  /// Why a linear, whose tiles compute as many columns as the layout has rows, keeps apart from `consumer`.
  std::string reasonAfterLinear(Operation *linear, Operation *consumer, KernelOp to) {
    const int64_t columns = columnsOf(linear->getResult(0)), tiles = tilesOf(linear);
    const char *several = "{0} needs whole rows of {1} columns, which {2} tiles of the linear compute";
    if (isa<RMSNormOp, LayerNormOp>(consumer)) {
      const int64_t normed = cast<RankedTensorType>(consumer->getOperand(1).getType()).getDimSize(0);
      if (normed == columns && tiles > 1)
        return llvm::formatv(several, "a norm", columns, tiles);
      if (normed > layout.rows)
        return llvm::formatv("a norm of heads needs {0} columns, of which a tile of the linear computes {1}", normed,
                             layout.rows);
    }
    if (isa<AddOp>(consumer) && holds<RMSNormOp, LayerNormOp>(to) && tiles > 1)
      return llvm::formatv(several, "a norm in the kernel of the sum", columns, tiles);
    if (auto rope = dyn_cast<RopeOp>(consumer); rope && rope.getHeadDim() > uint64_t(layout.rows))
      return llvm::formatv("a rotation needs heads of {0} columns, of which a tile of the linear computes {1}",
                           rope.getHeadDim(), layout.rows);
    if (isa<KVAppendOp>(consumer) && holds<RopeOp>(to))
      return "keys and values are stored together, and the rotation of the keys is in the kernel that stores them";
    if (auto gated = dyn_cast<GatedActivationOp>(consumer)) {
      Operation *gate = sourceOf(gated.getGate()).value.getDefiningOp();
      Operation *up = sourceOf(gated.getUp()).value.getDefiningOp();
      if (!isa_and_nonnull<LinearOp>(gate) || !isa_and_nonnull<LinearOp>(up) || gate == up)
        return "gate and up are not two linears";
      if (sourceOf(gate->getOperand(0)).value != sourceOf(up->getOperand(0)).value)
        return "gate and up read different inputs";
      return "the gated activation is not packed for one kind of linear alone";
    }
    if (tiles > 1)
      return llvm::formatv(
          "the consumer's kernel works on whole rows of {0} columns, which {1} tiles of the linear compute", columns,
          tiles);
    return "";
  }

  std::string packingReason(Operation *producer, QuantizeOp packing) {
    if (auto attention = dyn_cast<AttentionOp>(producer)) {
      const int64_t columns = columnsOf(attention.getResult()) / attention.getCache().getType().getHeads();
      if (packing.getGroups() && (*packing.getGroups())[0] != (*packing.getGroups())[1])
        return llvm::formatv("heads of {0} columns lie in {1} each, and blocks have no room between them",
                             (*packing.getGroups())[0], (*packing.getGroups())[1]);
      if (columns % 32)
        return llvm::formatv("the {0} columns of a cache head's queries are not a multiple of 32", columns);
    }
    KernelOp kernel = kernelOf(producer);
    if (isa<LinearOp, LogitsOp>(producer))
      return llvm::formatv("a block has 32 columns, of which a tile of the linear computes {0}", layout.rows);
    if (kernel && readers[kernel].size() > 1)
      return llvm::formatv("the producer's kernel is read by {0} kernels", readers[kernel].size());
    return "no fusion takes the packing";
  }

  FusionReport &report;
  const Layout &layout;
  llvm::DenseMap<Operation *, int> kernelIndex;
  llvm::DenseMap<Operation *, llvm::SmallSetVector<Operation *, 4>> readers; // of each kernel, in its function
};

} // namespace

FusionReport explainFusion(ModuleOp fused, const Layout &layout) {
  FusionReport report;
  Explainer explainer(report, layout);
  for (auto function : fused.getOps<func::FuncOp>())
    explainer.run(function);
  return report;
}

void nameKernels(ModuleOp lowered, FusionReport &report) {
  size_t next = 0;
  for (auto function : lowered.getOps<func::FuncOp>())
    for (auto dispatch : function.getOps<DispatchOp>())
      if (next < report.kernels.size())
        report.kernels[next++].name = dispatch.getKernel().str();
}

} // namespace stepdown
