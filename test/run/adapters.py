#!/usr/bin/env python3
"""LoRA adapters: what they make of a model, and what is refused.

    adapters.py --bin build/bin                   everything
    adapters.py --bin build/bin --part merged     weights with adapters merged into them, against float64
    adapters.py --bin build/bin --part beside     adapters beside the weights: against float64, in one batch, and what is refused
    adapters.py --bin build/bin --part kept       saved sequences
    adapters.py --bin build/bin --part served     adapters of a server, which come and go while it answers
    adapters.py --bin build/bin --part refusals   damaged, contradictory and other adapters get their numbered error

Models are written by test/data/make_model.py, adapters by make_adapter.py. Ends with 77 where numpy or gguf are missing.
"""
import argparse, os, shutil, sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "data")]
from conformance import LOGIT, TOKENS, Suite  # ends with 77 where numpy or gguf are missing
import concurrent.futures, json, subprocess
import made_server
import numpy as np
import float64_model
import make_folder
from levels import OF_BFLOATS, of_this_processor
from make_adapter import Adapter

PRIME = "--width 53 --heads 3 --kv-heads 1 --head-dim 14 --ffn 97"
ATTENTION, MLP = ("attn_q.", "attn_v."), ("ffn_gate", "ffn_up", "ffn_down")
# name: (options of make_model.py; whether the model is a folder; adapters: how each is written, its scale or None, and
# how it is made)
MERGED = {
    "llama F32, GGUF": (f"--family llama {PRIME}", False, [("gguf", None, dict(rank=5))]),
    "llama F32, PEFT": (f"--family llama {PRIME}", False, [("peft", None, dict(rank=7))]),
    "llama F32, a rank above k's rows": (f"--family llama {PRIME}", False, [("peft", None, dict(rank=17))]),
    "llama F16, some linears, BF16 adapter": (f"--family llama --type F16 {PRIME}", False, [("gguf", None, dict(rank=1, parts=ATTENTION, dtype="BF16"))]),
    "llama BF16, rank-stabilised": (f"--family llama --type BF16 {PRIME}", False, [("peft", None, dict(rank=11, rslora=True, alpha=2.5, dtype="F16"))]),
    "llama F32, DoRA": (f"--family llama {PRIME}", False, [("peft", None, dict(rank=3, dora=True, rslora=True))]),
    "llama F32, patterns": (f"--family llama {PRIME}", False, [("peft", None, dict(rank=5, ranks={"blk.0.attn_q": 2, "blk.1.ffn_up": 13}.items(), alphas={"blk.1.attn_k": 3.25, "blk.1.ffn_up": 17.0}.items()))]),
    "llama Q4_1, GGUF": ("--family llama --type Q4_1", False, [("gguf", None, dict(rank=5))]),
    "llama Q6_K beside Q4_K, MLP alone": ("--family llama --type Q4_K --mix attn=Q6_K --width 256", False, [("peft", None, dict(rank=5, parts=MLP))]),
    "llama, head of its own": (f"--family llama --head untied {PRIME}", False, [("peft", None, dict(rank=5, parts=("output.weight", "attn_output")))]),
    "llama, two and DoRA last": (f"--family llama {PRIME}", False, [("gguf", -0.5, dict(rank=5)), ("peft", 1.5, dict(rank=3, seed=4, dora=True, parts=ATTENTION))]),
    "llama folder, GGUF": (f"--family llama {PRIME}", True, [("gguf", None, dict(rank=5))]),
    "llama folder, PEFT with DoRA": (f"--family llama {PRIME}", True, [("peft", 0.25, dict(rank=5, dora=True))]),
    "qwen2 folder": ("--family qwen2 --type BF16 --norm-type BF16", True, [("peft", 2, dict(rank=5))]),
    "gemma3": ("--family gemma3 --layers 2 --pattern 1,0 --window 16", False, [("peft", None, dict(rank=5))]),
    "phi3, q, k and v in one": ("--family phi3", False, [("peft", None, dict(rank=5))]),
    "smollm3, layers that do not rotate": ("--family smollm3 --layers 5", False, [("peft", None, dict(rank=5))]),
    "cohere2": ("--family cohere2 --layers 5 --window 11", False, [("peft", None, dict(rank=5))]),
    "starcoder2 BF16": ("--family starcoder2 --type BF16 --heads 6 --kv-heads 2 --head-dim 16", False, [("peft", None, dict(rank=5))]),
}


def stored(values, kind):
    """float64 `values` as a merged weight of a tensor of type `kind` has them."""
    kind = kind if kind in ("F32", "BF16") else "F16"
    data = make_folder.encode(values, kind)
    if kind == "BF16":
        return (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32).reshape(values.shape).astype(np.float64)
    return np.frombuffer(data, np.float32 if kind == "F32" else np.float16).reshape(values.shape).astype(np.float64)


