// Between which two structured operations of a plain module no array need lie: asked by the pass that fuses them,
// and by the report of what it left.
#pragma once
#include "mlir/IR/Value.h"

namespace stepdown {

/// Why what `operand` holds is stored although a structured operation computes it, as the end of a sentence; null where
/// its reader takes every element once, so that nothing would be computed twice.
const char *whyStored(mlir::OpOperand &operand);

} // namespace stepdown
