#!/usr/bin/env python3
"""Writes docs/errors.md from lib/Base/ErrorCodes.def, and checks both.

    tools/error-docs.py            write docs/errors.md
    tools/error-docs.py --check    write nothing; fail where the page is stale, a number or name repeats, a range is out of
                                   order or of an error that is gone, a text is missing, or no code reports the error
"""
import os, re, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SOURCE, PAGE = "lib/Base/ErrorCodes.def", "docs/errors.md"
GONE = (231, 1046, 1436)  # numbers of errors that there were, which mean nothing else; add those that go
CODE = ("lib", "runtime", "tools", "passes", "dialects", "include")
TITLES = {
    1: "GGUF container", 2: "Metadata and model", 3: "Tokenizer", 4: "Chat template", 5: "Artifact",
    6: "Session and requests", 7: "Sampling", 8: "Compiler", 9: "Files and command line", 10: "GPU kernels",
    12: "Server", 13: "Grammars, tools and replicas", 14: "Hugging Face folders", 15: "Guessing and saved sequences",
}
ENTRY = re.compile(r'STEPDOWN_ERROR\(\s*(\d+)\s*,\s*(\w+)\s*,((?:\s*"(?:[^"\\]|\\.)*"\s*,?)+)\)')
TEXT = re.compile(r'((?:"(?:[^"\\]|\\.)*"\s*)+)(?:,|$)')


def read_entries():
    """[(number, name, summary, cause, remedy)] in file order."""
    with open(os.path.join(ROOT, SOURCE), encoding="utf-8") as file:
        source = "".join(line for line in file if not line.lstrip().startswith("//"))
    entries = []
    for number, name, texts in ENTRY.findall(source):
        joined = ["".join(re.findall(r'"((?:[^"\\]|\\.)*)"', part)) for part in TEXT.findall(texts.strip())]
        entries.append((int(number), name, *[text.replace('\\"', '"') for text in joined]))
    if len(entries) != source.count("STEPDOWN_ERROR("):
        sys.exit(f"error-docs: {SOURCE}: expects {source.count('STEPDOWN_ERROR(')} entries, but can read {len(entries)}")
    return entries


def page(entries):
    lines = [
        "# Errors", "",
        f"<!-- Written by tools/error-docs.py from {SOURCE}; do not edit. -->", "",
        "Every refusal has a number that never changes its meaning. The message after it names the file, the field, the offset",
        "where there is one, and the value: `error E0103: model.gguf: offset 4: version: expects 2 or 3, but got 1`. This page says",
        "what each number means, what causes it, and what to do.", "",
    ]
    group = 0
    for number, name, summary, cause, remedy in entries:
        if number // 100 != group:
            group = number // 100
            lines += ([""] if lines[-1] else []) + [f"## {group:02d}xx {TITLES[group]}", "",
                                                    "| number | name | means | cause | remedy |", "| --- | --- | --- | --- | --- |"]
        cells = [text.replace("|", "\\|") for text in (summary, cause, remedy)]
        lines.append(f"| E{number:04d} | `{name}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def sources():
    for top in CODE:
        for folder, _, files in os.walk(os.path.join(ROOT, top)):
            for file in files:
                if file.endswith((".cpp", ".h")):
                    with open(os.path.join(folder, file), encoding="utf-8", errors="replace") as source:
                        yield source.read()


def problems(entries):
    found = []
    numbers, names = [e[0] for e in entries], [e[1] for e in entries]
    for before, after in zip(numbers, numbers[1:]):
        if after <= before:
            found.append(f"{SOURCE}: expects rising numbers, but {after:04d} follows {before:04d}")
    found += [f"{SOURCE}: expects each name once, but {n} is repeated" for n in sorted(set(names)) if names.count(n) > 1]
    found += [f"{SOURCE}: expects another number than E{n:04d}, which was another error's" for n in numbers if n in GONE]
    for entry in entries:
        if len(entry) != 5 or not all(str(text).strip() for text in entry):
            found.append(f"{SOURCE}: E{entry[0]:04d} expects a summary, a cause and a remedy")
        if entry[0] // 100 not in TITLES:
            found.append(f"{SOURCE}: E{entry[0]:04d} lies in no range")
    used = set()
    for text in sources():
        used.update(re.findall(r"ErrorCode::(\w+)", text))
    found += [f"{SOURCE}: expects code that reports {n}, but there is none" for n in names if n not in used]
    return found


def main():
    entries = read_entries()
    path = os.path.join(ROOT, PAGE)
    if sys.argv[1:] == ["--check"]:
        found = problems(entries)
        current = open(path, encoding="utf-8").read() if os.path.exists(path) else ""
        if current != page(entries):
            found.append(f"{PAGE} is stale: run tools/error-docs.py")
        for problem in found:
            print("error-docs: " + problem, file=sys.stderr)
        sys.exit(1 if found else 0)
    if sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as out:
        out.write(page(entries))


main()