def compiled(suite, model, *options, name="adapted", levels=()):
    artifact = suite.path(name + ".stepdown")
    suite.call("stepdown-compile", model, "-o", artifact, f"--jobs={suite.jobs}", f"--target={(*suite.levels, *levels)[-1]}", *options)
    return artifact


def written(suite, checkpoint, i, form, made):
    adapter, path = Adapter(checkpoint, **made), suite.path(f"adapter{i}" + (".gguf" if form == "gguf" else ""))
    shutil.rmtree(path, ignore_errors=True)
    (adapter.write_gguf if form == "gguf" else adapter.write_peft)(path)
    return adapter, path


def merged(suite):
    print(f"{'model and adapters':40s} worst exact logit, how far the adapters move it")
    for name, (options, isFolder, adapters) in MERGED.items():
        def one():
            checkpoint = suite.made("model.gguf", options)
            model, plain = float64_model.Model(checkpoint), float64_model.Model(checkpoint)
            weights, words = {}, []
            for i, (form, scale, made) in enumerate(adapters):
                adapter, path = written(suite, checkpoint, i, form, made)
                words += ["--adapter", path if scale is None else f"{path}={scale}"]
                for tensor in adapter.linears:
                    before = weights[tensor] if tensor in weights else plain.weight(tensor)
                    weights[tensor] = adapter.merged(tensor, before, 1 if scale is None else scale)
            for tensor, values in weights.items():
                model.weights[tensor] = stored(values, model.tensors[tensor].tensor_type.name)
            true, base = float64_model.forward(model, TOKENS), float64_model.forward(plain, TOKENS)
            given = checkpoint
            if isFolder:
                given = suite.path("folder")
                shutil.rmtree(given, ignore_errors=True)
                make_folder.build(checkpoint, given, "BF16" if "BF16" in options else "F32")
            artifact = compiled(suite, given, "--exact", *words)
            got, _ = suite.logits(artifact, TOKENS, "--exact")
            error, moved = np.abs(got - true).max(), np.abs(base - true).max()
            suite.expect(error <= LOGIT, f"{name}: expects logits within {LOGIT}, but one is off by {error:.2g}")
            suite.expect(moved > 100 * LOGIT, f"{name}: expects adapters that matter, but they move logits by {moved:.2g}")
            print(f"{name:40s} {error:.1e}  {moved:.1e}", flush=True)
            os.remove(artifact)
        suite.run(name, one)


Q = "base_model.model.model.layers.0.self_attn.q_proj"


def swap(tensors, old, new):
    tensors[new] = tensors.pop(old)


def put(tensors, name, shape, value=0.0):
    tensors[name] = ("F32", shape, np.full(shape, value, np.float32).tobytes())


