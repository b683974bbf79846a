#!/usr/bin/env python3
"""Models on an emulated GPU: logits against float64, the same bytes however a step is cut, and several targets in a file.

    device_models.py --bin build/bin --device emulated:sm_90a                   every part
    device_models.py --bin build/bin --device emulated:gfx942 --part families   one part of PARTS
    device_models.py --bin build/bin --device emulated:sm_90a --part smollm2    the checkpoint in $STEPDOWN_MODELS, or models/
    device_models.py --bin build/bin --device emulated:sm_90a --part reference  three prompts of it, of $STEPDOWN_VECTORS

Tiny checkpoints of test/data/make_model.py; every kernel of a step is executed by the emulator with all its checks on.
Ends with 77 where numpy or gguf are missing.
"""
import argparse
import json
import os
import resource
import struct
import subprocess
import sys

import conformance  # ends with 77 where numpy or gguf are missing
import real_models
from conformance import FAMILIES, LOGIT, MORE, Suite, float64_model, np, random_weights

TOKENS = conformance.TOKENS[:11]
CACHE = 2e-2  # absolute, where keys and values are binary16
PRODUCTS = 5e-2  # absolute, where products with quantised weights are too
TILES = ("sm_80", "sm_90a", "gfx90a", "gfx942", "gfx950", "gfx1100", "gfx1201")  # chips with a tile kernel of products with quantised weights
# SmolLM2's: the prompt, and behind it the likeliest tokens by a float64 evaluation of the same file.
ANSWER = [504, 3575, 282, 4649, 314, 7042, 30, 198, 198, 504, 2988, 314]
# Attention of more than one split; the last has more query heads for one of the cache than blocks of threads take.
CONTEXTS = {"llama, 293 tokens": "--family llama --type Q4_1 --heads 6 --kv-heads 3 --head-dim 16 --sinks",
            "gemma3, a window of 149": "--family gemma3 --type IQ4_NL --pattern 1 --window 149 --softcap 10",
            "nine query heads for one": "--family llama --type Q8_0 --heads 9 --kv-heads 1 --head-dim 16"}
# Models whose bytes are compared: with a window, and with experts, which each token of a batch has others of.
BYTES = {"gemma3": "--family gemma3 --type Q5_0 --layers 2 --pattern 1,0 --window 7",
         "qwen2moe": "--family qwen2moe --type Q4_0 --layers 2 --experts 7 --used 3 --expert-ffn 96 --shared-ffn 160"}
# Families with experts whose kernels conformance.py has in others, two layers of each.
EXPERTS = {"qwen3moe": "--family qwen3moe --type Q4_1 --layers 2 --head-dim 32 --experts 13 --used 3 --expert-ffn 32",
           "olmoe, prime sizes": "--family olmoe --type F16 --layers 2 --heads 3 --kv-heads 1 --head-dim 16 --experts 17 --used 5 --ffn 37",
           "llama with experts": "--family llama --type Q4_K --width 256 --ffn 256 --layers 2 --experts 5",
           "granitemoe": "--family granitemoe --type Q4_0 --layers 2 --experts 11 --used 3 --ffn 96"}
MANY = "--family qwen3moe --type Q8_0 --layers 1 --head-dim 32 --experts 1021 --used 64 --expert-ffn 32 --vocab 389"
FIRST = "--family llama --type F32 --layers 1 --width 53 --heads 1 --kv-heads 1 --head-dim 14 --ffn 37 --vocab 389"


def against_float64(suite, name, options, device, products=PRODUCTS, tokens=TOKENS):
    """float32 throughout within the bound of a float32 run; with a cache, and products, of binary16 within their noise."""
    checkpoint = suite.made("model.gguf", options)
    model = float64_model.Model(checkpoint)
    true = float64_model.forward(model, tokens)
    row = []
    for mode, bound in ((("--exact",), LOGIT), ((), products if device.endswith(TILES) else CACHE)):
        artifact = suite.compiled(checkpoint, f"--target={device}", *mode)
        got, _ = suite.logits(artifact, tokens, "--device", device, *mode)
        error = np.abs(got - true).max()
        suite.expect(error <= bound, f"{name} on {device} {' '.join(mode)}: expects logits within {bound}, but one is off by {error:.2g}")
        row.append(f"{error:.1e}")
        os.remove(artifact)
    print(f"{name:32s} {'   '.join(row)}", flush=True)


def first(suite, device):
    against_float64(suite, "one layer of prime sizes", FIRST, device, CACHE)
    against_float64(suite, "64 of 1021 experts", MANY, device)  # more than a block has threads


def families(suite, device):
    for name, options in FAMILIES.items():
        suite.run(name, lambda: against_float64(suite, name, options + " --vocab 389", device))
    for name, options in {**MORE, **EXPERTS}.items():
        suite.run(name, lambda: against_float64(suite, name, options + " --vocab 389", device))


