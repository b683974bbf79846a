#!/usr/bin/env python3
"""Runs the tiny models that llama.cpp's test-llama-archs writes, one of nearly every architecture, and compares logits.

    tools/generated-models.py --peer build/peer [--bin build/bin] [--folder DIR] [--only REGEX] [--write]

--peer is what tools/build-peer.sh made: the generator and a program that prints llama.cpp's logits are built of its sources
and libraries into the folder. Each file is one of:

    agree    compiled with --exact, NMSE of the logits of 24 tokens at most 1e-6 beside llama.cpp's on the processor
    refused  as a model (E01xx, E02xx), by the error that is shown
    wrong    any other; the program then ends with 1

--write puts the counts and the list into docs/generated-models.md.

The generator fills in whatever llama.cpp may read, with random numbers; two files are made of each, one for either program:

    both         divisors of rotary frequencies, which are below 0 else, become positive
    llama.cpp's  X.scale and X.input_scale, which files of NVFP4 have and some graphs read, become 1
    ours         neither is there, nor a classifier; an unknown vocabulary in place of the tokenizer, which llama.cpp knows for
                 tests alone; and of the keys, of which each file has those of all architectures, not those whose value is the
                 one of plain llama, but for a model's sizes
"""
import argparse
import datetime
import glob
import os
import re
import subprocess
import sys

import gguf
import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MOST = 1e-6
SIZES = ("vocab_size", "context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count",
         "attention.head_count_kv", "attention.key_length", "attention.value_length", "attention.layer_norm_rms_epsilon",
         "attention.layer_norm_epsilon", "rope.dimension_count", "rope.freq_base", "attention.causal")
LIBRARIES = ("common/libllama-common.a", "common/libllama-common-base.a", "src/libllama.a", "ggml/src/libggml.a", "ggml/src/libggml-cpu.a",
             "ggml/src/libggml-base.a", "vendor/cpp-httplib/libcpp-httplib.a", "vendor/hash/libvendor-hash.a")


UNROTATED = ("gpt2", "starcoder")


def built(peer, folder):
    """(generator, program of logits)"""
    source = glob.glob(os.path.join(peer, "*/vendor/llama.cpp"))[0]
    programs = []
    for name, file in (("test-llama-archs", os.path.join(source, "tests/test-llama-archs.cpp")),
                       ("peer_logits", os.path.join(ROOT, "test/bench/peer_logits.cpp"))):
        programs.append(os.path.join(folder, name))
        if not os.path.exists(programs[-1]):
            includes = [f"-I{os.path.join(source, part)}" for part in ("include", "ggml/include", "common", "vendor", "src")]
            libraries = [os.path.join(peer, "out", name) for name in LIBRARIES]
            subprocess.run(["c++", "-O1", "-std=c++17", *includes, file, "-o", programs[-1], *libraries, "-fopenmp", "-lpthread", "-ldl"], check=True)
    return programs


def pairs(path):
    reader = gguf.GGUFReader(path)
    return reader, {key: field for key, field in reader.fields.items() if not key.startswith("GGUF.")}


