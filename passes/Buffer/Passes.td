// The buffer stage: tensors of a kernel become memrefs in place; scratch is on the stack and static.
#ifndef STEPDOWN_BUFFER_PASSES_TD
#define STEPDOWN_BUFFER_PASSES_TD
include "mlir/Pass/PassBase.td"

def PlaceScratch : Pass<"place-scratch", "::mlir::func::FuncOp"> {
  let summary = "Put a kernel's intermediate buffers on its stack";
  let description = [{
    Allocations of static size move to the function's entry as `memref.alloca`. A kernel neither allocates nor copies: a
    copy of equal subviews, which bufferization leaves behind, is removed; any other copy or allocation is an error.

    Before: `scf.forall ... { %0 = memref.alloc() : memref<4x36xvector<16xf32>> }`
    After:  `%0 = memref.alloca() ...` before the loop
  }];
  let dependentDialects = ["::mlir::memref::MemRefDialect"];
}

def PlaceArrays : Pass<"place-arrays", "::mlir::func::FuncOp"> {
  let summary = "Write copies and parallel loops out, and put small arrays of loops on the stack";
  let description = [{
    In a function of a plain module, a copy becomes a `linalg.generic`, which later stages know how to compute, a
    `scf.forall` the loops of one thread; an array of static size that lives within one iteration of a loop moves to the
    stack, up to 16 KiB of them together. All others stay allocations: the CPU stage takes them from the call's arena.

    Before: `memref.copy %a, %b`
    After:  `linalg.generic ins(%a) outs(%b) { linalg.yield %in }`
  }];
  let dependentDialects = ["::mlir::memref::MemRefDialect", "::mlir::linalg::LinalgDialect"];
}
#endif
