#include "passes/Packing/StepKernels.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {

StepKernels::StepKernels(ModuleOp module) {
  for (auto function : module.getOps<func::FuncOp>())
    function.walk([&](Operation *op) {
      if (auto layers = dyn_cast<LayersOp>(op); layers && layers.getRows())
        byRows.insert(layers.getResult());
      if (auto kernel = dyn_cast<KernelOp>(op))
        all.push_back(kernel);
    });
}

bool StepKernels::isByRows(KernelOp kernel) const {
  return llvm::any_of(kernel.getInputs(), [&](Value input) { return byRows.contains(input); }) ||
         llvm::any_of(kernel.getBody().front(), [](Operation &op) { return isa<SelectRowsOp>(op); });
}

void noteWindow(KernelOp kernel) {
  kernel.walk([&](AttentionOp attention) {
    if (attention.getWindow() > 0)
      kernel->getParentOfType<func::FuncOp>()->setAttr(kWindowAttr, attention.getWindowAttr());
  });
}

} // namespace stepdown
