#!/usr/bin/env python3
"""Every output of every program under every kind of name: a regular file or nothing, links followed, never an input.

    outputs.py STEPDOWN_COMPILE STEPDOWN_RUN

Devices are nodes of its own, made with mknod, where that is allowed; else they are left out, and it says so. Ends with
77, which ctest takes for skipped, where the Python packages numpy and gguf are missing.
"""
import os, socket, stat, subprocess, sys, tempfile, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data"))
try:
    import make_folder
    import make_model
    import numpy
except ImportError:
    print("skipped: needs the Python packages numpy and gguf")
    sys.exit(77)

COMPILE, RUN = sys.argv[1:]
failures, checks = [], 0


def expect(what, got, expected):
    global checks
    checks += 1
    if got != expected:
        failures.append(f"{what}: expects {expected!r}, but got {got!r}")


def run(words, **more):
    return subprocess.run(words, capture_output=True, timeout=120, **more)


def read(path):
    with open(path, "rb") as file:
        return file.read()


class Output:
    """One output of one program: `words` are a command for a name; `inputs` are files that it reads; `kept` is a folder
    for code that was made before: how a file is written is what matters here."""

    def __init__(self, name, words, inputs, stdin=None, kept=None):
        self.name, self.words, self.inputs, self.stdin, self.kept = name, words, inputs, stdin, kept

    def run(self, path, **more):
        if self.kept:
            more["env"] = {**os.environ, "STEPDOWN_CODE_STORE": self.kept}
        if self.stdin:
            more["input"] = self.stdin(path).encode()
        return run(self.words(path), **more)


def outputs(base):
    model, program = os.path.join(base, "tiny.gguf"), os.path.join(base, "program.mlir")
    artifact, library = os.path.join(base, "tiny.stepdown"), os.path.join(base, "library.stepdown")
    a = os.path.join(base, "a.npy")
    make_model.build(model, "--family", "llama", "--type", "Q8_0")
    with open(program, "w") as file:
        file.write("func.func @twice(%x: tensor<7xf32>) -> tensor<7xf32> {\n"
                   "  %y = arith.addf %x, %x : tensor<7xf32>\n  return %y : tensor<7xf32>\n}\n")
    numpy.save(a, numpy.arange(7, dtype=numpy.float32))
    for source, target in ((model, artifact), (program, library)):
        done = run([COMPILE, source, "-o", target, "--target=x86-64-v3"])
        expect(f"compile {source}", (done.returncode, done.stderr), (0, b""))
    text = os.path.join(base, "text.txt")
    with open(text, "w") as file:
        file.write("the quick")
    return [
        Output("compile -o", lambda path: [COMPILE, model, "-o", path, "--target=x86-64-v3"], [model],
               kept=os.path.join(base, "kept")),
        Output("compile -o of a module", lambda path: [COMPILE, program, "-o", path, "--target=x86-64-v3"], [program]),
        Output("compile-to -o", lambda path: [COMPILE, program, "--compile-to=linalg", "-o", path], [program]),
        Output("call --out", lambda path: [RUN, "call", library, "twice", "--arg", a, "--out", path], [library, a]),
        Output("eval --logits", lambda path: [RUN, "eval", artifact, "-f", text, "--logits", path], [artifact, text]),
        Output("inspect --npy", lambda path: [RUN, "inspect", model, "--tensor", "output_norm.weight", "--npy", path],
               [model]),
        Output("chat /save", lambda path: [RUN, "chat", artifact], [artifact], lambda path: f"/save {path}\n/quit\n"),
    ]


def drain(path, into):
    with open(path, "rb") as file:
        into.append(file.read())


def through_fifo(output, path):
    """What a reader of the pipe at `path` gets."""
    os.mkfifo(path)
    got = []
    reader = threading.Thread(target=drain, args=(path, got), daemon=True)
    reader.start()
    done = output.run(path)
    reader.join(20)
    expect(f"{output.name}: into a pipe: status", (done.returncode, done.stderr[:200] if done.returncode else b""), (0, b""))
    expect(f"{output.name}: the pipe stays", stat.S_ISFIFO(os.lstat(path).st_mode), True)
    os.unlink(path)
    return got[0] if got else None


