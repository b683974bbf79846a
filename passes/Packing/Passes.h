// The passes of the packing stage.
#pragma once
#include "dialects/Tile/IR/TileOps.h"
#include "dialects/Transformer/IR/TransformerOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Pass/Pass.h"

namespace stepdown {
#define GEN_PASS_DECL
#include "passes/Packing/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/Packing/Passes.h.inc"
} // namespace stepdown
