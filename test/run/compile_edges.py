#!/usr/bin/env python3
"""Interrupts, starves and misuses stepdown-compile, and looks at what it says and leaves.

    compile_edges.py STEPDOWN_COMPILE STEPDOWN_RUN

Ends with 77, which ctest takes for skipped, where the Python packages numpy and gguf are missing.
"""
import json, os, resource, signal, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data"))
try:
    import gguf_edit, make_model
except ImportError:
    print("skipped: needs the Python packages numpy and gguf")
    sys.exit(77)

COMPILE, RUN = sys.argv[1:]
V3 = "--target=x86-64-v3"
failures = []


def run(*words, **more):
    return subprocess.run([COMPILE, *words], capture_output=True, text=True, **more)


def expect(what, got, expected):
    if got != expected:
        failures.append(f"{what}: expects {expected!r}, but got {got!r}")


def refused(what, done, status, *texts):
    expect(f"{what}: status", done.returncode, status)
    expect(f"{what}: stdout", done.stdout, "")
    for text in texts:
        if text not in done.stderr:
            failures.append(f"{what}: expects '{text}' in: {done.stderr.strip()[:300]}")


def interrupted(model, output, number):
    """Starts a compile and stops it with signal `number` when its file has appeared."""
    folder = os.path.dirname(output)
    child = subprocess.Popen([COMPILE, model, "-o", output], stderr=subprocess.PIPE, text=True)
    until = time.time() + 60
    while not any(".part" in name for name in os.listdir(folder)) and child.poll() is None and time.time() < until:
        time.sleep(0.002)
    child.send_signal(number)
    text = child.communicate(timeout=60)[1]
    expect(f"signal {number}: status", child.returncode, -number)
    return text


def limits(base):
    """What the loader refuses, the compiler refuses with the same number, before it generates code, and writes nothing."""
    output = os.path.join(base, "limits", "out.stepdown")
    os.mkdir(os.path.dirname(output))
    kind = "tensor<3xf32>"

    def function(name="f", arguments=1, results=1):
        path = os.path.join(base, "limits.mlir")
        takes, gives = ", ".join(f"%a{i}: {kind}" for i in range(arguments)), ", ".join([kind] * results)
        with open(path, "w") as file:
            file.write(f"func.func @{name}({takes}) -> ({gives}) {{ return {', '.join(['%a0'] * results)} : {gives} }}\n")
        return path

    def refuse(what, path, number, *texts, within=4.0):
        start = os.times()
        done = run(path, "-o", output)
        spent = sum(os.times()[2:4]) - sum(start[2:4])  # processor time of the child
        refused(what, done, 1, f"error E{number:04d}: {path}", *texts)
        expect(f"{what}: left", os.listdir(os.path.dirname(output)), [])
        if spent > within:
            failures.append(f"{what}: expects a refusal before the work, but it took {spent:.1f} s")

    refuse("1,025 arguments", function(arguments=1025), 507, "arguments", "at most 1024", "got 1025", "@f")
    refuse("2,000 arguments", function(arguments=2000), 507, "arguments", "got 2000")
    refuse("1,025 results", function(results=1025), 507, "results", "at most 1024", "got 1025")
    refuse("a name of 1,025 bytes", function("n" * 1025), 507, "name", "at most 1024 bytes", "got 1025")
    refuse("a name of 5,000 bytes", function("n" * 5000), 507, "name", "got 5000")
    for what, made in (("1,024 arguments", lambda: function(arguments=1024)), ("a name of 1,024 bytes", lambda: function("n" * 1024))):
        expect(f"{what}: status", run(made(), "-o", output, V3).returncode, 0)
        expect(f"{what}: the loader", subprocess.run([RUN, "inspect", output], capture_output=True).returncode, 0)
        os.remove(output)
    nine = os.path.join(base, "rank9.mlir")
    with open(nine, "w") as file:
        file.write("func.func @f(%a: tensor<1x1x1x1x1x1x1x1x1xf32>) -> tensor<3xf32> {\n %c = arith.constant dense<0.0> : tensor<3xf32>\n return %c : tensor<3xf32>\n}\n")
    refuse("9 dimensions", nine, 834, "at most 8")

    model, path = os.path.join(base, "limits.gguf"), os.path.join(base, "limits-one.gguf")
    make_model.build(model, "--family", "llama")
    changed = lambda key, kind, value: gguf_edit.read(model).set(key, kind, value).write(path)
    refuse("a context of 2^24 + 1", changed("llama.context_length", "u32", (1 << 24) + 1), 507, "llama.context_length", "16777216", "--max-context")
    expect("the same with --max-context", run(path, "-o", output, V3, "--max-context=64").returncode, 0)
    os.remove(output)
    # A tokenizer that no command opens.
    refuse("no kind of tokenizer", gguf_edit.read(model).drop("tokenizer.ggml.model").write(path), 201, "tokenizer.ggml.model")
    refuse("an unknown kind of tokenizer", changed("tokenizer.ggml.model", "string", "rwkv"), 301, "rwkv")
    refuse("an unknown pre-tokenizer", changed("tokenizer.ggml.pre", "string", "nobodys"), 302, "nobodys")
    refuse("no merges", gguf_edit.read(model).drop("tokenizer.ggml.merges").write(path), 201, "merges")
    refuse("types too few", changed("tokenizer.ggml.token_type", "i32", [1, 1, 1]), 308, "token_type")
    refuse("an end outside", changed("tokenizer.ggml.eos_token_id", "u32", 9973), 307, "eos_token_id")
    refuse("a key that nobody reads", changed("tokenizer.ggml.remove_extra_whitespaces", "bool", True), 385, "remove_extra_whitespaces")
    # Metadata comes before weights, which --check-weights reads all of.
    refused("the tokenizer before weights", run(path, "-o", output, "--check-weights"), 1, "error E0385")
    expect("the IR of it", run(path, "--compile-to=transformer").returncode, 0)

    text = os.path.join(base, "notes.txt")
    with open(text, "w") as file:
        file.write("module {\n}\n but with another name\n")
    refuse("another file", text, 102, ".mlir")


