"""The programs of call.py on what models are made of, and on the elementary functions."""
import numpy as np

from call_case import Call, Case, normal, product


def transformer_cases():
    x, w, b = normal(5, 37), normal(37), normal(37)
    d = x.astype(float)
    rms = d / np.sqrt((d ** 2).mean(1, keepdims=True) + 1e-5) * w
    centred = d - d.mean(1, keepdims=True)
    layer = centred / np.sqrt((centred ** 2).mean(1, keepdims=True) + 1e-5) * w + b
    heads = normal(4, 24)
    h = heads.astype(float).reshape(4, 3, 8)
    padded = normal(5, 41) * (np.arange(41) < 37)  # four columns are padding: zeros that the mean does not count
    pd, pw = padded.astype(float), np.concatenate([w, normal(4)])
    without = pd / np.sqrt((pd ** 2).sum(1, keepdims=True) / 37 + 1e-5) * pw
    by_head = h / np.sqrt((h ** 2).mean(2, keepdims=True) + 1e-6) * w[:8]
    up = normal(5, 37)
    from math import erf
    silu = d / (1 + np.exp(-d)) * up
    gelu_tanh = d / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (d + 0.044715 * d ** 3))) * up
    gelu_erf = d / 2 * (1 + np.vectorize(erf)(d / np.sqrt(2))) * up
    sigmoid = up / (1 + np.exp(-d))
    yield Case("transformer", """
func.func private @normed(%x: tensor<?x37xf32>, %w: tensor<37xf32>) -> tensor<?x37xf32> {
  %0 = transformer.rms_norm %x, %w {eps = 1.0e-5 : f64} : tensor<?x37xf32>, tensor<37xf32>
  return %0 : tensor<?x37xf32>
}
func.func @rms_norm(%x: tensor<?x37xf32>, %w: tensor<37xf32>) -> tensor<?x37xf32> {
  %0 = call @normed(%x, %w) : (tensor<?x37xf32>, tensor<37xf32>) -> tensor<?x37xf32>
  return %0 : tensor<?x37xf32>
}
func.func @residual(%x: tensor<?x37xf32>, %y: tensor<?x37xf32>, %w: tensor<37xf32>) -> (tensor<?x37xf32>, tensor<?x37xf32>) {
  %0 = transformer.add %x, %y : tensor<?x37xf32>
  %1 = call @rms_norm(%0, %w) : (tensor<?x37xf32>, tensor<37xf32>) -> tensor<?x37xf32>
  return %0, %1 : tensor<?x37xf32>, tensor<?x37xf32>
}
func.func @heads(%x: tensor<4x24xf32>, %w: tensor<8xf32>) -> tensor<4x24xf32> {
  %0 = transformer.rms_norm %x, %w {eps = 1.0e-6 : f64} : tensor<4x24xf32>, tensor<8xf32>
  return %0 : tensor<4x24xf32>
}
func.func @padded(%x: tensor<?x41xf32>, %w: tensor<41xf32>) -> tensor<?x41xf32> {
  %0 = transformer.rms_norm %x, %w {eps = 1.0e-5 : f64, padding = 4 : i64} : tensor<?x41xf32>, tensor<41xf32>
  return %0 : tensor<?x41xf32>
}
func.func @layer_norm(%x: tensor<?x37xf32>, %w: tensor<37xf32>, %b: tensor<37xf32>) -> tensor<?x37xf32> {
  %0 = transformer.layer_norm %x, %w, %b {eps = 1.0e-5 : f64} : tensor<?x37xf32>, tensor<37xf32>, tensor<37xf32>
  return %0 : tensor<?x37xf32>
}
func.func @layer_norm_without_bias(%x: tensor<?x37xf32>, %w: tensor<37xf32>) -> tensor<?x37xf32> {
  %0 = transformer.layer_norm %x, %w {eps = 1.0e-5 : f64} : tensor<?x37xf32>, tensor<37xf32>
  return %0 : tensor<?x37xf32>
}
func.func @gates(%g: tensor<5x37xf32>, %u: tensor<5x37xf32>) -> (tensor<5x37xf32>, tensor<5x37xf32>, tensor<5x37xf32>, tensor<5x37xf32>) {
  %0 = transformer.gated_activation silu %g, %u : tensor<5x37xf32>
  %1 = transformer.gated_activation gelu_tanh %g, %u : tensor<5x37xf32>
  %2 = transformer.gated_activation gelu_erf %g, %u : tensor<5x37xf32>
  %3 = transformer.gated_activation sigmoid %g, %u : tensor<5x37xf32>
  return %0, %1, %2, %3 : tensor<5x37xf32>, tensor<5x37xf32>, tensor<5x37xf32>, tensor<5x37xf32>
}""", [Call("rms_norm", [x, w], [rms]), Call("layer_norm", [x, w, b], [layer], 1e-5, 1e-5),
       Call("layer_norm_without_bias", [x, w], [layer - b], 1e-5, 1e-5),
       Call("residual", [x * 0, x, w], [x, rms]), Call("padded", [padded, pw], [without]), Call("heads", [heads, w[:8]], [by_head.reshape(4, 24)]),
       Call("gates", [x, up], [silu, gelu_tanh, gelu_erf, sigmoid])])


