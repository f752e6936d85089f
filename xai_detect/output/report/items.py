"""Detections that lie on one item, as people read of them: together, with one sentence."""

from xai_detect.measures.grouping import groups, unclear_name
from xai_detect.values.detections import Detections
from xai_detect.words.catalogue import ENGLISH, Catalogue


def shared_items(detections: Detections) -> list[tuple[int, ...]]:
    """Rows of the detections of each item that more than one detection lies on, best first."""
    return [group for group in groups(detections) if len(group) > 1]


def item_sentence(
    detections: Detections, group: tuple[int, ...], words: Catalogue = ENGLISH
) -> str:
    """What to know of an item that several detections lie on.

    Args:
        detections: Those of one image.
        group: Rows of the item's detections, best first.
        words: Those of the language.
    """
    unclear = unclear_name(detections, group, words)
    if unclear:
        return unclear
    found = (detections.target(row) for row in group)
    names = ", ".join(f"{target.name} {target.score:.2f}" for target in found)
    return words.say("item.repeated", names=names)
