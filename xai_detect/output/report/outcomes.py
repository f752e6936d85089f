"""What the annotations say of detections and of missed objects, in words.

Detections are numbered from 1, as in the report.
"""

import math
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from xai_detect.output.folder.records import Record
from xai_detect.values.detections import Detections
from xai_detect.values.findings import PartsFound
from xai_detect.values.truth import Fate, Kind, Missed, Outcome
from xai_detect.words.catalogue import ENGLISH, Catalogue


class Compared(NamedTuple):
    """How a detection compares with the annotations.

    Attributes:
        kind: What became of it; the value of a ``Kind``.
        style: How it looks.
        word: In a word.
        sentence: In a sentence.
    """

    kind: str
    style: str
    word: str
    sentence: str


def compared(record: Record, row: int, words: Catalogue = ENGLISH) -> Compared | None:
    """What the annotations say of a detection; None if the image is not annotated."""
    if record.outcome is None:
        return None
    fate = record.outcome.fates[row]
    style = {True: "right", False: "wrong", None: "not-judged"}[fate.right]
    return Compared(
        fate.kind.value, style, words.say(f"fate.{fate.kind.value}"), fate_sentence(fate, words)
    )


_FOUND = (Kind.WRONG_NAME, Kind.BADLY_PLACED, Kind.BOTH)
"""Kinds of detections whose object another detection can have found."""


def fate_sentence(fate: Fate, words: Catalogue = ENGLISH) -> str:
    """What the annotations say of a detection."""
    kind, number = fate.kind.value, 0 if fate.of is None else fate.of + 1
    values = {"name": fate.name, "iou": fate.iou or 0.0, "number": number}
    if number and fate.kind in _FOUND:
        return words.say(f"fate.{kind}_found", **values)
    return words.say(f"fate.{kind}_said", **values)


def parts_of(record: Record, row: int) -> PartsFound | None:
    """Where on its object the evidence for a detection lies; None where that is not known."""
    return record.parts[row] if record.parts else None


def part_lines(found: PartsFound, words: Catalogue = ENGLISH) -> list[str]:
    """A line for each part."""
    return [
        words.say("parts.line", part=part.name, share=part.share, chance=part.chance)
        if not math.isnan(part.share)
        else words.say("parts.none", part=part.name)
        for part in found.shares
    ]


def missed_words(
    item: Missed, outcome: Outcome, detections: Detections, words: Catalogue = ENGLISH
) -> str:
    """A missed object and the detection beside it, if there is one."""
    if item.beside is None:
        return item.name
    number = item.beside + 1
    if outcome.fates[item.beside].kind is Kind.BADLY_PLACED:
        return words.say("fate.missed_placed", name=item.name, number=number)
    other = detections.target(item.beside).name
    return words.say("fate.missed_named", name=item.name, number=number, other=other)


def outcome_words(records: Iterable[Record], words: Catalogue = ENGLISH) -> str:
    """How many detections the annotations confirm; empty if no image is annotated."""
    known = [record.outcome for record in records if record.outcome is not None]
    if not known:
        return ""
    fates = [fate for outcome in known for fate in outcome.fates]
    wrong = Counter(fate.kind for fate in fates if fate.right is False)
    kinds = ", ".join(
        words.say("fate.kind", count=wrong[kind], kind=words.say(f"fate.{kind.value}"))
        for kind in Kind
        if wrong[kind]
    )
    return words.say(
        "fate.total_kinds" if kinds else "fate.total",
        right=sum(fate.kind is Kind.RIGHT for fate in fates),
        wrong=wrong.total(),
        kinds=kinds,
        missed=sum(len(outcome.missed) for outcome in known),
    )