def softmaxed(scores, sink=None):
    top = scores.max(-1, keepdims=True)
    if sink is not None:
        top = np.maximum(top, sink)
    weights = np.exp(scores - top)
    total = weights.sum(-1, keepdims=True)
    return weights / (total if sink is None else total + np.exp(sink - top))


def layer_cases():
    """Rotation, a cache as one array, attention over it, and products with stored floats."""
    tokens, positions = 5, np.array([0, 1, 2, 3, 4], np.int32)
    x, w, bias = normal(tokens, 32), normal(24, 32), normal(24)
    table = normal(40, 32).astype(np.float16)
    ids = np.array([3, 39, 0, 7], np.int32)
    freq = [1.0, 0.1, 0.01]
    rotated = {}
    for kind in ("half", "adjacent"):
        y = x.astype(float).reshape(tokens, 4, 8).copy()
        for k, f in enumerate(freq):
            u, v = (2 * k, 2 * k + 1) if kind == "adjacent" else (k, k + 3)
            c, s = (1.5 * fn(positions * f)[:, None] for fn in (np.cos, np.sin))
            a, b = y[:, :, u].copy(), y[:, :, v].copy()
            y[:, :, u], y[:, :, v] = a * c - b * s, a * s + b * c
        rotated[kind] = y.reshape(tokens, 32)
    yield Case("rope, linear, embedding", """
func.func @half(%x: tensor<?x32xf32>, %b: !transformer.batch) -> tensor<?x32xf32> {
  %0 = transformer.rope half %x, %b {head_dim = 8 : i64, inverse_frequencies = array<f64: 1.0, 0.1, 0.01>, attention_factor = 1.5 : f64} : tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}
func.func @adjacent(%x: tensor<?x32xf32>, %b: !transformer.batch) -> tensor<?x32xf32> {
  %0 = transformer.rope adjacent %x, %b {head_dim = 8 : i64, inverse_frequencies = array<f64: 1.0, 0.1, 0.01>, attention_factor = 1.5 : f64} : tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}
func.func @linear(%x: tensor<?x32xf32>, %w: tensor<24x32x!transformer.block<f32>>, %b: tensor<24xf32>) -> tensor<?x24xf32> {
  %0 = transformer.linear %x, %w, %b : (tensor<?x32xf32>, tensor<24x32x!transformer.block<f32>>, tensor<24xf32>) -> tensor<?x24xf32>
  return %0 : tensor<?x24xf32>
}
func.func @logits(%x: tensor<?x32xf32>, %w: tensor<24x32x!transformer.block<f16>>) -> tensor<?x24xf32> {
  %0 = transformer.logits %x, %w {scale = 0.5 : f64, softcap = 3.0 : f64} : (tensor<?x32xf32>, tensor<24x32x!transformer.block<f16>>) -> tensor<?x24xf32>
  return %0 : tensor<?x24xf32>
}
func.func @embedding(%t: tensor<?xi32>, %w: tensor<40x32x!transformer.block<f16>>) -> tensor<?x32xf32> {
  %0 = transformer.embedding %t, %w {scale = 2.0 : f64} : (tensor<?xi32>, tensor<40x32x!transformer.block<f16>>) -> tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}
func.func @select(%x: tensor<?x32xf32>, %r: tensor<?xi32>) -> tensor<?x32xf32> {
  %0 = transformer.select_rows %x, %r : (tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}""", [Call("half", [x, positions], [rotated["half"]]), Call("adjacent", [x, positions], [rotated["adjacent"]]),
       Call("linear", [x, w, bias], [product(x, w.T) + bias], 1e-5, 1e-4),
       Call("logits", [x, w.astype(np.float16)],
            [3 * np.tanh(product(x, w.astype(np.float16).T) / 2 / 3)], 1e-5, 1e-4),
       Call("embedding", [ids, table], [2 * table[ids].astype(float)], exact=True),
       Call("select", [x, np.array([4, 0], np.int32)], [x[[4, 0]]], exact=True)])
    heads, key, value, groups, places = 2, 6, 4, 3, 9
    cache = normal(places, heads * (key + value)).astype(np.float16)
    at = np.array([3, 4, 5], np.int32)
    k, v, q, sinks = normal(3, heads * key), normal(3, heads * value), normal(3, heads * groups * key), normal(6)
    filled = cache.copy()
    filled[at] = np.hstack([k, v]).astype(np.float16)
    keys = filled[:, : heads * key].astype(float).reshape(places, heads, key)
    values = filled[:, heads * key :].astype(float).reshape(places, heads, value)
    z = 0.3 * np.einsum("thgi,phi->thgp", q.astype(float).reshape(3, heads, groups, key), keys)
    behind = at[:, None] - np.arange(places)[None, :]
    results = []
    for window, cap, sink in ((0, 0, None), (2, 5, sinks.astype(float).reshape(heads, groups, 1))):
        scores = cap * np.tanh(z / cap) if cap else z
        seen = (behind >= 0) & ((behind < window) if window else True)
        p = softmaxed(np.where(seen[:, None, None, :], scores, -np.inf), sink)
        results.append(np.einsum("thgp,phi->thgi", p, values).reshape(3, -1))
    cache_type = "!transformer.cache<heads = 2, key = 6, value = 4, element = f16>"
    yield Case("attention over a cache", f"""
func.func @attend(%q: tensor<?x36xf32>, %k: tensor<?x12xf32>, %v: tensor<?x8xf32>, %b: !transformer.batch, %c: {cache_type})
    -> (tensor<?x24xf32>, {cache_type}) {{
  %c1 = transformer.kv_append %k, %v, %b, %c : tensor<?x12xf32>, tensor<?x8xf32>, {cache_type}
  %y = transformer.attention %q, %b, %c1 {{scale = 0.3 : f64}} : (tensor<?x36xf32>, !transformer.batch, {cache_type}) -> tensor<?x24xf32>
  return %y, %c1 : tensor<?x24xf32>, {cache_type}
}}
func.func @window(%q: tensor<?x36xf32>, %b: !transformer.batch, %c: {cache_type}, %s: tensor<6xf32>) -> tensor<?x24xf32> {{
  %y = transformer.attention %q, %b, %c, %s {{scale = 0.3 : f64, window = 2 : i64, softcap = 5.0 : f64}}
       : (tensor<?x36xf32>, !transformer.batch, {cache_type}, tensor<6xf32>) -> tensor<?x24xf32>
  return %y : tensor<?x24xf32>
}}""", [Call("attend", [q, k, v, at, cache], [results[0], filled], 1e-5, 1e-5),
        Call("window", [q, at, filled, sinks], [results[1]], 1e-5, 1e-5)])


