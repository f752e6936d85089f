"""Writing and reading files so that nothing is ever half there.

A file appears under its name only when it is whole: it is written under a temporary name in the
same folder and renamed. Whatever the disk refuses becomes one sentence.
"""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from xai_detect.errors import InputError

PART = ".part"
"""How temporary names end; they start with a dot."""

MAX_JSON_BYTES = 256_000_000
"""Larger JSON files are refused before they are read."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a stream whose content takes the place of ``path`` if, and only if, all goes well.

    Raises:
        InputError: If the disk is full or the folder cannot be written; the old file is intact.
    """
    temporary = path.with_name(f".{path.name}{PART}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise InputError(_refusal(path, error)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _refusal(path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"the disk is full, {path} could not be written; free some space and start the same "
            "command again: what was written before is kept"
        )
    reason = error.strerror or str(error)
    return f"{path} could not be written ({reason}); choose a folder that you may write to"


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file at once."""
    with replacing(path) as stream:
        stream.write(content)


def write_json(path: Path, content: Any, *, indent: int | None = None) -> None:
    """Write strict JSON: a NaN that slipped through is a bug, not a file."""
    text = json.dumps(content, indent=indent, allow_nan=False)
    write_bytes(path, text.encode("ascii") + b"\n")


def read_json(path: Path) -> Any:
    """Read strict JSON.

    Raises:
        InputError: If the file is missing, too large, damaged, or holds NaN.
    """
    try:
        size = path.stat().st_size
        if size > MAX_JSON_BYTES:
            raise InputError(f"{path} has {size:,} bytes; the limit is {MAX_JSON_BYTES:,}")
        return json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from error
    except RecursionError as error:
        raise InputError(f"{path} is damaged (nested too deeply)") from error
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is damaged ({error})") from error


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not allowed in strict JSON")
