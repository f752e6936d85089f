"""What the command line's options ask for: a detector, and the truth beside it."""

import shlex
import sys
from pathlib import Path
from typing import NamedTuple

import torch

from xai_detect.commands.options import sides
from xai_detect.commands.progress import notes
from xai_detect.data.classes import fitted, pair_classes, pairing_line
from xai_detect.data.read import read_truth
from xai_detect.data.records import Dataset
from xai_detect.detectors.classifier.files import is_classifier
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

SIDE = 224
"""Of a classifier's square input, in pixels, where nobody says otherwise."""


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


class Described(NamedTuple):
    """What a table of weights does not say of itself.

    Attributes:
        architecture: Torchvision's name of the network.
        classes: Names in label order.
        multi_label: Each class on its own (sigmoid), or exactly one (softmax).
        side: Of the square input, in pixels.
    """

    architecture: str
    classes: tuple[str, ...]
    multi_label: bool
    side: int


def described(
    architecture: str | None, classes: str | None, multi_label: bool, imgsz: str | None
) -> Described | None:
    """What the options say of a table of weights; None if they say nothing.

    Args:
        architecture: Torchvision's name of the network.
        classes: Names with commas between them, or a text file with one in each line.
        multi_label: Each class on its own.
        imgsz: Side of the input in pixels; None is 224.

    Raises:
        InputError: If one is missing beside the other, or the file cannot be read.
    """
    if architecture is None and classes is None:
        if multi_label:
            raise InputError(
                "--multi-label describes a table of weights; give --architecture and --classes too"
            )
        return None
    if architecture is None or classes is None:
        given, missing = (
            ("--classes", "--architecture") if architecture is None else
            ("--architecture", "--classes")
        )  # fmt: skip
        raise InputError(
            f"{given} was given without {missing}; a table of weights needs both, such as "
            "--architecture resnet18 --classes safe,dangerous"
        )
    side = sides(imgsz)
    if isinstance(side, tuple):
        raise InputError(f"--imgsz is {imgsz!r}, but a classifier's input is square; give one side")
    return Described(architecture, _names(classes), multi_label, side or SIDE)


def _names(classes: str) -> tuple[str, ...]:
    path = Path(classes)
    if path.suffix.lower() != ".txt":
        return tuple(name.strip() for name in classes.split(","))
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"--classes is {path}, which cannot be read ({error}); expected a text file with one "
            "name in each line"
        ) from error
    return tuple(line.strip() for line in lines if line.strip())


def classifier(
    model: str,
    words: Catalogue,
    domain: str | None,
    device: str,
    threads: int | None,
    engine: str,
    preprocessing: str | None = None,
    own: Described | None = None,
) -> Detector:
    """The image classifier that the options ask for.

    Raises:
        InputError: If a file that says what it is is described once more.
    """
    where = _where_to_run(device, threads, words)
    if own is None:
        return load_classifier(
            model, domain=domain, device=where, engine=engine, preprocessing=preprocessing
        )
    if is_classifier(model) or model.startswith("torchvision/"):
        raise InputError(
            f"{model} says itself what network it is; leave --architecture and --classes out"
        )
    return load_classifier(
        model, architecture=own.architecture, classes=own.classes, multi_label=own.multi_label,
        input_size=own.side, domain=domain, device=where, engine=engine,
        preprocessing=preprocessing,
    )  # fmt: skip


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
