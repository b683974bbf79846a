#!/usr/bin/env python3
"""Checks stepdown-compile --explain of plain modules against numbers counted by hand.

    explain_functions.py STEPDOWN_COMPILE
"""
import json, os, re, subprocess, sys, tempfile

COMPILE = sys.argv[1]
failures = []

MODULE = """
func.func @product(%a: tensor<37x41xf32>, %b: tensor<41x43xf32>) -> tensor<37x43xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<37x43xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<37x43xf32>) -> tensor<37x43xf32>
  %c = linalg.matmul ins(%a, %b : tensor<37x41xf32>, tensor<41x43xf32>) outs(%start : tensor<37x43xf32>) -> tensor<37x43xf32>
  %e = math.exp %c : tensor<37x43xf32>
  %f = arith.mulf %e, %c : tensor<37x43xf32>
  %g = arith.addf %f, %f : tensor<37x43xf32>
  return %g : tensor<37x43xf32>
}

func.func @any_size(%a: tensor<?x5xf64>) -> tensor<?x5xf64> {
  %b = math.sqrt %a : tensor<?x5xf64>
  %c = arith.mulf %b, %a : tensor<?x5xf64>
  return %c : tensor<?x5xf64>
}

// Read twice: %b by two operations, so that it is stored.
func.func @two_readers(%a: tensor<11x13xi16>, %s: tensor<13xi16>) -> (tensor<11x13xi16>, tensor<11x13xi16>) {
  %b = arith.addi %a, %a : tensor<11x13xi16>
  %c = arith.muli %b, %a : tensor<11x13xi16>
  return %b, %c : tensor<11x13xi16>, tensor<11x13xi16>
}

// The row is read once for each column, so that it is not computed for each.
func.func @broadcast(%row: tensor<7xf32>) -> tensor<7x3xf32> {
  %e = math.exp %row : tensor<7xf32>
  %empty = tensor.empty() : tensor<7x3xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d0, d1)>],
      iterator_types = ["parallel", "parallel"]} ins(%e : tensor<7xf32>) outs(%empty : tensor<7x3xf32>) {
  ^bb0(%x: f32, %o: f32):
    %y = arith.negf %x : f32
    linalg.yield %y : f32
  } -> tensor<7x3xf32>
  return %r : tensor<7x3xf32>
}

// An element of a factor is read once for each column, and a slice is no structured operation.
func.func @named_reader(%a: tensor<3x5xf32>, %b: tensor<5x2xf32>, %start: tensor<3x2xf32>) -> tensor<2x2xf32> {
  %e = math.exp %a : tensor<3x5xf32>
  %c = linalg.matmul ins(%e, %b : tensor<3x5xf32>, tensor<5x2xf32>) outs(%start : tensor<3x2xf32>) -> tensor<3x2xf32>
  %n = arith.negf %c : tensor<3x2xf32>
  %s = tensor.extract_slice %n[1, 0] [2, 2] [1, 1] : tensor<3x2xf32> to tensor<2x2xf32>
  return %s : tensor<2x2xf32>
}

// Takes every element once, but only of an array.
func.func @named_sum(%a: tensor<29x31xf32>, %start: tensor<29xf32>) -> tensor<29xf32> {
  %e = math.absf %a : tensor<29x31xf32>
  %r = linalg.reduce {arith.addf} ins(%e : tensor<29x31xf32>) outs(%start : tensor<29xf32>) dimensions = [1]
  return %r : tensor<29xf32>
}

// Four times, then as often as a condition has it; the array of the loop lies on the stack.
func.func @loops(%a: tensor<17xf32>, %go: i1) -> (tensor<17xf32>, f32) {
  %c0 = arith.constant 0 : index
  %c7 = arith.constant 7 : index
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %sum = scf.for %i = %c0 to %c7 step %c2 iter_args(%s = %zero) -> f32 {
    %e = math.exp %a : tensor<17xf32>
    %x = tensor.extract %e[%i] : tensor<17xf32>
    %n = arith.addf %s, %x : f32
    scf.yield %n : f32
  }
  %r = scf.if %go -> tensor<17xf32> {
    %b = arith.mulf %a, %a : tensor<17xf32>
    scf.yield %b : tensor<17xf32>
  } else {
    scf.yield %a : tensor<17xf32>
  }
  return %r, %sum : tensor<17xf32>, f32
}

func.func private @twice(%a: tensor<19xf32>) -> tensor<19xf32> {
  %b = arith.addf %a, %a : tensor<19xf32>
  return %b : tensor<19xf32>
}
// What a function calls becomes part of it: three operations in one loop.
func.func @calls(%a: tensor<19xf32>) -> tensor<19xf32> {
  %b = call @twice(%a) : (tensor<19xf32>) -> tensor<19xf32>
  %c = call @twice(%b) : (tensor<19xf32>) -> tensor<19xf32>
  %d = math.absf %c : tensor<19xf32>
  return %d : tensor<19xf32>
}

// Conversions and choices count nothing, a fused product and sum counts two.
func.func @counted(%a: tensor<23xf16>, %b: tensor<23xf32>) -> tensor<23xf32> {
  %w = arith.extf %a : tensor<23xf16> to tensor<23xf32>
  %f = math.fma %w, %w, %b : tensor<23xf32>
  %p = arith.cmpf ogt, %f, %b : tensor<23xf32>
  %r = arith.select %p, %f, %b : tensor<23xi1>, tensor<23xf32>
  return %r : tensor<23xf32>
}
"""


