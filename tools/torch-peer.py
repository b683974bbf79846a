#!/usr/bin/env python3
"""A model of a checkpoint's shape in PyTorch, eager and compiled: what tools/device-check times beside ours where llama.cpp's
CUDA build is not at hand.

    torch-peer.py SHAPE_JSON --prompt 512 --tokens 64     one line of JSON on stdout when it is ready, and one for each line of stdin

SHAPE_JSON: layers, width, heads, kv_heads, head_dim, ffn, vocabulary. Weights are bfloat16, drawn from N(0, 1 / width): a
time does not depend on them, and no answer is compared. Norms, rotation, grouped attention and a gated MLP, as llama has
them; what other families have beside that is left out, which makes the peer faster. Attention is torch's
scaled_dot_product_attention in the forms that all of its kernels take: of a prompt causal, without a mask, FlashAttention
where that is; of a token the queries that share keys are rows of one head, over a static cache with a mask, as a CUDA graph
needs it, so up to --tokens positions too many are read. Lines: {"peer": name with the version}, then for each turn {"eager": {"pp512": tokens
per second, "tg64": ...}, "compiled": {...}}; compiled is torch.compile with CUDA graphs. Ends with status 1 and the reason
on stderr where there is no PyTorch or no GPU of its own; --device cpu is for trying it out.
"""
import argparse
import json
import sys
import time

KEYS = ("layers", "width", "heads", "kv_heads", "head_dim", "ffn", "vocabulary")


def shape_of(text):
    shape = json.loads(text)
    if not isinstance(shape, dict) or any(not isinstance(shape.get(key), int) or shape[key] < 1 for key in KEYS):
        raise ValueError(f"expects {', '.join(KEYS)} as positive numbers, but got {text}")
    if shape["heads"] % shape["kv_heads"] or shape["head_dim"] % 2:
        raise ValueError(f"expects heads in multiples of kv_heads and an even head_dim, but got {text}")
    return shape


def model_of(torch, shape, device, positions):
    """A module: (tokens [T], positions [T]) -> logits [vocabulary] of the last of them. All that it holds are buffers, so
    that a CUDA graph may be captured of a step that writes to its cache."""
    functional = torch.nn.functional
    width, heads, kv_heads, head = (shape[key] for key in ("width", "heads", "kv_heads", "head_dim"))
    kind = {"device": device, "dtype": torch.bfloat16}
    draw = lambda *size: torch.randn(*size, **kind) / width ** 0.5

    def holding(**tensors):
        module = torch.nn.Module()
        for name, tensor in tensors.items():
            module.register_buffer(name, tensor)
        return module

    def norm(x, weight):
        return functional.rms_norm(x, (width,), weight, 1e-5)

    def rotated(x, c, s):  # x [T, heads, head]
        a, b = x.chunk(2, -1)
        return torch.cat((a * c - b * s, b * c + a * s), -1)

    class Peer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.ModuleList(
                holding(qkv=draw((heads + 2 * kv_heads) * head, width), out=draw(width, heads * head), gate_up=draw(2 * shape["ffn"], width),
                        down=draw(width, shape["ffn"]), before=torch.ones(width, **kind), behind=torch.ones(width, **kind),
                        keys=torch.zeros(1, kv_heads, positions, head, **kind), values=torch.zeros(1, kv_heads, positions, head, **kind))
                for _ in range(shape["layers"]))
            angles = torch.arange(positions, device=device)[:, None] * 10000.0 ** (-torch.arange(0, head, 2, device=device) / head)
            self.ends = holding(embedding=draw(shape["vocabulary"], width), last=torch.ones(width, **kind), all=torch.arange(positions, device=device),
                                cosines=torch.cos(angles).to(torch.bfloat16), sines=torch.sin(angles).to(torch.bfloat16))

        def forward(self, tokens, at):  # of several tokens the first is at position 0
            ends = self.ends
            x, seen = ends.embedding[tokens], ends.all[None, :] <= at[:, None]
            c, s = ends.cosines[at][:, None], ends.sines[at][:, None]
            for layer in self.layers:
                q, k, v = functional.linear(norm(x, layer.before), layer.qkv).view(len(tokens), -1, head).split((heads, kv_heads, kv_heads), 1)
                q, k, v = (each.transpose(0, 1)[None] for each in (rotated(q, c, s), rotated(k, c, s), v))  # [1, heads, T, head]
                layer.keys.index_copy_(2, at, k)
                layer.values.index_copy_(2, at, v)
                if len(tokens) > 1:
                    y = functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=heads != kv_heads)
                else:
                    y = functional.scaled_dot_product_attention(q.reshape(1, kv_heads, -1, head), layer.keys, layer.values, attn_mask=seen[None, None])
                    y = y.reshape(1, heads, 1, head)
                x = x + functional.linear(y[0].transpose(0, 1).reshape(len(tokens), -1), layer.out)
                gate, up = functional.linear(norm(x, layer.behind), layer.gate_up).chunk(2, -1)
                x = x + functional.linear(functional.silu(gate) * up, layer.down)
            return functional.linear(norm(x[-1], ends.last), ends.embedding)

    return Peer()


def turn(torch, step, device, vocabulary, prompt, count):
    """Tokens a second of a prompt, and of tokens one by one behind it."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    speeds = {}
    with torch.inference_mode():
        tokens = torch.randint(vocabulary, (prompt,), device=device)
        wait()
        begin = time.perf_counter()
        logits = step(tokens, torch.arange(prompt, device=device))
        wait()
        speeds[f"pp{prompt}"] = prompt / (time.perf_counter() - begin)
        places = torch.arange(prompt, prompt + count, device=device) # a tensor made in a turn would wait for the device
        wait()
        begin = time.perf_counter()
        for i in range(count):
            logits = step(logits.argmax(-1, keepdim=True), places[i:i + 1])
        wait()
        speeds[f"tg{count}"] = count / (time.perf_counter() - begin)
    return speeds


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("shape")
    a.add_argument("--prompt", type=int, default=512)
    a.add_argument("--tokens", type=int, default=64)
    a.add_argument("--device", choices=("cuda", "cpu"), default="cuda")  # "cuda" is HIP where torch is built for it
    options = a.parse_args()
    try:
        shape = shape_of(options.shape)
    except ValueError as wrong:
        sys.exit(f"torch-peer: {wrong}")
    try:
        import torch
    except ImportError:
        sys.exit("torch-peer: no PyTorch")
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("torch-peer: no PyTorch with a GPU")
    torch.manual_seed(7)
    step = model_of(torch, shape, options.device, options.prompt + options.tokens)
    ways = {"eager": step, "compiled": torch.compile(step, mode="reduce-overhead", dynamic=False)}
    run = lambda way: turn(torch, ways[way], options.device, shape["vocabulary"], options.prompt, options.tokens)
    for way in ways:  # compiles, warms up and captures
        run(way), run(way), run(way)
    print(json.dumps({"peer": f"PyTorch {torch.__version__}"}), flush=True)
    for _ in sys.stdin:
        print(json.dumps({way: run(way) for way in ways}), flush=True)


if __name__ == "__main__":
    main()
