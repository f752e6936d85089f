"""What was found out about detections: maps, evidence, verdicts.

Records are frozen; their tensors are not to be edited in place.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from jaxtyping import Float
from torch import Tensor

from xai_detect.values.boxes import Size
from xai_detect.values.detections import Detections, Provenance, Target
from xai_detect.values.truth import Outcome


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
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


class Level(StrEnum):
    """How far a detection may be believed."""

    TRUSTED = "TRUSTED"
    UNCERTAIN = "UNCERTAIN"
    UNTRUSTED = "UNTRUSTED"


class Evidence(Mapping[str, float]):
    """Named floats measured for one detection; NaN means unmeasured.

    The names and what they mean are listed in ``xai_detect.trust.evidence``.

    Attributes:
        words: Class names that sentences need: ``name``, ``rival_name``, ``rival_box_name``.
    """

    def __init__(self, values: Mapping[str, float], words: Mapping[str, str] | None = None) -> None:
        self._values = {name: float(value) for name, value in values.items()}
        unknown = {"name": "the class", "rival_name": "another", "rival_box_name": "another"}
        self.words: Mapping[str, str] = MappingProxyType({**unknown, **(words or {})})

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Evidence({self._values!r})"


@dataclass(frozen=True, slots=True)
class Reason:
    """One check that spoke for or against a detection.

    Attributes:
        check: Name of the check.
        value: What was measured.
        limit: What the policy asked for.
        sentence: The finding in words for a reader who does not program.
    """

    check: str
    value: float
    limit: float
    sentence: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to "can this detection be trusted?".

    Attributes:
        level: ``TRUSTED``, ``UNCERTAIN`` or ``UNTRUSTED``.
        reasons: What decided it, the weightiest first; never empty.
        unmeasured: Names of checks that had no number to read; they never count as passed.
    """

    level: Level
    reasons: tuple[Reason, ...]
    unmeasured: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """All reasons as one paragraph."""
        return " ".join(reason.sentence for reason in self.reasons)


@dataclass(frozen=True, slots=True, eq=False)
class Inspection:
    """Everything about one image; the four sequences have one entry per detection.

    Attributes:
        source: The file it came from, or a name the caller gave.
        image: RGB in [0, 1].
        detections: What the detector found, best first.
        targets: The questions asked, one per detection: its own class, or the class asked for.
        explanations: One signed map per target.
        evidence: The numbers per target.
        verdicts: The judgement per target.
        provenance: The detector behind it.
        outcome: Comparison with annotations; None if there are none.
    """

    source: str
    image: Float[Tensor, "3 h w"]
    detections: Detections
    targets: tuple[Target, ...]
    explanations: tuple[Explanation, ...]
    evidence: tuple[Evidence, ...]
    verdicts: tuple[Verdict, ...]
    provenance: Provenance
    outcome: Outcome | None = None
