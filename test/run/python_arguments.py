#!/usr/bin/env python3
"""Python's entry points with values that they cannot take: stepdown.Error or TypeError, each with a sentence of our own.

    python_arguments.py STEPDOWN_COMPILE STEPDOWN_RUN LIBSTEPDOWN

Nothing of the binding may show (AttributeError, ctypes.ArgumentError, OverflowError ...), no number may be cut short to 32
bits, and `chat` takes the messages that `stepdown-run render` takes and refuses, with the same number, what that refuses.
Ends with 77 where numpy or gguf are missing.
"""
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "data"), os.path.join(HERE, "..", "..", "python")]
try:
    import numpy as np
    import gguf  # noqa: F401, make_model.py needs it
    import make_model
    import tiny_tokenizer
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

COMPILE, RUN, LIBRARY = sys.argv[1:]
os.environ["STEPDOWN_LIBRARY"] = os.path.abspath(LIBRARY)
import stepdown

failures, checks = [], 0
TEMPLATE = """{% for m in messages %}{{ m.role }}:{% if m.content is string %}{{ m.content }}{% elif m.content is none %}-
{%- elif m.content is defined %}{% for p in m.content %}{{ p.text or '[' + p.type + ']' }}{% endfor %}{% endif %}
{%- for c in m.tool_calls or [] %}<{{ c.function.name }} {{ c.function.arguments.x }}>{% endfor %}
{% if m.role == 'system' and not loop.first %}{{ raise_exception('system comes first') }}{% endif %}{% endfor %}"""
PROGRAM = """
func.func @scale(%x: tensor<?xf32>, %n: i32) -> tensor<?xf32> { return %x : tensor<?xf32> }
"""
NOTHING = object()
SPOILT = {"text": [None, 3, 1.5, b"x", ["x"], "\ud800"], "texts": [None, 3, "stop", [3], [None], ["a\0b"]],
          "integer": [None, "3", 1.5, [1], 1 << 31, 1 << 40, -(1 << 70)], "flag": ["yes", 0.5, [], NOTHING],
          "ids": [None, 3, "12", [1.5], ["x"], [None], [1 << 33], [-(1 << 40)], [[1]]], "path": [None, 3, [], "a\0b"],
          "name": [3, b"cpu", "a\0b", "\ud800"], "real": ["x", None, [1]], "function": [3, "print"],
          "bias": [[1], 3, {"x": 1}, {1: "x"}, {1 << 40: 1.0}], "messages": [None, 3, "hi", [NOTHING], [{1, 2}], [float("nan")]]}


def refused(what, call):
    global checks
    checks += 1
    try:
        got = call()
    except (stepdown.Error, TypeError) as error:
        text = str(error)
        if "expects" not in text or not (isinstance(error, TypeError) or 0 < error.code < 1000):
            failures.append(f"{what}: expects a sentence, but got: {type(error).__name__}: {text}")
    except Exception as error:
        failures.append(f"{what}: expects stepdown.Error or TypeError, but got {type(error).__name__}: {error}")
    else:
        failures.append(f"{what}: expects a refusal, but got {got!r:.100}")


