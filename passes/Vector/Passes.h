// The passes of the vector stage.
#pragma once
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace stepdown {
#define GEN_PASS_DECL
#include "passes/Vector/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/Vector/Passes.h.inc"
} // namespace stepdown
