"""Classifiers' files: tables of weights, and ``.safetensors`` that say what network they hold.

Weights are data here as well: ``.pth`` tables are read by ``torch.load(weights_only=True)`` after
their opcodes were listed.
"""

import difflib
import json
import math
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from xai_detect.detectors.classifier.detector import ImageClassifier
from xai_detect.detectors.classifier.layout import ClassifierLayout, Colour
from xai_detect.detectors.weights.checkpoint import UNREADABLE, check_finite
from xai_detect.detectors.weights.pickles import inspect_pickles
from xai_detect.detectors.weights.seeded import Seeded
from xai_detect.detectors.yolo.conventions import GREY
from xai_detect.errors import InputError, WeightsError
from xai_detect.values.boxes import Size
from xai_detect.values.files import write_bytes

FAMILIES = re.compile(
    r"alexnet|vgg|resnet|resnext|wide_resnet|densenet|mobilenet|mnasnet|shufflenet|squeezenet"
    r"|regnet|efficientnet|convnext"
)
"""Torchvision's convolutional classifiers that answer with one tensor."""

OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")
"""Names in the published DenseNet files, from before layers' names could not hold dots."""

KIND = "classifier"


def save_classifier(classifier: ImageClassifier, path: str | Path) -> Path:
    """Write a classifier as one ``.safetensors`` file that ``load_classifier`` understands.

    The metadata hold architecture, classes, input size, preprocessing, colours, domain and whether
    several labels may be true at once.

    Raises:
        InputError: If the path does not end in ``.safetensors``, or the classifier is a checkpoint
            of another library already.
        DiskError: If it cannot be written.
    """
    path, layout = Path(path), classifier.layout
    if path.suffix != ".safetensors":
        raise InputError(f"{path.name} must end in .safetensors")
    if not FAMILIES.match(layout.architecture):
        raise InputError(
            f"{classifier.provenance.name} belongs to {classifier.provenance.family} and is not "
            "built by build_classifier; keep its own file"
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
        "preprocessing": layout.preprocessing,
        "shorter": json.dumps(layout.shorter),
        "resampling": layout.resampling,
        "fill": json.dumps(layout.fill),
    }
    write_bytes(path, save(state, metadata=words))
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


def _pair(sides: list[int]) -> Size:
    height, width = (int(side) for side in sides)
    return height, width


def family(architecture: str) -> str:
    """Torchvision's name of a classifier that is known to work.

    Raises:
        WeightsError: If there is none; the message suggests near names.
    """
    from torchvision import models

    plain = architecture.removeprefix("torchvision/")
    known = [name for name in models.list_models(module=models) if FAMILIES.match(name)]
    if plain not in known:
        near = difflib.get_close_matches(plain, known, n=3) or ["resnet18", "resnet50"]
        raise WeightsError(
            f"torchvision has no convolutional classifier {plain!r}; "
            f"did you mean {' or '.join(near)}?"
        )
    return plain


def built(layout: ClassifierLayout, seed: int = 0) -> nn.Module:
    """An untrained network, on the CPU, in evaluation mode."""
    from torchvision import models

    with Seeded(seed):
        network: nn.Module = models.get_model_builder(layout.architecture)(
            weights=None, num_classes=len(layout.classes)
        )
    return network.eval()


def filled(layout: ClassifierLayout, path: Path) -> nn.Module:
    """A network with the weights of a file.

    Raises:
        WeightsError: If the file is damaged, refused, does not fit, or holds NaN.
    """
    network = built(layout)
    try:
        network.load_state_dict(read_weights(path))
    except RuntimeError as error:
        raise WeightsError(
            f"{path.name} does not fit {layout.architecture} with {len(layout.classes)} classes: "
            f"{str(error).splitlines()[-1].strip()}"
        ) from error
    check_finite(network, path.name)
    return network


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """A table of weights, read without running anything.

    Raises:
        WeightsError: If the file is damaged, refused, or holds anything else.
    """
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
        isinstance(value, torch.Tensor) for value in content.values()
    ):
        raise WeightsError(f"{path.name} is no table of weights; save network.state_dict()")
    return {OLD_DENSENET.sub(r"\1\2", str(key)): weight for key, weight in content.items()}


def described(path: Path, domain: str | None) -> ClassifierLayout:
    """What a file that ``save_classifier`` wrote says of itself.

    Raises:
        WeightsError: If a field is missing or wrong.
    """
    with safe_open(path, framework="pt") as file:
        words: dict[str, str] = file.metadata()
    try:
        return ClassifierLayout(
            architecture=family(words["architecture"]),
            classes=tuple(str(name) for name in json.loads(words["classes"])),
            input_size=_pair(json.loads(words["input_size"])),
            mean=colour(words["mean"]),
            std=colour(words["std"]),
            multi_label=bool(json.loads(words["multi_label"])),
            domain=domain or words["domain"],
            preprocessing=words.get("preprocessing", "stretch"),
            shorter=int(json.loads(words.get("shorter", "0"))),
            resampling=words.get("resampling", "bilinear"),
            fill=float(json.loads(words.get("fill", str(GREY)))),
        )
    except KeyError as error:
        raise WeightsError(f"{path.name} lacks the field {error} in its metadata") from error
    except (TypeError, ValueError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise WeightsError(f"{path.name}: a field of its metadata is wrong: {error}") from error


def colour(text: str) -> Colour:
    """Three finite numbers, written as JSON."""
    red, green, blue = (float(value) for value in json.loads(text))
    if not all(math.isfinite(value) for value in (red, green, blue)):
        raise ValueError(f"{text} is not finite")
    return red, green, blue
