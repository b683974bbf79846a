// The kernel stage: structured operations that a GPU has tile kernels for.
#ifndef STEPDOWN_KERNEL_PASSES_TD
#define STEPDOWN_KERNEL_PASSES_TD
include "mlir/Pass/PassBase.td"

def SelectAttention : Pass<"select-attention", "::mlir::ModuleOp"> {
  let summary = "Select tile kernels for attention";
  let description = [{
    A table says which kernel computes a `transformer.attention` of this head size and these types on the chip
    (passes/Kernel/KernelTable.cpp): queries, keys and values of bf16 or f16. Tiles of queries become rows of a table
    that a kernel of threads makes; each has as many queries as the kernel's tiles where positions follow each other, else one. A
    cache without positions gives zeros. What the table has nothing for stays, and the module's `tile.unselected` says why.

    Before:
    ```mlir
    func.func @heads_of_64(%q: tensor<?x128xbf16>, %batch: !transformer.batch,
                           %cache: !transformer.cache<heads = 1, key = 64, value = 64, element = bf16>) -> tensor<?x128xbf16> {
      %y = transformer.attention %q, %batch, %cache {scale = 0.125 : f64}
      ...
    ```
    After:
    ```mlir
    func.func @heads_of_64(%q: ...
      ...
      cf.assert %fits, "transformer.attention: expects dimension 0 of operand 1 to equal dimension 0 of operand 0, but they differ"
      ...
      %y = scf.if %none -> (tensor<?x128xbf16>) {
        ...
        %o = tile.launch @attention_192x128x64_bf16_bf16 ins(%q, %keys, %keys, %tiles : tensor<?x128xbf16>, tensor<?x128xbf16>, tensor<?x128xbf16>, tensor<?x5xi32>) outs(%room : tensor<?x128xbf16>) -> tensor<?x128xbf16>
    ```
  }];
  let options = [Option<"chip", "chip", "std::string", "\"sm_90a\"", "chip whose kernels are selected">];
  let statistics = [Statistic<"selected", "selected", "attentions that became launches">];
  let dependentDialects = ["::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::cf::ControlFlowDialect", "::mlir::scf::SCFDialect", "::stepdown::tile::TileDialect"];
}

def SelectKernels : Pass<"select-kernels", "::mlir::ModuleOp"> {
  let summary = "Select tile kernels for matrix products";
  let description = [{
    A table says which kernel, with tiles of which size, computes a product of matrices of these types and sizes on the chip
    (passes/Kernel/KernelTable.cpp): a `linalg.matmul`, a `linalg.batch_matmul`, which becomes a launch for each of its matrices, or a
    `linalg.generic` that says the same, with any order of dimensions. Rows that the copying hardware reads are padded to 16 bytes.
    What the product is added to, and an elementwise operation that alone reads it, become part of the kernel in front of its store
    (passes/Kernel/Epilogue.h). Where rows are known and pairs of tiles of them fill, blocks of the largest kernel of sm_90a run in
    pairs (`matmul_2x`...), which bring the second factor from L2 once. Where tiles are few and the sum is long, both known, blocks share
    the sum out (`..._4_shares`): each share's sums are a matrix of float32 of their own, and an operation behind the kernel adds
    them up in pairs, always in the same order, with what the product is added to. A product of float32 whose factors are codes of
    fp8 times scales (passes/Kernel/Dequantised.h) is one of codes, with scales. A product that the table has nothing for stays,
    and the module's `tile.unselected` says why.

    Before:
    ```mlir
    func.func @odd_sizes(%a: tensor<131x67xbf16>, %b: tensor<67x129xbf16>) -> tensor<131x129xf32> {
      ...
      %0 = linalg.fill ins(%zero : f32) outs(%init : tensor<131x129xf32>) -> tensor<131x129xf32>
      %1 = linalg.matmul ins(%a, %b : tensor<131x67xbf16>, tensor<67x129xbf16>) outs(%0 : tensor<131x129xf32>) -> tensor<131x129xf32>
    ```
    After:
    ```mlir
    func.func @odd_sizes(%a: ...
      ...
      %rows = tensor.pad %a low[0, 0] high[0, 5] {
      ...
      %columns = tensor.pad %b low[0, 0] high[0, 7] {
      ...
      %1 = tile.launch @matmul_2x128x256_bf16_f32 ins(%rows, %columns : tensor<131x72xbf16>, tensor<67x136xbf16>) outs(%init : tensor<131x129xf32>) -> tensor<131x129xf32>
    ```
  }];
  let options = [Option<"chip", "chip", "std::string", "\"sm_90a\"", "chip whose kernels are selected">];
  let statistics = [Statistic<"selected", "selected", "products that became launches">];
  let dependentDialects = ["::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect", "::mlir::scf::SCFDialect",
                           "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect", "::stepdown::tile::TileDialect"];
}

