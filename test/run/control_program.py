"""Random bodies of structured control flow, each as MLIR's text and as what Python computes of it.

Integers are Python's, cut to their bits after every operation; floats are numpy's float32, rounded after every operation;
tensors are tuples. No division by zero, shift by too much or conversion out of range is written, so that every function
has one result. Loops end: their bounds lie near each other, and a scf.while counts.
"""
import numpy as np

from control_values import (BITS, COMPARE, TENSORS, TYPES, cast_literal, element,
                            float_operation, integer_operation, length, random_value, signed, unsigned)


class Body:
    """A func.func: regions write lines and steps into it; a step computes values in an environment."""

    def __init__(self, function, name, arguments, depth, affine):
        self.function, self.random = function, function.random
        self.lines, self.steps, self.indent = [], [], 1
        self.conditions, self.affine = [], affine
        self.made = []  # results of the outermost regions and calls, which a function returns
        self.tops, self.ivs = [], []  # values that affine takes for symbols, and for dimensions
        self.arguments = [f"%a{i}" for i in range(len(arguments))]
        scope = list(zip(self.arguments, arguments))
        self.block(scope, depth, self.random.randint(4, 8))
        results = [self.pick(scope, kind) for kind in self.random.sample(TYPES, 2)]
        results += self.random.sample(self.made, min(len(self.made), 12))
        self.results, self.result_types = [n for n, _ in results], [t for _, t in results]
        self.argument_types = list(arguments)
        visibility = "private " if name.endswith("_part") else ""
        self.text = (f"func.func {visibility}@{name}({', '.join(f'{n}: {t}' for n, t in zip(self.arguments, arguments))}) -> "
                     f"({', '.join(self.result_types)}) {{\n" + "\n".join(self.lines) +
                     f"\n  return {', '.join(self.results)} : {', '.join(self.result_types)}\n}}\n")
        self.name = name

    def run(self, arguments):
        env = dict(zip(self.arguments, arguments))
        for step in self.steps:
            step(env)
        return [env[name] for name in self.results]

    # Writing

    def line(self, text):
        self.lines.append("  " * self.indent + text)

    def value(self, scope, text, kind, operands, compute):
        """One result of one operation, `text` with {0} ... for its operands."""
        name = self.function.fresh()
        self.line(f"{name} = " + text.format(*operands))
        self.steps.append(lambda env: env.__setitem__(name, compute(*(env[o] for o in operands))))
        scope.append((name, kind))
        return name

    def constant(self, scope, kind, value=None):
        value = random_value(self.random, kind) if value is None else value
        if kind.startswith("tensor"):
            words = ", ".join(cast_literal(element(kind), v) for v in value)
            text = f"arith.constant dense<[{words}]> : {kind}"
        else:
            text = f"arith.constant {cast_literal(kind, value)}" + ("" if kind == "i1" else f" : {kind}")
        return self.value(scope, text, kind, [], lambda: value)

    def pick(self, scope, kind):
        """(name, kind) of a value that is there, more often a late one, or of a constant."""
        there = [n for n, t in scope if t == kind]
        if not there or self.random.random() < 0.12:
            return self.constant(scope, kind), kind
        return (self.random.choice(there[-3:]) if self.random.random() < 0.6 else self.random.choice(there)), kind

    def small(self, scope, base, kind="index", bits=2):
        """A value of `base` to base + 2^bits - 1, of what is there."""
        name = self.pick(scope, kind)[0]
        name = self.value(scope, f"arith.andi {{0}}, {{1}} : {kind}", kind,
                          [name, self.constant(scope, kind, (1 << bits) - 1)], lambda a, b: a & b)
        if base:
            name = self.value(scope, f"arith.addi {{0}}, {{1}} : {kind}", kind, [name, self.constant(scope, kind, base)],
                              lambda a, b: signed(a + b, BITS[kind]))
        return name

    def nested(self, scope, depth, added=(), statements=None):
        """A region behind the lines so far: its scope and its steps; the caller ends it."""
        inner, kept, self.steps = [*scope, *added], self.steps, []
        self.indent += 1
        self.block(inner, depth - 1, self.random.choice([0, 1, 2, 2, 3, 4]) if statements is None else statements)
        return inner, kept

    def close(self, kept):
        steps, self.steps = self.steps, kept
        self.indent -= 1
        return steps

    def block(self, scope, depth, statements):
        for _ in range(statements):
            if depth > 0 and self.random.random() < 0.45:
                forms = [self.for_loop, self.for_loop, self.while_loop, self.while_loop, self.branch, self.branch, self.switch,
                         self.forall, self.execute]
                if self.affine:
                    forms += [self.affine_for, self.affine_if]
                self.random.choice(forms)(scope, depth)
            else:
                self.operation(scope)

    # Straight code

    def operation(self, scope):
        kind = self.random.choice(TYPES)
        draw = self.random.random()
        if self.function.helpers and draw < 0.06 and self is not self.function.helpers[0]:
            return self.call_helper(scope)
        if draw < 0.15:
            condition = self.pick(scope, "i1")[0]
            a, b = self.pick(scope, kind)[0], self.pick(scope, kind)[0]
            return self.value(scope, f"arith.select {{0}}, {{1}}, {{2}} : {kind}", kind, [condition, a, b],
                              lambda c, x, y: x if c else y)
        if kind == "i1" and draw < 0.7:
            return self.comparison(scope)
        if kind.startswith("tensor") and draw < 0.6:
            return self.tensor_operation(scope, kind)
        if kind not in ("f32", "i1") and not kind.startswith("tensor") and draw < 0.3:
            return self.conversion(scope, kind)
        if kind == "f32" and draw < 0.3:
            return self.value(scope, "arith.sitofp {0} : i32 to f32", "f32", [self.pick(scope, "i32")[0]], np.float32)
        return self.arithmetic(scope, kind)

    def arithmetic(self, scope, kind):
        base = element(kind)
        if base == "f32":
            name = self.random.choice(["addf", "subf", "mulf", "maximumf", "minimumf"])
            one = lambda a, b: float_operation(name, a, b)
        elif base == "i1":
            name = self.random.choice(["andi", "ori", "xori"])
            one = lambda a, b: integer_operation(name, a, b, 1)
        else:
            name = self.random.choice(["addi", "addi", "subi", "muli", "andi", "ori", "xori", "maxsi", "minsi", "maxui", "minui",
                                       "divsi", "remsi", "divui", "remui", "floordivsi", "ceildivsi", "shli", "shrsi", "shrui"])
            one = lambda a, b: integer_operation(name, a, b, BITS[base])
        left = self.pick(scope, kind)[0]
        if name[:3] in ("div", "rem", "flo", "cei", "shl", "shr"):
            low, high = (0, 31) if name.startswith("sh") else (2, 9)
            number = lambda: self.random.randint(low, high)
            right = self.constant(scope, kind, tuple(number() for _ in range(length(kind))) if kind.startswith("tensor") else number())
        else:
            right = self.pick(scope, kind)[0]
        whole = (lambda a, b: tuple(map(one, a, b))) if kind.startswith("tensor") else one
        return self.value(scope, f"arith.{name} {{0}}, {{1}} : {kind}", kind, [left, right], whole)

    def comparison(self, scope):
        kind = self.random.choice(["i32", "i64", "index", "f32", "i1"])
        how = self.random.choice(list(COMPARE))
        a, b = self.pick(scope, kind)[0], self.pick(scope, kind)[0]
        if kind == "f32":
            ordered = self.random.random() < 0.5
            return self.value(scope, f"arith.cmpf {'ou'[not ordered]}{how}, {{0}}, {{1}} : f32", "i1", [a, b],
                              lambda x, y: int(not ordered) if np.isnan(x) or np.isnan(y) else int(COMPARE[how](x, y)))
        is_signed = self.random.random() < 0.6 and kind != "i1"
        word = how if how in ("eq", "ne") else ("s" if is_signed else "u") + how
        key = (lambda v: v) if is_signed else (lambda v: unsigned(v, BITS[kind]))
        return self.value(scope, f"arith.cmpi {word}, {{0}}, {{1}} : {kind}", "i1", [a, b],
                          lambda x, y: int(COMPARE[how](key(x), key(y))))

    def conversion(self, scope, kind):
        words = {"i32": [("i64", "trunci"), ("index", "index_cast"), ("i1", "extui"), ("i1", "extsi")],
                 "i64": [("i32", "extsi"), ("i32", "extui"), ("index", "index_cast"), ("i1", "extui")],
                 "index": [("i32", "index_cast"), ("i32", "index_castui"), ("i64", "index_cast")]}[kind]
        source, word = self.random.choice(words)
        wide = word in ("extui", "index_castui")

        def compute(value):
            if word == "extsi" and source == "i1":
                return -value
            return signed(unsigned(value, BITS[source]) if wide else value, BITS[kind])
        return self.value(scope, f"arith.{word} {{0}} : {source} to {kind}", kind, [self.pick(scope, source)[0]], compute)

    def tensor_operation(self, scope, kind):
        base, n = element(kind), length(kind)
        at = self.small(scope, 0, bits=1)  # 0 or 1
        form = self.random.randint(0, 2)
        if form == 0:
            return self.value(scope, f"tensor.extract {{0}}[{{1}}] : {kind}", base, [self.pick(scope, kind)[0], at],
                              lambda t, i: t[i])
        if form == 1:
            return self.value(scope, f"tensor.insert {{0}} into {{1}}[{{2}}] : {kind}", kind,
                              [self.pick(scope, base)[0], self.pick(scope, kind)[0], at],
                              lambda v, t, i: t[:i] + (v,) + t[i + 1:])
        parts = [self.pick(scope, base)[0] for _ in range(n)]
        return self.value(scope, f"tensor.from_elements {', '.join('{%d}' % i for i in range(n))} : {kind}", kind, parts,
                          lambda *values: tuple(values))

    def call_helper(self, scope):
        helper = self.function.helpers[0]
        given = [self.pick(scope, kind)[0] for kind in helper.argument_types]
        return self.several(scope, helper.result_types,
                            f"func.call @{helper.name}({', '.join(given)}) : ({', '.join(helper.argument_types)}) -> "
                            f"({', '.join(helper.result_types)})", lambda env: helper.run([env[n] for n in given]))

    def several(self, scope, kinds, text, compute):
        """One operation without a region and with results of `kinds`."""
        name = self.function.fresh()
        self.line(f"{name}{f':{len(kinds)}' if len(kinds) > 1 else ''} = {text}")
        return self.bind(scope, name, kinds, compute)

    def bind(self, scope, name, kinds, compute):
        names = [f"{name}#{i}" for i in range(len(kinds))] if len(kinds) > 1 else [name]
        if self.indent == 1:
            self.made += zip(names, kinds)
        self.steps.append(lambda env: env.update(zip(names, compute(env))))
        scope += zip(names, kinds)

    # Regions

    def carried(self, scope, at_least=1):
        """Kinds of loop-carried values and what they start from; twice the same value among them."""
        kinds = [self.random.choice(TYPES) for _ in range(self.random.randint(at_least, 3))]
        if kinds and self.random.random() < 0.5:
            kinds.append(self.random.choice(kinds))  # two to swap
        starts = [self.pick(scope, kind)[0] for kind in kinds]
        return kinds, starts

    def open(self, kinds):
        name = self.function.fresh()
        return name, f"{name}{f':{len(kinds)}' if len(kinds) > 1 else ''} = "

    def handed(self, inner, kinds, arguments=(), outside=0):
        """What a region ends with: often a value that it was given, perhaps another one's, or one that it made."""
        out = []
        for kind in kinds:
            given, made = ([n for n, t in values if t == kind] for values in (arguments, inner[outside:]))
            draw = self.random.random()
            if not made and draw > 0.5:  # what comes from outside alone becomes a select
                made = [self.arithmetic(inner, kind)]
            out.append(self.random.choice(given) if given and draw < 0.35 else
                       self.random.choice(made) if made and draw < 0.9 else self.pick(inner, kind)[0])
        return out

    def bounds(self, scope, kind):
        """Names of lower bound, upper bound and step; where the text is known, so are their numbers."""
        top = 1 << (BITS[kind] - 1)
        base = self.random.choice([0, 0, 0, 1, -3, 100, top - 40, -top, top // 2])
        def bound():
            if self.random.random() < 0.5:
                return self.constant(scope, kind, base + self.random.choice([0, 0, 1, 2, 3, 5]))
            return self.small(scope, base, kind)
        step = (self.constant(scope, kind, self.random.choice([1, 1, 1, 2, 3, 7])) if self.random.random() < 0.7
                else self.small(scope, 1, kind))
        return bound(), bound(), step

    def for_loop(self, scope, depth):
        kind = self.random.choice(["index", "index", "i32", "i64"])
        lower, upper, step = self.bounds(scope, kind)
        kinds, starts = self.carried(scope)
        name, prefix = self.open(kinds)
        iv, carried = self.function.fresh(), [self.function.fresh() for _ in kinds]
        self.line(f"{prefix}scf.for {iv} = {lower} to {upper} step {step} iter_args("
                  f"{', '.join(f'{c} = {s}' for c, s in zip(carried, starts))}) -> ({', '.join(kinds)})"
                  f"{'' if kind == 'index' else f' : {kind}'} {{")
        added = list(zip(carried, kinds))
        inner, kept = self.nested(scope, depth, [(iv, kind), *added])
        ends = self.handed(inner, kinds, added, len(scope))
        self.line(f"scf.yield {', '.join(ends)} : {', '.join(kinds)}")
        steps = self.close(kept)
        self.line("}")

        self.bind_loop(scope, name, kinds, iv, carried, starts, ends, steps, lambda env: range(env[lower], env[upper], env[step]))

    def bind_loop(self, scope, name, kinds, iv, carried, starts, ends, steps, numbers):
        """What a loop over `numbers` of its surroundings hands on, whose body is `steps`."""
        def compute(env):
            values = [env[s] for s in starts]
            for i in numbers(env):
                here = {**env, iv: i, **dict(zip(carried, values))}
                for one in steps:
                    one(here)
                values = [here[e] for e in ends]
            return values
        self.bind(scope, name, kinds, compute)

    def while_loop(self, scope, depth):
        """The first value counts what is left, so that it ends."""
        before, starts = self.carried(scope, 0)
        before, starts = ["i32", *before], [self.constant(scope, "i32", 0), *starts]
        after = ["i32", *(self.random.choice(before if self.random.random() < 0.7 else TYPES) for _ in range(self.random.randint(0, 3)))]
        if len(after) > 1 and self.random.random() < 0.4:
            after += [after[-1]] * self.random.randint(1, 2)  # some for the same value
        order = list(range(len(after)))
        self.random.shuffle(order)
        after = [after[i] for i in order]
        counter_at = order.index(0)  # the counter, wherever it is handed on
        name, prefix = self.open(after)
        arguments = [self.function.fresh() for _ in before]
        self.line(f"{prefix}scf.while ({', '.join(f'{a} = {s}' for a, s in zip(arguments, starts))}) : "
                  f"({', '.join(before)}) -> ({', '.join(after)}) {{")
        added = list(zip(arguments, before))
        inner, kept = self.nested(scope, depth, added)
        limit = self.constant(inner, "i32", self.random.choice([0, 1, 2, 4]))
        go = self.value(inner, "arith.cmpi slt, {0}, {1} : i32", "i1", [arguments[0], limit], lambda a, b: int(a < b))
        if self.random.random() < 0.6:
            go = self.value(inner, "arith.andi {0}, {1} : i1", "i1", [go, self.pick(inner, "i1")[0]], lambda a, b: a & b)
        if self.random.random() < 0.4:  # a branch that goes as the loop does, and whose results only the loop hands on
            there = len(inner)
            self.branch(inner, depth - 1, go, self.random.sample(after, self.random.randint(1, len(after))))
            results, handed = inner[there:], []
            for kind in after:
                made = [n for n, t in results if t == kind][:self.random.choice([1, 1, 3])]  # often twice the same
                if self.random.random() < 0.3:
                    made = [n for n, t in added if t == kind] or made  # what the loop had before
                handed.append(self.random.choice(made) if made else self.pick(inner, kind)[0])
        else:
            handed = self.handed(inner, after, added, len(scope))
        handed[counter_at] = arguments[0]
        self.line(f"scf.condition({go}) {', '.join(handed)} : {', '.join(after)}")
        first = self.close(kept)
        self.line("} do {")
        received = [self.function.fresh() for _ in after]
        self.line(f"^bb0({', '.join(f'{r}: {t}' for r, t in zip(received, after))}):")
        added = list(zip(received, after))
        inner, kept = self.nested(scope, depth, added)
        one = self.constant(inner, "i32", 1)
        counted = self.value(inner, "arith.addi {0}, {1} : i32", "i32", [received[counter_at], one], lambda a, b: signed(a + b, 32))
        ends = [counted, *self.handed(inner, before[1:], added, len(scope))]
        self.line(f"scf.yield {', '.join(ends)} : {', '.join(before)}")
        second = self.close(kept)
        self.line("}")

        def compute(env):
            values = [env[s] for s in starts]
            while True:
                here = {**env, **dict(zip(arguments, values))}
                for step in first:
                    step(here)
                values = [here[h] for h in handed]
                if not here[go]:
                    return values
                here = {**env, **dict(zip(received, values))}
                for step in second:
                    step(here)
                values = [here[e] for e in ends]
        self.bind(scope, name, after, compute)

    def region(self, scope, depth, kinds, word="scf.yield", statements=None, ends=None):
        """A region that ends with values of `kinds`, of ends(scope, kind) where given: its steps and their names."""
        inner, kept = self.nested(scope, depth, (), statements)
        ends = [ends(inner, kind) for kind in kinds] if ends else self.handed(inner, kinds, (), len(scope))
        self.line(f"{word} {', '.join(ends)} : {', '.join(kinds)}")
        return self.close(kept), ends

    @staticmethod
    def enter(env, region):
        here = dict(env)
        for step in region[0]:
            step(here)
        return [here[e] for e in region[1]]

    def branch(self, scope, depth, condition=None, kinds=None):
        """With a condition, which an end of a loop is, too: often one that computes where the loop goes on, or nowhere."""
        ends = self.random.choice([(None, None), (self.arithmetic, self.constant)]) if condition else (None, None)
        if condition:
            pass
        elif self.conditions and self.random.random() < 0.4:  # the condition of a branch around this one, or its contrary
            condition = self.random.choice(self.conditions)
            if self.random.random() < 0.4:
                condition = self.value(scope, "arith.xori {0}, {1} : i1", "i1", [condition, self.constant(scope, "i1", 1)],
                                       lambda a, b: a ^ b)
        else:
            condition = self.pick(scope, "i1")[0]
        kinds = kinds or [self.random.choice(TYPES) for _ in range(self.random.randint(1, 3))]
        name, prefix = self.open(kinds)
        self.line(f"{prefix}scf.if {condition} -> ({', '.join(kinds)}) {{")
        self.conditions.append(condition)
        yes = self.region(scope, depth, kinds, ends=ends[0])
        self.line("} else {")
        no = self.region(scope, depth, kinds, statements=0 if ends[1] else self.random.choice([None, 0]), ends=ends[1])
        self.conditions.pop()
        self.line("}")
        self.bind(scope, name, kinds, lambda env: self.enter(env, yes if env[condition] else no))

    def switch(self, scope, depth):
        at = self.small(scope, self.random.choice([0, 0, -1, 5, 1 << 31, 1 << 32, (1 << 33) + 1, -(1 << 63)]),
                        bits=self.random.choice([1, 2]))
        if self.random.random() < 0.2:
            at = self.pick(scope, "index")[0]
        kinds = [self.random.choice(TYPES) for _ in range(self.random.randint(1, 2))]
        # Not the largest number, which MLIR takes for written twice (it keeps cases in a DenseSet).
        cases = self.random.sample([0, 1, 2, -1, 5, 6, 1 << 32, 1 << 31, (1 << 33) + 1, -(1 << 63)], self.random.randint(0, 5))
        name, prefix = self.open(kinds)
        self.line(f"{prefix}scf.index_switch {at} -> {', '.join(kinds)}")
        regions = {}
        for case in [*cases, None]:
            self.line("default {" if case is None else f"case {case} {{")
            regions[case] = self.region(scope, depth, kinds)
            self.line("}")
        self.bind(scope, name, kinds, lambda env: self.enter(env, regions.get(env[at], regions[None])))

    def execute(self, scope, depth):
        kinds = [self.random.choice(TYPES)]
        name, prefix = self.open(kinds)
        self.line(f"{prefix}scf.execute_region -> {kinds[0]} {{")
        region = self.region(scope, depth, kinds)
        self.line("}")
        self.bind(scope, name, kinds, lambda env: self.enter(env, region))

    def forall(self, scope, depth):
        """Each iteration writes one element, from the first or from the last."""
        kind = self.random.choice(TENSORS)
        base, n = element(kind), length(kind)
        whole, name, prefix = self.pick(scope, kind)[0], *self.open([kind])
        iv, shared = self.function.fresh(), self.function.fresh()
        count = self.random.choice([n, n, 1, 0])
        self.line(f"{prefix}scf.forall ({iv}) in ({count}) shared_outs({shared} = {whole}) -> ({kind}) {{")
        inner, kept = self.nested(scope, depth, [(iv, "index")])
        at = iv
        if self.random.random() < 0.4:
            at = self.value(inner, "arith.subi {0}, {1} : index", "index", [self.constant(inner, "index", n - 1), iv],
                            lambda a, b: a - b)
        end = self.pick(inner, base)[0]
        part = self.function.fresh()
        self.line(f"{part} = tensor.from_elements {end} : tensor<1x{base}>")
        self.line(f"scf.forall.in_parallel {{ tensor.parallel_insert_slice {part} into {shared}[{at}] [1] [1] : tensor<1x{base}> into {kind} }}")
        steps = self.close(kept)
        self.line("}")

        def compute(env):
            values = list(env[whole])
            for i in range(count):
                here = {**env, iv: i}
                for step in steps:
                    step(here)
                values[here[at]] = here[end]
            return [tuple(values)]
        self.bind(scope, name, [kind], compute)

    # affine: bounds and conditions of its own values and of those of the function's outermost block

    def symbol(self, scope):
        if self.indent == 1:
            self.tops.append(self.small(scope, 0))
        return self.random.choice(self.tops) if self.tops else None

    def affine_for(self, scope, depth):
        symbol = self.symbol(scope)
        low, high, step = self.random.choice([-2, 0, 0, 1]), self.random.choice([-3, 0, 1, 4, 5]), self.random.choice([1, 1, 2, 3])
        lower, lower_of = str(low), lambda env: low
        upper, upper_of = str(high), lambda env: high
        if symbol and self.random.random() < 0.5:
            upper, upper_of = f"min affine_map<()[s0] -> (s0 + {high}, 6)>()[{symbol}]", lambda env: min(env[symbol] + high, 6)
        if self.ivs and self.random.random() < 0.4:
            iv_outside = self.random.choice(self.ivs)
            lower, lower_of = (f"max affine_map<(d0) -> (d0 + {low}, d0 floordiv 2)>({iv_outside})",
                               lambda env: max(env[iv_outside] + low, env[iv_outside] // 2))
        kinds, starts = self.carried(scope)
        name, prefix = self.open(kinds)
        iv, carried = self.function.fresh(), [self.function.fresh() for _ in kinds]
        self.line(f"{prefix}affine.for {iv} = {lower} to {upper} step {step} iter_args("
                  f"{', '.join(f'{c} = {s}' for c, s in zip(carried, starts))}) -> ({', '.join(kinds)}) {{")
        added = list(zip(carried, kinds))
        self.ivs.append(iv)
        inner, kept = self.nested(scope, depth, [(iv, "index"), *added])
        self.ivs.pop()
        ends = self.handed(inner, kinds, added, len(scope))
        self.line(f"affine.yield {', '.join(ends)} : {', '.join(kinds)}")
        steps = self.close(kept)
        self.line("}")

        self.bind_loop(scope, name, kinds, iv, carried, starts, ends, steps, lambda env: range(lower_of(env), upper_of(env), step))

    def affine_if(self, scope, depth):
        symbol = self.symbol(scope)
        if not symbol:
            return self.branch(scope, depth)
        dimension = self.random.choice(self.ivs) if self.ivs else symbol
        c = self.random.choice([-1, 0, 1, 2])
        equal = self.random.random() < 0.3
        kinds = [self.random.choice(TYPES)]
        name, prefix = self.open(kinds)
        self.line(f"{prefix}affine.if affine_set<(d0)[s0] : (d0 * 2 - s0 + {c} {'==' if equal else '>='} 0)>({dimension})[{symbol}] -> {kinds[0]} {{")
        yes = self.region(scope, depth, kinds, "affine.yield")
        self.line("} else {")
        no = self.region(scope, depth, kinds, "affine.yield")
        self.line("}")

        def holds(env):
            value = env[dimension] * 2 - env[symbol] + c
            return value == 0 if equal else value >= 0
        self.bind(scope, name, kinds, lambda env: self.enter(env, yes if holds(env) else no))
