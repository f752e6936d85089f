"""The three levels, each with a shape and a colour beside its word, so that no cue stands alone."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from xai_detect.output.drawing.strokes import Colour
from xai_detect.values.boxes import Box
from xai_detect.values.findings import Answer, Evidence, Level, Verdict


@dataclass(frozen=True, slots=True)
class State:
    """How one level looks.

    Attributes:
        mark: A character with a shape of its own.
        word: The level's own name, the same everywhere.
        colour: Readable on white (contrast at least 4.5:1) and apart for colour-blind readers.
    """

    mark: str
    word: str
    colour: Colour


STATES = {
    Level.UNTRUSTED: State("✖", "UNTRUSTED", (168, 62, 0)),
    Level.UNCERTAIN: State("?", "UNCERTAIN", (92, 92, 92)),
    Level.TRUSTED: State("✔", "TRUSTED", (0, 94, 148)),
}
"""The most urgent first."""


def tally(verdicts: Iterable[Verdict]) -> list[tuple[State, int]]:
    """How many verdicts have which level, in the order of ``STATES``; none are left out."""
    counts = Counter(verdict.level for verdict in verdicts)
    return [(state, counts[level]) for level, state in STATES.items() if counts[level]]


NO_MAP = "no map at this budget"


def map_refusal(evidence: Evidence) -> str | None:
    """Why the two maps of a detection must not be shown as evidence; None if they may."""
    match evidence.words.get("map", "none"):
        case "reliable":
            return None
        case "none":
            return NO_MAP
        case word:
            return f"map: {word}"


DECIDES = {"presence": "decides that it is reported", "name": "decides the class"}
"""Tests that look for a place, and what the place does."""


def deciding(verdict: Verdict, evidence: Evidence) -> list[tuple[str, Box]]:
    """Places in the surroundings that decide a detection, in image pixels, and what each does."""
    if verdict.reason is not Answer.SURROUNDINGS:
        return []
    return [
        (what, box)
        for test, what in DECIDES.items()
        if evidence.answer(test) is Answer.SURROUNDINGS
        for box in evidence.places.get(test, ())
    ]
