// The linalg stage: operations on rows become linalg, once for all targets; functions of plain modules get sound forms.
#ifndef STEPDOWN_LINALG_PASSES_TD
#define STEPDOWN_LINALG_PASSES_TD
include "mlir/Pass/PassBase.td"

def LowerOperations : Pass<"lower-operations", "::mlir::ModuleOp"> {
  let summary = "Write operations on rows as linalg";
  let description = [{
    `transformer.rms_norm`, `layer_norm`, `gated_activation` and `add`, the bias of `linear` and `logits`, and the
    soft-cap of `logits`: on rows of float32, in kernels of models and in functions of plain modules alike. Products
    with stored weights stay `transformer.linear`: what is a block, and how many of them are multiplied at once, is
    the target's.

    Before:
    ```mlir
    func.func @norm_over_heads(%x: tensor<?x12xf32>, %w: tensor<4xf32>) -> tensor<?x12xf32> {
      %0 = transformer.rms_norm %x, %w {eps = 1.0e-5 : f64} : tensor<?x12xf32>, tensor<4xf32>
    ```
    After:
    ```mlir
    func.func @norm_over_heads(%x: tensor<?x12xf32>, %w: tensor<4xf32>) -> tensor<?x12xf32> {
      ...
      %sums = linalg.generic {... ["parallel", "parallel", "reduction"]} ins(%heads : tensor<?x3x4xf32>) ...
      ^bb0(%in: f32, %out: f32):
        %0 = math.fma %in, %in, %out : f32
      ...
      %factors = linalg.generic {... ["parallel", "parallel"]} ins(%sums : tensor<?x3xf32>) ...
      ...
      %r = linalg.generic {... ["parallel", "parallel", "parallel"]} ins(%heads, %factors, %w : ...
    ```
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect",
                           "::mlir::math::MathDialect"];
}

def DecomposeOperations : Pass<"decompose-operations", "::mlir::ModuleOp"> {
  let summary = "Write operations of plain modules that stand for several as linalg on tensors";
  let description = [{
    `transformer.linear` without bias, `embedding`, `select_rows`, `rope`, `kv_append` and `attention` on rows of
    float32, `linalg.softmax`, `pack`, `unpack` and Winograd's transforms, `tensor.concat` and `bitcast`,
    `affine.for`, `if`, `delinearize_index` and `linearize_index`. Kernels of models hold none of these, or
    pack-kernels packs theirs. Arrays take the place of three types: of a batch the positions of its tokens (i32
    [T], one sequence), of a cache a row for each position (keys of all heads, then values), of blocks of one float
    that float. Last, what upstream's passes compute wrongly in the form in which people write it gets another
    (SoundForms.h).

    Before:
    ```mlir
    func.func @rotate_and_multiply(%x: tensor<?x8xf32>, %b: !transformer.batch,
        %w: tensor<24x8x!transformer.block<bf16>>) -> tensor<?x24xf32> {
      ...
      %1 = transformer.linear %0, %w : (tensor<?x8xf32>, tensor<24x8x!transformer.block<bf16>>) -> tensor<?x24xf32>
    ```
    After:
    ```mlir
    func.func @rotate_and_multiply(%x: tensor<?x8xf32>, %b: tensor<?xi32>, %w: tensor<24x8xbf16>) ...
      ...
      %1 = linalg.generic {... ["parallel", "parallel", "reduction"]} ins(%0, %w : tensor<?x8xf32>, tensor<24x8xbf16>) ...
      ^bb0(%a: f32, %b16: bf16, %sum: f32):
        %2 = arith.extf %b16 : bf16 to f32
        ...
        linalg.yield %3 : f32
    ```
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

    Before:
    ```mlir
    func.func @dynamic_and_named(%x: tensor<?xf32>, %y: tensor<?xf32>) -> tensor<?xf32> {
      ...
        %e = math.exp %a : f32
      ...
      %1 = linalg.add ins(%0, %y : tensor<?xf32>, tensor<?xf32>) outs(%0 : tensor<?xf32>) -> tensor<?xf32>
      %2 = linalg.mul ins(%1, %y : tensor<?xf32>, tensor<?xf32>) outs(%y : tensor<?xf32>) -> tensor<?xf32>
    ```
    After:
    ```mlir
    func.func @dynamic_and_named(%x: tensor<?xf32>, %y: tensor<?xf32>) -> tensor<?xf32> {
      ...
      %0 = linalg.generic {... iterator_types = ["parallel"]} ins(%x, %y : tensor<?xf32>, tensor<?xf32>) ...
      ^bb0(%a: f32, %b: f32, %out: f32):
        %1 = math.exp %a : f32
        %2 = arith.addf %1, %b : f32
        %3 = arith.mulf %2, %b : f32
        linalg.yield %3 : f32
    ```
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::affine::AffineDialect"];
}

def CheckSizes : Pass<"check-sizes", "::mlir::func::FuncOp"> {
  let summary = "Assert what the types of a plain module leave open";
  let description = [{
    Dimensions that one loop goes through must agree, indices and slices lie inside, sizes are sizes and hold what
    there was, divisors are not zero. What types and constants prove needs no assertion. What is asserted of sizes
    is computed in 128 bits, so that no offset, stride or size that a caller gives can wrap it.

    Before:
    ```mlir
    func.func @sizes_that_meet(%a: tensor<4x?xf32>, %b: tensor<?x5xf32>, %c: tensor<4x5xf32>) -> tensor<4x5xf32> {
      %0 = linalg.matmul ins(%a, %b : ...
    ```
    After:
    ```mlir
    func.func @sizes_that_meet(%a: tensor<4x?xf32>, %b: tensor<?x5xf32>, %c: tensor<4x5xf32>) -> tensor<4x5xf32> {
      ...
      %rows = tensor.dim %b, %c0 : tensor<?x5xf32>
      ...
      %columns = tensor.dim %a, %c1 : tensor<4x?xf32>
      ...
      %meet = arith.cmpi eq, %rows, %columns : index
      cf.assert %meet, "linalg.matmul: expects dimension 0 of operand 1 to equal dimension 1 of operand 0, but they differ"
      ...
      %0 = linalg.matmul ins(%a, %b : ...
    ```
  }];
  let dependentDialects = ["::mlir::cf::ControlFlowDialect", "::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect",
                           "::mlir::affine::AffineDialect"];
}
#endif
