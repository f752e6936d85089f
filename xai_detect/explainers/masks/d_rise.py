"""D-RISE: many boxes explained from one bank of random masks, with an interval for every pixel."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect.detectors.place import Image, place
from xai_detect.detectors.protocol import Detector
from xai_detect.errors import InputError
from xai_detect.explainers.masks.bank import Draw, MaskBank, Mixer, Raster
from xai_detect.explainers.masks.estimate import ESTIMATORS, Estimate, MaskEstimator
from xai_detect.explainers.protocol import Attribution, Needs
from xai_detect.scores.survival import Survival, check_batch
from xai_detect.values import fills
from xai_detect.values.detections import Target
from xai_detect.values.frame import Placed

FIRST = 128
"""Masks before the first look at the maps; then twice as many each time."""

BRIEF = 500
"""Masks of the brief form."""


class Progress(NamedTuple):
    """The maps after some masks.

    Attributes:
        masks: Masks shown so far.
        estimate: Maps and intervals of all targets.
        agreement: Rank correlation of each target's maps from two halves of the masks; NaN where
            a map is flat.
    """

    masks: int
    estimate: Estimate
    agreement: Float[Tensor, "k"]


@dataclass(frozen=True, slots=True)
class DRise:
    """Random parts of the image are hidden; the map says where showing something helps the target.

    The map is the covariance of score and visibility over the variance of a cell that is on or off,
    in units of the score. A score that no mask changes gives exactly 0. All targets share the
    forward passes.

    Petsiuk et al., "Black-box Explanation of Object Detectors via Saliency Maps", CVPR 2021; there
    the mean weight is not subtracted and masks are drawn independently.

    Attributes:
        masks: Most masks to show.
        grid: Cells of a mask per side.
        keep: Chance that a cell is shown.
        design: How masks are drawn: a name in ``DESIGNS``; see ``MaskBank``.
        estimator: A name in ``ESTIMATORS``; see ``MaskEstimator``.
        fill: What is hidden becomes this; ``auto`` is air in X-ray images, blur in photographs.
        scalar: The score: a name in ``SURVIVAL``; ``auto`` is ``max_raw`` where it can be read.
        tolerance: Stop once the maps of two halves of the masks agree for every target: Spearman's
            correlation at least ``1 - tolerance``. None shows all masks.
        batch: Masks per forward pass, None for what suits the device; never changes the map.
        seed: Names the masks.
    """

    name: ClassVar[str] = "d_rise"
    input_level: ClassVar[bool] = True
    takes_placed: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs.SCORES
    citation: ClassVar[str] = (
        "Petsiuk et al., Black-box Explanation of Object Detectors via Saliency Maps, CVPR 2021"
    )
    masks: int = 1000
    grid: int = 16
    keep: float = 0.5
    design: str = "orthogonal"
    estimator: str = "regression"
    fill: str = "auto"
    scalar: str = "auto"
    tolerance: float | None = None
    batch: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        bank = self._bank()
        if self.masks < 2 * bank.unit:
            raise InputError(
                f"masks is {self.masks}; expected at least {2 * bank.unit} with the design "
                f"{self.design!r}"
            )
        if self.estimator not in ESTIMATORS:
            raise InputError(
                f"there is no estimator {self.estimator!r}; choose from {', '.join(ESTIMATORS)}"
            )
        fills.check(self.fill)
        if self.tolerance is not None and not 0 < self.tolerance < 1:
            raise InputError(
                f"tolerance is {self.tolerance}; expected a value between 0 and 1, or None to show "
                "all masks"
            )
        check_batch(self.batch)

    def __call__(
        self, detector: Detector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return covariances of score and visibility, in units of the score."""
        survival = Survival(detector, placed, targets, self.scalar, self.batch)
        estimator = self._estimator(placed)
        for scores in self._scores(survival, detector, placed, doubling=self.tolerance is not None):
            agreement = estimator.agreement(scores)
            if self.tolerance is not None and bool((agreement >= 1 - self.tolerance).all()):
                break
        found = estimator.estimate(scores)
        return [
            Attribution(
                heatmap,
                {
                    "masks": float(len(scores)),
                    "half_agreement": float(agreement[row]),
                    "interval_width": 2 * float(found.half_widths[row].mean()),
                    **survival.passes(),
                },
            )
            for row, heatmap in enumerate(found.heatmaps)
        ]

    def progress(
        self, detector: Detector, image: Image, targets: Sequence[Target]
    ) -> Iterator[Progress]:
        """The maps and their intervals after 128, 256, 512, ... masks, up to ``masks``.

        Stop reading when they are good enough: masks that nobody asks for are never shown.
        """
        placed = place(detector, image)
        survival = Survival(detector, placed, targets, self.scalar, self.batch)
        estimator = self._estimator(placed)
        for scores in self._scores(survival, detector, placed, doubling=True):
            yield Progress(len(scores), estimator.estimate(scores), estimator.agreement(scores))

    def brief(self) -> "DRise":
        """A coarser map from other masks: no more than 500."""
        return replace(self, masks=min(self.masks, BRIEF), seed=self.seed + 1)

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """One forward pass per mask, however many targets."""
        del targets
        return float(self.masks), 0.0

    def _bank(self) -> MaskBank:
        return MaskBank(self.design, self.grid, self.keep, self.seed)

    def _estimator(self, placed: Placed) -> MaskEstimator:
        return MaskEstimator(self._bank(), placed.frame.image_size, self.estimator)

    def _scores(
        self, survival: Survival, detector: Detector, placed: Placed, *, doubling: bool
    ) -> Iterator[Float[Tensor, "n k"]]:
        """The scores of all masks so far, each time there is reason to look."""
        mixer = Mixer(placed, fills.resolved(self.fill, detector.provenance.domain))
        raster = Raster(self.grid, placed.frame.content_size)
        scores: list[Tensor] = []
        shown, look = 0, FIRST if doubling else self.masks
        while shown < self.masks:
            look = min(max(look, 2 * self._bank().unit), self.masks)
            for draw in self._bank().blocks(look, shown):
                for start in range(0, len(draw.shown), survival.batch):
                    part = Draw(*(column[start : start + survival.batch] for column in draw))
                    scores.append(survival.of_inputs(mixer.show(raster.masks(part))))
            shown, look = look, 2 * look
            yield torch.cat(scores)
