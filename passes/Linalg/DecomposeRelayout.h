// Operations of plain modules that move elements, or compute where they lie.
#pragma once
#include "mlir/IR/PatternMatch.h"

namespace stepdown {

/// Whether decomposeRelayout knows `op`: linalg.pack, unpack and winograd_*_transform, tensor.bitcast,
/// affine.delinearize_index and linearize_index.
bool isRelayout(mlir::Operation *op);

/// Replaces `op` by linalg, tensor and arith; fails where upstream has no form of it.
mlir::LogicalResult decomposeRelayout(mlir::IRRewriter &rewriter, mlir::Operation *op);

} // namespace stepdown
