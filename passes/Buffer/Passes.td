// The buffer stage: tensors of a kernel become memrefs in place; scratch is on the stack and static.
#ifndef STEPDOWN_BUFFER_PASSES_TD
#define STEPDOWN_BUFFER_PASSES_TD
include "mlir/Pass/PassBase.td"

def DropEmpty : Pass<"drop-empty", "::mlir::func::FuncOp"> {
  let summary = "Drop what moves elements of arrays that are known to be empty";
  let description = [{
    MLIR verifies no slice that begins where an array ends, though it be of no elements: a `tensor.pad` of an empty array
    is bufferized to one, and sizes that become known make one of a slice that was sound. An array that is known to be
    empty, by its type or by that of what was cast to it, written into or carried by a loop, has no elements to move. What
    would move them becomes `tensor.empty` or what it was put into, and a padded one is filled. A reduction over no
    elements keeps what it starts from, also where its body does not read it.

    Before:
    ```mlir
    func.func @a_padded_empty_array_is_filled(%x: tensor<0xf32>, %v: f32) -> tensor<3xf32> {
      %0 = tensor.pad %x low[3] high[0] {
      ^bb0(%i: index):
        tensor.yield %v : f32
      } : tensor<0xf32> to tensor<3xf32>
    ```
    After:
    ```mlir
    func.func @a_padded_empty_array_is_filled(%x: tensor<0xf32>, %v: f32) -> tensor<3xf32> {
      %generated = tensor.generate {
      ^bb0(%i: index):
        tensor.yield %v : f32
      } : tensor<3xf32>
    ```
  }];
  let dependentDialects = ["::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect", "::mlir::scf::SCFDialect"];
}

def PlaceScratch : Pass<"place-scratch", "::mlir::func::FuncOp"> {
  let summary = "Put a kernel's intermediate buffers on its stack";
  let description = [{
    Allocations of static size move to the function's entry as `memref.alloca`. A kernel neither allocates nor copies: a
    copy of equal subviews, which bufferization leaves behind, is removed; any other copy or allocation is an error.

    Before:
    ```mlir
    func.func @scratch_of_a_tile(%x: memref<?x2xvector<16xf32>>) {
      ...
      scf.forall (%i) in (3) {
        %0 = memref.alloc() : memref<4x2xvector<16xf32>>
        memref.store %zero, %0[%c0, %c0] : memref<4x2xvector<16xf32>>
      }
    ```
    After:
    ```mlir
    func.func @scratch_of_a_tile(%x: memref<?x2xvector<16xf32>>) {
      %scratch = memref.alloca() {alignment = 64 : i64} : memref<4x2xvector<16xf32>>
      ...
      scf.forall (%i) in (3) {
        memref.store %zero, %scratch[%c0, %c0] : memref<4x2xvector<16xf32>>
      }
    ```
  }];
  let dependentDialects = ["::mlir::memref::MemRefDialect"];
}

def PlaceArrays : Pass<"place-arrays", "::mlir::func::FuncOp"> {
  let summary = "Write copies and parallel loops out, and put small arrays of loops on the stack";
  let description = [{
    In a function of a plain module, a copy becomes a `linalg.generic`, which later stages know how to compute, a
    `scf.forall` the loops of one thread; an array of static size that lives within one iteration of a loop moves to the
    stack, up to 16 KiB of them together. All others stay allocations: the CPU stage takes them from the call's arena.

    Before:
    ```mlir
    func.func @a_copy_is_written_out(%a: memref<?xf32>, %b: memref<?xf32>) {
      memref.copy %a, %b : memref<?xf32> to memref<?xf32>
    ```
    After:
    ```mlir
    func.func @a_copy_is_written_out(%a: memref<?xf32>, %b: memref<?xf32>) {
      linalg.generic {... iterator_types = ["parallel"]} ins(%a : memref<?xf32>) outs(%b : memref<?xf32>) {
      ^bb0(%in: f32, %out: f32):
        linalg.yield %in : f32
      }
    ```
  }];
  let options = [Option<"stack", "stack", "bool", "true", "whether small arrays may lie on the stack: not those of a device">];
  let dependentDialects = ["::mlir::memref::MemRefDialect", "::mlir::linalg::LinalgDialect"];
}
#endif
