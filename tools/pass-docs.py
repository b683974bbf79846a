#!/usr/bin/env python3
"""Holds what passes/*/Passes.td tell of a pass to the pass's lit test.

    tools/pass-docs.py                   names, summaries, and that Before is quoted from the lit test
    tools/pass-docs.py STEPDOWN_OPT      that After is what the pass prints for the test, too

A pass `-fuse-attention` of the stage Fusion is `def FuseAttention`, has test/passes/Fusion/fuse-attention.mlir, a
summary that begins with a verb, and a description that says why and ends with

    Before:
    ```mlir
    lines of a function of that test
    ```
    After:
    ```mlir
    lines of what the first RUN line of the test prints for the same function
    ```

White space does not count, and a quoted line may be broken where it has some. `...` in a line stands for the rest of
the line or a piece of it, `...` by itself for any number of lines of the same function; lines that follow each other in
the quotation follow each other in the source. In After, values have names that tell what they are in place of the
printer's %arg0 and %12: a name stands for one value throughout a function and two names for two, so that `%x - %y` is
not found where `%y - %x` is printed.
"""
import glob, os, re, shlex, subprocess, sys

ROOT = os.environ.get("STEPDOWN_PASSES_ROOT", os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PASS = re.compile(r'^def (\w+) : Pass<"([^"]*)".*?^}', re.M | re.S)
SUMMARY = re.compile(r'let summary = "([^"]*)";')
DESCRIPTION = re.compile(r"let description = \[\{\n(.*?)\}\];", re.S)
FENCE = r"\n *```mlir\n(.*?)^ *```"
QUOTED = re.compile(rf"^ *Before:{FENCE}\n *After:{FENCE}\s*\Z", re.M | re.S)
FUNCTION = re.compile(r"(?:func\.?(?:func)?|tile\.kernel) @(\w+)")
OPENS = r"(?:(?:\w+\.)?func|tile\.kernel) (?:private )?@"
LONGEST = 12  # lines of a quotation
VERBS = set("Assert Bind Carry Check Convert Cut Decompose Drop Expand Fuse Give Lower Make Pack Pad Place Put Select Wrap Write".split())


class Quotation:
    """Lines as one regular expression, in which values have the names of the source or, where it was printed, any."""

    def __init__(self, lines, was_printed):
        self.was_printed, self.values, self.groups = was_printed, {}, 0  # values of the function: their groups
        self.ends = []  # each line with the pattern of all up to its end
        pattern, omitted = "", False
        for number, line in enumerate(lines):
            if line == "...":
                omitted = True
                continue
            join = r"\s+" if pattern else r"^[ \t]*"
            if omitted:  # whole lines, of this function only, unless what follows opens another
                one = "" if re.match(OPENS, line) else rf"(?![^\n]*?{OPENS})"
                join = (r"[ \t]*\n" if pattern else "^") + rf"(?:{one}[^\n]*\n)*?[ \t]*"
            omitted = False
            if re.match(OPENS, line):
                self.values = {}
            pattern += join + r"[^\n]*?".join(self.text(piece.strip()) for piece in line.split("..."))
            if line.endswith("..."):
                pattern += r"[^\n]*"
            self.ends.append((line, pattern + (r"[ \t]*$" if number == len(lines) - 1 else r"(?=\s)")))

    def text(self, text):
        pattern = ""
        for token in re.findall(r"%\w+|\s+|[^%\s]+|%", text):
            if token.isspace():
                pattern += r"\s+"
            elif not self.was_printed or not re.fullmatch(r"%\w+", token):
                pattern += re.escape(token)
            elif token in self.values:
                pattern += rf"(?P={self.values[token]})(?!\w)"
            else:
                others = "".join(rf"(?!(?P={name})(?!\w))" for name in self.values.values())
                self.values[token] = f"v{self.groups}"
                self.groups += 1
                pattern += rf"(?P<{self.values[token]}>{others}%\w+)"
        return pattern

    def missing(self, text):
        """None, or the first line that is not found, and what stands where it would."""
        place = 0
        for line, pattern in self.ends:
            found = re.search(pattern, text, re.M)
            if not found:
                stands = [each.strip() for each in text[place:].split("\n") if each.strip()]
                return line, stands[0] if stands else "(the end)"
            place = found.end()
        return None


def lines_of(text):
    return [" ".join(line.split()) for line in text.split("\n") if line.strip()]


def without_comments(text):
    return re.sub(r"^[ \t]*//.*\n", "", text, flags=re.M)


def printed(program, test, arguments):
    """What the test's first RUN line prints, or an error."""
    command = re.match(r"// RUN: stepdown-opt %s ([^|\n]*)", test)
    if not command:
        return None, "expects a test that begins with `// RUN: stepdown-opt %s`"
    result = subprocess.run([program, arguments] + shlex.split(command[1]), capture_output=True, text=True)
    if result.returncode:
        return None, f"expects the test's RUN line to succeed, but got {result.stderr.strip()}"
    return result.stdout, None


def check(stage, name, flag, body, program):
    """The faults of one pass, as texts."""
    written = "".join(word.capitalize() for word in flag.split("-"))
    if name.lower() != written.lower():
        yield f"expects def {written}, but got {name}"
    summary = SUMMARY.search(body)
    summary = summary[1] if summary else ""
    if summary.split(" ")[0] not in VERBS:
        yield f"expects a summary that begins with a verb ({', '.join(sorted(VERBS))}), but got '{summary}'"
    path = os.path.join("test", "passes", stage, flag + ".mlir")
    if not os.path.exists(os.path.join(ROOT, path)):
        yield f"expects a lit test {path}, but there is none"
        return
    description = DESCRIPTION.search(body)
    quoted = QUOTED.search(description[1]) if description else None
    if not quoted:
        yield "expects a description that ends with Before and After, each a fence ```mlir of its own"
        return
    if not description[1][:quoted.start()].strip():
        yield "expects a description that says why, but it begins with Before"
    before, after = lines_of(quoted[1]), lines_of(quoted[2])
    for title, lines in (("Before", before), ("After", after)):
        if not any(line != "..." for line in lines) or len(lines) > LONGEST:
            yield f"{title}: expects 1 to {LONGEST} lines, but got {len(lines)}"
    functions = FUNCTION.findall(" ".join(before))
    if not functions or functions[0] not in FUNCTION.findall(" ".join(after)):
        yield f"expects Before and After to quote one function, but got @{', @'.join(functions)} and others"
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        test = file.read()
    missing = Quotation(before, False).missing(without_comments(test))
    if missing:
        yield f"Before: expects lines of {path}, but does not find\n    {missing[0]}\n  where there is\n    {missing[1]}"
    if not program:
        return
    output, error = printed(program, test, os.path.join(ROOT, path))
    missing = None if error else Quotation(after, True).missing(without_comments(output))
    if error:
        yield error
    elif missing:
        yield (f"After: expects what the pass prints for {path}, but does not find\n    {missing[0]}\n"
               f"  where it prints\n    {missing[1]}")


def main():
    if len(sys.argv) > 2 or sys.argv[1:2] in (["-h"], ["--help"]):
        sys.exit(__doc__)
    program = sys.argv[1] if len(sys.argv) > 1 else None
    faults = passes = 0
    for source in sorted(glob.glob(os.path.join(ROOT, "passes", "*", "Passes.td"))):
        with open(source, encoding="utf-8") as file:
            text = file.read()
        found = list(PASS.finditer(text))
        if not found or len(found) != len(re.findall(r"^def ", text, re.M)):
            sys.exit(f"pass-docs: {source}: expects definitions of passes alone")
        for each in found:
            passes += 1
            for fault in check(os.path.basename(os.path.dirname(source)), each[1], each[2], each[0], program):
                print(f"pass-docs: {each[2]}: {fault}", file=sys.stderr)
                faults += 1
    if not passes:
        sys.exit("pass-docs: expects passes in passes/*/Passes.td, but found none")
    print(f"pass-docs: {passes} passes, {faults} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
