"""Other images of the same kind, whose surroundings stand in for those of a detection.

A class that is what a detector says where it sees no cue cannot be found by hiding the cue's place:
there is nothing to hide. In other images' surroundings it changes its name. References hold other
classes, and of each the side is taken, as it is or mirrored, whose own items the pasted box covers
best: what is left of them is emptied, so that only the surroundings speak, and as little of these
as can be is lost.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from xai_detect.detectors.place import Image, place
from xai_detect.detectors.protocol import Detector
from xai_detect.errors import InputError
from xai_detect.trust.scene import ring
from xai_detect.values import fills
from xai_detect.values.boxes import Box, Size
from xai_detect.values.detections import Detections, Target

LEAST = 6
"""Fewer references than this find a class that is a default in too few cases."""

EMPTIED = 0.25
"""A reference is used only if less of what is seen of it must be emptied."""


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """An image whose surroundings may stand in for those of another.

    Attributes:
        name: What it is called, for the record.
        image: RGB in [0, 1].
        detections: What it holds, as the detector found it or as annotated.
    """

    name: str
    image: Float[Tensor, "3 h w"]
    detections: Detections

    def __repr__(self) -> str:
        return f"Reference({self.name}: {self.detections!r})"

    def mirrored(self) -> "Reference":
        """The same, left and right exchanged."""
        found = self.detections
        width = self.image.shape[2]
        placed = found.boxes.clone()
        placed[:, [0, 2]] = width - placed[:, [2, 0]]
        return Reference(
            self.name, self.image.flip(2), replace(found, boxes=placed, proposals=placed)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """A reference, ready for one detection.

    Attributes:
        reference: Whose surroundings they are, mirrored or not.
        holes: Its own items where the box comes, over the content pixels of the detection's image.
        labels: Classes that it holds, other than the detection's.
    """

    reference: Reference
    holes: Bool[Tensor, "a b"]
    labels: frozenset[int]

    def content(self) -> Float[Tensor, "3 a b"]:
        """The reference in content pixels of the detection's image, without those items."""
        height, width = self.holes.shape
        array = np.ascontiguousarray(self.reference.image.permute(1, 2, 0).numpy())
        array = cv2.resize(array, (width, height), interpolation=cv2.INTER_AREA)
        content = torch.from_numpy(array.transpose(2, 0, 1).copy()).clamp(0, 1)
        return fills.hide(content, self.holes, "inpaint") if bool(self.holes.any()) else content


def as_reference(
    detector: Detector,
    name: str,
    image: Image,
    confidence: float = 0.25,
    held: Detections | None = None,
) -> Reference:
    """Prepare an image as a reference: find out what it holds.

    It is kept at the resolution at which the network sees it, to save memory.

    Args:
        detector: The detector whose verdicts it serves.
        name: What to call it in the record.
        image: RGB in [0, 1], placed or not.
        confidence: What it holds is what is found above this, unless that is known.
        held: What is known that it holds, in image pixels and the detector's labels: the detector's
            own errors then stand for no class.

    Raises:
        InputError: If what is known is of an image of another size.
    """
    placed = place(detector, image)
    small = placed.at_content(placed.content)
    if held is None:
        found = detector.detect(placed.pixels, small.frame, confidence)[0]
        return Reference(name, small.image, found)
    size = placed.frame.image_size
    if held.image_size != size:
        raise InputError(
            f"what {name} holds is given for an image of {held.image_size}, but it is {size}: pass "
            "boxes in its own pixels"
        )
    down, across = (now / was for now, was in zip(small.frame.image_size, size, strict=True))
    scale = torch.tensor([across, down, across, down])
    boxes = held.boxes * scale
    known = replace(held, boxes=boxes, proposals=boxes, image_size=small.frame.image_size)
    return Reference(name, small.image, known)


def balanced(references: Sequence[Reference], most: int) -> list[Reference]:
    """So many of them that every class they hold is there about equally often.

    One after the other, the first that holds a class which was chosen least often so far.
    """
    left = [reference for reference in references if len(reference.detections)]
    chosen: list[Reference] = []
    counts: Counter[int] = Counter()
    while left and len(chosen) < most:
        rarest = [min(counts[label] for label in _labels(reference)) for reference in left]
        chosen.append(left.pop(rarest.index(min(rarest))))
        counts.update(_labels(chosen[-1]))
    return chosen


def _labels(reference: Reference) -> frozenset[int]:
    return frozenset(reference.detections.labels.tolist())


def surroundings(
    references: Sequence[Reference], target: Target, near: Bool[Tensor, "a b"], most: int
) -> list[Surroundings]:
    """The references for one detection, least disturbed first.

    Those that hold other classes and not the target's own; only if there are fewer than two of
    them, also those that hold both.

    Args:
        references: All there are.
        target: The detection.
        near: What belongs to the object, over content pixels.
        most: At most so many are taken.
    """
    fitting = []
    for reference in references:
        labels = _labels(reference)
        if labels <= {target.label}:
            continue
        sides = sorted(_sides(reference, near), key=lambda side: side[0])
        if sides:
            disturbed, side, holes = sides[0]
            key = (target.label in labels, disturbed, _shuffled(reference.name), reference.name)
            fitting.append((key, Surroundings(side, holes, labels - {target.label})))
    fitting.sort(key=lambda row: row[0])
    without = [row for row in fitting if not row[0][0]]
    return [found for _, found in (without if len(without) > 1 else fitting)[:most]]


def _sides(
    reference: Reference, near: Bool[Tensor, "a b"]
) -> Iterator[tuple[float, Reference, Bool[Tensor, "a b"]]]:
    """The reference and its mirror image, where little must be emptied, with what is disturbed.

    What the pasted box hides of the surroundings is lost as well as what is emptied beside it.
    """
    for side in (reference, reference.mirrored()):
        holes = _holes(side.detections, near)
        if float((holes & ~near).sum()) < EMPTIED * int((~near).sum()):
            yield float((near ^ holes).float().mean()), side, holes


def _shuffled(name: str) -> str:
    """An order that has nothing to do with names or folders, and is always the same."""
    return hashlib.sha256(Path(name).name.encode()).hexdigest()


def _holes(found: Detections, near: Bool[Tensor, "a b"]) -> Bool[Tensor, "a b"]:
    """A reference's own items that touch the pasted box, with their rings."""
    size: Size = (near.shape[0], near.shape[1])
    down, across = size[0] / found.image_size[0], size[1] / found.image_size[1]
    holes = torch.zeros_like(near)
    for x1, y1, x2, y2 in found.boxes.tolist():
        box: Box = (x1 * across, y1 * down, x2 * across, y2 * down)
        item = ring(box, size)
        if bool((item & near).any()):
            holes |= item
    return holes
