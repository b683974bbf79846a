#!/usr/bin/env python3
"""Compares stepdown-run with its peers on the same files, and prints a Markdown table of medians and ratios.

    test/bench/bench.py [MODEL.gguf...]      default: models/smollm2.gguf models/gemma3.gguf

All take turns within one run, in one order and then the other, so that whatever else the machine does strikes all. A ratio
is the median of the rounds' ratios. tools/build-peer.sh builds peers. Needs Python alone.
"""
import argparse, datetime, json, os, platform, statistics, subprocess, sys, tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models = os.environ.get("STEPDOWN_MODELS", os.path.join(ROOT, "models"))
    parser.add_argument("models", nargs="*", default=[os.path.join(models, name) for name in ("smollm2.gguf", "gemma3.gguf")])
    parser.add_argument("--threads", default="1,2", help="thread counts, one row each (default 1,2)")
    parser.add_argument("--prompt", type=int, default=512, help="tokens of the prompt (default 512)")
    parser.add_argument("--generate", type=int, default=64, help="tokens generated after an empty prompt (default 64)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of both programs (default 5)")
    parser.add_argument("--isa", help="instruction-set level (default: the best that the processor has)")
    parser.add_argument("--bin", default=os.path.join(ROOT, "build", "bin"), help="folder of the programs (default build/bin)")
    parser.add_argument("--peer", action="append", help="folder of a llama-bench (default build/peer); may be repeated")
    options = parser.parse_args()
    options.peer = options.peer or [os.path.join(ROOT, "build", "peer")]
    return options


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"bench: {' '.join(command)}: status {done.returncode}\n{done.stderr}")
    return done.stdout


def ours(options, artifact, threads):
    """{"prefill": tokens per second, "decode": the same} of one run."""
    command = [os.path.join(options.bin, "stepdown-run"), "bench", artifact, "-p", str(options.prompt), "-n",
               str(options.generate), "-t", threads, "-r", "1", "--json"]
    rows = json.loads(run(command + (["--isa", options.isa] if options.isa else [])))
    return {{"pp": "prefill", "tg": "decode"}[row["test"][:2]]: row["tokens_per_second"] for row in rows}


def theirs(options, folder, model, threads):
    """The same for the llama-bench in `folder`, which measures prompt and generation apart as well."""
    rows = json.loads(run([os.path.join(folder, "llama-bench"), "-m", model, "-p", str(options.prompt), "-n",
                           str(options.generate), "-t", threads, "-r", "1", "-o", "json"]))
    return {"decode" if row["n_gen"] else "prefill": row["avg_ts"] for row in rows}


def version(folder):
    """What a peer calls itself: the first line of the file VERSION beside it, else the folder's name."""
    file = os.path.join(folder, "VERSION")
    if not os.path.exists(file):
        return os.path.basename(os.path.abspath(folder))
    with open(file, encoding="utf-8") as lines:
        return lines.readline().strip()


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {len(names)} logical processors"


def main():
    options = arguments()
    for program in [os.path.join(options.bin, "stepdown-compile")] + [os.path.join(peer, "llama-bench") for peer in options.peer]:
        if not os.access(program, os.X_OK):
            sys.exit(f"bench: expects {program}; tools/quickstart.sh and tools/build-peer.sh build what is missing")
    names = [version(peer) for peer in options.peer]
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], stdout=subprocess.PIPE, text=True).stdout.strip()
    print(f"{datetime.date.today()}, {processor()}, load {os.getloadavg()[0]:.1f} when it began; commit {commit or 'unknown'}; "
          f"{options.rounds} rounds\n")
    print("| model | test | threads | stepdown, tokens/s |" + "".join(f" {name}, tokens/s | ratio |" for name in names))
    print("| --- | --- | --- | --- |" + " --- | --- |" * len(names))
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models:
            name = os.path.splitext(os.path.basename(model))[0]
            artifact = os.path.join(folder, name + ".stepdown")
            run([os.path.join(options.bin, "stepdown-compile"), model, "-o", artifact])
            for threads in options.threads.split(","):
                programs = [lambda: ours(options, artifact, threads)]
                programs += [lambda folder=folder: theirs(options, folder, model, threads) for folder in options.peer]
                rounds = [[] for _ in programs]
                for turn in range(options.rounds):
                    for i in range(len(programs)) if turn % 2 == 0 else reversed(range(len(programs))):
                        rounds[i].append(programs[i]())
                for test, tokens in (("prefill", options.prompt), ("decode", options.generate)):
                    mine, *others = [[r[test] for r in program] for program in rounds]
                    row = f"| {name} | {test} {tokens} | {threads} | {statistics.median(mine):.1f} |"
                    for other in others:
                        ratio = statistics.median(x / y for x, y in zip(mine, other))
                        row += f" {statistics.median(other):.1f} | {ratio:.2f} |"
                    print(row, flush=True)
            os.remove(artifact)


main()
