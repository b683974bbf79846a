"""linalg on every element type: named contractions, convolutions, poolings, elementwise and moving operations.

Operands are small whole numbers, so that every sum is exact in every type and one reference in ints serves them all; how
sums of other numbers are rounded is a matter of call.py. Sizes are prime but where the operation fixes them.
"""
import functools
import itertools
import math

import numpy as np

from operation_arith import RANDOM
from operation_case import Structured
from operation_elements import (ELEMENTS, F32, F64, FLOATS, I1, I8, I16, I32, I64, INDEX, WIDE_INTEGERS, rounded,
                                wrapped)

SIZES = {"n": 2, "b": 2, "m": 3, "k": 5, "p": 7, "h": 3, "w": 5, "d": 2, "c": 3, "f": 2, "g": 2, "q": 2, "r": 3, "s": 2,
         "M": 2, "K": 3, "P": 2, "i": 2, "j": 3, "l": 5}

# Operands, result. An index h2r3 is 2 h + 3 r: a window r in steps of 2, its elements 3 apart.
CONTRACTIONS = {
    "matmul": ("m k", "k p", "m p"), "batch_matmul": ("b m k", "b k p", "b m p"),
    "batch_reduce_matmul": ("b m k", "b k p", "m p"), "matvec": ("m k", "k", "m"), "vecmat": ("k", "k p", "p"),
    "batch_matvec": ("b m k", "b k", "b m"), "batch_vecmat": ("b k", "b k p", "b p"), "dot": ("k", "k", ""),
    "mmt4d": ("M K i l", "P K j l", "M P i j"), "batch_mmt4d": ("b M K i l", "b P K j l", "b M P i j"),
    "conv_1d": ("w1r1", "r", "w"), "conv_2d": ("h1r1 w1s1", "r s", "h w"), "conv_3d": ("d1q1 h1r1 w1s1", "q r s", "d h w"),
    "conv_1d_nwc_wcf": ("n w2r1 c", "r c f", "n w f"), "conv_1d_ncw_fcw": ("n c w1r2", "f c r", "n f w"),
    "conv_2d_nhwc_hwcf": ("n h2r1 w1s2 c", "r s c f", "n h w f"), "conv_2d_nhwc_fhwc": ("n h1r1 w2s1 c", "f r s c", "n h w f"),
    "conv_2d_nchw_fchw": ("n c h2r1 w1s2", "f c r s", "n f h w"),
    "conv_2d_ngchw_fgchw": ("n g c h1r2 w2s1", "f g c r s", "n g f h w"),
    "conv_2d_ngchw_gfchw": ("n g c h2r1 w1s2", "g f c r s", "n g f h w"),
    "conv_2d_nhwgc_gfhwc": ("n h2r1 w1s2 g c", "g f r s c", "n h w g f"),
    "conv_3d_ndhwc_dhwcf": ("n d1q1 h2r1 w1s2 c", "q r s c f", "n d h w f"),
    "conv_3d_ncdhw_fcdhw": ("n c d1q1 h2r1 w1s2", "f c q r s", "n f d h w"),
    "depthwise_conv_1d_nwc_wc": ("n w2r1 c", "r c", "n w c"), "depthwise_conv_1d_ncw_cw": ("n c w1r2", "c r", "n c w"),
    "depthwise_conv_1d_nwc_wcm": ("n w2r1 c", "r c f", "n w c f"),
    "depthwise_conv_2d_nhwc_hwc": ("n h2r1 w1s2 c", "r s c", "n h w c"),
    "depthwise_conv_2d_nchw_chw": ("n c h2r1 w1s2", "c r s", "n c h w"),
    "depthwise_conv_2d_nhwc_hwcm": ("n h2r1 w1s2 c", "r s c f", "n h w c f"),
    "depthwise_conv_3d_ndhwc_dhwc": ("n d1q1 h2r1 w1s2 c", "q r s c", "n d h w c"),
    "depthwise_conv_3d_ncdhw_cdhw": ("n c d1q1 h2r1 w1s2", "c q r s", "n c d h w"),
    "depthwise_conv_3d_ndhwc_dhwcm": ("n d1q1 h2r1 w1s2 c", "q r s c f", "n d h w c f"),
}
QUANTISED = {
    "quantized_matmul": ("m k", "k p", "m p"), "quantized_batch_matmul": ("b m k", "b k p", "b m p"),
    "conv_2d_nhwc_hwcf_q": CONTRACTIONS["conv_2d_nhwc_hwcf"], "conv_2d_nhwc_fhwc_q": CONTRACTIONS["conv_2d_nhwc_fhwc"],
    "conv_2d_nchw_fchw_q": CONTRACTIONS["conv_2d_nchw_fchw"], "conv_2d_nhwgc_gfhwc_q": CONTRACTIONS["conv_2d_nhwgc_gfhwc"],
    "conv_2d_ngchw_gfchw_q": CONTRACTIONS["conv_2d_ngchw_gfchw"], "conv_3d_ndhwc_dhwcf_q": CONTRACTIONS["conv_3d_ndhwc_dhwcf"],
    "depthwise_conv_2d_nhwc_hwc_q": CONTRACTIONS["depthwise_conv_2d_nhwc_hwc"],
    "depthwise_conv_2d_nhwc_hwcm_q": CONTRACTIONS["depthwise_conv_2d_nhwc_hwcm"],
}
POOLINGS = {
    "nhwc": ("n h2r1 w1s2 c", "r s", "n h w c"), "nchw": ("n c h2r1 w1s2", "r s", "n c h w"), "nwc": ("n w2r1 c", "r", "n w c"),
    "ncw": ("n c w2r1", "r", "n c w"), "ndhwc": ("n d1q1 h2r1 w1s2 c", "q r s", "n d h w c"),
}
POOLED = {"nhwc": "sum max max_unsigned min min_unsigned", "nchw": "sum max", "nwc": "sum max max_unsigned min min_unsigned",
          "ncw": "sum max", "ndhwc": "sum max min"}


