"""math on every element type it takes: exactly, or within the units that docs/programs.md states."""
import math

import numpy as np

from operation_arith import RANDOM, points, signed
from operation_case import Elementwise, Variant
from operation_elements import F32, F64, FLOATS, I1, I32, INTEGERS, rounded, samples, unsigned, wrapped
from fractions import Fraction

ERF = {"erf": math.erf, "erfc": math.erfc}


def wide(name):
    """numpy's function in 80 bits, or Python's in 64 where there is none."""
    if name in ERF:
        return lambda x: float("nan") if math.isnan(x) else ERF[name](x)
    numpy_name = {"acos": "arccos", "asin": "arcsin", "atan": "arctan", "acosh": "arccosh", "asinh": "arcsinh",
                  "atanh": "arctanh", "atan2": "arctan2", "powf": "power"}.get(name, name)

    def of(*x):
        with np.errstate(all="ignore"):
            return getattr(np, numpy_name)(*[np.longdouble(v) for v in x])
    return of


def reciprocal_root(x):
    with np.errstate(all="ignore"):
        return 1 / np.sqrt(np.longdouble(x))


def power(x, n):
    """C's pow, of a whole exponent."""
    with np.errstate(all="ignore"):
        return np.power(np.longdouble(x), np.longdouble(n))


def bound(element, name):
    """Units in the last place: rounded once from float64, but for rare ties; of f64 itself a few, or some hundred."""
    if element is not F64:
        return 0.5001
    return 1000 if name in ("powf", "erfc", "fpowi") else 4


def elementary():
    names = ("exp exp2 expm1 log log2 log10 log1p cbrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf erfc"
             ).split()
    turning = ("sin", "cos", "tan")
    for e in FLOATS:
        for name in names:
            kept = points([e], lambda a: name not in turning or not math.isfinite(a) or abs(a) <= 2.0**30)
            yield Elementwise(f"math.{name}", e, [e], [Variant(f"math.{name} {{0}} : {{t0}}", e, wide(name), bound(e, name))],
                              kept)
        yield Elementwise("math.rsqrt", e, [e], [Variant("math.rsqrt {0} : {t0}", e, reciprocal_root, bound(e, "rsqrt"))],
                          points([e], lambda a: a >= 0 and math.copysign(1, a) > 0 or a < 0 or math.isnan(a)))
        kept = points([e], lambda a: not math.isfinite(a) or abs(a) <= 2.0**30)
        yield Elementwise("math.sincos", e, [e], [
            Variant("math.sincos {0} : {t0}", e, wide(name), bound(e, name), of=(i, 2)) for i, name in enumerate(("sin", "cos"))],
            kept)
        for name in ("powf", "atan2"):
            yield Elementwise(f"math.{name}", e, [e, e], [Variant(f"math.{name} {{0}}, {{1}} : {{t0}}", e, wide(name),
                                                                  bound(e, name))], points([e, e]))
        for n in (I32,):
            few = [(v, k) for v, k in points([e, n]) if abs(k) < 1 << 30] + [
                (v, k) for v in samples(e, 20, RANDOM) for k in (-3, -2, -1, 0, 1, 2, 3, 5, 11)]
            yield Elementwise("math.fpowi", e, [e, n], [Variant("math.fpowi {0}, {1} : {t0}, {t1}", e, power,
                                                                bound(e, "fpowi"))], few)


def halves_away(x):
    if not math.isfinite(x) or x == math.trunc(x):
        return x
    return math.copysign(math.floor(abs(Fraction(x)) + Fraction(1, 2)), x)


def whole(of):
    return lambda x: x if not math.isfinite(x) else math.copysign(float(of(x)), x)


def fused(element):
    def of(a, b, c):
        if not all(map(math.isfinite, (a, b, c))):
            return (0.0 if math.isfinite(a) and math.isfinite(b) else a * b) + c
        exact = Fraction(a) * Fraction(b) + Fraction(c)
        if exact == 0:
            return a * b + c if not (a and b) or not c else 0.0
        return rounded(element, exact)
    return of


