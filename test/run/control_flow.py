#!/usr/bin/env python3
"""Random structured control flow, compiled and called, against what Python computes of the same program.

    control_flow.py STEPDOWN_COMPILE LIBSTEPDOWN [--count N] [--seed N] [--first N] [--device NAME]

N functions (200) of control_program.py nest scf.for, while, if, index_switch, forall and execute_region and affine.for
and if, with values that loops carry, swap and hand on twice, over integers, floats and tensors, and each is called with
several arguments at the best level of the processor. Results are equal to the bit. --first: number of the first function
of a seed, so that one can be seen alone. Ends with 77, which ctest takes for skipped, where numpy is missing.
"""
import os, random, sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "python")]
try:
    import numpy as np
except ImportError:
    print("skipped: needs the Python package numpy")
    sys.exit(77)
import control_program
import control_values as values
import random_functions

DRAWS = 4  # arguments of each
NUMPY = {"i1": np.bool_, "i32": np.int32, "i64": np.int64, "index": np.int64, "f32": np.float32}


class Function:
    """A function @name, with `text` and `call(arguments)`, which gives its results."""

    def __init__(self, seed, name):
        self.random, self.name, self.count = random.Random(seed), name, 0
        self.parts, self.helpers = [], []
        if self.random.random() < 0.3:
            self.helpers.append(control_program.Body(self, f"{name}_part", self.random.sample(values.ARGUMENTS, 3), depth=1, affine=False))
        self.body = control_program.Body(self, name, values.ARGUMENTS, depth=3, affine=True)
        self.text = "".join(body.text for body in [*self.helpers, self.body])
        self.result_types = self.body.result_types

    def call(self, arguments):
        return self.body.run(arguments)

    def fresh(self):
        self.count += 1
        return f"%v{self.count}"

    def arguments(self, draw):
        """Arguments as Python has them."""
        return [values.random_value(draw, kind) for kind in values.ARGUMENTS]


def made(seed, number):
    return Function(f"{seed}/{number}", f"f{number}")


def equal(kind, got, expected):
    got, expected = np.atleast_1d(got), np.atleast_1d(expected)
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return False
    if values.element(kind) == "f32":  # zeros have signs; a NaN is a NaN
        return bool(np.all((got.view(np.uint32) == expected.view(np.uint32)) | (np.isnan(got) & np.isnan(expected))))
    return bool(np.all(got == expected))


def array(kind, value):
    return np.array(value, NUMPY[values.element(kind)])


def worker(artifact, seed, first, count):
    """Calls each function; its number is said before, so that a fault has a name."""
    import stepdown
    library = stepdown.Program.load(artifact, device=os.environ.get("STEPDOWN_DEVICE") or None)
    for number in range(first, first + count):
        print(f"at {number}", flush=True)
        function, draw = made(seed, number), random.Random(f"{seed}/{number}/arguments")
        for _ in range(DRAWS):
            arguments = function.arguments(draw)
            given = [array(kind, value) for kind, value in zip(values.ARGUMENTS, arguments)]
            try:
                got = library.call(function.name, *given)
            except stepdown.Error as error:
                print(f"FAILED {number}: {arguments}: expects results, but got: {error}", flush=True)
                break
            expected = [array(kind, value) for kind, value in zip(function.result_types, function.call(arguments))]
            wrong = [f"result {i} ({kind}): expects {e.tolist()}, but got {g.tolist()}"
                     for i, (kind, g, e) in enumerate(zip(function.result_types, got, expected)) if not equal(kind, g, e)]
            if wrong:
                print(f"FAILED {number}: {arguments}: {'; '.join(wrong)}", flush=True)
                break
    print("done", flush=True)


if __name__ == "__main__":
    random_functions.main(__file__, __doc__, made, worker, 200, 25, what=f"functions, {DRAWS} calls of each")
