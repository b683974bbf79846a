"""What 8-bit activations cost, of every storage type and family: part `activations` of conformance.py.

Two things are held to float64 that rounds the inputs of quantised linears to the same blocks (float64_model.py): how far
logits are from those of no rounding at all, and how far they are from the rounded ones. A float32 sum can put a value that
lies between two codes on the other one, so the second distance is not that of float32, but a part of the first.
"""
import json
import os

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


def run(suite, families, tokens):
    print("rms of all logits from float64's, of what float64 with the same codes is from them, and of these two apart")
    for kind in random_weights.TYPES:
        suite.run(kind, lambda: one(suite, kind, shape(kind), tokens))
    for name, options in families.items():
        if "--family llama" not in options:  # which the types have
            suite.run(name, lambda: one(suite, name, options, tokens))
