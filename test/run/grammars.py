#!/usr/bin/env python3
"""Random texts of `stepdown-run grammar`, read by others.

    grammars.py PROGRAM [--gbnf FOLDER]... [--vocabulary MODEL] [--samples N]

Draws texts of GBNF files, regular expressions and JSON Schemas, byte by byte and (with --vocabulary) token by token
through the masks of a model's tokens, and has them judged: grammars by a recogniser in this file, which reads GBNF by
itself; expressions by Python's re; schemas by the Python package jsonschema, where it is installed. Texts that differ
in one place are judged by both sides, too, and they have to agree.
"""
import argparse, glob, json, os, random, re, subprocess, sys, tempfile

failures = []


class Gbnf:
    """A grammar as nested tuples; `accepts` finds all ends of each part of it at each place, each once."""

    def __init__(self, text):
        self.text, self.at, self.rules = text, 0, {}
        self.blanks(True)
        while self.at < len(text):
            name = self.name()
            self.blanks(False)
            assert text.startswith("::=", self.at)
            self.at += 3
            self.blanks(True)
            self.rules[name] = self.either(False)
            self.blanks(True)

    def blanks(self, lines):
        while self.at < len(self.text):
            c = self.text[self.at]
            if c == "#":
                while self.at < len(self.text) and self.text[self.at] != "\n":
                    self.at += 1
            elif c in " \t" or (lines and c in "\r\n"):
                self.at += 1
            else:
                return

    def name(self):
        match = re.compile(r"[A-Za-z0-9_-]+").match(self.text, self.at)
        self.at = match.end()
        return match[0]

    def either(self, nested):
        parts = [self.sequence(nested)]
        while True:
            before = self.at
            self.blanks(True)
            if self.at < len(self.text) and self.text[self.at] == "|":
                self.at += 1
                self.blanks(True)
                parts.append(self.sequence(nested))
            else:
                self.at = self.at if nested else before
                return ("either", tuple(parts))

    def sequence(self, nested):
        parts = []
        while True:
            self.blanks(nested)
            c = self.text[self.at] if self.at < len(self.text) else ""
            if c == '"':
                self.at += 1
                word = ""
                while self.text[self.at] != '"':
                    word += self.character()
                self.at += 1
                part = ("text", word)
            elif c == "[":
                part = self.bracket()
            elif c == ".":
                self.at += 1
                part = ("class", True, ())
            elif c == "(":
                self.at += 1
                self.blanks(True)
                part = self.either(True)
                self.blanks(True)
                self.at += 1
            elif c and re.match(r"[A-Za-z0-9_-]", c):
                part = ("rule", self.name())
            else:
                return ("sequence", tuple(parts))
            while True:
                match = re.compile(r"[ \t]*([*+?]|\{(\d+)(,?)(\d*)\})").match(self.text, self.at)
                if not match:
                    break
                self.at = match.end()
                least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(match[1], (None, None))
                if least is None:
                    least = int(match[2])
                    most = int(match[4]) if match[4] else None if match[3] else least
                part = ("repeat", part, least, most)
            parts.append(part)

    def character(self):
        c = self.text[self.at]
        self.at += 1
        if c != "\\":
            return c
        c = self.text[self.at]
        self.at += 1
        if c in "xuU":
            count = {"x": 2, "u": 4, "U": 8}[c]
            self.at += count
            return chr(int(self.text[self.at - count:self.at], 16))
        return {"n": "\n", "r": "\r", "t": "\t"}.get(c, c)

    def bracket(self):
        self.at += 1
        negated = self.text[self.at] == "^"
        self.at += negated
        ranges = []
        while self.text[self.at] != "]":
            low = high = self.character()
            if self.text[self.at] == "-" and self.text[self.at + 1] != "]":
                self.at += 1
                high = self.character()
            ranges.append((low, high))
        self.at += 1
        return ("class", negated, tuple(ranges))

    def accepts(self, text):
        memo = {}

        def ends(part, at):
            key = (id(part), at)
            if key not in memo:
                memo[key] = frozenset(found(part, at))
            return memo[key]

        def found(part, at):
            kind = part[0]
            if kind == "text":
                return {at + len(part[1])} if text.startswith(part[1], at) else set()
            if kind == "class":
                inside = at < len(text) and any(low <= text[at] <= high for low, high in part[2])
                return {at + 1} if at < len(text) and inside != part[1] else set()
            if kind == "rule":
                return ends(self.rules[part[1]], at)
            if kind == "either":
                return set().union(*(ends(each, at) for each in part[1]))
            if kind == "sequence":
                places = {at}
                for each in part[1]:
                    places = set().union(*(ends(each, place) for place in places)) if places else places
                return places
            _, inner, least, most = part
            places, all, times = {at}, {at} if least == 0 else set(), 0
            while places and (most is None or times < most):
                places = set().union(*(ends(inner, place) for place in places))
                times += 1
                if times >= least:
                    if places <= all and most is None:
                        break
                    all |= places
            return all

        return len(text) in ends(self.rules["root"], 0)


