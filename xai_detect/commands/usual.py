"""What is usual of confirmed detections, for annotations whose parts are known."""

from dataclasses import replace
from pathlib import Path

from xai_detect.batch.references import by_path
from xai_detect.commands.judging import Judge
from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.evaluation.outcomes import GroundTruth
from xai_detect.evaluation.parts import usual_in
from xai_detect.trust.parts import shipped_usual


def with_usual(known: GroundTruth | None, giving: Judge) -> GroundTruth | None:
    """Annotations with what is usual of confirmed detections, where parts of objects are annotated.

    It ships with the detector, or is found in its references, if a data set says what they hold.
    """
    if known is None or not any(item.parts for scan in known.scans.values() for item in scan.items):
        return known
    detector, tried_in = giving.detector, giving.tried
    usual = shipped_usual(detector)
    if usual is None and tried_in.dataset is not None and isinstance(detector, WhiteBoxDetector):
        dataset = tried_in.dataset()
        scans = by_path(dataset)
        chosen = tuple(scans[path] for path in map(Path, tried_in.names) if path in scans)
        usual = usual_in(detector, replace(dataset, scans=chosen), dataset.name)
    return replace(known, usual=usual)
