"""Files of a folder by name, whatever the case of their suffix and the form of their letters."""

import logging
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from xai_detect.values.images import SUFFIXES

PICTURES = frozenset({
    ".avif", ".cr2", ".dcm", ".dicom", ".dng", ".emf", ".exr", ".fits", ".gif", ".hdr", ".heic",
    ".heif", ".ico", ".j2k", ".jfif", ".jp2", ".jxl", ".jxr", ".nef", ".nii", ".npy", ".pbm",
    ".pcx", ".pdf", ".pgm", ".pnm", ".ppm", ".psd", ".raw", ".svg", ".tga",
})  # fmt: skip
"""Suffixes of pictures that this program does not read."""

NAMED = 3

_notes = logging.getLogger(__name__)


def same(name: str) -> str:
    """A name in the one form in which names are compared: composed letters (NFC)."""
    return unicodedata.normalize("NFC", name)


def is_image(path: Path) -> bool:
    """Whether this is a file that is named like an image that can be read."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def images_in(folder: Path) -> list[Path]:
    """Every image below a folder, sorted by path; pictures of other kinds are told."""
    every = sorted(folder.rglob("*"))
    if over := passed_over(folder, every):
        _notes.warning("%s", over)
    return [path for path in every if is_image(path)]


def passed_over(folder: Path, every: Iterable[Path]) -> str:
    """A sentence on the pictures of kinds that this program does not read; empty without any."""
    over = [path.name for path in every if _is_other_picture(path)]
    if not over:
        return ""
    more = f" and {len(over) - NAMED:,} more" if len(over) > NAMED else ""
    return (
        f"{folder} holds {len(over):,} pictures of kinds that are not read, which are passed over: "
        f"{', '.join(over[:NAMED])}{more}; convert them to PNG"
    )


def _is_other_picture(path: Path) -> bool:
    if path.name.startswith(".") or not path.is_file():
        return False
    if path.suffix.lower() in PICTURES:
        return True
    if path.suffix and not path.suffix[1:].isdigit():
        return False
    with path.open("rb") as stream:  # DICOM files often have no suffix
        return stream.read(132)[128:] == b"DICM"


def child(folder: Path, *names: str) -> Path | None:
    """The first folder in it that has one of these names, whatever the case; None without one."""
    if not folder.is_dir():
        return None
    inside = {path.name.casefold(): path for path in sorted(folder.iterdir()) if path.is_dir()}
    exact = next((folder / name for name in names if (folder / name).is_dir()), None)
    return exact or next(
        (inside[name] for name in map(str.casefold, names) if name in inside), None
    )


class Finder:
    """Finds files whose name is composed otherwise, or whose suffix has another case.

    A folder is read once, when something in it is not found under its very name.
    """

    def __init__(self) -> None:
        self._folders: dict[Path, dict[str, Path]] = {}

    def find(self, path: Path) -> Path:
        """The file of that name; the path as it is if there is none."""
        if path.is_file():
            return path
        return self._inside(path.parent).get(_key(path), path)

    def stem(self, folder: Path, stem: str, suffixes: frozenset[str] = SUFFIXES) -> Path | None:
        """The file of that stem with one of the suffixes, in lower case; None without one."""
        place = folder / stem
        inside = self._inside(place.parent)
        keys = (same(place.name) + suffix for suffix in sorted(suffixes))
        return next((inside[key] for key in keys if key in inside), None)

    def image(self, folder: Path, stem: str) -> Path:
        """The image of that stem, whatever its suffix; a ``.jpg`` path if there is none."""
        return self.stem(folder, stem) or folder / f"{stem}.jpg"

    def _inside(self, folder: Path) -> dict[str, Path]:
        if folder not in self._folders:
            files = sorted(folder.iterdir()) if folder.is_dir() else []
            self._folders[folder] = {_key(path): path for path in reversed(files)}
        return self._folders[folder]


def _key(path: Path) -> str:
    return same(path.stem) + path.suffix.lower()
