"""Steps of tensor_program.py that compute: elementwise operations, conversions, any structured operation, sums, products."""
import numpy as np

from tensor_value import INTEGERS, FLOATS, affine


class Compute:
    """A part of Program."""

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
