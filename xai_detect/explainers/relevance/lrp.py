"""Layer-wise relevance propagation through zennit, an optional extra."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.errors import ExplainError, InputError
from xai_detect.explainers.protocol import Attribution, Needs
from xai_detect.explainers.relevance.lrp_network import COMPOSITES, ruled
from xai_detect.explainers.relevance.lrp_rules import Rules
from xai_detect.values.detections import Target
from xai_detect.values.frame import Placed

SAME = 1e-3
"""Merged batch norms may change a score by so much, as a share of it, and no more."""


@dataclass(frozen=True, slots=True)
class LRP:
    """Relevance that starts as the target's logit and flows back in proportion to each share.

    The first layer spreads relevance evenly over what it sees (flat), so a map is as coarse as that
    layer's kernel. Batch norms are merged into the layers before them, biases take no relevance;
    ``conservation_error`` says what share of the logit did not arrive at the input.

    Bach et al., "On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise
    Relevance Propagation", PLoS ONE 2015.

    Attributes:
        composite: ``epsilon_plus_flat`` (z+ at convolutions: all evidence takes the sign of the
            logit) or ``epsilon_gamma_flat`` (evidence against is kept).
        gamma: How much ``epsilon_gamma_flat`` favours positive weights.
    """

    name: ClassVar[str] = "lrp"
    input_level: ClassVar[bool] = True
    takes_placed: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs.GRADIENTS
    citation: ClassVar[str] = (
        "Bach et al., On Pixel-Wise Explanations for Non-Linear Classifier Decisions by "
        "Layer-Wise Relevance Propagation, PLoS ONE 2015"
    )
    composite: str = "epsilon_plus_flat"
    gamma: float = 0.25

    def __post_init__(self) -> None:
        if self.composite not in COMPOSITES:
            raise InputError(
                f"there is no composite {self.composite!r}; choose from {', '.join(COMPOSITES)}"
            )
        if not (math.isfinite(self.gamma) and self.gamma >= 0):
            raise InputError(f"gamma is {self.gamma}; expected a number of at least 0")

    def __call__(
        self, detector: WhiteBoxDetector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return relevance in logits per pixel, summed over colours."""
        frame, pixels = placed.frame, placed.pixels
        labels = torch.tensor([target.label for target in targets])
        rows = torch.arange(len(targets))
        plain: list[Tensor] = []

        def scores(where: Tensor) -> Tensor:
            return detector.candidate(where, targets, frame).log_odds[0, rows, labels]

        def run() -> Tensor:
            plain.append(scores(pixels))
            return plain[0]

        with ruled(detector.module, self.composite, self.gamma, run), torch.enable_grad():
            point = pixels.detach().requires_grad_()
            with Rules():
                found = scores(point)
            _same(plain[0], found.detach())
            relevance = [
                torch.autograd.grad(
                    found[row], point, plain[0][row], retain_graph=row + 1 < len(targets)
                )[0]
                for row in range(len(targets))
            ]
        inside = frame.attributions(torch.cat(relevance).cpu())
        return [
            Attribution(heatmap, _measured(plain[0][row], relevance[row], len(targets)))
            for row, heatmap in enumerate(inside)
        ]

    def brief(self) -> "LRP":
        """The method itself, which is as cheap as can be."""
        return self

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """Two forward passes, one to learn the order of layers; a backward pass per target."""
        return 2.0, float(targets)


def _same(before: Tensor, after: Tensor) -> None:
    if not torch.allclose(before, after, rtol=SAME, atol=SAME):
        raise ExplainError(
            "lrp could not merge the batch norms of this network: its scores changed from "
            f"{before.tolist()} to {after.tolist()}; use integrated_gradients"
        )


def _measured(score: Tensor, relevance: Tensor, targets: int) -> dict[str, float]:
    arrived, start = float(relevance.double().sum()), float(score)
    return {
        "score": start,
        "relevance": arrived,
        "conservation_error": abs(arrived - start) / abs(start) if start else math.nan,
        "forward_passes": 2.0,
        "backward_passes": float(targets),
    }
