// What is done with each element of a matrix product before it is stored.
#pragma once
#include "dialects/Tile/IR/TileOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include <optional>

namespace stepdown {

/// The result of a product plus `init`, where there is one, handed to the elementwise operation `consumer`, where there
/// is one. Neither of both: the product alone.
struct Epilogue {
  mlir::Value init; ///< [m, n] of f32, bf16 or f16; null: zeros
  mlir::linalg::GenericOp consumer;
  unsigned place = 0;                   ///< the consumer's operand that is the product
  mlir::SmallVector<unsigned> operands; ///< the consumer's other ones that its body reads

  bool empty() const { return !init && !consumer; }
  /// The element of what the kernel stores, for a product of `element`.
  mlir::Type elementOf(mlir::Type element) const;
  /// What the kernel reads, as matrices: of one row what is the same for each row, of one column what is the same for
  /// each column.
  mlir::SmallVector<mlir::Value> matrices(mlir::OpBuilder &b, mlir::Location loc) const;
  /// Writes itself into a kernel that stores its product, with an argument for each of matrices() before the last.
  void addTo(tile::KernelOp kernel) const;
};

/// The one operation that reads `product`, a matrix of f32, as an epilogue: elementwise, in f32, of arrays of f32, bf16
/// or f16 that have the product's rows and columns, or one of both. Exponentials and quotients are those of the special
/// function unit, and so are taken only where the result is narrower than f32. None where it is none of this.
std::optional<Epilogue> epilogueOf(mlir::Value product);

} // namespace stepdown
