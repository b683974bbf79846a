#!/usr/bin/env python3
"""Gives the IR that --compile-to prints after every phase back with --compile-from.

    printed_ir.py STEPDOWN_COMPILE STEPDOWN_RUN

The artifact must be that of the direct way, byte for byte, for a plain module and for a model; and what is printed from
printed IR must be what is printed directly, but for the numbers of places. Ends with 77 where the Python packages numpy and gguf are missing.
"""
import os, re, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data"))
try:
    import make_model
except ImportError:
    print("skipped: needs the Python packages numpy and gguf")
    sys.exit(77)

COMPILE, RUN = sys.argv[1:]
failures, count = [], 0

# A function with scalars, a constant, sizes that are checked when it runs, and one that a public one calls.
PLAIN = """
func.func private @twice(%x: f32) -> f32 {
  %two = arith.constant 2.0 : f32
  %y = arith.mulf %x, %two : f32
  return %y : f32
}
func.func @sum(%a: tensor<?x7xf32>, %b: tensor<?x7xf32>, %s: f32) -> tensor<?x7xf32> {
  %t = func.call @twice(%s) : (f32) -> f32
  %0 = linalg.elementwise kind=#linalg.elementwise_kind<add> ins(%a, %b : tensor<?x7xf32>, tensor<?x7xf32>) outs(%a : tensor<?x7xf32>) -> tensor<?x7xf32>
  %1 = linalg.map { math.exp } ins(%0 : tensor<?x7xf32>) outs(%b : tensor<?x7xf32>)
  %2 = linalg.fill ins(%t : f32) outs(%1 : tensor<?x7xf32>) -> tensor<?x7xf32>
  %3 = arith.addf %1, %2 : tensor<?x7xf32>
  return %3 : tensor<?x7xf32>
}
func.func @constants(%a: tensor<3xf32>, %n: index) -> (tensor<3xf32>, tensor<5xi32>, f16, tensor<?xf32>) {
  %0 = arith.constant dense_resource<weights> : tensor<3xf32>
  %1 = arith.addf %a, %0 : tensor<3xf32>
  %2 = arith.constant dense<[0x7FC00001, 0xFF800000, 1.0e-45]> : tensor<3xf32>
  %3 = arith.addf %1, %2 : tensor<3xf32>
  %4 = arith.constant dense<[1, -2, 3, -2147483648, 7]> : tensor<5xi32>
  %5 = arith.constant 0x3C01 : f16
  %6 = tensor.empty(%n) : tensor<?xf32>
  %7 = arith.constant 0x80000000 : f32
  %8 = linalg.fill ins(%7 : f32) outs(%6 : tensor<?xf32>) -> tensor<?xf32>
  return %3, %4, %5, %8 : tensor<3xf32>, tensor<5xi32>, f16, tensor<?xf32>
}
func.func @first(%n: index, %a: tensor<13xi32>) -> i32 {
  %c = arith.constant 11 : index
  %small = arith.cmpi ult, %n, %c : index
  cf.assert %small, "expects an index below 11"
  %x = tensor.extract %a[%n] : tensor<13xi32>
  return %x : i32
}
{-#
  dialect_resources: {
    builtin: {
      weights: "0x040000000000803F0000004000004040"
    }
  }
#-}
"""

PRODUCT = """
func.func @product(%a: tensor<61x71xbf16>, %b: tensor<71x67xbf16>, %z: tensor<61x67xf32>) -> tensor<61x67xf32> {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%z : tensor<61x67xf32>) -> tensor<61x67xf32>
  %c = linalg.matmul ins(%a, %b : tensor<61x71xbf16>, tensor<71x67xbf16>) outs(%f : tensor<61x67xf32>) -> tensor<61x67xf32>
  return %c : tensor<61x67xf32>
}
"""


def run(*words):
    return subprocess.run([COMPILE, *words], capture_output=True, text=True)


def good(*words):
    done = run(*words)
    if done.returncode or done.stderr:
        failures.append(f"{' '.join(words)}: {done.stderr.strip()[:300]}")
    return done.stdout


def refused(what, done, status, *texts):
    if done.returncode != status or done.stdout or not all(text in done.stderr for text in texts):
        failures.append(f"{what}: expects status {status} and {texts}, but got {done.returncode}: {done.stderr.strip()[:300]}")


def read(path):
    if not os.path.exists(path):
        return b""
    with open(path, "rb") as file:
        return file.read()


def withoutPlaces(text):
    """IR without its places, whose numbers follow the order in which they were made, and the digest over them."""
    text = re.sub(r"^#loc.*\n", "", text, flags=re.M)
    text = re.sub(r" loc\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)", "", text)
    return re.sub(r', sha256 = "\w+"', "", text)


def write(path, text):
    with open(path, "w") as file:
        file.write(text)
    return path


