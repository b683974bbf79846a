"""A plain float64 forward pass of a GGUF checkpoint: what the conformance suite compares compiled models with.

Every family and rotary scheme of test/data/make_model.py, no fusion, no tiling, no cache. `codes` (q8o2, q8x2 or q8, as
--activations has them) rounds what a model compiled without --exact rounds (the inputs of quantised linears to blocks of
32 columns, keys and values to binary16): how far that moves the logits is the noise that such a model may show. `kv` is what
keys and values are rounded to, as --kv-type has it, with `codes` or alone.
"""
import numpy as np
import gguf


ADJACENT = ("llama", "granite", "granitemoe", "smollm3", "cohere2", "internlm2", "ernie4_5", "xverse", "maincoder", "glm4", "chatglm", "command-r")  # neighbours in a head rotate together

PLAIN = ("gpt2", "starcoder", "starcoder2", "codeshell")  # an MLP without a gate


class Model:
    def __init__(self, path):
        reader = gguf.GGUFReader(path)
        self.meta = {k: f.contents() for k, f in reader.fields.items() if not k.startswith("tokenizer.ggml.")}
        self.tensors = {t.name: t for t in reader.tensors}
        self.family = self.meta["general.architecture"]
        get = self.key
        self.layers, self.width, self.heads = get("block_count"), get("embedding_length"), get("attention.head_count")
        self.kv_heads = get("attention.head_count_kv", self.heads)
        self.head_dim = get("attention.key_length", self.width // self.heads)
        self.layer_norms = self.family in ("gpt2", "starcoder", "starcoder2", "codeshell", "cohere2", "command-r", "orion")
        self.inner, self.epsilon = get("feed_forward_length"), get("attention.layer_norm_epsilon" if self.layer_norms else "attention.layer_norm_rms_epsilon")
        self.routed = set()  # (layer, expert) that a token had
        self.experts, self.used = get("expert_count", 0), get("expert_used_count", 0)
        self.softcap, self.score_cap = get("final_logit_softcapping", 0.0), get("attn_logit_softcapping", 0.0)
        self.embedding = np.sqrt(self.width) if self.family.startswith("gemma") else get("embedding_scale", 0.0) or 1.0  # 0 says that there is none
        self.residual, self.divisor = get("residual_scale", 0.0) or 1.0, get("logit_scale", 0.0) or 1.0
        if self.family in ("cohere2", "command-r"):  # whose number multiplies
            self.divisor = 1 / self.divisor
        self.weights = {}

    def key(self, name, default=None):
        return self.meta.get(f"{self.family}.{name}", default)

    def has(self, name):
        return name in self.tensors

    def weight(self, name, rows=slice(None)):
        """float64, [out, in] for matrices; `rows` of them."""
        if name not in self.weights:
            t = self.tensors[name]
            values = gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float64)
            values = values.reshape([int(n) for n in t.shape[::-1]])
            scale = self.tensors.get(name.removesuffix(".weight") + ".scale")
            if scale is not None:  # of all of it, or of each expert
                values = values * scale.data.astype(np.float64).reshape((-1,) + (1,) * (values.ndim - 1))
            self.weights[name] = values
        return self.weights[name][rows]

    def quantised(self, name):
        return self.tensors[name].tensor_type.name not in ("F32", "F16", "BF16")

    def windows(self, layer):
        """The window of a layer, 0 where it sees everything."""
        window = self.key("attention.sliding_window", 0)
        # Every layer has it but where the family, or the file, says otherwise.
        pattern = self.key("attention.sliding_window_pattern", {"gemma2": 2, "gemma3": 6, "olmo2": 4, "gpt-oss": 2, "cohere2": 4}.get(self.family, 0))
        if isinstance(pattern, (list, np.ndarray)):
            return window if pattern[layer] else 0
        return window if not pattern or layer % int(pattern) != int(pattern) - 1 else 0

    def frequencies(self, local):
        """(radians a position for each pair, factor of cosine and sine)"""
        dims = self.key("rope.dimension_count", self.head_dim)
        base = float(self.key("rope.freq_base", 10000.0))
        gemma = self.family == "gemma3"
        if local:
            base = float(self.key("rope.freq_base_swa", 10000.0 if gemma else base))
        scaled = not (local and self.family in ("gemma3", "olmo2"))
        inverse = base ** (-np.arange(0, dims, 2, dtype=np.float64) / dims)
        context, original = self.key("context_length"), self.key("rope.scaling.original_context_length", 0)
        factor = self.key("rope.scaling.factor", self.key("rope.scale_linear", 1.0))
        scheme, magnitude = self.key("rope.scaling.type", "linear"), self.key("rope.scaling.attn_factor", 1.0)
        if scheme == "linear" and scaled:
            inverse = inverse / factor
        elif scheme == "yarn" and scaled:
            fast, slow = self.key("rope.scaling.yarn_beta_fast", 32.0), self.key("rope.scaling.yarn_beta_slow", 1.0)
            pair = lambda turns: dims * np.log(original / (turns * 2 * np.pi)) / (2 * np.log(base))
            whole = self.key("rope.scaling.yarn_truncate", True)  # what folders say, and no file of GGUF
            low, high = (np.floor(pair(fast)), np.ceil(pair(slow))) if whole else (pair(fast), pair(slow))
            low, high = max(low, 0), min(high, dims - 1)
            ramp = np.clip((np.arange(dims // 2) - low) / max(high - low, 0.001), 0, 1)
            inverse = inverse / factor * ramp + inverse * (1 - ramp)
            magnitude *= 0.1 * np.log(factor) + 1
        divisors = "rope_freqs.weight"
        if scheme == "longrope":
            divisors = "rope_factors_long.weight" if context > original else "rope_factors_short.weight"
        if not scaled:
            return inverse, 1.0
        if self.has(divisors):
            inverse = inverse / self.weight(divisors)
        return inverse, magnitude


def rms_norm(x, weight, epsilon):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * weight


def layer_norm(x, weight, bias, epsilon):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * weight + bias


def round_blocks(x, codes):
    """`x` as 8-bit blocks of 32 columns hold it. q8: a code for each value; q8x2: a code and a residual code; q8o2: a code,
    its scale set by the six quads of columns with the smallest largest values, and 7 bits more for the other two."""
    blocks = x.reshape(*x.shape[:-1], -1, 32)
    quads = np.sort(np.abs(blocks).reshape(*blocks.shape[:-1], 8, 4).max(-1), -1)
    if codes == "q8o2":
        scale = np.maximum(quads[..., 5] / 127, quads[..., 7] / 16319)[..., None]
    else:
        scale = quads[..., 7:] / {"q8": 127, "q8x2": 127 * 256}[codes]
    return (np.rint(blocks / np.where(scale == 0, 1, scale)) * scale).reshape(x.shape)


def round_bfloats(x, count):
    """`x` as the sum of `count` bfloat16: the nearest, then the nearest to what that leaves."""
    total = np.zeros_like(x)
    for _ in range(count):
        bits = (x - total).astype(np.float32).view(np.uint32)
        total += (bits + 0x7fff + (bits >> 16 & 1) & 0xffff0000).astype(np.uint32).view(np.float32)
    return total


def round_cache(x, kv):
    """Keys or values [tokens, heads, head_dim] as the cache holds them. q8_0: blocks of 32 channels, the last of a head maybe
    shorter, with codes up to 127 and a binary16 scale. fp8_e4m3: the OCP type, where what is beyond it is its largest."""
    if kv == "fp8_e4m3":
        magnitude = np.minimum(np.abs(x), 448)
        step = 2.0 ** (np.maximum(np.frexp(magnitude)[1] - 1, -6) - 3)  # three bits behind the leading one
        return np.copysign(np.rint(magnitude / step) * step, x)
    if kv != "q8_0":
        return x.astype(np.float16).astype(np.float64) if kv == "f16" else x
    return np.concatenate([codes * scale for codes, scale in cached_blocks(x)], -1)


def cached_blocks(x):
    """(codes, scale) of each block of channels."""
    for first in range(0, x.shape[-1], 32):
        block = x[..., first:first + 32]
        scale = (np.abs(block).max(-1, keepdims=True) / 127).astype(np.float16).astype(np.float64)
        yield np.clip(np.rint(block / np.where(scale == 0, 1, scale)), -127, 127), scale


def round_words(x):
    """As 16-bit codes of the last axis hold it, whose largest is 32767."""
    unit = np.abs(x).max(-1, keepdims=True) / 32767
    return np.rint(x / np.where(unit == 0, 1, unit)) * unit


def weigh_blocks(share, v):
    """`share` [heads, tokens, positions] of values v [heads, positions, head_dim] in blocks: of each, shares times scales
    are 16-bit codes with a unit for 16 positions."""
    more = -share.shape[-1] % 16
    parts = []
    for codes, scale in cached_blocks(v):
        weight = np.pad(share * scale.transpose(0, 2, 1), ((0, 0), (0, 0), (0, more)))
        weight = round_words(weight.reshape(*weight.shape[:2], -1, 16)).reshape(weight.shape)
        parts.append(weight[..., :share.shape[-1]] @ codes)
    return np.concatenate(parts, -1)


def rotate(x, positions, inverse, magnitude, adjacent):
    """x: [tokens, heads, head_dim], one position for each token"""
    angle = positions[:, None] * inverse
    c, s = magnitude * np.cos(angle)[:, None], magnitude * np.sin(angle)[:, None]
    pairs = len(inverse)
    first = slice(0, 2 * pairs, 2) if adjacent else slice(0, pairs)
    second = slice(1, 2 * pairs, 2) if adjacent else slice(pairs, 2 * pairs)
    y = x.copy()
    y[..., first], y[..., second] = x[..., first] * c - x[..., second] * s, x[..., first] * s + x[..., second] * c
    return y


def attend(q, k, v, heads_a_cache, window, scale, cap, sinks, kv):
    """Causal attention in one sequence. q: [tokens, heads, head_dim]; k, v: [tokens, kv_heads, head_dim]; sinks: [heads],
    -inf where a head has none; kv: what the cache holds"""
    k = round_cache(k, kv)
    if kv == "q8_0":
        q = round_words(q)
    distance = np.arange(len(q))[:, None] - np.arange(len(q))[None, :]
    seen = (distance >= 0) & (distance < window if window else True)
    q, k, v = (a.transpose(1, 0, 2) for a in (q, k.repeat(heads_a_cache, 1), v.repeat(heads_a_cache, 1)))
    score = q @ k.transpose(0, 2, 1) * scale
    score = np.where(seen, cap * np.tanh(score / cap) if cap else score, -np.inf)
    sinks = sinks[:, None, None]
    top = np.maximum(score.max(-1, keepdims=True), sinks)
    share = np.exp(score - top)
    share = share / (share.sum(-1, keepdims=True) + np.exp(sinks - top))
    return (weigh_blocks(share, v) if kv == "q8_0" else share @ round_cache(v, kv)).transpose(1, 0, 2)


def forward(m, tokens, codes=None, kv=None, bfloats=None):
    """Logits of every position: [tokens, vocabulary]."""
    return forward_all(m, [tokens], codes, kv, bfloats)[0]


def forward_all(m, prompts, codes=None, kv=None, bfloats=None):
    """`bfloats`: what weights of bfloat16 read, by name of the activations: bf16 or bf16x2, or q8o2, which has bf16 in
    feed-forward layers and bf16x2 elsewhere; None: the values.

    For each of the prompts, which see nothing of each other, logits of every position: [tokens, vocabulary]."""
    tokens, gemma = np.concatenate([np.asarray(p, int) for p in prompts]), m.family.startswith("gemma")
    n, lengths = len(tokens), [len(p) for p in prompts]
    edges = np.cumsum([0] + lengths)
    prompts = [slice(a, b) for a, b in zip(edges, edges[1:])]
    positions = np.concatenate([np.arange(length) for length in lengths])

    def linear(x, name, begin=0, end=None):
        tensor = name + ".weight"
        if codes and m.quantised(tensor):
            x = round_blocks(x, "q8x2" if codes == "q8o2" and ".ffn_" not in name else codes)
        if bfloats and m.tensors[tensor].tensor_type.name == "BF16":
            x = round_bfloats(x, 1 if bfloats == "bf16" or bfloats == "q8o2" and ".ffn_" in name else 2)
        if m.weight(tensor).ndim == 3:  # of expert `begin`
            y = x @ m.weight(tensor, int(begin)).T
            return y + m.weight(name + ".bias", int(begin)) if m.has(name + ".bias") else y
        y = x @ m.weight(tensor, slice(begin, end)).T
        return y + m.weight(name + ".bias", slice(begin, end)) if m.has(name + ".bias") else y

    def activate(gate):
        if gemma or m.family in PLAIN:
            return 0.5 * gate * (1 + np.tanh(np.sqrt(2 / np.pi) * (gate + 0.044715 * gate**3)))
        return gate / (1 + np.exp(-gate))

    def gated(gate, up):
        if m.family == "gpt-oss":
            gate = np.minimum(gate, 7)
            return gate / (1 + np.exp(-1.702 * gate)) * (np.clip(up, -7, 7) + 1)
        return activate(gate) * up

    def mlp(x, p):
        if m.family in PLAIN:
            return linear(activate(linear(x, p + "ffn_up")), p + "ffn_down")
        if m.family in ("phi3", "chatglm", "glm4"):
            gate, up = linear(x, p + "ffn_up", 0, m.inner), linear(x, p + "ffn_up", m.inner)
        else:
            gate, up = linear(x, p + "ffn_gate"), linear(x, p + "ffn_up")
        return linear(activate(gate) * up, p + "ffn_down")

    def experts(x, p):
        """A loop over tokens and experts: each token has those with the largest numbers, weighted by their softmax."""
        z = linear(x, p + "ffn_gate_inp")
        lowest = float(np.finfo(np.float32).min)
        z = np.where(z > lowest, z, lowest)  # NaN as well
        share = np.exp(z - z.max(-1, keepdims=True))
        share /= share.sum(-1, keepdims=True)
        y = np.zeros_like(x)
        for t in range(len(x)):
            # Equal rows of a weight may give products that differ in the last digits.
            chosen = np.argsort(-np.round(z[t], 9), kind="stable")[: m.used]
            m.routed.update((p, int(e)) for e in chosen)
            weights = share[t, chosen] / (share[t, chosen].sum() if m.family not in ("olmoe", "qwen2moe") else 1)
            for weight, e in zip(weights, chosen):
                gate, up = linear(x[t], p + "ffn_gate_exps", e), linear(x[t], p + "ffn_up_exps", e)
                y[t] += (m.key("expert_weights_scale", 0.0) or 1.0) * weight * linear(gated(gate, up), p + "ffn_down_exps", e)
        if m.has(p + "ffn_gate_inp_shexp.weight"):
            share = 1 / (1 + np.exp(-(x @ m.weight(p + "ffn_gate_inp_shexp.weight"))))
            h = gated(linear(x, p + "ffn_gate_shexp"), linear(x, p + "ffn_up_shexp"))
            y += share[:, None] * linear(h, p + "ffn_down_shexp")
        return y

    def norm(x, name):
        """Rows that have no such norm pass."""
        if m.layer_norms and m.has(name + ".weight"):
            return layer_norm(x, m.weight(name + ".weight"), m.weight(name + ".bias") if m.has(name + ".bias") else 0, m.epsilon)
        return rms_norm(x, m.weight(name + ".weight"), m.epsilon) if m.has(name + ".weight") else x

    x = m.weight("token_embd.weight", tokens) * m.embedding
    if m.has("position_embd.weight"):
        x = x + m.weight("position_embd.weight", positions)
    scale = m.key("attention.scale") or 1 / np.sqrt(m.head_dim)
    q_size, k_size = m.heads * m.head_dim, m.kv_heads * m.head_dim
    for layer in range(m.layers):
        p, window = f"blk.{layer}.", m.windows(layer)
        h = norm(x, p + "attn_norm")
        if m.has(p + "attn_qkv.weight"):
            parts = (0, q_size, q_size + k_size, q_size + 2 * k_size)
            q, k, v = (linear(h, p + "attn_qkv", a, b) for a, b in zip(parts, parts[1:]))
        else:
            q, k, v = (linear(h, p + "attn_" + c) for c in "qkv")
        if m.family in ("olmo2", "olmoe"):  # of whole rows; of heads elsewhere
            q, k = norm(q, p + "attn_q_norm"), norm(k, p + "attn_k_norm")
        q, k, v = (a.reshape(n, -1, m.head_dim) for a in (q, k, v))
        late = m.family in ("hunyuan-dense", "maincoder")  # after they rotate
        if m.family not in ("olmo2", "olmoe") and not late:
            q, k = norm(q, p + "attn_q_norm"), norm(k, p + "attn_k_norm")
        inverse, magnitude = m.frequencies(window > 0)
        still = {"smollm3": layer % 4 == 3, "cohere2": not window, "gpt2": True, "starcoder": True}.get(m.family, False)
        if not still:
            q, k = (rotate(a, positions, inverse, magnitude, m.family in ADJACENT) for a in (q, k))
        if late:
            q, k = norm(q, p + "attn_q_norm"), norm(k, p + "attn_k_norm")
        cached = kv or ("f16" if codes else "f32")
        sinks = m.weight(p + "attn_sinks.weight") if m.has(p + "attn_sinks.weight") else np.full(m.heads, -np.inf)
        out = np.concatenate([attend(q[s], k[s], v[s], m.heads // m.kv_heads, window, scale, m.score_cap, sinks, cached) for s in prompts])
        attended = linear(out.reshape(n, -1), p + "attn_output")
        if m.family in ("cohere2", "command-r"):  # side by side
            x = x + attended + mlp(h, p)
            continue
        h = attended
        before, behind = ("post_attention_norm", "") if m.family in ("gpt-oss", "seed_oss") else ("ffn_norm", "post_attention_norm")
        x = x + m.residual * norm(h, p + behind)
        h = norm(x, p + before)
        h = experts(h, p) if m.experts else mlp(h, p)
        x = x + m.residual * norm(h, p + "post_ffw_norm")
    x = norm(x, "output_norm")
    logits = linear(x, "output" if m.has("output.weight") else "token_embd") / m.divisor
    logits = m.softcap * np.tanh(logits / m.softcap) if m.softcap else logits
    return [logits[s] for s in prompts]


def mean_nll(logits, tokens):
    top = logits.max(-1, keepdims=True)
    total = (top + np.log(np.exp(logits - top).sum(-1, keepdims=True)))[:, 0]
    return float(np.mean([total[t] - logits[t, tokens[t + 1]] for t in range(len(tokens) - 1)]))


def greedy(m, tokens, count):
    """`count` likeliest continuations, and the smallest margin between first and second choice."""
    tokens, margin = list(tokens), np.inf
    for _ in range(count):
        row = forward(m, tokens)[-1]
        best = np.sort(row)[-2:]
        margin = min(margin, best[1] - best[0])
        tokens.append(int(row.argmax()))
    return tokens[-count:], float(margin)
