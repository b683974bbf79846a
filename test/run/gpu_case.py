"""What gpu-programs is asked, and what its parts share: devices, compiling a text, numbers of 16 bits, what went wrong."""
import os, random, subprocess, sys

try:
    import numpy as np
except ImportError:
    print("skipped: needs the Python package numpy")
    sys.exit(77)

COMPILE, RUN, os.environ["STEPDOWN_LIBRARY"] = sys.argv[1:4]
SEED = int(sys.argv[4]) if len(sys.argv) > 4 else random.randrange(1 << 32)
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))
import stepdown

OTHERS = ("emulated:sm_80", "emulated:gfx90a", "emulated:gfx950", "emulated:gfx1100", "emulated:gfx1201")
DEVICES = ("emulated:sm_90a", "emulated:gfx942", sys.argv[5] if len(sys.argv) > 5 else OTHERS[SEED % len(OTHERS)], "cpu")
UNTILED = ("cpu",)  # no tile kernels: sums are of the result's type
UNATTENDED = ("cpu",)  # none of attention: weights are not rounded
SIZES = (1, 2, 3, 7, 31, 61, 63, 64, 65, 67, 127, 128, 129, 131, 199, 255, 257, 263)
failures = []


def expect(true, text):
    if not true:
        failures.append(text)
        print(f"FAILED {text}")


def compile_text(folder, name, text, *options):
    source, artifact = (os.path.join(folder, name + suffix) for suffix in (".mlir", ".stepdown"))
    with open(source, "w", encoding="utf-8") as file:
        file.write(text)
    done = subprocess.run([COMPILE, source, "-o", artifact, *(options or [f"--target={','.join(DEVICES)}"])],
                          capture_output=True, text=True)
    return artifact if done.returncode == 0 else None, done.stderr


def rounded(values, element):
    """The 16-bit patterns of float32 `values`, and the numbers that they are."""
    if element == "f16":
        half = values.astype(np.float16)
        return half, half.astype(np.float64)
    bits = values.astype(np.float32).view(np.uint32)
    bits = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return bits, from_bf16(bits)


def taken(numbers, element, device):
    """What the matrix units of `device` take `numbers` of `element` as: those of gfx90a subnormal ones of 16 bits as zeros."""
    return np.where(abs(numbers) < 2.0**-14, 0, numbers) if element == "f16" and device.endswith("gfx90a") else numbers


def from_bf16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def only(results):
    (one,) = results
    return one
