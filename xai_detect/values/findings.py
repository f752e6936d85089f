"""What was found out about detections: maps, evidence, verdicts.

Records are frozen; their tensors are not to be edited in place.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from jaxtyping import Float
from torch import Tensor

from xai_detect.values.boxes import Box, Size
from xai_detect.values.detections import Detections, Provenance, Target, listed, short
from xai_detect.values.showing import Drawn, Shown, Tabled
from xai_detect.values.truth import Outcome


@dataclass(frozen=True, slots=True, eq=False)
class Explanation(Drawn):
    """Where the evidence for one target lies.

    Attributes:
        heatmap: Signed attribution, one value per pixel of the original image, summed over
            colours, never rescaled; its unit is that of the method's score.
        target: The question it answers.
        method: Name in ``METHODS``.
        settings: The method's hyper-parameters; ``METHODS[method](**settings)`` runs it again.
        measured: Numbers the method found on the way, such as ``completeness_error``,
            ``forward_passes``, ``backward_passes`` and ``seconds``; NaN where not defined.
        content_size: ``(height, width)`` at which the network saw the image, in pixels; None where
            that is not known.
    """

    heatmap: Float[Tensor, "h w"]
    target: Target
    method: str
    settings: Mapping[str, object]
    measured: Mapping[str, float]
    content_size: Size | None = None

    def __repr__(self) -> str:
        height, width = self.heatmap.shape
        own, total = self.target, float(self.heatmap.sum())
        about = f"{own.name} {short(own.score)} by {self.method}"
        return f"Explanation({about}, {width} x {height}, sum {total:+.3g})"


class Level(StrEnum):
    """How far a detection may be believed."""

    TRUSTED = "TRUSTED"
    UNCERTAIN = "UNCERTAIN"
    UNTRUSTED = "UNTRUSTED"


class Answer(StrEnum):
    """What a test says decides a detection.

    ``object`` is the object or what touches it; ``unclear`` that neither could be shown;
    ``unmeasured`` that the test does not apply or could not be made.
    """

    OBJECT = "object"
    SURROUNDINGS = "surroundings"
    UNCLEAR = "unclear"
    UNMEASURED = "unmeasured"


class Evidence(Mapping[str, float]):
    """What was measured for one detection: named floats, NaN where unmeasured.

    The names and what they mean are listed in ``xai_detect.trust.evidence``.

    Attributes:
        words: What is no number, by name: answers of tests, where they ended, class names.
        places: Parts of the image that the tests or the map found, by name, in image pixels.
    """

    def __init__(
        self,
        values: Mapping[str, float],
        words: Mapping[str, str] | None = None,
        places: Mapping[str, tuple[Box, ...]] | None = None,
    ) -> None:
        self._values = {name: float(value) for name, value in values.items()}
        self.words: Mapping[str, str] = MappingProxyType(dict(words or {}))
        self.places: Mapping[str, tuple[Box, ...]] = MappingProxyType(dict(places or {}))

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        known = [name for name, value in self.items() if not math.isnan(value)]
        told = [f"{name} {self.words[name]}" for name in ("reason", "map") if name in self.words]
        told += [f"{name} {self[name]:.2f}" for name in ("score", "probability") if name in known]
        return f"Evidence({', '.join([*told, f'{len(known)} of {len(self)} measured'])})"

    def answer(self, test: str) -> Answer:
        """What a test answered: ``reason``, ``name``, ``presence`` or ``swap``."""
        return Answer(self.words.get(test, Answer.UNMEASURED))

    @property
    def outside(self) -> bool | None:
        """Whether a map shows evidence outside; None where that is unmeasured."""
        value = self.get("evidence_outside", math.nan)
        return None if math.isnan(value) else value > 0


@dataclass(frozen=True, slots=True)
class Verdict(Shown):
    """The answer to "what decides this detection, and how far may it be believed?".

    Attributes:
        level: ``TRUSTED``, ``UNCERTAIN`` or ``UNTRUSTED``.
        reason: What decides it.
        cause: Which rule set the level; the name of a sentence in the catalogue.
        sentence: What to know and what to do, in words without a digit.
        numbers: The numbers behind it, in words; empty if there are none.
        unmeasured: Names of numbers that were asked for and are not there; they never count as
            passed.
    """

    level: Level
    reason: Answer
    cause: str
    sentence: str
    numbers: str
    unmeasured: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Verdict({self.level.value}, decided by {self.reason.value}: {self.sentence})"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the image says for another class than the one that was reported in a box.

    Attributes:
        name: The class that was asked about.
        supported: Whether the detector sees that class there.
        score: Its confidence in the box, in [0, 1].
        sentence: The finding in words.
    """

    name: str
    supported: bool
    score: float
    sentence: str


