"""Functions of sizes.py whose sizes, offsets and strides are arguments, and what each must return.

A model works with Python's integers, which do not wrap. It returns an array, REFUSED where no array is meant, or LARGE where
one is meant that no machine holds, TOO_LONG where a machine might, but a test would not.
"""
import math

import numpy as np

REFUSED, LARGE, TOO_LONG = "refused", "large", "too long"
MOST = 1 << 22  # elements that a test still computes
F32 = np.float32


def array(*shape):
    return np.arange(1, 1 + math.prod(shape), dtype=F32).reshape(shape)


def number(random, near=()):
    """An integer of 64 bits as bugs like them."""
    kind = random.integers(10)
    if kind < 5:
        value = int(random.integers(-2, 14))
    elif kind < 7 and near:
        value = int(near[random.integers(len(near))]) + int(random.integers(-2, 3))
    elif kind < 9:
        value = int(random.choice([-1, 1])) * (1 << int(random.choice([15, 16, 31, 32, 33, 44, 45, 46, 47, 61, 62, 63])))
        value = value // int(random.choice([1, 1, 1, 3])) + int(random.integers(-2, 3))
    else:
        value = int(random.integers(-(1 << 63), 1 << 63, dtype=np.int64))
    return max(-(1 << 63), min(value, (1 << 63) - 1))


def bounded(count, make, empty=False):
    """make(), where that has few enough elements; an empty array may have sizes whose product is large."""
    if empty and MOST < count <= 1 << 46:
        return TOO_LONG
    return make() if count <= MOST else LARGE if count > 1 << 40 else TOO_LONG


def size(value):
    return 0 <= value <= 1 << 46


def slice_of(length, offset, count, stride):
    """The indices of a slice, or REFUSED or LARGE."""
    if not size(count) or not 0 <= offset <= length:
        return REFUSED
    if count and not (offset < length and 0 <= offset + (count - 1) * stride < length):
        return REFUSED
    return bounded(count, lambda: [offset + i * stride for i in range(count)])


def extract(a, *parameters):
    """a[o0 : o0 + n0 * s0 : s0, ...]; parameters: offset, count, stride of each dimension."""
    picks = [slice_of(n, *parameters[3 * d:3 * d + 3]) for d, n in enumerate(a.shape)]
    if REFUSED in picks:
        return REFUSED
    if any(isinstance(p, str) for p in picks):
        return LARGE if LARGE in picks and not TOO_LONG in picks and [] not in picks else TOO_LONG
    return bounded(math.prod(len(p) for p in picks), lambda: a[np.ix_(*[np.array(p, np.int64) for p in picks])])


def insert(a, b, offset, stride):
    picks = slice_of(len(b), offset, len(a), stride)
    if isinstance(picks, str):
        return picks
    b = b.copy()
    b[picks] = a
    return b


def pad(a, *amounts):
    pairs = list(zip(amounts[::2], amounts[1::2]))
    sizes = [n + low + high for n, (low, high) in zip(a.shape, pairs)]
    if min(amounts) < 0:
        return REFUSED
    if not all(map(size, sizes)):
        return LARGE
    return bounded(math.prod(max(n, 1) for n in sizes), lambda: np.pad(a, pairs), 0 in sizes)


def filled(*sizes):
    if not all(map(size, sizes)):
        return REFUSED
    return bounded(math.prod(max(n, 1) for n in sizes), lambda: np.full(sizes, 2, F32), 0 in sizes)


def reshape(a, *sizes):
    if not all(map(size, sizes)) or math.prod(sizes) != a.size or math.prod(max(n, 1) for n in sizes) > 1 << 46:
        return REFUSED
    return bounded(math.prod(max(n, 1) for n in sizes), lambda: a.reshape(sizes), 0 in sizes)


def packed(a, outer, inner):
    """Tiles of 4 x 3, which `outer` x `inner` of them hold exactly."""
    if outer * 4 != a.shape[0] or inner * 3 != a.shape[1]:
        return REFUSED
    return a.reshape(outer, 4, inner, 3).transpose(0, 2, 1, 3)


def unpacked(a, rows, columns):
    if not (size(rows) and size(columns) and 0 <= a.shape[0] * 4 - rows < 4 and 0 <= a.shape[1] * 3 - columns < 3):
        return REFUSED
    return a.transpose(0, 2, 1, 3).reshape(a.shape[0] * 4, a.shape[1] * 3)[:rows, :columns]


