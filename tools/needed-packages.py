#!/usr/bin/env python3
"""Fails where the build or a script uses a Debian package that tools/install-packages.sh does not name.

    tools/needed-packages.py files [BUILD]      headers in the build's dependency files, libraries that it links
    tools/needed-packages.py scripts            programs that the shell scripts of tools/ and .ci/ call
    tools/needed-packages.py decoys FOLDER      for each program on this system that a bare one would lack, one of the same
                                                name that notes its name and fails; the folder goes in front of PATH
    tools/needed-packages.py called FOLDER      which of the decoys were called since

--without NAME leaves a package out of those that install-packages.sh names. What quickstart.sh builds and calls must do with
those of its `build` list; the tests and check.sh have those of `test` as well.

A package counts as there when install-packages.sh names it, when Debian's smallest system (debootstrap's minbase) has it, or
when one that is there depends on it, in any number of steps: that is what apt-get brings to a bare system. Of alternatives
(a | b) the first counts, as apt-get takes it, and another only where the first is not installed here. Recommendations do not
count. Needs Debian, and no more than Python's own modules.
"""
import argparse, os, re, subprocess, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# What a script looks for itself, and says which package to install: no build and no test needs it.
OF_ITS_OWN = {"fresh-machine.sh": {"debootstrap"}}
# What a test compares ours with where a system happens to have it, and is compiled without elsewhere.
WHERE_INSTALLED = re.compile(r"(^|/)(cuda|hip/\w+)\.h$")
SYSTEM_FOLDERS = ("/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/games")
# pip tells package hosts on what system it runs: it asks lsb_release and rustc where they exist, and goes on without them.
DECOY = """#!/bin/sh
name=${0##*/}
caller=$(tr '\\0' ' ' <"/proc/$PPID/cmdline")
case $caller in *"-m pip "* | */pip\\ * | */pip[0-9.]*\\ * | */pip/__pip-runner__.py*) exit 127 ;; esac
echo "$name" >>"${0%/*}/.called"
echo "$name: expects to run on any machine, but tools/install-packages.sh does not name its package" >&2
exit 127
"""


def lines_of(*command, **more):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **more).stdout.splitlines()


class Packages:
    """The installed packages, and which of them a bare system has once install-packages.sh ran."""

    def __init__(self, named, without):
        script = os.path.join(ROOT, "tools/install-packages.sh")
        self.named = [name for name in lines_of(script, "--list", named) if name not in without]
        depends, self.smallest, provided = {}, {"apt"}, {}
        fields = "${Package}\t${db:Status-Status}\t${Essential}\t${Priority}\t${Pre-Depends}, ${Depends}\t${Provides}\n"
        for line in lines_of("dpkg-query", "-W", "-f", fields):
            name, status, essential, priority, needs, provides = line.split("\t")
            if status != "installed":
                continue
            depends[name] = [[self.bare(word) for word in one.split("|")] for one in needs.split(",") if one.strip()]
            if essential == "yes" or priority == "required":
                self.smallest.add(name)
            for word in provides.split(","):
                provided.setdefault(self.bare(word), []).append(name)
        self.there = set()
        todo = [*self.named, *self.smallest]
        while todo:
            name = todo.pop()
            if name in self.there or name not in depends:
                continue
            self.there.add(name)
            for alternatives in depends[name]:
                installed = [[name] if name in depends else provided.get(name, []) for name in alternatives]
                todo += next((names for names in installed if names), [])

    @staticmethod
    def bare(word):
        """A package's name without version and architecture."""
        return word.split("(")[0].split(":")[0].strip()


