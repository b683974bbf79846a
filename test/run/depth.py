#!/usr/bin/env python3
"""The cost of depth: a model 8 times deeper has the same IR after every phase, and compiles in at most 1.3 times the time.

    depth.py STEPDOWN_COMPILE

Also: two compiles of one checkpoint give the same bytes. Ends with 77 where numpy or gguf are missing. Compile times are
processor times, the least of three, so that other work on the machine does not count.
"""
import os
import re
import resource
import subprocess
import sys
import tempfile

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data")]
try:
    import make_model
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

PHASES = ("transformer", "fusion", "linalg", "packing", "tiles", "buffers", "vector", "cpu")
OPERATION = re.compile(r"^\s*(?:%[^=]*= )?\"?([a-z_]+\.[a-z_.0-9]+)", re.MULTILINE)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def seconds(*command):
    """Processor time of the least of three runs."""
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run(*command)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def main():
    program, failures = sys.argv[1], []
    with tempfile.TemporaryDirectory() as folder:
        path = lambda name: os.path.join(folder, name)
        options = "--family gemma3 --type Q4_0 --layers 12 --window 16 --vocab 389".split()
        # Every sixth layer is global, the last one too: its kind has others in both, so that it becomes one of its own.
        make_model.build(path("shallow.gguf"), *options)
        make_model.build(path("deep.gguf"), *options, "--deep", "8")
        for phase in PHASES:
            counts = [OPERATION.findall(run(program, path(name + ".gguf"), f"--compile-to={phase}")) for name in ("shallow", "deep")]
            print(f"{phase:12s} {len(counts[0]):6d} operations, 8 times deeper {len(counts[1]):6d}", flush=True)
            if counts[0] != counts[1] or not counts[0]:
                failures.append(f"{phase}: expects the {len(counts[0])} operations of 12 layers, but got {len(counts[1])} with 96")
        times = [seconds(program, path(name + ".gguf"), "-o", path(name), "--jobs=1", "--target=x86-64-v3") for name in ("shallow", "deep")]
        print(f"compile: {times[0]:.2f} s of processor time, 8 times deeper {times[1]:.2f} s: {times[1] / times[0]:.2f}")
        if times[1] > 1.3 * times[0]:
            failures.append(f"expects at most 1.3 times the compile time, but got {times[1] / times[0]:.2f}")
        for name, jobs in (("again", 1), ("parallel", 3)):
            run(program, path("shallow.gguf"), "-o", path(name), f"--jobs={jobs}", "--target=x86-64-v3")
            with open(path("shallow"), "rb") as one, open(path(name), "rb") as other:
                one, other = one.read(), other.read()
                if one != other:
                    first = next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
                    failures.append(f"{name}: expects the same artifact, but byte {first} of {len(one)} differs")
    print("\n".join(failures) or "the same IR and the same bytes")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
