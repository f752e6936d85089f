"""Where a ``data.yaml`` says that its images lie, read as ultralytics reads it.

``path`` is the folder that the splits are relative to; without it they are relative to the file. A
split is a folder, a list file or a list of these, absolute or relative; ``../`` before one that
leads nowhere is taken off, since exporters write it for a folder beside the file.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from xai_detect.data import files
from xai_detect.data.folders import Finder, images_in
from xai_detect.errors import InputError

SPLITS = ("val", "test", "train")
"""What a file may name; the first that it does is taken unless another is asked for."""

_ALSO = {"val": ("validation", "valid"), "test": (), "train": ()}
"""Other words for a split."""


def split_entry(config: Mapping[str, object], split: str) -> object:
    """What a file holds for a split; None if it does not name it."""
    return next((config[key] for key in (split, *_ALSO.get(split, ())) if config.get(key)), None)


def images_of(config: Mapping[str, object], split: str, path: Path) -> tuple[Path, list[Path]]:
    """The folder that images are named after, and the images of a split.

    Raises:
        InputError: If the file names no such split, or one that does not exist; the path is shown
            as it is written.
    """
    given = split_entry(config, split)
    if not given:
        known = ", ".join(name for name in SPLITS if split_entry(config, name)) or "none"
        raise InputError(f"{path} names no split {split!r}; it has: {known}")
    entries = [str(entry) for entry in (given if isinstance(given, list) else [given])]
    stated = str(config.get("path") or "")
    roots = _roots(stated, path)
    for root in roots:
        places = [_place(root, entry) for entry in entries]
        if all(place is not None for place in places):
            finder = Finder()
            found = [
                image
                for place in places
                if place is not None
                for image in _listed(place, root, finder)
            ]
            return _common(root, found), list(dict.fromkeys(found))
    missing = [entry for entry in entries if all(_place(root, entry) is None for root in roots)]
    under = f" under path {stated!r}" if stated else ""
    raise InputError(
        f"{path} names {', '.join(map(repr, missing or entries))}{under} for {split!r}, which does "
        f"not exist; looked in {', '.join(map(str, roots))}"
    )


def _roots(stated: str, path: Path) -> list[Path]:
    """The folders that splits may be relative to, likeliest first."""
    here = path.parent
    if not stated:
        return [here]
    named = [_joined(here, stated), _joined(Path(), stated)]
    return list(dict.fromkeys([*(root for root in named if root.is_dir()), here]))


def _joined(folder: Path, name: str) -> Path:
    """A path that is written relative to a folder, or absolute, with slashes either way."""
    plain = folder / name
    if plain.exists() or "\\" not in name:
        return plain
    return folder / name.replace("\\", "/")


def _place(root: Path, entry: str) -> Path | None:
    """An entry of the file as a path that exists; None if it leads nowhere."""
    names = [entry]
    if entry.replace("\\", "/").startswith("../"):
        names.append(entry[3:])
    for name in names:
        place = _joined(root, name)
        if place.exists() and place.resolve() != Path(place.resolve().anchor):
            # without the way there and back, so that names of images say where they lie
            return Path(os.path.normpath(place)) if ".." in place.parts else place
    return None


def _listed(place: Path, root: Path, finder: Finder) -> list[Path]:
    if place.is_dir():
        return images_in(place)
    found = []
    for line in files.read_text(place).splitlines():
        name = line.strip()
        if not name or (name.startswith("#") and not _joined(place.parent, name).exists()):
            continue
        # In list files "./" means the list's own folder; everything else is relative to the root.
        folders = (place.parent, root) if name.startswith("./") else (root, place.parent, Path())
        written = [finder.find(_joined(folder, name)) for folder in folders]
        found.append(next((image for image in written if image.is_file()), written[0]))
    return found


def _common(root: Path, images: list[Path]) -> Path:
    """The folder that names of images start from: the root if they lie below it."""
    if all(image.is_relative_to(root) for image in images):
        return root
    try:
        return Path(os.path.commonpath([image.parent for image in images]))
    except ValueError:  # on several drives
        return root
