#!/usr/bin/env python3
"""Three servers behind one address: requests that begin alike go to the same one, and nobody is harmed where one dies.

    replicas.py STEPDOWN_COMPILE STEPDOWN_RUN [--figures]

The proxy is HAProxy with what `stepdown-run proxy-config` prints. Before servers made here, that hold what they are asked: the
turns of conversations stay together, however short or long, no server gets more than its share, what one that stands still holds
is sent to another, and a request that ends servers ends no more than two. Before three of a model made here: requests of 12 beginnings must
find what was computed for those before; while streams are read and other requests are sent, one server is killed: what it had
not begun to answer is answered by another with the bytes of `generate`, what it had begun ends without its last event, all
else is unharmed, and beginnings of the others stay where they are. --figures sends more, from 24 clients at once, and prints
how many prompts found their beginning with several settings of the proxy.
Ends with 77 where HAProxy (Debian's package haproxy), or the Python packages numpy and gguf are missing.
"""
import http.client, http.server, json, os, random, shutil, signal, socket, subprocess, sys, tempfile, threading, time

import made_server  # beside this file

PROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
COMPLETIONS, CHATS = "/v1/completions", "/v1/chat/completions"
SIZES = ["--kv-blocks", "2000", "--kv-block", "16", "--parallel", "8"]
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
        return made_server.start(self.run, self.artifact, "--port", port, *SIZES, stderr=subprocess.DEVNULL)

    def again(self, which):
        """Whether a replica starts anew behind its port, which another may have taken for a while."""
        for _ in range(20):
            process = subprocess.Popen([self.run, "serve", self.artifact, "--port", str(self.ports[which]), "-t", "1", *SIZES],
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            if process.stdout.readline().startswith("listening on "):
                self.process[which] = process
                return True
            process.wait()
            time.sleep(1)
        print("replicas: a port stays taken: that a replica comes back is not tested")
        return False

    def front(self, *words, change=lambda text: text):
        """Starts the proxy, in place of one that runs."""
        for _ in range(5):  # another may take a port that was free
            if self.fronts(words, change):
                return
        sys.exit("replicas: expects a proxy that answers, but five did not")

    def fronts(self, words, change):
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

        def answers():
            reply = self.send(None, path="/health")[1]
            return reply.status == 200 and reply.headers["x-stepdown-replica"] and self.proxy.poll() is None

        return self.wait(lambda: self.proxy.poll() is not None or answers()) and self.proxy.poll() is None

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

    def send(self, fields, path=COMPLETIONS, port=None, headers=None):
        """(connection, reply); the replica is in the reply's header x-stepdown-replica."""
        link = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=300)
        link.request("POST" if fields else "GET", path, json.dumps(fields) if fields else None,
                     {"Content-Type": "application/json", **(headers or {})})
        return link, link.getresponse()

    def ask(self, fields, path=COMPLETIONS, headers=None):
        """(status, replica, object)"""
        link, reply = self.send(fields, path, headers=headers)
        text = reply.read().decode()
        link.close()
        return reply.status, reply.headers.get("x-stepdown-replica"), json.loads(text)

    def sums(self, *names):
        return [sum(made_server.figure(port, name) for port in self.ports) for name in names]


