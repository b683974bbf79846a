#!/usr/bin/env python3
"""The cost of length: a plain module four times longer takes no sixteen times as long to compile.

    module_growth.py STEPDOWN_COMPILE

One generator a shape of module. A busy machine takes two or three times as much processor time one moment as the next: the
longer module has 5 seconds, least of three, where chains of 1,000 took 14 when their cost grew with the square. Memory may
grow sixfold, and never beyond 256 MiB: chains of 250, 500 and 1,000 take 122, 124 and 129 MB at most, of which a module of
one operation takes 118, where they took 240, 570 and 1,900.
"""
import os
import subprocess
import sys
import tempfile

STATIC, DYNAMIC, WIDE = "tensor<101x64xf32>", "tensor<?x?xf32>", "tensor<13x64xf32>"
ARITH = ("arith.addf", "arith.mulf", "arith.subf", "arith.maximumf")
NAMED = ("add", "mul", "sub", "max")


def function(name, arguments, result, lines, value):
    body = "".join(f"  {line}\n" for line in lines)
    return f"func.func @{name}({arguments}) -> {result} {{\n{body}  return {value} : {result}\n}}\n"


def pair(kind):
    return f"%a: {kind}, %b: {kind}"


def chain(n, kind):
    lines = [f"%{i} = {ARITH[i % 4]} {f'%{i - 1}' if i else '%a'}, %b : {kind}" for i in range(n)]
    return function("f", pair(kind), kind, lines, f"%{n - 1}")


def static_chain(n):
    return chain(n, STATIC)


def dynamic_chain(n):
    return chain(n, DYNAMIC)


def named_chain(n):
    lines = []
    for i in range(n):
        lines += [f"%e{i} = tensor.empty() : {STATIC}",
                  f"%{i} = linalg.{NAMED[i % 4]} ins({f'%{i - 1}' if i else '%a'}, %b : {STATIC}, {STATIC}) outs(%e{i} : {STATIC}) -> {STATIC}"]
    return function("f", pair(STATIC), STATIC, lines, f"%{n - 1}")


def fan_out(n):
    """Everything reads one array that cannot be computed twice."""
    lines = [f"%x = math.exp %a : {WIDE}"] + [f"%r{i} = {ARITH[i % 4]} %x, %b : {WIDE}" for i in range(n)]
    lines += [f"%{i} = arith.addf {f'%{i - 1}' if i else '%x'}, %r{i} : {WIDE}" for i in range(n)]
    return function("f", pair(WIDE), WIDE, lines, f"%{n - 1}")


def reductions(n):
    """Sums of rows that are taken from the rows: nothing fuses."""
    row, lines = "tensor<13xf32>", ["%z = arith.constant 0.0 : f32"]
    for i in range(n):
        x = f"%{i - 1}" if i else "%a"
        lines += [f"%e{i} = tensor.empty() : {row}", f"%f{i} = linalg.fill ins(%z : f32) outs(%e{i} : {row}) -> {row}",
                  f"%s{i} = linalg.reduce {{ arith.addf }} ins({x} : {WIDE}) outs(%f{i} : {row}) dimensions = [1]",
                  f"%o{i} = tensor.empty() : {WIDE}",
                  f"%{i} = linalg.broadcast ins(%s{i} : {row}) outs(%o{i} : {WIDE}) dimensions = [1]"]
    return function("f", f"%a: {WIDE}", WIDE, lines, f"%{n - 1}")


def products(n):
    kind, lines = "tensor<17x17xf32>", ["%z = arith.constant dense<0.0> : tensor<17x17xf32>"]
    for i in range(n):
        x = f"%{i - 1}" if i else "%a"
        lines.append(f"%{i} = linalg.matmul ins({x}, %b : {kind}, {kind}) outs(%z : {kind}) -> {kind}")
    return function("f", pair(kind), kind, lines, f"%{n - 1}")


def many_functions(n):
    return "".join(function(f"f{i}", pair(WIDE), WIDE, [f"%x = math.exp %a : {WIDE}", f"%y = arith.mulf %x, %b : {WIDE}"], "%y")
                   for i in range(n))


def slices(n):
    """Rows that are read at given places, changed and put back."""
    lines = []
    for i in range(n):
        x = f"%{i - 1}" if i else "%a"
        lines += [f"%s{i} = tensor.extract_slice {x}[%n, 0] [1, 64] [1, 1] : tensor<?x64xf32> to tensor<1x64xf32>",
                  f"%t{i} = arith.addf %s{i}, %b : tensor<1x64xf32>",
                  f"%{i} = tensor.insert_slice %t{i} into {x}[{i}, 0] [1, 64] [1, 1] : tensor<1x64xf32> into tensor<?x64xf32>"]
    return function("f", "%a: tensor<?x64xf32>, %b: tensor<1x64xf32>, %n: index", "tensor<?x64xf32>", lines, f"%{n - 1}")


