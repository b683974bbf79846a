#!/usr/bin/env python3
"""Writes a tiny random checkpoint of any family and storage type: a complete GGUF with a small valid tokenizer.

    pip install numpy gguf
    make_model.py OUT.gguf --family llama --type Q4_K --layers 2 --width 256
    make_model.py OUT.gguf --family gemma3 --type mixed --window 16 --layers 12
    make_model.py OUT.gguf --family qwen2 --type F32 --mix ffn_down=Q6_K --mix attn_v=Q8_0 --rope yarn:4

The same options give the same bytes. Weights are scaled so that activations keep their size through the layers and the
logits spread over several units; the test oracle reads the files. --deep N repeats the layer count N times.
"""
import argparse
import numpy as np
import gguf
import random_weights
import tiny_tokenizer

DISTINCT = ("llama", "qwen2", "qwen3", "gemma2", "gemma3", "granite", "olmo2", "phi3", "smollm3", "qwen3moe", "olmoe", "granitemoe", "gpt-oss",
            "gpt2", "starcoder2", "cohere2", "internlm2", "qwen2moe")
# Families of the same parts, put together otherwise or by another name: test/run/keys.py leaves them out.
SIMILAR = ("ernie4_5", "xverse", "exaone", "seed_oss", "gemma", "hunyuan-dense", "maincoder", "glm4", "chatglm", "command-r", "orion",
           "codeshell", "starcoder")
FAMILIES = DISTINCT + SIMILAR
BIASED = ("gpt2", "starcoder", "starcoder2", "codeshell")  # every linear and every norm, which are layer norms
LAYER_NORMS = (*BIASED, "cohere2", "command-r", "orion")  # the others have RMS norms
UNROTATED = ("gpt2", "starcoder")
BASES = {"llama": 1e5, "qwen2": 1e6, "qwen3": 1e6, "qwen3moe": 1e6, "gemma3": 1e6, "olmo2": 5e5, "smollm3": 5e6, "gpt-oss": 1.5e5,
         "starcoder2": 1e6, "cohere2": 5e4, "internlm2": 1e6, "qwen2moe": 1e6}  # of the others 1e4
# Granite's numbers, in the ranges of its files.
MULTIPLIERS = {"embedding_scale": 1.7, "residual_scale": 0.61, "logit_scale": 1.3, "attention.scale": 0.29}


