// The passes of the NVIDIA stage.
#pragma once
#include "dialects/Tile/IR/TileDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace stepdown {
#define GEN_PASS_DECL
#include "passes/NVIDIA/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/NVIDIA/Passes.h.inc"
} // namespace stepdown
