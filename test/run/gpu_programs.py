#!/usr/bin/env python3
"""Programs on an emulated GPU against numpy: products of tile kernels and what stands around them.

    gpu_programs.py STEPDOWN_COMPILE STEPDOWN_RUN LIBRARY [SEED]

Each product has sizes of its own: ones, primes, one less and one more than a tile, drawn with SEED, which is printed. A
product's numbers are compared with those of float64 on the same inputs: the sums of a tile kernel are float32, so each
differs by at most its number of terms, in units of 2^-24 of the sum of their magnitudes, and, where the result is bf16,
by one rounding more. The same artifact has code for the processor, which must be within the same bound; but for results
in bf16, in which it also adds. Ends with 77, which ctest takes for skipped, where the Python
package numpy is missing.
"""
import json, os, random, subprocess, sys, tempfile

try:
    import numpy as np
except ImportError:
    print("skipped: needs the Python package numpy")
    sys.exit(77)

COMPILE, RUN, os.environ["STEPDOWN_LIBRARY"] = sys.argv[1:4]
SEED = int(sys.argv[4]) if len(sys.argv) > 4 else random.randrange(1 << 32)
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))
import stepdown

DEVICES = ("emulated:sm_90a", "cpu")
SIZES = (1, 2, 3, 7, 31, 61, 63, 64, 65, 67, 127, 128, 129, 131, 199, 255, 257, 263)
failures = []


def expect(true, text):
    if not true:
        failures.append(text)
        print(f"FAILED {text}")


def compile_text(folder, name, text, *options):
    source, artifact = (os.path.join(folder, name + suffix) for suffix in (".mlir", ".stepdown"))
    with open(source, "w", encoding="utf-8") as file:
        file.write(text)
    done = subprocess.run([COMPILE, source, "-o", artifact, *(options or [f"--target={','.join(DEVICES)}"])],
                          capture_output=True, text=True)
    return artifact if done.returncode == 0 else None, done.stderr


def product(name, m, n, k, element, result, rows="?"):
    left, out = f"tensor<{rows if rows == '?' else m}x{k}x{element}>", f"tensor<{rows if rows == '?' else m}x{n}x{result}>"
    empty = f"tensor.empty({'%rows' if rows == '?' else ''}) : {out}"
    return f"""
func.func @{name}(%a: {left}, %b: tensor<{k}x{n}x{element}>) -> {out} {{
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : {result}
  %rows = tensor.dim %a, %c0 : {left}
  %e = {empty}
  %f = linalg.fill ins(%zero : {result}) outs(%e : {out}) -> {out}
  %c = linalg.matmul ins(%a, %b : {left}, tensor<{k}x{n}x{element}>) outs(%f : {out}) -> {out}
  return %c : {out}
}}
"""


def rounded(values, element):
    """The 16-bit patterns of float32 `values`, and the numbers that they are."""
    if element == "f16":
        half = values.astype(np.float16)
        return half, half.astype(np.float64)
    bits = values.astype(np.float32).view(np.uint32)
    bits = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return bits, from_bf16(bits)


def from_bf16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def only(results):
    (one,) = results
    return one


def check_products(folder, draw):
    cases, text = [], ""
    # bf16 goes to tile kernels, f16 too; f32 is computed by a thread an element.
    for i in range(9):
        element, result = draw.choice((("bf16", "f32"), ("bf16", "bf16"), ("f16", "f32"), ("f32", "f32")))
        m, n, k = (draw.choice(SIZES) for _ in range(3))
        cases.append((f"p{i}", m, n, k, element, result))
        text += product(*cases[-1], rows=draw.choice("?m"))
    artifact, said = compile_text(folder, "products", text)
    if not artifact:
        return expect(False, f"products: expects to compile, but: {said}")
    numbers = np.random.default_rng(SEED)
    for device in DEVICES:
        program = stepdown.Program.load(artifact, device=device)
        for name, m, n, k, element, result in cases:
            a, b = numbers.uniform(-1, 1, (m, k)).astype(np.float32), numbers.uniform(-1, 1, (k, n)).astype(np.float32)
            given, exact = (a, b), (a.astype(np.float64), b.astype(np.float64))
            if element != "f32":
                given, exact = zip(rounded(a, element), rounded(b, element))
            got = only(program.call(name, *given))
            got = from_bf16(got) if result == "bf16" else got.astype(np.float64)
            bound = (abs(exact[0]) @ abs(exact[1])) * k * 2.0**-24 + 1e-30
            wanted = exact[0] @ exact[1]
            if result == "bf16" and device == "cpu":  # adds in bf16, as linalg.matmul says
                bound = abs(exact[0]) @ abs(exact[1]) * k * 2.0**-8
            elif result == "bf16":
                bound = bound + (abs(wanted) + bound) * 2.0**-8
            worst = float((abs(got - wanted) / bound).max())
            expect(got.shape == (m, n) and worst <= 1, f"{name}: {m}x{n}x{k} {element} to {result} on {device}: "
                   f"{worst:.2f} of the bound")


