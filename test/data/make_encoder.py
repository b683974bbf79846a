#!/usr/bin/env python3
"""Writes a tiny random BERT: as a Hugging Face folder of a sentence encoder, as GGUF, or both, with the same numbers.

    pip install numpy gguf
    make_encoder.py --folder tiny-bert --gguf tiny-bert.gguf --width 96 --heads 3 --pooling cls

The same options give the same bytes. The vocabulary is WordPiece's, learned from the paragraph of tiny_tokenizer.py: all
characters of it, words, and the ends of words.
"""
import argparse, json, os
import numpy as np
import gguf
import make_folder
import random_weights
import tiny_tokenizer

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
POOLING = {"mean": ("pooling_mode_mean_tokens", 1), "cls": ("pooling_mode_cls_token", 2), "last": ("pooling_mode_lasttoken", 3)}
NAMES = {"token_embd": "embeddings.word_embeddings", "position_embd": "embeddings.position_embeddings",
         "token_types": "embeddings.token_type_embeddings", "token_embd_norm": "embeddings.LayerNorm"}
LAYER = {"attn_q": "attention.self.query", "attn_k": "attention.self.key", "attn_v": "attention.self.value",
         "attn_output": "attention.output.dense", "attn_output_norm": "attention.output.LayerNorm", "ffn_up": "intermediate.dense",
         "ffn_down": "output.dense", "layer_output_norm": "output.LayerNorm"}


def vocabulary(size):
    """Tokens as tokenizer.json has them."""
    words = "".join(c if c.isalnum() else f" {c} " for c in tiny_tokenizer.TEXT.lower()).split()
    characters = sorted(set("".join(words)) | set("abcdefghijklmnopqrstuvwxyz0123456789.,;:!?'\"-()[]#_/"))
    tokens = list(dict.fromkeys([*SPECIAL, *characters, *("##" + c for c in characters), *words, *("##" + w[-2:] for w in words if len(w) > 3)]))
    if size < len(tokens):
        raise SystemExit(f"make_encoder: expects a vocabulary of at least {len(tokens)}, but got {size}")
    return tokens + [f"[unused{i}]" for i in range(size - len(tokens))]


