"""The main job on one image: detect, test, explain, judge."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from PIL import Image as PillowImage
from torch import Tensor

from xai_detect.detectors.place import Image, place
from xai_detect.detectors.protocol import Detector, Named
from xai_detect.explainers.explain import explain
from xai_detect.explainers.methods import build_method
from xai_detect.explainers.protocol import Method
from xai_detect.scores.scalars import class_survival
from xai_detect.trust.budget import budget_named
from xai_detect.trust.policy import DEFAULT_POLICY, Policy
from xai_detect.trust.references import Reference
from xai_detect.trust.scene import look, predictions
from xai_detect.trust.verdict import judge
from xai_detect.trust.weigh import Second, weigh
from xai_detect.values.detections import Detections, Target, label_of
from xai_detect.values.findings import Asked, Explanation, Inspection
from xai_detect.values.frame import Placed
from xai_detect.values.images import load_image
from xai_detect.words.catalogue import catalogue

Source = str | Path | np.ndarray | Tensor | PillowImage.Image | Placed


def detect(detector: Detector, image: Image, confidence: float = 0.25) -> Detections:
    """What a detector finds in one image, boxes in image pixels, best first."""
    placed = place(detector, image)
    return detector.detect(placed.pixels, placed.frame, confidence)[0]


def inspect(
    detector: Detector,
    image: Source,
    *,
    budget: str = "standard",
    references: Sequence[Reference] = (),
    method: str | Method[Any] | None = None,
    confidence: float = 0.25,
    as_class: str | None = None,
    policy: Policy = DEFAULT_POLICY,
    foreground: Bool[Tensor, "h w"] | None = None,
    second: Second | None = None,
    language: str = "en",
    source: str | None = None,
    detections: Detections | None = None,
    whole: Named | None = None,
    order: str = "rgb",
) -> Inspection:
    """Find the objects in one image, and say of each what decides it and how far to believe it.

    The image is placed in the detector's input once.

    Args:
        detector: See ``load_detector``.
        image: A file, an image as ``load_image`` takes it, or one that ``place`` has placed.
        budget: ``quick``, ``standard`` or ``full``; see ``trust.budget``.
        references: Other images whose surroundings are tried, from ``as_reference``; at least six,
            of other classes too. Without any, that part is unmeasured.
        method: A method whose map is added, by its name in ``METHODS`` or with hyper-parameters; it
            changes no verdict.
        confidence: Detections at or below it are dropped.
        as_class: Also say of every box whether the detector sees this class in it, and explain why
            its own class and not this one.
        policy: Limits of the verdict.
        foreground: What is known to be the object, for boxes that fill the image.
        second: Another detector to ask whether it finds the same.
        language: Of the sentences: ``en`` or ``ko``.
        source: What the record calls the image; None takes the path, or ``image``.
        detections: What this detector found in the image, if that is known already; all of it is
            judged, whatever ``confidence``.
        whole: The predictions behind these, if they are known too; else they cost one more pass.
        order: Of the colours in an array or a tensor: ``rgb``, or ``bgr`` as OpenCV gives them.

    Raises:
        InputError: If the image, a name or a threshold is wrong, or the detections are those of an
            image of another size.
    """
    spend, added = budget_named(budget), _method(method)
    rival = None if as_class is None else label_of(as_class, detector.class_names)
    placed = image if isinstance(image, Placed) else place(detector, load_image(image, order=order))
    if detections is None:
        detections, whole = look(detector, placed, confidence)
    weighed = weigh(
        detector, placed, detections, whole=whole, budget=spend, references=references,
        foreground=foreground, second=second, rival=rival, policy=policy,
    )  # fmt: skip
    targets = list(detections)
    asked: list[Asked | None] = [None] * len(targets)
    if rival is not None:
        asked = _asked(detector, placed, targets, whole, rival, policy, language)
    maps: list[Explanation | None] = [None] * len(targets)
    if added is not None:
        maps = list(explain(added, detector, placed, targets))
    return Inspection(
        source=source or (str(image) if isinstance(image, str | Path) else "image"),
        image=placed.image,
        detections=detections,
        explanations=tuple(found.explanation for found in weighed),
        contrasts=tuple(found.contrast for found in weighed),
        added=tuple(maps),
        evidence=tuple(found.evidence for found in weighed),
        verdicts=tuple(judge(found.evidence, policy, language) for found in weighed),
        asked=tuple(asked),
        provenance=detector.provenance,
    )


def _method(method: str | Method[Any] | None) -> Method[Any] | None:
    return build_method(method) if isinstance(method, str) else method


def _asked(
    detector: Detector,
    placed: Placed,
    targets: Sequence[Target],
    whole: Named | None,
    label: int,
    policy: Policy,
    language: str,
) -> list[Asked | None]:
    """Whether the detector sees a class in each of the boxes."""
    if not targets:
        return []
    if whole is None:
        (whole,) = predictions(detector, placed.pixels, placed.frame)
    words, name = catalogue(language), detector.class_names[label]
    found: list[Asked | None] = []
    for target in targets:
        score = float(class_survival(whole.raw, target.box, placed.frame)[0, label])
        supported = score >= policy.limits["claim"]
        sentence = words.say(
            f"asked.{'supported' if supported else 'absent'}",
            **{"asked": name, "class": target.name, "score": score},
        )
        found.append(Asked(name, supported, score, sentence))
    return found
