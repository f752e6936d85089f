"""What ParchGrad must know beforehand: how strongly each channel answers to each class.

Kept in a safetensors file, one per detector. The channels of all layers lie side by side along one
axis; ``Statistics.layers`` says which is whose. What is counted is boxes, not images: the strength
of a channel is its mean activation over a box's cells.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy
import torch
from jaxtyping import Float, Float64, Int

from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.errors import InputError
from xai_detect.explainers.parchgrad.layers import Layer
from xai_detect.values.files import write_bytes

FORMAT = "xai_detect parchgrad statistics 1"


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """Strengths of every channel over the calibration boxes.

    Attributes:
        layers: In running order; their channels make up the axis ``k``.
        class_names: The detector's classes; the axis ``c``.
        digest: Of the detector's weights.
        seed: Of the background boxes and of the sample for ``normality``.
        counts: Boxes per class, then background boxes.
        class_means: Per class, then background; NaN without boxes.
        class_deviations: Likewise, with n - 1; NaN with fewer than two boxes.
        mean: Over the boxes of all classes, without background.
        deviation: Likewise.
        p: One-sided Welch test of "the mean of this class exceeds the mean of all other boxes,
            background included"; 1 where there are too few boxes to say.
        normality: Shapiro-Wilk p-value over the boxes of all classes; 1 where undefined.
    """

    layers: tuple[Layer, ...]
    class_names: tuple[str, ...]
    digest: str
    seed: int
    counts: Int[np.ndarray, "c_and_background"]
    class_means: Float[np.ndarray, "c_and_background k"]
    class_deviations: Float[np.ndarray, "c_and_background k"]
    mean: Float64[np.ndarray, "k"]
    deviation: Float64[np.ndarray, "k"]
    p: Float64[np.ndarray, "c k"]
    normality: Float64[np.ndarray, "k"]


ARRAYS = ("counts", "class_means", "class_deviations", "mean", "deviation", "p", "normality")


def weights_digest(detector: WhiteBoxDetector) -> str:
    """The sha256 of the weights file, or of the weights themselves where there is no file."""
    if detector.provenance.sha256:
        return detector.provenance.sha256
    digest = hashlib.sha256()
    for name, value in sorted(detector.module.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def save_statistics(statistics: Statistics, path: str | Path) -> None:
    """Write the statistics, whole or not at all.

    Raises:
        InputError: If the place cannot be written.
    """
    header = {
        "format": FORMAT,
        "layers": json.dumps(statistics.layers),
        "class_names": json.dumps(statistics.class_names),
        "digest": statistics.digest,
        "seed": str(statistics.seed),
    }
    arrays = {name: np.ascontiguousarray(getattr(statistics, name)) for name in ARRAYS}
    write_bytes(Path(path), safetensors.numpy.save(arrays, header))


def load_statistics(path: str | Path, detector: WhiteBoxDetector) -> Statistics:
    """Read the statistics of this detector.

    Raises:
        InputError: If the file is missing, damaged, of another kind, or was fitted on another
            detector.
    """
    try:
        with safetensors.safe_open(str(path), framework="numpy") as file:
            header: dict[str, str] = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise InputError(f"{path} holds no parchgrad statistics; {how_to_fit(detector)}")
            arrays = {name: file.get_tensor(name) for name in ARRAYS}
        statistics = Statistics(
            layers=tuple(Layer(*layer) for layer in json.loads(header["layers"])),
            class_names=tuple(json.loads(header["class_names"])),
            digest=header["digest"],
            seed=int(header["seed"]),
            **arrays,
        )
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}); {how_to_fit(detector)}"
        ) from error
    except (safetensors.SafetensorError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}); {how_to_fit(detector)}") from error
    if statistics.digest != weights_digest(detector):
        raise InputError(
            f"{path} was fitted on another detector than {detector.provenance.name}; "
            f"{how_to_fit(detector)}"
        )
    return statistics


def how_to_fit(detector: WhiteBoxDetector) -> str:
    """The command that makes the file."""
    return f"run: xai-detect fit-parchgrad DATA --model {detector.provenance.name} --out FILE"
