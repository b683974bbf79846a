"""Damaged and contradictory folders, and the numbered error of each: part `refusals` of folders.py."""
import json, os, shutil

import make_folder
import unigram_tokenizer
from folder_case import INDEX, NORM, Q, SHARD, config, cut, edited, emptied, header, offsets, refused, sharded, template, tensors, twice


def unigram(change):
    """The folder with a Unigram vocabulary, after a change of its tokenizer.json."""
    def apply(folder):
        value = unigram_tokenizer.tokenizer(list("abc"), characters={"A": "a"})
        change(value)
        make_folder.write_json(folder, "tokenizer.json", value)
        config(vocab_size=2000, bos_token_id=None, eos_token_id=2)(folder)
        os.remove(os.path.join(folder, "tokenizer_config.json"))
        os.remove(os.path.join(folder, "generation_config.json"))
        tensors(lambda t: t.update({"model.embed_tokens.weight": ("F32", [2000, 64], bytes(2000 * 64 * 4))}))(folder)
    return apply


def control_byte(value):
    value.update(unigram_tokenizer.tokenizer(list("abc"), byte_fallback=True))
    id = next(i for i, (text, _) in enumerate(value["model"]["vocab"]) if text == "<0x09>")
    value["model"]["vocab"][id][0] = "\t"
    value["added_tokens"].insert(0, make_folder.added_token(id, "\t", True))