def math_cases():
    """Elementary functions within two units of the last place of what float64 says."""
    from math import erf, erfc
    functions = {
        "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2, "log10": np.log10,
        "log1p": np.log1p, "cbrt": np.cbrt, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin,
        "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh,
        "acosh": np.arccosh, "atanh": np.arctanh, "erf": np.vectorize(erf), "erfc": np.vectorize(erfc), "sqrt": np.sqrt,
        "rsqrt": lambda v: 1 / np.sqrt(v), "floor": np.floor, "ceil": np.ceil, "roundeven": np.round, "absf": np.abs}
    for mlir, dtype, rtol in (("f32", np.float32, 2.4e-7), ("f64", np.float64, 1e-13), ("f16", np.float16, 1e-3)):
        text = "".join(f"""
func.func @{name}(%x: tensor<?x{mlir}>) -> tensor<?x{mlir}> {{
  %0 = math.{name} %x : tensor<?x{mlir}>
  return %0 : tensor<?x{mlir}>
}}""" for name in functions)
        values = np.concatenate([normal(40), 20 * normal(40), [0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 1e-6]]).astype(dtype)
        calls = []
        for name, function in functions.items():
            with np.errstate(all="ignore"):
                wanted = function(values.astype(np.float64))
                wanted = np.where(np.isinf(wanted.astype(dtype)), np.sign(wanted) * np.inf, wanted)
            calls.append(Call(name, [values], [wanted], rtol, 1e-37 if mlir != "f16" else 1e-7))
        yield Case(f"math {mlir}", text, calls)


def cases():
    return [*transformer_cases(), *layer_cases(), *math_cases()]
