// The passes of the kernel stage.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace stepdown {
#define GEN_PASS_DECL
#include "passes/Kernel/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/Kernel/Passes.h.inc"
} // namespace stepdown
