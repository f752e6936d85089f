"""What images really show, and how detections compare with it.

Boxes are ``(x1, y1, x2, y2)`` in pixels of the upright image, pixel *i* covering *i* to *i* + 1.
Sizes come from the image file, never from the annotation.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from xai_detect.errors import InputError
from xai_detect.values import boxes
from xai_detect.values.boxes import Box, Size

ANY_CLASS = -1
"""Label of a region in which detections of every class are ignored."""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What an image really shows.

    Attributes:
        boxes: ``(x1, y1, x2, y2)`` in image pixels.
        labels: Class index, or ``ANY_CLASS`` for a region that holds for all classes.
        areas: Area of the object's mask where known, else of its box, in square pixels.
        crowd: Whether the row is a region of many objects.
        difficult: Whether the row is an object that need not be found.
    """

    boxes: Float[Tensor, "m 4"]
    labels: Int[Tensor, "m"]
    areas: Float[Tensor, "m"]
    crowd: Bool[Tensor, "m"]
    difficult: Bool[Tensor, "m"]

    def __post_init__(self) -> None:
        if bool(((self.labels == ANY_CLASS) & ~self.crowd).any()):
            raise InputError("a row that holds for all classes must be a crowd region")

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def counted(self) -> Bool[Tensor, "m"]:
        """Rows that must be found."""
        return ~(self.crowd | self.difficult)

    @classmethod
    def of(cls, box_rows: Float[Tensor, "m 4"], labels: Int[Tensor, "m"]) -> "Truth":
        """Plain objects: all counted, areas from the boxes."""
        no = torch.zeros(len(box_rows), dtype=torch.bool)
        return cls(box_rows, labels, boxes.area(box_rows), no, no)


@dataclass(frozen=True, slots=True)
class Part:
    """A named part of an annotated object.

    Attributes:
        name: Such as ``head``.
        size: ``(height, width)`` of the image, in pixels.
        runs: Lengths of runs of pixels beside and on the part, in turn, down the columns: an
            uncompressed run-length code as COCO has it.
    """

    name: str
    size: Size
    runs: tuple[int, ...]

    def __post_init__(self) -> None:
        if sum(self.runs) != self.size[0] * self.size[1] or min(self.runs, default=0) < 0:
            raise InputError(
                f"the part {self.name!r} has runs of {sum(self.runs)} pixels in an image of "
                f"{self.size}; expected one for each pixel"
            )

    def mask(self) -> Bool[Tensor, "h w"]:
        """Where it is, in image pixels."""
        runs = torch.tensor(self.runs, dtype=torch.int64)
        on = (torch.arange(len(runs)) % 2 == 1).repeat_interleave(runs)
        return on.reshape(self.size[1], self.size[0]).T.contiguous()


@dataclass(frozen=True, slots=True)
class Item:
    """One annotated object or region.

    Attributes:
        box: ``(x1, y1, x2, y2)`` in image pixels, inside the image, with area.
        label: Index into the data set's ``class_names``; None for a region in which nothing of
            any class was annotated.
        area: Area of the mask where known, else of the box, in square pixels.
        crowd: Whether this is a region of many objects; detections inside are not judged.
        difficult: Whether this object need not be found; its detection is not judged.
        raw_label: The label as it is written in the file, before any pairing or merging.
        source_id: The data set's own id of the annotation; None in formats that have none.
        parts: Those of its parts that are annotated.
    """

    box: Box
    label: int | None
    area: float
    crowd: bool = False
    difficult: bool = False
    raw_label: str = ""
    source_id: int | str | None = None
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Scan:
    """One image and what it shows; no items means a clean image.

    Attributes:
        name: File name relative to the image folder, with forward slashes.
        path: Where the image lies.
        image_id: The data set's own id, as results files name it.
        size: ``(height, width)`` of the upright image, read from the file.
        items: What it shows.
        case: What the image is a view of, such as one bag scanned from two sides: images of the
            same case carry the same text. Empty for an image that stands alone.
    """

    name: str
    path: Path
    image_id: int | str
    size: Size
    items: tuple[Item, ...]
    case: str = ""

    def truth(self) -> Truth:
        """The items as columns."""
        return Truth(
            boxes=torch.tensor([item.box for item in self.items]).reshape(-1, 4),
            labels=torch.tensor(
                [ANY_CLASS if item.label is None else item.label for item in self.items],
                dtype=torch.int64,
            ),
            areas=torch.tensor([item.area for item in self.items], dtype=torch.float32),
            crowd=torch.tensor([item.crowd for item in self.items], dtype=torch.bool),
            difficult=torch.tensor([item.difficult for item in self.items], dtype=torch.bool),
        )