# PEFT: (keys of adapter_config.json, change of the tensors, number, part of the text)
PEFT = {
    "another method": (dict(peft_type="IA3"), None, 1471, "key 'peft_type': expects 'LORA', but got 'IA3'"),
    "no method": (dict(peft_type=None), None, 1471, "peft_type"),
    "biases": (dict(bias="all"), None, 1471, "key 'bias'"),
    "weights [in, out]": (dict(fan_in_fan_out=True), None, 1471, "key 'fan_in_fan_out'"),
    "whole modules": (dict(modules_to_save=["lm_head"]), None, 1471, "key 'modules_to_save'"),
    "PiSSA": (dict(init_lora_weights="pissa_niter_4"), None, 1471, "change the base model"),
    "LoRA-GA": (dict(init_lora_weights="lora_ga"), None, 1471, "change the base model"),
    "a bias of B": (dict(lora_bias=True), None, 1471, "key 'lora_bias'"),
    "layers that are repeated": (dict(layer_replication=[[0, 1], [0, 1]]), None, 1471, "key 'layer_replication'"),
    "parameters": (dict(target_parameters=["mlp.experts.gate_up_proj"]), None, 1471, "key 'target_parameters'"),
    "tokens": (dict(trainable_token_indices=[3]), None, 1471, "key 'trainable_token_indices'"),
    "a key nobody knows": (dict(use_newra=True), None, 1471, "key 'use_newra'"),
    "no rank": (dict(r=None), None, 1471, "key 'r'"),
    "rank 0": (dict(r=0), None, 1471, "key 'r'"),
    "a negative alpha": (dict(lora_alpha=-1), None, 1471, "key 'lora_alpha'"),
    "an alpha that is text": (dict(lora_alpha="16"), None, 1471, "key 'lora_alpha'"),
    "rank_pattern that is no object": (dict(rank_pattern=[3]), None, 1471, "rank_pattern"),
    "a pattern": (dict(rank_pattern={"layers\\.\\d+\\.mlp": 3}), None, 1471, "and no other pattern"),
    "a rank that is no number": (dict(rank_pattern={"q_proj": 2.5}), None, 1471, "key 'rank_pattern.q_proj'"),
    "patterns that contradict": (dict(alpha_pattern={"q_proj": 100, "layers.0.self_attn.q_proj": 1}), None, 1471, "expects patterns of alpha_pattern that agree"),
    "another rank": (dict(r=6), None, 1473, "expects rank 6, as adapter_config.json says, but got 5"),
    "a rank by pattern": (dict(rank_pattern={"q_proj": 4}), None, 1473, "expects rank 4"),
    "targets that are a number": (dict(target_modules=3), None, 1471, "target_modules"),
    "a target without tensors": (dict(target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "w1"]), None, 1472, "expects tensors of 'w1'"),
    "tensors without a target": (dict(target_modules=["k_proj"]), None, 1472, "that target_modules of"),
    "DoRA without magnitudes": (dict(use_dora=True), None, 1472, "expects lora_magnitude_vector"),
    "magnitudes without DoRA": ({}, lambda t: put(t, Q + ".lora_magnitude_vector", (64,)), 1472, "expects use_dora"),
    "A alone": ({}, lambda t: t.pop(Q + ".lora_B.weight"), 1472, "expects A and B, but got"),
    "B alone": ({}, lambda t: t.pop(Q + ".lora_A.weight"), 1472, "lora_B.weight alone"),
    "no tensor": ({}, lambda t: t.clear(), 1472, "expects tensors, but got none"),
    "no beginning": ({}, lambda t: swap(t, Q + ".lora_A.weight", Q[17:] + ".lora_A.weight"), 1472, "expects base_model.model. in front"),
    "an embedding's": ({}, lambda t: put(t, "base_model.model.model.embed_tokens.lora_embedding_A", (5, 389)), 1472, "lora_embedding_A"),
    "the embedding as a linear": (dict(target_modules="all-linear"), lambda t: (put(t, "base_model.model.model.embed_tokens.lora_A.weight", (5, 64)), put(t, "base_model.model.model.embed_tokens.lora_B.weight", (389, 5))), 1474, "an embedding"),
    "a tied head": (dict(target_modules="all-linear"), lambda t: (put(t, "base_model.model.lm_head.lora_A.weight", (5, 64)), put(t, "base_model.model.lm_head.lora_B.weight", (389, 5))), 1474, "expects a head of its own"),
    "a norm": (dict(target_modules="all-linear"), lambda t: (put(t, "base_model.model.model.norm.lora_A.weight", (1, 64)), put(t, "base_model.model.model.norm.lora_B.weight", (64, 1))), 1474, "a vector"),
    "experts": (dict(target_modules="all-linear"), lambda t: put(t, "base_model.model.model.layers.0.block_sparse_moe.experts.1.w1.lora_A.weight", (5, 64)), 1474, "experts"),
    "a layer too many": (dict(target_modules="all-linear"), lambda t: (put(t, Q.replace(".0.", ".1.") + ".lora_A.weight", (5, 64)), put(t, Q.replace(".0.", ".1.") + ".lora_B.weight", (64, 5))), 1472, "which has no 'blk.1.attn_q.weight'"),
    "a module of another model": (dict(target_modules="all-linear"), lambda t: put(t, "base_model.model.transformer.h.0.attn.c_attn.lora_A.weight", (5, 64)), 1472, "expects a linear of a model of architecture llama"),
    "A too wide": ({}, lambda t: put(t, Q + ".lora_A.weight", (5, 65)), 1473, "expects shape [5, 64], but got [5, 65]"),
    "B too short": ({}, lambda t: put(t, Q + ".lora_B.weight", (63, 5)), 1473, "expects shape [64, 5], but got [63, 5]"),
    "A and B of two ranks": ({}, lambda t: put(t, Q + ".lora_B.weight", (64, 4)), 1473, "expects shape [64, 5], but got [64, 4]"),
    "A of three dimensions": ({}, lambda t: put(t, Q + ".lora_A.weight", (5, 8, 8)), 1473, "[5, 8, 8]"),
    "A of none": ({}, lambda t: put(t, Q + ".lora_A.weight", ()), 1473, "got []"),
    "a rank beyond the linear": ({}, lambda t: (put(t, Q + ".lora_A.weight", (65, 64)), put(t, Q + ".lora_B.weight", (64, 65))), 1473, "expects rank 5, as adapter_config.json says, but got 65"),
    "NaN": ({}, lambda t: put(t, Q + ".lora_A.weight", (5, 64), np.nan), 1475, "expects a finite number"),
    "whole numbers": ({}, lambda t: t.update({Q + ".lora_A.weight": ("I32", (5, 64), bytes(5 * 64 * 4))}), 1404, "I32"),
}
# GGUF: (change of keys, tensors and architecture, number, part of the text)
GGUF = {
    "a model": (lambda k, t, a: k.update({"general.type": "model"}), 1470, "expects 'adapter', but got 'model'"),
    "no type": (lambda k, t, a: k.pop("general.type"), 1470, "general.type"),
    "another architecture": (lambda k, t, a: a.__setitem__(0, "qwen2"), 1474, "expects 'llama', but got 'qwen2'"),
    "another method": (lambda k, t, a: k.update({"adapter.type": "control"}), 1471, "expects 'lora'"),
    "no alpha": (lambda k, t, a: k.pop("adapter.lora.alpha"), 201, "adapter.lora.alpha"),
    "a negative alpha": (lambda k, t, a: k.update({"adapter.lora.alpha": -1.0}), 1471, "adapter.lora.alpha"),
    "a key nobody knows": (lambda k, t, a: k.update({"adapter.alora.invocation": "x"}), 1471, "adapter.alora.invocation"),
    "another tensor": (lambda k, t, a: t.update({"blk.0.attn_norm.weight": np.ones(64)}), 1472, "ends in .lora_a or .lora_b"),
    "A alone": (lambda k, t, a: t.pop("blk.0.attn_q.weight.lora_b"), 1472, "lora_a alone"),
    "the embedding": (lambda k, t, a: t.update({"token_embd.weight.lora_a": np.ones((5, 64)), "token_embd.weight.lora_b": np.ones((389, 5))}), 1474, "an embedding"),
    "a tensor of no model": (lambda k, t, a: t.update({"blk.7.attn_q.weight.lora_a": np.ones((5, 64)), "blk.7.attn_q.weight.lora_b": np.ones((64, 5))}), 1472, "which has no"),
    "A too wide": (lambda k, t, a: t.update({"blk.0.attn_q.weight.lora_a": np.ones((5, 65))}), 1473, "[5, 65]"),
    "infinity": (lambda k, t, a: t.update({"blk.0.attn_q.weight.lora_b": np.full((64, 5), np.inf)}), 1475, "expects a finite number"),
}


