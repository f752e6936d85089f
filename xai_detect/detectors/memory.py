"""Detectors that somebody holds in memory: ultralytics' and torchvision's networks, borrowed.

Nothing of the network is changed, neither moved to another device nor fused: it answers as it
stands, and what is trained on afterwards answers with its new weights.
"""

from collections.abc import Sequence
from typing import Any

from torch import nn

from xai_detect.detectors.device import AUTO, Device, chosen_device
from xai_detect.detectors.engine import only_eager
from xai_detect.detectors.lending import device_of
from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.detectors.weights.checkpoint import (
    DEFAULT_SIDE,
    check_detector,
    check_finite,
    content_digest,
    longest_side,
)
from xai_detect.detectors.weights.quiet import quiet
from xai_detect.detectors.yolo.conventions import GREY
from xai_detect.errors import InputError
from xai_detect.values.boxes import Sides
from xai_detect.values.detections import Provenance

FAMILIES = ("torchvision.models.detection", "ultralytics")
"""Where the classes of networks that are known come from."""


def in_memory(
    model: nn.Module,
    class_names: Sequence[str] | None,
    domain: str,
    device: Device,
    imgsz: Sides | None,
    iou: float,
    engine: str,
) -> WhiteBoxDetector:
    """A detector around an object of ultralytics or torchvision; see ``load_detector``.

    Raises:
        InputError: If an argument does not fit it, or it is an object of another library.
        WeightsError: If it is no detector, or holds NaN.
    """
    kinds = [f"{kind.__module__}." for kind in type(model).__mro__]
    families = [name for name in FAMILIES if any(kind.startswith(f"{name}.") for kind in kinds)]
    if not families:
        raise InputError(
            f"a {type(model).__name__} in memory is no detector of ultralytics or torchvision; "
            "give wrap_network the network and what decodes its output, or wrap a function that "
            "answers with boxes, scores and labels"
        )
    _stays(model, device)
    if families[0] == "ultralytics":
        return _ultralytics(model, class_names, domain, imgsz, iou, engine)
    return _torchvision(model, class_names, domain, imgsz, engine)


def _stays(model: nn.Module, device: Device) -> None:
    """Check that the network lies where it is wanted."""
    if device == AUTO:
        return
    lies, wanted = device_of(model), chosen_device(device)
    if lies.type != wanted.type or (wanted.index or 0) != (lies.index or 0):
        raise InputError(
            f"the network lies on {lies}, not on {wanted}; move it yourself, by its own to(), or "
            "leave device out"
        )


def _ultralytics(
    model: nn.Module,
    class_names: Sequence[str] | None,
    domain: str,
    imgsz: Sides | None,
    iou: float,
    engine: str,
) -> WhiteBoxDetector:
    with quiet():
        from ultralytics.engine.model import Model

        from xai_detect.detectors.yolo.detector import UltralyticsDetector
    network: Any = model
    name = type(model).__name__
    if isinstance(model, Model):
        name, network = _file_name(model) or name, model.model
        if not isinstance(network, nn.Module):
            raise InputError(
                f"this {type(model).__name__} is an exported file, {name}; give load_detector its "
                "path"
            )
    shown = f"{name} in memory"
    check_detector(network, shown)
    check_finite(network, shown)
    side: Sides = _side_of(network) if imgsz is None else imgsz
    size = str(side) if isinstance(side, int) else f"{side[1]} x {side[0]}"
    provenance = Provenance(shown, "ultralytics", content_digest(network), domain, size)
    detector = UltralyticsDetector(
        network, provenance, imgsz=side, fill=GREY, iou=iou, engine=engine
    )
    if class_names is not None:
        if len(class_names) != len(detector.class_names):
            raise InputError(
                f"there are {len(class_names)} class names, but {shown} has "
                f"{len(detector.class_names)} classes; leave class_names out to keep its own"
            )
        detector.class_names = tuple(class_names)
    return detector


def _file_name(model: Any) -> str:
    """The file that an ultralytics object was made from, without folders; empty if unknown."""
    path = getattr(model, "ckpt_path", None) or getattr(model, "model_name", None)
    return str(path or "").replace("\\", "/").rsplit("/", 1)[-1]


def _side_of(network: Any) -> int:
    """Longest side of the input that an ultralytics network was trained with, in pixels."""
    arguments = getattr(network, "args", None)
    if not isinstance(arguments, dict):
        arguments = vars(arguments) if hasattr(arguments, "__dict__") else {}
    return longest_side(arguments["imgsz"]) if "imgsz" in arguments else DEFAULT_SIDE


def _torchvision(
    network: nn.Module,
    class_names: Sequence[str] | None,
    domain: str,
    imgsz: Sides | None,
    engine: str,
) -> WhiteBoxDetector:
    from xai_detect.detectors.vision.detector import TorchvisionDetector
    from xai_detect.detectors.vision.load import sides_of

    only_eager(engine, "a torchvision network, which suppresses boxes while it runs,")
    name = type(network).__name__
    if class_names is None:
        raise InputError(
            f"a {name} in memory does not name its classes; give class_names=, without the "
            "background"
        )
    if any(word.strip("_").casefold() == "background" for word in class_names):
        raise InputError(
            f"class_names of a {name} hold the background, which is never reported; leave it out"
        )
    if imgsz is not None:
        raise InputError(
            f"imgsz is {imgsz}, but a {name} in memory keeps the size it was built with; build it "
            "with other min_size and max_size, and leave imgsz out"
        )
    shown = f"{name} in memory"
    check_finite(network, shown)
    transform: Any = network.transform
    provenance = Provenance(
        shown, "torchvision", content_digest(network), domain, sides_of(transform)
    )
    return TorchvisionDetector(network, class_names, provenance)
