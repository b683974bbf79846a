"""The programs of call.py: MLIR text, arguments, and what numpy says the results are."""
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Call:
    function: str
    arguments: list
    expected: list
    rtol: float = 1e-5
    atol: float = 1e-6
    exact: bool = False  # integers, and arithmetic that IEEE 754 defines to the bit


@dataclass
class Case:
    name: str
    text: str
    calls: list = field(default_factory=list)


RANDOM = np.random.default_rng(7)


def normal(*shape, dtype=np.float32):
    return RANDOM.standard_normal(shape).astype(dtype)


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


def product(a, b):
    return a.astype(np.float64) @ b.astype(np.float64)


def matmul_cases():
    for m, k, n in ((5, 3, 7), (1, 1, 1), (33, 17, 29), (64, 64, 64), (17, 130, 49), (1, 100, 33), (40, 1, 16)):
        a, b = normal(m, k), normal(k, n)
        yield Case(f"matmul {m}x{k}x{n}", matmul(m, k, n), [Call("matmul", [a, b], [product(a, b)], 1e-5, 1e-4)])


def cases():
    return [*matmul_cases()]


def refused_programs():
    """(what, text, code, words of the message)"""
    yield "syntax", "func.func @f(%a: tensor<2xf32) {", "E0833", ["1:"]
    yield "types", """
func.func @f(%a: tensor<2xf32>) -> tensor<3xf32> {
  return %a : tensor<2xf32>
}""", "E0833", ["3:3", "return"]
    yield "unknown dialect", """
func.func @f(%a: tensor<2xf32>) {
  tile.acquire %a
  return
}""", "E0833", ["3:3", "tile", "linalg, tensor, arith, math, scf"]
    yield "no function", "module { }", "E0834", ["public function"]
    yield "a declaration", "func.func private @g(tensor<2xf32>)", "E0834", ["@g", "body"]
    yield "a foreign dialect", """
func.func @f(%a: tensor<2xf32>) -> tensor<2xf32> {
  %m = memref.alloc() : memref<2xf32>
  return %a : tensor<2xf32>
}""", "E0834", ["3:8", "memref.alloc"]
    yield "an element type", "func.func @f(%a: tensor<2xcomplex<f32>>) { return }", "E0834", ["argument 0", "complex"]
    yield "recursion", """
func.func @f(%a: f32) -> f32 {
  %0 = func.call @f(%a) : (f32) -> f32
  return %0 : f32
}""", "E0834", ["3:8", "@f calls itself"]
