#!/usr/bin/env python3
"""What is right: compiled models against float64, and the same bytes however they run.

    conformance.py --bin build/bin                                    tiny checkpoints of every family and storage type
    conformance.py --bin build/bin --models DIR --vectors DIR         the two real checkpoints against recorded float64
    conformance.py --bin build/bin --part types                       one part alone: families, types, activations, bytes, window,
                                                                      cache, experts or bfloats

Without --models every tiny checkpoint is written by test/data/make_model.py, compiled twice (--exact and default) and run
at every instruction-set level that this processor has. Ends with 77 where numpy or gguf are missing.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "data")]
# The same bytes whether or not a shell set them: numpy's own threads only get in the way of what is tested.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
try:
    import numpy as np
    import gguf  # noqa: F401, make_model.py needs it
    import float64_model
    import make_model
    import random_weights
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)
import activation_codes
import bfloats
import cache_types
import experts
from levels import LEVELS, of_this_processor

LOGIT, NLL = 2e-3, 1e-4  # --exact: absolute, and relative
RARE = "--type rare --width 256 --ffn 512 --layers 2"
TOKENS = [int(t) for t in np.random.default_rng(7).integers(3, 380, 40)]
FAMILIES = {
    "llama": "--family llama --type Q4_K --width 256 --layers 2",
    "llama, one cache head": "--family llama --type Q8_0 --kv-heads 1",
    "llama, biases and own head": "--family llama --type Q5_0 --bias --head untied --fused-qkv",
    "llama, sinks": "--family llama --type Q4_1 --heads 6 --kv-heads 3 --head-dim 16 --sinks",
    "llama, llama3 rotation": "--family llama --type Q4_0 --rope llama3:8 --context 8192",
    "llama, linear rotation": "--family llama --type Q4_0 --rope linear:4",
    "llama, yarn rotation": "--family llama --type Q4_0 --rope yarn:4:128",
    "qwen2": "--family qwen2 --type Q5_1",
    "qwen3": "--family qwen3 --type Q4_1 --head-dim 32",
    "gemma3": "--family gemma3 --type Q5_0 --layers 6 --window 16",
    "gemma3, soft-cap": "--family gemma3 --type IQ4_NL --layers 2 --pattern 1,0 --window 16 --softcap 10",
    "phi3": "--family phi3 --type Q8_0",
    "phi3, half of a head rotates": "--family phi3 --type Q4_0 --rope-dims 8",
    "phi3, long rotation": "--family phi3 --type Q8_0 --rope longrope:128",
}
# Families whose kernels are those of others, in other orders: at the highest level alone.
MORE = {
    "gemma2": "--family gemma2 --type Q5_1 --layers 2 --window 16",
    "granite": "--family granite --type Q4_1",
    "olmo2": "--family olmo2 --type Q8_0 --heads 6 --kv-heads 2 --head-dim 16",
    "qwen3moe, experts that are equal": "--family qwen3moe --type Q4_1 --layers 1 --head-dim 32 --experts 37 --used 17 --expert-ffn 32 --equal-experts --unsound-experts 3 --expert-scale 0.7",
    "olmoe, floats, prime sizes and a router of NaN": "--family olmoe --type F16 --layers 1 --heads 3 --kv-heads 1 --head-dim 16 --experts 17 --used 16 --ffn 37 --unsound-experts 17",
    "smollm3": "--family smollm3 --type Q4_0 --layers 5",
    "gpt2": "--family gpt2 --type Q5_1 --kv-heads 4 --context 64",
    "starcoder2": "--family starcoder2 --type Q8_0 --heads 6 --kv-heads 2 --head-dim 16",
    "cohere2": "--family cohere2 --type Q4_1 --layers 5 --window 11",
    "internlm2": "--family internlm2 --type Q5_0 --head untied",
    "qwen2moe": "--family qwen2moe --type Q4_0 --experts 7 --used 3 --expert-ffn 96 --shared-ffn 160 --head untied",
    "gpt-oss": "--family gpt-oss --type MXFP4 --layers 2 --heads 6 --kv-heads 2 --head-dim 16 --experts 7 --used 3 --expert-ffn 96 --window 11 --rope yarn:4:128 --head untied",
}
# More of experts, and families that differ from others by a name or a switch, by hand with STEPDOWN_EVERY_FAMILY=1.
if os.environ.get("STEPDOWN_EVERY_FAMILY"):
    MORE |= {
        "ernie4_5": "--family ernie4_5 --type Q4_0",
        "xverse": "--family xverse --type Q4_1 --kv-heads 4",
        "exaone": "--family exaone --type Q8_0 --rope llama3:8 --context 8192 --freq-base 100000",
        "seed_oss": "--family seed_oss --type Q5_0 --head-dim 32 --head untied",
        "gemma": "--family gemma --type Q4_0 --kv-heads 1 --head-dim 32",
        "hunyuan-dense": "--family hunyuan-dense --type Q4_1 --head-dim 32",
        "maincoder": "--family maincoder --type Q5_1",
        "glm4": "--family glm4 --type Q4_0 --rope-dims 8",
        "chatglm": "--family chatglm --type Q8_0 --rope-dims 8 --head untied",
        "command-r": "--family command-r --type Q4_1",
        "orion": "--family orion --type Q5_0 --head untied",
        "codeshell": "--family codeshell --type Q4_0",
        "starcoder": "--family starcoder --type Q5_1 --kv-heads 1 --context 64",
        "qwen3moe": "--family qwen3moe --type Q4_1 --head-dim 32 --experts 13 --used 3 --expert-ffn 32",
        "64 of more experts": "--family qwen3moe --type Q4_1 --layers 1 --head-dim 32 --experts 67 --used 64 --expert-ffn 32 --equal-experts",
        "olmoe, floats and prime sizes": "--family olmoe --type F16 --layers 1 --heads 3 --kv-heads 1 --head-dim 16 --experts 17 --used 5 --ffn 37",
        "olmoe": "--family olmoe --type Q8_0 --heads 4 --kv-heads 2 --head-dim 16 --experts 17 --used 4",
        "llama with experts": "--family llama --type Q4_K --width 256 --ffn 256 --layers 1 --experts 5",
        "granitemoe": "--family granitemoe --type Q4_0 --experts 11 --used 3 --ffn 96",
        "experts of every type": "--family qwen3moe --type mixed --width 256 --layers 6 --experts 3 --expert-ffn 256",
    }


class Suite:
    def __init__(self, options):
        self.bin = os.path.abspath(options.bin)
        self.levels = of_this_processor()
        self.jobs, self.checks, self.failures = options.jobs, 0, []
        self.verified = False # whether the compiler checks what each pass leaves, and not each phase alone
        for level in LEVELS:
            if level not in self.levels:
                print(f"skipped: {level}, which this processor lacks")
        self.folder = tempfile.mkdtemp(prefix="stepdown-conformance-")

    def call(self, program, *arguments, **more):
        done = subprocess.run([os.path.join(self.bin, program), *map(str, arguments)], capture_output=True, text=True, **more)
        if done.returncode:
            raise RuntimeError(f"{program} {' '.join(map(str, arguments))}: status {done.returncode}: {done.stderr.strip()[:400]}")
        return done.stdout

    def path(self, name):
        return os.path.join(self.folder, name)

    def made(self, name, options):
        make_model.build(self.path(name), *options.split())
        return self.path(name)

    def compiled(self, checkpoint, *options):
        artifact = self.path(os.path.basename(checkpoint) + "".join(options) + ".stepdown")
        if not os.path.exists(artifact):
            named = any(option.startswith("--target") for option in options)
            levels = [f"--target={','.join(self.levels)}"] if self.levels and not named else []
            more = {"env": {**os.environ, "STEPDOWN_VERIFY_PASSES": "1"}} if self.verified and not options else {}
            self.call("stepdown-compile", checkpoint, "-o", artifact, f"--jobs={self.jobs}", *levels, *options, **more)
        return artifact

    def finish(self):
        """Says what came out, and ends the program."""
        subprocess.run(["rm", "-rf", self.folder])
        print(f"{self.checks} checks, {len(self.failures)} failures")
        print("\n".join(self.failures))
        sys.exit(1 if self.failures or not self.checks else 0)

    def expect(self, holds, text):
        self.checks += 1
        if not holds:
            self.failures.append(text)
            print(f"FAILED {text}", flush=True)

    def logits(self, artifact, tokens, *options):
        """(all rows of logits, what --json says)"""
        out = self.path("logits.npy")
        said = self.call("stepdown-run", "eval", artifact, "--tokens", ",".join(map(str, tokens)), "--logits", out, "--json", "--threads", 1, *options)
        return np.load(out).astype(np.float64), json.loads(said)

    def generated(self, artifact, tokens, count, *options):
        said = self.call("stepdown-run", "generate", artifact, "--tokens", ",".join(map(str, tokens)), "-n", count,
                         "--temperature", 0, "--ignore-eos", "--json", "--hash-logits", *options)
        return json.loads(said)

    def run(self, part, function):
        try:
            function()
        except (RuntimeError, KeyError, ValueError) as error:
            self.expect(False, f"{part}: {error}")


def against_float64(suite, name, options, tokens=TOKENS, levels=None):
    """--exact within the bounds of a float32 run; default within twice the noise of its rounding."""
    checkpoint = suite.made("model.gguf", options)
    model = float64_model.Model(checkpoint)
    true = float64_model.forward(model, tokens)
    nll = float64_model.mean_nll(true, tokens)
    noisy = float64_model.forward(model, tokens, codes="q8o2")
    noise = np.sqrt(((noisy - true) ** 2).mean())
    target = (f"--target={','.join(levels)}",) if levels else ()
    exact, fast = suite.compiled(checkpoint, "--exact", *target), suite.compiled(checkpoint, *target)
    row = []
    for level in levels or suite.levels:
        got, said = suite.logits(exact, tokens, "--exact", "--isa", level)
        error = np.abs(got - true).max()
        suite.expect(error <= LOGIT, f"{name} at {level}: expects logits within {LOGIT}, but one is off by {error:.2g}")
        suite.expect(abs(said["mean_nll"] - nll) <= NLL * nll, f"{name} at {level}: expects mean NLL {nll:.6f}, but got {said['mean_nll']}")
        top = max(abs(true[-1, i] - v) for i, v in said["top"])
        suite.expect(len(said["top"]) == 20 and top <= LOGIT, f"{name} at {level}: expects a top 20 within {LOGIT}, but one is off by {top:.2g}")
        got, said = suite.logits(fast, tokens, "--isa", level)
        rms = np.sqrt(((got - true) ** 2).mean())
        # At least the noise of float32 and binary16 themselves, for models without quantised weights.
        suite.expect(rms <= 2 * max(noise, 2e-3), f"{name} at {level}: expects logits within twice the noise {noise:.2g}, but got {rms:.2g} rms")
        row.append(f"{error:.1e} {rms / max(noise, 2e-3):5.2f}")
    ids, margin = float64_model.greedy(model, tokens[:7], 6)
    if margin > 2 * LOGIT:
        got = suite.generated(exact, tokens[:7], 6, "--exact")["tokens"]
        suite.expect(got == ids, f"{name}: expects greedy ids {ids}, but got {got}")
    print(f"{name:32s} {'   '.join(row)}", flush=True)
    for file in (checkpoint, exact, fast):
        os.remove(file)


def families(suite):
    suite.verified = True
    print(f"{'family':32s} {'   '.join(f'{level}: worst exact logit, default / noise' for level in suite.levels)}")
    for name, options in FAMILIES.items():
        suite.run(name, lambda: against_float64(suite, name, options))
    print(f"at {suite.levels[-1]} alone")
    for name, options in MORE.items():
        suite.run(name, lambda: against_float64(suite, name, options, levels=suite.levels[-1:]))


def types(suite):
    print("storage type, as the weights of every matrix")
    for kind in random_weights.TYPES:
        suite.run(kind, lambda: against_float64(suite, kind, activation_codes.shape(kind)))  # whose kernels are kept
    suite.run("mixed", lambda: against_float64(suite, "every type in one model", "--type mixed --width 256 --layers 3"))
    suite.run("rare", lambda: against_float64(suite, "rare types in one model", RARE))
    for kind in random_weights.RARE if os.environ.get("STEPDOWN_EVERY_FAMILY") else ():
        suite.run(kind, lambda: against_float64(suite, kind, activation_codes.shape(kind)))


def same_bytes(suite):
    """One hash of the logits: threads, chunks, cache blocks, company and repetition never show in a result."""
    cases = {"llama": "--family llama --type mixed --width 256 --layers 2 --vocab 512 --mix attn_k=NVFP4 --mix attn_v=IQ2_XS",
             "gemma3": "--family gemma3 --type Q5_0 --layers 6 --window 32"}
    random = np.random.default_rng(11)
    prompts = [[int(t) for t in random.integers(3, 380, size)] for size in (150, 1, 17, 64, 5, 33, 2, 90)]
    for family, options in cases.items():
        checkpoint = suite.made(f"bytes-{family}.gguf", options)
        for compiled, mode in (((), ()), (("--activations=q8",), ()), (("--exact",), ("--exact",))):
            artifact = suite.compiled(checkpoint, *compiled)
            for level in suite.levels:
                what = f"{family} {' '.join(compiled)} at {level}"
                run = lambda *more: suite.generated(artifact, prompts[0], 12, "--isa", level, *mode, *more)
                base = run("--threads", 1)["logits_sha256"]
                variants = [("--threads", t) for t in (1, 2, 4)] + [("--kv-block", b) for b in (16, 32, 64)]
                variants += [("--threads", 2, "--chunk", c) for c in (1, 7, 64, 512)]
                for variant in variants:
                    got = run(*variant)["logits_sha256"]
                    suite.expect(got == base, f"{what}: expects the same bytes with {' '.join(map(str, variant))}, but got others")
                requests = suite.path("requests.jsonl")
                with open(requests, "w") as file:
                    for i, prompt in enumerate(prompts):
                        file.write(json.dumps({"id": str(i), "tokens": prompt, "max_tokens": 12, "ignore_eos": True}) + "\n")
                said = suite.call("stepdown-run", "generate", artifact, "--requests", requests, "--temperature", 0, "--json",
                                  "--hash-logits", "--isa", level, "--threads", 2, *mode)
                batch = {a["id"]: a["logits_sha256"] for a in map(json.loads, said.splitlines())}
                suite.expect(len(batch) == 8, f"{what}: expects 8 answers, but got {len(batch)}")
                for i in range(len(prompts)):
                    alone = base if i == 0 else suite.generated(artifact, prompts[i], 12, "--isa", level, *mode)["logits_sha256"]
                    suite.expect(batch.get(str(i)) == alone, f"{what}: expects request {i} of {len(prompts[i])} tokens in a batch as alone, but got other bytes")
                print(f"{what:44s} {base[:16]}", flush=True)


def window(suite):
    """Beyond a window of 32, in chunks that straddle its edge and the edges of cache blocks."""
    checkpoint = suite.made("window.gguf", "--family gemma3 --type Q8_0 --layers 7 --window 32")
    tokens = [int(t) for t in np.random.default_rng(5).integers(3, 380, 200)]
    model = float64_model.Model(checkpoint)
    true = float64_model.forward(model, tokens)
    artifact = suite.compiled(checkpoint, "--exact")
    for level in suite.levels:
        for chunk, block in ((512, 32), (31, 16), (33, 32), (48, 64), (5, 16), (1, 32)):
            got, _ = suite.logits(artifact, tokens, "--exact", "--isa", level, "--chunk", chunk, "--kv-block", block)
            error = np.abs(got - true).max()
            suite.expect(error <= LOGIT, f"window at {level}, chunks of {chunk}, blocks of {block}: expects logits within {LOGIT}, but one is off by {error:.2g} at position {np.abs(got - true).max(1).argmax()}")
        ids, margin = float64_model.greedy(model, tokens[:60], 12)
        got = suite.generated(artifact, tokens[:60], 12, "--exact", "--isa", level, "--chunk", 31, "--kv-block", 16)["tokens"]
        suite.expect(margin <= 2 * LOGIT or got == ids, f"window at {level}: expects greedy ids {ids}, but got {got}")
        print(f"window of 32, 200 tokens, {level}: {error:.1e}", flush=True)


PARTS = {"families": families, "types": types, "activations": lambda suite: activation_codes.run(suite, FAMILIES, TOKENS),
         "bytes": same_bytes, "window": window, "cache": lambda suite: cache_types.run(suite, TOKENS), "experts": experts.run,
         "bfloats": lambda suite: bfloats.run(suite, TOKENS)}


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--bin", required=True, help="folder of stepdown-compile and stepdown-run")
    a.add_argument("--models", help="folder of the real checkpoints")
    a.add_argument("--vectors", help="folder with models/*.json, recorded from float64")
    a.add_argument("--part", choices=PARTS, action="append")
    a.add_argument("--jobs", type=int, default=os.cpu_count())
    options = a.parse_args()
    suite = Suite(options)
    if not suite.levels:
        print("skipped: this processor has none of the levels")
        sys.exit(77)
    if options.models:
        import real_models
        real_models.run(suite, options.models, options.vectors)
    else:
        for part in options.part or PARTS:
            suite.run(part, lambda: PARTS[part](suite))
    suite.finish()


if __name__ == "__main__":
    main()
