"""Keys and values in 8 bits (--kv-type=q8_0, fp8_e4m3), and sequences that leave the process: part `cache` of conformance.py.

Logits are held to float64 that rounds keys and values to the same blocks or numbers, and for blocks queries and weights to
the same 16-bit codes (float64_model.py), at the distance that a binary16 cache has from its own; every code of 8-bit floats
is written and read; then the same bytes however a model runs, what is said of the bytes, saved sequences, blocks that a server keeps and spills, and what is refused.
"""
import http.client
import csv
import json
import os
import socket
import subprocess
import threading

import gguf
import numpy as np

import float64_model

# Weights of float32, so that the cache alone rounds; heads of a block and a half, and less than one, with padding. 8-bit
# floats in one of them: every_code() has them with windows.
MODELS = {
    "llama, sinks, heads of 41": (("q8_0", "fp8_e4m3"), "--family llama --type F32 --width 53 --heads 6 --kv-heads 2 --head-dim 41 --rope-dims 22 --sinks"),
    "gemma3, a window of 17": (("q8_0",), "--family gemma3 --type F32 --width 61 --heads 4 --kv-heads 1 --head-dim 22 --layers 3 --pattern 1,1,0 --window 17"),
}
# Of what rounding the cache costs, rms over all rows: below 0.02 and 1.00 in these models; a sum in float32 can put a value
# between two codes on the other one. A cache of other blocks, or of none, is apart by the cost itself.
APART, COST = 0.05, (0.9, 1.1)


def rms(x):
    return float(np.sqrt((x * x).mean()))


def near_float64(suite, name, kinds, options, tokens):
    checkpoint = suite.made("model.gguf", options)
    model = float64_model.Model(checkpoint)
    true = float64_model.forward(model, tokens, None, "f32")
    for kv in kinds:
        rounded = float64_model.forward(model, tokens, None, kv)
        cost = rms(rounded - true)
        artifact = suite.compiled(checkpoint, "--kv-type=" + kv)
        for level in suite.levels:
            got, _ = suite.logits(artifact, tokens, "--isa", level)
            error, apart, what = rms(got - true), rms(got - rounded), f"{name}, {kv} at {level}"
            suite.expect(apart <= APART * cost, f"{what}: expects logits within {APART} times {cost:.2g} of the rounded ones, but got {apart:.2g}")
            suite.expect(COST[0] * cost <= error <= COST[1] * cost, f"{what}: expects an error of {COST[0]} to {COST[1]} times {cost:.2g}, but got {error:.2g}")
            print(f"{name:26s} {kv:8s} {level}: {error:.5f} of {cost:.5f}, apart {apart:.1e}", flush=True)
        os.remove(artifact)
    os.remove(checkpoint)


def vectors(suite):
    """(numbers, what each is as an 8-bit float) by vectors that others made, or two empty arrays."""
    folder = os.environ.get("STEPDOWN_VECTORS") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "shared", "vectors")
    folder = os.path.join(folder, "fp8")
    if not os.path.exists(folder):
        print(f"skipped: no vectors at {folder}")
        return np.empty(0), np.empty(0)

    def rows(name):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            return [row for row in csv.reader(file) if row[0] == "e4m3fn"]

    decoded = {int(code): float.fromhex(value) for _, code, value in rows("decode.csv")}
    given, wanted = np.array([(float.fromhex(value), decoded[int(code)]) for _, value, code, *_ in rows("round.csv")]).T
    beyond = np.isnan(wanted)  # the vectors do not saturate
    suite.expect(len(given) > 500 and np.isfinite(given).all() and (np.abs(given[beyond]) > 448).all(), f"vectors: expects over 500 numbers, NaN for those beyond 448, but got {len(given)} and {given[beyond][:3]}")
    return given, np.where(beyond, np.copysign(448, given), wanted)


