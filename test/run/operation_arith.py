"""arith on every element type it takes: what each operation gives, exactly."""
import math
from fractions import Fraction

import numpy as np

from operation_case import Elementwise, Variant
from operation_elements import (BF16, ELEMENTS, F16, F32, F64, FLOATS, I1, I16, I32, I64, INDEX, INTEGERS, WIDE_INTEGERS,
                                bits_of, largest, rounded, samples, specials, unsigned, wrapped)

RANDOM = np.random.default_rng(20)


def points(operands, keep=lambda *v: True):
    """Every combination of special values in a random order that does not change, then others."""
    lists = [specials(element) for element in operands]
    every = [tuple(l[i] for l, i in zip(lists, index)) for index in np.ndindex(*[len(l) for l in lists])]
    some = [every[i] for i in RANDOM.permutation(len(every))[:140]]
    other = list(zip(*[samples(element, 90, RANDOM)[-90:] * (45 if element is I1 else 1) for element in operands]))
    return [point for point in some + other if keep(*point)]


def float_pair(operate):
    """`operate` on Fractions where both are finite, else on numbers of Python, which follow IEEE 754."""
    return lambda element: lambda a, b: rounded(element, operate(a, b))


def add(a, b):
    return Fraction(a) + Fraction(b) if math.isfinite(a + b) and (a or b) and a != -b else a + b


def subtract(a, b):
    return add(a, -b)


def multiply(a, b):
    if not math.isfinite(a) or not math.isfinite(b) or not a or not b:
        return a * b
    return Fraction(a) * Fraction(b)


def divide(a, b):
    if math.isnan(a) or math.isnan(b) or not b or not math.isfinite(a) or not math.isfinite(b) or not a:
        with np.errstate(all="ignore"):
            return float(np.float64(a) / np.float64(b))
    return Fraction(a) / Fraction(b)


def add_near(element):
    """The sum of two large numbers leaves what Python's floats hold only in f64, where rounded() decides."""
    def of(a, b):
        if math.isfinite(a) and math.isfinite(b) and (a or b) and a != -b:
            return rounded(element, Fraction(a) + Fraction(b))
        return a + b
    return of


def extreme(larger, number):
    """maximumf and minimumf (NaN wins, -0 < 0), maxnumf and minnumf (NaN loses)."""
    def of(a, b):
        if math.isnan(a) or math.isnan(b):
            return (b if math.isnan(a) else a) if number else math.nan
        if a == b == 0:
            return max(a, b, key=lambda v: math.copysign(1, v) * (1 if larger else -1))
        return max(a, b) if larger else min(a, b)
    return of


def either_zero(got, expected):
    return got == expected or math.isnan(got) and math.isnan(expected)


ORDERED = {"eq": lambda a, b: a == b, "gt": lambda a, b: a > b, "ge": lambda a, b: a >= b, "lt": lambda a, b: a < b,
           "le": lambda a, b: a <= b, "ne": lambda a, b: a != b}


def float_predicates():
    yield "false", lambda a, b: False
    yield "true", lambda a, b: True
    yield "ord", lambda a, b: not (math.isnan(a) or math.isnan(b))
    yield "uno", lambda a, b: math.isnan(a) or math.isnan(b)
    for name, holds in ORDERED.items():
        yield "o" + name, lambda a, b, h=holds: not (math.isnan(a) or math.isnan(b)) and h(a, b)
        yield "u" + name, lambda a, b, h=holds: math.isnan(a) or math.isnan(b) or h(a, b)


def floats():
    for e in FLOATS:
        two, ends = [e, e], points([e, e])
        for name, reference in (("addf", add_near(e)), ("subf", lambda a, b, f=add_near(e): f(a, -b)),
                                ("mulf", float_pair(multiply)(e)), ("divf", float_pair(divide)(e)),
                                ("maximumf", extreme(True, False)), ("minimumf", extreme(False, False))):
            yield Elementwise(f"arith.{name}", e, two, [Variant(f"arith.{name} {{0}}, {{1}} : {{t0}}", e, reference)], ends)
        for name, larger in (("maxnumf", True), ("minnumf", False)):
            text = f"arith.{name} {{0}}, {{1}} : {{t0}}"
            yield Elementwise(f"arith.{name}", e, two, [Variant(text, e, extreme(larger, True), same=either_zero)], ends)
        yield Elementwise("arith.negf", e, [e], [Variant("arith.negf {0} : {t0}", e, lambda a: -a)], points([e]))
        yield Elementwise("arith.cmpf", e, two, [Variant(f"arith.cmpf {name}, {{0}}, {{1}} : {{t0}}", I1, holds)
                                                 for name, holds in float_predicates()], ends)


