"""The levels of `cpu`, as lib/Base/Targets.def has them, and what /proc/cpuinfo must say for each."""
import os
import re

FLAGS = {"HasV3": {"avx2", "fma", "f16c", "bmi2"}, "HasAvx512": {"avx512f", "avx512bw", "avx512vl", "avx512dq"}, "HasVnni": {"avx512_vnni"}, "HasBf16": {"avx512_bf16"}}


def of_table():
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib", "Base", "Targets.def"), encoding="utf-8") as file:
        text = re.sub(r"//[^\n]*", "", file.read())
    row = r'STEPDOWN_TARGET\(\w+, "([^"]+)", ([\w |]+), "\w+", "[^"]*",\s*"[^"]*", (true|false),'
    rows = re.findall(row, text)  # (name, needs, whether "cpu" stands for it)
    if len(rows) != text.count("STEPDOWN_TARGET("):
        raise ValueError("expects to understand every row of Targets.def")
    flags = lambda needs: set().union(*(FLAGS[need] for need in needs.split(" | ")))
    return [{name: flags(needs) for name, needs, in_cpu in rows if chosen(name, in_cpu)}
            for chosen in (lambda name, in_cpu: in_cpu == "true", lambda name, _: name == "x86-64-v4-bf16")]


LEVELS, OF_BFLOATS = of_table()  # name -> flags, lowest first; those that "cpu" stands for where weights are bfloat16


def of_this_processor(levels=LEVELS):
    """Those that code can run at here, lowest first. Code of the others is held to theirs by wide_level.py."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        has = next((set(line.split()) for line in file if line.startswith("flags")), set())
    return [level for level, needs in levels.items() if needs <= has]
