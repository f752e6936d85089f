"""A verdict in words: what to know and what to do, then the numbers behind it.

Only what was measured of this detection is said.
"""

import math
from collections.abc import Iterator

from xai_detect.values.findings import Answer, Evidence, Level
from xai_detect.words.catalogue import Catalogue, catalogue


def sentence(evidence: Evidence, level: Level, cause: str, language: str = "en") -> str:
    """What decides, what was left out, and what to look at; without a digit of its own.

    Args:
        evidence: What was measured.
        level: The verdict.
        cause: Which rule set it: a name under ``verdict``.
        language: Of the sentence.
    """
    words = catalogue(language)
    parts = [words.say(f"verdict.{cause}", **evidence.words)]
    if level is Level.TRUSTED:
        if evidence.answer("swap") is Answer.UNMEASURED and "one_class" not in cause:
            parts.append(words.say("note.not_compared"))
        if evidence.words.get("fitted") != "own":
            parts.append(words.say("note.uncalibrated"))
    domain = evidence.words.get("domain", "photo")
    parts.append(words.say(f"action.{domain}_{level.value.lower()}"))
    return " ".join(part for part in parts if part)


def numbers(evidence: Evidence, language: str = "en") -> str:
    """The numbers behind a verdict, as far as they were measured."""
    return " ".join(_numbers(evidence, catalogue(language)))


def _numbers(evidence: Evidence, words: Catalogue) -> Iterator[str]:
    both = not math.isnan(evidence.get("presence_first", math.nan))
    for name, needed in (
        ("score", ("score",)),
        ("presence", ("presence_first", "presence_second")),
        ("presence_one", () if both else ("presence_second",)),
        ("place", ("presence_hidden", "presence_restored")),
        ("margin", ("margin", "name_box")),
        ("hidden", ("name_hidden", "name_placebo")),
        ("swap", ("swapped", "renamed")),
        ("detected", ("detected_box", "detected_ring", "detected_outside")),
        ("class", ("class_box", "class_ring", "class_outside")),
    ):
        values = [evidence.get(number, math.nan) for number in needed]
        asked = name != "swap" or evidence.get("swapped", 0) > 0
        if needed and asked and all(math.isfinite(value) for value in values):
            yield words.say(f"numbers.{name}", **evidence.words, **evidence)
    if math.isfinite(evidence.get("probability", math.nan)):
        fitted = evidence.words.get("fitted", "shipped")
        calibration = words.say(f"numbers.{fitted}", **evidence.words, **evidence)
        yield words.say(
            "numbers.probability", probability=evidence["probability"], calibration=calibration
        )