def everyPhase(base, source, phases, before, after, targets_of=("--target=x86-64-v3",)):
    """`before`: options of the first half, `after`: of the second. Targets are given to both."""
    global count
    path = lambda name: os.path.join(base, name)
    name = os.path.basename(source)
    for targets in targets_of:
        direct = path("direct.stepdown")
        good(source, "-o", direct, targets, *before)
        expected = read(direct)
        printed = {phase: good(source, f"--compile-to={phase}", targets, *before) for phase in phases}
        for at, phase in enumerate(phases):
            ir, back = write(path(f"{phase}.mlir"), printed[phase]), path("back.stepdown")
            if phase in ("vector", "cpu") and targets == "--target=cpu":  # the printed level is one of several
                done = run(ir, f"--compile-from={phase}", "-o", back, *after)
                if done.returncode:
                    failures.append(f"{name}: {phase} of one level: {done.stderr}")
            else:
                good(ir, f"--compile-from={phase}", "-o", back, targets, *after)
                if read(back) != expected:
                    failures.append(f"{name}: {phase}: {targets}: expects the artifact of the direct way, but it differs")
                count += 1
            if os.path.exists(back):
                os.unlink(back)
            for later in phases[at + 1 : at + 2] if targets != "--target=cpu" else ():
                if withoutPlaces(good(ir, f"--compile-from={phase}", f"--compile-to={later}", targets)) != withoutPlaces(printed[later]):
                    failures.append(f"{name}: {phase} to {later}: expects the IR of the direct way, but it differs")
                count += 1


