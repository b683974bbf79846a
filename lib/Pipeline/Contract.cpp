#include "lib/Pipeline/Contract.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

using namespace mlir;

namespace stepdown {
namespace {

struct ContractCheck : PassWrapper<ContractCheck, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(ContractCheck)
  const Road *road;
  const Phase *phase;
  ContractCheck(const Road &road, const Phase &phase) : road(&road), phase(&phase) {}
  StringRef getArgument() const final { return "check-contract"; }
  StringRef getDescription() const final { return "Check that a phase left only the dialects of its row"; }

  void runOnOperation() override {
    WalkResult result = getOperation().walk([&](Operation *op) {
      if (isa<ModuleOp>(op))
        return WalkResult::advance();
      auto inner = op->getParentOfType<ModuleOp>();
      const bool inKernels = inner != getOperation();
      Operation *function = op;
      while (function && !isa<SymbolOpInterface>(function))
        function = function->getParentOp();
      ArrayRef<const char *> allowed = inKernels ? phase->kernels : phase->program;
      StringRef dialect = op->getName().getDialectNamespace();
      StringRef whole = op->getName().getStringRef();
      if (llvm::any_of(allowed, [&](StringRef name) { return dialect == name || whole == name; }))
        return WalkResult::advance();
      auto diagnostic = op->emitError() << "phase '" << phase->name << "' expects nothing "
                                        << (allowed.empty() ? "" : "but ");
      llvm::interleaveComma(allowed, diagnostic, [&](const char *name) { diagnostic << name; });
      diagnostic << (allowed.empty() ? "" : " ") << "in " << (inKernels ? "a " : "the ")
                 << (inKernels ? road->unit : "program") << ", but '" << op->getName() << "' is left";
      if (function)
        diagnostic << " in @" << SymbolTable::getSymbolName(function).getValue();
      return WalkResult::interrupt();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};

} // namespace

std::unique_ptr<Pass> createContractCheck(const Road &road, const Phase &phase) {
  return std::make_unique<ContractCheck>(road, phase);
}

} // namespace stepdown