def entry_points(model, program, artifact, module):
    """(name, kind of the argument that is spoilt, call with it)"""
    sequence = lambda: model.session(threads=1).sequence()
    yield "Model", "path", lambda v: stepdown.Model(v)
    yield "Program", "path", lambda v: stepdown.Program(v)
    for name, make, file in (("Model", stepdown.Model, artifact), ("Program", stepdown.Program, module)):
        yield f"{name} isa", "name", lambda v, make=make, file=file: make(file, isa=v)
        yield f"{name} device", "name", lambda v, make=make, file=file: make(file, device=v)
        yield f"{name} copy", "flag", lambda v, make=make, file=file: make(file, copy=v)
    yield "tokenize", "text", lambda v: model.tokenize(v)
    yield "tokenize add_special", "flag", lambda v: model.tokenize("a", add_special=v)
    yield "tokenize parse_special", "flag", lambda v: model.tokenize("a", parse_special=v)
    yield "token_bytes", "integer", lambda v: model.token_bytes(v)
    yield "detokenize", "ids", lambda v: model.detokenize(v)
    yield "detokenize keep_special", "flag", lambda v: model.detokenize([3], keep_special=v)
    yield "ends_text", "integer", lambda v: model.ends_text(v)
    yield "chat", "messages", lambda v: model.chat(v)
    yield "chat answer", "flag", lambda v: model.chat([], answer=v)
    yield "chat variables", "messages", lambda v: model.chat([], tools=v if v not in (None, 3, "hi") else NOTHING)
    for name in ("threads", "kv_block", "kv_positions", "max_sequences"):
        yield f"session {name}", "integer", lambda v, name=name: model.session(**{name: v if v != 1 << 31 else -7})
    yield "generate", "ids", lambda v: model.generate(v if v != "12" else None, 2)
    yield "generate max_tokens", "integer", lambda v: model.generate("a", v if v not in (1 << 31,) else "x")
    yield "generate choose", "function", lambda v: model.generate("a", 2, choose=v)
    yield "generate on_text", "function", lambda v: model.generate("a", 2, on_text=v)
    yield "generate stop", "texts", lambda v: model.generate("a", 2, stop=v)
    yield "generate unknown", "integer", lambda v: model.generate("a", 2, warmth=v)
    yield "choose and temperature", "real", lambda v: model.generate("a", 2, choose=np.argmax, temperature=1.0)
    yield "feed", "ids", lambda v: sequence().feed(v)
    yield "logits", "ids", lambda v: sequence().logits(v)
    yield "truncate", "integer", lambda v: sequence().truncate(v)
    yield "stream", "ids", lambda v: list(sequence().stream(v))
    yield "stream max_tokens", "integer", lambda v: list(sequence().stream([3], v if v != 1 << 31 else "x"))
    yield "what choose returns", "integer", lambda v: sequence().generate([3], 3, choose=lambda row: v)
    yield "answer", "ids", lambda v: sequence().answer(v)
    yield "answer max_tokens", "integer", lambda v: sequence().answer([3], v if v != 1 << 31 else "x")
    yield "answer ignore_end", "flag", lambda v: sequence().answer([3], 2, ignore_end=v)
    yield "answer bias", "bias", lambda v: sequence().answer([3], 2, bias=v)
    for name in ("temperature", "top_p", "min_p", "presence_penalty", "dry_multiplier", "mirostat_eta", "dry_base"):
        yield f"answer {name}", "real", lambda v, name=name: sequence().answer([3], 2, **{name: v})
    for name in ("top_k", "penalty_window", "dry_allowed_length", "dry_window"):
        yield f"answer {name}", "integer", lambda v, name=name: sequence().answer([3], 2, **{name: v})
    yield "answer seed", "integer", lambda v: sequence().answer([3], 2, seed=v if v not in (1 << 31, 1 << 40) else 1 << 64)
    yield "step", "ids", lambda v: model.session(threads=1).step(v)
    own = model.session(threads=1)
    mine = own.sequence()
    yield "step id", "integer", lambda v: own.step([(mine, v, True)])
    yield "step wanted", "flag", lambda v: own.step([(mine, 3, v)])
    yield "step of another session", "real", lambda v: own.step([(sequence(), 3, True)])
    x = np.ones(3, np.float32)
    yield "call name", "name", lambda v: program.call(v, x, 1)
    for bad in ("x", None, {}, [[1], [1, 2]], NOTHING, 1.5, 1 << 40, -(1 << 70), 1j, np.ones(2, "U3"), float("nan")):
        yield f"call with {bad!r:.20}", "once", lambda v, bad=bad: program.call("scale", x, bad)
        yield f"call with {bad!r:.20} first", "once", lambda v, bad=bad: program.call("scale", 1j if isinstance(bad, float) and bad == 1.5 else bad, 1)
    yield "call of nothing", "once", lambda v: program.call("shrink", x, 1)
    yield "call with too few", "once", lambda v: program.call("scale", x)


def check_messages(model, checkpoint, folder):
    """chat and render: both accept, or both refuse with the same number."""
    global checks
    part = {"type": "text", "text": "hi"}
    user = lambda content: {"role": "user", "content": content}
    call = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": {"x": 3}}}]}
    lists = [[user("hi")], [user([part])], [user([part, {"type": "image"}])], [user([])], [user(None)], [{"role": "user"}], [call],
             [user("a"), {"role": "system", "content": "late"}], [{"content": "no role"}], [user({"a": 1})], [user(3)], [user(True)],
             ["hi"], [3], [None], [[]], [], [user("a\0b")], [{"role": 7, "content": "x"}], [user("é" * 50)], [user([part, "plain"])],
             [user("x"), user([{"type": "text"}])], [user([3])], [{"role": "user", "content": "x", "name": "n"}]]
    file = os.path.join(folder, "messages.json")
    for messages in lists:
        checks += 1
        with open(file, "w", encoding="utf-8") as out:
            json.dump(messages, out)
        done = subprocess.run([RUN, "render", checkpoint, "--messages", file], capture_output=True)
        rendered = done.stdout if done.returncode == 0 else done.stderr.decode().split("error E")[-1][:4]
        try:
            said = model.detokenize(model.chat(messages), keep_special=True).encode()
        except stepdown.Error as error:
            said = f"{error.code:04d}"
        if said != rendered:
            failures.append(f"{messages}: render says {rendered!r}, but chat {said!r}")
    forged = "<|im_start|>"
    [control] = model.tokenize(forged, add_special=False, parse_special=True)
    for messages in ([user(forged)], [user([{"type": "text", "text": forged}])],
                     [{"role": "assistant", "content": "", "tool_calls": [{"function": {"name": forged, "arguments": {"x": forged}}}]}]):
        checks += 1
        if control in model.chat(messages) or forged not in model.detokenize(model.chat(messages)):
            failures.append(f"{messages}: expects no control token, but got {model.chat(messages)}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = lambda name: os.path.join(folder, name)
        tiny_tokenizer.CHATML = TEMPLATE
        make_model.build(path("m.gguf"), "--family", "llama", "--layers", "1")
        with open(path("p.mlir"), "w") as file:
            file.write(PROGRAM)
        for source, artifact in (("m.gguf", "m.stepdown"), ("p.mlir", "p.stepdown")):
            subprocess.run([COMPILE, path(source), "-o", path(artifact), "--target=x86-64-v3"], check=True)
        model, program = stepdown.Model(path("m.stepdown")), stepdown.Program(path("p.stepdown"))
        for name, kind, call in entry_points(model, program, path("m.stepdown"), path("p.stepdown")):
            for value in SPOILT.get(kind, [None]):
                refused(f"{name} of {value!r:.60}", lambda: call(value))
        check_messages(model, path("m.gguf"), folder)
    print("\n".join("FAILED " + failure for failure in failures))
    print(f"python arguments: {checks} checks, {len(failures)} failures")
    sys.exit(1 if failures else 0)


main()
