// The passes of the tiling stage.
#pragma once
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace stepdown {
#define GEN_PASS_DECL
#include "passes/Tiling/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/Tiling/Passes.h.inc"
} // namespace stepdown