def parser():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("out")
    a.add_argument("--family", choices=FAMILIES, default="llama")
    a.add_argument("--type", default="F32", help="storage type of all matrices, or 'mixed': every type in turn, 'rare': those that few files have")
    a.add_argument("--mix", action="append", default=[], metavar="TENSOR=TYPE",
                   help="type of the tensors whose name contains TENSOR (repeatable)")
    a.add_argument("--norm-type", choices=random_weights.FLOATS, default="F32", help="type of norms and biases")
    a.add_argument("--layers", type=int, default=2)
    a.add_argument("--deep", type=int, default=1, help="multiplies --layers")
    a.add_argument("--width", type=int, default=64)
    a.add_argument("--heads", type=int, default=4)
    a.add_argument("--kv-heads", type=int, default=2)
    a.add_argument("--head-dim", type=int, default=0, help="0: width / heads")
    a.add_argument("--ffn", type=int, default=0, help="0: 2 * width")
    a.add_argument("--experts", type=int, default=0, help="of every layer; 0: none, and 5 for families that need some")
    a.add_argument("--used", type=int, default=2, help="experts of a token")
    a.add_argument("--expert-ffn", type=int, default=0, help="0: no key of its own, as wide as --ffn")
    a.add_argument("--shared-ffn", type=int, default=0, help="of the expert that each token of qwen2moe has; 0: as wide as --ffn")
    a.add_argument("--equal-experts", action="store_true", help="each second expert is chosen as readily as the one before it, each from the 17th on as the one 16 before")
    a.add_argument("--unsound-experts", type=int, default=0, metavar="N", help="the router's rows of the first N are NaN")
    a.add_argument("--expert-scale", type=float, default=0, help="0: no key")
    a.add_argument("--vocab", type=int, default=389)
    a.add_argument("--context", type=int, default=512)
    a.add_argument("--epsilon", type=float, default=1e-5)
    a.add_argument("--freq-base", type=float, default=0, help="0: the family's usual base")
    a.add_argument("--rope", default="none", metavar="none|linear:F|yarn:F[:ORIGINAL[:ATTENTION]]|llama3:F|longrope:ORIGINAL[:FACTOR]")
    a.add_argument("--rope-dims", type=int, default=0, help="rotated part of a head; 0: all of it")
    a.add_argument("--window", type=int, default=-1, help="sliding window; 0: none; default: 32 for gemma2, gemma3, gpt-oss and cohere2")
    a.add_argument("--pattern", default="", help="window pattern: a period, or a list such as 1,1,0 (1: window)")
    a.add_argument("--softcap", type=float, default=0, help="final logit soft-cap of gemma2 and gemma3")
    a.add_argument("--score-cap", type=float, default=7, help="soft-cap of attention scores, of gemma2")
    a.add_argument("--head", choices=("tied", "untied"), default="tied")
    a.add_argument("--bias", action="store_true", help="biases on q, k, v (qwen2 always has them) and, for llama, on all linears")
    a.add_argument("--sinks", action="store_true", help="attention sinks, a number for each query head")
    a.add_argument("--fused-qkv", action="store_true", help="one attn_qkv tensor (phi3 always has it)")
    a.add_argument("--tokenizer", choices=("bpe", "spm"), help="default: the family's usual kind")
    a.add_argument("--split", type=int, default=0, help="tensors a shard; OUT then names the stem, without .gguf")
    a.add_argument("--unsound", type=int, default=-1, metavar="TOKEN", help="a token whose embedding, of F32, is NaN")
    a.add_argument("--seed", type=int, default=1)
    return a


