// Edges are found by following values backwards through the boundaries of kernels; the operations of the frontend are
// still there, inside kernels, and two of them are fused where they lie in the same one. Where they do not, the reason
// is what the passes said (dialects/Transformer/IR/FusionRemarks.h).
#include "lib/Explain/Report.h"

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

bool isStored(Operation *op) { return isa<WeightOp, AdapterOp, RopeTableOp>(op); }
bool isComputed(Operation *op) {
  return isa<TransformerDialect>(op->getDialect()) && !isStored(op) && !isa<KernelOp, YieldOp, QuantizeOp>(op);
}

class Explainer {
public:
  Explainer(FusionReport &report, const FusionRemarks &remarks) : report(report), remarks(remarks) {}

  void run(func::FuncOp function) {
    for (auto kernel : function.getOps<KernelOp>()) {
      kernelIndex[kernel] = report.kernels.size();
      ExplainedKernel row;
      row.function = function.getName().str();
      row.label = kernel.getLabel().str();
      report.kernels.push_back(row);
    }
    function.walk([&](Operation *consumer) {
      if (!isComputed(consumer))
        return;
      for (OpOperand &operand : consumer->getOpOperands()) {
        Source source = sourceOf(operand.get());
        if (Operation *producer = source.value.getDefiningOp(); producer && isComputed(producer))
          edge(function, producer, operand, source.packing);
        else if (auto argument = dyn_cast<BlockArgument>(source.value);
                 argument && argument.getArgNumber() == 0 && function.getName() != "step")
          fromLayerBefore(function, consumer);
      }
    });
  }

private:
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

  void edge(func::FuncOp function, Operation *producer, OpOperand &use, QuantizeOp packing) {
    ExplainedEdge e;
    e.function = function.getName().str();
    e.producer = describe(producer);
    e.consumer = describe(use.getOwner());
    e.fused = kernelOf(producer) && kernelOf(producer) == kernelOf(use.getOwner());
    if (!e.fused)
      e.reason = remarks.whyApart(packing ? packing : producer, use);
    if (packing) {
      e.packingKernel = kernelIndex.lookup(kernelOf(packing));
      if (kernelOf(packing) != kernelOf(producer))
        e.packingReason = remarks.whyApart(producer, packing->getOpOperand(0));
    }
    report.edges.push_back(std::move(e));
  }

  FusionReport &report;
  const FusionRemarks &remarks;
  llvm::DenseMap<Operation *, int> kernelIndex;
};

} // namespace

FusionReport explainFusion(ModuleOp fused, const FusionRemarks &remarks) {
  FusionReport report;
  Explainer explainer(report, remarks);
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
