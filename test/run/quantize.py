#!/usr/bin/env python3
"""Float weights that the compiler puts into blocks: stepdown-compile --quantize.

    quantize.py --bin build/bin [--jobs N]

Where gguf has an encoder, a model of floats that is quantised here has the logits, byte for byte, of the file that gguf
quantised. What blocks of 256 cost is held to float64 with noise of the size that they leave (BlockEncoderTest). Ends with 77
where the Python packages numpy or gguf are missing.
"""
import argparse, ctypes, json, os, re, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "data")]
from conformance import TOKENS, Suite  # ends with 77 where numpy or gguf are missing
import numpy as np
import float64_model
import make_folder
from make_adapter import Adapter

SHAPE = "--width 96 --heads 3 --kv-heads 1 --head-dim 32 --ffn 160 --layers 1 --vocab 397 --seed 5"
# name: (options of the model, quantisation, what the head is in, whether a folder of the same weights is read too)
SAME = {
    "llama q8_0": ("--family llama", "q8_0", "Q8_0", True),
    "llama q4_0, head of its own": ("--family llama --head untied", "q4_0", "Q8_0", False),
    "phi3 q4_1, fused": ("--family phi3 --ffn 64", "q4_1", "Q8_0", False),
    "olmoe q5_1, experts": ("--family olmoe --experts 5 --ffn 64", "q5_1", "Q8_0", False),
    "gemma3 q4_k, whose rows are no whole 256": ("--family gemma3", "q4_k", "Q8_0", False),
}
STANDS_FOR = {"q4_k": "Q5_0"}
LEFT = {"q4_k_m": 0.0700, "q6_k": 0.0174}  # of normal numbers, of their size


def compiled(suite, model, name, *options):
    artifact = suite.path(name + ".stepdown")
    suite.call("stepdown-compile", model, "-o", artifact, f"--jobs={suite.jobs}", f"--target={suite.levels[-1]}", *options)
    return artifact


def told(suite, artifact):
    return json.loads(suite.call("stepdown-run", "inspect", artifact, "--json"))


def as_gguf_does(suite, name, options, how, head, folder):
    kind = STANDS_FOR.get(how, how.upper())
    head_of = "output" if "untied" in options else "token_embd"
    floats = suite.made("floats.gguf", f"{options} {SHAPE} --type F32")
    blocks = suite.made("blocks.gguf", f"{options} {SHAPE} --type {kind} --mix attn_output={kind} --mix {head_of}={head} --mix ffn_gate_inp=F32")
    theirs, ours = compiled(suite, blocks, "theirs"), compiled(suite, floats, "ours", f"--quantize={how}")
    hashed = lambda artifact: suite.generated(artifact, TOKENS, 7)["logits_sha256"]
    suite.expect(hashed(ours) == hashed(theirs), f"{name}: expects the logits of the file that gguf quantised")
    suite.expect(told(suite, ours)["provenance"].get("quantize") == how and "quantize" not in told(suite, theirs)["provenance"],
                 f"{name}: expects inspect to tell of --quantize={how}, of that artifact alone")
    if folder:
        path = suite.path("folder")
        make_folder.build(floats, path, "F32")
        rows = [suite.logits(compiled(suite, given, "exact", "--exact", f"--quantize={how}"), TOKENS)[0] for given in (path, floats)]
        off = np.abs(rows[0] - rows[1]).max()  # rows of q and k lie in another order there, and sums with them
        suite.expect(off < 1e-4, f"{name}: expects the logits of a folder within 1e-4, but one is off by {off:.2g}")


def near_float64(suite):
    """Blocks of 256: logits move as far as noise of the size that blocks leave moves them."""
    floats = suite.made("wide.gguf", "--family llama --type BF16 --width 256 --heads 4 --kv-heads 2 --ffn 512 --layers 4 --vocab 397 --head untied --seed 3")
    plain, random = float64_model.Model(floats), np.random.default_rng(1)
    true = float64_model.forward(plain, TOKENS)
    rms = lambda x: float(np.sqrt((x * x).mean()))
    for how, left in LEFT.items():
        noisy = float64_model.Model(floats)
        for tensor in noisy.tensors:
            weight = plain.weight(tensor)
            if weight.ndim == 2:
                noisy.weights[tensor] = weight + random.standard_normal(weight.shape) * rms(weight) * left
        expected = rms(float64_model.forward(noisy, TOKENS) - true)
        got, _ = suite.logits(compiled(suite, floats, "wide", "--exact", f"--quantize={how}"), TOKENS)
        moved = rms(got - true)
        # Half of the layers have more bits, and the head of all but q6_k.
        least = 0.4 if how == "q4_k_m" else 0.6
        suite.expect(least * expected <= moved <= 1.2 * expected, f"{how}: expects logits to move by about {expected:.3g}, but got {moved:.3g}")
        print(f"{how}: logits move by {moved:.3g}, with noise of {left} by {expected:.3g}")


