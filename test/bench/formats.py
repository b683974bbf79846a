#!/usr/bin/env python3
"""Compares stepdown-run with its peers on every storage type, beside what the machine can do at all.

    test/bench/formats.py                       every type: a random file of the shape of Llama 3.2 1B, cut to four layers
    test/bench/formats.py --types Q4_K,Q6_K
    test/bench/formats.py models/qwen15.gguf    files in their place
    test/bench/formats.py --activations q8o2,q8 the default and one code a value beside each other

For each file and thread count: prefill and decode of ours and of the peers' llama-bench in turn, medians, and the median
of the rounds' ratios. Before each file Limits measures how fast as many threads read as many bytes as its weights have,
and how many 8-bit products they compute a second. The share of decode is weight bytes times tokens a second over the
first; that of prefill, products (one a weight of the layers and token) over the second. Our own activations have more
than 8 bits but with --activations q8, which costs products that this does not count (docs/decisions/outlier-codes.md).
Files are made in a temporary folder, one at a time, about 0.3 to 1 GB. tools/build-peer.sh builds peers, `ninja -C build
Limits` the other. Needs the Python packages numpy and gguf.
"""
import argparse, json, os, sys, tempfile

import programs

TYPES = ("F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS",
         "MXFP4")
SHAPE = ("--family", "llama", "--layers", "4", "--width", "2048", "--heads", "32", "--kv-heads", "8", "--head-dim", "64",
         "--ffn", "8192", "--vocab", "128256", "--context", "4096", "--freq-base", "500000")


def weights(path):
    """(bytes that a token reads, weights that it is multiplied with but for the head's): every matrix once."""
    import gguf
    read, multiplied = 0, 0
    tensors = gguf.GGUFReader(path).tensors
    tied = all(tensor.name != "output.weight" for tensor in tensors)
    for tensor in tensors:
        if len(tensor.shape) < 2 or (tensor.name == "token_embd.weight" and not tied):
            continue
        read += tensor.n_bytes
        if tensor.name not in ("token_embd.weight", "output.weight"):
            multiplied += int(tensor.n_elements)
    return read, multiplied


def rows_of(options, name, model, folder):
    read, multiplied = weights(model)
    artifacts = []
    for kind in options.activations:
        artifacts.append(os.path.join(folder, kind + ".stepdown"))
        programs.run([os.path.join(options.bin, "stepdown-compile"), model, "-o", artifacts[-1], "--activations", kind])
    for threads in options.threads.split(","):
        limits = json.loads(programs.run([os.path.join(options.bin, "Limits"), str(read), threads]))
        rounds = programs.take_turns(options, artifacts, model, threads)
        for test, tokens in (("prefill", options.prompt), ("decode", options.generate)):
            mine, others = programs.compared(rounds, test, len(artifacts))
            if test == "decode":
                work, limit = read, limits["read_bytes_per_second"]
                said = f"{limit / 1e9:.1f} GB/s"
            else:
                work, limit = multiplied, limits["products_per_second"]
                said = f"{limit / 1e9:.0f} G products/s"
            share = lambda rate: f"{100 * rate * work / limit:.0f} %"
            print(f"| {name} | {test} {tokens} | {threads} | {said} |" + "".join(f" {own:.1f} | {share(own)} |" for own in mine)
                  + "".join(f" {other:.1f} | {share(other)} |" + "".join(f" {ratio:.2f} |" for ratio in ratios)
                            for other, ratios in others), flush=True)
    for artifact in artifacts:
        os.remove(artifact)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="files to measure in place of random ones")
    parser.add_argument("--types", default=",".join(TYPES), help="of random files (default: all)")
    parser.add_argument("--activations", default="q8o2",
                        help="of stepdown-compile: q8o2, q8x2, q8 or several with commas, beside each other (default q8o2)")
    programs.add_options(parser, prompt=512, generate=32, rounds=3)
    options = parser.parse_args()
    options.activations = options.activations.split(",")
    wrong = [kind for kind in options.activations if kind not in ("q8o2", "q8x2", "q8")]
    if wrong or len(set(options.activations)) < len(options.activations):
        parser.error(f"expects each of q8o2, q8x2 and q8 once at most, but got {', '.join(options.activations)}")
    wrong = [name for name in options.types.split(",") if name not in TYPES]
    if wrong:
        parser.error(f"expects types out of {', '.join(TYPES)}, but got {', '.join(wrong)}")
    programs.check(options, "Limits")
    print(programs.machine(options) + "\n")
    names = [programs.version(peer) for peer in options.peer]
    kinds = options.activations
    own = [f" stepdown {kind}, tokens/s | share |" for kind in kinds]
    theirs = [f" {name}, tokens/s | share |" + "".join(f" ratio {kind} |" for kind in kinds) for name in names]
    header = "| file | test | threads | limit |" + "".join(own + theirs)
    print(header + "\n|" + " --- |" * (header.count("|") - 1))
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models:
            rows_of(options, os.path.splitext(os.path.basename(model))[0], model, folder)
        for name in options.types.split(",") if not options.models else ():
            model = os.path.join(folder, name + ".gguf")
            programs.run([sys.executable, os.path.join(programs.ROOT, "test", "data", "make_model.py"), model, "--type", name,
                          *SHAPE])
            rows_of(options, name, model, folder)
            os.remove(model)


main()
