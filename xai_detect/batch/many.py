"""Many images: foretell the cost, inspect one after the other, survive the bad ones."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from xai_detect.data.records import Dataset
from xai_detect.detectors.place import place
from xai_detect.detectors.protocol import Detector
from xai_detect.errors import InputError, XaiDetectError
from xai_detect.evaluation.evaluate import Inspector
from xai_detect.evaluation.lookalikes import with_lookalikes
from xai_detect.evaluation.outcomes import GroundTruth, outcome
from xai_detect.evaluation.parts import parts_found
from xai_detect.inspection.image import detect
from xai_detect.output.folder.load import read_inspection
from xai_detect.output.folder.pixels import image_sha256, quantised
from xai_detect.output.writer import RunWriter
from xai_detect.trust.budget import Budget
from xai_detect.values.detections import Detections
from xai_detect.values.files import file_sha256
from xai_detect.values.findings import Inspection
from xai_detect.values.frame import Placed
from xai_detect.values.images import load_image
from xai_detect.values.truth import Scan

SAMPLED = 5
"""Images looked at to foretell the cost of a run."""


def expected_seconds(
    detector: Detector, budget: Budget, sources: Sequence[Path], confidence: float
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
        costs.append(forward * (count * budget.expected_passes + 3))
    return sum(costs) / len(costs) * len(sources) if costs else 0.0


def remembered(run: RunWriter, judge: Inspector, dataset: Dataset) -> Inspector:
    """Judge each image once: what the run holds is handed out, the rest is judged and added.

    An image whose pixels are not those that the run holds under its name is judged again.

    Args:
        run: Where inspections are kept, by the image's name.
        judge: Inspects an image that the run does not hold.
        dataset: Where the images come from; gives them their ids.
    """
    ids = {scan.name: scan.image_id for scan in dataset.scans}
    files = {scan.name: scan.path for scan in dataset.scans}

    def judge_once(image: Placed, name: str, found: Detections) -> Inspection:
        if name in run.done:
            record = run.record(name)
            if record.image_sha256 == image_sha256(quantised(image.image)):
                run.revise(record, name, ids[name], record.outcome, record.parts)
                return read_inspection(run.folder, run.header.provenance, record)
        inspection = judge(image, name, found)
        digest = file_sha256(files[name])
        run.add(inspection, image_id=ids[name], file_sha256=digest, anew=True)
        return inspection

    return judge_once


def inspect_all(
    detector: Detector,
    sources: Sequence[Path],
    run: RunWriter,
    inspector: Inspector,
    *,
    held: Mapping[Path, str],
    confidence: float,
    step: Callable[[], None],
    truth: GroundTruth | None = None,
) -> None:
    """Inspect every source the run does not hold yet; bad files are listed and passed over.

    Args:
        detector: The detector.
        sources: Image files.
        run: Where results go; what it holds already is only held against the annotations again.
        inspector: Judges what was found in an image.
        held: The source under which the run holds a file, from ``run.recognise(sources)``.
        confidence: Detections at or below it are dropped.
        step: Called when a source is through, also a failed or known one.
        truth: Annotations to compare with.

    Raises:
        InputError: If the run folder cannot be written; what was written stays.
    """
    for path in sources:
        scan = truth.scan(path) if truth is not None else None
        if path in held:
            _compare_again(run, held[path], path, truth, scan)
        else:
            try:
                digest = file_sha256(path)
                image = place(detector, load_image(path))
                inspection = inspector(image, str(path), detect(detector, image, confidence))
            except XaiDetectError as error:
                run.fail(str(path), str(error))
            else:
                if truth is not None and scan is not None:
                    inspection = _compared(inspection, truth, scan, run.header.lang)
                    inspection = with_lookalikes(
                        inspection, truth, detector, image, run.header.lang
                    )
                run.add(
                    inspection,
                    image_id=scan.image_id if scan is not None else None,
                    file_sha256=digest,
                    anew=True,
                )
        step()


def _compare_again(
    run: RunWriter, source: str, path: Path, truth: GroundTruth | None, scan: Scan | None
) -> None:
    """Bring a held image up to date: its file may have been moved, its annotations corrected."""
    record = run.record(source)
    if truth is None or scan is None:
        run.revise(record, str(path), None, None)
        return
    parts = record.parts
    if any(item.parts for item in scan.items):
        inspection = read_inspection(run.folder, run.header.provenance, record)
        parts = parts_found(truth, scan, inspection, run.header.lang)
    compared = outcome(truth, scan, record.detections)
    run.revise(record, str(path), scan.image_id, compared, parts)


def _compared(inspection: Inspection, truth: GroundTruth, scan: Scan, language: str) -> Inspection:
    """An inspection held against the annotations of its image."""
    found = outcome(truth, scan, inspection.detections)
    parts = parts_found(truth, scan, inspection, language)
    return replace(inspection, outcome=found, parts=parts)
