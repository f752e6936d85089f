"""Many images: foretell the cost of a run, and judge each image of a data set once."""

import time
from collections.abc import Sequence
from pathlib import Path

from xai_detect.data.records import Dataset
from xai_detect.detectors.protocol import Detector, Named
from xai_detect.errors import InputError
from xai_detect.evaluation.evaluate import Inspector
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

    def judge_once(image: Placed, name: str, found: Detections, whole: Named | None) -> Inspection:
        if name in run.done:
            record = run.record(name)
            if record.image_sha256 == image_sha256(quantised(image.image)):
                run.revise(record, name, ids[name], record.outcome, record.parts)
                return read_inspection(run.folder, run.header.provenance, record)
        inspection = judge(image, name, found, whole)
        digest = file_sha256(files[name])
        run.add(inspection, image_id=ids[name], file_sha256=digest, anew=True)
        return inspection

    return judge_once
