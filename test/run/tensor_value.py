"""Values of the random functions of tensor_program.py, and what their elements hold."""
from dataclasses import dataclass

INTEGERS = {"i1": 1, "i8": 8, "i16": 16, "i32": 32, "i64": 64, "index": 64}
FLOATS = {"f32": 1 << 24, "f64": 1 << 40, "f16": 1 << 11, "bf16": 1 << 8}  # up to where whole numbers are exact
SIZES = (0, 1, 1, 2, 3, 3, 5, 7, 11, 17)
MOST = 1500  # elements of an array


def wrap(kind, value):
    """An int64 array as `kind` holds it."""
    if kind in FLOATS or kind in ("i64", "index"):
        return value
    bits = INTEGERS[kind]
    if bits == 1:
        return value & 1
    return ((value + (1 << bits - 1)) & ((1 << bits) - 1)) - (1 << bits - 1)


@dataclass
class Value:
    """`shape` is what the type knows: None for a size of the call; `most` bounds a float's absolute values."""
    name: str
    kind: str
    shape: tuple
    most: int = 1

    @property
    def type(self):
        return f"tensor<{''.join(f'{chr(63) if n is None else n}x' for n in self.shape)}{self.kind}>"

    @property
    def rank(self):
        return len(self.shape)


def affine(results, loops, dims):
    return f"affine_map<({', '.join(dims[:loops])}) -> ({', '.join(results)})>"
