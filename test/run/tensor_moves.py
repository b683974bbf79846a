"""Steps of tensor_program.py that move elements: slices, joins, pads, reshapes, transpositions, gathers."""
import numpy as np

from tensor_value import FLOATS, MOST


class Moves:
    """A part of Program."""

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
            elif self.random.random() < 0.2 and len(actual) < 6:  # of all three sizes there would be nine; programs have eight
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
