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
from xai_detect.explainers.parchgrad.moments import Moments, Tally, welch, without
from xai_detect.values.files import write_bytes

FORMAT = "xai_detect parchgrad statistics 2"
FOLDER = "parchgrad"
"""Beside the shipped manifest: statistics of the networks it lists, under the same names."""

OVER = ("image", "box")
"""Where strengths are taken."""

ARRAYS = ("counts", "total", "mean", "deviation", "class_above", "class_varies", "normality")

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
        total: All of them, each once; an image may show several classes.
        class_means: In the order of ``counts``; NaN where nothing was counted.
        class_deviations: Likewise, with n - 1; NaN below two.
        whole_mean: Of all.
        whole_deviation: Likewise, with n - 1.
        normality: Shapiro-Wilk p-value over all classes together; 1 where undefined.
    """

    layers: tuple[Layer, ...]
    class_names: tuple[str, ...]
    digest: str
    seed: int
    source: str
    over: str
    counts: Int[np.ndarray, "c_and_background"]
    total: int
    class_means: Float64[np.ndarray, "c_and_background k"]
    class_deviations: Float64[np.ndarray, "c_and_background k"]
    whole_mean: Float64[np.ndarray, "k"]
    whole_deviation: Float64[np.ndarray, "k"]
    normality: Float64[np.ndarray, "k"]

    @property
    def known(self) -> Moments:
        """Of all that shows a class."""
        return without(self._whole, self._row(len(self.class_names)))

    def p(self, label: int) -> Float64[np.ndarray, "k"]:
        """How little each channel has to do with a class.

        One-sided Welch test of "the mean of what shows this class exceeds the mean of what does
        not, background included"; 1 where too little was counted to say.
        """
        own = self._row(label)
        return welch(own, without(self._whole, own))

    @property
    def _whole(self) -> Moments:
        return _moments(self.total, self.whole_mean, self.whole_deviation)

    def _row(self, row: int) -> Moments:
        return _moments(int(self.counts[row]), self.class_means[row], self.class_deviations[row])


def _moments(n: int, mean: np.ndarray, deviation: np.ndarray) -> Moments:
    squares = np.nan_to_num(deviation, nan=0.0) ** 2 * max(n - 1, 0)
    return Moments(float(n), np.nan_to_num(mean, nan=0.0), squares)


def summarised(
    layers: tuple[Layer, ...],
    class_names: tuple[str, ...],
    digest: str,
    seed: int,
    source: str,
    over: str,
    tally: Tally,
    whole: Moments,
    normality: Float64[np.ndarray, "k"],
) -> Statistics:
    """The statistics of a tally with one row per class and a last one for background, and all."""
    return Statistics(
        layers=layers,
        class_names=class_names,
        digest=digest,
        seed=seed,
        source=source,
        over=over,
        counts=tally.n[:, 0].astype(np.int64),
        total=int(whole.n),
        class_means=np.where(tally.n > 0, tally.mean, np.nan),
        class_deviations=Moments(tally.n, tally.mean, tally.squares).deviation,
        whole_mean=whole.mean,
        whole_deviation=whole.deviation,
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
    unit = _unit(statistics.whole_deviation)
    return {
        "counts": statistics.counts,
        "total": np.array([statistics.total]),
        "mean": statistics.whole_mean.astype(np.float32),
        "deviation": statistics.whole_deviation.astype(np.float32),
        "class_above": _halved((statistics.class_means - statistics.whole_mean) / unit),
        "class_varies": _halved(statistics.class_deviations / unit),
        "normality": statistics.normality.astype(np.float32),
    }


def _unit(deviation: Float[np.ndarray, "k"]) -> Float[np.ndarray, "k"]:
    """What classes are measured in; a channel that never varies is measured in 1."""
    return np.where(deviation > 0, deviation, 1.0)


def _halved(values: Float[np.ndarray, "r k"]) -> np.ndarray:
    return np.clip(values, -MOST_HALF, MOST_HALF).astype(np.float16)


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
    mean, deviation, above, varies, normality = (
        arrays[name].astype(np.float64)
        for name in ("mean", "deviation", "class_above", "class_varies", "normality")
    )
    unit = _unit(deviation)
    return Statistics(
        layers=tuple(Layer(*layer) for layer in json.loads(header["layers"])),
        class_names=tuple(json.loads(header["class_names"])),
        digest=header["digest"],
        seed=int(header["seed"]),
        source=header["source"],
        over=over,
        counts=arrays["counts"],
        total=int(arrays["total"][0]),
        class_means=mean + above * unit,
        class_deviations=varies * unit,
        whole_mean=mean,
        whole_deviation=deviation,
        normality=normality,
    )


def _foreign(path: str | Path, found: str, detector: WhiteBoxDetector) -> str:
    if found.startswith(FORMAT[:-1]):
        return f"{path} is of an older version of this program; {how_to_fit(detector)}"
    return f"{path} holds no parchgrad statistics; {how_to_fit(detector)}"


def how_to_fit(detector: WhiteBoxDetector) -> str:
    """The command that makes the file."""
    return f"run: xai-detect fit-parchgrad DATA --model {detector.provenance.name} --out FILE"