class Held(http.server.BaseHTTPRequestHandler):
    """What asks for "hold" gets no answer until it may, what asks for "end" none at all; else {}. One that is frozen says nothing."""

    def do_GET(self):
        if self.server.frozen:
            self.server.freed.wait(300)
        self.answer()

    def do_POST(self):
        how = json.loads(self.rfile.read(int(self.headers["Content-Length"]))).get("how")
        self.server.asked.append(how)
        if how == "end":
            self.close_connection = True
            return
        if how == "hold":
            self.server.freed.wait(300)
        self.answer()

    def answer(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


class Dummies(Replicas):
    """Three servers of this process."""

    def __init__(self, base, run):
        self.base, self.run, self.proxy, self.port, self.process = base, run, None, 0, []
        http.server.ThreadingHTTPServer.request_queue_size = 64
        self.server = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), Held) for _ in range(3)]
        self.ports = [each.server_address[1] for each in self.server]
        for each in self.server:
            each.handle_error = lambda *_: None  # whoever asked has left
            threading.Thread(target=each.serve_forever, daemon=True).start()
        self.anew()

    def anew(self):
        for each in self.server:
            each.asked, each.frozen, each.freed = [], False, threading.Event()

    def held(self):
        return [len(each.asked) for each in self.server]

    def hold(self, count, replies, **fields):
        """Sends requests one after the other, each when the one before has come; threads add the replies of all."""
        for _ in range(count):
            before = sum(self.held())
            thread = threading.Thread(target=lambda: replies.append(self.ask({"how": "hold", **fields})), daemon=True)
            thread.start()
            expect("a request that is held", self.wait(lambda: sum(self.held()) == before + 1), self.held())
            yield thread


def conversations(dummies):
    """Where requests go."""
    dummies.front()
    long, deep = "sky " * 20000, {}
    for _ in range(30):
        deep = {"a": deep}

    def one(what, *all_fields, path=CHATS, headers=None):
        places = {dummies.ask(fields, path, headers)[1] for fields in all_fields}
        expect(f"{what} at one place", len(places) == 1 and places < {"r1", "r2", "r3"}, places)
        return min(places)

    first = {"type": "object", "properties": {"messages": {"type": "array"}, "prompt": {"type": "string"}}}
    seen = {what: set() for what in ("chat", "system", "parts", "text", "ids", "key", "header", "deep", "long")}
    for i in range(17):
        said = [{"role": "user", "content": f'"}}] {i}'}]
        turns = said + [{"role": "assistant", "content": f"{i}"}, {"role": "user", "content": "And then?"}]
        ends = turns + [{"role": "assistant", "content": long}, {"role": "user", "content": "Well."}]
        tools = [{"type": "function", "function": {"name": "look", "parameters": first}}]
        seen["chat"].add(one("a chat", {"messages": said, "seed": i}, {"max_tokens": 2, "messages": turns}, {"messages": ends, "seed": 2},
                             {"tools": tools, "messages": turns + said}))
        rules = {"role": "system", "content": "Be brief."}
        seen["system"].add(one("with a system prompt", {"messages": [rules] + said}, {"seed": 1, "messages": [rules] + ends}))
        parts = [{"role": "user", "content": [{"type": "text", "text": f"part {i}"}]}]
        seen["parts"].add(one("a chat in parts", {"messages": parts}, {"seed": 1, "messages": parts + turns}))
        seen["deep"].add(one("deep", {"json_schema": deep, "messages": parts}, {"json_schema": {"prompt": deep}, "messages": parts + turns}))
        seen["text"].add(one("a text", {"prompt": f"The sky {i}", "seed": 1}, {"max_tokens": 3, "prompt": f"The sky {i}"}, path=COMPLETIONS))
        seen["ids"].add(one("ids", {"prompt": [i, 5], "seed": 1}, {"max_tokens": 3, "prompt": [i, 5]}, path=COMPLETIONS))
        seen["key"].add(one("a key", {"messages": turns, "prompt_cache_key": f"k{i}"}, {"prompt_cache_key": f"k{i}", "messages": [rules]}))
        seen["header"].add(one("a header", {"prompt": long}, {"prompt": "a", "prompt_cache_key": "b"}, {"messages": turns},
                               headers={"X-Prompt-Cache-Key": f"k{i}"}))
        if i < 5:
            said = [{"role": "user", "content": f"{i} " + long}]
            seen["long"].add(one("a long message", {"messages": said}, {"messages": said + turns}))
    for what, places in seen.items():
        expect(f"{what}: more than one place", len(places) == 3 or what == "long" and len(places) > 1, places)
    # All that have a system prompt of 320 bytes in common are together.
    common = {"role": "system", "content": "Be brief. " * 32}
    one("a long system prompt", *({"messages": [common, {"role": "user", "content": f"{i}"}]} for i in range(9)))


