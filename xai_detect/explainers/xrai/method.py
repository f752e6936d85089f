"""XRAI: whole regions instead of pixels, on top of any gradient method."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar

import torch

from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.errors import InputError
from xai_detect.explainers.gradients.guided_backprop import GuidedBackprop
from xai_detect.explainers.gradients.guided_ig import GuidedIG
from xai_detect.explainers.gradients.integrated import (
    InputXGradient,
    IntegratedGradients,
    completeness,
)
from xai_detect.explainers.gradients.smooth import ExpectedGradients, SmoothGrad
from xai_detect.explainers.parchgrad.method import ParchGrad
from xai_detect.explainers.protocol import Attribution, Needs, PlacedMethod
from xai_detect.explainers.xrai.regions import Regions, segments
from xai_detect.values.detections import Target
from xai_detect.values.frame import Placed

UNDER: Mapping[str, type[Any]] = MappingProxyType(
    {
        "integrated_gradients": IntegratedGradients,
        "guided_ig": GuidedIG,
        "expected_gradients": ExpectedGradients,
        "input_x_gradient": InputXGradient,
        "smoothgrad": SmoothGrad,
        "guided_backprop": GuidedBackprop,
        "parchgrad": ParchGrad,
    }
)
"""What regions may be laid over."""

EXTREMES = ("black", "air")
"""The baselines of lowest and highest value."""


@dataclass(frozen=True, slots=True)
class XRAI:
    """Regions in the order of their mean attribution, each with that mean as its value.

    The image is segmented at several scales; regions overlap. Again and again the region whose
    new pixels have the highest mean attribution is laid down, and they take that mean. The total
    of the map beneath is kept. Maps beneath are sums over colours, where the paper takes the
    colours' maximum, which would not keep it. Look at the map beneath as well: a region shows no
    detail, and where segments follow a wrong edge so does the map.

    Kapishnikov, Bolukbasi, Viegas, Terry, "XRAI: Better Attributions Through Regions", ICCV 2019.

    Attributes:
        under: The method beneath, with its defaults: a name in ``UNDER``.
        baseline: Of the method beneath, if it has one: ``extremes`` averages a black and a white
            one as published; or see ``baseline_image``.
        statistics: Of the method beneath, if that is ``parchgrad``.
        coarse: Take the brief form of the method beneath.
        scales: Of the segmentation; see ``segments``.
        sigma: Of the segmentation.
        smallest: Fewest pixels of a segment, of ``side * side``.
        side: Side of the square copy that is segmented.
        dilate: How far segments are widened, in image pixels.
        fewest: Regions with fewer new image pixels than this are left out.
        scalar: What is explained: a name in ``DIFFERENTIABLE``.
    """

    name: ClassVar[str] = "xrai"
    input_level: ClassVar[bool] = True
    takes_placed: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs.GRADIENTS
    citation: ClassVar[str] = (
        "Kapishnikov et al., XRAI: Better Attributions Through Regions, ICCV 2019"
    )
    under: str = "integrated_gradients"
    baseline: str = "extremes"
    statistics: str = ""
    coarse: bool = False
    scales: tuple[int, ...] = (50, 100, 150, 250, 500, 1200)
    sigma: float = 0.8
    smallest: int = 150
    side: int = 224
    dilate: int = 5
    fewest: int = 50
    scalar: str = "logit"

    def __post_init__(self) -> None:
        if self.under not in UNDER:
            raise InputError(f"under is {self.under!r}; choose from {', '.join(UNDER)}")
        if not self.scales or not all(scale > 0 for scale in self.scales):
            raise InputError(f"scales is {self.scales}; expected at least one, all above 0")
        if not self.sigma >= 0:
            raise InputError(f"sigma is {self.sigma}; expected 0 or more")
        for field, least in (("smallest", 1), ("side", 2), ("dilate", 0), ("fewest", 1)):
            if getattr(self, field) < least:
                raise InputError(
                    f"{field} is {getattr(self, field)} pixels; expected at least {least}"
                )
        self._beneath()  # a bad combination is refused here and not after a long run

    def __call__(
        self, detector: WhiteBoxDetector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return attributions in the unit of the method beneath."""
        runs = [method(detector, placed, targets) for method in self._beneath()]
        labels = segments(placed.image, self.scales, self.sigma, self.smallest, self.side)
        regions = Regions(labels, self.dilate)
        return [self._pooled(list(maps), regions) for maps in zip(*runs, strict=True)]

    def brief(self) -> "XRAI":
        """The same on the brief form of the method beneath."""
        return replace(self, coarse=True)

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """Those of the methods beneath."""
        passes = [method.expected_passes(targets) for method in self._beneath()]
        return sum(passes_[0] for passes_ in passes), sum(passes_[1] for passes_ in passes)

    def _beneath(self) -> list[PlacedMethod[WhiteBoxDetector]]:
        """The method beneath, once per baseline."""
        kind = UNDER[self.under]
        fields = {field.name for field in dataclasses.fields(kind)}
        settings: dict[str, str] = {"scalar": self.scalar}
        if "statistics" in fields:
            settings["statistics"] = self.statistics
        if "baseline" not in fields:
            every = [settings]
        else:
            baselines = EXTREMES if self.baseline == "extremes" else (self.baseline,)
            every = [{**settings, "baseline": baseline} for baseline in baselines]
        methods = [kind(**settings_) for settings_ in every]
        return [method.brief() if self.coarse else method for method in methods]

    def _pooled(self, maps: list[Attribution], regions: Regions) -> Attribution:
        heatmap = torch.stack([found.heatmap.double() for found in maps]).mean(dim=0)
        pooled = regions.pool(heatmap.numpy(), self.fewest)
        measured = {
            "segments": float(regions.count),
            "regions": float(pooled.regions),
            "forward_passes": sum(found.measured["forward_passes"] for found in maps),
            "backward_passes": sum(found.measured["backward_passes"] for found in maps),
        }
        if all("baseline_score" in found.measured for found in maps):
            first = sum(found.measured["baseline_score"] for found in maps) / len(maps)
            scores = completeness(first, maps[0].measured["score"], float(heatmap.sum()))
            measured = {**scores, **measured}
        return Attribution(torch.from_numpy(pooled.heatmap).float(), measured)
