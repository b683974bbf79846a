#!/usr/bin/env python3
"""Writes the list of what plain modules may not hold into docs/programs.md, from lib/Frontend/RefusedOperations.def.

    tools/operation-docs.py            write the list
    tools/operation-docs.py --check    write nothing; fail where the list is stale or an entry lacks a text
"""
import os, re, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SOURCE, PAGE = "lib/Frontend/RefusedOperations.def", "docs/programs.md"
BEGIN, END = f"<!-- Written by tools/operation-docs.py from {SOURCE}; do not edit. -->\n", "<!-- End of the list. -->\n"
TEXT = r'\s*"((?:[^"\\]|\\.)*)"\s*'
ENTRY = re.compile(rf"^STEPDOWN_REFUSED(_FORM)?\({TEXT},{TEXT},{TEXT}\)", re.M)


def read_entries():
    """[(whether it is the name of an operation, what, why, instead)] in file order."""
    with open(os.path.join(ROOT, SOURCE), encoding="utf-8") as file:
        source = file.read()
    entries = [(not form, what, why, instead) for form, what, why, instead in ENTRY.findall(source)]
    if len(entries) != len(re.findall(r"^STEPDOWN_REFUSED", source, re.M)) or not all(all(entry[1:]) for entry in entries):
        sys.exit(f"operation-docs: {SOURCE}: expects entries of three texts each")
    return entries


def page(entries, before):
    lines = ["| refused | because | write instead |", "| --- | --- | --- |"]
    for named, what, why, instead in entries:
        lines.append(f"| {f'`{what}`' if named else what} | {why} | {instead} |")
    head, rest = before.split(BEGIN)
    return head + BEGIN + "\n" + "\n".join(lines) + "\n\n" + END + rest.split(END)[1]


def main():
    path = os.path.join(ROOT, PAGE)
    with open(path, encoding="utf-8") as file:
        before = file.read()
    after = page(read_entries(), before)
    if sys.argv[1:] == ["--check"]:
        if before != after:
            sys.exit(f"operation-docs: {PAGE} is stale: run tools/operation-docs.py")
        return
    if sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    with open(path, "w", encoding="utf-8") as file:
        file.write(after)


if __name__ == "__main__":
    main()
