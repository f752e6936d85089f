"""Classifiers from files, and back into files.

Weights are data here as well: ``.safetensors`` files say in their metadata what network they
belong to, ``.pt`` checkpoints go through the same restricted loader as detectors, and ``.pth``
tables of weights are read by ``torch.load(weights_only=True)`` after their opcodes were listed.
"""

import difflib
import json
import math
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from xai_detect.detectors.classifier.detector import ClassifierLayout, Colour, ImageClassifier
from xai_detect.detectors.device import chosen_device
from xai_detect.detectors.engine import checked_engine
from xai_detect.detectors.weights.checkpoint import (
    UNREADABLE,
    check_finite,
    digest,
    load_network,
    made_ready,
)
from xai_detect.detectors.weights.pickles import inspect_pickles
from xai_detect.errors import InputError, WeightsError
from xai_detect.values.boxes import Size
from xai_detect.values.detections import Provenance

FAMILIES = re.compile(
    r"alexnet|vgg|resnet|resnext|wide_resnet|densenet|mobilenet|mnasnet|shufflenet|squeezenet"
    r"|regnet|efficientnet|convnext"
)
"""Torchvision's convolutional classifiers that answer with one tensor."""

OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")
"""Names in the published DenseNet files, from before layers' names could not hold dots."""

KIND = "classifier"
IMAGENET_MEAN: Colour = (0.485, 0.456, 0.406)
IMAGENET_STD: Colour = (0.229, 0.224, 0.225)


