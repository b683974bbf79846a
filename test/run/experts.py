"""Mixtures of experts: part `experts` of conformance.py, whose part `families` compares logits of several with float64.

Rows of a ragged batch are the bytes that each sequence has alone; and of the file only the experts that tokens are routed to
are read. Through the library, which the build makes beside bin: skipped by name where it is not there.
"""
import os
import re
import sys

import numpy as np

import float64_model

RAGGED = {
    "qwen3moe": "--family qwen3moe --type Q4_1 --layers 2 --head-dim 32 --experts 13 --used 3 --expert-ffn 32",
    "olmoe": "--family olmoe --type F16 --layers 1 --heads 3 --kv-heads 1 --head-dim 16 --experts 17 --used 5 --ffn 37",
}
# One layer, whose experts are 256 KiB each in each of three stacks.
LARGE = "--family qwen3moe --type F32 --layers 1 --width 128 --head-dim 32 --experts 61 --used 1 --expert-ffn 512"
AROUND = 2 << 20  # bytes that Linux maps with a page that is touched, on each side at most


def library(suite):
    path = os.path.join(os.path.dirname(suite.bin), "libstepdown.so")
    if not os.path.exists(path):
        print(f"skipped: experts in batches and in memory, without {path}")
        return None
    os.environ["STEPDOWN_LIBRARY"] = path
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))
    import stepdown
    return stepdown


def ragged(suite, stepdown, name, options):
    """Random batches of several sequences, each row as where its sequence goes token by token alone."""
    checkpoint = suite.made(f"experts-{name}.gguf", options)
    artifact = suite.compiled(checkpoint, f"--target={suite.levels[-1]}")
    random = np.random.default_rng(5)
    prompts = [[int(t) for t in random.integers(3, 380, size)] for size in (1, 29, 7, 2, 13)]
    model = stepdown.Model(artifact)
    alone = []
    for prompt in prompts:
        session = model.session(threads=1)
        sequence = session.sequence()
        alone.append(np.concatenate([session.step([(sequence, token, True)]) for token in prompt]))
    for threads, most in ((1, 52), (2, 3), (2, 17)):
        session = model.session(threads=threads)
        sequences, done = [session.sequence() for _ in prompts], [0] * len(prompts)
        while any(at < len(prompt) for at, prompt in zip(done, prompts)):
            batch, expected = [], []
            for i in random.permutation(len(prompts)):
                count = min(int(random.integers(0, most)) + (most == 52) * 52, len(prompts[i]) - done[i])
                batch += [(sequences[i], token, True) for token in prompts[i][done[i]:done[i] + count]]
                expected += list(alone[i][done[i]:done[i] + count])
                done[i] += count
            if batch:
                got = session.step(batch)
                suite.expect(got.tobytes() == np.array(expected).tobytes(), f"{name}: expects {len(batch)} rows with {threads} threads to be the bytes that they are alone, but got others")
    print(f"{name}: batches of 52, 3 and 17 a sequence", flush=True)


def resident(artifact):
    """Bytes of the mapped artifact that this process has in memory."""
    with open("/proc/self/smaps", encoding="utf-8") as file:
        text = file.read()
    parts = re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", text)
    return sum(1024 * int(re.search(r"^Rss: +(\d+) kB", part, re.M).group(1)) for part in parts if artifact in part.split("\n", 1)[0])


def memory(suite, stepdown):
    checkpoint = suite.made("experts-large.gguf", LARGE)
    artifact = suite.compiled(checkpoint, f"--target={suite.levels[-1]}")
    tokens = [5]
    reference = float64_model.Model(checkpoint)
    float64_model.forward(reference, tokens)
    routed, experts = len(reference.routed), reference.experts
    each, stacks = 128 * 512 * 4, 3
    rest = os.path.getsize(artifact) - experts * stacks * each
    model = stepdown.Model(artifact)
    before = resident(artifact)
    suite.expect(0 < before <= rest + stacks * 2 * 4096, f"experts: expects at most the {rest} bytes that are no expert's to be in memory before a step, but got {before}")
    session = model.session(threads=2)
    sequence = session.sequence()
    session.step([(sequence, token, True) for token in tokens])
    after = resident(artifact)
    least, most = routed * stacks * each, rest + routed * stacks * (each + 2 * AROUND)
    suite.expect(least <= after <= most < os.path.getsize(artifact), f"experts: expects {least} to {most} bytes in memory after tokens of {routed} experts, of {rest + experts * stacks * each}, but got {after}")
    print(f"{routed} of {experts} experts: {before} bytes in memory, then {after}, of {rest + experts * stacks * each}", flush=True)


def run(suite):
    stepdown = library(suite)
    if not stepdown and not suite.checks:
        sys.exit(77)
    if stepdown:
        for name, options in RAGGED.items():
            suite.run(f"experts, {name}", lambda: ragged(suite, stepdown, name, options))
        suite.run("experts in memory", lambda: memory(suite, stepdown))
