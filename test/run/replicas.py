#!/usr/bin/env python3
"""Three servers behind one address: requests that begin alike go to the same one, and nobody is harmed where one dies.

    replicas.py STEPDOWN_COMPILE STEPDOWN_RUN [--figures]

The proxy is HAProxy with what `stepdown-run proxy-config` prints. The model is made here. Requests of 12 beginnings must find
what was computed for those before; while streams are read and other requests are sent, one server is killed: what it had
not begun to answer is answered by another with the bytes of `generate`, what it had begun ends without its last event, all
else is unharmed, and beginnings of the others stay where they are. --figures sends more, from 24 clients at once, and prints
how many prompts found their beginning with several settings of the proxy.
Ends with 77 where HAProxy (Debian's package haproxy), or the Python packages numpy and gguf are missing.
"""
import http.client, json, os, random, shutil, signal, socket, subprocess, sys, tempfile, threading, time

import made_server  # beside this file

PROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
COMPLETIONS, CHATS = "/v1/completions", "/v1/chat/completions"
failures = []


def expect(what, good, got=""):
    if not good:
        failures.append(f"{what}: {str(got)[:400]}")


def refusals(run):
    """Addresses that are none, or that are there twice; what could be more than an address in a configuration."""
    one = "127.0.0.1:8081"
    for words in ([], [one, one], [one, "127.0.0.1"], [one, ":8082"], [one, "127.0.0.1:0"], [one, "h:65536"], [one, "h:8x"],
                  [one, "a b:80"], [one, "h\n  mode tcp:80"], [one, "[::g]:80"], [one, "[]:80"], [one, "::1:80"],
                  [one, "h" * 256 + ":80"], [one, "--listen", one], [one, "--listen", "8080"], [one, "--prefix-bytes=0"],
                  [one, "--spread=100"], [one, "--parallel=0"], [one, "--timeout=0"]):
        done = subprocess.run([run, "proxy-config", *words], capture_output=True, text=True)
        expect(f"proxy-config {words}", done.returncode == 2 and "E0905" in done.stderr and not done.stdout, done)
    done = subprocess.run([run, "proxy-config", one, "[::1]:8082", "gpu-3.local:65535"], capture_output=True, text=True)
    expect("proxy-config", done.returncode == 0 and "<" not in done.stdout, done)


def free_ports(count):
    """Ports that were free a moment ago, all different."""
    taken = [socket.socket() for _ in range(count)]
    [each.bind(("127.0.0.1", 0)) for each in taken]
    ports = [each.getsockname()[1] for each in taken]
    [each.close() for each in taken]
    return ports


