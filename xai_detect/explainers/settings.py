"""Hyper-parameters that come from outside, held against what a method's fields are declared as."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from xai_detect.errors import InputError, near

WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    type(None): "None",
}


def checked_settings(method: type[Any], given: Mapping[str, object]) -> dict[str, object]:
    """The given hyper-parameters, of the types that the method's fields are declared as.

    A whole number may stand for a number and a list for a tuple, since JSON knows no other;
    nothing else is converted, so that ``"16"`` or ``True`` never passes for 16.

    Args:
        method: A dataclass in ``METHODS``.
        given: Values by field name.

    Raises:
        InputError: If there is no such field, or a value is of another type.
    """
    known = [field.name for field in dataclasses.fields(method)]
    hints = typing.get_type_hints(method)
    checked = {}
    for name, value in given.items():
        if name not in known:
            hint = near(name, known) or f"choose from {', '.join(known)}"
            raise InputError(f"{method.name} cannot be set up with {name!r}; {hint}")
        value = tuple(value) if isinstance(value, list) else value
        if not _fits(value, hints[name]):
            raise InputError(
                f"{name} of {method.name} is {value!r}{_kind(value)}; "
                f"expected {_words(hints[name])}"
            )
        checked[name] = value
    return checked


def _fits(value: object, hint: Any) -> bool:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return any(_fits(value, part) for part in parts)
    if origin is typing.Literal:
        return value in parts
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if parts[-1] is Ellipsis:
            return all(_fits(item, parts[0]) for item in value)
        return len(value) == len(parts) and all(map(_fits, value, parts))
    if isinstance(value, bool):  # Python's True is an int
        return hint is bool
    return isinstance(value, (int, float)) if hint is float else isinstance(value, hint)


def _kind(value: object) -> str:
    kinds = {bool: "a truth value", int: WORDS[int], float: WORDS[float], str: WORDS[str]}
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ", a list"
    return f", {kinds.get(type(value), f'a {type(value).__name__}')}"


def _words(hint: Any) -> str:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(_words(part) for part in parts)
    if origin is typing.Literal:
        return "one of " + ", ".join(map(repr, parts))
    if origin is tuple and parts[-1] is Ellipsis:
        return f"a list, each {_words(parts[0])}"
    if origin is tuple:
        return f"a list of {len(parts)}: " + ", ".join(map(_words, parts))
    return WORDS.get(hint, str(hint))
