#!/usr/bin/env python3
"""Models and functions on the devices of GPU drivers, with drivers that execute kernels on the emulator.

    driver_devices.py --bin build/bin --drivers build/test/device/drivers

The same tokens and the same bytes of logits as on the emulated device, for any cut of a step; and a numbered error in
one line for what a driver may say. Ends with 77 where numpy or gguf are missing.
"""
import argparse
import json
import os
import re
import subprocess
import sys

from conformance import Suite, np  # ends with 77 where numpy or gguf are missing

CHIPS = (("nvidia:sm_90a", "emulated:sm_90a"), ("amd:gfx942", "emulated:gfx942"))
TOKENS = "3,17,42,5,11"


def refused(suite, what, artifact, device, code, text, count=2, **environment):
    """One line with `code`, and nothing else done; of more than two tokens some may have come before."""
    done = subprocess.run([os.path.join(suite.bin, "stepdown-run"), "generate", artifact, "--tokens", TOKENS, "-n", str(count), "--ignore-eos",
                           "--device", device], capture_output=True, text=True, env={**os.environ, **environment})
    lines = done.stderr.strip().splitlines()
    suite.expect(done.returncode == 1 and (done.stdout == "" or count > 2) and any(f"error E{code:04}" in line and re.search(text, line) for line in lines),
                 f"{what} on {device}: expects E{code:04} with {text!r}, but got status {done.returncode}: {done.stderr.strip()[-300:]}")


def as_emulated(suite, device, emulated, name, made, *variants):
    """The artifact, after a run with each of `variants` has given the tokens and bytes of the emulated device."""
    artifact = suite.compiled(suite.made(name, made), f"--target={device},{emulated}")
    before = suite.generated(artifact, [3, 17, 42, 5, 11], 3, "--device", emulated)
    os.environ["FAKE_DRIVER_ARTIFACT"] = artifact
    for options in variants:
        after = suite.generated(artifact, [3, 17, 42, 5, 11], 3, "--device", device, *options)
        for key in ("tokens", "logits_sha256"):
            suite.expect(after[key] == before[key], f"{name} on {device} {options}: expects {key} {before[key]} of {emulated}, but got {after[key]}")
    return artifact


def check_chip(suite, device, emulated):
    as_emulated(suite, device, emulated, "experts.gguf", "--family qwen3moe --type Q4_1 --layers 2 --head-dim 32 --experts 13 --used 3 --expert-ffn 32 --vocab 389", ())
    artifact = as_emulated(suite, device, emulated, "model.gguf", "--family gemma3 --type Q4_1 --layers 2 --pattern 1,0 --window 7 --width 64 --ffn 96 --vocab 389",
                           (), ("--chunk", 2), ("--kv-block", 16))
    inspected = suite.call("stepdown-run", "inspect", artifact, "--json")
    suite.expect(inspected.count('"runs_here": true') == 2, f"inspect: expects both of {device} and {emulated} to run here: {inspected[-900:]}")
    refused(suite, "memory", artifact, device, 601, "bytes of memory of device .* are free", FAKE_DRIVER_MEMORY="10000")
    refused(suite, "memory of a session", artifact, device, 1045, "what fits is", FAKE_DRIVER_MEMORY="100000")
    refused(suite, "an old driver", artifact, device, 1010, "version 11", FAKE_DRIVER_VERSION="11080")
    refused(suite, "another GPU", artifact, device, 1011, "this machine has Other", FAKE_DRIVER_GPUS="Other=7.5" if "nvidia" in device else "Other=gfx906")
    refused(suite, "a launch", artifact, device, 1013, "a grid of", FAKE_DRIVER_FAIL="launch:1")
    refused(suite, "a GPU lost", artifact, device, 1014, "the GPU is lost", FAKE_DRIVER_FAIL="launch:700")
    refused(suite, "a GPU lost in a wait", artifact, device, 1014, "the GPU is lost", FAKE_DRIVER_FAIL="waitForStream:719")
    refused(suite, "code", artifact, device, 1012, "code that it takes", FAKE_DRIVER_ARTIFACT="nowhere")
    print(f"{device}: tokens and logits of {emulated}, 8 refusals", flush=True)


