#!/usr/bin/env python3
"""Feeds damaged IR to stepdown-opt: every module must be accepted or refused with a diagnostic, and none may end the process
by a signal.

    mutate_ir.py STEPDOWN_OPT FOLDER [--modules 2000] [--seed 1] [--pass=FLAG ...]

FOLDER holds .mlir tests; their modules are cut at `// -----`, and each mutation deletes, doubles, swaps or replaces a few
tokens with tokens of any test. Prints and keeps a module that crashes; exit status 1 then.
"""
import argparse
import pathlib
import random
import re
import subprocess
import sys

TOKEN = re.compile(r'"[^"\n]*"|[A-Za-z_@%!#^][\w.$@#!]*|-?\d+(?:\.\d+(?:e[-+]?\d+)?)?|\s+|->|.', re.S)
SEPARATOR = "\n// -----\n"


def modules(folder):
    for path in sorted(pathlib.Path(folder).rglob("*.mlir")):
        for part in path.read_text().split("// -----"):
            yield [t for t in TOKEN.findall(re.sub(r"//[^\n]*", "", part))]


def mutate(tokens, vocabulary, rng):
    out = list(tokens)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = [i for i, t in enumerate(out) if not t.isspace()]
        if not places:
            break
        i = rng.choice(places)
        what = rng.randrange(5)
        if what == 0:
            del out[i]
        elif what == 1:
            out.insert(i, out[i])
        elif what == 2:
            j = rng.choice(places)
            out[i], out[j] = out[j], out[i]
        elif what == 3 and re.fullmatch(r"-?\d+", out[i]):
            out[i] = str(rng.choice((0, -1, 1, 2, 3, 17, 2**31, 2**63 - 1, -2**63, 2**64)))
        else:
            same = [t for t in vocabulary if t[:1].isalpha() == out[i][:1].isalpha()] or vocabulary
            out[i] = rng.choice(same)
    return "".join(out)


def crashes(command, text):
    run = subprocess.run([*command, "--split-input-file", "-o", "/dev/null"], input=text, text=True,
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return run.returncode < 0 or run.returncode > 1 or "PLEASE submit a bug report" in run.stderr


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("opt")
    a.add_argument("folder")
    a.add_argument("--modules", type=int, default=2000)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--pass", dest="passes", action="append", default=[])
    a = a.parse_args()
    rng = random.Random(a.seed)
    sources = [m for m in modules(a.folder) if m]
    if not sources:
        sys.exit(f"mutate_ir: expects .mlir files in {a.folder}, but found none")
    vocabulary = sorted({t for m in sources for t in m if not t.isspace()})
    command = [a.opt, "--mlir-disable-threading", *a.passes]
    found = 0
    for begin in range(0, a.modules, 50):
        batch = [mutate(rng.choice(sources), vocabulary, rng) for _ in range(min(50, a.modules - begin))]
        if not crashes(command, SEPARATOR.join(batch)):
            continue
        for text in batch:
            if crashes(command, text):
                found += 1
                path = pathlib.Path(f"crash-{a.seed}-{begin}-{found}.mlir")
                path.write_text(text)
                print(f"{path}: this module ends stepdown-opt by a signal:\n{text}\n")
    print(f"mutate_ir: {a.modules} modules, {found} crashes")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