def near_ties(element):
    """Products half-way between two numbers, or half a step beside one, that differ from the tie by what float32, or
    float64, does not hold beside it."""
    step = 2.0 ** (1 - element.precision)
    least = max(element.least - element.precision + 1, -1040)
    found = []
    for k in range(1, 24, 2):  # (1 + k step / 2) in two factors of few digits
        digits = 2 ** element.precision + k
        for low in range(3, 64, 2):
            if digits % low == 0 and digits // low < 2 ** element.precision:
                found += [(float(low) / 4, digits // low * step / 2 * 4, sign * 2.0 ** tail)
                          for tail in (-23, -24, -30, -60, -120, -1000) if tail >= least for sign in (-1, 1)]
        found += [(1 + step, sign * (1 - step) * step / 2, 1 + (k - 1 + odd) * step) for sign in (-1, 1) for odd in (0, 1)]
    return found


def clamp(x, low, high):
    """Between low and high; a NaN anywhere gives a NaN."""
    if any(map(math.isnan, (x, low, high))):
        return math.nan
    return max(low, min(x, high))


def exact():
    for e in FLOATS:
        normal = float(Fraction(2) ** e.least)
        one = lambda name, f, e=e: Elementwise(f"math.{name}", e, [e], [Variant(f"math.{name} {{0}} : {{t0}}", e, f)], points([e]))  # noqa: E731
        yield one("absf", abs)
        yield one("ceil", whole(math.ceil))
        yield one("floor", whole(math.floor))
        yield one("trunc", whole(math.trunc))
        yield one("round", halves_away)
        yield one("roundeven", whole(round))
        yield one("sqrt", root(e))
        yield Elementwise("math.copysign", e, [e, e], [Variant("math.copysign {0}, {1} : {t0}", e, math.copysign)],
                          points([e, e], lambda a, b: not math.isnan(b)))
        yield Elementwise("math.fma", e, [e, e, e], [Variant("math.fma {0}, {1}, {2} : {t0}", e, fused(e))],
                          points([e, e, e]) + near_ties(e))
        between = points([e, e, e], lambda x, low, high: not low > high and not (x == 0 or low == 0 or high == 0))
        yield Elementwise("math.clampf", e, [e, e, e], [Variant("math.clampf {0} to [{1}, {2}] : {t0}", e, clamp)], between)
        for name, holds in (("isnan", math.isnan), ("isinf", math.isinf), ("isfinite", math.isfinite),
                            ("isnormal", lambda v, n=normal: math.isfinite(v) and abs(v) >= n)):
            yield Elementwise(f"math.{name}", e, [e], [Variant(f"math.{name} {{0}} : {{t0}}", I1, holds)], points([e]))


def root(element):
    def of(x):
        if math.isnan(x) or x < 0:
            return math.nan
        if x == 0 or math.isinf(x):
            return x
        # Fifty digits more than any type has, so that the second rounding sees on which side of a tie the root lies.
        scale = 1 << 1300
        value = Fraction(math.isqrt(int(Fraction(x) * scale * scale)), scale)
        return rounded(element, value)
    return of


def raised(element):
    def of(x, n):
        x, n = signed(element, x), signed(element, n)
        if n >= 0:
            return wrapped(element, pow(x, n, 1 << element.bits))
        return wrapped(element, 1 if x == 1 else (1 if n % 2 == 0 else -1) if x == -1 else 0)
    return of


def integers():
    for e in INTEGERS:
        unary = lambda name, f, e=e: Elementwise(f"math.{name}", e, [e], [Variant(f"math.{name} {{0}} : {{t0}}", e, f)], points([e]))  # noqa: E731
        yield unary("absi", lambda v, e=e: wrapped(e, abs(signed(e, v))))
        yield unary("ctpop", lambda v, e=e: wrapped(e, bin(unsigned(e, v)).count("1")))
        yield unary("ctlz", lambda v, e=e: wrapped(e, e.bits - unsigned(e, v).bit_length()))
        yield unary("cttz", lambda v, e=e: wrapped(e, (lambda u: (u & -u).bit_length() - 1 if u else e.bits)(unsigned(e, v))))
        kept = points([e, e], lambda a, b: signed(e, b) >= 0 or a != 0)
        yield Elementwise("math.ipowi", e, [e, e], [Variant("math.ipowi {0}, {1} : {t0}", e, raised(e))], kept)


def cases():
    yield from elementary()
    yield from exact()
    yield from integers()