def types(suite, device):
    for kind in random_weights.TYPES:
        suite.run(kind, lambda: against_float64(suite, kind, f"--type {kind} --width 256 --ffn 256 --layers 1", device,
                                                PRODUCTS if kind.startswith(("Q", "IQ")) else CACHE))
    suite.run("rare", lambda: against_float64(suite, "rare", "--type rare --width 256 --ffn 256 --layers 2", device))


def contexts(suite, device):
    """Contexts of several chunks of positions: without a window, with one that begins within a chunk, with sinks and soft-caps."""
    tokens = [int(t) for t in np.random.default_rng(7).integers(3, 380, 293)]
    for name, options in CONTEXTS.items():
        suite.run(name, lambda: against_float64(suite, name, options + " --layers 1 --vocab 389", device, tokens=tokens))


def same_bytes(suite, device):
    """Chunks, cache blocks and company never show in a result."""
    for name, options in BYTES.items():
        same_bytes_of(suite, device, name, options)


def same_bytes_of(suite, device, name, options):
    checkpoint = suite.made(f"{name}.gguf", options)
    artifact = suite.compiled(checkpoint, f"--target={device}")
    random = np.random.default_rng(11)
    prompts = [[int(t) for t in random.integers(3, 380, size)] for size in (23, 1, 7)]
    run = lambda prompt, *more: suite.generated(artifact, prompt, 3, "--device", device, *more)["logits_sha256"]
    base = run(prompts[0])
    for variant in (("--chunk", 1), ("--chunk", 5), ("--kv-block", 16), ("--kv-block", 64)):
        suite.expect(run(prompts[0], *variant) == base, f"{name} on {device}: expects the same bytes with {' '.join(map(str, variant))}, but got others")
    requests = suite.path("requests.jsonl")
    with open(requests, "w") as file:
        for i, prompt in enumerate(prompts):
            file.write(json.dumps({"id": str(i), "tokens": prompt, "max_tokens": 3, "ignore_eos": True}) + "\n")
    said = suite.call("stepdown-run", "generate", artifact, "--requests", requests, "--temperature", 0, "--json", "--hash-logits", "--device", device)
    batch = {a["id"]: a["logits_sha256"] for a in map(json.loads, said.splitlines())}
    for i, prompt in enumerate(prompts):
        suite.expect(batch.get(str(i)) == run(prompt), f"{name} on {device}: expects request {i} in a batch as alone, but got other bytes")
    print(f"{name}, same bytes on {device}: {base[:16]}", flush=True)


def weight_bytes(artifact):
    """Bytes of the WEIGHTS section, as the header's table has them (include/stepdown/Artifact.h)."""
    with open(artifact, "rb") as file:
        page = file.read(4096)
    count = struct.unpack_from("<H", page, 12)[0]
    sections = [struct.unpack_from("<HHIQQQ", page, 544 + 32 * i) for i in range(count)]
    return sum(size for kind, _, _, _, size, _ in sections if kind == 4)


def moves(suite, device, whole, names):
    """A sequence that one device has begun goes on on another as if that had begun it: 32 greedy tokens of each."""
    held = [t["target"] for t in json.loads(suite.call("stepdown-run", "inspect", "--json", whole))["targets"]]
    others = [name for name in names if name in held and (name == "cpu" or name.startswith("emulated:"))]
    answers = {own: suite.generated(whole, TOKENS[:5], 2 + 32, "--device", own)["tokens"] for own in others}
    suite.expect(all(answer == answers[others[0]] for answer in answers.values()), f"expects one answer, but got {answers}")
    saved = suite.path("saved.session")
    for first in others:
        begun = suite.generated(whole, TOKENS[:5], 2, "--device", first, "--save-session", saved)["tokens"]
        for second in others:
            if device not in (first, second):
                continue
            said = suite.call("stepdown-run", "generate", whole, "--load-session", saved, "-n", 32, "--ignore-eos", "--json", "--device", second)
            got = begun + json.loads(said)["tokens"]
            suite.expect(got == answers[second], f"{first}, then {second}: expects {answers[second]}, but got {got}")
    print(f"one answer of 34 tokens on {', '.join(others)}, and of each behind tokens of {device} and the other way round", flush=True)


