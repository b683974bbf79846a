// The passes of the AMD stage.
#pragma once
#include "dialects/Tile/IR/TileDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace stepdown {
#define GEN_PASS_DECL
#include "passes/AMD/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/AMD/Passes.h.inc"
} // namespace stepdown
