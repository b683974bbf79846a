// How operations of plain modules are written as linalg on float32, and the arrays that stand for transformer's types.
#pragma once
#include "dialects/Transformer/IR/TransformerOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"

namespace stepdown {

/// The array in place of `type`, or `type`: a batch is the positions of its tokens, i32 [T], all of one sequence; a
/// cache holds the keys, then the values, of each position, [P, heads * (key + value)]; blocks of one float are that
/// float.
mlir::Type plainType(mlir::Type type);

/// Builds linalg at one place.
class PlainLinalg {
public:
  using Value = mlir::Value;
  using Body = llvm::function_ref<Value(mlir::OpBuilder &, mlir::ValueRange)>;
  PlainLinalg(mlir::OpBuilder &b, mlir::Location loc) : b(b), loc(loc) {}

  Value number(mlir::OpBuilder &k, double value);
  mlir::OpFoldResult mixedSize(Value tensor, int64_t dim);
  /// f32, unset.
  Value empty(llvm::ArrayRef<mlir::OpFoldResult> shape);
  Value filled(llvm::ArrayRef<mlir::OpFoldResult> shape, double value);
  /// Maps of `loops` loops: of each operand the loops that index it, the output's last; the last `reductions` loops
  /// reduce.
  Value generic(Value out, mlir::ValueRange ins, unsigned loops, unsigned reductions,
                llvm::ArrayRef<llvm::SmallVector<unsigned>> indices, Body body);
  Value toF32(mlir::OpBuilder &k, Value value);

  mlir::OpBuilder &b;
  mlir::Location loc;
};

/// What rope, kv_append and attention become, and linear, logits, embedding and select_rows; null for another
/// operation. In a `plain` module types were replaced by plainType before, and `cache` is the one that an attention
/// had; elsewhere products with stored blocks stay linear operations, without bias.
mlir::Value decomposeAttention(mlir::OpBuilder &b, mlir::Operation *op, transformer::CacheType cache);
mlir::Value decomposeLinear(mlir::OpBuilder &b, mlir::Operation *op, bool plain);

} // namespace stepdown
