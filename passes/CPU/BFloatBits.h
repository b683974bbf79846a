// bf16 in machine code: sixteen bits.
#pragma once
#include "mlir/IR/BuiltinOps.h"

namespace stepdown {

/// Gives callable functions of `module`, and the constants that they read, i16 in place of bf16. They compute nothing
/// in bf16 any more (expand-elementary), but LLVM still calls __truncsfbf2 to move a number of that type, or to make a
/// vector of it.
void carryBFloat16AsBits(mlir::ModuleOp module);

} // namespace stepdown
