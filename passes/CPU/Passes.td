// The CPU stage: kernels become LLVM functions with the runtime's kernel ABI.
#ifndef STEPDOWN_CPU_PASSES_TD
#define STEPDOWN_CPU_PASSES_TD
include "mlir/Pass/PassBase.td"

def BindOperands : Pass<"bind-operands", "::mlir::func::FuncOp"> {
  let summary = "Give a kernel the runtime's kernel ABI and share its tiles out to threads";
  let description = [{
    Arguments become one pointer to addresses and dimensions (include/stepdown/Artifact.h), a thread number and the number of
    threads. A `scf.forall` becomes a loop over the thread's range of tiles, or over every threads-th tile where tiles cost
    unequally.

    Before: `func.func @k(%x: memref<?x36xvector<16xf32>>) { scf.forall (%i) in (%n) { ... } }`
    After:  `func.func @k(%operands: !llvm.ptr, %thread: i64, %threads: i64) { scf.for ... }`
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::scf::SCFDialect", "::mlir::arith::ArithDialect"];
}

def LowerToLLVM : Pass<"lower-to-llvm", "::mlir::ModuleOp"> {
  let summary = "Convert kernels to the LLVM dialect, with blocks as arrays of bytes";
  let description = [{
    One conversion for every dialect that the vector stage leaves. Before: `memref<?x?x!transformer.block<q4_1, rows = 16>>`.
    After: `!llvm.array<320 x i8>` behind a pointer.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}
#endif