def refusals(suite):
    checkpoint = suite.made("model.gguf", "--family llama --layers 1")
    adapter, out = Adapter(checkpoint), suite.path("out.stepdown")

    def refused(name, words, number, text):
        try:
            suite.call("stepdown-compile", checkpoint, "-o", out, *words)
            said = "no error"
        except RuntimeError as error:
            said = str(error)
        suite.expect(f"error E{number:04d}: " in said and text in said, f"{name}: expects E{number:04d} and '{text}', but got {said}")
        suite.expect(not os.path.exists(out), f"{name}: expects no artifact")

    def folder(name, more={}, change=None):
        path = suite.path("peft")
        shutil.rmtree(path, ignore_errors=True)
        adapter.write_peft(path, change, **more)
        return path
    for name, (more, change, number, text) in PEFT.items():
        suite.run(name, lambda: refused("PEFT: " + name, ["--adapter", folder(name, more, change)], number, text))
    file = suite.path("adapter.gguf")
    for name, (change, number, text) in GGUF.items():
        def one():
            adapter.write_gguf(file, change)
            refused("GGUF: " + name, ["--adapter", file], number, text)
        suite.run(name, one)
    adapter.write_gguf(file)
    sound = folder("sound")
    checkpoint, llama = suite.made("orion.gguf", "--family orion --layers 1"), checkpoint
    refused("PEFT of a family whose folders are not read", ["--adapter", sound], 1474, "folders of architecture orion are not")
    checkpoint = llama
    refused("a file that is missing", ["--adapter", suite.path("none.gguf")], 901, "none.gguf")
    refused("no file", ["--adapter", "=2"], 905, "expects FILE or FILE=SCALE")
    refused("a scale that is infinite", ["--adapter", file + "=inf"], 905, "finite")
    refused("a scale that no weight bears", ["--adapter", file + "=1e300"], 1475, "expects merged weights that f32 holds")
    refused("weights of safetensors", ["--adapter", os.path.join(sound, "adapter_model.safetensors")], 102, "name the folder")
    scaled = suite.made("scaled.gguf", "--family llama --layers 1 --type NVFP4 --width 64 --ffn 128")
    Adapter(checkpoint, parts=("attn_q.",)).write_gguf(suite.path("of_scaled.gguf"))
    try:
        said = suite.call("stepdown-compile", scaled, "-o", out, "--adapter", suite.path("of_scaled.gguf"))
    except RuntimeError as error:
        said = str(error)
    suite.expect("error E1474: " in said and "'blk.0.attn_q.scale'" in said and not os.path.exists(out), f"a weight with a scale of its own: expects E1474, but got {said}")
    refused("an adapter over the output", ["-o", file, "--adapter", file], 960, "adapter.gguf")
    os.rename(os.path.join(sound, "adapter_model.safetensors"), os.path.join(sound, "adapter_model.bin"))
    refused("weights that are programs", ["--adapter", sound], 1470, "are programs")
    os.remove(os.path.join(sound, "adapter_config.json"))
    refused("no config", ["--adapter", sound], 1470, "adapter_config.json is missing")
    for size in (0, 3, 23, 100, os.path.getsize(file) - 1):
        with open(file, "rb") as whole, open(suite.path("cut.gguf"), "wb") as cut:
            cut.write(whole.read(size))
        try:
            suite.call("stepdown-compile", checkpoint, "-o", out, "--adapter", suite.path("cut.gguf"))
            said = "no error"
        except RuntimeError as error:
            said = str(error)
        suite.expect("error E01" in said, f"the first {size} bytes: expects a refusal of GGUF, but got {said}")
    try:
        suite.call("stepdown-compile", file, "-o", out)
    except RuntimeError as error:
        suite.expect("E0208" in str(error) or "which --adapter takes" in str(error), f"an adapter as a model: got {error}")


