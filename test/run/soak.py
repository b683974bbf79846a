#!/usr/bin/env python3
"""Random clients of a server for a while: good ones, some that leave, and some that send what is no request.

    soak.py STEPDOWN_COMPILE STEPDOWN_RUN [--seconds N] [--clients N] [--seed N]

The model is made here, and its cache holds about a fifth of what the clients ask for at once, so that requests give up
blocks to others all the time. There are 60 different good requests, with beginnings in common: completions, texts held to a
regular expression, a list or a schema, and calls of functions; each is asked whole, in pieces, or in pieces that are read
slowly, with guesses or without. Each answer is compared with what the same request was answered alone before the others
came. Bad ones must be refused with a number, whoever leaves frees its blocks, half a request is ended by the server or left,
some never read what they asked for, and nothing may be in use at the end.

Resident memory is read each second. What is held, and not only taken for a moment to read a request, is the least of a while:
in runs of 120 seconds or more that of the last tenth of the time may not be above that of the third tenth by more than 1 %; the
first fifth is for warming up. 8 seconds by default.
Ends with 77 where the Python packages numpy and gguf are missing.
"""
import argparse, json, os, random, signal, socket, struct, sys, tempfile, threading, time

import made_server  # beside this file

COMPLETIONS, CHATS = "/v1/completions", "/v1/chat/completions"
BAD = [(b"{", 400), (b"\xff\xfe", 400), (b"[" * 5000, 400), (b'{"prompt": 3}', 400), (b'{"prompt": "a", "priority": 5}', 400),
       (b'{"prompt": "a", "max_token": 5}', 400), (b'{"prompt": "a", "model": "b"}', 404), (b'{"prompt": "a", "n": 1000}', 400),
       (b'{"prompt": "' + b"a" * 30000 + b'"}', 413), (b'{"prompt": "a", "regex": "(a"}', 400),
       (b'{"prompt": "a", "json_schema": {"type": "array", "uniqueItems": true}}', 400), (b'{"prompt": "a", "grammar": "root ::= ["}', 400),
       (b'{"prompt": "a", "regex": "(((a{0,99}){0,99}){0,99}){0,99}"}', 400), (b'{"prompt": [5], "max_tokens": 1e99}', 400)]
NO_HTTP = [b"hello\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"GET /health HTTP/1.1\r\nX: " + b"a" * 20000 + b"\r\n\r\n",
           b"POST /v1/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", bytes(range(256))]


def good_requests():
    """(path, fields), the same for any seed."""
    chance = random.Random(1)
    beginnings = [[chance.randrange(5, 95) for _ in range(length)] for length in (0, 32, 77, 200)]
    out = [(COMPLETIONS, {"prompt": chance.choice(beginnings) + [chance.randrange(5, 95) for _ in range(chance.randint(1, 60))],
                          "max_tokens": chance.randint(1, 90), "temperature": chance.choice((0, 0.8)), "seed": i, "ignore_eos": True,
                          "n": chance.choice((1, 1, 1, 3)), "priority": chance.randint(-4, 4)}) for i in range(40)]
    forms = ({"regex": "[a-f]{5,17}x"}, {"choices": ["yes", "no", "not that I know"]},
             {"json_schema": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"enum": ["c", "d"]}},
                              "required": ["a", "b"], "additionalProperties": False}})
    for i in range(12):
        out.append((COMPLETIONS, {"prompt": "The river"[: 3 + i % 7], "max_tokens": 60, "seed": i, "n": 1 + i % 2, **forms[i % 3]}))
    for i in range(8):
        said = [{"role": "user", "content": "What is the sky?"[: 5 + i]}]
        out.append((CHATS, {"messages": said, "tools": made_server.TOOLS, "max_tokens": 150, "seed": i, "n": 1,
                            "tool_choice": ("required", "none", "auto")[i % 3]}))
    return out


def said(choices, events):
    """[(text, calls as names and arguments)] of choices, put together from the events that tell of them."""
    out = [["", []] for _ in range(choices)]
    for choice in events:
        told, calls = choice.get("message") or choice.get("delta") or choice, out[choice["index"]][1]
        out[choice["index"]][0] += told.get("text") or told.get("content") or ""
        for place, call in enumerate(told.get("tool_calls") or []):
            if call.get("index", place) == len(calls):
                calls.append([call["function"]["name"], ""])
            calls[call.get("index", place)][1] += call["function"]["arguments"]
    return out


def put_together(text, choices):
    """What the events of a stream say, or what is wrong with it."""
    if not text.endswith("data: [DONE]\n\n"):
        return text[-300:]
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    return said(choices, [choice for event in events for choice in event.get("choices", [])])


