"""The main job on one image: detect, explain, weigh, judge."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage
from torch import Tensor

from xai_detect.detectors.place import Image, place
from xai_detect.detectors.protocol import Detector, RawDetector
from xai_detect.errors import InputError
from xai_detect.explainers.explain import explain
from xai_detect.explainers.methods import build_method
from xai_detect.explainers.protocol import Method
from xai_detect.trust.evidence import weigh
from xai_detect.trust.policy import DEFAULT_POLICY, Policy
from xai_detect.trust.repeatability import repeat_explanations
from xai_detect.trust.verdict import judge
from xai_detect.values.detections import Detections, Target
from xai_detect.values.findings import Inspection
from xai_detect.values.frame import Placed
from xai_detect.values.images import load_image

Source = str | Path | np.ndarray | Tensor | PillowImage.Image | Placed


def detect(detector: Detector, image: Image, confidence: float = 0.25) -> Detections:
    """What a detector finds in one image, boxes in image pixels, best first."""
    placed = place(detector, image)
    return detector.detect(placed.pixels, placed.frame, confidence)[0]


def inspect(
    detector: Detector,
    image: Source,
    *,
    method: str | Method[Any] = "integrated_gradients",
    confidence: float = 0.25,
    as_class: str | None = None,
    policy: Policy = DEFAULT_POLICY,
    source: str | None = None,
    detections: Detections | None = None,
) -> Inspection:
    """Find the objects in one image, explain each, and say which the evidence supports.

    The image is placed in the detector's input once, and forward passes are shared between its
    detections.

    Args:
        detector: See ``load_detector``.
        image: A file, an image as ``load_image`` takes it, or one that ``place`` has placed.
        method: A name in ``METHODS`` or a method with hyper-parameters.
        confidence: Detections at or below it are dropped.
        as_class: Ask every box about this class instead of its own.
        policy: Limits and sentences of the verdict.
        source: What the record calls the image; None takes the path, or ``image``.
        detections: What this detector found in the image, if that is known already; all of it is
            explained, whatever ``confidence``.

    Raises:
        InputError: If the image, the method, the class or a threshold is wrong, or the detections
            are those of an image of another size.
    """
    chosen = build_method(method) if isinstance(method, str) else method
    placed = image if isinstance(image, Placed) else place(detector, load_image(image))
    if detections is None:
        detections = detect(detector, placed, confidence)
    elif detections.image_size != placed.frame.image_size:
        raise InputError(
            f"the detections are of an image of {detections.image_size}, but this one is "
            f"{placed.frame.image_size}: pass the detections of this image, or none"
        )
    targets = [_asked(target, as_class) for target in detections]
    explanations = explain(chosen, detector, placed, targets)
    repeats = repeat_explanations(detector, placed, explanations, chosen)
    unchanged = None
    if targets and isinstance(detector, RawDetector):
        unchanged = detector.raw(placed.pixels)
    evidence = [
        weigh(
            detector, placed, target, explanation,
            repeat=repeat, unchanged=unchanged, method=chosen,
        )
        for target, explanation, repeat in zip(targets, explanations, repeats, strict=True)
    ]  # fmt: skip
    return Inspection(
        source=source or (str(image) if isinstance(image, str | Path) else "image"),
        image=placed.image,
        detections=detections,
        targets=tuple(targets),
        explanations=tuple(explanations),
        evidence=tuple(evidence),
        verdicts=tuple(judge(numbers, policy) for numbers in evidence),
        provenance=detector.provenance,
    )


def _asked(target: Target, as_class: str | None) -> Target:
    return target if as_class is None else target.as_class(as_class)