def rewritten(path, defaults, out, ours):
    reader, fields = pairs(path)
    architecture = fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(out, architecture)
    for key, field in fields.items():
        own = key.removeprefix(architecture + ".")
        value = field.contents()
        if key == "general.architecture" or (isinstance(value, list) and not value):
            continue
        if ours and (key.startswith("tokenizer.") or (own.startswith("rope.") and architecture in UNROTATED)):
            continue
        if ours and own not in SIZES and (own == key or str(value) == defaults.get(own)):
            continue
        kind = field.types[0]
        writer.add_key_value(key, value, kind, field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None)
    count = int(fields[architecture + ".vocab_size"].contents())
    if ours:
        writer.add_tokenizer_model("llama")
        writer.add_token_list(["<unk>", "<s>", "</s>"] + [f"t{i}" for i in range(3, count)])
        writer.add_token_scores([0.0] * count)
        writer.add_token_types([2, 3, 3] + [1] * (count - 3))
    for tensor in reader.tensors:
        data = tensor.data
        if tensor.name.endswith("scale") or tensor.name.startswith("cls."):
            if ours:
                continue
            data = np.ones_like(data)
        elif tensor.name.startswith("rope_f"):
            data = np.abs(data) + np.float32(0.5)
        writer.add_tensor(tensor.name, data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return count


def called(*command):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


def number(text):
    """(number, text) of a refusal of the model: any other error is the compiler's."""
    found = re.search(r"(E0[12]\d{2}): (.*)", text)
    return found and (found.group(1), found.group(2).splitlines()[0])


def judged(path, defaults, options, logits):
    """(agree, refused or wrong; why)"""
    temporary = os.path.join(options.folder, "file.gguf")
    count = rewritten(path, defaults, temporary, True)
    artifact, ours, theirs, peers = (os.path.join(options.folder, name) for name in ("file.stepdown", "ours.npy", "theirs.f32", "peer.gguf"))
    made = called(os.path.join(options.bin, "stepdown-compile"), temporary, "-o", artifact, "--exact", "--target=x86-64-v3")
    if made.returncode:
        reason = number(made.stderr.replace(temporary + ": ", ""))
        return ("refused", " ".join(reason)) if reason else ("wrong", made.stderr[-300:])
    tokens = [int(t) for t in np.random.default_rng(3).integers(3, min(count, 128), 24)]
    said = called(os.path.join(options.bin, "stepdown-run"), "eval", artifact, "--tokens", ",".join(map(str, tokens)), "--logits", ours, "--threads", 1, "--exact")
    if said.returncode:
        return "wrong", said.stderr[-300:]
    rewritten(path, defaults, peers, False)
    peer = called(logits, peers, theirs, *tokens)
    if peer.returncode:
        return "wrong", "llama.cpp: " + peer.stderr[-200:]
    a, b = np.fromfile(theirs, "<f4").astype(np.float64), np.load(ours).astype(np.float64).ravel()
    if a.size != b.size:
        return "wrong", f"{b.size} logits, and {a.size} of llama.cpp"
    error = float(((a - b) ** 2).mean() / (a * a).mean())
    return ("agree" if error <= MOST else "wrong"), f"NMSE {error:.1e}"


def processor():
    with open("/proc/cpuinfo") as file:
        return next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "a processor")


def page(results, version):
    counts = {kind: sum(result[0] == kind for result in results.values()) for kind in ("agree", "refused", "wrong")}
    lines = ["# The models of llama.cpp's generator", "",
             "<!-- Written by tools/generated-models.py --write; do not edit. -->", "",
             "`test-llama-archs` of llama.cpp writes a tiny random model of nearly every architecture that it knows. By hand,",
             "since CI has no llama.cpp: `tools/generated-models.py --peer build/peer --write` compiles each with `--exact` and",
             f"compares the logits of 24 tokens with those of {version} on the processor, whose keys and values are",
             f"float32 ({datetime.date.today()}, {processor()}). What it changes of a file before, it says.", "",
             f"**{counts['agree']} agree (NMSE at most 1e-6), {counts['refused']} are refused by name, {counts['wrong']} are wrong.**", "",
             "| file | | NMSE, or the first refusal |", "| --- | --- | --- |"]
    for name, (kind, why) in sorted(results.items(), key=lambda item: (item[1][0], item[0])):
        why = re.sub(r"expects one of .*, but got", "expects a known one, but got", re.sub(r"offset \d+: ", "", why)).replace("|", "\\|")
        lines.append(f"| {name} | {kind} | {why[:150]}{'…' if len(why) > 150 else ''} |")
    return "\n".join(lines) + "\n"


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--peer", default=os.path.join(ROOT, "build/peer"))
    a.add_argument("--bin", default=os.path.join(ROOT, "build/bin"))
    a.add_argument("--folder", default=os.path.join(ROOT, "build/generated"), help="where programs and files are kept")
    a.add_argument("--only", default="", help="a regular expression that names of files match")
    a.add_argument("--write", action="store_true")
    options = a.parse_args()
    files = os.path.join(options.folder, "files")
    os.makedirs(files, exist_ok=True)
    generator, logits = built(options.peer, options.folder)
    if not glob.glob(files + "/*.gguf"):
        subprocess.run([generator, "-s", "1", "-o", files], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, fields = pairs(os.path.join(files, "llama-dense.gguf"))
    defaults = {key.removeprefix("llama."): str(field.contents()) for key, field in fields.items()}
    results = {}
    for path in sorted(glob.glob(files + "/*.gguf")):
        name = os.path.basename(path).removesuffix(".gguf")
        if re.search(options.only, name):
            results[name] = judged(path, defaults, options, logits)
            print(f"{name:32s} {results[name][0]:8s} {results[name][1]}", flush=True)
    for kind in ("agree", "refused", "wrong"):
        print(f"{kind}: {sum(result[0] == kind for result in results.values())}")
    if options.write:
        with open(os.path.join(options.peer, "VERSION")) as file:
            version = file.read().strip()
        with open(os.path.join(ROOT, "docs/generated-models.md"), "w") as file:
            file.write(page(results, version))
    sys.exit(any(result[0] == "wrong" for result in results.values()))


if __name__ == "__main__":
    main()
