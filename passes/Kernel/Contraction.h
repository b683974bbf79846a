// What a structured operation says when it is a matrix product, whatever its name and the order of its dimensions.
#pragma once
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include <optional>

namespace stepdown {

/// C[i, m, n] = init[i, m, n] + sum over k of A[i, m, k] B[i, k, n], where the first dimension may be missing from all,
/// or from one of A and B, which is then the same for each i. Of each operand the dimensions of what it is of, in the
/// order of these letters; kNone where there is none.
struct Contraction {
  static constexpr int64_t kNone = -1;
  struct Operand {
    mlir::Value value;
    int64_t batch, rows, columns; ///< dimensions of `value`
  };
  Operand a, b;
  mlir::Value init; ///< [m, n] or [i, m, n]
  bool batched() const { return mlir::cast<mlir::RankedTensorType>(init.getType()).getRank() == 3; }
};

/// `op` on tensors as a product of floats or of signed integers; none where it is something else. Products of narrower
/// numbers than the sums are exact, or both are of the operands' type.
std::optional<Contraction> contractionOf(mlir::linalg::LinalgOp op);

} // namespace stepdown
