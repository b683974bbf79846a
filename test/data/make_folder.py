#!/usr/bin/env python3
"""Writes a tiny checkpoint of make_model.py as a Hugging Face folder: the same model in the other format.

    pip install numpy gguf
    make_folder.py MODEL.gguf FOLDER --dtype F32 --shards 3

The GGUF file is the one that a converter would make of the folder: names, the order of the rows of q and k in llama, and
the 1 that gemma3's norms have in GGUF are taken back. The writer of safetensors is this file's own.
"""
import argparse, json, os, struct
import numpy as np
import gguf

NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
LAYER = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "attn_qkv": "self_attn.qkv_proj",
    "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm", "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}
BEHIND = {"post_attention_norm": "post_attention_layernorm", "ffn_norm": "pre_feedforward_layernorm",
          "post_ffw_norm": "post_feedforward_layernorm"}  # of families that norm what a branch gives
# Families whose tensors have names of their own; GPT-2's linears are [in, out], InternLM 2's q, k and v one tensor.
OWN = {
    "gpt2": {"token_embd": "transformer.wte", "position_embd": "transformer.wpe", "output_norm": "transformer.ln_f", "output": "lm_head",
             "attn_norm": "transformer.h.{}.ln_1", "ffn_norm": "transformer.h.{}.ln_2", "attn_qkv": "transformer.h.{}.attn.c_attn",
             "attn_output": "transformer.h.{}.attn.c_proj", "ffn_up": "transformer.h.{}.mlp.c_fc", "ffn_down": "transformer.h.{}.mlp.c_proj"},
    "internlm2": {"token_embd": "model.tok_embeddings", "output_norm": "model.norm", "output": "output",
                  "attn_norm": "model.layers.{}.attention_norm", "ffn_norm": "model.layers.{}.ffn_norm", "attn_output": "model.layers.{}.attention.wo",
                  "ffn_gate": "model.layers.{}.feed_forward.w1", "ffn_up": "model.layers.{}.feed_forward.w3", "ffn_down": "model.layers.{}.feed_forward.w2"},
}
OWN["gpt_bigcode"] = OWN["gpt2"]
# Names that a family has beside, or in place of, those of LAYER.
RENAMED = {
    "glm": {"ffn_up": "mlp.gate_up_proj"},
    "glm4": {"ffn_up": "mlp.gate_up_proj", "post_attention_norm": "post_self_attn_layernorm", "post_ffw_norm": "post_mlp_layernorm"},
    "granitemoe": {"ffn_gate_inp": "block_sparse_moe.router.layer"},
    "hunyuan_v1_dense": {"attn_q_norm": "self_attn.query_layernorm", "attn_k_norm": "self_attn.key_layernorm"},
    "seed_oss": {"post_attention_norm": "post_attention_layernorm"},
}
ADJACENT = ("cohere", "ernie4_5", "glm", "glm4")  # whose folders have the order of rows that their GGUF files have
SHARED = {"ffn_gate_shexp": "mlp.shared_expert.gate_proj", "ffn_up_shexp": "mlp.shared_expert.up_proj", "ffn_down_shexp": "mlp.shared_expert.down_proj",
          "ffn_gate_inp_shexp": "mlp.shared_expert_gate"}
# Of expert E: what stands before and behind its number, and what chooses.
EXPERTS = {"mixtral": ("block_sparse_moe.experts", {"gate": "w1", "up": "w3", "down": "w2"}, "block_sparse_moe.gate")}
EXPERTS |= dict.fromkeys(("qwen2_moe", "qwen3_moe", "olmoe"), ("mlp.experts", {p: p + "_proj" for p in ("gate", "up", "down")}, "mlp.gate"))
TYPES = {"cohere": "command-r", "ernie4_5": "ernie4_5", "gemma": "gemma", "glm": "chatglm", "glm4": "glm4", "gpt_bigcode": "starcoder",
         "granitemoe": "granitemoe", "hunyuan_v1_dense": "hunyuan-dense", "seed_oss": "seed_oss", "gpt2": "gpt2", "starcoder2": "starcoder2", "cohere2": "cohere2", "internlm2": "internlm2", "qwen2_moe": "qwen2moe", "mixtral": "llama", "qwen3_moe": "qwen3moe", "olmoe": "olmoe", "gpt_oss": "gpt-oss", "llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gemma2": "gemma2", "gemma3_text": "gemma3",
         "granite": "granite", "olmo2": "olmo2", "olmo3": "olmo2", "phi3": "phi3", "smollm3": "smollm3"}
