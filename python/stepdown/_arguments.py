"""What callers give, as C takes it: checked here, because ctypes would cut an integer short or name a type of its own.

A value of another type is a TypeError, one outside the range of its argument an Error with the number that C would give.
"""
from __future__ import annotations

import ctypes
import json
import numbers
import operator
import os
from typing import Callable, Iterable, Optional


class Error(Exception):
    """A refusal. `code` is its number in docs/errors.md."""

    def __init__(self, code: int, text: str):
        super().__init__(f"error E{code:04d}: {text}")
        self.code = code


def integer(value: object, what: str, code: int, least: int = -(1 << 31), most: int = (1 << 31) - 1) -> int:
    """`value` as an int in [least, most], what the C type holds."""
    try:
        number = operator.index(value)  # int, numpy's integers; neither 1.5 nor "1"
    except TypeError:
        raise TypeError(f"{what}: expects an integer, but got {type(value).__name__}") from None
    if not least <= number <= most:
        raise Error(code, f"{what}: expects a number from {least} to {most}, but got {number}")
    return number


def real(value: object, what: str) -> float:
    if not isinstance(value, numbers.Real):
        raise TypeError(f"{what}: expects a number, but got {type(value).__name__}")
    try:
        return float(value)
    except OverflowError:
        raise Error(701, f"{what}: expects a number that a float holds, but got {value}") from None


def flag(value: object, what: str) -> bool:
    if isinstance(value, (bool, numbers.Integral)) or type(value).__name__ == "bool_":
        return bool(value)
    raise TypeError(f"{what}: expects True or False, but got {type(value).__name__}")


def text(value: object, what: str, terminated: bool = False) -> bytes:
    """A str in UTF-8; `terminated` where C finds its end by a zero."""
    if not isinstance(value, str):
        raise TypeError(f"{what}: expects a str, but got {type(value).__name__}")
    try:
        data = value.encode()
    except UnicodeEncodeError as problem:
        raise TypeError(f"{what}: expects whole characters, but character {problem.start} is half of one") from None
    if terminated and b"\0" in data:
        raise TypeError(f"{what}: expects a text without NUL characters")
    return data


def optional_text(value: object, what: str) -> Optional[bytes]:
    return None if value is None else text(value, what, terminated=True)


def path(value: object, what: str) -> bytes:
    try:
        data = os.fsencode(value)
    except TypeError:
        raise TypeError(f"{what}: expects a path, but got {type(value).__name__}") from None
    if b"\0" in data:
        raise TypeError(f"{what}: expects a path without NUL characters")
    return data


def listed(values: object, what: str, of: str) -> list:
    """The items of an iterable that is no text: its characters would pass for items."""
    if isinstance(values, (str, bytes)):
        raise TypeError(f"{what}: expects {of}, but got {type(values).__name__}")
    try:
        return list(values)
    except TypeError:
        raise TypeError(f"{what}: expects {of}, but got {type(values).__name__}") from None


def ids(values: object, what: str, code: int) -> "ctypes.Array[ctypes.c_int32]":
    """Token ids; `code` for one that is no 32-bit number."""
    numbers = [integer(value, f"{what}: id {i}", code) for i, value in enumerate(listed(values, what, "a list of ids"))]
    return (ctypes.c_int32 * len(numbers))(*numbers)


def function(value: object, what: str) -> "Callable":
    if not callable(value):
        raise TypeError(f"{what}: expects a function, but got {type(value).__name__}")
    return value


def as_json(value: object, what: str) -> bytes:
    try:
        return json.dumps(value, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as problem:
        raise TypeError(f"{what}: expects what JSON can say, but: {problem}") from None
