#!/usr/bin/env python3
"""Random clients of a server for a while: good ones, some that leave, and some that send what is no request.

    soak.py STEPDOWN_COMPILE STEPDOWN_RUN [--seconds N] [--clients N] [--seed N]

The model is made here, and its cache holds about a fifth of what the clients ask for at once, so that requests give up
blocks to others all the time. There are 40 different good requests, with beginnings in common; each answer is compared with
what the same request was answered alone before the others came. Bad ones must be refused with a number, whoever leaves
frees its blocks, and nothing may be in use at the end. Resident memory after the first half of the time and at the end is
printed; in runs of 120 seconds or more the end may not be above by more than 1 %. 8 seconds by default.
Ends with 77 where the Python packages numpy and gguf are missing.
"""
import argparse, http.client, json, os, random, signal, socket, subprocess, sys, tempfile, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data"))
try:
    import make_model
except ImportError:
    print("skipped: needs the Python packages numpy and gguf")
    sys.exit(77)

PATH = "/v1/completions"
BAD = [(b"{", 400), (b"\xff\xfe", 400), (b"[" * 5000, 400), (b'{"prompt": 3}', 400), (b'{"prompt": "a", "priority": 5}', 400),
       (b'{"prompt": "a", "max_token": 5}', 400), (b'{"prompt": "a", "model": "b"}', 404), (b'{"prompt": "a", "n": 1000}', 400),
       (b'{"prompt": "' + b"a" * 30000 + b'"}', 413), (b'{"prompt": "a", "regex": "(a"}', 400)]


def good_requests():
    """The same for any seed."""
    chance = random.Random(1)
    beginnings = [[chance.randrange(5, 95) for _ in range(length)] for length in (0, 32, 77, 200)]
    return [{"prompt": chance.choice(beginnings) + [chance.randrange(5, 95) for _ in range(chance.randint(1, 60))],
             "max_tokens": chance.randint(1, 90), "temperature": chance.choice((0, 0.8)), "seed": i, "ignore_eos": True,
             "n": chance.choice((1, 1, 1, 3)), "priority": chance.randint(-4, 4)} for i in range(40)]


class Soak:
    def __init__(self, port, seed):
        self.port, self.seed = port, seed
        self.lock, self.failures, self.counts = threading.Lock(), [], {}
        self.requests, self.answers = good_requests(), []
        self.end = 0

    def count(self, what, failure=None):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1
            if failure:
                self.failures.append(f"{what}: {failure[:300]}")

    def ask(self, body, path=PATH):
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        link.request("POST" if body else "GET", path, body, {"Content-Type": "application/json"})
        reply = link.getresponse()
        text = reply.read().decode()
        link.close()
        return reply.status, text

    def texts(self, number, stream):
        """What the choices of a good request are, or None where the server is busy."""
        fields = {**self.requests[number], "stream": stream}
        status, text = self.ask(json.dumps(fields))
        if status == 429:
            return None
        if status != 200:
            return f"{status} {text}"
        if not stream:
            return [choice["text"] for choice in json.loads(text)["choices"]]
        pieces = [""] * fields["n"]
        for line in text.splitlines():
            if line.startswith("data: {"):
                for choice in json.loads(line[6:]).get("choices", []):
                    pieces[choice["index"]] += choice["text"]
        return pieces if text.endswith("data: [DONE]\n\n") else text[-300:]

    def good(self, chance):
        number = chance.randrange(len(self.requests))
        got = self.texts(number, chance.random() < 0.5)
        if got is None:
            self.count("busy")
            time.sleep(0.05)
        else:
            self.count("answered", None if got == self.answers[number] else f"request {number}: {got} and not {self.answers[number]}")

    def leave(self, chance):
        """Goes away with a request half sent, sent, or half answered."""
        body = json.dumps({**chance.choice(self.requests), "stream": True, "max_tokens": 300}).encode()
        head = f"POST {PATH} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", self.port), timeout=300) as link:
            link.sendall((head + body)[: chance.choice((20, len(head) + 5, len(head) + len(body)))])
            if chance.random() < 0.7:
                link.settimeout(0.2 * chance.random() + 0.001)
                try:
                    link.recv(chance.choice((1, 3000)))
                except TimeoutError:
                    pass
        self.count("left")

    def bad(self, chance):
        body, wanted = chance.choice(BAD)
        status, text = self.ask(body)
        self.count("refused", None if status == wanted and '"code":"E' in text else f"{body[:60]}: {status} {text}")

    def client(self, number):
        chance = random.Random(self.seed * 1000 + number)
        while time.time() < self.end:
            try:
                chance.choice((self.good, self.good, self.good, self.leave, self.bad))(chance)
            except Exception as problem:  # a server that is gone, above all
                return self.count("problem", repr(problem))

    def figure(self, name):
        for line in self.ask(None, "/metrics")[1].splitlines():
            if line.startswith(name + "{") or line.startswith(name + " "):
                return float(line.rsplit(" ", 1)[1])
        return None


