"""The report in words: numbers with their units and chance levels, sentences, facts of the run."""

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

from xai_detect.output.folder.load import Run
from xai_detect.output.folder.records import Record
from xai_detect.values.detections import Target
from xai_detect.values.findings import Evidence
from xai_detect.values.json import plain


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
    known = [record.outcome for record in records if record.outcome is not None]
    if not known:
        return ""
    right = sum(outcome.right.count(True) for outcome in known)
    wrong = sum(outcome.right.count(False) for outcome in known)
    missed = sum(len(outcome.missed) for outcome in known)
    return f"{right} right, {wrong} wrong, {missed} missed"


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
    name = record.detections.target(row).name
    match record.outcome.right[row]:
        case True:
            return Compared("right", "right", f"The annotations have {name} here.")
        case False:
            return Compared("wrong", "wrong", f"The annotations have no {name} here.")
    return Compared("not-judged", "not judged", "The annotations do not say what is here.")


def alternative_text(target: Target, record: Record, shown: bool) -> str:
    """The picture of a detection for those who cannot see it."""
    x1, y1, x2, y2 = (round(side) for side in target.box)
    where = f"box from ({x1}, {y1}) to ({x2}, {y2}) in {base_name(record)}"
    if not shown:
        return f"The {where}. No map is shown."
    return f"Evidence for {target.name}: lines around 50 % and 80 % of it, and heat; {where}."


def run_facts(run: Run) -> Iterator[tuple[str, str]]:
    """What is needed to run it again."""
    header, model = run.header, run.header.provenance
    yield "Model", f"{model.name} ({model.family}), input {model.input_size}"
    yield "Weights, sha256", model.sha256 or "none: an untrained network"
    yield (
        "Images are",
        {"xray": "X-ray scans", "photo": "photographs"}.get(model.domain, model.domain),
    )
    yield "Explained by", header.method or "nothing was explained"
    yield "Settings", _listed(header.settings)
    yield (
        "Lowest confidence",
        "unknown" if math.isnan(header.confidence) else str(header.confidence),
    )
    if header.asked:
        yield "Asked about", f"{header.asked}, in every box"
    if header.limits:
        yield "Limits of the policy", _listed(header.limits)
    if header.options:
        yield "Further options", _listed(header.options)
    yield "Finished", _moment(run.finished) + ("" if run.status == "done" else f" ({run.status})")
    for session in run.sessions[-1:]:
        yield "Command", str(session.get("command") or "none recorded")
        yield "Versions", _listed(session.get("versions", {}))


def _listed(values: Any) -> str:
    if not isinstance(values, Mapping):
        return str(plain(values))
    parts = []
    for name, value in values.items():
        text = f"({_listed(value)})" if isinstance(value, Mapping) else str(value)
        parts.append(f"{name} {text}")
    return ", ".join(parts) or "none"


def _moment(text: str) -> str:
    return text.replace("T", " ").replace("+00:00", " UTC")


def base_name(record: Record) -> str:
    """The file's own name without folders."""
    return PurePath(record.source.replace("\\", "/")).name or record.source
