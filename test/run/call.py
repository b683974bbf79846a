#!/usr/bin/env python3
"""Compiles plain MLIR modules, calls their functions, and compares with numpy in float64.

    call.py STEPDOWN_COMPILE STEPDOWN_RUN

Every function runs with the code of each level that the processor has. Ends with 77, which ctest takes for skipped, where
the Python package numpy is missing.
"""
import json, os, subprocess, sys, tempfile

try:
    import numpy as np
except ImportError:
    print("skipped: needs the Python package numpy")
    sys.exit(77)

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import call_cases

COMPILE, RUN = sys.argv[1:]
failures, skipped = [], set()


def run(program, *words):
    return subprocess.run([program, *words], capture_output=True, text=True)


def refused(what, done, code, *texts):
    """Exit status 1, nothing on stdout, and one line with `code` (or how it begins) and `texts` on stderr."""
    if done.returncode != 1 or done.stdout:
        failures.append(f"{what}: expects a refusal, but got status {done.returncode}: {done.stdout[:200]}{done.stderr[:200]}")
    for text in (f"error {code}", *texts):
        if text not in done.stderr:
            failures.append(f"{what}: expects '{text}' in: {done.stderr.strip()[:400]}")


class Folder:
    """A temporary folder with programs and arrays in it."""

    def __init__(self, path):
        self.path, self.count = path, 0

    def name(self, suffix):
        self.count += 1
        return os.path.join(self.path, f"{self.count}{suffix}")

    def write(self, text):
        name = self.name(".mlir")
        with open(name, "w", encoding="utf-8") as file:
            file.write(text)
        return name

    def array(self, value):
        name = self.name(".npy")
        np.save(name, value)
        return name


def levels(artifact):
    """The levels of `artifact` that this processor executes."""
    targets = json.loads(run(RUN, "inspect", artifact, "--json").stdout)["targets"]
    skipped.update(target["isa"] for target in targets if not target["runs_here"])
    return [target["isa"] for target in targets if target["runs_here"]]


def check_case(folder, case):
    source, output = folder.write(case.text), folder.name(".stepdown")
    done = run(COMPILE, source, "-o", output)
    if done.returncode:
        failures.append(f"{case.name}: expects to compile, but: {done.stderr.strip()[:600]}")
        return
    for call in case.calls:
        words = [word for value in call.arguments for word in ("--arg", folder.array(value))]
        for level in levels(output):
            what = f"{case.name}: {call.function} at {level}"
            files = [folder.name(".npy") for _ in call.expected]
            done = run(RUN, "call", output, call.function, *words, *[w for f in files for w in ("--out", f)],
                       "--isa", level, "--json")
            if done.returncode:
                failures.append(f"{what}: {done.stderr.strip()[:400]}")
                continue
            told = json.loads(done.stdout)
            if told["function"] != call.function or told["isa"] != level or len(told["results"]) != len(call.expected):
                failures.append(f"{what}: expects another description than {done.stdout.strip()}")
            for i, (file, expected) in enumerate(zip(files, call.expected)):
                compare(f"{what}: result {i}", np.load(file), np.asarray(expected), call)


def compare(what, got, expected, call):
    if got.shape != expected.shape:
        failures.append(f"{what}: expects shape {expected.shape}, but got {got.shape}")
    elif call.exact:
        if not np.array_equal(got, expected):
            failures.append(f"{what}: expects {expected.ravel()[:6]}, but got {got.ravel()[:6]}")
    else:
        a, b = got.astype(np.float64), expected.astype(np.float64)
        if not np.allclose(a, b, rtol=call.rtol, atol=call.atol, equal_nan=True):
            worst = np.nanargmax(np.where(np.isfinite(a - b), np.abs(a - b), 0)) if a.size else 0
            failures.append(f"{what}: expects {b.ravel()[worst]!r} at {worst}, but got {a.ravel()[worst]!r}")


