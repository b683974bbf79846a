// Each transformer.kernel becomes a dispatch of functions in the nested module @kernels, one function a token-count
// bucket; a bucket whose function would be that of the bucket before has none. Equal functions are made once: layers of
// a model, and models of a family, share most of theirs.
#include "include/stepdown/Artifact.h"
#include "passes/Packing/KernelPacker.h"
#include "passes/Packing/Passes.h"
#include "passes/Packing/StepKernels.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {
#define GEN_PASS_DEF_PACKKERNELS
#include "passes/Packing/Passes.h.inc"

namespace {
struct PackKernels : impl::PackKernelsBase<PackKernels> {
  using impl::PackKernelsBase<PackKernels>::PackKernelsBase;

  std::optional<StepKernels> step;
  llvm::StringMap<std::string> known; ///< text of a kernel's functions -> name
  ModuleOp kernels;
  const Target *target = nullptr;

  LogicalResult lower(KernelOp kernel) {
    const bool rows = step->isByRows(kernel);
    noteWindow(kernel);
    OpBuilder inner = OpBuilder::atBlockEnd(kernels.getBody());
    SmallVector<func::FuncOp> functions;
    SmallVector<int64_t> sources, inplace;
    SmallVector<Attribute> dims;
    std::string text, last;
    for (Bucket bucket : target->buckets) {
      KernelPacker build(kernel, *target->layout, bucket, rows);
      FailureOr<func::FuncOp> function = build.build(inner, "kernel");
      if (failed(function))
        return failure();
      std::string printed;
      llvm::raw_string_ostream(printed) << *function;
      if (printed == last) {
        function->erase();
        function = func::FuncOp();
      } else {
        text += printed;
        last = std::move(printed);
      }
      functions.push_back(*function);
      if (bucket.minTokens == 1)
        sources = build.sources, inplace = build.inplace;
      SmallVector<Attribute> own = build.dims;
      if (dims.empty())
        dims = own;
      else if (dims != own) // the tile of a bucket shows in the dimensions: the runtime fills it in
        for (auto [a, c] : llvm::zip(dims, own))
          if (a != c)
            a = tileDims(cast<DenseI64ArrayAttr>(a), cast<DenseI64ArrayAttr>(c), rows);
    }
    auto [entry, isNew] = known.try_emplace(text);
    if (isNew) {
      std::string base = kernel.getLabel().str();
      entry->second = base + "_" + std::to_string(known.size() - 1);
      for (auto [i, function] : llvm::enumerate(functions))
        if (function)
          function.setName(entry->second + "_b" + std::to_string(i));
    } else {
      for (func::FuncOp function : functions)
        if (function)
          function.erase();
    }
    OpBuilder builder(kernel);
    auto dispatch =
        DispatchOp::create(builder, kernel.getLoc(), kernel.getResultTypes(), entry->second, kernel.getInputs(),
                           sources, builder.getArrayAttr(dims), rows, builder.getDenseI64ArrayAttr(inplace));
    kernel.replaceAllUsesWith(dispatch.getResults());
    if (rows)
      step->byRows.insert(dispatch.result_begin(), dispatch.result_end());
    kernel.erase();
    ++dispatches;
    return success();
  }

  /// Dimensions that differ between buckets are the bucket's tile.
  static Attribute tileDims(DenseI64ArrayAttr a, DenseI64ArrayAttr c, bool rows) {
    SmallVector<int64_t> merged(a.asArrayRef());
    for (auto [i, size] : llvm::enumerate(c.asArrayRef()))
      if (merged[i] != size)
        merged[i] = rows ? STEPDOWN_DIM_ROW_TILE : STEPDOWN_DIM_TOKEN_TILE;
    return DenseI64ArrayAttr::get(a.getContext(), merged);
  }

  void runOnOperation() override {
    target = findTarget(targetName);
    if (!target) {
      getOperation().emitError() << "expects a known target, but got '" << targetName << "'";
      return signalPassFailure();
    }
    OpBuilder builder = OpBuilder::atBlockEnd(getOperation().getBody());
    kernels = ModuleOp::create(builder, getOperation().getLoc(), "kernels");
    step.emplace(getOperation());
    for (KernelOp kernel : step->all)
      if (failed(lower(kernel)))
        return signalPassFailure();
  }
};
} // namespace
} // namespace stepdown
