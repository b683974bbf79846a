"""Attention on emulated GPUs."""
import numpy as np

from gpu_case import DEVICES, SEED, UNATTENDED, compile_text, expect, from_bf16, only, rounded, stepdown, taken


def attention(name, heads, kv_heads, d, element, result, causal, window, cap, sinks=False):
    cache = f"!transformer.cache<heads = {kv_heads}, key = {d}, value = {d}, element = {element}>"
    q, y = f"tensor<?x{heads * d}x{element}>", f"tensor<?x{heads * d}x{result}>"
    sink = f"tensor<{heads}xf32>"
    return f"""
func.func @{name}(%q: {q}, %b: !transformer.batch, %c: {cache}{f", %s: {sink}" if sinks else ""}) -> {y} {{
  %y = transformer.attention %q, %b, %c{", %s" if sinks else ""} {{scale = {d ** -0.5} : f64, window = {window} : i64, softcap = {cap:.1f} : f64, causal = {str(causal).lower()}}}
      : ({q}, !transformer.batch, {cache}{f", {sink}" if sinks else ""}) -> {y}
  return %y : {y}
}}
"""


def attend(q, positions, cache, heads, kv_heads, d, causal, window, cap, sinks):
    """What the operation means, in float64; and of each number what magnitudes its sums have."""
    q = q.reshape(len(q), heads, d)
    keys, values = (x.reshape(len(cache), kv_heads, d) for x in (cache[:, :kv_heads * d], cache[:, kv_heads * d:]))
    keys, values = (np.repeat(x, heads // kv_heads, 1) for x in (keys, values))
    z = np.einsum("thi,jhi->thj", q, keys) * d**-0.5
    error = np.einsum("thi,jhi->thj", abs(q), abs(keys)).max(initial=0) * d**-0.5 * d
    if cap:
        z = cap * np.tanh(z / cap)
    behind = positions[:, None, None].astype(np.int64) - np.arange(len(cache))
    z[np.broadcast_to((causal & (behind < 0)) | ((window > 0) & (behind >= window)), z.shape)] = -np.inf
    sink = np.full(heads, -np.inf) if sinks is None else sinks.astype(np.float64)
    top = np.maximum(z.max(2, keepdims=True, initial=-1e300), np.maximum(sink[:, None], -1e300))
    p = np.exp(z - top)
    p /= np.maximum(p.sum(2, keepdims=True) + np.exp(sink[:, None] - top), 1e-300)
    flat = lambda x: x.reshape(len(q), heads * d)
    return flat(np.einsum("thj,jhi->thi", p, values)), flat(np.einsum("thj,jhi->thi", p, abs(values))), error


def check_attention(folder, draw):
    cases = [("a0", 4, 2, 64, "bf16", "bf16", True, 0, 0), ("a1", 1, 1, 64, "f16", "f16", True, 37, 0),
             ("a2", 2, 1, 128, "bf16", "f32", True, 0, 1.5), ("a3", 1, 1, 128, "f16", "f32", False, 0, 0),
             ("a4", 1, 1, 256, "bf16", "bf16", True, 0, 0), ("a5", 2, 2, 64, "bf16", "f32", False, 131, 0),
             ("a6", 4, 2, 64, "bf16", "f32", True, 37, 7, True), ("a7", 2, 1, 128, "f16", "f16", True, 0, 0, True)]
    artifact, said = compile_text(folder, "attention", "".join(attention(*case) for case in cases))
    if not artifact:
        return expect(False, f"attention: expects to compile, but: {said}")
    numbers = np.random.default_rng(SEED + 3)
    for device in DEVICES:
        program = stepdown.Program.load(artifact, device=device)
        for name, heads, kv_heads, d, element, result, causal, window, cap, *sinking in cases:
            sinks = numbers.normal(1, 4, heads).astype(np.float32) if sinking else None
            more = (sinks,) if sinking else ()
            for order in ("behind", draw.choice(("any", "far", "none", "empty"))):
                tokens = draw.choice((1, 61, 63, 64, 65, 127, 128, 131, 191, 192, 193)) if order != "none" else 0
                keys = max(tokens, draw.choice((1, 79, 80, 81, 127, 129, 197))) if order != "empty" else 0
                tokens = draw.choice((1, 3, 7)) if order == "any" else tokens  # a tile each
                positions = {"any": numbers.integers(-1, keys + 1, tokens), "far": np.arange(tokens) + keys + window - 2
                             }.get(order, np.arange(tokens) + keys - tokens).astype(np.int32)
                if order == "far" and not window:
                    positions += 2**31 - 1 - int(positions[-1])
                q, q_exact = rounded(numbers.normal(0, 1, (tokens, heads * d)).astype(np.float32), element)
                cache, cache_exact = rounded(numbers.normal(0, 1, (keys, 2 * kv_heads * d)).astype(np.float32), element)
                got = only(program.call(name, q, positions, cache, *more))
                got = from_bf16(got) if result == "bf16" else got.astype(np.float64)
                q_exact, cache_exact = (taken(x, element, device) for x in (q_exact, cache_exact))
                wanted, size, error = attend(q_exact, positions, cache_exact, heads, kv_heads, d, causal, window, cap, sinks)
                digits = {"f32": 2.0**-24, "bf16": 2.0**-8, "f16": 2.0**-11}
                weights = 0 if device in UNATTENDED else digits[element]
                bound = size * (weights + (error + keys + 16) * 2.0**-22) + abs(wanted) * digits[result] + (2.0**-24 if result == "f16" else 1e-30)
                worst = float((abs(got - wanted) / bound).max(initial=0))
                expect(got.shape == wanted.shape and worst <= 1, f"{name}: attention of {tokens} over {keys}, {order}, {element} "
                       f"to {result} on {device}: {worst:.2f} of the bound")
                if order == "behind":
                    try:
                        program.call(name, q, positions[1:], cache, *more)
                        expect(False, f"{name}: expects to refuse fewer positions than tokens on {device}")
                    except stepdown.Error as caught:
                        expect(caught.code == 623 and "attention.mlir:" in str(caught), f"{name}: on {device}: {caught}")
