// How the linalg stage writes what an operation computes.
#pragma once
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"

namespace stepdown {

/// Builds linalg on tensors of float32 at one place.
class LinalgBuilder {
public:
  using Value = mlir::Value;
  using Body = llvm::function_ref<Value(mlir::OpBuilder &, mlir::ValueRange)>;
  LinalgBuilder(mlir::OpBuilder &b, mlir::Location loc) : b(b), loc(loc) {}

  Value number(mlir::OpBuilder &k, double value);
  /// f32, unset.
  Value empty(llvm::ArrayRef<mlir::OpFoldResult> shape);
  Value filled(llvm::ArrayRef<mlir::OpFoldResult> shape, double value);
  /// Maps of `loops` loops: of each operand the loops that index it, the output's last; the last `reductions` loops
  /// reduce.
  Value generic(Value out, mlir::ValueRange ins, unsigned loops, unsigned reductions,
                llvm::ArrayRef<llvm::SmallVector<unsigned>> indices, Body body);
  Value toF32(mlir::OpBuilder &k, Value value);
  /// scale * z, or softcap * tanh(scale * z / softcap) where softcap is not 0.
  Value capped(mlir::OpBuilder &k, Value z, double scale, double softcap);

  mlir::OpBuilder &b;
  mlir::Location loc;
};

} // namespace stepdown
