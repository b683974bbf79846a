// Operations that plain modules have on arrays and models on a paged cache and stored blocks, and the arrays that stand
// for transformer's types.
#pragma once
#include "dialects/Transformer/IR/TransformerOps.h"
#include "mlir/Transforms/DialectConversion.h"
#include "passes/Linalg/LinalgBuilder.h"

namespace stepdown {

/// Arrays in place of types: a batch is the positions of its tokens, i32 [T], all of one sequence; a cache holds the
/// keys, then the values, of each position, [P, heads * (key + value)]; blocks of one float are that float.
struct PlainTypes : mlir::TypeConverter {
  PlainTypes();
};

/// Rope, kv_append and attention become linalg on such arrays, linear without bias, embedding and select_rows, too; all
/// else takes the arrays as it took what they stand for.
void populatePlainPatterns(const PlainTypes &types, mlir::RewritePatternSet &patterns, mlir::ConversionTarget &target);

} // namespace stepdown
