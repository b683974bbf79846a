// The passes of the CPU stage.
#pragma once
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace stepdown {
/// The text of the check that the arena has room: lower-assertions knows it by this.
inline constexpr llvm::StringLiteral kArenaCheck = "stepdown: the arena is too small";
/// And the one that the device did what it was asked for.
inline constexpr llvm::StringLiteral kDeviceCheck = "stepdown: the device refused";
#define GEN_PASS_DECL
#include "passes/CPU/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/CPU/Passes.h.inc"
} // namespace stepdown
