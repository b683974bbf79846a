"""Products of bfloat16, at the level that has them: part `bfloats` of conformance.py.

Float64 that rounds what weights of bfloat16 read as that level does (float64_model.py) says what the rounding costs; the
level's logits are held to those of no rounding and to the rounded ones, and to be the same bytes whatever the threads and the
steps are. Keys and values are float32, so that theirs is not among what is measured.
"""
import json

import numpy as np

import float64_model
from levels import OF_BFLOATS, of_this_processor

# Sizes of no whole tile; experts read their blocks one token at a time.
CASES = {"llama": "--family llama --type BF16 --width 148 --ffn 331 --layers 2 --heads 4 --kv-heads 2 --head-dim 34 --vocab 397 --head untied",
         "olmoe": "--family olmoe --type BF16 --layers 1 --heads 3 --kv-heads 1 --head-dim 16 --experts 7 --used 3 --ffn 37"}
# One bfloat16 for a value, everywhere or in feed-forward layers, costs what float64 says, with room for values that a float32 sum puts beside the next one.
COST, APART = (0.8, 1.25), 0.6
FLOAT = 2e-4  # two cost less than this, which is what float32 sums of these models may


def rms(x):
    return float(np.sqrt((x * x).mean()))


def one(suite, name, options, tokens, levels):
    checkpoint = suite.made(f"bfloats-{name}.gguf", options)
    model = float64_model.Model(checkpoint)
    true, row = float64_model.forward(model, tokens), []
    for codes, bfloats in (("q8", "bf16"), ("q8o2", "q8o2"), ("q8x2", "bf16x2")):
        rounded = float64_model.forward(model, tokens, bfloats=bfloats)
        cost = rms(rounded - true)
        artifact = suite.compiled(checkpoint, f"--activations={codes}", "--kv-type=f32", "--target=cpu")
        held = [code["isa"] for code in json.loads(suite.call("stepdown-run", "inspect", artifact, "--json"))["targets"]]
        suite.expect(set(OF_BFLOATS) <= set(held), f"{name}: expects cpu to stand for {', '.join(OF_BFLOATS)}, but got {held}")
        for level in levels:
            what = f"{name}, {codes} at {level}"
            got, _ = suite.logits(artifact, tokens, "--isa", level)
            error, apart = rms(got - true), rms(got - rounded)
            if bfloats != "bf16x2":
                suite.expect(COST[0] * cost <= error <= COST[1] * cost, f"{what}: expects an error of {COST[0]} to {COST[1]} times {cost:.2g}, but got {error:.2g}")
                suite.expect(apart <= APART * cost, f"{what}: expects logits within {APART} times {cost:.2g} of the rounded ones, but got {apart:.2g}")
            else:
                suite.expect(error <= FLOAT, f"{what}: expects an error of at most {FLOAT}, but got {error:.2g}")
            row.append(f"{codes} {error:.2g} of {cost:.2g}, apart {apart:.2g}")
            run = lambda *more: suite.generated(artifact, tokens, 5, "--isa", level, *more)["logits_sha256"]
            base = run("--threads", 1)
            for variant in [("--threads", 2, "--chunk", chunk) for chunk in (1, 3, 7, 13, 37)]:
                suite.expect(run(*variant) == base, f"{what}: expects the same bytes with {' '.join(map(str, variant))}, but got others")
    print(f"{name:32s} {'   '.join(row)}", flush=True)


def run(suite, tokens):
    levels = of_this_processor(OF_BFLOATS)
    if not levels:
        return print(f"skipped: {', '.join(OF_BFLOATS)}, which this processor lacks")
    print("rms of all logits from float64's, of what float64 with the same rounding is from them, and of these two apart")
    for name, options in CASES.items():
        suite.run(name, lambda: one(suite, name, options, tokens, levels))
