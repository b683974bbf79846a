#!/usr/bin/env python3
"""Sizes, offsets and strides of any 64 bits: a function returns what numpy says, or refuses (E0623, E0624); nothing else.

    sizes.py STEPDOWN_COMPILE LIBSTEPDOWN [--draws N] [--seed N]

Every function of size_cases.py is called N times (200) with random numbers, at each level that this processor has. What a
machine could hold must be returned; what wraps at 64 bits, lies outside or disagrees with the array must be refused; what no
machine holds, too. Ends with 77 where numpy is missing.
"""
import argparse
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "python")]
try:
    import numpy as np
except ImportError:
    print("skipped: needs the Python package numpy")
    sys.exit(77)
import size_cases
import stepdown
from levels import LEVELS, of_this_processor
from size_cases import FUNCTIONS, LARGE, REFUSED, TOO_LONG



def shown(arguments):
    return ", ".join(f"f32 {list(a.shape)}" if isinstance(a, np.ndarray) else str(a) for a in arguments)


def compiled(compiler, folder, name, text, *options):
    source, output = os.path.join(folder, name + ".mlir"), os.path.join(folder, name + ".stepdown")
    with open(source, "w", encoding="utf-8") as file:
        file.write(text)
    return output, subprocess.run([compiler, *options, source, "-o", output], capture_output=True, text=True)


def check(function, program, level, random, draws, notes):
    """Calls `function` and prints what is wrong; then how often it returned, was refused, and was too large."""
    counts = {"returned": 0, REFUSED: 0, LARGE: 0}
    for draw in range(50 * draws):  # more than `draws` only until there were both outcomes
        if draw >= draws and counts[REFUSED] and (counts["returned"] or function.name in size_cases.ALL_REFUSED):
            break
        arguments = function.arguments(random)
        expected = function.model(*arguments)
        if isinstance(expected, str) and expected == TOO_LONG:
            continue
        call = f"{function.name}({shown(arguments)}) at {level}"
        notes.write(call + "\n")
        counts[expected if isinstance(expected, str) else "returned"] += 1
        # Operands of a refused operation may be too large before it is reached.
        codes = (623, 624) if isinstance(expected, str) and expected == LARGE or any(not isinstance(a, np.ndarray) and a > 1 << 24 for a in arguments) else (623,)
        try:
            [got] = program.call(function.name, *[a if isinstance(a, np.ndarray) else np.array(a, np.int64) for a in arguments])
        except stepdown.Error as error:
            if error.code not in codes or not isinstance(expected, str):
                print(f"FAILED {call}: expects {describe(expected)}, but got: {error}")
        else:
            if isinstance(expected, str) or got.shape != expected.shape or not np.array_equal(got, expected):
                print(f"FAILED {call}: expects {describe(expected)}, but got shape {got.shape}: {got.ravel()[:8]}")
    print("counts", function.name, *counts.values(), flush=True)


def worker(artifact, names, level, seed, draws, log):
    """Checks the functions `names`; notes every call in `log` before it is made."""
    try:
        program = stepdown.Program.load(artifact, isa=level)
    except stepdown.Error as error:
        print(f"no {error.code}")
        return
    with open(log, "w", encoding="utf-8", buffering=1) as notes:
        for function in FUNCTIONS:
            if function.name in names:
                check(function, program, level, np.random.default_rng([seed, *function.name.encode()]), draws, notes)


def describe(expected):
    return expected if isinstance(expected, str) else f"shape {expected.shape}: {expected.ravel()[:8]}"


def check_level(artifact, names, level, seed, draws, folder, failures):
    """Every function, in as few processes as there are faults and one more; the sums of their counts."""
    log, totals = os.path.join(folder, "log"), np.zeros(3, int)
    while names:
        done = subprocess.run([sys.executable, os.path.abspath(__file__), "--worker", artifact, ",".join(names), level,
                               str(seed), str(draws), log], capture_output=True, text=True, timeout=600)
        if done.stdout.strip() == "no 508":
            print(f"skipped {level}: this processor lacks it")
            return totals
        for line in done.stdout.splitlines():
            if not line.startswith("counts"):
                failures.append(line)
                continue
            name, counts = line.split()[1], np.array(line.split()[2:], int)
            names, totals = names[1:], totals + counts
            if draws >= 100 and name not in size_cases.ALL_REFUSED and not counts[0]:
                failures.append(f"{name}: expects draws that return, but there was none")
            if draws >= 100 and not counts[1]:
                failures.append(f"{name}: expects draws that are refused, but there was none")
        if done.returncode or names:
            with open(log, encoding="utf-8") as notes:
                failures.append(f"status {done.returncode} after {notes.read().splitlines()[-1:]}: {done.stderr[-300:]}")
            names = names[1:]
    return totals


def check_constants(compiler, folder, failures):
    """Mistakes that are visible when compiling: E0833, E0834, or a call that is refused, at the one level that it runs at."""
    level = f"--target={of_this_processor()[-1]}"
    for index, (name, text) in enumerate(size_cases.constants()):
        artifact, done = compiled(compiler, folder, f"constants{index}", text, level)
        if done.returncode:
            if done.returncode != 1 or not any(code in done.stderr for code in ("E0833", "E0834")):
                failures.append(f"{name}: expects a refusal, but got status {done.returncode}: {done.stderr[:300]}")
            continue
        call = [sys.executable, os.path.abspath(__file__), "--call", artifact]
        done = subprocess.run(call, capture_output=True, text=True, timeout=120)
        if done.stdout.strip() not in ("623", "624"):
            failures.append(f"{name}: expects E0623 or E0624, but got status {done.returncode}: {done.stdout}{done.stderr[-300:]}")
    return index + 1


def call_once(artifact):
    try:
        stepdown.Program.load(artifact).call("f", size_cases.array(5), size_cases.array(3))
        print("returned")
    except stepdown.Error as error:
        print(error.code)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("compiler")
    a.add_argument("library")
    a.add_argument("--draws", type=int, default=200)
    a.add_argument("--seed", type=int, default=None)
    a.add_argument("--function")
    options = a.parse_args()
    os.environ["STEPDOWN_LIBRARY"] = os.path.abspath(options.library)
    seed = options.seed if options.seed is not None else int.from_bytes(os.urandom(4), "little")
    print(f"seed {seed}", flush=True)
    failures, totals = [], np.zeros(3, int)
    with tempfile.TemporaryDirectory() as folder:
        functions = [f for f in FUNCTIONS if options.function in (None, f.name)]
        artifact, done = compiled(options.compiler, folder, "functions", "".join(f.text for f in functions))
        if done.returncode:
            sys.exit(f"FAILED: the functions do not compile: {done.stderr}")
        for level in LEVELS:
            totals += check_level(artifact, [f.name for f in functions], level, seed, options.draws, folder, failures)
        checked = 0 if options.function else check_constants(options.compiler, folder, failures)
    for failure in failures:
        print(failure if failure.startswith("FAILED") else "FAILED " + failure)
    print(f"sizes: {len(functions)} functions, {totals[0]} calls returned, {totals[1]} refused, {totals[2]} too large; "
          f"{checked} modules of constants; {len(failures)} failures")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2], sys.argv[3].split(","), sys.argv[4], int(sys.argv[5]), int(sys.argv[6]), sys.argv[7])
    elif sys.argv[1:2] == ["--call"]:
        call_once(sys.argv[2])
    else:
        main()