def eights(count, more):
    """`count` numbers in ascending order: what 8-bit floats hold, what lies between two and just beside it, what is beyond
    them, `more`, and others."""
    codes = np.arange(127)
    held = np.where(codes < 8, codes * 2.0**-9, (1 + codes % 8 / 8) * 2.0 ** (codes // 8 - 7))
    middle = ((held[1:] + held[:-1]) / 2).astype(np.float32)
    beside = [np.nextafter(middle, np.float32(to)) for to in (0, 1e9)]
    beyond = [449, 463.9, 464, 480, 1e5, 3e38, 8e38, 2.0**-9 * 0.4999, 1e-30, 0]  # 8e38 is infinite in float32
    ours = np.concatenate([held, middle, *beside, beyond])
    random = np.random.default_rng(11)
    ours = np.concatenate([ours, -ours, more])
    ours = np.concatenate([ours, 2.0 ** random.uniform(-13, 10, count - len(ours))])
    return np.sort((ours / 8).astype(np.float32).astype(np.float64) * 8)  # as float32 that is multiplied by 8 has them


def every_code(suite):
    """Each token's values are one column of a matrix. With a window of 1 a token sees its own alone; with none, since all keys
    are zero, the mean of what came, in whole runs of 16 and in a part of one. In a channel are neighbours, all of one sign
    or zero, so that their mean tells them apart."""
    size = 64
    given, wanted = vectors(suite)
    same = float64_model.round_cache(given, "fp8_e4m3") == wanted
    suite.expect(same.all(), f"rounding: expects {wanted[~same][:3]} of {given[~same][:3]}")
    values = eights(size * size, given).reshape(size, size)
    values = np.random.default_rng(12).permuted(values, axis=1)
    held = float64_model.round_cache(values, "fp8_e4m3").T  # [tokens, channels]
    suite.expect(not (held.min(0) * held.max(0) < 0).any(), "every code: expects channels of one sign, but got others")
    for window in (1, 0):  # in each layer with a period of 0, in none with one of 1
        name = f"every code, window {window}"
        checkpoint = suite.made(f"codes-{window}.gguf", f"--family gemma3 --type F32 --layers 1 --window 1 --pattern {1 - window} --width {size} --heads 2 --kv-heads 2 --ffn 32 --head untied")
        reader = gguf.GGUFReader(checkpoint, "r+")
        for tensor in reader.tensors:
            matrix, data = tensor.name.split(".")[-2], tensor.data
            data[:] = 1 if "norm" in matrix else 0
            if matrix == "token_embd": # so large that nothing but the token is in its mean, and its norm is 8 in one place
                data[3:3 + size] = np.eye(size) * 2.0**23
            elif matrix == "attn_v":
                data[:] = values / 8
            elif matrix in ("attn_output", "output"):
                data[:size] = np.eye(size)
            data.flush()
        tokens = list(range(3, 3 + size))
        model = float64_model.Model(checkpoint)
        suite.expect(model.windows(0) == window, f"{name}: expects a layer with that, but got one with {model.windows(0)}")
        expected = float64_model.forward(model, tokens, None, "fp8_e4m3")[:, :size]
        artifact = suite.compiled(checkpoint, "--kv-type=fp8_e4m3")
        shown = ~np.eye(size, dtype=bool)  # where the token itself is, it hides its value
        # Of those that no token hides: with no window the last 16 tokens see the 48 before in whole runs.
        codes = {float(h) for h in (held[shown] if window else held[:48].ravel())}
        suite.expect(len(codes) == 253, f"{name}: expects 253 numbers, but got {len(codes)}")
        for level in suite.levels:
            got, _ = suite.logits(artifact, tokens, "--isa", level)
            wrong = shown & ~(np.abs(got[:, :size] - expected) <= 1e-5 * np.abs(expected))
            suite.expect(not wrong.any(), f"{name} at {level}: expects {expected[wrong][:3]}, but got {got[:, :size][wrong][:3]} for {values.T[wrong][:3]}")
    print(f"every code of fp8_e4m3 as values, {len(given)} of {values.size} numbers from vectors")


def refused(suite, what, program, *arguments):
    """`what` standard error has to say: a text, or several."""
    what = (what,) if isinstance(what, str) else what
    done = subprocess.run([os.path.join(suite.bin, program), *map(str, arguments)], capture_output=True, text=True)
    suite.expect(done.returncode == 1 and all(text in done.stderr for text in what), f"{' '.join(map(str, arguments))}: expects {', '.join(what)}, but got status {done.returncode}: {done.stderr[:300]}")


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


def however_it_runs(suite, checkpoint, half, kv):
    """A window, a block and a half of channels; prompts that share beginnings, answers that fork."""
    artifact, targets = suite.path(f"bytes-{kv}.stepdown"), f"--target={','.join(suite.levels)}"
    # 3 layers, of 2 heads with 48 codes, and for blocks the scales of 2, for a key and a value.
    size = 3 * 2 * 2 * (48 + (2 * 2 if kv == "q8_0" else 0))
    explained = suite.call("stepdown-compile", checkpoint, f"--kv-type={kv}", targets, "--jobs", suite.jobs, "--explain", "-o", artifact)
    suite.expect(f"2 heads x (48 + 48) {kv}" in explained and f" {size}\n" in explained, f"explain: expects {size} bytes of {kv} a token")
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
        saved = suite.path(f"saved-{kv}.session")
        first = suite.generated(artifact, prompts[0], 5, "--isa", level, "--save-session", saved)["tokens"]
        said = json.loads(suite.call("stepdown-run", "generate", artifact, "--load-session", saved, "-n", 7, "--temperature", 0,
                                     "--ignore-eos", "--json", "--isa", level, "--kv-block", 16))
        suite.expect(first + said["tokens"] == whole["tokens"], f"cache at {level}: expects {whole['tokens']} of a saved sequence, but got {first} and {said['tokens']}")
        if level == suite.levels[-1]:
            refused(suite, ("E1513", f"{kv}, window 32"), "stepdown-run", "generate", half, "--load-session", saved, "-n", 1)
            if kv == "q8_0":
                over_a_socket(suite, artifact, level, prompts[0], whole["tokens"])
    through_the_server(suite, kv, artifact)
    refused(suite, "E1517", "stepdown-run", "serve", half, "--port", 0, "--kv-block", 16, "--prefix-spill", suite.path(kv + ".spill"))
    told = json.loads(suite.call("stepdown-run", "inspect", artifact, "--json"))
    bytes_told, options = told["memory_plan"]["kv_bytes_per_position"], told["provenance"]["options"]
    suite.expect(bytes_told == size, f"inspect: expects {size} bytes a position, but got {bytes_told}")
    suite.expect(options["kv_type"] == kv, f"inspect: expects {kv} in the provenance, but got {options['kv_type']}")
    # Devices read nothing of 8 bits, be it a checkpoint or its IR.
    device = "--target=cpu,emulated:sm_90a"
    refused(suite, ("E1515", f"but got {kv}"), "stepdown-compile", checkpoint, f"--kv-type={kv}", device, "-o", suite.path("device"))
    printed = suite.path("fusion.mlir")
    with open(printed, "w", encoding="utf-8") as file:
        file.write(suite.call("stepdown-compile", checkpoint, f"--kv-type={kv}", "--compile-to=fusion"))
    refused(suite, ("E1515", f"but got {kv}"), "stepdown-compile", printed, "--compile-from=fusion", f"--weights={checkpoint}", device, "-o", suite.path("device"))
    module = suite.path("plain.mlir")
    with open(module, "w", encoding="utf-8") as file:
        element = {"q8_0": "!transformer.block<q8_0>", "fp8_e4m3": "f8E4M3FN"}[kv]
        file.write(f"func.func @f(%c: !transformer.cache<heads = 1, key = 32, value = 32, element = {element}>) {{ return }}\n")
    refused(suite, "E0834", "stepdown-compile", module, "-o", suite.path("plain"))
    refused(suite, "E0832", "stepdown-compile", checkpoint, f"--kv-type={kv}", "--exact", "-o", suite.path("exact"))


def restored_as_the_other(suite, kinds):
    """Both have codes of 8 bits, and read nothing of each other."""
    for kv, other in (kinds, kinds[::-1]):
        refused(suite, ("E1513", f"{kv}, window 32", f"{other}, window 32"), "stepdown-run", "generate", suite.path(f"bytes-{kv}.stepdown"),
                "--load-session", suite.path(f"saved-{other}.session"), "-n", 1)


def run(suite, tokens):
    print("rms of all logits from float64's, of what float64 with the same blocks is from them, and of these two apart")
    for name, (kinds, options) in MODELS.items():
        suite.run(name, lambda: near_float64(suite, name, kinds, options, tokens))
    suite.run("codes", lambda: every_code(suite))
    checkpoint = suite.made("bytes.gguf", "--family gemma3 --type Q5_0 --layers 3 --pattern 1,1,0 --window 32 --head-dim 48")
    for name, how in ("f32", ("--kv-type=f32", f"--target={suite.levels[-1]}")), ("f16", ()):
        suite.run(name, lambda: through_the_server(suite, name, suite.compiled(checkpoint, *how)))
    for kv in ("q8_0", "fp8_e4m3"):
        suite.run(kv, lambda: however_it_runs(suite, checkpoint, suite.compiled(checkpoint), kv))
    suite.run("restored", lambda: restored_as_the_other(suite, ("q8_0", "fp8_e4m3")))
