"""One call from a name to a detector: a path, a name in the manifest, or a library's own name."""

from pathlib import Path

from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.detectors.weights import load_checkpoint, quiet
from xai_detect.errors import WeightsError
from xai_detect.types import Provenance


def load_detector(
    name: str | Path,
    *,
    domain: str | None = None,
    device: str = "cpu",
    imgsz: int | None = None,
    iou: float = 0.7,
) -> WhiteBoxDetector:
    """Load a detector.

    Args:
        name: A path (``.pt``, ``.safetensors``), a name in ``weights/manifest.toml``,
            ``torchvision/<model>``, or an ultralytics name such as ``yolo11n``.
        domain: ``photo`` or ``xray``; None takes the manifest's, else ``photo``.
        device: Where to run, in torch's words.
        imgsz: Longest side of the input in pixels; None takes the size it was trained with.
        iou: Boxes of one class that overlap more are suppressed.

    Raises:
        WeightsError: If there is no such detector, or its file is damaged or refused.
    """
    path = Path(name)
    if not path.is_file():
        raise WeightsError(f"{path} does not exist")
    checkpoint = load_checkpoint(path)
    with quiet():
        from xai_detect.detectors.ultralytics import UltralyticsDetector
    side = imgsz or checkpoint.side
    provenance = Provenance(
        name=path.name,
        family="ultralytics",
        sha256=checkpoint.sha256,
        domain=domain or "photo",
        input_size=str(side),
    )
    return UltralyticsDetector(checkpoint.network, provenance, imgsz=side, iou=iou, device=device)
