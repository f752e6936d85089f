"""Integrated gradients of a class that is in sight: two maps of one detection, cheap and true.

On the path from a blurred photograph to the photograph, most of a class's log-odds are won while
nobody sees anything, and there their gradient is huge and erratic: hundreds of steps are needed for
a map that holds. What happens there decides nothing, so it is not counted:

- *why detected*: the score is ``log(1 + exp(log_odds - FLOOR))``, which is 0 while the class is out
  of sight and the log-odds less ``FLOOR`` afterwards. The map adds up to its difference.
- *why this class*: the lead over a rival class, its gradient weighted by how far the class is in
  sight, the logistic of ``log_odds - FLOOR``.

Another quantity than plain integrated gradients, which stay ``integrated_gradients``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.errors import InputError
from xai_detect.explainers.gradients.integrated import baseline_image
from xai_detect.explainers.gradients.sighted_path import SightedPath
from xai_detect.explainers.protocol import Attribution, Needs
from xai_detect.values.detections import Target
from xai_detect.values.frame import Placed

SCALARS = ("logit", "margin")


class Settling(NamedTuple):
    """One map of one target, and whether it has settled.

    Attributes:
        attribution: The map in image pixels.
        content: The same in content pixels.
        before: The same before the last piece of the path was cut.
    """

    attribution: Attribution
    content: Float[Tensor, "a b"]
    before: Float[Tensor, "a b"]


def runner_up(detector: WhiteBoxDetector, placed: Placed, target: Target) -> int | None:
    """The strongest other class at the target's raw prediction; None with one class."""
    if len(target.class_names) < 2:
        return None
    with torch.no_grad():
        log_odds = detector.candidate(placed.pixels, [target], placed.frame).log_odds[0, 0].clone()
    log_odds[target.label] = -torch.inf
    return int(log_odds.argmax())


@dataclass(frozen=True, slots=True)
class SightedGradients:
    """Integrated gradients that count only what happens while the class is in sight.

    What a verdict's maps are made with. The quantity is no detector's score: see the top of
    ``xai_detect.explainers.gradients.sighted``. Integrated gradients: Sundararajan, Taly, Yan,
    "Axiomatic Attribution for Deep Networks", ICML 2017; floor and weights are this project's own.

    Attributes:
        first: Pieces of the path to begin with.
        most: Most gradient evaluations for each target.
        tolerance: No more pieces are cut once all together miss less than this share of the gain.
        baseline: Start of the path; see ``baseline_image``.
        scalar: ``logit``, why the class is detected, or ``margin``, why not its rival or the
            runner-up.
    """

    name: ClassVar[str] = "sighted_gradients"
    input_level: ClassVar[bool] = True
    takes_placed: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs.GRADIENTS
    citation: ClassVar[str] = (
        "after Sundararajan, Taly, Yan, Axiomatic Attribution for Deep Networks, ICML 2017"
    )
    first: int = 6
    most: int = 10
    tolerance: float = 0.15
    baseline: str = "auto"
    scalar: str = "logit"

    def __post_init__(self) -> None:
        if not 2 <= self.first <= self.most - 2:
            raise InputError(
                f"first is {self.first} and most {self.most}; expected 2 <= first <= most - 2"
            )
        if self.scalar not in SCALARS:
            raise InputError(
                f"the scalar of {self.name} is {self.scalar!r}; choose from {', '.join(SCALARS)}"
            )

    def __call__(
        self, detector: WhiteBoxDetector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return attributions in floored log-odds per pixel, summed over colours."""
        row = SCALARS.index(self.scalar)
        return [
            self.pair(detector, placed, target, rival=target.rival, both=row == 1)[row].attribution
            for target in targets
        ]

    def pair(
        self,
        detector: WhiteBoxDetector,
        placed: Placed,
        target: Target,
        *,
        rival: int | None = None,
        both: bool = True,
    ) -> list[Settling]:
        """Why detected and why this class, from the same passes.

        Args:
            detector: The detector that found the target.
            placed: The image.
            target: The question.
            rival: The class that the lead is over; None takes the runner-up.
            both: Whether the second is wanted; with one class there is none.
        """
        looked = both and rival is None
        if looked:
            rival = runner_up(detector, placed, target)
        start = baseline_image(placed.image, self.baseline, detector.provenance.domain)
        entered = placed.frame.to_input(start[None])
        path = SightedPath(detector, placed, target, entered, rival if both else None)
        found = path.integrate(self.first, self.most, self.tolerance)
        spent = {
            "forward_passes": float(found.forward_passes + (looked and rival is not None)),
            "backward_passes": float(found.backward_passes),
        }
        change = (placed.pixels - entered)[0, :, *placed.frame.content]
        contents, before = (
            (gradients[:, :, *placed.frame.content] * change).sum(dim=1)
            for gradients in (found.gradients, found.before)
        )
        maps = placed.frame.attributions(found.gradients, placed.image - start)
        return [
            Settling(Attribution(heatmap, {"completeness_error": missed, **spent}), *contents_of)
            for heatmap, missed, *contents_of in zip(
                maps, found.missed, contents, before, strict=True
            )
        ]

    def brief(self) -> "SightedGradients":
        """The method itself, which is as cheap as it can be."""
        return self

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """Up to two cuts for most photographs, one for scans."""
        evaluations = (self.first + 2 + self.most) / 2
        return targets * (2 * evaluations + 1), targets * evaluations * 2
