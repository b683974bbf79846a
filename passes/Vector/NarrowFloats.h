// Arithmetic on f16 and bf16, which processors store but hardly compute with.
#pragma once
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace stepdown {

/// f16 or bf16, or vectors of them.
bool isNarrow(mlir::Type type);
/// `element`, or as many of it as the vector `like` has.
mlir::Type withElement(mlir::Type like, mlir::Type element);

/// Computes every arith and math operation on f16 and bf16 in float32 and rounds its result once: for sums, products,
/// quotients and square roots the same as rounding the exact result. Conversions to and from bf16, and from float64,
/// become integer arithmetic, since some targets have no instruction for them and code calls nothing.
void expandNarrowFloats(mlir::func::FuncOp function);

} // namespace stepdown
