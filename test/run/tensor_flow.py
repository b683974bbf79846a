#!/usr/bin/env python3
"""Random functions on tensors, compiled and called, against what numpy computes of the same program.

    tensor_flow.py STEPDOWN_COMPILE LIBSTEPDOWN [--count N] [--seed N] [--first N] [--device NAME]

N functions (150) of tensor_program.py: arrays are sliced, written into, joined, reshaped, added up and multiplied, in loops
and branches that carry them, so that fusion and reuse of arrays meet every order of reads and writes. Each is called at the
best level of the processor; results are equal. --first: number of the first function of a seed, so that one can be seen
alone. Ends with 77, which ctest takes for skipped, where numpy is missing.
"""
import os, random, sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "python")]
sys.dont_write_bytecode = True
try:
    import numpy as np
except ImportError:
    print("skipped: needs the Python package numpy")
    sys.exit(77)
import random_functions
import tensor_program
from operation_elements import ELEMENTS, array, values

OF = {element.name: element for element in ELEMENTS}


def made(seed, number):
    with np.errstate(all="ignore"):
        return tensor_program.Program(random.Random(f"{seed}/{number}"), f"f{number}")


def travelled(kind, numbers):
    """An int64 array as the array of `kind` that a caller gives."""
    whole = numbers.ravel().tolist()
    whole = [float(v) for v in whole] if OF[kind].is_float else [bool(v) for v in whole] if kind == "i1" else whole
    return array(OF[kind], whole).reshape(numbers.shape)


def worker(artifact, seed, first, count):
    """Calls each function; its number is said before, so that a fault has a name."""
    import stepdown
    library = stepdown.Program.load(artifact, device=os.environ.get("STEPDOWN_DEVICE") or None)
    for number in range(first, first + count):
        print(f"at {number}", flush=True)
        function = made(seed, number)
        try:
            got = library.call(function.name, *[travelled(v.kind, function.given[v.name]) for v in function.arguments])
        except stepdown.Error as error:
            print(f"FAILED {number}: expects results, but got: {error}", flush=True)
            continue
        with np.errstate(all="ignore"):
            expected = function.run()
        for which, ((kind, e), g) in enumerate(zip(expected, got)):
            if g.shape != e.shape or values(OF[kind], g) != e.ravel().tolist():
                print(f"FAILED {number}: result {which} ({function.results[which].name}: {function.results[which].type}): expects "
                      f"{e.tolist()}, but got {np.array(values(OF[kind], g)).reshape(g.shape).tolist()}"[:600], flush=True)
                break
    print("done", flush=True)


if __name__ == "__main__":
    random_functions.main(__file__, __doc__, made, worker, 150, 15)
