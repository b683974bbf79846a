// The linalg stage: fused kernels become functions of linalg and tile operations on packed tensors.
#ifndef STEPDOWN_LINALG_PASSES_TD
#define STEPDOWN_LINALG_PASSES_TD
include "mlir/Pass/PassBase.td"

def LowerKernels : Pass<"lower-kernels", "::mlir::ModuleOp"> {
  let summary = "Lower fused kernels to linalg on packed tensors";
  let description = [{
    Every `transformer.kernel` becomes a `transformer.dispatch` of a function, once for each token-count bucket, in the nested
    module @kernels; equal kernels share their functions. Packing is a rewrite of the types: rows of float32 become 16-lane
    vectors, 16 rows of a weight one block, the tokens of a tile one activation block.

    Before: `transformer.kernel "ffn" (...) { transformer.linear ... }`
    After:  `transformer.dispatch @ffn_0(...)` and `func.func @ffn_0_b0(...) { linalg.generic { transformer.block_dot } }`
  }];
  let statistics = [Statistic<"dispatches", "dispatches", "Dispatches">];
  let dependentDialects = ["::stepdown::transformer::TransformerDialect", "::mlir::func::FuncDialect", "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect",
                           "::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::vector::VectorDialect"];
}
#endif