def mixtures(suite):
    """Which weight becomes what, by the IR: of eleven layers the first, the last two and every third between have more bits."""
    shape = "--width 256 --heads 4 --kv-heads 2 --ffn 512 --layers 11 --vocab 397"
    for how, options, most, more, head, embedding in (("q4_k_m", "--family llama --type F16 --head untied", "q4_k", "q6_k", "q6_k", "q4_k"), ("q5_k_m", "--family qwen2 --type BF16", "q5_k", "q6_k", None, "q6_k"),
                                                      ("q5_k", "--family llama --type F32 --head untied", "q5_k", "q5_k", "q6_k", "q5_k"), ("q8_0", "--family llama --type F32", "q8_0", "q8_0", None, "q8_0")):
        model = suite.made("mixture.gguf", f"{options} {shape}")
        ir = suite.call("stepdown-compile", model, f"--quantize={how}", "--compile-to=transformer", f"--target={suite.levels[-1]}")
        functions = dict(re.findall(r"func\.func @(\w+)\((.*?)\n  }", ir, re.S))
        kinds, order = re.search(r"transformer\.layers .*?kinds \[([^\]]*)\](?: order \[([^\]]*)\])?", functions["step"]).groups()
        kinds, order = re.findall(r"@(\w+)", kinds), [int(kind) for kind in (order or ",".join("0" * 11)).split(",")]
        types = {}
        for layer, kind in enumerate(order):
            for function in (functions[kinds[kind]], functions["step"]):
                types.update((name.replace("{layer}", str(layer)), made) for name, made in re.findall(r'transformer\.weight "([^"]+)" : tensor<[^>]*!transformer\.block<(\w+)>', function))
        wanted = {"token_embd.weight": embedding, **({"output.weight": head} if head else {})}
        for layer in range(11):
            for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
                some = name in ("attn_v", "ffn_down") and layer in (0, 3, 6, 9, 10)
                wanted[f"blk.{layer}.{name}.weight"] = more if some else most
        got = {name: types.get(name) for name in wanted}
        suite.expect(got == wanted, f"{how}: expects other types of {[(n, got[n], wanted[n]) for n in wanted if got[n] != wanted[n]][:5]}")