class Owners:
    """The packages of files, by any of the names that a file goes by: /lib is /usr/lib, and links lead elsewhere."""

    def __init__(self):
        self.of = {}
        info = "/var/lib/dpkg/info"
        for name in os.listdir(info):
            if name.endswith(".list"):
                package = name[:-5].split(":")[0]
                with open(os.path.join(info, name), encoding="utf-8", errors="replace") as file:
                    for path in file.read().splitlines():
                        self.of.setdefault(self.merged(path), set()).add(package)
        # A diverted file lies under another name than its package lists.
        diversions = iter(lines_of("dpkg-divert", "--list"))
        for line in diversions:
            found = re.match(r"(?:local )?diversion of (\S+) to (\S+)(?: by (\S+))?", line)
            if found:
                path, moved, by = found.groups()
                owners = self.of.get(self.merged(path), set())
                self.of.setdefault(self.merged(moved), set()).update(owners - {by})
                self.of[self.merged(path)] = owners & {by}
        self.alternatives = {}
        folder = "/var/lib/dpkg/alternatives"
        for name in os.listdir(folder):
            self.read_alternatives(name, os.path.join(folder, name))

    def read_alternatives(self, name, path):
        """Of update-alternatives' record: mode, link, each slave's name and link, an empty line; then for each alternative its
        path, its priority, and the path for each slave."""
        with open(path, encoding="utf-8") as file:
            lines = file.read().split("\n")
        empty = lines.index("")
        names = [name, *lines[2:empty:2]]
        size = len(names) + 1
        for at in range(empty + 1, len(lines) - size, size):
            paths = [lines[at], *lines[at + 2:at + size]]
            for each, target in zip(names, paths):
                if target:
                    self.alternatives.setdefault(each, []).append(self.merged(target))

    @staticmethod
    def merged(path):
        return re.sub(r"^/(bin|sbin|lib|lib32|lib64|libx32)(?=/|$)", r"/usr/\1", path)

    def names(self, path):
        """`path` and what it leads to, link by link."""
        for _ in range(40):
            path = self.merged(os.path.normpath(os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))))
            yield path
            if not os.path.islink(path):
                return
            target = os.path.join(os.path.dirname(path), os.readlink(path))
            if os.path.dirname(target) == "/etc/alternatives":
                # Any of the alternatives serves: a bare system has the one that it has.
                yield from self.alternatives.get(os.path.basename(target), [])
            path = target

    def packages(self, path):
        return set().union(*(self.of.get(name, set()) for name in self.names(path)))


def headers(build):
    """{header outside of this tree: whether more than tests include it}, of the dependency files of `build`."""
    headers, quick = {}, False
    for line in lines_of("ninja", "-C", build, "-t", "deps"):
        if line.startswith("    "):
            path = os.path.normpath(os.path.join(build, line.strip()))
            if not path.startswith((ROOT + "/", os.path.realpath(build) + "/")) and not WHERE_INSTALLED.search(path):
                headers[path] = headers.get(path, False) or quick
        elif line:
            quick = not line.startswith("test/")
    if not headers:
        sys.exit(f"needed-packages: expects dependency files in {build}, but ninja knows none; build first")
    return headers


def compiler_of(build):
    with open(os.path.join(build, "CMakeCache.txt"), encoding="utf-8") as file:
        return re.search(r"^CMAKE_CXX_COMPILER:\w+=(.*)$", file.read(), re.M).group(1)


def link_words(build):
    """(words, whether it is no test) of the link commands of `build`."""
    quick = False
    with open(os.path.join(build, "build.ninja"), encoding="utf-8") as file:
        for line in file:
            if line.startswith("build "):
                # `build OUTPUT...: RULE OBJECT...`; what is linked of a test's objects is one.
                output, rule = line.split(" ", 1)[1].split(":", 1)
                quick = not any(name.startswith("test/") for name in [output, *rule.split()[1:2]])
            elif line.strip().startswith("LINK_LIBRARIES = "):
                yield line.split("=", 1)[1].split(), quick


def libraries(build):
    """{library outside of this tree: whether more than tests link it}: what the link commands of `build` name, what the compiler
    adds, and what the shared libraries among them load."""
    compiler, found = compiler_of(build), {}

    def add(path, quick):
        if os.path.isabs(path) and not path.startswith(ROOT + "/"):
            found[path] = found.get(path, False) or quick

    asked = {name: True for name in ("crt1.o", "libc.a", "libm.a", "libstdc++.a", "libgcc.a", "libgcc_eh.a")}
    for words, quick in link_words(build):
        for word in words:
            add(word, quick)
            for suffix in (".a", ".so") if word.startswith("-l") else ():
                asked[f"lib{word[2:]}{suffix}"] = asked.get(f"lib{word[2:]}{suffix}", False) or quick
    for name, quick in asked.items():
        add(lines_of(compiler, f"--print-file-name={name}")[0], quick) # prints the name alone where there is none
    for path, quick in list(found.items()):
        for line in lines_of("ldd", path, stderr=subprocess.DEVNULL) if ".so" in os.path.basename(path) else ():
            loaded = re.search(r"(/\S+) \(0x", line)
            if loaded:
                add(loaded.group(1), quick)
    return found


