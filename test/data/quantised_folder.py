"""Linears of a Hugging Face folder in the forms of GPTQ, AWQ, compressed-tensors and FP8: tensors as their packages write
them, and beside them the float32 that their own arithmetic gives before it is rounded to a model's type.

Layouts and formulas, by reading: AutoGPTQ 0.7.1 (nn_modules/qlinear/qlinear_cuda.py: pack and forward; zero points less 1),
gptq_v2 of GPTQModel (zero points as they are), AutoAWQ 0.2.9 (utils/packing_utils.py: AWQ_ORDER, dequantize_gemm),
compressed-tensors 0.20.0 (compressors/pack_quantized, quantization/lifecycle/forward.py; 0.12 for weight_g_idx of -1), transformers 5.24
(integrations/finegrained_fp8.py: Fp8Dequantize). Written apart from the reader in lib/Checkpoint/HuggingFace.
"""
import numpy as np

AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]  # which of eight codes the halves of a word hold, from the lowest


def packed(codes, bits):
    """[streams, n] codes as a stream of bits each, in little-endian words, the last with zeros behind."""
    spread = (codes[..., None].astype(np.int64) >> np.arange(bits)) & 1
    spread = spread.reshape(len(codes), -1).astype(np.uint8)
    spread = np.pad(spread, ((0, 0), (0, -spread.shape[1] % 32)))
    return np.packbits(spread, axis=1, bitorder="little").view("<u4").astype("<i4")


def tensor(dtype, values):
    kinds = {"I32": "<i4", "I64": "<i8", "I8": "i1", "F16": "<f2", "F32": "<f4", "U8": "u1"}
    values = np.asarray(values)
    if dtype == "BF16":  # of numbers that are one
        bits = values.astype("<f4").view("<u4")
        assert not (bits & 0xFFFF).any()
        return dtype, values.shape, (bits >> 16).astype("<u2").tobytes()
    return dtype, values.shape, values.astype(kinds.get(dtype, "u1")).tobytes()


def rounded(values, dtype):
    """float32 numbers that `dtype` has."""
    values = np.asarray(values, np.float32)
    if dtype == "F16":
        return values.astype(np.float16).astype(np.float32)
    if dtype == "BF16":
        bits = values.view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)
    return values


