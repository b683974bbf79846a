#!/usr/bin/env python3
"""Records what an independent float64 implementation computes on generated checkpoints: test/data/reference/figures.json.

    record_figures.py ORACLE.py > reference/figures.json

ORACLE.py is a numpy forward pass of GGUF files with the classes and functions used below. Each case names the options of
make_model.py; the figures are the logits of some vocabulary entries at every position, and the mean negative
log-likelihood. What the oracle lacks (fused tensors, a constant rotary factor, a soft-cap) is reduced here to what it has.
"""
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import gguf
import numpy as np

CASES = [
    "--family llama --type F32",
    "--family llama --type Q4_0 --kv-heads 1",
    "--family llama --type mixed --width 256 --layers 4",
    "--family llama --type Q8_0 --rope llama3:8 --context 8192",
    "--family llama --type F16 --head untied --fused-qkv",
    "--family llama --type BF16 --rope linear:4",
    "--family qwen2 --type Q5_1",
    "--family qwen2 --type Q6_K --width 256 --fused-qkv",
    "--family qwen3 --type Q4_1 --head-dim 32",
    "--family qwen3 --type MXFP4",
    "--family gemma3 --type Q5_0 --layers 7 --window 8",
    "--family gemma3 --type Q4_K --width 256 --layers 6 --window 8 --softcap 10",
    "--family phi3 --type Q8_0",
    "--family phi3 --type F32 --rope-dims 8",
]
TOKENS = [int(t) for t in np.random.default_rng(7).integers(3, 380, 24)]
ENTRIES = [0, 1, 17, 100, 255, 388]


def load(path):
    spec = importlib.util.spec_from_file_location("oracle", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def reduced(oracle, path):
    """The oracle's model of a file, with fused tensors split and a linear rotary factor as frequency factors."""

    class Model(oracle.Model):
        def __init__(self, path):
            reader = gguf.GGUFReader(path)
            self.meta = {k: f.contents() for k, f in reader.fields.items() if not k.startswith("tokenizer.ggml.")}
            self.tensors = {t.name: t for t in reader.tensors}
            self.arch = self.meta["general.architecture"]
            g = lambda k, d=None: self.meta.get(f"{self.arch}.{k}", d)
            self.layers, self.width = g("block_count"), g("embedding_length")
            self.heads = g("attention.head_count")
            self.kv_heads = g("attention.head_count_kv", self.heads)
            self.head_dim = g("attention.key_length", self.width // self.heads)
            self.eps = g("attention.layer_norm_rms_epsilon")
            self.theta = g("rope.freq_base", 10000.0)
            self.rope_dim = g("rope.dimension_count", self.head_dim)
            self.window = g("attention.sliding_window", 0) if self.arch == "gemma3" else 0
            self.softcap = g("final_logit_softcapping", 0.0)
            self.inner = g("feed_forward_length")
            self.factor = g("rope.scaling.factor", 1.0) if g("rope.scaling.type") == "linear" else 1.0
            self.cache = {}

        def has(self, name):
            if name == "rope_freqs.weight" and self.factor != 1:
                return True
            if name.endswith("attn_q.bias") and name.replace("attn_q", "attn_qkv") in self.tensors:
                return True
            return name in self.tensors

        def weight(self, name):
            if name == "rope_freqs.weight" and self.factor != 1:
                return np.full(self.rope_dim // 2, self.factor)
            q, k = self.heads * self.head_dim, self.kv_heads * self.head_dim
            for part, begin, end in (("attn_q", 0, q), ("attn_k", q, q + k), ("attn_v", q + k, q + 2 * k)):
                fused = name.replace(part + ".", "attn_qkv.")
                if fused != name and fused in self.tensors:
                    return super().weight(fused)[begin:end]
            if self.arch == "phi3" and "ffn_gate." in name:
                return super().weight(name.replace("ffn_gate.", "ffn_up."))[:self.inner]
            if self.arch == "phi3" and "ffn_up." in name:
                return super().weight(name)[self.inner:]
            return super().weight(name)

    return Model(path)


def main():
    oracle = load(sys.argv[1])
    here = os.path.dirname(os.path.abspath(__file__))
    cases = []
    for options in CASES:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.gguf")
            subprocess.run([sys.executable, os.path.join(here, "make_model.py"), path, *options.split()], check=True,
                           stdout=subprocess.DEVNULL)
            model = reduced(oracle, path)
            logits = oracle.forward(model, TOKENS)
        if model.softcap:
            logits = model.softcap * np.tanh(logits / model.softcap)
        top = logits.max(-1, keepdims=True)
        log_sum = (top + np.log(np.exp(logits - top).sum(-1, keepdims=True)))[:, 0]
        nll = np.mean([log_sum[t] - logits[t, TOKENS[t + 1]] for t in range(len(TOKENS) - 1)])
        cases.append({"options": options, "mean_nll": round(float(nll), 10),
                      "logits": [[round(float(v), 9) for v in row] for row in logits[:, ENTRIES]]})
    print('{"tokens": %s,\n "entries": %s,\n "cases": [' % (json.dumps(TOKENS), json.dumps(ENTRIES)))
    print(",\n".join(json.dumps(c) for c in cases))
    print("]}")


if __name__ == "__main__":
    main()