class Kind(StrEnum):
    """What became of a detection; how they are told apart says ``measures.mistakes``."""

    RIGHT = "right"
    DUPLICATE = "duplicate"
    WRONG_NAME = "wrong_name"
    BADLY_PLACED = "badly_placed"
    BOTH = "both"
    BACKGROUND = "background"
    IGNORED = "ignored"


_BESIDE = (Kind.BADLY_PLACED, Kind.WRONG_NAME)
_WITHOUT_OBJECT = (Kind.BACKGROUND, Kind.IGNORED)


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one detection, and the annotated object it was held against.

    Attributes:
        kind: What became of it.
        name: The object's class; empty if it was held against none.
        iou: Overlap with the object in [0, 1], with a region of many the share of the detection
            inside it; None if it was held against none.
        of: Row of another detection that took the object; None if none did.
    """

    kind: Kind
    name: str = ""
    iou: float | None = None
    of: int | None = None

    def __post_init__(self) -> None:
        without = self.kind in _WITHOUT_OBJECT
        if (self.iou is None) != without or (without and self.name):
            raise InputError(
                f"a detection that is {self.kind} was given the object {self.name!r} and the "
                f"overlap {self.iou}; give {'neither' if without else 'both'}"
            )
        if self.iou is not None and not 0 <= self.iou <= 1:
            raise InputError(f"the overlap is {self.iou}; expected 0 to 1")
        if self.kind is Kind.DUPLICATE and self.of is None:
            raise InputError("a duplicate was given without the detection that it repeats")
        if self.kind in (Kind.RIGHT, *_WITHOUT_OBJECT) and self.of is not None:
            raise InputError(
                f"a detection that is {self.kind} was given another one of its object; give none"
            )

    @property
    def right(self) -> bool | None:
        """Whether it found an object of its class; None where the annotations do not say."""
        return None if self.kind is Kind.IGNORED else self.kind is Kind.RIGHT


@dataclass(frozen=True, slots=True)
class Missed:
    """An object that no detection found.

    Attributes:
        name: Its class.
        box: ``(x1, y1, x2, y2)`` in image pixels.
        beside: Row of the most confident detection that only its place or its name kept from
            finding the object; None if there is none.
    """

    name: str
    box: Box
    beside: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the detections of one image compare with its annotations.

    Attributes:
        fates: What became of each detection.
        missed: Every object that no detection found.
    """

    fates: tuple[Fate, ...]
    missed: tuple[Missed, ...]

    def __post_init__(self) -> None:
        takers = (Kind.RIGHT, Kind.IGNORED)
        for row, fate in enumerate(self.fates):
            if fate.of is not None and (fate.of == row or self._kind(fate.of) not in takers):
                raise InputError(
                    f"detection {row} names {fate.of} as the one that took its object; "
                    "expected the row of another that is right or ignored"
                )
        for item in self.missed:
            if item.beside is not None and self._kind(item.beside) not in _BESIDE:
                raise InputError(
                    f"a missed object names detection {item.beside} beside it; "
                    "expected the row of one that is badly placed or has the wrong name"
                )

    def _kind(self, row: int) -> Kind | None:
        return self.fates[row].kind if 0 <= row < len(self.fates) else None

    @property
    def right(self) -> tuple[bool | None, ...]:
        """Per detection, whether it is right; None where the annotations do not say."""
        return tuple(fate.right for fate in self.fates)
