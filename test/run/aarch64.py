#!/usr/bin/env python3
"""Code of aarch64-dotprod gives what x86-64-v3's gives, byte for byte, under an emulator of the processor.

    aarch64.py STEPDOWN_COMPILE STEPDOWN_RUN RUNNER [--all]

RUNNER is the stepdown-run that tools/build-aarch64.sh builds, executed by qemu-aarch64-static. A model with a matrix of
every storage type in steps of every bucket of tokens, and one in float32 with a window and a soft-cap, each from one
file with code of both architectures; the first tokens of SmolLM2, where the checkpoint is; what the assembly of its
kernels holds; and some operations of plain modules against references that know nothing of it (--all: all of them, and
Gemma 3). Ends with 77, which ctest takes for skipped, where something that it needs is missing.
"""
import glob, itertools, os, re, shutil, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "data")]
COMPILE, RUN, RUNNER = sys.argv[1:4]
ALL = "--all" in sys.argv
QEMU = "qemu-aarch64-static"


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


if not shutil.which(QEMU):
    skip(f"needs {QEMU}, which the Debian package qemu-user-static has")
if not os.path.exists(RUNNER):
    skip("needs a stepdown-run for AArch64, which tools/build-aarch64.sh builds")
try:
    import numpy as np
    import make_model
    import operation_arith, operation_case, operation_linalg, operation_math, operation_tensor
except ImportError:
    skip("needs the Python packages numpy and gguf")

ARM, HERE_ISA = [QEMU, RUNNER], [RUN]
EVERY = 1 if ALL else 61  # of so many operations one
operation_case.SCALARS = 1  # calls of a function: the emulator takes a while to start
failures = []