def slice_of_slice(a, o, n, s, p, m, t):
    """The second of two slices. The first is nowhere, so that it may be longer than any array: of stride 0, say."""
    if n < 0 or not 0 <= o <= len(a) or (n and not (o < len(a) and 0 <= o + (n - 1) * s < len(a))):
        return REFUSED
    picks = slice_of(n, p, m, t)
    return picks if isinstance(picks, str) else a[[o + s * i for i in picks]]


def windows(a, w, n):
    """out[i] = sum_j a[2 i + 3 j] * w[j], for i below n. Its sums begin as n zeros: one call with 2^32 took 22 seconds and
    17 GB before it was refused; every_other() has such n, and writes nothing before."""
    if MOST < n <= 1 << 40:
        return TOO_LONG
    if not size(n) or (n and len(w) and 2 * (n - 1) + 3 * (len(w) - 1) >= len(a)):
        return REFUSED
    return bounded(n, lambda: np.array([sum((a[2 * i + 3 * j] * w[j] for j in range(len(w))), F32(0)) for i in range(n)], F32))


def every_other(a, n):
    """out[i] = a[2 i], for i below n; nothing is written to so many before they are refused."""
    return REFUSED if not size(n) or (n and 2 * (n - 1) >= len(a)) else a[:2 * n:2]