# what is done to a sound folder: (number of the error, part of its text)
REFUSED = {
    "no config": (lambda f: os.remove(f + "/config.json"), 1401, "config.json"),
    "an adapter": (lambda f: os.rename(f + "/config.json", f + "/adapter_config.json"), 1401, "an adapter: name the model that it is for"),
    "a GGUF file in a folder": (lambda f: os.rename(f + "/config.json", f + "/b.gguf") or open(f + "/a.gguf", "w").close(), 1401, "(a.gguf is there: name it itself)"),
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
    **{f"folders of {kind}": (config(model_type=kind), 1410, f"expects a GGUF file in place of the folder where it is {kind}")
       for kind in ("chatglm", "codeshell", "exaone", "maincoder", "orion", "xverse")},
    "EXAONE 4, which is another model": (config(model_type="exaone4"), 1410, "'exaone4'"),
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
    "dynamic rotation of no factor": (config(rope_scaling={"type": "dynamic", "factor": 0.5}), 1411, "rope_scaling.factor"),
    "rotation of no known type": (config(rope_scaling={"type": "spiral", "factor": 2.0}), 1411, "'spiral'"),
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
    "words alone": (edited("tokenizer.json", lambda t: t["model"].update(type="WordLevel")), 1421, "'WordLevel'"),
    **{f"Unigram, {name}": (unigram(change), number, text) for name, (change, number, text) in {
        "no Metaspace": (lambda t: t.update(pre_tokenizer={"type": "Whitespace"}), 1421, "expects Metaspace"),
        "first alone": (lambda t: [t[k].update(prepend_scheme="first") for k in ("pre_tokenizer", "decoder")], 1421, "prepend_scheme"),
        "another decoder": (lambda t: t.update(decoder={"type": "ByteLevel"}), 1421, "expects Metaspace behind"),
        "a decoder that contradicts": (lambda t: t.update(decoder={**t["decoder"], "prepend_scheme": "never"}), 1421, "expects always"),
        "another normalizer": (lambda t: t.update(normalizer={"type": "NFKC"}), 1421, "'NFKC'"),
        "a map that is no base 64": (lambda t: t["normalizer"].update(precompiled_charsmap="a*=="), 1420, "base 64"),
        "a map that is cut off": (lambda t: t["normalizer"].update(precompiled_charsmap=t["normalizer"]["precompiled_charsmap"][:80]), 316, "charsmap"),
        "no unknown token": (lambda t: t["model"].update(unk_id=None), 1420, "unk_id"),
        "unknown token beyond the last": (lambda t: t["model"].update(unk_id=1 << 20), 1420, "unk_id"),
        "a score of more digits": (lambda t: t["model"]["vocab"][7].__setitem__(1, 0.1), 1420, "token 7"),
        "a token without a score": (lambda t: t["model"]["vocab"][7].pop(), 1420, "token 7"),
        "a control token in place of a byte's": (control_byte, 1420, "<0x09> is missing"),
        "bytes without their tokens": (lambda t: t["model"].update(byte_fallback=True), 1420, "byte_fallback"),
        "a vocabulary that is an object": (lambda t: t["model"].update(vocab={}), 1420, "expects a list")}.items()},
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


# model of make_model.py: {what is done to its folder: as of REFUSED}
OF_FAMILIES = {
    "--family gpt2 --kv-heads 4 --layers 1": {
        "scores that are not scaled": (config(scale_attn_weights=False), 1411, "'scale_attn_weights': expects true"),
        "scores scaled by layer": (config(scale_attn_by_inverse_layer_idx=True), 1411, "scale_attn_by_inverse_layer_idx"),
        "another class": (config(architectures=["GPT2DoubleHeadsModel"]), 1410, "GPT2DoubleHeadsModel"),
        "another gelu": (config(activation_function="gelu"), 1411, "activation_function"),
        "heads that do not divide": (config(n_head=5), 1411, "'n_embd': expects a multiple of n_head"),
        "no positions": (tensors(lambda t: t.pop("transformer.wpe.weight") and None), 220, "position_embd.weight"),
        "fewer positions": (config(n_positions=60), 221, "position_embd.weight"),
        "a norm without a bias": (tensors(lambda t: t.pop("transformer.h.0.ln_1.bias") and None), 220, "blk.0.attn_norm.bias"),
        "a linear without a bias": (tensors(lambda t: t.pop("transformer.h.0.mlp.c_fc.bias") and None), 1413, "mlp.c_fc.bias"),
        "a weight in both forms of its name": (tensors(lambda t: t.update({"h.0.attn.c_attn.weight": t["transformer.h.0.attn.c_attn.weight"]})), 1407, "h.0.attn.c_attn.weight"),
        "a weight that is a vector": (tensors(lambda t: t.update({"transformer.h.0.attn.c_proj.weight": ("F32", [4096], bytes(16384))})), 1452, "of two dimensions"),
        "quantised": (lambda f: (config(quantization_config={"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": False, "sym": True})(f),
                                 tensors(lambda t: t.update({"transformer.h.0.attn.c_attn.qweight": ("I32", [8, 192], bytes(6144))}))(f)), 1415, "expects floats where model_type is gpt2"),
    },
    "--family cohere2 --layers 1": {
        "one block behind the other": (config(use_parallel_block=False), 1411, "use_parallel_block"),
        "part of a head": (config(rotary_pct=0.5), 1411, "rotary_pct"),
        "no window": (edited("config.json", lambda c: c.pop("sliding_window") and None), 1411, "sliding_window"),
        "a norm with a bias": (tensors(lambda t: t.update({"model.norm.bias": ("F32", [64], bytes(256))})), 1414, "model.norm.bias"),
        "logits of nothing": (config(logit_scale=0), 1411, "logit_scale")},
    "--family internlm2 --layers 1 --head untied": {
        "biases": (config(bias=True), 1411, "'bias': expects false"),
        "a head that is another": (config(tie_word_embeddings=True), 1413, "expects false where output.weight is another tensor than model.tok_embeddings.weight"),
        "heads of another number": (config(num_key_value_heads=1), 1452, "attention.wqkv")},
    "--family starcoder2 --layers 1": {
        "no biases that are there": (config(use_bias=False), 1413, "key 'use_bias': expects no"),
        "another norm": (config(norm_type="rms"), 1411, "norm_type")},
    "--family command-r --layers 1": {
        "heads that are normed": (config(use_qk_norm=True), 1411, "use_qk_norm"),
        "biases that are missing": (config(attention_bias=True), 1413, "key 'attention_bias': expects"),
        "a factor of nothing": (config(logit_scale=0), 1411, "logit_scale")},
    "--family ernie4_5 --layers 1": {"biases that are missing": (config(use_bias=True), 1413, "key 'use_bias': expects")},
    "--family gemma --layers 1": {
        "another activation": (config(hidden_act="silu"), 1411, "hidden_act"),
        "an older name of another": (config(hidden_activation="gelu"), 1411, "hidden_activation"),
        "both directions": (config(use_bidirectional_attention=True), 1411, "use_bidirectional_attention"),
        "no norm": (tensors(lambda t: t.pop("model.norm.weight") and None), 220, "output_norm")},
    "--family chatglm --layers 1": {
        "no biases that are there": (config(attention_bias=False), 1413, "key 'attention_bias': expects no"),
        "a part of nothing": (config(partial_rotary_factor=0), 1411, "partial_rotary_factor"),
        "no keys": (tensors(lambda t: t.pop("model.layers.0.self_attn.k_proj.weight") and None), 220, "attn_k")},
    "--family glm4 --layers 1": {
        "no biases that are there": (config(attention_bias=False), 1413, "key 'attention_bias': expects no"),
        "no norm behind the MLP": (tensors(lambda t: t.pop("model.layers.0.post_mlp_layernorm.weight") and None), 220, "post_ffw_norm")},
    "--family starcoder --layers 1 --kv-heads 1": {
        "a head of keys for each": (config(multi_query=False), 1411, "multi_query"),
        "scores without a scale": (config(scale_attn_weights=False), 1411, "scale_attn_weights"),
        "the exact activation": (config(activation_function="gelu"), 1411, "activation_function")},
    "--family granitemoe --layers 1 --experts 5": {
        "experts of another number": (config(num_local_experts=4), 1452, "input_linear"),
        "no router": (tensors(lambda t: t.pop("model.layers.0.block_sparse_moe.router.layer.weight") and None), 220, "ffn_gate_inp"),
        "a scale of nothing": (config(logits_scaling=0), 1411, "logits_scaling")},
    "--family hunyuan-dense --layers 1": {
        "heads without norms": (config(use_qk_norm=False), 1411, "use_qk_norm"),
        "keys of other layers": (config(use_cla=True), 1411, "use_cla"),
        "a base of nothing": (config(rope_scaling={"type": "dynamic", "factor": 1.0, "alpha": 0}), 1411, "rope_scaling.alpha"),
        "another rotation with an alpha": (config(rope_scaling={"type": "linear", "factor": 2.0, "alpha": 3.0}), 1412, "rope_scaling.alpha")},
    "--family seed_oss --layers 1": {
        "no biases that are there": (config(attention_bias=False), 1413, "key 'attention_bias': expects no"),
        "a bias that is missing": (config(attention_out_bias=True), 1413, "key 'attention_out_bias': expects")},
    "--family qwen2moe --layers 1 --experts 3 --head untied": {
        "windows": (config(use_sliding_window=True), 1411, "use_sliding_window"),
        "a window of one layer": (config(layer_types=["sliding_attention"]), 1411, "layer_types"),
        "no biases": (config(qkv_bias=False), 1411, "qkv_bias"),
        "weights of those chosen": (config(norm_topk_prob=True), 1411, "norm_topk_prob"),
        "a shared expert of nothing": (config(shared_expert_intermediate_size=0), 1411, "shared_expert_intermediate_size"),
        "no gate of the shared expert": (tensors(lambda t: t.pop("model.layers.0.mlp.shared_expert_gate.weight") and None), 220, "ffn_gate_inp_shexp")},
}


def other_files(suite, sound):
    """What is no checkpoint and looks like one: what it is, and what to name in its place."""
    path = suite.path("other")
    cases = {"a zip file": (b"PK\x03\x04" + bytes(40), "as PyTorch writes weights"), "a model from before GGUF": (b"tjgg\x03\0\0\0" + bytes(40), "before there was GGUF"),
             "its weights": (open(os.path.join(sound, "model.safetensors"), "rb").read(), "safetensors: name the folder"),
             "its config.json": (open(os.path.join(sound, "config.json"), "rb").read(), "of a Hugging Face folder name the folder"),
             "zeros": (bytes(99), "but got 00 00 00 00\n")}
    for name, (data, text) in cases.items():
        with open(path, "wb") as file:
            file.write(data)
        try:
            said = suite.call("stepdown-run", "inspect", path) and "no error"
        except RuntimeError as error:
            said = f"{error}\n"
        suite.expect("error E0102: " in said and text in said, f"{name}: expects E0102 and '{text}', but got {said}")


def refusals(suite):
    checkpoint, sound = suite.made("model.gguf", "--family llama --layers 1"), suite.path("sound")
    make_folder.build(checkpoint, sound)
    said = suite.call("stepdown-run", "inspect", sound)
    suite.expect("runs: true" in said, f"a sound folder: expects inspect to tell that it runs, but got {said[:80]}")
    suite.run("other files", lambda: other_files(suite, sound))
    suite.run("no tokenizer", lambda: no_tokenizer(suite, sound))
    for name, (change, number, text) in REFUSED.items():
        suite.run(name, lambda: refused(suite, sound, name, change, number, text, number == 316))
    for options, cases in OF_FAMILIES.items():
        shutil.rmtree(sound)
        make_folder.build(suite.made("model.gguf", options), sound)
        for name, (change, number, text) in cases.items():
            suite.run(name, lambda: refused(suite, sound, f"{options}: {name}", change, number, text, number in (220, 221)))
