// Moves a group of operations into one transformer.kernel.
#pragma once
#include "dialects/Transformer/IR/TransformerOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace stepdown {

/// Whether `op` is in a function's body itself, not in a kernel's.
bool isFree(mlir::Operation *op);

/// The end of a sentence: why a pass does not take `producer` into the kernel of `reader`. Empty: it takes no such
/// pair.
using WhyApart = llvm::function_ref<std::string(mlir::Operation *producer, mlir::Operation *reader)>;

/// The kernel `label` of `group`. Its inputs are what the group reads from outside, tables last; its outputs what
/// others read of it. Null, and nothing changed, where operations are in several blocks or in a kernel already, or
/// where one between them depends on the group and the group on it. Says of each operation that the group reads from
/// why it stays outside; of a group that makes no kernel, why it does not.
transformer::KernelOp makeKernel(llvm::StringRef label, llvm::ArrayRef<mlir::Operation *> group, WhyApart why);

/// The operation that computes `value`, in a kernel or not; null for what is given or stored.
mlir::Operation *computedBy(mlir::Value value);
/// Says of the operations that `op` reads from why they are apart from it.
void remarkInputs(mlir::Operation *op, WhyApart why);

/// Why `who`, which works on whole `units`, rows or heads, takes no linear.
std::string needsWhole(llvm::StringRef who, llvm::StringRef units, int64_t columns);
/// WhyApart of linears, whatever they read.
std::string wholeRowsOfInput(mlir::Operation *, mlir::Operation *);

/// Weights and tables move to the front of the function: they depend on nothing.
void hoistWeights(mlir::func::FuncOp function);

/// The only user of `value` outside kernels' terminators, if it is an Op, else null.
template <typename Op> Op onlyUser(mlir::Value value) {
  return value.hasOneUse() ? llvm::dyn_cast<Op>(*value.getUsers().begin()) : Op();
}

} // namespace stepdown
