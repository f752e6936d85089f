"""Fields of annotations whose type differs from file to file, but not their meaning.

Each function takes what a file holds and gives None where it cannot be understood.
"""

import ast
import math
import re
from collections.abc import Iterable
from typing import Generic, TypeVar

from xai_detect.values.json import Json

T = TypeVar("T")

_TRUE = frozenset({"1", "true", "yes", "y", "t", "on"})
_FALSE = frozenset({"", "0", "false", "no", "n", "f", "off", "none", "null"})


def flag(value: Json) -> bool | None:
    """A truth value: a number, a word, or nothing at all, which is no."""
    match value:
        case None:
            return False
        case bool() | int():
            return bool(value)
        case float():
            return None if math.isnan(value) else bool(value)
        case str():
            word = value.strip().casefold()
            if word in _TRUE or word in _FALSE:
                return word in _TRUE
            found = number(word)
            return None if found is None else bool(found)
    return None


def number(value: object) -> float | None:
    """A finite number, also where it is written as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def numbers(values: object) -> tuple[float, ...] | None:
    """Finite numbers in a list, or in text that holds such a list."""
    if isinstance(values, str):
        values = _listed(values)
    if isinstance(values, dict):
        values = [values.get(side) for side in ("x", "y", "width", "height")]
    if not isinstance(values, list | tuple):
        return None
    found = [number(value) for value in values]
    return None if None in found else tuple(value for value in found if value is not None)


def _listed(text: str) -> object:
    words = re.split(r"[\s,;]+", text.strip().strip("[]()"))
    try:
        return ast.literal_eval(text) if text.strip().startswith("[") else words
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def identity(value: object) -> int | str | None:
    """An id: a whole number, or text; ``7.0`` is 7."""
    match value:
        case bool():
            return None
        case int():
            return value
        case float():
            return int(value) if math.isfinite(value) and value == int(value) else None
        case str():
            return value.strip() or None
    return None


class Ids(Generic[T]):
    """What is listed under ids, whether they are numbers here and text there."""

    def __init__(self, listed: Iterable[tuple[int | str, T]]) -> None:
        self._exact: dict[str, T] = {}
        self._number: dict[int, list[str]] = {}
        for key, value in listed:
            name = _spelled(key)
            self._exact.setdefault(name, value)
            if (whole := _whole(name)) is not None:
                self._number.setdefault(whole, []).append(name)

    def get(self, key: int | str) -> T | None:
        """What stands under an id; None if nothing does, or if two ids are that number."""
        name = _spelled(key)
        if name in self._exact:
            return self._exact[name]
        whole = _whole(name)
        near = self._number.get(whole, []) if whole is not None else []
        return self._exact[near[0]] if len(set(near)) == 1 else None


def _spelled(key: int | str) -> str:
    text = str(key).strip()
    return text.partition(".")[0] if re.fullmatch(r"-?\d+\.0*", text) else text


def _whole(name: str) -> int | None:
    return int(name) if re.fullmatch(r"-?\d{1,18}", name) else None
