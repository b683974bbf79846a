"""A program of call.py: MLIR text, arguments, and what numpy says the results are."""
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


def product(a, b):
    return a.astype(np.float64) @ b.astype(np.float64)
