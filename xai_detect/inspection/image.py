"""The main job on one image: detect, explain, weigh, judge."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from xai_detect.detectors.protocol import Detector, Raw, RawDetector
from xai_detect.explainers.explain import explain
from xai_detect.explainers.protocol import Method
from xai_detect.trust.evidence import weigh
from xai_detect.trust.policy import DEFAULT_POLICY, Policy
from xai_detect.trust.repeatability import repeat_explanations
from xai_detect.trust.verdict import judge
from xai_detect.values.detections import Detections, Target
from xai_detect.values.findings import Inspection
from xai_detect.values.images import load_image

Source = str | Path | np.ndarray | Tensor | Image.Image


def detect(
    detector: Detector, image: Float[Tensor, "3 h w"], confidence: float = 0.25
) -> Detections:
    """What a detector finds in one image, boxes in image pixels, best first."""
    frame = detector.frame((image.shape[1], image.shape[2]))
    return detector.detect(frame.to_input(image[None]), frame, confidence)[0]


def raw_predictions(detector: RawDetector, image: Float[Tensor, "3 h w"]) -> Raw:
    """Every raw prediction for one image, boxes in input pixels."""
    frame = detector.frame((image.shape[1], image.shape[2]))
    return detector.raw(frame.to_input(image[None]))


def inspect(
    detector: Detector,
    image: Source,
    *,
    method: str | Method[Any] = "integrated_gradients",
    confidence: float = 0.25,
    as_class: str | None = None,
    policy: Policy = DEFAULT_POLICY,
    source: str | None = None,
) -> Inspection:
    """Find the objects in one image, explain each, and say which the evidence supports.

    Forward passes are shared between the detections of the image.

    Args:
        detector: See ``load_detector``.
        image: A file, or an image as ``load_image`` takes it.
        method: A name in ``METHODS`` or a method with hyper-parameters.
        confidence: Detections at or below it are dropped.
        as_class: Ask every box about this class instead of its own.
        policy: Limits and sentences of the verdict.
        source: What the record calls the image; None takes the path, or ``image``.

    Raises:
        InputError: If the image, the method, the class or a threshold is wrong.
    """
    pixels = load_image(image)
    detections = detect(detector, pixels, confidence)
    targets = [_asked(target, as_class) for target in detections]
    explanations = explain(method, detector, pixels, targets)
    repeats = repeat_explanations(detector, pixels, explanations)
    unchanged = None
    if targets and isinstance(detector, RawDetector):
        unchanged = raw_predictions(detector, pixels)
    evidence = [
        weigh(detector, pixels, target, explanation, repeat, unchanged)
        for target, explanation, repeat in zip(targets, explanations, repeats, strict=True)
    ]
    return Inspection(
        source=source or (str(image) if isinstance(image, str | Path) else "image"),
        image=pixels,
        detections=detections,
        targets=tuple(targets),
        explanations=tuple(explanations),
        evidence=tuple(evidence),
        verdicts=tuple(judge(one, policy) for one in evidence),
        provenance=detector.provenance,
    )


def _asked(target: Target, as_class: str | None) -> Target:
    return target if as_class is None else target.as_class(as_class)