AROUND = """
func.func @layer(%x: tensor<?x67xbf16>, %w: tensor<67x61xbf16>, %bias: tensor<61xf32>) -> (tensor<?x61xf32>, tensor<?xf32>) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %n = tensor.dim %x, %c0 : tensor<?x67xbf16>
  %e = tensor.empty(%n) : tensor<?x61xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x61xf32>) -> tensor<?x61xf32>
  %p = linalg.matmul ins(%x, %w : tensor<?x67xbf16>, tensor<67x61xbf16>) outs(%f : tensor<?x61xf32>) -> tensor<?x61xf32>
  %b = linalg.broadcast ins(%bias : tensor<61xf32>) outs(%e : tensor<?x61xf32>) dimensions = [0]
  %s = arith.addf %p, %b : tensor<?x61xf32>
  %t = math.tanh %s : tensor<?x61xf32>
  %r = tensor.empty(%n) : tensor<?xf32>
  %z = linalg.fill ins(%zero : f32) outs(%r : tensor<?xf32>) -> tensor<?xf32>
  %sum = linalg.reduce { arith.addf } ins(%t : tensor<?x61xf32>) outs(%z : tensor<?xf32>) dimensions = [1]
  return %t, %sum : tensor<?x61xf32>, tensor<?xf32>
}
func.func @powers(%x: tensor<7xf32>, %n: tensor<index>) -> tensor<7xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %times = tensor.extract %n[] : tensor<index>
  %y = scf.for %i = %c0 to %times step %c1 iter_args(%v = %x) -> (tensor<7xf32>) {
    %w = arith.mulf %v, %x : tensor<7xf32>
    scf.yield %w : tensor<7xf32>
  }
  return %y : tensor<7xf32>
}
func.func @look_up(%i: tensor<?xindex>) -> tensor<?xf32> {
  %t = arith.constant dense<[0.5, 1.5, 2.5, 3.5, 4.5]> : tensor<5xf32>
  %c0 = arith.constant 0 : index
  %n = tensor.dim %i, %c0 : tensor<?xindex>
  %e = tensor.empty(%n) : tensor<?xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(d) -> (d)>, affine_map<(d) -> (d)>], iterator_types = ["parallel"]}
      ins(%i : tensor<?xindex>) outs(%e : tensor<?xf32>) {
  ^bb0(%at: index, %out: f32):
    %v = tensor.extract %t[%at] : tensor<5xf32>
    linalg.yield %v : f32
  } -> tensor<?xf32>
  return %r : tensor<?xf32>
}
func.func @same(%x: tensor<3xi32>) -> tensor<3xi32> {
  return %x : tensor<3xi32>
}
"""


def check_programs(folder):
    artifact, said = compile_text(folder, "around", AROUND)
    if not artifact:
        return expect(False, f"programs: expects to compile, but: {said}")
    numbers = np.random.default_rng(SEED + 1)
    for device in DEVICES:
        program = stepdown.Program.load(artifact, device=device)
        for rows in (1, 13, 67, 0):
            x, w = numbers.uniform(-1, 1, (rows, 67)).astype(np.float32), numbers.uniform(-1, 1, (67, 61)).astype(np.float32)
            bias = numbers.uniform(-1, 1, 61).astype(np.float32)
            (x, exact_x), (w, exact_w) = rounded(x, "bf16"), rounded(w, "bf16")
            values, sums = program.call("layer", x, w, bias)
            wanted = np.tanh(exact_x @ exact_w + bias)
            bound = 67 * 2.0**-24 * (abs(exact_x) @ abs(exact_w)) + 2.0**-22
            expect(values.shape == wanted.shape and bool((abs(values - wanted) <= bound).all()), f"layer of {rows} on {device}")
            expect(bool((abs(sums - wanted.sum(1)) <= bound.sum(1) + 61 * 61 * 2.0**-24).all()), f"sums of {rows} on {device}")
        x = np.array([1, -1, 0.5, 2, 1.25, 3, -0.75], np.float32)
        expect(np.array_equal(only(program.call("powers", x, np.array(3, np.int64))), x**4), f"powers on {device}")
        expect(np.array_equal(only(program.call("look_up", np.array([4, 0, 3], np.int64))), [4.5, 0.5, 3.5]), f"look_up on {device}")
        expect(np.array_equal(only(program.call("same", np.array([5, 7, 11], np.int32))), [5, 7, 11]), f"same on {device}")
        try:
            program.call("look_up", np.array([1, 5, 2, 7, 6], np.int64))  # three threads at a time
            expect(False, f"look_up outside of its table on {device}: expects an error")
        except stepdown.Error as error:
            expect(error.code == 623 and "around.mlir:" in str(error), f"look_up outside of its table on {device}: {error}")


def check_refusals(folder):
    artifact, _ = compile_text(folder, "one", AROUND, "--target=emulated:sm_90a")
    called = subprocess.run([RUN, "call", artifact, "same", "--arg", "i32[3]=1,2,3"], capture_output=True, text=True)
    expect(called.returncode == 1 and "expects code for device cpu, but the artifact holds targets emulated:sm_90a"
           in called.stderr, f"a device without code: {called.stderr}")
    shown = subprocess.run([RUN, "call", artifact, "same", "--arg", "i32[3]=1,2,3", "--device", "emulated:sm_90a",
                            "--json"], capture_output=True, text=True)
    expect(shown.returncode == 0 and json.loads(shown.stdout)["device"] == "emulated:sm_90a", f"--json: {shown}")
    _, said = compile_text(folder, "two", AROUND, "--target=sm_90a")
    expect("emulated:sm_90a" in said, f"a target that is none: {said}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        check_products(folder, random.Random(SEED))
        check_programs(folder)
        check_refusals(folder)
    print(f"gpu programs: seed {SEED}, {len(failures)} failures")
    sys.exit(1 if failures else 0)


main()
