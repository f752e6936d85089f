"""Evidence in words: what each number is called, its unit, and what chance would give."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from xai_detect.output.folder.records import Record
from xai_detect.values.findings import Evidence


class Line(NamedTuple):
    """One number as a person reads it.

    Attributes:
        name: What was measured.
        value: The number with its unit, or "not measured".
        chance: What the same measurement gives by chance, empty if there is no such thing.
    """

    name: str
    value: str
    chance: str


class _Kind(NamedTuple):
    name: str
    unit: str
    chance: str = ""  # the evidence that holds the chance level, or a fixed text


_NAMES = {
    "inside": _Kind("Evidence in the box", "share", "chance_inside"),
    "ring": _Kind("Evidence in the ring just around the box", "share"),
    "outside": _Kind("Evidence further away", "share"),
    "lift": _Kind("Evidence in the box, against boxes elsewhere", "times", "1.0 times"),
    "percentile": _Kind("Boxes of this size elsewhere that hold less", "share", "50 %"),
    "box_share": _Kind("Share of the image that the box covers", "share"),
    "score": _Kind("Confidence in the whole image", "number"),
    "without_box": _Kind("Confidence with the box's content removed", "number"),
    "box_only": _Kind("Confidence from the box alone", "number"),
    "box_only_least": _Kind("The same, in the worse of two fillings", "number"),
    "context_only": _Kind("Confidence from the surroundings alone", "number"),
    "without_outside": _Kind(
        "Confidence with the strongest outside evidence removed", "number", "without_elsewhere"
    ),
    "necessity": _Kind("Confidence lost without the box", "share"),
    "sufficiency": _Kind("Confidence kept by the box alone", "share"),
    "outside_effect": _Kind("Confidence lost without the outside evidence", "share", "0 %"),
    "rival": _Kind("Confidence of the runner-up in the same box", "number"),
    "rival_box_only": _Kind("Confidence of the runner-up, box alone", "number"),
    "margin": _Kind("Lead over the runner-up, in log-odds", "number"),
    "margin_box_only": _Kind("Lead over the runner-up, box alone, in log-odds", "number"),
    "margin_without_outside": _Kind(
        "Lead over the runner-up without the strongest evidence outside, in log-odds", "number"
    ),
    "completeness_error": _Kind("Part of the score that the map misses", "share"),
    "repeatability": _Kind("Similarity of the map after a tiny shift (1 = same)", "number"),
    "trust": _Kind("Number to rank by", "number"),
    "forward_passes": _Kind("Forward passes", "count"),
}

_METHOD_NAMES = {
    "completeness_error": _Kind("part of the score that it misses", "share"),
    "score": _Kind("score of the image", "number"),
    "baseline_score": _Kind("score of the baseline", "number"),
    "steps": _Kind("steps", "count"),
    "forward_passes": _Kind("forward passes", "count"),
    "backward_passes": _Kind("backward passes", "count"),
    "seconds": _Kind("seconds", "number"),
}

_SILENT = frozenset(
    {"chance_inside", "without_elsewhere", "input_level", "rival_label", "rival_box_label"}
)
"""Shown beside another number, or as a word, or not for people."""

_RIVALS = {"rival": "rival_name", "rival_box_only": "rival_box_name"}
"""Evidence about a class that is named beside it."""


def evidence_lines(evidence: Evidence) -> Iterator[Line]:
    """The evidence for one detection, best known numbers first."""
    for key, line in _lines(evidence, _NAMES):
        rival = evidence.words.get(_RIVALS.get(key, ""))
        yield line._replace(name=f"{line.name} ({rival})") if rival else line


def method_words(measured: Mapping[str, float]) -> str:
    """What the method measured on the way, as one phrase."""
    return ", ".join(f"{line.name} {line.value}" for _, line in _lines(measured, _METHOD_NAMES))


def _lines(values: Mapping[str, float], names: Mapping[str, _Kind]) -> Iterator[tuple[str, Line]]:
    """Named numbers, each with its words; a name that is not known here stays as it is."""
    order = [name for name in names if name in values]
    order += [name for name in values if name not in names and name not in _SILENT]
    for name in order:
        kind = names.get(name) or _Kind(name.replace("_", " "), "number")
        chance = kind.chance
        if chance in _SILENT:
            chance = worded(values.get(chance, math.nan), kind.unit)
        yield name, Line(kind.name, worded(values[name], kind.unit), chance)


def worded(value: float, unit: str) -> str:
    """A number with its unit: ``share``, ``times``, ``count`` or ``number``."""
    if math.isnan(value):
        return "not measured"
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    match unit:
        case "share":
            return f"{100 * value:.0f} %"
        case "times":
            return f"{value:.1f} times"
        case "count":
            return f"{value:.0f}"
    return "under 0.01" if 0 < value < 0.005 else f"{value:.2f}"


def outcome_words(records: Iterable[Record]) -> str:
    """How many detections the annotations confirm; empty if no image is annotated."""
    known = [one.outcome for one in records if one.outcome is not None]
    if not known:
        return ""
    right = sum(one.right.count(True) for one in known)
    wrong = sum(one.right.count(False) for one in known)
    missed = sum(len(one.missed) for one in known)
    return f"{right} right, {wrong} wrong, {missed} missed"