def terms(index):
    """"h2r3" is [("h", 2), ("r", 3)], and "c" [("c", 1)]."""
    if len(index) == 1:
        return [(index, 1)]
    return [(index[at], int(index[at + 1])) for at in range(0, len(index), 2)]


def shape_of(indices):
    return [sum((SIZES[loop] - 1) * step for loop, step in terms(index)) + 1 for index in indices.split()]


def windows(operands):
    """The attributes of strides and dilations of an operation whose operands have windows."""
    pairs = [terms(index) for operand in operands for index in operand.split() if len(index) > 1]
    if not pairs:
        return ""
    numbers = lambda which: ", ".join(str(pair[which][1]) for pair in pairs)  # noqa: E731
    return (f" {{strides = dense<[{numbers(0)}]> : tensor<{len(pairs)}xi64>, "
            f"dilations = dense<[{numbers(1)}]> : tensor<{len(pairs)}xi64>}}")


def evaluate(operands, arrays, out, combine, term):
    """out[...] = combine(out[...], term(operands[...])) over every point of the loops."""
    result = out.copy()
    loops = sorted({loop for operand in operands for index in operand.split() for loop, _ in terms(index)})
    split = [[terms(index) for index in operand.split()] for operand in operands]
    for point in itertools.product(*[range(SIZES[loop]) for loop in loops]):
        at = dict(zip(loops, point))
        places = [tuple(sum(at[loop] * step for loop, step in index) for index in operand) for operand in split]
        result[places[-1]] = combine(result[places[-1]], term(*[a[p] for a, p in zip(arrays, places[:-1])]))
    return result


def small(shape, element, low=-2, high=2):
    """Whole numbers as objects; bools for i1."""
    made = np.asarray(RANDOM.integers(low, high + 1, shape)).astype(object)
    return odd(made) if element is I1 else made


def odd(whole):
    return np.asarray(whole % 2 == 1).astype(object)


def tensor(shape, element, dynamic=False):
    return "tensor<" + "".join(f"{'?' if dynamic else size}x" for size in shape) + element.name + ">"


