"""What the command line's options ask for: a detector, a method, the truth, a run's header."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from xai_detect.batch.many import expected_seconds, remembered
from xai_detect.commands import options, progress
from xai_detect.commands.progress import notes
from xai_detect.data.read import read_dataset
from xai_detect.data.records import Dataset
from xai_detect.detectors.classifier.load import load_classifier
from xai_detect.detectors.device import chosen_device
from xai_detect.detectors.load import load_detector
from xai_detect.detectors.protocol import Detector, WhiteBoxDetector
from xai_detect.errors import InputError
from xai_detect.evaluation import outcomes
from xai_detect.evaluation.evaluate import Inspector
from xai_detect.evaluation.outcomes import GroundTruth
from xai_detect.explainers.explain import require
from xai_detect.explainers.methods import build_method
from xai_detect.explainers.protocol import Method, settings_of
from xai_detect.inspection.image import inspect
from xai_detect.output.folder.header import Header
from xai_detect.output.run import open_run
from xai_detect.output.writer import RunWriter
from xai_detect.trust.policy import DEFAULT_POLICY, Policy, read_policy
from xai_detect.values.detections import label_of
from xai_detect.values.fills import DOMAINS


def detector(
    model: str,
    domain: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    imgsz: int | None = None,
    iou: float = 0.7,
    engine: str = "eager",
) -> Detector:
    """The detector that the options ask for, on the device and threads that they ask for."""
    if domain is not None and domain not in DOMAINS:
        raise InputError(f"--domain is {domain!r}; choose from {', '.join(DOMAINS)}")
    where = _where_to_run(device, threads)
    return load_detector(model, domain=domain, device=where, imgsz=imgsz, iou=iou, engine=engine)


def white_box(model: str, device: str, threads: int | None, imgsz: int | None) -> WhiteBoxDetector:
    """The same, for what needs gradients.

    Raises:
        InputError: If the file is a black box.
    """
    found = detector(model, device=device, threads=threads, imgsz=imgsz)
    if not isinstance(found, WhiteBoxDetector):
        raise InputError(
            f"{found.provenance.name} is a black box; expected a network that shows its gradients, "
            "such as a .pt file"
        )
    return found


def classifier(
    model: str, domain: str | None, device: str, threads: int | None, engine: str
) -> Detector:
    """The image classifier that the options ask for."""
    where = _where_to_run(device, threads)
    return load_classifier(model, domain=domain, device=where, engine=engine)


def _where_to_run(device: str, threads: int | None) -> str:
    """Where to run; a note names the place unless it is the CPU."""
    if threads is not None:
        torch.set_num_threads(threads)
    chosen = chosen_device(device)
    if chosen.type == "cuda":
        notes.print(f"running on {chosen} ({torch.cuda.get_device_name(chosen)})")
    elif chosen.type != "cpu":
        notes.print(f"running on {chosen}")
    return str(chosen)


def method(name: str, setting: Sequence[str] | None) -> Method[Any]:
    """The method that the options ask for."""
    return build_method(name, **options.settings(setting))


def policy(path: Path | None) -> Policy:
    """The policy in a file, or the one that ships."""
    return DEFAULT_POLICY if path is None else read_policy(path)


def check(found: Detector, chosen: Method[Any], as_class: str | None) -> None:
    """Find out before the first image that the options do not go together.

    Raises:
        InputError: If they do not.
    """
    require(chosen, found)
    if as_class is not None:
        label_of(as_class, found.class_names)


def ground_truth(path: Path | None, class_names: tuple[str, ...]) -> GroundTruth | None:
    """The annotations that the options name, in the detector's words."""
    if path is None:
        return None
    dataset = read_dataset(path)
    for problem in dataset.problems:
        notes.print(f"note: {problem}")
    return outcomes.ground_truth(dataset, class_names)


def inspector(found: Detector, chosen: Method[Any]) -> Inspector:
    """Explains and judges detections, given their image and its name."""
    require(chosen, found)
    return lambda image, name, detections: inspect(
        found, image, method=chosen, detections=detections, source=name
    )


def kept(
    out: Path | None, common: Header, judge: Inspector, dataset: Dataset
) -> tuple[RunWriter | None, Inspector]:
    """A run folder for an evaluation's verdicts, if one is asked for, and who judges through it."""
    if out is None:
        return None, judge
    ids = outcomes.category_ids(dataset, common.class_names)
    run = open_run(out, replace(common, category_ids=ids), command=command())
    return run, remembered(run, judge, dataset)


def tell_work(
    found: Detector,
    chosen: Method[Any],
    left: Sequence[Path],
    confidence: float,
    done: int = 0,
    folder: Path | None = None,
) -> None:
    """Say what a run folder holds already, and how long the rest will take."""
    if done:
        notes.print(f"{folder}: {done} of {done + len(left)} images are done already")
    progress.tell_cost(expected_seconds(found, chosen, left, confidence), len(left))


def command() -> str:
    """What the user typed, for the record."""
    return shlex.join(["xai-detect", *sys.argv[1:]])


def header(
    found: Detector,
    chosen: Method[Any],
    confidence: float,
    iou: float,
    asked: str | None,
    rules: Policy,
    truth: Path | None = None,
    engine: str = "eager",
    images: Path | None = None,
    split: str | None = None,
    category_ids: tuple[int | str, ...] = (),
) -> Header:
    """What all images of this run will have in common."""
    given = {
        "truth": truth and str(truth.resolve()),
        "engine": None if engine == "eager" else engine,
        "images": images and str(images.resolve()),
        "split": split,
    }
    named = {name: value for name, value in given.items() if value is not None}
    return Header(
        provenance=found.provenance,
        class_names=found.class_names,
        method=chosen.name,
        settings=settings_of(chosen),
        confidence=confidence,
        asked=asked,
        limits=rules.limits,
        sentences=rules.sentences,
        category_ids=category_ids,
        options={"iou": iou, **named},
    )