def requests(base, artifact):
    """What is not JSON is refused at the byte where it ceases to be, counted from 0."""
    path = os.path.join(base, "requests.jsonl")
    for text, at in (('{"tokens": [1, 2', 16), ('{"tokens": [1,, 2]}', 14), ('{"tokens": [1]} x', 16), ('{"tokens" [1]}', 10), ("[", 1)):
        with open(path, "w") as file:
            file.write(text + "\n")
        done = subprocess.run([RUN, "generate", artifact, "--requests", path], capture_output=True, text=True)
        refused(f"request {text}", done, 1, "error E0908", f"{path}: line 1", f"at offset {at}:")


def kept(base):
    """An artifact is the same bytes with code kept from before, of both emulated vendors; main does this for a processor."""
    model, store = os.path.join(base, "kept.gguf"), os.path.join(base, "kept")
    held = lambda: {name: os.stat(os.path.join(at, name)).st_ino for at, _, names in os.walk(store) for name in names}
    for target, kind in (("--target=emulated:gfx942", "--type F32 --width 53 --heads 1 --kv-heads 1 --head-dim 14 --ffn 37"),
                         ("--target=emulated:sm_90a", "--type mixed --width 256 --ffn 256")):
        make_model.build(model, "--family", "llama", "--layers", "1", *kind.split())
        made = []
        for name, folder in (("without", ""), ("first", store), ("second", store)):
            before, output = held(), os.path.join(base, f"{name}.stepdown")
            done = run(model, target, "--exact", "-o", output, env={**os.environ, "STEPDOWN_CODE_STORE": folder})
            expect(f"{target}, {name}", (done.returncode, done.stderr), (0, ""))
            with open(output, "rb") as file:
                made.append(file.read())
            # What is made again is written again, as another file.
            expect(f"{target}, {name}: kept", (len(held()) > len(before), before.items() <= held().items()), (name == "first", True))
        expect(f"{target}: the same bytes", [bytes == made[0] for bytes in made], [True] * 3)


