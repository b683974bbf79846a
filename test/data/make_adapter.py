#!/usr/bin/env python3
"""Random LoRA adapters of a tiny checkpoint of make_model.py, in both formats, and the weights that they make of it.

    pip install numpy gguf
    make_adapter.py MODEL.gguf OUT.gguf|FOLDER --rank 5 --alpha 7 --seed 3

The PEFT folder is the one that the GGUF file would be converted from: names, and the order of the rows of q and k.
"""
import argparse, json, os
import numpy as np
import gguf
import make_folder

ADJACENT = ("llama", "granite", "smollm3", "internlm2")  # whose rows of q and k a converter moves


class Adapter:
    """{tensor of the checkpoint: (A [r, in], B [out, r], s, magnitudes [out] or None)}, numbers of `dtype`."""

    def __init__(self, model, rank=5, alpha=7.0, seed=3, parts=None, dora=False, rslora=False, ranks=(), alphas=(), dtype="F32", size=1.0):
        self.source, self.dora, self.rslora, self.dtype = make_folder.Source(model), dora, rslora, dtype
        self.rank, self.alpha, self.ranks, self.alphas = rank, alpha, dict(ranks), dict(alphas)
        random, self.linears = np.random.default_rng(seed), {}
        for t in self.source.reader.tensors:
            name = t.name
            stem = name.rpartition(".")[0]
            if len(t.shape) != 2 or name.startswith(("token_embd", "position_embd")) or not name.endswith(".weight"):
                continue
            if parts and not any(part in name for part in parts):
                continue
            columns, rows = (int(n) for n in t.shape)
            r, a = self.ranks.get(stem, rank), self.alphas.get(stem, alpha)
            A = self.rounded(random.standard_normal((r, columns)) * size / np.sqrt(columns))
            B = self.rounded(random.standard_normal((rows, r)) * size / np.sqrt(r))
            m = self.rounded(random.uniform(0.5, 1.5, rows)) if dora else None
            self.linears[name] = (A, B, a / (np.sqrt(r) if rslora else r), m)

    def rounded(self, values):
        """As `dtype` has them, in float64."""
        data = make_folder.encode(values, self.dtype)
        if self.dtype == "BF16":
            return (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32).reshape(values.shape).astype(np.float64)
        return np.frombuffer(data, np.float32 if self.dtype == "F32" else np.float16).reshape(values.shape).astype(np.float64)

    def merged(self, name, weight, scale=1.0):
        """float64 [out, in] of the tensor `name`, whose weight is `weight`."""
        if name not in self.linears:
            return weight
        A, B, s, m = self.linears[name]
        sum = weight + scale * s * (B @ A)
        return sum if m is None else sum * (m / np.sqrt((sum ** 2).sum(1)))[:, None]

    def halved(self, name, weight, scale=1.0):
        """The same where A, and B with all that multiplies it, are float16, as beside the weights."""
        half = lambda values: values.astype(np.float32).astype(np.float16).astype(np.float64)
        A, B, s, _ = self.linears[name]
        return weight + half(scale * s * B) @ half(A)

    def write_gguf(self, path, change=None):
        """`change`: of {key: value} and {tensor: array} before they are written."""
        assert not self.dora and not self.rslora and not self.ranks and not self.alphas
        keys = {"general.type": "adapter", "adapter.type": "lora", "adapter.lora.alpha": float(self.alpha), "general.name": "made"}
        tensors = {}
        for name, (A, B, _, _) in self.linears.items():
            tensors[name + ".lora_a"], tensors[name + ".lora_b"] = A, B
        architecture = [self.source.family]
        if change:
            change(keys, tensors, architecture)
        writer = gguf.GGUFWriter(path, architecture[0])
        for key, value in keys.items():
            (writer.add_float32 if isinstance(value, float) else writer.add_string if isinstance(value, str) else writer.add_uint32)(key, value)
        for name, values in tensors.items():
            if self.dtype == "BF16":
                data = np.frombuffer(make_folder.encode(values, "BF16"), np.uint8).reshape(*values.shape[:-1], values.shape[-1] * 2)
                writer.add_tensor(name, data, raw_dtype=gguf.GGMLQuantizationType.BF16)
            else:
                writer.add_tensor(name, np.ascontiguousarray(values, np.float32 if self.dtype == "F32" else np.float16))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    def module(self, name):
        return self.source.theirs(name).rpartition(".")[0]

    def theirs(self, name, rows):
        """Rows of the tensor `name` in the order of Hugging Face."""
        s = self.source
        if s.family in ADJACENT and ("attn_q." in name or "attn_k." in name):
            return s.unpermuted(rows, s.key("attention.head_count" + ("_kv" if "attn_k." in name else "")))
        return rows

    def write_peft(self, folder, change=None, **more):
        """`more`: keys of adapter_config.json; `change`: of {tensor: (dtype, shape, bytes)} before they are written."""
        os.makedirs(folder, exist_ok=True)
        config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "made", "bias": "none", "fan_in_fan_out": False,
                  "inference_mode": True, "init_lora_weights": True, "lora_dropout": 0.05, "modules_to_save": None, "layers_to_transform": None,
                  "r": self.rank, "lora_alpha": self.alpha, "use_rslora": self.rslora, "use_dora": self.dora, "lora_bias": False,
                  "rank_pattern": {self.module(stem + ".weight"): r for stem, r in self.ranks.items()},
                  "alpha_pattern": {"^" + self.module(stem + ".weight"): a for stem, a in self.alphas.items()},
                  "target_modules": sorted({self.module(name).rpartition(".")[2] for name in self.linears})}
        config.update(more)
        tensors = {}
        for name, (A, B, _, m) in self.linears.items():
            stem = "base_model.model." + self.module(name)
            parts = {".lora_A.weight": A, ".lora_B.weight": self.theirs(name, B)}
            if m is not None:
                parts[".lora_magnitude_vector"] = self.theirs(name, m)
            for part, values in parts.items():
                tensors[stem + part] = (self.dtype, values.shape, make_folder.encode(values, self.dtype))
        if change:
            change(tensors)
        make_folder.write_json(folder, "adapter_config.json", config)
        make_folder.write_safetensors(os.path.join(folder, "adapter_model.safetensors"), tensors)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("model")
    a.add_argument("out", help="a name that ends in .gguf, or a folder")
    a.add_argument("--rank", type=int, default=5)
    a.add_argument("--alpha", type=float, default=7.0)
    a.add_argument("--seed", type=int, default=3)
    a.add_argument("--size", type=float, default=1.0, help="multiplies the numbers of A and of B")
    a.add_argument("--dtype", choices=("F32", "F16", "BF16"), default="F32")
    o = a.parse_args()
    adapter = Adapter(o.model, o.rank, o.alpha, o.seed, dtype=o.dtype, size=o.size)
    (adapter.write_gguf if o.out.endswith(".gguf") else adapter.write_peft)(o.out)


if __name__ == "__main__":
    main()
