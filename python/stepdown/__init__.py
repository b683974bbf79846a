"""Stepdown models from Python, through the C API of libstepdown.so.

    from stepdown import Model
    model = Model("smollm2.stepdown")
    print(model.generate("The capital of France is", max_tokens=16))

    from stepdown import Program                             # of stepdown-compile matmul.mlir -o matmul.stepdown
    [c] = Program.load("matmul.stepdown").call("matmul", a, b)

The library is looked for where STEPDOWN_LIBRARY says; else beside this package, in the prefix of this Python, in /usr/local,
and where the system's linker looks.
"""
from ._embedder import Embedder
from ._model import Answer, Error, Model, Sequence, Session
from ._program import ArrayType, Function, Program

__all__ = ["Answer", "ArrayType", "Embedder", "Error", "Function", "Model", "Program", "Sequence", "Session"]
__version__ = "0.1.0"
