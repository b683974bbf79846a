#!/usr/bin/env python3
"""Holds `stepdown-run grammar --json-schema` against cases in the form of JSON-Schema-Test-Suite, draft 2020-12.

    schema_conformance.py PROGRAM FOLDER...      of .json files; folders that do not exist are left out

SHOW=1 in the environment tells why each refused schema is refused.

Every schema is either compiled, and then each of its tests has to be accepted or refused as the suite says, or refused
with a number. An instance is written as docs/constrained.md describes: numbers without an exponent, and members in
each order, up to 200 of them, of which one has to be accepted; a space behind commas and colons, or none. Prints how many
schemas were exact and how many were refused, by what the refusal names.
"""
import collections, decimal, glob, itertools, json, os, re, subprocess, sys, tempfile

def plain(number):
    return format(decimal.Decimal(number), "f")


def texts(value, tight):
    """The canonical texts of a value: one for each order of the members of its objects."""
    comma, colon = (",", ":") if tight else (", ", ": ")
    if isinstance(value, bool) or value is None:
        yield json.dumps(value)
    elif isinstance(value, decimal.Decimal) or isinstance(value, int):
        yield plain(value)
    elif isinstance(value, str):
        yield json.dumps(value, ensure_ascii=tight)
    elif isinstance(value, list):
        for parts in itertools.islice(itertools.product(*[list(texts(part, tight)) for part in value]), 200):
            yield "[" + comma.join(parts) + "]"
    else:
        names = list(value)
        for order in itertools.islice(itertools.permutations(names), 200):
            for parts in itertools.islice(itertools.product(*[list(texts(value[n], tight)) for n in order]), 200):
                yield "{" + comma.join(json.dumps(n, ensure_ascii=tight) + colon + p for n, p in zip(order, parts)) + "}"


def main():
    program = sys.argv[1]
    failures, exact, refused, tests = [], 0, collections.Counter(), 0
    by_file = {}
    with tempfile.TemporaryDirectory() as folder:
        for path in [p for suite in sys.argv[2:] for p in sorted(glob.glob(os.path.join(suite, "*.json")))]:
            name = os.path.basename(path)[:-5]
            groups = json.load(open(path, encoding="utf-8"), parse_float=decimal.Decimal)
            raw = json.load(open(path, encoding="utf-8"))
            counts = by_file.setdefault(name, [0, 0])
            for group, plain_group in zip(groups, raw):
                schema = os.path.join(folder, "schema.json")
                with open(schema, "w", encoding="utf-8") as file:
                    json.dump(plain_group["schema"], file)
                files, wanted = [], []
                for number, test in enumerate(group["tests"]):
                    variants = []
                    both = itertools.chain(itertools.islice(texts(test["data"], True), 200), itertools.islice(texts(test["data"], False), 40))
                    for variant, text in enumerate(both):
                        variants.append(os.path.join(folder, f"{number}-{variant}.json"))
                        with open(variants[-1], "w", encoding="utf-8") as file:
                            file.write(text)
                    files.append(variants)
                    wanted.append(test)
                done = subprocess.run([program, "grammar", "--json-schema", schema, "--check", *itertools.chain(*files)],
                                      capture_output=True, text=True)
                if done.returncode:
                    number = re.search(r"error E(\d+): (.*)", done.stderr)
                    unsatisfiable = number and number[1] == "1305"
                    # That nothing is valid is an answer too.
                    if unsatisfiable and not any(test["valid"] for test in wanted):
                        exact += 1
                        counts[0] += 1
                        tests += len(wanted)
                        continue
                    if not number or unsatisfiable or not 1300 <= int(number[1]) < 1400:
                        failures.append(f"{name}: {group['description']}: {done.stderr.strip()}")
                        continue
                    named = re.search(r"the keyword (\S+) is not supported", done.stderr)
                    refused["E" + number[1] + (" " + named[1] if named else "")] += 1
                    if os.environ.get("SHOW"):
                        print(name, "|", group["description"], "|", done.stderr.strip())
                    counts[1] += 1
                    continue
                said = {line.split(" ", 1)[1].split(":")[0]: line.startswith("accepted") for line in done.stdout.splitlines()}
                good = True
                for variants, test in zip(files, wanted):
                    tests += 1
                    accepted = any(said[v] for v in variants)
                    if accepted != test["valid"]:
                        good = False
                        failures.append(f"{name}: {group['description']}: {test['description']}: expects "
                                        f"{'accepted' if test['valid'] else 'refused'}: {json.dumps(test['data'], default=str)[:100]}")
                exact += good
                counts[0] += good
    for name, (good, bad) in by_file.items():
        print(f"{name:26} exact {good:3}  refused {bad:3}")
    print(f"{exact} schemas exact with {tests} tests, {sum(refused.values())} refused by number:")
    for what, count in refused.most_common():
        print(f"  {count:3} {what}")
    for failure in failures[:40]:
        print("FAILED", failure)
    sys.exit(1 if failures else 0)


main()
