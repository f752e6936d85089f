"""Scores and gradients of several targets at once, one forward pass for all."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.scores.scalars import differentiable, passes_ahead
from xai_detect.values.detections import Target
from xai_detect.values.frame import Placed

POINTS = 8
"""Most points in one batch: what is kept for their backward pass fills memory."""


class Probe:
    """Scores and gradients of several targets at one point, one forward pass for all.

    Attributes:
        pixels: The unchanged input.
        forward_passes: Forward passes so far.
        backward_passes: Backward passes so far.
    """

    def __init__(
        self,
        detector: WhiteBoxDetector,
        targets: Sequence[Target],
        placed: Placed,
        scalar: str = "logit",
    ) -> None:
        """Prepare.

        Args:
            detector: The detector that found the targets.
            targets: The questions.
            placed: The image.
            scalar: What is explained: a name in ``DIFFERENTIABLE``.

        Raises:
            InputError: If there is no such scalar.
        """
        self._read = differentiable(scalar, detector, targets, placed.frame, placed.pixels)
        self.pixels = placed.pixels
        self.forward_passes = passes_ahead(scalar, targets)
        self.backward_passes = 0
        self._detector = detector
        self._targets = targets
        self._frame = placed.frame

    def scores(self, pixels: Float[Tensor, "1 3 i j"]) -> Float[Tensor, "k"]:
        """The scalar of every target, differentiable in ``pixels``."""
        return self.batch_scores(pixels)[0]

    def batch_scores(self, pixels: Float[Tensor, "n 3 i j"]) -> Float[Tensor, "n k"]:
        """The scalar of every target at several points, differentiable in ``pixels``."""
        self.forward_passes += len(pixels)
        return self._read(self._detector.candidate(pixels, self._targets, self._frame))

    def gradients(
        self, pixels: Float[Tensor, "1 3 i j"], rows: Sequence[int] | None = None
    ) -> tuple[Float[Tensor, "r 3 i j"], Float[Tensor, "k"]]:
        """Gradients of some targets (None: of all) and scores of every target, detached."""
        with torch.enable_grad():
            point = pixels.detach().requires_grad_()
            scores = self.scores(point)
            wanted = range(len(scores)) if rows is None else rows
            self.backward_passes += len(wanted)
            found = [self._backward(row, scores, point, row == wanted[-1]) for row in wanted]
        return torch.cat(found), scores.detach()

    def paired_gradients(
        self, points: Float[Tensor, "k 3 i j"]
    ) -> tuple[Float[Tensor, "k 3 i j"], Float[Tensor, "k"]]:
        """Every target's gradient and score at its own point, several points in a batch."""
        parts = torch.split(torch.arange(len(points)), POINTS)
        found = [self._paired(points[rows], rows) for rows in parts]
        return torch.cat([part[0] for part in found]), torch.cat([part[1] for part in found])

    def _paired(self, points: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        self.forward_passes += len(rows)
        self.backward_passes += len(rows)
        with torch.enable_grad():
            points = points.detach().requires_grad_()
            found = self._detector.candidate(points, self._targets, self._frame)
            scores = self._read(found)[torch.arange(len(rows)), rows]
            return torch.autograd.grad(scores.sum(), points)[0], scores.detach()

    def _backward(self, row: int, scores: Tensor, point: Tensor, last: bool) -> Tensor:
        return torch.autograd.grad(scores[row], point, retain_graph=not last)[0]

    def passes(self) -> dict[str, float]:
        """What has been spent, as an explanation records it."""
        return {
            "forward_passes": float(self.forward_passes),
            "backward_passes": float(self.backward_passes),
        }
