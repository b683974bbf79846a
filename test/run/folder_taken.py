"""What folders may say in several ways, and keys of real models: part `taken` of folders.py."""
import json, os, shutil

import make_folder
from folder_case import INDEX, config, edited, emptied, tensors


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


RELEASED_STARCODER = dict(  # of StarCoder 2 3B
    architectures=["Starcoder2ForCausalLM"], attention_dropout=0.1, embedding_dropout=0.1, hidden_act="gelu_pytorch_tanh", initializer_range=0.018042,
    max_position_embeddings=16384, mlp_type="default", model_type="starcoder2", norm_epsilon=1e-05, norm_type="layer_norm", residual_dropout=0.1,
    rope_theta=999999.4420358813, sliding_window=4096, torch_dtype="float32", transformers_version="4.37.0.dev0", use_bias=True, use_cache=True)
RELEASED_COHERE = dict(  # of Command R7B
    architectures=["Cohere2ForCausalLM"], attention_bias=False, attention_dropout=0.0, cache_implementation="hybrid", hidden_act="silu", initializer_range=0.02,
    layer_norm_eps=1e-05, layer_switch=4, logit_scale=0.25, max_position_embeddings=132096, model_type="cohere2", order_of_interleaved_layers="local_attn_first",
    pad_token_id=0, position_embedding_type="rope_gptj", rope_scaling=None, rope_theta=50000, rotary_pct=1.0, sliding_window=4096, sliding_window_pattern=4,
    torch_dtype="bfloat16", transformers_version="4.48.0.dev0", use_cache=True, use_embedding_sharing=True, use_gated_activation=True, use_parallel_block=True,
    use_parallel_embedding=True)
RELEASED_INTERNLM = dict(  # of InternLM 2.5 1.8B
    architectures=["InternLM2ForCausalLM"], attn_implementation="eager", bias=False, hidden_act="silu", initializer_range=0.02, max_position_embeddings=32768,
    model_type="internlm2", pad_token_id=2, pretraining_tp=1, rms_norm_eps=1e-05, rope_scaling={"factor": 2.0, "type": "dynamic"}, rope_theta=1000000,
    torch_dtype="bfloat16", transformers_version="4.41.0", use_cache=True, auto_map={"AutoConfig": "configuration_internlm2.InternLM2Config"})


def replaced(keys):
    """config.json with these keys in place of those that are no size."""
    return edited("config.json", lambda c: [c.pop(k) for k in list(c) if k not in OURS] and c.update(keys))


def first_names(folder):
    """Tensors of GPT-2 as its first files name them, with the masks that these hold."""
    tensors(lambda t: t.update({"h.0.attn.bias": ("F32", [1, 1, 2, 2], bytes(16)), **{n.removeprefix("transformer."): t.pop(n) for n in list(t)}}))(folder)


# model of make_model.py: {what is done to its folder: as of TAKEN}
OF_FAMILIES = {
    "--family gpt2 --kv-heads 4 --ffn 256": {
        "names without transformer": (first_names, noted("gpt2.block_count"), "2"), "as wide as four widths": (config(n_inner=None), noted("gpt2.feed_forward_length"), "256")},
    "--family starcoder2 --layers 1": {"config.json of StarCoder 2": (replaced(RELEASED_STARCODER), noted("starcoder2.attention.sliding_window"), "4096")},
    "--family cohere2 --layers 1": {"config.json of Command R7B": (replaced(RELEASED_COHERE), noted("cohere2.logit_scale"), "0.25")},
    # transformers writes them into every such file.
    "--family qwen2moe --layers 1 --experts 3 --head untied": {
        "layers without windows": (config(use_sliding_window=False, sliding_window=None, max_window_layers=28, layer_types=["full_attention"]), noted("qwen2moe.block_count"), "1")},
    "--family internlm2 --layers 1 --head untied": {"config.json of InternLM 2.5": (replaced(RELEASED_INTERNLM), noted("internlm2.rope.freq_base"), "1000000")},
}
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
    sound = suite.path("sound")
    for options, cases in {"--family llama --layers 1 --vocab 389": TAKEN, **OF_FAMILIES}.items():
        shutil.rmtree(sound, ignore_errors=True)
        make_folder.build(suite.made("model.gguf", options), sound)
        for name, (change, ask, text) in cases.items():
            def one():
                folder = emptied(suite)
                shutil.copytree(sound, folder)
                change(folder)
                said = ask(suite, folder)
                suite.expect(text in said and "389" not in said, f"{name}: expects {text}, but got {said}")
                if cases is not TAKEN:
                    suite.expect("runs: true" in suite.call("stepdown-run", "inspect", folder), f"{name}: expects inspect to tell that it runs")
            suite.run(name, one)
