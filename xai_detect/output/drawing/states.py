"""The three answers, each with a shape, a word and a colour, so that no cue stands alone."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from xai_detect.output.drawing.strokes import Colour
from xai_detect.trust.verdict import MAP_CHECKS
from xai_detect.values.findings import Level, Verdict


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

_NOT_CLAIMED = replace(STATES[Level.UNTRUSTED], word="not supported")


def state_of(verdict: Verdict) -> State:
    """How a verdict looks; a class that the detector does not claim relies on nothing."""
    if any(reason.check == "claim" for reason in verdict.reasons):
        return _NOT_CLAIMED
    return STATES[verdict.level]


def tally(verdicts: Iterable[Verdict]) -> list[tuple[State, int]]:
    """How many verdicts look how, the most urgent first; looks that do not occur are left out."""
    counts = Counter(state_of(verdict) for verdict in verdicts)
    order = (STATES[Level.UNTRUSTED], _NOT_CLAIMED, STATES[Level.UNCERTAIN], STATES[Level.TRUSTED])
    return [(state, counts[state]) for state in order if counts[state]]


def map_refusal(verdict: Verdict) -> str | None:
    """Why the map must not be shown as evidence; None if it may."""
    if verdict.level is not Level.UNCERTAIN:
        return None
    for reason in verdict.reasons:
        if reason.check in MAP_CHECKS:
            return reason.sentence
    return None