def expect(what, got, expected):
    if got != expected:
        failures.append(f"{what}: expects {expected}, but got {got}")


def run(*command, status=0):
    done = subprocess.run([COMPILE, *command], capture_output=True, text=True)
    if done.returncode != status:
        sys.exit(f"{' '.join(command)}: status {done.returncode}: {done.stderr}")
    return done.stdout if status == 0 else done.stderr


def check(functions, text, lines):
    by_name = {f["name"]: f for f in functions}
    expect("functions", list(by_name), ["product", "any_size", "two_readers", "broadcast", "named_reader", "named_sum", "loops", "calls", "counted"])
    sections = {re.match(r"@(\w+)", part).group(1): part for part in text.split("\n\n")}

    def numbers(name, index):
        row = by_name[name]["operations"][index]
        return {k: row[k] for k in ("loops", "times", "operations_per_point", "operations", "bytes_read", "bytes_written")}

    def row(loops, times, point, operations, read, written):
        return dict(loops=loops, times=times, operations_per_point=point, operations=operations, bytes_read=read, bytes_written=written)

    def computes(name, index):
        return [(w["op"], lines[int(w["place"].split(":")[-2]) - 1].split("=")[0].strip()) for w in by_name[name]["operations"][index]["computes"]]

    def stored(name):
        return [(e["producer"], e.get("consumer", e["reader"]["op"]), e["reason"]) for e in by_name[name]["stored"]]

    def arrays(name, target):
        return [(a["where"], a["type"], a["bytes"], a["in_loop"]) for t in by_name[name]["targets"] if t["target"] == target for a in t["arrays"]]

    # A sum's result is read, added to and written; 37 * 43 of them over 41 products.
    expect("product: fill", numbers("product", 0), row([37, 43], 1, 0, 0, 0, 4 * 37 * 43))
    expect("product: matmul", numbers("product", 1),
           row([37, 43, 41], 1, 2, 2 * 37 * 41 * 43, 4 * (37 * 41 + 41 * 43 + 37 * 43), 4 * 37 * 43))
    expect("product: chain", numbers("product", 2), row([37, 43], 1, 3, 3 * 37 * 43, 4 * 37 * 43, 4 * 37 * 43))
    expect("product: fused", computes("product", 2), [("math.exp", "%e"), ("arith.mulf", "%f"), ("arith.addf", "%g")])
    expect("product: in all", by_name["product"]["total_operations"], 2 * 37 * 41 * 43 + 3 * 37 * 43)
    expect("product: stored", stored("product"),
           [(0, 1, "it is what the result of linalg.matmul starts from"),
            (1, 2, "linalg.matmul reduces: an element is whole when the last of its loop is in")])
    for target in by_name["product"]["targets"]:
        results = [a for a in target["arrays"] if a["where"] == "result"]
        expect(f"product: result for {target['target']}", [(a["type"], a["bytes"]) for a in results], [("f32 [37, 43]", 4 * 37 * 43)])
        expect(f"product: range for {target['target']}", target["range_bytes"], sum(-(-a["bytes"] // 64) * 64 for a in target["arrays"]))
    expect("product: text", all(str(n) in sections["product"] for n in (2 * 37 * 41 * 43, "fused of math.exp 7:8, arith.mulf 8:8, arith.addf 9:8")), True)

    expect("any_size", numbers("any_size", 0), row([None, 5], 1, 2, None, None, None))
    expect("any_size: in all", by_name["any_size"]["total_operations"], None)
    expect("any_size: arrays", arrays("any_size", "x86-64-v3"), [("result", "f64 [?, 5]", None, False)])
    expect("any_size: text", " ? x 5 " in sections["any_size"] and "Operations of a call: ?" in sections["any_size"], True)

    expect("two_readers", [numbers("two_readers", i) for i in (0, 1)],
           [row([11, 13], 1, 1, 143, 2 * 143, 2 * 143), row([11, 13], 1, 1, 143, 2 * 2 * 143, 2 * 143)])
    expect("two_readers: stored", stored("two_readers"), [(0, 1, "it is read more than once: by 2 operands")])
    expect("two_readers: arrays", arrays("two_readers", "x86-64-v4-vnni"), [("result", "i16 [11, 13]", 286, False)] * 2)

    expect("broadcast", [numbers("broadcast", i) for i in (0, 1)], [row([7], 1, 1, 7, 28, 28), row([7, 3], 1, 1, 21, 28, 84)])
    expect("broadcast: stored", stored("broadcast"), [(0, 1, "its reader does not take every element once")])
    expect("broadcast: arrays", sorted(arrays("broadcast", "x86-64-v3")), [("result", "f32 [7, 3]", 84, False), ("scratch", "f32 [7]", 28, False)])

    expect("named_reader: matmul", numbers("named_reader", 1), row([3, 2, 5], 1, 2, 60, 4 * (15 + 10 + 6), 24))
    expect("named_reader: stored", stored("named_reader"),
           [(0, 1, "its reader does not take every element once"),
            (1, 2, "linalg.matmul reduces: an element is whole when the last of its loop is in"),
            (2, "tensor.extract_slice", "its reader is no structured operation")])

    expect("named_sum", numbers("named_sum", 1), row([29, 31], 1, 1, 899, 4 * (899 + 29), 116))
    expect("named_sum: stored", stored("named_sum"), [(0, 1, "linalg.reduce is not elementwise, and takes arrays")])

    expect("loops: four times", numbers("loops", 0), row([17], 4, 1, 17, 68, 68))
    expect("loops: a branch", numbers("loops", 1), row([17], None, 1, 17, 68, 68))
    expect("loops: in all", by_name["loops"]["total_operations"], None)
    expect("loops: stack", [a for a in arrays("loops", "x86-64-v3") if a[0] == "stack"], [("stack", "f32 [17]", 68, False)])
    expect("loops: bytes of the stack", [t["stack_bytes"] for t in by_name["loops"]["targets"]], [128, 128])

    expect("calls", numbers("calls", 0), row([19], 1, 3, 57, 76, 76))
    expect("calls: fused", computes("calls", 0), [("arith.addf", "%b"), ("math.absf", "%d")])  # one place, called twice

    expect("counted", numbers("counted", 0), row([23], 1, 3, 69, 46 + 92, 92))
    for name, function in by_name.items():
        for edge in function["stored"]:
            if "no fusion joins" in edge["reason"]:
                failures.append(f"{name}: expects the condition that failed, but got '{edge['reason']}'")
            expect(f"{name}: '{edge['reason']}' in the text", edge["reason"] in sections[name], True)


def main():
    with tempfile.TemporaryDirectory() as folder:
        module, plain, told = (os.path.join(folder, name) for name in ("m.mlir", "plain.stepdown", "told.stepdown"))
        with open(module, "w") as file:
            file.write(MODULE)
        text = run(module, "--explain")
        report = json.loads(run(module, "--explain=json"))
        expect("files that --explain leaves", os.listdir(folder), ["m.mlir"])
        check(report["functions"], text, MODULE.splitlines())
        run(module, "-o", plain)
        expect("report beside an artifact", run(module, "-o", told, "--explain"), text)
        expect("the artifact with a report", open(told, "rb").read() == open(plain, "rb").read(), True)
        # Roads part what is fused: one report is of one road.
        for first, second in (("cpu", "emulated:gfx942"), ("emulated:sm_90a", "cpu")):
            said = run(module, f"--target={first},{second}", "--explain", status=1)
            expect("targets of two roads", "E0832" in said and "expects targets of one road for --explain" in said, True)
            beside = os.path.join(folder, "beside.stepdown")
            said = run(module, f"--target={first},{second}", "--explain", "-o", beside, status=1)
            expect("two roads, and an artifact", "E0832" in said and not os.path.exists(beside), True)
        # Functions of a chip have operations apart of which no pass says why; none was printed.
        expect("a chip's reasons", "before this IR was printed" in run(module, "--target=emulated:sm_90a", "--explain"), False)
        # Printed IR of the linalg phase tells the same numbers; behind it nobody knows what was fused.
        for phase, status in (("linalg", 0), ("tiles", 1)):
            printed = os.path.join(folder, phase + ".mlir")
            run(module, "--compile-to=" + phase, "-o", printed)
            said = run(printed, "--compile-from=" + phase, "--explain=json", status=status)
            if status:
                expect("refused", "E0832" in said and "expects IR of linalg or an earlier phase for --explain" in said, True)
            else:
                key = lambda functions: [[o["operations"] for o in f["operations"]] for f in functions]
                expect("numbers of printed IR", key(json.loads(said)["functions"]), key(report["functions"]))
    print("\n".join(failures) or "explain_functions: all as expected")
    sys.exit(1 if failures else 0)


main()
