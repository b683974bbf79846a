#!/usr/bin/env python3
"""Counts the results that tools/check.sh left in a folder, names what failed, and ends with `N passed, N failed`.

    tools/count-tests.py FOLDER

FOLDER/single          lines `passed NAME` or `failed NAME`
FOLDER/ctest-*.xml     JUnit of ctest, one case a program
FOLDER/gtest/*.xml     one file a GoogleTest program, one case a test: these replace the program's case above
FOLDER/PART/           ctest-*.xml and gtest/ of programs that were built another way; their names begin with PART
FOLDER/lit.xml         xunit of lit, one case a file

Exit status 1 when anything failed or nothing ran.
"""
import glob, os, sys
import xml.etree.ElementTree as xml


def cases(path):
    """[(name, "passed" | "failed" | "skipped")] of a JUnit, xunit or GoogleTest file."""
    found = []
    for case in xml.parse(path).getroot().iter("testcase"):
        name = ".".join(filter(None, [case.get("classname"), case.get("name")]))
        if case.find("failure") is not None or case.find("error") is not None or case.get("status") == "fail":
            found.append((name, "failed"))
        elif case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
            found.append((name, "skipped"))
        else:
            found.append((name, "passed"))
    return found


def of_programs(folder):
    """The cases of all programs that ctest ran. A program that died keeps a failure of its own."""
    results = []
    for path in glob.glob(folder + "/ctest-*.xml"):
        for name, outcome in cases(path):
            program = name.split(".")[-1]
            detail = f"{folder}/gtest/{program}.xml"
            inside = []
            if os.path.exists(detail) and os.path.getsize(detail):
                inside = [(f"{program}: {test}", result) for test, result in cases(detail)]
            results += inside or [(program, outcome)]
            if inside and outcome == "failed" and not any(result == "failed" for _, result in inside):
                results.append((program + ": the program itself", "failed"))
    return results


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = sys.argv[1]
    with open(folder + "/single", encoding="utf-8") as file:
        results = [(name.strip(), outcome) for outcome, name in (line.split(" ", 1) for line in file)]
    results += of_programs(folder)
    for part in sorted({os.path.dirname(path) for path in glob.glob(folder + "/*/ctest-*.xml")}):
        results += [(f"{os.path.basename(part)}: {name}", outcome) for name, outcome in of_programs(part)]
    if os.path.exists(folder + "/lit.xml"):
        results += cases(folder + "/lit.xml")
    count = {outcome: sum(1 for _, o in results if o == outcome) for outcome in ("passed", "failed", "skipped")}
    for outcome in ("skipped", "failed"):
        for name, o in results:
            if o == outcome:
                print(f"{outcome}: {name}")
    skipped = f", {count['skipped']} skipped" if count["skipped"] else ""
    print(f"{count['passed']} passed, {count['failed']} failed{skipped}")
    sys.exit(1 if count["failed"] or not count["passed"] else 0)


main()
