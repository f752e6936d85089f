"""A detection in words: numbers with their units and chance levels, answers, places."""

import math
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import NamedTuple

from xai_detect.output.drawing.states import deciding, map_refusal
from xai_detect.output.folder.judged import TESTS, Making, outside
from xai_detect.output.folder.records import Record
from xai_detect.values.boxes import Box
from xai_detect.values.detections import Target
from xai_detect.values.findings import Evidence, Verdict
from xai_detect.words.catalogue import ENGLISH, Catalogue


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
    unit: str
    chance: str = ""  # the evidence that holds the chance level


_KINDS = {
    "score": _Kind("number"),
    "probability": _Kind("number"),
    "share_right": _Kind("share"),
    "margin": _Kind("number"),
    "presence_first": _Kind("share"),
    "presence_second": _Kind("share"),
    "presence_hidden": _Kind("share", "presence_placebo"),
    "presence_restored": _Kind("share"),
    "name_box": _Kind("share"),
    "name_hidden": _Kind("share", "name_placebo"),
    "name_seen": _Kind("share"),
    "swapped": _Kind("count"),
    "renamed": _Kind("count"),
    "completeness_error": _Kind("share"),
    "settled": _Kind("share"),
    "repeatability": _Kind("number"),
    "box_share": _Kind("share"),
    "test_passes": _Kind("count"),
    "map_passes": _Kind("count"),
}

_SHARES = {
    "box": _Kind("share"),
    "ring": _Kind("share"),
    "outside": _Kind("share"),
    "elsewhere": _Kind("share"),
    "ratio": _Kind("times"),
    "gathered": _Kind("share"),
}

_ELSEWHERE = frozenset(
    {"presence_placebo", "name_placebo", "evidence_outside"}
    | {f"{kind}_{name}" for kind in ("detected", "class") for name in _SHARES}
)
"""Shown beside another number, in another table, or as a word."""

_PLACES = frozenset({"presence", "name", "map"})

_MAKING = {
    "completeness_error": _Kind("share"),
    "score": _Kind("number"),
    "baseline_score": _Kind("number"),
    "steps": _Kind("count"),
    "forward_passes": _Kind("count"),
    "backward_passes": _Kind("count"),
    "seconds": _Kind("number"),
}


def evidence_lines(evidence: Evidence, words: Catalogue = ENGLISH) -> Iterator[Line]:
    """The numbers of one detection, best known first, without the shares of its maps."""
    rival = evidence.words.get("rival")
    for key, line in _lines(evidence, _KINDS, "measured", words):
        named = key == "margin" and rival
        yield line._replace(name=words.say("measured.margin_over", rival=rival)) if named else line


def share_lines(evidence: Evidence, words: Catalogue = ENGLISH) -> Iterator[tuple[str, str, str]]:
    """Where the evidence lies: what, by the map *why detected*, by the map *why this class*."""
    for name, kind in _SHARES.items():
        detected, of_class = (
            worded(evidence.get(f"{which}_{name}", math.nan), kind.unit, words)
            for which in ("detected", "class")
        )
        yield words.say(f"region.{name}"), detected, of_class


def judged_lines(
    verdict: Verdict, evidence: Evidence, words: Catalogue = ENGLISH
) -> Iterator[tuple[str, str]]:
    """What stands right below a verdict's sentence and numbers."""
    fitted = _fitted(evidence, words)
    probability = worded(evidence.get("probability", math.nan), "number", words)
    told = words.say("card.fitted", probability=probability, fitted=fitted)
    yield words.say("card.probability"), told
    answers = {
        test: words.say(f"answer.{evidence.answer(test).value}")
        for test in ("presence", "name", "swap")
    }
    reason = words.say(f"answer.{verdict.reason.value}")
    yield words.say("card.decides"), words.say("card.decides_by_test", reason=reason, **answers)
    yield words.say("card.outside"), words.say(f"outside.{OUTSIDE[outside(evidence)]}")
    yield words.say("card.maps"), map_refusal(evidence, words) or words.say("map.reliable")


def _fitted(evidence: Evidence, words: Catalogue) -> str:
    """What the probability was fitted on."""
    found = evidence.words.get("fitted")
    if found == "shipped" and "data" in evidence.words and "share_right" in evidence:
        return words.say("numbers.shipped", **evidence.words, **evidence)
    return words.say("card.unfitted") if found in (None, "", "shipped") else found


OUTSIDE = {True: "yes", False: "no", None: "unmeasured"}
"""Whether a map shows evidence outside, by names of words."""


def place_lines(
    verdict: Verdict, evidence: Evidence, words: Catalogue = ENGLISH
) -> Iterator[tuple[str, str]]:
    """Places in the surroundings, in image pixels: who found it, and where it lies."""
    decides = {box for _, box in deciding(verdict, evidence)}
    for name, found in evidence.places.items():
        for box in found:
            said = "place_decides" if name in TESTS and box in decides else "place_at"
            who = words.say(f"card.place_{name}") if name in _PLACES else name
            yield who, words.say(f"card.{said}", **_sides(box))


def _sides(box: Box) -> dict[str, int]:
    return dict(zip(("x1", "y1", "x2", "y2"), map(round, box), strict=True))


def making_words(made: Making, words: Catalogue = ENGLISH) -> str:
    """How a map was made, as one phrase: the method, and what it measured on the way."""
    lines = _lines(made.measured, _MAKING, "making", words)
    measured = [f"{line.name} {line.value}" for _, line in lines]
    return ", ".join([made.method, *measured])


def _lines(
    values: Mapping[str, float], kinds: Mapping[str, _Kind], table: str, words: Catalogue
) -> Iterator[tuple[str, Line]]:
    """Named numbers, each with its words; a name that is not known here stays as it is."""
    order = [name for name in kinds if name in values]
    order += [name for name in values if name not in kinds and name not in _ELSEWHERE]
    for name in order:
        kind = kinds.get(name) or _Kind("number")
        said = words.say(f"{table}.{name}") if name in kinds else name.replace("_", " ")
        chance = values.get(kind.chance, math.nan) if kind.chance else None
        yield (
            name,
            Line(
                said,
                worded(values[name], kind.unit, words),
                "" if chance is None else worded(chance, kind.unit, words),
            ),
        )


def worded(value: float, unit: str, words: Catalogue = ENGLISH) -> str:
    """A number with its unit: ``share``, ``times``, ``count`` or ``number``."""
    if math.isnan(value):
        return words.say("value.unmeasured")
    if math.isinf(value):
        return words.say("value.infinite" if value > 0 else "value.minus_infinite")
    if unit == "number" and 0 < value < 0.005:
        return words.say("value.tiny")
    return words.say(f"value.{unit}", value=value)


def unmeasured_names(verdict: Verdict, words: Catalogue = ENGLISH) -> str:
    """What was asked for and is not there, by name; empty if nothing is missing."""
    return ", ".join(
        words.known("measured", name, name.replace("_", " ")) for name in verdict.unmeasured
    )


def alternative_text(
    target: Target, record: Record, shown: bool, words: Catalogue = ENGLISH
) -> str:
    """The picture of a detection for those who cannot see it."""
    where = words.say("card.where", file=base_name(record), **_sides(target.box))
    if not shown:
        return words.say("card.alt_no_map", where=where)
    return words.say("card.alt", where=where, **{"class": target.name})


def base_name(record: Record) -> str:
    """The file's own name without folders."""
    return PurePath(record.source.replace("\\", "/")).name or record.source
