#!/usr/bin/env python3
"""Calls functions with arrays that are written on the command line, and compares with what numpy makes of the same words.

    written_arrays.py STEPDOWN_COMPILE STEPDOWN_RUN

Ends with 77, which ctest takes for skipped, where the Python package numpy is missing.
"""
import json, os, subprocess, sys, tempfile

try:
    import numpy as np
except ImportError:
    print("skipped: needs the Python package numpy")
    sys.exit(77)

COMPILE, RUN = sys.argv[1:]
MATMUL = """
func.func @matmul(%a: tensor<5x3xf32>, %b: tensor<3x7xf32>) -> tensor<5x7xf32> {
  %zero = arith.constant dense<0.0> : tensor<5x7xf32>
  %c = linalg.matmul ins(%a, %b : tensor<5x3xf32>, tensor<3x7xf32>) outs(%zero : tensor<5x7xf32>) -> tensor<5x7xf32>
  return %c : tensor<5x7xf32>
}
"""
TYPES = {"f32": np.float32, "f16": np.float16, "f64": np.float64, "i1": np.bool_, "i8": np.int8, "i16": np.int16,
         "i32": np.int32, "i64": np.int64, "index": np.int64}
# Bits of 1.5, -2 and the type's largest number.
EIGHTS = {"f8E4M3FN": ([0x3C, 0xC0, 0x7E], 448, "V1"), "f8E5M2": ([0x3E, 0xC0, 0x7B], 57344, "f1")}
failures = []


def run(program, *words):
    return subprocess.run([program, *words], capture_output=True, text=True)


def philox(seed, argument, place):
    """Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011): the first two of its words, for an array of places."""
    key = np.array([seed & 0xFFFFFFFF, seed >> 32], np.uint64)
    place = np.asarray(place, np.uint64)
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    x = [place & low, place >> shift, np.full_like(place, argument), np.zeros_like(place)]
    for _ in range(10):
        p, q = np.uint64(0xD2511F53) * x[0], np.uint64(0xCD9E8D57) * x[2]
        x = [q >> shift ^ x[1] ^ key[0], q & low, p >> shift ^ x[3] ^ key[1], p & low]
        key = key + np.array([0x9E3779B9, 0xBB67AE85], np.uint64) & low
    return x[0], x[1]


