#!/usr/bin/env python3
"""Names lines of prose in README.md and docs/ that are longer than 120 columns.

    tools/prose-width.py          names them
    tools/prose-width.py --wrap   wraps the paragraphs that have one

Tables, quoted code and what a program prints keep their width, and so do generated pages.
"""
import os, re, subprocess, sys, textwrap

os.chdir(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GENERATED = ("docs/errors.md", "docs/dialects/", "docs/passes/")
WIDEST = 120
ITEM = re.compile(r"\s*(?:[-*]|\d+\.) ")


def paragraphs(lines):
    """(first, end) of runs of lines that are neither blank nor a heading, a table or code; each item is one."""
    fenced, first = False, None
    for number, line in enumerate([*lines, ""]):
        fence = line.lstrip().startswith("```")
        prose = not fenced and not fence and line.strip() and not line.startswith(("|", "    ", "#"))
        if first is not None and (not prose or ITEM.match(line)):
            yield first, number
            first = None
        if prose and first is None:
            first = number
        fenced ^= fence


def wrapped(lines):
    item = ITEM.match(lines[0])
    mark = item.group(0) if item else ""
    text = " ".join([lines[0][len(mark):].strip(), *(line.strip() for line in lines[1:])])
    return textwrap.wrap(text, WIDEST - 2, initial_indent=mark, subsequent_indent=" " * len(mark), break_long_words=False,
                         break_on_hyphens=False)


faults = []
tracked = subprocess.run(["git", "ls-files", "*.md"], capture_output=True, text=True, check=True).stdout.split()
for path in tracked:
    if path.startswith(GENERATED):
        continue
    lines = open(path, encoding="utf-8").read().split("\n")
    for first, end in reversed(list(paragraphs(lines))):
        long = [n for n in range(first, end) if len(lines[n]) > WIDEST]
        faults += [f"{path}:{n + 1}: expects at most {WIDEST} columns, but got {len(lines[n])}" for n in long]
        if long and "--wrap" in sys.argv:
            lines[first:end] = wrapped(lines[first:end])
            open(path, "w", encoding="utf-8").write("\n".join(lines))
if "--wrap" in sys.argv:
    print(f"prose-width: {len(faults)} lines were too long")
    sys.exit(0)
print("\n".join(faults) or f"prose-width: all within {WIDEST} columns")
sys.exit(1 if faults else 0)
