"""What ParchGrad must know beforehand: how strongly each channel answers to each class.

Kept in a safetensors file, one per detector; those of the shipped detectors lie beside their
weights. The channels of all layers lie side by side along one axis; ``Statistics.layers`` says
which is whose. The strength of a channel is its mean activation, over the whole image (and images
are counted) or over a box's cells (and boxes are): ``OVER``. A file holds both.

It holds each channel's mean and deviation over all that was counted, and per class how many of
these deviations the class lies above the mean, and how much it varies beside them. Half precision
is enough for those two: they are off by less than a thousandth of a deviation, as much as chance
moves the mean of a million boxes. p-values are worked out from them when they are asked for.
"""

import hashlib
import json
from collections.abc import Mapping
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

OVER = ("image", "box")
"""Where strengths are taken."""

ARRAYS = ("counts", "mean", "deviation", "class_above", "class_varies", "normality")

MOST_HALF = float(np.finfo(np.float16).max)


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """Strengths of every channel over the calibration images, or over their boxes.

    Attributes:
        layers: In running order; their channels make up the axis ``k``.
        class_names: The detector's classes; the axis ``c``.
        digest: Of the detector's weights.
        seed: Of the background boxes and of the sample for ``normality``.
        source: What it was fitted on, in words.
        over: Where strengths were taken: a name in ``OVER``.
        counts: Images that show each class, then images that show none; or boxes of each class,
            then boxes of background.
        class_means: In the order of ``counts``; NaN where nothing was counted.
        class_deviations: Likewise, with n - 1; NaN below two.
        mean: Of all classes together, without background.
        deviation: Likewise.
        normality: Shapiro-Wilk p-value over all classes together; 1 where undefined.
    """

    layers: tuple[Layer, ...]
    class_names: tuple[str, ...]
    digest: str
    seed: int
    source: str
    over: str
    counts: Int[np.ndarray, "c_and_background"]
    class_means: Float64[np.ndarray, "c_and_background k"]
    class_deviations: Float64[np.ndarray, "c_and_background k"]
    mean: Float64[np.ndarray, "k"]
    deviation: Float64[np.ndarray, "k"]
    normality: Float64[np.ndarray, "k"]

    def p(self, label: int) -> Float64[np.ndarray, "k"]:
        """How little each channel has to do with a class.

        One-sided Welch test of "the mean of this class exceeds the mean of all else, background
        included"; 1 where too little was counted to say.
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
    over: str,
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
        over=over,
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


def save_statistics(statistics: Mapping[str, Statistics], path: str | Path) -> None:
    """Write the statistics, whole or not at all.

    Args:
        statistics: By where strengths were taken, for one detector.
        path: The file.

    Raises:
        InputError: If the place cannot be written.
    """
    first = next(iter(statistics.values()))
    header = {
        "format": FORMAT,
        "layers": json.dumps(first.layers),
        "class_names": json.dumps(first.class_names),
        "digest": first.digest,
        "seed": str(first.seed),
        "source": first.source,
    }
    arrays = {
        f"{over}.{name}": np.ascontiguousarray(array)
        for over, one in statistics.items()
        for name, array in _arrays(one).items()
    }
    write_bytes(Path(path), safetensors.numpy.save(arrays, header))


def _arrays(statistics: Statistics) -> dict[str, np.ndarray]:
    tally = _tally(statistics.counts, statistics.class_means, statistics.class_deviations)
    whole = tally.over(np.arange(len(tally.n)))
    unit = _unit(whole.deviation)
    return {
        "counts": statistics.counts,
        "mean": whole.mean.astype(np.float32),
        "deviation": whole.deviation.astype(np.float32),
        "class_above": _halved((statistics.class_means - whole.mean) / unit),
        "class_varies": _halved(statistics.class_deviations / unit),
        "normality": statistics.normality.astype(np.float32),
    }


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


def load_statistics(
    path: str | Path, detector: WhiteBoxDetector, over: str = OVER[0]
) -> Statistics:
    """Read the statistics of this detector, with strengths taken ``over`` image or box.

    Raises:
        InputError: If the file is missing, damaged, of another kind, or was fitted on another
            detector.
    """
    try:
        with safetensors.safe_open(str(path), framework="numpy") as file:
            header: dict[str, str] = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise InputError(_foreign(path, header.get("format", ""), detector))
            statistics = _read(
                header, over, {name: file.get_tensor(f"{over}.{name}") for name in ARRAYS}
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


def _read(header: dict[str, str], over: str, arrays: dict[str, np.ndarray]) -> Statistics:
    unit = _unit(arrays["deviation"].astype(np.float64))
    means = arrays["mean"].astype(np.float64) + arrays["class_above"].astype(np.float64) * unit
    deviations = arrays["class_varies"].astype(np.float64) * unit
    return summarised(
        tuple(Layer(*layer) for layer in json.loads(header["layers"])),
        tuple(json.loads(header["class_names"])),
        header["digest"],
        int(header["seed"]),
        header["source"],
        over,
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
