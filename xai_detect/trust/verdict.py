"""From numbers to a verdict: is the map believable, and do map and removal tests agree?

Reliability first: a map that is empty, of the wrong kind, incomplete or not repeatable gives
``UNCERTAIN``. Then two witnesses are heard. The map says where the evidence lies; the removal
tests say what the score does when parts of the image are gone. If both point to the box, the
verdict is ``TRUSTED``; if the tests say that something outside decides and the map shows evidence
there, ``UNTRUSTED``; if they disagree or something is unmeasured, ``UNCERTAIN``. Limits and
sentences are those of ``policy.toml``.
"""

import math
from dataclasses import replace

from xai_detect.trust.evidence import NAMES
from xai_detect.trust.policy import DEFAULT_POLICY, Policy
from xai_detect.values.findings import Evidence, Level, Reason, Verdict

MAP_CHECKS = ("map_kind", "map_empty", "map_completeness", "map_repeatability")
"""Checks of the map itself; a verdict with one of these among its reasons shows no map."""

READ = (
    "inside", "ring", "outside", "percentile", "repeatability", "score",
    "necessity", "sufficiency", "context_only", "outside_effect",
)  # fmt: skip
"""What every verdict needs; a number of these that is NaN is reported as unmeasured."""


def judge(evidence: Evidence, policy: Policy = DEFAULT_POLICY) -> Verdict:
    """Hold the evidence for one detection against a policy.

    A missing or NaN number is reported as unmeasured: it can lower a verdict to ``UNCERTAIN`` and
    can never raise one.
    """
    return _Case(evidence, policy).verdict()


