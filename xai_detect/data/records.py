"""The one form every data set is read into.

Boxes are ``(x1, y1, x2, y2)`` in pixels of the upright image, pixel *i* covering *i* to *i* + 1;
readers convert once. Sizes come from the image file, never from the annotation.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from xai_detect.boxes import Box, Size
from xai_detect.measures.matching import ANY_CLASS, Truth


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
    """

    box: Box
    label: int | None
    area: float
    crowd: bool = False
    difficult: bool = False


@dataclass(frozen=True, slots=True)
class Scan:
    """One image and what it shows; no items means a clean image.

    Attributes:
        name: File name relative to the image folder, with forward slashes.
        path: Where the image lies.
        image_id: The data set's own id, as results files name it.
        size: ``(height, width)`` of the upright image, read from the file.
        items: What it shows.
    """

    name: str
    path: Path
    image_id: int | str
    size: Size
    items: tuple[Item, ...]

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


@dataclass(frozen=True, slots=True)
class Dataset:
    """Images with ground truth.

    Attributes:
        name: What to call it in a report.
        format: ``coco``, ``yolo``, ``voc`` or ``kitti``.
        class_names: In label order.
        class_ids: The format's own number of each class, in label order; COCO's have gaps.
        scans: The images that could be read.
        problems: One sentence per image, box or row that was left out or cut, in reading order.
    """

    name: str
    format: str
    class_names: tuple[str, ...]
    class_ids: tuple[int | str, ...]
    scans: tuple[Scan, ...]
    problems: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.scans)
