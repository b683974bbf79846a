#!/usr/bin/env python3
"""tools/needed-packages.py tells what is missing when a package is left out of those that install-packages.sh names.

    needed_packages.py BUILD

Ends with 77, which ctest takes for skipped, where the system is not Debian.
"""
import os, shutil, subprocess, sys, tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.path.join(ROOT, "tools/needed-packages.py")
BUILD = sys.argv[1]
failures = []


def tell(what, status, *texts, words):
    done = subprocess.run([sys.executable, TOOL, *words], capture_output=True, text=True)
    if done.returncode != status or not all(text in done.stdout for text in texts):
        failures.append(f"{what}: expects status {status} and {texts}, but got {done.returncode}: {done.stdout}{done.stderr}")


def check_decoys(folder):
    """Programs of packages that are named, of the smallest system and of what these depend on are not hidden; others are, and
    a call of one is noted."""
    decoys = os.path.join(folder, "decoys")
    tell("decoys", 0, words=["decoys", decoys, "--without", "make"])
    hidden = set(os.listdir(decoys))
    if not {"make", "gmake"} <= hidden:
        failures.append("decoys: expects make and gmake hidden without make")
    shown = {"sh", "awk", "sed", "python3", "cmake", "ninja", "clang-22", "cc", "ar", "ld", "git", "pip3", "perl"}
    if hidden & shown:
        failures.append(f"decoys: expects no decoy of {sorted(hidden & shown)}")
    # pip looks for programs that tell the system's name and needs none of them.
    for caller in (["-m", "pip"], ["/usr/bin/pip3"], ["/usr/bin/pip"]):
        call = [sys.executable, "-c", f"import subprocess, sys; sys.exit(subprocess.call([{decoys + '/make'!r}]))", *caller, "download"]
        done = subprocess.run(call, capture_output=True, text=True)
        if done.returncode != 127 or done.stderr:
            failures.append(f"decoy called by {caller}: expects status 127 and no word, but got {done.returncode}: {done.stderr}")
    tell("none called", 0, "0 programs", words=["called", decoys, "--without", "make"])
    done = subprocess.run("make --version", shell=True, env={**os.environ, "PATH": decoys + ":" + os.environ["PATH"]},
                          capture_output=True, text=True)
    if done.returncode != 127 or "make: expects" not in done.stderr:
        failures.append(f"decoy: expects status 127 and a message, but got {done.returncode}: {done.stderr}")
    tell("make called", 1, "name make, of which make was called", words=["called", decoys, "--without", "make"])


def main():
    if os.environ.get("STEPDOWN_SKIP_PACKAGES") or not shutil.which("dpkg-query"):
        print("skipped: needs Debian's packages")
        sys.exit(77)
    tell("all files", 0, words=["files", BUILD])
    tell("a header of tests and programs", 1, "name libxxhash-dev in `build`, for /usr/include/xxhash.h",
         words=["files", BUILD, "--without", "libxxhash-dev"])
    tell("headers and libraries of tests", 1, "name libgtest-dev in `test`, for ", "more files",
         words=["files", BUILD, "--without", "libgtest-dev"])
    tell("all programs", 0, words=["scripts"])
    tell("a program of a script", 1, "name git in `test`, of which tools/check.sh calls git", words=["scripts", "--without", "git"])
    tell("a program of the first command", 1, "name cmake in `build`, of which tools/quickstart.sh calls cmake",
         words=["scripts", "--without", "cmake"])
    with tempfile.TemporaryDirectory() as folder:
        check_decoys(folder)
    for failure in failures:
        print("FAILED " + failure)
    print(f"needed packages: {len(failures)} failures")
    sys.exit(1 if failures else 0)


main()