class _Case:
    def __init__(self, evidence: Evidence, policy: Policy) -> None:
        self._evidence = evidence
        self._limits = policy.limits
        self._sentences = policy.sentences

    def verdict(self) -> Verdict:
        missing = tuple(name for name in READ if math.isnan(self._value(name)))
        doubts = self._map_doubts()
        if self._value("score") < self._limits["claim"]:
            return Verdict(Level.UNTRUSTED, (self._claim(),), missing)
        if doubts:
            return Verdict(Level.UNCERTAIN, tuple(doubts), missing)
        if self._whole_image():
            return Verdict(Level.UNCERTAIN, (self._reason("whole_image", "box_share"),), missing)
        if missing:
            words = self._sentences["unmeasured"].format(missing=", ".join(missing))
            return Verdict(
                Level.UNCERTAIN, (Reason("unmeasured", math.nan, math.nan, words),), missing
            )
        level, finding = self._weighed()
        return Verdict(level, (*self._basics(), *finding), missing)

    def _value(self, name: str) -> float:
        return self._evidence.get(name, math.nan)

    def _reason(self, sentence: str, value: str, limit: str | None = None) -> Reason:
        bound = self._limits[limit] if limit else math.nan
        numbers = {**dict.fromkeys(NAMES, math.nan), **self._evidence, "limit": bound}
        words = self._sentences[sentence].format(**numbers, **self._evidence.words)
        return Reason(sentence, self._value(value), bound, words.replace("%", " %"))

    def _claim(self) -> Reason:
        """The detector does not see the class that was asked about; what it sees, if anything."""
        words = "claim_alone" if math.isnan(self._value("rival")) else "claim"
        return replace(self._reason(words, "score", "claim"), check="claim")

    def _map_doubts(self) -> list[Reason]:
        doubts = []
        if self._value("input_level") != 1:
            doubts.append(self._reason("map_kind", "input_level"))
        # In a whole-image box no share is defined; there, only an empty map is not like itself.
        if math.isnan(self._value("repeatability" if self._whole_image() else "inside")):
            doubts.append(self._reason("map_empty", "inside"))
        error, limit = self._evidence.get("completeness_error"), self._limits["completeness_error"]
        if error is not None and not error <= limit:
            words = "map_incomplete_unknown" if math.isnan(error) else "map_completeness"
            reason = self._reason(words, "completeness_error", "completeness_error")
            doubts.append(replace(reason, check="map_completeness"))
        if self._value("repeatability") < self._limits["repeatability"]:
            doubts.append(self._reason("map_repeatability", "repeatability", "repeatability"))
        return doubts

    def _whole_image(self) -> bool:
        return self._value("box_share") == 1

    def _basics(self) -> tuple[Reason, ...]:
        lost = self._value("necessity") >= self._limits["necessity"]
        removal = "removal" if lost else "removal_kept"
        share = self._reason("share", "inside")
        return (share, self._reason(removal, "necessity", "necessity"))

    def _weighed(self) -> tuple[Level, tuple[Reason, ...]]:
        outside = self._outside_reasons()
        if outside and self._map_reaches_outside():
            return Level.UNTRUSTED, outside
        if outside:
            return Level.UNCERTAIN, (*outside, self._reason("outside_unseen", "outside", "outside"))
        if not self._map_singles_out():
            return Level.UNCERTAIN, (self._reason("not_placed", "percentile", "percentile"),)
        alone = self._alone()
        if alone:
            left = self._value("without_outside")
            steady = left >= self._limits["sufficiency"] * self._value("score")
            said = "unconfirmed" if steady else "fragile"
            return Level.UNCERTAIN, (*alone, self._reason(said, "without_outside"))
        if self._value("necessity") < self._limits["necessity"]:
            return Level.UNCERTAIN, (self._reason("not_needed", "necessity", "necessity"),)
        return Level.TRUSTED, (self._reason("box_only", "sufficiency", "sufficiency"),)

    def _map_reaches_outside(self) -> bool:
        return self._value("outside") >= self._limits["outside"]

    def _map_singles_out(self) -> bool:
        near = self._value("inside") + self._value("ring") >= self._limits["near"]
        lifted = self._value("lift") >= self._limits["lift"]
        return (near or lifted) and self._value("percentile") >= self._limits["percentile"]

    def _context_keeps(self) -> bool:
        return self._value("context_only") >= self._limits["context"] * self._value("score")

    def _outside_matters(self) -> bool:
        """Whether the box needs the very evidence that the map shows outside."""
        lost = self._value("outside_effect") >= self._limits["outside_effect"]
        return lost and self._value("sufficiency") < self._limits["sufficiency"]

    def _class_undecided(self) -> bool:
        """Whether the box alone still shows an object, but not which class it is."""
        seen = max(self._value("box_only"), self._value("rival_box_only"))
        if not seen >= self._limits["seen"] * self._value("score"):
            return False
        return self._lead_lost("margin_box_only")

    def _class_lost(self) -> bool:
        """Whether the class loses its lead once the outside evidence that the map shows is gone."""
        if not self._value("without_outside") >= self._limits["seen"] * self._value("score"):
            return False
        return self._lead_lost("margin_without_outside")

    def _lead_lost(self, left: str) -> bool:
        """Whether too little is left of the lead over other classes; without a lead, nothing is."""
        lead = self._value("margin")
        return lead > 0 and self._value(left) < self._limits["margin"] * lead

    def _outside_reasons(self) -> tuple[Reason, ...]:
        """What the removal tests say against the box; empty if they do not."""
        reasons = []
        if self._outside_matters():
            reasons.append(self._reason("outside_effect", "outside_effect", "outside_effect"))
        elif self._class_lost():
            reasons.append(self._reason("class_lost", "margin_without_outside", "margin"))
        if self._class_undecided():
            reasons.append(self._reason("class_undecided", "margin_box_only", "margin"))
        if self._context_keeps():
            reasons.append(self._reason("context", "context_only", "context"))
        return tuple(reasons)

    def _alone(self) -> tuple[Reason, ...]:
        if self._value("sufficiency") >= self._limits["sufficiency"]:
            return ()
        return (self._reason("box_only_lost", "sufficiency", "sufficiency"),)
