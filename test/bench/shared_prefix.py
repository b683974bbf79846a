#!/usr/bin/env python3
"""Time to the first token of requests that begin alike, from a server of ours that was started for it.

    test/bench/shared_prefix.py MODEL.stepdown [--threads N] [--rounds N] [OPTION OF SERVE...]

Each round has a beginning of 1,000 tokens of its own and four requests with it, one after another, which end in 16 tokens
that differ. Prints medians, and the share of the second's time in the first's of the same round. Needs Python alone.
"""
import argparse, http.client, json, os, statistics, subprocess, time

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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--threads", default="1")
    parser.add_argument("--rounds", type=int, default=5)
    options, others = parser.parse_known_args()
    server = subprocess.Popen([os.path.join(ROOT, "build", "bin", "stepdown-run"), "serve", options.model, "--port", "0",
                               "--threads", options.threads, *others], stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline().rsplit(":", 1)[1])
        ask(port, "A first request touches what is touched once.")
        rounds = []
        for turn in range(options.rounds):
            beginning = [(i * i * 7 + turn * 1009) % 30000 + 100 for i in range(1000)]
            rounds.append([ask(port, beginning + [(k * 97 + i * 31) % 30000 + 100 for i in range(16)]) for k in range(4)])
        for k in range(4):
            print(f"request {k + 1}: {1000 * statistics.median(r[k][0] for r in rounds):.0f} ms, "
                  f"{statistics.median(r[k][1] for r in rounds)} of 1016 tokens there")
        shares = [100 * r[1][0] / r[0][0] for r in rounds]
        print(f"second of first: {statistics.median(shares):.1f} % ({min(shares):.1f} to {max(shares):.1f})")
    finally:
        server.terminate()
        server.wait()


main()
