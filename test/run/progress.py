#!/usr/bin/env python3
"""Reads what --verbose tells of long commands where stderr is no terminal.

    progress.py STEPDOWN_COMPILE STEPDOWN_RUN

Lines, each with the seconds since the start, without carriage returns; what goes to stdout, and the artifact, stay as they
are without --verbose, which says nothing there. Ends with 77 where the Python packages numpy and gguf are missing.
"""
import os, re, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data"))
try:
    import make_model
except ImportError:
    print("skipped: needs the Python packages numpy and gguf")
    sys.exit(77)

COMPILE, RUN = sys.argv[1:]
LINE = re.compile(r"(stepdown-compile|stepdown-run): (\d+\.\d) s: (.+)")
failures = []


def expect(what, good, got):
    if not good:
        failures.append(f"{what}: {got}")


def lines_of(what, text, program):
    """What the lines of `program` tell; all of them are lines of progress, and time does not go back."""
    expect(what, "\r" not in text and "\x1b" not in text and text.endswith("\n"), f"expects whole lines, but got {text!r}")
    told, last = [], 0.0
    for line in text.splitlines():
        found = LINE.fullmatch(line)
        expect(what, found or line.startswith("compiling "), f"expects a line of progress, but got {line!r}")
        if found and found[1] == program:
            expect(what, float(found[2]) >= last, f"expects seconds from {last} on, but got {line!r}")
            last = float(found[2])
            told.append(found[3])
    return told


def run(*words, cache=None):
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, **({"XDG_CACHE_HOME": cache} if cache else {})})
    expect(" ".join(words), done.returncode == 0, f"{done.returncode}: {done.stderr}")
    return done


def in_order(what, told, wanted):
    """Each of `wanted` begins a line, one after the other."""
    at = 0
    for text in wanted:
        while at < len(told) and not told[at].startswith(text):
            at += 1
        expect(what, at < len(told), f"expects {text!r} in its place, but got {told}")


def main():
    with tempfile.TemporaryDirectory() as base:
        path = lambda name: os.path.join(base, name)
        model, quiet, told = path("tiny.gguf"), path("quiet.stepdown"), path("told.stepdown")
        make_model.build(model, "--type", "Q8_0")
        phases = [line.split()[0] for line in run(COMPILE, "--compile-to=help").stdout.splitlines()]
        silent = run(COMPILE, model, "-o", quiet)
        expect("without --verbose", not silent.stderr and not silent.stdout, (silent.stdout, silent.stderr))
        loud = run(COMPILE, model, "-o", told, "--verbose", "--target=cpu")
        expect("stdout", not loud.stdout, loud.stdout)
        lines = lines_of("compile", loud.stderr, "stepdown-compile")
        in_order("compile", lines, phases[1:] + ["code for", "packing weights"])
        expect("compile", "packing weights, 100 %" in lines, lines)
        with open(quiet, "rb") as one, open(told, "rb") as other:
            expect("artifact", one.read() == other.read(), "expects the same bytes with --verbose")
        printed = run(COMPILE, model, "--compile-to=linalg", "--verbose")
        expect("IR", printed.stdout == run(COMPILE, model, "--compile-to=linalg").stdout, "expects the same IR with --verbose")
        in_order("IR", lines_of("IR", printed.stderr, "stepdown-compile"), ["fusion", "linalg"])

        tokens = ",".join(str(3 + i % 97) for i in range(131))
        requests = path("requests.jsonl")
        with open(requests, "w") as file:
            file.writelines(f'{{"tokens": [3, {i}], "max_tokens": {i}}}\n' for i in (5, 7, 11))
        for words, wanted in ((["eval", quiet, "--tokens", tokens, "--chunk", "17"], ["evaluating 131 tokens", "evaluating 131 tokens, 100 %"]),
                              (["generate", quiet, "--requests", requests], ["drawing tokens", "drawing tokens, 100 %"]),
                              (["bench", quiet, "-p", "7", "-n", "3", "-r", "2", "-t", "1"],
                               ["warming up: pp7, 1 threads", "warming up: tg3", "run 1 of 2: pp7", "run 1 of 2: tg3", "run 2 of 2: pp7"])):
            loud, silent = run(RUN, *words, "--verbose"), run(RUN, *words)
            expect(words[0], not silent.stderr, silent.stderr)
            if words[0] != "bench":  # its figures are times
                expect(words[0], loud.stdout == silent.stdout, (loud.stdout, silent.stdout))
            in_order(words[0], lines_of(words[0], loud.stderr, "stepdown-run"), wanted)
        # A checkpoint is compiled on the way: the compiler's lines come too.
        both = run(RUN, "eval", model, "--tokens", "3,5,7", "--verbose", cache=path("cache")).stderr
        in_order("on the way", lines_of("on the way", both, "stepdown-compile"), ["fusion", "packing weights, 100 %"])
        expect("on the way", both.startswith("compiling "), both)
    print("\n".join(failures) or "progress: lines of compile, eval, generate and bench are as told")
    sys.exit(1 if failures else 0)


main()
