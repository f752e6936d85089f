"""Gradients averaged over many points: noisy copies of the image, or paths from many references.

One forward pass per point serves all targets, and the random numbers come from a generator of the
method's own. Nothing of Captum runs here: its ``NoiseTunnel`` and ``GradientShap`` draw from the
global generators and differentiate one target at a time; the tests compare with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect.detectors.protocol import Detector, WhiteBoxDetector
from xai_detect.errors import InputError
from xai_detect.explainers.gradients.integrated import completeness, in_groups, paths_of
from xai_detect.explainers.gradients.probe import Probe
from xai_detect.explainers.gradients.references import (
    digest,
    draws,
    reference_image,
    reference_names,
)
from xai_detect.explainers.protocol import Attribution, Needs
from xai_detect.values.detections import Target
from xai_detect.values.frame import Placed


@dataclass(frozen=True, slots=True)
class SmoothGrad:
    """The gradient averaged over noisy copies of the image, signs kept.

    Noise is added to image pixels and not clipped to [0, 1]: the network sees it as drawn.

    Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017, arXiv 1706.03825.

    Attributes:
        samples: Noisy copies.
        noise: Standard deviation of the noise, as a share of the image's range of values.
        seed: Of the noise.
        scalar: What is explained: a name in ``DIFFERENTIABLE``.
    """

    name: ClassVar[str] = "smoothgrad"
    input_level: ClassVar[bool] = True
    takes_placed: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs.GRADIENTS
    citation: ClassVar[str] = "Smilkov et al., SmoothGrad, 2017"
    samples: int = 25
    noise: float = 0.15
    seed: int = 0
    scalar: str = "logit"

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise InputError(f"samples is {self.samples}; expected at least 1")
        if not 0 < self.noise <= 1:
            raise InputError(
                f"noise is {self.noise}; expected a share of the image's range in (0, 1]"
            )

    def __call__(
        self, detector: WhiteBoxDetector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return the scalar's change per unit of brightness, summed over colours."""
        return in_groups(self, detector, placed, targets)

    def attribute(self, probe: Probe, placed: Placed, _detector: Detector) -> list[Attribution]:
        """Attributions from the gradients of a probe."""
        generator = torch.Generator().manual_seed(self.seed)
        image = placed.image
        spread = self.noise * float(image.max() - image.min())
        # Noise is placed as the image is, but not rounded to 8 bits, and the padding has none.
        frame = replace(placed.frame, quantised=False, fill=0.0)
        total = torch.zeros(())
        for _ in range(self.samples):
            noise = spread * torch.randn(image.shape, generator=generator)
            gradients, _ = probe.gradients(probe.pixels + frame.to_input(noise[None]))
            total = total + gradients.cpu()
        maps = frame.attributions(total / self.samples)
        return [Attribution(heatmap, probe.passes()) for heatmap in maps]

    def brief(self) -> "SmoothGrad":
        """The same over at most 8 copies."""
        return replace(self, samples=min(self.samples, 8))

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """One forward pass per copy, one backward pass per copy and target."""
        return float(self.samples * paths_of(targets)), float(self.samples * targets)


@dataclass(frozen=True, slots=True)
class ExpectedGradients:
    """Integrated gradients averaged over many baselines, each sampled at a few points of its path.

    Every sample takes one of the references and one point between it and the image; the points
    cover the path evenly. The map sums to the score less the mean score of the references, up to
    ``completeness_error``, which falls with ``samples``.

    Erion et al., "Improving performance of deep learning models with axiomatic attribution priors
    and expected gradients", Nature Machine Intelligence, 2021.

    Attributes:
        references: Names in ``FILLS``, image files of any size and folders of images, with commas
            between them; ``auto`` takes blur, mean, grey, black and air in photographs, and air,
            blur and mean in X-ray images. Which of a large folder are used depends on ``seed``;
            ``references_digest`` names them.
        samples: Points, over all references.
        seed: Of the points and of the choice of references.
        scalar: What is explained: a name in ``DIFFERENTIABLE``.
    """

    name: ClassVar[str] = "expected_gradients"
    input_level: ClassVar[bool] = True
    takes_placed: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs.GRADIENTS
    citation: ClassVar[str] = (
        "Erion et al., Improving performance of deep learning models with axiomatic attribution "
        "priors and expected gradients, Nature Machine Intelligence 2021"
    )
    references: str = "auto"
    samples: int = 64
    seed: int = 0
    scalar: str = "logit"

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise InputError(f"samples is {self.samples}; expected at least 1")

    def __call__(
        self, detector: WhiteBoxDetector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return attributions in the scalar's unit per pixel, summed over colours."""
        return in_groups(self, detector, placed, targets)

    def attribute(self, probe: Probe, placed: Placed, detector: Detector) -> list[Attribution]:
        """Attributions from the gradients of a probe."""
        names = reference_names(self.references, detector.provenance.domain)
        drawn = draws(names, self.samples, self.seed)
        with torch.no_grad():
            last = probe.scores(probe.pixels).cpu()
        image, frame = placed.image, placed.frame
        first, maps = torch.zeros_like(last), torch.zeros(len(last), *image.shape[1:])
        used = []
        for name, points in groupby(drawn, key=lambda draw: draw.reference):
            used.append(name)
            reference = reference_image(name, image)
            alphas = [point.alpha for point in points]
            scores, gradients = _along(probe, frame.to_input(reference[None]), alphas)
            first += scores * len(alphas) / self.samples
            for row, heatmap in enumerate(
                frame.attributions(gradients / self.samples, image - reference)
            ):
                maps[row] += heatmap
        shared = {"references": float(len(used)), "references_digest": digest(used)}
        return [
            Attribution(
                heatmap,
                {
                    **completeness(
                        float(first[row]), float(last[row]), float(heatmap.double().sum())
                    ),
                    **shared,
                    **probe.passes(),
                },
            )
            for row, heatmap in enumerate(maps)
        ]

    def brief(self) -> "ExpectedGradients":
        """The same with at most 16 samples."""
        return replace(self, samples=min(self.samples, 16))

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """One forward pass per sample, per reference (about five) and for the image."""
        forward = self.samples + min(self.samples, 5) + 1
        return float(forward * paths_of(targets)), float(self.samples * targets)


def _along(
    probe: Probe, start: Float[Tensor, "1 3 i j"], alphas: Sequence[float]
) -> tuple[Float[Tensor, "k"], Float[Tensor, "k 3 i j"]]:
    """Scores at the start of a path, and the sum of the gradients at some points of it."""
    with torch.no_grad():
        scores = probe.scores(start).cpu()
    total = torch.zeros(len(scores), *start.shape[1:])
    for alpha in alphas:
        gradients, _ = probe.gradients(start + alpha * (probe.pixels - start))
        total += gradients.cpu()
    return scores, total
