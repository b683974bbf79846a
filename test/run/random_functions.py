"""Runs random functions, many to a module, and tells which of them fail: what control_flow.py and tensor_flow.py share.

`made(seed, number)` gives function `number` of a seed, with its MLIR as `text`; `worker(artifact, seed, first, count)` calls
functions in a process of its own, since a fault ends that, and prints FAILED lines, then done. Where a device is asked for,
the functions are compiled for it, and STEPDOWN_DEVICE tells the worker its name.
"""
import argparse
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor


def _check(script, made, compile_for, folder, seed, first, count):
    """Failures of functions `first` on; a module that does not compile is cut in two until the function is alone.
    `compile_for`: the compiler and its options."""
    source, artifact = (os.path.join(folder, f"{first}-{count}{suffix}") for suffix in (".mlir", ".stepdown"))
    with open(source, "w", encoding="utf-8") as file:
        file.writelines(made(seed, number).text for number in range(first, first + count))
    done = subprocess.run([*compile_for, source, "-o", artifact, "--jobs=1"], capture_output=True, text=True)
    if done.returncode and count > 1:
        half = count // 2
        return (_check(script, made, compile_for, folder, seed, first, half)
                + _check(script, made, compile_for, folder, seed, first + half, count - half))
    if done.returncode:
        return [f"FAILED {first}: expects to compile, but: {done.stderr.strip()[:600]}"]
    done = subprocess.run([sys.executable, script, "--worker", artifact, str(seed), str(first), str(count)], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    failures = [line for line in lines if line.startswith("FAILED")]
    if not lines or lines[-1] != "done":
        failures.append(f"FAILED {lines[-1:]}: status {done.returncode}: {done.stderr[-400:]}")
    for path in (source, artifact):
        os.remove(path)
    return failures


def main(script, doc, made, worker, count, batch, what="functions"):
    """The command line of `script`; `count` functions where none are asked for, `batch` to a module."""
    if sys.argv[1:2] == ["--worker"]:
        return worker(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    a = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("compiler")
    a.add_argument("library")
    a.add_argument("--count", type=int, default=count)
    a.add_argument("--seed", type=int, default=None)
    a.add_argument("--first", type=int, default=0)
    a.add_argument("--device", default="", help="compile for this device and run on it, in place of the processor")
    a.add_argument("--jobs", type=int, default=os.cpu_count())
    a.add_argument("--print", action="store_true", help="print the functions and do nothing else")
    options = a.parse_args()
    os.environ["STEPDOWN_LIBRARY"] = os.path.abspath(options.library)
    os.environ["STEPDOWN_DEVICE"] = options.device
    compile_for = [options.compiler, *([f"--target={options.device}"] if options.device else [])]
    seed = options.seed if options.seed is not None else int.from_bytes(os.urandom(4), "little")
    if options.print:
        print("".join(made(seed, options.first + i).text for i in range(options.count)))
        return
    print(f"seed {seed}", flush=True)
    failures, end = [], options.first + options.count
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.jobs) as pool:
        run = lambda at: _check(os.path.abspath(script), made, compile_for, folder, seed, at, min(batch, end - at))
        for found in pool.map(run, range(options.first, end, batch)):
            failures += found
            for line in found:
                print(line, flush=True)
    print(f"{os.path.basename(script)[:-3]}: {options.count} {what}{' on ' + options.device if options.device else ''}, {len(failures)} failures"
          + (f"; one of them alone: --seed {seed} --first NUMBER --count 1" if failures else ""))
    sys.exit(1 if failures else 0)
