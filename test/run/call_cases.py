"""The programs of call.py on numbers, tensors and linalg; those that are refused, and calls that fail."""
import numpy as np

from call_case import Call, Case, RANDOM, normal, product
import call_layers


def matmul(m, k, n, mlir="f32"):
    return f"""
func.func @matmul(%a: tensor<{m}x{k}x{mlir}>, %b: tensor<{k}x{n}x{mlir}>) -> tensor<{m}x{n}x{mlir}> {{
  %zero = arith.constant 0.0 : {mlir}
  %empty = tensor.empty() : tensor<{m}x{n}x{mlir}>
  %init = linalg.fill ins(%zero : {mlir}) outs(%empty : tensor<{m}x{n}x{mlir}>) -> tensor<{m}x{n}x{mlir}>
  %c = linalg.matmul ins(%a, %b : tensor<{m}x{k}x{mlir}>, tensor<{k}x{n}x{mlir}>)
                     outs(%init : tensor<{m}x{n}x{mlir}>) -> tensor<{m}x{n}x{mlir}>
  return %c : tensor<{m}x{n}x{mlir}>
}}
"""


MATMUL = matmul(5, 3, 7)


def matmul_cases():
    for m, k, n in ((5, 3, 7), (1, 1, 1), (33, 17, 29), (64, 64, 64), (17, 130, 49), (1, 100, 33), (40, 1, 16)):
        a, b = normal(m, k), normal(k, n)
        yield Case(f"matmul {m}x{k}x{n}", matmul(m, k, n), [Call("matmul", [a, b], [product(a, b)], 1e-5, 1e-4)])


