"""Does what is installed fit the adapters?"""

import importlib
import platform
from importlib import metadata
from typing import NamedTuple

import torch

from xai_detect.detectors.weights.quiet import quiet
from xai_detect.errors import MissingExtraError, XaiDetectError

TESTED = {
    "torch": "2.15.0",
    "torchvision": "0.29.2",
    "ultralytics": "8.4.190",
    "captum": "0.9.0",
    "numpy": "2.4.6",
    "opencv-python": "5.0.0",
    "pycocotools": "2.0.11",
}
"""Newest versions that the whole test suite has run against."""


class Finding(NamedTuple):
    """One thing looked at.

    Attributes:
        what: Its name.
        fine: Whether it can be relied on.
        detail: Version, or what is wrong and what to do.
    """

    what: str
    fine: bool
    detail: str


def examine() -> list[Finding]:
    """Look at the interpreter, every package an adapter rests on, and the adapter itself."""
    return [
        Finding("python", True, platform.python_version()),
        *(_package(name, tested) for name, tested in TESTED.items()),
        _torchvision(),
        _adapter(),
    ]


def _package(name: str, tested: str) -> Finding:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(name, False, f"not installed; pip install {name}")
    if name == "torch" and version.startswith("2.13.0"):
        return Finding(name, False, f"{version} breaks torchvision; pip install --upgrade torch")
    newer = _numbers(version) > _numbers(tested)
    return Finding(name, True, f"{version}{f' (newer than the tested {tested})' if newer else ''}")


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split("+")[0].split(".")
    return tuple(int(part) for part in parts if part.isdigit())


def require_torchvision() -> None:
    """Check that torchvision imports.

    Raises:
        MissingExtraError: If it does not fit the installed torch.
    """
    finding = _torchvision()
    if not finding.fine:
        raise MissingExtraError(f"torchvision cannot be imported: {finding.detail}")


def _torchvision() -> Finding:
    try:
        importlib.import_module("torchvision.ops")
    except (ImportError, RuntimeError) as error:
        return Finding(
            "import torchvision", False, f"{error}; pip install --upgrade torch torchvision"
        )
    return Finding("import torchvision", True, "works")


def _adapter() -> Finding:
    """Build an untrained network and ask it everything the adapter reads."""
    what = "ultralytics adapter"
    try:
        with quiet():
            from ultralytics.nn.tasks import DetectionModel

            from xai_detect.detectors.yolo.detector import UltralyticsDetector
            from xai_detect.values.detections import Provenance

            network = DetectionModel("yolo11n.yaml", nc=2, verbose=False)
        network.names = {0: "a", 1: "b"}
        provenance = Provenance("untrained", "ultralytics", "", "photo", "64")
        detector = UltralyticsDetector(network, provenance, imgsz=64)
        frame = detector.frame((64, 64))
        pixels = torch.full((1, 3, 64, 64), 0.5, requires_grad=True)
        detector.detect(pixels.detach(), frame)
        targets = [*detector.detect(pixels.detach(), frame, confidence=0.0)[0]][:1]
        gradient = torch.autograd.grad(
            detector.candidate(pixels, targets, frame).log_odds.sum(), pixels
        )[0]
    except (
        XaiDetectError,
        ImportError,
        AttributeError,
        TypeError,
        KeyError,
        RuntimeError,
    ) as error:
        return Finding(what, False, f"{type(error).__name__}: {error}; install the tested version")
    return Finding(what, bool(gradient.abs().sum() > 0), "gradients reach the input")