def names(output, folder):
    where = lambda name: os.path.join(folder, name)
    plain = where("plain")
    done = output.run(plain)
    expect(f"{output.name}: a new file", done.returncode, 0)
    good = read(plain)
    expect(f"{output.name}: bytes", len(good) > 20, True)

    # Replaced as a whole, with the permissions that it had.
    with open(plain, "w") as file:
        file.write("old")
    os.chmod(plain, 0o640)
    expect(f"{output.name}: an old file", output.run(plain).returncode, 0)
    expect(f"{output.name}: replaced", read(plain) == good, True)
    expect(f"{output.name}: permissions", stat.S_IMODE(os.stat(plain).st_mode), 0o640)

    # Links lead to the file, also to one that is not there yet, and stay.
    os.mkdir(where("deep"))
    for link, leads, target in (("link", "deep/target", where("deep/target")), ("link2", "link", where("deep/target")),
                                ("dangling", "deep/new", where("deep/new"))):
        os.symlink(leads, where(link))
        if link == "link":
            with open(target, "w") as file:
                file.write("old")
        expect(f"{output.name}: {link}", output.run(where(link)).returncode, 0)
        expect(f"{output.name}: {link} stays", os.readlink(where(link)), leads)
        expect(f"{output.name}: bytes behind {link}", read(target) == good, True)
    os.symlink("circle", where("circle"))
    expect(f"{output.name}: a circle of links", b"E0903" in output.run(where("circle")).stderr, True)

    expect(f"{output.name}: bytes of a pipe", through_fifo(output, where("fifo")) == good, True)
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = output.run(f"/dev/fd/{write_end}", pass_fds=[write_end])
    os.close(write_end)
    expect(f"{output.name}: a pipe without a reader", b"E0903" in done.stderr, True)
    with open(where("opened"), "wb") as file:
        file.write(b"before")
        file.flush()
        done = output.run(f"/dev/fd/{file.fileno()}", pass_fds=[file.fileno()])
    expect(f"{output.name}: an open file", (done.returncode, read(where("opened")) == b"before" + good), (0, True))
    done = output.run("/dev/stdout")
    expect(f"{output.name}: /dev/stdout", (done.returncode, good in done.stdout), (0, True))

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(where("socket"))
        expect(f"{output.name}: a socket", b"E0903" in output.run(where("socket")).stderr, True)
        expect(f"{output.name}: the socket stays", stat.S_ISSOCK(os.lstat(where("socket")).st_mode), True)
    expect(f"{output.name}: a folder", b"E0903" in output.run(where("deep")).stderr, True)
    expect(f"{output.name}: a name of 256 bytes", b"E0903" in output.run(where("n" * 256)).stderr, True)

    try:
        os.mknod(where("null"), stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(where("full"), stat.S_IFCHR | 0o666, os.makedev(1, 7))
        os.mknod(where("disk"), stat.S_IFBLK | 0o600, os.makedev(240, 255))
        with open(where("null"), "wb") as file:
            file.write(b"x")
    except OSError as problem:
        print(f"{output.name}: no devices, which were refused here: {problem}")
    else:
        expect(f"{output.name}: a null device", output.run(where("null")).returncode, 0)
        expect(f"{output.name}: a full device", b"E0903" in output.run(where("full")).stderr, True)
        expect(f"{output.name}: a block device", b"E0903" in output.run(where("disk")).stderr, True)
        for name, kind in (("null", stat.S_ISCHR), ("full", stat.S_ISCHR), ("disk", stat.S_ISBLK)):
            expect(f"{output.name}: {name} stays", kind(os.lstat(where(name)).st_mode), True)

    # Never an input, by whichever name.
    for given in output.inputs:
        before = read(given)
        os.symlink(given, where("to-input"))
        os.link(given, where("same-input"))
        for path in (given, where("to-input"), where("same-input"), os.path.join(folder, "..", os.path.basename(given))):
            expect(f"{output.name}: {path}", b"E0960" in output.run(path).stderr, True)
            expect(f"{output.name}: {given} stays", read(given) == before, True)
        os.unlink(where("to-input"))
        os.unlink(where("same-input"))
    left = sorted(set(os.listdir(folder)) - {"plain", "deep", "link", "link2", "dangling", "circle", "opened", "socket",
                                             "null", "full", "disk"})
    expect(f"{output.name}: left behind", left, [])
    expect(f"{output.name}: left behind in the links' folder", sorted(os.listdir(where("deep"))), ["new", "target"])


def dumps(base):
    """--dump writes many files: none over the module, all of them whole."""
    folder = os.path.join(base, "dump")
    program = os.path.join(base, "program.mlir")
    expect("dump", run([COMPILE, program, "-o", os.path.join(base, "x"), f"--dump={folder}"]).returncode, 0)
    names = sorted(os.listdir(folder))
    first = next(name for name in names if name.endswith(".mlir"))
    module = os.path.join(folder, first)
    text = read(program)
    with open(module, "wb") as file:
        file.write(text)
    done = run([COMPILE, module, "-o", os.path.join(base, "x"), f"--dump={folder}"])
    expect("dump over the module", b"E0960" in done.stderr, True)
    expect("the module stays", read(module), text)
    expect("names of dumps", [name for name in os.listdir(folder) if ".part" in name], [])


def checkpoints(base):
    """No file of a checkpoint that has several gives way to an output."""
    folder, stem, trained = os.path.join(base, "folder"), os.path.join(base, "split"), os.path.join(base, "tiny.gguf")
    make_folder.build(trained, folder)
    make_model.build(stem, "--family", "llama", "--type", "Q8_0", "--split", "12")
    shards = sorted(os.path.join(base, name) for name in os.listdir(base) if name.startswith("split-"))
    expect("shards", len(shards) > 1, True)
    weights, kept = os.path.join(folder, "model.safetensors"), os.path.join(base, "cached")
    artifact = os.path.join(base, "tiny.stepdown")
    for model, file in ((folder, weights), (folder, os.path.join(folder, "tokenizer.json")), (shards[0], shards[-1])):
        before = read(file)
        for words, said in (([COMPILE, model, "-o", file, "--target=x86-64-v3"], None),
                            ([COMPILE, model, "--compile-to=linalg", "-o", file], None),
                            ([RUN, "eval", model, "-p", "a b c", "--logits", file], None),
                            ([RUN, "generate", model, "-p", "a", "-n", "1", "--save-session", file], None),
                            ([RUN, "chat", model], f"/save {file}\n/quit\n"),
                            ([RUN, "bench", model, "--serve", "--plot", file], None),
                            ([RUN, "serve", model, "--port", "0", "--trace", file], None)):
            done = run(words, input=said and said.encode(), env={**os.environ, "XDG_CACHE_HOME": kept})
            expect(f"{' '.join(words[1:])}: over a file of the model", b"E0960" in done.stderr, True)
            expect(f"{' '.join(words[1:])}: {file} stays", read(file) == before, True)
    done = run([RUN, "serve", artifact, "--port", "0", "--trace", artifact])
    expect("serve --trace over the model", b"E0960" in done.stderr, True)


def part_files(base):
    """Two at once never share a part file, one whose input shrinks leaves none, and what others left is told apart."""
    folder = os.path.join(base, "parts")
    os.mkdir(folder)
    target = os.path.join(folder, "x.stepdown")
    model = os.path.join(base, "tiny.gguf")
    big = os.path.join(base, "big.gguf")
    make_model.build(big, "--family", "llama", "--type", "F32", "--width", "512", "--ffn", "2048", "--layers", "8")
    others = ["x.stepdown.part1", "x.stepdown.part-0123", "x.stepdown.part-0123456789abcdeg", "x.part-0123456789abcdef"]
    for name in others + ["x.stepdown.part-0123456789abcdef"]: # the last is one that a killed process left
        open(os.path.join(folder, name), "w").close()
    seen = set()
    children = [subprocess.Popen([COMPILE, model, "-o", target, "--target=x86-64-v3"], stderr=subprocess.PIPE) for _ in range(2)]
    while any(child.poll() is None for child in children):
        seen.update(name for name in os.listdir(folder) if ".part-" in name and name not in others)
        time.sleep(0.001)
    expect("two at once", [child.wait() for child in children], [0, 0])
    # Each has one, and a second where the other took its first for stale before it was locked (lib/Base/PartFile.cpp).
    expect("part files of two", len(seen - {"x.stepdown.part-0123456789abcdef"}) >= 2, True)
    expect("files after two", sorted(os.listdir(folder)), sorted(others + ["x.stepdown"]))
    expect("the artifact of two", run([RUN, "inspect", target]).returncode, 0)

    # Two in containers, where both are process 1.
    alone = ["unshare", "--pid", "--fork"]
    if run([*alone, "true"]).returncode:
        print("part files: no namespaces, which were refused here")
    else:
        seen = set()
        children = [subprocess.Popen([*alone, COMPILE, model, "-o", target, "--target=x86-64-v3"], stderr=subprocess.PIPE) for _ in range(2)]
        while any(child.poll() is None for child in children):
            seen.update(name for name in os.listdir(folder) if ".part-" in name and name not in others)
            time.sleep(0.001)
        expect("two of one process number", [child.wait() for child in children], [0, 0])
        expect("part files of two of one number", len(seen) >= 2, True)
        expect("files after two of one number", sorted(os.listdir(folder)), sorted(others + ["x.stepdown"]))
        expect("the artifact of two of one number", run([RUN, "inspect", target]).returncode, 0)
    before = read(target)

    # Cut the checkpoint as soon as the part file is there, and again while weights are packed.
    cut = False
    for wait in (0, 0.02, 0.05, 0.1, 0.2, 0.4):
        copy = os.path.join(base, "shrinks.gguf")
        with open(copy, "wb") as file:
            file.write(read(big))
        child = subprocess.Popen([COMPILE, copy, "-o", target, "--target=x86-64-v3"], stderr=subprocess.PIPE)
        while child.poll() is None and not any(".part-" in n and n not in others for n in os.listdir(folder)):
            time.sleep(0.001)
        time.sleep(wait)
        os.truncate(copy, 4096)
        said = child.communicate(timeout=60)[1]
        cut |= b"E0902" in said and b"cut short" in said
        expect(f"files after the input shrank ({wait} s)", sorted(os.listdir(folder)), sorted(others + ["x.stepdown"]))
        if child.returncode:
            expect(f"the file from before ({wait} s)", read(target) == before, True)
        before = read(target)
    expect("an input that shrank was noticed", cut, True)


def main():
    with tempfile.TemporaryDirectory() as base:
        for number, output in enumerate(outputs(base)):
            folder = os.path.join(base, str(number))
            os.mkdir(folder)
            names(output, folder)
        dumps(base)
        checkpoints(base)
        part_files(base)
    for failure in failures:
        print(failure)
    print(f"outputs: {checks} checks, {len(failures)} failures")
    sys.exit(bool(failures))


main()