def random_array(name, shape, seed, argument):
    """What random:TYPE[SIZES] gives, as docs/programs.md says it."""
    dtype = TYPES[name]
    high, low = philox(seed, argument, np.arange(int(np.prod(shape))))
    if dtype == np.bool_:
        values = high >> np.uint64(31)
    elif np.issubdtype(dtype, np.floating):
        values = ((high << np.uint64(32) | low) >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1
    elif name == "index":
        values = high * np.uint64(101) >> np.uint64(32)
    else:
        values = (high * np.uint64(201) >> np.uint64(32)).astype(np.int64) - 100
    return values.astype(dtype).reshape(shape)


def program():
    text = "".join(f"func.func @{t}(%a: tensor<?x3x{t}>) -> tensor<?x3x{t}> {{\n  return %a : tensor<?x3x{t}>\n}}\n"
                   for t in [*TYPES, "bf16", *EIGHTS])
    text += "".join(f"func.func @scalar_{t}(%a: {t}) -> {t} {{\n  return %a : {t}\n}}\n" for t in TYPES)
    return text + MATMUL


def result(folder, artifact, what, *words):
    """The result of a call as an array; None, and a failure, where it is refused."""
    file = os.path.join(folder, "result.npy")
    done = run(RUN, "call", artifact, *words, "--out", file)
    if done.returncode:
        failures.append(f"{what}: {done.stderr.strip()[:400]}")
        return None
    return np.load(file)


def same(what, got, expected):
    expected = np.asarray(expected)
    if got is not None and (got.dtype != expected.dtype or got.shape != expected.shape or not np.array_equal(got, expected)):
        failures.append(f"{what}: expects {expected!r}, but got {got!r}")


def check_types(folder, artifact):
    for name, dtype in TYPES.items():
        call = lambda what, *words: result(folder, artifact, f"{what} {name}", *words)
        words = "1,0,1,0,0,1" if name == "i1" else "1,-2,3,100,5,-128"
        values = np.array([float(w) for w in words.split(",")]).astype(dtype).reshape(2, 3)
        same(f"literal {name}", call("literal", name, "--arg", f"{name}[2,3]={words}"), values)
        same(f"scalar {name}", call("scalar", f"scalar_{name}", "--arg", f"{name}=1"), dtype(1))
        same(f"empty {name}", call("empty", name, "--arg", f"{name}[0,3]="), np.zeros((0, 3), dtype))
        seed = 12345678901
        same(f"random {name}", call("random", name, "--arg", f"random:{name}[67,3]", "--seed", str(seed)),
             random_array(name, (67, 3), seed, 0))
    # bf16 travels as its bits: of float32 the upper half, where the lower is 0.
    same("literal bf16", result(folder, artifact, "bf16", "bf16", "--arg", "bf16[1,3]=1.5,-2,0.09375"),
         (np.array([[1.5, -2, 0.09375]], np.float32).view(np.uint32) >> 16).astype(np.uint16))


def check_eights(folder, artifact):
    """fp8 travels as its bits, in files as uint8 or as the package ml_dtypes 0.6.0 spells it, which numpy cannot read."""
    for name, (bits, largest, spelled) in EIGHTS.items():
        bits = np.array([bits], np.uint8)
        same(f"literal {name}", result(folder, artifact, name, name, "--arg", f"{name}[1,3]=1.5,-2,{largest}"), bits)
        told = run(RUN, "call", artifact, name, "--arg", f"{name}[1,3]=1.5,-2,{largest}")
        if told.stdout != f"result 0: {name} [1, 3]: 1.5 -2 {largest}\n":
            failures.append(f"{name} told: {told}")
        file = os.path.join(folder, "eights.npy")
        for descr in ("|u1", "<" + spelled, "|V1", "<f1", "|i1"):
            header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': (1, 3), }}".ljust(117) + "\n"
            with open(file, "wb") as out:
                out.write(b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header.encode() + bits.tobytes())
            if descr[1:] in ("u1", spelled):
                same(f"{descr} for {name}", result(folder, artifact, descr, name, "--arg", file), bits)
            else:
                refused = run(RUN, "call", artifact, name, "--arg", file)
                if refused.returncode != 1 or f"error E0622: {file}: {name}: argument 0: expects {name} [?, 3], but got " not in refused.stderr:
                    failures.append(f"{descr} for {name}: expects E0622, but got {refused}")


def check_matmul(folder, artifact):
    """Two random arguments of one call differ, and numbers of a seed are the same in every call."""
    a, b = random_array("f32", (5, 3), 7, 0), random_array("f32", (3, 7), 7, 1)
    for level in [t["isa"] for t in json.loads(run(RUN, "inspect", artifact, "--json").stdout)["targets"] if t["runs_here"]]:
        c = result(folder, artifact, "matmul", "matmul", "--arg", "random:f32[5,3]", "--arg", "random:f32[3,7]", "--seed", "7",
                   "--isa", level)
        if c is not None and not np.allclose(c, a.astype(np.float64) @ b, rtol=1e-5, atol=1e-6):
            failures.append(f"matmul of random arrays at {level}: expects {a.astype(np.float64) @ b}, but got {c}")


def check_refusals(artifact):
    """Status 2 for what is no array, and 1 for one of another type or shape than the function takes."""
    for function, word, status, *texts in (
            ("f32", "f32[1,3]=1,2", 2, "E0905", "expects 3 values, but got 2"),
            ("f32", "g32[1,3]=1,2,3", 2, "E0905", 'but got "g32"'),
            ("f32", "f32[1,3]=1,2,x", 2, "E0905", 'value 2, but got "x"'),
            ("i32", "f32[1,3]=1,2,3", 1, "E0622", "argument 0", "i32 [?, 3]", "f32 [1, 3]"),
            ("f32", "random:f32[3,2]", 1, "E0622", "f32 [?, 3]", "f32 [3, 2]"),
            ("f32", "random:f32[1000000000,3000000]", 1, "E0601", "fits into memory"),
            ("f32", "f32.npy", 1, "E0901", "f32.npy")):
        done = run(RUN, "call", artifact, function, "--arg", word)
        if done.returncode != status or done.stdout or not all(text in done.stderr for text in texts):
            failures.append(f"--arg {word}: expects status {status} and {texts}, but got {done.returncode}: {done.stderr}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        source, artifact = os.path.join(folder, "program.mlir"), os.path.join(folder, "program.stepdown")
        with open(source, "w", encoding="utf-8") as file:
            file.write(program())
        done = run(COMPILE, source, "-o", artifact)
        if done.returncode:
            failures.append(done.stderr)
        else:
            check_types(folder, artifact)
            check_eights(folder, artifact)
            check_matmul(folder, artifact)
            check_refusals(artifact)
    for failure in failures:
        print("FAILED " + failure)
    print(f"written arrays: {len(TYPES) + 1 + len(EIGHTS)} types, {len(failures)} failures")
    sys.exit(1 if failures else 0)


main()
