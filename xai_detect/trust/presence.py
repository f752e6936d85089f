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
5. A placebo of the same size elsewhere, where there is room for one, does not: it is this place.

All five: the surroundings decide. Every other end is ``unclear``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from xai_detect.trust.places import beyond, covered, grown, moved, smallest
from xai_detect.trust.scene import Scene
from xai_detect.values.boxes import Box
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

    def cascade(self) -> Presence:
        first, second = REMOVE[self.scene.domain]
        places, stage = self.deciding(first)
        if stage:
            return self.done(Answer.UNCLEAR, stage, places)
        hidden = beyond(places, self.near)
        if any(covered(self.scene.box(self.target), place) >= ENCLOSES for place in places):
            return self.done(Answer.UNCLEAR, "around", places)
        self.measured["hidden"] = self.share(self.scene.without(hidden, second))
        if self.measured["hidden"] > LOST:
            return self.done(Answer.UNCLEAR, "second_fill", places)
        elsewhere = moved(places, hidden, self.near)
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
        last = smallest(self.near, lambda part: self.share(without(part, fill)) <= LOST)
        if last is not None:
            return self.restoring(last)
        found = self.several()
        if not found:
            return [], "no_place"
        if self.share(without(beyond(found, self.near), fill)) > LOST:
            return found, "not_all"
        return found, ""

    def restoring(self, part: Box) -> tuple[list[Box], str]:
        """A part grown until box and part alone bring back what the box alone had lost."""
        larger = [grown(part, by, self.scene.size) for by in GROWN]
        fit = [place for place in larger if self.small([place])]
        if not fit and self.small([part]):
            fit = [part]
        if not fit:
            return [part], "large"
        for place in fit:
            if self.restores([place], self.lost()):
                return [place], ""
        return [part], "not_restored"

    def restores(self, places: Sequence[Box], lost: Sequence[str]) -> bool:
        shown = self.near | beyond(places, self.near)
        for fill in lost:
            self.measured["restored"] = self.share(self.scene.alone(shown, fill))
            if self.measured["restored"] >= KEEP:
                return True
        return False

    def small(self, places: Sequence[Box]) -> bool:
        return float(beyond(places, self.near).float().mean()) <= LARGEST

    def several(self) -> list[Box]:
        """Places each of which brings back the score beside the box: a cue that is there twice."""
        lost, found = self.lost()[:1], list[Box]()
        for _ in range(MOST_CUES):
            taken = beyond(found, self.near)
            place = smallest(self.near, partial(self.shown, taken=taken, fill=lost[0]))
            if place is None:
                break
            place = grown(place, GROWN[0], self.scene.size)
            found.append(place)
            if not self.small(found):
                return []
        return found if len(found) > 1 else []

    def shown(self, part: Bool[Tensor, "a b"], taken: Bool[Tensor, "a b"], fill: str) -> bool:
        copy = self.scene.alone(self.near | part & ~taken, fill)
        self.measured["restored"] = self.share(copy)
        return self.measured["restored"] >= KEEP
