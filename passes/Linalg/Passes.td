// The linalg stage: operations on rows become linalg, once for all targets; functions of plain modules get sound forms.
#ifndef STEPDOWN_LINALG_PASSES_TD
#define STEPDOWN_LINALG_PASSES_TD
include "mlir/Pass/PassBase.td"

def LowerOperations : Pass<"lower-operations", "::mlir::ModuleOp"> {
  let summary = "Write operations on rows as linalg";
  let description = [{
    `transformer.rms_norm`, `layer_norm`, `gated_activation` and `add`, the bias of `linear` and `logits`, and the soft-cap of
    `logits`: on rows of float32, in kernels of models and in functions of plain modules alike. Products with stored weights
    stay `transformer.linear`: what is a block, and how many of them are multiplied at once, is the target's.

    Before: `transformer.rms_norm %x, %w {eps = 1.0e-5 : f64}`
    After:  `linalg.generic` for the sum of squares, one for the factor of each row, and one for the rows
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect",
                           "::mlir::math::MathDialect"];
}

def DecomposeOperations : Pass<"decompose-operations", "::mlir::ModuleOp"> {
  let summary = "Write operations of plain modules that stand for several as linalg on tensors";
  let description = [{
    `transformer.linear` without bias, `embedding`, `select_rows`, `rope`, `kv_append` and `attention` on rows of float32,
    `linalg.softmax`, `pack`, `unpack` and Winograd's transforms, `tensor.concat` and `bitcast`, `affine.for`, `if`,
    `delinearize_index` and `linearize_index`. Kernels of models hold none of these, or pack-kernels packs theirs. Arrays take
    the place of three types: of a batch the positions of its tokens (i32 [T], one sequence), of a cache a row for each position (keys of all
    heads, then values), of blocks of one float that float. Last, what upstream's passes compute wrongly in the form in which people
    write it gets another (SoundForms.h).

    Before: `transformer.linear %x, %w`
    After:  `linalg.generic {iterator_types = ["parallel", "parallel", "reduction"]}` of float32
  }];
  let dependentDialects = ["::stepdown::transformer::TransformerDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
                           "::mlir::scf::SCFDialect", "::mlir::cf::ControlFlowDialect", "::mlir::affine::AffineDialect"];
}

def FuseElementwise : Pass<"fuse-elementwise", "::mlir::func::FuncOp"> {
  let summary = "Fuse elementwise operations of a plain module into their only reader";
  let description = [{
    A producer whose every element is read once, by one operation, is computed there and never stored. In rounds that
    fuse pairs, so that the time grows with the length of a chain and not with its square.

    Before: `linalg.generic { math.exp }`, `linalg.generic { arith.mulf }`
    After:  `linalg.generic { math.exp; arith.mulf }`
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::affine::AffineDialect"];
}

def CheckSizes : Pass<"check-sizes", "::mlir::func::FuncOp"> {
  let summary = "Assert what the types of a plain module leave open";
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
