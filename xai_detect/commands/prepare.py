"""What the command line's options ask for: a detector, the truth, a run's header."""

from pathlib import Path
from typing import Any

from xai_detect.commands.options import notes
from xai_detect.data.read import read_dataset
from xai_detect.detectors.load import load_detector
from xai_detect.errors import InputError
from xai_detect.evaluation import outcomes
from xai_detect.evaluation.evaluate import Inspector
from xai_detect.evaluation.outcomes import GroundTruth
from xai_detect.explainers.explain import require
from xai_detect.explainers.protocol import settings_of
from xai_detect.inspection.image import inspect
from xai_detect.output.folder.header import Header
from xai_detect.trust.policy import Policy
from xai_detect.values.fills import DOMAINS


def load(
    model: str,
    domain: str | None,
    device: str,
    imgsz: int | None,
    iou: float,
    engine: str = "eager",
) -> Any:
    """The detector the options ask for."""
    if domain is not None and domain not in DOMAINS:
        raise InputError(f"--domain is {domain!r}; choose from {', '.join(DOMAINS)}")
    return load_detector(model, domain=domain, device=device, imgsz=imgsz, iou=iou, engine=engine)


def ground_truth(path: Path, class_names: tuple[str, ...]) -> GroundTruth:
    """The annotations the options name, in the detector's words."""
    dataset = read_dataset(path)
    for problem in dataset.problems:
        notes.print(f"note: {problem}")
    return outcomes.ground_truth(dataset, class_names)


def inspector(detector: Any, method: Any) -> Inspector:
    """Explains and judges detections, given their image and its name."""
    require(method, detector)
    return lambda image, name, found: inspect(
        detector, image, method=method, detections=found, source=name
    )


def header(
    detector: Any,
    method: Any,
    confidence: float,
    iou: float,
    asked: str | None,
    policy: Policy,
    truth: Path | None = None,
    engine: str = "eager",
) -> Header:
    """What all images of this run will have in common."""
    compared = {} if truth is None else {"truth": str(truth.resolve())}
    if engine != "eager":
        compared["engine"] = engine
    return Header(
        provenance=detector.provenance,
        class_names=detector.class_names,
        method=method.name,
        settings=settings_of(method),
        confidence=confidence,
        asked=asked,
        limits=policy.limits,
        sentences=policy.sentences,
        options={"iou": iou, **compared},
    )