def scalars(n):
    lines = [f"%{i} = {ARITH[i % 4]} {f'%{i - 1}' if i else '%a'}, %b : f32" for i in range(n)]
    return function("f", "%a: f32, %b: f32", "f32", lines, f"%{n - 1}")


def loops(n):
    """One loop behind the other, each with the array in its hands."""
    lines = ["%c0 = arith.constant 0 : index", "%c1 = arith.constant 1 : index"]
    for i in range(n):
        x = f"%{i - 1}" if i else "%a"
        lines += [f"%{i} = scf.for %i{i} = %c0 to %n step %c1 iter_args(%x{i} = {x}) -> ({WIDE}) {{",
                  f"  %y{i} = {ARITH[i % 4]} %x{i}, %b : {WIDE}", f"  scf.yield %y{i} : {WIDE}", "}"]
    return function("f", pair(WIDE) + ", %n: index", WIDE, lines, f"%{n - 1}")


def nest(n):
    """Branches inside branches."""
    lines = []
    for i in range(n):
        lines += ["  " * i + f"%v{i} = arith.addf {f'%v{i - 1}' if i else '%a'}, %b : f32",
                  "  " * i + f"%c{i} = arith.cmpf olt, %v{i}, %b : f32", "  " * i + f"%r{i} = scf.if %c{i} -> f32 {{"]
    lines.append(f"scf.yield %v{n - 1} : f32")
    for i in reversed(range(n)):
        lines += ["} else {", f"  scf.yield %v{i} : f32", "}"] + ([f"scf.yield %r{i} : f32"] if i else [])
    return function("f", "%a: f32, %b: f32", "f32", lines, "%r0")


def scalar_functions(n):
    """What takes numbers gets a function around it."""
    return "".join(function(f"f{i}", "%a: f32, %b: f32", "f32", ["%x = arith.addf %a, %b : f32"], "%x") for i in range(n))


SHAPES = {static_chain: 250, dynamic_chain: 250, named_chain: 250, fan_out: 100, reductions: 60, products: 40, many_functions: 50,
          scalar_functions: 300, slices: 60, scalars: 500, loops: 30, nest: 24}

SECONDS = 5
KIB = 256 << 10


def once(program, folder, text):
    """(seconds of processor time, KiB) of a compilation."""
    source, output = os.path.join(folder, "m.mlir"), os.path.join(folder, "m.stepdown")
    with open(source, "w", encoding="utf-8") as file:
        file.write(text)
    child = subprocess.Popen([program, source, "-o", output, "--target=x86-64-v3", "--jobs=1"], stderr=subprocess.PIPE, text=True)
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"FAILED: status {status}: {said[:500]}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def costs(program, folder, *texts):
    """The least cost of each text, compiled in turns."""
    rounds = [[once(program, folder, text) for text in texts] for _ in range(3)]
    return [tuple(map(min, zip(*column))) for column in zip(*rounds)]


def main():
    failures = []
    only = sys.argv[2:]
    with tempfile.TemporaryDirectory() as folder:
        [(base, kib)] = costs(sys.argv[1], folder, scalars(1))
        name = "seconds"
        print(f"{'shape':16s} {'n':>5s} {name:>18s} {'4 n':>18s} ratio, and of memory; a module of one operation takes {base:.3f}")
        for shape, n in SHAPES.items():
            if only and shape.__name__ not in only:
                continue
            (small, less), (large, more) = costs(sys.argv[1], folder, shape(n), shape(4 * n))
            ratio, growth = (large - base) / (small - base), (more - kib) / max(less - kib, 4096)
            print(f"{shape.__name__:16s} {n:5d} {(small - base):18.3f} {(large - base):18.3f} {ratio:5.2f} {growth:5.2f}, {more} KiB", flush=True)
            if large > SECONDS:
                failures.append(f"{shape.__name__}: expects at most {SECONDS} s, but got {large:.2f}")
            if more > KIB:
                failures.append(f"{shape.__name__}: expects at most {KIB} KiB, but got {more}")
            if growth > 6:
                failures.append(f"{shape.__name__}: expects less than 6 times the memory, but got {growth:.2f}")
    print("\n".join("FAILED " + failure for failure in failures) or "the time grows with the module")
    sys.exit(1 if failures else 0)


main()
