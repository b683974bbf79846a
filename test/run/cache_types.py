"""Keys and values in 8-bit blocks (--kv-type=q8_0), and sequences that leave the process: part `cache` of conformance.py.

Logits are held to float64 that rounds keys and values to the same blocks, and queries and weights to the same 16-bit
codes (float64_model.py), at the distance that a binary16 cache has from its own; then the same bytes however a model
runs, what is said of the bytes, saved sequences, blocks that a server keeps and spills, and what is refused.
"""
import http.client
import json
import os
import socket
import subprocess
import threading

import numpy as np

import float64_model

# Weights of float32, so that the cache alone rounds; heads of a block and a half, and less than one, with padding.
MODELS = {
    "llama, sinks, heads of 41": "--family llama --type F32 --width 53 --heads 6 --kv-heads 2 --head-dim 41 --rope-dims 22 --sinks",
    "gemma3, a window of 17": "--family gemma3 --type F32 --width 61 --heads 4 --kv-heads 1 --head-dim 22 --layers 3 --pattern 1,1,0 --window 17",
}
# Of what rounding the cache costs, rms over all rows: below 0.02 and 1.00 in these models; a sum in float32 can put a value
# between two codes on the other one. A cache of other blocks, or of none, is apart by the cost itself.
APART, COST = 0.05, (0.9, 1.1)


def rms(x):
    return float(np.sqrt((x * x).mean()))


def near_float64(suite, name, options, tokens):
    checkpoint = suite.made("model.gguf", options)
    model = float64_model.Model(checkpoint)
    true, rounded = (float64_model.forward(model, tokens, None, kv) for kv in ("f32", "q8_0"))
    cost = rms(rounded - true)
    artifact = suite.compiled(checkpoint, "--kv-type=q8_0")
    for level in suite.levels:
        got, _ = suite.logits(artifact, tokens, "--isa", level)
        error, apart = rms(got - true), rms(got - rounded)
        suite.expect(apart <= APART * cost, f"{name} at {level}: expects logits within {APART} times {cost:.2g} of the rounded ones, but got {apart:.2g}")
        suite.expect(COST[0] * cost <= error <= COST[1] * cost, f"{name} at {level}: expects an error of {COST[0]} to {COST[1]} times {cost:.2g}, but got {error:.2g}")
        print(f"{name:26s} {level}: {error:.5f} of {cost:.5f}, apart {apart:.1e}", flush=True)
    for file in (checkpoint, artifact):
        os.remove(file)


def refused(suite, what, program, *arguments):
    done = subprocess.run([os.path.join(suite.bin, program), *map(str, arguments)], capture_output=True, text=True)
    suite.expect(done.returncode == 1 and what in done.stderr, f"{' '.join(map(str, arguments))}: expects {what}, but got status {done.returncode}: {done.stderr[:300]}")


