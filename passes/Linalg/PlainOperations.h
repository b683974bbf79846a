// Operations that plain modules have on arrays and models on a paged cache and stored blocks, and the arrays that stand
// for transformer's types.
#pragma once
#include "dialects/Transformer/IR/TransformerOps.h"
#include "passes/Linalg/LinalgBuilder.h"

namespace stepdown {

/// The array in place of `type`, or `type`: a batch is the positions of its tokens, i32 [T], all of one sequence; a
/// cache holds the keys, then the values, of each position, [P, heads * (key + value)]; blocks of one float are that
/// float.
mlir::Type plainType(mlir::Type type);

/// What rope, kv_append and attention become, and linear without bias, embedding and select_rows; null for another
/// operation. Types were replaced by plainType before; `cache` is the one that an attention had.
mlir::Value decomposeAttention(mlir::OpBuilder &b, mlir::Operation *op, transformer::CacheType cache);
mlir::Value decomposeLinear(mlir::OpBuilder &b, mlir::Operation *op);

} // namespace stepdown
