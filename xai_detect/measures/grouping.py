"""Detections that lie on one item, whatever class each of them says it is.

A detector suppresses double boxes within a class only, so one item can be reported under two names.
"""

from collections.abc import Sequence

from xai_detect.values import boxes
from xai_detect.values.detections import Detections
from xai_detect.words.catalogue import ENGLISH, Catalogue


def groups(detections: Detections, least_iou: float = 0.7) -> tuple[tuple[int, ...], ...]:
    """Rows of the detections of each item; every row is in one group.

    The most confident detection without a group opens one, and all others without a group that
    overlap it enough join. Overlap with those that joined does not count, so that no chain of boxes
    leads from one item to its neighbour.

    Args:
        detections: Best first.
        least_iou: Least IoU with the most confident of a group, in (0, 1].

    Returns:
        Groups by their most confident detection, and each group, best first.
    """
    near = (boxes.iou(detections.boxes.double(), detections.boxes.double()) >= least_iou).tolist()
    waiting = list(range(len(detections)))
    found: list[tuple[int, ...]] = []
    while waiting:
        first = waiting[0]
        # a box without area overlaps nothing, not even itself
        group = [row for row in waiting if row == first or near[first][row]]
        waiting = [row for row in waiting if row not in group]
        found.append(tuple(group))
    return tuple(found)


def unclear_name(detections: Detections, group: Sequence[int], words: Catalogue = ENGLISH) -> str:
    """One sentence if the detections of one item disagree about its class, else empty.

    A class that several of them name is given once, with its highest confidence.

    Args:
        detections: Best first.
        group: Rows of the detections of one item, best first.
        words: Those of the language.
    """
    scores: dict[str, float] = {}
    for row in group:
        target = detections.target(row)
        scores.setdefault(target.name, target.score)
    if len(scores) < 2:
        return ""
    *names, last = (f"{name} {score:.2f}" for name, score in scores.items())
    return words.say("item.unclear", names=", ".join(names), last=last)
