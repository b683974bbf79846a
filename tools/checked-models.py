#!/usr/bin/env python3
"""Writes docs/checked-models.md, which models run in tests and what they are compared with, from the tables of the tests.

    tools/checked-models.py            write docs/checked-models.md
    tools/checked-models.py --check    write nothing; fail where the page is stale, or a family or a model_type has no test

The tables are read, not run: FAMILIES and MORE of test/run/conformance.py, MODELS of test/run/folders.py, COMPUTED of
test/run/folder_quantised.py, FORMS of test/data/quantised_folder.py. Families are the files of lib/Checkpoint/Families, model types the rows of FolderFamilies.cpp.
"""
import ast, glob, os, re, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = "docs/checked-models.md"
ENCODERS = {"bert"}  # test/run/encoders.py has them, in words of its own


def text_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def tables(path, name):
    """[(key, value, whether it is run by hand alone)] of the dicts that are assigned to `name`, or joined to it."""
    rows = []

    def visit(body, by_hand):
        for node in body:
            if isinstance(node, ast.If):
                visit(node.body, True)
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            if isinstance(target, ast.Name) and target.id == name and isinstance(node.value, ast.Dict):
                rows.extend((key.value, value, by_hand) for key, value in zip(node.value.keys, node.value.values))
    visit(ast.parse(text_of(path)).body, False)
    if not rows:
        sys.exit(f"checked-models: {path}: expects a table {name}, but found none")
    return rows


def first(value):
    """The options, which may be all of a row, or come first in it."""
    return (value if isinstance(value, ast.Constant) else value.elts[0]).value


def option(options, name, default=""):
    found = re.search(rf"--{name} (\S+)", options)
    return found.group(1) if found else default


def joined(words):
    return ", ".join(sorted(set(words))) or "none"


def by_family():
    """BY_FAMILY of make_folder.py: the model_type of the folder of a family, where it has another name."""
    return {key: value.value for key, value, _ in tables("test/data/make_folder.py", "BY_FAMILY")}


def page():
    gguf, by_hand, schemes = {}, {}, {}
    for name in ("FAMILIES", "MORE"):
        for _, value, hand in tables("test/run/conformance.py", name):
            options = first(value)
            family = option(options, "family")
            (by_hand if hand else gguf).setdefault(family, []).append(option(options, "type"))
            schemes.setdefault(family, []).append(option(options, "rope", "none").split(":")[0])
    folders, names = {}, by_family()
    for _, value, _ in tables("test/run/folders.py", "MODELS"):
        options, dtype, _, kind = (part.value for part in value.elts[:4])
        family = option(options, "family")
        kind = kind or names.get(family, family)
        folders.setdefault(kind, []).append(dtype + (" and MXFP4" if "MXFP4" in options else ""))
        schemes.setdefault(family, []).append(option(options, "rope", "none").split(":")[0])
    families = [re.search(r'architecture = "([^"]+)"', text_of(os.path.relpath(path, ROOT))).group(1)
                for path in sorted(glob.glob(os.path.join(ROOT, "lib/Checkpoint/Families/*.h")))]
    source = text_of("lib/Checkpoint/HuggingFace/FolderFamilies.cpp")
    kinds = re.findall(r'\{"(\w+)", "([\w-]+)", \w+, std::size', source)
    table = re.search(r"\bfamilies\[\] = \{(.*?)\n?\};", source, re.DOTALL)
    rows = len(re.findall(r"\bstd::size\(", table.group(1))) if table else 0
    if not rows or rows != len(kinds):
        sys.exit(f"checked-models: expects to read each of the {rows} rows of families[], but read {len(kinds)}")
    lines = [
        "# Which models run in tests", "", "<!-- Written by tools/checked-models.py from the tables of the tests; do not edit. -->", "",
        "Tiny random models, whose logits are compared with a float64 forward pass of this repository: GGUF files in",
        "`test/run/conformance.py`, folders in `test/run/folders.py`. What else was compared, and with whom, says",
        "[checkpoints.md](checkpoints.md#what-was-checked).", "",
        "| family | GGUF, in CI | GGUF, by hand (`STEPDOWN_EVERY_FAMILY=1`) | folder: model_type and types | rotation |", "| --- | --- | --- | --- | --- |",
    ]
    for family in sorted(families):
        if family in ENCODERS:
            lines.append(f"| {family} | `test/run/encoders.py` | the same | {family} | none |")
            continue
        mine = [kind for kind, architecture in kinds if architecture == family]
        said = "; ".join(f"{kind}: {joined(folders.get(kind, []))}" for kind in sorted(mine)) or "no reader"
        lines.append(f"| {family} | {joined(gguf.get(family, []))} | {joined(by_hand.get(family, []))} | {said} | {joined(schemes.get(family, []))} |")
        if not gguf.get(family) and not by_hand.get(family):
            sys.exit(f"checked-models: expects a model of family {family} in test/run/conformance.py, but there is none")
        for kind in mine:
            if kind not in folders:
                sys.exit(f"checked-models: expects a folder of model_type {kind} in test/run/folders.py, but there is none")
    counts = re.search(r"^\*\*(.*)\*\*$", text_of("docs/generated-models.md"), re.MULTILINE).group(1)
    lines += ["", "## llama.cpp's generator", "",
              "Of the tiny models that llama.cpp's `test-llama-archs` writes, one of nearly every architecture, by hand",
              f"([generated-models.md](generated-models.md)): {counts}"]
    lines += ["", "## Quantised folders", "",
              "The weights that are read of each form are compared to the bit with the formula of its package in float32",
              "(`test/data/quantised_folder.py`), and those of some are computed with.", "",
              "| form | the type here | logits, of a model of |", "| --- | --- | --- |"]
    computed = {key: option(first(value), "family") for key, value, _ in tables("test/run/folder_quantised.py", "COMPUTED")}
    for key, value, _ in tables("test/data/quantised_folder.py", "FORMS"):
        lines.append(f"| {key} | {value.elts[2].value} | {computed.get(key, 'not computed')} |")
    return "\n".join(lines) + "\n"


def main():
    made = page()
    if sys.argv[1:] == ["--check"]:
        if not os.path.exists(os.path.join(ROOT, PAGE)) or text_of(PAGE) != made:
            sys.exit(f"checked-models: {PAGE} is stale; run tools/checked-models.py")
        return
    with open(os.path.join(ROOT, PAGE), "w", encoding="utf-8") as file:
        file.write(made)


if __name__ == "__main__":
    main()
