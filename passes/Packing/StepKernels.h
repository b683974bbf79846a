// The kernels of a step's functions, for the passes that give each its functions.
#pragma once
#include "dialects/Transformer/IR/TransformerOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/DenseSet.h"

namespace stepdown {

struct StepKernels {
  llvm::SmallVector<transformer::KernelOp> all; ///< in their order
  llvm::DenseSet<mlir::Value> byRows; ///< values with a row for every wanted row of logits, not for every token

  /// Those of all functions of `module`.
  explicit StepKernels(mlir::ModuleOp module);
  /// Whether `kernel` computes rows whose logits are wanted.
  bool isByRows(transformer::KernelOp kernel) const;
};

/// Notes the window of the attention in `kernel` on its function: the cache gives back the blocks that no later query
/// of this kind of layer can see.
void noteWindow(transformer::KernelOp kernel);

} // namespace stepdown
