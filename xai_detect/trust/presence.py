"""The presence test: does the object in a box decide that anything is reported there?

A cascade of questions without gradients; most detections need two forward passes. What it asks is
P: the highest probability of any class at the target's box, as a share of the reported score.
Which class it is, is the name test's business (``trust.name``).

1. Box and ring alone, on two fills. Both keep P: the object decides.
2. Where: parts of the surroundings are hidden, smaller and smaller; the first whose loss takes P
   away is entered. A cue that is there twice survives the loss of either; then parts are shown
   beside the box instead, and the first that brings P back is entered.
3. Restore: box and place alone bring back what the box alone had lost.
4. A second fill in the place takes P away as well: it is the content that counts.
5. A placebo of the same size elsewhere does not: it is the content of this place.

All five: the surroundings decide. Every other end is ``unclear``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from xai_detect.trust.scene import Scene
from xai_detect.values import boxes
from xai_detect.values.boxes import Box, Size
from xai_detect.values.detections import Target
from xai_detect.values.findings import Answer

KEEP = 0.5
"""With so much of the score left, what is reported is still there."""

LOST = 0.25
"""With so little left it is gone."""

EMPTY = {"photo": ("grey", "blur"), "xray": ("air", "blur")}
"""What stands around a box that is alone: two fills, so that no one fill decides."""

REMOVE = {"photo": ("blur", "inpaint"), "xray": ("inpaint", "blur")}
"""What stands in place of a hidden part, and what stands there the second time."""

WINDOW, DEPTH = 0.6, 3
"""A part is this much of its parent's side, so that neighbours overlap; so many levels."""

GROWN = (0.25, 0.5, 1.0)
"""A part may hold half a cue: how far it is grown, of its side, until it restores the whole."""

LARGEST = 0.25
"""A cause that covers more of the image than this is no place."""

ENCLOSES = 0.5
"""A place that covers so much of the box lies around it: near context of the object, no fault."""

MOST_CUES = 2
"""So many places are looked for where none alone decides."""


@dataclass(frozen=True, slots=True)
class Presence:
    """What the presence test found.

    Attributes:
        answer: Whether the object or its surroundings decide that something is reported.
        stage: Where the test ended.
        alone: P of box and ring alone on each of the two fills of ``EMPTY``.
        places: Parts of the surroundings that decide, or were found last, in content pixels.
        hidden: P with the places hidden; NaN where the test ended before.
        restored: P of box and places alone; NaN likewise.
        placebo: P with as large a part hidden elsewhere; NaN likewise, or without room.
    """

    answer: Answer
    stage: str
    alone: tuple[float, ...] = ()
    places: tuple[Box, ...] = ()
    hidden: float = torch.nan
    restored: float = torch.nan
    placebo: float = torch.nan


def presence(
    scene: Scene,
    target: Target,
    near: Bool[Tensor, "a b"],
    alone: Sequence[float],
    search: bool = True,
) -> Presence:
    """Ask whether the object decides that something is reported in its box.

    Args:
        scene: The image.
        target: The detection.
        near: What belongs to the object, over content pixels; it is never hidden.
        alone: P of box and ring alone, on each fill of ``EMPTY``.
        search: Whether to look for a place that decides; else the test ends with its first step.
    """
    if bool(near.all()):
        return Presence(Answer.UNMEASURED, "no_surroundings")
    if not target.score > 0:
        return Presence(Answer.UNMEASURED, "no_score")
    asked = _Question(scene, target, near, tuple(alone))
    if min(alone) >= KEEP:
        return asked.done(Answer.OBJECT, "alone")
    if min(alone) > LOST:
        answer = Answer.OBJECT if max(alone) >= KEEP else Answer.UNCLEAR
        return asked.done(answer, "weakened")
    if not search:
        return asked.done(Answer.UNCLEAR, "not_searched")
    return asked.cascade()


