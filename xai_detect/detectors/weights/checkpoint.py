"""Restricted loading of ultralytics checkpoints: weights are data, not code.

A ``.pt`` file is a pickle, and a pickle can run anything while it is read. Two guards stand before
that: the file's opcodes are listed without running them and anything foreign is named and
refused; then the library's own allow-listed loader, built on ``torch.load(weights_only=True)``,
reads the rest.
"""

import hashlib
import pickle
import re
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from xai_detect.detectors.weights.pickles import inspect_pickles, own_class, refusal
from xai_detect.detectors.weights.probe import (
    BOXES,
    as_detector,
    name_classes,
    probe,
    take_colour,
)
from xai_detect.detectors.weights.quiet import quiet
from xai_detect.errors import WeightsError

BEFORE_ZIP = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
"""How torch's files began before they were zip archives."""

HEADS = ("Detect", "v10Detect", "RTDETRDecoder")
DEFAULT_SIDE = 640

UNREADABLE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    RuntimeError,
    EOFError,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    AssertionError,
    ImportError,
    struct.error,
)
"""What a damaged or hostile file makes a restricted unpickler raise."""


class Checkpoint(NamedTuple):
    """A network ready to run.

    Attributes:
        network: Fused, float32, in evaluation mode, on the CPU.
        sha256: Digest of the file.
        side: Longest side of the input it was trained with, in pixels.
    """

    network: nn.Module
    sha256: str
    side: int


def digest(path: Path) -> str:
    """The file's sha256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_checkpoint(path: Path) -> Checkpoint:
    """Read an ultralytics ``.pt`` file without running anything it holds.

    Raises:
        WeightsError: If the file is empty, damaged, wants to run code, or holds no detector.
    """
    network, side = load_network(path)
    return Checkpoint(prepare(network, path.name), digest(path), side)


def load_network(path: Path) -> tuple[nn.Module, int]:
    """The network of an ultralytics ``.pt`` file, of whatever kind, and its input's longest side.

    Raises:
        WeightsError: If the file is empty, damaged, wants to run code, or holds no network.
    """
    inspect_pickles(path)
    content = _restricted(path)
    network = content.get("ema") or content.get("model")
    if not isinstance(network, nn.Module):
        what = "only a table of weights" if _is_state(content) else "no network"
        raise WeightsError(
            f"{path.name} holds {what}; expected a checkpoint saved by ultralytics, "
            "or a .safetensors file listed in a manifest"
        )
    if content.get("modelopt"):
        raise WeightsError(
            f"{path.name} is a quantisation-aware checkpoint; export the plain weights"
        )
    arguments = content.get("train_args")
    return network, longest_side(arguments.get("imgsz") if isinstance(arguments, dict) else None)


def content_digest(network: nn.Module) -> str:
    """The sha256 of a network's parameters and buffers, with their names, in hexadecimal."""
    whole = hashlib.sha256()
    for key, value in network.state_dict().items():
        if isinstance(value, torch.Tensor):
            numbers = value.detach().cpu().contiguous()
            whole.update(f"{key} {numbers.dtype} {tuple(numbers.shape)}\n".encode())
            whole.update(numbers.reshape(-1).view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()


def prepare(network: nn.Module, name: str) -> nn.Module:
    """Check that a network is a detector with finite weights, then make it ready to run.

    Raises:
        WeightsError: If it is another kind of model, holds NaN, or cannot run.
    """
    check_detector(network, name)
    as_detector(network, name)
    ready = made_ready(network, name)
    name_classes(ready, name)
    probe(ready, name)
    return ready


def check_detector(network: nn.Module, name: str) -> None:
    """Check that a network ends in a head of a known detector.

    Raises:
        WeightsError: If it is another kind of model.
    """
    layers = getattr(network, "model", None)
    head = type(layers[-1]).__name__ if isinstance(layers, nn.Sequential) and layers else None
    if head not in HEADS and head not in BOXES:
        kind = _kind(network, head)
        raise WeightsError(f"{name} is {kind}; expected a detector ending in {' or '.join(HEADS)}")


def made_ready(network: nn.Module, name: str) -> nn.Module:
    """A network of the library in float32, fused, in evaluation mode, for colour images.

    Raises:
        WeightsError: If it holds NaN, or takes neither colour nor grey images.
    """
    network = network.float()
    check_finite(network, name)
    take_colour(network, name)
    for part in network.modules():
        if hasattr(part, "inplace"):
            part.__dict__["inplace"] = False
        if isinstance(part, nn.Upsample) and not hasattr(part, "recompute_scale_factor"):
            part.recompute_scale_factor = None  # checkpoints older than torch 1.11
    if not hasattr(network, "stride"):
        network.stride = torch.tensor([32.0])
    with quiet():
        if hasattr(network, "end2end"):
            # As the library's predictor: suppression unless asked not to.
            network.end2end = False  # type: ignore[assignment]
        fused: nn.Module = network.fuse(verbose=False)  # type: ignore[operator]
    return fused.eval()


def check_finite(network: nn.Module, name: str) -> None:
    """Refuse weights that are not finite.

    Raises:
        WeightsError: Naming the first layer that holds such a value.
    """
    for key, value in network.state_dict().items():
        # A finite sum proves finite terms and is many times faster; an overflow is looked at.
        if not value.sum().isfinite() and not value.isfinite().all():
            raise WeightsError(
                f"{name} holds a value that is not finite in layer {key}; "
                "the training diverged or the file is damaged"
            )


def _restricted(path: Path) -> Any:
    if not hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint"):
        raise WeightsError(
            f"torch {torch.__version__} cannot load checkpoints restricted; "
            "pip install --upgrade torch torchvision"
        )
    with quiet():
        from ultralytics.nn.tasks import torch_safe_load
    try:
        with quiet(), _plain_name(path) as file:
            return torch_safe_load(str(file), safe_only=True)[0]
    except UNREADABLE as error:
        refused = _refused(error)
        if refused and not refused.startswith(("ultralytics.", "torch.nn.")):
            raise WeightsError(refusal(path, refused)) from error
        if unknown := refused or _unknown(error):
            raise WeightsError(own_class(path, unknown)) from error
        with path.open("rb") as old:
            if old.read(len(BEFORE_ZIP)) == BEFORE_ZIP:
                raise WeightsError(
                    f"{path.name} is in torch's format from before 1.6, which cannot be read "
                    "restricted; save it again with a newer torch"
                ) from error
        raise WeightsError(
            f"{path.name} is damaged or not an ultralytics checkpoint; copy or export it again"
        ) from error


@contextmanager
def _plain_name(path: Path) -> Iterator[Path]:
    """A path that the library does not rewrite: it strips quotes and renames YOLOv3 and v5."""
    path = path.resolve()
    if path.suffix == ".pt" and not re.search(r"'|yolov[35]|\s$|^\s|://", str(path)):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copyfile(path, Path(folder) / "model.pt"))