def integer_operations(e):
    """(name, result of signed values, which operands it takes)"""
    low = -(1 << (e.bits - 1))
    up = lambda v: unsigned(e, v)  # noqa: E731
    both = lambda a, b: True  # noqa: E731
    some = lambda a, b: b != 0  # noqa: E731
    fits = lambda a, b: b != 0 and not (int(b) == -1 and int(a) == low) and e is not I1  # noqa: E731
    inside = lambda a, b: 0 <= up(b) < e.bits  # noqa: E731
    cut = lambda a, b: abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)  # noqa: E731
    yield "addi", lambda a, b: a + b, both
    yield "subi", lambda a, b: a - b, both
    yield "muli", lambda a, b: a * b, both
    yield "andi", lambda a, b: up(a) & up(b), both
    yield "ori", lambda a, b: up(a) | up(b), both
    yield "xori", lambda a, b: up(a) ^ up(b), both
    yield "shli", lambda a, b: up(a) << up(b), inside
    yield "shrui", lambda a, b: up(a) >> up(b), inside
    yield "shrsi", lambda a, b: a >> up(b), inside
    yield "divui", lambda a, b: up(a) // up(b), some
    yield "remui", lambda a, b: up(a) % up(b), some
    yield "ceildivui", lambda a, b: -(-up(a) // up(b)), some
    yield "divsi", cut, fits
    yield "remsi", lambda a, b: a - cut(a, b) * b, fits
    yield "floordivsi", lambda a, b: a // b, fits
    yield "ceildivsi", lambda a, b: -(-a // b), fits
    yield "maxsi", max, both
    yield "minsi", min, both
    yield "maxui", lambda a, b: max(up(a), up(b)), both
    yield "minui", lambda a, b: min(up(a), up(b)), both


def signed(e, value):
    return -int(value) if e is I1 else value


def integers():
    for e in INTEGERS:
        for name, reference, keep in integer_operations(e):
            kept = points([e, e], keep)
            if not kept:
                continue  # a quotient of one bit: nothing but -1 / -1, which does not fit
            whole = lambda a, b, f=reference, e=e: wrapped(e, f(signed(e, a), signed(e, b)))  # noqa: E731
            yield Elementwise(f"arith.{name}", e, [e, e], [Variant(f"arith.{name} {{0}}, {{1}} : {{t0}}", e, whole)], kept)
        compare = [Variant(f"arith.cmpi {name}, {{0}}, {{1}} : {{t0}}", I1, lambda a, b, h=h, e=e: h(signed(e, a), signed(e, b)))
                   for name, h in (("eq", ORDERED["eq"]), ("ne", ORDERED["ne"]), *[("s" + n, ORDERED[n]) for n in ("lt", "le", "gt", "ge")])]
        compare += [Variant(f"arith.cmpi u{n}, {{0}}, {{1}} : {{t0}}", I1,
                            lambda a, b, h=ORDERED[n], e=e: h(unsigned(e, a), unsigned(e, b))) for n in ("lt", "le", "gt", "ge")]
        yield Elementwise("arith.cmpi", e, [e, e], compare, points([e, e]))
        if e is INDEX:
            continue
        carry = lambda a, b, e=e: unsigned(e, a) + unsigned(e, b) >= 1 << e.bits  # noqa: E731
        both = "arith.addui_extended {0}, {1} : {t0}, {c}"
        yield Elementwise("arith.addui_extended", e, [e, e], [
            Variant(both, e, lambda a, b, e=e: wrapped(e, unsigned(e, a) + unsigned(e, b)), of=(0, 2)),
            Variant(both, I1, carry, of=(1, 2))], points([e, e]))
        for name, of in (("mulsi_extended", signed), ("mului_extended", unsigned)):
            text = f"arith.{name} {{0}}, {{1}} : {{t0}}"
            yield Elementwise(f"arith.{name}", e, [e, e], [
                Variant(text, e, lambda a, b, e=e, of=of: wrapped(e, of(e, a) * of(e, b)), of=(0, 2)),
                Variant(text, e, lambda a, b, e=e, of=of: wrapped(e, of(e, a) * of(e, b) >> e.bits), of=(1, 2))],
                points([e, e]))


def casts():
    modes = ["", "to_nearest_even", "downward", "upward", "toward_zero", "to_nearest_away"]
    for e in FLOATS:
        wider = [r for r in FLOATS if r.bits > e.bits]
        narrower = [r for r in FLOATS if r.bits < e.bits]
        if wider:
            yield Elementwise("arith.extf", e, [e], [Variant("arith.extf {0} : {t0} to {r}", r, lambda a: a) for r in wider],
                              points([e]))
        if narrower:
            ties = [(rounded(e, sign * (1 + k * float(Fraction(2) ** -r.precision))),) for r in narrower for k in (1, 3, 5)
                    for sign in (1, -1)]
            tiny = [(sign * float(Fraction(2) ** (r.least - r.precision) * k),) for r in narrower for k in (1, 2, 3, Fraction(1, 2))
                    for sign in (1, -1)]
            ends = [(sign * float(largest(r) * k),) for r in narrower for sign in (1, -1)
                    for k in (1, 1 + Fraction(2) ** -(r.precision + 2)) if largest(r) * k <= largest(e)]
            yield Elementwise("arith.truncf", e, [e], [
                Variant(f"arith.truncf {{0}} {mode} : {{t0}} to {{r}}", r,
                        lambda a, r=r, m=mode or modes[1]: rounded(r, a, m)) for r in narrower for mode in modes],
                [point for point in ties + tiny + ends if rounded(e, point[0]) == point[0]] + points([e]))
        for name, low, high in (("fptosi", True, 1), ("fptoui", False, 0)):
            for r in (*WIDE_INTEGERS, I1):
                least = -(1 << (r.bits - 1)) if low else 0
                most = (1 << (r.bits - high)) - 1
                kept = [(v,) for v in samples(e, 300, RANDOM) if math.isfinite(v) and least <= math.trunc(v) <= most]
                yield Elementwise(f"arith.{name}", e, [e], [Variant(
                    f"arith.{name} {{0}} : {{t0}} to {{r}}", r, lambda a, r=r: wrapped(r, math.trunc(a)))], kept)
    for e in (I1, *WIDE_INTEGERS):
        for name, of in (("sitofp", signed), ("uitofp", unsigned)):
            near = [(wrapped(e, v),) for v in (16842753, (1 << 24) + 1, (1 << 40) + (1 << 32) + 1, (1 << 53) + 1, (1 << 63) - 1,
                                               (1 << 62) + (1 << 54) + 1, -(1 << 62) - (1 << 54) - 1, 65519, 65520, 257, 259)]
            yield Elementwise(f"arith.{name}", e, [e], [
                Variant(f"arith.{name} {{0}} : {{t0}} to {{r}}", r, lambda a, r=r, e=e, of=of: rounded(r, int(of(e, a))))
                for r in FLOATS], near + points([e]))
        for name, of, all_of in (("extsi", signed, [r for r in WIDE_INTEGERS if r.bits > e.bits]),
                                 ("extui", unsigned, [r for r in WIDE_INTEGERS if r.bits > e.bits]),
                                 ("trunci", signed, [r for r in (I1, *WIDE_INTEGERS) if r.bits < e.bits]),
                                 ("index_cast", signed, [INDEX]), ("index_castui", unsigned, [INDEX])):
            if all_of:
                yield Elementwise(f"arith.{name}", e, [e], [Variant(
                    f"arith.{name} {{0}} : {{t0}} to {{r}}", r, lambda a, r=r, e=e, of=of: wrapped(r, int(of(e, a))))
                    for r in all_of], points([e]))
    for name in ("index_cast", "index_castui"):
        yield Elementwise(f"arith.{name}", INDEX, [INDEX], [Variant(
            f"arith.{name} {{0}} : {{t0}} to {{r}}", r, lambda a, r=r: wrapped(r, a)) for r in (I1, *WIDE_INTEGERS)],
            points([INDEX]))
    integer_of = {16: I16, 32: I32, 64: I64}
    for e in FLOATS:
        others = [integer_of[e.bits]] + [r for r in FLOATS if r.bits == e.bits and r is not e]
        kept = points([e], lambda a: not math.isnan(a))
        yield Elementwise("arith.bitcast", e, [e], [Variant("arith.bitcast {0} : {t0} to {r}", r,
                                                            lambda a, r=r, e=e: from_bits(r, bits_of(e, a))) for r in others], kept)
    for e in (I16, I32, I64):
        yield Elementwise("arith.bitcast", e, [e], [Variant("arith.bitcast {0} : {t0} to {r}", r,
                                                            lambda a, r=r, e=e: from_bits(r, unsigned(e, a)))
                                                    for r in FLOATS if r.bits == e.bits], points([e]))


def from_bits(element, bits):
    if not element.is_float:
        return wrapped(element, bits)
    if element is BF16:
        return float(np.array([bits << 16], np.uint32).view(np.float32)[0])
    return float(np.array([bits], f"u{element.bits // 8}").view(element.dtype)[0])


def selects():
    for e in ELEMENTS:
        yield Elementwise("arith.select", e, [I1, e, e], [Variant("arith.select {0}, {1}, {2} : {t0}, {t1}", e,
                                                                  lambda c, a, b: a if c else b)], points([I1, e, e]))


def cases():
    yield from floats()
    yield from integers()
    yield from casts()
    yield from selects()
