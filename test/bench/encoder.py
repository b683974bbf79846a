#!/usr/bin/env python3
"""Embeddings of 256 sentences a batch: stepdown-run embed beside onnxruntime, in turns, on --threads threads.

    pip install numpy onnx onnxruntime tokenizers
    test/bench/encoder.py --bin build/bin models/all-MiniLM-L6-v2 [--threads 1] [--rounds 5]

There is no ONNX file of the model at hand: the graph is written here, of onnxruntime's own fused operators (Attention,
SkipLayerNormalization, BiasGelu), with the folder's float32 weights, and checked against stepdown. stepdown has its
sentences as lines of text, which it tokenizes, in steps of 512 tokens; onnxruntime has ids, tokenized before and padded to
the longest, in one batch. Times are user and system time, and wall time; of stepdown without start and loading (the
difference of two runs), but with tokenizing and writing.
"""
import argparse, json, os, resource, subprocess, sys, tempfile, time
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
import onnxruntime
import tokenizers

HERE = os.path.dirname(os.path.abspath(__file__))
WORDS = ("the old man reads a book in the garden while his daughter plays with the dog near the river and nobody hears "
         "how quickly the train leaves the station of the small town behind the hills where rain falls all summer").split()


def weights(folder):
    with open(os.path.join(folder, "model.safetensors"), "rb") as file:
        data = file.read()
    length = int.from_bytes(data[:8], "little")
    header, data = json.loads(data[8:8 + length]), data[8 + length:]
    return {n: np.frombuffer(data[slice(*t["data_offsets"])], "<f4").reshape(t["shape"]) for n, t in header.items() if t.get("dtype") == "F32"}