# name: (options of make_model.py, rank of --adapter-rank)
BESIDE = {
    "llama F32, prime sizes": (f"--family llama {PRIME}", 7),
    "llama Q4_1": ("--family llama --type Q4_1", 16),
    "llama Q8_0, one layer": ("--family llama --type Q8_0 --layers 1 --heads 6 --kv-heads 3 --head-dim 10", 5),
    "qwen2, biases": ("--family qwen2 --type Q5_0", 5),
    "gemma3": ("--family gemma3 --layers 2 --pattern 1,0 --window 16", 17),
    "starcoder2 BF16": ("--family starcoder2 --type BF16 --heads 6 --kv-heads 2 --head-dim 16", 5),
}


def beside(suite):
    print(f"{'model':40s} worst exact logit, how far the adapters move it")
    for name, (options, rank) in BESIDE.items():
        suite.run(name, lambda: one_beside(suite, name, options, rank))
    suite.run("balanced", lambda: balanced(suite))
    suite.run("refused beside", lambda: refused_beside(suite))


def one_beside(suite, name, options, rank):
    checkpoint = suite.made("model.gguf", options)
    plain = float64_model.Model(checkpoint)
    makes = [("gguf", 1, dict(rank=min(rank, 5), size=0.5)), ("peft", 0.5, dict(rank=rank, seed=4, rslora=True, size=0.5, parts=("attn_q", "ffn_up")))]
    loaded, truths = [], [float64_model.forward(plain, TOKENS)]
    for i, (form, scale, made) in enumerate(makes):
        adapter, path = written(suite, checkpoint, i, form, made)
        model = float64_model.Model(checkpoint)
        for tensor in adapter.linears:
            model.weights[tensor] = adapter.halved(tensor, plain.weight(tensor), scale)
        truths.append(float64_model.forward(model, TOKENS))
        loaded += ["--adapter", f"a{i}={path}:{scale}"]
    base = compiled(suite, checkpoint, "--exact", name="base")
    artifact = compiled(suite, checkpoint, "--exact", "--adapters=3", f"--adapter-rank={rank}")
    row = []
    for who, true in zip(("", "a0", "a1"), truths):
        got, _ = suite.logits(artifact, TOKENS, "--exact", *loaded, "--with-adapter", who)
        error, moved = np.abs(got - true).max(), np.abs(truths[0] - true).max()
        suite.expect(error <= LOGIT, f"{name}, adapter '{who}': expects logits within {LOGIT}, but one is off by {error:.2g}")
        suite.expect(not who or moved > 100 * LOGIT, f"{name}, adapter '{who}': expects one that matters, but it moves logits by {moved:.2g}")
        row.append(f"{error:.1e} {moved:.1e}")
    print(f"{name:40s} {'   '.join(row)}", flush=True)
    # Rows without an adapter have the bytes of the artifact without room for any, alone and beside others.
    lines = suite.path("requests.jsonl")
    requests = [{"id": f"{w}{i}", "tokens": TOKENS[i:i + 9 + 5 * i], "adapter": w, "max_tokens": 7, "ignore_eos": True}
                for i, w in enumerate(("", "a0", "a1", "", "a0", "a1", "a1"))]

    def run(artifact, chosen, *words):
        with open(lines, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(r) + "\n" for r in chosen)
        said = suite.call("stepdown-run", "generate", artifact, "--requests", lines, "--json", "--hash-logits", *words)
        return {r["id"]: r["logits_sha256"] if "logits_sha256" in r else r for r in map(json.loads, said.splitlines())}
    together = run(artifact, requests, "--exact", *loaded)
    same = [{**r, "id": w, "adapter": w} for w in ("", "a0", "a1") for r in requests[:1]]
    suite.expect(len(set(run(artifact, same, "--exact", *loaded).values())) == 3, f"{name}: expects three answers to one prompt")
    for r in requests:
        alone = run(artifact, [r], "--exact", *loaded, "--threads", 1)
        suite.expect(alone[r["id"]] == together[r["id"]], f"{name}: request {r['id']}: expects the same bytes alone and in a batch")
        if not r["adapter"]:
            of_base = run(base, [r], "--exact")
            suite.expect(of_base[r["id"]] == together[r["id"]], f"{name}: request {r['id']}: expects the bytes of the model without room for adapters")
    # So have they by what is fast, whose activations are in codes.
    levels = of_this_processor(OF_BFLOATS) if "BF16" in options else []
    base = compiled(suite, checkpoint, name="base", levels=levels)
    artifact = compiled(suite, checkpoint, "--adapters=3", f"--adapter-rank={rank}", levels=levels)
    together, of_base = run(artifact, requests, *loaded), run(base, [r for r in requests if not r["adapter"]])
    suite.expect(all(together[i] == hashed for i, hashed in of_base.items()), f"{name}: expects the same without --exact")
    for file in (checkpoint, base, artifact):
        os.remove(file)


