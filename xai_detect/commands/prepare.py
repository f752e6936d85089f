"""What the command line's options ask for: a detector, and the truth beside it."""

import shlex
import sys
from pathlib import Path

import torch

from xai_detect.commands.options import sides
from xai_detect.commands.progress import notes
from xai_detect.data.classes import fitted, pair_classes, pairing_line
from xai_detect.data.read import read_truth
from xai_detect.data.records import Dataset
from xai_detect.detectors.classifier.load import load_classifier
from xai_detect.detectors.device import chosen_device
from xai_detect.detectors.load import load_detector
from xai_detect.detectors.protocol import Detector, WhiteBoxDetector
from xai_detect.errors import InputError
from xai_detect.evaluation import outcomes
from xai_detect.evaluation.outcomes import GroundTruth
from xai_detect.trust.weigh import Second
from xai_detect.values.fills import DOMAINS
from xai_detect.words.catalogue import Catalogue


def detector(
    model: str,
    words: Catalogue,
    domain: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    imgsz: str | int | None = None,
    iou: float = 0.7,
    engine: str = "eager",
) -> Detector:
    """The detector that the options ask for, on the device and threads that they ask for."""
    if domain is not None and domain not in DOMAINS:
        raise InputError(f"--domain is {domain!r}; choose from {', '.join(DOMAINS)}")
    where = _where_to_run(device, threads, words)
    return load_detector(
        model, domain=domain, device=where, imgsz=sides(imgsz), iou=iou, engine=engine
    )


def white_box(
    model: str, words: Catalogue, device: str, threads: int | None, imgsz: str | None
) -> WhiteBoxDetector:
    """The same, for what needs gradients.

    Raises:
        InputError: If the file is a black box.
    """
    found = detector(model, words, device=device, threads=threads, imgsz=imgsz)
    if not isinstance(found, WhiteBoxDetector):
        raise InputError(
            f"{found.provenance.name} is a black box; expected a network that shows its gradients, "
            "such as a .pt file"
        )
    return found


def classifier(
    model: str,
    words: Catalogue,
    domain: str | None,
    device: str,
    threads: int | None,
    engine: str,
) -> Detector:
    """The image classifier that the options ask for."""
    where = _where_to_run(device, threads, words)
    return load_classifier(model, domain=domain, device=where, engine=engine)


def _where_to_run(device: str, threads: int | None, words: Catalogue) -> str:
    """Where to run; a note names the place unless it is the CPU."""
    if threads is not None:
        torch.set_num_threads(threads)
    chosen = chosen_device(device)
    named = f" ({torch.cuda.get_device_name(chosen)})" if chosen.type == "cuda" else ""
    if chosen.type != "cpu":
        notes.print(words.say("told.device", device=f"{chosen}{named}"))
    return str(chosen)


def second(found: Detector, model: str | None, device: str) -> Second | None:
    """The other detector that is asked, if any.

    Raises:
        InputError: If it shares no class with the first.
    """
    if model is None:
        return None
    other = load_detector(model, device=str(chosen_device(device)))
    try:
        labels, _ = pair_classes(found.class_names, other.class_names)
    except InputError as error:
        raise InputError(
            f"--second {model} has no class in common with {found.provenance.name}; choose a "
            "detector that knows one of its classes"
        ) from error
    return Second(other, labels)


def ground_truth(
    path: Path | None, class_names: tuple[str, ...], words: Catalogue
) -> GroundTruth | None:
    """The annotations that the options name, in the detector's words."""
    if path is None:
        return None
    dataset = truth(path, words)
    known = outcomes.ground_truth(dataset, class_names)
    tell(words, pairing_line(class_names, fitted(dataset, class_names).class_names))
    return known


def truth(
    path: Path, words: Catalogue, images: Path | None = None, split: str | None = None
) -> Dataset:
    """The data set that the options name; what is wrong with it is told first.

    Raises:
        InputError: If it cannot be read, or no truth is left in it.
    """
    dataset = read_truth(path, images=images, split=split)
    tell(words, *dataset.losses.lines, *dataset.problems)
    return dataset


def tell(words: Catalogue, *sentences: str) -> None:
    """Print notes."""
    for sentence in sentences:
        notes.print(words.say("told.note", note=sentence), markup=False, soft_wrap=True)


def command() -> str:
    """What the user typed, for the record."""
    return shlex.join(["xai-detect", *sys.argv[1:]])
