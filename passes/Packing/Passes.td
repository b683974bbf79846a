// The packing stage, where targets part: types, token-count buckets and tiles as the target's layout says.
#ifndef STEPDOWN_PACKING_PASSES_TD
#define STEPDOWN_PACKING_PASSES_TD
include "mlir/Pass/PassBase.td"

def PackKernels : Pass<"pack-kernels", "::mlir::ModuleOp"> {
  let summary = "Make of fused kernels functions on packed tensors";
  let description = [{
    Every `transformer.kernel` becomes a `transformer.dispatch` of a function, once for each token-count bucket of the target,
    in the nested module @kernels; equal kernels share their functions. Packing is a rewrite of the types, by the target's layout
    (16 rows today): rows of float32 become 16-lane vectors, 16 rows of a weight one block, the tokens of a tile one activation
    block. Linalg on rows becomes linalg on lanes, whatever it computes; what works on blocks or the cache becomes an operation
    of the tile dialect.

    Before: `transformer.kernel "ffn" (...) { transformer.linear ... }`
    After:  `transformer.dispatch @ffn_0(...)` and `func.func @ffn_0_b0(...) { linalg.generic { tile.block_dot } }`
  }];
  let options = [Option<"targetName", "target", "std::string", "\"x86-64-v4-vnni\"", "Target of lib/Base/Targets.def">];
  let statistics = [Statistic<"dispatches", "dispatches", "Dispatches">];
  let dependentDialects = ["::stepdown::transformer::TransformerDialect", "::stepdown::tile::TileDialect", "::mlir::func::FuncDialect",
                           "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect",
                           "::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::vector::VectorDialect"];
}
#endif