def balanced(suite):
    """A and B whose sizes are far apart are what their product is, to the byte; one that binary16 has only zeros of is refused."""
    checkpoint = suite.made("model.gguf", f"--family llama {PRIME}")
    artifact, adapter = compiled(suite, checkpoint, "--exact", "--adapters=2", "--adapter-rank=5"), Adapter(checkpoint, rank=5)
    adapter.linears = {name: parts for name, parts in adapter.linears.items() if "blk." in name}
    rows = []
    for power in (0, 16, -20, 40):
        path = suite.path(f"by{power}.gguf")

        def apart(keys, tensors, architecture):
            for name in tensors:
                tensors[name] = tensors[name] * 2.0 ** (power if name.endswith("lora_a") else -power)
        adapter.write_gguf(path, apart)
        rows.append(suite.logits(artifact, TOKENS, "--exact", "--adapter", f"a={path}")[0])
    for power, row in zip((16, -20, 40), rows[1:]):
        suite.expect(np.array_equal(row, rows[0]), f"A by 2^{power}: expects the same bytes, but one is off by {abs(row - rows[0]).max():.2g}")
    truth = float64_model.Model(checkpoint)
    for tensor in adapter.linears:
        truth.weights[tensor] = adapter.merged(tensor, truth.weight(tensor))
    off = np.abs(rows[0] - float64_model.forward(truth, TOKENS))
    suite.expect(off.max() <= 0.05, f"expects logits within 0.05 of those of no rounding, but one is off by {off.max():.2g}")
    path = suite.path("small.gguf")

    def small(keys, tensors, architecture):
        for name in tensors:
            tensors[name] = tensors[name] * (1 if name.endswith("lora_a") else 2.0**-80)
    adapter.write_gguf(path, small)
    try:
        said = suite.call("stepdown-run", "eval", artifact, "--tokens", "3,4", "--adapter", f"a={path}")
    except RuntimeError as error:
        said = str(error)
    suite.expect("error E1475" in said and "zeros there" in said, f"expects E1475, but got {said}")


