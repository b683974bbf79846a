#!/usr/bin/env python3
"""Compares what a program says of its options: --help, the manual page, and the completion of bash and zsh.

    command_line.py PROGRAM...

Each option that --help tells must be in the manual page and in both scripts; bash must read its script and complete
with it. zsh and groff check theirs where the system has them.
"""
import os, re, shutil, subprocess, sys, tempfile

failures = []


def expect(what, good, got):
    if not good:
        failures.append(f"{what}: {got}")


def output(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    expect(" ".join(words), done.returncode == 0 and not done.stderr, (done.returncode, done.stderr))
    return done.stdout


def completed(script, program, *words):
    """What bash offers for the last of `words`."""
    line = ["source \"$1\"; shift", "COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1))",
            f"_{program.replace('-', '_')}", "printf '%s\\n' \"${COMPREPLY[@]}\""]
    done = subprocess.run(["bash", "--norc", "-c", "\n".join(line), "bash", script, program, *words], capture_output=True, text=True)
    expect(f"completing {words}", not done.stderr, done.stderr)
    return done.stdout.split()


def lint(page, name):
    if not shutil.which("groff"):
        return
    done = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-z"], input=page, capture_output=True, text=True)
    expect(f"{name}: groff", done.returncode == 0 and not done.stderr, done.stderr)


def check(path, folder):
    program = os.path.basename(path)
    single = program == "stepdown-compile"
    scripts = {shell: output(path, *([f"--completion={shell}"] if single else ["completion", shell])) for shell in ("bash", "zsh")}
    page = output(path, "--manual" if single else "manual")
    lint(page, program)
    files = {}
    for shell, script in scripts.items():
        files[shell] = os.path.join(folder, f"{program}.{shell}")
        with open(files[shell], "w") as file:
            file.write(script)
        if shutil.which(shell):
            done = subprocess.run([shell, "-n", files[shell]], capture_output=True, text=True)
            expect(f"{program}: {shell} -n", done.returncode == 0 and not done.stderr, done.stderr)
    help = output(path, "--help")
    commands = [""] if single else re.findall(r"^  (\w+)  ", help, re.M)
    expect(f"{program}: commands", single or len(commands) >= 11, commands)
    count = 0
    for command in commands:
        words = [command] if command else []
        text = output(path, *words, "--help")
        options = re.findall(r"^  (?:-\w, |    )--([\w-]+)", text, re.M)
        count += len(options)
        section = page if single else page.split(f'.SS "{command}"\n')[1].split("\n.SS ")[0]
        section = section.replace("\\-", "-")
        offered = completed(files["bash"], program, *words, "-")
        for option in options:
            expect(f"{program} {command}: manual", f"--{option}\\fR" in section, f"expects --{option}")
            expect(f"{program} {command}: bash", f"--{option}" in offered, f"expects --{option}, but got {offered}")
            expect(f"{program} {command}: zsh", re.search(rf"--{option}[=\W]", scripts["zsh"]), f"expects --{option}")
        expect(f"{program} {command}: bash offers what --help tells", len([o for o in offered if o.startswith("--")]) == len(options) + 1, offered)
    expect(f"{program}: options", count > 10, count)
    return files["bash"], page, count


def main():
    with tempfile.TemporaryDirectory() as folder:
        counts = []
        for path in sys.argv[1:]:
            script, page, count = check(path, folder)
            counts.append(count)
            program = os.path.basename(path)
            if program == "stepdown-run":
                cases = [(["gen"], ["generate"]), (["generate", "m", "--is"], ["--isa"]), (["generate", "--isa", "x86-64-v4"], ["x86-64-v4-vnni"]),
                         (["generate", "--isa", "=", "x86-64-v4"], ["x86-64-v4-vnni"]), (["chat", "--sampling-order", "bias,dr"], ["bias,dry"]),
                         (["generate", "--file", "x"], []), (["generate", "m"], [])]
            else:
                cases = [(["--compile-to", "=", "lin"], ["linalg"]), (["--compile-to", "=", ""], None), (["--compile-to=lin"], ["--compile-to=linalg"]),
                         (["--target", "cpu,x86-64-v4"], ["cpu,x86-64-v4-vnni"]), (["--explain", "=", "j"], ["json"]), (["--explain", "mod"], [])]
            for words, expected in cases:
                got = completed(script, program, *words)
                expect(f"{program}: completing {words}", len(got) > 6 if expected is None else got == expected, got)
    print("\n".join(failures) or f"{sum(counts)} options of {len(counts)} programs: all as --help tells")
    sys.exit(1 if failures else 0)


main()
