#!/usr/bin/env python3
"""No key of a checkpoint is dropped: goes through every key that the gguf package knows, for every family of DISTINCT.

    keys.py STEPDOWN_COMPILE STEPDOWN_RUN

Each key is set to a value that asks for something. Then the file is refused (by the key's name, unless the key is one whose
value the weights contradict), or the module that comes out is another one, or the key is in HARMLESS below. What is used is
compared with float64 for the keys of USED. Ends with 77 where numpy or gguf are missing.
"""
import json, os, re, subprocess, sys, tempfile
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "data")]
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
try:
    import numpy as np
    import gguf
    import float64_model, gguf_edit, make_model
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

COMPILE, RUN = sys.argv[1:]
TOKENS = [int(t) for t in np.random.default_rng(11).integers(3, 380, 37)]
BOUND = 2e-3  # of logits, with --exact

# Keys whose type is not told by their name; the others are u32, or f32 where REAL matches.
REAL = re.compile(r"scale$|eps|epsilon|softcapping|factor|alpha|beta|clamp|bias|freq_base|log_mul|_clamp_")
BOOL = {"use_parallel_residual", "swin_norm", "expert_weights_norm", "attention.causal", "rope.scaling.finetuned", "ssm.dt_b_c_rms"}
TEXT = {"rope.scaling.type": "spiral", "tensor_data_layout": "transposed"}
LIST = {"classifier.output_labels": ("string", ["good", "bad"]), "rope.dimension_sections": ("i32", [2, 2, 4, 0])}
VALUES = {"attention.causal": False, "rope.freq_base": 7919.0, "rope.scaling.original_context_length": 61, "context_length": 509,
          "rope.dimension_count": 6, "attention.head_count_kv": 1, "vocab_size": 383, "attention.sliding_window": 7}
# What changes no logit, and why. A key that is missing here and accepted without any effect fails.
HARMLESS = {
    "rope.scaling.finetuned": "tells how the weights were trained",
    "attention.layer_norm_epsilon": "there are RMS norms alone",
    "attention.layer_norm_rms_epsilon": "there are layer norms alone",
    "attention.group_norm_epsilon": "the groups, which have a key of their own, are refused",
    "attention.sliding_window_pattern": "without a window (gemma3 has one, and there it counts)",
    "rope.freq_base_swa": "without window layers",
    "rope.scaling.original_context_length": "without a scheme that uses it",
    "rope.scaling.yarn_beta_fast": "without YaRN",
    "rope.scaling.yarn_beta_slow": "without YaRN",
    "rope.scaling.yarn_log_multiplier": "without YaRN",
    "rope.scaling.yarn_ext_factor": "without scaling",
    "expert_weights_norm": "where it says what the family does (elsewhere it is refused)",
}
# Their value is part of the shape of every tensor: whatever is refused then is right.
SIZES = {"block_count", "embedding_length", "feed_forward_length", "attention.head_count", "attention.head_count_kv", "vocab_size",
         "attention.key_length", "expert_count", "expert_feed_forward_length"}