def resident(process):
    with open(f"/proc/{process}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def run(server, options):
    soak = Soak(int(server.stdout.readline().rsplit(":", 1)[1]), options.seed)
    soak.answers = [soak.texts(number, False) for number in range(len(soak.requests))]
    if not all(isinstance(each, list) for each in soak.answers):
        return [f"alone: {soak.answers}"]
    soak.end = time.time() + options.seconds
    threads = [threading.Thread(target=soak.client, args=(number,)) for number in range(options.clients)]
    [thread.start() for thread in threads]
    time.sleep(options.seconds / 2)
    half = resident(server.pid)
    [thread.join() for thread in threads]
    wait = time.time() + 60
    while time.time() < wait and (soak.figure("stepdown_kv_blocks_used") or soak.figure("stepdown_connections") > 1):
        time.sleep(0.05)
    for name, least, most in (("stepdown_kv_blocks_used", 0, 0), ("stepdown_connections", 1, 1), ("stepdown_answers_waiting", 0, 0),
                              ("stepdown_preemptions_total", 1, 1e18), ("stepdown_prefix_hits_total", 1, 1e18)):
        value = soak.figure(name)
        if value is None or not least <= value <= most:
            soak.failures.append(f"{name}: {value} at the end")
    for what in ("answered", "left", "refused"):
        if not soak.counts.get(what):
            soak.failures.append(f"nobody {what}")
    last = resident(server.pid)
    if options.seconds >= 120 and last > 1.01 * half:
        soak.failures.append(f"memory: {half} kB after half of the time, {last} kB at the end")
    print(f"soak: {options.seconds:g} s, {options.clients} clients: {soak.counts}, "
          f"{soak.figure('stepdown_preemptions_total'):.0f} preemptions, {soak.figure('stepdown_prefix_hits_total'):.0f} of "
          f"{soak.figure('stepdown_prefix_queries_total'):.0f} prompts began as others; {half} kB, {last} kB at the end")
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
        model, artifact = os.path.join(base, "made.gguf"), os.path.join(base, "tiny.stepdown")
        make_model.build(model, "--type", "Q8_0", "--context", "600")
        subprocess.run([options.compile, model, "-o", artifact], check=True, capture_output=True)
        server = subprocess.Popen([options.run, "serve", artifact, "--port", "0", "-t", "1", "--parallel", "12", "--queue", "20",
                                   "--kv-blocks", "40", "--kv-block", "16", "--chunk", "37", "--max-body", "20000", "--most-priority", "4"],
                                  stdout=subprocess.PIPE, text=True)
        try:
            failures = run(server, options)
        finally:
            server.send_signal(signal.SIGTERM)
            status = server.wait(60)
        if status:
            failures.append(f"the server ended with status {status}")
    print("\n".join(failures[:20]))
    sys.exit(1 if failures else 0)


main()
