// The passes of the linalg stage.
#pragma once
#include "dialects/Transformer/IR/TransformerOps.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Pass/Pass.h"

namespace stepdown {
#define GEN_PASS_DECL
#include "passes/Linalg/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/Linalg/Passes.h.inc"
} // namespace stepdown
