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
    # linalg.map: what it writes to was not kept, though the body reads it.
    Program("llvm-project issue 213241", """
func.func @f(%x: tensor<7xi32>, %i: tensor<7xi32>) -> (tensor<7xi32>, tensor<7xi32>) {
  %m = linalg.map ins(%x : tensor<7xi32>) outs(%i : tensor<7xi32>) (%in: i32, %out: i32) {
    %s = arith.addi %in, %out : i32
    linalg.yield %s : i32
  }
  %c = arith.constant dense<11> : tensor<7xi32>
  %n = linalg.map ins(%x : tensor<7xi32>) outs(%c : tensor<7xi32>) (%in: i32, %out: i32) {
    %s = arith.addi %in, %out : i32
    linalg.yield %s : i32
  }
  return %m, %n : tensor<7xi32>, tensor<7xi32>
}""", [np.arange(7, dtype=np.int32), np.full(7, 100, np.int32)],
            [np.arange(100, 107, dtype=np.int32), np.arange(11, 18, dtype=np.int32)]),
    # addi(addi(x, -128), -1) kept its promise not to overflow as addi(x, 127).
    Program("llvm-project issue 140328", """
func.func @f(%x: i8) -> (i8, i1) {
  %a = arith.constant -128 : i8
  %b = arith.constant -1 : i8
  %t = arith.addi %x, %a overflow<nsw> : i8
  %r = arith.addi %t, %b overflow<nsw> : i8
  %less = arith.cmpi slt, %r, %x : i8
  return %r, %less : i8, i1
}""", [np.int8(1)], [np.int8(-128), np.bool_(True)]),
    # InsertSliceOpConstantArgumentFolder: a source of dimensions 1, 2, 2 in a slice of 1, 2, 1, 2.
    Program("llvm-project pull request 217361", """
func.func @f(%x: tensor<1x2x2xf32>, %d: tensor<1x?x1x?xf32>) -> tensor<1x?x1x?xf32> {
  %c2 = arith.constant 2 : index
  %y = tensor.cast %x : tensor<1x2x2xf32> to tensor<1x?x?xf32>
  %r = tensor.insert_slice %y into %d[0, 0, 0, 0] [1, %c2, 1, %c2] [1, 1, 1, 1] : tensor<1x?x?xf32> into tensor<1x?x1x?xf32>
  return %r : tensor<1x?x1x?xf32>
}""", [np.arange(4, dtype=np.float32).reshape(1, 2, 2), np.full((1, 3, 1, 5), 9, np.float32)],
            [np.array([[[[0, 1, 9, 9, 9]], [[2, 3, 9, 9, 9]], [[9, 9, 9, 9, 9]]]], np.float32)]),
    # extract_slice of an unpack was cut along another dimension than the tiles'.
    Program("llvm-project pull request 181840", """
func.func @f(%x: tensor<5x2x7xf32>, %d: tensor<5x14xf32>) -> tensor<3x14xf32> {
  %u = linalg.unpack %x inner_dims_pos = [1] inner_tiles = [7] into %d : tensor<5x2x7xf32> -> tensor<5x14xf32>
  %s = tensor.extract_slice %u[0, 0] [3, 14] [1, 1] : tensor<5x14xf32> to tensor<3x14xf32>
  return %s : tensor<3x14xf32>
}""", [np.arange(70, dtype=np.float32).reshape(5, 2, 7), np.zeros((5, 14), np.float32)],
            [np.arange(42, dtype=np.float32).reshape(3, 14)]),
    # scf.index_switch saw the lower half of its number and of its cases alone.
    Program("llvm-project issue 111589", """
func.func @f(%x: tensor<6xindex>) -> (tensor<6xi32>, tensor<6xi32>) {
  %c1 = arith.constant 1 : i32
  %c2 = arith.constant 2 : i32
  %c3 = arith.constant 3 : i32
  %c4 = arith.constant 4 : i32
  %e = tensor.empty() : tensor<6xi32>
  %n, %w = scf.forall (%i) in (6) shared_outs(%a = %e, %b = %e) -> (tensor<6xi32>, tensor<6xi32>) {
    %k = tensor.extract %x[%i] : tensor<6xindex>
    %0 = scf.index_switch %k -> i32
    case 0 {
      scf.yield %c1 : i32
    }
    case 5 {
      scf.yield %c2 : i32
    }
    default {
      scf.yield %c3 : i32
    }
    %1 = scf.index_switch %k -> i32
    case 4294967296 {
      scf.yield %c1 : i32
    }
    case -9223372036854775808 {
      scf.yield %c2 : i32
    }
    case 5 {
      scf.yield %c3 : i32
    }
    default {
      scf.yield %c4 : i32
    }
    %s0 = tensor.from_elements %0 : tensor<1xi32>
    %s1 = tensor.from_elements %1 : tensor<1xi32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %s0 into %a[%i] [1] [1] : tensor<1xi32> into tensor<6xi32>
      tensor.parallel_insert_slice %s1 into %b[%i] [1] [1] : tensor<1xi32> into tensor<6xi32>
    }
  }
  return %n, %w : tensor<6xi32>, tensor<6xi32>
}""", [np.array([0, 5, 1 << 32, (1 << 32) + 5, -(1 << 63), 2], np.int64)],
            [np.array([1, 2, 3, 3, 3, 3], np.int32), np.array([4, 3, 1, 4, 2, 4], np.int32)]),
    # A loop of one iteration whose argument nobody reads (RemoveDeadRegionBranchOpSuccessorInputs).
    Program("llvm-project issue 216956", """
func.func @f(%x: i32) -> i32 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %0 = scf.for %i = %c0 to %c1 step %c1 iter_args(%iter = %x) -> (i32) {
    %value = arith.index_cast %i : index to i32
    scf.yield %value : i32
  }
  return %0 : i32
}""", [np.int32(5)], [np.int32(0)]),
    # x - x of a tensor of any size folded to a constant, which has to have one.
    Program("constants of no size", """
func.func @f(%x: tensor<?xi1>, %y: tensor<?xi32>) -> (tensor<?xi1>, tensor<?xi32>, tensor<?xi1>) {
  %0 = arith.xori %x, %x : tensor<?xi1>
  %1 = arith.xori %y, %y : tensor<?xi32>
  %2 = arith.cmpi eq, %y, %y : tensor<?xi32>
  return %0, %1, %2 : tensor<?xi1>, tensor<?xi32>, tensor<?xi1>
}""", [np.ones(3, np.bool_), np.arange(5, dtype=np.int32)],
            [np.zeros(3, np.bool_), np.zeros(5, np.int32), np.ones(5, np.bool_)]),
    # Both folded to NaN; and other functions of constants by the C library of the machine that compiles.
    Program("constants of elementary functions", """
func.func @f() -> (f64, tensor<3xf64>) {
  %z = arith.constant 0.0 : f64
  %0 = math.atan2 %z, %z : f64
  %y = arith.constant dense<[0.0, -0.0, 1.0]> : tensor<3xf64>
  %x = arith.constant dense<[0.0, 0.0, 0.0]> : tensor<3xf64>
  %1 = math.atan2 %y, %x : tensor<3xf64>
  return %0, %1 : f64, tensor<3xf64>
}""", [], [np.float64(0), np.arctan2([0.0, -0.0, 1.0], [0.0, 0.0, 0.0])]),
]