def main():
    with tempfile.TemporaryDirectory() as base:
        path = lambda name: os.path.join(base, name)
        phases = [line.split()[0] for line in good("--compile-to=help").splitlines()]
        plain = write(path("plain.mlir"), PLAIN)
        # Phases of functions have the same names, and say what they do with functions.
        functions = good(plain, "--compile-to=help")
        if [line.split()[0] for line in functions.splitlines()] != phases or functions == good("--compile-to=help"):
            failures.append(f"expects the phases of functions, but got: {functions}")
        everyPhase(base, plain, phases, [], [], ("--target=x86-64-v3", "--target=cpu"))
        model = path("tiny.gguf")
        make_model.build(model, "--family", "gemma3", "--type", "Q8_0", "--layers", "2")
        everyPhase(base, model, phases, ["--activations=q8", "--max-context=67"], ["--weights", model])
        exact = path("exact.gguf")
        make_model.build(exact, "--family", "llama", "--type", "Q4_0", "--layers", "1", "--vocab", "397")
        everyPhase(base, exact, phases, ["--exact"], ["--weights", exact])
        # With weights of bfloat16 `cpu` stands for a level more, but not where kernels of one level are read back.
        bfloats = path("bfloats.gguf")
        make_model.build(bfloats, "--family", "llama", "--type", "BF16", "--layers", "1", "--vocab", "397")
        everyPhase(base, bfloats, ["transformer", "packing", "tiles", "vector"], [], ["--weights", bfloats], ("--target=cpu",))
        mixed = path("mixed.gguf")
        make_model.build(mixed, "--family", "llama", "--type", "Q8_0", "--layers", "1", "--vocab", "397", "--mix", "ffn_down=BF16")
        for target in ("x86-64-v3", "aarch64-dotprod"):
            ir = write(path("one.mlir"), good(mixed, "--compile-to=vector", f"--target={target}"))
            good(ir, "--compile-from=vector", "-o", path("one.stepdown"), "--weights", mixed)
            told = subprocess.run([RUN, "inspect", path("one.stepdown")], capture_output=True, text=True).stdout
            if target not in told or "x86-64-v4-bf16" in told:
                failures.append(f"kernels of {target} alone: expects its code alone, but got: {told}")
            os.unlink(path("one.stepdown"))

        # What does not belong together is refused, by number.
        linalg, tiles = write(path("l.mlir"), good(model, "--compile-to=linalg")), write(path("t.mlir"), good(model, "--compile-to=tiles"))
        output = path("x.stepdown")
        refused("no weights", run(linalg, "--compile-from=linalg", "-o", output), 1, "error E0832", "--weights")
        refused("wrong phase", run(tiles, "--compile-from=packing", "-o", output, "--weights", model), 1, "error E0855: " + tiles + ":", "'scf.forall")
        cache = write(path("cache.mlir"), re.sub(r'kv_type = "\w+"', 'kv_type = "f17"', open(linalg, encoding="utf-8").read()))
        refused("a cache of another type", run(cache, "--compile-from=linalg", "-o", output, "--weights", model), 1, "error E0855: ", "kv_type f16, f32, q8_0 or fp8_e4m3")
        refused("unknown phase", run(tiles, "--compile-from=tile", "-o", output), 1, "error E0832", "did you mean tiles?")
        refused("backwards", run(tiles, "--compile-from=tiles", "--compile-to=linalg"), 1, "error E0832", "after 'tiles'")
        refused("options of the first half", run(tiles, "--compile-from=tiles", "--exact"), 2, "error E0905", "--exact")
        refused("a module of somebody", run(plain, "--compile-from=transformer", "-o", output), 1, "error E0855", "expects one module")
        foreign = write(path("foreign.mlir"), "\nmodule {\n  func.func @f(%a: tensor<3xf32>) -> tensor<3xf32> {\n    return %a : tensor<3xf32>\n  }\n}\n")
        refused("a module without the attribute", run(foreign, "--compile-from=fusion", "-o", output), 1, "error E0855: " + foreign + ":2:1:", "transformer.compiled")
        first = good(plain, "--compile-to=transformer")
        refused("an earlier phase", run(write(path("early.mlir"), first), "--compile-from=fusion", "-o", output), 1, "error E0855: ", "early.mlir:",
                "expects IR of the phase 'fusion', but got that of 'transformer'")
        for what, old, new in (("no phase", 'phase = "transformer"', 'fase = "transformer"'), ("functions", 'functions = [["sum", ', 'functions = [[7, '),
                               ("source", "bytes = ", "bites = ")):
            refused(what, run(write(path("damaged.mlir"), first.replace(old, new, 1)), "--compile-from=transformer", "-o", output), 1,
                    "error E0855: ", "damaged.mlir:", "transformer.compiled: expects ")
        # A type that no longer fits: told by the line of the text, not by that of the program it was made from.
        lines = first.splitlines()
        at = next(i for i, line in enumerate(lines) if "arith.mulf" in line)
        lines[at] = lines[at].replace(": f32", ": f64")
        refused("another type", run(write(path("types.mlir"), "\n".join(lines)), "--compile-from=transformer", "-o", output), 1,
                "error E0833: ", f"types.mlir:{at + 1}:")
        at = next(i for i, line in enumerate(lines) if "linalg.map" in line or "linalg.fill" in line)
        lines = first.splitlines()
        refused("half of it", run(write(path("half.mlir"), "\n".join(lines[:at])), "--compile-from=transformer", "-o", output), 1, "error E0833: ", "half.mlir:")
        refused("no module", run(write(path("bad.mlir"), "func.func @f( {"), "--compile-from=linalg", "-o", output), 1, "error E0833", "bad.mlir:1:")
        refused("a checkpoint", run(model, "--compile-from=linalg", "-o", output), 1, "error E0833")
        other = path("other.gguf")
        make_model.build(other, "--family", "llama", "--type", "Q8_0")
        refused("another checkpoint", run(tiles, "--compile-from=tiles", "-o", output, "--weights", other), 1, "error E0856")
        with open(tiles) as file:
            text = file.read()
        changed = write(path("changed.mlir"), text.replace("by_rows", "", 1) if "by_rows" in text else text.replace("transformer.dispatch", "transformer.dispatched", 1))
        done = run(changed, "--compile-from=tiles", "-o", output, "--weights", model)
        if done.returncode != 1 or "error E08" not in done.stderr:
            failures.append(f"changed program: expects a refusal, but got {done.returncode}: {done.stderr}")
        vector = write(path("v.mlir"), good(plain, "--compile-to=vector", "--target=x86-64-v3"))
        refused("another level", run(vector, "--compile-from=vector", "--target=x86-64-v4-vnni", "-o", output), 1, "error E0832", "--target=x86-64-v3")
        if os.path.exists(output):
            failures.append("expects no artifact of refused IR")
        # A kernel that its chip cannot have is refused by its own number.
        product = write(path("product.mlir"), PRODUCT)
        packed = good(product, "--compile-to=packing", "--target=emulated:sm_80")
        for what, old, new, *texts in (("slots", "<4 x memref", "<7 x memref", "error E1017: ", "on sm_80", "6 slots in place of 7 would fit"),
                                       ("elements", "bf16", "f32", "error E1016: ", "'tile.mma' op expects tiles of bf16, f16 or i8 on sm_80, but got")):
            refused(what, run(write(path("kernel.mlir"), packed.replace(old, new)), "--compile-from=packing", "--target=emulated:sm_80", "-o", output), 1, *texts)
        # IR says what it was made for, also where that is no target of those that are compiled for without --target.
        direct, vector = path("direct.stepdown"), path("v.mlir")
        good(plain, "-o", direct, "--target=aarch64-dotprod")
        good(plain, "--compile-to=vector", "--target=aarch64-dotprod", "-o", vector)
        good(vector, "--compile-from=vector", "-o", output)
        if read(output) != read(direct):
            failures.append("IR for aarch64-dotprod: expects the artifact of the direct way, but it differs")

        # A change is computed, and told by the artifact.
        edited = write(path("edited.mlir"), good(plain, "--compile-to=transformer").replace("2.000000e+00", "3.000000e+00"))
        good(edited, "--compile-from=transformer", "-o", output)
        told = subprocess.run([RUN, "inspect", output], capture_output=True, text=True).stdout
        if 'file: "edited.mlir"\n    phase: "transformer"' not in told:
            failures.append(f"expects inspect to tell of edited IR, but got: {told[-400:]}")
    print("\n".join(failures) or f"printed IR: {count} ways on, all to the bytes of the direct one")
    sys.exit(1 if failures else 0)


main()
