"""The witness of a verdict: both maps of one detection, what they show, and whether they hold."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from xai_detect.detectors.lending import lent
from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.explainers.gradients.sighted import SCALARS, Settling, SightedGradients
from xai_detect.explainers.protocol import settings_of
from xai_detect.trust.maps import Shares, shares
from xai_detect.trust.scene import Scene
from xai_detect.values.detections import UNKNOWN, Target
from xai_detect.values.findings import Explanation


@dataclass(frozen=True, slots=True, eq=False)
class Witness:
    """What the maps of one detection say.

    Attributes:
        explanations: *Why detected* and, with more than one class, *why this class*; empty where no
            map was made.
        shares: Where the positive evidence of each lies.
        completeness_error: Part of what it should add up to that the worse of them misses.
        settled: Largest change of a share by the last cut of the path.
        passes: Forward passes for both; a backward pass counts as one.
    """

    explanations: tuple[Explanation, ...] = ()
    shares: tuple[Shares, ...] = ()
    completeness_error: float = math.nan
    settled: float = math.nan
    passes: int = 0

    def outside(self, limits: Mapping[str, float]) -> Shares | None:
        """The map that shows evidence outside, as strong as in the box and in one place, if any."""
        showing = [
            found
            for found in self.shares
            if found.ratio >= limits["evidence_outside"] and found.gathered >= limits["gathered"]
        ]
        return max(showing, key=lambda found: found.ratio, default=None)

    def believed(
        self, limits: Mapping[str, float], repeatability: float, *, filled: bool = False
    ) -> str:
        """``reliable``, ``unreliable`` or ``none``.

        Maps are reliable that hold positive evidence, add up, stand, and repeat themselves where
        that was measured.

        Args:
            limits: Those of the policy.
            repeatability: Of the first map; NaN where it was not measured.
            filled: Whether the box fills the image, so that no share is defined.
        """
        if not self.explanations:
            return "none"
        holds = self.completeness_error <= limits["completeness_error"]
        stands = not self.settled > limits["settled"]
        repeats = not repeatability < limits["repeatability"]
        told = holds and stands and repeats and (self.measured or filled)
        return "reliable" if told else "unreliable"

    @property
    def measured(self) -> bool:
        """Whether a map says where its evidence lies."""
        return any(not math.isnan(found.ratio) for found in self.shares)


def witness(
    scene: Scene,
    target: Target,
    method: SightedGradients | None,
    box: Bool[Tensor, "a b"],
    near: Bool[Tensor, "a b"],
    rival: int | None = None,
    *,
    both: bool = True,
) -> Witness:
    """Make both maps and read them.

    Args:
        scene: The image.
        target: The detection.
        method: How they are made; None makes none, as does a detector without gradients, or a box
            from elsewhere that has no raw prediction.
        box: The box, over content pixels.
        near: The same with its ring.
        rival: The class that the second map compares with; None takes the runner-up.
        both: Whether the second is wanted.
    """
    detector = scene.detector
    if method is None or not isinstance(detector, WhiteBoxDetector):
        return Witness()
    if target.candidate == UNKNOWN:
        return Witness()
    start = time.perf_counter()
    with lent(detector.module), torch.enable_grad():
        pair = method.pair(detector, scene.placed, target, rival=rival, both=both)
    seconds = time.perf_counter() - start
    now = [shares(found.content, box, near) for found in pair]
    before = [shares(found.before, box, near) for found in pair]
    spent = pair[0].attribution.measured
    return Witness(
        tuple(
            _explanation(scene, target, method, scalar, found, seconds)
            for scalar, found in zip(SCALARS, pair, strict=False)
        ),
        tuple(now),
        _worst([found.attribution.measured["completeness_error"] for found in pair]),
        _worst([_moved(old, new) for old, new in zip(before, now, strict=True)]),
        int(spent["forward_passes"] + spent["backward_passes"]),
    )


def _explanation(
    scene: Scene,
    target: Target,
    method: SightedGradients,
    scalar: str,
    found: Settling,
    seconds: float,
) -> Explanation:
    return Explanation(
        heatmap=found.attribution.heatmap.detach().cpu().float(),
        target=target,
        method=method.name,
        settings={**settings_of(method), "scalar": scalar},
        measured={**found.attribution.measured, "seconds": seconds},
        content_size=scene.size,
    )


def _moved(old: Shares, new: Shares) -> float:
    """How far the shares moved; NaN where there are none."""
    return max(abs(a - b) for a, b in zip(old[:3], new[:3], strict=True))


def _worst(values: list[float]) -> float:
    """The largest; NaN if one is missing."""
    return float(torch.tensor(values).amax()) if values else math.nan
