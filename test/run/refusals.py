#!/usr/bin/env python3
"""Gives every malformed GGUF of test/data/make_malformed.py to a program and expects its numbered error.

    refusals.py PROGRAM MALFORMED_FOLDER

PROGRAM is stepdown-run (inspect for what is wrong with the container, generate for everything) or stepdown-compile. It
must end with status 1 and nothing on stdout, say "PROGRAM: error ENNNN: FILE..." with the number of the manifest, and
leave nothing behind.
"""
import os, subprocess, sys, tempfile


def main():
    program, folder = sys.argv[1:]
    failures, count = [], 0
    with open(os.path.join(folder, "manifest.tsv")) as manifest:
        rows = [line.rstrip("\n").split("\t") for line in manifest]
    with tempfile.TemporaryDirectory() as cache:
        environment = dict(os.environ, XDG_CACHE_HOME=cache)
        for name, file, do, code, _ in rows:
            compiler = os.path.basename(program) == "stepdown-compile"
            if int(code) == 0 or do == "finite" and not compiler:
                continue
            path = os.path.join(folder, file)
            commands = [["generate", path, "-p", "x", "-n", "1"]]
            if compiler:
                commands = [[path, "-o", os.path.join(cache, "out.stepdown")]]
                if do == "finite":
                    commands[0].append("--check-weights")
            elif do == "open" and name != "16-type-unsupported":  # inspect lists types that nothing here decodes
                commands.append(["inspect", path])
            for command in commands:
                count += 1
                done = subprocess.run([program, *command], capture_output=True, env=environment, timeout=20)
                text = done.stderr.decode(errors="replace")
                expected = f"{os.path.basename(program)}: error E{int(code):04d}: {folder}/"
                if done.returncode != 1 or done.stdout or not text.startswith(expected):
                    failures.append(f"{name}: {command[0]}: status {done.returncode}, expects '{expected}', but got: {text.strip()[:200]}")
        left = [file for _, _, files in os.walk(cache) for file in files]  # the cache's own folder may stay
        if left:
            failures.append(f"expects no file left in the cache, but got {left}")
    print(f"{count} runs, {len(failures)} failures")
    print("\n".join(failures))
    sys.exit(1 if failures or not count else 0)


main()