CLASSES = {"cohere": "Cohere", "ernie4_5": "Ernie4_5", "gemma": "Gemma", "glm": "Glm", "glm4": "Glm4", "gpt_bigcode": "GPTBigCode",
           "granitemoe": "GraniteMoe", "hunyuan_v1_dense": "HunYuanDenseV1", "seed_oss": "SeedOss", "gpt2": "GPT2LMHeadModel", "starcoder2": "Starcoder2", "cohere2": "Cohere2", "internlm2": "InternLM2", "qwen2_moe": "Qwen2Moe", "mixtral": "Mixtral", "qwen3_moe": "Qwen3Moe", "olmoe": "Olmoe", "gpt_oss": "GptOss", "llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2", "qwen3": "Qwen3", "gemma2": "Gemma2", "gemma3_text": "Gemma3",
           "granite": "Granite", "olmo2": "Olmo2", "olmo3": "Olmo3", "phi3": "Phi3", "smollm3": "SmolLM3"}


def encode(values, dtype):
    """The bytes of float32 `values` as dtype F32, F16 or BF16, rounded to nearest even."""
    values = np.ascontiguousarray(values, np.float32)
    if dtype == "F32":
        return values.tobytes()
    if dtype == "F16":
        return values.astype(np.float16).tobytes()
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16).tobytes()


def write_safetensors(path, tensors):
    """`tensors`: {name: (dtype, shape, bytes)}, laid out in that order."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, data in tensors.values():
            file.write(data)


def read_safetensors(path):
    """({name: what the header says of it}, the bytes behind the header, into which data_offsets point)."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        return header, file.read()


def write_weights(folder, tensors, shards=0):
    """One file, or `shards` files and their index."""
    os.makedirs(folder, exist_ok=True)
    if not shards:
        return write_safetensors(os.path.join(folder, "model.safetensors"), tensors)
    names, place = list(tensors), {}
    for i in range(shards):
        file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        part = {name: tensors[name] for name in names[i::shards]}
        write_safetensors(os.path.join(folder, file), part)
        place.update({name: file for name in part})
    size = sum(len(data) for _, _, data in tensors.values())
    with open(os.path.join(folder, "model.safetensors.index.json"), "w") as file:
        json.dump({"metadata": {"total_size": size}, "weight_map": place}, file)


BY_FAMILY = {"gemma3": "gemma3_text", "qwen2moe": "qwen2_moe", "qwen3moe": "qwen3_moe", "gpt-oss": "gpt_oss", "command-r": "cohere", "chatglm": "glm",
             "starcoder": "gpt_bigcode", "hunyuan-dense": "hunyuan_v1_dense"}


