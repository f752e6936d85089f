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
    """

    box: Box
    label: int | None
    area: float
    crowd: bool = False
    difficult: bool = False
    raw_label: str = ""
    source_id: int | str | None = None


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


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the detections of one image compare with its annotations.

    Attributes:
        right: Per detection, whether it found an object of its class; None where the annotations
            do not say.
        missed: Class and box, in image pixels, of every object that no detection found.
    """

    right: tuple[bool | None, ...]
    missed: tuple[tuple[str, Box], ...]