def check_refusals(folder):
    for name, text, code, words in call_cases.refused_programs():
        output = folder.name(".stepdown")
        source = folder.write(text)
        refused(name, run(COMPILE, source, "-o", output), code, source + ":", *words)
        if [file for file in os.listdir(folder.path) if file.startswith(os.path.basename(output))]:
            failures.append(f"{name}: expects nothing to be written")
    source, output = folder.write(call_cases.MATMUL), folder.name(".stepdown")
    run(COMPILE, source, "-o", output)
    a, b = folder.array(np.ones((5, 3), np.float32)), folder.array(np.ones((3, 7), np.float32))
    args = ["--arg", a, "--arg", b]
    refused("unknown function", run(RUN, "call", output, "mattmul", *args), "E0620", "matmul", '"mattmul"')
    refused("one argument", run(RUN, "call", output, "matmul", "--arg", a), "E0621", "expects 2 arguments", "got 1")
    refused("another shape", run(RUN, "call", output, "matmul", "--arg", b, "--arg", b), "E0622", "argument 0",
            "f32 [5, 3]", "f32 [3, 7]")
    double = folder.array(np.ones((3, 7)))
    refused("another type", run(RUN, "call", output, "matmul", "--arg", a, "--arg", double), "E0622", "argument 1",
            "f32 [3, 7]", "f64 [3, 7]")
    refused("another device", run(RUN, "call", output, "matmul", *args, "--device", "emulated:sm_90a"), "E0911",
            "for device emulated:sm_90a", "the artifact holds targets cpu")
    refused("a device that is none", run(RUN, "call", output, "matmul", *args, "--device", "gpu"), "E0911",
            "cpu, emulated:sm_80, emulated:sm_90a, emulated:gfx90a, emulated:gfx942, emulated:gfx950, emulated:gfx1100, emulated:gfx1201, nvidia:sm_80, nvidia:sm_90a, amd:gfx90a, amd:gfx942, amd:gfx950, amd:gfx1100, amd:gfx1201", '"gpu"')
    refused("too many results", run(RUN, "call", output, "matmul", *args, "--out", a, "--out", b), "E0621", "at most 1")
    twice = folder.name(".stepdown")
    run(COMPILE, folder.write("func.func @both(%x: tensor<7xf32>) -> (tensor<7xf32>, tensor<7xf32>) {\n"
                              "  return %x, %x : tensor<7xf32>, tensor<7xf32>\n}\n"), "-o", twice)
    out = folder.name(".npy")
    done = run(RUN, "call", twice, "both", "--arg", "random:f32[7]", "--out", out, "--out", out)
    if done.returncode != 2 or f"--out {out} twice" not in done.stderr or os.path.exists(out):
        failures.append(f"two results in one file: expects a refusal, but got {done.returncode}: {done.stderr.strip()[:300]}")
    refused("no text", run(RUN, "generate", output, "-p", "hello"), "E0510", "functions")
    refused("no tokens", run(RUN, "tokenize", output, "-p", "hello"), "E0510", "functions")
    refused("not an artifact", run(RUN, "call", source, "matmul", *args), "E0502", "expects an artifact")
    refused("no file", run(RUN, "call", output + "x", "matmul", *args), "E0901")
    if run(RUN, "call", output).returncode != 2:
        failures.append("call without a function: expects status 2")
    done = run(RUN, "call", output, "matmul", *args, "--repeat", "3")
    if done.returncode or "f32 [5, 7]: 3 3 3" not in done.stdout or "3 runs" not in done.stdout:
        failures.append(f"summary: expects shape, values and times, but got: {done.stdout}{done.stderr}")
    described = json.loads(run(RUN, "inspect", output, "--json").stdout)
    expected = {"name": "matmul", "arguments": ["f32 [5, 3]", "f32 [3, 7]"], "results": ["f32 [5, 7]"]}
    if described.get("functions") != [expected]:
        failures.append(f"inspect: expects {expected}, but got {described.get('functions')}")


def check_failing_calls(folder):
    """Checks that fail while a function runs are errors of the call, at every level."""
    source, output = folder.write(call_cases.FAILING), folder.name(".stepdown")
    done = run(COMPILE, source, "-o", output)
    if done.returncode:
        failures.append(f"failing calls: {done.stderr}")
        return
    for level in levels(output):
        for function, arguments, code, words in call_cases.failing_calls():
            files = [word for value in arguments for word in ("--arg", folder.array(value))]
            refused(f"{function} at {level}", run(RUN, "call", output, function, *files, "--isa", level), code, *words)


def check_phases(folder):
    source = folder.write(call_cases.MATMUL)
    for phase, word in (("transformer", "linalg.matmul"), ("linalg", "linalg.matmul"), ("buffers", "memref"),
                        ("vector", "scf.for"), ("cpu", "llvm.func @matmul")):
        done = run(COMPILE, source, f"--compile-to={phase}")
        if done.returncode or word not in done.stdout:
            failures.append(f"--compile-to={phase}: expects '{word}', but got: {done.stderr}{done.stdout[:300]}")
    dump = folder.name("")
    done = run(COMPILE, source, "-o", folder.name(".stepdown"), f"--dump={dump}", "--time-report")
    for name in ("00-transformer.mlir", "matmul.x86-64-v3.s"):
        if not os.path.exists(os.path.join(dump, name)):
            failures.append(f"--dump: expects {name}, but there are {sorted(os.listdir(dump))}")
    if "code.x86-64-v3" not in done.stdout:
        failures.append(f"--time-report: expects seconds of the code, but got: {done.stdout}{done.stderr}")


def main():
    with tempfile.TemporaryDirectory() as base:
        folder = Folder(base)
        cases = call_cases.cases()
        for case in cases:
            check_case(folder, case)
        check_refusals(folder)
        check_failing_calls(folder)
        check_phases(folder)
    for failure in failures:
        print("FAILED " + failure)
    for level in sorted(skipped):
        print(f"skipped {level}: this processor lacks it")
    print(f"call: {len(cases)} programs, {len(failures)} failures")
    sys.exit(1 if failures else 0)


main()
