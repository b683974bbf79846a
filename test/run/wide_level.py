"""Code of x86-64-v4-vnni gives the logits of x86-64-v3's, byte for byte, on any processor with AVX2.

The two instructions of AVX-512 that kernels name are written out in what --compile-to=cpu prints: vpdpbusd as products
and sums of 32-bit lanes, vpshufb as AVX2's of both halves. The rest is vectors of 512 bits, which LLVM splits for AVX2;
--compile-from makes an artifact of it. A model with a matrix of every storage type, steps of every bucket of tokens.

    wide_level.py STEPDOWN_COMPILE STEPDOWN_RUN

Ends with 77, which ctest takes for skipped, where the Python packages numpy and gguf are missing, or AVX2 is.
"""
import os, re, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data"))
try:
    import make_model
except ImportError:
    print("skipped: needs the Python packages numpy and gguf")
    sys.exit(77)

COMPILE, RUN = sys.argv[1:]
INTRINSIC = re.compile(r'(%\S+) = llvm\.call_intrinsic "llvm\.x86\.avx512\.(vpdpbusd|pshuf\.b)\.512"\(([^)]*)\)[^\n]*')


def output(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: status {done.returncode}: {done.stderr}")
    return done.stdout


def every_fourth(first):
    return ", ".join(str(4 * lane + first) for lane in range(16))


def products(result, unique, total, codes, activations):
    """vpdpbusd: `total` plus, in each lane, four products of an unsigned and a signed byte."""
    lines = [f"%x{unique} = llvm.zext {codes} : vector<64xi8> to vector<64xi32>",
             f"%y{unique} = llvm.sext {activations} : vector<64xi8> to vector<64xi32>",
             f"%p{unique} = llvm.mul %x{unique}, %y{unique} : vector<64xi32>"]
    for i in range(4):
        lines.append(f"%q{unique}_{i} = llvm.shufflevector %p{unique}, %p{unique} [{every_fourth(i)}] : vector<64xi32>")
        name = result if i == 3 else f"%s{unique}_{i}"
        lines.append(f"{name} = llvm.add {total}, %q{unique}_{i} : vector<16xi32>")
        total = name
    return lines


def lookups(result, unique, table, codes):
    """vpshufb: bytes of each 16 bytes of `table`, by number."""
    lines, halves = [], []
    for half in range(2):
        lanes = ", ".join(str(lane) for lane in range(32 * half, 32 * half + 32))
        for name, whole in (("t", table), ("c", codes)):
            lines.append(f"%{name}{unique}_{half} = llvm.shufflevector {whole}, {whole} [{lanes}] : vector<64xi8>")
        halves.append(f"%h{unique}_{half}")
        lines.append(f'{halves[-1]} = llvm.call_intrinsic "llvm.x86.avx2.pshuf.b"(%t{unique}_{half}, %c{unique}_{half})'
                     " : (vector<32xi8>, vector<32xi8>) -> vector<32xi8>")
    lines.append(f"{result} = llvm.shufflevector {halves[0]}, {halves[1]} [{', '.join(map(str, range(64)))}] : vector<32xi8>")
    return lines


def for_avx2(text):
    """`text` without instructions of AVX-512, and how many there were of each."""
    counts = {"vpdpbusd": 0, "pshuf.b": 0}

    def written_out(match):
        result, kind, operands = match.groups()
        counts[kind] += 1
        unique = f"wide_{kind[0]}{counts[kind]}"
        return "\n".join((products if kind == "vpdpbusd" else lookups)(result, unique, *operands.split(", ")))

    text = INTRINSIC.sub(written_out, text)
    if "avx512" in text:
        sys.exit(f"expects two instructions of AVX-512 alone, but got {re.search(r'[^ ]*avx512[^ ]*', text).group()}")
    return text.replace('target = "x86-64-v4-vnni"', 'target = "x86-64-v3"'), counts


def main():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        if " avx2" not in file.read():
            print("skipped: needs a processor with AVX2")
            sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        path = lambda name: os.path.join(folder, name)
        make_model.build(path("m.gguf"), "--family", "llama", "--type", "mixed", "--layers", "3", "--width", "256", "--heads", "4",
                         "--kv-heads", "2", "--head-dim", "64", "--ffn", "512", "--vocab", "293", "--context", "64")
        output(COMPILE, path("m.gguf"), "--target", "x86-64-v3", "-o", path("narrow.stepdown"))
        text, counts = for_avx2(output(COMPILE, path("m.gguf"), "--target", "x86-64-v4-vnni", "--compile-to=cpu"))
        with open(path("wide.mlir"), "w", encoding="utf-8") as file:
            file.write(text)
        output(COMPILE, path("wide.mlir"), "--compile-from=cpu", "--weights", path("m.gguf"), "-o", path("wide.stepdown"))
        compared = 0
        for chunk in ("1", "3", "37"):
            rows = []
            for level in ("wide", "narrow"):
                output(RUN, "eval", path(level + ".stepdown"), "--isa", "x86-64-v3", "--chunk", chunk, "--tokens",
                       ",".join(str(7 * i % 293) for i in range(37)), "--logits", path("logits.npy"))
                with open(path("logits.npy"), "rb") as file:
                    rows.append(file.read())
            if rows[0] != rows[1]:
                differing = sum(a != b for a, b in zip(*rows))
                sys.exit(f"chunks of {chunk}: expects the same logits, but {differing} of {len(rows[0])} bytes differ")
            compared += len(rows[0])
        if min(counts.values()) == 0:
            sys.exit(f"expects both instructions in the kernels, but got {counts}")
        print(f"{counts['vpdpbusd']} vpdpbusd and {counts['pshuf.b']} vpshufb written out; {compared} bytes of logits are the same")


main()