class Builder:
    def __init__(self, o):
        self.o = o
        self.random = np.random.default_rng(o.seed)
        self.layers = o.layers * o.deep
        self.head_dim = o.head_dim or o.width // o.heads
        self.ffn = o.ffn or 2 * o.width
        self.window = o.window if o.window >= 0 else 32 if o.family in ("gemma2", "gemma3", "gpt-oss", "cohere2") else 0
        self.turn = 0
        if o.family in ("qwen2moe", "qwen3moe", "olmoe", "granitemoe", "gpt-oss") and not o.experts:
            o.experts = 5
        self.oss = o.family == "gpt-oss"
        split = {"split_max_tensors": o.split} if o.split else {}
        self.w = gguf.GGUFWriter(o.out, o.family, **split)

    def type_of(self, name):
        for rule in self.o.mix:
            part, kind = rule.split("=")
            if part in name:
                return kind
        if self.o.type not in random_weights.MIXTURES:
            return self.o.type
        self.turn += 1
        types = random_weights.MIXTURES[self.o.type]
        return types[self.turn % len(types)]

    def matrix(self, name, count, rows, columns, gain):
        """[count * rows, columns] weights; of NVFP4 with a scale for each of `count`, as converters write them."""
        kind, spread = self.type_of(name), gain / np.sqrt(columns)
        if random_weights.fitting(kind, columns) != "NVFP4" or name == "token_embd":
            return random_weights.matrix(self.random, kind, count * rows, columns, spread)
        scales = self.random.uniform(0.02, 0.03, count).astype(np.float32)
        self.w.add_tensor(name + ".scale", scales[np.arange(self.o.experts) % count] if "_exps" in name else scales)
        self.w.add_tensor(name + ".input_scale", scales[:1])
        return random_weights.matrix(self.random, kind, count * rows, columns, spread / 0.025)

    def linear(self, name, rows, columns, gain=1.0):
        """A [rows, columns] weight that multiplies the spread of its input by `gain`."""
        data, kind = self.matrix(name, 1, rows, columns, gain)
        if name == "token_embd" and self.o.unsound >= 0:
            data[self.o.unsound] = np.nan
        self.w.add_tensor(name + ".weight", data, raw_dtype=kind)

    def experts(self, name, rows, columns, gain=1.0):
        """The [experts, rows, columns] weights of all experts; 64 and more, which are for measuring, are one repeated."""
        count, drawn = self.o.experts, self.o.experts if self.o.experts < 64 else 1
        data, kind = self.matrix(name, drawn, rows, columns, gain)
        data = data.reshape(drawn, rows, -1)[np.arange(count) % drawn]
        self.w.add_tensor(name + ".weight", data, raw_dtype=kind)

    def expert_bias(self, name, rows):
        self.w.add_tensor(name + ".bias", self.random.normal(0, 0.2, (self.o.experts, rows)).astype(np.float32))

    def vector(self, name, size, mean, spread):
        values = (mean + spread * self.random.standard_normal(size)).astype(np.float32)
        kind = random_weights.Kind[self.o.norm_type]
        self.w.add_tensor(name, gguf.quants.quantize(values, kind) if kind != gguf.GGMLQuantizationType.F32 else values,
                          raw_dtype=kind)

    def norm(self, name, size, mean=1.0):
        self.vector(name + ".weight", size, mean, 0.15)
        if self.o.family in BIASED or self.o.family == "orion":
            self.bias(name, size)

    def bias(self, name, size):
        self.vector(name + ".bias", size, 0.0, 0.2)

    def keys(self):
        o, w = self.o, self.w
        w.add_name(f"tiny {o.family} {o.type}")
        w.add_quantization_version(2)
        w.add_context_length(o.context)
        w.add_embedding_length(o.width)
        w.add_block_count(self.layers)
        w.add_feed_forward_length(self.ffn)
        w.add_head_count(o.heads)
        w.add_head_count_kv(o.kv_heads)
        if o.experts:
            w.add_expert_count(o.experts)
            w.add_expert_used_count(o.used)
            if o.expert_ffn or o.family == "qwen2moe":
                w.add_expert_feed_forward_length(o.expert_ffn or self.ffn)
            if o.family == "qwen2moe":
                w.add_expert_shared_feed_forward_length(o.shared_ffn or self.ffn)
            if o.expert_scale:
                w.add_expert_weights_scale(o.expert_scale)
        if o.head_dim or o.family in ("qwen3", "qwen3moe", "gemma3"):
            w.add_key_length(self.head_dim)
            w.add_value_length(self.head_dim)
        if o.family in LAYER_NORMS:
            w.add_layer_norm_eps(o.epsilon)
        else:
            w.add_layer_norm_rms_eps(o.epsilon)
        w.add_vocab_size(o.vocab)
        if o.family not in UNROTATED:
            w.add_rope_freq_base(o.freq_base or BASES.get(o.family, 1e4))
        if o.family in ("cohere2", "command-r"):
            w.add_logit_scale(0.7)
        if o.rope_dims or o.family in ("llama", "phi3"):
            w.add_rope_dimension_count(o.rope_dims or self.head_dim)
        if self.window:
            w.add_sliding_window(self.window)
        if o.pattern:
            key = f"{o.family}.attention.sliding_window_pattern"
            if "," in o.pattern:
                w.add_array(key, [p == "1" for p in o.pattern.split(",")])
            else:
                w.add_uint32(key, int(o.pattern))
        if o.softcap or o.family == "gemma2":
            w.add_final_logit_softcapping(o.softcap or 23)
        if o.family == "gemma2":
            w.add_attn_logit_softcapping(o.score_cap)
        for name, number in MULTIPLIERS.items() if o.family.startswith("granite") else ():
            w.add_float32(f"{o.family}.{name}", number)

    def rope(self):
        """The keys and tensors of the scaling scheme."""
        o, w = self.o, self.w
        scheme, *numbers = o.rope.split(":")
        numbers = [float(n) for n in numbers]
        pairs = (o.rope_dims or self.head_dim) // 2
        if scheme == "linear":
            w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
            w.add_rope_scaling_factor(numbers[0])
        elif scheme == "yarn":
            w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
            w.add_rope_scaling_factor(numbers[0])
            w.add_rope_scaling_orig_ctx_len(int(numbers[1]) if len(numbers) > 1 else o.context // int(numbers[0]))
            if len(numbers) > 2:
                w.add_rope_scaling_attn_factors(numbers[2])
        elif scheme == "llama3":  # the rule of Llama 3.1, at a small original context
            base, original, low, high = o.freq_base or 1e5, o.context / 4, 1.0, 4.0
            wave = 2 * np.pi * base ** (2 * np.arange(pairs) / (2 * pairs))
            t = (original / wave - low) / (high - low)
            between = 1 / ((1 - t) / numbers[0] + t)
            factors = np.where(wave < original / high, 1, np.where(wave > original / low, numbers[0], between))
            w.add_tensor("rope_freqs.weight", factors.astype(np.float32))
        elif scheme == "longrope":
            w.add_rope_scaling_type(gguf.RopeScalingType.LONGROPE)
            w.add_rope_scaling_orig_ctx_len(int(numbers[0]))
            w.add_rope_scaling_attn_factors(
                numbers[1] if len(numbers) > 1 else float(np.sqrt(1 + np.log(o.context / numbers[0]) / np.log(numbers[0]))))
            for name, top in (("long", 8.0), ("short", 1.2)):
                w.add_tensor(f"rope_factors_{name}.weight", np.linspace(1.0, top, pairs).astype(np.float32))
        elif scheme != "none":
            raise SystemExit(f"make_model: expects a rope scheme, but got {scheme}")

    def layer(self, i):
        o, p = self.o, f"blk.{i}."
        q, kv = o.heads * self.head_dim, o.kv_heads * self.head_dim
        before, behind = o.family != "olmo2", o.family in ("gemma2", "gemma3", "olmo2", "glm4")  # norms of the branches
        if before:
            self.norm(p + "attn_norm", o.width)
        # Queries and keys somewhat louder than unit, so that attention prefers some positions over others.
        biased = o.bias or o.family in ("qwen2", "qwen2moe", "gpt-oss", "seed_oss", "chatglm", "glm4", *BIASED)
        if o.family in ("phi3", "gpt2", "starcoder", "codeshell", "chatglm") or o.fused_qkv:
            self.linear(p + "attn_qkv", q + 2 * kv, o.width, 1.3)
            if biased:
                self.bias(p + "attn_qkv", q + 2 * kv)
        else:
            for name, rows, gain in (("q", q, 1.5), ("k", kv, 1.5), ("v", kv, 1.0)):
                self.linear(p + "attn_" + name, rows, o.width, gain)
                if biased:
                    self.bias(p + "attn_" + name, rows)
        if o.family in ("qwen3", "qwen3moe", "gemma3", "hunyuan-dense", "maincoder"):
            self.norm(p + "attn_q_norm", self.head_dim)
            self.norm(p + "attn_k_norm", self.head_dim)
        if o.family in ("olmo2", "olmoe"):
            self.norm(p + "attn_q_norm", q)
            self.norm(p + "attn_k_norm", kv)
        self.linear(p + "attn_output", o.width, q)
        if self.oss:
            self.bias(p + "attn_output", o.width)
        if o.sinks or self.oss:
            self.vector(p + "attn_sinks.weight", o.heads, 1.0, 2.0)
        if behind:
            self.norm(p + "post_attention_norm", o.width)
        if before and o.family not in ("cohere2", "command-r"):  # whose MLP reads the norm of attention
            self.norm(p + ("post_attention_norm" if self.oss or o.family == "seed_oss" else "ffn_norm"), o.width)
        if o.experts:
            # The choice is clear: numbers that are nearly equal would be told apart by rounding.
            data = self.random.standard_normal((o.experts, o.width)) * (4 / np.sqrt(o.width))
            if o.equal_experts:
                data[1::2] = data[0::2][: len(data[1::2])]
                data = data[np.arange(o.experts) % 16]
            data[: o.unsound_experts] = np.nan
            self.w.add_tensor(p + "ffn_gate_inp.weight", data.astype(np.float32))
            inner = o.expert_ffn or self.ffn
            if self.oss:  # louder, so that numbers are clamped
                self.bias(p + "ffn_gate_inp", o.experts)
                for name, rows in (("gate", inner), ("up", inner), ("down", o.width)):
                    self.expert_bias(p + f"ffn_{name}_exps", rows)
            self.experts(p + "ffn_gate_exps", inner, o.width, 4 if self.oss else 1.5)
            self.experts(p + "ffn_up_exps", inner, o.width, 4 if self.oss else 1.5)
            self.experts(p + "ffn_down_exps", o.width, inner)
            if o.family == "qwen2moe":
                shared = o.shared_ffn or self.ffn
                self.vector(p + "ffn_gate_inp_shexp.weight", o.width, 0.0, 2 / np.sqrt(o.width))
                self.linear(p + "ffn_gate_shexp", shared, o.width, 1.5)
                self.linear(p + "ffn_up_shexp", shared, o.width, 1.5)
                self.linear(p + "ffn_down_shexp", o.width, shared)
        elif o.family in BIASED:
            self.linear(p + "ffn_up", self.ffn, o.width, 1.5)
        elif o.family in ("phi3", "chatglm", "glm4"):
            self.linear(p + "ffn_up", 2 * self.ffn, o.width, 1.5)
        else:
            self.linear(p + "ffn_gate", self.ffn, o.width, 1.5)
            self.linear(p + "ffn_up", self.ffn, o.width, 1.5)
        if not o.experts:
            self.linear(p + "ffn_down", o.width, self.ffn)
        if behind:
            self.norm(p + "post_ffw_norm", o.width)
        if (o.bias and o.family == "llama") or o.family in BIASED:
            for name, rows in (("attn_output", o.width), ("ffn_gate", self.ffn), ("ffn_up", self.ffn), ("ffn_down", o.width)):
                if name != "ffn_gate" or o.family not in BIASED:
                    self.bias(p + name, rows)

    def run(self):
        o = self.o
        self.keys()
        self.rope()
        spm = (o.tokenizer or ("spm" if o.family in ("gemma2", "gemma3", "phi3", "internlm2") else "bpe")) == "spm"
        pre = {"qwen2": "qwen2", "qwen3": "qwen2", "qwen3moe": "qwen2", "qwen2moe": "qwen2", "gpt2": "gpt-2"}.get(o.family, "smollm")
        tiny_tokenizer.write(self.w, tiny_tokenizer.spm(o.vocab, o.family.startswith("gemma")) if spm else tiny_tokenizer.bpe(o.vocab, pre))
        # A tied head repeats the input token where the embedding dominates the residual stream. gemma2 and gemma3
        # multiply the embedding by sqrt(width), so there it is quieter and the last norm louder.
        gemma = o.family.startswith("gemma")
        self.linear("token_embd", o.vocab, o.width, 0.25 if gemma else 2.0)
        if o.family in ("gpt2", "starcoder"):
            self.linear("position_embd", o.context, o.width, 1.0)
        for i in range(self.layers):
            self.layer(i)
        self.norm("output_norm", o.width, 8.0 if gemma else 1.0)
        if o.head == "untied":
            self.linear("output", o.vocab, o.width, 0.375 if gemma else 3.0)
        self.w.write_header_to_file()
        self.w.write_kv_data_to_file()
        self.w.write_tensors_to_file()
        self.w.close()


def build(out, *options):
    """Writes the model `out` with command-line `options`; for other scripts."""
    Builder(parser().parse_args([str(out), *options])).run()


if __name__ == "__main__":
    Builder(parser().parse_args()).run()
