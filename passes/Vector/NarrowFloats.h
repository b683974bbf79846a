// Arithmetic on f16, bf16 and floats of eight bits, which processors store but hardly compute with.
#pragma once
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace stepdown {

/// f16, bf16, f8E4M3FN or f8E5M2, or vectors of them.
bool isNarrow(mlir::Type type);
/// `element`, or as many of it as the vector `like` has.
mlir::Type withElement(mlir::Type like, mlir::Type element);

/// Computes every arith and math operation on narrow floats in float32 and rounds its result once: for sums, products,
/// quotients and square roots the same as rounding the exact result. Conversions to and from bf16 and eight bits, and
/// from float64, become integer arithmetic, since some targets have no instruction for them and code calls nothing.
void expandNarrowFloats(mlir::func::FuncOp function);

} // namespace stepdown
