"""Writing files so that nothing is ever half there.

A file appears under its name only when it is whole: it is written under a temporary name in the
same folder and renamed. Whatever the disk refuses becomes one sentence.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from xai_detect.errors import InputError

PART = ".part"
"""How temporary names end; they start with a dot."""


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
