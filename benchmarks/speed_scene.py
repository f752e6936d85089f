"""What every measured work is given, and how much of it is run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmarks.speed_report import Work
from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.explainers.explain import explain
from xai_detect.explainers.protocol import Method
from xai_detect.values.detections import Target


@dataclass(frozen=True, slots=True)
class Scene:
    """What every library is given.

    Attributes:
        weights: The network's file.
        detector: The network.
        image: RGB in [0, 1].
        targets: Its detections, best first.
    """

    weights: Path
    detector: WhiteBoxDetector
    image: Tensor
    targets: list[Target]

    def ours(self, method: Method[Any], targets: Sequence[Target]) -> Work:
        """One call for all targets."""
        return lambda: explain(method, self.detector, self.image, targets)

    def pixels(self) -> Tensor:
        """The network's input."""
        size = (self.image.shape[1], self.image.shape[2])
        return self.detector.frame(size).to_input(self.image[None])

    def logits(self, pixels: Tensor) -> Tensor:
        """The raw network's class logits ``(b, classes, candidates)``."""
        return self.detector.module(pixels)[1]["scores"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is run.

    Attributes:
        repeats: Timed runs of everything.
        threads: Of torch and all other libraries.
        steps: Of integrated gradients.
        masks: Of D-RISE.
        evaluations: Of SHAP's partitions.
        boxes: Of one image, where many are explained.
        many_boxes: The same for D-RISE and ODAM.
        few_steps: The smaller number of steps whose memory is measured.
        many_steps: The larger.
        few_masks: The smaller number of masks whose memory is measured.
        many_masks: The larger.
    """

    repeats: int = 3
    threads: int = 1
    steps: int = 8
    masks: int = 48
    evaluations: int = 48
    boxes: int = 10
    many_boxes: int = 20
    few_steps: int = 16
    many_steps: int = 128
    few_masks: int = 64
    many_masks: int = 320
