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

def BindArrays : Pass<"bind-arrays", "::mlir::func::FuncOp"> {
  let summary = "Give a function of a plain module the artifact's signature and its arrays the call's arena";
  let description = [{
    Arguments and results become addresses and dimensions in one array, behind the
    address of the call's record (stepdown_call of include/stepdown/Artifact.h). An allocation takes the next bytes of the
    arena, after a check (`cf.assert`) that they are there; a loop that carries no array gives back at the end of each
    iteration what the iteration took.

    Before: `func.func @f(%x: memref<?xf32>) -> memref<?xf32> { memref.alloc(%n) ... }`
    After:  `func.func @f(%operands: !llvm.ptr, %thread: i64, %threads: i64) { llvm.load; arith.addi; cf.assert ... }`
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::cf::ControlFlowDialect", "::mlir::arith::ArithDialect",
                           "::mlir::memref::MemRefDialect"];
}

def LowerAssertions : Pass<"lower-assertions", "::mlir::ModuleOp"> {
  let summary = "Make a check that fails end the call with its text";
  let description = [{
    Each `cf.assert` of a function of a plain module becomes a branch to a block that stores the address of the text in the call's
    record and returns. The text is a constant of the code, so nothing outside it has to be known.

    Before: `cf.assert %ok, "sizes differ"`
    After:  `cf.cond_br %ok, ^next, ^failed` and `^failed: llvm.store %text, %failure; return`
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::cf::ControlFlowDialect"];
}

def CarryBFloat16 : Pass<"carry-bfloat16", "::mlir::ModuleOp"> {
  let summary = "Carry bf16 as the sixteen bits that it is";
  let description = [{
    In functions of a plain module, and in the constants that they read, i16 takes the place of bf16: they compute nothing in
    bf16 any more (expand-elementary), but LLVM calls a library to move a number of that type.

    Before: `arith.select %p, %a, %b : bf16`
    After:  `arith.select %p, %a, %b : i16`
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

def LowerToLLVM : Pass<"lower-to-llvm", "::mlir::ModuleOp"> {
  let summary = "Convert kernels to the LLVM dialect, with blocks as arrays of bytes";
  let description = [{
    One conversion for every dialect that the vector stage leaves. What it cannot convert it names: an operation of a dialect
    of which it converts none, and one that has no form in machine code.

    Before: `memref<?x?x!transformer.block<q4_1, rows = 16>>`
    After:  `!llvm.array<320 x i8>` behind a pointer
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}
#endif