def files(without, build):
    owners, missing = Owners(), {}
    there = {"build": Packages("build", without).there, "test": Packages("test", without).there}
    found = {**headers(build), **libraries(build)}
    for path in sorted(found):
        need = "build" if found[path] else "test"
        by = owners.packages(path)
        if not by & there[need]:
            missing.setdefault((", ".join(sorted(by)) or "no package", need), []).append(path)
    for (package, need), paths in missing.items():
        print(f"needed-packages: expects tools/install-packages.sh to name {package} in `{need}`, for {paths[0]}"
              + (f" and {len(paths) - 1} more files" if len(paths) > 1 else ""))
    print(f"needed-packages: {len(found)} headers and libraries, {sum(map(len, missing.values()))} of packages that are not named")
    return not missing


def absent_programs(packages):
    """{name: its packages} for the programs of this system that a bare one with the named packages would lack."""
    owners, absent = Owners(), {}
    for folder in SYSTEM_FOLDERS:
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            path = os.path.join(folder, name)
            by = owners.packages(path) if os.access(path, os.X_OK) else set()
            if by and not by & packages.there:
                absent[name] = by
    return absent


def commands(script):
    """The words of a shell script that stand where a command does. What quotes hide is left out, so this may miss some: the
    decoys find those that run."""
    with open(script, encoding="utf-8") as file:
        text = file.read()
    text = re.sub(r"<<-?\s*(['\"]?)(\w+)\1(.*)\n(?:.*\n)*?\s*\2\n", r"\3\n", text)  # here-documents
    hidden = re.compile(r"'[^']*'|\"(?:\\.|[^\"\\])*\"|(?<!\S)#.*")
    text = hidden.sub(lambda found: found[0] if "$(" in found[0] else "''", text).replace("\\\n", " ")
    before = r"(?:^|[|&;({!]|\b(?:if|then|elif|else|do|while|until|time|exec|sudo|env|command -v|xargs(?:\s+-\S+)*|timeout\s+\S+)\s)"
    words = set(re.findall(before + r"\s*(?:\w+=\S*\s+)*([A-Za-z][\w.+-]*)(?=[\s;|&)]|$)", text, re.M))
    return words - set(lines_of("bash", "-c", "compgen -b; compgen -k"))


def scripts(without):
    good, words, count = True, set(), 0
    absent = {need: absent_programs(Packages(need, without)) for need in ("build", "test")}
    for folder, name in [(f, n) for f in ("tools", ".ci") for n in sorted(os.listdir(os.path.join(ROOT, f)))]:
        if folder == "tools" and not name.endswith(".sh"):
            continue
        need = "build" if name in ("quickstart.sh", "fetch-models.sh", "install-packages.sh") else "test"
        called = commands(os.path.join(ROOT, folder, name)) - OF_ITS_OWN.get(name, set())
        words, count = words | called, count + 1
        for program in sorted(called & set(absent[need])):
            print(f"needed-packages: expects tools/install-packages.sh to name {', '.join(sorted(absent[need][program]))} in "
                  f"`{need}`, of which {folder}/{name} calls {program}")
            good = False
    print(f"needed-packages: {len(words)} words that may be programs in {count} scripts")
    return good


def decoys(without, folder):
    os.makedirs(folder)
    with open(os.path.join(folder, ".decoy"), "w", encoding="utf-8") as file:
        file.write(DECOY)
    os.chmod(os.path.join(folder, ".decoy"), 0o755)
    # Python's tools ask these what system they run on, by whatever process, and go on without them.
    absent = {name for name in absent_programs(Packages("test", without)) if name not in ("lsb_release", "rustc")}
    for name in absent:
        os.symlink(".decoy", os.path.join(folder, name))
    print(f"needed-packages: decoys of {len(absent)} programs that a bare system would lack")
    return True


def called(without, folder):
    names = []
    if os.path.exists(os.path.join(folder, ".called")):
        with open(os.path.join(folder, ".called"), encoding="utf-8") as file:
            names = sorted(set(file.read().split()))
    absent = absent_programs(Packages("test", without)) if names else {}
    for name in names:
        print(f"needed-packages: expects tools/install-packages.sh to name {', '.join(sorted(absent.get(name, {'its package'})))}, "
              f"of which {name} was called")
    print(f"needed-packages: {len(names)} programs called of packages that are not named")
    return not names


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["files", "scripts", "decoys", "called"])
    parser.add_argument("folder", nargs="?", default=os.path.join(ROOT, "build"))
    parser.add_argument("--without", action="append", default=[])
    given = parser.parse_args()
    if given.command == "scripts":
        good = scripts(given.without)
    else:
        good = {"files": files, "decoys": decoys, "called": called}[given.command](given.without, os.path.abspath(given.folder))
    sys.exit(0 if good else 1)


main()
