// Operations of arith and math that LLVM 22 lowers wrongly, or not at all, on any element type.
#pragma once
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace stepdown {

/// Writes them as arithmetic that every target has: math.clampf, isnan, isinf, isfinite, isnormal and ipowi;
/// math.fma of narrow floats, rounded once; arith.maxnumf and minnumf of f16 and bf16; conversions from integers to
/// bf16, rounded once; arith.truncf with the rounding mode that it names. Operations on numbers and on vectors. What is
/// left of f16 and bf16 is for expandNarrowFloats.
void expandArithmetic(mlir::func::FuncOp function);

} // namespace stepdown
