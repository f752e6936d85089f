"""What ``explain`` asks: the targets, the methods by column, and what should matter."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from xai_detect.commands.options import settings
from xai_detect.commands.progress import notes
from xai_detect.detectors.place import Image
from xai_detect.detectors.protocol import Detector
from xai_detect.errors import InputError
from xai_detect.explainers.methods import build_method
from xai_detect.explainers.protocol import Method
from xai_detect.inspection.image import detect
from xai_detect.values.detections import Target
from xai_detect.values.images import load_image
from xai_detect.words.catalogue import Catalogue

MOST_BOXES = 6
"""Of a detector's detections, so many are shown; a figure with more rows is hard to read."""


def marked(path: Path | None) -> Bool[Tensor, "h w"] | None:
    """What a mask image marks: all that is not black; None without a mask.

    Raises:
        InputError: If it marks nothing or everything, or cannot be read.
    """
    if path is None:
        return None
    found = load_image(path).amax(dim=0) > 0
    if bool(found.all()) or not bool(found.any()):
        which = "everything" if bool(found.all()) else "nothing"
        raise InputError(f"{path} marks {which}; expected a mask, black where nothing matters")
    return found


def methods(
    name: str, setting: Sequence[str] | None, variants: Sequence[str] | None
) -> dict[str, Method[Any]]:
    """A method per column, by the words over it.

    Raises:
        InputError: If there is no such method or setting.
    """
    common = settings(setting)
    if not variants:
        return {name: build_method(name, **common)}
    return {
        column: build_method(name, **{**common, **settings(column.split(";"))})
        for column in variants
    }


def check_figure(out: Path | None) -> None:
    """Check the name of the figure to write.

    Raises:
        InputError: If it is no PNG.
    """
    if out is not None and out.suffix.lower() != ".png":
        raise InputError(f"--out is {out}; expected a name that ends in .png")


def targets(
    found: Detector,
    image: Image,
    asked: Sequence[str] | None,
    confidence: float | None,
    words: Catalogue,
) -> list[Target]:
    """What is asked: of a classifier, where there is no confidence, its labels; else boxes.

    Raises:
        InputError: If there is no answer, or it does not know a class.
    """
    if confidence is None:
        return labels(found, image, asked)
    return boxes(found, image, asked, confidence, words)


def labels(classifier: Detector, image: Image, asked: Sequence[str] | None) -> list[Target]:
    """What was asked of a classifier, else its best answer.

    Raises:
        InputError: If it gives no answer, or does not know a class.
    """
    found = list(detect(classifier, image, 0.0))
    if not found:
        raise InputError("the classifier gives every class a probability of 0; check its weights")
    known = {target.name: target for target in found}
    return [known.get(name) or found[0].as_class(name) for name in asked or [found[0].name]]


def boxes(
    detector: Detector,
    image: Image,
    asked: Sequence[str] | None,
    confidence: float,
    words: Catalogue,
) -> list[Target]:
    """Each detection with its own class, or with every class asked about.

    Raises:
        InputError: If nothing was found, or the detector does not know a class.
    """
    found = list(detect(detector, image, confidence))
    if not found:
        raise InputError(f"nothing was found above {confidence:g}; lower --conf")
    most = max(1, MOST_BOXES // len(asked)) if asked else MOST_BOXES
    if len(found) > most:
        counted = words.counted("detections", len(found))
        note = words.say("told.best_shown", most=most, detections=counted)
        notes.print(words.say("told.note", note=note))
    return [target.as_class(name) for target in found[:most] for name in asked or [target.name]]