class Source:
    """A GGUF checkpoint of make_model.py in the words of Hugging Face."""

    def __init__(self, path, model_type=None):
        self.reader = gguf.GGUFReader(path)
        self.meta = {k: f.contents() for k, f in self.reader.fields.items()}
        self.family = self.meta["general.architecture"]
        self.type = model_type or BY_FAMILY.get(self.family, self.family)
        self.gemma = self.family.startswith("gemma")
        assert TYPES[self.type] == self.family

    def key(self, name, default=None):
        return self.meta.get(f"{self.family}.{name}", default)

    def theirs(self, name):
        stem, _, kind = name.rpartition(".")
        if self.type in OWN:
            _, layer, part = stem.split(".", 2) if stem.startswith("blk.") else ("", "", stem)
            return f"{OWN[self.type][part].format(layer)}.{kind}"
        if not stem.startswith("blk."):
            return f"{NAMES[stem]}.{kind}"
        _, layer, part = stem.split(".", 2)
        if part in RENAMED.get(self.type, ()):
            part = RENAMED[self.type][part]
        elif (self.gemma and self.type != "gemma") or self.family == "olmo2":
            part = BEHIND.get(part) or LAYER[part]
        elif self.family == "phi3" and part == "ffn_up":
            part = "mlp.gate_up_proj"
        elif self.type == "starcoder2" and part in ("ffn_up", "ffn_down"):
            part = {"ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj"}[part]
        elif part in SHARED:
            part = SHARED[part]
        elif part == "ffn_gate_inp":
            part = EXPERTS[self.type][2] if self.type in EXPERTS else "mlp.router"
        elif self.type == "gpt_oss" and part == "post_attention_norm":
            part = "post_attention_layernorm"
        elif part == "attn_sinks":
            return f"model.layers.{layer}.self_attn.sinks"
        else:
            part = LAYER[part]
        return f"model.layers.{layer}.{part}.{kind}"

    def unpermuted(self, values, heads):
        """Rows in which pairs lie half a head apart, of rows in which they are neighbours."""
        shape = values.shape
        return values.reshape(heads, shape[0] // heads // 2, 2, *shape[1:]).swapaxes(1, 2).reshape(shape)

    def experts(self, dtype):
        """A tensor for each expert; gpt-oss's are two a projection in MXFP4, with rows of gate and up in turn."""
        out, stacks = {}, {t.name: t for t in self.reader.tensors if "_exps." in t.name}
        for name, t in stacks.items():
            _, layer, part, kind = name.split(".")
            shape = [int(n) for n in t.shape[::-1]]
            at, which = f"model.layers.{layer}.", part.split("_")[1]
            if self.type == "granitemoe":  # stacked, gate above up
                if which == "up":
                    continue
                whole = lambda each: gguf.quants.dequantize(each.data, each.tensor_type).reshape(shape)
                values = np.concatenate([whole(t), whole(stacks[name.replace("_gate_", "_up_")])], 1) if which == "gate" else whole(t)
                out[f"{at}block_sparse_moe.{'in' if which == 'gate' else 'out'}put_linear.weight"] = (dtype, values.shape, encode(values, dtype))
                continue
            if self.type != "gpt_oss":
                values = gguf.quants.dequantize(t.data, t.tensor_type).reshape(shape)
                stem, names, _ = EXPERTS[self.type]
                for e, each in enumerate(values):
                    out[f"{at}{stem}.{e}.{names[which]}.{kind}"] = (dtype, each.shape, encode(each, dtype))
                continue
            if which == "up":
                continue  # with the gate
            data = [np.asarray(t.data)]
            if which == "gate":
                data.append(np.asarray(stacks[name.replace("_gate_", "_up_")].data))
            data = np.stack([d.reshape(shape[0], shape[1], -1) for d in data], 2).reshape(shape[0], len(data) * shape[1], -1) if kind == "weight" else \
                np.stack([d.reshape(shape) for d in data], 2).reshape(shape[0], -1)
            stem = f"{at}mlp.experts.{'gate_up' if which == 'gate' else which}_proj"
            if kind == "bias":
                out[stem + "_bias"] = ("F32", data.shape, encode(data, "F32"))
                continue
            blocks = data.reshape(shape[0], data.shape[1], -1, 17)
            codes = np.concatenate([blocks[..., 1:] & 15, blocks[..., 1:] >> 4], -1)
            pairs = codes[..., 0::2] | codes[..., 1::2] << 4
            out[stem + "_blocks"] = ("U8", pairs.shape, pairs.tobytes())
            out[stem + "_scales"] = ("U8", blocks.shape[:3], blocks[..., 0].tobytes())
        return out

    def tensors(self, dtype):
        out = self.experts(dtype)
        for t in self.reader.tensors:
            name = t.name
            if name.startswith("rope_") or "_exps." in name:
                continue
            values = gguf.quants.dequantize(t.data, t.tensor_type).reshape([int(n) for n in t.shape[::-1]])
            if self.family in ("llama", "granite", "granitemoe", "smollm3", "internlm2") and ("attn_q." in name or "attn_k." in name):
                values = self.unpermuted(values, self.key("attention.head_count" + ("_kv" if "attn_k." in name else "")))
            if self.gemma and "norm" in name:
                values = values - np.float32(1)
            if self.type == "gpt2" and values.ndim == 2 and name.startswith("blk."):
                values = values.T
            if self.type == "glm" and "attn_qkv" in name:  # three tensors
                sizes = [self.key("attention.head_count" + kind) * (self.key("attention.key_length") or self.key("embedding_length") // self.key("attention.head_count")) for kind in ("", "_kv")]
                for letter, part in zip("qkv", np.split(values, np.cumsum(sizes))):
                    out[self.theirs(name.replace("attn_qkv", "attn_" + letter))] = (dtype, part.shape, encode(part, dtype))
                continue
            if "shexp" in name and values.ndim == 1:
                values = values[None]
            if self.type == "internlm2" and any(f"attn_{c}." in name for c in "qkv"):
                heads, keys = self.key("attention.head_count"), self.key("attention.head_count_kv")
                parts = [*out.get("qkv", ()), values.reshape(keys, -1, values.shape[0] // (heads if "attn_q." in name else keys), values.shape[1])]
                out["qkv"] = parts
                layer = name.split(".")[1]
                if len(parts) < 3:
                    continue
                values, name = np.concatenate(out.pop("qkv"), 1).reshape(-1, values.shape[1]), None
            kept = "F32" if name and "ffn_gate_inp" in name else dtype  # as the GGUF file has it, so that no choice of experts moves
            out[self.theirs(name) if name else f"model.layers.{layer}.attention.wqkv.weight"] = (kept, values.shape, encode(values, kept))
        return out

    def rope(self):
        """(rope_theta, rope_scaling)"""
        theta, scheme = float(self.key("rope.freq_base", 0)), self.key("rope.scaling.type")
        original = self.key("rope.scaling.original_context_length")
        factors = {t.name: t for t in self.reader.tensors if t.name.startswith("rope_")}
        if scheme == "linear":
            return theta, {"rope_type": "linear", "factor": self.key("rope.scaling.factor")}
        if scheme == "yarn":
            factor, attention = self.key("rope.scaling.factor"), self.key("rope.scaling.attn_factor")
            # GGUF's multiplies what follows from the factor.
            given = {} if attention is None else {"attention_factor": float(attention * (0.1 * np.log(factor) + 1))}
            return theta, {"rope_type": "yarn", "factor": factor, "original_max_position_embeddings": original, **given}
        if scheme == "longrope":
            lists = {name: [float(v) for v in factors[f"rope_factors_{name}.weight"].data] for name in ("long", "short")}
            return theta, {"type": "longrope", "long_factor": lists["long"], "short_factor": lists["short"]}
        if factors:  # the numbers of make_model.py
            return theta, {"rope_type": "llama3", "factor": float(factors["rope_freqs.weight"].data.max()),
                           "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                           "original_max_position_embeddings": self.key("context_length") // 4}
        return theta, None

    def gpt2(self, c):
        """config.json of GPT-2, whose sizes have names of their own."""
        names = {"hidden_size": "n_embd", "num_hidden_layers": "n_layer", "intermediate_size": "n_inner", "num_attention_heads": "n_head",
                 "max_position_embeddings": "n_positions"}
        kept = ("architectures", "model_type", "vocab_size", "layer_norm_epsilon", "tie_word_embeddings", "torch_dtype", "bos_token_id", "eos_token_id")
        own = {"activation_function": "gelu_new"} if self.type == "gpt2" else {
            "activation_function": "gelu_pytorch_tanh", "multi_query": True, "task_specific_params": None, "scale_attn_weights": True, "attention_softmax_in_fp32": True}
        return {**{names[k]: c[k] for k in names}, **{k: c[k] for k in kept}, "attn_pdrop": 0.1, "embd_pdrop": 0.1,
                "resid_pdrop": 0.1, "n_ctx": c["max_position_embeddings"], "initializer_range": 0.02, "summary_activation": None, "summary_first_dropout": 0.1,
                "summary_proj_to_labels": True, "summary_type": "cls_index", "summary_use_proj": True,
                "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}}, **own}

    def config(self, dtype, nested=False):
        """config.json; with `nested` as transformers 5 writes rotary parameters, else as versions before did."""
        head = self.key("attention.key_length", self.key("embedding_length") // self.key("attention.head_count"))
        theta, scaling = self.rope()
        has = lambda name: any(t.name == name for t in self.reader.tensors)
        c = {
            "architectures": [CLASSES[self.type] + ("" if self.type == "gpt2" else "ForCausalLM")], "model_type": self.type,
            "hidden_size": self.key("embedding_length"), "num_hidden_layers": self.key("block_count"),
            "intermediate_size": self.key("feed_forward_length"), "num_attention_heads": self.key("attention.head_count"),
            "num_key_value_heads": self.key("attention.head_count_kv"), "head_dim": head,
            EPSILONS.get(self.type, "rms_norm_eps"): float(self.key("attention.layer_norm_rms_epsilon") or self.key("attention.layer_norm_epsilon")),
            "max_position_embeddings": self.key("context_length"), "vocab_size": self.key("vocab_size"),
            "tie_word_embeddings": not has("output.weight"), "torch_dtype": {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}[dtype],
            "attention_dropout": 0.0, "initializer_range": 0.02, "use_cache": True, "transformers_version": "5.24.0",
            "bos_token_id": None, "eos_token_id": self.meta["tokenizer.ggml.eos_token_id"],
        }
        if self.type in ("gpt2", "gpt_bigcode"):
            return self.gpt2(c)
        c["hidden_activation" if self.gemma and self.type != "gemma" else "hidden_act"] = "gelu_pytorch_tanh" if self.gemma or self.type == "starcoder2" else "silu"
        count, width = {"qwen2_moe": ("num_experts", "moe_intermediate_size"), "qwen3_moe": ("num_experts", "moe_intermediate_size"), "olmoe": ("num_experts", None)}.get(self.type, ("num_local_experts", None))
        if self.key("expert_count", 0):
            inner = self.key("expert_feed_forward_length", c["intermediate_size"])
            c.update({count: self.key("expert_count"), "num_experts_per_tok": self.key("expert_used_count"), "router_aux_loss_coef": 0.001,
                      "output_router_logits": False, width or "intermediate_size": inner})
        if self.type == "qwen3_moe":
            c.update(norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[], use_sliding_window=False, sliding_window=4096)
        if self.type == "qwen2_moe":
            c.update(norm_topk_prob=False, decoder_sparse_step=1, mlp_only_layers=[], use_sliding_window=False, sliding_window=4096, qkv_bias=True,
                     shared_expert_intermediate_size=self.key("expert_shared_feed_forward_length"))
        if self.type == "starcoder2":
            c.update(use_bias=True, sliding_window=self.key("attention.sliding_window"), mlp_type="default", norm_type="layer_norm", residual_dropout=0.1,
                     embedding_dropout=0.1)
        if self.type == "cohere2":
            c.update(logit_scale=float(self.key("logit_scale")), sliding_window_pattern=4, order_of_interleaved_layers="local_attn_first", rotary_pct=1.0,
                     position_embedding_type="rope_gptj", use_gated_activation=True, use_parallel_block=True, layer_switch=4)
        if self.type == "internlm2":
            c.update(bias=False, pretraining_tp=1)
        if self.type == "olmoe":
            c.update(norm_topk_prob=False, clip_qkv=None)
        if self.type == "gpt_oss":
            c.update(experts_per_token=c["num_experts_per_tok"], swiglu_limit=7.0, initial_context_length=4096,
                     quantization_config={"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]})
        if self.type == "cohere":
            c.update(logit_scale=float(self.key("logit_scale")), use_qk_norm=False)
        if self.type == "hunyuan_v1_dense":
            c.update(pretraining_tp=1, eod_token_id=3)
        if self.type == "seed_oss":
            c.update(attention_out_bias=False, mlp_bias=False, residual_dropout=0.1, pretraining_tp=1)
        if self.type == "ernie4_5":
            c["use_bias"] = has("blk.0.attn_q.bias")
        elif self.type in ("glm", "glm4"):
            c.update(attention_bias=has("blk.0.attn_q.bias") or has("blk.0.attn_qkv.bias"), partial_rotary_factor=self.key("rope.dimension_count", head) / head)
        elif self.type not in ("mistral", "mixtral", "qwen2", "qwen2_moe", "starcoder2", "internlm2", "phi3"):
            c["attention_bias"] = has("blk.0.attn_output.bias") if self.type == "llama" else has("blk.0.attn_q.bias")
        if self.type in ("llama", "granite", "smollm3"):
            c["mlp_bias"] = has("blk.0.ffn_up.bias")
        window = self.key("attention.sliding_window", 0)
        if self.type in ("mistral", "phi3"):
            c["sliding_window"] = window or None
        if self.type in ("qwen2", "qwen3"):
            c.update(use_sliding_window=False, sliding_window=4096, max_window_layers=28)
        if self.type in ("granite", "granitemoe"):
            for theirs, ours in (("embedding_multiplier", "embedding_scale"), ("attention_multiplier", "attention.scale"),
                                 ("residual_multiplier", "residual_scale"), ("logits_scaling", "logit_scale")):
                c[theirs] = float(self.key(ours))
        if self.type == "smollm3":
            c.update(no_rope_layers=[int(i % 4 != 3) for i in range(c["num_hidden_layers"])], no_rope_layer_interval=4,
                     layer_types=["full_attention"] * c["num_hidden_layers"], use_sliding_window=False, sliding_window=None)
        if (self.gemma and self.type != "gemma") or self.type in ("olmo3", "gpt_oss", "cohere2"):
            pattern = self.key("attention.sliding_window_pattern", {"gemma2": 2, "gemma3": 6, "olmo2": 4, "gpt-oss": 2, "cohere2": 4}[self.family])
            local = [bool(p) for p in pattern] if isinstance(pattern, list) else [(i + 1) % pattern != 0 for i in range(c["num_hidden_layers"])]
            c.update(sliding_window=window, layer_types=["sliding_attention" if l else "full_attention" for l in local])
        if self.gemma and self.type != "gemma":
            c.update(query_pre_attn_scalar=head, attn_logit_softcapping=self.key("attn_logit_softcapping"),
                     final_logit_softcapping=self.key("final_logit_softcapping"))
        if self.type == "phi3":
            c["original_max_position_embeddings"] = self.key("rope.scaling.original_context_length", c["max_position_embeddings"])
            if self.key("rope.dimension_count", head) != head:
                c["partial_rotary_factor"] = self.key("rope.dimension_count") / head
        if nested and self.type in ("gemma3_text", "olmo3"):
            c["rope_parameters"] = {"full_attention": {"rope_theta": theta, **(scaling or {"rope_type": "default"})},
                                    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0 if self.gemma else theta}}
        elif nested:
            c["rope_parameters"] = {"rope_theta": theta, **(scaling or {"rope_type": "default"})}
        else:
            c.update(rope_theta=theta, rope_scaling=scaling)
            if self.type == "gemma3_text":
                c["rope_local_base_freq"] = 10000.0
        return c


EPSILONS = {"cohere": "layer_norm_eps", "gpt_bigcode": "layer_norm_epsilon", "starcoder2": "norm_epsilon", "cohere2": "layer_norm_eps", "gpt2": "layer_norm_epsilon"}
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def byte_level(tokens, types, merges, pre):
    """tokenizer.json of a byte-level vocabulary, as tiny_tokenizer.bpe describes it."""
    added = [i for i, t in enumerate(types) if t in (3, 4)]
    words = {"smollm": [{"type": "Digits", "individual_digits": True}], "gpt-2": [],
             "qwen2": [{"type": "Split", "pattern": {"Regex": QWEN2}, "behavior": "Isolated", "invert": False}]}[pre]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": pre != "qwen2"}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [added_token(i, tokens[i], types[i] == 3) for i in added],
        "normalizer": None, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*words, level]},
        "post_processor": None, "decoder": level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "",
                  "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {t: i for i, t in enumerate(tokens)}, "merges": list(merges)},
    }


def added_token(i, text, special, **flags):
    return {"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": special, **flags}


def sentence_piece(tokens, types, scores, prefix, bos):
    """tokenizer.json of a vocabulary of characters and bytes; merges in the order of the scores, as converters write them."""
    ids, merges = {t: i for i, t in enumerate(tokens)}, []
    plain = {t for t, kind in zip(tokens, types) if kind == 1}
    for piece in plain:
        splits = [(piece[:k], piece[k:]) for k in range(1, len(piece))]
        merges += [(-scores[ids[piece]], ids[l], ids[r], l, r) for l, r in splits if l in plain and r in plain]
    merges.sort()
    mark = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    back = [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [added_token(i, t, True) for i, t in enumerate(tokens) if types[i] in (2, 3)],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, mark]} if prefix else mark,
        "pre_tokenizer": None,
        "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": bos, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                           "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                           "special_tokens": {bos: {"id": bos, "ids": [ids[bos]], "tokens": [bos]}}},
        "decoder": {"type": "Sequence", "decoders": back + ([{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if prefix else [])},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": True, "byte_fallback": True, "ignore_merges": False, "vocab": ids, "merges": [[l, r] for *_, l, r in merges]},
    }


def tokenizer(meta):
    """(tokenizer.json, tokenizer_config.json) for the tokenizer of a GGUF file's metadata."""
    g = lambda name, default=None: meta.get("tokenizer.ggml." + name, default)
    tokens, types, ids = g("tokens"), g("token_type"), {"bos_token": g("bos_token_id"), "eos_token": g("eos_token_id")}
    if g("model") == "gpt2":
        whole = byte_level(tokens, types, g("merges"), g("pre"))
    else:
        whole = sentence_piece(tokens, types, g("scores"), g("add_space_prefix"), tokens[g("bos_token_id")])
    return whole, {**{name: tokens[i] for name, i in ids.items()}, "chat_template": meta.get("tokenizer.chat_template"),
                   "tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}


def write_json(folder, name, value):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False)


def build(model, folder, dtype="F32", shards=0, model_type=None, nested=False):
    """Writes `folder`; for other scripts. The Source is what it was made of."""
    source = Source(model, model_type)
    write_weights(folder, source.tensors(dtype), shards)
    write_json(folder, "config.json", source.config(dtype, nested))
    write_json(folder, "generation_config.json", {"eos_token_id": [source.meta["tokenizer.ggml.eos_token_id"]], "do_sample": True})
    for name, value in zip(("tokenizer.json", "tokenizer_config.json"), tokenizer(source.meta)):
        write_json(folder, name, value)
    return source


if __name__ == "__main__":
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("model")
    a.add_argument("folder")
    a.add_argument("--dtype", choices=("F32", "F16", "BF16"), default="F32")
    a.add_argument("--shards", type=int, default=0, help="files beside an index; 0: model.safetensors alone")
    a.add_argument("--type", choices=TYPES, help="model_type; default: the family's")
    a.add_argument("--nested", action="store_true", help="rotary parameters as transformers 5 writes them")
    o = a.parse_args()
    build(o.model, o.folder, o.dtype, o.shards, o.type, o.nested)
