"""What was wrong while a data set was read: one line per kind, and how much truth was lost.

A thousand equal problems are one line with a count and the first three names, and only that much
is kept of them.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from xai_detect.errors import InputError

NAMED = 3
"""So many of those with the same problem are named."""

MOST_KINDS = 60
"""Further kinds of problems are counted together."""

MOST = 0.5
"""Above this share, the first line says what is lost."""

CROWD, DIFFICULT, REGION = "crowd", "difficult", "region"
"""Why an object need not be found."""

Counts = tuple[tuple[str, int], ...]
"""How many by reason."""


@dataclass(frozen=True, slots=True)
class Losses:
    """How much of what a data set lists can count, and why the rest cannot.

    Attributes:
        images: Images that it lists or holds.
        images_left_out: Those that could not be read, by reason.
        unlabelled: Images that were read and have no file of labels; they count as clean.
        label: What the format calls such a file.
        boxes: Objects that are written down, readable or not.
        boxes_left_out: Objects that could not be read, by reason.
        boxes_ignored: Objects and regions that need not be found, by reason.
    """

    images: int = 0
    images_left_out: Counts = ()
    unlabelled: int = 0
    label: str = "label file"
    boxes: int = 0
    boxes_left_out: Counts = ()
    boxes_ignored: Counts = ()

    @property
    def left(self) -> int:
        """Objects that are left to be found."""
        ignored = sum(count for reason, count in self.boxes_ignored if reason != REGION)
        return self.boxes - _total(self.boxes_left_out) - ignored

    @property
    def read(self) -> int:
        """Images that could be read."""
        return self.images - _total(self.images_left_out)

    @property
    def everything(self) -> bool:
        """Whether no truth is left, though some was expected."""
        none_labelled = self.unlabelled > 0 and self.unlabelled == self.read
        return self.read == 0 or none_labelled or (self.boxes > 0 and self.left == 0)

    @property
    def warning(self) -> str:
        """A sentence if most images, files of labels or objects are lost; else empty."""
        out, lost = self.images - self.read, self.boxes - self.left
        said = []
        if out > MOST * self.images:
            why = _why(self.images_left_out)
            said.append(f"{out:,} of {self.images:,} images were left out{why}")
        if self.unlabelled > MOST * self.read:
            said.append(self._clean())
        if lost > MOST * self.boxes:
            why = _why(self.boxes_left_out + self.boxes_ignored)
            said.append(f"{lost:,} of {self.boxes:,} objects do not count{why}")
        return "; ".join(said)

    @property
    def lines(self) -> tuple[str, ...]:
        """What is to be told first: that most is lost, and what counts as clean."""
        warning, clean = self.warning, self._clean()
        said = [warning, clean] if self.unlabelled and clean not in warning else [warning]
        return tuple(line for line in said if line)

    def _clean(self) -> str:
        counted = " and count as clean" if self.unlabelled < self.read else ""
        return f"{self.unlabelled:,} of {self.read:,} images have no {self.label}{counted}"

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "images": self.images,
            "images_left_out": dict(self.images_left_out),
            "images_without_labels": self.unlabelled,
            "boxes": self.boxes,
            "boxes_left_out": dict(self.boxes_left_out),
            "boxes_ignored": dict(self.boxes_ignored),
        }


def _total(counts: Counts) -> int:
    return sum(count for _, count in counts)


def _why(counts: Counts) -> str:
    said = ", ".join(f"{count:,} {reason}" for reason, count in counts if reason != REGION)
    return f" ({said})" if said else ""


@dataclass(slots=True)
class Problems:
    """Collects what is wrong while one data set is read.

    Attributes:
        label: What the format calls a file of labels.
    """

    label: str = "label file"
    _first: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    _times: Counter[str] = field(default_factory=Counter)
    _images_out: Counter[str] = field(default_factory=Counter)
    _boxes_out: Counter[str] = field(default_factory=Counter)
    _ignored: Counter[str] = field(default_factory=Counter)
    _unlabelled: int = 0
    _boxes: int = 0

    def note(self, what: str, said: str, kind: str = "") -> None:
        """Note a problem.

        Args:
            what: Where it is, such as ``annotation 7``.
            said: The rest of the sentence, with the space or colon that it begins with.
            kind: The same without this one's numbers, for many at once; empty if there are none.
        """
        kind = kind or said
        if kind not in self._first and len(self._first) >= MOST_KINDS:
            kind = said = ": further problems"
        whole, named = self._first.setdefault(kind, (what + said, []))
        del whole
        self._times[kind] += 1
        if len(named) < NAMED and what not in named:
            named.append(what)

    def image(self, path: Path, error: InputError) -> None:
        """Note an image that is left out."""
        said = f"{error}; the image is left out"
        rest = said.replace(str(path), "").replace("''", "").strip()
        if said.startswith(str(path)):
            self.note(str(path), said.removeprefix(str(path)), f" {rest}")
        else:
            self.note(path.name, f": {said}", f": {rest}")
        self._images_out[_reason(rest.removesuffix("; the image is left out"))] += 1

    def image_lost(self, what: str, said: str, kind: str = "") -> None:
        """Note an image that the file lists in a way that cannot be read; see ``note``."""
        self._images_out[_reason(kind or said)] += 1
        self.note(what, said, kind)

    def unlabelled(self) -> None:
        """Count an image without a file of labels."""
        self._unlabelled += 1

    def box(self, ignored: str = "") -> None:
        """Count an object that was read, and why it need not be found if so."""
        self._boxes += ignored != REGION
        if ignored:
            self._ignored[ignored] += 1

    def lost(self, what: str, said: str, kind: str = "") -> None:
        """Note an object that is left out; see ``note``."""
        self._boxes += 1
        self._boxes_out[_reason(kind or said)] += 1
        self.note(what, f"{said}; left out", f"{kind or said}; left out")

    @property
    def images_out(self) -> int:
        """Images that are left out."""
        return sum(self._images_out.values())

    def losses(self, images: int) -> Losses:
        """What was lost, of so many images."""
        return Losses(
            images=images,
            images_left_out=tuple(self._images_out.most_common()),
            unlabelled=self._unlabelled,
            label=self.label,
            boxes=self._boxes,
            boxes_left_out=tuple(self._boxes_out.most_common()),
            boxes_ignored=tuple(self._ignored.most_common()),
        )

    def lines(self) -> tuple[str, ...]:
        """One sentence per kind of problem, in the order of their first."""
        lines = []
        for kind, (single, named) in self._first.items():
            times = self._times[kind]
            many = f"{_names(named, times)} ({times:,} in all){kind}"
            lines.append(single if times == 1 else many)
        return tuple(lines)


def _names(named: list[str], times: int) -> str:
    return ", ".join(named) + (f" and {times - len(named):,} more" if times > len(named) else "")


def _reason(said: str) -> str:
    return said.strip(" :")
