#!/usr/bin/env python3
"""The check of what Passes.td quotes (tools/pass-docs.py): it holds for all passes, and finds each fault put into a copy of them.

    test/run/pass_docs.py STEPDOWN_OPT
"""
import os, shutil, subprocess, sys, tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.path.join(ROOT, "tools", "pass-docs.py")
STAGE = "Fusion"
ADD_BEFORE = "%1 = transformer.add %x, %0 : !rows"
ADD_AFTER = "%1 = transformer.add %b, %0 : tensor<?x32xf32>"

# What takes the place of what in Fusion/Passes.td, and what is told of it: the pass, the line, and what there is instead.
FAULTS = [
    ("a line that the test has not", ADD_BEFORE, "%1 = transformer.add %0, %x : !rows",
     ["fuse-residual-norm: Before:", "does not find", "%1 = transformer.add %0, %x : !rows", ADD_BEFORE]),
    ("an operation that is not printed", ADD_AFTER, "%1 = transformer.sum %b, %0 : tensor<?x32xf32>",
     ["fuse-residual-norm: After:", "does not find", "%1 = transformer.sum", "= transformer.add %arg6, %1 : tensor<?x32xf32>"]),
    ("operands exchanged", ADD_AFTER, "%1 = transformer.add %0, %b : tensor<?x32xf32>",
     ["fuse-residual-norm: After:", "%1 = transformer.add %0, %b"]),
    ("a name of nothing for a value that has one", ADD_AFTER, "%1 = transformer.add %b, %y : tensor<?x32xf32>",
     ["fuse-residual-norm: After:", "%1 = transformer.add %b, %y"]),
    ("a line left out without dots", ADD_AFTER + "\n", "\n",
     ["fuse-residual-norm: After:", "%2 = transformer.rms_norm %1", "= transformer.add %arg6, %1"]),
    ("a line that ends early", "transformer.yield %0 : tensor<?x32xf32>", "transformer.yield %0 : tensor<?x32",
     ["wrap-kernels: After:", "transformer.yield %0 : tensor<?x32"]),
    ("dots that reach into the next function", ADD_AFTER, "...\n    %9 = transformer.select_rows ...",
     ["fuse-residual-norm: After:", "%9 = transformer.select_rows"]),
    ("another function behind than before", "func.func @operation_by_itself(%tokens: tensor<?xi32>, %table: ...",
     "func.func @nothing_to_wrap(%x: ...", ["wrap-kernels: expects Before and After to quote one function"]),
    ("no quotation", "    After:\n    ```mlir\n    func.func @whole_blocks", "    So:\n    ```mlir\n    func.func @whole_blocks",
     ["fuse-attention: expects a description that ends with Before and After"]),
    ("no reason", "    Each token's query and key are normed, rotated and stored while they are in the nearest cache.\n", "",
     ["fuse-rope-append: expects a description that says why"]),
    ("a noun for a verb", '"Fuse attention', '"Fusion of attention', ["fuse-attention: expects a summary that begins with a verb"]),
    ("a pass without a test", '<"fuse-attention"', '<"fuse-queries"',
     ["fuse-queries: expects def FuseQueries, but got FuseAttention", "expects a lit test test/passes/Fusion/fuse-queries.mlir"]),
]


def run(program, root=ROOT):
    result = subprocess.run([sys.executable, TOOL, program], env={**os.environ, "STEPDOWN_PASSES_ROOT": root},
                            capture_output=True, text=True)
    return result.returncode, result.stdout + result.stderr


def main():
    program = os.path.abspath(sys.argv[1])
    code, output = run(program)
    if code:
        sys.exit(output)
    failed = 0
    for name, old, new, expected in FAULTS:
        with tempfile.TemporaryDirectory() as root:
            for folder in ("passes", os.path.join("test", "passes")):
                shutil.copytree(os.path.join(ROOT, folder, STAGE), os.path.join(root, folder, STAGE))
            path = os.path.join(root, "passes", STAGE, "Passes.td")
            with open(path, encoding="utf-8") as file:
                text = file.read()
            if text.count(old) != 1:
                sys.exit(f"{name}: expects one '{old}' in {STAGE}/Passes.td, but found {text.count(old)}")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text.replace(old, new))
            code, output = run(program, root)
        missing = [each for each in expected if each not in output]
        if code != 1 or missing:
            failed += 1
            print(f"{name}: expects exit 1 and {missing or expected}, but got {code} and\n{output}", file=sys.stderr)
    print(output if failed else f"pass-docs: all quotations hold; {len(FAULTS)} faults found as they should be")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
