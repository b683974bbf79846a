"""Stepdown models from Python, through the C API of libstepdown.so.

    from stepdown import Model
    model = Model("smollm2.stepdown")
    print(model.generate("The capital of France is", max_tokens=16))

The library is looked for where STEPDOWN_LIBRARY says, then where the system's linker looks.
"""
from ._model import Error, Model, Sequence, Session

__all__ = ["Error", "Model", "Sequence", "Session"]
