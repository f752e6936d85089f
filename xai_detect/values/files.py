"""Writing files so that nothing is ever half there.

A file appears under its name only when it is whole: it is written under a temporary name in the
same folder and renamed. Whatever the disk refuses becomes one sentence.
"""

import errno
import hashlib
import os
import secrets
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from xai_detect.errors import DiskError, InputError

PART = ".part"
"""How temporary names end; they start with a dot."""

LOCK = ".lock"
"""The file that a folder's only writer holds; it stays when the writer is through."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a stream whose content takes the place of ``path`` if, and only if, all goes well.

    The temporary name is this call's own, so that two writers of one file never meet.

    Raises:
        DiskError: If the disk is full or the folder cannot be written; the old file is intact.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{PART}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise DiskError(_refusal(path, error)) from error
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


def append_line(path: Path, line: str) -> None:
    """Add one line to a file; what stood there is not touched.

    Raises:
        DiskError: If the disk refuses.
    """
    try:
        with path.open("ab") as stream:
            stream.write(line.encode("ascii") + b"\n")
    except OSError as error:
        raise DiskError(_refusal(path, error)) from error


def file_sha256(path: Path) -> str:
    """Digest of a file's bytes; empty if there is no such file.

    Raises:
        InputError: If it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return ""
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from error


class FolderLock:
    """Being the only writer of a folder, until closed, forgotten, or the process ends.

    Readers are never kept out. Where the file system knows no locks, nothing is held.

    Raises:
        DiskError: If the folder cannot be written.
        InputError: If another writer holds it.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise DiskError(_refusal(folder, error)) from error
        self._release = weakref.finalize(self, os.close, descriptor)
        try:
            _hold(descriptor)
        except BlockingIOError as error:
            self.close()
            raise InputError(
                f"{folder} is being written by someone else; wait until that run is through, "
                "or choose another folder"
            ) from error

    @property
    def closed(self) -> bool:
        """Whether others may write."""
        return not self._release.alive

    def close(self) -> None:
        """Let others write."""
        self._release()


def _hold(descriptor: int) -> None:
    if sys.platform == "win32":
        return
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # no locks on this file system
        return
