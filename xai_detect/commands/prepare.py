"""What the command line's options ask for: a detector, a method, the truth, a run's header."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from xai_detect.batch.many import expected_seconds, remembered
from xai_detect.batch.references import drawn, references_of
from xai_detect.batch.sources import find_sources
from xai_detect.commands import options, progress
from xai_detect.commands.progress import notes
from xai_detect.data.classes import pair_classes
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
from xai_detect.output.run import chosen_before, open_run
from xai_detect.output.writer import RunWriter
from xai_detect.trust.budget import Budget
from xai_detect.trust.policy import DEFAULT_POLICY, Policy, read_policy
from xai_detect.trust.probability import read_probabilities
from xai_detect.trust.references import Reference
from xai_detect.trust.weigh import Second
from xai_detect.values.detections import Detections, label_of
from xai_detect.values.fills import DOMAINS
from xai_detect.values.findings import Inspection
from xai_detect.values.frame import Placed


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


def method(name: str | None, setting: Sequence[str] | None) -> Method[Any] | None:
    """The method that the options ask for, if any.

    Raises:
        InputError: If there is no such method or setting, or settings without a method.
    """
    if name is None:
        if setting:
            raise InputError("--setting belongs to --method, which was not given")
        return None
    return build_method(name, **options.settings(setting))


def policy(path: Path | None) -> Policy:
    """The policy in a file, or the one that ships."""
    return DEFAULT_POLICY if path is None else read_policy(path)


def check(found: Detector, chosen: Method[Any] | None, as_class: str | None) -> None:
    """Find out before the first image that the options do not go together.

    Raises:
        InputError: If they do not.
    """
    if chosen is not None:
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


def references(
    found: Detector, folder: Path | None, sources: Sequence[Path], spend: Budget, out: Path | None
) -> list[Reference]:
    """The images whose surroundings are tried, the same for the whole run; a note says which.

    A run that goes on takes those that its folder names.
    """
    if not spend.references:
        return []
    before = () if out is None else chosen_before(out)
    if before:
        return references_of(found, map(Path, before))
    if folder is not None:
        return references_of(found, find_sources([str(folder)]))
    drawn_ones = drawn(found, sources)
    if drawn_ones:
        notes.print(
            f"surroundings of {len(drawn_ones)} images drawn from these {len(sources)} are tried; "
            "run.json names them"
        )
    return drawn_ones


def second(found: Detector, model: str | None, device: str) -> Second | None:
    """The other detector that is asked, if any.

    Raises:
        InputError: If it shares no class with the first.
    """
    if model is None:
        return None
    other = load_detector(model, device=str(chosen_device(device)))
    labels, _ = pair_classes(found.class_names, other.class_names)
    return Second(other, labels)


def refuse_prevalence(share: float | None) -> None:
    """Refuse to correct for a share of threats where the data cannot tell.

    Raises:
        InputError: If it was asked for and the probability's data hold no clean images.
    """
    table = read_probabilities()
    if share is not None and not table.clean_images:
        raise InputError(
            f"--prevalence {share:g} cannot be used: the probability was fitted on {table.data}, "
            "which hold no image without an object, so they do not say how often an alarm is false "
            "there; leave it out"
        )


def inspector(
    found: Detector,
    *,
    spend: Budget,
    chosen: Method[Any] | None = None,
    others: Sequence[Reference] = (),
    as_class: str | None = None,
    rules: Policy = DEFAULT_POLICY,
    asked_second: Second | None = None,
    language: str = "en",
) -> Inspector:
    """Judges detections, given their image and its name."""

    def judge(image: Placed, name: str, detections: Detections) -> Inspection:
        own = [reference for reference in others if reference.name != name]
        return inspect(
            found, image, budget=spend.name, references=own, method=chosen, as_class=as_class,
            policy=rules, second=asked_second, language=language, detections=detections,
            source=name,
        )  # fmt: skip

    return judge


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
    spend: Budget,
    left: Sequence[Path],
    confidence: float,
    done: int = 0,
    folder: Path | None = None,
) -> None:
    """Say what a run folder holds already, and how long the rest will take."""
    if done:
        notes.print(f"{folder}: {done} of {done + len(left)} images are done already")
    progress.tell_cost(expected_seconds(found, spend, left, confidence), len(left))


def command() -> str:
    """What the user typed, for the record."""
    return shlex.join(["xai-detect", *sys.argv[1:]])


def header(
    found: Detector,
    chosen: Method[Any] | None,
    confidence: float,
    iou: float,
    rules: Policy,
    spend: Budget,
    others: Sequence[Reference],
    language: str,
    asked: str | None = None,
    given: Mapping[str, object] | None = None,
    category_ids: tuple[int | str, ...] = (),
) -> Header:
    """What all images of this run will have in common.

    Args:
        found: The detector.
        chosen: The method whose map is added.
        confidence: Operating threshold.
        iou: Overlap above which boxes were suppressed.
        rules: The policy.
        spend: The budget.
        others: The references.
        language: Of the sentences.
        asked: The class that every box is asked about as well.
        given: Further options by name, None for those that were not given; paths are resolved.
        category_ids: See ``Header``.
    """
    further = {
        name: str(value.resolve()) if isinstance(value, Path) else value
        for name, value in (given or {}).items()
        if value is not None and (name, value) != ("engine", "eager")
    }
    return Header(
        provenance=found.provenance,
        class_names=found.class_names,
        method="" if chosen is None else chosen.name,
        settings={} if chosen is None else settings_of(chosen),
        confidence=confidence,
        asked=asked,
        limits=rules.limits,
        budget=spend.name,
        references=tuple(reference.name for reference in others),
        lang=language,
        category_ids=category_ids,
        options={"iou": iou, **further},
    )
