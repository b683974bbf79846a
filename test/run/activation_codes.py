"""What 8-bit activations cost, of every storage type and family: part `activations` of conformance.py.

Two things are held to float64 that rounds the inputs of quantised linears to the same blocks (float64_model.py): how far
logits are from those of no rounding at all, and how far they are from the rounded ones. A float32 sum can put a value that
lies between two codes on the other one, so the second distance is not that of float32, but a part of the first.
"""
import json
import os

import gguf
import numpy as np

import float64_model
import random_weights

# Both in units of what float64 says that the codes cost, rms over all rows: 0.99 to 1.01 and up to 0.4 in 27 models, with
# room for other weights. Two codes a value would cost a hundredth.
COST, APART = (0.75, 1.33), 0.6
# The default's cost, in units of that of one code a value: 0.26 to 0.41. Less would be other codes than it is said to have.
DEFAULT = (0.1, 0.5)
HALF = 2e-3  # of float32 and binary16, which the cache has


def shape(kind):
    """A model of one storage type, as this part and `types` have it: half of the kernels of either are those of the other."""
    return f"--type {kind} --width 256 --ffn 512 --layers 2"


def rms(x):
    return float(np.sqrt((x * x).mean()))


def one(suite, name, options, tokens):
    checkpoint = suite.made("model.gguf", options)
    model = float64_model.Model(checkpoint)
    if not any(model.quantised(tensor) for tensor in model.tensors):
        return
    true = float64_model.forward(model, tokens)
    row, files = [], [checkpoint]
    for codes in ("q8", "q8o2"):
        rounded = float64_model.forward(model, tokens, codes)
        cost = rms(rounded - true)
        artifact = suite.compiled(checkpoint, f"--activations={codes}")
        files.append(artifact)
        told = json.loads(suite.call("stepdown-run", "inspect", artifact, "--json"))["provenance"]["options"]["activations"]
        suite.expect(told == codes, f"{name}: expects inspect to tell of {codes}, but got {told}")
        for level in suite.levels:
            what = f"{name}, {codes} at {level}"
            got, _ = suite.logits(artifact, tokens, "--isa", level)
            error, apart = rms(got - true), rms(got - rounded)
            if codes == "q8":
                one_code = cost
                suite.expect(COST[0] * cost <= error <= COST[1] * cost, f"{what}: expects an error of {COST[0]} to {COST[1]} times {cost:.2g}, but got {error:.2g}")
                suite.expect(apart <= APART * cost, f"{what}: expects logits within {APART} times {cost:.2g} of the rounded ones, but got {apart:.2g}")
            else:
                least, most = DEFAULT[0] * one_code, max(DEFAULT[1] * one_code, HALF)
                suite.expect(error <= most, f"{what}: expects an error of at most {most:.2g}, but got {error:.2g}")
                suite.expect(error >= least or least < HALF, f"{what}: expects an error of at least {least:.2g}, but got {error:.2g}")
            row.append(f"{codes} {error:.4f} of {cost:.4f}, apart {apart:.4f}")
    print(f"{name:32s} {'   '.join(row)}", flush=True)
    for file in files:
        os.remove(file)


# Which columns of 32 are outliers of q8o2 in each block of 256: two quads of the first 16, two of the last, one of each.
OUTLIERS = (slice(16, 24), slice(8, 16), slice(12, 20), slice(0, 8), slice(24, 32), slice(12, 20), slice(16, 24), slice(0, 8))