def spread(dummies):
    """(percent, open requests of each) for 29 that begin alike."""
    out = []
    for percent in (101, 150, 100000):
        dummies.anew()
        dummies.front("--parallel", "11", "--spread", str(percent))
        replies, most = [], -(-18 * percent // 300)
        threads = list(dummies.hold(29, replies, prompt="a"))
        counts = sorted(dummies.held(), reverse=True)
        # The first 11 are not spread; of the other 18 none has more than its share.
        expect(f"--spread {percent}", counts[0] == 11 + min(18, most) and max(counts[1:]) <= most and sum(counts) == 29, counts)
        out.append((percent, counts))
        [each.freed.set() for each in dummies.server]
        [thread.join(60) for thread in threads]
        expect("answers", len(replies) == 29 and all(status == 200 for status, *_ in replies), replies[:2])
    return out


def frozen(dummies):
    """What one holds that says nothing any more is sent to another, from each backend; what ends servers ends two."""
    dummies.anew()
    dummies.front("--parallel", "1")
    expect("what ends a server", dummies.ask({"how": "end", "prompt": "a"})[0] == 502 and sum(dummies.held()) == 2, dummies.held())
    dummies.anew()
    replies = []
    threads = list(dummies.hold(2, replies, prompt="a"))  # one home, one bounded, of the same server
    threads += dummies.hold(3, replies)  # without a prompt: each server gets one
    victim = max(range(3), key=lambda i: dummies.held()[i])
    there = dummies.held()[victim]
    dummies.server[victim].frozen = True
    # It is known to be down after three checks, long before `timeout server`.
    moved = dummies.wait(lambda: sum(dummies.held()) == 5 + there, 120)
    expect("what one that is frozen held is sent to another", moved and there == 3, (dummies.held(), there, replies))
    [each.freed.set() for each in dummies.server]
    [thread.join(60) for thread in threads]
    expect("all", len(replies) == 5 and all(status == 200 and replica != f"r{victim + 1}" for status, replica, _ in replies), replies)
    return there


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


def as_generated(replicas, number):
    """What `generate` says after the same ids."""
    ids, told = beginning(number)[0] + [5, 7], {"max_tokens": 9, "temperature": 0, "ignore_eos": True}
    command = [replicas.run, "generate", replicas.artifact, "--tokens", ",".join(map(str, ids)), "-n", "9", "--temperature", "0",
               "--ignore-eos", "-t", "1", "--json"]
    text = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["text"]
    expect("the text of generate", text_of(replicas.ask({"prompt": ids, **told})[2]) == [text] and text, text)


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
    begin(11, n=64)
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
    expect("a stream that was cut", cut >= 1, (cut, victim))
    # What had not begun is computed by another. One whose head was on its way when the replica died is told so (E1336): of
    # 12 clients, each has one request at a time.
    lost = [each for each in outcomes if each[1] != 200]
    expect("requests while a replica dies", len(outcomes) == 96 and all(each[2] for each in outcomes if each[1] == 200), outcomes[:3])
    expect("lost requests", len(lost) <= 12 and all(each[0] == victim and each[3]["error"]["code"] == "E1336" for each in lost), lost[:3])
    for (number, kind), replica in home.items():
        path, fields = requests_of(number, 5)[kind]
        status, now, told = replicas.ask(fields, path)
        expect("after a death", status == 200 and now != victim and (replica == victim or now == replica), (number, replica, now, told))
    as_generated(replicas, next(number for (number, kind), replica in home.items() if replica == victim and kind == 0))
    if not replicas.again(int(victim[1:]) - 1):
        return cut, sum(replica == victim for *_, replica, _ in streams), len(lost)
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
            replicas.again(i) or sys.exit(1)
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
        if "--figures" not in sys.argv[3:]:
            dummies = Dummies(base, sys.argv[2])
            try:
                conversations(dummies), spread(dummies), frozen(dummies)
            finally:
                dummies.stop_proxy()
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