def run(command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def output(*command):
    done = run(command)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: status {done.returncode}: {done.stderr}")
    return done.stdout


def refused(what, number, *command):
    done = run(command)
    if done.returncode == 0 or number not in done.stderr:
        failures.append(f"{what}: expects {number}, but got status {done.returncode}: {done.stderr}")
    return done.stderr


def same_logits(what, artifact, folder, *options):
    """Of both architectures' code in `artifact`; how many bytes."""
    rows = []
    for command, isa in ((ARM, "aarch64-dotprod"), (HERE_ISA, "x86-64-v3")):
        path = os.path.join(folder, "logits.npy")
        output(*command, "eval", artifact, "--isa", isa, *options, "--logits", path)
        with open(path, "rb") as file:
            rows.append(file.read())
    if rows[0] != rows[1]:
        differing = sum(a != b for a, b in zip(*rows))
        failures.append(f"{what}: expects the same logits, but {differing} of {len(rows[0])} bytes differ")
    return len(rows[0])


def check_made_models(folder):
    made = {("mixed", ""): "--family llama --type mixed --layers 3 --width 256 --heads 4 --kv-heads 2 --head-dim 64 --ffn 512",
            ("window", "--exact"): "--family gemma3 --type Q8_0 --layers 2 --pattern 1,0 --window 16 --softcap 10"}
    tokens = ",".join(str(7 * i % 389) for i in range(37))
    compared, size = 0, 0
    for (name, exact), options in made.items():
        model, artifact = os.path.join(folder, name + ".gguf"), os.path.join(folder, name)
        make_model.build(model, *options.split(), "--context", "64")
        output(COMPILE, model, "-o", artifact, "--target", "x86-64-v3,aarch64-dotprod", *exact.split())
        for chunk in ("1", "3", "37"):
            compared += 1
            size += same_logits(f"{name} in chunks of {chunk}", artifact, folder, "--chunk", chunk, "--threads", "2",
                                "--tokens", tokens, *exact.split())
    return compared, size


def check_first_tokens(folder, name, count):
    model = os.path.join(os.environ.get("STEPDOWN_MODELS") or os.path.join(HERE, "..", "..", "models"), name + ".gguf")
    if not os.path.exists(model):
        print(f"left out: needs {name}.gguf, which tools/fetch-models.sh fetches")
        return
    artifact, dump = os.path.join(folder, name + ".stepdown"), os.path.join(folder, "dump")
    os.makedirs(dump, exist_ok=True)
    output(COMPILE, model, "-o", artifact, "--target", "x86-64-v3,aarch64-dotprod", "--dump", dump)
    prompt = "The capital of France is"
    same_logits(f"{name}: the prompt", artifact, folder, "-p", prompt)
    said = [output(*command, "generate", artifact, "--isa", isa, "-p", prompt, "-n", str(count), "--temperature", "0", "--json")
            for command, isa in ((ARM, "aarch64-dotprod"), (HERE_ISA, "x86-64-v3"))]
    tokens = [re.search(r'"tokens":(\[[^]]*\])', text) for text in said]
    if None in tokens or tokens[0].group(1) != tokens[1].group(1):
        failures.append(f"{name}: expects the same tokens, but got {said[0]} and {said[1]}")
    else:
        print(f"{name}: {prompt!r} goes on with tokens {tokens[0].group(1)} on both")
    check_assembly(name, dump)
    refused("no code for AArch64", "E0508", *ARM, "generate", artifact, "--isa", "x86-64-v3", "-p", "x", "-n", "1")
    refused("no code for x86-64", "E0508", RUN, "generate", artifact, "--isa", "aarch64-dotprod", "-p", "x", "-n", "1")
    refused("no dot products", "E0508", QEMU, "-cpu", "cortex-a53", RUNNER, "generate", artifact, "-p", "x", "-n", "1")
    said = refused("a device of x86-64", "E0911", *ARM, "generate", artifact, "--device", "emulated:sm_90a", "-p", "x", "-n", "1")
    if "executes code of x86-64" not in said:
        failures.append(f"a device of x86-64: expects its reason, but got {said}")


def check_assembly(name, dump):
    """Linear layers multiply by sdot, nothing is called, and accumulators stay in registers."""
    kernels = glob.glob(os.path.join(dump, "*.aarch64-dotprod.s"))
    linear = [path for path in kernels if re.match(r"(linear|gated_linear|logits)_", os.path.basename(path))]
    if not linear:
        failures.append(f"{name}: expects the assembly of linear layers in {dump}")
    for path in kernels:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        what = f"{name}: {os.path.basename(path)}"
        if path in linear and len(re.findall(r"\tsdot\t", text)) < 32:
            failures.append(f"{what}: expects products by sdot")
        if re.search(r"^\tblr?\t", text, re.M):
            failures.append(f"{what}: expects no call")
        # Of a register as spilled: a quadword beside the stack pointer.
        spilled = len(re.findall(r"Folded (?:Spill|Reload)", text))
        if path in linear and spilled > 48:
            failures.append(f"{what}: expects accumulators in registers, but {spilled} instructions store and reload what was spilled")


def check_operations(folder):
    cases = itertools.chain(operation_arith.cases(), operation_math.cases(), operation_linalg.cases(), operation_tensor.cases())
    cases = list(cases)[::EVERY]
    for start in range(0, len(cases), 48):
        batch = cases[start:start + 48]
        source, artifact = os.path.join(folder, "f.mlir"), os.path.join(folder, "f.stepdown")
        with open(source, "w", encoding="utf-8") as file:
            file.writelines(case.function(f"f{i}") for i, case in enumerate(batch))
        output(COMPILE, source, "-o", artifact, "--target", "aarch64-dotprod")
        for i, case in enumerate(batch):
            results = count_results(case.function("f"))
            try:
                problems = case.check(lambda *arrays, i=i, n=results: call(folder, artifact, f"f{i}", arrays, n))
            except RuntimeError as error:
                problems = [f"{case.name} of {case.column}: {error}"]
            failures.extend(problems)
    return len(cases)


def count_results(function):
    """Of a function's text: types between the outer parentheses behind the arrow."""
    depth, count, text = 0, 1, function.split("->", 1)[1].split("{", 1)[0].strip()
    if text == "()":
        return 0
    for letter in text[1:-1] if text.startswith("(") else "":
        depth += {"<": 1, "(": 1, ">": -1, ")": -1}.get(letter, 0)
        count += letter == "," and depth == 0
    return count


def call(folder, artifact, function, arrays, results):
    command = [*ARM, "call", artifact, function]
    for i, one in enumerate(arrays):
        path = os.path.join(folder, f"a{i}.npy")
        np.save(path, one)
        command += ["--arg", path]
    outs = [os.path.join(folder, f"r{i}.npy") for i in range(results)]
    for path in outs:
        command += ["--out", path]
    done = run(command)
    if done.returncode:
        raise RuntimeError(f"status {done.returncode}: {done.stderr.strip()[:400]}")
    return [np.load(path) for path in outs]


def main():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        if " avx2" not in file.read():
            skip("needs a processor with AVX2 to compare with")
    with tempfile.TemporaryDirectory() as folder:
        compared, size = check_made_models(folder)
        check_first_tokens(folder, "smollm2", 2)
        if ALL:
            check_first_tokens(folder, "gemma3", 7)
        operations = check_operations(folder)
    for failure in failures:
        print("FAILED " + failure)
    print(f"{size} bytes of logits of {compared} runs are compared with x86-64-v3's, {operations} operations with their references; "
          f"{len(failures)} failures")
    sys.exit(1 if failures else 0)


main()
