"""Which detection found which object: the base of every figure about right and wrong.

Objects come in three kinds. *Counted* ones must be found. *Difficult* ones and *crowd* regions are
ignored: a detection that finds one is neither right nor wrong. A difficult object serves one
detection. A crowd serves any number, and for it overlap means the share of the detection that lies
inside. COCO scores like that: Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from xai_detect.values import boxes
from xai_detect.values.detections import Detections
from xai_detect.values.truth import ANY_CLASS, Truth


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """What became of each detection of one image.

    Attributes:
        truth: Row of the counted object it found, or -1.
        iou: Overlap with that object in [0, 1]; NaN where none was found.
        excused: Row of the difficult object or crowd it fell on instead, or -1.
    """

    truth: Int[Tensor, "n"]
    iou: Float[Tensor, "n"]
    excused: Int[Tensor, "n"]

    @property
    def ignored(self) -> Bool[Tensor, "n"]:
        """Detections that fell on a difficult object or a crowd: neither right nor wrong."""
        return self.excused >= 0

    @property
    def right(self) -> Bool[Tensor, "n"]:
        """Detections that found an object."""
        return self.truth >= 0

    @property
    def wrong(self) -> Bool[Tensor, "n"]:
        """Detections that found none: another class, a poor box, a double, or nothing there."""
        return ~self.right & ~self.ignored

    def of(self, kept: Bool[Tensor, "n"]) -> "Matches":
        """What became of some of the detections."""
        return Matches(self.truth[kept], self.iou[kept], self.excused[kept])


def match(detections: Detections, truth: Truth, least_iou: float = 0.5) -> Matches:
    """Pair detections with objects of their class: best score first, one to one.

    Each detection takes the free counted object it overlaps most, if that is at least
    ``least_iou``; else an ignored one. Leaving out the weak detections of a class never changes
    any other pair, so one matching serves every confidence threshold.

    Args:
        detections: Best first.
        truth: Labels in the same numbering as the detections'.
        least_iou: Least overlap of a pair, in (0, 1].
    """
    same = (detections.labels[:, None] == truth.labels) | (truth.labels == ANY_CLASS)
    pairs = torch.where(same, overlaps(detections, truth), 0.0).numpy()
    counted, crowd = truth.counted.numpy(), truth.crowd.numpy()
    free = np.ones(len(truth), dtype=bool)
    found = np.full(len(detections), -1, dtype=np.int64)
    ious = np.full(len(detections), np.nan, dtype=np.float32)
    excused = np.full(len(detections), -1, dtype=np.int64)
    for row in np.flatnonzero((pairs >= least_iou).any(axis=1)):
        overlap = pairs[row]
        open_to = free & (overlap >= least_iou)
        if (open_to & counted).any():
            best = int(np.where(open_to & counted, overlap, -1).argmax())
            found[row], ious[row], free[best] = best, overlap[best], False
        elif open_to.any():
            best = int(np.where(open_to, overlap, -1).argmax())
            excused[row], free[best] = best, crowd[best]
    return Matches(torch.from_numpy(found), torch.from_numpy(ious), torch.from_numpy(excused))


def overlaps(detections: Detections, truth: Truth) -> Float[Tensor, "n m"]:
    """Overlap of every pair in [0, 1], whatever the classes; with a crowd the share inside it."""
    found, real = detections.boxes.double(), truth.boxes.double()
    return torch.where(truth.crowd, _share_inside(found, real), boxes.iou(found, real))


def _share_inside(a: Float[Tensor, "n 4"], b: Float[Tensor, "m 4"]) -> Float[Tensor, "n m"]:
    low = torch.maximum(a[:, None, :2], b[None, :, :2])
    high = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    common = (high - low).clamp(min=0).prod(dim=2)
    whole = boxes.area(a)[:, None].expand_as(common)
    return torch.where(whole > 0, common / whole, 0.0)


def confusion(
    detections: Detections,
    truth: Truth,
    matches: Matches,
    class_count: int,
    least_iou: float = 0.5,
) -> Int[Tensor, "k k"]:
    """Count what was taken for what in one image.

    Pairs are formed regardless of class, largest IoU first, one to one. Of equal overlaps the pair
    of one class goes first, then the stronger detection. Detections that ``match`` ignores are left
    out.

    Args:
        detections: Best first.
        truth: Labels in the same numbering as the detections'.
        matches: What ``match`` gives for them.
        class_count: Labels run from 0 to this, exclusive.
        least_iou: Least overlap of a pair, in (0, 1].

    Returns:
        Rows are the truth, columns the prediction; the last of each is background. An object
        without a detection counts in its row's last column, a detection without an object in the
        last row.
    """
    kept, counted = ~matches.ignored, truth.counted
    labels, real = detections.labels[kept].numpy(), truth.labels[counted].numpy()
    ious = boxes.iou(detections.boxes[kept].double(), truth.boxes[counted].double()).numpy()
    rows, columns = np.nonzero(ious >= least_iou)
    best_first = np.lexsort((labels[rows] != real[columns], -ious[rows, columns]))
    object_of, found = np.full(len(labels), class_count), np.zeros(len(real), dtype=bool)
    paired = np.zeros(len(labels), dtype=bool)
    for row, column in zip(rows[best_first], columns[best_first], strict=True):
        if not (paired[row] or found[column]):
            object_of[row], paired[row], found[column] = real[column], True, True
    matrix = np.zeros((class_count + 1, class_count + 1), dtype=np.int64)
    np.add.at(matrix, (object_of, labels), 1)
    matrix[:class_count, class_count] = np.bincount(real[~found], minlength=class_count)
    return torch.from_numpy(matrix)


@dataclass(frozen=True, slots=True)
class Counts:
    """Right and wrong detections and missed objects, of one class or of all.

    Attributes:
        right: Detections that found an object.
        wrong: Detections that found none.
        missed: Objects no detection found.
    """

    right: int
    wrong: int
    missed: int

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.right + other.right, self.wrong + other.wrong, self.missed + other.missed
        )

    @property
    def precision(self) -> float:
        """Share of the detections that are right, in [0, 1]; NaN without detections."""
        return _ratio(self.right, self.right + self.wrong)

    @property
    def recall(self) -> float:
        """Share of the objects that were found, in [0, 1]; NaN without objects."""
        return _ratio(self.right, self.right + self.missed)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, in [0, 1]; NaN if there is nothing at all."""
        return _ratio(2 * self.right, 2 * self.right + self.wrong + self.missed)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def counts_per_class(
    detections: Detections, truth: Truth, matches: Matches, class_count: int
) -> tuple[Counts, ...]:
    """Counts for one image, one entry per class."""

    def tally(labels: Tensor) -> list[int]:
        return torch.bincount(labels, minlength=class_count).tolist()

    right = tally(detections.labels[matches.right])
    wrong = tally(detections.labels[matches.wrong])
    objects = tally(truth.labels[truth.counted])
    return tuple(
        Counts(found, false, all_objects - found)
        for found, false, all_objects in zip(right, wrong, objects, strict=True)
    )
