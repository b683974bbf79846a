#!/usr/bin/env python3
"""Hugging Face folders: what they compute, and what is refused.

    folders.py --bin build/bin                  everything but transformers
    folders.py --bin build/bin --part models    logits with --exact against float64, each family, dtype and rotary scheme
    folders.py --bin build/bin --part taken     what folders may say in several ways, and keys of real models
    folders.py --bin build/bin --part refusals  damaged and contradictory folders get their numbered error
    folders.py --bin build/bin --part transformers   models that transformers makes and computes in float64 (needs torch)

The folders are written by test/data/make_folder.py from checkpoints of make_model.py, whose float64 forward pass is the
reference. Ends with 77 where numpy or gguf are missing, or, for the part transformers, torch and transformers.
"""
import argparse, json, os, shutil, struct, sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "data")]
import conformance
from conformance import LOGIT, TOKENS, Suite
import numpy as np
import float64_model
import make_folder
import quantised_folder

# name: (options of make_model.py, dtype, shards, model_type, rotary parameters as transformers 5 writes them)
MODELS = {
    "llama F32": ("--family llama --heads 6 --kv-heads 3 --head-dim 10", "F32", 0, None, False),
    "llama BF16, shards, biases, own head": ("--family llama --type BF16 --norm-type BF16 --bias --head untied", "BF16", 3, None, False),
    "llama F16, llama3 rotation": ("--family llama --type F16 --norm-type F16 --rope llama3:8 --context 8192", "F16", 0, None, False),
    "llama, linear rotation": ("--family llama --rope linear:4", "F32", 0, None, True),
    "llama, yarn rotation": ("--family llama --rope yarn:4:128", "F32", 2, None, False),
    "mistral, window": ("--family llama --window 7 --vocab 397", "F32", 0, "mistral", False),
    "qwen2 BF16": ("--family qwen2 --type BF16 --norm-type BF16", "BF16", 0, None, True),
    "qwen3": ("--family qwen3 --head-dim 34", "F32", 2, None, False),
    "gemma3 BF16": ("--family gemma3 --type BF16 --norm-type BF16 --layers 7 --window 16", "BF16", 0, None, True),
    "gemma3, soft-cap": ("--family gemma3 --layers 3 --pattern 1,0,1 --window 5 --softcap 10", "F32", 0, None, False),
    # A norm that is made, not mapped, of several pages.
    "gemma3, wide": ("--family gemma3 --layers 1 --width 2060 --heads 4 --kv-heads 2 --head-dim 16 --ffn 46 --window 16", "F32", 0, None, False),
    "gemma3, linear rotation": ("--family gemma3 --layers 2 --pattern 1,0 --window 11 --rope linear:4", "F32", 0, None, True),
    "gemma3, llama3 rotation": ("--family gemma3 --layers 2 --pattern 1,0 --window 11 --rope llama3:8 --freq-base 100000 --context 8192", "F32", 0, None, False),
    "gemma3, yarn rotation": ("--family gemma3 --layers 2 --pattern 1,0 --window 11 --rope yarn:4:128:1.3", "F32", 0, None, True),
    "gemma2": ("--family gemma2 --layers 3 --window 7 --type BF16 --norm-type BF16", "BF16", 0, None, True),
    "granite": ("--family granite", "F32", 2, None, False),
    "olmo2": ("--family olmo2", "F32", 0, None, True),
    "olmo3, yarn beside windows": ("--family olmo2 --layers 2 --pattern 1,0 --window 11 --rope yarn:4:128", "F32", 0, "olmo3", False),
    "smollm3": ("--family smollm3 --layers 5", "F32", 0, None, False),
    "mixtral": ("--family llama --type BF16 --norm-type BF16 --layers 1 --experts 5 --ffn 46", "BF16", 2, "mixtral", False),
    "qwen3moe": ("--family qwen3moe --layers 1 --head-dim 18 --experts 7 --used 3 --expert-ffn 37", "F32", 3, None, True),
    "olmoe": ("--family olmoe --type F16 --norm-type F16 --layers 1 --heads 3 --kv-heads 1 --head-dim 16 --experts 11 --ffn 37", "F16", 0, None, False),
    "gpt-oss": ("--family gpt-oss --type BF16 --mix exps=MXFP4 --norm-type BF16 --heads 6 --kv-heads 2 --head-dim 16 --experts 7 --used 3 --expert-ffn 96 --window 11 --rope yarn:4:128 --head untied", "BF16", 2, None, False),
    "phi3, half of a head rotates": ("--family phi3 --rope-dims 8", "F32", 0, None, False),
    "phi3, long rotation": ("--family phi3 --rope longrope:128", "F32", 2, None, True),
}


def logits_of(suite, folder, name, true):
    """--exact within the bounds of a float32 run, at the highest level: what is read is the same for all."""
    artifact = suite.compiled(folder, "--exact", f"--target={suite.levels[-1]}")
    got, _ = suite.logits(artifact, TOKENS, "--exact")
    error = np.abs(got - true).max()
    suite.expect(error <= LOGIT, f"{name}: expects logits within {LOGIT}, but one is off by {error:.2g}")
    print(f"{name:40s} {error:.1e}", flush=True)
    os.remove(artifact)


def emptied(suite):
    """The folder of one case."""
    folder = suite.path("folder")
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def models(suite):
    print(f"{'folder':40s} worst exact logit")
    for name, (options, dtype, shards, kind, nested) in MODELS.items():
        def one():
            checkpoint, folder = suite.made("model.gguf", options), emptied(suite)
            make_folder.build(checkpoint, folder, dtype, shards, kind, nested)
            true = float64_model.forward(float64_model.Model(checkpoint), TOKENS)
            logits_of(suite, folder, name, true)
            same_text(suite, checkpoint, folder, name)
        suite.run(name, one)


def same_text(suite, checkpoint, folder, name):
    """Ids, chat template and text as of the GGUF file with the same vocabulary."""
    for text in ("The capital of Spain, 1234 stars:\n\n  it's é漢 the sea", "a<|im_end|>b <bos> </s>c", " the  hill\t"):
        ids = [suite.call("stepdown-run", "tokenize", model, "-p", text) for model in (checkpoint, folder)]
        suite.expect(ids[0] == ids[1], f"{name}: {text!r}: expects {ids[0].strip()}, but got {ids[1].strip()}")
        said = suite.call("stepdown-run", "detokenize", folder, "--tokens", ids[1].strip()[1:-1].replace(" ", ""))
        suite.expect(text in said or "<" in text, f"{name}: {text!r}: expects it back, but got {said!r}")


