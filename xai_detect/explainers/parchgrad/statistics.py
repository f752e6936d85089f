"""What ParchGrad must know beforehand: how strongly each channel answers to each class.

Kept in a safetensors file, one per detector; those of the shipped detectors lie beside their
weights. The channels of all layers lie side by side along one axis; ``Statistics.layers`` says
which is whose. What is counted is boxes, not images: the strength of a channel is its mean
activation over a box's cells.

The file holds each channel's mean and deviation over all boxes, and per class how many of these
deviations the class lies above the mean, and how much it varies beside them. Half precision is
enough for those two: they are off by less than a thousandth of a deviation, as much as chance
moves the mean of a million boxes. p-values are worked out from them when they are asked for.
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
from xai_detect.detectors.weights.manifest import shipped, shipped_name
from xai_detect.errors import InputError
from xai_detect.explainers.parchgrad.layers import Layer
from xai_detect.explainers.parchgrad.moments import Moments, Tally, welch
from xai_detect.values.files import write_bytes

FORMAT = "xai_detect parchgrad statistics 2"
FOLDER = "parchgrad"
"""Beside the shipped manifest: statistics of the networks it lists, under the same names."""

MOST_HALF = float(np.finfo(np.float16).max)


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """Strengths of every channel over the calibration boxes.

    Attributes:
        layers: In running order; their channels make up the axis ``k``.
        class_names: The detector's classes; the axis ``c``.
        digest: Of the detector's weights.
        seed: Of the background boxes and of the sample for ``normality``.
        source: What it was fitted on, in words.
        counts: Boxes per class, then background boxes.
        class_means: Per class, then background; NaN without boxes.
        class_deviations: Likewise, with n - 1; NaN with fewer than two boxes.
        mean: Over the boxes of all classes, without background.
        deviation: Likewise.
        normality: Shapiro-Wilk p-value over the boxes of all classes; 1 where undefined.
    """

    layers: tuple[Layer, ...]
    class_names: tuple[str, ...]
    digest: str
    seed: int
    source: str
    counts: Int[np.ndarray, "c_and_background"]
    class_means: Float64[np.ndarray, "c_and_background k"]
    class_deviations: Float64[np.ndarray, "c_and_background k"]
    mean: Float64[np.ndarray, "k"]
    deviation: Float64[np.ndarray, "k"]
    normality: Float64[np.ndarray, "k"]

    def p(self, label: int) -> Float64[np.ndarray, "k"]:
        """How little each channel has to do with a class.

        One-sided Welch test of "the mean of this class exceeds the mean of all other boxes,
        background included"; 1 where there are too few boxes to say.
        """
        tally = _tally(self.counts, self.class_means, self.class_deviations)
        own = np.arange(len(tally.n)) == label
        return welch(tally.over(own), tally.over(~own))


def summarised(
    layers: tuple[Layer, ...],
    class_names: tuple[str, ...],
    digest: str,
    seed: int,
    source: str,
    tally: Tally,
    normality: Float64[np.ndarray, "k"],
) -> Statistics:
    """The statistics of a tally with one row per class and a last one for background."""
    classes = len(class_names)
    together = tally.over(np.arange(classes))
    return Statistics(
        layers=layers,
        class_names=class_names,
        digest=digest,
        seed=seed,
        source=source,
        counts=tally.n[:, 0].astype(np.int64),
        class_means=np.where(tally.n > 0, tally.mean, np.nan),
        class_deviations=Moments(tally.n, tally.mean, tally.squares).deviation,
        mean=together.mean,
        deviation=together.deviation,
        normality=normality,
    )


def weights_digest(detector: WhiteBoxDetector) -> str:
    """The sha256 of the weights file, or of the weights themselves where there is no file."""
    if detector.provenance.sha256:
        return detector.provenance.sha256
    digest = hashlib.sha256()
    for name, value in sorted(detector.module.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def shipped_statistics(detector: WhiteBoxDetector) -> Path | None:
    """The file that ships with a shipped detector, found by the digest of its weights."""
    name = shipped_name(detector.provenance.sha256)
    if name is None:
        return None
    path = shipped().parent / FOLDER / f"{name}.safetensors"
    return path if path.is_file() else None


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
        "source": statistics.source,
    }
    tally = _tally(statistics.counts, statistics.class_means, statistics.class_deviations)
    whole = tally.over(np.arange(len(tally.n)))
    unit = _unit(whole.deviation)
    arrays = {
        "counts": statistics.counts,
        "mean": whole.mean.astype(np.float32),
        "deviation": whole.deviation.astype(np.float32),
        "class_above": _halved((statistics.class_means - whole.mean) / unit),
        "class_varies": _halved(statistics.class_deviations / unit),
        "normality": statistics.normality.astype(np.float32),
    }
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_bytes(Path(path), safetensors.numpy.save(arrays, header))


def _unit(deviation: Float[np.ndarray, "k"]) -> Float[np.ndarray, "k"]:
    """What classes are measured in; a channel that never varies is measured in 1."""
    return np.where(deviation > 0, deviation, 1.0)


def _halved(values: Float[np.ndarray, "r k"]) -> np.ndarray:
    return np.clip(values, -MOST_HALF, MOST_HALF).astype(np.float16)


def _tally(
    counts: Int[np.ndarray, "r"],
    means: Float[np.ndarray, "r k"],
    deviations: Float[np.ndarray, "r k"],
) -> Tally:
    tally = Tally(*means.shape)
    tally.n = counts[:, None].astype(np.float64)
    tally.mean = np.nan_to_num(means, nan=0.0)
    tally.squares = np.nan_to_num(deviations, nan=0.0) ** 2 * np.maximum(tally.n - 1, 0)
    return tally


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
                raise InputError(_foreign(path, header.get("format", ""), detector))
            statistics = _read(header, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
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


def _read(header: dict[str, str], arrays: dict[str, np.ndarray]) -> Statistics:
    unit = _unit(arrays["deviation"].astype(np.float64))
    means = arrays["mean"].astype(np.float64) + arrays["class_above"].astype(np.float64) * unit
    deviations = arrays["class_varies"].astype(np.float64) * unit
    return summarised(
        tuple(Layer(*layer) for layer in json.loads(header["layers"])),
        tuple(json.loads(header["class_names"])),
        header["digest"],
        int(header["seed"]),
        header["source"],
        _tally(arrays["counts"], means, deviations),
        arrays["normality"].astype(np.float64),
    )


def _foreign(path: str | Path, found: str, detector: WhiteBoxDetector) -> str:
    if found.startswith(FORMAT[:-1]):
        return f"{path} is of an older version of this program; {how_to_fit(detector)}"
    return f"{path} holds no parchgrad statistics; {how_to_fit(detector)}"


def how_to_fit(detector: WhiteBoxDetector) -> str:
    """The command that makes the file."""
    return f"run: xai-detect fit-parchgrad DATA --model {detector.provenance.name} --out FILE"