EXPRESSIONS = [r"[0-9]{4}-[0-9]{2}", r"(a|b)*abb", r"(?i)hello|w(or)?ld+", r"[^\d ]{1,7}", r"\w+@\w+\.(com|org)", r"(ab?c|\x41{2,3})+",
               r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", r"[\[\]a-c^-]+x?", r"(?:é|[à-ü]|中)+", r"a{0,3}(?P<n>bc){2}|", r".{3}\.\$", r"[[:alpha:]_]+\d?"]

SCHEMAS = [
    {"type": "object", "properties": {"name": {"type": "string", "minLength": 1, "maxLength": 13}, "age": {"type": "integer", "minimum": 0, "maximum": 131},
                                      "tags": {"type": "array", "items": {"enum": ["a", "b", 1, None]}, "maxItems": 3}},
     "required": ["name", "age"], "additionalProperties": False},
    {"type": ["number", "null"], "exclusiveMinimum": -2.5, "maximum": 17, "multipleOf": 0.25},
    {"$defs": {"tree": {"type": "object", "properties": {"value": {"type": "number"}, "left": {"$ref": "#/$defs/tree"}, "right": {"$ref": "#/$defs/tree"}},
                        "required": ["value"], "additionalProperties": False}}, "$ref": "#/$defs/tree"},
    {"oneOf": [{"type": "string", "pattern": "^[a-f]+$"}, {"type": "string", "maxLength": 3}, {"type": "array", "prefixItems": [{"type": "boolean"}], "items": {"type": "integer"}}]},
    {"type": "object", "patternProperties": {"^x": {"type": "integer"}, "y$": {"minimum": 5}}, "propertyNames": {"minLength": 2}, "additionalProperties": {"type": "boolean"}},
    {"type": "array", "contains": {"const": 7}, "minContains": 1, "maxContains": 2, "items": {"type": "integer", "minimum": 5, "maximum": 8}, "minItems": 2, "maxItems": 5},
    {"if": {"properties": {"kind": {"const": "circle"}}, "required": ["kind"]}, "then": {"required": ["radius"]}, "else": {"required": ["side"]}, "type": "object",
     "properties": {"kind": {"enum": ["circle", "square"]}, "radius": {"type": "number", "minimum": 0}, "side": {"type": "number"}}, "additionalProperties": False},
    {"type": "object", "properties": {c: {"enum": [1, "z"]} for c in "abcdefg"}, "required": ["c", "e"], "additionalProperties": False},
    {"type": "string", "not": {"pattern": "[0-9]|q"}, "minLength": 2},
    {"anyOf": [{"const": {"a": [1, {"b": None}]}}, {"type": "integer", "not": {"multipleOf": 3}, "minimum": -20, "maximum": 1000}]},
]


def draw(program, words, count, vocabulary, seed):
    extra = ["--vocabulary", vocabulary] if vocabulary else []
    done = subprocess.run([program, "grammar", *words, "--sample", str(count), "--seed", str(seed), "--length", "60", "--json", *extra],
                          capture_output=True)
    if done.returncode:
        failures.append(f"{words}: {done.stderr.decode()}")
        return []
    return [json.loads(line) for line in done.stdout.decode().split("\n")[:-1]]


def changed(text, random):
    """The text with one place left out, doubled or replaced."""
    if not text:
        return "x"
    at = random.randrange(len(text))
    return text[:at] + random.choice(["", text[at] * 2, random.choice('a0 "{},\n')]) + text[at + 1:]


def check(program, words, what, accepts, texts, folder, seed):
    """All `texts` have to be accepted; of the same with a change both sides have to say the same."""
    for text in texts:
        if not accepts(text):
            failures.append(f"{what}: drew {text!r}, which is not accepted")
    others = [changed(text, random.Random(f"{seed}{text}")) for text in texts[:200]]
    paths = []
    for number, text in enumerate(others):
        paths.append(os.path.join(folder, f"{number}.txt"))
        with open(paths[-1], "w", encoding="utf-8", newline="") as file:
            file.write(text)
    if not paths:
        return 0
    done = subprocess.run([program, "grammar", *words, "--check", *paths], capture_output=True, text=True)
    lines = done.stdout.split("\n")[:-1]
    if done.returncode or len(lines) != len(others):
        failures.append(f"{what}: --check told of {len(lines)} texts, not of {len(others)}: {done.stderr}")
        return 0
    refused = 0
    for line, text in zip(lines, others):
        says = line.startswith("accepted")
        refused += not says
        # A line's end behind the text is not counted.
        if says != accepts(text) and not (says and text.endswith("\n") and accepts(text[:-1])):
            failures.append(f"{what}: {text!r}: {line}")
    return refused


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--gbnf", action="append", default=[])
    parser.add_argument("--vocabulary")
    parser.add_argument("--samples", type=int, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    args = parser.parse_args()
    print("seed", args.seed)
    if args.vocabulary and not os.path.exists(args.vocabulary):
        args.vocabulary = None
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        for path in [p for gbnf in args.gbnf for p in sorted(glob.glob(os.path.join(gbnf, "*.gbnf")))]:
            grammar = Gbnf(open(path, encoding="utf-8").read())
            cases.append((["--gbnf", path], os.path.basename(path), grammar.accepts))
        for expression in EXPRESSIONS:
            python = re.sub(r"\[\[:alpha:\]_\]", "[A-Za-z_]", expression)
            pattern = re.compile(python, re.ASCII)
            # Python's \s and $ mean more; the expressions keep to what both read alike.
            cases.append((["--regex", expression], expression, lambda text, p=pattern: bool(p.fullmatch(text))))
        try:
            import jsonschema
        except ImportError:
            jsonschema = None
            print("schemas are not judged: the package jsonschema is missing")
        for schema in SCHEMAS if jsonschema else []:
            validator = jsonschema.Draft202012Validator(schema)
            cases.append((["--json-schema", json.dumps(schema)], json.dumps(schema)[:60], ("schema", validator)))
        total = wrong = 0
        for words, what, accepts in cases:
            for vocabulary in [None, args.vocabulary] if args.vocabulary else [None]:
                texts = draw(args.program, words, args.samples, vocabulary, args.seed)
                total += len(texts)
                if isinstance(accepts, tuple):
                    for text in texts:
                        error = next(accepts[1].iter_errors(json.loads(text)), None)
                        if error:
                            failures.append(f"{what}: drew {text!r}: {error.message}")
                else:
                    wrong += check(args.program, words, what, accepts, texts, folder, args.seed)
    print(f"{total} texts of {len(cases)} grammars drawn and accepted by others; {wrong} changed ones refused by both sides"
          if not failures else "\n".join(failures[:30]))
    sys.exit(1 if failures else 0 if jsonschema else 77)  # 77: not all was judged, and CTest says "Skipped"


main()
