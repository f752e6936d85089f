"""What a detector found, and the question about one of its boxes.

Boxes are ``(x1, y1, x2, y2)`` in pixels of the original image; sizes are ``(height, width)``.
Records are frozen; their tensors are not to be edited in place.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from xai_detect.errors import InputError, TargetError, near
from xai_detect.values.boxes import Box, Size
from xai_detect.values.showing import Shown

UNKNOWN = -1
"""The candidate of a box that was not matched to a raw prediction."""


SHOWN = 5
"""So many of a row of things are named where it is printed."""


def short(score: float) -> str:
    """A score in [0, 1] as it is printed: ``.93``."""
    return "nan" if math.isnan(score) else f"{score:.2f}".removeprefix("0")


def listed(texts: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = [f"and {len(texts) - SHOWN} more"] if len(texts) > SHOWN else []
    return ", ".join([*texts[:SHOWN], *more])


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a detector's answers come from; written into every run.

    Attributes:
        name: What the user asked for, without folders.
        family: The library that runs it: ``ultralytics``, ``torchvision`` or ``onnx``.
        sha256: Digest of the weights file; empty for an untrained network.
        domain: ``photo`` or ``xray``: which fills and views suit its images.
        input_size: Side or sides of the network's input in pixels, in words.
    """

    name: str
    family: str
    sha256: str
    domain: str
    input_size: str


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One question: why this class in this box?

    Attributes:
        box: The detection's box in image pixels.
        label: Index into ``class_names``; need not be the class that was reported.
        score: Confidence the detector reported for this class, in [0, 1]; NaN if it reported
            another class.
        candidate: The raw prediction (anchor, query or proposal) that gave the box, or ``UNKNOWN``.
        class_names: The detector's classes, in label order.
        proposal: The region a two-stage detector pooled; elsewhere the box itself.
        rival: Index of the class that the scalar ``margin`` compares with; None takes the strongest
            other class.
    """

    box: Box
    label: int
    score: float
    candidate: int
    class_names: tuple[str, ...]
    proposal: Box
    rival: int | None = None

    def __repr__(self) -> str:
        sides = ", ".join(f"{side:.0f}" for side in self.box)
        rival = "" if self.rival is None else f" and not {self.rival_name}"
        return f"Target({self.name} {short(self.score)}{rival} at {sides})"

    @property
    def name(self) -> str:
        """The class in words."""
        return self.class_names[self.label]

    @property
    def rival_name(self) -> str | None:
        """The rival in words; None without one."""
        return None if self.rival is None else self.class_names[self.rival]

    def as_class(self, name: str) -> "Target":
        """The same box and candidate, asked about another class.

        Raises:
            TargetError: If the detector has no such class; the message suggests near names.
        """
        label = label_of(name, self.class_names)
        if label == self.label:
            return self
        rival = None if label == self.rival else self.rival  # no class is compared with itself
        return replace(self, label=label, score=math.nan, rival=rival)

    def against(self, name: str) -> "Target":
        """The same question with a rival: why this class, and not that one?

        Raises:
            TargetError: If the detector has no such class, or it is the target's own.
        """
        rival = label_of(name, self.class_names)
        if rival == self.label:
            raise TargetError(
                f"this box is asked about as {name!r}, so it cannot be contrasted with {name!r}; "
                "name another class"
            )
        return replace(self, rival=rival)


def label_of(name: str, class_names: tuple[str, ...]) -> int:
    """The index of a class name.

    Raises:
        TargetError: If there is no such class; the message suggests near names.
    """
    if name in class_names:
        return class_names.index(name)
    some = ", ".join(class_names[:10])
    hint = near(name, class_names) or f"it knows {some}{', ...' if len(class_names) > 10 else ''}"
    raise TargetError(f"the detector has no class {name!r}; {hint}")


@dataclass(frozen=True, slots=True, eq=False)
class Detections(Shown):
    """What a detector found in one image, best first.

    Attributes:
        boxes: ``(x1, y1, x2, y2)`` in pixels of the original image.
        scores: Confidence in [0, 1], never increasing.
        labels: Index into ``class_names``.
        candidates: Which raw prediction (anchor, query or proposal) each row came from, so that
            a white-box method can differentiate exactly that prediction; ``UNKNOWN`` for boxes
            from elsewhere.
        proposals: The region a two-stage detector pooled for the row; elsewhere the box.
        image_size: ``(height, width)`` of the original image, in pixels.
        class_names: The detector's classes, in label order.
    """

    boxes: Float[Tensor, "n 4"]
    scores: Float[Tensor, "n"]
    labels: Int[Tensor, "n"]
    candidates: Int[Tensor, "n"]
    proposals: Float[Tensor, "n 4"]
    image_size: Size
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        count = len(self.boxes)
        for name in ("scores", "labels", "candidates", "proposals"):
            if len(getattr(self, name)) != count:
                raise InputError(
                    f"{name} has {len(getattr(self, name))} rows, but boxes has {count}"
                )
        if not (self.boxes.isfinite().all() and self.scores.isfinite().all()):
            raise InputError(
                "boxes or scores hold a value that is not finite; "
                "the weights may be damaged or hold NaN"
            )
        if (self.boxes[:, 2:] < self.boxes[:, :2]).any():
            raise InputError("boxes must be (x1, y1, x2, y2) with x1 <= x2 and y1 <= y2")
        if ((self.scores < 0) | (self.scores > 1)).any():
            raise InputError("scores must lie in [0, 1]; did you pass logits?")
        if (self.scores.diff() > 0).any():
            raise InputError("detections must be sorted by score, best first")
        if count and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(
            self.class_names
        ):
            raise InputError(
                f"labels must lie in [0, {len(self.class_names)}), the number of class names"
            )

    def __repr__(self) -> str:
        height, width = self.image_size
        found = listed([f"{own.name} {short(own.score)}" for own in self])
        return f"Detections({len(self)} in {width} x {height}{': ' * bool(found)}{found})"

    def __len__(self) -> int:
        return len(self.boxes)

    def target(self, row: int) -> Target:
        """The question "why this detection?" for one row.

        Raises:
            TargetError: If there is no such row.
        """
        if not 0 <= row < len(self):
            raise TargetError(f"there is no detection {row}; this image has {len(self)}")
        return Target(
            box=_floats(self.boxes[row]),
            label=int(self.labels[row]),
            score=float(self.scores[row]),
            candidate=int(self.candidates[row]),
            class_names=self.class_names,
            proposal=_floats(self.proposals[row]),
        )

    def __iter__(self) -> Iterator[Target]:
        return (self.target(row) for row in range(len(self)))

    @classmethod
    def empty(cls, image_size: Size, class_names: tuple[str, ...]) -> "Detections":
        """No detections: a normal result, with the same shapes as any other."""
        none = torch.zeros(0, dtype=torch.int64)
        nowhere = torch.zeros(0, 4)
        return cls(nowhere, torch.zeros(0), none, none, nowhere, image_size, class_names)


def _floats(box: Tensor) -> Box:
    x1, y1, x2, y2 = box.tolist()
    return (x1, y1, x2, y2)