def structured(name, element, operands, out, text, expected, result=None):
    """A function of `operands` and an output with static sizes, and one with none: text(types, output's type)."""
    result = result or element
    lines, arguments, results = [], [], []
    for dynamic in (False, True):
        tag = "d" if dynamic else "s"
        names, types = [], []
        for i, (array, kind) in enumerate([*operands, (out, result)]):
            names.append(f"%{tag}{i}")
            types.append(tensor(array.shape, kind, dynamic) if array is not None else kind.name)
            arguments.append(f"{names[-1]}: {types[-1]}")
        lines.append(f"  %{tag} = {text(names, types)}")
        results.append((f"%{tag}", types[-1]))
    values = [*operands, (out, result)]
    return Structured(f"linalg.{name}", element, arguments, lines, results, values + values, [(expected, result)] * 2)


def named(name, attributes=""):
    def text(names, types):
        return (f"linalg.{name}{attributes} ins({', '.join(names[:-1])} : {', '.join(types[:-1])}) "
                f"outs({names[-1]} : {types[-1]}) -> {types[-1]}")
    return text


def sums(element):
    if element is I1:
        return (lambda a, b: a or b), (lambda a, b: a and b)
    return (lambda a, b: a + b), (lambda a, b: a * b)


def contractions():
    for name, operands in CONTRACTIONS.items():
        strides = windows(operands) if name not in ("conv_1d", "conv_2d", "conv_3d") else ""
        arrays, start = [small(shape_of(o), F32) for o in operands[:2]], small(shape_of(operands[2]), F32)
        expected = evaluate(operands, arrays, start, *sums(F32))
        for e in ELEMENTS:
            if e is INDEX:
                continue  # refused
            if e is I1:
                bits, first = [odd(a) for a in arrays], odd(start)
                want = evaluate(operands, bits, first, *sums(I1))
                yield structured(name, e, [(b, e) for b in bits], first, named(name, strides), want)
            else:
                yield structured(name, e, [(a, e) for a in arrays], start, named(name, strides), expected)
    for name, operands in QUANTISED.items():
        arrays, start = [small(shape_of(o), F32) for o in operands[:2]], small(shape_of(operands[2]), F32)
        zero = (np.array(1, object), np.array(-3, object))
        expected = evaluate(operands, arrays, start, lambda a, b: a + b, lambda a, b: (a - 1) * (b + 3))

        def text(names, types, name=name, operands=operands):
            scalars = "%z0, %z1", "i32, i32"
            return (f"linalg.{name}{windows(operands)} ins({names[0]}, {names[1]}, {scalars[0]} : {types[0]}, {types[1]}, "
                    f"{scalars[1]}) outs({names[-1]} : {types[-1]}) -> {types[-1]}")
        case = structured(name, I8, [(a, I8) for a in arrays], start, text, expected, I32)
        case.arguments += ["%z0: i32", "%z1: i32"]
        case.values += [(zero[0], I32), (zero[1], I32)]
        yield case


def contracted():
    """contract: any maps; here a product of a transposed and a plain array, and a sum over two loops."""
    a, b, start = small([5, 3], F32), small([5, 7], F32), small([3, 7], F32)
    maps = "[affine_map<(m, n, k) -> (k, m)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]"
    for e in ELEMENTS:
        if e in (I1, INDEX):
            continue
        yield structured("contract", e, [(a, e), (b, e)], start, named("contract", f" indexing_maps = {maps}"),
                         start + np.dot(a.T, b))


def poolings():
    for layout, operands in POOLINGS.items():
        array, window, start = small(shape_of(operands[0]), F32), small(shape_of(operands[1]), F32), small(shape_of(operands[2]), F32)
        for kind in POOLED[layout].split():
            unsigned_values = "unsigned" in kind
            combine = {"sum": lambda a, b: a + b, "max": max, "min": min}[kind.split("_")[0]]
            x, y = (abs(array), abs(start)) if unsigned_values else (array, start)
            expected = evaluate(operands, [x, window], y, combine, lambda a, _: a)
            for e in ELEMENTS:
                if e in (I1, INDEX) or unsigned_values and e.is_float:
                    continue
                name = f"pooling_{layout}_{kind}"
                yield structured(name, e, [(x, e), (window, e)], y, named(name, windows(operands)), expected)