class Soak:
    def __init__(self, port, seed):
        self.port, self.seed = port, seed
        self.lock, self.failures, self.counts = threading.Lock(), [], {}
        self.requests, self.answers = good_requests(), []
        self.end, self.held = 0, 0.0

    def count(self, what, failure=None):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1
            if failure:
                self.failures.append(f"{what}: {failure[:300]}")

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=300)

    @staticmethod
    def bytes_of(path, fields):
        body = json.dumps(fields).encode()
        return f"POST {path} HTTP/1.1\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode(), body

    def read_slowly(self, path, fields, chance):
        """(status, text) of a stream, in pieces of a few bytes at first."""
        with socket.socket() as link:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            link.settimeout(300)
            link.connect(("127.0.0.1", self.port))
            link.sendall(b"".join(self.bytes_of(path, fields)))
            got, patience = b"", 0.5 * chance.random()
            while piece := link.recv(64 if patience > 0 else 65536):
                got += piece
                if patience > 0:
                    pause = 0.02 * chance.random()
                    time.sleep(pause)
                    patience -= pause
        head, _, chunks = got.partition(b"\r\n\r\n")
        text = b""
        while chunks:  # as HTTP cuts them
            size, _, rest = chunks.partition(b"\r\n")
            if b"chunked" not in head:
                text, chunks = chunks, b""
                break
            text, chunks = text + rest[: int(size, 16)], rest[int(size, 16) + 2:]
        return int(head.split()[1]), text.decode()

    def good(self, chance, how=None):
        number = chance.randrange(len(self.requests))
        how = how or chance.choice(("whole", "stream", "slowly"))
        path, fields = self.requests[number]
        fields = {**fields, "stream": how != "whole"}
        if chance.random() < 0.5:
            fields["speculate"] = chance.choice(("ngram", "ngram:2", "draft"))
        got = self.answer(path, fields, how, chance)
        if got is None:
            self.count("busy")
            time.sleep(0.05)
        else:
            wrong = None if got == self.answers[number] else f"request {number} {how} {fields.get('speculate')}: {got} and not {self.answers[number]}"
            self.count(how, wrong)

    def answer(self, path, fields, how, chance=None):
        """What the choices of a good request are, or None where the server is busy."""
        if how == "slowly":
            status, text = self.read_slowly(path, fields, chance)
        else:
            status, text = made_server.ask(self.port, json.dumps(fields), path)
        if status == 429:
            return None
        if status != 200:
            return f"{status} {text}"
        return put_together(text, fields["n"]) if fields["stream"] else said(fields["n"], json.loads(text)["choices"])

    def leave(self, chance):
        """Goes away with a request half sent, sent, or half answered; politely or not."""
        path, fields = chance.choice(self.requests)
        head, body = self.bytes_of(path, {**fields, "stream": True, "max_tokens": 300})
        with self.connect() as link:
            link.sendall((head + body)[: chance.choice((20, len(head) + 5, len(head) + len(body)))])
            if chance.random() < 0.7:
                link.settimeout(0.2 * chance.random() + 0.001)
                try:
                    link.recv(chance.choice((1, 3000)))
                except TimeoutError:
                    pass
            if chance.random() < 0.3:  # a reset in place of an end
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.count("left")

    def hold(self, chance):
        """Half a request and then nothing, or a large answer that is never read: for a while, or until the server ends it."""
        reads = chance.random() < 0.5
        head, body = self.bytes_of(COMPLETIONS, {"prompt": [7] * 9, "max_tokens": 500, "n": 3, "logprobs": 20, "ignore_eos": True,
                                                 "stream": True})
        longest = 75 if self.held == 75 and chance.random() < 0.2 else min(self.held, 3)
        with self.connect() as link:
            link.sendall(head[: chance.randint(0, len(head) - 1)] if reads else head + body)
            if reads:
                begin = time.time()
                link.settimeout(longest if longest == 75 else longest * chance.random() + 0.001)
                try:
                    got = link.recv(1000)
                    self.count("half a request ended", None if time.time() > begin + 55 else f"too early: {got}")
                except TimeoutError:
                    self.count("half a request left", self.still_there(link) if longest == 75 else None)
            else:
                time.sleep(longest * chance.random())
                self.count("unread")

    @staticmethod
    def still_there(link):
        """A machine that stood still for a while ends all waits at once: the server has a little longer."""
        try:
            link.settimeout(15)
            link.recv(1000)
        except TimeoutError:
            return "the server holds it after 90 s"

    def bad(self, chance):
        if chance.random() < 0.2:
            with self.connect() as link:
                sent = chance.choice(NO_HTTP)
                link.sendall(sent)
                link.settimeout(60)
                got = link.recv(65536)
            return self.count("no HTTP", None if b" 4" in got.split(b"\r\n")[0] else f"{sent[:60]}: {got[:200]}")
        body, wanted = chance.choice(BAD)
        status, text = made_server.ask(self.port, body)
        self.count("refused", None if status == wanted and '"code":"E' in text else f"{body[:60]}: {status} {text}")

    def client(self, number):
        chance = random.Random(self.seed * 1000 + number)
        while time.time() < self.end:
            try:
                chance.choice((self.good, self.good, self.good, self.good, self.leave, self.bad, self.hold))(chance)
            except Exception as problem:  # a server that is gone, above all
                return self.count("problem", repr(problem))

    def figure(self, name):
        return made_server.figure(self.port, name)