@dataclass
class _Question:
    """One detection under the test; what is measured on the way is kept for the record."""

    scene: Scene
    target: Target
    near: Bool[Tensor, "a b"]
    alone: tuple[float, ...]
    measured: dict[str, float] = field(default_factory=dict)

    def done(self, answer: Answer, stage: str, places: Sequence[Box] = ()) -> Presence:
        return Presence(answer, stage, self.alone, tuple(places), **self.measured)

    def share(self, copy: Float[Tensor, "3 a b"]) -> float:
        """P of a changed copy."""
        found = self.scene.seen(self.scene.ask([copy]), self.target)
        return float(found.max()) / self.target.score

    def mask(self, places: Sequence[Box]) -> Bool[Tensor, "a b"]:
        """Places without what belongs to the object."""
        covered = torch.zeros(self.scene.size, dtype=torch.bool)
        for place in places:
            covered |= boxes.mask(place, self.scene.size)
        return covered & ~self.near

    def cascade(self) -> Presence:
        first, second = REMOVE[self.scene.domain]
        places, stage = self.deciding(first)
        if stage:
            return self.done(Answer.UNCLEAR, stage, places)
        hidden = self.mask(places)
        if any(_covered(self.scene.box(self.target), place) >= ENCLOSES for place in places):
            return self.done(Answer.UNCLEAR, "around", places)
        self.measured["hidden"] = self.share(self.scene.without(hidden, second))
        if self.measured["hidden"] > LOST:
            return self.done(Answer.UNCLEAR, "second_fill", places)
        elsewhere = _placebo(places, hidden, self.near)
        if elsewhere is not None:
            self.measured["placebo"] = self.share(self.scene.without(elsewhere, first))
            if self.measured["placebo"] < KEEP:
                return self.done(Answer.UNCLEAR, "placebo", places)
        return self.done(Answer.SURROUNDINGS, "confirmed", places)

    def lost(self) -> list[str]:
        """Fills that lost the box alone, the worst first."""
        kept = dict(zip(EMPTY[self.scene.domain], self.alone, strict=True))
        return sorted((fill for fill in kept if kept[fill] <= LOST), key=lambda fill: kept[fill])

    def deciding(self, fill: str) -> tuple[list[Box], str]:
        """Places that decide together, and why there are none."""
        without = self.scene.without
        last = self.search(lambda part: self.share(without(part, fill)) <= LOST)
        if last is not None:
            return self.restoring(last)
        found = self.several()
        if not found:
            return [], "no_place"
        if self.share(without(self.mask(found), fill)) > LOST:
            return found, "not_all"
        return found, ""

    def restoring(self, part: Box) -> tuple[list[Box], str]:
        """A part grown until box and part alone bring back what the box alone had lost."""
        grown = [_cut(boxes.grow(part, by, 0.0), self.scene.size) for by in GROWN]
        fit = [place for place in grown if self.small([place])]
        if not fit and self.small([part]):
            fit = [part]
        if not fit:
            return [part], "large"
        for place in fit:
            if self.restores([place], self.lost()):
                return [place], ""
        return [part], "not_restored"

    def restores(self, places: Sequence[Box], lost: Sequence[str]) -> bool:
        shown = self.near | self.mask(places)
        for fill in lost:
            self.measured["restored"] = self.share(self.scene.alone(shown, fill))
            if self.measured["restored"] >= KEEP:
                return True
        return False

    def small(self, places: Sequence[Box]) -> bool:
        return float(self.mask(places).float().mean()) <= LARGEST

    def several(self) -> list[Box]:
        """Places each of which brings back the score beside the box: a cue that is there twice."""
        lost, found = self.lost()[:1], list[Box]()
        for _ in range(MOST_CUES):
            taken = self.mask(found)
            place = self.search(partial(self.shown, taken=taken, fill=lost[0]))
            if place is None:
                break
            place = _cut(boxes.grow(place, GROWN[0], 0.0), self.scene.size)
            found.append(place)
            if not self.small(found):
                return []
        return found if len(found) > 1 else []

    def shown(self, part: Bool[Tensor, "a b"], taken: Bool[Tensor, "a b"], fill: str) -> bool:
        copy = self.scene.alone(self.near | part & ~taken, fill)
        self.measured["restored"] = self.share(copy)
        return self.measured["restored"] >= KEEP

    def search(self, holds: Callable[[Bool[Tensor, "a b"]], bool]) -> Box | None:
        """The smallest of nested parts that hold what is looked for; None where none does."""
        height, width = self.scene.size
        whole: Box = (0.0, 0.0, float(width), float(height))
        found: Box | None = None
        for _ in range(DEPTH):
            parts = ((part, self.mask([part])) for part in _parts(found or whole))
            fitting = (part for part, mask in parts if bool(mask.any()) and holds(mask))
            smaller = next(fitting, None)
            if smaller is None:
                break
            found = smaller
        return found


def _parts(place: Box) -> list[Box]:
    """Five overlapping parts of a rectangle: at its corners and in its middle."""
    x1, y1, x2, y2 = place
    wide, tall = (x2 - x1) * WINDOW, (y2 - y1) * WINDOW
    corners = [(x, y) for y in (y1, y2 - tall) for x in (x1, x2 - wide)]
    middle = (x1 + (x2 - x1 - wide) / 2, y1 + (y2 - y1 - tall) / 2)
    return [(x, y, x + wide, y + tall) for x, y in (*corners, middle)]


def _cut(place: Box, size: Size) -> Box:
    """The part of a rectangle that lies in the image."""
    x1, y1, x2, y2 = place
    return (max(x1, 0.0), max(y1, 0.0), min(x2, float(size[1])), min(y2, float(size[0])))


def _covered(box: Box, place: Box) -> float:
    """Share of a box that a rectangle covers."""
    low, high = map(max, box[:2], place[:2]), map(min, box[2:], place[2:])
    shared, whole = boxes.area(torch.tensor([(*low, *high), box])).tolist()
    return shared / whole if whole > 0 else 1.0


def _placebo(
    places: Sequence[Box], hidden: Bool[Tensor, "a b"], near: Bool[Tensor, "a b"]
) -> Bool[Tensor, "a b"] | None:
    """As large a part elsewhere, which touches neither the object nor the places.

    Of the 25 positions of the first place on an even grid, moved together with the others, the one
    that hides most; None if there is none with half the area.
    """
    size: Size = (hidden.shape[0], hidden.shape[1])
    x1, y1, x2, y2 = places[0]
    best, most = None, int(hidden.sum()) // 2
    for down in range(5):
        for across in range(5):
            moved = torch.zeros_like(hidden)
            right, below = (
                (size[1] - x2 + x1) * across / 4 - x1,
                (size[0] - y2 + y1) * down / 4 - y1,
            )
            for a, b, c, d in places:
                moved |= boxes.mask((a + right, b + below, c + right, d + below), size)
            moved &= ~(near | hidden)
            if int(moved.sum()) > most:
                best, most = moved, int(moved.sum())
    return best
