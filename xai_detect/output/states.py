"""The three answers, each with a shape, a word and a colour, so that no cue stands alone."""

from dataclasses import dataclass

from xai_detect.output.drawing import Colour
from xai_detect.types import Level, Verdict

RELIABILITY_CHECKS = frozenset({"map_empty", "map_completeness", "map_repeatability", "map_kind"})
"""Checks of the map itself: a map that failed one is not shown as evidence."""


@dataclass(frozen=True, slots=True)
class State:
    """How one level looks.

    Attributes:
        mark: A character with a shape of its own.
        word: What it says.
        colour: Readable on white (contrast at least 4.5:1) and apart for colour-blind readers.
    """

    mark: str
    word: str
    colour: Colour


STATES = {
    Level.TRUSTED: State("✔", "supported", (0, 94, 148)),
    Level.UNCERTAIN: State("?", "uncertain", (92, 92, 92)),
    Level.UNTRUSTED: State("✖", "relies on surroundings", (168, 62, 0)),
}


def map_refusal(verdict: Verdict) -> str | None:
    """Why the map must not be shown as evidence; None if it may."""
    if verdict.level is not Level.UNCERTAIN:
        return None
    for reason in verdict.reasons:
        if reason.check in RELIABILITY_CHECKS:
            return reason.sentence
    return None
