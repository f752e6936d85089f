"""Where the label files of YOLO lie: as the layout says, else where people put them."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from xai_detect.data.folders import Finder
from xai_detect.data.problems import Problems

_ELSEWHERE = ("labels", "label", "annotations", "annotation", "labelTxt", "txt")
"""What folders of labels are called, in any case; the first is what the layout says."""

_TEXT = frozenset({".txt"})


def label_place(image: Path, within: int = 0) -> Path:
    """The label file by the layout: the last folder called ``images`` becomes ``labels``.

    Args:
        image: The image.
        within: Folders before this position in the path are left as they are.
    """
    parts = list(image.parent.parts)
    at = [row for row, part in enumerate(parts) if part.casefold() == "images" and row >= within]
    if at:
        parts[at[-1]] = _ELSEWHERE[0]
    return Path(*parts) / f"{image.stem}.txt"


class LabelFiles:
    """The label file of each image of a data set.

    Where the layout says, else, if that holds none of a folder's, beside the images or in a folder
    of another usual name; a line says so.
    """

    def __init__(self, images: Sequence[Path], root: Path, problems: Problems) -> None:
        self._finder = Finder()
        self._root = root
        by_folder: dict[Path, list[Path]] = defaultdict(list)
        for image in images:
            by_folder[image.parent].append(image)
        self._folder = {
            folder: self._place(folder, inside, problems) for folder, inside in by_folder.items()
        }

    def _place(self, folder: Path, inside: list[Path], problems: Problems) -> Path:
        """The folder of the labels of these images."""
        first, *others = self._guesses(folder)
        for guess in (first, *others):
            if any(self._finder.stem(guess, image.stem, _TEXT) for image in inside):
                if guess not in (first, self._within_root(folder)):
                    said = f": labels were read from {guess}, since {first} holds none of them"
                    problems.note(str(folder), said)
                return guess
        return first

    def of(self, image: Path) -> Path | None:
        """The label file of an image; None without one."""
        return self._finder.stem(self._folder[image.parent], image.stem, _TEXT)

    def _within_root(self, folder: Path) -> Path:
        """By the layout, if folders above the data set may be called ``images`` too."""
        above = len(self._root.parts) if folder.is_relative_to(self._root) else 0
        return label_place(folder / "image", within=above).parent

    def _guesses(self, folder: Path) -> list[Path]:
        """Folders that may hold the labels, the layout's own first, each once."""
        inside = folder / "image"
        places = [label_place(inside).parent, self._within_root(folder), folder]
        at = [row for row, part in enumerate(folder.parts) if part.casefold() == "images"]
        if at:
            rest = folder.parts[at[-1] + 1 :]
            beside = _called(Path(*folder.parts[: at[-1]]))
            places += [place for named in beside for place in (named.joinpath(*rest), named)]
        places += _called(folder)
        if folder != self._root:
            places += _called(folder.parent)
        return list(dict.fromkeys(places))


def _called(folder: Path) -> list[Path]:
    """The folders in it that are called as if they held labels, likeliest first."""
    known = {name.casefold(): rank for rank, name in enumerate(_ELSEWHERE)}
    found = [
        place for place in folder.iterdir() if place.name.casefold() in known and place.is_dir()
    ] if folder.is_dir() else []  # fmt: skip
    return sorted(found, key=lambda place: (known[place.name.casefold()], place.name))
