#!/usr/bin/env python3
"""Compares stepdown-run with its peers on the same files, and prints a Markdown table of medians and ratios.

    test/bench/bench.py [MODEL.gguf...]      default: models/smollm2.gguf models/gemma3.gguf

All take turns within one run, in one order and then the other, so that whatever else the machine does strikes all. A ratio
is the median of the rounds' ratios. tools/build-peer.sh builds peers. Needs Python alone.
"""
import argparse, os, tempfile

import programs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models = os.environ.get("STEPDOWN_MODELS", os.path.join(programs.ROOT, "models"))
    parser.add_argument("models", nargs="*", default=[os.path.join(models, name) for name in ("smollm2.gguf", "gemma3.gguf")])
    programs.add_options(parser, prompt=512, generate=64, rounds=5)
    options = parser.parse_args()
    programs.check(options)
    names = [programs.version(peer) for peer in options.peer]
    print(programs.machine(options) + "\n")
    print("| model | test | threads | stepdown, tokens/s |" + "".join(f" {name}, tokens/s | ratio |" for name in names))
    print("| --- | --- | --- | --- |" + " --- | --- |" * len(names))
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models:
            name = os.path.splitext(os.path.basename(model))[0]
            artifact = os.path.join(folder, name + ".stepdown")
            programs.run([os.path.join(options.bin, "stepdown-compile"), model, "-o", artifact])
            for threads in options.threads.split(","):
                rounds = programs.take_turns(options, [artifact], model, threads)
                for test, tokens in (("prefill", options.prompt), ("decode", options.generate)):
                    [mine], others = programs.compared(rounds, test)
                    print(f"| {name} | {test} {tokens} | {threads} | {mine:.1f} |"
                          + "".join(f" {other:.1f} | {ratio:.2f} |" for other, [ratio] in others), flush=True)
            os.remove(artifact)


main()