EXPERTS = {"qwen2moe", "qwen3moe", "olmoe", "granitemoe", "gpt-oss"}
# name: (family, options of make_model.py, [(key, type, value)])
USED = {
    "attention.scale": ("llama", "", [("attention.scale", "f32", 0.37)]),
    "attention.scale of qwen3": ("qwen3", "", [("attention.scale", "f32", 0.37)]),
    "attention.layer_norm_rms_epsilon": ("phi3", "", [("attention.layer_norm_rms_epsilon", "f32", 0.03)]),
    "rope.freq_base": ("qwen2", "", [("rope.freq_base", "f32", 7919.0)]),
    "rope.dimension_count": ("llama", "", [("rope.dimension_count", "u32", 6)]),
    "a window in every layer": ("phi3", "", [("attention.sliding_window", "u32", 7)]),
    "a window, and LongRoPE in it": ("phi3", "--rope longrope:13", [("attention.sliding_window", "u32", 7)]),
    "a window, and YaRN in it": ("llama", "--rope yarn:4:128", [("attention.sliding_window", "u32", 7)]),
    "a window in some layers": ("qwen2", "--layers 3", [("attention.sliding_window", "u32", 7), ("attention.sliding_window_pattern", "bool", [True, False, True])]),
    "rope.freq_base_swa": ("gemma3", "--layers 3 --window 7 --pattern 1,0,1", [("rope.freq_base_swa", "f32", 977.0)]),
    "scaling of gemma3's other layers": ("gemma3", "--layers 3 --window 7 --pattern 1,0,1 --rope linear:4", []),
    "final_logit_softcapping": ("gemma3", "", [("final_logit_softcapping", "f32", 3.0)]),
    # 0 says that there is none.
    "no soft-cap of scores": ("gemma2", "", [("attn_logit_softcapping", "f32", 0.0), ("final_logit_softcapping", "f32", 3.0)]),
    "attn_logit_softcapping": ("gemma2", "", [("attn_logit_softcapping", "f32", 0.3)]),
    "granite's multipliers": ("granite", "", [("embedding_scale", "f32", 1.7), ("residual_scale", "f32", 1.3), ("logit_scale", "f32", 0.9)]),
    "none of granite's multipliers": ("granite", "", [("embedding_scale", "f32", 0.0), ("residual_scale", "f32", 0.0), ("logit_scale", "f32", 0.0)]),
    "scale of the experts' weights": ("qwen3moe", "--head-dim 16", [("expert_weights_scale", "f32", 1.7)]),
    "attention.layer_norm_epsilon of gpt2": ("gpt2", "--kv-heads 4", [("attention.layer_norm_epsilon", "f32", 0.3)]),
    "cohere2's factor of logits, and a window": ("cohere2", "--layers 5", [("logit_scale", "f32", 1.9), ("attention.sliding_window", "u32", 5), ("rope.freq_base", "f32", 977.0)]),
    "weights of qwen2moe's experts": ("qwen2moe", "--experts 5", [("expert_weights_scale", "f32", 1.7)]),
    "none of that": ("olmoe", "", [("expert_weights_scale", "f32", 0.0), ("expert_used_count", "u32", 3)]),
    "rope.scale_linear": ("llama", "", [("rope.scale_linear", "f32", 3.0)]),
    "YaRN's own": ("qwen3", "--rope yarn:4:128", [("rope.scaling.yarn_beta_fast", "f32", 17.0), ("rope.scaling.yarn_beta_slow", "f32", 2.0),
                                                  ("rope.scaling.attn_factor", "f32", 1.3), ("rope.scaling.yarn_ext_factor", "f32", 1.0)]),
}


def architecture_keys():
    """Every name behind "{arch}." in gguf.constants."""
    found, work = set(), [gguf.constants.Keys]
    while work:
        for name, value in vars(work.pop()).items():
            if isinstance(value, type) and not name.startswith("_"):
                work.append(value)
            elif isinstance(value, str) and value.startswith("{arch}."):
                found.add(value[7:].replace("{dense}", "dense_2"))
    return sorted(found)


def asking(key):
    """(type, value) that ask for what `key` stands for."""
    if key in LIST:
        return LIST[key]
    if key in TEXT:
        return "string", TEXT[key]
    if key in BOOL:
        return "bool", VALUES.get(key, True)
    if REAL.search(key):
        return "f32", VALUES.get(key, 0.53 if "factor" not in key else 1.7)
    return "u32", VALUES.get(key, 3)


def refusal(text):
    """Without the program that says it, and what it says behind."""
    return re.search(r"error E\d{4}: [^\n]*|$", text).group()


