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
#endif