def refused_beside(suite):
    checkpoint = suite.made("model.gguf", "--family llama --layers 1 --head untied")
    base, artifact = compiled(suite, checkpoint, name="base"), compiled(suite, checkpoint, "--adapters=2", "--adapter-rank=5")
    good, large, dora, head = (suite.path(n) for n in ("good.gguf", "large.gguf", "dora", "head.gguf"))
    parts = ("blk.",)
    Adapter(checkpoint, rank=5, parts=parts).write_gguf(good)
    Adapter(checkpoint, rank=6, parts=parts).write_gguf(large)
    Adapter(checkpoint, rank=5, parts=parts, dora=True).write_peft(dora)
    Adapter(checkpoint, rank=5).write_gguf(head)
    cases = {
        "no room at all": (base, ["--adapter", f"a={good}"], 1477, "--adapters=N"),
        "a rank too many": (artifact, ["--adapter", f"a={large}"], 1477, "a rank of at most 5"),
        "three in two slots": (artifact, [w for n in "abc" for w in ("--adapter", f"{n}={good}")], 1477, "all 2 are taken"),
        "DoRA": (artifact, ["--adapter", f"a={dora}"], 1471, "use_dora"),
        "a linear that is not adapted": (artifact, ["--adapter", f"a={head}"], 1477, "has room for, but 'output.weight' is none"),
        "a name that none has": (artifact, ["--adapter", f"a={good}", "--with-adapter", "b"], 1478, "which are: a"),
        "a scale that nothing bears": (artifact, ["--adapter", f"a={good}:1e30"], 1475, "that f16 holds"),
        "no name": (artifact, ["--adapter", good], 905, "NAME=FILE"),
        "a name twice": (artifact, ["--adapter", f"a={good}", "--adapter", f"a={good}"], 905, "different names"),
    }
    for name, (which, words, number, text) in cases.items():
        try:
            suite.call("stepdown-run", "eval", which, "--tokens", "3,4", *words)
            said = "no error"
        except RuntimeError as error:
            said = str(error)
        suite.expect(f"error E{number:04d}: " in said and text in said, f"{name}: expects E{number:04d} and '{text}', but got {said}")
    try:
        suite.call("stepdown-compile", checkpoint, "-o", suite.path("x.stepdown"), "--adapters=2", "--target=emulated:sm_90a")
        said = "no error"
    except RuntimeError as error:
        said = str(error)
    suite.expect("error E1476: " in said, f"a device: expects E1476, but got {said}")
    try:
        suite.call("stepdown-compile", checkpoint, "--adapters=2", "--compile-to=fusion")
        said = "no error"
    except RuntimeError as error:
        said = str(error)
    suite.expect("error E0905: " in said and "--compile-to" in said, f"a phase: expects E0905, but got {said}")


def served(suite):
    checkpoint = suite.made("model.gguf", "--family llama --type Q8_0 --vocab 397")
    artifact, path = compiled(suite, checkpoint, "--adapters=2", "--adapter-rank=5", name="tiny"), suite.path("a.gguf")
    Adapter(checkpoint, rank=5).write_gguf(path)
    peft = suite.path("peft")
    Adapter(checkpoint, rank=3, seed=9, rslora=True).write_peft(peft)
    run = os.path.join(suite.bin, "stepdown-run")
    process, port = made_server.start(run, artifact, "--adapter", f"first={path}", "--change-adapters", stderr=subprocess.DEVNULL)

    def ask(what, **fields):
        status, text = made_server.ask(port, json.dumps(fields) if fields else None, what)
        return status, json.loads(text)

    def answer(model):
        status, said = ask("/v1/completions", model=model, prompt=TOKENS[:11], max_tokens=9, temperature=0, logprobs=1)
        return said["choices"][0]["text"] if status == 200 else said["error"]["code"]

    def names():
        return [model["id"] for model in ask("/v1/models")[1]["data"]]
    try:
        suite.expect(names() == ["tiny", "tiny:first"], f"a server: expects its model and the adapter, but lists {names()}")
        plain, first = answer("tiny"), answer("tiny:first")
        suite.expect(plain != first, "a server: expects an adapter to change an answer")
        suite.expect(answer("tiny:second") == "E1207", "a server: expects E1207 for an adapter that is not loaded")
        short, old = suite.path("short"), suite.path("old.gguf")
        shutil.copytree(peft, short, dirs_exist_ok=True)
        with open(os.path.join(short, "adapter_model.safetensors"), "r+b") as file:
            file.truncate(11)
        Adapter(checkpoint, rank=5).write_gguf(old, lambda k, t, a: k.pop("adapter.lora.alpha"))
        for file, code in ((path + "s", "E0901"), (__file__, "E0102"), (old, "E0201"), (suite.path("."), "E1470"), (short, "E1403")):
            status, said = ask("/v1/load_lora_adapter", lora_name="second", lora_path=file)
            suite.expect(status == 400 and said["error"]["code"] == code, f"load {file}: expects {code}, but got {status} {said}")
        suite.expect(ask("/v1/load_lora_adapter", lora_name="second", lora_path=peft, scale=0.5)[0] == 200, "a server: expects to load a second")
        suite.expect(names() == ["tiny", "tiny:first", "tiny:second"], f"a server: expects two adapters, but lists {names()}")
        second = answer("tiny:second")
        suite.expect(second not in (plain, first), "a server: expects the second to change an answer")
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            many = list(pool.map(answer, ["tiny", "tiny:first", "tiny:second"] * 4))
        suite.expect(many == [plain, first, second] * 4, "a server: expects the same answers at once as one by one")
        for words, code in ((dict(lora_name="third", lora_path=path), "E1477"), (dict(lora_name="second", lora_path=path), "E1478"),
                            (dict(lora_name="", lora_path=path), "E0611"), (dict(lora_name="x", path=path), "E0611")):
            status, said = ask("/v1/load_lora_adapter", **words)
            suite.expect(status == 400 and said["error"]["code"] == code, f"load {words}: expects {code}, but got {status} {said}")
        suite.expect(ask("/v1/unload_lora_adapter", lora_name="first")[0] == 200 and names() == ["tiny", "tiny:second"], "a server: expects to unload the first")
        suite.expect(ask("/v1/unload_lora_adapter", lora_name="first")[1]["error"]["code"] == "E1478", "a server: expects E1478 for one that is gone")
        ask("/v1/load_lora_adapter", lora_name="again", lora_path=path)
        suite.expect(answer("tiny:again") == first and answer("tiny:second") == second and answer("tiny") == plain,
                     "a server: expects the same answers once the slot has another adapter")
        suite.expect(ask("/v1/unload_lora_adapter", lora_name="second")[0] == 200, "a server: expects to unload the second")
        ask("/v1/load_lora_adapter", lora_name="second", lora_path=path)
        suite.expect(answer("tiny:second") == first, "a server: expects prompts of an earlier adapter of the name to be computed again")
    finally:
        process.terminate()
        process.wait()
    process, port = made_server.start(run, artifact, stderr=subprocess.DEVNULL)
    suite.expect(ask("/v1/load_lora_adapter", lora_name="a", lora_path=path)[1]["error"]["code"] == "E1208", "a server without --change-adapters: expects E1208")
    process.terminate()
    process.wait()


