#!/usr/bin/env python3
"""Types the lines of the documents that begin with `$`, in a folder that looks like a clone in which tools/quickstart.sh ran,
and compares what the programs print with what the documents say.

    docs_as_typed.py BUILD [DOCUMENT...]

Left out are the two commands of the README that make the clone and run this test, its chat, which needs a terminal, and
its server, which does not end by itself.
What stands below a command is its output; `...` stands for any lines, and the numbers that a machine decides (times, the level
of its instructions, bytes of code) for any. Where nothing stands below, the command only must succeed. /opt/stepdown is a folder
of the test's. Ends with 77, which ctest takes for skipped, where SmolLM2 is missing or no package index answers.
"""
import os, re, shutil, subprocess, sys, tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODEL = os.path.join(os.environ.get("STEPDOWN_MODELS", os.path.join(ROOT, "models")), "smollm2.gguf")
DOCUMENTS = ["README.md", "docs/embedding.md", "docs/programs.md", "docs/adding-a-model.md"]
NOT_TYPED = ("tools/quickstart.sh", "tools/check.sh", "build/bin/stepdown-run chat ", "build/bin/stepdown-run serve ")
MACHINE = [(r"\d+\.\d+ ms", "T ms"), (r" +\d+\.\d{3} s$", " T s"), (r"x86-64-v\d(-vnni)?", "LEVEL"), (r'"code_bytes":\d+', '"code_bytes":N'),
           (r'"runs_here":\w+', '"runs_here":B')]


def typed(document):
    """(command, lines below it) of a document's indented blocks, in order."""
    found, current, blank = [], None, 0
    with open(os.path.join(ROOT, document), encoding="utf-8") as file:
        for line in file.read().splitlines():
            if line.startswith("    $ "):
                current, blank = [], 0
                if not line[6:].startswith(NOT_TYPED):
                    found.append((line[6:], current))
            elif line.startswith("    ") and current is not None:
                current += [""] * blank + [line[4:]]
                blank = 0
            elif not line:
                blank += 1
            else:
                current = None
    return found


def clone(folder, build):
    """A folder with everything of the repository in it, the build, and SmolLM2 compiled."""
    for name in os.listdir(ROOT):
        if not name.startswith((".", "build", "models", "python")):
            os.symlink(os.path.join(ROOT, name), os.path.join(folder, name))
    os.symlink(build, os.path.join(folder, "build"))
    os.symlink(os.path.join(ROOT, "examples/program.mlir"), os.path.join(folder, "program.mlir"))
    shutil.copytree(os.path.join(ROOT, "python"), os.path.join(folder, "python"))  # pip builds in it
    os.mkdir(os.path.join(folder, "models"))
    os.symlink(MODEL, os.path.join(folder, "models/smollm2.gguf"))
    subprocess.run([os.path.join(build, "bin/stepdown-compile"), "models/smollm2.gguf", "-o", "models/smollm2.stepdown"],
                   cwd=folder, check=True, stdout=subprocess.DEVNULL)


def run_all(commands, folder, build):
    """(status, output) of each, one after the other in one shell."""
    mark = "\x01"
    script = "".join(f"{command}\nprintf '\\n{mark}%s{mark}\\n' $?\n" for command, _ in commands)
    script = script.replace("/opt/stepdown", os.path.join(folder, "opt"))
    paths = [os.path.join(build, "bin"), os.environ["PATH"]]
    done = subprocess.run(["bash", "-c", script], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", env={**os.environ, "PATH": ":".join(paths)})
    pieces = done.stdout.split(mark)
    return [(int(pieces[i + 1]), pieces[i].lstrip("\n") if i else pieces[i]) for i in range(0, len(pieces) - 1, 2)]


def pattern(lines):
    text = "\n".join(lines)
    for machine, word in MACHINE:
        text = re.sub(machine, word, text, flags=re.M)
    return re.compile(r"\n".join(r"(?s:.*?)" if line == "..." else re.escape(line) for line in text.split("\n")))


def check(document, folder, build):
    failures, commands = [], typed(document)
    results = run_all(commands, folder, build)
    if not commands or len(results) != len(commands):
        return [f"{document}: expects {len(commands)} commands to run, and more than none, but {len(results)} did"]
    for (command, lines), (status, output) in zip(commands, results):
        refusal = any(re.search(r"error E\d{4}:", line) for line in lines)
        if status != refusal:
            failures.append(f"{document}: {command}: expects status {int(refusal)}, but got {status}: {output[-600:]}")
        elif lines:
            output = output.rstrip("\n")
            for machine, word in MACHINE:
                output = re.sub(machine, word, output, flags=re.M)
            if not pattern(lines).fullmatch(output):
                failures.append(f"{document}: {command}: expects\n" + "\n".join(lines) + f"\nbut got\n{output[:3000]}")
    print(f"{document}: {len(commands)} commands, {len(failures)} failures")
    return failures


def main():
    build, documents = os.path.abspath(sys.argv[1]), sys.argv[2:] or DOCUMENTS
    if not os.path.exists(MODEL):
        print(f"skipped: needs {MODEL}, which tools/fetch-models.sh fetches")
        sys.exit(77)
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        if subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", os.path.join(folder, "probe"), "numpy"],
                          stdout=subprocess.DEVNULL).returncode:
            print("skipped: no package index answers")
            sys.exit(77)
        clone(folder, build)
        for document in documents:
            failures += check(document, folder, build)
    for failure in failures:
        print("FAILED " + failure)
    sys.exit(1 if failures else 0)


main()
