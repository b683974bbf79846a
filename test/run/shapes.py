#!/usr/bin/env python3
"""Models of random shapes against float64: sizes that are no whole tile, in every place that has a size.

    shapes.py --bin build/bin                                 40 shapes of a seed that it prints
    shapes.py --bin build/bin --count 500 --first 170 --seed 7 --jobs 4    shapes 170 to 669: many shapes in parts, over days
    shapes.py --bin build/bin --seed 7 --only 123             one shape again, as a failure names it
    shapes.py --bin build/bin --count 500 --batches 20        more batches on each compiled model

A shape is a checkpoint of one to three layers with a prime vocabulary, odd widths where the storage type allows them, heads
of 8 to 256 columns in odd numbers and groups, compiled with --exact (even ones) or without (odd ones, with each kind
of --activations in turn). It runs three ragged batches, or --batches, of one to nine sequences of one to 70 tokens, each
fed in up to three steps. Every row of logits of a batch is compared with the plain forward pass of float64_model.py; then what the programs say of the artifact with the session:
`generate --requests` (rows to the byte, from sequences that the session ran in other company) and `eval` (its likelihood
against float64, its --logits to the byte). Ends with 77 where numpy or gguf are missing.
"""
import argparse
import hashlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "data"), os.path.join(HERE, "..", "..", "python")]
sys.dont_write_bytecode = True
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
try:
    import numpy as np
    import gguf
    import float64_model
    import make_model
    import random_weights
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)
from levels import of_this_processor

# --exact: the largest difference of any logit, as a part of their spread in the row. Default: the rms of any row, in units
# of the noise that rounding activations and cache has in float64: that of the row or of all rows, whichever is larger, and
# at least that of float32 and binary16. Narrow models have rows with five times the noise of all.
EXACT, NOISE, LEAST = 5e-5, 4.0, 2e-3
NLL = 1e-4
PRIMES = [n for n in range(331, 620) if all(n % d for d in range(2, 25))]
HEADS = (8, 13, 20, 24, 33, 36, 40, 48, 56, 72, 80, 96, 100, 112, 120, 127, 144, 160, 200, 255, 256)


