"""What kind of wrong: why a detection found no object, and what came near an object it missed.

The kinds and their order are those of Bolya et al., "TIDE: A General Toolbox for Identifying Object
Detection Errors", ECCV 2020, with two differences, so that what is said of a detection is true. An
overlap that is just enough to find an object makes a second box a duplicate, not a badly placed
one. Difficult objects and crowds of a class count as something that is annotated here. Regions in
which every class is ignored do not.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from xai_detect.measures.matching import Matches, overlaps
from xai_detect.values.detections import Detections
from xai_detect.values.truth import ANY_CLASS, Kind, Truth


@dataclass(frozen=True, slots=True, eq=False)
class Mistakes:
    """What became of each detection of one image, and what lies beside each missed object.

    Attributes:
        kinds: What became of each detection.
        truth: Row of the object it was held against, or -1.
        iou: Overlap with that object in [0, 1], with a crowd the share inside; NaN without one.
        taker: Row of another detection that took that object, or -1.
        missed: Objects that must be found and were not.
        beside: Per missed object, row of the most confident detection that is badly placed on it
            or gives it the wrong name; -1 if there is none, and for all other objects.
    """

    kinds: tuple[Kind, ...]
    truth: Int[Tensor, "n"]
    iou: Float[Tensor, "n"]
    taker: Int[Tensor, "n"]
    missed: Bool[Tensor, "m"]
    beside: Int[Tensor, "m"]


def mistakes(
    detections: Detections,
    truth: Truth,
    matches: Matches,
    least_iou: float = 0.5,
    near_iou: float = 0.1,
) -> Mistakes:
    """Tell right detections from the kinds of wrong ones.

    A detection that found no object gets the first kind that fits. *Badly placed*: it overlaps an
    object of its class, by ``near_iou`` at least but too little to find it. *Wrong name*: it
    overlaps an object of another class by ``least_iou``. *Duplicate*: it overlaps an object of its
    class by as much, but a more confident one took it. *Background*: no overlap is larger than
    ``near_iou``. *Both* badly placed and wrongly named: everything else. The object is the one it
    overlaps most among those that the kind speaks of. Leaving out weak detections never changes
    the kind of a stronger one.

    Args:
        detections: Best first.
        truth: Labels in the same numbering as the detections'.
        matches: What ``match`` gives for them with the same ``least_iou``.
        least_iou: Least overlap that finds an object, in (0, 1].
        near_iou: Overlaps above it are no longer background, in [0, ``least_iou``).
    """
    same = detections.labels[:, None] == truth.labels
    every = overlaps(detections, truth)
    own = torch.where(same, every, 0.0).numpy()
    others = torch.where(~same & (truth.labels != ANY_CLASS), every, 0.0).numpy()
    taker_of = _takers(truth, matches)
    kinds: list[Kind] = []
    held = matches.truth.numpy().copy()
    for row, (right, ignored) in enumerate(
        zip(matches.right.tolist(), matches.ignored.tolist(), strict=True)
    ):
        if right or ignored:
            kinds.append(Kind.RIGHT if right else Kind.IGNORED)
        else:
            kind, held[row] = _wrong(own[row], others[row], least_iou, near_iou)
            kinds.append(kind)
    ious = np.full(len(kinds), np.nan)
    ious[held >= 0] = every.numpy()[held >= 0, held[held >= 0]]
    takers = np.full(len(kinds), -1)
    beside = np.full(len(truth), -1)
    missed = truth.counted.numpy() & (taker_of < 0)
    for row, (kind, item) in enumerate(zip(kinds, held.tolist(), strict=True)):
        if item >= 0 and kind is not Kind.RIGHT:
            takers[row] = taker_of[item]
            near = kind in (Kind.BADLY_PLACED, Kind.WRONG_NAME)
            if near and missed[item] and beside[item] < 0:
                beside[item] = row
    return Mistakes(
        tuple(kinds),
        torch.from_numpy(held),
        torch.from_numpy(ious),
        torch.from_numpy(takers),
        torch.from_numpy(missed),
        torch.from_numpy(beside),
    )


def _takers(truth: Truth, matches: Matches) -> np.ndarray:
    """Row of the detection that took each object, or -1; a crowd is never used up."""
    taken = torch.where(matches.right, matches.truth, matches.excused)
    takers = np.full(len(truth), -1)
    for row, item in enumerate(taken.tolist()):
        if item >= 0 and not bool(truth.crowd[item]):
            takers[item] = row
    return takers


def _wrong(
    own: np.ndarray, others: np.ndarray, least_iou: float, near_iou: float
) -> tuple[Kind, int]:
    """The kind of a wrong detection and the row of the object, from its overlaps with objects.

    Args:
        own: Overlap with each object of its class, 0 for all others.
        others: Overlap with each object of another class, 0 for all others.
        least_iou: As in ``mistakes``.
        near_iou: As in ``mistakes``.
    """
    if not len(own):
        return Kind.BACKGROUND, -1
    nearest, other = int(own.argmax()), int(others.argmax())
    if near_iou <= own[nearest] < least_iou and own[nearest] > 0:
        return Kind.BADLY_PLACED, nearest
    if others[other] >= least_iou:
        return Kind.WRONG_NAME, other
    if own[nearest] >= least_iou:
        return Kind.DUPLICATE, nearest
    if max(own[nearest], others[other]) <= near_iou:
        return Kind.BACKGROUND, -1
    return Kind.BOTH, other