@dataclass(frozen=True, slots=True)
class PartShare:
    """How much of the positive evidence for a detection lies on one part of its object.

    Attributes:
        name: Of the part.
        share: Of all positive evidence, in [0, 1]; NaN without any.
        chance: Share of the image that the part covers: what an even map would show.
    """

    name: str
    share: float
    chance: float


@dataclass(frozen=True, slots=True)
class PartsFound:
    """Where on its object the evidence for a detection lies, against what is usual for its class.

    Attributes:
        shares: Of each annotated part.
        here: Share on the telling parts, those that usually hold more than their area would; NaN
            where nothing usual is known.
        usual: The same of confirmed detections of the class, their median; NaN likewise.
        lower: Share of these that have as little on the telling parts, in [0, 1]; NaN likewise.
        sentence: That in words; empty likewise.
    """

    shares: tuple[PartShare, ...]
    here: float = math.nan
    usual: float = math.nan
    lower: float = math.nan
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Lookalike:
    """The class that an object has by its annotation, beside the one that was reported.

    Attributes:
        name: The annotated class.
        margin: Log-odds by which the reported class leads it at the raw prediction; NaN where that
            is not shown.
        near: Share of the positive evidence for one and not the other on the object, or what
            touches it; NaN without a map.
        sentence: That in words.
    """

    name: str
    margin: float
    near: float
    sentence: str


@dataclass(frozen=True, slots=True, eq=False)
class Alike:
    """A confirmed detection of the same class, held beside a detection because it is similar.

    Attributes:
        source: The file it was found in.
        box: In pixels of that file.
        score: Its confidence, in [0, 1].
        similarity: Cosine of what each channel contributes to the two, in [0, 1].
        image: Its image as the network saw it, RGB in [0, 1]; None where it was read from a folder.
        place: The box in pixels of ``image``.
        explanation: Why it is detected, over ``image``; None likewise, or where no map holds.
    """

    source: str
    box: Box
    score: float
    similarity: float
    image: Float[Tensor, "3 a b"] | None = None
    place: Box | None = None
    explanation: Explanation | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Inspection(Drawn, Tabled):
    """Everything about one image; all sequences have one entry per detection.

    Attributes:
        source: The file it came from, or a name the caller gave.
        image: RGB in [0, 1].
        detections: What the detector found, best first.
        explanations: Why something of this class is detected: the map of its score; None where
            none was made.
        contrasts: Why this class and not another: the map of its lead over the runner-up, or over
            the class that was asked about; in the same unit. None likewise, or with one class.
        added: The map of the method that was asked for besides; None where none was.
        evidence: The numbers per detection.
        verdicts: The judgement per detection.
        asked: What became of the class that was asked about; None where none was.
        provenance: The detector behind it.
        outcome: Comparison with annotations; None if there are none.
        parts: Where on its object the evidence for each detection lies; None, or empty as a whole,
            where no parts are annotated.
        lookalikes: The annotated class of each detection with a wrong name; None, or empty as a
            whole, where there is none.
        between: Why the reported and not the annotated class: a map for each of these, where
            ``contrasts`` is not that map already; likewise.
        alike: The most similar confirmed detections of each detection's class, best first; empty as
            a whole where no confirmed ones are known.
    """

    source: str
    image: Float[Tensor, "3 h w"]
    detections: Detections
    explanations: tuple[Explanation | None, ...]
    contrasts: tuple[Explanation | None, ...]
    added: tuple[Explanation | None, ...]
    evidence: tuple[Evidence, ...]
    verdicts: tuple[Verdict, ...]
    asked: tuple[Asked | None, ...]
    provenance: Provenance
    outcome: Outcome | None = None
    parts: tuple[PartsFound | None, ...] = ()
    lookalikes: tuple[Lookalike | None, ...] = ()
    between: tuple[Explanation | None, ...] = ()
    alike: tuple[tuple[Alike, ...], ...] = ()

    def __repr__(self) -> str:
        told = [
            f"{own.name} {short(own.score)} {verdict.level.value}{_chance(evidence)}"
            for own, verdict, evidence in zip(
                self.detections, self.verdicts, self.evidence, strict=True
            )
        ]
        name = self.source.replace("\\", "/").rpartition("/")[2]
        return f"Inspection({name}: {listed(told) or 'nothing found'})"


def _chance(evidence: Evidence) -> str:
    """The probability of being right as it is printed; the shipped one says what it is."""
    chance = evidence.get("probability", math.nan)
    if math.isnan(chance):
        return ""
    known = evidence.words.get("fitted", "shipped") == "shipped"
    return f" p={short(chance)}{' (uncalibrated)' * known}"