class Integers:
    """`w` [out, in] in groups of columns: codes q, zero points z (a number where all are that) and scales s."""

    def __init__(self, w, bits, group, dtype, symmetric, random=None, zero=None):
        out, columns = w.shape
        self.group = group or columns
        groups = -(-columns // self.group)
        self.order = np.arange(columns) // self.group
        if random is not None:  # act-order: columns of a group lie anywhere
            self.order = random.permutation(self.order)
        most = 2**bits - 1
        self.s, self.z = np.empty((out, groups), np.float32), np.empty((out, groups), np.int64)
        for g in range(groups):
            part = w[:, self.order == g]
            low, high = np.minimum(part.min(1), 0), np.maximum(part.max(1), 0)
            if symmetric:
                high = np.maximum(-low, high)
                low = -high
            self.s[:, g] = np.maximum((high - low) / most, 1e-4)
            self.z[:, g] = (most + 1) // 2 if symmetric else np.clip(np.rint(-low / self.s[:, g]), 1, most)
        self.s = rounded(self.s, dtype)
        s, z = self.s[:, self.order], self.z[:, self.order]
        self.q = np.clip(np.rint(w / s) + z, 0, most).astype(np.int64)
        self.q[0, :2] = 0, most  # the ends of the range
        self.s[1, 0], self.s[2] = 0, -self.s[2]
        s = self.s[:, self.order]
        self.true = ((self.q - z).astype(np.float32) * s).astype(np.float32)  # exact for scales of 16 bits, else rounded once


def gptq(w, bits=4, group=32, symmetric=True, order=None, v2=False, dtype="F16"):
    n = Integers(w, bits, group, dtype, symmetric, order)
    return {"qweight": tensor("I32", packed(n.q, bits).T), "qzeros": tensor("I32", packed(n.z.T - (not v2), bits)),
            "scales": tensor(dtype, n.s.T), "g_idx": tensor("I32", n.order)}, n.true


def awq(w, group=32):
    n = Integers(w, 4, group, "F16", False)
    swapped = lambda codes: packed(codes.reshape(len(codes), -1, 8)[..., AWQ_ORDER].reshape(codes.shape), 4)
    return {"qweight": tensor("I32", swapped(n.q.T)), "qzeros": tensor("I32", swapped(n.z.T)), "scales": tensor("F16", n.s.T)}, n.true


def pack_quantized(w, bits=4, group=32, symmetric=True, dtype="BF16", index=False):
    n = Integers(w, bits, group, dtype, symmetric)
    made = {"weight_packed": tensor("I32", packed(n.q, bits)), "weight_shape": tensor("I64", w.shape), "weight_scale": tensor(dtype, n.s)}
    if not symmetric:
        made["weight_zero_point"] = tensor("I32", packed(n.z.T, bits).T)
    if index:  # columns in order
        made["weight_g_idx"] = tensor("I32", np.full(w.shape[1], -1))
    return made, n.true


def int_quantized(w, symmetric=True, dtype="BF16"):
    n = Integers(w, 8, 0, dtype, symmetric)
    made = {"weight": tensor("I8", n.q - 128), "weight_scale": tensor(dtype, n.s)}
    if not symmetric:
        made["weight_zero_point"] = tensor("I8", n.z - 128)
    return made, n.true


def e4m3(code):
    """Values of the codes of E4M3 as OCP has it."""
    exponent, mantissa = code >> 3 & 15, code & 7
    return np.where(code & 128, -1.0, 1.0) * np.where(exponent == 0, mantissa * 2.0**-9, (8 + mantissa) * 2.0 ** (exponent - 10.0))


CODES = np.array([c for c in range(256) if c & 127 != 127])  # the others are NaN


def float8(w, block, name="weight_scale_inv", dtype="F32", powers=False, coarse=False):
    """A scale for `block` rows and columns; None: all of them. `coarse`: powers of two, though not in E8M0."""
    rows, columns = (b or n for b, n in zip(block, w.shape))
    grid = [-(-w.shape[0] // rows), -(-w.shape[1] // columns)]
    scale = np.empty(grid, np.float32)
    for r in range(grid[0]):
        for c in range(grid[1]):
            scale[r, c] = np.abs(w[r * rows:(r + 1) * rows, c * columns:(c + 1) * columns]).max() / 448
    scale = 2.0 ** np.ceil(np.log2(scale)) if powers or coarse else rounded(scale, dtype)
    spread = np.repeat(np.repeat(scale, rows, 0), columns, 1)[:w.shape[0], :w.shape[1]].astype(np.float32)
    values = e4m3(CODES)
    order = np.argsort(values, kind="stable")
    places = np.clip(np.searchsorted(values[order], w / spread), 0, len(CODES) - 1)
    codes = CODES[order][places]
    codes.flat[:min(len(CODES), codes.size)] = CODES[:codes.size]  # each of them
    if not powers:
        scale[0, 0] *= -1
    if scale.size > 1 and not powers:
        scale.flat[1] = 0
    spread = np.repeat(np.repeat(scale, rows, 0), columns, 1)[:w.shape[0], :w.shape[1]].astype(np.float32)
    kept = tensor("F8_E8M0", np.log2(scale) + 127) if powers else tensor(dtype, scale[0] if None in block and block[0] is None else scale)
    return {"weight": tensor("F8_E4M3", codes), name: kept}, (e4m3(codes).astype(np.float32) * spread).astype(np.float32)


def group(weights, style="pack-quantized", **more):
    """quantization_config of compressed-tensors, with the keys that files have beside what is read."""
    token = {"actorder": None, "block_structure": None, "dynamic": True, "group_size": None, "num_bits": 8, "observer": None, "strategy": "token", "symmetric": True, "type": "float"}
    return {"quant_method": "compressed-tensors", "format": style, "ignore": ["lm_head"], "quantization_status": "compressed", "kv_cache_scheme": None,
            "global_compression_ratio": 1.46, "sparsity_config": {}, "transform_config": {}, "version": "0.20.0",
            "config_groups": {"group_0": {"format": style, "targets": ["Linear"], "input_activations": token if style == "float-quantized" else None, "output_activations": None,
                                          "weights": {"dynamic": False, "observer": "minmax", "observer_kwargs": {}, "actorder": None, "block_structure": None, "group_size": None, **weights}}}, **more}


def gptq_config(bits=4, group_size=32, sym=True, desc_act=False, **more):
    return {"quant_method": "gptq", "bits": bits, "group_size": group_size, "sym": sym, "desc_act": desc_act, "damp_percent": 0.01, "true_sequential": True,
            "static_groups": False, "model_name_or_path": None, "model_file_base_name": "model", "pack_dtype": "int32", "lm_head": False, **more}


RANDOM = np.random.default_rng(11)
INT = dict(num_bits=4, type="int", symmetric=True, strategy="group", group_size=32)
FLOAT = dict(num_bits=8, type="float", symmetric=True)
# name: (quantization_config, what makes a linear's tensors, the type that holds them here)
FORMS = {
    "GPTQ, 4 bits": (gptq_config(), lambda w: gptq(w), "q4_0"),
    "GPTQ, 4 bits, zero points, one group": (gptq_config(group_size=-1, sym=False), lambda w: gptq(w, group=0, symmetric=False), "q5_0"),
    "GPTQ v2, 4 bits, zero points": (gptq_config(group_size=64, sym=False, checkpoint_format="gptq_v2", meta={"quantizer": ["a"]}), lambda w: gptq(w, group=64, symmetric=False, v2=True), "q5_0"),
    "GPTQ, act-order": (gptq_config(desc_act=True), lambda w: gptq(w, order=RANDOM), "f32"),
    "GPTQ, 8 bits": (gptq_config(bits=8), lambda w: gptq(w, bits=8), "q8_0"),
    "GPTQ, 8 bits, zero points, F32 scales": (gptq_config(bits=8, sym=False), lambda w: gptq(w, bits=8, symmetric=False, dtype="F32"), "f32"),
    "GPTQ, 3 bits": (gptq_config(bits=3, sym=False), lambda w: gptq(w, bits=3, symmetric=False), "q4_0"),
    "GPTQ, 2 bits, BF16 scales": (gptq_config(bits=2), lambda w: gptq(w, bits=2, dtype="BF16"), "q4_0"),
    "AWQ": ({"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm", "zero_point": True, "modules_to_not_convert": None}, lambda w: awq(w), "q5_0"),
    "pack-quantized": (group(INT), lambda w: pack_quantized(w), "q4_0"),
    "pack-quantized, zero points": (group({**INT, "symmetric": False}), lambda w: pack_quantized(w, symmetric=False, dtype="F16"), "q5_0"),
    "pack-quantized, no order of columns": (group(INT, version="0.12.2"), lambda w: pack_quantized(w, dtype="F16", index=True), "q4_0"),
    "pack-quantized, 2 bits": (group({**INT, "num_bits": 2}), lambda w: pack_quantized(w, bits=2), "q4_0"),
    "pack-quantized, 8 bits, channels": (group(dict(num_bits=8, type="int", symmetric=True, strategy="channel")), lambda w: pack_quantized(w, bits=8, group=0), "q8_0"),
    "int-quantized": (group(dict(num_bits=8, type="int", symmetric=True, strategy="channel"), "int-quantized"), lambda w: int_quantized(w), "q8_0"),
    "int-quantized, zero points": (group(dict(num_bits=8, type="int", symmetric=False, strategy="channel"), "int-quantized"), lambda w: int_quantized(w, False), "f32"),
    "FP8, blocks": ({"quant_method": "fp8", "activation_scheme": "dynamic", "fmt": "e4m3", "weight_block_size": [48, 40]}, lambda w: float8(w, (48, 40)), "f32"),
    "FP8, blocks with powers of two": ({"quant_method": "fp8", "scale_fmt": "ue8m0", "weight_block_size": [48, 40]}, lambda w: float8(w, (48, 40), powers=True), "bf16"),
    "FP8, blocks of the default size": ({"quant_method": "fp8", "activation_scheme": "dynamic"}, lambda w: float8(w, (128, 128)), "f32"),
    "FP8, one scale": ({"quant_method": "fp8", "activation_scheme": "static", "weight_block_size": None}, lambda w: float8(w, (None, None), "weight_scale", "F32"), "f32"),
    "float-quantized, channels": (group({**FLOAT, "strategy": "channel"}, "float-quantized"), lambda w: float8(w, (1, None), "weight_scale", "BF16", coarse=True), "bf16"),
    "float-quantized, tensors": (group({**FLOAT, "strategy": "tensor"}, "float-quantized"), lambda w: float8(w, (None, None), "weight_scale", "BF16"), "f32"),
}
