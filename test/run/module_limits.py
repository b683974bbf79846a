#!/usr/bin/env python3
"""The limits on plain modules: what is just inside parses, what is just over is refused with the limit's number.

    module_limits.py STEPDOWN_COMPILE
"""
import os
import subprocess
import sys
import tempfile

NESTING, LISTED, OPERATIONS, BYTES = 128, 1 << 20, 100000, 1 << 28


def function(body, arguments=""):
    return f"func.func @f({arguments}) {{\n{body}  return\n}}\n"


def nested(depth):  # the function's own braces are one
    return function("scf.if %c {\n" * (depth - 1) + "}\n" * (depth - 1), "%c: i1")


def listed(count):
    return function(f"  %0 = arith.constant dense<[{', '.join(['1'] * count)}]> : tensor<{count}xi8>\n")


def operations(count):  # the module, the function and its return are three
    return function("".join(f"  %{i} = arith.constant {i} : i32\n" for i in range(count - 3)))


def splat(size):
    return function(f"  %0 = arith.constant dense<1> : tensor<{size}xi8>\n")


def padded(size):
    text = function("")
    return text + "//" + "x" * (size - len(text) - 3) + "\n"


CASES = [("nesting", nested, NESTING, 842), ("listed elements", listed, LISTED, 844), ("operations", operations, OPERATIONS, 845),
         ("splat", splat, BYTES, 844), ("bytes", padded, BYTES, 843)]
def resource(words, name="w"):
    """A constant of three floats, whose bytes stand behind the module: an alignment and `words`."""
    return (function("  %0 = arith.constant dense_resource<w> : tensor<3xf32>\n")
            + '{-# dialect_resources: {builtin: {' + f'{name}: "0x04000000{"0000803F" * words}"' + "}} #-}\n")


ODD = {  # brackets that are none, and nesting of other kinds
    "arrows and comparisons": ("#s = affine_set<(d0) : (" + ", ".join(["d0 >= 0"] * 200) + ")>\n" + function("  // ((((" * 200 + "\n"), 0),
    "signs": ("#m = affine_map<(d0) -> (" + "- " * 200 + "d0)>\n" + function(""), 842),
    "attributes": ("module attributes {a = " + "[" * 200 + "]" * 200 + "} {\n" + function("") + "}\n", 842),
    "a resource": (resource(3), 0),
    "a short resource": (resource(2), 834),
    "a long resource": (resource(5), 834),
    "a resource of another name": (resource(3, "v"), 834),
    "open strings": (function('  %0 = "((((((' + "(" * 300 + "\n"), 833),
}


def main():
    failures, checks = [], 0
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "m.mlir")

        def check(what, text, code):
            nonlocal checks
            checks += 1
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            done = subprocess.run([sys.argv[1], path, "--compile-to=transformer", "-o", os.path.join(folder, "out")],
                                  capture_output=True, text=True)
            said = int(done.stderr.split("error E")[1][:4]) if "error E" in done.stderr else done.returncode
            if said != code:
                failures.append(f"{what}: expects {code}, but got {said}: {done.stderr[:200]}")

        for name, make, limit, code in CASES:
            check(f"{name} {limit}", make(limit), 0)
            check(f"{name} {limit + 1}", make(limit + 1), code)
        for name, (text, code) in ODD.items():
            check(name, text, code)
    print("\n".join("FAILED " + failure for failure in failures))
    print(f"limits of modules: {checks} checks, {len(failures)} failures")
    sys.exit(1 if failures else 0)


main()
