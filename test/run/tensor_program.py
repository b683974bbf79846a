"""Random functions on tensors, each as MLIR's text and as what numpy computes of it.

Steps slice, insert, pad, join, reshape, transpose, add up, multiply and walk over values that are there, old ones too, in
loops and branches that carry tensors: what fusion and reuse of arrays may not get wrong. Sizes are small, some are 0 and 1,
and each is known to a type or not by chance. Elements are integers, whose sums wrap, and floats that hold whole numbers
small enough that every sum is exact, so results are equal.
"""
import numpy as np

from tensor_compute import Compute
from tensor_control import Control
from tensor_moves import Moves
from tensor_value import INTEGERS, FLOATS, SIZES, MOST, wrap, Value


class Program(Compute, Moves, Control):
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
