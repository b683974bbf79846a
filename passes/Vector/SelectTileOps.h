// Attention has a file of its own.
#pragma once
#include "dialects/Transformer/IR/TransformerOps.h"
#include "passes/Vector/Emitter.h"

namespace stepdown {
/// Replaces an `attend` on memrefs by loops.
void selectAttend(transformer::AttendOp op, Emitter &emitter);
} // namespace stepdown
