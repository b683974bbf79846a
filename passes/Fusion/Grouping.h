// Moves a group of operations into one transformer.kernel.
#pragma once
#include "dialects/Transformer/IR/TransformerOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace stepdown {

/// Whether `op` is in a function's body itself, not in a kernel's.
bool isFree(mlir::Operation *op);

/// The kernel `label` of `group`. Its inputs are what the group reads from outside, tables last; its outputs what
/// others read of it. Null, and nothing changed, where operations are in several blocks or in a kernel already, or
/// where one between them depends on the group and the group on it.
transformer::KernelOp makeKernel(llvm::StringRef label, llvm::ArrayRef<mlir::Operation *> group);

/// Weights and tables move to the front of the function: they depend on nothing.
void hoistWeights(mlir::func::FuncOp function);

/// The only user of `value` outside kernels' terminators, if it is an Op, else null.
template <typename Op> Op onlyUser(mlir::Value value) {
  return value.hasOneUse() ? llvm::dyn_cast<Op>(*value.getUsers().begin()) : Op();
}

} // namespace stepdown
