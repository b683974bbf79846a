#!/usr/bin/env python3
"""Sentence encoders: embeddings against float64, the same bytes in any batch, and what is refused.

    encoders.py --bin build/bin                        tiny encoders, and refusals
    encoders.py --bin build/bin --part real [--real FOLDER]     all-MiniLM-L6-v2 (tools/fetch-models.sh minilm) against float64

The tiny ones are written by test/data/make_encoder.py; STEPDOWN_EVERY_ENCODER=1 goes through more of them. Ends with 77 where
numpy or gguf are missing.
"""
import argparse, base64, http.client, json, os, shutil, struct, subprocess, sys, threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "data")]
from conformance import Suite
import numpy as np
import gguf
import experts
import folder_case
from levels import OF_BFLOATS, of_this_processor
import make_encoder
import make_folder
from math import erf

TEXTS = ["The capital of France is Paris, and the capital of Spain is Madrid.", "a", "stars", "",
         "One, two, three: the old cat sleeps in the sun. When the rain comes, the water runs down the stairs!", "ÉLAN, café; naïve?"]
EXACT = 3e-5  # --exact: absolute, of embeddings of length 1; of rows that are not normalised times their length


class Encoder:
    """BERT in float64, of tensors by our names."""

    def __init__(self, tensors, layers, heads, epsilon):
        self.t, self.layers, self.heads, self.epsilon = tensors, layers, heads, epsilon

    @classmethod
    def of_folder(cls, folder):
        with open(os.path.join(folder, "config.json")) as file:
            c = json.load(file)
        (header, data), tensors = make_folder.read_safetensors(os.path.join(folder, "model.safetensors")), {}
        read = {"F32": lambda b: np.frombuffer(b, "<f4"), "F16": lambda b: np.frombuffer(b, "<f2"),
                "BF16": lambda b: (np.frombuffer(b, "<u2").astype("<u4") << 16).view("<f4")}
        for name, t in header.items():
            if t.get("dtype") in read:
                tensors[name] = read[t["dtype"]](data[slice(*t["data_offsets"])]).astype(np.float64).reshape(t["shape"])
        ours = {make_encoder.theirs(n): n for n in make_encoder.tensors(make_encoder.parser().parse_args(["--layers", str(c["num_hidden_layers"]), "--width", "32"]))}
        return cls({ours[n]: v for n, v in tensors.items() if n in ours}, c["num_hidden_layers"], c["num_attention_heads"], c["layer_norm_eps"])

    @classmethod
    def of_gguf(cls, path):
        reader = gguf.GGUFReader(path)
        meta = {k: f.contents() for k, f in reader.fields.items() if k.startswith("bert.")}
        tensors = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float64).reshape([int(n) for n in t.shape[::-1]]) for t in reader.tensors}
        return cls(tensors, meta["bert.block_count"], meta["bert.attention.head_count"], meta["bert.attention.layer_norm_epsilon"])

    def linear(self, x, name):
        return x @ self.t[name + ".weight"].T + self.t[name + ".bias"]

    def norm(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.epsilon) * self.t[name + ".weight"] + self.t[name + ".bias"]

    def rows(self, ids):
        """The last layer's row of each token."""
        n = len(ids)
        x = self.norm(self.t["token_embd.weight"][ids] + self.t["position_embd.weight"][:n] + self.t["token_types.weight"][0], "token_embd_norm")
        for i in range(self.layers):
            p = f"blk.{i}."
            q, k, v = (self.linear(x, p + "attn_" + c).reshape(n, self.heads, -1).transpose(1, 0, 2) for c in "qkv")
            score = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
            share = np.exp(score - score.max(-1, keepdims=True))
            out = (share / share.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(n, -1)
            x = self.norm(x + self.linear(out, p + "attn_output"), p + "attn_output_norm")
            h = self.linear(x, p + "ffn_up")
            h = self.linear(h / 2 * (1 + np.vectorize(erf)(h / np.sqrt(2))), p + "ffn_down")
            x = self.norm(x + h, p + "layer_output_norm")
        return x

    def embedding(self, ids, pooling="mean", normalize=True):
        x = self.rows(ids)
        x = x.mean(0) if pooling == "mean" else x[0 if pooling == "cls" else -1]
        return x / np.sqrt((x * x).sum()) if normalize else x


def ids_of(suite, model, text):
    return json.loads(suite.call("stepdown-run", "tokenize", model, "-p", text))


def embed(suite, model, texts, *options):
    """[texts, width], of JSON lines."""
    lines = suite.call("stepdown-run", "embed", model, "-t", "2", *options, *texts).splitlines()
    return np.array([json.loads(line)["embedding"] for line in lines], np.float32)


# name: (options of make_encoder.py, of the compiler, least cosine, what is compared)
MODELS = {
    "folder, padded heads, 3 layers": ("--folder F --layers 3 --width 160 --heads 20 --ffn 67 --context 97 --seed 2", "--exact", 1, ""),
    "folder BF16, last, not normalised, one segment": ("--folder F --dtype BF16 --pooling last --no-normalize --types 1 --heads 6", "", 0.999999, "last raw"),
    "GGUF Q8_0, as wide as its vocabulary": ("--gguf G --type Q8_0 --width 224 --vocab 224 --heads 7 --ffn 160", "", 0.9998, ""),
}
MORE = {  # with STEPDOWN_EVERY_ENCODER=1
    "folder F16, cls": ("--folder F --dtype F16 --pooling cls", "--exact", 1, "cls"),
    "folder, float16 keys and values": ("--folder F", "", 0.999999, ""),
    "GGUF": ("--gguf G --pooling cls", "--exact", 1, "cls"),
}


BFLOATS = 0.99999  # least cosine where weights of bfloat16 have activations rounded to one bfloat16


def one_model(suite, options, compiled, least, said, thorough):
    model = suite.path("folder" if "--folder" in options else "model.gguf")
    shutil.rmtree(model, ignore_errors=True)
    make_encoder.build(options.replace("--folder F", f"--folder {model}").replace("--gguf G", f"--gguf {model}"))
    reference = (Encoder.of_folder if os.path.isdir(model) else Encoder.of_gguf)(model)
    pooling, raw = next((p for p in ("cls", "last") if p in said), "mean"), "raw" in said
    artifact = suite.path("encoder.stepdown")
    bfloats = of_this_processor(OF_BFLOATS) if "BF16" in options and not compiled else []
    levels = (suite.levels if thorough else suite.levels[-1:]) + bfloats
    suite.call("stepdown-compile", model, "-o", artifact, f"--jobs={suite.jobs}", f"--target={','.join(levels)}", *compiled.split())
    got = embed(suite, artifact, TEXTS)
    wanted = np.array([reference.embedding(ids_of(suite, model, t), pooling, not raw) for t in TEXTS])
    lengths = np.linalg.norm(wanted, axis=1)
    nearness = lambda rows: ((rows * wanted).sum(1) / np.linalg.norm(rows, axis=1) / lengths).min()
    cosine = nearness(got)
    for level in bfloats:  # which is what `got` is of
        below = nearness(embed(suite, artifact, TEXTS, "--isa", suite.levels[-1]))
        suite.expect(below >= least, f"{suite.levels[-1]}: cosine {below:.7f}")
        least = BFLOATS
    error = np.abs(got - wanted).max() / lengths.max()
    suite.expect(error < EXACT if least == 1 else cosine >= least, f"error {error:.2e}, cosine {cosine:.7f}")
    suite.expect(raw or np.allclose(np.linalg.norm(got, axis=1), 1, atol=1e-6), "expects embeddings of length 1")
    print(f"{options:80s} error {error:.2e}, cosine {cosine:.9f}", flush=True)
    # Alone, in another order, with other threads, at another level, and by another door.
    for level in suite.levels if thorough else ():
        other = embed(suite, artifact, TEXTS, "--isa", level)
        suite.expect((other * got).sum(1).min() > 0.999999, f"{level}: expects the same within rounding")
    for i, text in enumerate(TEXTS if thorough else TEXTS[:1]):
        suite.expect(np.array_equal(embed(suite, artifact, [text])[0], got[i]), f"text {i} alone: expects the same bytes")
    suite.expect(np.array_equal(embed(suite, artifact, TEXTS[::-1] * 13, "-t", "1")[::-1][:len(TEXTS)], got), "78 texts: expects the same bytes")
    lines, array = suite.path("texts.txt"), suite.path("out.npy")
    with open(lines, "w", encoding="utf-8") as file:
        file.write("\n".join(TEXTS) + "\n")
    suite.call("stepdown-run", "embed", artifact, "-f", lines, "--npy", array)
    suite.expect(np.array_equal(np.load(array), got), "--npy: expects the same bytes")
    for way in ("mean", "cls", "last") if thorough else ():
        asked = embed(suite, artifact, TEXTS[:1], "--pooling", way, "--normalize", "off")[0]
        expected = reference.embedding(ids_of(suite, model, TEXTS[0]), way, False)
        suite.expect(np.abs(asked - expected).max() < EXACT * np.linalg.norm(expected), f"--pooling {way}: differs by {np.abs(asked - expected).max():.2e}")


def models(suite):
    every = {**MODELS, **MORE} if os.environ.get("STEPDOWN_EVERY_ENCODER") else MODELS
    for number, (name, how) in enumerate(every.items()):
        suite.run(name, lambda: one_model(suite, *how, number == 0))


config, edited, tensors = folder_case.config, folder_case.edited, folder_case.tensors
pool = lambda **keys: edited("1_Pooling/config.json", lambda c: c.update(keys))
modules = lambda change: edited("modules.json", change)
Q = "encoder.layer.0.attention.self.query.weight"
# what is done to a sound folder: (number of the error, part of its text)
REFUSED = {
    "max pooling": (pool(pooling_mode_mean_tokens=False, pooling_mode_max_tokens=True), 1423, "pooling_mode_max_tokens"),
    "two poolings": (pool(pooling_mode_cls_token=True), 1423, "one way of pooling"),
    "no pooling": (pool(pooling_mode_mean_tokens=False), 1423, "mean, cls and lasttoken"),
    "pooling by an unknown name": (pool(pooling_mode="attention"), 1423, "attention"),
    "pooling of another width": (pool(word_embedding_dimension=95), 1426, "word_embedding_dimension"),
    "unknown key of the pooling": (pool(zz=1), 1426, "zz"),
    "pooling that is a list": (lambda f: make_folder.write_json(f, "1_Pooling/config.json", [1]), 1426, "1_Pooling/config.json"),
    "pooling that is missing": (lambda f: os.remove(f + "/1_Pooling/config.json"), 1401, "1_Pooling/config.json"),
    "pooling elsewhere": (modules(lambda m: m[1].update(path="../x")), 1426, "../x"),
    "a dense layer": (modules(lambda m: m[2].update(type="sentence_transformers.models.Dense")), 1426, "Dense"),
    "modules that are no list": (lambda f: make_folder.write_json(f, "modules.json", {}), 1426, "list of modules"),
    "a module without a path": (modules(lambda m: m[1].pop("path") and None), 1426, "module 1"),
    "modules that are cut off": (folder_case.cut("modules.json", -1), 908, "modules.json"),
    "relative positions": (config(position_embedding_type="relative_key"), 1411, "position_embedding_type"),
    "a decoder": (config(is_decoder=True), 1411, "is_decoder"),
    "another activation": (config(hidden_act="gelu_new"), 1411, "hidden_act"),
    "a class with a head": (config(architectures=["BertForMaskedLM"]), 1410, "BertForMaskedLM"),
    "epsilon that is too large": (config(layer_norm_eps=2), 1411, "layer_norm_eps"),
    "unknown key": (config(rope_theta=1e4), 1412, "rope_theta"),
    "fewer positions than the table": (config(max_position_embeddings=60), 221, "position_embd.weight"),
    "a tensor is missing": (tensors(lambda t: t.pop(Q)), 220, "blk.0.attn_q.weight"),
    "a bias is missing": (tensors(lambda t: t.pop(Q.replace("weight", "bias"))), 1413, "query.bias"),
    "a tensor that no rule takes": (tensors(lambda t: t.update({"cls.predictions.bias": ("F32", [389], bytes(1556))})), 1414, "cls.predictions.bias"),
    "whole numbers for a weight": (folder_case.header(lambda h: h[Q].update(dtype="I32")), 1404, "I32"),
    "no lower case but for the decoder": (edited("tokenizer.json", lambda t: t["decoder"].update(prefix="@@")), 1421, "decoder.prefix"),
    "another normalizer": (edited("tokenizer.json", lambda t: t.update(normalizer={"type": "NFC"})), 1421, "BertNormalizer"),
    "text that is not cleaned": (edited("tokenizer.json", lambda t: t["normalizer"].update(clean_text=False)), 1421, "clean_text"),
    "another pre-tokenizer": (edited("tokenizer.json", lambda t: t.update(pre_tokenizer={"type": "Whitespace"})), 1421, "BertPreTokenizer"),
    "longer words": (edited("tokenizer.json", lambda t: t["model"].update(max_input_chars_per_word=200)), 1421, "max_input_chars_per_word"),
    "no unknown token": (edited("tokenizer.json", lambda t: t["model"].update(unk_token="[NONE]")), 1420, "[NONE]"),
    "BertProcessing without [CLS]": (edited("tokenizer.json", lambda t: t.update(post_processor={"type": "BertProcessing", "sep": ["[SEP]", 3]})), 1420, "cls"),
}


def library(suite, artifact):
    """The C API, through the Python package: the bytes that stepdown-run gives, and refusals by their number."""
    stepdown = experts.library(suite)
    if not stepdown:
        return
    wanted = embed(suite, artifact, TEXTS)
    model = stepdown.Model(artifact)
    embedder = stepdown.Embedder(model, threads=2)
    suite.expect((embedder.width, embedder.longest) == (96, 61), f"expects 96 numbers of 61 tokens, but got {embedder.width} of {embedder.longest}")
    suite.expect(embedder.embed(TEXTS).tobytes() == wanted.tobytes(), "expects the bytes that embed gives")
    ids = [model.tokenize(text) for text in TEXTS]
    one = stepdown.Embedder(model, threads=1)
    del model  # which they keep
    suite.expect(one.embed_tokens(ids[::-1] * 13)[::-1][:len(TEXTS)].tobytes() == wanted.tobytes(), "expects the same of ids, in other steps and with one thread")
    suite.expect(one.embed([]).shape == (0, 96), "expects nothing of no text")
    raw = stepdown.Embedder(stepdown.Model(artifact), pooling="last", normalize=False).embed(TEXTS)
    suite.expect(raw.tobytes() == embed(suite, artifact, TEXTS, "--pooling", "last", "--normalize", "off").tobytes(), "expects the bytes of --pooling last")
    for number, call in ((1422, lambda: one.embed(["a", "stars " * 99])), (1427, lambda: one.embed_tokens([ids[0], []])), (1427, lambda: one.embed_tokens([[389]])),
                         (1427, lambda: one.embed_tokens([[-1]])), (602, lambda: stepdown.Embedder(stepdown.Model(artifact), threads=-1)),
                         (602, lambda: stepdown.Embedder(stepdown.Model(artifact), pooling="max"))):
        try:
            call()
            suite.expect(False, f"library: expects E{number:04d}, but got no error")
        except stepdown.Error as error:
            suite.expect(error.code == number, f"library: expects E{number:04d}, but got {error}")


def said_by(suite, program, *arguments):
    try:
        suite.call(program, *arguments)
    except RuntimeError as error:
        return str(error)
    return "nothing"


def refusals(suite):
    sound = suite.path("sound")
    make_encoder.build(f"--folder {sound} --layers 1 --ffn 32")
    said = suite.call("stepdown-run", "inspect", sound)
    suite.expect("runs: true" in said, f"a sound folder: expects inspect to tell that it runs, but got {said[:200]}")
    for name, (change, number, text) in REFUSED.items():
        def one():
            folder = suite.path("refused")
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(sound, folder)
            change(folder)
            said = said_by(suite, "stepdown-run", "inspect", folder)
            said = suite.call("stepdown-run", "inspect", folder, "--json") if said == "nothing" else said
            suite.expect(f"E{number:04d}: " in said and text in said, f"{name}: expects E{number:04d} and '{text}', but got {said[:300]}")
        suite.run(name, one)
    suite.run("what is asked of a sound one", lambda: asked(suite, sound))


def asked(suite, sound):
    expect = lambda number, text, *words: suite.expect(
        f"error E{number:04d}: " in (said := said_by(suite, *words)) and text in said, f"{' '.join(words)}: expects E{number:04d} and '{text}', but got {said[:300]}")
    artifact, bare, ranked = suite.path("sound.stepdown"), suite.path("bare"), suite.path("ranked.gguf")
    level = f"--target={suite.levels[-1]}"
    suite.call("stepdown-compile", sound, "-o", artifact, level)
    for command in (["generate", artifact, "-p", "a"], ["eval", artifact, "-p", "a"], ["bench", artifact, "-p", "7", "-n", "3"]):
        expect(1424, "encoder", "stepdown-run", *command)
    long = "the capital of france " * 15
    expect(1422, "at most 61 tokens, but it has 62; --truncate", "stepdown-run", "embed", artifact, "a", long)
    cut, ids = embed(suite, artifact, [long], "--truncate")[0], ids_of(suite, artifact, long)
    wanted = Encoder.of_folder(sound).embedding(ids[:60] + ids[-1:])
    suite.expect((cut * wanted).sum() > 0.999999, "--truncate: expects the beginning and the token that ends a text")
    weights = os.path.join(sound, "model.safetensors")
    expect(960, "model.safetensors", "stepdown-run", "embed", sound, "a", "--npy", weights)
    expect(1428, "but got nvidia:sm_90a; --target=cpu", "stepdown-compile", sound, "-o", suite.path("device.stepdown"), "--target=nvidia:sm_90a")
    expect(905, "but got neither", "stepdown-run", "embed", artifact)
    expect(905, "but got both", "stepdown-run", "embed", artifact, "a", "-f", "b")
    with open(suite.path("empty.txt"), "w"):
        pass
    expect(1427, "it has no line", "stepdown-run", "embed", artifact, "-f", suite.path("empty.txt"))
    make_encoder.build(f"--folder {bare} --layers 1 --ffn 32 --pooling none")
    suite.call("stepdown-compile", bare, "-o", suite.path("bare.stepdown"), level)
    expect(1423, "or mean, cls or last to be asked for", "stepdown-run", "embed", suite.path("bare.stepdown"), "a")
    make_encoder.build(f"--gguf {ranked} --layers 1 --ffn 32")
    with open(ranked, "r+b") as file:
        data = file.read()
        at = data.index(b"bert.pooling_type") + len(b"bert.pooling_type") + 4
        file.seek(at)
        file.write(struct.pack("<I", 4))
    expect(1423, "rank", "stepdown-compile", ranked, "-o", suite.path("ranked.stepdown"))
    model, decoder = suite.made("decoder.gguf", "--layers 1 --width 32 --heads 2 --kv-heads 1"), suite.path("decoder.stepdown")
    suite.call("stepdown-compile", model, "-o", decoder, level)
    expect(1425, "architecture llama: expects an encoder", "stepdown-run", "embed", decoder, "a")
    suite.run("the library", lambda: library(suite, artifact))
    suite.run("a server", lambda: served(suite, artifact, decoder))


def served(suite, encoder, decoder):
    """/v1/embeddings of an encoder beside a decoder."""
    process = subprocess.Popen([os.path.join(suite.bin, "stepdown-run"), "serve", encoder, decoder, "--port", "0", "-t", "1"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        port = int(process.stdout.readline().rsplit(":", 1)[1])

        def ask(path, **fields):
            link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            link.request("POST", path, json.dumps(fields), {"Content-Type": "application/json"})
            reply = link.getresponse()
            return reply.status, json.loads(reply.read())

        wanted, counts = embed(suite, encoder, TEXTS), [len(ids_of(suite, encoder, t)) for t in TEXTS]
        status, whole = ask("/v1/embeddings", model="sound", input=TEXTS, user="a", encoding_format="float", dimensions=96)
        got = np.array([d["embedding"] for d in whole.get("data", [])], np.float32)
        suite.expect(status == 200 and np.array_equal(got, wanted) and [d["index"] for d in whole["data"]] == list(range(len(TEXTS))), f"a list: {status} {str(whole)[:200]}")
        suite.expect(whole.get("usage") == {"prompt_tokens": sum(counts), "total_tokens": sum(counts)}, f"usage: {whole.get('usage')}, expects {sum(counts)}")
        _, coded = ask("/v1/embeddings", model="sound", input=[ids_of(suite, encoder, t) for t in TEXTS], encoding_format="base64")
        got = np.array([np.frombuffer(base64.b64decode(d["embedding"]), "<f4") for d in coded.get("data", [])])
        suite.expect(np.array_equal(got, wanted), f"ids, as base64: {str(coded)[:200]}")
        _, one = ask("/v1/embeddings", model="sound", input=ids_of(suite, encoder, TEXTS[0]))
        suite.expect(np.array_equal(np.float32(one["data"][0]["embedding"]), wanted[0]), "ids of one text")
        answers = {}
        threads = [threading.Thread(target=lambda i=i: answers.update({i: ask("/v1/embeddings", model="sound", input=TEXTS[i])})) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        suite.expect(all(np.array_equal(np.float32(answers[i][1]["data"][0]["embedding"]), wanted[i]) for i in range(3)), "three at a time")
        for fields, number, field in ((dict(input="a", dimensions=95), 1208, "dimensions"), (dict(input=[]), 611, "input"), (dict(input=["a", 1]), 611, "input[1]"), (dict(), 611, "input"),
                                      (dict(input="a", encoding_format="int8"), 611, "encoding_format"), (dict(input="a", imput="b"), 611, "imput"), (dict(input=[389]), 1427, "input"),
                                      (dict(input=[[]]), 1427, "input"), (dict(input=[-1]), 611, "input[0]"), (dict(input="stars " * 99), 1422, "input"),
                                      (dict(input=["a"] * 2049), 611, "input"), (dict(input="a", model="decoder"), 1208, "model"), (dict(input="a", model="other"), 1207, "model")):
            status, said = ask("/v1/embeddings", **{"model": "sound", **fields})
            error = said.get("error", {})
            suite.expect(status in (400, 404) and error.get("code") == f"E{number:04d}" and error.get("param") == field, f"{str(fields)[:60]}: expects E{number:04d} of {field}, but got {status} {str(said)[:200]}")
        status, said = ask("/v1/completions", model="sound", prompt="a")
        suite.expect(status == 400 and said["error"]["code"] == "E1424", f"a completion: {status} {said}")
        status, said = ask("/tokenize", model="sound", prompt=TEXTS[0])
        suite.expect(status == 200 and said["count"] == counts[0] and said["max_model_len"] == 61, f"/tokenize: {status} {said}")
        status, said = ask("/v1/completions", model="decoder", prompt="a", max_tokens=3)
        suite.expect(status == 200, f"the decoder beside it: {status} {said}")
        openai = os.path.join(HERE, "..", "..", "build", "venv-openai", "bin", "python")
        if os.path.exists(openai):
            script = (f"import openai, json; c = openai.OpenAI(base_url='http://127.0.0.1:{port}/v1', api_key='none'); "
                      f"print(json.dumps([d.embedding for d in c.embeddings.create(model='sound', input={TEXTS[:2]!r}).data]))")
            done = subprocess.run([openai, "-c", script], capture_output=True, text=True)
            suite.expect(done.returncode == 0 and np.array_equal(np.float32(json.loads(done.stdout)), wanted[:2]), f"the client of openai: {done.stderr[-300:]}")
        else:
            print("skipped: the client of openai, which tools/test-python.sh --openai fetches")
    finally:
        process.terminate()
        suite.expect(process.wait(60) == 0, "expects a server that ends with status 0")


def real(suite, options):
    """The released model against float64 of this file."""
    folder = options.real
    if not os.path.exists(os.path.join(folder, "model.safetensors")):
        print(f"skipped: {folder}, which tools/fetch-models.sh minilm fetches")
        return
    texts = [f"{a} {b} near the {c}." for a in ("A cat sleeps", "Two children play", "The old engineer waits", "Nobody speaks")
             for b in ("in silence", "again, as every summer,", "without hope", "for the 3rd time") for c in
             ("river", "railway station", "café", "end of the street", "harbour of Ålesund", "door", "window", "school", "church", "bridge",
              "market", "old mill", "tower", "lake", "forest", "hill")]
    artifact = suite.path("real.stepdown")
    suite.call("stepdown-compile", folder, "-o", artifact, f"--jobs={suite.jobs}")
    lines, array = suite.path("texts.txt"), suite.path("out.npy")
    with open(lines, "w", encoding="utf-8") as file:
        file.write("\n".join(texts) + "\n")
    suite.call("stepdown-run", "embed", artifact, "-f", lines, "--npy", array)
    got, reference = np.load(array), Encoder.of_folder(folder)
    ids = [ids_of(suite, folder, t) for t in texts[::17]]
    cosine = min(float(got[17 * i] @ reference.embedding(one)) for i, one in enumerate(ids))
    suite.expect(cosine >= 0.9999, f"all-MiniLM-L6-v2: cosine {cosine}")
    print(f"all-MiniLM-L6-v2: least cosine of {len(ids)} sentences to float64 {cosine:.8f}")


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--bin", required=True, help="folder of stepdown-compile and stepdown-run")
    a.add_argument("--jobs", type=int, default=os.cpu_count())
    a.add_argument("--part", choices=("models", "refusals", "real"))
    a.add_argument("--real", metavar="FOLDER", default=os.path.join(HERE, "..", "..", "models", "all-MiniLM-L6-v2"))
    options = a.parse_args()
    suite = Suite(options)
    if options.part in (None, "models"):
        models(suite)
    if options.part in (None, "refusals"):
        refusals(suite)
    if options.part == "real":
        real(suite, options)
    suite.finish()


if __name__ == "__main__":
    main()
