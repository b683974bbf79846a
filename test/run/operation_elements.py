"""Element types of plain modules: how their values travel, are rounded, written in MLIR, and which ones hurt.

A value is what Python can hold exactly: a float for f16, bf16, f32 and f64, a signed int for integers and index, a bool
for i1. Exact results that no float holds are Fractions; rounded() brings them back.
"""
import math
import struct
from dataclasses import dataclass
from fractions import Fraction

import numpy as np


@dataclass(frozen=True)
class Element:
    name: str
    dtype: type  # in which it travels; bf16 as its bits
    bits: int
    precision: int = 0  # digits of a float, with the one that is not stored
    least: int = 0  # exponent of the least normal number

    @property
    def is_float(self):
        return self.precision > 0

    @property
    def is_index(self):
        return self.name == "index"


F16 = Element("f16", np.float16, 16, 11, -14)
BF16 = Element("bf16", np.uint16, 16, 8, -126)
F32 = Element("f32", np.float32, 32, 24, -126)
F64 = Element("f64", np.float64, 64, 53, -1022)
I1, I8, I16 = Element("i1", np.bool_, 1), Element("i8", np.int8, 8), Element("i16", np.int16, 16)
I32, I64, INDEX = Element("i32", np.int32, 32), Element("i64", np.int64, 64), Element("index", np.int64, 64)
FLOATS, WIDE_INTEGERS = (F16, BF16, F32, F64), (I8, I16, I32, I64)
INTEGERS = (I1, *WIDE_INTEGERS, INDEX)
ELEMENTS = (*FLOATS, *INTEGERS)


def rounded(element, value, mode="to_nearest_even"):
    """`value` (int, float, Fraction) as the float of `element` that `mode` of IEEE 754 names; NaN and infinities stay."""
    if isinstance(value, float) and (math.isnan(value) or math.isinf(value) or value == 0):
        return value
    value = Fraction(value)
    if value == 0:
        return 0.0
    sign, size = (-1 if value < 0 else 1), abs(value)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    exponent -= size < Fraction(2) ** exponent
    unit = Fraction(2) ** (max(exponent, element.least) - element.precision + 1)
    digits, rest = divmod(size, unit)
    half = rest / unit - Fraction(1, 2)
    up = {"to_nearest_even": half > 0 or half == 0 and digits % 2 == 1, "to_nearest_away": half >= 0,
          "toward_zero": False, "upward": rest > 0 and sign > 0, "downward": rest > 0 and sign < 0}[mode]
    size = (digits + up) * unit
    if size > largest(element):
        nearest = mode.startswith("to_nearest")
        outward = nearest or (mode == "upward" and sign > 0) or (mode == "downward" and sign < 0)
        return sign * (math.inf if outward else float(largest(element)))
    return math.copysign(float(size), sign)


def largest(element):
    most = 1 - element.least  # exponents are symmetric but for one
    return (2 - Fraction(2) ** (1 - element.precision)) * Fraction(2) ** most


def wrapped(element, value):
    """An int of any size as the signed one that the element's bits hold."""
    value &= (1 << element.bits) - 1
    if element.bits == 1:
        return bool(value)
    return value - (1 << element.bits) if value >> (element.bits - 1) else value


def unsigned(element, value):
    return int(value) & ((1 << element.bits) - 1)


def bits_of(element, value):
    if not element.is_float:
        return unsigned(element, value)
    if element is BF16:
        return struct.unpack("<I", struct.pack("<f", value))[0] >> 16
    return int(np.asarray(value, element.dtype).view(f"u{element.bits // 8}"))


def array(element, values):
    """Values as the array in which they travel."""
    if element is BF16:
        return np.array([bits_of(BF16, value) for value in values], np.uint16)
    return np.array(values, element.dtype)


def values(element, travelled):
    """The values of an array that came back."""
    if element is BF16:
        return [float(v) for v in (travelled.astype(np.uint32) << 16).view(np.float32).ravel()]
    return travelled.ravel().tolist()


def literal(element, value):
    """`value` as an attribute of MLIR without its type."""
    if element.is_float:
        return f"0x{bits_of(element, value):0{element.bits // 4}X}"
    return str(value).lower() if element is I1 else str(value)


def dense(element, all_values):
    if len(all_values) == 0:
        return "dense<>"
    return "dense<[" + ", ".join(literal(element, value) for value in all_values) + "]>"


def specials(element):
    """Where mistakes live: zeros of both signs, subnormal numbers, ties, the ends of the range, not a number."""
    if element is I1:
        return [False, True]
    if not element.is_float:
        end = 1 << (element.bits - 1)
        return [0, 1, -1, 2, -2, 3, 7, -7, end - 1, -end, end - 2, -end + 1, end >> 1, 10]
    least, digits = float(Fraction(2) ** element.least), float(Fraction(2) ** (1 - element.precision))
    positive = [0.0, 1.0, 0.5, 1.5, 2.5, 3.0, 1 + digits, least * digits, least - least * digits, least,
                float(largest(element)), math.inf]
    return [*positive, *[-value for value in positive], math.nan]


def samples(element, count, random):
    """The special values, then `count` of all magnitudes."""
    if element is I1:
        return specials(I1)
    if not element.is_float:
        low = [wrapped(element, int(v)) for v in random.integers(-(1 << 62), 1 << 62, count)]
        return specials(element) + [v >> int(s) for v, s in zip(low, random.integers(0, element.bits - 1, count))]
    scale = np.exp2(random.uniform(-6, 6, count))
    return specials(element) + [rounded(element, float(v)) for v in random.standard_normal(count) * scale]
