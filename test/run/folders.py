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
import argparse, os, sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "data")]
from conformance import TOKENS, Suite  # ends with 77 where numpy or gguf are missing
import float64_model
import make_folder
from folder_case import emptied, logits_of
from folder_quantised import quantised
from folder_refusals import refusals
from folder_taken import taken

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
    "gpt2": ("--family gpt2 --kv-heads 4 --context 64", "F32", 0, None, False),
    "gpt2 F16, own head": ("--family gpt2 --type F16 --norm-type F16 --kv-heads 4 --context 64 --head untied --heads 4", "F16", 2, None, False),
    "starcoder2, window": ("--family starcoder2 --window 7 --type BF16 --norm-type BF16", "BF16", 0, None, True),
    "cohere2": ("--family cohere2 --layers 5 --window 11", "F32", 2, None, False),
    "internlm2 BF16": ("--family internlm2 --type BF16 --norm-type BF16 --heads 6 --kv-heads 2 --head-dim 16 --width 96 --head untied", "BF16", 0, None, False),
    "qwen2moe": ("--family qwen2moe --layers 1 --experts 7 --used 3 --expert-ffn 37 --shared-ffn 53 --head untied", "F32", 3, None, True),
    "cohere": ("--family command-r --width 96 --heads 6 --kv-heads 3", "F32", 2, None, False),
    "ernie4_5": ("--family ernie4_5 --type F16 --norm-type F16 --heads 6 --kv-heads 3 --head-dim 14", "F16", 0, None, True),
    "gemma": ("--family gemma --type BF16 --norm-type BF16 --head-dim 22", "BF16", 0, None, False),
    "glm, half of a head rotates": ("--family chatglm --rope-dims 8", "F32", 3, None, True),
    "glm4, half of a head rotates": ("--family glm4 --rope-dims 8", "F32", 0, None, False),
    "gpt_bigcode": ("--family starcoder --kv-heads 1 --context 67", "F32", 2, None, False),
    "granitemoe": ("--family granitemoe --layers 1 --experts 7 --used 3 --ffn 37", "F32", 2, None, True),
    "hunyuan_v1_dense": ("--family hunyuan-dense --head-dim 26 --heads 6 --kv-heads 3", "F32", 0, None, False),
    "seed_oss": ("--family seed_oss --head-dim 34 --head untied", "F32", 2, None, True),
    "cohere BF16": ("--family command-r --type BF16 --norm-type BF16 --width 96 --heads 6 --kv-heads 3", "BF16", 0, None, True),
    "ernie4_5 F32": ("--family ernie4_5 --heads 6 --kv-heads 3 --head-dim 14", "F32", 2, None, False),
    "gemma F32": ("--family gemma --head-dim 22", "F32", 2, None, True),
    "glm BF16": ("--family chatglm --type BF16 --norm-type BF16", "BF16", 0, None, False),
    "glm4 BF16": ("--family glm4 --type BF16 --norm-type BF16 --rope-dims 8", "BF16", 2, None, True),
    "gpt_bigcode F16": ("--family starcoder --type F16 --norm-type F16 --kv-heads 1 --context 67", "F16", 0, None, False),
    "granitemoe BF16": ("--family granitemoe --type BF16 --norm-type BF16 --layers 1 --experts 5 --ffn 46", "BF16", 0, None, False),
    "hunyuan_v1_dense BF16": ("--family hunyuan-dense --type BF16 --norm-type BF16", "BF16", 2, None, True),
    "seed_oss BF16": ("--family seed_oss --type BF16 --norm-type BF16 --head-dim 34", "BF16", 0, None, False),
    "phi3, half of a head rotates": ("--family phi3 --rope-dims 8", "F32", 0, None, False),
    "phi3, long rotation": ("--family phi3 --rope longrope:128", "F32", 2, None, True),
}


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
        "gpt2": ("GPT2", dict(vocab_size=389, n_embd=64, n_layer=3, n_head=4, n_positions=512, initializer_range=0.2, eos_token_id=2, bos_token_id=1)),
        "starcoder2": ("Starcoder2", {**small, "hidden_size": 96}), "starcoder2, window, no biases": ("Starcoder2", {**small, "hidden_size": 96, "use_bias": False, "sliding_window": 7}),
        "cohere2": ("Cohere2", {**small, "hidden_size": 96, "num_hidden_layers": 5, "sliding_window": 7, "logit_scale": 0.31}),
        "qwen2_moe": ("Qwen2Moe", {**small, "moe_intermediate_size": 37, "shared_expert_intermediate_size": 53, "num_experts": 7, "num_experts_per_tok": 3, "decoder_sparse_step": 1}),
        "smollm3": ("SmolLM3", {**small, "num_hidden_layers": 5}),
        "cohere": ("Cohere", {**small, "hidden_size": 96, "logit_scale": 0.31}), "cohere, biases": ("Cohere", {**small, "hidden_size": 96, "attention_bias": True}),
        "ernie4_5": ("Ernie4_5", {**small, "head_dim": 14}), "gemma": ("Gemma", {**small, "head_dim": 14}),
        "glm": ("Glm", {**small, "head_dim": 16}), "glm, no biases": ("Glm", {**small, "head_dim": 16, "attention_bias": False}),
        "glm4": ("Glm4", {**small, "head_dim": 16}),
        "gpt_bigcode": ("GPTBigCode", dict(vocab_size=389, n_embd=64, n_layer=3, n_head=4, n_positions=512, initializer_range=0.2, eos_token_id=2, bos_token_id=1)),
        "granitemoe": ("GraniteMoe", {**small, "num_local_experts": 7, "num_experts_per_tok": 3, "intermediate_size": 37, "embedding_multiplier": 2.3, "attention_multiplier": 0.21, "residual_multiplier": 0.57, "logits_scaling": 3.1}),
        "hunyuan_v1_dense": ("HunYuanDenseV1", {**small, "head_dim": 14}),
        "hunyuan_v1_dense, alpha": ("HunYuanDenseV1", {**small, "head_dim": 14, "rope_parameters": dict(rope_type="dynamic", rope_theta=1e4, factor=1.0, alpha=37.0)}),
        "seed_oss": ("SeedOss", {**small, "head_dim": 14}), "seed_oss, every bias": ("SeedOss", {**small, "head_dim": 14, "attention_out_bias": True, "mlp_bias": True}),
        "phi3": ("Phi3", {**small, "rope_parameters": dict(rope_type="default", rope_theta=1e4, partial_rotary_factor=0.5)}),
        "phi3, longrope": ("Phi3", {**small, "original_max_position_embeddings": 512, "max_position_embeddings": 512, "rope_parameters": long}),
    }
    for name, (kind, options) in cases.items():
        def one():
            config = getattr(transformers, kind + ("TextConfig" if kind == "Gemma3" else "Config"))(**options, attn_implementation="eager", experts_implementation="eager")
            model = getattr(transformers, kind + ("LMHeadModel" if kind == "GPT2" else "ForCausalLM"))(config)
            for key, value in model.named_parameters():
                if key.endswith(("norm.weight", "ln_1.weight", "ln_2.weight", "ln_f.weight", "bias")):
                    torch.nn.init.normal_(value, 0.0 if kind.startswith("Gemma") or key.endswith("bias") else 1.0, 0.2)
            folder = emptied(suite)
            model.save_pretrained(folder)
            for file, value in zip(("tokenizer.json", "tokenizer_config.json"), tokenizer):
                make_folder.write_json(folder, file, value)
            with torch.no_grad():
                true = model.double().eval()(torch.tensor([TOKENS])).logits[0].numpy()
            logits_of(suite, folder, name + " (transformers)", true)
        suite.run(name, one)


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