def over_a_socket(suite, artifact, level, prompt, whole):
    """One process computes the prompt, another draws the answer; between them a TCP connection, as two of socat would be."""
    ends = [suite.path("out.fifo"), suite.path("in.fifo")]
    for end in ends:
        os.mkfifo(end)
    run = [os.path.join(suite.bin, "stepdown-run"), "generate", artifact, "--temperature", "0", "--ignore-eos", "--json", "--isa", level]
    for most in (None, 3001):  # all of it, and a connection that breaks off
        listener = socket.create_server(("127.0.0.1", 0))
        moved = []

        def send():
            with open(ends[0], "rb") as taken, socket.create_connection(listener.getsockname()) as there:
                sent = taken.read()
                there.sendall(sent[:most])
                moved.append(len(sent))

        def receive():
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as taken, open(ends[1], "wb") as given:
                try:
                    given.write(taken.read())
                except BrokenPipeError:
                    pass  # who reads has refused it

        threads = [threading.Thread(target=job, daemon=True) for job in (send, receive)]
        for thread in threads:
            thread.start()
        there = subprocess.Popen(run + ["--load-session", ends[1], "-n", "11"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        here = subprocess.run(run + ["--tokens", ",".join(map(str, prompt)), "-n", "1", "--save-session", ends[0]], capture_output=True, text=True, timeout=60)
        said, error = there.communicate(timeout=60)
        for thread in threads:
            thread.join(60)
        listener.close()
        if most:
            suite.expect(there.returncode == 1 and "E1511" in error and not said, f"a broken connection: expects E1511 and no answer, but got status {there.returncode}: {said[:80]} {error[:300]}")
            continue
        suite.expect(here.returncode == 0 and there.returncode == 0, f"a socket: expects two answers, but got: {here.stderr[:200]} {error[:200]}")
        got = json.loads(here.stdout)["tokens"] + json.loads(said)["tokens"]
        suite.expect(got == whole, f"a socket: expects {whole}, but got {got}")
        print(f"over a TCP connection: {moved[0]} bytes of {len(prompt)} positions", flush=True)


class Served:
    """A server of one artifact whose cache holds 24 blocks of 16 positions."""

    def __init__(self, suite, artifact, *options):
        self.command = [os.path.join(suite.bin, "stepdown-run"), "serve", artifact, "--port", "0", "-t", "3", "--kv-block", "16",
                        "--kv-blocks", "24", "--parallel", "3", "--chunk", "29", *options]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(self.process.stderr.read())
        self.port = int(line.rsplit(":", 1)[1])
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.said = self.process.communicate(timeout=60)[1]

    def ask(self, method, path, body=None):
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        link.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"} if body else {})
        reply = link.getresponse()
        text = reply.read().decode()
        link.close()
        if reply.status != 200:
            raise RuntimeError(f"{path}: status {reply.status}: {text}")
        return text

    def answers(self, prompts):
        """Of each prompt two answers, with the log-probabilities of 20 tokens at each place, and how many tokens were there."""
        came = [json.loads(self.ask("POST", "/v1/completions", {"prompt": p, "max_tokens": 5, "n": 2, "seed": 7, "logprobs": 20,
                                                                 "ignore_eos": True})) for p in prompts]
        return [a["choices"] for a in came], [a["usage"]["prompt_tokens_details"]["cached_tokens"] for a in came]

    def figures(self):
        lines = [line.rsplit(" ", 1) for line in self.ask("GET", "/metrics").splitlines() if line[0] != "#"]
        return {name.split("{")[0].replace("stepdown_", ""): float(value) for name, value in lines}


def through_the_server(suite, name, artifact):
    """Beginnings that the prefix tree has, and those that it gave up and the file has, change no answer."""
    numbers = np.random.default_rng(5)
    begins = [[int(t) for t in numbers.integers(3, 380, 211)] for _ in range(4)]
    prompts = [[*begin, *(int(t) for t in numbers.integers(3, 380, 5))] for begin in begins for _ in range(2)]
    prompts += prompts[:5]
    with Served(suite, artifact, "--prefix-cache", "off") as server:
        alone, there = server.answers(prompts)
    suite.expect(not any(there), f"{name}: expects no token to be there, but got {there}")
    file = suite.path(name + ".spill")
    for how, whole in ([], False), (["--prefix-spill", file], False), (["--prefix-spill", file], True), (["--prefix-spill", file], None):
        if whole is None: # damaged all over, but for what says whose it is
            with open(file, "r+b") as spilled:
                for at in range(4096 + 64, os.path.getsize(file), 1009):
                    spilled.seek(at)
                    spilled.write(b"?")
        with Served(suite, artifact, *how) as server:
            got, there = server.answers(prompts)
            figures = server.figures()
            if how and not whole and whole is not None:
                refused(suite, "E1518", "stepdown-run", "serve", artifact, "--port", 0, "--kv-block", 16, *how)
        suite.expect(got == alone, f"{name}, {' '.join(how)}: expects the answers of each alone, but got others")
        if whole is None:
            suite.expect(figures["spill_failures_total"] > 0, f"{name}, damaged: expects failures, but got {figures}")
            suite.expect(server.said.count("warning") == 1 and "E1520" in server.said, f"{name}, damaged: expects one warning, but got {server.said}")
            continue
        suite.expect(all(t >= 208 for t in there[1:8:2]), f"{name}: expects 208 tokens of each second prompt to be there, but got {there}")
        if not how:
            continue
        suite.expect(all(t >= 208 for t in there[0 if whole else 8:]), f"{name}: expects what was given up to come back, but got {there}")
        suite.expect(figures["restored_blocks_total"] > 0 and figures["spill_failures_total"] == 0, f"{name}: expects blocks to come back, but got {figures}")
    print(f"{name}: {figures['restored_blocks_total']:.0f} of the blocks that came back were whole", flush=True)


def however_it_runs(suite):
    """A window, a block and a half of channels; prompts that share beginnings, answers that fork."""
    checkpoint = suite.made("bytes.gguf", "--family gemma3 --type Q5_0 --layers 3 --pattern 1,1,0 --window 32 --head-dim 48")
    half, artifact = suite.compiled(checkpoint), suite.path("bytes-q8_0.stepdown")
    targets = f"--target={','.join(suite.levels)}"
    explained = suite.call("stepdown-compile", checkpoint, "--kv-type=q8_0", targets, "--jobs", suite.jobs, "--explain", "-o", artifact)
    suite.expect("2 heads x (48 + 48) q8_0" in explained and " 624\n" in explained, "explain: expects 624 bytes of q8_0 a token")
    prompts = [[int(t) for t in np.random.default_rng(seed).integers(3, 380, size)] for seed, size in ((1, 150), (2, 1), (3, 37))]
    for level in suite.levels:
        run = lambda *more: suite.generated(artifact, prompts[0], 12, "--isa", level, *more)
        whole = run("--threads", 1)
        for variant in (("--threads", 2), ("--kv-block", 16), ("--kv-block", 64), ("--chunk", 1), ("--chunk", 31, "--kv-block", 16)):
            got = run(*variant)["logits_sha256"]
            suite.expect(got == whole["logits_sha256"], f"cache at {level}: expects the same bytes with {' '.join(map(str, variant))}, but got others")
        requests = suite.path("requests.jsonl")
        with open(requests, "w", encoding="utf-8") as file:
            for i, prompt in enumerate(prompts):
                file.write(json.dumps({"id": str(i), "tokens": prompt, "max_tokens": 12, "ignore_eos": True, "n": 1 + 2 * i}) + "\n")
        said = suite.call("stepdown-run", "generate", artifact, "--requests", requests, "--temperature", 0, "--json", "--hash-logits", "--isa", level)
        answers = [json.loads(line) for line in said.splitlines()]
        suite.expect(len(answers) == 9, f"cache at {level}: expects 9 answers, but got {len(answers)}")
        alone = [suite.generated(artifact, prompt, 12, "--isa", level)["logits_sha256"] for prompt in prompts]
        for answer in answers:
            suite.expect(answer["logits_sha256"] == alone[int(answer["id"])], f"cache at {level}: expects request {answer['id']} in a batch, forked, as alone, but got other bytes")
        # Saved in blocks of one size, restored into another's, it goes on with the same tokens.
        saved = suite.path("saved.session")
        first = suite.generated(artifact, prompts[0], 5, "--isa", level, "--save-session", saved)["tokens"]
        said = json.loads(suite.call("stepdown-run", "generate", artifact, "--load-session", saved, "-n", 7, "--temperature", 0,
                                     "--ignore-eos", "--json", "--isa", level, "--kv-block", 16))
        suite.expect(first + said["tokens"] == whole["tokens"], f"cache at {level}: expects {whole['tokens']} of a saved sequence, but got {first} and {said['tokens']}")
        if level == suite.levels[-1]:
            refused(suite, "E1513", "stepdown-run", "generate", half, "--load-session", saved, "-n", 1)
            refused(suite, "q8_0, window 32", "stepdown-run", "generate", half, "--load-session", saved, "-n", 1)
            over_a_socket(suite, artifact, level, prompts[0], whole["tokens"])
    for name, its in ("f32", suite.compiled(checkpoint, "--kv-type=f32", f"--target={suite.levels[-1]}")), ("f16", half), ("q8_0", artifact):
        through_the_server(suite, name, its)
        if name == "f16":
            refused(suite, "E1517", "stepdown-run", "serve", artifact, "--port", 0, "--kv-block", 16, "--prefix-spill", suite.path("f16.spill"))
    # 3 layers, of 2 heads with 48 codes and the scales of 2 blocks, for a key and a value.
    told = json.loads(suite.call("stepdown-run", "inspect", artifact, "--json"))
    bytes_told, options = told["memory_plan"]["kv_bytes_per_position"], told["provenance"]["options"]
    suite.expect(bytes_told == 3 * 2 * 2 * (48 + 2 * 2), f"inspect: expects {3 * 2 * 2 * 52} bytes a position, but got {bytes_told}")
    suite.expect(options["kv_type"] == "q8_0", f"inspect: expects q8_0 in the provenance, but got {options['kv_type']}")
    # Devices read no blocks, be it a checkpoint or its IR.
    device = "--target=cpu,emulated:sm_90a"
    refused(suite, "E1515", "stepdown-compile", checkpoint, "--kv-type=q8_0", device, "-o", suite.path("device"))
    printed = suite.path("fusion.mlir")
    with open(printed, "w", encoding="utf-8") as file:
        file.write(suite.call("stepdown-compile", checkpoint, "--kv-type=q8_0", "--compile-to=fusion"))
    refused(suite, "E1515", "stepdown-compile", printed, "--compile-from=fusion", f"--weights={checkpoint}", device, "-o", suite.path("device"))
    module = suite.path("plain.mlir")
    with open(module, "w", encoding="utf-8") as file:
        file.write("func.func @f(%c: !transformer.cache<heads = 1, key = 32, value = 32, element = !transformer.block<q8_0>>) { return }\n")
    refused(suite, "E0834", "stepdown-compile", module, "-o", suite.path("plain"))
    refused(suite, "E0832", "stepdown-compile", checkpoint, "--kv-type=q8_0", "--exact", "-o", suite.path("exact"))


def run(suite, tokens):
    print("rms of all logits from float64's, of what float64 with the same blocks is from them, and of these two apart")
    for name, options in MODELS.items():
        suite.run(name, lambda: near_float64(suite, name, options, tokens))
    suite.run("cache", lambda: however_it_runs(suite))