def numbers_cases():
    """Every element type, scalars, constants, bits."""
    for mlir, dtype in (("i8", np.int8), ("i16", np.int16), ("i32", np.int32), ("i64", np.int64)):
        a, b = (RANDOM.integers(-100, 100, (3, 21)).astype(dtype) for _ in range(2))
        yield Case(f"integers {mlir}", f"""
func.func @add(%a: tensor<3x21x{mlir}>, %b: tensor<3x21x{mlir}>) -> (tensor<3x21x{mlir}>, tensor<3x21x{mlir}>) {{
  %0 = arith.addi %a, %b : tensor<3x21x{mlir}>
  %1 = arith.maxsi %a, %b : tensor<3x21x{mlir}>
  return %0, %1 : tensor<3x21x{mlir}>, tensor<3x21x{mlir}>
}}""", [Call("add", [a, b], [a + b, np.maximum(a, b)], exact=True)])
    for mlir, dtype in (("f16", np.float16), ("f32", np.float32), ("f64", np.float64)):
        a, b = normal(5, 19, dtype=dtype), normal(5, 19, dtype=dtype)
        yield Case(f"arithmetic {mlir}", f"""
func.func @f(%a: tensor<5x19x{mlir}>, %b: tensor<5x19x{mlir}>) -> tensor<5x19x{mlir}> {{
  %0 = arith.mulf %a, %b : tensor<5x19x{mlir}>
  %1 = arith.subf %0, %a : tensor<5x19x{mlir}>
  %2 = arith.divf %1, %b : tensor<5x19x{mlir}>
  return %2 : tensor<5x19x{mlir}>
}}""", [Call("f", [a, b], [(a * b - a) / b], exact=True)])
    bits = RANDOM.integers(0, 0x7f00, 40).astype(np.uint16)
    value = (bits.astype(np.uint32) << 16).view(np.float32)
    twice = ((value + value).view(np.uint32) >> 16).astype(np.uint16)
    yield Case("bf16", """
func.func @f(%a: tensor<40xbf16>) -> tensor<40xbf16> {
  %0 = arith.addf %a, %a : tensor<40xbf16>
  return %0 : tensor<40xbf16>
}""", [Call("f", [bits], [twice], exact=True)])
    a = RANDOM.integers(0, 2, 33).astype(bool)
    b = RANDOM.integers(0, 2, 33).astype(bool)
    yield Case("booleans", """
func.func @f(%a: tensor<33xi1>, %b: tensor<33xi1>) -> (tensor<33xi1>, tensor<33xi32>) {
  %0 = arith.xori %a, %b : tensor<33xi1>
  %1 = arith.extui %a : tensor<33xi1> to tensor<33xi32>
  return %0, %1 : tensor<33xi1>, tensor<33xi32>
}""", [Call("f", [a, b], [a ^ b, a.astype(np.int32)], exact=True)])
    yield Case("scalars", """
func.func @f(%a: f32, %i: i64, %n: index, %flag: i1) -> (f32, i64, index, i1) {
  %two = arith.constant 2.0 : f32
  %0 = arith.mulf %a, %two : f32
  %1 = arith.index_cast %n : index to i64
  %2 = arith.addi %i, %1 : i64
  %3 = arith.addi %n, %n : index
  %t = arith.constant true
  %4 = arith.xori %flag, %t : i1
  return %0, %2, %3, %4 : f32, i64, index, i1
}""", [Call("f", [np.float32(1.5), np.int64(-7), np.int64(4), np.bool_(True)],
            [np.float32(3), np.int64(-3), np.int64(8), np.bool_(False)], exact=True)])
    yield Case("constants", """
func.func @f() -> (tensor<2x3xf32>, tensor<3xi64>, tensor<40xf32>) {
  %0 = arith.constant dense<[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]> : tensor<2x3xf32>
  %1 = arith.constant dense<[1, -2, 3]> : tensor<3xi64>
  %2 = arith.constant dense<0.5> : tensor<40xf32>
  return %0, %1, %2 : tensor<2x3xf32>, tensor<3xi64>, tensor<40xf32>
}""", [Call("f", [], [np.arange(1, 7, dtype=np.float32).reshape(2, 3), np.array([1, -2, 3]),
                      np.full(40, 0.5, np.float32)], exact=True)])
    a = np.array([7, -7, 7, -7, 1 << 40], np.int64)
    b = np.array([2, 2, -2, -2, 3], np.int64)
    yield Case("division", """
func.func @f(%a: tensor<5xi64>, %b: tensor<5xi64>) -> (tensor<5xi64>, tensor<5xi64>, tensor<5xi64>, tensor<5xi64>) {
  %0 = arith.divsi %a, %b : tensor<5xi64>
  %1 = arith.remsi %a, %b : tensor<5xi64>
  %2 = arith.floordivsi %a, %b : tensor<5xi64>
  %3 = arith.ceildivsi %a, %b : tensor<5xi64>
  return %0, %1, %2, %3 : tensor<5xi64>, tensor<5xi64>, tensor<5xi64>, tensor<5xi64>
}""", [Call("f", [a, b], [np.trunc(a / b).astype(np.int64), np.fmod(a, b), a // b, -(-a // b)], exact=True)])


def tensor_cases():
    """tensor and scf operations."""
    x = normal(6, 10)
    padded = np.pad(x, ((1, 2), (0, 3)), constant_values=np.float32(0.25))
    yield Case("slices and pads", """
func.func @f(%x: tensor<6x10xf32>, %y: tensor<2x3xf32>) -> (tensor<2x3xf32>, tensor<6x10xf32>, tensor<9x13xf32>, tensor<3x2x10xf32>, tensor<60xf32>) {
  %0 = tensor.extract_slice %x[1, 2] [2, 3] [2, 1] : tensor<6x10xf32> to tensor<2x3xf32>
  %1 = tensor.insert_slice %y into %x[3, 4] [2, 3] [1, 1] : tensor<2x3xf32> into tensor<6x10xf32>
  %q = arith.constant 0.25 : f32
  %2 = tensor.pad %x low[1, 0] high[2, 3] {
  ^bb0(%i: index, %j: index):
    tensor.yield %q : f32
  } : tensor<6x10xf32> to tensor<9x13xf32>
  %3 = tensor.expand_shape %x [[0, 1], [2]] output_shape [3, 2, 10] : tensor<6x10xf32> into tensor<3x2x10xf32>
  %4 = tensor.collapse_shape %x [[0, 1]] : tensor<6x10xf32> into tensor<60xf32>
  return %0, %1, %2, %3, %4 : tensor<2x3xf32>, tensor<6x10xf32>, tensor<9x13xf32>, tensor<3x2x10xf32>, tensor<60xf32>
}""", [Call("f", [x, np.ones((2, 3), np.float32)],
            [x[1:5:2, 2:5], np.vstack([x[:3], np.hstack([x[3:5, :4], np.ones((2, 3)), x[3:5, 7:]]), x[5:]]), padded,
             x.reshape(3, 2, 10), x.reshape(60)], exact=True)])
    yield Case("extract, insert, generate, concat", """
func.func @f(%x: tensor<?xf32>, %i: index) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xindex>) {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?xf32>
  %v = tensor.extract %x[%i] : tensor<?xf32>
  %w = arith.addf %v, %v : f32
  %0 = tensor.insert %w into %x[%c0] : tensor<?xf32>
  %1 = tensor.concat dim(0) %x, %0 : (tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32>
  %2 = tensor.generate %n {
  ^bb0(%k: index):
    %s = arith.muli %k, %k : index
    tensor.yield %s : index
  } : tensor<?xindex>
  return %0, %1, %2 : tensor<?xf32>, tensor<?xf32>, tensor<?xindex>
}""", [Call("f", [x[0], np.int64(3)],
            [np.r_[2 * x[0, 3], x[0, 1:]], np.r_[x[0], 2 * x[0, 3], x[0, 1:]], np.arange(10) ** 2], exact=True)])
    y = normal(7, 33)
    yield Case("loops", """
func.func @powers(%x: tensor<7x33xf32>, %n: index) -> tensor<7x33xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%a = %x) -> tensor<7x33xf32> {
    %0 = arith.mulf %a, %x : tensor<7x33xf32>
    scf.yield %0 : tensor<7x33xf32>
  }
  return %r : tensor<7x33xf32>
}
func.func @larger(%x: tensor<7x33xf32>, %y: tensor<7x33xf32>, %flag: i1) -> tensor<7x33xf32> {
  %r = scf.if %flag -> tensor<7x33xf32> {
    %0 = arith.maximumf %x, %y : tensor<7x33xf32>
    scf.yield %0 : tensor<7x33xf32>
  } else {
    scf.yield %x : tensor<7x33xf32>
  }
  return %r : tensor<7x33xf32>
}
func.func @collatz(%n: i64) -> i64 {
  %c0 = arith.constant 0 : i64
  %c1 = arith.constant 1 : i64
  %c2 = arith.constant 2 : i64
  %c3 = arith.constant 3 : i64
  %r:2 = scf.while (%a = %n, %steps = %c0) : (i64, i64) -> (i64, i64) {
    %more = arith.cmpi ne, %a, %c1 : i64
    scf.condition(%more) %a, %steps : i64, i64
  } do {
  ^bb0(%a: i64, %steps: i64):
    %odd = arith.andi %a, %c1 : i64
    %isOdd = arith.cmpi eq, %odd, %c1 : i64
    %half = arith.divsi %a, %c2 : i64
    %triple = arith.muli %a, %c3 : i64
    %up = arith.addi %triple, %c1 : i64
    %next = arith.select %isOdd, %up, %half : i64
    %count = arith.addi %steps, %c1 : i64
    scf.yield %next, %count : i64, i64
  }
  return %r#1 : i64
}
func.func @rows(%x: tensor<7x33xf32>) -> tensor<7x33xf32> {
  %e = tensor.empty() : tensor<7x33xf32>
  %r = scf.forall (%i) in (7) shared_outs(%o = %e) -> tensor<7x33xf32> {
    %row = tensor.extract_slice %x[%i, 0] [1, 33] [1, 1] : tensor<7x33xf32> to tensor<1x33xf32>
    %two = arith.addf %row, %row : tensor<1x33xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %two into %o[%i, 0] [1, 33] [1, 1] : tensor<1x33xf32> into tensor<7x33xf32>
    }
  }
  return %r : tensor<7x33xf32>
}""", [Call("powers", [y, np.int64(3)], [y * y * y * y], 1e-6), Call("powers", [y, np.int64(0)], [y], exact=True),
       Call("larger", [y, -y, np.bool_(True)], [np.abs(y)], exact=True),
       Call("larger", [y, -y, np.bool_(False)], [y], exact=True),
       Call("collatz", [np.int64(27)], [np.int64(111)], exact=True), Call("rows", [y], [y + y], exact=True)])
    yield Case("arrays carried through a loop", """
func.func @f(%x: tensor<?xf32>, %n: index) -> tensor<?xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%a = %x) -> tensor<?xf32> {
    %b = tensor.concat dim(0) %a, %x : (tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32>
    scf.yield %b : tensor<?xf32>
  }
  return %r : tensor<?xf32>
}""", [Call("f", [y[0], np.int64(4)], [np.tile(y[0], 5)], exact=True)])
    yield Case("reshape and gather by hand", """
func.func @f(%x: tensor<6x10xf32>, %shape: tensor<3xi64>, %index: tensor<4xi32>) -> (tensor<?x?x?xf32>, tensor<4x10xf32>) {
  %0 = tensor.reshape %x(%shape) : (tensor<6x10xf32>, tensor<3xi64>) -> tensor<?x?x?xf32>
  %e = tensor.empty() : tensor<4x10xf32>
  %1 = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>],
                       iterator_types = ["parallel", "parallel"]} ins(%index : tensor<4xi32>) outs(%e : tensor<4x10xf32>) {
  ^bb0(%k: i32, %o: f32):
    %row = arith.index_cast %k : i32 to index
    %column = linalg.index 1 : index
    %v = tensor.extract %x[%row, %column] : tensor<6x10xf32>
    linalg.yield %v : f32
  } -> tensor<4x10xf32>
  return %0, %1 : tensor<?x?x?xf32>, tensor<4x10xf32>
}""", [Call("f", [x, np.array([5, 2, 6]), np.array([5, 0, 3, 3], np.int32)], [x.reshape(5, 2, 6), x[[5, 0, 3, 3]]],
            exact=True)])


def linalg_cases():
    a, b = normal(13, 37), normal(37, 21)
    dynamic = matmul("?", "?", "?").replace("%empty = tensor.empty() :", """%c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %a, %c0 : tensor<?x?xf32>
  %n = tensor.dim %b, %c1 : tensor<?x?xf32>
  %empty = tensor.empty(%m, %n) :""")
    yield Case("matmul of any size", dynamic, [
        Call("matmul", [a, b], [product(a, b)], 1e-5, 1e-4),
        Call("matmul", [normal(1, 5) * 0, normal(5, 100)], [np.zeros((1, 100))], exact=True),
        Call("matmul", [np.zeros((0, 5), np.float32), b[:5]], [np.zeros((0, 21), np.float32)], exact=True),
        Call("matmul", [a.T.copy().T, b.T.copy().T], [product(a, b)], 1e-5, 1e-4)])
    a64, b64 = normal(9, 20, dtype=np.float64), normal(20, 33, dtype=np.float64)
    yield Case("matmul f64", matmul(9, 20, 33, "f64"), [Call("matmul", [a64, b64], [a64 @ b64], 1e-13, 1e-13)])
    x = normal(4, 6, 50)
    yield Case("reductions", """
#all = affine_map<(i, j, k) -> (i, j, k)>
func.func @f(%x: tensor<4x6x50xf32>) -> (tensor<4x6xf32>, tensor<6x50xf32>, tensor<4xf32>, tensor<f32>) {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %e0 = tensor.empty() : tensor<4x6xf32>
  %i0 = linalg.fill ins(%zero : f32) outs(%e0 : tensor<4x6xf32>) -> tensor<4x6xf32>
  %0 = linalg.reduce { arith.addf } ins(%x : tensor<4x6x50xf32>) outs(%i0 : tensor<4x6xf32>) dimensions = [2]
  %e1 = tensor.empty() : tensor<6x50xf32>
  %i1 = linalg.fill ins(%low : f32) outs(%e1 : tensor<6x50xf32>) -> tensor<6x50xf32>
  %1 = linalg.reduce { arith.maximumf } ins(%x : tensor<4x6x50xf32>) outs(%i1 : tensor<6x50xf32>) dimensions = [0]
  %e2 = tensor.empty() : tensor<4xf32>
  %i2 = linalg.fill ins(%zero : f32) outs(%e2 : tensor<4xf32>) -> tensor<4xf32>
  %2 = linalg.reduce { arith.addf } ins(%x : tensor<4x6x50xf32>) outs(%i2 : tensor<4xf32>) dimensions = [1, 2]
  %e3 = tensor.empty() : tensor<f32>
  %i3 = linalg.fill ins(%zero : f32) outs(%e3 : tensor<f32>) -> tensor<f32>
  %3 = linalg.generic {indexing_maps = [#all, affine_map<(i, j, k) -> ()>],
                       iterator_types = ["reduction", "reduction", "reduction"]}
       ins(%x : tensor<4x6x50xf32>) outs(%i3 : tensor<f32>) {
  ^bb0(%v: f32, %s: f32):
    %q = arith.mulf %v, %v : f32
    %t = arith.addf %s, %q : f32
    linalg.yield %t : f32
  } -> tensor<f32>
  return %0, %1, %2, %3 : tensor<4x6xf32>, tensor<6x50xf32>, tensor<4xf32>, tensor<f32>
}""", [Call("f", [x], [x.sum(2, dtype=float), x.max(0), x.sum((1, 2), dtype=float), (x.astype(float) ** 2).sum()],
            1e-5, 1e-4)])
    e = np.exp(x.astype(float) - x.max(2, keepdims=True))
    yield Case("softmax", """
func.func @f(%x: tensor<?x6x50xf32>) -> tensor<?x6x50xf32> {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x6x50xf32>
  %e = tensor.empty(%n) : tensor<?x6x50xf32>
  %0 = linalg.softmax dimension(2) ins(%x : tensor<?x6x50xf32>) outs(%e : tensor<?x6x50xf32>) -> tensor<?x6x50xf32>
  return %0 : tensor<?x6x50xf32>
}""", [Call("f", [x], [e / e.sum(2, keepdims=True)]), Call("f", [x * 0 - 1000], [np.full((4, 6, 50), 0.02)])])
    w = normal(5, 3, 6, 7)
    yield Case("transpose, broadcast, batch_matmul, dot, conv", """
func.func @transpose(%x: tensor<4x6x50xf32>) -> tensor<50x4x6xf32> {
  %e = tensor.empty() : tensor<50x4x6xf32>
  %0 = linalg.transpose ins(%x : tensor<4x6x50xf32>) outs(%e : tensor<50x4x6xf32>) permutation = [2, 0, 1]
  return %0 : tensor<50x4x6xf32>
}
func.func @broadcast(%x: tensor<6xf32>) -> tensor<6x50xf32> {
  %e = tensor.empty() : tensor<6x50xf32>
  %0 = linalg.broadcast ins(%x : tensor<6xf32>) outs(%e : tensor<6x50xf32>) dimensions = [1]
  return %0 : tensor<6x50xf32>
}
func.func @batch(%a: tensor<3x5x20xf32>, %b: tensor<3x20x18xf32>, %c: tensor<3x5x18xf32>) -> tensor<3x5x18xf32> {
  %0 = linalg.batch_matmul ins(%a, %b : tensor<3x5x20xf32>, tensor<3x20x18xf32>) outs(%c : tensor<3x5x18xf32>) -> tensor<3x5x18xf32>
  return %0 : tensor<3x5x18xf32>
}
func.func @conv(%x: tensor<2x9x8x6xf32>, %w: tensor<3x2x6x20xf32>, %o: tensor<2x7x7x20xf32>) -> tensor<2x7x7x20xf32> {
  %0 = linalg.conv_2d_nhwc_hwcf {dilations = dense<1> : tensor<2xi64>, strides = dense<1> : tensor<2xi64>}
       ins(%x, %w : tensor<2x9x8x6xf32>, tensor<3x2x6x20xf32>) outs(%o : tensor<2x7x7x20xf32>) -> tensor<2x7x7x20xf32>
  return %0 : tensor<2x7x7x20xf32>
}
func.func @by_rows(%a: tensor<9x40xf32>, %b: tensor<35x40xf32>) -> tensor<9x35xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<9x35xf32>
  %i = linalg.fill ins(%zero : f32) outs(%e : tensor<9x35xf32>) -> tensor<9x35xf32>
  %0 = linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>,
                                        affine_map<(m, n, k) -> (m, n)>],
                       iterator_types = ["parallel", "parallel", "reduction"]}
       ins(%a, %b : tensor<9x40xf32>, tensor<35x40xf32>) outs(%i : tensor<9x35xf32>) {
  ^bb0(%x: f32, %y: f32, %s: f32):
    %p = arith.mulf %x, %y : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<9x35xf32>
  return %0 : tensor<9x35xf32>
}""", list(linalg_calls(x)))
    packed = normal(20, 30)
    wide = np.pad(packed, ((0, 4), (0, 2)))
    yield Case("pack and unpack", """
func.func @pack(%x: tensor<20x30xf32>) -> tensor<3x4x8x8xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<3x4x8x8xf32>
  %0 = linalg.pack %x padding_value(%zero : f32) inner_dims_pos = [0, 1] inner_tiles = [8, 8] into %e
       : tensor<20x30xf32> -> tensor<3x4x8x8xf32>
  return %0 : tensor<3x4x8x8xf32>
}
func.func @unpack(%x: tensor<3x4x8x8xf32>) -> tensor<20x30xf32> {
  %e = tensor.empty() : tensor<20x30xf32>
  %0 = linalg.unpack %x inner_dims_pos = [0, 1] inner_tiles = [8, 8] into %e
       : tensor<3x4x8x8xf32> -> tensor<20x30xf32>
  return %0 : tensor<20x30xf32>
}""", [Call("pack", [packed], [wide.reshape(3, 8, 4, 8).transpose(0, 2, 1, 3)], exact=True),
       Call("unpack", [wide.reshape(3, 8, 4, 8).transpose(0, 2, 1, 3).copy()], [packed], exact=True)])
    i, j = np.indices((7, 40))
    yield Case("index and two results", """
func.func @f(%x: tensor<7x40xf32>) -> (tensor<7xf32>, tensor<7xi64>, tensor<7x40xi64>) {
  %low = arith.constant 0xFF800000 : f32
  %none = arith.constant 0 : i64
  %ten = arith.constant 10 : i64
  %e0 = tensor.empty() : tensor<7xf32>
  %e1 = tensor.empty() : tensor<7xi64>
  %e2 = tensor.empty() : tensor<7x40xi64>
  %i0 = linalg.fill ins(%low : f32) outs(%e0 : tensor<7xf32>) -> tensor<7xf32>
  %i1 = linalg.fill ins(%none : i64) outs(%e1 : tensor<7xi64>) -> tensor<7xi64>
  %0:2 = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i)>],
                         iterator_types = ["parallel", "reduction"]}
         ins(%x : tensor<7x40xf32>) outs(%i0, %i1 : tensor<7xf32>, tensor<7xi64>) {
  ^bb0(%v: f32, %best: f32, %at: i64):
    %j = linalg.index 1 : index
    %here = arith.index_cast %j : index to i64
    %more = arith.cmpf ogt, %v, %best : f32
    %m = arith.select %more, %v, %best : f32
    %n = arith.select %more, %here, %at : i64
    linalg.yield %m, %n : f32, i64
  } -> (tensor<7xf32>, tensor<7xi64>)
  %1 = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
       outs(%e2 : tensor<7x40xi64>) {
  ^bb0(%o: i64):
    %i = linalg.index 0 : index
    %j = linalg.index 1 : index
    %a = arith.index_cast %i : index to i64
    %b = arith.index_cast %j : index to i64
    %c = arith.muli %a, %ten : i64
    %d = arith.addi %c, %b : i64
    linalg.yield %d : i64
  } -> tensor<7x40xi64>
  return %0#0, %0#1, %1 : tensor<7xf32>, tensor<7xi64>, tensor<7x40xi64>
}""", [Call("f", [x.reshape(24, 50)[:7, :40].copy()],
            [x.reshape(24, 50)[:7, :40].max(1), x.reshape(24, 50)[:7, :40].argmax(1), 10 * i + j], exact=True)])


def linalg_calls(x):
    yield Call("transpose", [x], [x.transpose(2, 0, 1)], exact=True)
    yield Call("broadcast", [x[0, :, 0].copy()], [np.repeat(x[0, :, :1], 50, 1)], exact=True)
    a, b, c = normal(3, 5, 20), normal(3, 20, 18), normal(3, 5, 18)
    yield Call("batch", [a, b, c], [product(a, b) + c], 1e-5, 1e-4)
    image, kernel, start = normal(2, 9, 8, 6), normal(3, 2, 6, 20), normal(2, 7, 7, 20)
    out = start.astype(float)
    for r in range(3):
        for s in range(2):
            out = out + product(image[:, r:r + 7, s:s + 7], kernel[r, s])
    yield Call("conv", [image, kernel, start], [out], 1e-5, 1e-4)
    left, right = normal(9, 40), normal(35, 40)
    yield Call("by_rows", [left, right], [product(left, right.T)], 1e-5, 1e-4)


def cases():
    return [*matmul_cases(), *numbers_cases(), *tensor_cases(), *linalg_cases(), *call_layers.cases()]


FAILING = """
func.func @matmul(%a: tensor<?x?xf32>, %b: tensor<?x?xf32>, %c: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %0 = linalg.matmul ins(%a, %b : tensor<?x?xf32>, tensor<?x?xf32>) outs(%c : tensor<?x?xf32>) -> tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}
func.func @extract(%a: tensor<?xf32>, %i: index) -> f32 {
  %0 = tensor.extract %a[%i] : tensor<?xf32>
  return %0 : f32
}
func.func @divide(%a: tensor<3xi32>, %b: tensor<3xi32>) -> tensor<3xi32> {
  %0 = arith.divsi %a, %b : tensor<3xi32>
  return %0 : tensor<3xi32>
}
func.func @power(%a: tensor<3xi32>, %n: tensor<3xi32>) -> tensor<3xi32> {
  %0 = math.ipowi %a, %n : tensor<3xi32>
  return %0 : tensor<3xi32>
}
func.func @positive(%n: index) -> index {
  %c0 = arith.constant 0 : index
  %ok = arith.cmpi sgt, %n, %c0 : index
  cf.assert %ok, "n is a count"
  return %n : index
}
func.func @large(%n: index) -> tensor<?xf32> {
  %e = tensor.empty(%n) : tensor<?xf32>
  %x = arith.constant 1.0 : f32
  %0 = linalg.fill ins(%x : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
  return %0 : tensor<?xf32>
}
"""


def failing_calls():
    """(function, arguments, code, words of the message)"""
    a, b = normal(3, 4), normal(5, 6)
    yield "matmul", [a, b, normal(3, 6)], "E0623", ["matmul: linalg.matmul", "dimension 0 of operand 1", ".mlir:3:8"]
    yield "matmul", [a, a.T.copy(), b], "E0623", ["operand 2"]
    yield "extract", [a[0], np.int64(4)], "E0623", ["tensor.extract", "index 0"]
    yield "extract", [a[0], np.int64(-1)], "E0623", ["tensor.extract"]
    ones = np.array([1, 2, -(1 << 31)], np.int32)
    yield "divide", [ones, np.array([1, 0, 1], np.int32)], "E0623", ["arith.divsi", "other than 0"]
    yield "divide", [ones, np.array([1, 1, -1], np.int32)], "E0623", ["arith.divsi", "fits"]
    yield "power", [np.array([1, 0, 2], np.int32), np.array([2, -1, 3], np.int32)], "E0623", ["math.ipowi", "other than 0"]
    yield "positive", [np.int64(0)], "E0623", ["n is a count", ".mlir:21:3"]
    for n in (1 << 60, 1 << 44):
        yield "large", [np.int64(n)], "E0624", ["large", "room"]
    yield "large", [np.int64(-1)], "E0623", ["tensor.empty", "at least 0 in dimension 0", ".mlir:25:8"]


def refused_programs():
    """(what, text, code, words of the message)"""
    yield "syntax", "func.func @f(%a: tensor<2xf32) {", "E0833", ["1:"]
    yield "types", """
func.func @f(%a: tensor<2xf32>) -> tensor<3xf32> {
  return %a : tensor<2xf32>
}""", "E0833", ["3:3", "return"]
    yield "unknown dialect", """
func.func @f(%a: tensor<2xf32>) {
  channel.acquire %a
  return
}""", "E0833", ["3:3", "channel", "linalg, tensor, arith, math, scf"]
    yield "no function", "module { }", "E0834", ["public function"]
    yield "a declaration", "func.func private @g(tensor<2xf32>)", "E0834", ["@g", "body"]
    yield "a foreign dialect", """
func.func @f(%a: tensor<2xf32>) -> tensor<2xf32> {
  %m = memref.alloc() : memref<2xf32>
  return %a : tensor<2xf32>
}""", "E0834", ["3:8", "memref.alloc"]
    yield "an element type", "func.func @f(%a: tensor<2xcomplex<f32>>) { return }", "E0834", ["argument 0", "complex"]
    yield "an operation without a lowering", """
func.func @f(%a: tensor<4xf32>, %i: tensor<2x1xindex>) -> tensor<2xf32> {
  %0 = tensor.gather %a[%i] gather_dims([0]) : (tensor<4xf32>, tensor<2x1xindex>) -> tensor<2xf32>
  return %0 : tensor<2xf32>
}""", "E0834", ["3:8", "tensor.gather"]
    yield "a remainder of floats", """
func.func @f(%a: tensor<4xf32>) -> tensor<4xf32> {
  %0 = arith.remf %a, %a : tensor<4xf32>
  return %0 : tensor<4xf32>
}""", "E0834", ["3:8", "arith.remf"]
    yield "branches", """
func.func @f(%a: i1) {
  cf.br ^next
^next:
  return
}""", "E0834", ["2:1", "one block"]
    yield "quantised blocks", """
func.func @f(%w: tensor<4x2x!transformer.block<q4_1>>) { return }""", "E0834", ["argument 0", "q4_1"]
    # A malformed list that the parser of linalg.reduce does not survive.
    yield "a fault", """
func.func @f(%x: tensor<4x6xf32>, %i: tensor<4xf32>) -> tensor<4xf32> {
  %0 = linalg.reduce { arith.addf } ins(%x : tensor<4x6xf32>) outs(%i : tensor<4xf32>) dimensions = [4x, 2]
  return %0 : tensor<4xf32>
}""", "E0833", [":3:103: expected ']'"]
    yield "recursion", """
func.func @f(%a: f32) -> f32 {
  %0 = func.call @f(%a) : (f32) -> f32
  return %0 : f32
}""", "E0834", ["3:8", "@f calls itself"]
