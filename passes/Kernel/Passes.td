// The kernel stage: structured operations that a GPU has tile kernels for.
#ifndef STEPDOWN_KERNEL_PASSES_TD
#define STEPDOWN_KERNEL_PASSES_TD
include "mlir/Pass/PassBase.td"

def SelectKernels : Pass<"select-kernels", "::mlir::ModuleOp"> {
  let summary = "Select tile kernels for matrix products";
  let description = [{
    A table says which kernel, with tiles of which size, computes a `linalg.matmul` of these types and sizes on the chip
    (passes/Kernel/KernelTable.cpp). Rows that the copying hardware reads are padded to 16 bytes. A product that adds to something, or that
    the table has nothing for, stays.

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
      %1 = tile.launch @matmul_128x256_bf16_f32 ins(%rows, %columns : tensor<131x72xbf16>, tensor<67x136xbf16>) outs(%init : tensor<131x129xf32>) -> tensor<131x129xf32>
    ```
  }];
  let options = [Option<"chip", "chip", "std::string", "\"sm_90a\"", "chip whose kernels are selected">];
  let statistics = [Statistic<"selected", "selected", "products that became launches">];
  let dependentDialects = ["::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect", "::stepdown::tile::TileDialect"];
}

def MapThreads : Pass<"map-threads", "::mlir::func::FuncOp"> {
  let summary = "Convert what no tile kernel computes to launches of a thread for each element";
  let description = [{
    A structured operation on memrefs becomes a `gpu.launch` of as many threads as its parallel dimensions have elements; each
    thread walks the reduction. A check inside of it leaves its number in memory, and the host tells of it. Constants are copied to
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
          scf.for %j = %c0 to %c7 step %c1 {
            %0 = memref.load %x[%i, %j] : memref<?x7xf32>
    ```
  }];
  let statistics = [Statistic<"launches", "launches", "operations that became launches">];
  let dependentDialects = ["::mlir::gpu::GPUDialect", "::mlir::scf::SCFDialect", "::mlir::memref::MemRefDialect",
                           "::mlir::linalg::LinalgDialect", "::mlir::affine::AffineDialect", "::mlir::cf::ControlFlowDialect",
                           "::mlir::arith::ArithDialect"];
}
#endif
