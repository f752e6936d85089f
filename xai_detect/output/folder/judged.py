"""What a run folder says about one detection, to JSON and back: verdict, evidence, maps, question.

Everything read back is checked like any other input: a run folder may come from a stranger.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from xai_detect.values.boxes import Size
from xai_detect.values.findings import (
    Answer,
    Asked,
    Evidence,
    Explanation,
    Inspection,
    Level,
    Verdict,
)
from xai_detect.values.json import (
    Json,
    as_box,
    as_list,
    as_mapping,
    as_number,
    as_numbers,
    as_text,
    as_whole,
    number,
    numbers_to_json,
    plain,
)

KINDS = ("detected", "class", "between", "added")
"""Maps that a detection can have: why detected, why this class, why this class and not the
annotated one, and by the method asked for."""

TESTS = ("reason", "presence", "name", "swap")
"""Words of the evidence that are answers."""


def maps_of(inspection: Inspection) -> dict[str, tuple[Explanation | None, ...]]:
    """The maps of an image by ``KINDS``, one entry per detection."""
    return {
        "detected": inspection.explanations,
        "class": inspection.contrasts,
        "between": inspection.between or (None,) * len(inspection.detections),
        "added": inspection.added,
    }


@dataclass(frozen=True, slots=True, eq=False)
class Making:
    """How a map was made.

    Attributes:
        method: Name of the method.
        settings: Its hyper-parameters.
        measured: What it measured on the way.
        content_size: ``(height, width)`` at which the network saw the image, in pixels; None where
            that is not known.
    """

    method: str
    settings: Mapping[str, object]
    measured: Mapping[str, float]
    content_size: Size | None


def making_to_json(made: Explanation | Making | None) -> dict[str, Json] | None:
    """How a map was made; None where there is none."""
    if made is None:
        return None
    return {
        "method": made.method,
        "settings": plain(made.settings),
        "measured": numbers_to_json(made.measured),
        "content_size": None if made.content_size is None else list(made.content_size),
    }


def making_from_json(content: object) -> Making | None:
    """Read back how a map was made; builtin errors say what is wrong."""
    if content is None:
        return None
    known = as_mapping(content)
    return Making(
        as_text(known["method"]),
        as_mapping(known["settings"]),
        as_numbers(known["measured"]),
        _content_size(known["content_size"]),
    )


def _content_size(content: object) -> Size | None:
    if content is None:
        return None
    height, width = map(as_whole, as_list(content))
    if height < 1 or width < 1:
        raise ValueError(f"a network that saw {height} x {width} pixels")
    return height, width


def verdict_to_json(verdict: Verdict) -> dict[str, Json]:
    """A verdict, whole."""
    return {
        "level": verdict.level.value,
        "reason": verdict.reason.value,
        "cause": verdict.cause,
        "sentence": verdict.sentence,
        "numbers": verdict.numbers,
        "unmeasured": list(verdict.unmeasured),
    }


def verdict_from_json(content: object) -> Verdict:
    """Read a verdict back; builtin errors say what is wrong."""
    known = as_mapping(content)
    return Verdict(
        level=Level(as_text(known["level"])),
        reason=Answer(as_text(known["reason"])),
        cause=as_text(known["cause"]),
        sentence=as_text(known["sentence"]),
        numbers=as_text(known["numbers"]),
        unmeasured=tuple(as_text(name) for name in as_list(known["unmeasured"])),
    )


def judged_to_json(verdict: Verdict, evidence: Evidence) -> dict[str, Json]:
    """The verdict, and beside it what other programs ask for first."""
    return {
        "verdict": verdict_to_json(verdict),
        "probability": number(evidence.get("probability", math.nan)),
        "reason": verdict.reason.value,
        **{test: evidence.answer(test).value for test in TESTS[1:]},
        "evidence_outside": evidence.outside,
    }


def outside(evidence: Evidence) -> bool | None:
    """Whether a map shows evidence outside; None where that is unmeasured."""
    return evidence.outside


def evidence_to_json(evidence: Evidence) -> dict[str, Json]:
    """Numbers, words and places."""
    return {
        "evidence": numbers_to_json(evidence),
        "words": dict(evidence.words),
        "places": {name: list(map(list, found)) for name, found in evidence.places.items()},
    }


def evidence_from_json(row: Mapping[str, object]) -> Evidence:
    """Read numbers, words and places back; builtin errors say what is wrong."""
    words = {name: as_text(word) for name, word in as_mapping(row["words"]).items()}
    places = {
        name: tuple(as_box(box) for box in as_list(found))
        for name, found in as_mapping(row["places"]).items()
    }
    if not all(math.isfinite(side) for found in places.values() for box in found for side in box):
        raise ValueError("a place without an end")
    evidence = Evidence(as_numbers(row["evidence"]), words, places)
    for test in TESTS:
        evidence.answer(test)  # refuses what is no answer
    return evidence


def asked_to_json(asked: Asked | None) -> dict[str, Json] | None:
    """What became of the class that was asked about; None where none was."""
    if asked is None:
        return None
    return {
        "name": asked.name,
        "supported": asked.supported,
        "score": number(asked.score),
        "sentence": asked.sentence,
    }


def asked_from_json(content: object) -> Asked | None:
    """Read it back; builtin errors say what is wrong."""
    if content is None:
        return None
    known = as_mapping(content)
    supported = known["supported"]
    if not isinstance(supported, bool):
        raise TypeError(f"{type(supported).__name__} where true or false belongs")
    return Asked(
        as_text(known["name"]), supported, as_number(known["score"]), as_text(known["sentence"])
    )