def resident(process):
    with open(f"/proc/{process}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def run(server, port, options):
    soak = Soak(port, options.seed)
    soak.answers = [soak.answer(path, {**fields, "stream": False, "speculate": "off"}, "whole") for path, fields in soak.requests]
    if not all(isinstance(each, list) for each in soak.answers):
        return [f"alone: {soak.answers}"]
    before, begin = resident(server.pid), time.time()
    soak.end, soak.held = begin + options.seconds, 75 if options.seconds >= 120 else 0.5
    threads = [threading.Thread(target=soak.client, args=(number,)) for number in range(options.clients)]
    [thread.start() for thread in threads]
    tenths = [[] for _ in range(10)]  # kB
    while (now := time.time()) < soak.end:
        tenths[min(9, int(10 * (now - begin) / options.seconds))].append(resident(server.pid))
        time.sleep(min(1, options.seconds / 40))
    [thread.join() for thread in threads]
    wait = time.time() + 60
    for name, least, most in (("stepdown_kv_blocks_used", 0, 0), ("stepdown_connections", 1, 1), ("stepdown_answers_waiting", 0, 0),
                              ("stepdown_preemptions_total", 1, 1e18), ("stepdown_prefix_hits_total", 1, 1e18),
                              ("stepdown_accepted_tokens_total", 1, 1e18)):
        # The connection that asked the time before may be there for a moment still.
        while (value := soak.figure(name)) is None or not least <= value <= most:
            if time.time() > wait:
                soak.failures.append(f"{name}: {value} at the end")
                break
            time.sleep(0.05)
    for what in ("whole", "stream", "slowly", "left", "refused", "no HTTP", "unread", "half a request left"):
        if not soak.counts.get(what):
            soak.failures.append(f"nobody: {what}")
    # What reading a request took for a moment is the system's again, that of a regular expression that explodes above all.
    while (last := resident(server.pid)) > before + 32768 and time.time() < wait:
        time.sleep(0.05)
    if last > before + 32768:
        soak.failures.append(f"memory: {before} kB before, {last} kB when nothing is left to do")
    curve = [min(tenth, default=0) for tenth in tenths]
    warm = next((least for least in curve[2:] if least), 0)  # a tenth has none where the machine stood still
    if options.seconds >= 120 and curve[9] > 1.01 * warm:
        soak.failures.append(f"memory: {warm} kB in the third tenth of the time, {curve[9]} kB in the last")
    print(f"soak: {options.seconds:g} s, {options.clients} clients: {soak.counts}, "
          f"{soak.figure('stepdown_preemptions_total'):.0f} preemptions, {soak.figure('stepdown_prefix_hits_total'):.0f} of "
          f"{soak.figure('stepdown_prefix_queries_total'):.0f} prompts began as others, "
          f"{soak.figure('stepdown_accepted_tokens_total'):.0f} of {soak.figure('stepdown_guessed_tokens_total'):.0f} guesses right (no room for those of "
          f"{soak.figure('stepdown_guessing_failed_total'):.0f} answers), "
          f"{soak.figure('stepdown_drawn_tokens_total'):.0f} tokens drawn; kB resident: {before} before, least of each tenth of the time {curve}, {last} behind")
    return soak.failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("compile")
    parser.add_argument("run")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as base:
        artifact = made_server.build(options.compile, base, "--context", "600")
        server, port = made_server.start(options.run, artifact, "--parallel", "12", "--queue", "20", "--kv-blocks", "40",
                                         "--kv-block", "16", "--chunk", "37", "--max-body", "20000", "--most-priority", "4",
                                         f"--speculate=draft:{artifact}")
        try:
            failures = run(server, port, options)
        finally:
            server.send_signal(signal.SIGTERM)
            status = server.wait(60)
        if status:
            failures.append(f"the server ended with status {status}")
    print("\n".join(failures[:20]))
    sys.exit(1 if failures else 0)


main()
