"""Restricted loading of ultralytics checkpoints: weights are data, not code.

A ``.pt`` file is a pickle, and a pickle can run anything while it is read. Two guards stand before
that: the file's opcodes are listed without running them and anything foreign is named and
refused; then the library's own allow-listed loader, built on ``torch.load(weights_only=True)``,
reads the rest.
"""

import hashlib
import io
import logging
import os
import pickle
import pickletools
import re
import shutil
import struct
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from xai_detect.errors import WeightsError

KNOWN_PACKAGES = frozenset({"torch", "torchvision", "ultralytics", "numpy", "pathlib"})
KNOWN_NAMES = frozenset(
    {"collections.OrderedDict", "_codecs.encode"}
    | {f"{module}.{name}" for module in ("builtins", "__builtin__") for name in ("set", "getattr")}
)
"""What the library's loader may accept; it looks at each name more closely than this list."""

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


@contextmanager
def quiet() -> Iterator[None]:
    """Import and call ultralytics without its log lines, warnings and network check.

    Its import looks up two hosts to learn whether there is a network, which can take long where
    there is none; loading a local file needs no answer.
    """
    disabled, offline = logging.root.manager.disable, os.environ.get("YOLO_OFFLINE")
    logging.disable(logging.CRITICAL)
    os.environ.setdefault("YOLO_OFFLINE", "true")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        if offline is None:
            os.environ.pop("YOLO_OFFLINE", None)


def digest(path: Path) -> str:
    """The file's sha256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_checkpoint(path: Path) -> Checkpoint:
    """Read an ultralytics ``.pt`` file without running anything it holds.

    Raises:
        WeightsError: If the file is empty, damaged, wants to run code, or holds no detector.
    """
    _inspect(path)
    content = _restricted(path)
    if not isinstance(content, dict):
        raise WeightsError(f"{path.name} is not an ultralytics checkpoint; expected a dictionary")
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
    side = _side(arguments.get("imgsz") if isinstance(arguments, dict) else None)
    return Checkpoint(prepare(network, path.name), digest(path), side)


def prepare(network: nn.Module, name: str) -> nn.Module:
    """Check that a network is a detector with finite weights, then make it ready to run.

    Raises:
        WeightsError: If it is another kind of model or holds NaN.
    """
    layers = getattr(network, "model", None)
    head = type(layers[-1]).__name__ if isinstance(layers, nn.Sequential) and layers else None
    if head not in HEADS:
        kind = _kind(network, head)
        raise WeightsError(f"{name} is {kind}; expected a detector ending in {' or '.join(HEADS)}")
    network = network.float()
    check_finite(network, name)
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
        if refused:
            raise WeightsError(_refusal(path, refused)) from error
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


def _refusal(path: Path, wanted: str) -> str:
    if wanted.startswith("models."):
        return (
            f"{path.name} comes from the older YOLOv5 repository ({wanted}), which this program "
            "does not run; use a 'u' model such as yolov5nu.pt"
        )
    return (
        f"{path.name} wants to run {wanted}; a checkpoint is data and must not run code, "
        "so it was refused: get the weights from a source you trust"
    )


def _inspect(path: Path) -> None:
    """Look at the container and its opcodes; nothing is run."""
    if path.stat().st_size == 0:
        raise WeightsError(f"{path.name} is empty (0 bytes); copy it again")
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    if zipped:
        pickles = _zipped_pickles(path)
    elif tarfile.is_tarfile(path):
        raise WeightsError(
            f"{path.name} is a tar archive of torch before 0.4; save it again with a newer torch"
        )
    else:
        pickles = [path.read_bytes()]
    for content in pickles:
        for name in imported_names(content):
            if name not in KNOWN_NAMES and name.partition(".")[0] not in KNOWN_PACKAGES:
                raise WeightsError(_refusal(path, name))


def _zipped_pickles(path: Path) -> list[bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if any(Path(name).name == "constants.pkl" for name in names):
                raise WeightsError(
                    f"{path.name} is a TorchScript program; expected the .pt weights it was made of"
                )
            return [archive.read(name) for name in names if name.endswith(".pkl")]
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise WeightsError(f"{path.name} is damaged or cut short; copy it again") from error


def imported_names(content: bytes) -> list[str]:
    """The ``module.name`` of everything one or more pickles in a row would import, unexecuted."""
    stream, names = io.BytesIO(content), list[str]()
    try:
        while stream.tell() < len(content):
            names += _imported(stream)
    except (ValueError, UnicodeDecodeError, EOFError, struct.error, LookupError):
        pass  # raw tensor bytes, or damage, which the loader reports
    return names


def _imported(stream: io.BytesIO) -> Iterator[str]:
    """Follow strings and the memo closely enough to resolve what an opcode would import."""
    strings: list[str] = []
    memo: dict[int, str] = {}
    for opcode, argument, _ in pickletools.genops(stream):
        match opcode.name:
            case "GLOBAL" | "INST":
                yield str(argument).replace(" ", ".")
            case "STACK_GLOBAL":
                yield ".".join(strings[-2:])
            case "MEMOIZE":
                memo[len(memo)] = strings[-1] if strings else ""
            case "PUT" | "BINPUT" | "LONG_BINPUT" if argument is not None:
                memo[int(argument)] = strings[-1] if strings else ""
            case "GET" | "BINGET" | "LONG_BINGET" if argument is not None:
                strings.append(memo.get(int(argument), ""))
            case _ if isinstance(argument, str):
                strings.append(argument)


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


def _side(value: Any) -> int:
    sides = value if isinstance(value, list | tuple) else [value]
    numbers = [int(side) for side in sides if isinstance(side, int | float) and side > 0]
    return max(numbers, default=DEFAULT_SIDE)