def against(suite):
    """eval --against, beside float64 of both models' logits."""
    floats = suite.made("against.gguf", f"--family qwen2 --type BF16 {SHAPE}")
    reference, model = compiled(suite, floats, "reference", "--exact"), compiled(suite, floats, "model", "--quantize=q4_0")
    rows, more = [], []
    for artifact, way in ((reference, ["--against", reference]), (model, ["--against", reference]), (model, ["--against", reference, "--context", 13, "--chunk", 5])):
        got, said = suite.logits(artifact, TOKENS, *way)
        rows.append(got)
        more.append(said["against"])
    log = lambda x: x - x.max(1, keepdims=True) - np.log(np.exp(x - x.max(1, keepdims=True)).sum(1, keepdims=True))
    theirs, ours = log(rows[0]), log(rows[1])
    kl = np.sort((np.exp(theirs) * (theirs - ours)).sum(1))
    n = len(kl)
    nll = -theirs[np.arange(n - 1), TOKENS[1:]].mean()
    wanted = {"kl_mean": kl.mean(), "kl_standard_error": kl.std(ddof=1) / np.sqrt(n), "kl_median": kl[(n + 1) // 2 - 1], "kl_p99": kl[int(np.ceil(0.99 * n)) - 1],
              "kl_max": kl[-1], "same_top": (theirs.argmax(1) == ours.argmax(1)).mean(), "mean_nll": nll, "perplexity": np.exp(nll)}
    suite.expect(set(more[1]) == set(wanted) and all(abs(more[1][k] - v) <= 1e-9 * max(1, abs(v)) for k, v in wanted.items()), f"--against: expects {wanted}, but got {more[1]}")
    suite.expect(kl.mean() > 1e-4 and more[0]["kl_max"] == 0 and more[0]["same_top"] == 1, f"expects a model that is as far from itself as 0, but got {more[0]}")
    theirs, ours = log(rows[2]), more[2]
    suite.expect(ours["kl_mean"] != more[1]["kl_mean"] and np.isfinite(ours["kl_mean"]), "expects other rows in windows of 13")
    for name, options, text in (("size", "--family qwen2 --type Q8_0 " + SHAPE.replace("397", "401"), "397 tokens"),
                                ("tokens", f"--family llama --type Q8_0 --tokenizer spm {SHAPE}", "is another")):
        try:
            suite.call("stepdown-run", "eval", model, "--tokens", "3,4", "--against", compiled(suite, suite.made("o.gguf", options), "other"))
            said = "no error"
        except RuntimeError as error:
            said = str(error)
        suite.expect("error E0905" in said and text in said, f"--against, another {name}: expects E0905 and '{text}', but got {said}")


def library(suite):
    """The C API's options do what the program's do, here adapters too."""
    floats, adapter = suite.made("api.gguf", f"--family llama --type F16 {SHAPE}"), suite.path("adapter.gguf")
    Adapter(floats, rank=5, parts=("attn_q.",)).write_gguf(adapter)
    direct = compiled(suite, floats, "direct", "--quantize=q5_1", "--adapter", f"{adapter}=2.5")
    class Options(ctypes.Structure):  # stepdown_compile_options of include/stepdown/Compiler.h
        _fields_ = [(name, kind) for kind, names in ((ctypes.c_size_t, "size"), (ctypes.c_char_p, "targets"), (ctypes.c_uint64, "max_context"),
                    (ctypes.c_int32, "exact kv_float32 jobs check_weights"), (ctypes.c_char_p, "activations"), (ctypes.c_void_p, "on_progress context"),
                    (ctypes.c_char_p, "program"), (ctypes.c_int32, "in_process reserved"), (ctypes.c_char_p, "kv_type adapters quantize")) for name in names.split()]
    class Told(ctypes.Structure):
        _fields_ = [("code", ctypes.c_int32), ("text", ctypes.c_char_p)]
    out = suite.path("api.stepdown")
    call = ctypes.CDLL(os.path.join(suite.bin, "..", "libstepdown-compiler.so")).stepdown_compile
    call.restype = Told
    options = Options(size=ctypes.sizeof(Options), targets=suite.levels[-1].encode(), jobs=1, adapters=f"{adapter}=2.5".encode(), quantize=b"q5_1",
                      program=os.path.join(suite.bin, "stepdown-compile").encode())
    done = call(floats.encode(), out.encode(), ctypes.byref(options))
    suite.expect(done.code == 0 and read(out) == read(direct), f"C API: expects the program's artifact, but got {done.code}: {done.text}")


def read(path):
    with open(path, "rb") as file:
        return file.read()


def printed(suite):
    """IR of a quantised model goes on with the same option, and not without it."""
    floats, ir = suite.made("printed.gguf", f"--family llama --type F16 {SHAPE}"), suite.path("printed.mlir")
    level = f"--target={suite.levels[-1]}"
    with open(ir, "w", encoding="utf-8") as file:
        file.write(suite.call("stepdown-compile", floats, "--compile-to=linalg", "--quantize=q5_0", level))
    direct, out = compiled(suite, floats, "direct", "--quantize=q5_0"), suite.path("on.stepdown")
    suite.call("stepdown-compile", ir, "--compile-from=linalg", "--weights", floats, "--quantize=q5_0", level, "-o", out)
    suite.expect(read(out) == read(direct), "expects the artifact of the direct way")
    done = subprocess.run([os.path.join(suite.bin, "stepdown-compile"), ir, "--compile-from=linalg", "--weights", floats, level, "-o", out], capture_output=True, text=True)
    suite.expect(done.returncode == 1 and "error E0818" in done.stderr, f"expects E0818 without --quantize, but got {done.returncode}: {done.stderr}")


def refusals(suite):
    blocks = suite.made("q.gguf", f"--family llama --type Q8_0 {SHAPE}")
    unsound = suite.made("nan.gguf", f"--family llama --type F32 {SHAPE} --unsound 3")
    narrow = suite.made("narrow.gguf", "--family llama --type F32 --width 52 --heads 2 --kv-heads 1 --head-dim 26 --ffn 52 --layers 1 --vocab 397")
    partly = suite.made("partly.gguf", "--family llama --type F16 --width 64 --heads 2 --kv-heads 1 --head-dim 32 --ffn 81 --layers 1 --vocab 397")
    out = suite.path("refused.stepdown")
    for name, model, how, number, text in (("blocks", blocks, "q4_0", 832, "in blocks already"), ("NaN", unsound, "q8_0", 222, "token_embd.weight"),
                                           ("rows", narrow, "q8_0", 832, "rows of whole blocks of 32"), ("a type", blocks, "q3_k_s", 905, "q4_k_m")):
        try:
            suite.call("stepdown-compile", model, "-o", out, f"--quantize={how}")
            said = "no error"
        except RuntimeError as error:
            said = str(error)
        suite.expect(f"error E{number:04d}" in said and text in said and not os.path.exists(out), f"{name}: expects E{number:04d} and '{text}', but got {said}")
    # Weights that have no whole blocks stay, and are named.
    done = subprocess.run([os.path.join(suite.bin, "stepdown-compile"), partly, "-o", out, "--quantize=q8_0"], capture_output=True, text=True)
    suite.expect(done.returncode == 0 and "warning: " in done.stderr and "1 weights stay floats" in done.stderr and "blk.0.ffn_down.weight" in done.stderr,
                 f"partly: expects a warning that names blk.0.ffn_down.weight, but got {done.returncode}: {done.stderr}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--jobs", type=int, default=1)
    suite = Suite(parser.parse_args())
    for name, case in SAME.items():
        suite.run(name, lambda: as_gguf_does(suite, name, *case))
    suite.run("float64", lambda: near_float64(suite))
    suite.run("mixtures", lambda: mixtures(suite))
    suite.run("against", lambda: against(suite))
    suite.run("library", lambda: library(suite))
    suite.run("printed IR", lambda: printed(suite))
    suite.run("refusals", lambda: refusals(suite))
    suite.finish()


main()
