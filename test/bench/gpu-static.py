#!/usr/bin/env python3
"""What the machine code of a GPU kernel says without a GPU, beside what peers' says of the same problem.

    gpu-static.py --fetch                     Triton, FlashAttention-3 and NVIDIA's disassembler into build/gpu-static
    gpu-static.py [--peers] [FILE...]         FILE: a .cubin, or .ptx that ptxas assembles for --chip

Prints, for the innermost loop that multiplies: instructions, matrix products and their ratio; registers, spills (LDL, STL),
static and Triton's dynamic shared memory; waits, barriers; exponentials, and how many of them lie between a wait that
leaves products running and the next for all; and the order of all these (--order). ptxas is build/ptxas/ptxas, else the
peers' or the one in PATH. Nothing is run on a device.
"""
import argparse
import glob
import os
import re
import subprocess
import sys
import tempfile
import zipfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import machine_code

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PACKAGES = ["triton==3.9.0", "fa3-fwd==0.0.3", "nvidia-cuda-nvdisasm==13.5.37"]


def fetch(folder):
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps",
                        "--only-binary", ":all:", "-d", scratch, *PACKAGES], check=True)
        for wheel in glob.glob(scratch + "/*.whl"):
            zipfile.ZipFile(wheel).extractall(folder)
    for program in glob.glob(folder + "/triton/backends/nvidia/bin/*") + glob.glob(folder + "/nvidia/*/bin/*"):
        os.chmod(program, 0o755)


def tool(name, folder):
    """The program's path, or None."""
    places = [ROOT + "/build/ptxas/" + name, *glob.glob(f"{folder}/nvidia/*/bin/{name}"),
              f"{folder}/triton/backends/nvidia/bin/{name}",
              *(path + "/" + name for path in os.environ.get("PATH", "").split(":"))]
    return next((place for place in places if os.access(place, os.X_OK)), None)


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


class Reader:
    def __init__(self, folder):
        self.disassembler = tool("nvdisasm", folder)
        self.dumper = tool("cuobjdump", folder)
        self.assembler = tool("ptxas", folder)
        if not self.disassembler:
            sys.exit("gpu-static: expects nvdisasm in PATH or in " + folder + " (gpu-static.py --fetch), but found none")

    def resources(self, cubin):
        """{function: (registers, static shared bytes)}."""
        if not self.dumper:
            return {}
        text = output(self.dumper, "--dump-resource-usage", cubin)
        return {name: (int(registers), int(shared)) for name, registers, shared in
                re.findall(r"Function (\S+):\s*\n?\s*REG:(\d+).*?SHARED:(\d+)", text)}

    def assembled(self, path, chip, scratch):
        if not path.endswith(".ptx"):
            return path
        if not self.assembler:
            sys.exit("gpu-static: expects ptxas in PATH or in build/ptxas, but found none")
        cubin = scratch + "/" + os.path.basename(path) + ".cubin"
        made = subprocess.run([self.assembler, "-v", "-arch=" + chip, path, "-o", cubin], capture_output=True, text=True)
        if made.returncode:
            sys.exit(f"gpu-static: ptxas on {path}: {made.stderr.strip()}")
        for warning in re.findall(r".*\bC75\d\d\b.*|.*warning.*", made.stderr):
            print("ptxas: " + warning.strip())
        return cubin

    def rows(self, cubin):
        """[(function, summary)] of the functions that multiply in a loop."""
        resources = self.resources(cubin)
        found = []
        for name, code in machine_code.functions(output(self.disassembler, "-c", cubin)).items():
            row = machine_code.summary(code)
            if row:
                row["registers"], row["shared"] = resources.get(name, (None, None))
                found.append((name, row))
        return found


def show(label, row, with_order):
    known = lambda value: "?" if value is None else value
    print(f"{label}: {row['instructions']} instructions for {row['products']} products ({row['per product']:.2f} each), "
          f"{known(row['registers'])} registers, {row['spills']} spills, {known(row['shared'])} B shared, "
          f"{row['waits']} waits, {row['barriers']} barriers, "
          f"{row['between waits']} of {row['exponentials']} exponentials between waits")
    if with_order:
        print("    " + row["order"])


def readable(name):
    plain = subprocess.run(["c++filt", name], capture_output=True, text=True).stdout.strip() if name.startswith("_Z") else name
    return plain


def triton_rows(reader, folder, scratch):
    sys.path.insert(0, folder)
    os.environ.setdefault("TRITON_CACHE_DIR", scratch + "/cache")
    import triton_peers
    for name, kernel in triton_peers.compile_all():
        cubin = scratch + "/triton.cubin"
        with open(cubin, "wb") as file:
            file.write(kernel.asm["cubin"])
        for _, row in reader.rows(cubin):
            row["shared"] = kernel.metadata.shared
            yield "Triton 3.9.0 " + name, row


def flash_rows(reader, folder, scratch, wanted):
    """FlashAttention-3's kernels of the package; `wanted` is a pattern of their names."""
    library = glob.glob(folder + "/fa3_fwd/_C*.so")
    if not library or not reader.dumper:
        return
    subprocess.run([reader.dumper, "-xelf", "all", library[0]], cwd=scratch, capture_output=True, check=True)
    for cubin in sorted(glob.glob(scratch + "/*.sm_90a.cubin")):
        with open(cubin, "rb") as file: # names first: disassembling all of them takes minutes
            symbols = set(re.findall(rb"_ZN\w{30,}", file.read()))
        if not any(re.search(wanted, readable(symbol.decode())) for symbol in symbols):
            continue
        for name, row in reader.rows(cubin):
            plain = readable(name)
            if re.search(wanted, plain):
                yield "FA3 " + flash_name(plain), row


def flash_name(name):
    """Type, tile and kind of a FlashAttention-3 kernel, of its template arguments."""
    tile = re.findall(r"cute::C<(\d+)>", name)
    kind = re.search(r"cutlass::(\w+_t|half_t|bfloat16_t)", name)
    return f"{kind.group(1) if kind else '?'} {'x'.join(tile[3:6] or tile)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", metavar="FILE")
    parser.add_argument("--fetch", action="store_true")
    parser.add_argument("--peers", action="store_true", help="Triton and FlashAttention-3 as well")
    parser.add_argument("--order", action="store_true", help="the order of products, waits and exponentials")
    parser.add_argument("--packages", default=ROOT + "/build/gpu-static", metavar="FOLDER")
    parser.add_argument("--chip", default="sm_90a")
    parser.add_argument("--flash", default="bfloat16_t, float", metavar="PATTERN", help="which of FA3's kernels, by name")
    arguments = parser.parse_args()
    if arguments.fetch:
        fetch(arguments.packages)
    if not arguments.files and not arguments.peers:
        return 0 if arguments.fetch else parser.error("expects a FILE, --peers or --fetch")
    reader = Reader(arguments.packages)
    with tempfile.TemporaryDirectory() as scratch:
        for path in arguments.files:
            for name, row in reader.rows(reader.assembled(path, arguments.chip, scratch)):
                show(f"{os.path.basename(path)} {readable(name)}", row, arguments.order)
        if arguments.peers:
            for label, row in triton_rows(reader, arguments.packages, scratch):
                show(label, row, arguments.order)
            for label, row in flash_rows(reader, arguments.packages, scratch, arguments.flash):
                show(label, row, arguments.order)
    return 0


if __name__ == "__main__":
    sys.exit(main())
