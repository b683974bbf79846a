"""Code of x86-64-v4-vnni and of x86-64-v3-vnni gives the logits of x86-64-v3's, byte for byte, on any processor with AVX2.

The instructions that their kernels name and AVX2 lacks are written out in what --compile-to=cpu prints: vpdpbusd as
products and sums of 32-bit lanes, vpshufb of 512 bits as AVX2's of both halves. The rest is vectors, which LLVM splits
for AVX2; --compile-from makes an artifact of it. A model with a matrix of every storage type, steps of every bucket of
tokens.

    wide_level.py STEPDOWN_COMPILE STEPDOWN_RUN

Ends with 77, which ctest takes for skipped, where the Python packages numpy and gguf are missing, or AVX2 is.
"""
import functools, os, re, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data"))
try:
    import make_model
except ImportError:
    print("skipped: needs the Python packages numpy and gguf")
    sys.exit(77)

COMPILE, RUN = sys.argv[1:]
INTRINSIC = re.compile(r'(%\S+) = llvm\.call_intrinsic "llvm\.x86\.avx512\.(vpdpbusd|pshuf\.b)\.(256|512)"\(([^)]*)\)[^\n]*')
LEVELS = {"x86-64-v4-vnni": {"vpdpbusd", "pshuf.b"}, "x86-64-v3-vnni": {"vpdpbusd"}}  # what of each is written out
CASES = (("x86-64-v4-vnni", "q8o2"), ("x86-64-v3-vnni", "q8o2"), ("x86-64-v4-vnni", "q8"), ("x86-64-v4-vnni", "q8x2"))  # and of activations
CHUNKS = ("1", "3", "7", "37")  # tokens a step: of every bucket, and of two tiles of four, which pass together


def output(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: status {done.returncode}: {done.stderr}")
    return done.stdout


def products(result, unique, count, total, codes, activations):
    """vpdpbusd: `total` plus, in each lane, four products of an unsigned and a signed byte, of `count` bytes."""
    lines = [f"%x{unique} = llvm.zext {codes} : vector<{count}xi8> to vector<{count}xi32>",
             f"%y{unique} = llvm.sext {activations} : vector<{count}xi8> to vector<{count}xi32>",
             f"%p{unique} = llvm.mul %x{unique}, %y{unique} : vector<{count}xi32>"]
    for i in range(4):
        fourth = ", ".join(map(str, range(i, count, 4)))
        lines.append(f"%q{unique}_{i} = llvm.shufflevector %p{unique}, %p{unique} [{fourth}] : vector<{count}xi32>")
        name = result if i == 3 else f"%s{unique}_{i}"
        lines.append(f"{name} = llvm.add {total}, %q{unique}_{i} : vector<{count // 4}xi32>")
        total = name
    return lines


def lookups(result, unique, _, table, codes):
    """vpshufb of 64 bytes: bytes of each 16 bytes of `table`, by number."""
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


def for_avx2(text, level):
    """`text`, of `level`, without instructions that AVX2 lacks, and how many there were of each."""
    counts = dict.fromkeys(LEVELS[level], 0)

    def written_out(match):
        result, kind, width, operands = match.groups()
        counts[kind] += 1
        unique = f"wide_{kind[0]}{counts[kind]}"
        return "\n".join((products if kind == "vpdpbusd" else lookups)(result, unique, int(width) // 8, *operands.split(", ")))

    text = INTRINSIC.sub(written_out, text)
    if "avx512" in text:
        sys.exit(f"{level}: expects no other instructions of AVX-512, but got {re.search(r'[^ ]*avx512[^ ]*', text).group()}")
    return text.replace(f'target = "{level}"', 'target = "x86-64-v3"'), counts


def logits(artifact, chunk, path):
    output(RUN, "eval", artifact, "--isa", "x86-64-v3", "--chunk", chunk, "--tokens", ",".join(str(7 * i % 293) for i in range(37)), "--logits", path)
    with open(path, "rb") as file:
        return file.read()


@functools.cache
def rows_at_v3(path, codes):
    output(COMPILE, path("m.gguf"), "--target", "x86-64-v3", "-o", path("narrow.stepdown"), "--activations", codes)
    return {chunk: logits(path("narrow.stepdown"), chunk, path("logits.npy")) for chunk in CHUNKS}


def main():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        if " avx2" not in file.read():
            print("skipped: needs a processor with AVX2")
            sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        path = lambda name: os.path.join(folder, name)
        make_model.build(path("m.gguf"), "--family", "llama", "--type", "mixed", "--layers", "3", "--width", "256", "--heads", "4",
                         "--kv-heads", "2", "--head-dim", "64", "--ffn", "512", "--vocab", "293", "--context", "64")
        for level, codes in CASES:
            narrow = rows_at_v3(path, codes)
            text, counts = for_avx2(output(COMPILE, path("m.gguf"), "--target", level, "--compile-to=cpu", "--activations", codes), level)
            with open(path("wide.mlir"), "w", encoding="utf-8") as file:
                file.write(text)
            output(COMPILE, path("wide.mlir"), "--compile-from=cpu", "--weights", path("m.gguf"), "-o", path("wide.stepdown"))
            for chunk, rows in narrow.items():
                wide = logits(path("wide.stepdown"), chunk, path("logits.npy"))
                if wide != rows:
                    differing = sum(a != b for a, b in zip(wide, rows))
                    sys.exit(f"{level}, {codes}, chunks of {chunk}: expects the same logits, but {differing} of {len(rows)} bytes differ")
            if min(counts.values()) == 0:
                sys.exit(f"{level}, {codes}: expects these instructions in the kernels, but got {counts}")
            told = " and ".join(f"{count} {name}" for name, count in sorted(counts.items(), reverse=True))
            print(f"{level}, {codes}: {told} written out; {sum(map(len, narrow.values()))} bytes of logits are the same")


main()
