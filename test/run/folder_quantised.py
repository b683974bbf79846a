"""Quantised folders, weights to the bit and some logits, and what is refused of them: part `quantised` of folders.py."""
import json, os, shutil, struct

import numpy as np
import float64_model
import make_folder
import quantised_folder
from conformance import TOKENS
from folder_case import config, edited, emptied, logits_of, refused, tensors

# Of forms, those that are computed with as well: what rows are made for, of layers and of experts.
COMPUTED = {"AWQ": "--family phi3 --layers 1 --width 96 --head-dim 16 --ffn 160 --head untied",
            "FP8, blocks": "--family qwen3moe --layers 1 --width 96 --head-dim 16 --experts 3 --expert-ffn 160"}


# Their codes fill words with 32 columns, or 16, and their packages write no part of a word.
WHOLE_WORDS = ("GPTQ, 3 bits", "GPTQ, 2 bits, BF16 scales", "pack-quantized, 2 bits")


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
    for form in quantised_folder.FORMS:
        def one():
            model = suite.made("model.gguf", "--family qwen3 --layers 1 --width 96 --head-dim 16 --ffn 160 --head untied")
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
        if form not in WHOLE_WORDS:
            for columns in (168, 24):
                suite.run(f"{form}, {columns} columns", lambda: part_of_block(suite, form, columns))
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


def part_of_block(suite, form, columns):
    """Rows that end in part of a block of 32, and of what is read at once; of whatever type they are here."""
    folder = emptied(suite)
    made = write_quantised(folder, suite.made("model.gguf", f"--family qwen3 --layers 1 --width 96 --head-dim 16 --ffn {columns} --head untied"), form)
    npy = suite.path("tensor.npy")
    suite.call("stepdown-run", "inspect", folder, "--tensor", "blk.0.ffn_down.weight", "--npy", npy)
    got, (true, _) = np.load(npy), made["blk.0.ffn_down.weight"]
    os.remove(npy)
    suite.expect(got.shape == true.shape and (got == true).all(), f"{form}, {columns} columns: expects the bits of its formula, but got {got.shape}, off by {np.abs(got - true).max() if got.shape == true.shape else got.shape}")


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
GPT_OSS = "--family gpt-oss --type BF16 --mix exps=MXFP4 --norm-type BF16 --heads 6 --kv-heads 2 --head-dim 16 --experts 7 --used 3 --expert-ffn 96 --rope yarn:4:128 --head untied"
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
    make_folder.build(suite.made("model.gguf", GPT_OSS), sound, "BF16")
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