def transformers_models(suite):
    """What transformers itself makes of a seed, saved by it and computed by it in float64."""
    try:
        import torch
        import transformers
    except ImportError as missing:
        print(f"skipped: {missing}")
        sys.exit(77)
    torch.manual_seed(7)
    tokenizer = make_folder.tokenizer(make_folder.Source(suite.made("model.gguf", "--vocab 389")).meta)
    small = dict(vocab_size=389, hidden_size=48, intermediate_size=112, num_hidden_layers=3, num_attention_heads=6,
                 num_key_value_heads=3, max_position_embeddings=512, initializer_range=0.4, eos_token_id=2, bos_token_id=1, pad_token_id=0)
    llama3 = dict(rope_type="llama3", rope_theta=1e4, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)
    yarn = dict(rope_type="yarn", rope_theta=1e4, factor=4.0, original_max_position_embeddings=128)
    long = dict(rope_type="longrope", rope_theta=1e4, long_factor=[1.0, 2.0, 3.0, 5.0], short_factor=[1.0, 1.1, 1.2, 1.3])
    cases = {
        "llama": ("Llama", small), "llama, biases": ("Llama", {**small, "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True}),
        "llama, llama3": ("Llama", {**small, "rope_parameters": llama3}), "llama, yarn": ("Llama", {**small, "rope_parameters": yarn}),
        "mistral, window": ("Mistral", {**small, "sliding_window": 7}), "qwen2": ("Qwen2", small),
        "qwen2, windows from layer 1": ("Qwen2", {**small, "use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1}),
        "qwen3": ("Qwen3", {**small, "head_dim": 14}),
        "gemma3": ("Gemma3", {**small, "head_dim": 12, "query_pre_attn_scalar": 24, "sliding_window": 7, "num_hidden_layers": 7, "final_logit_softcapping": 30.0}),
        "gemma2": ("Gemma2", {**small, "head_dim": 12, "query_pre_attn_scalar": 24, "sliding_window": 7, "attn_logit_softcapping": 3.0, "final_logit_softcapping": 17.0}),
        "granite": ("Granite", {**small, "embedding_multiplier": 2.3, "attention_multiplier": 0.21, "residual_multiplier": 0.57, "logits_scaling": 3.1}),
        "olmo2": ("Olmo2", small),
        "olmo3": ("Olmo3", {**small, "num_hidden_layers": 4, "sliding_window": 7, "rope_parameters": dict(full_attention=yarn, sliding_attention=dict(rope_type="default", rope_theta=1e4))}),
        "smollm3": ("SmolLM3", {**small, "num_hidden_layers": 5}),
        "phi3": ("Phi3", {**small, "rope_parameters": dict(rope_type="default", rope_theta=1e4, partial_rotary_factor=0.5)}),
        "phi3, longrope": ("Phi3", {**small, "original_max_position_embeddings": 512, "max_position_embeddings": 512, "rope_parameters": long}),
    }
    for name, (kind, options) in cases.items():
        def one():
            config = getattr(transformers, kind + ("TextConfig" if kind == "Gemma3" else "Config"))(**options, attn_implementation="eager")
            model = getattr(transformers, kind + "ForCausalLM")(config)
            for key, value in model.named_parameters():
                if key.endswith(("norm.weight", "bias")):
                    torch.nn.init.normal_(value, 0.0 if kind.startswith("Gemma") or key.endswith("bias") else 1.0, 0.2)
            folder = emptied(suite)
            model.save_pretrained(folder)
            for file, value in zip(("tokenizer.json", "tokenizer_config.json"), tokenizer):
                make_folder.write_json(folder, file, value)
            with torch.no_grad():
                true = model.double()(torch.tensor([TOKENS])).logits[0].numpy()
            logits_of(suite, folder, name + " (transformers)", true)
        suite.run(name, one)


def edited(name, change):
    """A change of the JSON file `name` of a folder."""
    def apply(folder):
        path = os.path.join(folder, name)
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
        change(value)
        make_folder.write_json(folder, name, value)
    return apply


def config(**keys):
    return edited("config.json", lambda value: value.update(keys))


def header(change):
    """A change of the header of model.safetensors, whose data stay."""
    def apply(folder):
        path = os.path.join(folder, "model.safetensors")
        value, data = make_folder.read_safetensors(path)
        text = change(value)
        text = json.dumps(value).encode() if text is None else text
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text + data)
    return apply


def cut(name, size):
    def apply(folder):
        with open(os.path.join(folder, name), "r+b") as file:
            file.truncate(size if size >= 0 else os.path.getsize(os.path.join(folder, name)) + size)
    return apply


def tensors(change):
    """Weights written anew, after a change of {name: (dtype, shape, bytes)}."""
    def apply(folder):
        path = os.path.join(folder, "model.safetensors")
        names, data = make_folder.read_safetensors(path)
        names.pop("__metadata__")
        all = {n: (t["dtype"], t["shape"], data[slice(*t["data_offsets"])]) for n, t in names.items()}
        change(all)
        make_folder.write_safetensors(path, all)
    return apply


def sharded(change):
    """Two shards in place of the one file, and a change of the folder then."""
    def apply(folder):
        path = os.path.join(folder, "model.safetensors")
        all = {}
        tensors(all.update)(folder)
        os.remove(path)
        make_folder.write_weights(folder, all, 2)
        change(folder)
    return apply


Q, NORM = "model.layers.0.self_attn.q_proj.weight", "model.norm.weight"
INDEX, SHARD = "model.safetensors.index.json", "model-00002-of-00002.safetensors"


def offsets(name, first, last):
    return header(lambda h: h[name].update(data_offsets=[h[name]["data_offsets"][0] + first, h[name]["data_offsets"][1] + last]))


def twice(folder):
    """The header names a tensor twice, which no dict can."""
    header(lambda h: json.dumps(h).replace('"' + NORM + '"', '"' + Q + '"').encode())(folder)


def template(entry):
    """<|im_start|> before the text, with `entry` for it among special_tokens."""
    return edited("tokenizer.json", lambda t: t.update(post_processor={
        "type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [], "special_tokens": {} if entry is None else {"<|im_start|>": {"id": "<|im_start|>", "tokens": ["<|im_start|>"], **entry}}}))


# what is done to a sound folder: (number of the error, part of its text)
REFUSED = {
    "no config": (lambda f: os.remove(f + "/config.json"), 1401, "config.json"),
    "no weights": (lambda f: os.remove(f + "/model.safetensors"), 1401, "neither is there"),
    "PyTorch weights": (lambda f: os.rename(f + "/model.safetensors", f + "/pytorch_model.bin"), 1401, "PyTorch's own format"),
    "index and one file": (lambda f: make_folder.write_json(f, INDEX, {"weight_map": {Q: SHARD}}), 1401, "both are there"),
    "index of the one file that lacks a tensor": (lambda f: make_folder.write_json(f, INDEX, {"weight_map": {Q: "model.safetensors"}}), 1408, "it is missing there"),
    "config that leads nowhere": (lambda f: os.rename(f + "/config.json", f + "/c") or os.symlink("nowhere", f + "/config.json"), 901, "config.json: cannot open"),
    "ends that lead nowhere": (lambda f: os.remove(f + "/generation_config.json") or os.symlink("nowhere", f + "/generation_config.json"), 901, "generation_config.json: cannot open"),
    "tokenizer that leads nowhere": (lambda f: os.remove(f + "/tokenizer.json") or os.symlink("nowhere", f + "/tokenizer.json"), 901, "tokenizer.json: cannot open"),
    "weights that lead nowhere": (lambda f: os.remove(f + "/model.safetensors") or os.symlink("nowhere", f + "/model.safetensors"), 901, "model.safetensors: cannot open"),
    "shard that leads nowhere": (sharded(lambda f: os.remove(f + "/" + SHARD) or os.symlink("nowhere", f + "/" + SHARD)), 901, SHARD + ": cannot open"),
    "config that is deep": (lambda f: open(f + "/config.json", "w").write('{"a":' + "[" * 100 + "]" * 100 + "}"), 908, "at most 100 values deep"),
    "config is a list": (lambda f: make_folder.write_json(f, "config.json", [1]), 1402, "a list of 1"),
    "config is cut off": (cut("config.json", -1), 908, "config.json: expects JSON"),
    "config has a key twice": (lambda f: open(f + "/config.json", "w").write('{"a": 1, "a": 1}'), 908, 'but "a" is there twice'),
    "weights are empty": (cut("model.safetensors", 0), 1403, "expects 8 bytes, but the file has 0"),
    "weights end in the header": (cut("model.safetensors", 50), 1403, "the 42 bytes that remain"),
    "weights end in the data": (cut("model.safetensors", -3), 1406, "data_offsets"),
    "weights go on": (lambda f: open(f + "/model.safetensors", "ab").write(b"123"), 1406, "expects the data to end"),
    "header is a list": (header(lambda h: b"[1]"), 1403, "expects '{'"),
    "header is no JSON": (header(lambda h: b'{"a" 1}'), 1403, "expects JSON"),
    "header goes on": (header(lambda h: json.dumps(h).encode() + b" {}"), 1403, "expects JSON"),
    "header has a tensor twice": (twice, 1407, Q),
    "tensor is a number": (header(lambda h: h.update({Q: 1})), 1403, "expects an object, but got a number"),
    "tensor without a shape": (header(lambda h: h[Q].pop("shape") and None), 1403, "shape is missing"),
    "tensor with another member": (header(lambda h: h[Q].update(strides=[1])), 1403, "strides"),
    "shape of a text": (header(lambda h: h[Q].update(shape="64")), 1403, "shape: expects whole numbers from 0 on, but got a text"),
    "shape with a negative": (header(lambda h: h[Q].update(shape=[-64, 64])), 1403, "but got a negative number"),
    "shape with zero": (header(lambda h: h[Q].update(shape=[0, 64])), 1405, "[0, 64]"),
    "shape that overflows": (header(lambda h: h[Q].update(shape=[1 << 33, 1 << 33])), 1405, "as many bytes as shape"),
    "shape of other bytes": (header(lambda h: h[Q].update(shape=[64, 63])), 1405, "[64, 63]"),
    "three offsets": (header(lambda h: h[Q].update(data_offsets=[0, 1, 2])), 1403, "expects two numbers"),
    "offsets that fall": (header(lambda h: h[Q]["data_offsets"].reverse()), 1405, Q),
    "offsets with a gap": (offsets(NORM, 4, 4), 1406, NORM),
    "offsets that overlap": (offsets(NORM, -4, -4), 1406, NORM),
    "metadata that are no texts": (header(lambda h: h.update(__metadata__={"a": 1})), 1403, "__metadata__"),
    "norm of two dimensions": (lambda f: (config(model_type="gemma3_text", architectures=["Gemma3ForCausalLM"], hidden_activation="gelu_pytorch_tanh", sliding_window=16)(f),
                                          tensors(lambda t: t.update({NORM: (t[NORM][0], [1, *t[NORM][1]], t[NORM][2])}))(f)), 1405, "expects one dimension, but got 2"),
    "known dtype": (header(lambda h: h[Q].update(dtype="F8_E4M3")), 1404, "but got F8_E4M3"),
    "unknown dtype": (header(lambda h: h[Q].update(dtype="F17")), 1404, "F17 (unknown)"),
    "tensor that no rule takes": (tensors(lambda t: t.update({"model.layers.0.self_attn.sinks": ("F32", [4], bytes(16))})), 1414, "model.layers.0.self_attn.sinks"),
    "layer with a zero in front": (tensors(lambda t: t.update({Q.replace(".0.", ".00."): t.pop(Q)})), 1414, ".00."),
    "shard is missing": (sharded(lambda f: os.remove(f + "/" + SHARD)), 1408, SHARD + " is missing"),
    "index leaves the folder": (sharded(edited(INDEX, lambda i: i["weight_map"].update({Q: "../a.safetensors"}))), 1408, "../a.safetensors"),
    "index names another shard": (sharded(edited(INDEX, lambda i: i["weight_map"].update({NORM: SHARD if i["weight_map"][NORM] != SHARD else SHARD.replace("2-", "1-", 1)}))), 1408, NORM),
    "index lacks a tensor": (sharded(edited(INDEX, lambda i: i["weight_map"].pop(NORM))), 1408, NORM),
    "index names more": (sharded(edited(INDEX, lambda i: i["weight_map"].update({"lm_head.weight": SHARD}))), 1408, "lm_head.weight"),
    "shards hold a tensor twice": (sharded(lambda f: shutil.copy(f + "/" + SHARD, f + "/" + SHARD.replace("2-", "1-", 1))), 1407, "does too"),
    "unknown model": (config(model_type="qwen33"), 1410, "did you mean qwen3?"),
    "classifier": (config(architectures=["LlamaForSequenceClassification"]), 1410, "LlamaForSequenceClassification"),
    "quantised": (config(quantization_config={"quant_method": "aqlm"}), 1415, "'aqlm'"),
    "no width": (edited("config.json", lambda c: c.pop("hidden_size") and None), 1411, "hidden_size"),
    "width of a text": (config(hidden_size="64"), 1411, "hidden_size"),
    "head of any size": (config(head_dim=1 << 60, rope_scaling={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}), 1411, "head_dim"),
    "head of the largest size": (config(head_dim=(1 << 64) - 1), 1411, "head_dim"),
    "head of nothing": (config(head_dim=0), 1411, "head_dim"),
    "layers of any number": (config(num_hidden_layers=1 << 60), 1411, "num_hidden_layers"),
    "factor that no float holds": (config(rope_scaling={"rope_type": "llama3", "factor": 1e300, "low_freq_factor": 1.0, "high_freq_factor": 4.0}), 1411, "rope_scaling.factor"),
    "factors that no float holds": (config(model_type="phi3", architectures=["Phi3ForCausalLM"], head_dim=4, rope_scaling={"type": "longrope", "long_factor": [1e300, 1.0], "short_factor": [1.0, 1.0]}), 1411, "rope_scaling.long_factor"),
    "null for the size of heads": (config(model_type="qwen3", architectures=["Qwen3ForCausalLM"], head_dim=None), 1411, "head_dim"),
    "types of rotation that contradict": (config(rope_scaling={"type": "yarn", "rope_type": "linear", "factor": 2.0}), 1411, "expects what type says, 'yarn'"),
    "attention of Phi 4 that is another": (config(full_attn_mod=2), 1411, "full_attn_mod"),
    # Numbers beyond what is computed with, by the names that config.json has for them.
    **{f"number out of range, {key} of {value}": (config(**{**keys, key: value}), 1411, f"'{key}': expects") for keys, all in (
        (dict(), dict(hidden_size=1 << 40, intermediate_size=1 << 40, num_attention_heads=1 << 20, vocab_size=1 << 40, rms_norm_eps=2, rope_theta=1e-60,
                      max_position_embeddings=1 << 31, num_key_value_heads=3, head_dim=15)),
        (dict(model_type="granite", architectures=["GraniteForCausalLM"]), dict(residual_multiplier=1e-60, attention_multiplier=1e9, logits_scaling=1e-60, embedding_multiplier=-1)),
        (dict(model_type="gemma3_text", architectures=["Gemma3ForCausalLM"], hidden_activation="gelu_pytorch_tanh", sliding_window=16),
         dict(final_logit_softcapping=1e9, query_pre_attn_scalar=1e-60, rope_local_base_freq=1e60, sliding_window=1 << 40))) for key, value in all.items()},
    **{f"rotary number out of range, {key} of {value}": (config(rope_scaling={"rope_type": kind, "factor": 2.0, key: value}), 1411, f"'rope_scaling.{key}': expects") for kind, key, value in (
        ("linear", "factor", 1e-60), ("yarn", "factor", 1e60), ("yarn", "attention_factor", 1e3), ("yarn", "beta_fast", 0.5), ("yarn", "beta_slow", -1),
        ("yarn", "original_max_position_embeddings", 1 << 31), ("yarn", "rope_theta", 1.0))},
    "odd part of a head": (config(model_type="phi3", architectures=["Phi3ForCausalLM"], head_dim=16, partial_rotary_factor=0.2), 1411, "'partial_rotary_factor': expects"),
    "another activation": (config(hidden_act="relu"), 1411, "hidden_act"),
    "dynamic rotation": (config(rope_scaling={"type": "dynamic", "factor": 2.0}), 1411, "'dynamic'"),
    "rotation without a factor": (config(rope_scaling={"rope_type": "linear"}), 1411, "rope_scaling.factor"),
    "rotation with another key": (config(rope_scaling={"rope_type": "linear", "factor": 2.0, "mrope_section": [1]}), 1412, "rope_scaling.mrope_section"),
    "two rotations": (config(rope_scaling={"type": "default"}, rope_parameters={"rope_type": "default"}), 1411, "not both"),
    "partial rotation": (config(partial_rotary_factor=0.5), 1411, "partial_rotary_factor"),
    "layers without positions that are others": (config(model_type="smollm3", architectures=["SmolLM3ForCausalLM"], no_rope_layers=[0]), 1411, "no_rope_layers"),
    "layers without positions for another number": (config(model_type="smollm3", architectures=["SmolLM3ForCausalLM"], no_rope_layers=[1, 1]), 1411, "one for each of 1 layers"),
    "interval of layers without positions": (config(model_type="smollm3", architectures=["SmolLM3ForCausalLM"], no_rope_layer_interval=2), 1411, "no_rope_layer_interval"),
    "windows of smollm3": (config(model_type="smollm3", architectures=["SmolLM3ForCausalLM"], layer_types=["sliding_attention"]), 1411, "layer_types"),
    "base of olmo3 that stands alone": (config(model_type="olmo3", architectures=["Olmo3ForCausalLM"], sliding_window=16, rope_theta=7e5), 1411, "rope_theta"),
    "rotation of olmo3 for no type of layer": (lambda f: (edited("config.json", lambda c: [c.pop(k, None) for k in ("rope_theta", "rope_scaling")] and None)(f),
                                                         config(model_type="olmo3", architectures=["Olmo3ForCausalLM"], sliding_window=16, rope_parameters={"rope_type": "default", "rope_theta": 7e5})(f)), 1411, "rope_parameters"),
    "multiplier that is zero": (config(model_type="granite", architectures=["GraniteForCausalLM"], residual_multiplier=0), 1411, "residual_multiplier"),
    "multiplier of another family": (config(residual_multiplier=0.5), 1412, "residual_multiplier"),
    "cap of scores that gemma3 does not have": (config(model_type="gemma3_text", architectures=["Gemma3ForCausalLM"], hidden_activation="gelu_pytorch_tanh", sliding_window=16, attn_logit_softcapping=50.0), 1412, "attn_logit_softcapping"),
    "norms that are missing": (config(model_type="olmo2", architectures=["Olmo2ForCausalLM"]), 1414, "model.layers.0.input_layernorm.weight"),
    "windows of two sizes": (config(model_type="gemma2", architectures=["Gemma2ForCausalLM"], hidden_activation="gelu_pytorch_tanh", sliding_window=16, sliding_window_size=17), 1411, "sliding_window_size"),
    "slices of llama": (config(pretraining_tp=2), 1411, "pretraining_tp"),
    "window of llama": (config(sliding_window=8), 1411, "sliding_window"),
    "unknown key": (config(no_rope_layers=[1]), 1412, "no_rope_layers"),
    "unknown key of control characters": (config(**{"a\x01": 1}), 1412, "key 'a\\x01'"),
    "head that is not there": (config(tie_word_embeddings=False), 1413, "tie_word_embeddings"),
    "head that is another": (tensors(lambda t: t.update({"lm_head.weight": (*t["model.embed_tokens.weight"][:2], bytes(len(t["model.embed_tokens.weight"][2])))})), 1413, "tie_word_embeddings"),
    "biases that are not there": (config(attention_bias=True), 1413, "attention_bias"),
    "biases that nothing asks for": (tensors(lambda t: t.update({Q.replace("weight", "bias"): ("F32", [t[Q][1][0]], bytes(4 * t[Q][1][0]))})), 1413, "key 'attention_bias': expects no model.layers.0.self_attn.q_proj.bias"),
    "biases of the MLP that are not there": (config(mlp_bias=True), 1413, "mlp.gate_proj.bias, but it is missing"),
    "biases of qwen2 that are not there": (config(model_type="qwen2", architectures=["Qwen2ForCausalLM"], attention_bias=None, mlp_bias=None), 1413, "model_type 'qwen2': expects model.layers.0.self_attn.q_proj.bias"),
    "biases that mistral does not have": (config(model_type="mistral", architectures=["MistralForCausalLM"], sliding_window=None, attention_bias=True), 1412, "attention_bias"),
    "no tokenizer model": (edited("tokenizer.json", lambda t: t.pop("model") and None), 1420, "model"),
    "Unigram": (edited("tokenizer.json", lambda t: t["model"].update(type="Unigram")), 1421, "'Unigram'"),
    "normalizer": (edited("tokenizer.json", lambda t: t.update(normalizer={"type": "NFKC"})), 1421, "'NFKC'"),
    "nested normalizers": (edited("tokenizer.json", lambda t: t.update(normalizer={"type": "Sequence", "normalizers": [{"type": "Sequence", "normalizers": [{"type": "Lowercase"}]}]})), 1421, "'Lowercase'"),
    "pre-tokenizer": (edited("tokenizer.json", lambda t: t["pre_tokenizer"]["pretokenizers"].insert(0, {"type": "Whitespace"})), 1421, "'Whitespace'"),
    "Metaspace of another mark": (edited("tokenizer.json", lambda t: t.update(pre_tokenizer={"type": "Metaspace", "replacement": "_"})), 1421, "replacement"),
    "Metaspace of an unknown scheme": (edited("tokenizer.json", lambda t: t.update(pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "last"})), 1421, "prepend_scheme"),
    "Metaspace that contradicts itself": (edited("tokenizer.json", lambda t: t.update(pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "add_prefix_space": False})), 1420, "add_prefix_space"),
    "Metaspace beside a normalizer": (edited("tokenizer.json", lambda t: t.update(normalizer={"type": "NFC"}, pre_tokenizer={"type": "Metaspace", "replacement": "▁"})), 1421, "'Metaspace'"),
    "Metaspace beside another": (edited("tokenizer.json", lambda t: t["pre_tokenizer"]["pretokenizers"].insert(0, {"type": "Metaspace", "replacement": "▁"})), 1421, "'Metaspace'"),
    "Metaspace with a byte-level decoder": (edited("tokenizer.json", lambda t: t.update(pre_tokenizer={"type": "Metaspace", "replacement": "▁"})), 1421, "decoder"),
    "Split that removes matches": (edited("tokenizer.json", lambda t: t["pre_tokenizer"]["pretokenizers"].insert(0, {"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Removed", "invert": False})), 1421, "behavior"),
    "decoder": (edited("tokenizer.json", lambda t: t.update(decoder=None)), 1421, "decoder"),
    "post-processor": (edited("tokenizer.json", lambda t: t.update(post_processor={"type": "BertProcessing"})), 1421, "'BertProcessing'"),
    "single word": (edited("tokenizer.json", lambda t: t["added_tokens"][0].update(single_word=True)), 1421, "single_word"),
    "token twice": (edited("tokenizer.json", lambda t: t["model"]["vocab"].update(qq=0)), 1420, "have 0"),
    "id far beyond": (lambda f: (config(vocab_size=1 << 24)(f), edited("tokenizer.json", lambda t: t["model"]["vocab"].update(qq=9000000))(f)), 1420, "wide gaps"),
    "added token elsewhere": (edited("tokenizer.json", lambda t: t["added_tokens"][0].update(id=0)), 1420, "at its id in the vocabulary"),
    "added token behind a gap": (edited("tokenizer.json", lambda t: t["added_tokens"].append({"id": 391, "content": "qq"})), 1420, "at the next id, 389"),
    "merge of no token": (edited("tokenizer.json", lambda t: t["model"]["merges"].insert(0, "qq zz")), 1420, "merge 0"),
    "merge twice": (edited("tokenizer.json", lambda t: t["model"]["merges"].append(t["model"]["merges"][0])), 1420, "expects a merge that is there once"),
    "token of the template with another id": (template({"ids": [3]}), 1420, "key 'post_processor.special_tokens'"),
    "token of the template with two ids": (template({"ids": [387, 387]}), 1421, "post_processor.special_tokens.<|im_start|>.ids': expects one id"),
    "token of the template that is not listed": (template(None), 1420, "post_processor.special_tokens.<|im_start|>"),
    "token that the model has no row for": (config(vocab_size=388), 1420, "below 388, vocab_size of config.json"),
    "end without a row": (lambda f: (edited("tokenizer.json", lambda t: t["added_tokens"].append(make_folder.added_token(389, "<image>", True)))(f),
                                     edited("generation_config.json", lambda g: g.update(eos_token_id=389))(f)), 1420, "389"),
    **{f"unknown key of {name}": (edited("tokenizer.json", change), 1421, "zz': expects no such key") for name, change in {
        "the file": lambda t: t.update(zz=1), "the model": lambda t: t["model"].update(zz=1), "an added token": lambda t: t["added_tokens"][0].update(zz=1),
        "a sequence": lambda t: t["pre_tokenizer"].update(zz=1), "a part": lambda t: t["pre_tokenizer"]["pretokenizers"][-1].update(zz=1),
        "the decoder": lambda t: t["decoder"].update(zz=1)}.items()},
    "end beyond the tokens": (edited("generation_config.json", lambda g: g.update(eos_token_id=[389])), 1420, "389"),
}


def no_tokenizer(suite, sound):
    """A folder without tokenizer.json is a model, whose texts are refused by that name."""
    folder = emptied(suite)
    shutil.copytree(sound, folder)
    os.remove(os.path.join(folder, "tokenizer.json"))
    said = json.loads(suite.call("stepdown-run", "inspect", folder, "--json"))
    suite.expect(not said["runs"] and "E1401" in said["refusal"], f"no tokenizer: expects inspect to tell that it does not run, but got {said['runs']}")
    try:
        said = suite.call("stepdown-run", "tokenize", folder, "-p", "a")
    except RuntimeError as error:
        said = str(error)
    suite.expect("error E1401: " in said and "tokenizer.json" in said, f"no tokenizer: expects E1401, but got {said}")


def refused(suite, sound, name, change, number, text, opens=False):
    """A sound folder after `change`: its error, or, where it still opens, what keeps it from running."""
    folder = emptied(suite)
    shutil.copytree(sound, folder)
    change(folder)
    try:
        said = json.loads(suite.call("stepdown-run", "inspect", folder, "--json"))
        said = "error " + said["refusal"] if opens and not said["runs"] else "no error"
    except RuntimeError as error:
        said = "an error, although it is to open" if opens else str(error)
    suite.expect(f"error E{number:04d}: " in said and text in said, f"{name}: expects E{number:04d} and '{text}', but got {said}")


def refusals(suite):
    checkpoint, sound = suite.made("model.gguf", "--family llama --layers 1"), suite.path("sound")
    make_folder.build(checkpoint, sound)
    said = suite.call("stepdown-run", "inspect", sound)
    suite.expect("runs: true" in said, f"a sound folder: expects inspect to tell that it runs, but got {said[:80]}")
    suite.run("no tokenizer", lambda: no_tokenizer(suite, sound))
    for name, (change, number, text) in REFUSED.items():
        suite.run(name, lambda: refused(suite, sound, name, change, number, text))


def noted(key):
    """How `inspect` shows the value of a key."""
    return lambda suite, folder: next((l for l in suite.call("stepdown-run", "inspect", folder).splitlines() if key in l), "nothing")


# config.json of models as they are handed out, but for sizes: keys that a sound folder may have beside its own
KEYS = {
    "Phi 4 mini": dict(full_attn_mod=1, interpolate_factor=1, lm_head_bias=False, mlp_bias=False, embd_pdrop=0.0, resid_pdrop=0.0, pad_token_id=2,
                       auto_map={"AutoConfig": "configuration_phi3.Phi3Config", "AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM"}),
    "Vicuna": dict(max_sequence_length=2048, pad_token_id=0, tokenizer_class="LlamaTokenizer", pretraining_tp=1, rope_scaling=None),
    "SmolLM2": {"is_llama_config": True, "rope_interleaved": False, "pretraining_tp": 1, "pad_token_id": 2, "transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16"}}},
    "Qwen 2.5": dict(use_mrope=False, attention_dropout=0.0, _attn_implementation_autoset=True),
    "a class's own defaults": dict(do_sample=False, top_k=50, chunk_size_feed_forward=0, is_decoder=False, id2label={"0": "LABEL_0"}, torchscript=False),
}
# The whole config.json of models as they are handed out: of ours only sizes, ids and whether the head is the embedding stay.
RELEASED = {
    "Gemma 2": dict(architectures=["Gemma2ForCausalLM"], attention_bias=False, attention_dropout=0.0, attn_logit_softcapping=50.0,
                    cache_implementation="hybrid", final_logit_softcapping=30.0, head_dim=16, hidden_act="gelu_pytorch_tanh",
                    hidden_activation="gelu_pytorch_tanh", initializer_range=0.02, max_position_embeddings=8192, model_type="gemma2",
                    pad_token_id=0, query_pre_attn_scalar=256, rms_norm_eps=1e-06, rope_theta=10000.0, sliding_window=4096,
                    sliding_window_size=4096, torch_dtype="bfloat16", transformers_version="4.42.4", use_cache=True),
    "Granite 3": dict(architectures=["GraniteForCausalLM"], attention_bias=False, attention_dropout=0.1, attention_multiplier=0.015625,
                      embedding_multiplier=12.0, hidden_act="silu", initializer_range=0.02, logits_scaling=8.0,
                      max_position_embeddings=131072, mlp_bias=False, model_type="granite", pad_token_id=0, residual_multiplier=0.22,
                      rms_norm_eps=1e-05, rope_scaling=None, rope_theta=5000000.0, torch_dtype="bfloat16", transformers_version="4.47.0",
                      use_cache=True),
    "OLMo 2": dict(architectures=["Olmo2ForCausalLM"], attention_bias=False, attention_dropout=0.0, hidden_act="silu",
                   initializer_range=0.02, max_position_embeddings=4096, model_type="olmo2", pad_token_id=100277, rms_norm_eps=1e-06,
                   rope_scaling=None, rope_theta=500000, torch_dtype="bfloat16", transformers_version="4.47.0", use_cache=True),
    "SmolLM3": dict(architectures=["SmolLM3ForCausalLM"], attention_bias=False, attention_dropout=0.0, hidden_act="silu",
                    initializer_range=0.02, layer_types=["full_attention"], max_position_embeddings=65536, max_window_layers=28,
                    mlp_bias=False, model_type="smollm3", no_rope_layer_interval=4, no_rope_layers=[1], pad_token_id=128004,
                    pretraining_tp=2, rms_norm_eps=1e-06, rope_scaling=None, rope_theta=5000000.0, sliding_window=None,
                    torch_dtype="bfloat16", transformers_version="4.54.0.dev0", use_cache=False, use_sliding_window=False),
}
OURS = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size", "bos_token_id",
        "eos_token_id", "tie_word_embeddings")


def released(keys):
    """A folder with these keys, and without the norms that its model_type does not have."""
    def apply(folder):
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            ours = json.load(file)
        make_folder.write_json(folder, "config.json", {**{key: ours[key] for key in OURS}, **keys})
        if keys["model_type"] == "olmo2":
            tensors(lambda t: t.pop("model.layers.0.input_layernorm.weight") and None)(folder)
    return apply


GEMMA2 = dict(model_type="gemma2", architectures=["Gemma2ForCausalLM"], hidden_activation="gelu_pytorch_tanh", sliding_window=16, head_dim=16, num_key_value_heads=2)
GEMMA3 = {**GEMMA2, "model_type": "gemma3_text", "architectures": ["Gemma3ForCausalLM"]}
PHI3 = dict(model_type="phi3", architectures=["Phi3ForCausalLM"], rope_scaling={"type": "longrope", "long_factor": [2.0] * 8, "short_factor": [1.0] * 8})

# what is done to a sound folder: (what is asked of it, part of the answer)
TAKEN = {
    **{f"keys of {name}": (config(**keys), noted("llama.block_count"), "1") for name, keys in KEYS.items()},
    **{f"config.json of {name}": (released(keys), noted(f"{keys['model_type']}.block_count"), "1") for name, keys in RELEASED.items()},
    # GGUF's default of gemma2 is a window.
    **{f"no windows of {keys['model_type']}, {name}": (config(**{**keys, **none}), noted(f"{family}.attention.sliding_window"), "sliding_window: 0")
       for keys, family in ((GEMMA2, "gemma2"), (GEMMA3, "gemma3"))
       for name, none in {"by layer_types": dict(layer_types=["full_attention"]), "of no size": dict(sliding_window=None, layer_types=["full_attention"]),
                          "by a pattern": dict(sliding_window_pattern=1)}.items()},
    "null for key-value heads": (config(model_type="qwen3", architectures=["Qwen3ForCausalLM"], num_key_value_heads=None), noted("qwen3.attention.head_count_kv"), "4"),
    "positions that Phi 3 was trained for": (lambda f: (config(**PHI3, max_position_embeddings=8192)(f), tensors(lambda t: [t.pop(n) for n in list(t) if n.split(".")[-2] in ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj")] and None)(f)), noted("phi3.rope.scaling.original_context_length"), "4096"),
    "caps that gemma2 leaves out": (config(**GEMMA2), noted("gemma2.attn_logit_softcapping"), "50"),
    "caps that gemma2 says are none": (config(**GEMMA2, attn_logit_softcapping=None), noted("gemma2.attn_logit_softcapping"), "0"),
    "multipliers that granite leaves out": (config(model_type="granite", architectures=["GraniteForCausalLM"]), noted("granite.attention.scale"), "1"),
    "index of the one file": (lambda f: tensors(lambda t: make_folder.write_json(f, INDEX, {"weight_map": dict.fromkeys(t, "model.safetensors")}))(f), noted("llama.block_count"), "1"),
    "head that is the embedding": (tensors(lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"]})), noted('"output.weight"'), "nothing"),
    "token that the model has no row for": (edited("tokenizer.json", lambda t: t["added_tokens"].append(make_folder.added_token(389, "<image>", True))),
                                            lambda suite, folder: suite.call("stepdown-run", "tokenize", folder, "-p", "<image>"), "["),
}


def taken(suite):
    checkpoint, sound = suite.made("model.gguf", "--family llama --layers 1 --vocab 389"), suite.path("sound")
    make_folder.build(checkpoint, sound)
    for name, (change, ask, text) in TAKEN.items():
        def one():
            folder = emptied(suite)
            shutil.copytree(sound, folder)
            change(folder)
            said = ask(suite, folder)
            suite.expect(text in said and "389" not in said, f"{name}: expects {text}, but got {said}")
        suite.run(name, one)


# Of forms, those that are computed with as well: what rows are made for, of layers and of experts.
COMPUTED = {"AWQ": "--family phi3 --layers 1 --width 96 --head-dim 16 --ffn 160 --head untied",
            "FP8, blocks": "--family qwen3moe --layers 1 --width 96 --head-dim 16 --experts 3 --expert-ffn 160"}


def write_quantised(folder, model, form, linear=lambda name: "_proj." in name, model_type=None):
    """Writes `folder` with the linears of `model` in `form`. {name: (values, type)} of what they are here."""
    config, make, kind = quantised_folder.FORMS[form]
    source = make_folder.build(model, folder, model_type=model_type)
    made = {}

    def change(all):
        for name in [n for n in all if n.endswith(".weight") and linear(n)]:
            dtype, shape, data = all.pop(name)
            parts, true = make(np.frombuffer(data, "<f4").reshape(shape))
            all.update({name[:-len("weight")] + part: value for part, value in parts.items()})
            made[name] = true, kind
    tensors(change)(folder)
    edited("config.json", lambda c: c.update(quantization_config=config))(folder)
    names = {source.theirs(t.name): t.name for t in source.reader.tensors if "_exps." not in t.name}
    if source.key("expert_count", 0):
        stem, parts, _ = make_folder.EXPERTS[source.type]
        names |= {f"model.layers.{l}.{stem}.{e}.{theirs}.weight": f"blk.{l}.ffn_{ours}_exps.weight {e}"
                  for ours, theirs in parts.items() for e in range(source.key("expert_count")) for l in range(source.key("block_count"))}
    return {names[name]: value for name, value in made.items()}


def quantised(suite):
    """Each form: weights are, to the bit, what the formula of its package gives."""
    model = suite.made("model.gguf", "--family qwen3 --layers 1 --width 96 --head-dim 16 --ffn 160 --head untied")
    for form in quantised_folder.FORMS:
        def one():
            folder, wrong = emptied(suite), []
            made = write_quantised(folder, model, form)
            said = json.loads(suite.call("stepdown-run", "inspect", folder, "--json"))
            kinds = {t["name"]: t["type"] for t in said["tensors"]}
            suite.expect(said["runs"], f"{form}: expects it to run, but got {said.get('refusal')}")
            for name in ("blk.0.attn_q.weight", "blk.0.ffn_down.weight"):
                npy = suite.path("tensor.npy")
                suite.call("stepdown-run", "inspect", folder, "--tensor", name, "--npy", npy)
                got, (true, kind) = np.load(npy), made[name]
                os.remove(npy)
                if got.dtype != np.float32 or got.shape != true.shape or not (got == true).all() or kinds[name] != kind:
                    wrong.append(f"{name} of {kinds[name]}, off by {np.abs(got - true).max() if got.shape == true.shape else got.shape}")
            suite.expect(not wrong, f"{form}: expects the bits of its formula as {made[name][1]}, but got {wrong}")
            print(f"{form:40s} {made[name][1]}", flush=True)
        suite.run(form, one)
    for form, options in COMPUTED.items():
        def computed():
            checkpoint, folder = suite.made("model.gguf", options), emptied(suite)
            made = write_quantised(folder, checkpoint, form)
            reference = float64_model.Model(checkpoint)
            for name, (values, _) in made.items():
                name, _, expert = name.partition(" ")
                reference.weight(name)
                if expert:
                    reference.weights[name][int(expert)] = values
                else:
                    reference.weights[name] = values.astype(np.float64)
            logits_of(suite, folder, form, float64_model.forward(reference, TOKENS))
        suite.run(form + ", logits", computed)
    suite.run("beside floats", lambda: beside_floats(suite))
    quantised_refusals(suite)


def quantisation(**keys):
    return edited("config.json", lambda c: c["quantization_config"].update(keys))


def weights_of(**keys):
    """The same of the weights of compressed-tensors' one group."""
    return edited("config.json", lambda c: c["quantization_config"]["config_groups"]["group_0"]["weights"].update(keys))


def values_of(name, change):
    """The tensor of that name with its bytes changed as an array of `kind`."""
    def apply(all):
        dtype, shape, data = all[name]
        values = np.frombuffer(data, {"F16": "<f2", "I32": "<i4", "F32": "<f4", "U8": "u1"}[dtype]).reshape(shape).copy()
        change(values)
        all[name] = dtype, shape, values.tobytes()
    return tensors(apply)


def put(at, value):
    return lambda values: values.__setitem__(at, value)


LINEAR = "model.layers.0.self_attn.q_proj."
EXPERT = "model.layers.0.block_sparse_moe.experts.1.w1."
SCALE = "expects finite scales, but got "
# of a form, what is done to a sound folder: (number of the error, part of its text, and whether the folder still opens)
QUANTISED_REFUSED = {
    "GPTQ, 4 bits": {
        "unknown method": (quantisation(quant_method="gtpq"), 1415, "did you mean gptq?"),
        "method of another kind": (quantisation(quant_method="bitsandbytes"), 1415, "expects awq, compressed-tensors, fp8, gptq or mxfp4, but got 'bitsandbytes'"),
        "no method": (quantisation(quant_method=None), 1415, "quant_method"),
        "no object": (config(quantization_config=4), 1411, "quantization_config"),
        "bits that nobody has": (quantisation(bits=5), 1450, "quantization_config.bits': expects one of 2, 3, 4, 8"),
        "bits of another file": (quantisation(bits=8), 1452, "scales: expects shape [2, 32]"),
        "no bits": (quantisation(bits=None), 1450, "quantization_config.bits"),
        "group of another file": (quantisation(group_size=64), 1452, "scales: expects shape [2, 32], but got [3, 32]"),
        "group of none": (quantisation(group_size=0), 1450, "quantization_config.group_size"),
        "format": (quantisation(checkpoint_format="marlin"), 1415, "expects gptq or gptq_v2"),
        "several forms": (quantisation(dynamic={"+:.*": {"bits": 8}}), 1415, "quantization_config.dynamic"),
        "unknown key": (quantisation(zz=1), 1412, "quantization_config.zz"),
        "no scales": (tensors(lambda t: t.pop(LINEAR + "scales") and None), 1451, "expects scales, but it is missing"),
        "no codes": (tensors(lambda t: t.pop(LINEAR + "qweight") and None), 1451, "expects qweight, but it is missing"),
        "no zero points": (tensors(lambda t: t.pop(LINEAR + "qzeros") and None), 1451, "expects qzeros, but it is missing"),
        "all tensors missing": (tensors(lambda t: [t.pop(n) for n in list(t) if n.startswith(LINEAR)] and None), 220, "blk.0.attn_q.weight", True),
        "scale of NaN": (values_of(LINEAR + "scales", put((1, 3), np.nan)), 1453, SCALE + "nan for row 3 and group 1"),
        "infinite scale": (values_of(LINEAR + "scales", put((0, 0), np.inf)), 1453, SCALE + "inf"),
        "group beyond the last": (values_of(LINEAR + "g_idx", put(7, 3)), 1454, "expects groups below 3, but got 3 for column 7"),
        "negative group": (values_of(LINEAR + "g_idx", put(0, -1)), 1454, "but got -1"),
        "short g_idx": (tensors(lambda t: t.update({LINEAR + "g_idx": ("I32", [95], t[LINEAR + "g_idx"][2][4:])})), 1452, "g_idx: expects shape [96], but got [95]"),
        "codes of floats": (tensors(lambda t: t.update({LINEAR + "qweight": ("F32", *t[LINEAR + "qweight"][1:])})), 1452, "qweight: expects dtype I32, but got f32"),
        "zero points of another shape": (tensors(lambda t: t.update({LINEAR + "qzeros": ("I32", [8, 3], t[LINEAR + "qzeros"][2])})), 1452, "qzeros: expects shape [3, 8]"),
        "weight beside its codes": (tensors(lambda t: t.update({LINEAR + "weight": ("F32", [64, 96], bytes(64 * 96 * 4))})), 1407, LINEAR[:-1]),
        "bias that is not zero": (tensors(lambda t: t.update({LINEAR + "bias": ("F16", [64], b"\1" * 128)})), 1413, "attention_bias"),
        "scales of a norm": (tensors(lambda t: t.update({"model.norm.scales": ("F16", [1], b"12")})), 1452, "tensor 'model.norm.scales': expects a norm of F32, F16 or BF16"),
        "linear of no rule": (tensors(lambda t: t.update({"model.zz.scales": ("F16", [1], b"12")})), 1414, "model.zz.scales"),
    },
    "AWQ": {"version": (quantisation(version="gemv"), 1415, "expects gemm"), "no zero points": (quantisation(zero_point=False), 1415, "zero_point"),
            "bits": (quantisation(bits=8), 1450, "expects one of 4"), "several forms": (quantisation(dynamic={"+:.*": {"bits": 8}}), 1415, "quantization_config.dynamic")},
    "pack-quantized": {
        "format": (quantisation(format="packquantized"), 1415, "did you mean pack-quantized?"),
        "bits that releases pack differently": (weights_of(num_bits=6), 1415, "num_bits': expects 2, 4 or 8 (releases 0.12 and 0.20"),
        "bits that nobody packs": (weights_of(num_bits=9), 1450, "num_bits': expects one of 2, 4, 8, but got 9"),
        "scales that are not in the file": (weights_of(dynamic=True), 1415, "weights.dynamic': expects false"),
        "several forms": (quantisation(dynamic={"+:.*": {"bits": 8}}), 1415, "quantization_config.dynamic"),
        "keys and values": (quantisation(kv_cache_scheme={"num_bits": 8}), 1415, "kv_cache_scheme"),
        "two groups": (edited("config.json", lambda c: c["quantization_config"]["config_groups"].update(a={})), 1415, "expects one group"),
        "shape of another": (tensors(lambda t: t.update({LINEAR + "weight_shape": ("I64", [2], struct.pack("<qq", 64, 95))})), 221, "expects shape {96, 64}, but got {95, 64}", True),
        "zero points of symmetric codes": (tensors(lambda t: t.update({LINEAR + "weight_zero_point": ("I32", [8, 3], b"\x88" * 96)})), 1452, "expects none where quantization_config says symmetric"),
        "huge shape": (tensors(lambda t: t.update({LINEAR + "weight_shape": ("I64", [2], struct.pack("<qq", 64, 1 << 62))})), 1452, "weight_shape: expects what weight_packed [64, 12] has of 4 bits"),
    },
    "FP8, blocks": {
        "no scales": (tensors(lambda t: t.pop(LINEAR + "weight_scale_inv") and None), 1451, "weight_scale"),
        "infinite scale": (values_of(LINEAR + "weight_scale_inv", put((1, 2), np.inf)), 1453, SCALE + "inf for the block of rows 1 and columns 2"),
        "two scales": (tensors(lambda t: t.update({LINEAR + "weight_scale": ("F32", [1], b"\0\0\x80?")})), 1452, "but both are there"),
        "blocks of another file": (quantisation(weight_block_size=[64, 40]), 1452, "weight_scale_inv: expects shape [1, 3], but got [2, 3]"),
        "blocks of nothing": (quantisation(weight_block_size=[0, 40]), 1450, "weight_block_size"),
        "another float": (quantisation(fmt="e5m2"), 1415, "expects e4m3"),
        "several forms": (quantisation(dynamic={"+:.*": {"bits": 8}}), 1415, "quantization_config.dynamic"),
        "mxfp4 of another family": (config(quantization_config={"quant_method": "mxfp4"}), 1415, "expects mxfp4 of gpt_oss alone, and model_type is qwen3"),
    },
}


def beside_floats(suite):
    """Linears and experts of floats beside quantised ones, and a head that is quantised: types, and bits of each."""
    model, folder = suite.made("model.gguf", "--family qwen3moe --layers 1 --width 96 --head-dim 16 --experts 3 --expert-ffn 160 --head untied --vocab 392"), emptied(suite)
    plain = {}

    def linear(name):
        return name == "lm_head.weight" or ("_proj." in name and "k_proj" not in name and ".experts.1.up_proj" not in name)
    made = write_quantised(folder, model, "GPTQ, 4 bits", linear)
    tensors(plain.update)(folder)
    floats = lambda name: np.frombuffer(plain[name][2], "<f4").reshape(plain[name][1])
    up = [made.get(f"blk.0.ffn_up_exps.weight {e}", (None,))[0] for e in range(3)]
    up[1] = floats("model.layers.0.mlp.experts.1.up_proj.weight")
    expected = {"blk.0.attn_k.weight": ("f32", floats("model.layers.0.self_attn.k_proj.weight")), "blk.0.ffn_up_exps.weight": ("f32", np.stack(up)),
                "blk.0.ffn_down_exps.weight": ("q4_0", np.stack([made[f"blk.0.ffn_down_exps.weight {e}"][0] for e in range(3)])),
                "output.weight": ("q4_0", made["output.weight"][0])}
    kinds = {t["name"]: t["type"] for t in json.loads(suite.call("stepdown-run", "inspect", folder, "--json"))["tensors"]}
    for name, (kind, values) in expected.items():
        npy = suite.path("tensor.npy")
        suite.call("stepdown-run", "inspect", folder, "--tensor", name, "--npy", npy)
        got = np.load(npy)
        os.remove(npy)
        suite.expect(kinds[name] == kind and got.size == values.size and (got.ravel() == values.ravel()).all(), f"beside floats: {name}: expects {kind} of the formula's bits, but got {kinds[name]}, {got.shape}")


def quantised_refusals(suite):
    model = suite.made("model.gguf", "--family qwen3 --layers 1 --width 96 --head-dim 16 --ffn 160 --head untied")
    for form, cases in QUANTISED_REFUSED.items():
        sound = suite.path("sound-" + str(len(form)))
        write_quantised(sound, model, form)
        for name, (change, *expected) in cases.items():
            suite.run(f"{form}, {name}", lambda: refused(suite, sound, f"{form}, {name}", change, *expected))
        if form == "GPTQ, 4 bits":
            suite.run("biases of zeros", lambda: zero_biases(suite, sound, LINEAR + "bias"))
    sound = suite.path("sound-mixtral")
    write_quantised(sound, suite.made("model.gguf", "--family llama --layers 1 --width 96 --ffn 160 --experts 3"), "GPTQ, 4 bits", lambda name: "_proj." in name or ".experts." in name, "mixtral")
    suite.run("biases of experts, not of zeros", lambda: refused(suite, sound, "biases of experts", tensors(lambda t: t.update({EXPERT + "bias": ("F16", [160], b"\1" * 320)})), 1414, EXPERT + "bias"))
    suite.run("biases of zeros of experts", lambda: zero_biases(suite, sound, EXPERT + "bias"))
    sound = suite.path("sound-gpt-oss")
    make_folder.build(suite.made("model.gguf", MODELS["gpt-oss"][0]), sound, "BF16")
    for name, keys in (("no method", None), ("another method", quantised_folder.gptq_config())):
        suite.run(f"MXFP4, {name}", lambda: refused(suite, sound, f"MXFP4, {name}", config(quantization_config=keys), 1415, "expects quant_method mxfp4"))

    def scale_of_nan():  # E8M0's, which is 2^128 in a block of GGUF; rows of gate and up take turns
        folder = emptied(suite)
        shutil.copytree(sound, folder)
        values_of("model.layers.0.mlp.experts.gate_up_proj_scales", put((1, 5, 1), 255))(folder)
        try:
            said = suite.call("stepdown-compile", folder, "-o", suite.path("none.stepdown"), "--check-weights")
        except RuntimeError as error:
            said = str(error)
        text = "row 98, column 32: tensor 'blk.0.ffn_up_exps.weight': mxfp4: expects a finite block scale, but got nan"
        suite.expect(text in said, f"MXFP4, scale of NaN: expects '{text}', but got {said}")
    suite.run("MXFP4, scale of NaN", scale_of_nan)


def zero_biases(suite, folder, name):
    """What AutoGPTQ wrote for linears without a bias."""
    tensors(lambda t: t.update({name: ("F16", [64], bytes(128))}))(folder)
    suite.expect("runs: true" in suite.call("stepdown-run", "inspect", folder), "biases of zeros: expects inspect to tell that it runs")


PARTS = {"quantised": quantised, "models": models, "taken": taken, "refusals": refusals}


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--bin", required=True, help="folder of stepdown-compile and stepdown-run")
    a.add_argument("--part", choices=[*PARTS, "transformers"], action="append")
    a.add_argument("--jobs", type=int, default=os.cpu_count())
    options = a.parse_args()
    suite = Suite(options)
    for part in options.part or PARTS:
        suite.run(part, lambda: {**PARTS, "transformers": transformers_models}[part](suite))
    suite.finish()


if __name__ == "__main__":
    main()
