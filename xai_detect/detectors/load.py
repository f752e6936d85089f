"""One call to a detector: from a path, a listed name, a library's own name or its object."""

import difflib
import inspect
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from xai_detect.detectors.device import AUTO, Device, chosen_device
from xai_detect.detectors.engine import checked_engine, only_eager
from xai_detect.detectors.memory import in_memory
from xai_detect.detectors.protocol import Detector, WhiteBoxDetector
from xai_detect.detectors.registered import DETECTORS as GROUP
from xai_detect.detectors.registered import names, registered
from xai_detect.detectors.weights import download, manifest
from xai_detect.detectors.weights.checkpoint import Checkpoint, load_checkpoint
from xai_detect.detectors.weights.quiet import quiet
from xai_detect.detectors.yolo.conventions import GREY
from xai_detect.errors import InputError, WeightsError
from xai_detect.values.boxes import Sides
from xai_detect.values.detections import Provenance
from xai_detect.values.fills import DOMAINS

DETECTORS = re.compile(
    r"yolov3(-spp|-tiny)?u|yolov5[nsmlx]6?u|yolov8[nsmlx](-oiv7)?|yolov9[tsmce]|yolov10[nsmblx]"
    r"|yolo1[12][nsmlx]|yolo26[nsmlx](-objv1-150)?|rtdetr-[lx]"
)
"""Which of ultralytics' published weights are detectors."""

_notes = logging.getLogger(__name__)


@torch.inference_mode(False)
def load_detector(
    name: str | Path | nn.Module,
    *,
    class_names: Sequence[str] | None = None,
    domain: str | None = None,
    device: Device = AUTO,
    imgsz: Sides | None = None,
    iou: float = 0.7,
    engine: str = "eager",
) -> Detector:
    """Load a detector.

    A name is looked up in this order: a file; ``weights/manifest.toml``; ``torchvision/<model>``;
    ultralytics' published weights, in the working folder, in ultralytics' own folder and in
    torch's cache, and then downloaded; a file outside the cache is named in a log line, and one in
    it must be what it was when it was first used. What comes of an ``.onnx`` file is a black box.
    Last come detectors that other packages register (entry points ``xai_detect.detectors``): what
    stands before the first ``/`` names one, and the function there is called with the whole name
    and ``domain``, ``device`` and ``imgsz``.

    A network in memory is borrowed: it stays where it lies, is neither fused nor changed, and
    answers with the weights that it has at the time. An end-to-end head answers in the mode that it
    is in.

    Args:
        name: A path (``.pt``, ``.safetensors``, ``.onnx``), a name in the manifest such as
            ``screening``, ``torchvision/<model>``, an ultralytics name such as ``yolo11n``; or, in
            memory, an ultralytics ``YOLO`` or ``RTDETR``, the network inside one, or a network of
            ``torchvision.models.detection``.
        class_names: For a network in memory: names in label order, without the background.
            Torchvision's need them, ultralytics' bring their own.
        domain: ``photo`` or ``xray``; None takes the manifest's, else ``photo``.
        device: Where to run: ``auto`` takes a GPU where there is one; else torch's words, a
            device, or the number of a GPU. The detector's own ``device`` says what was chosen. A
            network in memory stays where it is.
        imgsz: Longest side of the input in pixels, or its height and width (ultralytics' networks);
            None takes the size it was trained with.
        iou: Boxes of one class that overlap more are suppressed; torchvision's networks keep the
            limit they were built with.
        engine: How to run: ``eager``, ``bf16``, ``compiled`` or ``compiled_bf16``; faster, and a
            little less exact. For ultralytics' networks other than RT-DETR.

    Raises:
        InputError: If the domain, device, engine or size makes no sense, or a network in memory is
            of another library.
        MissingExtraError: If the file needs a package that is not installed.
        WeightsError: If there is no such detector, or its file is damaged or refused.
    """
    if domain is not None and domain not in DOMAINS:
        raise InputError(f"there is no domain {domain!r}; choose from {', '.join(DOMAINS)}")
    checked_engine(engine)
    if isinstance(name, nn.Module):
        return in_memory(name, class_names, domain or "photo", device, imgsz, iou, engine)
    if class_names is not None:
        raise InputError(
            f"class_names were given with {str(name)!r}, which names its classes itself; they are "
            "for a network in memory: leave them out"
        )
    where, path, text = chosen_device(device), Path(name), str(name)
    if path.is_file() and path.suffix.lower() == ".onnx":
        only_eager(engine, "an ONNX file, which brings its own runtime,")
        with quiet():
            from xai_detect.detectors.black_box.detector import load_onnx

        side = _one_side(imgsz, "an ONNX file has the input that it was exported with, and")
        return load_onnx(path, domain or "photo", None if device == AUTO else where, side, iou)
    if path.is_file():
        entry = _described(path)
        if path.parent == Path() and path.suffix == ".pt" and DETECTORS.fullmatch(path.stem):
            _tell(path)
    elif text in manifest.names(manifest.shipped()):
        entry = manifest.entry(manifest.shipped(), text)
    elif text.startswith("torchvision/"):
        from xai_detect.detectors.vision.load import load_torchvision

        only_eager(engine, "a torchvision network, which suppresses boxes while it runs,")
        model = text.removeprefix("torchvision/")
        side = _one_side(imgsz, "torchvision's networks keep an image's proportions, and")
        return load_torchvision(model, domain or "photo", where, side)
    else:
        file = _published(text)
        if file is None:
            return _foreign(text, domain or "photo", where, imgsz, engine)
        entry, path = None, file
    checkpoint = manifest.load_entry(entry) if entry else load_checkpoint(path)
    shown = entry.name if entry else path.name
    fill = entry.letterbox / 255 if entry else GREY
    known = entry.domain if entry else "photo"
    return _ultralytics(checkpoint, shown, domain or known, fill, where, imgsz, iou, engine)