def main():
    with tempfile.TemporaryDirectory() as base:
        limits(base)
        kept(base)
        model, folder = os.path.join(base, "tiny.gguf"), os.path.join(base, "out")
        make_model.build(model, *"--family llama --type mixed --width 256 --ffn 256 --layers 1".split())
        os.mkdir(folder)
        output = os.path.join(folder, "tiny.stepdown")

        usage = "stepdown-compile: error E0905: expects "
        refused("no model", run(), 2, usage + "MODEL")
        refused("unknown option", run(model, "--colour"), 2, usage + "an option that it knows, but got --colour")
        refused("unknown target", run(model, "--target=z80"), 2, usage, "z80")
        refused("unknown explain", run(model, "--explain=yaml"), 2, usage, "yaml")
        refused("-o without a file", run(model, "-o"), 2, usage, "-o")
        refused("context of 0", run(model, "--max-context=0"), 2, usage, "--max-context", '"0"')
        refused("context without end", run(model, "-o", output, f"--max-context={1 << 40}"), 1, "error E0832", str(1 << 40))
        for kind in ("q8o2", "q8x2", "q8"):
            refused("float32 in codes", run(model, "-o", output, "--exact", f"--activations={kind}"), 1, "error E0832", "exact", kind)
            refused("printed float32 in codes", run(model, "--compile-to=fusion", "--exact", f"--activations={kind}"), 1, "error E0832", kind)
        refused("float32 in half", run(model, "-o", output, "--exact", "--kv-type=f16"), 1, "error E0832", "f32, but got f16")
        refused("unknown codes", run(model, "--activations=q9"), 2, usage, "q9")
        refused("missing folder", run(model, "-o", os.path.join(folder, "none", "x.stepdown")), 1, "error E0903", "none/x.stepdown")
        refused("output is a folder", run(model, "-o", folder), 1, "error E0903", folder)
        refused("folder that nothing can be created in", run(model, "-o", "/proc/x.stepdown"), 1, "error E0903", "/proc/x.stepdown")
        small = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
        refused("no room", run(model, V3, "-o", output, preexec_fn=small), 1, "error E0903", "tiny.stepdown")
        expect("left behind by refusals", os.listdir(folder), [])

        for number in (signal.SIGINT, signal.SIGTERM):
            if "error E0907" not in (text := interrupted(model, output, number)):
                failures.append(f"signal {number}: expects error E0907, but got: {text.strip()}")
            expect(f"left behind by signal {number}", os.listdir(folder), [])
        with open(output, "w") as other:
            other.write("before")
        interrupted(model, output, signal.SIGKILL)
        left = sorted(os.listdir(folder))
        expect("files after SIGKILL", [name.split(".part")[0] for name in left], ["tiny.stepdown"] * 2)
        with open(output) as other:
            expect("the file from before", other.read(), "before")

        # The next compile of the same output cleans up, and --jobs never shows in the bytes.
        dump = os.path.join(base, "dump")
        done = run(model, V3, "-o", output, "--jobs=3", f"--dump={dump}")
        expect("compile after SIGKILL", (done.returncode, done.stdout, done.stderr), (0, "", ""))
        expect("files after it", os.listdir(folder), ["tiny.stepdown"])
        # Nor does code that was made before: with --dump all of it is made anew, with a store it is kept, then taken.
        single, store = os.path.join(base, "single.stepdown"), {**os.environ, "STEPDOWN_CODE_STORE": os.path.join(base, "store")}
        count = lambda: sum(len(names) for _, _, names in os.walk(store["STEPDOWN_CODE_STORE"]))
        for what, new in (("one thread", True), ("kept code", False)):
            before = count()
            expect(f"compile with {what}", run(model, V3, "-o", single, "--jobs=1", env=store).returncode, 0)
            expect(f"compile with {what}: keeps", count() > before, new)
            with open(output, "rb") as a, open(single, "rb") as b:
                expect(f"bytes equal for --jobs=3 and {what}", a.read() == b.read(), True)
        inspected = json.loads(subprocess.run([RUN, "inspect", output, "--json"], capture_output=True).stdout)
        expect("targets", [t["isa"] for t in inspected["targets"]], ["x86-64-v3"])
        names = os.listdir(dump)
        kernels = {name.split(".")[0] for name in names if name.endswith(".x86-64-v3.s")}
        expect("kernels with assembly and LLVM IR", kernels, {name.split(".")[0] for name in names if name.endswith(".x86-64-v3.ll")})
        if not any(name.startswith("attention_") for name in kernels):
            failures.append(f"expects the assembly of attention in the dump, but got {sorted(kernels)}")

        requests(base, output)

        # More positions than the checkpoint declares are allowed, and said.
        done = run(model, V3, "-o", single, "--max-context=1000", env=store)
        expect("larger context: status", done.returncode, 0)
        if "warning" not in done.stderr or "512" not in done.stderr:
            failures.append(f"larger context: expects a warning that names 512, but got: {done.stderr.strip()}")
        inspected = json.loads(subprocess.run([RUN, "inspect", single, "--json"], capture_output=True).stdout)
        expect("larger context", inspected["max_context"], 1000)
        done = run(model, V3, "-o", single, "--max-context=4", env=store)
        expect("context of 4: status and messages", (done.returncode, done.stderr), (0, ""))
        answer = subprocess.run([RUN, "generate", single, "--tokens", "1,2,3,4,5", "-n", "1"], capture_output=True, text=True)
        expect("5 tokens in a context of 4: status", answer.returncode, 1)
        if "error E0" not in answer.stderr:
            failures.append(f"5 tokens in a context of 4: expects a numbered error, but got: {answer.stderr.strip()}")
    print("\n".join(failures) or "compile edges: all as expected")
    sys.exit(1 if failures else 0)


main()