def _refused(error: BaseException | None) -> str:
    """The name that torch's restricted unpickler refused, if that was the cause."""
    while error is not None:
        found = re.search(r"GLOBAL (\S+)|unsafe (getattr\(.*?\))", str(error))
        if found:
            return found[1] or found[2]
        error = error.__cause__ or error.__context__
    return ""


def _unknown(error: BaseException | None) -> str:
    """The class that the installed library does not have, if that was the cause."""
    while error is not None:
        found = re.search(r"get attribute '([^']+)' on <module '([\w.]+)'", str(error))
        if found:
            return f"{found[2]}.{found[1]}"
        found = re.search(r"No module named '([\w.]+)'", str(error))
        if found:
            return found[1]
        error = error.__cause__ or error.__context__
    return ""


def _is_state(content: dict[Any, Any]) -> bool:
    return bool(content) and all(isinstance(value, torch.Tensor) for value in content.values())


def _kind(network: nn.Module, head: str | None) -> str:
    kinds = {
        "Classify": "a classification model",
        "OBB": "a model of rotated boxes",
        "WorldDetect": "an open-vocabulary model",
    }
    for start in ("Segment", "Pose", "Semantic", "Depth"):
        if head and head.startswith(start):
            return f"a {start.lower()} model"
    return kinds.get(head or "", f"a {head or type(network).__name__} model")


def longest_side(value: Any) -> int:
    """The longest side of an input, in pixels, of what ultralytics calls ``imgsz``."""
    sides = value if isinstance(value, list | tuple) else [value]
    numbers = [int(side) for side in sides if isinstance(side, int | float) and side > 0]
    return max(numbers, default=DEFAULT_SIDE)
