"""What the annotations say of detections and of missed objects, in words.

Detections are numbered from 1, as in the report.
"""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from xai_detect.output.folder.records import Record
from xai_detect.values.detections import Detections
from xai_detect.values.truth import Fate, Kind, Missed, Outcome

_WORDS = {
    Kind.RIGHT: "right",
    Kind.DUPLICATE: "duplicate",
    Kind.WRONG_NAME: "wrong name",
    Kind.BADLY_PLACED: "badly placed",
    Kind.BOTH: "badly placed, wrong name",
    Kind.BACKGROUND: "nothing there",
    Kind.IGNORED: "not judged",
}


class Compared(NamedTuple):
    """How a detection compares with the annotations.

    Attributes:
        style: How it looks.
        word: In a word.
        sentence: In a sentence.
    """

    style: str
    word: str
    sentence: str


def compared(record: Record, row: int) -> Compared | None:
    """What the annotations say of a detection; None if the image is not annotated."""
    if record.outcome is None:
        return None
    fate = record.outcome.fates[row]
    style = {True: "right", False: "wrong", None: "not-judged"}[fate.right]
    return Compared(style, _WORDS[fate.kind], fate_sentence(fate))


def fate_sentence(fate: Fate) -> str:
    """What the annotations say of a detection."""
    number = 0 if fate.of is None else fate.of + 1
    overlap = f"it overlaps the annotated {fate.name} by {100 * (fate.iou or 0):.0f} %"
    found = f"; detection {number} found it" if number else ""
    match fate.kind:
        case Kind.RIGHT:
            return f"Right: annotated as {fate.name}."
        case Kind.DUPLICATE:
            return f"A second box for the item of detection {number}."
        case Kind.WRONG_NAME:
            return f"Wrong name: annotated as {fate.name}{found}."
        case Kind.BADLY_PLACED:
            return f"Badly placed: {overlap}{found}."
        case Kind.BOTH:
            return f"Badly placed and of another name: {overlap}{found}."
        case Kind.BACKGROUND:
            return "Nothing is annotated here."
        case Kind.IGNORED:
            return "The annotations do not say what is here."


def missed_words(item: Missed, outcome: Outcome, detections: Detections) -> str:
    """A missed object and the detection beside it, if there is one."""
    if item.beside is None:
        return item.name
    if outcome.fates[item.beside].kind is Kind.BADLY_PLACED:
        return f"{item.name} (detection {item.beside + 1} is badly placed)"
    name = detections.target(item.beside).name
    return f"{item.name} (detection {item.beside + 1} calls it {name})"


def outcome_words(records: Iterable[Record]) -> str:
    """How many detections the annotations confirm; empty if no image is annotated."""
    known = [record.outcome for record in records if record.outcome is not None]
    if not known:
        return ""
    fates = [fate for outcome in known for fate in outcome.fates]
    wrong = Counter(fate.kind for fate in fates if fate.right is False)
    kinds = ", ".join(f"{wrong[kind]} {_WORDS[kind]}" for kind in Kind if wrong[kind])
    right = sum(fate.kind is Kind.RIGHT for fate in fates)
    missed = sum(len(outcome.missed) for outcome in known)
    return f"{right} right, {wrong.total()} wrong{f' ({kinds})' if kinds else ''}, {missed} missed"
