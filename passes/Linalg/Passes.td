// The linalg stage: fused kernels become functions of linalg and tile operations on packed tensors.
#ifndef STEPDOWN_LINALG_PASSES_TD
#define STEPDOWN_LINALG_PASSES_TD
include "mlir/Pass/PassBase.td"

def LowerKernels : Pass<"lower-kernels", "::mlir::ModuleOp"> {
  let summary = "Lower fused kernels to linalg on packed tensors";
  let description = [{
    Every `transformer.kernel` becomes a `transformer.dispatch` of a function, once for each token-count bucket of the target, in the nested
    module @kernels; equal kernels share their functions. Packing is a rewrite of the types, by the target's layout (16 rows
    today): rows of float32 become 16-lane vectors, 16 rows of a weight one block, the tokens of a tile one activation block.

    Before: `transformer.kernel "ffn" (...) { transformer.linear ... }`
    After:  `transformer.dispatch @ffn_0(...)` and `func.func @ffn_0_b0(...) { linalg.generic { tile.block_dot } }`
  }];
  let options = [Option<"targetName", "target", "std::string", "\"x86-64-v4-vnni\"", "Target of lib/Base/Targets.def">];
  let statistics = [Statistic<"dispatches", "dispatches", "Dispatches">];
  let dependentDialects = ["::stepdown::transformer::TransformerDialect", "::stepdown::tile::TileDialect", "::mlir::func::FuncDialect",
                           "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect",
                           "::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::vector::VectorDialect"];
}

def DecomposeOperations : Pass<"decompose-operations", "::mlir::ModuleOp"> {
  let summary = "Write operations of plain modules that stand for several as linalg on tensors";
  let description = [{
    `transformer.rms_norm`, `layer_norm`, `gated_activation`, `add`, `linear`, `logits`, `embedding`, `select_rows`, `rope`, `kv_append`
    and `attention` on rows of float32, `linalg.softmax`, `pack`, `unpack` and Winograd's transforms, `tensor.concat` and `bitcast`,
    `affine.delinearize_index` and `linearize_index`. Only functions of plain modules hold these: kernels of models are lowered by lower-kernels on packed tensors. In a plain module, arrays take the
    place of three types: of a batch the positions of its tokens (i32 [T], one sequence), of a cache a row for each position (keys of all
    heads, then values), of blocks of one float that float. Last, what upstream's passes compute wrongly in the form in which people
    write it gets another (SoundForms.h).

    Before: `transformer.rms_norm %x, %w {eps = 1.0e-5 : f64}`
    After:  `linalg.generic` for the sum of squares, and one for the rows
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect",
                           "::mlir::math::MathDialect", "::mlir::scf::SCFDialect", "::mlir::cf::ControlFlowDialect",
                           "::mlir::affine::AffineDialect"];
}

def FuseElementwise : Pass<"fuse-elementwise", "::mlir::func::FuncOp"> {
  let summary = "Fuse elementwise operations of a callable function into their only reader";
  let description = [{
    A producer whose every element is read once, by one operation, is computed there and never stored. In rounds that
    fuse pairs, so that the time grows with the length of a chain and not with its square.

    Before: `linalg.generic { math.exp }`, `linalg.generic { arith.mulf }`
    After:  `linalg.generic { math.exp; arith.mulf }`
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::affine::AffineDialect"];
}

def CheckSizes : Pass<"check-sizes", "::mlir::func::FuncOp"> {
  let summary = "Assert what the types of a callable function leave open";
  let description = [{
    Dimensions that one loop goes through must agree, indices and slices lie inside, sizes are sizes and hold what there was,
    divisors are not zero. What types and constants prove needs no assertion. What is asserted of sizes is computed in 128
    bits, so that no offset, stride or size that a caller gives can wrap it.

    Before: `linalg.matmul ins(%a, %b : tensor<?x?xf32>, tensor<?x?xf32>) ...`
    After:  `cf.assert %0, "linalg.matmul: expects dimension 0 of operand 1 to equal dimension 1 of operand 0, but they differ"`
  }];
  let dependentDialects = ["::mlir::cf::ControlFlowDialect", "::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect",
                           "::mlir::affine::AffineDialect"];
}
#endif