class Draw:
    """The options of make_model.py for one case, and the batch that runs on it."""

    def __init__(self, seed, index, batches):
        self.random = random = np.random.default_rng([seed, index])
        pick = lambda *values: values[int(random.integers(len(values)))]
        between = lambda low, high: int(random.integers(low, high + 1))
        family = pick(*make_model.FAMILIES)
        kind = pick("F32", "F16", "BF16", "mixed", *random_weights.TYPES, *pick(random_weights.RARE[:6], random_weights.RARE[6:]))
        block = 32 if kind == "mixed" else gguf.GGML_QUANT_SIZES[random_weights.Kind[kind]][0]
        fits = lambda low, high: max(1, between(low, high) // block) * block
        # make_model.py stores what is no whole block of `kind` as a type that allows it, as quantisers do.
        width = pick(fits(8, 160), between(8, 160)) if block < 256 else pick(256, 256, between(8, 200))
        if family in make_model.LAYER_NORMS:  # which need whole blocks
            width = (width + 31) // 32 * 32
        ffn = pick(fits(5, 200), between(5, 200)) if block < 256 else pick(256, 512, between(5, 300))
        head = pick(between(8, 256), pick(*HEADS))
        kv = between(1, 5)
        heads = kv * pick(*[g for g in (1, 1, 2, 3, 4, 5, 7, 8) if kv * g <= 9])
        if block > 1 and random.random() < 0.6:  # blocks of attn_output that begin and end inside heads
            while heads * head % block:
                heads, head = heads + kv if heads + kv <= 32 else kv, head - 1 if head > 8 else 256
                if heads * head > 2304:
                    heads = kv
        rope_dims = 0
        if head % 2 or random.random() < 0.2:
            rope_dims = 2 * between(1, head // 2)
        layers = between(1, 3) + (3 if family == "smollm3" else 0)  # of which every fourth is another
        o = ["--family", family, "--type", kind, "--width", width, "--ffn", ffn, "--heads", heads, "--kv-heads", kv, "--head-dim", head,
             "--layers", layers, "--vocab", pick(*PRIMES), "--context", 128, "--seed", between(1, 1 << 30),
             "--norm-type", pick("F32", "F32", "F16", "BF16"), "--head", pick("tied", "untied")]
        rotates = family not in make_model.UNROTATED
        if rope_dims and rotates:
            o += ["--rope-dims", rope_dims]
        if family in ("gemma2", "gemma3"):
            o += ["--window", between(1, 45)]
            o += pick(["--pattern", between(1, 3)], ["--pattern", ",".join(str(between(0, 1)) for _ in range(layers))] if layers > 1 else [])
            o += pick([], ["--softcap", between(5, 30)])
        if family == "gemma2":
            o += pick([], ["--score-cap", between(1, 50)])
        if family not in ("gemma3", "phi3"):
            o += pick([], ["--bias"]) + pick([], ["--fused-qkv"])
        rope = pick([], [], [], ["--rope", "linear:3"], ["--rope", "yarn:2"], ["--rope", "llama3:8"])
        o += rope if rotates else []
        if np.random.default_rng([seed, index, 1]).random() < 0.2:  # of its own, so that the rest of a shape stays what it was
            o += ["--sinks"]
        self.options = [str(v) for v in o]
        vocabulary = int(o[o.index("--vocab") + 1])
        self.batches = []
        for _ in range(batches):
            longest = pick(1, 3, 17, 33, 70)
            prompts = [random.integers(0, vocabulary, between(1, longest)).tolist() for _ in range(between(1, 9))]
            # Each sequence is cut at random into what three steps append to it; some parts are empty.
            cuts = [sorted([0, len(p), *random.integers(0, len(p) + 1, 2).tolist()]) for p in prompts]
            self.batches.append((prompts, cuts, pick(16, 32, 64), between(1, 3)))


class Case:
    def __init__(self, setup, index):
        self.setup, self.failures, self.worst, self.batches = setup, [], 0.0, 0
        self.draw = Draw(setup.seed, index, setup.batches)
        self.mode = () if index % 2 else ("--exact",)
        self.level = setup.levels[index // 2 % len(setup.levels)]
        self.codes = setup.codes[index // 2 // len(setup.levels) % len(setup.codes)]

    def path(self, name):
        return os.path.join(self.folder, name)

    def expect(self, holds, text):
        if not holds:
            self.failures.append(text)

    def call(self, program, *arguments):
        done = subprocess.run([os.path.join(self.setup.bin, program), *map(str, arguments)], capture_output=True, text=True, timeout=600)
        if done.returncode:
            raise RuntimeError(f"{program} {' '.join(map(str, arguments))}: status {done.returncode}: {done.stderr.strip()[:300]}")
        return done.stdout

    def run(self):
        with tempfile.TemporaryDirectory(prefix="stepdown-shapes-") as self.folder:
            try:
                make_model.build(self.path("m.gguf"), *self.draw.options)
                model = float64_model.Model(self.path("m.gguf"))
                self.call("stepdown-compile", self.path("m.gguf"), "-o", self.path("m.stepdown"), "--jobs=1", f"--target={self.level}",
                          *(self.mode or [f"--activations={self.codes}"]))
                for number, (prompts, cuts, block, threads) in enumerate(self.draw.batches):
                    self.name = f"{' '.join(self.mode) or self.codes}, batch {number} of {len(prompts)}"
                    true = float64_model.forward_all(model, prompts)
                    rows = self.rows_of(prompts, cuts, block, threads)
                    self.compare_rows(rows, true, self.noise(model, prompts, true))
                    self.compare_requests(prompts, rows, threads)
                    self.batches += 1
                self.compare_eval(prompts, rows, true)
            except Exception as error:  # the case is named with it
                self.failures.append(f"{type(error).__name__}: {error}")
        return self

    def rows_of(self, prompts, cuts, block, threads):
        """All rows of logits of the ragged batch: for each prompt float32 [tokens, vocabulary]."""
        import stepdown
        session = stepdown.Model(self.path("m.stepdown"), isa=self.level).session(threads, block, 9 * 128, 9)
        sequences = [session.sequence() for _ in prompts]
        rows = [[] for _ in sequences]
        for part in range(3):
            tokens = [(i, t) for i, (p, c) in enumerate(zip(prompts, cuts)) for t in p[c[part] : c[part + 1]]]
            for begin in range(0, len(tokens), session.model.max_step_tokens):
                some = tokens[begin : begin + session.model.max_step_tokens]
                for (i, _), row in zip(some, session.step([(sequences[i], t, True) for i, t in some])):
                    rows[i].append(row)
        return [np.array(r) for r in rows]

    def noise(self, model, prompts, true):
        """Of the roundings of the default mode, in float64: for each prompt the rms of its rows, no less than that of all
        rows; None where nothing is rounded."""
        if self.mode:
            return [None] * len(prompts)
        squares = [((a - b) ** 2).mean(-1) for a, b in zip(true, float64_model.forward_all(model, prompts, codes=self.codes))]
        least = max(LEAST**2, np.mean(np.concatenate(squares)))
        return [np.sqrt(np.maximum(s, least)) for s in squares]

    def compare_rows(self, rows, true, noise):
        for i, (got, want, unit) in enumerate(zip(rows, true, noise)):
            error = got.astype(np.float64) - want
            if unit is not None:
                off, most, unit = np.sqrt((error**2).mean(-1)) / unit, NOISE, "times the noise"
            else:
                off, most, unit = np.abs(error).max(-1) / np.maximum(1, np.ptp(want, -1)), EXACT, "of their spread"
            off = np.where(np.isfinite(off), off, np.inf)
            worst = int(off.argmax())
            self.worst = max(self.worst, float(off[worst]))
            self.expect(off[worst] <= most, f"{self.name}: sequence {i}, row {worst} of {len(off)}: expects logits within {most} {unit}, but got {off[worst]:.3g}")

    def compare_requests(self, prompts, rows, threads):
        with open(self.path("r.jsonl"), "w") as file:
            for i, prompt in enumerate(prompts):
                file.write(json.dumps({"id": str(i), "tokens": prompt, "max_tokens": 1, "ignore_eos": True, "temperature": 0}) + "\n")
        said = self.call("stepdown-run", "generate", self.path("m.stepdown"), "--requests", self.path("r.jsonl"), "--json", "--hash-logits",
                         "--threads", threads, "--isa", self.level, *self.mode)
        answers = {a["id"]: a for a in map(json.loads, said.splitlines())}
        self.expect(len(answers) == len(rows), f"{self.name}: expects {len(rows)} answers, but got {len(answers)}")
        for i, own in enumerate(rows):
            answer = answers.get(str(i), {})
            same = answer.get("logits_sha256") == hashlib.sha256(own[-1].tobytes()).hexdigest() and answer.get("tokens") == [int(own[-1].argmax())]
            self.expect(same, f"{self.name}: expects request {i} to draw from the session's row, but it did not")

    def compare_eval(self, prompts, rows, true):
        """The longest sequence alone."""
        i = max(range(len(rows)), key=lambda i: len(rows[i]))
        said = json.loads(self.call("stepdown-run", "eval", self.path("m.stepdown"), "--tokens", ",".join(map(str, prompts[i])), "--json", "--logits",
                                    self.path("rows.npy"), "--threads", 1, "--isa", self.level, *self.mode))
        self.expect(np.load(self.path("rows.npy")).tobytes() == rows[i].tobytes(), f"{self.name}: expects eval to write the session's rows of sequence {i}, but got others")
        if len(prompts[i]) > 1:
            nll = float64_model.mean_nll(true[i] if self.mode else rows[i].astype(np.float64), prompts[i])
            self.expect(abs(said["mean_nll"] - nll) <= NLL * max(1, nll), f"{self.name}: expects eval to find mean NLL {nll:.6f}, but got {said['mean_nll']}")


class Setup:
    def __init__(self, options):
        self.bin, self.seed, self.batches = os.path.abspath(options.bin), options.seed, options.batches
        self.codes = options.activations.split(",")
        self.levels = of_this_processor()


def run_case(work):
    setup, index = work
    case = Case(setup, index).run()
    return index, case.draw.options + list(case.mode or [f"--activations={case.codes}"]), case.failures, case.worst, case.batches


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--bin", required=True, help="folder of stepdown-compile and stepdown-run")
    a.add_argument("--library", help="libstepdown.so; default: STEPDOWN_LIBRARY, else beside --bin")
    a.add_argument("--count", type=int, default=40)
    a.add_argument("--first", type=int, default=0, help="index of the first shape")
    a.add_argument("--batches", type=int, default=3, help="ragged batches that each compiled model runs")
    a.add_argument("--activations", default="q8o2,q8,q8x2", help="what those without --exact are compiled with, in turn")
    a.add_argument("--seed", type=int, default=int(time.time()), help="default: the time")
    a.add_argument("--only", type=int, help="run this case alone")
    a.add_argument("--jobs", type=int, default=1, help="cases at a time")
    options = a.parse_args()
    if options.library:
        os.environ["STEPDOWN_LIBRARY"] = os.path.abspath(options.library)
    setup = Setup(options)
    if not setup.levels:
        print("skipped: this processor has none of the levels")
        sys.exit(77)
    indices = range(options.first, options.first + options.count) if options.only is None else range(options.only, options.only + 1)
    print(f"{len(indices)} shapes of {options.batches} batches, of seed {options.seed}, {indices.start} to {indices.stop - 1}, at {', '.join(setup.levels)}", flush=True)
    failed, done, batches, worst, start = 0, 0, 0, [0.0, 0.0], time.time()
    with multiprocessing.Pool(options.jobs, maxtasksperchild=200) as pool:
        for index, drawn, failures, off, ran in pool.imap_unordered(run_case, [(setup, i) for i in indices]):
            done, batches = done + 1, batches + ran
            worst[index % 2] = max(worst[index % 2], off)
            if failures:
                failed += 1
                print(f"FAILED --seed {options.seed} --batches {options.batches} --only {index}: {' '.join(drawn)}", *failures, sep="\n    ", flush=True)
            if done % 100 == 0:
                print(f"{done} shapes, {batches} batches, {failed} failures; worst {worst[0]:.1e} and {worst[1]:.2f}; {time.time() - start:.0f} s", flush=True)
    print(f"{done} compiled shapes, {batches} batches, {indices.start} to {indices.stop - 1} of seed {options.seed}, {failed} failures; worst --exact {worst[0]:.1e} of the spread, others {worst[1]:.2f} times the noise; {time.time() - start:.0f} s")
    sys.exit(1 if failed or done != len(indices) else 0)


if __name__ == "__main__":
    main()
