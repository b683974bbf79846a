#!/usr/bin/env python3
"""Clients of a server of ours, beside llama-server with the same checkpoint.

    test/bench/served.py models/smollm2.gguf [--threads 1,2] [--rounds N] [--requests N[,M]]
    test/bench/served.py ... --bin build/bin --peer build/peer

`bench --serve --clients` of ours sends the same load to both: --clients at a time, each of which sends the next request when
it has its answer, with prompts of --prompt tokens that have nothing in common and answers of --generate tokens, drawn greedily.
--requests N,M gives the peer its own number, so that the slower of two is not measured for longer. Each server is started for
its round, with as many sequences as there are clients and room for all, and has one request before.
The servers take turns; medians, and the median of the rounds' ratios. tools/build-peer.sh builds the peer. Needs Python alone.
"""
import argparse, json, os, socket, statistics, subprocess, sys, tempfile, time, urllib.request

import programs


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def measured(options, command, port, requests):
    """What the client says of a server that is started with `command`, and stopped."""
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            until = time.monotonic() + options.wait
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10).read()
                    break
                except OSError as error: # not there yet, or 503 while it loads
                    if server.poll() is not None:
                        sys.exit(f"served: {' '.join(command)}: ended with status {server.returncode} before it was ready")
                    if time.monotonic() > until:
                        sys.exit(f"served: {' '.join(command)}: expects it to be ready in {options.wait:g} s, but {error}")
                    time.sleep(0.1)
            client = [os.path.join(options.bin, "stepdown-run"), "bench", f"http://127.0.0.1:{port}", "--serve", "--json"]
            lengths = ["-p", str(options.prompt), "-n", str(options.generate)]
            programs.run(client + ["-p", "16", "-n", "4", "--clients", "1", "--requests", "1"])
            told = json.loads(programs.run(client + lengths + ["--clients", str(options.clients), "--requests", str(requests),
                                                               "--seed", "7"]))
        except SystemExit:
            log.seek(0)
            print(log.read()[-2000:], file=sys.stderr)
            raise
        finally:
            server.terminate()
            server.wait()
    if told["failed"] or told["answered"] != requests:
        sys.exit(f"served: expects {requests} answers, but got {told}")
    return told


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--requests", default="96", help="of a round, all clients together; N,M: ours and the peer's")
    parser.add_argument("--prompt", type=int, default=200)
    parser.add_argument("--generate", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--wait", type=float, default=60, help="seconds until a server has to be ready")
    programs.add_places(parser)
    options = parser.parse_args()
    programs.check_there([os.path.join(options.bin, name) for name in ("stepdown-compile", "stepdown-run")] +
                         [os.path.join(options.peer, "llama-server")])
    requests = [int(many) for many in options.requests.split(",")]
    requests = [requests[0], requests[-1]]
    length = options.prompt + options.generate + 20
    print(programs.machine(options) + f"; {options.clients} clients, {options.requests} requests, prompts of {options.prompt} tokens, "
          f"answers of {options.generate}\n")
    print("| model | threads | server | output, tokens/s | ratio | TTFT p50, ms | p95, ms | ratio | a token p50, ms | p95, ms | s |")
    print("|" + " --- |" * 11, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models:
            name, artifact = programs.compiled(options, model, folder)
            for threads in options.threads.split(","):
                ports = [free_port(), free_port()]
                many = str(options.clients)
                blocks = options.clients * ((length + 31) // 32) # of 32 positions
                commands = [[os.path.join(options.bin, "stepdown-run"), "serve", artifact, "--port", str(ports[0]), "--parallel", many,
                             "--kv-blocks", str(blocks), "-t", threads],
                            [os.path.join(options.peer, "llama-server"), "-m", model, "--port", str(ports[1]), "-np", many, "-c",
                             str(32 * blocks), "-t", threads, "-tb", threads]]
                rounds = []
                for turn in range(options.rounds):
                    order = (0, 1) if turn % 2 == 0 else (1, 0)
                    told = {i: measured(options, commands[i], ports[i], requests[i]) for i in order}
                    rounds.append((told[0], told[1]))
                    print(f"served: {name}, {threads} threads, round {turn + 1}: ours and theirs: {json.dumps(rounds[-1])}", file=sys.stderr)
                rate = statistics.median(r[0]["tokens_per_second"] / r[1]["tokens_per_second"] for r in rounds)
                wait = statistics.median(r[0]["ttft_ms"]["p95"] / r[1]["ttft_ms"]["p95"] for r in rounds)
                for i, server in enumerate(("stepdown-run serve", programs.version(options.peer))):
                    of = lambda what, share: statistics.median(r[i][what][share] for r in rounds)
                    print(f"| {name} | {threads} | {server} | {statistics.median(r[i]['tokens_per_second'] for r in rounds):.0f} | "
                          f"{'' if i else f'{rate:.2f}'} | {of('ttft_ms', 'p50'):.0f} | {of('ttft_ms', 'p95'):.0f} | "
                          f"{'' if i else f'{wait:.2f}'} | {of('tpot_ms', 'p50'):.1f} | {of('tpot_ms', 'p95'):.1f} | "
                          f"{statistics.median(r[i]['seconds'] for r in rounds):.0f} |", flush=True)


main()
