"""The image files behind what a user typed."""

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

from xai_detect.data.files import read_text
from xai_detect.errors import InputError
from xai_detect.values.images import SUFFIXES


def find_sources(given: Sequence[str]) -> list[Path]:
    """The image files behind what the user typed, each once, in order.

    Paths come back absolute, so that a run resumed from another working folder knows what it has
    done, and never takes one ``a.jpg`` for another. Links to images keep their own names.

    Args:
        given: Files, folders (images directly inside), globs, or ``.txt`` files with one of these
            per line, relative to the text file.

    Raises:
        InputError: If one of them names nothing, or nothing is left.
    """
    try:
        found = [path.parent.resolve() / path.name for entry in given for path in _expanded(entry)]
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read ({error.strerror})") from error
    if not found:
        raise InputError("no images were given; pass a file, a folder, a glob or a .txt list")
    return list(dict.fromkeys(found))


def shown_path(path: str | Path) -> str:
    """A source as it is printed: relative where it lies below the working folder."""
    path, here = Path(path), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _expanded(given: str, *, listed: bool = False) -> Iterator[Path]:
    path = Path(given)
    if path.is_dir():
        inside = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        if not inside:
            raise InputError(f"{path} holds no images ({', '.join(sorted(SUFFIXES))})")
        yield from inside
    elif path.suffix.lower() == ".txt" and path.is_file():
        if listed:
            raise InputError(f"{path} is a list inside a list; name its images themselves")
        for line in read_text(path).splitlines():
            if line.strip() and not line.startswith("#"):
                yield from _expanded(str(path.parent / line.strip()), listed=True)
    elif path.exists() or not glob.has_magic(given):
        yield path  # a missing file is reported where it is read, and the others are done
    else:
        matches = sorted(Path(path) for path in glob.glob(given, recursive=True))  # noqa: PTH207
        if not matches:
            raise InputError(f"{given} matches no file")
        yield from (path for path in matches if path.is_file())