def MapThreads : Pass<"map-threads", "::mlir::func::FuncOp"> {
  let summary = "Convert what no tile kernel computes to launches of a thread for each element";
  let description = [{
    A structured operation on memrefs becomes a `gpu.launch` of as many threads as its parallel dimensions have elements; each
    thread walks the reduction, and keeps what it adds up in a register. A check inside of it leaves its number in memory, and the host tells of it. Constants are copied to
    the device once a call, and what a tile kernel reads or writes with gaps goes through a copy without.

    Before:
    ```mlir
    func.func @sums_of_rows(%x: memref<?x7xf32>, %y: memref<?xf32>) {
      linalg.generic {... iterator_types = ["parallel", "reduction"]} ins(%x : memref<?x7xf32>) outs(%y : memref<?xf32>) {
    ```
    After:
    ```mlir
    func.func @sums_of_rows(%x: memref<?x7xf32>, %y: memref<?xf32>) {
      ...
      gpu.launch blocks(%block, ...
        ...
        %inside = arith.cmpi ult, %i, %n : index
        scf.if %inside {
          %first = memref.load %y[%i] : memref<?xf32>
          %all = scf.for %j = %c0 to %c7 step %c1 iter_args(%sum = %first) -> (f32) {
            %0 = memref.load %x[%i, %j] : memref<?x7xf32>
    ```
  }];
  let statistics = [Statistic<"launches", "launches", "operations that became launches">];
  let dependentDialects = ["::mlir::gpu::GPUDialect", "::mlir::scf::SCFDialect", "::mlir::memref::MemRefDialect",
                           "::mlir::linalg::LinalgDialect", "::mlir::affine::AffineDialect", "::mlir::cf::ControlFlowDialect",
                           "::mlir::arith::ArithDialect"];
}

def LaunchKernels : Pass<"launch-kernels", "::mlir::ModuleOp"> {
  let summary = "Convert kernels of a model to functions of a GPU, a thread for each token and column";
  let description = [{
    A function with `tile.grid`, whose body is one loop over tokens and columns, becomes a `gpu.func` in a `gpu.module` of its own. Its
    parameters are the words of a dispatch: of each operand the address and the dimensions. A block of threads has one token.
    Memory that the function takes for itself is shared by the threads of a block.

    Before:
    ```mlir
    func.func @twice(%y: memref<?x48xf32>, %x: memref<?x48xf32>) attributes {tile.grid = array<i64: 43, 64>} {
      ...
      scf.parallel (%t, %c) = (%c0, %c0) to (%n, %c43) step (%c1, %c1) {
        %0 = memref.load %x[%t, %c] : memref<?x48xf32>
    ```
    After:
    ```mlir
    gpu.func @twice(%y: !llvm.ptr, %rows: i64, %columns: i64, %x: !llvm.ptr, ...
      ...
      %t = gpu.block_id  x
      ...
      scf.if %inside {
        %0 = memref.load %from[%t, %c] : memref<?x48xf32>
    ```
  }];
  let statistics = [Statistic<"launches", "launches", "functions that became kernels">];
  let dependentDialects = ["::mlir::gpu::GPUDialect", "::mlir::scf::SCFDialect", "::mlir::memref::MemRefDialect",
                           "::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect"];
}
#endif
