"""The one form every data set is read into.

Boxes are ``(x1, y1, x2, y2)`` in pixels of the upright image, pixel *i* covering *i* to *i* + 1;
readers convert once. Sizes come from the image file, never from the annotation.
"""

from dataclasses import dataclass, field

from xai_detect.data.problems import Losses
from xai_detect.values.truth import Scan


@dataclass(frozen=True, slots=True)
class Dataset:
    """Images with ground truth.

    Attributes:
        name: What to call it in a report.
        format: ``coco``, ``yolo``, ``voc`` or ``kitti``.
        class_names: In label order.
        class_ids: The format's own number of each class, in label order; COCO's have gaps.
        scans: The images that could be read.
        problems: One sentence per kind of problem with images, boxes and rows, in reading order.
        losses: How many images and objects do not count, by reason; its ``lines`` come first.
    """

    name: str
    format: str
    class_names: tuple[str, ...]
    class_ids: tuple[int | str, ...]
    scans: tuple[Scan, ...]
    problems: tuple[str, ...]
    losses: Losses = field(default_factory=Losses)

    def __len__(self) -> int:
        return len(self.scans)
