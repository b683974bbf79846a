"""Random functions on tensors, each as MLIR's text and as what numpy computes of it.

Steps slice, insert, pad, join, reshape, transpose, add up, multiply and walk over values that are there, old ones too, in
loops and branches that carry tensors: what fusion and reuse of arrays may not get wrong. Sizes are small, some are 0 and 1,
and each is known to a type or not by chance. Elements are integers, whose sums wrap, and floats that hold whole numbers
small enough that every sum is exact, so results are equal.
"""
from dataclasses import dataclass

import numpy as np

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


class Program:
    """A func.func @name of `arguments` (arrays by name), and run(), which gives the arrays of its results."""

    def __init__(self, random, name, steps=None):
        self.random, self.name, self.count, self.indent = random, name, 0, 1
        self.lines, self.steps, self.env, self.values = [], [], {}, []
        self.arguments, self.given, self.constants = [], {}, {}
        for i in range(random.randint(2, 4)):
            self.argument(i)
        for _ in range(steps or random.randint(4, 12)):
            self.step(depth=2)
        made = [v for v in self.values if v.name not in self.given]
        self.results = [self.random.choice(self.values) for _ in range(2)] + made[-3:]
        body = "".join(f"  {n} = arith.constant {text}\n" for text, n in self.constants.items()) + "\n".join(self.lines)
        self.text = (f"func.func @{name}({', '.join(f'{v.name}: {v.type}' for v in self.arguments)}) -> "
                     f"({', '.join(v.type for v in self.results)}) {{\n{body}\n  return "
                     f"{', '.join(v.name for v in self.results)} : {', '.join(v.type for v in self.results)}\n}}\n")

    def run(self):
        env = dict(self.given)
        for step in self.steps:
            step(env)
        return [(v.kind, env[v.name]) for v in self.results]

    # What is there

    def fresh(self):
        self.count += 1
        return f"%{self.count}"

    def line(self, text):
        self.lines.append("  " * self.indent + text)

    def constant(self, text):
        return self.constants.setdefault(text, f"%k{len(self.constants)}")

    def index(self, number):
        return self.constant(f"{number} : index")

    def draw(self, kind, shape):
        if kind in FLOATS:
            return np.array([self.random.randint(-3, 3) for _ in range(int(np.prod(shape)))], np.int64).reshape(shape)
        bits = min(INTEGERS[kind], 63)
        return wrap(kind, np.array([self.random.getrandbits(bits) - (1 << bits - 1) if self.random.random() < 0.6 else
                                    self.random.randint(-3, 20) for _ in range(int(np.prod(shape)))], np.int64).reshape(shape))

    def kind(self):
        return self.random.choice((*INTEGERS, "i32", *FLOATS, "f32", "f32"))

    def sizes(self, rank):
        while True:
            shape = tuple(self.random.choice(SIZES) for _ in range(rank))
            if np.prod(shape) <= MOST // 4:
                return shape

    def known(self, shape):
        """A type's shape of arrays of `shape`."""
        every = self.random.random()
        return tuple(n if every < 0.3 or every < 0.75 and self.random.random() < 0.5 else None for n in shape)

    def argument(self, i):
        kind = self.kind() if i != 1 or self.random.random() < 0.3 else self.arguments[0].kind
        shape = self.sizes(self.random.choice((0, 1, 1, 2, 2, 2, 2, 3, 3, 4)) if i else self.random.choice((1, 2, 2, 3)))
        value = Value(f"%a{i}", kind, self.known(shape), 3)
        self.given[value.name] = self.env[value.name] = self.draw(kind, shape)
        self.arguments.append(value)
        self.values.append(value)

    def actual(self, value):
        return self.env[value.name].shape

    def record(self, step):
        self.steps.append(step)
        step(self.env)

    def made(self, text, kind, shape, most, compute, operands=(), reads=()):
        """The result of a line: `text` has {0} ... for operands' names, {t0} ... for their types and {r} for its own.
        `compute` has the arrays of the operands, and of `reads`, which the text names by itself."""
        value = Value(self.fresh(), kind, tuple(shape), most)
        fields = {f"t{i}": o.type for i, o in enumerate(operands)}
        self.line(f"{value.name} = " + text.format(*[o.name for o in operands], r=value.type, **fields))
        names = [o.name for o in (*operands, *reads)]

        def step(env):
            env[value.name] = wrap(kind, np.asarray(compute(*[env[n] for n in names])))
        self.record(step)
        assert len(self.env[value.name].shape) == len(shape) and all(
            n is None or n == m for n, m in zip(shape, self.env[value.name].shape)), (text, shape, self.env[value.name].shape)
        self.values.append(value)
        return value

    def pick(self, holds=lambda v: True):
        found = [v for v in self.values if holds(v)]
        if not found:
            return None
        return self.random.choice(found[-4:]) if self.random.random() < 0.6 else self.random.choice(found)

    def cast(self, value, shape):
        if tuple(shape) == value.shape:
            return value
        return self.made("tensor.cast {0} : {t0} to {r}", value.kind, shape, value.most, lambda x: x, [value])

    def dim(self, value, axis):
        """A number's name: the size of an axis, as a constant or asked for."""
        if value.shape[axis] is not None:
            return self.index(value.shape[axis])
        name = self.fresh()
        self.line(f"{name} = tensor.dim {value.name}, {self.index(axis)} : {value.type}")
        return name

    def empty(self, kind, shape, sizes):
        """tensor.empty of a type's shape; sizes: their names where it is None."""
        value = Value(self.fresh(), kind, tuple(shape))
        self.line(f"{value.name} = tensor.empty({', '.join(sizes)}) : {value.type}")
        return value

    def start(self, kind, shape, sizes, actual):
        """An array to add to or to write in: filled, or one that is there."""
        ready = self.pick(lambda v: v.kind == kind and self.actual(v) == actual and (kind in INTEGERS or v.most < 40))
        if ready and self.random.random() < 0.5:
            return self.cast(ready, shape) if ready.shape != tuple(shape) else ready
        number = self.random.randint(0, 1) if kind == "i1" else self.random.randint(-2, 2)
        text = ("true" if number else "false") if kind == "i1" else f"{number}{'.0' if kind in FLOATS else ''} : {kind}"
        into = self.empty(kind, shape, sizes)
        return self.made(f"linalg.fill ins({self.constant(text)} : {kind}) outs({into.name} : {into.type}) -> {{r}}", kind, shape, 2,
                         lambda: np.full(actual, number, np.int64))

    # What may happen

    def step(self, depth):
        before = len(self.lines)
        ways = [self.elementwise] * 3 + [self.generic] * 3 + [self.reduced] * 2 + [
            self.product, self.slice, self.slice, self.insert, self.insert, self.pad, self.concat, self.collapse, self.expand,
            self.reshape, self.transpose, self.broadcast, self.gather, self.cast_some, self.put, self.splat, self.generated]
        if depth:
            ways += [self.loop] * 2 + [self.branch] * 2 + [self.while_loop, self.forall, self.growing]
        while len(self.lines) == before:
            way = self.random.choice(ways)
            way(depth) if way in (self.loop, self.branch, self.while_loop) else way()

    def operation(self, kind, a, b):
        """(name, function, bound) of two arrays."""
        if kind in FLOATS:
            room = FLOATS[kind]
            some = [("maximumf", np.maximum, max(a, b)), ("minimumf", np.minimum, max(a, b))]
            some += [("addf", np.add, a + b), ("subf", np.subtract, a + b)] * 2 if a + b < room else []
            some += [("mulf", np.multiply, a * b)] if a * b < room else []
            return self.random.choice(some)
        some = [("addi", np.add), ("subi", np.subtract), ("muli", np.multiply), ("andi", np.bitwise_and), ("xori", np.bitwise_xor)]
        some += [("maxsi", np.maximum), ("minsi", np.minimum)] if kind != "i1" else []
        return (*self.random.choice(some), 1)

    def elementwise(self):
        a = self.pick()
        b = self.pick(lambda v: v.kind == a.kind and self.actual(v) == self.actual(a))
        b = self.cast(b, a.shape)
        name, compute, most = self.operation(a.kind, a.most, b.most)
        self.made(f"arith.{name} {{0}}, {{1}} : {{r}}", a.kind, a.shape, most, compute, [a, b])

    def converted(self, kind, name):
        """Lines of a body that make `name` of `kind` an i64 or f64; the name."""
        if kind in ("i64", "f64"):
            return [], name
        new = self.fresh()
        if kind == "index":
            return [f"{new} = arith.index_cast {name} : index to i64"], new
        word = "extf" if kind in FLOATS else "extui" if kind == "i1" else "extsi"
        return [f"{new} = arith.{word} {name} : {kind} to {'f64' if kind in FLOATS else 'i64'}"], new

    def generic(self):
        """Several operands along permuted axes, some of them broadcast, some sliced by a constant; one or two results."""
        base = self.pick(lambda v: v.rank <= 4)
        loops, dims = base.rank, [f"d{i}" for i in range(base.rank)]
        actual = self.actual(base)
        order = self.random.sample(range(loops), loops)
        extent = [actual[order.index(d)] for d in range(loops)]
        operands, maps, axes = [base], [[dims[d] for d in order]], [tuple(order)]
        for _ in range(self.random.randint(0, 2)):
            other = self.pick(lambda v: v.rank <= loops and (v.kind in FLOATS) == (base.kind in FLOATS))
            if other is None:
                continue
            places = self.fitting(self.actual(other), extent)
            if places is not None:
                operands.append(other)
                maps.append([dims[d] for d in places])
                axes.append(tuple(places))
        wide = "f64" if base.kind in FLOATS else "i64"
        kind = self.random.choice([k for k in (FLOATS if wide == "f64" else INTEGERS)])
        out_order = self.random.sample(range(loops), loops)
        most, names, lines = 0, [], []
        for i, operand in enumerate(operands):
            more, name = self.converted(operand.kind, f"%x{i}")
            lines += more
            names.append(name)
        current, most, functions = names[0], operands[0].most, []
        for name, operand in zip(names[1:], operands[1:]):
            word, compute, most = self.operation(wide, most, operand.most)
            new = self.fresh()
            lines.append(f"{new} = arith.{word} {current}, {name} : {wide}")
            current = new
            functions.append(compute)
        axis = self.random.randrange(loops) if loops and wide == "i64" and self.random.random() < 0.4 else None
        if axis is not None:
            at, cast, new = self.fresh(), self.fresh(), self.fresh()
            lines += [f"{at} = linalg.index {axis} : index", f"{cast} = arith.index_cast {at} : index to i64",
                      f"{new} = arith.addi {current}, {cast} : i64"]
            current = new
        if kind in FLOATS and most >= FLOATS[kind]:
            kind = "f64"
        if kind != wide:
            new = self.fresh()
            word = "index_cast" if kind == "index" else "truncf" if kind in FLOATS else "trunci"
            lines.append(f"{new} = arith.{word} {current} : {wide} to {kind}")
            current = new
        sizes = [self.dim(base, order.index(d)) for d in out_order]
        shape = [base.shape[order.index(d)] for d in out_order]
        shape = [n if self.random.random() < 0.8 else None for n in shape]
        into = self.empty(kind, shape, [s for s, n in zip(sizes, shape) if n is None])

        def compute(*arrays):
            spread = []
            for array, places in zip(arrays, axes):
                inverse = sorted(range(len(places)), key=lambda i: places[i])
                array = array.transpose(inverse) if places else array
                spread.append(array.reshape([extent[d] if d in places else 1 for d in range(loops)]))
            result = spread[0]
            for function, array in zip(functions, spread[1:]):
                result = function(result, array)
            if axis is not None:
                result = result + np.arange(extent[axis]).reshape([-1 if d == axis else 1 for d in range(loops)])
            return np.broadcast_to(result, extent).transpose(out_order)
        self.region(operands, maps + [[dims[d] for d in out_order]], ["parallel"] * loops, lines, current, into, compute, most)

    def fitting(self, shape, extent):
        """Different loops that have these sizes, or None."""
        places = []
        for n in shape:
            found = [d for d in range(len(extent)) if extent[d] == n and d not in places]
            if not found:
                return None
            places.append(self.random.choice(found))
        return places

    def region(self, operands, maps, kinds, lines, current, into, compute, most, reads=()):
        dims = [f"d{i}" for i in range(8)]
        inputs = [f"%x{i}: {o.kind}" for i, o in enumerate(operands)]
        text = [f"linalg.generic {{{{indexing_maps = [{', '.join(affine(m, len(kinds), dims) for m in maps)}], iterator_types = "
                f"[{', '.join(chr(34) + k + chr(34) for k in kinds)}]}}}} ins({', '.join(f'{{{i}}}' for i in range(len(operands)))} : "
                f"{', '.join(f'{{t{i}}}' for i in range(len(operands)))}) outs({into.name} : {into.type}) {{{{",
                f"^bb0({', '.join(inputs)}, %out: {into.kind}):", *["  " + line for line in lines],
                f"  linalg.yield {current} : {into.kind}", "}} -> {r}"]
        self.made(("\n" + "  " * self.indent).join(text), into.kind, into.shape, most, compute, operands, reads)

    def reduced(self):
        """A sum or an extreme along some axes, onto what is there."""
        base = self.pick(lambda v: 1 <= v.rank <= 4)
        if base is None:
            return
        axes = sorted(self.random.sample(range(base.rank), self.random.randint(1, base.rank)))
        kept = [d for d in range(base.rank) if d not in axes]
        actual = self.actual(base)
        count = int(np.prod([actual[d] for d in axes]))
        shape, sizes = [base.shape[d] for d in kept], [self.dim(base, d) for d in kept if base.shape[d] is None]
        into = self.start(base.kind, shape, sizes, tuple(actual[d] for d in kept))
        if base.kind in FLOATS:
            some = [("maximumf", np.maximum, max(base.most, into.most)), ("minimumf", np.minimum, max(base.most, into.most))]
            if base.most * count + into.most < FLOATS[base.kind]:
                some += [("addf", np.add, base.most * count + into.most)] * 2
        else:
            some = [("addi", np.add, 1), ("xori", np.bitwise_xor, 1), ("andi", np.bitwise_and, 1), ("ori", np.bitwise_or, 1),
                    ("muli", np.multiply, 1)]
            some += [("maxsi", np.maximum, 1), ("minsi", np.minimum, 1)] if base.kind != "i1" else []
        word, compute, most = self.random.choice(some)
        fold = lambda x, start: compute(start, compute.reduce(x, axis=tuple(axes))) if count else start  # noqa: E731
        if self.random.random() < 0.5:
            self.made(f"linalg.reduce {{{{ arith.{word} }}}} ins({{0}} : {{t0}}) outs({{1}} : {{t1}}) dimensions = [{', '.join(map(str, axes))}]",
                      base.kind, shape, most, fold, [base, into])
            return
        dims = [f"d{i}" for i in range(base.rank)]
        new = self.fresh()
        kinds = ["reduction" if d in axes else "parallel" for d in range(base.rank)]
        self.region([base], [dims, [dims[d] for d in kept]], kinds, [f"{new} = arith.{word} %x0, %out : {base.kind}"], new, into,
                    fold, most, [into])

    def product(self):
        a = self.pick(lambda v: v.rank == 2 and v.kind in ("f32", "f64", "i32", "i64", "i8", "f16"))
        b = a and self.pick(lambda v: v.rank == 2 and v.kind == a.kind and self.actual(a)[1] in self.actual(v))
        if not b:
            return
        turned = self.actual(b)[0] != self.actual(a)[1]
        count = self.actual(a)[1]
        kind = a.kind if a.kind not in ("i8", "f16") else {"i8": "i32", "f16": "f32"}[a.kind]
        rows, columns = a.shape[0], b.shape[0 if turned else 1]
        actual = (self.actual(a)[0], self.actual(b)[0 if turned else 1])
        sizes = [self.dim(v, d) for v, d in ((a, 0), (b, 0 if turned else 1)) if v.shape[d] is None]
        into = self.start(kind, [rows, columns], sizes, actual)
        most = a.most * b.most * count + into.most
        if kind in FLOATS and most >= FLOATS[kind]:
            return
        maps = ""
        if turned:
            maps = (" indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]")
        self.made(f"linalg.matmul{maps} ins({{0}}, {{1}} : {{t0}}, {{t1}}) outs({{2}} : {{t2}}) -> {{r}}", kind, into.shape, most,
                  lambda x, y, z: z + x @ (y.T if turned else y), [a, b, into])

    def cut(self, size):
        """(offset, count, stride) inside of `size` elements."""
        stride = self.random.choice((1, 1, 1, 2, 3))
        count = self.random.randint(0 if self.random.random() < 0.15 else min(1, size), (size + stride - 1) // stride)
        room = size - ((count - 1) * stride + 1 if count else 0)
        return self.random.randint(0, room if count else 0), count, stride

    def written(self, number):
        """A number in a list, or a value of it that canonical forms do not see through."""
        if self.random.random() < 0.6:
            return str(number), number
        return self.hidden(number), None

    def hidden(self, number):
        """An index whose value only a call knows: the size of an argument and what is missing."""
        source = next((v for v in self.arguments if None in v.shape), None)
        if source is None:
            return self.index(number)
        axis = source.shape.index(None)
        there = self.env[source.name].shape[axis]
        name = self.fresh()
        self.line(f"{name} = arith.addi {self.dim(source, axis)}, {self.index(number - there)} : index")
        return name

    def cuts(self, shape):
        """Cuts of all axes: their text, slices of numpy, and the sizes that types know."""
        all_cuts = [self.cut(n) for n in shape]
        texts = [[self.written(number) for number in column] for column in zip(*all_cuts)] if shape else [[], [], []]
        text = " ".join("[" + ", ".join(word for word, _ in column) + "]" for column in texts)
        where = tuple(slice(o, o + (c - 1) * s + 1 if c else o, s) for o, c, s in all_cuts)
        return text, where, [known for _, known in texts[1]], [c for _, c, _ in all_cuts]

    def slice(self):
        base = self.pick(lambda v: v.rank and 0 not in v.shape)  # an offset of 0 lies outside of such a one, says MLIR
        if base is None:
            return
        text, where, known, counts = self.cuts(self.actual(base))
        drop = [d for d in range(base.rank) if known[d] == 1 and self.random.random() < 0.4]
        shape = [n for d, n in enumerate(known) if d not in drop]
        actual = [c for d, c in enumerate(counts) if d not in drop]
        self.made(f"tensor.extract_slice {{0}}{text} : {{t0}} to {{r}}", base.kind, shape, base.most,
                  lambda x: x[where].reshape(actual), [base])

    def insert(self):
        base = self.pick(lambda v: v.rank and 0 not in v.shape)
        part = base and self.pick(lambda v: v.kind == base.kind and v.rank == base.rank and
                                  all(n <= m for n, m in zip(self.actual(v), self.actual(base))))
        if not part:
            return
        cuts = [(self.random.randint(0, m - n) if n else 0, n, 1) for n, m in zip(self.actual(part), self.actual(base))]
        where = tuple(slice(o, o + n) for o, n, _ in cuts)
        offsets = ", ".join(self.written(o)[0] for o, _, _ in cuts)
        sizes = ", ".join(str(n) if n is not None else self.dim(part, d) for d, n in enumerate(part.shape))

        def compute(x, y):
            x = x.copy()
            x[where] = y
            return x
        self.made(f"tensor.insert_slice {{0}} into {{1}}[{offsets}] [{sizes}] [{', '.join('1' * base.rank)}] : {{t0}} into {{t1}}",
                  base.kind, base.shape, max(base.most, part.most), lambda y, x: compute(x, y), [part, base])

    def pad(self):
        base = self.pick(lambda v: v.rank and np.prod(self.actual(v)) < 200)
        if base is None:
            return
        low, high = ([self.random.choice((0, 0, 1, 2)) for _ in range(base.rank)] for _ in range(2))
        if np.prod([a + b + c for a, b, c in zip(low, high, self.actual(base))]) > MOST:
            return
        written = [[self.written(n) for n in side] for side in (low, high)]
        shape = [n + a + b if None not in (n, a, b) else None for n, (_, a), (_, b) in zip(base.shape, *written)]
        text = " ".join(f"{name}[{', '.join(word for word, _ in side)}]" for name, side in zip(("low", "high"), written))
        number = self.random.randint(0, 1)
        indices = ", ".join(f"%p{i}: index" for i in range(base.rank))
        self.made(f"tensor.pad {{0}} {text} {{{{\n^bb0({indices}):\n  tensor.yield {self.literal(base.kind, number)} : {base.kind}\n}}}} : "
                  "{t0} to {r}", base.kind, shape, base.most, lambda x: np.pad(x, list(zip(low, high)), constant_values=number), [base])

    def literal(self, kind, number):
        return self.constant(("true" if number else "false") if kind == "i1" else f"{number}{'.0' if kind in FLOATS else ''} : {kind}")

    def concat(self):
        base = self.pick(lambda v: v.rank and np.prod(self.actual(v)) < 300)
        if base is None:
            return
        axis = self.random.randrange(base.rank)
        rest = lambda shape: shape[:axis] + shape[axis + 1:]  # noqa: E731
        parts = [base] + [self.pick(lambda v: v.kind == base.kind and v.rank == base.rank and np.prod(self.actual(v)) < 300 and
                                    rest(self.actual(v)) == rest(self.actual(base))) for _ in range(self.random.randint(0, 2))]
        shape = list(base.shape)
        for part in parts[1:]:  # what one type knows, the result's knows
            shape = [a if a is not None else b for a, b in zip(shape, part.shape)]
        shape[axis] = sum(p.shape[axis] for p in parts) if all(p.shape[axis] is not None for p in parts) else None
        words = ", ".join(f"{{{i}}}" for i in range(len(parts)))
        types = ", ".join(f"{{t{i}}}" for i in range(len(parts)))
        self.made(f"tensor.concat dim({axis}) {words} : ({types}) -> {{r}}", base.kind, shape, max(p.most for p in parts),
                  lambda *x: np.concatenate(x, axis), parts)

    def groups(self, rank, parts):
        edges = [0, *sorted(self.random.sample(range(1, rank), parts - 1)), rank]
        return [list(range(a, b)) for a, b in zip(edges, edges[1:])]

    def collapse(self):
        base = self.pick(lambda v: v.rank > 1)
        if base is None:
            return
        groups = self.groups(base.rank, self.random.randint(1, base.rank - 1))
        whole = lambda sizes: None if None in sizes else int(np.prod(sizes))  # noqa: E731
        shape = [whole([base.shape[d] for d in group]) for group in groups]
        actual = [int(np.prod([self.actual(base)[d] for d in group])) for group in groups]
        self.made(f"tensor.collapse_shape {{0}} {groups} : {{t0}} into {{r}}", base.kind, shape, base.most,
                  lambda x: x.reshape(actual), [base])

    def expand(self):
        base = self.pick(lambda v: 1 <= v.rank <= 3)
        if base is None:
            return
        groups, actual, shape, words = [], [], [], []
        for known, n in zip(base.shape, self.actual(base)):
            some = [d for d in range(1, n + 1) if n % d == 0] or [0]
            first = self.random.choice(some)
            parts = [first, n // first if first else self.random.choice((1, 2, 3))]
            if self.random.random() < 0.4:
                parts = [n]
            elif self.random.random() < 0.2:
                parts.insert(1, 1)
            groups.append(list(range(len(actual), len(actual) + len(parts))))
            actual += parts
            hide = known is None
            for i, part in enumerate(parts):  # a size that is unknown must be so in some part, and where known in none
                dynamic = hide and (i == 0 or self.random.random() < 0.5)
                shape.append(None if dynamic else part)
                words.append(self.hidden(part) if dynamic else str(part))
        self.made(f"tensor.expand_shape {{0}} {groups} output_shape [{', '.join(words)}] : {{t0}} into {{r}}", base.kind, shape,
                  base.most, lambda x: x.reshape(actual), [base])

    def reshape(self):
        base = self.pick(lambda v: True)
        count = int(np.prod(self.actual(base)))
        first = self.random.choice([d for d in range(1, count + 1) if count % d == 0] or [0])
        actual = [first, count // first if first else 3]
        shape = self.known(actual)
        name = self.fresh()
        self.line(f"{name} = tensor.from_elements {self.hidden(actual[0])}, {self.hidden(actual[1])} : tensor<2xindex>")
        self.made(f"tensor.reshape {{0}}({name}) : ({{t0}}, tensor<2xindex>) -> {{r}}", base.kind, shape, base.most,
                  lambda x: x.reshape(actual), [base])

    def transpose(self):
        base = self.pick(lambda v: v.rank > 1)
        if base is None:
            return
        order = self.random.sample(range(base.rank), base.rank)
        shape = [base.shape[d] for d in order]
        into = self.empty(base.kind, shape, [self.dim(base, d) for d in order if base.shape[d] is None])
        self.made(f"linalg.transpose ins({{0}} : {{t0}}) outs({into.name} : {into.type}) permutation = {order}", base.kind, shape,
                  base.most, lambda x: x.transpose(order), [base])

    def broadcast(self):
        base = self.pick(lambda v: v.rank < 4 and np.prod(self.actual(v)) < 100)
        like = base and self.pick(lambda v: v.rank)
        if not like:
            return
        axis, which = self.random.randint(0, base.rank), self.random.randrange(like.rank)
        size, known = self.actual(like)[which], like.shape[which]
        shape = [*base.shape[:axis], known, *base.shape[axis:]]
        sizes = [self.dim(base, d) for d in range(base.rank)]
        sizes = [*sizes[:axis], self.dim(like, which), *sizes[axis:]]
        into = self.empty(base.kind, shape, [s for s, n in zip(sizes, shape) if n is None])
        self.made(f"linalg.broadcast ins({{0}} : {{t0}}) outs({into.name} : {into.type}) dimensions = [{axis}]", base.kind, shape,
                  base.most, lambda x: np.repeat(np.expand_dims(x, axis), size, axis), [base])

    def gather(self):
        """Rows of a table by numbers that are there, cut to its size."""
        table = self.pick(lambda v: 1 <= v.rank <= 2 and self.actual(v)[0])
        at = table and self.pick(lambda v: v.rank == 1 and v.kind in ("i32", "i64", "i8", "i16", "index"))
        if not at:
            return
        rows, loops = self.actual(table)[0], table.rank
        dims = [f"d{i}" for i in range(loops)]
        shape = [at.shape[0], *table.shape[1:]]
        sizes = [self.dim(at, 0)] + [self.dim(table, d) for d in range(1, loops)]
        into = self.empty(table.kind, shape, [s for s, n in zip(sizes, shape) if n is None])
        lines, current = [], "%x0"
        if at.kind != "index":
            current = self.fresh()
            lines.append(f"{current} = arith.index_cast %x0 : {at.kind} to index")
        low, high, column = self.fresh(), self.fresh(), self.fresh()
        lines += [f"{low} = arith.maxsi {current}, {self.index(0)} : index", f"{high} = arith.minsi {low}, {self.index(rows - 1)} : index"]
        if loops == 2:
            lines.append(f"{column} = linalg.index 1 : index")
        new = self.fresh()
        lines.append(f"{new} = tensor.extract {table.name}[{high}{', ' + column if loops == 2 else ''}] : {table.type}")
        self.region([at], [["d0"], dims], ["parallel"] * loops, lines, new, into,
                    lambda i, rows_of: rows_of[np.clip(i, 0, rows - 1)], table.most, [table])

    def cast_some(self):
        base = self.pick(lambda v: v.rank)
        if base is None:
            return
        turn = [self.random.random() < 0.5 for _ in base.shape]
        self.cast(base, [(m if n is None else None) if t else n for n, m, t in zip(base.shape, self.actual(base), turn)])

    def put(self):
        """One element read from an array and written into another, or into the same one."""
        base = self.pick(lambda v: v.rank and np.prod(self.actual(v)))
        other = base and self.pick(lambda v: v.kind == base.kind and np.prod(self.actual(v)))
        if not other:
            return
        to = [self.random.randrange(n) for n in self.actual(base)]
        of = [self.random.randrange(n) for n in self.actual(other)]
        name = self.fresh()
        words = lambda numbers: ", ".join(self.index(n) if self.random.random() < 0.5 else self.hidden(n) for n in numbers)  # noqa: E731
        self.line(f"{name} = tensor.extract {other.name}[{words(of)}] : {other.type}")

        def compute(x, y):
            x = x.copy()
            x[tuple(to)] = y[tuple(of)]
            return x
        self.made(f"tensor.insert {name} into {{0}}[{words(to)}] : {{t0}}", base.kind, base.shape, max(base.most, other.most), compute,
                  [base, other])

    def splat(self):
        source = self.pick(lambda v: np.prod(self.actual(v)))
        if source is None:
            return
        actual = self.sizes(self.random.randint(1, 2))
        of, shape = [self.random.randrange(n) for n in self.actual(source)], self.known(actual)
        name = self.fresh()
        self.line(f"{name} = tensor.extract {source.name}[{', '.join(self.index(n) for n in of)}] : {source.type}")
        sizes = [self.hidden(n) for n, known in zip(actual, shape) if known is None]
        self.made(f"tensor.splat {name}{'[' + ', '.join(sizes) + ']' if sizes else ''} : {{r}}", source.kind, shape, source.most,
                  lambda x: np.full(actual, x[tuple(of)]), [source])

    def generated(self):
        """tensor.generate: each element from one of an array, backwards."""
        source = self.pick(lambda v: v.rank in (1, 2) and np.prod(self.actual(v)))
        if source is None:
            return
        names, lines = [f"%g{i}" for i in range(source.rank)], []
        for d in range(source.rank):
            new = self.fresh()
            lines.append(f"{new} = arith.subi {self.index(self.actual(source)[d] - 1)}, %g{d} : index")
            names[d] = new
        taken = self.fresh()
        sizes = [self.dim(source, d) for d in range(source.rank) if source.shape[d] is None]
        block = "\n".join([f"^bb0({', '.join(f'%g{d}: index' for d in range(source.rank))}):", *lines,
                           f"{taken} = tensor.extract {{0}}[{', '.join(names)}] : {{t0}}", f"tensor.yield {taken} : {source.kind}"])
        self.made(f"tensor.generate {', '.join(sizes)} {{{{\n{block}\n}}}} : {{r}}", source.kind, source.shape, source.most,
                  lambda x: x[(slice(None, None, -1),) * x.ndim], [source])

    # Loops and branches

    def nested(self, depth, carried, count):
        """Lines, steps and new values of a region that starts from `carried`; what it yields for each of them."""
        outer_lines, outer_steps, outer_values = self.lines, self.steps, self.values
        self.lines, self.steps, self.values = [], [], [*outer_values, *carried]
        self.indent += 1
        for _ in range(count):
            self.step(depth - 1)
        results = []
        for value in carried:
            same = [v for v in self.values if v.kind == value.kind and self.actual(v) == self.actual(value) and v.most <= value.most]
            chosen = self.random.choice(same[-3:])
            chosen = self.cast(chosen, value.shape) if chosen.shape != value.shape else chosen
            results.append(chosen)
        lines, steps = self.lines, self.steps
        self.lines, self.steps, self.values = outer_lines, outer_steps, outer_values
        self.indent -= 1
        return lines, steps, results

    def carry(self):
        """One to three values that a region hands on, two of them alike where there are."""
        first = self.pick()
        some = [first]
        for _ in range(self.random.randint(0, 2)):
            other = self.pick(lambda v: v.kind == first.kind and v.shape == first.shape and self.actual(v) == self.actual(first))
            some.append(other if self.random.random() < 0.7 else self.pick())
        return some

    def bound(self, values):
        """Values of loops: floats may have any whole number that is exact."""
        return [Value(self.fresh(), v.kind, v.shape, max(v.most, 3)) for v in values]

    def around(self, text, results, compute, numbers=0):
        """A line with a region and several results, of which the first `numbers` are no tensors."""
        name = self.fresh()
        made = [Value(f"{name}#{i}" if len(results) > 1 else name, v.kind, v.shape, v.most) for i, v in enumerate(results)]
        self.line(f"{name}{f':{len(results)}' if len(results) > 1 else ''} = " + text[0])
        self.lines += text[1:]

        def step(env):
            for value, array in zip(made, compute(env)):
                env[value.name] = array
        self.record(step)
        self.values += made[numbers:]

    def loop(self, depth):
        starts = self.carry()
        inner = self.bound(starts)
        times = self.random.choice((0, 1, 2, 3, 5))
        at = self.fresh()
        for start, value in zip(starts, inner):
            self.env[value.name] = self.env[start.name]
        position = Value(self.fresh(), "index", (1,))
        self.env[position.name] = np.zeros(1, np.int64)
        lines, steps, yielded = self.nested_with(depth, inner, position)
        types = ", ".join(v.type for v in inner)
        carried = ", ".join(f"{v.name} = {s.name}" for v, s in zip(inner, starts))
        pad = "  " * self.indent
        limit = self.index(times) if self.random.random() < 0.4 else self.hidden(times)
        text = [f"scf.for {at} = {self.index(0)} to {limit} step {self.index(1)} iter_args({carried}) -> ({types}) {{",
                f"{pad}  {position.name} = tensor.from_elements {at} : tensor<1xindex>", *lines,
                f"{pad}  scf.yield {', '.join(v.name for v in yielded)} : {types}", pad + "}"]

        def compute(env):
            env = dict(env)
            current = [env[s.name] for s in starts]
            for i in range(times):
                env.update(zip([v.name for v in inner], current))
                env[position.name] = np.array([i], np.int64)
                for step in steps:
                    step(env)
                current = [env[v.name] for v in yielded]
            return current
        self.around(text, inner, compute)

    def nested_with(self, depth, carried, *more):
        self.values = [*self.values, *more]
        found = self.nested(depth, carried, self.random.randint(1, 4))
        self.values = self.values[:len(self.values) - len(more)] if more else self.values
        return found

    def while_loop(self, depth):
        starts = self.carry()
        inner, after = self.bound(starts), self.bound(starts)
        times = self.random.choice((0, 1, 2, 3))
        for start, value, other in zip(starts, inner, after):
            self.env[value.name] = self.env[other.name] = self.env[start.name]
        lines, steps, tested = self.nested(depth, inner, self.random.randint(0, 2))
        for value, other in zip(tested, after):
            self.env[other.name] = self.env[value.name]
        more_lines, more_steps, yielded = self.nested(depth, after, self.random.randint(1, 3))
        count, next_count, more = self.fresh(), self.fresh(), self.fresh()
        types = ", ".join(v.type for v in inner)
        pad = "  " * self.indent
        counted = self.fresh()
        limit = self.hidden(times)
        text = [f"scf.while ({count} = {self.index(0)}, {', '.join(f'{v.name} = {s.name}' for v, s in zip(inner, starts))}) : "
                f"(index, {types}) -> (index, {types}) {{", *lines,
                f"{pad}  {more} = arith.cmpi slt, {count}, {limit} : index",
                f"{pad}  scf.condition({more}) {count}, {', '.join(v.name for v in tested)} : index, {types}", pad + "} do {",
                f"{pad}^bb0({counted}: index, {', '.join(f'{v.name}: {v.type}' for v in after)}):", *more_lines,
                f"{pad}  {next_count} = arith.addi {counted}, {self.index(1)} : index",
                f"{pad}  scf.yield {next_count}, {', '.join(v.name for v in yielded)} : index, {types}", pad + "}"]

        def compute(env):
            env = dict(env)
            current = [env[s.name] for s in starts]
            for i in range(times + 1):
                env.update(zip([v.name for v in inner], current))
                for step in steps:
                    step(env)
                current = [env[v.name] for v in tested]
                if i == times:
                    return [np.array(times, np.int64), *current]
                env.update(zip([v.name for v in after], current))
                for step in more_steps:
                    step(env)
                current = [env[v.name] for v in yielded]
        self.around(text, [Value("", "index", ()), *inner], compute, numbers=1)

    def branch(self, depth):
        starts = self.carry()
        shown = [Value(s.name, s.kind, s.shape, max(s.most, 3)) for s in starts]
        source = self.pick(lambda v: np.prod(self.actual(v)) and v.kind not in FLOATS)
        if source is None:
            return
        of = [self.random.randrange(n) for n in self.actual(source)]
        value, holds = self.fresh(), self.fresh()
        self.line(f"{value} = tensor.extract {source.name}[{', '.join(self.index(n) for n in of)}] : {source.type}")
        self.line(f"{holds} = arith.cmpi ne, {value}, {self.literal(source.kind, 0)} : {source.kind}")
        sides = [self.nested(depth, shown, self.random.randint(0, 3)) for _ in range(2)]
        types = ", ".join(v.type for v in shown)
        pad = "  " * self.indent
        text = [f"scf.if {holds} -> ({types}) {{"]
        for i, (lines, _, yielded) in enumerate(sides):
            text += [*lines, f"{pad}  scf.yield {', '.join(v.name for v in yielded)} : {types}", pad + ("}" if i else "} else {")]

        def compute(env):
            env = dict(env)
            _, steps, yielded = sides[0 if env[source.name][tuple(of)] else 1]
            for step in steps:
                step(env)
            return [env[v.name] for v in yielded]
        self.around(text, shown, compute)

    def forall(self):
        """Rows of an array, each written once, of what stands in another."""
        base = self.pick(lambda v: v.rank == 2 and self.actual(v)[0] and 0 not in v.shape)
        other = base and self.pick(lambda v: v.kind == base.kind and v.rank == 2 and self.actual(v) == self.actual(base))
        if not other:
            return
        other = self.cast(other, base.shape)
        name, row, at, out, back = (self.fresh() for _ in range(5))
        back_of, rows, pad = self.random.random() < 0.6, self.actual(base)[0], "  " * self.indent
        size = base.shape[1] if base.shape[1] is not None else self.dim(base, 1)
        row_type = f"tensor<1x{'?' if base.shape[1] is None else base.shape[1]}x{base.kind}>"
        read = f"{other.name}[{back}, 0]" if back_of else f"{out}[{at}, 0]"
        counted = self.dim(base, 0)
        self.lines += [f"{pad}{name} = scf.forall ({at}) in ({counted}) shared_outs({out} = {base.name}) -> ({base.type}) {{",
                       f"{pad}  {back} = arith.subi {self.index(rows - 1)}, {at} : index",
                       f"{pad}  {row} = tensor.extract_slice {read} [1, {size}] [1, 1] : {base.type} to {row_type}",
                       f"{pad}  scf.forall.in_parallel {{",
                       f"{pad}    tensor.parallel_insert_slice {row} into {out}[{at}, 0] [1, {size}] [1, 1] : {row_type} into {base.type}",
                       f"{pad}  }}", pad + "}"]
        self.record(lambda env: env.__setitem__(name, env[other.name][::-1] if back_of else env[base.name]))
        self.values.append(Value(name, base.kind, base.shape, max(base.most, other.most)))

    def growing(self):
        """A loop whose array has one more element in every step."""
        base = self.pick(lambda v: v.rank == 1 and self.actual(v)[0] < 30)
        if base is None:
            return
        start = self.cast(base, [None])
        times = self.random.choice((0, 1, 3, 4))
        name, at, inner, n, padded = (self.fresh() for _ in range(5))
        t = start.type
        pad = "  " * self.indent
        limit = self.hidden(times)
        self.line(f"{name} = scf.for {at} = {self.index(0)} to {limit} step {self.index(1)} iter_args({inner} = {start.name}) -> ({t}) {{")
        if self.random.random() < 0.5:
            self.lines += [f"{pad}  {padded} = tensor.concat dim(0) {inner}, {start.name} : ({t}, {t}) -> {t}"]
            grown = lambda x, first: np.concatenate([x, first])  # noqa: E731
        else:
            self.lines += [f"{pad}  {padded} = tensor.pad {inner} low[1] high[0] {{", f"{pad}  ^bb0({n}: index):",
                           f"{pad}    tensor.yield {self.literal(base.kind, 1)} : {base.kind}", f"{pad}  }} : {t} to {t}"]
            grown = lambda x, first: np.concatenate([np.full(1, 1), x])  # noqa: E731
        self.lines += [f"{pad}  scf.yield {padded} : {t}", pad + "}"]

        def step(env):
            array = env[start.name]
            for _ in range(times):
                array = wrap(base.kind, grown(array, env[start.name]))
            env[name] = array
        self.record(step)
        self.values.append(Value(name, base.kind, (None,), max(base.most, 1)))
