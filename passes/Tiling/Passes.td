// The tiling stage: kernels are cut into the tiles that threads share out.
#ifndef STEPDOWN_TILING_PASSES_TD
#define STEPDOWN_TILING_PASSES_TD
include "mlir/Pass/PassBase.td"

def TileKernels : Pass<"tile-kernels", "::mlir::func::FuncOp"> {
  let summary = "Cut a kernel into tiles";
  let description = [{
    The body of a kernel function moves into one `scf.forall` for each of its parts, on the slices that its
    `tile.tiling` describes. Intermediate tensors shrink to a tile, of static size.

    Before: `func.func @k(%x: tensor<?x36xvector<16xf32>>) attributes {tile.tiling = #tile.tiling<parts = [[0]], arguments =
    [[0 by 4, whole]]>} { linalg.generic ... }`
    After:  `scf.forall (%i) in (%n) { tensor.extract_slice; linalg.generic ...; tensor.parallel_insert_slice }`
  }];
  let dependentDialects = ["::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect",
                           "::mlir::affine::AffineDialect", "::stepdown::tile::TileDialect"];
}
#endif
