"""What all images of a run have in common, from the options that make it."""

from collections.abc import Mapping, Sequence
from typing import Any

from xai_detect.detectors.protocol import Detector
from xai_detect.explainers.protocol import Method, settings_of
from xai_detect.output.folder.header import Header
from xai_detect.trust.policy import Policy
from xai_detect.trust.weigh import Second


def header_of(
    detector: Detector,
    confidence: float,
    *,
    budget: str,
    policy: Policy,
    method: Method[Any] | None,
    references: Sequence[str],
    as_class: str | None,
    second: Second | None,
    language: str,
    options: Mapping[str, object] | None = None,
    category_ids: tuple[int | str, ...] = (),
) -> Header:
    """The header of a run; the options are those of ``inspect``.

    Args:
        detector: The detector.
        confidence: Operating threshold.
        budget: Name of what may be spent.
        policy: Limits of the verdict.
        method: The method whose map is added.
        references: Names of the other images that are tried.
        as_class: The class that every box is asked about.
        second: The other detector.
        language: Of the sentences.
        options: Anything else that changes a number.
        category_ids: The data set's id of each class.
    """
    further = {"iou": getattr(detector, "iou", None), **(options or {})}
    if second is not None:
        other = second.detector.provenance
        further["second"] = f"{other.name} {other.sha256[:12]}".strip()
    return Header(
        provenance=detector.provenance,
        class_names=detector.class_names,
        method="" if method is None else method.name,
        settings={} if method is None else settings_of(method),
        confidence=confidence,
        asked=as_class,
        limits=policy.limits,
        budget=budget,
        references=tuple(references),
        lang=language,
        category_ids=category_ids,
        options={name: value for name, value in further.items() if value is not None},
    )