def counted(low, high, step):
    """How often a loop runs. One whose last step passes the largest integer may be refused."""
    if step <= 0 or (low < high and high > (1 << 63) - step):
        return REFUSED
    count = max(0, -((low - high) // step))
    return np.array(count, np.int64) if count <= MOST else TOO_LONG


def lookup(a, *at):
    return np.array(a[at]) if all(0 <= i < n for i, n in zip(at, a.shape)) else REFUSED


T1, T2 = "tensor<?xf32>", "tensor<?x?xf32>"
ZERO = "%z = arith.constant 0.0 : f32\n  "


class Function:
    """body: what %r, the result, is computed from. arrays: ranks of array arguments. count: of the numbers behind them."""

    def __init__(self, name, arrays, numbers, result, body, model, draw=None):
        self.name, self.arrays, self.numbers, self.model, self.draw = name, arrays, numbers, model, draw
        types = [f"%a{i}: tensor<{'?x' * rank if isinstance(rank, int) else rank}f32>" for i, rank in enumerate(arrays)]
        types += [f"%{n}: index" for n in numbers.split()]
        self.text = f"func.func @{name}({', '.join(types)}) -> {result} {{\n  {body}\n  return %r : {result}\n}}\n"

    def arguments(self, random):
        """Arrays of small prime sizes, empty ones among them, then numbers."""
        arrays = [self.array(random, rank) for rank in self.arrays]
        if self.draw and random.integers(2):
            return [*arrays, *self.draw(random, *arrays)]
        near = [n for a in arrays for n in (*a.shape, a.size)]
        return [*arrays, *(number(random, near) for _ in self.numbers.split())]

    @staticmethod
    def array(random, rank):
        if isinstance(rank, str):  # "?x?x4x3x"
            shape = [int(random.integers(0, 4)) if n == "?" else int(n) for n in rank[:-1].split("x")]
        else:
            shape = [int(random.choice([0, 1, 2, 3, 5, 7, 12, 12])) for _ in range(rank)]
        return array(*shape)


def near_slice(random, *arrays):
    """Slices that lie inside, or nearly."""
    out = []
    for n in arrays[-1].shape:
        offset, stride = int(random.integers(0, n + 1)), int(random.choice([1, 1, 2, 3, -1, -2, 1 << 62, -(1 << 62)]))
        room = (n - 1 - offset) // stride if stride > 0 else offset // -stride
        out += [offset, max(0, room + 1 + int(random.integers(-1, 2))), stride]
    return out


def factors(count):
    def draw(random, a):
        sizes = [1] * count
        rest = a.size
        for prime in (2, 3, 5, 7):
            while rest and rest % prime == 0:
                rest //= prime
                sizes[random.integers(count)] *= prime
        if not a.size:
            sizes[0] = 0
        if random.integers(4) == 0:  # the product of 64 bits is right, and that of integers is not
            sizes[random.integers(count)] += 1 << 62
        return sizes
    return draw


def near_tiles(random, *arrays):
    a = arrays[0]
    if a.ndim == 4:
        return [a.shape[0] * 4 - int(random.integers(0, 4)), a.shape[1] * 3 - int(random.integers(0, 3))]
    return [a.shape[0] // 4, a.shape[1] // 3]


FUNCTIONS = [
    Function("slice", [1], "o n s", T1, f"%r = tensor.extract_slice %a0[%o] [%n] [%s] : {T1} to {T1}", extract, near_slice),
    Function("slice_next", [1], "o n", T1, f"%r = tensor.extract_slice %a0[%o] [%n] [1] : {T1} to {T1}",
             lambda a, o, n: extract(a, o, n, 1)),
    Function("slice_far", [1], "o n", T1, f"%r = tensor.extract_slice %a0[%o] [%n] [4611686018427387904] : {T1} to {T1}",
             lambda a, o, n: extract(a, o, n, 1 << 62)),
    Function("slice_plane", [2], "o n s p m t", T2,
             f"%r = tensor.extract_slice %a0[%o, %p] [%n, %m] [%s, %t] : {T2} to {T2}", extract, near_slice),
    Function("slice_row", [2], "o p", T1, f"%r = tensor.extract_slice %a0[%o, %p] [1, 2] [1, 1] : {T2} to tensor<2xf32>"
             .replace("%r", "%s") + f"\n  %r = tensor.cast %s : tensor<2xf32> to {T1}",
             lambda a, o, p: r if isinstance(r := extract(a, o, 1, 1, p, 2, 1), str) else r[0]),
    Function("slice_twice", [1], "o n s p m t", T1,
             f"%q = tensor.extract_slice %a0[%o] [%n] [%s] : {T1} to {T1}\n  "
             f"%r = tensor.extract_slice %q[%p] [%m] [%t] : {T1} to {T1}",
             slice_of_slice,
             lambda random, a: [0, len(a), 1, *near_slice(random, a)]),
    Function("insert_slice", [1, 1], "o n s", T1,
             f"%r = tensor.insert_slice %a0 into %a1[%o] [%n] [%s] : {T1} into {T1}",
             lambda a, b, o, n, s: REFUSED if n != len(a) or (s == 0 and n > 1) else insert(a, b, o, s),
             lambda random, a, b: [int(random.integers(0, len(b) + 1)), len(a), int(random.choice([1, 2, -1, 0, 1 << 62]))]),
    Function("insert_in_parallel", [1, 1], "o n", T1,
             f"%c1 = arith.constant 1 : index\n  %r = scf.forall (%i) in (%c1) shared_outs(%q = %a1) -> ({T1}) {{\n"
             f"    scf.forall.in_parallel {{ tensor.parallel_insert_slice %a0 into %q[%o] [%n] [1] : {T1} into {T1} }}\n  }}",
             lambda a, b, o, n: REFUSED if n != len(a) else insert(a, b, o, 1)),
    Function("pad", [1], "l h", T1, f"{ZERO}%r = tensor.pad %a0 low[%l] high[%h] {{\n  ^bb0(%i: index):\n    "
             f"tensor.yield %z : f32\n  }} : {T1} to {T1}", pad),
    Function("pad_plane", [2], "l h k g", T2, f"{ZERO}%r = tensor.pad %a0 low[%l, %k] high[%h, %g] {{\n"
             f"  ^bb0(%i: index, %j: index):\n    tensor.yield %z : f32\n  }} : {T2} to {T2}", pad),
    Function("pad_far", [1], "l", T1, f"{ZERO}%r = tensor.pad %a0 low[%l] high[9223372036854775807] {{\n  ^bb0(%i: index):\n    "
             f"tensor.yield %z : f32\n  }} : {T1} to {T1}", lambda a, low: pad(a, low, (1 << 63) - 1)),
    Function("expand", [1], "n", "tensor<?x3xf32>",
             f"%r = tensor.expand_shape %a0 [[0, 1]] output_shape [%n, 3] : {T1} into tensor<?x3xf32>",
             lambda a, n: reshape(a, n, 3)),
    Function("expand_both", [1], "n m", T2,
             f"%r = tensor.expand_shape %a0 [[0, 1]] output_shape [%n, %m] : {T1} into {T2}", reshape, factors(2)),
    Function("expand_plane", [2], "n m k", "tensor<?x?x?x2xf32>",
             f"%r = tensor.expand_shape %a0 [[0, 1], [2, 3]] output_shape [%n, %m, %k, 2] : {T2} into tensor<?x?x?x2xf32>",
             lambda a, n, m, k: REFUSED if n * m != a.shape[0] or k * 2 != a.shape[1] else reshape(a, n, m, k, 2),
             lambda random, a: [*factors(2)(random, a[:, 0] if a.shape[1] else np.empty(0)), a.shape[1] // 2]),
    Function("expand_slice", [1], "o n m", T2,
             f"%p = arith.muli %n, %m : index\n  %q = tensor.extract_slice %a0[%o] [%p] [2] : {T1} to {T1}\n  "
             f"%r = tensor.expand_shape %q [[0, 1]] output_shape [%n, %m] : {T1} into {T2}",
             lambda a, o, n, m: q if isinstance(q := extract(a, o, wrapped(n * m), 2), str) else reshape(q, n, m),
             lambda random, a: [int(random.integers(0, 3)), int(random.integers(0, 3)), int(random.integers(0, 3))]),
    Function("reshape", [2], "n m", T2, f"%s = tensor.from_elements %n, %m : tensor<2xindex>\n  "
             f"%r = tensor.reshape %a0(%s) : ({T2}, tensor<2xindex>) -> {T2}", reshape, factors(2)),
    Function("reshape_cube", [1], "n m k", "tensor<?x?x?xf32>",
             "%x = arith.index_cast %n : index to i64\n  %y = arith.index_cast %m : index to i64\n  "
             "%w = arith.index_cast %k : index to i64\n  %s = tensor.from_elements %x, %y, %w : tensor<3xi64>\n  "
             f"%r = tensor.reshape %a0(%s) : ({T1}, tensor<3xi64>) -> tensor<?x?x?xf32>", reshape, factors(3)),
    Function("reshape_known", ["12x"], "n", "tensor<?x4xf32>",
             "%c = arith.constant 4 : index\n  %s = tensor.from_elements %n, %c : tensor<2xindex>\n  "
             "%r = tensor.reshape %a0(%s) : (tensor<12xf32>, tensor<2xindex>) -> tensor<?x4xf32>",
             lambda a, n: reshape(a, n, 4)),
    Function("reshape_line", [2], "n", T1, "%s = tensor.from_elements %n : tensor<1xindex>\n  "
             f"%r = tensor.reshape %a0(%s) : ({T2}, tensor<1xindex>) -> {T1}", reshape, factors(1)),
    Function("reshape_one", [1], "", "tensor<f32>", "%s = tensor.empty() : tensor<0xindex>\n  "
             f"%r = tensor.reshape %a0(%s) : ({T1}, tensor<0xindex>) -> tensor<f32>", lambda a: reshape(a)),
    Function("fill", [], "n m", T2, "%c = arith.constant 2.0 : f32\n  "
             f"%e = tensor.empty(%n, %m) : {T2}\n  %r = linalg.fill ins(%c : f32) outs(%e : {T2}) -> {T2}", filled),
    Function("splat", [], "n m", T2, f"%c = arith.constant 2.0 : f32\n  %r = tensor.splat %c[%n, %m] : {T2}", filled),
    Function("generate", [], "n m", T2, f"%c = arith.constant 2.0 : f32\n  %r = tensor.generate %n, %m {{\n"
             f"  ^bb0(%i: index, %j: index):\n    tensor.yield %c : f32\n  }} : {T2}", filled),
    Function("corner", [], "n m", "f32", "%c = arith.constant 2.0 : f32\n  %one = arith.constant 1 : index\n  "
             f"%e = tensor.splat %c[%n, %m] : {T2}\n  %i = arith.subi %n, %one : index\n  %j = arith.subi %m, %one : index\n  "
             f"%r = tensor.extract %e[%i, %j] : {T2}",
             lambda n, m: f if isinstance(f := filled(n, m), str) else REFUSED if not f.size else np.array(2, F32)),
    Function("concat", [2, 2], "", T2, f"%r = tensor.concat dim(0) %a0, %a1 : ({T2}, {T2}) -> {T2}",
             lambda a, b: REFUSED if a.shape[1] != b.shape[1] else np.concatenate([a, b])),
    Function("concat_rows", [2, 2], "", T2, f"%r = tensor.concat dim(1) %a0, %a1 : ({T2}, {T2}) -> {T2}",
             lambda a, b: REFUSED if a.shape[0] != b.shape[0] else np.concatenate([a, b], 1)),
    Function("pack", [2], "n m", "tensor<?x?x4x3xf32>", "%e = tensor.empty(%n, %m) : tensor<?x?x4x3xf32>\n  "
             f"%r = linalg.pack %a0 inner_dims_pos = [0, 1] inner_tiles = [4, 3] into %e : {T2} -> tensor<?x?x4x3xf32>",
             packed, near_tiles),
    Function("unpack", ["?x?x4x3x"], "n m", T2, f"%e = tensor.empty(%n, %m) : {T2}\n  "
             f"%r = linalg.unpack %a0 inner_dims_pos = [0, 1] inner_tiles = [4, 3] into %e : tensor<?x?x4x3xf32> -> {T2}",
             unpacked, near_tiles),
    Function("windows", [1, 1], "n", T1, ZERO + f"%e = tensor.splat %z[%n] : {T1}\n  "
             "%r = linalg.generic {indexing_maps = [affine_map<(i, j) -> (2 * i + 3 * j)>, affine_map<(i, j) -> (j)>, "
             "affine_map<(i, j) -> (i)>], iterator_types = [\"parallel\", \"reduction\"]}\n    "
             f"ins(%a0, %a1 : {T1}, {T1}) outs(%e : {T1}) {{\n  ^bb0(%x: f32, %w: f32, %s: f32):\n    "
             f"%p = arith.mulf %x, %w : f32\n    %q = arith.addf %s, %p : f32\n    linalg.yield %q : f32\n  }} -> {T1}", windows,
             lambda random, a, w: [int(random.integers(0, 6))]),
    Function("every_other", [1], "n", T1, f"%e = tensor.empty(%n) : {T1}\n  "
             "%r = linalg.generic {indexing_maps = [affine_map<(i) -> (2 * i)>, affine_map<(i) -> (i)>], "
             f"iterator_types = [\"parallel\"]}}\n    ins(%a0 : {T1}) outs(%e : {T1}) {{\n  ^bb0(%x: f32, %s: f32):\n    "
             f"linalg.yield %x : f32\n  }} -> {T1}", every_other, lambda random, a: [int(random.integers(0, 8))]),
    Function("first_row", [2, 1], "", T1,
             "%r = linalg.generic {indexing_maps = [affine_map<(i) -> (0, i)>, affine_map<(i) -> (i)>], "
             f"iterator_types = [\"parallel\"]}}\n    ins(%a0 : {T2}) outs(%a1 : {T1}) {{\n  ^bb0(%x: f32, %s: f32):\n    "
             f"linalg.yield %x : f32\n  }} -> {T1}",
             lambda a, b: a[0] if a.shape[1] == len(b) and len(a) else REFUSED if a.shape[1] != len(b) or len(b) else b),
    Function("extract", [2], "i j", "f32", f"%r = tensor.extract %a0[%i, %j] : {T2}", lookup),
    Function("gather", [1, 1], "o", T1, "%r = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>], "
             f"iterator_types = [\"parallel\"]}} outs(%a1 : {T1}) {{\n  ^bb0(%s: f32):\n    %i = linalg.index 0 : index\n    "
             f"%j = arith.addi %i, %o : index\n    %x = tensor.extract %a0[%j] : {T1}\n    linalg.yield %x : f32\n  }} -> {T1}",
             lambda a, b, o: b if not len(b) else a[o:o + len(b)] if 0 <= o and o + len(b) <= len(a) else REFUSED),
    Function("insert", [1], "i", T1, ZERO + f"%r = tensor.insert %z into %a0[%i] : {T1}",
             lambda a, i: np.where(np.arange(len(a)) == i, F32(0), a) if 0 <= i < len(a) else REFUSED),
    Function("dim", [2], "i", "index", f"%r = tensor.dim %a0, %i : {T2}",
             lambda a, i: np.array(a.shape[i]) if 0 <= i < 2 else REFUSED),
    Function("cast", [1], "", "tensor<5xf32>", f"%r = tensor.cast %a0 : {T1} to tensor<5xf32>",
             lambda a: a if len(a) == 5 else REFUSED),
    Function("add", [1, 1], "", T1, f"%r = arith.addf %a0, %a1 : {T1}", lambda a, b: a + b if len(a) == len(b) else REFUSED),
    Function("loop", [], "l h s", "index", "%zero = arith.constant 0 : index\n  %one = arith.constant 1 : index\n  "
             "%r = scf.for %i = %l to %h step %s iter_args(%n = %zero) -> (index) {\n    "
             "%m = arith.addi %n, %one : index\n    scf.yield %m : index\n  }", counted),
]


ALL_REFUSED = {"pad_far"}


def wrapped(value):
    """What 64 bits of `value` say."""
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


def constants():
    """(name, text, model): the same mistakes, said with constants; they are refused when compiled or when called."""
    five = "func.func @f(%a: tensor<5xf32>, %u: tensor<?xf32>) -> "
    for name, value in (("behind", 4), ("far", 1 << 62), ("before", -1)):
        yield f"slice {name}", five + f"""tensor<2xf32> {{
  %o = arith.constant {value} : index
  %r = tensor.extract_slice %a[%o] [2] [1] : tensor<5xf32> to tensor<2xf32>
  return %r : tensor<2xf32>
}}"""
        yield f"extract {name}", five + f"""f32 {{
  %o = arith.constant {value if value != 4 else 5} : index
  %r = tensor.extract %a[%o] : tensor<5xf32>
  return %r : f32
}}"""
        yield f"insert {name}", five + f"""tensor<5xf32> {{
  %o = arith.constant {value} : index
  %r = tensor.insert_slice %u into %a[%o] [3] [1] : tensor<?xf32> into tensor<5xf32>
  return %r : tensor<5xf32>
}}""".replace("%u into", "%k into").replace("  %r =", "  %k = tensor.cast %u : tensor<?xf32> to tensor<3xf32>\n  %r =").replace(
            "[1] : tensor<?xf32>", "[1] : tensor<3xf32>")
    for value in (-1, 1 << 62, (1 << 63) - 1):
        yield f"empty {value}", five + f"""tensor<?xf32> {{
  %n = arith.constant {value} : index
  %z = arith.constant 0.0 : f32
  %r = tensor.splat %z[%n] : tensor<?xf32>
  return %r : tensor<?xf32>
}}"""
        yield f"pad {value}", five + f"""tensor<?xf32> {{
  %n = arith.constant {value} : index
  %z = arith.constant 0.0 : f32
  %r = tensor.pad %a low[%n] high[%n] {{
  ^bb0(%i: index):
    tensor.yield %z : f32
  }} : tensor<5xf32> to tensor<?xf32>
  return %r : tensor<?xf32>
}}"""
        yield f"expand {value}", five + f"""tensor<?x3xf32> {{
  %n = arith.constant {value} : index
  %r = tensor.expand_shape %u [[0, 1]] output_shape [%n, 3] : tensor<?xf32> into tensor<?x3xf32>
  return %r : tensor<?x3xf32>
}}"""
    yield "dimension 5", five + """index {
  %n = arith.constant 5 : index
  %r = tensor.dim %u, %n : tensor<?xf32>
  return %r : index
}"""
    for shape in ("4611686018427387904", "0x4611686018427387904", "8589934592x8589934592", "9223372036854775807x3"):
        yield f"static {shape}", five + f"""tensor<{shape}xf32> {{
  %r = tensor.empty() : tensor<{shape}xf32>
  return %r : tensor<{shape}xf32>
}}"""
        yield f"argument {shape}", f"""func.func @f(%a: tensor<5xf32>, %u: tensor<?xf32>, %x: tensor<{shape}xf32>) -> index {{
  %c = arith.constant 0 : index
  return %c : index
}}"""
        yield f"partly {shape}", five + f"""tensor<?x{shape}xf32> {{
  %n = arith.constant 0 : index
  %r = tensor.empty(%n) : tensor<?x{shape}xf32>
  return %r : tensor<?x{shape}xf32>
}}"""
