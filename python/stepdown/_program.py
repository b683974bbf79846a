"""Program: the functions of a plain MLIR module, called with numpy arrays."""
from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from typing import Optional

import numpy as np

from . import _arguments as given
from . import _model
from ._library import Array, FunctionInfo

# By the numbers of Element.h; numpy has no bf16 and no fp8, so their bits travel as uint16 and uint8.
_NAMES = ("f32", "f16", "bf16", "f64", "i1", "i8", "i16", "i32", "i64", "index",
          "f8E4M3FN", "f8E5M2")
_TYPES = tuple(np.dtype(name) for name in ("f4", "f2", "u2", "f8", "?", "i1", "i2", "i4", "i8", "i8", "u1", "u1"))
_BITS = {"bf16": "bfloat16", "f8E4M3FN": "float8_e4m3fn", "f8E5M2": "float8_e5m2"}  # what the package ml_dtypes calls them


@dataclass(frozen=True)
class ArrayType:
    """Element and shape of an argument or result; None stands for a size of any value."""

    element: str
    shape: tuple[Optional[int], ...]

    @property
    def dtype(self) -> np.dtype:
        return _TYPES[_NAMES.index(self.element)]

    def __str__(self) -> str:
        return f"{self.element} [{', '.join('?' if size is None else str(size) for size in self.shape)}]"


@dataclass(frozen=True)
class Function:
    name: str
    arguments: tuple[ArrayType, ...]
    results: tuple[ArrayType, ...]


class Program:
    """An artifact that stepdown-compile made of a .mlir file. Any number of threads may call its functions.

    functions: by name, in the module's order, with the types of arguments and results. isa: of the code that runs.
    device: its name, None for "cpu".
    """

    def __init__(self, path: "str | os.PathLike[str]", isa: Optional[str] = None, copy: bool = False,
                 device: Optional[str] = None):
        library = _model._library_()
        self._handle = ctypes.c_void_p()
        file, options = given.path(path, "Program: path"), _model.load_options("Program", isa, copy, device)
        _model._check(library.stepdown_module_load(file, options, ctypes.byref(self._handle)))
        self.isa: str = library.stepdown_module_isa(self._handle).decode()
        self.functions: dict[str, Function] = {}
        for index in range(library.stepdown_module_function_count(self._handle)):
            info = FunctionInfo()
            _model._check(library.stepdown_module_function(self._handle, index, info))
            types = tuple(self._type(index, which) for which in range(info.arguments + info.results))
            name = info.name.decode()
            self.functions[name] = Function(name, types[: info.arguments], types[info.arguments :])

    @classmethod
    def load(cls, path: "str | os.PathLike[str]", isa: Optional[str] = None, copy: bool = False,
             device: Optional[str] = None) -> Program:
        return cls(path, isa, copy, device)

    def __del__(self) -> None:
        if getattr(self, "_handle", None) and _model._lib is not None:
            _model._lib.stepdown_module_free(self._handle)
            self._handle = ctypes.c_void_p()

    def _type(self, index: int, which: int) -> ArrayType:
        array = Array()
        _model._check(_model._library_().stepdown_module_value(self._handle, index, which, array))
        sizes = tuple(None if size < 0 else size for size in array.shape[: array.rank])
        return ArrayType(_NAMES[array.element], sizes)

    def call(self, name: str, *arguments: "np.typing.ArrayLike") -> list[np.ndarray]:
        """The results of function `name`, copied.

        Arrays have the element that the function takes, in any memory order; bf16 travels as uint16 bits, f8E4M3FN and
        f8E5M2 as uint8 bits, or as the package ml_dtypes has them; integers of either sign fit an integer of their width.
        Python numbers become what the function takes, but where that is bits. Errors: 620 no such
        function, 621 and 622 other arguments than it takes, 623 a check of the program failed, 624 no memory.
        """
        library, named = _model._library_(), given.text(name, "call: name", terminated=True)
        function = self.functions.get(name)
        arrays, structures = [], (Array * max(len(arguments), 1))()
        for i, argument in enumerate(arguments):
            expected = function.arguments[i] if function and i < len(function.arguments) else None
            array = self._convert(argument, expected, f"{name}: argument {i}")
            if array.ndim > 8:
                raise _model.Error(622, f"{name}: argument {i}: expects at most 8 dimensions, but got {array.ndim}")
            arrays.append(array)  # keeps the data
            structures[i].element = self._element(array, expected, f"{name}: argument {i}")
            structures[i].rank = array.ndim
            structures[i].shape[: array.ndim] = array.shape
            structures[i].data = array.ctypes.data
        results = ctypes.c_void_p()
        _model._check(library.stepdown_module_call(self._handle, named, structures, len(arguments),
                                                   ctypes.byref(results)))
        try:
            return [self._result(results, i) for i in range(library.stepdown_results_count(results))]
        finally:
            library.stepdown_results_free(results)

    @staticmethod
    def _convert(argument: "np.typing.ArrayLike", expected: Optional[ArrayType], what: str) -> np.ndarray:
        try:
            if isinstance(argument, (bool, int, float)) and expected and expected.element in _BITS:
                raise ValueError(f"{argument} is none of its bits, which travel as {expected.dtype}")
            if isinstance(argument, (bool, int, float)) and expected:
                array = np.asarray(argument, expected.dtype)
                # A number that its type cannot hold must not become another; float elements round it, as they must.
                if expected.dtype.kind in "iub" and array.item() != argument:
                    raise ValueError(f"{argument} has no exact form")
                return array
            return np.asarray(argument, order="C")
        except (TypeError, ValueError, OverflowError) as problem:
            raise _model.Error(622, f"{what}: expects {expected or 'an array of numbers'}, but: {problem}") from None

    @staticmethod
    def _element(array: np.ndarray, expected: Optional[ArrayType], what: str) -> int:
        if expected:
            if expected.element in _BITS and array.dtype.name == _BITS[expected.element]:
                return _NAMES.index(expected.element)
            kinds = "iu" if expected.dtype.kind in "iu" and expected.element not in _BITS else expected.dtype.kind
            if array.dtype.kind in kinds and array.dtype.itemsize == expected.dtype.itemsize and array.dtype.isnative:
                return _NAMES.index(expected.element)
        for index, dtype in enumerate(_TYPES):
            if dtype == array.dtype and _NAMES[index] not in ("index", *_BITS):
                return index
        raise _model.Error(622, f"{what}: expects {expected or 'an array of numbers'}, but got {array.dtype}")

    @staticmethod
    def _result(results: ctypes.c_void_p, index: int) -> np.ndarray:
        array = Array()
        _model._library_().stepdown_results_array(results, index, array)
        shape, dtype = tuple(array.shape[: array.rank]), _TYPES[array.element]
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        return np.frombuffer(ctypes.string_at(array.data, size) if size else b"", dtype).reshape(shape).copy()
