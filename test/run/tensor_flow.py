#!/usr/bin/env python3
"""Random functions on tensors, compiled and called, against what numpy computes of the same program.

    tensor_flow.py STEPDOWN_COMPILE LIBSTEPDOWN [--count N] [--seed N] [--first N]

N functions (150) of tensor_program.py: arrays are sliced, written into, joined, reshaped, added up and multiplied, in loops
and branches that carry them, so that fusion and reuse of arrays meet every order of reads and writes. Each is called at the
best level of the processor; results are equal. --first: number of the first function of a seed, so that one can be seen
alone. Ends with 77, which ctest takes for skipped, where numpy is missing.
"""
import argparse, os, random, subprocess, sys, tempfile
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "python")]
sys.dont_write_bytecode = True
try:
    import numpy as np
except ImportError:
    print("skipped: needs the Python package numpy")
    sys.exit(77)
import tensor_program
from operation_elements import ELEMENTS, array, values

BATCH = 15  # functions of one module
OF = {element.name: element for element in ELEMENTS}


def made(seed, number):
    with np.errstate(all="ignore"):
        return tensor_program.Program(random.Random(f"{seed}/{number}"), f"f{number}")


def travelled(kind, numbers):
    """An int64 array as the array of `kind` that a caller gives."""
    whole = numbers.ravel().tolist()
    whole = [float(v) for v in whole] if OF[kind].is_float else [bool(v) for v in whole] if kind == "i1" else whole
    return array(OF[kind], whole).reshape(numbers.shape)


def worker(artifact, seed, first, count):
    """Calls each function; its number is said before, so that a fault has a name."""
    import stepdown
    library = stepdown.Program.load(artifact)
    for number in range(first, first + count):
        print(f"at {number}", flush=True)
        function = made(seed, number)
        try:
            got = library.call(function.name, *[travelled(v.kind, function.given[v.name]) for v in function.arguments])
        except stepdown.Error as error:
            print(f"FAILED {number}: expects results, but got: {error}", flush=True)
            continue
        with np.errstate(all="ignore"):
            expected = function.run()
        for which, ((kind, e), g) in enumerate(zip(expected, got)):
            if g.shape != e.shape or values(OF[kind], g) != e.ravel().tolist():
                print(f"FAILED {number}: result {which} ({function.results[which].name}: {function.results[which].type}): expects "
                      f"{e.tolist()}, but got {np.array(values(OF[kind], g)).reshape(g.shape).tolist()}"[:600], flush=True)
                break
    print("done", flush=True)


def check(compiler, folder, seed, first, count):
    """Failures of functions `first` on; a module that does not compile is cut in two until the function is alone."""
    source, artifact = (os.path.join(folder, f"{first}-{count}{suffix}") for suffix in (".mlir", ".stepdown"))
    with open(source, "w", encoding="utf-8") as file:
        file.writelines(made(seed, number).text for number in range(first, first + count))
    done = subprocess.run([compiler, source, "-o", artifact, "--jobs=1"], capture_output=True, text=True)
    if done.returncode and count > 1:
        half = count // 2
        return check(compiler, folder, seed, first, half) + check(compiler, folder, seed, first + half, count - half)
    if done.returncode:
        return [f"FAILED {first}: expects to compile, but: {done.stderr.strip()[:600]}"]
    done = subprocess.run([sys.executable, os.path.abspath(__file__), "--worker", artifact, str(seed), str(first), str(count)],
                          capture_output=True, text=True)
    lines = done.stdout.splitlines()
    failures = [line for line in lines if line.startswith("FAILED")]
    if not lines or lines[-1] != "done":
        failures.append(f"FAILED {lines[-1:]}: status {done.returncode}: {done.stderr[-400:]}")
    for path in (source, artifact):
        os.remove(path)
    return failures


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("compiler")
    a.add_argument("library")
    a.add_argument("--count", type=int, default=150)
    a.add_argument("--seed", type=int, default=None)
    a.add_argument("--first", type=int, default=0)
    a.add_argument("--jobs", type=int, default=os.cpu_count())
    a.add_argument("--print", action="store_true", help="print the functions and do nothing else")
    options = a.parse_args()
    os.environ["STEPDOWN_LIBRARY"] = os.path.abspath(options.library)
    seed = options.seed if options.seed is not None else int.from_bytes(os.urandom(4), "little")
    if options.print:
        print("".join(made(seed, options.first + i).text for i in range(options.count)))
        return
    print(f"seed {seed}", flush=True)
    failures = []
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.jobs) as pool:
        starts = range(options.first, options.first + options.count, BATCH)
        for found in pool.map(lambda at: check(options.compiler, folder, seed, at, min(BATCH, options.first + options.count - at)), starts):
            failures += found
            for line in found:
                print(line, flush=True)
    print(f"tensor_flow: {options.count} functions, {len(failures)} failures"
          + (f"; one of them alone: --seed {seed} --first NUMBER --count 1" if failures else ""))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    else:
        main()
