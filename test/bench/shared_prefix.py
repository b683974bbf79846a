#!/usr/bin/env python3
"""Time to the first token of requests that begin alike, from a server of ours that was started for it.

    test/bench/shared_prefix.py MODEL.stepdown [--threads N] [--rounds N] [OPTION OF SERVE...]

Each round has a beginning of 1,000 tokens of its own and four requests with it, one after another, which end in 16 tokens
that differ. Prints medians, and the share of the second's time in the first's of the same round. Needs Python alone.

    test/bench/shared_prefix.py MODEL.stepdown --spill FOLDER [...]

gives the server a cache for two beginnings, and a file in FOLDER for the others: each round then has two requests, and
when all are through, each beginning is asked for once more and comes back from the file. The same is done without the
file, in turns, to see what writing costs.
"""
import argparse, http.client, json, os, statistics, subprocess, tempfile, time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def ask(port, prompt):
    """(seconds to the first event, tokens of the prompt that were there)"""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    fields = {"prompt": prompt, "max_tokens": 4, "temperature": 0, "ignore_eos": True, "stream": True,
              "stream_options": {"include_usage": True}}
    begin, first, usage = time.time(), None, None
    link.request("POST", "/v1/completions", json.dumps(fields), {"Content-Type": "application/json"})
    for line in link.getresponse():
        if line.startswith(b"data: {"):
            first = first or time.time() - begin
            usage = json.loads(line[6:])["usage"] or usage
    link.close()
    return first, usage["prompt_tokens_details"]["cached_tokens"]


def metrics(port):
    """The values of /metrics that have one."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    link.request("GET", "/metrics")
    lines = [line.rsplit(" ", 1) for line in link.getresponse().read().decode().splitlines() if line[0] != "#"]
    return {name.split("{")[0]: float(value) for name, value in lines}


def prompt_of(turn, k):
    beginning = [(i * i * 7 + turn * 1009) % 30000 + 100 for i in range(1000)]
    return beginning + [(k * 97 + i * 31) % 30000 + 100 for i in range(16)]


class Server:
    def __init__(self, options, *others):
        self.process = subprocess.Popen([os.path.join(ROOT, "build", "bin", "stepdown-run"), "serve", options.model, "--port", "0",
                                         "--threads", options.threads, *others], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])
        ask(self.port, "A first request touches what is touched once.")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def told(what, asked):
    times = [1000 * seconds for seconds, _ in asked]
    print(f"{what}: {statistics.median(times):.0f} ms ({min(times):.0f} to {max(times):.0f}), "
          f"{statistics.median(there for _, there in asked)} of 1016 tokens there")


def from_tree(options, others):
    with Server(options, *others) as server:
        rounds = [[ask(server.port, prompt_of(turn, k)) for k in range(4)] for turn in range(options.rounds)]
    for k in range(4):
        told(f"request {k + 1}", [r[k] for r in rounds])
    shares = [100 * r[1][0] / r[0][0] for r in rounds]
    print(f"second of first: {statistics.median(shares):.1f} % ({min(shares):.1f} to {max(shares):.1f})")


def from_file(options, others):
    with tempfile.TemporaryDirectory(dir=options.spill) as folder:
        small = [*others, "--kv-blocks", "80"]
        with Server(options, *small, "--prefix-spill", os.path.join(folder, "blocks")) as with_file, \
             Server(options, *small) as without:
            rounds = [[ask(server.port, prompt_of(turn, k)) for server in (with_file, without) for k in range(2)]
                      for turn in range(options.rounds)]
            again = [[ask(server.port, prompt_of(turn, 3)) for server in (with_file, without)] for turn in range(options.rounds)]
            told("nothing there", [r[0] for r in rounds])
            told("in the cache", [r[1] for r in rounds])
            told("in the file", [r[0] for r in again])
            told("without a file: nothing there", [r[2] for r in rounds])
            told("without a file: in the cache", [r[3] for r in rounds])
            told("without a file: given up", [r[1] for r in again])
            print(", ".join(f"{name[9:]} {value:.0f}" for name, value in metrics(with_file.port).items()
                            if "spill" in name or "restored" in name))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--threads", default="1")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--spill", metavar="FOLDER")
    options, others = parser.parse_known_args()
    (from_file if options.spill else from_tree)(options, others)


main()