class Replicas:
    def __init__(self, base, run, artifact):
        self.base, self.run, self.artifact, self.ports, self.process = base, run, artifact, [], []
        for _ in range(3):
            process, port = self.start("0")
            self.process.append(process), self.ports.append(port)
        self.proxy, self.port = None, 0

    def start(self, port):
        return made_server.start(self.run, self.artifact, "--port", port, "--kv-blocks", "2000", "--kv-block", "16", "--parallel", "8",
                                 stderr=subprocess.DEVNULL)

    def front(self, *words, change=lambda text: text):
        """Starts the proxy, in place of one that runs."""
        self.stop_proxy()
        self.port, = free_ports(1)
        command = [self.run, "proxy-config", *(f"127.0.0.1:{port}" for port in self.ports), "--listen", f"127.0.0.1:{self.port}", *words]
        path = os.path.join(self.base, "replicas.cfg")
        with open(path, "w") as file:
            file.write(change(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        checked = subprocess.run([PROXY, "-c", "-f", path], capture_output=True, text=True)
        if checked.returncode or "WARNING" in checked.stderr:
            sys.exit(f"replicas: expects a configuration that HAProxy takes, but got {checked.stderr}")
        self.proxy = subprocess.Popen([PROXY, "-db", "-f", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait(lambda: self.send(None, path="/health")[1].status == 200)

    def stop_proxy(self):
        if self.proxy:
            self.proxy.kill()
            self.proxy.wait()

    @staticmethod
    def wait(what, seconds=60):
        end = time.time() + seconds
        while time.time() < end:
            try:
                if what():
                    return True
            except OSError:
                pass
            time.sleep(0.05)
        return False

    def send(self, fields, path=COMPLETIONS, port=None):
        """(connection, reply); the replica is in the reply's header x-stepdown-replica."""
        link = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=300)
        link.request("POST" if fields else "GET", path, json.dumps(fields) if fields else None, {"Content-Type": "application/json"})
        return link, link.getresponse()

    def ask(self, fields, path=COMPLETIONS):
        """(status, replica, object)"""
        link, reply = self.send(fields, path)
        text = reply.read().decode()
        link.close()
        return reply.status, reply.headers.get("x-stepdown-replica"), json.loads(text)

    def sums(self, *names):
        return [sum(made_server.figure(port, name) for port in self.ports) for name in names]


def beginning(number):
    """Ids of 11 blocks, and words that are as long: no two begin alike."""
    chance = random.Random(number)
    return [chance.randrange(100, 380) for _ in range(176)], f"{number} " + " ".join(chance.choices(("a", "b", "sky", "sea", "I"), k=140))


def requests_of(number, turn):
    """A completion and a chat, (path, fields), that begin as others of `number` do."""
    ids, words = beginning(number)
    how = {"max_tokens": 9, "seed": 7, "ignore_eos": True}
    return ((COMPLETIONS, {**how, "prompt": ids + [5 + turn, 7]}),
            (CHATS, {**how, "messages": [{"role": "system", "content": words}, {"role": "user", "content": "abcdefgh"[turn]}]}))


def text_of(told):
    return [choice.get("text") or choice["message"]["content"] for choice in told.get("choices", [])]


def stay(replicas):
    """Where each beginning is: {number: replica}."""
    before, home = replicas.sums("stepdown_prefix_hits_total", "stepdown_prefix_queries_total"), {}
    for turn in range(3):
        for number in range(12):
            for kind, (path, fields) in enumerate(requests_of(number, turn)):
                status, replica, told = replicas.ask(fields, path)
                expect("an answer", status == 200, told)
                expect("the same replica", home.setdefault((number, kind), replica) == replica, (number, kind, home, replica))
                cached = told["usage"]["prompt_tokens_details"]["cached_tokens"]
                # Words of chats begin with some that all have in common; what a beginning has of its own are 11 blocks and more.
                expect("what is there", (cached >= 160) == (turn > 0), (number, kind, turn, told["usage"]))
    hits, queries = (now - was for now, was in zip(replicas.sums("stepdown_prefix_hits_total", "stepdown_prefix_queries_total"), before))
    expect("queries", queries == 72 and hits >= 48, (hits, queries))
    expect("more than one replica", len(set(home.values())) == 3, home)
    named = [replicas.ask({"prompt": [7, 5, i], "max_tokens": 1, "prompt_cache_key": "mine"})[1] for i in range(4)]
    expect("prompt_cache_key", len(set(named)) == 1, named)
    return home


def unlike(replicas):
    """What is no prompt, and what is refused."""
    seen = {replicas.send(None, path="/v1/models")[1].headers["x-stepdown-replica"] for _ in range(6)}
    expect("paths without a prompt go around", len(seen) == 3, seen)
    for fields, path, status, code in ((None, "/metrics", 404, "E1202"), ({"prompt": "a", "n": 1000}, COMPLETIONS, 400, "E0605"),
                                       ({"prompt": "a", "max_token": 1}, COMPLETIONS, 400, "E0611")):
        got, _, told = replicas.ask(fields, path)
        expect(f"{path} {fields}", got == status and told["error"]["code"] == code, (got, told))
    with socket.create_connection(("127.0.0.1", replicas.port), timeout=60) as link:
        link.sendall(b"hello\r\n\r\n")
        expect("no HTTP", link.recv(65536).startswith(b"HTTP/1.1 400 "))  # HAProxy's own page
    # A client that leaves cancels its request behind the proxy, too.
    before, = replicas.sums("stepdown_cancelled_total")
    for i in range(50):
        link = http.client.HTTPConnection("127.0.0.1", replicas.port, timeout=60)
        link.request("POST", COMPLETIONS, json.dumps({"prompt": [5, i], "max_tokens": 500, "n": 4, "ignore_eos": True}),
                     {"Content-Type": "application/json"})
        replicas.wait(lambda: replicas.sums("stepdown_answers_running")[0] > 0, 1)
        link.close()
        if replicas.wait(lambda: replicas.sums("stepdown_cancelled_total")[0] > before, 1):
            break
    else:
        failures.append("nobody who left was cancelled")


def killed(replicas, home):
    """One replica dies while streams of all are read and other requests come."""
    streams, expected = [], {}

    def begin(number, **more):
        path, fields = requests_of(number, 7)[0]
        fields = {**fields, "max_tokens": 400, **more}
        if number not in expected:
            expected[number] = text_of(replicas.ask(fields, path)[2])
        link, reply = replicas.send({**fields, "stream": True}, path)
        streams.append((number, link, reply, reply.headers["x-stepdown-replica"], reply.readline()))

    for number in range(11):
        begin(number)
    wanted = {(number, kind): text_of(replicas.ask(*requests_of(number, 6)[kind][::-1])[2]) for number in range(12) for kind in (0, 1)}
    outcomes, enough = [], threading.Event()

    def client(number):
        for turn in range(4):
            for kind, (path, fields) in enumerate(requests_of(number, 6)):
                status, replica, told = replicas.ask(fields, path)
                outcomes.append((replica, status, text_of(told) == wanted[number, kind], told))
            enough.set()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(12)]
    [thread.start() for thread in threads]
    enough.wait(60)
    expected[11] = None  # more answers than run at a time: it is at its beginning when its replica dies
    begin(11, n=16)
    victim = streams[-1][3]
    dead = replicas.process[int(victim[1:]) - 1]
    dead.kill(), dead.wait()
    cut = 0
    for number, link, reply, replica, first in streams:
        try:
            text = (first + reply.read()).decode()
        except (http.client.IncompleteRead, ConnectionError) as problem:
            text = (first + getattr(problem, "partial", b"")).decode()
        link.close()
        done = text.endswith("data: [DONE]\n\n")
        if replica == victim and not done:  # it may have been told all before
            cut += 1
        if replica == victim and not done or number == 11:
            continue
        pieces = [""] * len(expected[number])
        for event in (json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")):
            for choice in event["choices"]:
                pieces[choice["index"]] += choice["text"]
        expect(f"stream {number} on {replica} while {victim} dies", done and pieces == expected[number], text[-300:])
    [thread.join() for thread in threads]
    # What had not begun is computed by another. One whose head was on its way when the replica died is told so (E1336).
    lost = [each for each in outcomes if each[1] != 200]
    expect("requests while a replica dies", len(outcomes) == 96 and all(each[2] for each in outcomes if each[1] == 200), outcomes[:3])
    expect("lost requests", all(each[0] == victim and each[3]["error"]["code"] == "E1336" for each in lost), lost[:3])
    for (number, kind), replica in home.items():
        path, fields = requests_of(number, 5)[kind]
        status, now, told = replicas.ask(fields, path)
        expect("after a death", status == 200 and now != victim and (replica == victim or now == replica), (number, replica, now, told))
    replicas.process[int(victim[1:]) - 1], _ = replicas.start(str(replicas.ports[int(victim[1:]) - 1]))
    number, kind = next(key for key, replica in home.items() if replica == victim)
    back = replicas.wait(lambda: replicas.ask(*requests_of(number, 4)[kind][::-1])[1] == victim)
    expect("a replica that is back gets its beginnings again", back)
    return cut, sum(replica == victim for *_, replica, _ in streams), len(lost)


def figures(replicas):
    def client(number):
        chance = random.Random(number)
        for turn in range(20):
            ids, _ = beginning(chance.randrange(36))
            replicas.ask({"prompt": ids + [5 + number, 5 + turn], "max_tokens": 20, "ignore_eos": True})

    for what, words, change in (("by turns", [], lambda text: text.replace("balance hash var(txn.prefix)", "balance roundrobin")
                                 .replace("  hash-balance-factor 150\n", "")),
                                *((f"--spread {percent}", ["--parallel", "8", "--spread", str(percent)], lambda text: text)
                                  for percent in (125, 150, 200, 100000))):
        for i in range(3):
            replicas.process[i].terminate(), replicas.process[i].wait()
            replicas.process[i], _ = replicas.start(str(replicas.ports[i]))
        replicas.front(*words, change=change)
        threads = [threading.Thread(target=client, args=(number,)) for number in range(24)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        hits, saved, prompts = replicas.sums("stepdown_prefix_hits_total", "stepdown_prefix_saved_tokens_total",
                                             "stepdown_prompt_tokens_total")
        each = [made_server.figure(port, "stepdown_prefix_queries_total") for port in replicas.ports]
        print(f"{what}: {hits:.0f} of 480 prompts found their beginning, {100 * saved / prompts:.1f} % of the tokens; "
              f"requests of each replica: {each}")


def main():
    refusals(sys.argv[2])
    if not PROXY and not failures:
        print("skipped: needs HAProxy")
        sys.exit(77)
    if not PROXY:
        print("\n".join(failures))
        sys.exit(1)
    with tempfile.TemporaryDirectory() as base:
        artifact = made_server.build(sys.argv[1], base, "--context", "600")
        replicas = Replicas(base, sys.argv[2], artifact)
        try:
            if "--figures" in sys.argv[3:]:
                return figures(replicas)
            replicas.front("--parallel", "8")
            home = stay(replicas)
            unlike(replicas)
            cut, there, lost = killed(replicas, home)
            ends = [process.send_signal(signal.SIGTERM) or process.wait(60) for process in replicas.process]
            expect("ends", ends == [0, 0, 0], ends)
            status, _, told = replicas.ask({"prompt": "a"})
            expect("no replica", status == 503 and told["error"]["code"] == "E1336", (status, told))
        finally:
            replicas.stop_proxy()
            [process.kill() for process in replicas.process]
            [process.wait() for process in replicas.process]
    print("\n".join(failures[:20]) or f"replicas: 12 beginnings on 3 replicas stay; of 12 streams, {there} of one that was killed, {cut} "
          f"were cut; of 96 requests beside, {lost} were refused, 0 were answered otherwise")
    sys.exit(1 if failures else 0)


main()
