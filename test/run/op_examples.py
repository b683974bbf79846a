#!/usr/bin/env python3
"""Every operation of our dialects has an example in its definition, which parses and verifies.

    test/run/op_examples.py STEPDOWN_OPT

An example uses values that it does not define. They are operations of no dialect before it, of the type that the example
gives them: the parser says which, where a value was made with another.
"""
import glob, os, re, subprocess, sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OPERATION = re.compile(r'^def \w+Op : (?:\w+_\w*Op<|Op<\w+, )"(\w+)".*?^}', re.M | re.S)
EXAMPLE = re.compile(r"Example:\s*(?:```mlir\n(.*?)```|`([^`]*)`)", re.S)
TYPES = re.compile(r"use of value '(%[\w-]+)' expects different type than prior uses: '(.*?)' vs '(.*)'\n")


KIND = "func.func private @{}(tensor<?x640xf32>, !transformer.batch, {c}) -> (tensor<?x640xf32>, {c})\n"
CACHE = "!transformer.cache<heads = 1, key = 256, value = 256, element = f16>"
# What stands before and behind the example of an operation that is nothing by itself.
AROUND = {
    "transformer.layers": (KIND.format("local", c=CACHE) + KIND.format("global", c=CACHE), ""),
    "transformer.yield": (
        '%k = transformer.kernel "k" (%y = %h : tensor<?x576xf32>) -> (tensor<?x576xf32>) {\n',
        "}\n"),
    "tile.launch": (
        "tile.kernel @matmul(%x: memref<?x?xbf16>, %y: memref<?x?xbf16>, %z: memref<?x?xf32>) {\n}\n", ""),
    "tile.role": ("tile.kernel @k() {\n", "}\n"),
    "tile.channel": (
        "tile.kernel @k() {\n",
        """tile.role "fill" warps 4 registers 24 {
          %s:2 = tile.acquire %ab : !ab -> !a, !b
          %x = "example.value"() : () -> memref<?x?xbf16>
          %i = arith.constant 0 : index
          tile.copy %x[%i, %i] to %s#0 : memref<?x?xbf16> to !a
          tile.copy %x[%i, %i] to %s#1 : memref<?x?xbf16> to !b
          tile.commit %ab : !ab
        }
        tile.role "read" warps 4 registers 24 {
          %s:2 = tile.wait %ab : !ab -> !a, !b
          tile.release %ab : !ab
        } }
        """.replace("!ab", "!tile.channel<4 x !a, !b>").replace("!a", "memref<128x64xbf16, 3>").replace("!b", "memref<64x256xbf16, 3>")),
}


def run(program, example, types):
    made = "".join(f'{name} = "example.value"() : () -> {kind}\n' for name, kind in types.items())
    result = subprocess.run([program, "-allow-unregistered-dialect", "-"], input=made + example + "\n", capture_output=True,
                            text=True)
    return result.returncode, result.stderr, result.stdout


def parse(program, example):
    """What is printed of the example, and why it does not parse: one of both is empty."""
    types = {}
    for _ in range(2 * example.count("%") + 1):
        code, error, printed = run(program, example, types)
        if code == 0:
            return printed, ""
        wrong = TYPES.search(error)
        undefined = re.search(r"use of undeclared SSA value name\n.*\n *\^", error)
        if wrong and types.get(wrong[1]) == wrong[3]:
            types[wrong[1]] = wrong[2]
        elif undefined:
            line, place = undefined[0].split("\n")[1:]
            types[re.match(r"%[\w-]+", line[len(place) - 1:])[0]] = "none"
        else:
            break
    return "", error


def main():
    program = os.path.abspath(sys.argv[1])
    failed = operations = 0
    for source in sorted(glob.glob(os.path.join(ROOT, "dialects", "*", "IR", "*Ops.td"))):
        dialect = os.path.basename(os.path.dirname(os.path.dirname(source))).lower()
        with open(source, encoding="utf-8") as file:
            text = file.read()
        definitions = list(OPERATION.finditer(text))
        if len(definitions) != len(re.findall(r"^def \w+Op : ", text, re.M)):
            sys.exit(f"op-examples: {source}: expects definitions of operations in a form that this test knows")
        for definition in definitions:
            operations += 1
            mnemonic = f"{dialect}.{definition[1]}"
            examples = [fence or inline for fence, inline in EXAMPLE.findall(definition[0])]
            if not examples:
                failed += 1
                print(f"{mnemonic}: expects an example, but its description has none", file=sys.stderr)
            for example in examples:
                before, behind = AROUND.get(mnemonic, ("", ""))
                printed, error = parse(program, before + example + "\n" + behind)
                if error or mnemonic not in printed:
                    failed += 1
                    print(f"{mnemonic}: expects an example of it that parses and verifies, but got\n{error or printed}",
                          file=sys.stderr)
    print(f"op-examples: {operations} operations, {failed} faults")
    sys.exit(1 if failed or not operations else 0)


if __name__ == "__main__":
    main()
