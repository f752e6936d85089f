"""The three levels, each with a shape and a colour beside its word, so that no cue stands alone."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from xai_detect.output.drawing.strokes import Colour
from xai_detect.values.boxes import Box
from xai_detect.values.findings import Answer, Evidence, Level, Verdict
from xai_detect.words.catalogue import ENGLISH, Catalogue


@dataclass(frozen=True, slots=True)
class State:
    """How one level looks; its word stands in the catalogue.

    Attributes:
        mark: A character with a shape of its own.
        colour: Readable on white (contrast at least 4.5:1) and apart for colour-blind readers.
    """

    mark: str
    colour: Colour


STATES = {
    Level.UNTRUSTED: State("✖", (168, 62, 0)),
    Level.UNCERTAIN: State("?", (92, 92, 92)),
    Level.TRUSTED: State("✔", (0, 94, 148)),
}
"""The most urgent first."""


def level_word(level: Level, words: Catalogue = ENGLISH) -> str:
    """A level's own name, the same everywhere in a language."""
    return words.say(f"level.{level.value}")


def tally(verdicts: Iterable[Verdict]) -> list[tuple[Level, int]]:
    """How many verdicts have which level, in the order of ``STATES``; none are left out."""
    counts = Counter(verdict.level for verdict in verdicts)
    return [(level, counts[level]) for level in STATES if counts[level]]


def map_refusal(evidence: Evidence, words: Catalogue = ENGLISH) -> str | None:
    """Why the two maps of a detection must not be shown as evidence; None if they may."""
    found = evidence.words.get("map", "none")
    if found == "reliable":
        return None
    return words.say("map.none" if found == "none" else "map.unreliable")


DECIDING = ("presence", "name")
"""Tests that look for a place."""


def deciding(verdict: Verdict, evidence: Evidence) -> list[tuple[str, Box]]:
    """Places in the surroundings that decide a detection, in image pixels, each with its test."""
    if verdict.reason is not Answer.SURROUNDINGS:
        return []
    return [
        (test, box)
        for test in DECIDING
        if evidence.answer(test) is Answer.SURROUNDINGS
        for box in evidence.places.get(test, ())
    ]