def counted(suite, artifact, device, count, *options, **environment):
    """What generate says, and how often each function of the driver was called."""
    report = suite.path("report")
    os.environ.update(environment, FAKE_DRIVER_REPORT=report)
    try:
        said = suite.generated(artifact, [3, 17, 42, 5, 11], count, "--device", device, *options)
    finally:
        for name in (*environment, "FAKE_DRIVER_REPORT"):
            del os.environ[name]
    with open(report, encoding="utf-8") as file:
        return said, {name: int(calls) for name, calls in (line.split() for line in file)}


def check_graphs(suite, device, emulated):
    """A step of as many tokens as one before is one call of the driver, and allocates nothing; without graphs it is as before."""
    checkpoint = suite.made("graphs.gguf", "--family llama --type Q8_0 --layers 1 --vocab 389 --context 1100")
    artifact = suite.compiled(checkpoint, f"--target={device},{emulated}")
    os.environ["FAKE_DRIVER_ARTIFACT"] = artifact
    before = suite.generated(artifact, [3, 17, 42, 5, 11], 7, "--device", emulated)
    said, calls = counted(suite, artifact, device, 7)
    # The prompt and the first step of one token are launched; the second of these is captured; five are replayed.
    suite.expect(said["logits_sha256"] == before["logits_sha256"], f"{device}, graphs: expects the logits of {emulated}")
    for name, expected in (("beginCapture", 1), ("instantiate", 1), ("endGraph", 1), ("launchGraph", 5), ("endExecutable", 1)):
        suite.expect(calls.get(name) == expected, f"{device}: expects {expected} calls of {name} in 7 steps, but got {calls}")
    for wish in ("beginCapture:801", "endCapture:901", "instantiate:2"):
        said, calls = counted(suite, artifact, device, 7, FAKE_DRIVER_FAIL=wish)
        suite.expect(said["logits_sha256"] == before["logits_sha256"] and "launchGraph" not in calls and calls["beginCapture"] == 1,
                     f"{device}, {wish}: expects the logits of {emulated} by launches alone, but got {calls}")
    for wish in ("launchGraph:1", "launchGraph:2"):  # the first of five: the GPU survives it, and launches do as well
        said, calls = counted(suite, artifact, device, 7, FAKE_DRIVER_FAIL=wish)
        suite.expect(said["logits_sha256"] == before["logits_sha256"] and calls["launchGraph"] == calls["beginCapture"] == calls["endExecutable"] == 1,
                     f"{device}, {wish}: expects the logits of {emulated}, by launches behind the first graph, but got {calls}")
    refused(suite, "a GPU lost in a graph", artifact, device, 1014, "the GPU is lost", 5, FAKE_DRIVER_FAIL="launchGraph:700")
    refused(suite, "a GPU lost in a capture", artifact, device, 1014, "the GPU is lost", 5, FAKE_DRIVER_FAIL="instantiate:700")
    # Block tables change under a graph: the sequence goes on into a second block.
    before = suite.generated(artifact, [3, 17, 42, 5, 11], 14, "--device", emulated, "--kv-block", 16)
    said, calls = counted(suite, artifact, device, 14, "--kv-block", 16)
    suite.expect(said["logits_sha256"] == before["logits_sha256"] and calls["launchGraph"] == 12, f"{device}: expects the logits of {emulated} over two blocks, by 12 graphs, but got {calls}")
    # Lists of two sequences and of one, in blocks that they share out.
    requests = suite.path("requests.jsonl")
    prompts = [[3, 17, 42, 5, 11], [int(t) for t in range(23, 40)]]
    with open(requests, "w", encoding="utf-8") as file:
        for i, prompt in enumerate(prompts):
            file.write(json.dumps({"id": str(i), "tokens": prompt, "max_tokens": 5 + 6 * i, "ignore_eos": True}) + "\n")
    said = suite.call("stepdown-run", "generate", artifact, "--requests", requests, "--temperature", 0, "--json", "--hash-logits", "--kv-block", 16, "--device", device)
    batch = {a["id"]: a["logits_sha256"] for a in map(json.loads, said.splitlines())}
    for i, prompt in enumerate(prompts):
        alone = suite.generated(artifact, prompt, 5 + 6 * i, "--device", emulated)["logits_sha256"]
        suite.expect(batch.get(str(i)) == alone, f"{device}: expects request {i} in a batch as alone on {emulated}, but got other bytes")
    few, many = (counted(suite, artifact, device, count, FAKE_DRIVER_IDLE="1")[1] for count in (17, 1017))
    more = {name: many[name] - few.get(name, 0) for name in many if many[name] != few.get(name, 0)}
    uses = {name: more.pop(name, 0) for name in ("useContext", "useDevice")}
    # What a step reads, its logits, and each 32 tokens a block table.
    suite.expect(more == {"launchGraph": 1000, "toDevice": 1000 + 1000 // 32, "toHost": 1000, "waitForStream": 1000},
                 f"{device}: expects 1,000 steps more to be copies, a wait and a graph each, with nothing allocated, but got {more}")
    print(f"{device}: 1,000 steps more are {more} and {uses}", flush=True)
    check_chunks(suite, device, emulated, artifact)


def check_chunks(suite, device, emulated, artifact):
    """Steps of a prompt without logits are made while those before them run: nobody waits, and nothing is allocated."""
    prompt = [int(t) for t in np.random.default_rng(13).integers(3, 380, 1031)]
    before = suite.generated(artifact, prompt[:41], 2, "--device", emulated)
    said = suite.generated(artifact, prompt[:41], 2, "--device", device, "--chunk", 3)
    suite.expect(said["logits_sha256"] == before["logits_sha256"], f"{device}, chunks of a prompt: expects the logits of {emulated}, but got others")
    report, counts = suite.path("chunks"), []
    os.environ.update(FAKE_DRIVER_REPORT=report, FAKE_DRIVER_IDLE="1")
    for tokens in (31, 1031):
        suite.generated(artifact, prompt[:tokens], 1, "--device", device, "--chunk", 1)
        with open(report, encoding="utf-8") as file:
            counts.append({name: int(calls) for name, calls in (line.split() for line in file)})
    for name in ("FAKE_DRIVER_REPORT", "FAKE_DRIVER_IDLE"):
        del os.environ[name]
    more = {name: counts[1][name] - counts[0].get(name, 0) for name in counts[1]}
    uploads = 1000 + 1000 // 32 + 1  # what a step reads, and block tables: of 31 positions none is full yet
    suite.expect(more["launchGraph"] == 1000 and more["toDevice"] == more["between"] == more["waitInStream"] == uploads,
                 f"{device}: expects 1,000 steps more of a prompt to be {uploads} uploads under those before, but got {more}")
    for name in ("allocate", "waitForStream", "makeStream", "makeEvent", "toHost", "launch"):
        suite.expect(more.get(name, 0) == 0, f"{device}: expects no call of {name} in 1,000 steps more of a prompt, but got {more}")
    print(f"{device}: 1,000 steps more of a prompt are { {name: count for name, count in more.items() if count} }", flush=True)


PTXAS = """#!/bin/sh
[ "$1" = --version ] && echo 'Cuda compilation tools, release 13.1, V13.1.80' && exit
# As `ptxas -v -arch=CHIP -o OUT IN`: a file that begins as machine code does, and holds the PTX.
echo "ptxas info    : Compiling entry function 'any' for 'sm_90a'"
{ printf '\\177ELF'; head -c 60 /dev/zero; cat "$5"; } > "$4"
"""


REFUSES = """#!/bin/sh
[ "$1" = --version ] && echo 'Cuda compilation tools, release 13.1, V13.1.80' && exit
echo 'ptxas fatal   : nothing suits it' >&2
exit 255
"""


def check_refused_code(suite):
    """A warning says what an assembler has against a kernel, and the image holds PTX alone, for the driver's own."""
    source, ptxas, artifact = (suite.path(name) for name in ("refused.mlir", "refuses", "refused.stepdown"))
    with open(source, "w", encoding="utf-8") as file:
        file.write("func.func @twice(%x: tensor<5xf32>) -> tensor<5xf32> {\n"
                   "  %y = arith.addf %x, %x : tensor<5xf32>\n  return %y : tensor<5xf32>\n}\n")
    with open(ptxas, "w", encoding="utf-8") as file:
        file.write(REFUSES)
    os.chmod(ptxas, 0o755)
    done = subprocess.run([os.path.join(suite.bin, "stepdown-compile"), source, "--target=nvidia:sm_90a", "-o", artifact],
                          capture_output=True, text=True, env={**os.environ, "STEPDOWN_PTXAS": ptxas})
    warned = re.search(r"warning: kernel \w+ is left to the driver's assembler: error E0564: .*nothing suits it", done.stderr)
    suite.expect(done.returncode == 0 and warned, f"expects a warning of what ptxas refuses, but got {done.returncode}: {done.stderr}")
    with open(artifact, "rb") as file:
        code = file.read()
    suite.expect(b"\n.version " in code and b".target sm_90a" in code, "expects the refused kernel's PTX in the artifact")
    suite.expect(b"\x7fELF" + bytes(60) not in code, "expects no machine code of a refused kernel")


def check_machine_code(suite):
    """Where the compiler has NVIDIA's assembler the image holds machine code, which is taken first; else the PTX."""
    checkpoint = suite.made("code.gguf", "--family llama --type Q8_0 --layers 1 --vocab 389")
    ptxas = suite.path("ptxas")
    with open(ptxas, "w", encoding="utf-8") as file:
        file.write(PTXAS)
    os.chmod(ptxas, 0o755)
    plain = suite.compiled(checkpoint, "--target=nvidia:sm_90a,emulated:sm_90a")
    os.environ["STEPDOWN_PTXAS"] = ptxas
    artifact = suite.compiled(suite.made("assembled.gguf", "--family llama --type Q8_0 --layers 1 --vocab 389"), "--target=nvidia:sm_90a,emulated:sm_90a")
    del os.environ["STEPDOWN_PTXAS"]
    codes = []
    for path in (plain, artifact):
        with open(path, "rb") as file:
            codes.append(file.read().count(b"\x7fELF" + bytes(60)))
    suite.expect(codes[0] == 0 and codes[1] > 5, f"expects machine code in each image of one artifact, but got {codes}")
    os.environ["FAKE_DRIVER_ARTIFACT"] = artifact
    before = suite.generated(artifact, [3, 17, 42], 2, "--device", "emulated:sm_90a")
    for wish in ("none:1", "loadModule:222"):  # the first call of loadModule: a driver that is too old for the code
        os.environ["FAKE_DRIVER_FAIL"] = wish
        after = suite.generated(artifact, [3, 17, 42], 2, "--device", "nvidia:sm_90a")
        suite.expect(after["logits_sha256"] == before["logits_sha256"], f"machine code, {wish}: expects the logits of emulated:sm_90a")
    del os.environ["FAKE_DRIVER_FAIL"]
    print(f"machine code of {codes[1]} kernels beside their PTX", flush=True)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--bin", required=True, help="folder of stepdown-compile and stepdown-run")
    a.add_argument("--drivers", required=True, help="folder of the drivers that are none")
    a.add_argument("--jobs", type=int, default=1)
    options = a.parse_args()
    suite = Suite(options)
    os.environ["LD_LIBRARY_PATH"] = options.drivers
    for device, emulated in CHIPS:
        suite.run(device, lambda: check_chip(suite, device, emulated))
        # A machine without a driver: the folder of none of them.
        artifact = os.path.join(suite.folder, os.path.basename(os.environ["FAKE_DRIVER_ARTIFACT"]))
        alone = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True).stdout
        if "libcuda.so.1" not in alone and "libamdhip64" not in alone:
            refused(suite, "no driver", artifact, device, 922, "expects .*'s driver, but lib", LD_LIBRARY_PATH="")
    for device, emulated in CHIPS:
        suite.run(f"graphs on {device}", lambda: check_graphs(suite, device, emulated))
    suite.run("machine code", lambda: check_machine_code(suite))
    suite.run("code that ptxas refuses", lambda: check_refused_code(suite))
    suite.finish()


if __name__ == "__main__":
    main()
