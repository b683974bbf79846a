// Tile operations whose selection has a file of its own.
#pragma once
#include "dialects/Transformer/IR/TransformerOps.h"
#include "passes/Vector/Emitter.h"

namespace stepdown {
/// Replaces an `attend` on memrefs by loops.
void selectAttend(transformer::AttendOp op, Emitter &emitter);
/// The same with a `pack_activation`.
void selectPack(transformer::PackActivationOp op, Emitter &emitter);
} // namespace stepdown
