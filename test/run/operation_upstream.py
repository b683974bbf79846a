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
    # A part of an array with sizes that its type does not say was given back with the steps of the whole array.
    Program("parts that are results", """
func.func @f(%x: tensor<11x2x7xi32>, %n: index) -> (tensor<5x?x?xi32>, tensor<?x2x3xi32>) {
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %0 = tensor.extract_slice %x[1, 0, 2] [5, %c2, %c3] [2, 1, 1] : tensor<11x2x7xi32> to tensor<5x?x?xi32>
  %1 = tensor.extract_slice %x[0, 0, 1] [%n, 2, 3] [3, 1, 2] : tensor<11x2x7xi32> to tensor<?x2x3xi32>
  return %0, %1 : tensor<5x?x?xi32>, tensor<?x2x3xi32>
}""", [np.arange(154, dtype=np.int32).reshape(11, 2, 7), np.int64(3)],
            [np.arange(154, dtype=np.int32).reshape(11, 2, 7)[1:11:2, :, 2:5], np.arange(154, dtype=np.int32).reshape(11, 2, 7)[0:9:3, :, 1:7:2]]),
    # An array that grows in a loop was cast to the size of the first one (ForOpTensorCastFolder).
    Program("loops whose arrays grow", """
func.func @f(%x: tensor<3xi32>, %n: index) -> (tensor<?xi32>, tensor<?xi32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c7 = arith.constant 7 : i32
  %s = tensor.cast %x : tensor<3xi32> to tensor<?xi32>
  %0 = scf.for %i = %c0 to %n step %c1 iter_args(%a = %s) -> (tensor<?xi32>) {
    %b = tensor.pad %a low[1] high[0] { ^bb0(%j: index): tensor.yield %c7 : i32 } : tensor<?xi32> to tensor<?xi32>
    scf.yield %b : tensor<?xi32>
  }
  %1 = scf.for %i = %c0 to %n step %c1 iter_args(%a = %s) -> (tensor<?xi32>) {
    %b = tensor.concat dim(0) %a, %0 : (tensor<?xi32>, tensor<?xi32>) -> tensor<?xi32>
    scf.yield %b : tensor<?xi32>
  }
  return %0, %1 : tensor<?xi32>, tensor<?xi32>
}""", [np.array([1, 2, 3], np.int32), np.int64(2)],
            [np.array([7, 7, 1, 2, 3], np.int32), np.array([1, 2, 3, 7, 7, 1, 2, 3, 7, 7, 1, 2, 3], np.int32)]),
    # Arrays that are known to be empty: no slice begins where they end, says the verifier of what is made of these.
    Program("arrays without elements", """
func.func @f(%x: tensor<?x0x5xi32>, %y: tensor<0x2xi32>, %z: tensor<3xi32>, %o: tensor<0xi32>, %n: index, %w: tensor<0x?xi32>)
    -> (tensor<?x0x5xi32>, tensor<3x?xi32>, tensor<?x5xi32>, tensor<3xi32>, tensor<?x7xi32>, tensor<0xi32>, tensor<?xi32>, tensor<0x?xi32>) {
  %c3 = arith.constant 3 : index
  %c7 = arith.constant 7 : index
  %v = arith.constant 9 : i32
  %0 = tensor.concat dim(1) %x, %x : (tensor<?x0x5xi32>, tensor<?x0x5xi32>) -> tensor<?x0x5xi32>
  %1 = tensor.pad %y low[2, %n] high[1, 0] { ^bb0(%i: index, %j: index): tensor.yield %v : i32 } : tensor<0x2xi32> to tensor<3x?xi32>
  %2 = tensor.collapse_shape %x [[0, 1], [2]] : tensor<?x0x5xi32> into tensor<?x5xi32>
  %3 = tensor.concat dim(0) %z, %o : (tensor<3xi32>, tensor<0xi32>) -> tensor<3xi32>
  %s = tensor.from_elements %n, %c7 : tensor<2xindex>
  %4 = tensor.reshape %o(%s) : (tensor<0xi32>, tensor<2xindex>) -> tensor<?x7xi32>
  %5 = arith.constant dense<> : tensor<0xi32>
  %u = tensor.cast %o : tensor<0xi32> to tensor<?xi32>
  %6 = tensor.concat dim(0) %u, %u : (tensor<?xi32>, tensor<?xi32>) -> tensor<?xi32>
  %t = tensor.from_elements %n, %c3 : tensor<2xindex>
  %7 = tensor.reshape %w(%t) : (tensor<0x?xi32>, tensor<2xindex>) -> tensor<0x?xi32>
  return %0, %1, %2, %3, %4, %5, %6, %7 : tensor<?x0x5xi32>, tensor<3x?xi32>, tensor<?x5xi32>, tensor<3xi32>, tensor<?x7xi32>, tensor<0xi32>, tensor<?xi32>, tensor<0x?xi32>
}""", [np.zeros((2, 0, 5), np.int32), np.zeros((0, 2), np.int32), np.arange(3, dtype=np.int32), np.zeros(0, np.int32), np.int64(0), np.zeros((0, 7), np.int32)],
            [np.zeros((2, 0, 5), np.int32), np.full((3, 2), 9, np.int32), np.zeros((0, 5), np.int32), np.arange(3, dtype=np.int32),
             np.zeros((0, 7), np.int32), np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros((0, 3), np.int32)]),
    # The same where a loop of which each turn writes its part holds one: its type became that of no elements.
    Program("arrays without elements in parallel loops", """
func.func @f(%x: tensor<3x?xi32>, %y: tensor<?x2xi32>, %z: tensor<3x5xi32>) -> (tensor<3x?xi32>, tensor<3x5xi32>, tensor<?x2xi32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %e = tensor.extract_slice %x[0, 0] [3, %c0] [1, 1] : tensor<3x?xi32> to tensor<3x?xi32>
  %d = tensor.dim %e, %c1 : tensor<3x?xi32>
  %0:2 = scf.forall (%i) in (3) shared_outs(%o = %e, %p = %z) -> (tensor<3x?xi32>, tensor<3x5xi32>) {
    %a = tensor.extract_slice %o[%i, 0] [1, %d] [1, 1] : tensor<3x?xi32> to tensor<1x?xi32>
    %b = tensor.extract_slice %p[%i, 0] [1, 5] [1, 1] : tensor<3x5xi32> to tensor<1x5xi32>
    %s = arith.addi %b, %b : tensor<1x5xi32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %a into %o[%i, 0] [1, %d] [1, 1] : tensor<1x?xi32> into tensor<3x?xi32>
      tensor.parallel_insert_slice %s into %p[%i, 0] [1, 5] [1, 1] : tensor<1x5xi32> into tensor<3x5xi32>
    }
  }
  %g = tensor.extract_slice %y[0, 0] [%c0, 2] [1, 1] : tensor<?x2xi32> to tensor<?x2xi32>
  %h = tensor.dim %g, %c0 : tensor<?x2xi32>
  %1 = scf.forall (%j) in (2) shared_outs(%q = %g) -> (tensor<?x2xi32>) {
    %t = tensor.extract_slice %q[0, %j] [%h, 1] [1, 1] : tensor<?x2xi32> to tensor<?x1xi32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %t into %q[0, %j] [%h, 1] [1, 1] : tensor<?x1xi32> into tensor<?x2xi32>
    }
  }
  return %0#0, %0#1, %1 : tensor<3x?xi32>, tensor<3x5xi32>, tensor<?x2xi32>
}""", [np.ones((3, 7), np.int32), np.ones((11, 2), np.int32), np.arange(15, dtype=np.int32).reshape(3, 5)],
            [np.zeros((3, 0), np.int32), 2 * np.arange(15, dtype=np.int32).reshape(3, 5), np.zeros((0, 2), np.int32)]),
    # A transposition that moves nothing folded to what it transposes, of another type.
    Program("transpositions that move nothing", """
func.func @f(%x: tensor<?x?xi32>, %n: index, %m: index) -> (tensor<2x3xi32>, tensor<2x3xi32>) {
  %e = tensor.empty(%n, %m) : tensor<?x?xi32>
  %w = tensor.empty(%m, %n) : tensor<?x?xi32>
  %0 = linalg.transpose ins(%x : tensor<?x?xi32>) outs(%e : tensor<?x?xi32>) permutation = [0, 1]
  %1 = linalg.transpose ins(%x : tensor<?x?xi32>) outs(%w : tensor<?x?xi32>) permutation = [1, 0]
  %2 = linalg.transpose ins(%1 : tensor<?x?xi32>) outs(%e : tensor<?x?xi32>) permutation = [1, 0]
  %3 = tensor.cast %0 : tensor<?x?xi32> to tensor<2x3xi32>
  %4 = tensor.cast %2 : tensor<?x?xi32> to tensor<2x3xi32>
  return %3, %4 : tensor<2x3xi32>, tensor<2x3xi32>
}""", [np.arange(6, dtype=np.int32).reshape(2, 3), np.int64(2), np.int64(3)], [np.arange(6, dtype=np.int32).reshape(2, 3)] * 2),
    # Which size of 1 was dropped had no answer once the steps were known: memref::SubViewOp::getDroppedDims, a fault.
    Program("slices in steps of fewer dimensions", """
func.func @f(%x: tensor<1x1x1x7xi32>, %n: index) -> (tensor<?x1x1xi32>, index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %0 = tensor.extract_slice %x[0, 0, 0, %n] [%c1, 1, 1, 1] [%c3, 3, 1, 1] : tensor<1x1x1x7xi32> to tensor<?x1x1xi32>
  %1 = tensor.dim %0, %c0 : tensor<?x1x1xi32>
  return %0, %1 : tensor<?x1x1xi32>, index
}""", [np.arange(7, dtype=np.int32).reshape(1, 1, 1, 7), np.int64(5)], [np.full((1, 1, 1), 5, np.int32), np.int64(1)]),
    # A reduction over nothing is what it starts from; upstream took the start of one that does not read it for room.
    Program("reductions over nothing", """
func.func @f(%x: tensor<?x3xi32>, %y: tensor<3xi32>, %none: tensor<0xi32>) -> (tensor<3xi32>, tensor<i32>) {
  %c5 = arith.constant 5 : i32
  %c0 = arith.constant 0 : i32
  %0 = linalg.reduce ins(%x : tensor<?x3xi32>) outs(%y : tensor<3xi32>) dimensions = [0] (%in: i32, %out: i32) {
    linalg.yield %in : i32
  }
  %e = tensor.empty() : tensor<i32>
  %s = linalg.fill ins(%c5 : i32) outs(%e : tensor<i32>) -> tensor<i32>
  %z = arith.subi %none, %none : tensor<0xi32>
  %1 = linalg.reduce ins(%z : tensor<0xi32>) outs(%s : tensor<i32>) dimensions = [0] (%in: i32, %out: i32) {
    %p = arith.muli %in, %out : i32
    linalg.yield %p : i32
  }
  return %0, %1 : tensor<3xi32>, tensor<i32>
}""", [np.zeros((0, 3), np.int32), np.array([11, 13, 17], np.int32), np.zeros(0, np.int32)], [np.array([11, 13, 17], np.int32), np.int32(5)]),
    # arith::getNeutralElement reads a width that index has not: a fault.
    Program("reductions of index", """
func.func @f(%x: tensor<37xindex>) -> (index, index, index, index) {
  %all = arith.constant -1 : index
  %low = arith.constant -9223372036854775808 : index
  %high = arith.constant 9223372036854775807 : index
  %z = arith.constant 0 : index
  %e = tensor.empty() : tensor<index>
  %s0 = linalg.fill ins(%all : index) outs(%e : tensor<index>) -> tensor<index>
  %s1 = linalg.fill ins(%low : index) outs(%e : tensor<index>) -> tensor<index>
  %s2 = linalg.fill ins(%high : index) outs(%e : tensor<index>) -> tensor<index>
  %s3 = linalg.fill ins(%z : index) outs(%e : tensor<index>) -> tensor<index>
  %0 = linalg.reduce { arith.andi } ins(%x : tensor<37xindex>) outs(%s0 : tensor<index>) dimensions = [0]
  %1 = linalg.reduce { arith.maxsi } ins(%x : tensor<37xindex>) outs(%s1 : tensor<index>) dimensions = [0]
  %2 = linalg.reduce { arith.minsi } ins(%x : tensor<37xindex>) outs(%s2 : tensor<index>) dimensions = [0]
  %3 = linalg.reduce { arith.maxui } ins(%x : tensor<37xindex>) outs(%s3 : tensor<index>) dimensions = [0]
  %r0 = tensor.extract %0[] : tensor<index>
  %r1 = tensor.extract %1[] : tensor<index>
  %r2 = tensor.extract %2[] : tensor<index>
  %r3 = tensor.extract %3[] : tensor<index>
  return %r0, %r1, %r2, %r3 : index, index, index, index
}""", [np.arange(-39, -2, dtype=np.int64)], [np.int64(-64), np.int64(-3), np.int64(-39), np.int64(-3)]),
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