def several_targets(suite, device):
    """One file for the processor, a chip and both devices: each runs its own code, over one copy of the weights."""
    names = ("cpu", "nvidia:sm_90a", "emulated:sm_90a", "emulated:gfx942")
    checkpoint = suite.made("targets.gguf", "--family llama --type Q4_1 --layers 1 --width 96 --ffn 160")
    whole = suite.compiled(checkpoint, f"--target={','.join(names)}", "--exact")
    true = float64_model.forward(float64_model.Model(checkpoint), TOKENS)
    for own in ("cpu", device):
        got, _ = suite.logits(whole, TOKENS, "--device", own, "--exact")
        error = np.abs(got - true).max()
        suite.expect(error <= LOGIT, f"{own} of a file for {', '.join(names)}: expects logits within {LOGIT}, but one is off by {error:.2g}")
    alone = suite.compiled(checkpoint, "--target=cpu", "--exact")
    sizes = [weight_bytes(artifact) for artifact in (whole, alone)]
    suite.expect(sizes[0] == sizes[1], f"expects one copy of the weights, but got {sizes[0]} bytes for all and {sizes[1]} for cpu")
    listed = json.loads(suite.call("stepdown-run", "inspect", "--json", whole))["targets"]
    suite.expect(list(dict.fromkeys(t["target"] for t in listed)) == list(names), f"expects inspect to list {names}, but got {listed}")
    for t in listed:
        suite.expect(t["weight_bytes"] == sizes[0] and t["code_bytes"] > 0 and t["session_bytes"]["total"] > 0,
                     f"expects weights of {sizes[0]} bytes, code and a session's bytes, but got {t}")
    moves(suite, device, whole, names)
    # With products and a cache of binary16, whose sums differ in their order.
    moves(suite, device, suite.compiled(checkpoint, "--target=emulated:sm_90a,emulated:gfx942"), names)
    own = suite.path("own.stepdown")
    done = subprocess.run([os.path.join(suite.bin, "stepdown-compile"), checkpoint, f"--target={device}", "--activations=q8", "-o", own],
                          capture_output=True, text=True)
    suite.expect("--activations is for processors" in done.stderr, f"expects a word on --activations, but got {done.stderr!r}")
    with open(own, "rb") as file:
        suite.expect(b'"activations":"f32"' in file.read(), f"expects an artifact for {device} alone to tell of float32 activations")
    print(f"{', '.join(names)} in one file, {sizes[0]} bytes of weights", flush=True)


def smollm2(suite, device):
    """8 tokens of the reference's answer to "The capital of France is", and 4 more of its."""
    checkpoint = os.path.join(os.environ.get("STEPDOWN_MODELS", "models"), "smollm2.gguf")
    if not os.path.exists(checkpoint):
        print(f"skipped: no {checkpoint}")
        sys.exit(77)
    artifact = suite.compiled(checkpoint, f"--target={device}")
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    got = suite.generated(artifact, ANSWER[:8], 4, "--device", device)["tokens"]
    seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    suite.expect(got == ANSWER[8:], f"SmolLM2 on {device}: expects tokens {ANSWER[8:]}, but got {got}")
    suite.expect(seconds < 240, f"SmolLM2 on {device}: expects less than 240 s of processor time, but took {seconds:.0f} s")
    print(f"SmolLM2 on {device}: 8 tokens and 4 generated, {seconds:.0f} s of processor time", flush=True)


def reference(suite, device):
    """32 greedy tokens of three prompts, in one batch, as they were recorded from float64 (--vectors of conformance.py)."""
    models = os.environ.get("STEPDOWN_MODELS", "models")
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    vectors = os.environ.get("STEPDOWN_VECTORS", os.path.join(root, "..", "shared", "vectors"))
    checkpoint, recorded = os.path.join(models, "smollm2.gguf"), os.path.join(vectors, "models", real_models.FILES["smollm2.gguf"])
    for path in (checkpoint, recorded):
        if not os.path.exists(path):
            print(f"skipped: no {path}")
            sys.exit(77)
    with open(recorded, encoding="utf-8") as file:
        prompts = {prompt["name"]: prompt for prompt in json.load(file)["prompts"] if len(prompt["tokens"]) < 50}
    suite.expect(len(prompts) == 3, f"{recorded}: expects three short prompts, but got {list(prompts)}")
    artifact, requests = suite.compiled(checkpoint, f"--target={device}"), suite.path("reference.jsonl")
    with open(requests, "w", encoding="utf-8") as file:
        for name, prompt in prompts.items():
            file.write(json.dumps({"id": name, "tokens": prompt["tokens"], "max_tokens": 32, "ignore_eos": True}) + "\n")
    said = suite.call("stepdown-run", "generate", artifact, "--requests", requests, "--temperature", 0, "--json", "--device", device)
    answers = {answer["id"]: answer["tokens"] for answer in map(json.loads, said.splitlines())}
    for name, prompt in prompts.items():
        got, wanted = answers.get(name, []), prompt["greedy"][:32]
        same = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), len(got))
        print(f"SmolLM2 on {device}, {name}: {same} of 32 tokens as recorded, least margin {min(prompt['margins'][:32]):.3f}", flush=True)
        suite.expect(got == wanted, f"SmolLM2 on {device}, {name}: expects {wanted}, but got {got}, with margins of {prompt['margins'][:32]}")


PARTS = {"first": first, "families": families, "types": types, "contexts": contexts, "bytes": same_bytes, "targets": several_targets,
         "smollm2": smollm2, "reference": reference}
LONG = ("reference",)  # a quarter of an hour and more: by name alone


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--bin", required=True, help="folder of stepdown-compile and stepdown-run")
    a.add_argument("--device", required=True)
    a.add_argument("--part", choices=PARTS, action="append")
    a.add_argument("--jobs", type=int, default=1)
    options = a.parse_args()
    suite = Suite(options)
    for part in options.part or [part for part in PARTS if part not in LONG]:
        suite.run(part, lambda: PARTS[part](suite, options.device))
    suite.finish()


if __name__ == "__main__":
    main()