def kept(suite):
    """A saved sequence belongs to its adapter."""
    checkpoint = suite.made("model.gguf", "--family llama --type Q8_0")
    artifact, path, saved = compiled(suite, checkpoint, "--adapters=2", "--adapter-rank=5"), suite.path("a.gguf"), suite.path("saved")
    Adapter(checkpoint, rank=5).write_gguf(path)
    tokens = ",".join(map(str, TOKENS[:13]))

    def text(*words):
        return json.loads(suite.call("stepdown-run", "generate", artifact, "--ignore-eos", "--json", "--hash-logits", *words))["tokens"]
    whole = text("--tokens", tokens, "-n", 9, "--adapter", f"a={path}")
    begun = text("--tokens", tokens, "-n", 4, "--adapter", f"a={path}", "--save-session", saved)
    rest = text("--load-session", saved, "-n", 5, "--adapter", f"other={path}")
    suite.expect(begun + rest == whole, f"a saved sequence: expects {whole}, but got {begun} and {rest}")
    for name in ("a", "b"):  # one adapter by two names
        twice = ("--adapter", f"a={path}", "--adapter", f"b={path}", "--with-adapter", name)
        suite.expect(text("--load-session", saved, "-n", 5, *twice) == rest, f"a saved sequence by the name {name}: expects {rest}")
    for name, words in (("without it", ()), ("another scale", ("--adapter", f"a={path}:2")), ("none chosen", ("--adapter", f"a={path}", "--with-adapter", ""))):
        try:
            said = text("--load-session", saved, "-n", 1, *words)
        except RuntimeError as error:
            said = str(error)
        suite.expect("error E1512: " in said, f"a saved sequence, {name}: expects E1512, but got {said}")
    # So does one of a model that an adapter was merged into, with its scale.
    artifacts = [compiled(suite, checkpoint, "--adapter", words, name=f"merged{i}") for i, words in enumerate((path, path + "=-1", path + "=1.0"))]
    suite.call("stepdown-run", "generate", artifacts[0], "--tokens", tokens, "-n", 4, "--ignore-eos", "--save-session", saved)
    for artifact, same in zip(artifacts, (True, False, True)):
        try:
            said = str(text("--load-session", saved, "-n", 1))
        except RuntimeError as error:
            said = str(error)
        suite.expect(("error E1512: " in said) != same, f"a saved sequence of {artifact}: expects it to be {'taken' if same else 'E1512'}, but got {said}")


PARTS = {"merged": merged, "beside": beside, "served": served, "kept": kept, "refusals": refusals}


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--bin", required=True, help="folder of stepdown-compile and stepdown-run")
    a.add_argument("--part", choices=PARTS, action="append")
    a.add_argument("--jobs", type=int, default=2)
    options = a.parse_args()
    suite = Suite(options)
    for part in options.part or PARTS:
        PARTS[part](suite)
    suite.finish()


if __name__ == "__main__":
    main()
