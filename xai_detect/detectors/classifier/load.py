"""Classifiers by name: built untrained, or loaded from files and from published weights.

Weights are data here as well: ``.pt`` checkpoints go through the same restricted loader as
detectors.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from xai_detect.detectors.classifier.detector import ImageClassifier
from xai_detect.detectors.classifier.files import (
    built,
    colour,
    described,
    family,
    filled,
    is_classifier,
)
from xai_detect.detectors.classifier.layout import ClassifierLayout, Colour
from xai_detect.detectors.device import AUTO, Device, chosen_device
from xai_detect.detectors.engine import checked_engine
from xai_detect.detectors.weights import download
from xai_detect.detectors.weights.checkpoint import digest, load_network, made_ready
from xai_detect.detectors.yolo.conventions import GREY
from xai_detect.errors import WeightsError
from xai_detect.values.boxes import Size
from xai_detect.values.detections import Provenance

IMAGENET_MEAN: Colour = (0.485, 0.456, 0.406)
IMAGENET_STD: Colour = (0.229, 0.224, 0.225)


@torch.inference_mode(False)
def build_classifier(
    architecture: str,
    classes: tuple[str, ...] | list[str],
    *,
    input_size: int | Size = 224,
    mean: Colour = IMAGENET_MEAN,
    std: Colour = IMAGENET_STD,
    multi_label: bool = False,
    domain: str = "photo",
    preprocessing: str = "stretch",
    shorter: int = 0,
    fill: float = GREY,
    device: Device = "cpu",
    seed: int = 0,
) -> ImageClassifier:
    """An untrained torchvision classifier; train its ``module`` and hand it to ``save_classifier``.

    Args:
        architecture: Torchvision's name, such as ``resnet50``.
        classes: Names in label order.
        input_size: Side of a square input, or ``(height, width)``, in pixels.
        mean: Taken off each colour in [0, 1].
        std: What the rest is divided by.
        multi_label: Each class on its own (sigmoid), or exactly one (softmax).
        domain: ``photo`` or ``xray``.
        preprocessing: How it will be deployed: the image stretched over the input, its middle by
            ``crop``, or all of it in proportion, padded by ``letterbox``.
        shorter: For ``crop``: the image's shorter side before it; 0 takes the input's longest.
        fill: For ``letterbox``: value of the padding in [0, 1].
        device: Where to run, as in ``load_classifier``.
        seed: Of the random start.

    Raises:
        InputError: If a value makes no sense.
        WeightsError: If there is no such architecture.
    """
    layout = ClassifierLayout(
        family(architecture), tuple(classes), _sides(input_size), mean, std, multi_label, domain,
        preprocessing, shorter, fill=fill,
    )  # fmt: skip
    network = built(layout, seed).to(chosen_device(device))
    provenance = _provenance(f"untrained {layout.architecture}", "", layout)
    return ImageClassifier(network, layout, provenance)


@torch.inference_mode(False)
def load_classifier(
    name: str | Path,
    *,
    architecture: str | None = None,
    classes: tuple[str, ...] | list[str] | None = None,
    input_size: int | Size = 224,
    mean: Colour = IMAGENET_MEAN,
    std: Colour = IMAGENET_STD,
    multi_label: bool = False,
    domain: str | None = None,
    preprocessing: str | None = None,
    shorter: int = 0,
    fill: float = GREY,
    device: Device = AUTO,
    engine: str = "eager",
) -> ImageClassifier:
    """Load an image classifier as a white box whose only candidate is the whole image.

    Args:
        name: A ``.safetensors`` file written by ``save_classifier``; an ultralytics ``-cls``
            checkpoint (``.pt``); ``torchvision/<model>`` with its published weights; or a table of
            weights (``.pth``, ``.safetensors``) together with the arguments that describe it.
        architecture: For a table of weights: torchvision's name of the network.
        classes: For a table of weights: names in label order.
        input_size: For a table of weights: side or ``(height, width)`` of the input in pixels.
        mean: For a table of weights: taken off each colour in [0, 1].
        std: For a table of weights: what the rest is divided by.
        multi_label: For a table of weights: each class on its own.
        domain: ``photo`` or ``xray``; None takes the file's own, else ``photo``.
        preprocessing: ``stretch`` lays the image over the input, ``crop`` keeps its middle, as the
            libraries do, ``letterbox`` fits all of it in and pads the rest. None takes the file's
            own: ``crop`` for ultralytics' and torchvision's models, ``stretch`` for a table of
            weights.
        shorter: For a table of weights and ``crop``: the image's shorter side before it, in
            pixels; 0 takes the input's longest.
        fill: For a table of weights and ``letterbox``: value of the padding in [0, 1].
        device: Where to run: ``auto`` takes a GPU where there is one; else torch's words, a
            device, or the number of a GPU. The classifier's own ``device`` says what was chosen.
        engine: How to run: ``eager``, ``bf16``, ``compiled`` or ``compiled_bf16``.

    Raises:
        InputError: If an argument makes no sense.
        WeightsError: If there is no such classifier, or its file is damaged or refused.
    """
    path, where = Path(name), chosen_device(device)
    checked_engine(engine)
    if str(name).startswith("torchvision/") and not path.is_file():
        classifier = _published(str(name).removeprefix("torchvision/"), domain or "photo")
        return _ready(*classifier, preprocessing, where, engine)
    if not path.is_file():
        raise WeightsError(
            f"there is no classifier {str(name)!r}; expected a .safetensors, .pt or .pth file, or "
            "torchvision/<model>"
        )
    if path.suffix.lower() == ".pt" and architecture is None:
        return _ready(*_ultralytics(path, domain or "photo"), preprocessing, where, engine)
    if is_classifier(path):
        layout = described(path, domain)
    elif architecture is None or classes is None:
        raise WeightsError(
            f"{path.name} does not say what network it belongs to; give architecture= and "
            "classes=, --architecture and --classes on the command line"
        )
    else:
        layout = ClassifierLayout(
            family(architecture), tuple(classes), _sides(input_size), mean, std, multi_label,
            domain or "photo", preprocessing or "stretch", shorter, fill=fill,
        )  # fmt: skip
    provenance = _provenance(path.name, digest(path), layout)
    return _ready(filled(layout, path), layout, provenance, preprocessing, where, engine)


def _ready(
    network: nn.Module,
    layout: ClassifierLayout,
    provenance: Provenance,
    preprocessing: str | None,
    device: torch.device,
    engine: str,
) -> ImageClassifier:
    layout = replace(layout, preprocessing=preprocessing or layout.preprocessing)
    provenance = replace(provenance, input_size=layout.words())
    return ImageClassifier(network.to(device), layout, provenance, engine=engine)


def _provenance(name: str, sha256: str, layout: ClassifierLayout) -> Provenance:
    return Provenance(name, "torchvision", sha256, layout.domain, layout.words())


def _sides(size: int | Size) -> Size:
    return (size, size) if isinstance(size, int) else size


def _published(model: str, domain: str) -> tuple[nn.Module, ClassifierLayout, Provenance]:
    from torchvision import models

    weights: Any = models.get_model_weights(family(model)).DEFAULT
    file = download.cache() / Path(weights.url).name
    if not file.is_file():
        download.fetch(weights.url, file)
    sha256 = download.checked_digest(file)
    shown = weights.transforms()
    layout = ClassifierLayout(
        model, tuple(_distinct(weights.meta["categories"])), _sides(int(shown.crop_size[0])),
        colour(json.dumps(shown.mean)), colour(json.dumps(shown.std)), False, domain,
        "crop", int(shown.resize_size[0]), shown.interpolation.value,
    )  # fmt: skip
    return filled(layout, file), layout, _provenance(f"torchvision/{model}", sha256, layout)


def _distinct(names: list[str]) -> list[str]:
    """The names, a repeated one with its number behind it: ImageNet has two cranes."""
    return [
        f"{name} ({index})" if names.count(name) > 1 else name for index, name in enumerate(names)
    ]


def _ultralytics(path: Path, domain: str) -> tuple[nn.Module, ClassifierLayout, Provenance]:
    network, side = load_network(path)
    layers: Any = getattr(network, "model", None)
    head = type(layers[-1]).__name__ if isinstance(layers, nn.Sequential) and layers else None
    if head != "Classify":
        raise WeightsError(
            f"{path.name} ends in {head or type(network).__name__}; expected a classifier ending "
            "in Classify: use load_detector for a detector"
        )
    names: Any = network.names
    ready = made_ready(network, path.name)
    layout = ClassifierLayout(
        "ultralytics", tuple(str(names[index]) for index in range(len(names))), (side, side),
        (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), False, domain, "crop",
    )  # fmt: skip
    return ready, layout, Provenance(path.name, "ultralytics", digest(path), domain, "")
