"""Many images: foretell the cost, inspect one after the other, survive the bad ones."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from xai_detect.detectors.protocol import Detector
from xai_detect.errors import InputError, XaiDetectError
from xai_detect.evaluation.evaluate import Inspector
from xai_detect.evaluation.outcomes import GroundTruth, outcome
from xai_detect.explainers.protocol import Method
from xai_detect.inspection.image import detect, inspect
from xai_detect.output.folder.load import load_run
from xai_detect.output.folder.pixels import image_sha256, quantised
from xai_detect.output.write import RunWriter
from xai_detect.trust.evidence import MOST_PASSES
from xai_detect.trust.policy import Policy
from xai_detect.values.findings import Inspection
from xai_detect.values.images import load_image

SAMPLED = 5
"""Images looked at to foretell the cost of a run."""

BACKWARD_COST = 0.8
"""A backward pass to the input costs about this many forward passes."""


def expected_seconds(
    detector: Detector,
    method: Method[Any],
    sources: Sequence[Path],
    confidence: float,
) -> float:
    """About how long a run will take, from the detector's own speed on a few images."""
    costs = []
    for path in sources[:: max(1, len(sources) // SAMPLED)][:SAMPLED]:
        try:
            image = load_image(path)
            count = len(detect(detector, image, confidence))  # the first pass also warms up
        except InputError:  # told where the image is inspected
            continue
        start = time.perf_counter()
        detect(detector, image, confidence)
        forward = time.perf_counter() - start
        passes = float(MOST_PASSES * count)
        for one in (method, method.brief()):
            forwards, backwards = one.expected_passes(count)
            passes += forwards + BACKWARD_COST * backwards
        costs.append(forward * passes)
    return sum(costs) / len(costs) * len(sources) if costs else 0.0


def remembered(run: RunWriter, judge: Inspector) -> Inspector:
    """Judge each image once: what the run holds is handed out, the rest is judged and added.

    An image whose pixels are not those that the run holds under its name is an ``InputError``.

    Args:
        run: Where inspections are kept, by the image's name.
        judge: Inspects an image that the run does not hold.
    """
    held = load_run(run.folder)
    places = {record.source: place for place, record in enumerate(held.records)}

    def judge_once(image: Float[Tensor, "3 h w"], name: str) -> Inspection:
        if name in places:
            if held.records[places[name]].image_sha256 != image_sha256(quantised(image)):
                raise InputError(
                    f"{run.folder} holds verdicts of another image named {name}; "
                    "choose another folder"
                )
            return held.inspections[places[name]]
        inspection = judge(image, name)
        run.add(inspection)
        return inspection

    return judge_once


def inspect_all(
    detector: Detector,
    sources: Sequence[Path],
    run: RunWriter,
    *,
    method: Method[Any],
    confidence: float,
    as_class: str | None,
    policy: Policy,
    step: Callable[[], None],
    truth: GroundTruth | None = None,
) -> None:
    """Inspect every source the run does not hold yet; bad files are listed and passed over.

    Args:
        detector: The detector.
        sources: Image files.
        run: Where results go; what it holds already is not done again.
        method: How to explain.
        confidence: Detections at or below it are dropped.
        as_class: Ask every box about this class instead of its own.
        policy: Limits and sentences of the verdict.
        step: Called when a source is through, also a failed or known one.
        truth: Annotations to compare with.

    Raises:
        InputError: If the run folder cannot be written; what was written stays.
    """
    for path in sources:
        if str(path) not in run.done:
            try:
                inspection = inspect(
                    detector,
                    path,
                    method=method,
                    confidence=confidence,
                    as_class=as_class,
                    policy=policy,
                )
            except XaiDetectError as error:
                run.fail(str(path), str(error))
            else:
                if truth is not None:
                    inspection = replace(inspection, outcome=outcome(truth, inspection))
                run.add(inspection)
        step()