def module_of(path, both=False):
    """(status, IR or message); what inspect says that the compiler will refuse, of the same functions, takes no compiler, but
    with `both`"""
    told = subprocess.run([RUN, "inspect", path, "--json"], capture_output=True, text=True)
    if told.returncode:
        return told.returncode, told.stderr
    if not (said := json.loads(told.stdout))["runs"]:
        if not both:
            return 1, said["refusal"]
    done = subprocess.run([COMPILE, path, "--compile-to=transformer", "--jobs=1"], capture_output=True, text=True)
    if not said["runs"] and refusal(done.stderr) != refusal(said["refusal"]):
        return 2, f"inspect says {said['refusal']}, the compiler {done.stderr}"
    return done.returncode, done.stdout if done.returncode == 0 else done.stderr


def judge(base, before, family, key, folder, both):
    """What is wrong about how `family` takes `key`, or ""; with `both`, also in what inspect and the compiler say."""
    kind, value = asking(key)
    path = gguf_edit.read(base).set(f"{family}.{key}", kind, value).write(os.path.join(folder, f"{family}.{key}.gguf"))
    status, text = module_of(path, both)
    os.remove(path)
    if status == 1 and re.search(r"error E02\d\d:", text):
        return "" if key in SIZES or f"{family}.{key}" in text else f"{family}.{key}: expects a refusal that names it, but got: {text.strip()[:300]}"
    if status:
        return f"{family}.{key}: expects status 0 or a refusal, but got {status}: {text.strip()[:300]}"
    return "" if text != before or key in HARMLESS else f"{family}.{key} = {value!r}: expects a refusal or another module, but got the same one"


def used(name, family, options, keys, folder):
    """The error against float64, and how far the keys move the logits."""
    path = os.path.join(folder, "used.gguf")
    make_model.build(path, "--family", family, *options.split())
    plain = float64_model.forward(float64_model.Model(path), TOKENS)
    file = gguf_edit.read(path)
    for key, kind, value in keys:
        file.set(f"{family}.{key}", kind, value)
    file.write(path)
    true = float64_model.forward(float64_model.Model(path), TOKENS)
    artifact, out = os.path.join(folder, "used.stepdown"), os.path.join(folder, "used.npy")
    subprocess.run([COMPILE, path, "-o", artifact, "--exact", "--target=x86-64-v3"], check=True)
    subprocess.run([RUN, "eval", artifact, "--exact", "--tokens", ",".join(map(str, TOKENS)), "--logits", out], check=True, stdout=subprocess.DEVNULL)
    return float(np.abs(np.load(out) - true).max()), float(np.abs(plain - true).max())


def main():
    failures, count = [], 0
    with tempfile.TemporaryDirectory() as folder:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            jobs = []
            # Others are judged by the same table.
            for number, family in enumerate(make_model.DISTINCT):
                base = os.path.join(folder, family + ".gguf")
                # gemma3 with a layer of each sort.
                make_model.build(base, "--family", family, "--head-dim", "16", "--layers", "2", *(["--pattern", "1,0"] if family == "gemma3" else []))
                status, before = module_of(base)
                if status:
                    sys.exit(f"{family}: {before}")
                # Of each twentieth key, another in each family, inspect and the compiler have to say the same.
                # What the families with experts read beside these, others of the list read with them.
                keys = [key for key in architecture_keys() if family not in EXPERTS or key.startswith("expert")]
                jobs += [pool.submit(judge, base, before, family, key, folder, i % 20 == number) for i, key in enumerate(keys)]
            failures += [said for said in (job.result() for job in jobs) if said]
            count += len(jobs)
        for name, (family, options, keys) in USED.items():
            error, moved = used(name, family, options, keys, folder)
            count += 1
            print(f"{name:36s} off by {error:.1e}, moves logits by {moved:.2f}", flush=True)
            if error > BOUND:
                failures.append(f"{name}: expects logits within {BOUND}, but one is off by {error:.2g}")
            if keys and moved < 10 * BOUND:
                failures.append(f"{name}: expects a value that moves logits, but it moves them by {moved:.2g}")
    print("\n".join(failures))
    print(f"{count} keys, {len(failures)} failures")
    sys.exit(1 if failures or count < 100 else 0)


main()
