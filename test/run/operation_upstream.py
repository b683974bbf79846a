"""Programs that LLVM 22.1 computes wrongly on its own: reports to LLVM that matter to what we run, one function each."""
import numpy as np

from operation_case import Program

PROGRAMS = [
    # WhileMoveIfDown: the second of two equal operands of scf.condition became the other branch's value.
    Program("llvm-project issue 219456", """
func.func @f() -> index {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c20 = arith.constant 20 : index
  %result:3 = scf.while (%state = %c0) : (index) -> (index, index, index) {
    %more = arith.cmpi slt, %state, %c1 : index
    %value = scf.if %more -> index {
      %next = arith.addi %state, %c2 : index
      scf.yield %next : index
    } else {
      scf.yield %c20 : index
    }
    scf.condition(%more) %value, %value, %state : index, index, index
  } do {
  ^bb0(%first: index, %second: index, %old: index):
    scf.yield %second : index
  }
  return %result#2 : index
}""", [], [np.int64(2)]),
    # IndexCastOfIndexCast and IndexCastUIOfIndexCastUI: what eight bits cut off came back.
    Program("llvm-project issues 90296 and 90238", """
func.func @f(%x: index) -> (index, index) {
  %0 = arith.index_cast %x : index to i8
  %1 = arith.index_cast %0 : i8 to index
  %2 = arith.index_castui %x : index to i8
  %3 = arith.index_castui %2 : i8 to index
  return %1, %3 : index, index
}""", [np.int64(511)], [np.int64(-1), np.int64(255)]),
    # TruncFSIToFPToSIToFP and TruncFUIToFPToUIToFP: 16842753 is rounded to 16842752 first, which lies between two bf16.
    Program("llvm-project pull request 139925", """
func.func @f(%x: i32, %t: tensor<3xi32>) -> (bf16, bf16, tensor<3xbf16>) {
  %0 = arith.sitofp %x : i32 to f32
  %1 = arith.truncf %0 : f32 to bf16
  %2 = arith.uitofp %x : i32 to f32
  %3 = arith.truncf %2 : f32 to bf16
  %4 = arith.sitofp %t : tensor<3xi32> to tensor<3xf32>
  %5 = arith.truncf %4 : tensor<3xf32> to tensor<3xbf16>
  return %1, %3, %5 : bf16, bf16, tensor<3xbf16>
}""", [np.int32(16842753), np.full(3, 16842753, np.int32)],
            [np.uint16(0x4B80), np.uint16(0x4B80), np.full(3, 0x4B80, np.uint16)]),
]
