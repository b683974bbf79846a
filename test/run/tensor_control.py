"""Steps of tensor_program.py that are loops and branches, which carry tensors."""
import numpy as np

from tensor_value import FLOATS, wrap, Value


class Control:
    """A part of Program."""

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
