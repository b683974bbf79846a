#include "lib/Driver/Compilation.h"
#include "lib/Explain/Functions.h"

using namespace mlir;

namespace stepdown {

Status Compilation::checkExplained() const {
  if (from && from > road->find("linalg"))
    return fail(ErrorCode::CompileOption,
                "%s: expects IR of linalg or an earlier phase for --explain: what %s leaves no longer tells what was "
                "fused",
                path.c_str(), from->name);
  if (targetRoads().size() > 1) { // which part what is fused
    auto other = llvm::find_if(targets, [&](const Target *target) { return roadOf(road->input, *target) != road; });
    return fail(ErrorCode::CompileOption, "%s: expects targets of one road for --explain, but got %s and %s",
                path.c_str(), targets.front()->name, (*other)->name);
  }
  return Done{};
}

Status Compilation::explainFunctions() {
  FunctionExplainer explainer(*module);
  if (Status status = lower(*road->find("linalg")); !status)
    return status;
  explainer.takeOperations(*module, remarks);
  if (Status status = lower(road->phases.back()); !status) // to the fork
    return status;
  for (const Target *target : targets) {
    const Phase *buffers = road->find("buffers"), *vector = road->find("vector");
    Result<OwningOpRef<ModuleOp>> lowered = lowerFor(*target, target->chip ? *buffers : *vector);
    if (!lowered)
      return lowered.error();
    if (target->chip) { // where loops become kernels as well, between the two
      explainer.takeKernels(**lowered, target->name);
      if (Status status = run(buffers, vector + 1, **lowered, *target, nullptr); !status)
        return status;
    }
    explainer.takeArrays(**lowered, target->name);
  }
  report.explain = toText(explainer);
  report.explainJson = toJson(explainer);
  return Done{};
}

} // namespace stepdown
