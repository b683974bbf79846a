#!/usr/bin/env python3
"""What rounding keys and values to 8 bits takes from them, of a sequence saved from an f16 cache.

    stepdown-run generate MODEL.stepdown -f text.txt -n 1 --temperature 0 --save-session text.session
    test/bench/cache_rounding.py text.session [--positions N]

For the first N positions: the length of what rounding takes from a head over the head's length, rms over heads and positions,
averaged over layers, in float64. runtime/Session/SavedSequence.h says how the bytes lie. Needs NumPy and gguf.
"""
import argparse, os, sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "run"))
import float64_model

F16 = 1  # STEPDOWN_F16


def layers(path):
    """Of each layer (keys, values), [positions, heads, channels]."""
    with open(path, "rb") as file:
        data = file.read()
    if data[:8] != b"STEPDSEQ":
        sys.exit(f"{path}: expects a saved sequence")
    groups, (held, pending) = int.from_bytes(data[12:16], "little"), np.frombuffer(data, "<i4", 2, 24)
    at = 128 + 4 * (int(held) + int(pending)) + 8
    told = np.frombuffer(data, "<u4", 8 * groups, at).reshape(groups, 8)
    at += told.nbytes + 8
    for count, heads, key, value, _, element, first, _ in told.tolist():
        if element != F16:
            sys.exit(f"{path}: expects keys and values of f16")
        for _ in range(count):
            pair = []
            for channels in (key, value):
                size = (int(held) - first) * heads * channels
                pair.append(np.frombuffer(data, "<f2", size, at).reshape(-1, heads, channels).astype(np.float64))
                at += 2 * size + 8
            yield pair


def eights(x):
    return float64_model.round_cache(x, "fp8_e4m3")


def scaled(x, channels=None, power=False):
    """8-bit floats times a binary16 scale, or a power of two, for `channels` of a head or for all, whose largest is 448."""
    parts = x.reshape(*x.shape[:-1], -1, channels or x.shape[-1])
    scale = np.abs(parts).max(-1, keepdims=True) / 448
    scale = np.where(scale == 0, 1, scale)
    scale = 2.0 ** np.ceil(np.log2(scale)) if power else scale.astype(np.float16).astype(np.float64)
    return (eights(parts / scale) * scale).reshape(x.shape)


FORMS = {
    "fp8_e4m3": eights,
    "the same with a scale for a head": scaled,
    "the same with a scale for 32 channels": lambda x: scaled(x, 32),
    "a power of two for a head in place of a scale": lambda x: scaled(x, power=True),
    "q8_0": lambda x: float64_model.round_cache(x, "q8_0"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("session")
    parser.add_argument("--positions", type=int, default=400)
    options = parser.parse_args()
    pairs = [[part[:options.positions] for part in pair] for pair in layers(options.session)]
    print(f"{len(pairs)} layers, {len(pairs[0][0])} positions; largest key {max(np.abs(k).max() for k, _ in pairs):.1f}, value {max(np.abs(v).max() for _, v in pairs):.1f}\n")
    print("| | keys | values |\n| --- | --- | --- |")
    for name, rounded in FORMS.items():
        shares = []
        for which in (0, 1):
            each = [(((rounded(p[which]) - p[which]) ** 2).sum(-1) / (p[which] ** 2).sum(-1)).mean() ** 0.5 for p in pairs]
            shares.append(f"{100 * float(np.mean(each)):.2f} %")
        print(f"| {name} | {shares[0]} | {shares[1]} |")


if __name__ == "__main__":
    main()
