"""The image files behind what a user typed."""

import glob
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from xai_detect.data.files import read_text
from xai_detect.data.folders import Finder, is_image, passed_over
from xai_detect.errors import InputError
from xai_detect.values.images import SUFFIXES

_notes = logging.getLogger(__name__)


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
        every = sorted(path.iterdir())
        inside = [file for file in every if is_image(file)]
        over = passed_over(path, every)
        if not inside:
            also = f"; {over}" if over else ""
            raise InputError(f"{path} holds no images ({', '.join(sorted(SUFFIXES))}){also}")
        if over:
            _notes.warning("%s", over)
        yield from inside
    elif path.suffix.lower() == ".txt" and path.is_file():
        if listed:
            raise InputError(f"{path} is a list inside a list; name its images themselves")
        for line in read_text(path).splitlines():
            name = line.strip()
            # a name may begin with the mark of a comment
            if name and (not name.startswith("#") or (path.parent / name).is_file()):
                yield from _expanded(str(path.parent / name), listed=True)
    elif path.exists() or not glob.has_magic(given):
        yield Finder().find(path)  # a missing file is reported where it is read
    else:
        matches = sorted(map(Path, _matches(given)))
        if not matches:
            raise InputError(f"{given} matches no file")
        yield from (path for path in matches if path.is_file())


def _matches(given: str) -> list[str]:
    """What a pattern names; brackets in the name of a folder that exists mean themselves."""
    found = glob.glob(given, recursive=True)  # noqa: PTH207
    if found:
        return found
    parts, literal = list(Path(given).parts), Path()
    for row, part in enumerate(parts):
        literal = literal / part
        if not literal.exists():
            break
        parts[row] = glob.escape(part)
    return glob.glob(str(Path(*parts)), recursive=True)  # noqa: PTH207
