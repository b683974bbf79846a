"""One operation on one element type: the function that holds it in every form, and what its results must be."""
import math
from dataclasses import dataclass, field
from typing import Callable, Optional

import numpy as np

from operation_elements import I1, Element, array, dense, largest, literal, values

CONSTANTS, SCALARS, SIZE = 11, 23, 199  # of how many points: constants, calls with numbers, elements of a tensor


@dataclass
class Variant:
    """One result: the operation with {0}, {1} ... for operands and {t0}, {t1} ..., {r} for types."""

    text: str
    result: Element
    reference: Callable  # of the operands' values
    ulps: float = 0  # 0: equal, else how far from the reference, in units in the last place
    same: Optional[Callable] = None  # (got, expected): where more than one result is right
    of: tuple = ()  # (which, of how many) results, where the operation has more than one


@dataclass
class Elementwise:
    """An operation of one result for each element, as constants, of numbers, of a tensor and of a dynamic one."""

    name: str
    column: Element
    operands: list  # of Elements
    variants: list
    points: list  # of tuples of operand values
    constants: bool = True

    def __post_init__(self):
        self.points = (self.points * (SIZE // max(len(self.points), 1) + 1))[:SIZE]

    def forms(self):
        return (["constant"] if self.constants else []) + ["scalar", "tensor", "dynamic"]

    def function(self, symbol):
        lines, results, arguments = [], [], []

        def emit(prefix, shape, tag):
            def of(element):
                return element.name if shape is None else f"tensor<{shape}{element.name}>"

            names = [f"%{prefix}{i}" for i in range(len(self.operands))]
            types = {f"t{i}": of(element) for i, element in enumerate(self.operands)}
            made = []
            for v, variant in enumerate(self.variants):
                out = f"%r{tag}_{v}"
                bind = f"{out}:{variant.of[1]}" if variant.of else out
                lines.append(f"  {bind} = " + variant.text.format(*names, r=of(variant.result), c=of(I1), **types))
                made.append((f"{out}#{variant.of[0]}" if variant.of else out, of(variant.result)))
            return made

        if self.constants:
            columns = [[] for _ in self.variants]
            for k in range(CONSTANTS):
                for i, element in enumerate(self.operands):
                    lines.append(f"  %k{k}_{i} = arith.constant {literal(element, self.points[k][i])} : {element.name}"
                                 if element.name != "i1" else f"  %k{k}_{i} = arith.constant {literal(element, self.points[k][i])}")
                for v, made in enumerate(emit(f"k{k}_", None, f"k{k}")):
                    columns[v].append(made[0])
            for v, variant in enumerate(self.variants):
                shape = f"tensor<{CONSTANTS}x{variant.result.name}>"
                lines.append(f"  %c{v} = tensor.from_elements {', '.join(columns[v])} : {shape}")
                results.append((f"%c{v}", shape))
            for i, element in enumerate(self.operands):
                lines.append(f"  %q{i} = arith.constant {dense(element, [p[i] for p in self.points])} : "
                             f"tensor<{SIZE}x{element.name}>")
            results += emit("q", f"{SIZE}x", "q")
        for prefix, shape in (("s", None), ("t", f"{SIZE}x"), ("d", "?x")):
            arguments += [f"%{prefix}{i}: " + (e.name if shape is None else f"tensor<{shape}{e.name}>")
                          for i, e in enumerate(self.operands)]
            results += emit(prefix, shape, prefix)
        return (f"func.func @{symbol}({', '.join(arguments)}) -> ({', '.join(t for _, t in results)}) {{\n" +
                "\n".join(lines) + f"\n  return {', '.join(n for n, _ in results)} : {', '.join(t for _, t in results)}\n}}\n")

    def check(self, call):
        """Problems of `call`, which takes arrays and gives arrays."""
        whole = [array(e, [p[i] for p in self.points]) for i, e in enumerate(self.operands)]
        expected = [[variant.reference(*point) for point in self.points] for variant in self.variants]
        problems = []
        for k in range(SCALARS):
            one = [array(e, [self.points[k][i]]).reshape(()) for i, e in enumerate(self.operands)]
            made = iter(call(*one, *whole, *whole))
            if self.constants:
                for what, count in (("constant", CONSTANTS), ("constant tensor", SIZE)):
                    for v in range(len(self.variants)):
                        got = next(made)
                        if k == 0:
                            problems += self.compare(v, what, got, expected[v][:count], range(count))
            for v in range(len(self.variants)):
                problems += self.compare(v, "scalar", next(made), [expected[v][k]], [k])
            for what in ("tensor", "dynamic"):
                for v in range(len(self.variants)):
                    got = next(made)
                    if k == 0:
                        problems += self.compare(v, what, got, expected[v], range(SIZE))
        return problems

    def compare(self, v, form, got, expected, which):
        variant = self.variants[v]
        wrong = [(k, g, e) for k, g, e in zip(which, values(variant.result, got), expected)
                 if not (variant.same(g, e) if variant.same else agrees(variant, g, e))]
        if not wrong:
            return []
        k, g, e = wrong[0]
        return [f"{variant.text.split()[0]} of {', '.join(x.name for x in self.operands)} to {variant.result.name} "
                f"[{variant.text.split(' : ')[0]}] ({form}): expects {float(e)!r} of {self.points[k]}, but got {g!r}"
                f" ({len(wrong)} of {len(expected)} wrong)"]


def agrees(variant, got, expected):
    if not variant.result.is_float:
        return got == expected
    if math.isnan(expected) or math.isnan(got):
        return math.isnan(expected) and math.isnan(got)
    size = abs(float(expected))  # of 80 bits: infinite where it is beyond those of 64
    if variant.ulps == 0 or math.isinf(size) and math.isinf(got):
        return got == float(expected) and math.copysign(1, got) == math.copysign(1, expected)
    if not math.isfinite(got) or math.isinf(size):  # next to the end of the range
        return min(size, abs(got)) >= float(largest(variant.result)) and (got > 0) == (expected > 0)
    exponent = math.frexp(size)[1] - 1 if size else variant.result.least
    unit = math.ldexp(1.0, max(exponent, variant.result.least) - variant.result.precision + 1)
    return float(abs(np.longdouble(got) - np.longdouble(expected))) <= variant.ulps * unit



@dataclass
class Structured:
    """An operation on arrays: the function's text in parts, what it is given, and what it gives."""

    name: str
    column: Element
    arguments: list  # "%x: tensor<3x5xf32>"
    lines: list
    results: list  # (name, type)
    values: list  # (array of objects, Element) for each argument
    expected: list  # likewise for each result
    bound: float = 0  # 0: equal, else an absolute error

    def forms(self):
        return ["tensor", "dynamic"]

    def function(self, symbol):
        names, types = zip(*self.results)
        return (f"func.func @{symbol}({', '.join(self.arguments)}) -> ({', '.join(types)}) {{\n" + "\n".join(self.lines) +
                f"\n  return {', '.join(names)} : {', '.join(types)}\n}}\n")

    def check(self, call):
        given = [array(element, np.asarray(value, object).ravel().tolist()).reshape(np.shape(value))
                 for value, element in self.values]
        problems = []
        for which, (got, (want, element)) in enumerate(zip(call(*given), self.expected)):
            what = f"{self.name} of {self.column.name}: result {which}"
            expected = np.asarray(want, object)
            if got.shape != expected.shape:
                problems.append(f"{what}: expects shape {expected.shape}, but got {got.shape}")
                continue
            for at, (g, e) in enumerate(zip(values(element, got), expected.ravel().tolist())):
                right = abs(g - e) <= self.bound if self.bound else g == e or g != g and e != e
                if not right:
                    problems.append(f"{what}: expects {e!r} at {at}, but got {g!r}")
                    break
        return problems


@dataclass
class Program:
    """A whole function @f, its arguments and its results, which are equal to the bit."""

    name: str
    text: str
    arguments: list
    expected: list
    column: Optional[Element] = None

    def forms(self):
        return ["program"]

    def function(self, symbol):
        return self.text.replace("@f(", f"@{symbol}(", 1).strip() + "\n"

    def check(self, call):
        problems = []
        for which, (got, want) in enumerate(zip(call(*self.arguments), map(np.asarray, self.expected))):
            if got.shape != want.shape or not np.array_equal(got, want, equal_nan=want.dtype.kind == "f"):
                problems.append(f"{self.name}: result {which}: expects {want.tolist()}, but got {got.tolist()}")
        return problems