def build_classifier(
    architecture: str,
    classes: tuple[str, ...] | list[str],
    *,
    input_size: int | Size = 224,
    mean: Colour = IMAGENET_MEAN,
    std: Colour = IMAGENET_STD,
    multi_label: bool = False,
    domain: str = "photo",
    device: str = "cpu",
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
        device: Where to run.
        seed: Of the random start.

    Raises:
        InputError: If a value makes no sense.
        WeightsError: If there is no such architecture.
    """
    layout = ClassifierLayout(
        _family(architecture), tuple(classes), _sides(input_size), mean, std, multi_label, domain
    )
    network = _built(layout, seed)
    provenance = _provenance(f"untrained {layout.architecture}", "", layout)
    return ImageClassifier(network, layout, provenance, device=chosen_device(device))


def save_classifier(classifier: ImageClassifier, path: str | Path) -> Path:
    """Write a classifier as one ``.safetensors`` file that ``load_classifier`` understands.

    The metadata hold architecture, classes, input size, colours, domain and whether several
    labels may be true at once.

    Raises:
        InputError: If the path does not end in ``.safetensors`` or cannot be written, or the
            classifier is a checkpoint of another library already.
    """
    path, layout = Path(path), classifier.layout
    if path.suffix != ".safetensors":
        raise InputError(f"{path.name} must end in .safetensors")
    if not FAMILIES.match(layout.architecture):
        raise InputError(
            f"{classifier.provenance.name} is a checkpoint of {classifier.provenance.family}; "
            "keep its own file"
        )
    inner: Any = classifier.module.network
    state = {key: value.detach().cpu().contiguous() for key, value in inner.state_dict().items()}
    words = {
        "kind": KIND,
        "family": "torchvision",
        "architecture": layout.architecture,
        "classes": json.dumps(layout.classes),
        "input_size": json.dumps(layout.input_size),
        "mean": json.dumps(layout.mean),
        "std": json.dumps(layout.std),
        "multi_label": json.dumps(layout.multi_label),
        "domain": layout.domain,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(state, path, metadata=words)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} could not be written ({error}); choose another folder") from error
    return path


def is_classifier(path: str | Path) -> bool:
    """Whether a file is a ``.safetensors`` that names itself a classifier."""
    path = Path(path)
    if path.suffix.lower() != ".safetensors" or not path.is_file():
        return False
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("kind") == KIND
    except (SafetensorError, OSError):
        return False


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
    device: str = "cpu",
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
        device: Where to run, in torch's words or as the number of a GPU.
        engine: How to run: ``eager``, ``bf16``, ``compiled`` or ``compiled_bf16``.

    Raises:
        InputError: If an argument makes no sense.
        WeightsError: If there is no such classifier, or its file is damaged or refused.
    """
    path, where = Path(name), chosen_device(device)
    checked_engine(engine)
    if str(name).startswith("torchvision/") and not path.is_file():
        return _published(str(name).removeprefix("torchvision/"), domain or "photo", where, engine)
    if not path.is_file():
        raise WeightsError(
            f"there is no classifier {str(name)!r}; expected a .safetensors, .pt or .pth file, or "
            "torchvision/<model>"
        )
    if path.suffix.lower() == ".pt" and architecture is None:
        return _ultralytics(path, domain or "photo", where, engine)
    if is_classifier(path):
        layout = _described(path, domain)
    elif architecture is None or classes is None:
        raise WeightsError(
            f"{path.name} does not say what network it belongs to; give architecture= and classes="
        )
    else:
        layout = ClassifierLayout(
            _family(architecture), tuple(classes), _sides(input_size), mean, std, multi_label,
            domain or "photo",
        )  # fmt: skip
    network = _filled(layout, path)
    return ImageClassifier(
        network, layout, _provenance(path.name, digest(path), layout), device=where, engine=engine
    )


def _provenance(name: str, sha256: str, layout: ClassifierLayout) -> Provenance:
    height, width = layout.input_size
    return Provenance(name, "torchvision", sha256, layout.domain, f"{width} x {height}")


def _sides(size: int | Size) -> Size:
    return (size, size) if isinstance(size, int) else size


def _pair(sides: list[int]) -> Size:
    height, width = (int(side) for side in sides)
    return height, width


def _family(architecture: str) -> str:
    """Torchvision's name of a classifier that is known to work.

    Raises:
        WeightsError: If there is none; the message suggests near names.
    """
    from torchvision import models

    plain = architecture.removeprefix("torchvision/")
    known = [one for one in models.list_models(module=models) if FAMILIES.match(one)]
    if plain not in known:
        near = difflib.get_close_matches(plain, known, n=3) or ["resnet18", "resnet50"]
        raise WeightsError(
            f"torchvision has no convolutional classifier {plain!r}; "
            f"did you mean {' or '.join(near)}?"
        )
    return plain


def _built(layout: ClassifierLayout, seed: int = 0) -> nn.Module:
    from torchvision import models

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network: nn.Module = models.get_model_builder(layout.architecture)(
            weights=None, num_classes=len(layout.classes)
        )
    return network.eval()


def _filled(layout: ClassifierLayout, path: Path) -> nn.Module:
    network = _built(layout)
    try:
        network.load_state_dict(_state(path))
    except RuntimeError as error:
        raise WeightsError(
            f"{path.name} does not fit {layout.architecture} with {len(layout.classes)} classes: "
            f"{str(error).splitlines()[-1].strip()}"
        ) from error
    check_finite(network, path.name)
    return network


def _state(path: Path) -> dict[str, torch.Tensor]:
    """A table of weights, read without running anything."""
    if path.suffix.lower() == ".safetensors":
        try:
            with safe_open(path, framework="pt") as file:
                return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{path.name} is damaged ({error}); get it again") from error
    inspect_pickles(path)
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise WeightsError(f"{path.name} is damaged or holds more than weights") from error
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(
        isinstance(one, torch.Tensor) for one in content.values()
    ):
        raise WeightsError(f"{path.name} is no table of weights; save network.state_dict()")
    return {OLD_DENSENET.sub(r"\1\2", str(key)): one for key, one in content.items()}


def _described(path: Path, domain: str | None) -> ClassifierLayout:
    with safe_open(path, framework="pt") as file:
        words: dict[str, str] = file.metadata()
    try:
        return ClassifierLayout(
            architecture=_family(words["architecture"]),
            classes=tuple(str(one) for one in json.loads(words["classes"])),
            input_size=_pair(json.loads(words["input_size"])),
            mean=_colour(words["mean"]),
            std=_colour(words["std"]),
            multi_label=bool(json.loads(words["multi_label"])),
            domain=domain or words["domain"],
        )
    except KeyError as error:
        raise WeightsError(f"{path.name} lacks the field {error} in its metadata") from error
    except (TypeError, ValueError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise WeightsError(f"{path.name}: a field of its metadata is wrong: {error}") from error


def _colour(text: str) -> Colour:
    red, green, blue = (float(one) for one in json.loads(text))
    if not all(math.isfinite(one) for one in (red, green, blue)):
        raise ValueError(f"{text} is not finite")
    return red, green, blue


def _published(model: str, domain: str, device: torch.device, engine: str) -> ImageClassifier:
    from torchvision import models

    from xai_detect.detectors.weights import download

    weights: Any = models.get_model_weights(_family(model)).DEFAULT
    file = download.cache() / Path(weights.url).name
    if not file.is_file():
        download.fetch(weights.url, file)
    sha256 = download.checked_digest(file)
    shown = weights.transforms()
    layout = ClassifierLayout(
        model, tuple(_distinct(weights.meta["categories"])), _sides(int(shown.crop_size[0])),
        _colour(json.dumps(shown.mean)), _colour(json.dumps(shown.std)), False, domain,
    )  # fmt: skip
    network = _filled(layout, file)
    provenance = _provenance(f"torchvision/{model}", sha256, layout)
    return ImageClassifier(network, layout, provenance, device=device, engine=engine)


def _distinct(names: list[str]) -> list[str]:
    """The names, a repeated one with its number behind it: ImageNet has two cranes."""
    return [
        f"{name} ({index})" if names.count(name) > 1 else name for index, name in enumerate(names)
    ]


def _ultralytics(path: Path, domain: str, device: torch.device, engine: str) -> ImageClassifier:
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
        (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), False, domain,
    )  # fmt: skip
    provenance = Provenance(path.name, "ultralytics", digest(path), domain, str(side))
    return ImageClassifier(ready, layout, provenance, device=device, engine=engine)
