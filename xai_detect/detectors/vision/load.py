"""Torchvision's published detectors by name."""

import difflib
import pickle
import re
from pathlib import Path
from typing import Any

import torch

from xai_detect.detectors.vision.detector import TorchvisionDetector
from xai_detect.detectors.weights import download
from xai_detect.detectors.weights.checkpoint import check_finite
from xai_detect.errors import InputError, WeightsError
from xai_detect.values.detections import Provenance

FAMILIES = re.compile(r"fasterrcnn|retinanet|fcos|ssd")


def load_torchvision(
    model: str, domain: str, device: torch.device, imgsz: int | None
) -> TorchvisionDetector:
    """Build a published model with its published weights.

    Args:
        model: Torchvision's name, such as ``fasterrcnn_resnet50_fpn``.
        domain: ``photo`` or ``xray``.
        device: Where to run.
        imgsz: Longest side after the network's own resizing; None keeps the published sizes.

    Raises:
        InputError: If the network cannot run at ``imgsz``.
        WeightsError: If there is no such model, or its weights are missing or damaged.
    """
    from torchvision import models

    known = [name for name in models.list_models(module=models.detection) if FAMILIES.match(name)]
    if model not in known:
        near = difflib.get_close_matches(model, known, n=3) or known
        raise WeightsError(
            f"torchvision has no detector {model!r}; did you mean {' or '.join(near)}?"
        )
    weights = models.get_model_weights(model).DEFAULT
    file = download.cache() / Path(weights.url).name
    if not file.is_file():
        download.fetch(weights.url, file)
    sha256 = download.checked_digest(file)
    network = _built(models.get_model_builder(model), weights, file)
    check_finite(network, file.name)
    _resize(network.transform, imgsz, model)
    provenance = Provenance(
        f"torchvision/{model}", "torchvision", sha256, domain, sides_of(network.transform)
    )
    return TorchvisionDetector(network.to(device), weights.meta["categories"][1:], provenance)


def _built(builder: Any, weights: Any, file: Path) -> Any:
    """The network; it reads the file by itself, so that is first read as data alone."""
    try:
        torch.load(file, map_location="cpu", weights_only=True)
        return builder(weights=weights, progress=False)
    except (RuntimeError, EOFError, LookupError, pickle.UnpicklingError) as error:
        raise WeightsError(f"{file} is damaged; delete it and download it again") from error


def _resize(transform: Any, imgsz: int | None, model: str) -> None:
    if imgsz is None:
        return
    if imgsz < 1:
        raise InputError(f"imgsz is {imgsz}; expected a side of at least 1 pixel")
    if transform.fixed_size is not None and tuple(transform.fixed_size) != (imgsz, imgsz):
        raise InputError(f"{model} runs at {transform.fixed_size[0]} pixels only; leave imgsz out")
    transform.min_size, transform.max_size = (imgsz,), imgsz


def sides_of(transform: Any) -> str:
    """The size to which a network's own transform brings an image, in words."""
    if transform.fixed_size is not None:
        return f"{transform.fixed_size[1]} x {transform.fixed_size[0]}"
    return f"{transform.min_size[-1]} to {transform.max_size}"