def graph(folder):
    """The model as ONNX: ids, mask [batch, length] int32 -> embeddings [batch, width]."""
    w = weights(folder)
    with open(os.path.join(folder, "config.json")) as file:
        c = json.load(file)
    nodes, constants = [], []

    def const(name, values):
        constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def op(kind, inputs, output, domain="com.microsoft", **attributes):
        nodes.append(helper.make_node(kind, inputs, [output] if isinstance(output, str) else output, domain=domain, **attributes))
        return output

    tensor = lambda name: const(name, w[name])
    e = "embeddings."
    op("EmbedLayerNormalization", ["ids", "", tensor(e + "word_embeddings.weight"), const("places", w[e + "position_embeddings.weight"] + w[e + "token_type_embeddings.weight"][0]), "",
                                   tensor(e + "LayerNorm.weight"), tensor(e + "LayerNorm.bias"), "mask"], ["x0", "lengths"], epsilon=c["layer_norm_eps"])
    x = "x0"
    for i in range(c["num_hidden_layers"]):
        p, n = f"encoder.layer.{i}.", f"l{i}."
        names = [p + f"attention.self.{k}." for k in ("query", "key", "value")]
        qkv = const(n + "qkv", np.concatenate([w[m + "weight"].T for m in names], 1))
        bias = const(n + "bias", np.concatenate([w[m + "bias"] for m in names]))
        a = op("Attention", [x, qkv, bias, "lengths"], n + "a", num_heads=c["num_attention_heads"])
        o = op("MatMul", [a, const(n + "o", w[p + "attention.output.dense.weight"].T)], n + "ao", domain="")
        y = op("SkipLayerNormalization", [o, x, tensor(p + "attention.output.LayerNorm.weight"), tensor(p + "attention.output.LayerNorm.bias"), tensor(p + "attention.output.dense.bias")], n + "y", epsilon=c["layer_norm_eps"])
        h = op("MatMul", [y, const(n + "up", w[p + "intermediate.dense.weight"].T)], n + "h", domain="")
        h = op("BiasGelu", [h, tensor(p + "intermediate.dense.bias")], n + "g")
        h = op("MatMul", [h, const(n + "down", w[p + "output.dense.weight"].T)], n + "d", domain="")
        x = op("SkipLayerNormalization", [h, y, tensor(p + "output.LayerNorm.weight"), tensor(p + "output.LayerNorm.bias"), tensor(p + "output.dense.bias")], n + "x", epsilon=c["layer_norm_eps"])
    one = const("one", np.array([1], np.int64))
    two = const("two", np.array([2], np.int64))
    op("Cast", ["mask"], "m", domain="", to=TensorProto.FLOAT)
    op("Unsqueeze", ["m", two], "m3", domain="")
    op("Mul", [x, "m3"], "kept", domain="")
    op("ReduceSum", ["kept", one], "sum", domain="", keepdims=0)
    op("LpNormalization", ["sum"], "out", domain="", axis=-1, p=2)  # the count of tokens divides out
    ids = [helper.make_tensor_value_info(n, TensorProto.INT32, ["batch", "length"]) for n in ("ids", "mask")]
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["batch", c["hidden_size"]])
    made = helper.make_graph(nodes, "bert", ids, [out], constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)], ir_version=8)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("folder")
    a.add_argument("--bin", required=True)
    a.add_argument("--threads", type=int, default=1)
    a.add_argument("--rounds", type=int, default=5)
    a.add_argument("--repeat", type=int, default=4, help="batches of a round")
    o = a.parse_args()
    draw = np.random.default_rng(5)
    texts = [" ".join(draw.choice(WORDS, draw.integers(5, 40))) for _ in range(256)]
    tokenizer = tokenizers.Tokenizer.from_file(os.path.join(o.folder, "tokenizer.json"))
    tokenizer.no_padding(), tokenizer.no_truncation()
    ids = [e.ids for e in tokenizer.encode_batch(texts)]
    length = max(map(len, ids))
    padded, mask = np.zeros((2, 256, length), np.int32)
    for i, row in enumerate(ids):
        padded[i, :len(row)], mask[i, :len(row)] = row, 1
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = o.threads, 1
    session = onnxruntime.InferenceSession(graph(o.folder).SerializeToString(), options, providers=["CPUExecutionProvider"])
    folder = tempfile.mkdtemp()
    artifact, lines, array = (os.path.join(folder, n) for n in ("m.stepdown", "t.txt", "o.npy"))
    subprocess.run([os.path.join(o.bin, "stepdown-compile"), o.folder, "-o", artifact], check=True)

    def stepdown(count):
        with open(lines, "w") as file:
            file.write("\n".join(texts * count) + "\n")
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([os.path.join(o.bin, "stepdown-run"), "embed", artifact, "-f", lines, "--npy", array, "-t", str(o.threads)], check=True)
        after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - begun
        return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def onnx_side(count):
        before, begun = time.process_time(), time.perf_counter()
        for _ in range(count):
            out = session.run(None, {"ids": padded, "mask": mask})[0]
        return time.perf_counter() - begun, time.process_time() - before, out

    ours, theirs = [], []
    for _ in range(o.rounds):
        one, many = stepdown(1), stepdown(1 + o.repeat)  # the difference has no start and no reading
        ours.append([(b - a) / o.repeat for a, b in zip(one, many)])
        *times, out = onnx_side(o.repeat)
        theirs.append([t / o.repeat for t in times])
    got = np.load(array)[:256]
    print(f"onnxruntime {onnxruntime.__version__}, {o.threads} threads, 256 sentences of {sum(map(len, ids))} tokens, longest {length}")
    print(f"least cosine between both: {(got * out).sum(1).min():.7f}")
    for name, all in (("stepdown", ours), ("onnxruntime", theirs)):
        wall, cpu = np.median(all, 0)
        print(f"{name:12s} median wall {wall:.3f} s, processor time {cpu:.3f} s")
    print(f"ratio of medians: wall {np.median(theirs, 0)[0] / np.median(ours, 0)[0]:.2f}, processor time {np.median(theirs, 0)[1] / np.median(ours, 0)[1]:.2f}")


if __name__ == "__main__":
    main()