def _one_side(imgsz: Sides | None, why: str) -> int | None:
    """The side of a square input.

    Raises:
        InputError: If it has two that are not the same.
    """
    if imgsz is None or isinstance(imgsz, int):
        return imgsz
    if len(set(imgsz)) != 1:
        raise InputError(f"imgsz is {imgsz}, but {why} takes one number here: its longest side")
    return imgsz[0]


def _described(path: Path) -> manifest.Entry | None:
    """The manifest's words on a safetensors file; None for a checkpoint, which holds its own."""
    match path.suffix.lower():
        case ".pt":
            return None
        case ".safetensors":
            return manifest.entry_of(path)
    raise WeightsError(f"{path.name} is no detector; expected a .pt, .safetensors or .onnx file")


def _ultralytics(
    checkpoint: Checkpoint,
    name: str,
    domain: str,
    fill: float,
    device: torch.device,
    imgsz: Sides | None,
    iou: float,
    engine: str,
) -> WhiteBoxDetector:
    with quiet():
        from xai_detect.detectors.yolo.detector import UltralyticsDetector
    side: Sides = checkpoint.side if imgsz is None else imgsz
    shown = str(side) if isinstance(side, int) else f"{side[1]} x {side[0]}"
    provenance = Provenance(name, "ultralytics", checkpoint.sha256, domain, shown)
    return UltralyticsDetector(
        checkpoint.network.to(device), provenance, imgsz=side,
        fill=fill, iou=iou, engine=engine,
    )  # fmt: skip


def _foreign(
    name: str, domain: str, device: torch.device, imgsz: Sides | None, engine: str
) -> Detector:
    """A detector that another package registered.

    Raises:
        InputError: If what was registered is no function, or answers with no detector.
        WeightsError: If none was registered under this name.
    """
    start = name.split("/")[0]
    found = registered(GROUP, start)
    if found is None:
        raise WeightsError(_unknown(name))
    only_eager(engine, "a detector of another package,")
    make: Any = found
    made = make(name, domain=domain, device=device, imgsz=imgsz) if callable(make) else make
    if not isinstance(made, Detector):
        kind = type(made).__name__
        raise InputError(
            f"{start!r} was registered by another package and gives a {kind}; expected a function "
            "from (name, domain, device, imgsz) to a detector, such as wrap makes"
        )
    return made


def _known() -> list[str]:
    """The files of ultralytics' published detectors."""
    with quiet():
        from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES
    return sorted(asset for asset in GITHUB_ASSETS_NAMES if DETECTORS.fullmatch(asset[:-3]))


def _published(name: str) -> Path | None:
    """A file of ultralytics' published weights, downloaded if need be; None if there is none."""
    file = name if name.endswith(".pt") else f"{name}.pt"
    if file not in _known():
        return None
    with quiet():
        from ultralytics.utils import SETTINGS
        from ultralytics.utils.downloads import attempt_download_asset
    for folder in (Path(), Path(SETTINGS["weights_dir"])):
        if (folder / file).is_file():
            _tell(folder / file)
            return folder / file
    cached = download.cache() / file
    if not cached.is_file():
        release = inspect.signature(attempt_download_asset).parameters["release"].default
        address = f"https://github.com/ultralytics/assets/releases/download/{release}/{file}"
        download.fetch(address, cached)
    download.checked_digest(cached)
    return cached


def _tell(path: Path) -> None:
    """Say that a published name was answered with a file that lies about."""
    _notes.warning("%s is used, not published weights from the cache", path.resolve())


def _unknown(name: str) -> str:
    if Path(name).is_dir():
        return f"{name} is a folder; expected a .pt, .safetensors or .onnx file"
    listed = manifest.names(manifest.shipped())
    published = [*(file.removesuffix(".pt") for file in _known()), *names(GROUP)]
    near = difflib.get_close_matches(name.removesuffix(".pt"), [*listed, *published], n=3)
    hint = (
        f"did you mean {' or '.join(near)}?"
        if near
        else "expected a .pt, .safetensors or .onnx file, torchvision/<model>, "
        f"or a name such as {', '.join([*listed[:2], 'yolo11n'])}"
    )
    return f"there is no file or detector {name!r}; {hint}"
