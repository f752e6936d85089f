"""From numbers to a verdict: what decides, does the map agree, is it likely to be right?

UNTRUSTED: the surroundings decide. TRUSTED: the object decides by both tests, both maps agree and
are believable, and the detection is likely enough to be right. Everything else is UNCERTAIN, each
for a reason of its own. What could not be measured never counts as passed.
"""

import math

from xai_detect.trust.evidence import NAMES
from xai_detect.trust.policy import DEFAULT_POLICY, Policy
from xai_detect.trust.wording import numbers, sentence
from xai_detect.values.findings import Answer, Evidence, Level, Verdict

NEEDED = ("probability", "evidence_outside", "completeness_error", "settled")
"""Numbers without which nothing is TRUSTED."""


def judge(evidence: Evidence, policy: Policy = DEFAULT_POLICY, language: str = "en") -> Verdict:
    """Hold the evidence for one detection against a policy.

    A missing or NaN number is reported as unmeasured: it can keep a verdict from ``TRUSTED`` and
    can never raise one.

    Args:
        evidence: What was measured.
        policy: The limits.
        language: Of the sentences; see ``words.catalogue``.
    """
    level, cause = _level(evidence, policy)
    return Verdict(
        level=level,
        reason=evidence.answer("reason"),
        cause=cause,
        sentence=sentence(evidence, level, cause, language),
        numbers=numbers(evidence, language),
        unmeasured=tuple(name for name in NAMES if math.isnan(evidence.get(name, math.nan))),
    )


def _level(evidence: Evidence, policy: Policy) -> tuple[Level, str]:
    reason = evidence.answer("reason")
    if reason is Answer.SURROUNDINGS:
        return Level.UNTRUSTED, _surroundings(evidence)
    doubt = _undecided(evidence) if reason is not Answer.OBJECT else _doubt(evidence, policy)
    if doubt:
        return Level.UNCERTAIN, doubt
    return Level.TRUSTED, "object_one_class" if _one_class(evidence) else "object"


def _one_class(evidence: Evidence) -> bool:
    return evidence.words.get("name_stage") == "one_class"


def _surroundings(evidence: Evidence) -> str:
    if evidence.answer("presence") is Answer.SURROUNDINGS:
        return "presence"
    stages = {"hide": "name_hidden", "swap": "name_swapped", "map": "map_hidden"}
    return stages.get(evidence.words.get("name_stage", ""), "map_hidden")


def _undecided(evidence: Evidence) -> str:
    """Why neither object nor surroundings could be shown to decide."""
    stages = {evidence.words.get(f"{test}_stage", "") for test in ("presence", "name")}
    for stage in ("no_surroundings", "not_searched", "another_leads"):
        if stage in stages:
            return stage
    if evidence.answer("presence") is Answer.UNCLEAR:
        return "presence_unclear"
    if evidence.answer("name") is Answer.UNCLEAR:
        return "name_unclear"
    return "sealed" if "no_raw_predictions" in stages else "unmeasured"


def _doubt(evidence: Evidence, policy: Policy) -> str:
    """What keeps a detection that its object decides from being TRUSTED; empty if nothing does."""
    limits = policy.limits
    if evidence.get("evidence_outside") == 1:
        return "map_disagrees"
    match evidence.words.get("map"):
        case "reliable":
            pass
        case "unreliable":
            return "map_unreliable"
        case _:
            return "no_map"
    if not all(math.isfinite(evidence.get(name, math.nan)) for name in NEEDED[1:]):
        return "map_unreliable"
    probability = evidence.get("probability", math.nan)
    if math.isnan(probability):
        return "no_probability"
    return "" if probability >= limits["probability"] else "low_probability"
