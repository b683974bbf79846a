#!/usr/bin/env python3
"""Asks a server as its clients do, good ones and others.

    serve.py STEPDOWN_COMPILE STEPDOWN_RUN

The model is made here. An answer among sixteen others is that of `generate`, byte for byte; a client that leaves frees the
blocks of its request; what is no request is refused with a number in OpenAI's error shape, and harms nobody. Where
`tools/test-python.sh --openai` has made a Python with the package openai, its client goes through the same.
Ends with 77 where the Python packages numpy and gguf are missing.
"""
import http.client, json, os, signal, socket, subprocess, sys, tempfile, threading, time

import made_server, trace_events  # beside this file
from made_server import LOOK, TOOLS

COMPILE, RUN = sys.argv[1:]
OPENAI = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build", "venv-openai", "bin", "python")
KEY = "a key of 19 letters"
failures, checks = [], 0


def expect(what, good, got=""):
    global checks
    checks += 1
    if not good:
        failures.append(f"{what}: {str(got)[:400]}")


class Server:
    def __init__(self, *words, env=None):
        self.process = subprocess.Popen([RUN, "serve", *words, "--port", "0", "-t", "1"], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
        line = self.process.stdout.readline()
        if not line.startswith("listening on http://"):
            sys.exit(f"serve: expects a line that tells where it listens, but got {line!r} {self.process.stderr.read()}")
        self.port = int(line.rsplit(":", 1)[1])

    def ask(self, method, path, body=None, headers=None, timeout=60):
        """(status, headers, text)"""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        data = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
        link.request(method, path, data, {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}", **(headers or {})})
        reply = link.getresponse()
        text = reply.read().decode()
        link.close()
        return reply.status, reply.headers, text

    def post(self, path, **fields):
        status, _, text = self.ask("POST", path, fields)
        if status != 200:
            failures.append(f"{path} {fields}: {status} {text}")
        return json.loads(text) if status == 200 else {}

    def stream(self, path, fields, stop_after=None):
        """The events of a stream; with stop_after, the client leaves after so many."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        link.request("POST", path, json.dumps({**fields, "stream": True}),
                     {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"})
        reply, events = link.getresponse(), []
        for line in reply:
            if line.startswith(b"data: "):
                events.append(line[6:].strip().decode())
                if stop_after and len(events) >= stop_after:
                    # http.client keeps the socket as long as the reply is open
                    reply.close(), link.close()
                    return events
        link.close()
        return events

    def raw(self, data, read=True):
        """What comes back for bytes that need be no HTTP."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as link:
            link.sendall(data)
            link.shutdown(socket.SHUT_WR) if not read else None
            got = b""
            while read:
                piece = link.recv(65536)
                got += piece
                if not piece or b"\r\n\r\n" in got and b'"code"' in got:
                    break
            return got

    def figure(self, name):
        for line in self.ask("GET", "/metrics")[2].splitlines():
            if line.startswith(name):
                return float(line.rsplit(" ", 1)[1])
        return None

    def wait_for(self, name, value, seconds=30):
        end = time.time() + seconds
        while time.time() < end:
            if self.figure(name) == value:
                return True
            time.sleep(0.01)
        return False

    def stop(self, sign=signal.SIGTERM):
        self.process.send_signal(sign)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return "it goes on"


def text_of(events, chat=False):
    pieces = [json.loads(event) for event in events if event != "[DONE]"]
    choices = [choice for piece in pieces for choice in piece["choices"]]
    return "".join(choice["delta"].get("content", "") if chat else choice["text"] for choice in choices)


def same_as_alone(server, artifact, base):
    """Twenty-three requests at once, whole and in pieces, against `generate`."""
    requests = [{"prompt": "The capital of France is"[: 4 + i], "max_tokens": 5 + i % 17, "temperature": 0.8 * (i % 3), "seed": i,
                 "top_p": 0.9, "top_k": i % 5 * 7, "ignore_eos": i % 2 == 0, "frequency_penalty": i % 4 / 4}
                for i in range(23)]
    lines = os.path.join(base, "requests.jsonl")
    with open(lines, "w") as file:
        file.writelines(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run([RUN, "generate", artifact, "--requests", lines, "--json", "-t", "1"], capture_output=True, text=True)
    wanted = [json.loads(line) for line in done.stdout.splitlines()]
    expect("generate", len(wanted) == len(requests), done.stderr)
    got = [None] * len(requests)

    def one(i):
        if i % 2:
            events = server.stream("/v1/completions", requests[i])
            got[i] = text_of(events), json.loads(events[-2])["choices"][0]["finish_reason"]
            expect(f"end of stream {i}", events[-1] == "[DONE]", events[-1])
        else:
            choice = server.post("/v1/completions", **requests[i])["choices"][0]
            got[i] = choice["text"], choice["finish_reason"]

    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(requests))]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    for i, want in enumerate(wanted):
        expect(f"request {i}", got[i] == (want["text"], want["finish_reason"]), (got[i], want["text"], want["finish_reason"]))


def whole_flow(server):
    status, _, text = server.ask("GET", "/v1/models")
    expect("models", status == 200 and [m["id"] for m in json.loads(text)["data"]] == ["tiny"], text)
    said = [{"role": "user", "content": "The river"}]
    fields = dict(model="tiny", messages=said, max_tokens=11, seed=5, n=3, logprobs=True, top_logprobs=2, ignore_eos=True)
    whole = server.post("/v1/chat/completions", **fields)
    expect("n", [choice["index"] for choice in whole["choices"]] == [0, 1, 2], whole)
    expect("usage", whole["usage"]["completion_tokens"] == 33, whole["usage"])
    expect("logprobs", all(len(c["logprobs"]["content"]) == 11 for c in whole["choices"]), whole)
    expect("answers differ", len({c["message"]["content"] for c in whole["choices"]}) == 3, whole)
    events = server.stream("/v1/chat/completions", {**fields, "n": 1, "stream_options": {"include_usage": True}})
    expect("stream", text_of(events, True) == whole["choices"][0]["message"]["content"], events)
    expect("usage of a stream", json.loads(events[-2])["usage"]["completion_tokens"] == 11, events[-2])
    # A stop text is no part of the answer.
    text = server.post("/v1/completions", prompt="The", max_tokens=40, temperature=0, ignore_eos=True)["choices"][0]["text"]
    middle = text[len(text) // 2:][:3]
    cut = server.post("/v1/completions", prompt="The", max_tokens=40, temperature=0, ignore_eos=True, stop=["never so", middle])
    expect("stop", cut["choices"][0]["text"] == text[: text.index(middle)] and cut["choices"][0]["finish_reason"] == "stop", cut)
    # One token is forced.
    forced = server.post("/v1/completions", prompt="The", max_tokens=3, temperature=0, logit_bias={"40": 1000}, logprobs=0)
    expect("logit_bias", len(set(forced["choices"][0]["logprobs"]["tokens"])) == 1, forced)
    ids = server.post("/tokenize", prompt="The capital")["tokens"]
    both = server.post("/v1/completions", prompt=[ids, [7, 5, 3]], max_tokens=4, temperature=0)
    single = server.post("/v1/completions", prompt=ids, max_tokens=4, temperature=0)
    expect("prompts", len(both["choices"]) == 2 and both["choices"][0]["text"] == single["choices"][0]["text"], both)
    # What of a prompt was there already is told, and changes nothing.
    long = [(i * i) % 90 + 5 for i in range(100)]
    both = [server.post("/v1/completions", prompt=long + [7] * (i + 1), max_tokens=9, temperature=0) for i in (0, 0, 3)]
    cached = [one["usage"]["prompt_tokens_details"]["cached_tokens"] for one in both]
    expect("cached_tokens", cached == [0, 96, 96] and both[0]["choices"][0]["text"] == both[1]["choices"][0]["text"], both)
    expect("saved tokens", server.figure("stepdown_prefix_saved_tokens_total") >= 192, "")
    # An answer that is predicted is the same.
    how = dict(model="tiny", messages=said, max_tokens=400, seed=5, ignore_eos=True)
    text = server.post("/v1/chat/completions", **how)["choices"][0]["message"]["content"]
    told = server.post("/v1/chat/completions", **how, prediction={"type": "content", "content": text}, prompt_cache_key="mine")
    details, accepted = told["usage"]["completion_tokens_details"], server.figure("stepdown_accepted_tokens_total")
    expect("prediction", told["choices"][0]["message"]["content"] == text, told)
    expect("accepted", 0 < details["accepted_prediction_tokens"] <= accepted <= server.figure("stepdown_guessed_tokens_total"),
           (details, accepted))
    # One connection for several requests.
    link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    for _ in range(3):
        link.request("GET", "/health")
        expect("keep-alive", link.getresponse().read() == b'{"status":"ok"}')
    link.close()


def is_call(call, names=("look", "wait")):
    """A call whose arguments are what its schema allows."""
    arguments = json.loads(call["function"]["arguments"])
    if call["type"] != "function" or call["function"]["name"] not in names or len(call["id"]) != 9:
        return False
    if call["function"]["name"] == "wait":
        return arguments == {}
    return sorted(arguments) == ["at", "deep"] and arguments["at"] in LOOK["properties"]["at"]["enum"] and \
        isinstance(arguments["deep"], bool)


def calls_of(events):
    """The calls of a stream, put together as clients do."""
    calls, reason = [], None
    for event in events[:-1]:
        for choice in json.loads(event)["choices"]:
            reason = choice["finish_reason"] or reason
            for piece in choice["delta"].get("tool_calls", []):
                if piece["index"] == len(calls):
                    calls.append({**piece, "function": dict(piece["function"])})
                else:
                    calls[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]
    return calls, reason


def tools(server):
    """Functions are called as the schema says, whole and in pieces, and what they give back is told."""
    path, said, total = "/v1/chat/completions", [{"role": "user", "content": "What is the sky?"}], 0
    for seed in range(5):
        fields = dict(messages=said, tools=TOOLS, seed=seed, max_tokens=300)
        whole = server.post(path, **fields, tool_choice="required", parallel_tool_calls=False)["choices"][0]
        calls = whole["message"].get("tool_calls", [])
        expect("a call", len(calls) == 1 and is_call(calls[0]) and whole["finish_reason"] == "tool_calls", whole)
        expect("no text", whole["message"]["content"] is None, whole)
        events = server.stream(path, dict(fields, tool_choice="required", parallel_tool_calls=False))
        pieces, reason = calls_of(events)
        expect("a call in pieces", [c["function"] for c in pieces] == [c["function"] for c in calls] and reason == "tool_calls", events)
        expect("no text in pieces", text_of(events, True) == "", events)
        named = server.post(path, **fields, tool_choice={"type": "function", "function": {"name": "wait"}})["choices"][0]
        calls_named = named["message"].get("tool_calls", [])
        expect("a named call", len(calls_named) == 1 and is_call(calls_named[0], ["wait"]), named)
        several = server.post(path, **fields, tool_choice="required", n=2)["choices"]
        found = [choice["message"].get("tool_calls", []) for choice in several]
        expect("several calls", all(map(is_call, sum(found, []))) and
               all(calls or choice["finish_reason"] == "length" for calls, choice in zip(found, several)), several)
        total += sum(map(len, found))
        # Told to call nothing, a model that is told of its tools says text.
        free = server.post(path, **{**fields, "max_tokens": 20}, tool_choice="none")["choices"][0]
        expect("text", free["message"]["content"] and "tool_calls" not in free["message"], free)
    expect("calls where there may be several", total >= 5, total)
    ids = [server.post("/tokenize", messages=[*said, {"role": "assistant", "content": None, "tool_calls": calls}, back])["count"]
           for back in ({"role": "tool", "tool_call_id": calls[0]["id"], "content": "blue"},
                        {"role": "tool", "tool_call_id": calls[0]["id"], "content": "blue, and far away"})]
    expect("what a call gave back", ids[0] < ids[1], ids)


def leaving(server):
    """Whoever leaves costs nothing more, at once, with others around."""
    beside = []
    fields = dict(prompt="Once upon", max_tokens=150, temperature=0, ignore_eos=True)
    alone = server.post("/v1/completions", **fields)["choices"][0]["text"]
    thread = threading.Thread(target=lambda: beside.append(server.post("/v1/completions", **fields)["choices"][0]["text"]))
    thread.start()
    before = server.figure("stepdown_cancelled_total")
    # One whose answer is done before the server hears that it left is not cancelled: others leave in its place.
    for i in range(100):
        server.stream("/v1/completions", dict(prompt="The old cat", max_tokens=400, ignore_eos=True, n=1 + i % 3), stop_after=2)
        if i >= 6 and server.figure("stepdown_cancelled_total") >= before + 7:
            break
    thread.join()
    expect("beside those who left", beside == [alone], beside)
    cancelled = server.figure("stepdown_cancelled_total")
    expect("cancelled", before + 7 <= cancelled, (before, cancelled))
    expect("blocks", server.wait_for("stepdown_kv_blocks_used", 0), server.figure("stepdown_kv_blocks_used"))
    expect("connections", server.wait_for("stepdown_connections", 1), server.figure("stepdown_connections"))


def bad_requests(server):
    def refused(what, status, code, reply):
        got, _, text = reply
        try:
            error = json.loads(text)["error"]
            good = got == status and error["code"] == code and isinstance(error["message"], str) and "param" in error
        except (ValueError, KeyError, TypeError):
            good = False
        expect(what, good, (got, text))

    path = "/v1/completions"
    refused("bad JSON", 400, "E0908", server.ask("POST", path, "{\"prompt\":"))
    refused("no JSON", 400, "E0908", server.ask("POST", path, b"\xff\x00"))
    refused("wrong method", 405, "E1203", server.ask("GET", path))
    refused("unknown path", 404, "E1202", server.ask("GET", "/v1/complete"))
    refused("unknown model", 404, "E1207", server.ask("POST", path, {"prompt": "a", "model": "gpt-4"}))
    refused("unknown field", 400, "E0611", server.ask("POST", path, {"prompt": "a", "max_token": 3}))
    talk = "/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}], "tools": TOOLS}
    refused("audio", 400, "E1208", server.ask("POST", talk[0], {**talk[1], "modalities": ["audio"]}))
    refused("unknown function", 400, "E1317",
            server.ask("POST", talk[0], {**talk[1], "tool_choice": {"type": "function", "function": {"name": "loo"}}}))
    unlike = {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}
    refused("a keyword that nothing keeps", 400, "E1311",
            server.ask("POST", talk[0], {**talk[1], "tool_choice": "required", "tools": [
                {"type": "function", "function": {"name": "f", "parameters": unlike}}]}))
    refused("long prompt", 400, "E0606", server.ask("POST", path, {"prompt": [5] * 601}))
    refused("many answers", 400, "E0605", server.ask("POST", path, {"prompt": "a", "n": 1000}))
    refused("no key", 401, "E1204", server.ask("POST", path, {"prompt": "a"}, {"Authorization": ""}))
    refused("wrong key", 401, "E1204", server.ask("POST", path, {"prompt": "a"}, {"Authorization": "Bearer " + KEY[:-1]}))
    refused("form", 415, "E1206", server.ask("POST", path, "prompt=a", {"Content-Type": "application/x-www-form-urlencoded"}))
    refused("oversize", 413, "E1205", server.ask("POST", path, {"prompt": "a" * 200000}))
    refused("long head", 431, "E1205", server.ask("GET", "/health", None, {"X-Long": "a" * 20000}))
    expect("no HTTP", b"E1212" in server.raw(b"hello\r\n\r\n"), "")
    expect("bad length", b"E1212" in server.raw(b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"), "")
    expect("100-continue", server.ask("POST", "/tokenize", {"prompt": "a"}, {"Expect": "100-continue"})[0] == 200)
    # Half a request, and then nothing.
    server.raw(b"POST /v1/completions HTTP/1.1\r\nContent-Length: 100\r\n\r\n{", read=False)
    server.raw(b"", read=False)
    expect("HTTP/1.0", server.raw(b"POST /tokenize HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
                                  b"Authorization: Bearer " + KEY.encode() + b"\r\n\r\n{}").startswith(b"HTTP/1.0 400"))
    expect("unharmed", server.ask("GET", "/health")[0] == 200)


def busy(artifact):
    server = Server(artifact, "--parallel", "2", "--queue", "1", "--chunk", "7", f"--speculate=draft:{artifact}")
    fields, seen = dict(prompt="The rain", max_tokens=90, seed=7, ignore_eos=True), []
    guessed, plain = (server.post("/v1/completions", **fields, speculate=how) for how in ("draft", "off"))
    expect("a draft model", guessed["choices"] == plain["choices"], (guessed, plain))
    expect("guesses of a draft model", "completion_tokens_details" in guessed["usage"] and
           "completion_tokens_details" not in plain["usage"], (guessed["usage"], plain["usage"]))

    def one():
        status, headers, text = server.ask("POST", "/v1/completions", {"prompt": "The rain", "max_tokens": 300, "ignore_eos": True})
        seen.append((status, headers.get("Retry-After")))

    threads = [threading.Thread(target=one) for _ in range(16)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    expect("busy", {status for status, _ in seen} <= {200, 429} and any(status == 200 for status, _ in seen), seen)
    expect("busy", any(status == 429 for status, _ in seen), seen)
    expect("Retry-After", all(int(after) >= 1 for status, after in seen if status == 429), seen)
    expect("end", server.stop(signal.SIGINT) == 0)


def stopping(artifact):
    """Answers on their way are done, or ended after the grace."""
    for grace, done in (("60", True), ("0", False)):
        server = Server(artifact, "--grace", grace)
        link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        link.request("POST", "/v1/completions", json.dumps(dict(prompt="The sun", max_tokens=400, ignore_eos=True, stream=True, n=8)),
                     {"Content-Type": "application/json"})
        reply = link.getresponse()
        first = reply.readline()
        status = server.stop()
        rest = (first + reply.read()).decode()
        expect(f"stop within {grace} s", status == 0, status)
        expect(f"answer within {grace} s", ("[DONE]" in rest) if done else ("E1210" in rest or "[DONE]" in rest), rest[-300:])
        link.close()


def traced(path):
    """What the server did, as a reader of the format sees it."""
    try:
        spans, (tracks, requests) = trace_events.read(path), trace_events.names(path)
    except ValueError as problem:
        return expect("trace", False, problem)
    named = {}
    for span in spans:
        named.setdefault(span.name, []).append(span)
    expect("spans", {"answer", "queue", "prefill", "decode", "sampling", "write", "prepare"} <= set(named), sorted(named))
    answers = named["answer"]
    ends = {span.arguments["finish"] for span in answers}
    expect("ends of answers", {"length", "stop", "cancelled"} <= ends, ends)
    within = {(span.process, span.track): span for span in answers}
    def is_good(span):
        around = within.get((span.process, span.track))
        inside = span.track == 0 or around == span or around.begin <= span.begin and span.end <= around.end and span.depth == 1
        return inside and (span.process, span.track) in tracks and span.process in requests

    expect("spans within their answers, with names", all(map(is_good, spans)), [s for s in spans if not is_good(s)][:3])
    # Each token is drawn once: an answer of 11 has one after its prompt and ten steps behind it.
    wrong = []
    for answer in answers:
        own = [s for s in spans if (s.process, s.track) == (answer.process, answer.track)]
        drawn = sum(s.name == "sampling" for s in own)
        tokens, guesses = answer.arguments["tokens"], sum(s.arguments.get("guesses", 0) for s in own)
        if answer.arguments["finish"] != "cancelled" and not drawn <= tokens + 1 <= drawn + guesses + 1:
            wrong.append((answer, drawn, guesses))
    expect("samplings", not wrong, wrong[:3])
    expect("a path", any(name.endswith(": POST /v1/chat/completions") for name in requests.values()), list(requests.values())[:5])
    return len(spans)


def official(python, port):
    code = r"""
import openai, sys
client = openai.OpenAI(base_url=f"http://127.0.0.1:{sys.argv[1]}/v1", api_key=sys.argv[2], max_retries=0)
assert [m.id for m in client.models.list()] == ["tiny"]
said = [{"role": "user", "content": "The river"}]
how = dict(model="tiny", messages=said, max_tokens=9, seed=7, extra_body={"ignore_eos": True})
whole = client.chat.completions.create(**how, logprobs=True, top_logprobs=3)
assert whole.usage.completion_tokens == 9 and len(whole.choices[0].logprobs.content[0].top_logprobs) == 3
text, last = "", None
for piece in client.chat.completions.create(**how, stream=True, stream_options={"include_usage": True}):
    text += "".join(choice.delta.content or "" for choice in piece.choices)
    last = piece
assert text == whole.choices[0].message.content and last.usage.completion_tokens == 9
predicted = client.chat.completions.create(**how, prediction={"type": "content", "content": text}, prompt_cache_key="mine")
assert predicted.choices[0].message.content == text and predicted.usage.completion_tokens_details.rejected_prediction_tokens >= 0
assert client.completions.create(model="tiny", prompt="The", max_tokens=3, n=2).choices[1].index == 1
for kind, call in ((openai.BadRequestError, dict(modalities=["audio"])), (openai.NotFoundError, dict(model="other"))):
    try:
        client.chat.completions.create(**{**how, **call})
        assert False
    except kind as error:
        assert error.code in ("E1208", "E1207"), error.code
import json
tools = json.loads(sys.argv[3])
for tool in tools:
    tool["function"]["strict"] = True # held to the schema by the server, and checked by the client
ask = dict(model="tiny", messages=said, seed=3, tools=tools, tool_choice="required", parallel_tool_calls=False)
called = client.chat.completions.create(**ask).choices[0]
assert called.finish_reason == "tool_calls" and called.message.content is None
call = called.message.tool_calls[0]
assert call.function.name in ("look", "wait") and isinstance(json.loads(call.function.arguments), dict)
with client.chat.completions.stream(**ask) as stream: # puts the pieces together
    done = stream.get_final_completion().choices[0]
assert done.message.tool_calls[0].function.arguments == call.function.arguments and done.finish_reason == "tool_calls"
back = [*said, called.message, {"role": "tool", "tool_call_id": call.id, "content": "blue"}]
assert client.chat.completions.create(**{**how, "messages": back}, tools=tools).usage.completion_tokens == 9
try:
    openai.OpenAI(base_url=client.base_url, api_key="x", max_retries=0).models.list()
    assert False
except openai.AuthenticationError as error:
    assert error.code == "E1204"
print("openai", openai.__version__)
"""
    done = subprocess.run([python, "-c", code, str(port), KEY, json.dumps(TOOLS)], capture_output=True, text=True)
    expect("the package openai", done.returncode == 0, done.stderr[-1500:])
    return done.stdout.strip()


def main():
    with tempfile.TemporaryDirectory() as base:
        trace = os.path.join(base, "trace.json")
        artifact = made_server.build(COMPILE, base, "--context", "600")
        # Guesses change no answer.
        server = Server(artifact, "--max-body", "100000", "--speculate=ngram:3", "--trace", trace, env={"STEPDOWN_API_KEY": KEY})
        same_as_alone(server, artifact, base)
        whole_flow(server)
        tools(server)
        leaving(server)
        bad_requests(server)
        client = official(OPENAI, server.port) if os.path.exists(OPENAI) else "the package openai is not there"
        done = subprocess.run([RUN, "bench", f"http://localhost:{server.port}/", "--serve", "-p", "5,31", "-n", "3,11", "--rate", "90",
                               "--requests", "23", "--api-key", KEY, "--json"], capture_output=True, text=True)
        told = json.loads(done.stdout or "{}")
        expect("bench --serve", (told.get("answered"), told.get("failed")) == (23, 0) and told["ttft_ms"]["p50"] > 0, done)
        done = subprocess.run([RUN, "bench", f"http://localhost:{server.port}/", "--serve", "-p", "5", "-n", "7", "--clients", "3",
                               "--requests", "11", "--api-key", KEY], capture_output=True, text=True)
        expect("bench --clients", done.stdout.startswith("11 answers, 0 failed; 3 clients for "), done)
        done = subprocess.run([RUN, "bench", f"http://localhost:{server.port}", "--serve"], capture_output=True, text=True)
        expect("bench without a key", done.returncode != 0 and "E1204" in done.stderr, done)
        expect("stop", server.stop() == 0)
        spans = traced(trace)
        full = Server(artifact, "--trace=/dev/full")
        full.post("/v1/completions", prompt="a", max_tokens=30)
        expect("a full disk", full.stop() != 0 and "E0903" in full.process.stderr.read())
        busy(artifact)
        stopping(artifact)
        taken = socket.socket()
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        kept, pipe = os.path.join(base, "kept.json"), os.path.join(base, "pipe")
        os.mkfifo(pipe)
        with open(kept, "w", encoding="utf-8") as file:
            file.write("[3]\n")
        for words, code in ((["--port", port, "--trace", kept], "E1201"), (["--host", "nowhere"], "E1201"), ([artifact], "E0905"),
                            (["--trace", base], "E0903"), (["--trace", pipe], "E0903"),
                            (["--speculate=edit:" + __file__], "E0905"), (["--speculate=ngram:0"], "E0905"),
                            (["--prefix-cache=some"], "E0905"), (["--prefix-cache=0"], "E0905"),
                            (["--prefix-spill=:4G"], "E0905"), (["--prefix-spill=s:4Q"], "E0905"), (["--prefix-spill=s:"], "E0905"),
                            (["--prefix-spill=s:9999999T"], "E0905"), (["--prefix-spill=s", "--prefix-cache=off"], "E0905"),
                            (["--prefix-spill", base + "/none/s"], "E0901"), (["--prefix-spill", base], "E0901"),
                            (["--prefix-spill", kept], "E1516"), (["--prefix-spill=/dev/full"], "E1516"),
                            (["--prefix-spill", base + "/s:1K"], "E1519")):
            done = subprocess.run([RUN, "serve", artifact, *words], capture_output=True, text=True, timeout=60)
            expect(f"serve {words}", done.returncode != 0 and code in done.stderr, done.stderr)
        taken.close()
        with open(kept, encoding="utf-8") as file:
            expect("a trace of another server", file.read() == "[3]\n")
    print("\n".join(failures) or f"serve: {checks} checks hold; {spans} spans in the trace; {client}")
    sys.exit(1 if failures else 0)


main()
