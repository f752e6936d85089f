"""Measure, once per detector, how strongly each channel answers to each class.

The strength of a channel is its mean activation over a box's cells: the whole image would describe
the scene. What is counted is boxes, not images.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import scipy.special
import scipy.stats
import torch
from jaxtyping import Float, Float64, Integer, Shaped
from torch import Tensor

from xai_detect.detectors.lending import lent
from xai_detect.detectors.place import place
from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.errors import InputError
from xai_detect.explainers.parchgrad.layers import Layer, find_layers, strengths
from xai_detect.explainers.parchgrad.statistics import Statistics, weights_digest
from xai_detect.values import boxes as geometry

MOST_VALUES = 5000
"""Values per channel for the Shapiro-Wilk test, whose p-value is unreliable above that."""

DRAWS = 20
"""Places tried for a background box before it is left out."""

LabelledImage = tuple[Float[Tensor, "3 _ _"], Float[Tensor, "_ 4"], Integer[Tensor, "_"]]
"""RGB in [0, 1], boxes in image pixels, and each box's index into the detector's class names; a
label of -1 marks a region of unknown content, which is neither sampled nor used as background."""


class Moments(NamedTuple):
    """Number, mean and sum of squared deviations of some boxes, per channel."""

    n: float | np.ndarray
    mean: np.ndarray
    squares: np.ndarray

    @property
    def deviation(self) -> np.ndarray:
        """Standard deviation with n - 1; NaN below two boxes."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.sqrt(np.where(self.n > 1, self.squares / (self.n - 1.0), np.nan))


class _Tally:
    """Moments per class, box by box (Welford 1962), so that constant channels stay exact."""

    def __init__(self, rows: int, channels: int) -> None:
        self.n = np.zeros((rows, 1))
        self.mean = np.zeros((rows, channels))
        self.squares = np.zeros((rows, channels))

    def add(self, row: int, values: Float[np.ndarray, "k"]) -> None:
        self.n[row] += 1
        before = values - self.mean[row]
        self.mean[row] += before / self.n[row]
        self.squares[row] += before * (values - self.mean[row])

    def over(self, rows: Shaped[np.ndarray, "r"]) -> Moments:
        """All boxes of several rows together (Chan, Golub, LeVeque 1983)."""
        n = self.n[rows]
        total = float(n.sum())
        mean = (n * self.mean[rows]).sum(axis=0) / max(total, 1.0)
        between = (n * (self.mean[rows] - mean) ** 2).sum(axis=0)
        return Moments(total, mean, self.squares[rows].sum(axis=0) + between)


