"""Values that strict JSON can hold, and back again with suspicion.

NaN, which means unmeasured, is written as null; an infinite number as a string. The ``as_``
functions take what a file claims and raise a builtin error if it is of another kind; ``damaged``
turns such errors into one sentence.
"""

import dataclasses
import hashlib
import json
import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, SupportsFloat, overload

import numpy as np
from torch import Tensor

from xai_detect.errors import InputError
from xai_detect.values.boxes import Box
from xai_detect.values.files import write_bytes

if TYPE_CHECKING:
    Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
else:  # what checks types while the tests run cannot follow a type into itself
    Json = None | bool | int | float | str | Sequence | Mapping
"""What a JSON file can hold."""

MAX_JSON_BYTES = 256_000_000
"""Larger JSON files are refused before they are read."""


def number(value: float) -> float | str | None:
    """A float as strict JSON can hold it."""
    if math.isnan(value):
        return None
    return float(value) if math.isfinite(value) else ("Infinity" if value > 0 else "-Infinity")


def numbers_to_json(values: Mapping[str, float]) -> dict[str, float | str | None]:
    """Named floats; unmeasured is null."""
    return {name: number(value) for name, value in values.items()}


@overload
def plain(value: Mapping[str, object]) -> dict[str, Json]: ...
@overload
def plain(value: object) -> Json: ...
def plain(value: object) -> Json:
    """A setting as JSON can hold it; a tensor or array becomes its shape and digest."""
    match value:
        case None | bool() | int() | str() if not isinstance(value, Enum):
            return value
        case float() | np.floating():
            return number(float(value))
        case np.integer() | np.bool_():
            return value.item()
        case Enum():
            return plain(value.value)
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case tuple() | list():
            return [plain(item) for item in value]
        case Tensor():
            return plain(value.detach().cpu().numpy())
        case np.ndarray():
            digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
            return f"array {value.shape} {value.dtype} sha256 {digest}"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    return str(value)


_FAULTS = (
    LookupError,
    TypeError,
    ValueError,
    ArithmeticError,
    RuntimeError,
    OSError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def damaged(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while reading ``path`` into one sentence."""
    try:
        yield
    except _FAULTS as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{path} is damaged or no part of a run ({' '.join(what.split())[:200]})"
        ) from error


def as_box(content: object) -> Box:
    """A box of four numbers."""
    x1, y1, x2, y2 = (_float(side) for side in as_list(content))
    return (x1, y1, x2, y2)


def _float(content: object) -> float:
    if not isinstance(content, str | SupportsFloat):
        raise TypeError(f"{type(content).__name__} where a number belongs")
    return float(content)


def as_number(content: object) -> float:
    """A number; null is NaN."""
    if content is None:
        return math.nan
    if isinstance(content, bool):
        raise TypeError("a truth value where a number belongs")
    if isinstance(content, str) and content not in ("Infinity", "-Infinity"):
        raise TypeError("text where a number belongs")
    return _float(content)


def as_numbers(content: object) -> dict[str, float]:
    """Named numbers."""
    return {as_text(name): as_number(value) for name, value in as_mapping(content).items()}


def as_text(content: object) -> str:
    """Text."""
    if not isinstance(content, str):
        raise TypeError(f"{type(content).__name__} where text belongs")
    return content


def as_whole(content: object) -> int:
    """A whole number."""
    if isinstance(content, bool) or not isinstance(content, int):
        raise TypeError(f"{type(content).__name__} where a whole number belongs")
    return content


def as_id(content: object) -> int | str:
    """An id of a data set: a whole number or text."""
    if isinstance(content, bool) or not isinstance(content, int | str):
        raise TypeError(f"{type(content).__name__} where an id belongs")
    return content


def as_list(content: object) -> list[Json]:
    """A list."""
    if not isinstance(content, list):
        raise TypeError(f"{type(content).__name__} where a list belongs")
    return content


def as_mapping(content: object) -> dict[str, Json]:
    """Named values."""
    if not isinstance(content, dict):
        raise TypeError(f"{type(content).__name__} where named values belong")
    return content


def write_json(path: Path, content: Json, *, indent: int | None = None) -> None:
    """Write strict JSON: a NaN that slipped through is a bug, not a file."""
    text = json.dumps(content, indent=indent, allow_nan=False)
    write_bytes(path, text.encode("ascii") + b"\n")


def read_json(path: Path, *, limit: int = MAX_JSON_BYTES, strict: bool = True) -> Json:
    """Read JSON that a stranger may have written.

    Args:
        path: The file.
        limit: Most bytes it may have.
        strict: Whether NaN and infinity, which JSON does not have, are refused.

    Raises:
        InputError: If the file is missing, too large or malformed.
    """
    try:
        size = path.stat().st_size
        if size > limit:
            raise InputError(f"{path} has {size:,} bytes; the limit for such a file is {limit:,}")
        constant = _refuse_constant if strict else float
        return json.loads(path.read_bytes(), parse_constant=constant)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from error
    except RecursionError as error:
        raise InputError(f"{path} is not valid JSON (nested too deeply)") from error
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not valid JSON ({error})") from error


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not allowed in strict JSON")
