#!/usr/bin/env python3
"""Every operation of plain modules on every element type, against references that know nothing of it.

    operations.py STEPDOWN_COMPILE LIBRARY MLIR_INCLUDE [--only TEXT] [--device NAME] [--share I/N] [--compile-only]

An operation on an element type is one function, which computes it of constants, of numbers, of a tensor and of a tensor
of any size. Functions are compiled many at a time and called in this process through LIBRARY (libstepdown.so), with the
code of each level that the processor has. What docs/programs.md says is refused must be, and every operation that the
headers in MLIR_INCLUDE declare is computed or refused. Ends with the table of operations and types. --only: cases whose
name and type hold TEXT, and nothing else. --device: compiled for that device and run by it, in place of the processor's
levels. --share: of the cases every Nth, from the Ith on. --compile-only: what a device without hardware can show: that
there is code for each function. Ends with 77, which ctest takes for skipped, where the Python package numpy is missing.
"""
import itertools, os, re, subprocess, sys, tempfile
from concurrent.futures import ThreadPoolExecutor

try:
    import numpy as np  # noqa: F401
except ImportError:
    print("skipped: needs the Python package numpy")
    sys.exit(77)

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "python")]
COMPILE, os.environ["STEPDOWN_LIBRARY"], INCLUDE = sys.argv[1:4]


def option(name):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else ""


ONLY, DEVICE, SHARE = option("--only"), option("--device"), option("--share")
COMPILE_ONLY = "--compile-only" in sys.argv
import operation_arith
import operation_linalg
import operation_math
import operation_refused
import operation_tensor
import operation_upstream
import stepdown
from operation_case import Elementwise
from levels import LEVELS
from operation_elements import ELEMENTS

BATCH = 48  # functions of one module


def cases():
    yield from operation_arith.cases()
    yield from operation_math.cases()
    yield from operation_linalg.cases()
    yield from operation_tensor.cases()
    yield from operation_upstream.PROGRAMS


def compile_module(folder, name, batch):
    """The path of the artifact of `batch`, or what the compiler said."""
    source, artifact = (os.path.join(folder, name + suffix) for suffix in (".mlir", ".stepdown"))
    with open(source, "w", encoding="utf-8") as file:
        file.writelines(case.function(f"f{i}") for i, case in enumerate(batch))
    # What an operation becomes differs between levels; where elements go does not, so there one level will do.
    all_levels = not DEVICE and any(isinstance(case, Elementwise) for case in batch)
    target = [] if all_levels else [f"--target={DEVICE or NATIVE[0]}"]
    done = subprocess.run([COMPILE, *target, source, "-o", artifact], capture_output=True, text=True)
    return (artifact, "") if done.returncode == 0 else (None, done.stderr.strip())


def check_batch(folder, name, batch):
    """{case: problems}; a module that does not compile is cut in two until the function is alone."""
    artifact, said = compile_module(folder, name, batch)
    if artifact is None:
        if len(batch) == 1:
            return {id(batch[0]): [f"{batch[0].name} of {batch[0].column}: expects to compile, but: {said[:400]}"]}
        half = len(batch) // 2
        return {**check_batch(folder, name + "a", batch[:half]), **check_batch(folder, name + "b", batch[half:])}
    found = {id(case): [] for case in batch}
    if COMPILE_ONLY:
        return found
    for level in LEVELS if not DEVICE and any(isinstance(case, Elementwise) for case in batch) else NATIVE:
        try:
            program = stepdown.Program.load(artifact, isa=level, device=DEVICE or None)
        except stepdown.Error as error:
            if error.code != 508:  # the processor lacks the level
                raise
            skipped.add(level)
            continue
        for i, case in enumerate(batch):
            try:
                problems = case.check(lambda *arrays, i=i: program.call(f"f{i}", *arrays))
            except stepdown.Error as error:
                problems = [f"{case.name} of {case.column}: {error}"]
            found[id(case)] += [f"{problem} at {DEVICE or level}" for problem in problems]
    return found


def table(done, problems):
    """Operations and types: = equal, ~ within its bound, ! wrong."""
    rows = {}
    for case in done:
        if case.column:
            bounded = getattr(case, "bound", 0) or any(v.ulps for v in getattr(case, "variants", []))
            rows.setdefault(case.name, {}).setdefault(case.column.name, []).append(
                "!" if problems[id(case)] else "~" if bounded else "=")
    counts = dict.fromkeys("=~!", 0)
    print(f"{'':34}" + " ".join(f"{e.name:>5}" for e in ELEMENTS))
    for name in sorted(rows):
        cells = []
        for element in ELEMENTS:
            marks = rows[name].get(element.name, [])
            cells.append(next((mark for mark in "!~=" if mark in marks), ""))
            for mark in cells[-1]:
                counts[mark] += 1
        print(f"{name:34}" + " ".join(f"{cell:>5}" for cell in cells).rstrip())
    return counts


skipped = set()
NATIVE = [next(iter(LEVELS))]  # the best level of this processor, in the end


def choose_level(folder):
    artifact, said = compile_module(folder, "level", [next(iter(operation_arith.cases()))])
    if artifact is None:
        sys.exit(f"operations: expects a module to compile, but: {said}")
    NATIVE[0] = stepdown.Program.load(artifact, device=DEVICE or None).isa


def main():
    done = [case for case in cases() if ONLY in f"{case.name} {case.column.name if case.column else ''}"]
    if SHARE:
        first, every = map(int, SHARE.split("/"))
        done = done[first::every]
    problems = {}
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        if not COMPILE_ONLY:
            choose_level(folder)
        done.sort(key=lambda case: not isinstance(case, Elementwise))  # modules of one kind
        batches = [done[at:at + BATCH] for at in range(0, len(done), BATCH)]
        for found in pool.map(check_batch, itertools.repeat(folder), [f"m{i}" for i in range(len(batches))], batches):
            problems.update(found)
        listed, declared, refused = [], 0, 0
        if not (ONLY or DEVICE or SHARE):
            texts = "".join(case.function("f") for case in done if not problems[id(case)])
            computed = set(re.findall(r"\b(?:func|linalg|tensor|arith|math|scf|affine|cf)\.[a-z_0-9.]*[a-z_0-9]", texts))
            listed, declared, refused = operation_refused.problems(COMPILE, folder, INCLUDE, computed)
    if COMPILE_ONLY:
        said = [problem for case in done for problem in problems[id(case)]]
        print("\n".join("FAILED " + problem for problem in said) or f"operations: {len(done)} functions have code of {DEVICE}, which was not run")
        sys.exit(1 if said or not done else 0)
    counts = table(done, problems)
    wrong = [problem for case in done for problem in problems[id(case)]] + listed
    for problem in wrong:
        print("FAILED " + problem)
    for level in sorted(skipped):
        print(f"skipped {level}: this processor lacks it")
    forms = sum(len(case.forms()) for case in done)
    print(f"operations: {len(done)} functions in {forms} forms; of operations and types {counts['=']} equal, {counts['~']} "
          f"within their bound, {counts['!']} wrong; of {declared} operations {refused} refused; {len(wrong)} failures")
    sys.exit(1 if wrong or not done else 0)


main()
