#!/usr/bin/env python3
"""Compares what a program says of its options: --help, the manual page, and the completion of bash and zsh.

    command_line.py PROGRAM...

Each option that --help tells must be in the manual page and in both scripts; bash must read its script and complete
with it. zsh, on a terminal of its own, and groff check theirs where the system has them.
"""
import os, pty, re, select, shutil, signal, subprocess, sys, tempfile, time

failures = []
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib", "Base", "Chips.def"), encoding="utf-8") as table:
    CHIPS = re.findall(r'^STEPDOWN_CHIP\("(\w+)"', table.read(), re.M)


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


def zsh_completes(script, cases):
    """Types each line of `cases` and Tab in zsh, which must show what belongs to it."""
    if not shutil.which("zsh"):
        return
    child, master = pty.fork()
    if child == 0:
        os.execvpe("zsh", ["zsh", "-f", "-i"], {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TERM": "vt100", "COLUMNS": "200", "LC_ALL": "C"})
    shown = ""

    def shows(text):
        nonlocal shown
        until = time.monotonic() + 60
        while time.monotonic() < until:
            clean = re.sub(r"\x1b[\[(][?0-9;]*[A-Za-z]|\x1b[=>]|[\r\n\0\x07]", "", shown)
            if text in clean:
                shown = ""
                return True
            if select.select([master], [], [], 0.1)[0]:
                try:
                    shown += os.read(master, 65536).decode(errors="replace")
                except OSError:
                    break
        expect("zsh", False, f"expects {text!r} to be shown, but got {shown[-500:]!r}")
        return False

    # The word is not shown as it is typed, but when zsh has come to it.
    os.write(master, f"PS1=; autoload -Uz compinit; compinit -D -u; source {script}; echo rea''dy\n".encode())
    if shows("ready"):
        for typed, expected in cases:
            os.write(master, typed.encode() + b"\t")
            if not shows(expected):
                break
            os.write(master, b"\x15echo ne''xt\n")
            if not shows("next"):
                break
    os.close(master)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


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
    commands = [""] if single else re.findall(r"^  ([\w-]+)  ", help, re.M)
    expect(f"{program}: commands", single or len(commands) >= 11, commands)
    count = 0
    for command in commands:
        words = [command] if command else []
        text = output(path, *words, "--help")
        options = re.findall(r"^  (?:-\w, |    )--([\w-]+)", text, re.M)
        count += len(options)
        section = page if single else page.replace("\\-", "-").split(f'.SS "{command}"\n')[1].split("\n.SS ")[0]
        section = section.replace("\\-", "-")
        offered = completed(files["bash"], program, *words, "-")
        for option in options:
            expect(f"{program} {command}: manual", f"--{option}\\fR" in section, f"expects --{option}")
            expect(f"{program} {command}: bash", f"--{option}" in offered, f"expects --{option}, but got {offered}")
            expect(f"{program} {command}: zsh", re.search(rf"--{option}[=\W]", scripts["zsh"]), f"expects --{option}")
        expect(f"{program} {command}: bash offers what --help tells", len([o for o in offered if o.startswith("--")]) == len(options) + 1, offered)
    expect(f"{program}: options", count > 10, count)
    return files["bash"], page, count


def full_disk(path, folder):
    """What a program prints onto a full disk is an error, not a success."""
    module = os.path.join(folder, "one.mlir")
    with open(module, "w") as file:
        file.write("func.func @one() -> i32 {\n  %0 = arith.constant 1 : i32\n  return %0 : i32\n}\n")
    if os.path.basename(path) == "stepdown-compile":
        asked = [["--help"], ["--version"], ["--manual"], ["--completion=zsh"], [module, "--compile-to=linalg"], [module, "--compile-to=help"],
                 [module, "--explain"], [module, "-o", os.devnull, "--time-report"]]
    else:
        asked = [["--help"], ["--version"], ["manual"], ["completion", "zsh"], ["call", "--help"]]
    for words in asked:
        with open("/dev/full", "w") as full:
            done = subprocess.run([path, *words], stdout=full, stderr=subprocess.PIPE, text=True)
        expect(f"{words} onto a full disk", done.returncode == 1 and "error E0903: stdout: cannot write" in done.stderr, (done.returncode, done.stderr))


def main():
    with tempfile.TemporaryDirectory() as folder:
        counts = []
        for path in sys.argv[1:]:
            script, page, count = check(path, folder)
            if os.path.exists("/dev/full"):
                full_disk(path, folder)
            counts.append(count)
            program = os.path.basename(path)
            if program == "stepdown-run":
                cases = [(["gen"], ["generate"]), (["generate", "m", "--is"], ["--isa"]), (["generate", "--isa", "x86-64-v4"], ["x86-64-v4-vnni", "x86-64-v4-bf16"]),
                         (["generate", "--isa", "=", "x86-64-v4-v"], ["x86-64-v4-vnni"]), (["chat", "--sampling-order", "bias,dr"], ["bias,dry"]),
                         (["generate", "--device", "emul"], ["emulated:" + chip for chip in CHIPS]), (["generate", "--device", "emulated", ":"], CHIPS),
                         (["generate", "--device", "emulated", ":", "sm_9"], ["sm_90a"]), (["generate", "--device", "=", "emulated", ":", "s"], ["sm_80", "sm_90a"]),
                         (["generate", "--device", "emulated:sm_9"], ["emulated:sm_90a"]), (["generate", "--device", "emulated", ":", "x"], []),
                         (["generate", "--file", "x"], []), (["generate", "m"], [])]
            else:
                cases = [(["--compile-to", "=", "lin"], ["linalg"]), (["--compile-to", "=", ""], None), (["--compile-to=lin"], ["--compile-to=linalg"]),
                         (["--target", "cpu,x86-64-v4-b"], ["cpu,x86-64-v4-bf16"]), (["--explain", "=", "j"], ["json"]), (["--explain", "mod"], [])]
            for words, expected in cases:
                got = completed(script, program, *words)
                expect(f"{program}: completing {words}", len(got) > 6 if expected is None else got == expected, got)
            zsh_completes(os.path.join(folder, f"{program}.zsh"),
                          [("stepdown-run gene", "stepdown-run generate "), ("stepdown-run chat m --logit-b", "m --logit-bias"),
                           ("stepdown-run eval m --isa x86-64-v4-v", "x86-64-v4-vnni"), ("stepdown-run chat m --device emulated:sm_9", "sm_90a")] if program == "stepdown-run" else
                          [("stepdown-compile --check-w", "stepdown-compile --check-weights"), ("stepdown-compile m --compile-to=lin", "--compile-to=linalg")])
    print("\n".join(failures) or f"{sum(counts)} options of {len(counts)} programs: all as --help tells")
    sys.exit(1 if failures else 0)


main()
