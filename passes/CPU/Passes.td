// The CPU stage: kernels become LLVM functions with the runtime's kernel ABI.
#ifndef STEPDOWN_CPU_PASSES_TD
#define STEPDOWN_CPU_PASSES_TD
include "mlir/Pass/PassBase.td"

def BindOperands : Pass<"bind-operands", "::mlir::func::FuncOp"> {
  let summary = "Give a kernel the runtime's kernel ABI and share its tiles out to threads";
  let description = [{
    Arguments become one pointer to addresses and dimensions (include/stepdown/Artifact.h), a thread number and the
    number of threads. A `scf.forall` becomes a loop over the thread's range of tiles, or over every threads-th tile
    where tiles cost unequally.

    Before:
    ```mlir
    func.func @range_of_tiles(%x: memref<?x2xf32>, %y: memref<?x2xf32>) {
      ...
      scf.forall (%i) in (%n) {
        %0 = memref.load %x[%i, %c0] : memref<?x2xf32>
    ```
    After:
    ```mlir
    func.func @range_of_tiles(%operands: !llvm.ptr, %thread: i64, %threads: i64) {
      %p = llvm.getelementptr %operands[0] : (!llvm.ptr) -> !llvm.ptr, i64
      %address = llvm.load %p : !llvm.ptr -> !llvm.ptr
      ...
      %x = builtin.unrealized_conversion_cast ... to memref<?x2xf32>
      ...
      scf.for %i = %begin to %end step %c1 {
        %0 = memref.load %x[%i, %c0] : memref<?x2xf32>
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::scf::SCFDialect", "::mlir::arith::ArithDialect"];
}

def BindArrays : Pass<"bind-arrays", "::mlir::func::FuncOp"> {
  let summary = "Give a function of a plain module the artifact's signature and its arrays the call's arena";
  let description = [{
    Arguments and results become addresses and dimensions in one array, behind the address of the call's record
    (stepdown_call of include/stepdown/Artifact.h). An allocation takes the next bytes of the arena, after a check
    (`cf.assert`) that they are there; a loop that carries no array gives back at the end of each iteration what the
    iteration took.

    Before:
    ```mlir
    func.func @takes_from_the_arena(%x: memref<?xf32>, %n: memref<index>) -> memref<?xf32> {
      ...
      %y = memref.alloc(%size) : memref<?xf32>
      return %y : memref<?xf32>
    ```
    After:
    ```mlir
    func.func @takes_from_the_arena(%operands: !llvm.ptr, %thread: i64, %threads: i64) {
      ...
      %end = arith.addi %next, %bytes : i64
      ...
      cf.assert %room, "stepdown: the arena is too small"
      ...
      llvm.store %end, ...
      %y = llvm.inttoptr %next : i64 to !llvm.ptr
      ...
      %p = llvm.getelementptr %operands[4] : (!llvm.ptr) -> !llvm.ptr, i64
      llvm.store %result, %p : i64, !llvm.ptr
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::cf::ControlFlowDialect", "::mlir::arith::ArithDialect",
                           "::mlir::memref::MemRefDialect"];
}

def BindLaunches : Pass<"bind-launches", "::mlir::ModuleOp"> {
  let summary = "Make a function's launches, and its accesses to a device's memory, calls of its caller";
  let description = [{
    In a function that bind-arrays gave its signature, a `gpu.launch_func` or a `tile.launch` becomes a call of
    `launch` of the table that comes with the call's record (stepdown_host of include/stepdown/Artifact.h), a load or
    store of one element a call of `read` or `write`, and the copy of a constant one `write`. The function ends when
    such a call says no. Kernels are numbered in the order of their `gpu.module`s.

    Before:
    ```mlir
    func.func @launches(%operands: !llvm.ptr, %thread: i64, %threads: i64) {
      ...
      gpu.launch_func @launches_kernel::@launches_kernel blocks in (%n, %c1, %c1) threads in (%c256, %c1, %c1) args(...
    ```
    After:
    ```mlir
    func.func @launches(%operands: !llvm.ptr, %thread: i64, %threads: i64) {
      ...
      %status = llvm.call %launch(%host, %c1_i64, %words, %c6_i64, %c3_i64, %c1_i64, %c1_i64) : ...
      ...
      cf.assert %good, "stepdown: the device refused"
    ```
  }];
  let options = [Option<"multiprocessors", "multiprocessors", "int64_t", "132", "blocks of a tile kernel that run at a time">];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect",
                           "::mlir::gpu::GPUDialect"];
}

def LowerAssertions : Pass<"lower-assertions", "::mlir::ModuleOp"> {
  let summary = "Make a check that fails end the call with its text";
  let description = [{
    Each `cf.assert` of a function of a plain module becomes a branch to a block that stores the address of the text
    in the call's record and returns. The text is a constant of the code, so nothing outside it has to be known.

    Before:
    ```mlir
    func.func @ends_the_call(%operands: !llvm.ptr, %thread: i64, %ok: i1) {
      cf.assert %ok, "sizes differ"
    ```
    After:
    ```mlir
    llvm.mlir.global internal constant @check_0("sizes differ ...
    func.func @ends_the_call(%operands: !llvm.ptr, %thread: i64, %ok: i1) {
      cf.cond_br %ok, ^bb1, ^bb4
      ...
    ^bb4:  // pred: ^bb0
      ...
      %text = llvm.mlir.addressof @check_0 : !llvm.ptr
      %address = llvm.ptrtoint %text : !llvm.ptr to i64
      %failure = llvm.getelementptr %call[2] : (!llvm.ptr) -> !llvm.ptr, i64
      llvm.store %address, %failure : i64, !llvm.ptr
      return
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::cf::ControlFlowDialect"];
}

def CarryBFloat16 : Pass<"carry-bfloat16", "::mlir::ModuleOp"> {
  let summary = "Carry bf16 as the sixteen bits that it is";
  let description = [{
    In functions of a plain module, and in the constants that they read, i16 takes the place of bf16: they compute
    nothing in bf16 any more (expand-elementary), but LLVM calls a library to move a number of that type.

    Before:
    ```mlir
    func.func @bits(%p: i1, %x: i16) -> i16 {
      %one = arith.constant 1.0 : bf16
      %b = arith.bitcast %x : i16 to bf16
      %v = arith.select %p, %one, %b : bf16
    ```
    After:
    ```mlir
    func.func @bits(%p: i1, %x: i16) -> i16 {
      %one = arith.constant 16256 : i16
      %v = arith.select %p, %one, %x : i16
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

def LowerToLLVM : Pass<"lower-to-llvm", "::mlir::ModuleOp"> {
  let summary = "Convert kernels to the LLVM dialect, with blocks as arrays of bytes";
  let description = [{
    One conversion for every dialect that the vector stage leaves. What it cannot convert it names: an operation of
    a dialect of which it converts none, and one that has no form in machine code.

    Before:
    ```mlir
    func.func @address_of_a_block(%w: memref<4x2x!transformer.block<q4_1, rows = 16>>, %i: index) -> !llvm.ptr {
      %0 = tile.block_ptr %w[%i, %i] : memref<4x2x!transformer.block<q4_1, rows = 16>> -> !llvm.ptr
    ```
    After:
    ```mlir
    llvm.func @address_of_a_block(...) -> !llvm.ptr {
      ...
      %c2 = llvm.mlir.constant(2 : index) : i64
      %row = llvm.mul %i, %c2 : i64
      %block = llvm.add %row, %i : i64
      %0 = llvm.getelementptr %w[%block] : (!llvm.ptr, i64) -> !llvm.ptr, !llvm.array<320 x i8>
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}
#endif
