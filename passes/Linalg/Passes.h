// The passes of the linalg stage.
#pragma once
#include "dialects/Transformer/IR/TransformerOps.h"
#include "mlir/Pass/Pass.h"

namespace stepdown {
#define GEN_PASS_DECL
#include "passes/Linalg/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/Linalg/Passes.h.inc"
} // namespace stepdown