def put_extremes(path):
    """What the values of layer 0 read, and their weights, become the codes with the largest products that there are.

    Tokens are a sign times a pattern of signs; the norm makes outliers of quads 16319 / 127 times as large as the rest, so
    that all codes are 127 or 16319. Rows have codes 0 and 63 of Q6_K times -128 or 127, of the sign that all products of a
    row have in common; keys are zero, so that attention adds the values of all positions that a token sees.
    """
    random, reader = np.random.default_rng(7), gguf.GGUFReader(path, "r+")
    tensors = {tensor.name: tensor.data for tensor in reader.tensors}
    pattern = np.concatenate([np.full(32, 1), np.full(32, -1), np.tile([1, -1], 16), random.choice([-1, 1], 160)])
    embedding = tensors["token_embd.weight"]
    embedding[:] = np.where(np.arange(len(embedding)) % 3 == 0, -1, 1)[:, None] * pattern
    norm = np.ones((8, 32), np.float32)
    for block, columns in enumerate(OUTLIERS):
        norm[block, columns] = 16319 / 127
    tensors["blk.0.attn_norm.weight"][:] = norm.reshape(-1)
    keys, values = tensors["blk.0.attn_k.weight"], tensors["blk.0.attn_v.weight"]
    keys[:, 208:] = 0
    rows = len(values)
    scales = random.choice(np.array([-128, 127], np.int8), (rows, 16))
    scales[: rows // 2] = np.where(np.arange(rows // 2) % 2, 127, -128)[:, None]
    sign = np.where(np.arange(rows) % 4 < 2, 1, -1)[:, None] * pattern * np.sign(scales.astype(int)).repeat(16, 1)
    codes = np.where(sign > 0, 63, 0).astype(np.uint8).reshape(rows, 2, 4, 32)  # [row][half][quarter][column]
    low, high = codes & 15, codes >> 4
    values[:, :128] = np.stack([low[:, :, 0] | low[:, :, 2] << 4, low[:, :, 1] | low[:, :, 3] << 4], 2).reshape(rows, 128)
    values[:, 128:192] = (high[:, :, 0] | high[:, :, 1] << 2 | high[:, :, 2] << 4 | high[:, :, 3] << 6).reshape(rows, 64)
    values[:, 192:208] = scales.view(np.uint8)
    values[:, 208:] = np.array([2.0**-24], "<f2").view(np.uint8)  # values of about 2
    reader.data.flush()


def extremes(suite, tokens):
    """Largest products of Q6_K: sums of 32 columns stay exact at every level. One that wrapped would be off by 2^32 of them,
    as large as the values themselves."""
    checkpoint = suite.made("extremes.gguf", shape("Q6_K") + " --head untied --mix token_embd=F32")
    put_extremes(checkpoint)
    model, row = float64_model.Model(checkpoint), []
    true = float64_model.forward(model, tokens)
    for codes in ("q8", "q8o2", "q8x2"):
        rounded = float64_model.forward(model, tokens, codes)
        most = max(APART * rms(rounded - true), HALF)
        artifact = suite.compiled(checkpoint, f"--activations={codes}")
        first = None
        for level in suite.levels:
            got, _ = suite.logits(artifact, tokens, "--isa", level)
            first = got if first is None else first
            apart = rms(got - rounded)
            suite.expect(apart <= most, f"extremes, {codes} at {level}: expects logits within {most:.2g} of the rounded ones, but got {apart:.2g}")
            suite.expect(np.array_equal(got, first), f"extremes, {codes}: expects the logits of {suite.levels[0]} at {level}")
        row.append(f"{codes} apart {apart:.4f} of {rms(true):.2f}")
    print(f"{'extremes of Q6_K':32s} {'   '.join(row)}", flush=True)


def run(suite, families, tokens):
    print("rms of all logits from float64's, of what float64 with the same codes is from them, and of these two apart")
    suite.run("extremes", lambda: extremes(suite, tokens))
    # Of the rare types those whose scales are floats, and those whose codes are the largest.
    for kind in (*random_weights.TYPES, "NVFP4", "IQ2_XS"):
        suite.run(kind, lambda: one(suite, kind, shape(kind), tokens))
    for name, options in families.items():
        if "--family llama" not in options:  # which the types have
            suite.run(name, lambda: one(suite, name, options, tokens))