UNARY = {"abs": abs, "negf": lambda v: -v, "square": lambda v: v * v, "ceil": math.ceil, "floor": math.floor,
         "round": lambda v: math.copysign(math.floor(abs(v) + 0.5), v), "reciprocal": lambda v: 1 / v, "exp": math.exp,
         "log": math.log, "sqrt": math.sqrt, "rsqrt": lambda v: 1 / math.sqrt(v), "tanh": math.tanh, "erf": math.erf}
BINARY = {"add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "max": max, "min": min,
          "div": lambda a, b: int(a / b) if isinstance(a, int) else a / b, "powf": lambda a, b: a**b,
          "div_unsigned": lambda a, b: a // b}


def operand(element, positive, count=13):
    """Halves of small numbers for floats."""
    whole = RANDOM.integers(1, 12, count) if positive else RANDOM.integers(-6, 7, count) * 2 + 1
    return np.array([v / 2 for v in whole.tolist()] if element.is_float else whole.tolist(), object)


def both_forms(e, name, kind, operands, want):
    """The operation of that name, and linalg.elementwise of the kind."""
    for form, attributes in ((name, ""), ("elementwise", f" kind=#linalg.elementwise_kind<{kind}>")):
        case = structured(form, e, operands, operands[-1][0], named(form, attributes), want)
        case.bound = 1e-12 if e is F64 and name in ("exp", "log", "tanh", "erf", "rsqrt", "powf") else 0
        if name == "powf" and e is not F64:  # 2.5^y and its like lie between two numbers: some hundred units of f64 decide
            case.bound = max(map(abs, want)) * 2.0 ** (1 - e.precision)
        yield case


def elementwise():
    apply = lambda e, f, *arrays: np.array([rounded(e, f(*v)) if e.is_float else wrapped(e, int(f(*v)))  # noqa: E731
                                            for v in zip(*arrays)], object)
    for e in ELEMENTS:
        if e in (I1, INDEX):
            continue
        for name, f in UNARY.items():
            if e.is_float:
                x = operand(e, name in ("log", "sqrt", "rsqrt", "reciprocal"))
                want = apply(e, f, x)
                yield from both_forms(e, name, name, [(x, e)], want)
        for name, f in BINARY.items():
            if name == "powf" and not e.is_float or name == "div_unsigned" and e.is_float:
                continue
            x, y = operand(e, name in ("powf", "div_unsigned")), operand(e, True)
            want = apply(e, f, x, y)
            kind = name if name not in ("max", "min") else name + "_signed"
            yield from both_forms(e, name, kind, [(x, e), (y, e)], want)
    for e in ELEMENTS:
        if e is INDEX:
            continue
        c, x, y = small([13], I1), operand(e, False), operand(e, True)
        x, y = (x % 2 == 1, y % 2 == 1) if e is I1 else (x, y)
        x, y = x.astype(object), y.astype(object)
        want = np.array([a if k else b for k, a, b in zip(c, x, y)], object)
        yield from both_forms(e, "select", "select", [(c, I1), (x, e), (y, e)], want)


def moving():
    """Operations that move elements, and those whose body the module writes."""
    for e in ELEMENTS:
        x, y, z, row = small([3, 5], e), small([3, 5], e), small([5, 3], e), small([5], e)
        add = {True: "arith.addf", False: "arith.addi"}[e.is_float] if e is not I1 else "arith.ori"
        join = (lambda a, b: a or b) if e is I1 else (lambda a, b: a + b)
        yield structured("transpose", e, [(x, e)], z, lambda n, t: f"linalg.transpose ins({n[0]} : {t[0]}) outs({n[1]} : {t[1]}) "
                         "permutation = [1, 0]", x.T)
        yield structured("broadcast", e, [(row, e)], x, lambda n, t: f"linalg.broadcast ins({n[0]} : {t[0]}) outs({n[1]} : {t[1]}) "
                         "dimensions = [0]", np.broadcast_to(row, (3, 5)))
        yield structured("copy", e, [(x, e)], y, named("copy"), x)
        both = np.array([join(a, b) for a, b in zip(x.ravel(), y.ravel())], object).reshape(3, 5)
        yield structured("map", e, [(x, e), (y, e)], x, lambda n, t, a=add: f"linalg.map {{ {a} }} ins({n[0]}, {n[1]} : {t[0]}, {t[1]}) "
                         f"outs({n[2]} : {t[2]})", both)
        down = np.array([functools.reduce(join, x[:, j], row[j]) for j in range(5)], object)
        yield structured("reduce", e, [(x, e)], row, lambda n, t, a=add: f"linalg.reduce {{ {a} }} ins({n[0]} : {t[0]}) "
                         f"outs({n[1]} : {t[1]}) dimensions = [0]", down)
        across = np.array([functools.reduce(join, z[j, :], row[j]) for j in range(5)], object)
        yield structured("reduce", e, [(z, e)], row, lambda n, t, a=add: f"linalg.reduce {{ {a} }} ins({n[0]} : {t[0]}) "
                         f"outs({n[1]} : {t[1]}) dimensions = [1]", across)
        whole = np.array(functools.reduce(join, x.ravel(), row[0]), object)
        yield structured("reduce", e, [(x, e)], np.array(row[0], object), lambda n, t, a=add: f"linalg.reduce {{ {a} }} "
                         f"ins({n[0]} : {t[0]}) outs({n[1]} : {t[1]}) dimensions = [0, 1]", whole)
        one = np.array(row[1], object)
        fill = structured("fill", e, [], x, lambda n, t, e=e: f"linalg.fill ins(%v : {e.name}) outs({n[0]} : {t[0]}) -> {t[0]}",
                          np.broadcast_to(one, (3, 5)))
        fill.arguments, fill.values = [*fill.arguments, f"%v: {e.name}"], [*fill.values, (one, e)]
        yield fill
        maps = "[affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i, j)>]"
        body = (f"{{ ^bb0(%a: {e.name}, %b: {e.name}, %c: {e.name}): %v = {add} %a, %b : {e.name} linalg.yield %v : {e.name} }}")
        more = np.array([[join(x[i, j], row[j]) for j in range(5)] for i in range(3)], object)
        yield structured("generic", e, [(x, e), (row, e)], y, lambda n, t, b=body: (
            f"linalg.generic {{indexing_maps = {maps}, iterator_types = [\"parallel\", \"parallel\"]}} ins({n[0]}, {n[1]} : "
            f"{t[0]}, {t[1]}) outs({n[2]} : {t[2]}) {b} -> {t[2]}"), more)


def softmax():
    for e in FLOATS:
        x = np.array([[rounded(e, v) for v in row] for row in (RANDOM.standard_normal((3, 11)) * 2).tolist()], object)
        x[1, 3] = -math.inf
        wide = x.astype(float)
        y = np.exp(wide - wide.max(1, keepdims=True))
        case = structured("softmax", e, [(x, e)], x, lambda n, t: f"linalg.softmax dimension(1) ins({n[0]} : {t[0]}) "
                          f"outs({n[1]} : {t[1]}) -> {t[1]}", (y / y.sum(1, keepdims=True)).astype(object))
        case.bound = 12 * 2.0 ** -e.precision  # as many roundings as elements, and one of exp
        yield case


def random_fill():
    """fill_rng_2d: a linear congruential generator of 32 bits, of the indices and the seed."""
    wrap = lambda v: (v + (1 << 31)) % (1 << 32) - (1 << 31)  # noqa: E731
    for e in (*FLOATS, I8, I16, I32, I64):
        x = np.zeros((3, 5), object)
        for i, j in np.ndindex(3, 5):
            first = wrap(wrap(i + 42) * 1103515245 + 12345)
            value = (wrap(wrap(j + first) * 1103515245 + 12345) + 2147483647.0) * (20.0 * 2.3283064e-10) + -10.0
            x[i, j] = rounded(e, value) if e.is_float else int(value)
        case = structured("fill_rng_2d", e, [], x, lambda n, t: (
            f"linalg.fill_rng_2d ins(%low, %high, %seed : f64, f64, i32) outs({n[0]} : {t[0]}) -> {t[0]}"), x)
        case.arguments += ["%low: f64", "%high: f64", "%seed: i32"]
        case.values += [(np.array(-10.0, object), F64), (np.array(10.0, object), F64), (np.array(42, object), I32)]
        yield case


def positions():
    """linalg.index, in a body of the module's own."""
    for e in WIDE_INTEGERS:
        cast = "arith.index_cast %k : index to " + e.name
        want = np.array([[i * 10 + j for j in range(5)] for i in range(3)], object)
        yield structured("index", e, [], np.zeros((3, 5), object), lambda n, t, e=e, c=cast: (
            "linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>], iterator_types = [\"parallel\", \"parallel\"]} "
            f"outs({n[0]} : {t[0]}) {{ ^bb0(%o: {e.name}): %i = linalg.index 0 : index %j = linalg.index 1 : index "
            f"%ten = arith.constant 10 : index %m = arith.muli %i, %ten : index %k = arith.addi %m, %j : index %v = {c} "
            f"linalg.yield %v : {e.name} }} -> {t[0]}"), want)


def winograd():
    """The three transforms around one batch of products are a convolution, added to the output."""
    for e in FLOATS:
        image, kernel, start = small((2, 4, 4, 3), e, 0, 1), small((2, 3, 3, 3), e, 0, 1), small((2, 2, 2, 2), e)
        want = np.zeros((2, 2, 2, 2), object)
        for i, j in np.ndindex(2, 2):
            want[:, i, j, :] = np.einsum("nhwc,fhwc->nf", image[:, i:i + 3, j:j + 3].astype(int), kernel.astype(int)).astype(object)
        t = e.name
        lines = [f"""  %g = tensor.empty() : tensor<4x4x3x2x{t}>
  %fw = linalg.winograd_filter_transform fmr(F_2_3) ins(%k : tensor<2x3x3x3x{t}>) outs(%g : tensor<4x4x3x2x{t}>) -> tensor<4x4x3x2x{t}>
  %d = tensor.empty() : tensor<4x4x1x1x2x3x{t}>
  %in = linalg.winograd_input_transform fmr(F_2_3) ins(%x : tensor<2x4x4x3x{t}>) outs(%d : tensor<4x4x1x1x2x3x{t}>) -> tensor<4x4x1x1x2x3x{t}>
  %fc = tensor.collapse_shape %fw [[0, 1], [2], [3]] : tensor<4x4x3x2x{t}> into tensor<16x3x2x{t}>
  %ic = tensor.collapse_shape %in [[0, 1], [2, 3, 4], [5]] : tensor<4x4x1x1x2x3x{t}> into tensor<16x2x3x{t}>
  %z = arith.constant 0.0 : {t}
  %e = tensor.empty() : tensor<16x2x2x{t}>
  %s = linalg.fill ins(%z : {t}) outs(%e : tensor<16x2x2x{t}>) -> tensor<16x2x2x{t}>
  %p = linalg.batch_matmul ins(%ic, %fc : tensor<16x2x3x{t}>, tensor<16x3x2x{t}>) outs(%s : tensor<16x2x2x{t}>) -> tensor<16x2x2x{t}>
  %pe = tensor.expand_shape %p [[0, 1], [2, 3, 4], [5]] output_shape [4, 4, 1, 1, 2, 2] : tensor<16x2x2x{t}> into tensor<4x4x1x1x2x2x{t}>
  %r = linalg.winograd_output_transform fmr(F_2_3) ins(%pe : tensor<4x4x1x1x2x2x{t}>) outs(%y : tensor<2x2x2x2x{t}>) -> tensor<2x2x2x2x{t}>"""]
        yield Structured("linalg.winograd", e, [f"%x: tensor<2x4x4x3x{t}>", f"%k: tensor<2x3x3x3x{t}>", f"%y: tensor<2x2x2x2x{t}>"], lines,
                         [("%r", f"tensor<2x2x2x2x{t}>")], [(image, e), (kernel, e), (start, e)], [(start + want, e)])


def cases():
    yield from random_fill()
    yield from positions()
    yield from winograd()
    yield from contractions()
    yield from contracted()
    yield from poolings()
    yield from elementwise()
    yield from moving()
    yield from softmax()
