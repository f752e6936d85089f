"""The report in words: numbers with their units and chance levels, sentences, facts of the run."""

import math
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

from xai_detect.output.drawing.states import deciding, map_refusal
from xai_detect.output.folder.judged import TESTS, Making, outside
from xai_detect.output.folder.load import Run
from xai_detect.output.folder.records import Record
from xai_detect.values.detections import Target
from xai_detect.values.findings import Answer, Evidence, Verdict
from xai_detect.values.json import plain


class Line(NamedTuple):
    """One number as a person reads it.

    Attributes:
        name: What was measured.
        value: The number with its unit, or "not measured".
        chance: What the same measurement gives elsewhere, empty if there is no such thing.
    """

    name: str
    value: str
    chance: str


class _Kind(NamedTuple):
    name: str
    unit: str
    chance: str = ""  # the evidence that holds the chance level


_NAMES = {
    "score": _Kind("Confidence that was reported", "number"),
    "probability": _Kind("Probability that it is right", "number"),
    "margin": _Kind("Lead over the runner-up, in log-odds", "number"),
    "presence_first": _Kind("Score kept by box and ring alone, first fill", "share"),
    "presence_second": _Kind("The same, second fill", "share"),
    "presence_hidden": _Kind(
        "Score kept without the place that decides", "share", "presence_placebo"
    ),
    "presence_restored": _Kind("Score kept by the box and that place alone", "share"),
    "name_box": _Kind("Lead kept by box and ring alone", "share"),
    "name_hidden": _Kind("Lead kept without the strongest region outside", "share", "name_placebo"),
    "name_seen": _Kind("Score that some class keeps without that region", "share"),
    "swapped": _Kind("Other images whose surroundings were tried", "count"),
    "renamed": _Kind("In so many of them it took another class", "count"),
    "completeness_error": _Kind("Part of the score that the worse map misses", "share"),
    "settled": _Kind("Change of a share when a map is read from half of its steps", "share"),
    "repeatability": _Kind("Similarity of the map after a tiny shift (1 = same)", "number"),
    "box_share": _Kind("Share of the image that the box covers", "share"),
    "test_passes": _Kind("Forward passes of the tests", "count"),
    "map_passes": _Kind("Forward passes of the maps", "count"),
}

_SHARES = {
    "box": _Kind("In the box", "share"),
    "ring": _Kind("In the ring just around it", "share"),
    "outside": _Kind("Further away", "share"),
    "elsewhere": _Kind("In the best region of that size elsewhere", "share"),
    "ratio": _Kind("That region, against box and ring", "times"),
}

_ELSEWHERE = frozenset(
    {"presence_placebo", "name_placebo", "evidence_outside"}
    | {f"{kind}_{name}" for kind in ("detected", "class") for name in _SHARES}
)
"""Shown beside another number, in another table, or as a word."""

DECIDES = {
    Answer.OBJECT: "the object",
    Answer.SURROUNDINGS: "its surroundings",
    Answer.UNCLEAR: "neither could be shown",
    Answer.UNMEASURED: "not measured",
}

UNFITTED = "not calibrated for this detector"
"""Said of a probability that was fitted on nothing known."""

_PLACES = {
    "presence": "Looked at by the presence test",
    "name": "Looked at by the class test",
    "map": "Strongest evidence of the maps outside",
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


def evidence_lines(evidence: Evidence) -> Iterator[Line]:
    """The numbers of one detection, best known first, without the shares of its maps."""
    rival = evidence.words.get("rival")
    for key, line in _lines(evidence, _NAMES):
        named = key == "margin" and rival
        yield line._replace(name=f"{line.name} ({rival})") if named else line


def share_lines(evidence: Evidence) -> Iterator[tuple[str, str, str]]:
    """Where the evidence lies: what, by the map *why detected*, by the map *why this class*."""
    for name, kind in _SHARES.items():
        detected, of_class = (
            worded(evidence.get(f"{which}_{name}", math.nan), kind.unit)
            for which in ("detected", "class")
        )
        yield kind.name, detected, of_class


def judged_lines(verdict: Verdict, evidence: Evidence) -> Iterator[tuple[str, str]]:
    """What stands right below a verdict's sentence and numbers."""
    fitted = evidence.words.get("fitted") or UNFITTED
    probability = worded(evidence.get("probability", math.nan), "number")
    yield "Probability that it is right", f"{probability} ({fitted})"
    tests = {"presence": "that it is reported", "name": "its class", "swap": "in other images"}
    answers = [f"{what}: {DECIDES[evidence.answer(test)]}" for test, what in tests.items()]
    yield "What decides", f"{DECIDES[verdict.reason]} ({'; '.join(answers)})"
    yield "Evidence outside", OUTSIDE[outside(evidence)]
    yield "Maps", map_refusal(evidence) or "reliable"


OUTSIDE = {True: "yes", False: "no", None: "not measured"}


def place_lines(verdict: Verdict, evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Places in the surroundings, in image pixels: who found it, and where it lies."""
    decides = {box for _, box in deciding(verdict, evidence)}
    for name, found in evidence.places.items():
        for box in found:
            x1, y1, x2, y2 = map(round, box)
            what = "; decides" if name in TESTS and box in decides else ""
            yield _PLACES.get(name, name), f"from ({x1}, {y1}) to ({x2}, {y2}){what}"


def making_words(made: Making) -> str:
    """How a map was made, as one phrase: the method, and what it measured on the way."""
    measured = [f"{line.name} {line.value}" for _, line in _lines(made.measured, _METHOD_NAMES)]
    return ", ".join([made.method, *measured])


def _lines(values: Mapping[str, float], names: Mapping[str, _Kind]) -> Iterator[tuple[str, Line]]:
    """Named numbers, each with its words; a name that is not known here stays as it is."""
    order = [name for name in names if name in values]
    order += [name for name in values if name not in names and name not in _ELSEWHERE]
    for name in order:
        kind = names.get(name) or _Kind(name.replace("_", " "), "number")
        chance = worded(values.get(kind.chance, math.nan), kind.unit) if kind.chance else ""
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


def alternative_text(target: Target, record: Record, shown: bool) -> str:
    """The picture of a detection for those who cannot see it."""
    x1, y1, x2, y2 = (round(side) for side in target.box)
    where = f"box from ({x1}, {y1}) to ({x2}, {y2}) in {base_name(record)}"
    if not shown:
        return f"The {where}. No map is shown."
    return (
        f"Why something is detected, and why {target.name}: lines around 50 % and 80 % of the "
        f"evidence, and heat; {where}."
    )


def run_facts(run: Run) -> Iterator[tuple[str, str]]:
    """What is needed to run it again."""
    header, model = run.header, run.header.provenance
    yield "Model", f"{model.name} ({model.family}), input {model.input_size}"
    yield "Weights, sha256", model.sha256 or "none: an untrained network"
    yield (
        "Images are",
        {"xray": "X-ray scans", "photo": "photographs"}.get(model.domain, model.domain),
    )
    if header.budget:
        yield "Budget", header.budget
    if header.references:
        yield "References", ", ".join(header.references)
    if header.method:
        yield "Map added by", header.method
        yield "Its settings", _listed(header.settings)
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
