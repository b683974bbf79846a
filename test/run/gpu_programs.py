#!/usr/bin/env python3
"""Programs on an emulated GPU against numpy: products of tile kernels and what stands around them.

    gpu_programs.py STEPDOWN_COMPILE STEPDOWN_RUN LIBRARY [SEED [DEVICE]]

They run on emulated:sm_90a, emulated:gfx942, the processor and DEVICE, by default one that SEED draws. Each product has
sizes of its own: ones, primes, one less and one more than a tile, drawn with SEED, which is printed. A product's
numbers are compared with those of float64 on the same inputs: the sums of a tile kernel are float32, so each differs by
at most its number of terms, in units of 2^-24 of the sum of their magnitudes, and, where the result is bf16, by one
rounding more. The same artifact has code for the processor, which must be within the same bound; but for results in
bf16, in which it also adds. Ends with 77, which ctest takes for skipped, where the Python package numpy is missing.
"""
import json, os, random, re, subprocess, sys, tempfile

from gpu_case import COMPILE, DEVICES, RUN, SEED, compile_text, expect, failures, only, rounded, stepdown  # skips without numpy

import numpy as np

from gpu_attention import attention, check_attention
from gpu_eights import check_eights
from gpu_products import check_epilogues, check_forms, check_products, check_shares

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
    _, said = compile_text(folder, "two", AROUND, "--target=sm_90")
    expect("emulated:sm_90a" in said, f"a target that is none: {said}")


def check_real(folder):
    """The chip itself: the same kernels as PTX, which only a machine with a driver runs."""
    case = ("a", 2, 1, 128, "bf16", "bf16", True, 0, 0)
    artifact, said = compile_text(folder, "real", AROUND + attention(*case), "--target=nvidia:sm_90a,emulated:sm_90a,cpu")
    if not artifact:
        return expect(False, f"nvidia:sm_90a: expects to compile, but: {said}")
    inspected = subprocess.run([RUN, "inspect", artifact, "--json"], capture_output=True, text=True)
    driver = subprocess.run([RUN, "call", artifact, "same", "--arg", "i32[3]=1,2,3", "--device", "nvidia:sm_90a"],
                            capture_output=True, text=True).returncode == 0
    listed = [(t["target"], t["runs_here"]) for t in json.loads(inspected.stdout)["targets"] if not t["target"] == "cpu"]
    expect(sorted(listed) == [("emulated:sm_90a", True), ("nvidia:sm_90a", driver)], f"inspect of nvidia:sm_90a: {listed}")
    with open(artifact, "rb") as file:
        data = file.read()
    texts = re.findall(rb"//\n// Generated by LLVM NVPTX Back-End\n[^\0]*(?=\0)", data)
    kernels = [re.findall(rb"\.visible \.entry (\w+)", text) for text in texts]
    expect(all(len(names) == 1 for names in kernels), f"PTX of one kernel each: {kernels}")
    names = {names[0].decode() for names in kernels}
    expect({"matmul_128x128_bf16_f32", "attention_128x128x128_bf16_bf16"} <= names, f"kernels of sm_90a: {names}")
    expect(all(b".target sm_90a" in text for text in texts), "PTX for sm_90a")
    ptxas = os.environ.get("STEPDOWN_PTXAS") or os.path.join(os.path.dirname(COMPILE), "..", "ptxas", "ptxas")
    if not os.access(ptxas, os.X_OK):
        return print("gpu programs: PTX not assembled: no ptxas (tools/fetch-ptxas.sh)")
    for name, text in zip(sorted(names), sorted(texts, key=lambda text: re.search(rb"\.entry (\w+)", text).group(1))):
        source = os.path.join(folder, name + ".ptx")
        with open(source, "wb") as file:
            file.write(text)
        done = subprocess.run([ptxas, "-v", "-arch=sm_90a", source, "-o", source + ".cubin"], capture_output=True, text=True)
        expect(done.returncode == 0 and "C75" not in done.stderr, f"{name}: ptxas: {done.stderr}")
        if "matmul" in name or "attention" in name:
            expect("0 bytes spill stores, 0 bytes spill loads" in done.stderr, f"{name}: spills: {done.stderr}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        check_products(folder, random.Random(SEED))
        check_shares(folder)
        check_forms(folder, random.Random(SEED + 2))
        check_eights(folder)
        check_attention(folder, random.Random(SEED + 3))
        check_epilogues(folder, random.Random(SEED + 4))
        check_programs(folder)
        check_refusals(folder)
        check_real(folder)
    print(f"gpu programs: seed {SEED}, {DEVICES[2]} beside the others, {len(failures)} failures")
    sys.exit(1 if failures else 0)


main()
