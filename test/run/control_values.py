"""The values of control_program.py: types, arithmetic as compiled code has it, literals, and random ones."""
import numpy as np

BITS = {"i1": 1, "i32": 32, "i64": 64, "index": 64}
TENSORS = ("tensor<3xi32>", "tensor<2xi64>", "tensor<3xf32>")
TYPES = ("i1", "i32", "i64", "index", "f32", *TENSORS)
ARGUMENTS = ("i32", "i32", "i64", "index", "f32", "i1", "tensor<3xi32>", "tensor<2xi64>", "tensor<3xf32>")
ODD = [0, 1, -1, 2, 3, 5, 7, 8, 31, 63, 100, -2, -7, (1 << 31) - 1, -(1 << 31), 1 << 31, (1 << 62) + 1, -(1 << 63), (1 << 63) - 1]
ODD_FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, 3.0, 16777217.0, 1e38, -1e-40, float("inf"), float("nan")]


def element(kind):
    return kind[len("tensor<3x"):-1] if kind.startswith("tensor") else kind


def length(kind):
    return int(kind[len("tensor<")])


def signed(value, bits):
    value &= (1 << bits) - 1
    return value - (1 << bits) if bits > 1 and value >> (bits - 1) else value


def unsigned(value, bits):
    return value & ((1 << bits) - 1)


def toward_zero(a, b):
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


COMPARE = {"eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "lt": lambda a, b: a < b, "le": lambda a, b: a <= b,
           "gt": lambda a, b: a > b, "ge": lambda a, b: a >= b}


def integer_operation(name, a, b, bits):
    ua, ub = unsigned(a, bits), unsigned(b, bits)
    return signed({"addi": lambda: a + b, "subi": lambda: a - b, "muli": lambda: a * b, "andi": lambda: a & b,
                   "ori": lambda: a | b, "xori": lambda: a ^ b, "maxsi": lambda: max(a, b), "minsi": lambda: min(a, b),
                   "maxui": lambda: max(ua, ub), "minui": lambda: min(ua, ub), "divsi": lambda: toward_zero(a, b),
                   "remsi": lambda: a - toward_zero(a, b) * b, "divui": lambda: ua // ub, "remui": lambda: ua % ub,
                   "floordivsi": lambda: a // b, "ceildivsi": lambda: -(-a // b), "shli": lambda: a << b,
                   "shrsi": lambda: a >> b, "shrui": lambda: ua >> b}[name](), bits)


def float_operation(name, a, b):
    if name in ("maximumf", "minimumf"):
        if np.isnan(a) or np.isnan(b):
            return np.float32("nan")
        if a == b:  # of two zeros the positive one is the larger
            return a if np.signbit(a) == (name == "minimumf") else b
        return (max if name == "maximumf" else min)(a, b)
    with np.errstate(all="ignore"):
        return np.float32({"addf": lambda: a + b, "subf": lambda: a - b, "mulf": lambda: a * b}[name]())


def cast_literal(kind, value):
    if kind == "f32":
        return f"0x{np.float32(value).view(np.uint32):08X}"
    return ("true" if value else "false") if kind == "i1" else str(value)


def random_value(draw, kind):
    if kind.startswith("tensor"):
        return tuple(random_value(draw, element(kind)) for _ in range(length(kind)))
    if kind == "f32":
        return np.float32(draw.choice(ODD_FLOATS) if draw.random() < 0.4 else draw.randint(-20, 20) / 4)
    if draw.random() < 0.5:
        return signed(draw.randint(-3, 9), BITS[kind])
    return signed(draw.choice(ODD), BITS[kind])
