#!/usr/bin/env python3
"""Sequences that are decoded together, beside llama-batched-bench of the same checkpoint.

    test/bench/batched.py models/smollm2.gguf models/gemma3.gguf [--sequences 8,32,64] [--threads 1,2] [--rounds N]
    test/bench/batched.py ... --bin build/bin --peer build/peer

Each sequence begins with 4 tokens and gets --generate more, as many for each; the rate is of what is drawn after the first, of
all together. Ours draws greedily (`generate --requests`), the peer takes any token. The programs take turns; medians, and the
median of the rounds' ratios. Checkpoints are compiled into a temporary folder, or lie beside as NAME.stepdown in --artifacts.
tools/build-peer.sh builds the peer. Needs Python alone.
"""
import argparse, json, os, statistics, sys, tempfile

import programs


def ours(options, artifact, threads, sequences, folder):
    """Tokens per second of all sequences."""
    requests = os.path.join(folder, "requests.jsonl")
    with open(requests, "w") as file:
        for i in range(sequences):
            file.write(json.dumps({"tokens": [100 + i, 200 + 7 * i, 300, 400], "max_tokens": options.generate + 1, "temperature": 0,
                                   "ignore_eos": True}) + "\n")
    lines = programs.run([os.path.join(options.bin, "stepdown-run"), "generate", artifact, "--requests", requests, "--json", "-t", threads])
    told = [json.loads(line) for line in lines.splitlines()]
    if len(told) != sequences or any(len(each["tokens"]) != options.generate + 1 for each in told):
        sys.exit(f"batched: expects {sequences} answers of {options.generate + 1} tokens, but got {lines[:300]}")
    return sequences * options.generate / max(each["timing"]["decode_seconds"] for each in told)


def theirs(options, model, threads, sequences):
    lines = programs.run([os.path.join(options.peer, "llama-batched-bench"), "-m", model, "-c", str(sequences * (options.generate + 32)),
                          "-b", "2048", "-ub", "512", "-npp", "4", "-ntg", str(options.generate), "-npl", str(sequences), "-t", threads,
                          "--output-format", "jsonl"])
    row, = (json.loads(line) for line in lines.splitlines() if line.startswith("{"))
    if row["pl"] != sequences:
        sys.exit(f"batched: expects {sequences} sequences, but got {row}")
    return row["speed_tg"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--sequences", default="8,32,64")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--generate", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=2)
    programs.add_places(parser)
    options = parser.parse_args()
    print(programs.machine(options) + "\n")
    print(f"| model | sequences | threads | stepdown, tokens/s | {programs.version(options.peer)}, tokens/s | ratio |")
    print("|" + " --- |" * 6, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models:
            name, artifact = programs.compiled(options, model, folder)
            for threads in options.threads.split(","):
                for sequences in map(int, options.sequences.split(",")):
                    rates = []
                    for turn in range(options.rounds):
                        both = [lambda: ours(options, artifact, threads, sequences, folder), lambda: theirs(options, model, threads, sequences)]
                        order = (0, 1) if turn % 2 == 0 else (1, 0)
                        got = {i: both[i]() for i in order}
                        rates.append((got[0], got[1]))
                    print(f"| {name} | {sequences} | {threads} | {statistics.median(r[0] for r in rates):.0f} | "
                          f"{statistics.median(r[1] for r in rates):.0f} | {statistics.median(r[0] / r[1] for r in rates):.2f} |", flush=True)


main()