def welch(own: Moments, rest: Moments) -> Float64[np.ndarray, "k"]:
    """p-value of "the mean of ``one`` exceeds that of ``rest``", variances not taken as equal.

    Welch, "The generalization of 'Student's' problem when several different population variances
    are involved", Biometrika 34, 1947, with Satterthwaite's degrees of freedom. 1 where there are
    fewer than two boxes on a side, or where neither varies and the means agree.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = own.deviation**2 / own.n, rest.deviation**2 / rest.n
        t = (own.mean - rest.mean) / np.sqrt(a + b)
        freedom = (a + b) ** 2 / (a**2 / (own.n - 1.0) + b**2 / (rest.n - 1.0))
    certain = np.where(t > 0, 0.0, 1.0)  # means differ and neither side varies
    p = np.where(np.isinf(t), certain, scipy.special.stdtr(freedom, -t))
    return np.where(np.isnan(p), 1.0, p)


def shapiro(values: Float[np.ndarray, "n k"]) -> Float64[np.ndarray, "k"]:
    """Shapiro-Wilk p-value per column; 1 for a constant column or fewer than three values.

    Shapiro, Wilk, "An analysis of variance test for normality", Biometrika 52, 1965.
    """
    found = np.ones(values.shape[1])
    if len(values) >= 3:
        for column in np.flatnonzero(np.ptp(values, axis=0) > 0):
            found[column] = scipy.stats.shapiro(values[:, column].astype(np.float64)).pvalue
    return found


def fit(detector: WhiteBoxDetector, scans: Iterable[LabelledImage], *, seed: int = 0) -> Statistics:
    """Measure the channels over boxes of known class, one forward pass per image.

    For every box, one of the same size is placed where nothing is annotated, if there is room;
    these stand for "background" among the boxes a class is compared with.

    Args:
        detector: The detector.
        scans: Images with ground truth, or with detections known to be right.
        seed: Of the background boxes and of the sample for the test of normality.

    Raises:
        InputError: If there is no box, a label or box does not fit, or no layer can be split.
    """
    calibration = _Calibration(detector, seed)
    for image, boxes, labels in scans:  # whoever makes them may need the network meanwhile
        with lent(detector.module):
            calibration.see(image, boxes, labels)
    return calibration.result()


class _Calibration:
    """What has been seen so far."""

    def __init__(self, detector: WhiteBoxDetector, seed: int) -> None:
        self._detector = detector
        self._seed = seed
        self._generator = torch.Generator().manual_seed(seed)
        self._layers: tuple[Layer, ...] = ()
        self._tally = _Tally(0, 0)
        self._sample: list[np.ndarray] = []
        self._seen = 0

    def see(self, image: Tensor, boxes: Tensor, labels: Tensor) -> None:
        classes = len(self._detector.class_names)
        _check(boxes, labels, classes)
        known = labels >= 0
        if not known.any():
            return
        size = (image.shape[1], image.shape[2])
        placed = place(self._detector, image)
        frame, pixels = placed.frame, placed.pixels
        if not self._layers:
            self._layers = find_layers(self._detector, pixels)
            self._tally = _Tally(classes + 1, sum(layer.channels for layer in self._layers))
        background = background_boxes(boxes[known], boxes, size, self._generator)
        asked = frame.boxes_to_input(torch.cat([boxes[known], background]).float())
        found = strengths(self._detector, self._layers, pixels, asked).double().numpy()
        rows = [*labels[known].tolist(), *[classes] * len(background)]
        for row, values in zip(rows, found, strict=True):
            self._tally.add(row, values)
            if row < classes:
                self._keep(values)

    def _keep(self, values: np.ndarray) -> None:
        """A uniform sample of all boxes (Vitter's algorithm R, 1985)."""
        self._seen += 1
        if len(self._sample) < MOST_VALUES:
            self._sample.append(values.astype(np.float32))
            return
        place = int(torch.randint(self._seen, (1,), generator=self._generator))
        if place < MOST_VALUES:
            self._sample[place] = values.astype(np.float32)

    def result(self) -> Statistics:
        if not self._sample:
            raise InputError("no image holds an annotated box; parchgrad needs boxes to fit on")
        tally, classes = self._tally, len(self._detector.class_names)
        rows = np.arange(classes + 1)
        together = tally.over(rows[:classes])
        each = Moments(tally.n, tally.mean, tally.squares)
        return Statistics(
            layers=self._layers,
            class_names=tuple(self._detector.class_names),
            digest=weights_digest(self._detector),
            seed=self._seed,
            counts=tally.n[:, 0].astype(np.int64),
            class_means=np.where(tally.n > 0, tally.mean, np.nan).astype(np.float32),
            class_deviations=each.deviation.astype(np.float32),
            mean=together.mean,
            deviation=together.deviation,
            p=np.stack(
                [welch(tally.over(rows == row), tally.over(rows != row)) for row in rows[:classes]]
            ),
            normality=shapiro(np.stack(self._sample)),
        )


def _check(boxes: Tensor, labels: Tensor, classes: int) -> None:
    if len(boxes) != len(labels):
        raise InputError(f"there are {len(boxes)} boxes but {len(labels)} labels")
    if len(labels) and not -1 <= int(labels.min()) <= int(labels.max()) < classes:
        raise InputError(
            f"labels run from {int(labels.min())} to {int(labels.max())}, but the detector knows "
            f"{classes} classes, counted from 0: match the data set's names with the detector's"
        )


def background_boxes(
    wanted: Float[Tensor, "n 4"],
    taken: Float[Tensor, "m 4"],
    size: geometry.Size,
    generator: torch.Generator,
) -> Float[Tensor, "b 4"]:
    """Boxes of the wanted sizes at random places that touch nothing taken; some may find no room.

    Args:
        wanted: Boxes whose sizes are copied.
        taken: Boxes to stay clear of.
        size: ``(height, width)`` of the image.
        generator: Where chance comes from.
    """
    limit = torch.tensor([size[1], size[0]])
    placed = []
    for box in wanted:
        extent = box[2:] - box[:2]
        room = limit - extent
        low = torch.rand(DRAWS, 2, generator=generator) * room
        drawn = torch.cat([low, low + extent], dim=1)
        free = (geometry.iou(drawn, taken) == 0).all(dim=1) & bool((room >= 0).all())
        placed += list(drawn[free][:1])
    return torch.stack(placed) if placed else wanted.new_zeros(0, 4)