def tokenizer(tokens, lowercase=True, strip=None, cleanup=True, bert_processing=False):
    """tokenizer.json of `tokens`."""
    ids = {t: i for i, t in enumerate(tokens)}
    piece = lambda token: {"SpecialToken": {"id": token, "type_id": 0}}
    around = {"type": "BertProcessing", "sep": ["[SEP]", ids["[SEP]"]], "cls": ["[CLS]", ids["[CLS]"]]} if bert_processing else {
        "type": "TemplateProcessing", "single": [piece("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, piece("[SEP]")],
        "pair": [piece("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, piece("[SEP]"), {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {t: {"id": t, "ids": [ids[t]], "tokens": [t]} for t in ("[CLS]", "[SEP]")}}
    return {
        "version": "1.0", "truncation": {"direction": "Right", "max_length": 128, "strategy": "LongestFirst", "stride": 0},
        "padding": None, "added_tokens": [make_folder.added_token(ids[t], t, True, **({"lstrip": True} if t == "[MASK]" else {})) for t in SPECIAL],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": strip, "lowercase": lowercase},
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": around,
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": cleanup},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": ids},
    }


def tensors(o):
    """{our name: float32 values}, matrices [out, in]."""
    random, out = np.random.default_rng(o.seed), {}
    normal = lambda *shape: random.standard_normal(shape).astype(np.float32)

    def linear(name, rows, columns, gain=1.0):
        out[name + ".weight"], out[name + ".bias"] = normal(rows, columns) * np.float32(gain / np.sqrt(columns)), normal(rows) * np.float32(0.2)

    def norm(name):
        out[name + ".weight"], out[name + ".bias"] = 1 + normal(o.width) * np.float32(0.15), normal(o.width) * np.float32(0.1)

    out["token_embd.weight"], out["position_embd.weight"] = normal(o.vocab, o.width), normal(o.context, o.width) * np.float32(0.5)
    out["token_types.weight"] = normal(o.types, o.width) * np.float32(0.5)
    norm("token_embd_norm")
    for i in range(o.layers):
        p = f"blk.{i}."
        for name, gain in (("q", 1.7), ("k", 1.7), ("v", 1.0), ("output", 1.0)):
            linear(p + "attn_" + name, o.width, o.width, gain)
        norm(p + "attn_output_norm")
        linear(p + "ffn_up", o.ffn, o.width, 1.5)
        linear(p + "ffn_down", o.width, o.ffn)
        norm(p + "layer_output_norm")
    return out


def theirs(name):
    stem, kind = name.rsplit(".", 1)
    if not stem.startswith("blk."):
        return f"{NAMES[stem]}.{kind}"
    _, layer, part = stem.split(".")
    return f"encoder.layer.{layer}.{LAYER[part]}.{kind}"


def write_folder(o, folder):
    out = {"embeddings.position_ids": ("I64", (1, o.context), np.arange(o.context).astype("<i8").tobytes())}
    out.update({theirs(n): (o.dtype, v.shape, make_folder.encode(v, o.dtype)) for n, v in tensors(o).items()})
    out["pooler.dense.weight"] = ("F32", (o.width, o.width), bytes(4 * o.width * o.width))
    make_folder.write_weights(folder, out)
    write = lambda name, value: make_folder.write_json(folder, name, value)
    write("config.json", {
        "architectures": ["BertModel"], "attention_probs_dropout_prob": 0.1, "gradient_checkpointing": False, "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1, "hidden_size": o.width, "initializer_range": 0.02, "intermediate_size": o.ffn, "layer_norm_eps": o.epsilon,
        "max_position_embeddings": o.context, "model_type": "bert", "num_attention_heads": o.heads, "num_hidden_layers": o.layers,
        "pad_token_id": 0, "position_embedding_type": "absolute", "type_vocab_size": o.types, "use_cache": True, "vocab_size": o.vocab})
    write("tokenizer.json", tokenizer(vocabulary(o.vocab)))
    write("tokenizer_config.json", {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "tokenizer_class": "BertTokenizer"})
    if o.pooling == "none":
        return
    kinds = ["Transformer", "Pooling"] + ["Normalize"] * o.normalize
    write("modules.json", [{"idx": i, "name": str(i), "path": f"{i}_{kind}" if i else "", "type": f"sentence_transformers.models.{kind}"} for i, kind in enumerate(kinds)])
    os.makedirs(os.path.join(folder, "1_Pooling"), exist_ok=True)
    write("1_Pooling/config.json", {"word_embedding_dimension": o.width, **{flag: name == o.pooling for name, (flag, _) in POOLING.items()}})


def write_gguf(o, path):
    w = gguf.GGUFWriter(path, "bert")
    w.add_name("tiny bert")
    w.add_quantization_version(2)
    w.add_context_length(o.context)
    w.add_embedding_length(o.width)
    w.add_block_count(o.layers)
    w.add_feed_forward_length(o.ffn)
    w.add_head_count(o.heads)
    w.add_layer_norm_eps(o.epsilon)
    w.add_causal_attention(False)
    if o.pooling != "none":
        w.add_uint32("bert.pooling_type", POOLING[o.pooling][1])
    w.add_tokenizer_model("bert")
    w.add_token_type_count(o.types)
    tokens = vocabulary(o.vocab)
    # As llama.cpp's converter writes them: what begins a word has U+2581 before it, what continues one nothing.
    w.add_token_list([t if t[:1] == "[" and t[-1:] == "]" and len(t) > 1 else t[2:] if t[:2] == "##" and len(t) > 2 else "\u2581" + t for t in tokens])
    w.add_token_types([3 if t in SPECIAL else 1 for t in tokens])
    for name, token in (("unknown", "[UNK]"), ("padding", "[PAD]"), ("cls", "[CLS]"), ("seperator", "[SEP]"), ("mask", "[MASK]")):
        w.add_uint32(f"tokenizer.ggml.{name}_token_id", tokens.index(token))
    for name, values in tensors(o).items():
        matrix = name.startswith("blk.") and values.ndim == 2 or name == "token_embd.weight"
        kind = random_weights.Kind[o.type if matrix else "F32"]
        w.add_tensor(name, gguf.quants.quantize(values, kind) if kind != gguf.GGMLQuantizationType.F32 else values, raw_dtype=kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def parser():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--folder")
    a.add_argument("--gguf")
    a.add_argument("--type", default="F32", help="of the matrices of the GGUF file")
    a.add_argument("--dtype", choices=("F32", "F16", "BF16"), default="F32", help="of the folder")
    a.add_argument("--layers", type=int, default=2)
    a.add_argument("--width", type=int, default=96)
    a.add_argument("--heads", type=int, default=3)
    a.add_argument("--ffn", type=int, default=131)
    a.add_argument("--vocab", type=int, default=389)
    a.add_argument("--context", type=int, default=61)
    a.add_argument("--types", type=int, default=2, help="segments")
    a.add_argument("--epsilon", type=float, default=1e-12)
    a.add_argument("--pooling", choices=(*POOLING, "none"), default="mean")
    a.add_argument("--normalize", action=argparse.BooleanOptionalAction, default=True, help="of the folder")
    a.add_argument("--seed", type=int, default=1)
    return a


def build(options):
    """Writes what command-line `options` ask for; the options."""
    o = parser().parse_args(options.split() if isinstance(options, str) else options)
    if o.folder:
        os.makedirs(o.folder, exist_ok=True)
        write_folder(o, o.folder)
    if o.gguf:
        write_gguf(o, o.gguf)
    return o


if __name__ == "__main__":
    import sys
    build(sys.argv[1:])
