"""Measure, once per detector, how strongly each channel answers to each class.

The strength of a channel is its mean activation over a box's cells: the whole image would describe
the scene. What is counted is boxes, not images.
"""

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Integer
from torch import Tensor

from xai_detect.detectors.lending import lent
from xai_detect.detectors.place import place
from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.errors import InputError
from xai_detect.explainers.parchgrad.layers import Gauge, Layer, find_layers
from xai_detect.explainers.parchgrad.moments import Tally, shapiro
from xai_detect.explainers.parchgrad.statistics import Statistics, summarised, weights_digest
from xai_detect.values import boxes as geometry
from xai_detect.values.boxes import Size

MOST_VALUES = 5000
"""Values per channel for the Shapiro-Wilk test, whose p-value is unreliable above that."""

DRAWS = 20
"""Places tried for a background box before it is left out."""

BATCH = 8
"""Most images in one forward pass."""

WAITING = 2 * BATCH
"""Most images that wait for others of their size; they fill memory."""

LabelledImage = tuple[Float[Tensor, "3 _ _"], Float[Tensor, "_ 4"], Integer[Tensor, "_"]]
"""RGB in [0, 1], boxes in image pixels, and each box's index into the detector's class names; a
label of -1 marks a region of unknown content, which is neither sampled nor used as background."""


class Waiting(NamedTuple):
    """An image that waits for its pass: its pixels, and boxes in input pixels with their rows."""

    pixels: Float[Tensor, "1 3 i j"]
    boxes: Float[Tensor, "n 4"]
    rows: Integer[np.ndarray, "n"]


def fit(
    detector: WhiteBoxDetector,
    scans: Iterable[LabelledImage],
    *,
    seed: int = 0,
    source: str = "",
) -> Statistics:
    """Measure the channels over boxes of known class; images of one input size share passes.

    For every box, one of the same size is placed where nothing is annotated, if there is room;
    these stand for "background" among the boxes a class is compared with.

    Args:
        detector: The detector.
        scans: Images with ground truth, or with detections known to be right.
        seed: Of the background boxes and of the sample for the test of normality.
        source: What the images are, in words, for the record.

    Raises:
        InputError: If there is no box, a label or box does not fit, or no layer can be split.
    """
    calibration = Calibration(detector, seed)
    for image, boxes, labels in scans:
        calibration.see(image, boxes, labels)
    return calibration.result(source)


class Calibration:
    """What has been seen so far.

    The network is borrowed only while it runs: whoever makes the images may need it meanwhile.

    Attributes:
        tally: Moments per class and of background, of the images that had their pass.
        sample: Strengths of a uniform sample of all boxes, for the test of normality.
    """

    def __init__(self, detector: WhiteBoxDetector, seed: int) -> None:
        self._detector = detector
        self._seed = seed
        self._places = torch.Generator().manual_seed(seed)
        self._draws = torch.Generator().manual_seed(seed)
        self._gauge: Gauge | None = None
        self._waiting: dict[Size, list[Waiting]] = {}
        self.tally = Tally(0, 0)
        self.sample: list[Float[np.ndarray, k]] = []
        self._seen = 0

    def see(
        self,
        image: Float[Tensor, "3 h w"],
        boxes: Float[Tensor, "_ 4"],
        labels: Integer[Tensor, "_"],
    ) -> None:
        """Count an image's boxes, at once or once there are enough images of its size."""
        classes = len(self._detector.class_names)
        _check(boxes, labels, classes)
        known = labels >= 0
        if not known.any():
            return
        placed = place(self._detector, image)
        size = (image.shape[1], image.shape[2])
        background = background_boxes(boxes[known], boxes, size, self._places)
        asked = placed.frame.boxes_to_input(torch.cat([boxes[known], background]).float())
        rows = np.array([*labels[known].tolist(), *[classes] * len(background)])
        input_size = (placed.pixels.shape[2], placed.pixels.shape[3])
        group = self._waiting.setdefault(input_size, [])
        group.append(Waiting(placed.pixels, asked, rows))
        if len(group) == BATCH:
            self._pass(input_size)
        elif sum(map(len, self._waiting.values())) == WAITING:
            self._pass(max(self._waiting, key=lambda size: len(self._waiting[size])))

    def _pass(self, size: Size) -> None:
        group = self._waiting.pop(size)
        pixels = torch.cat([image.pixels for image in group])
        with lent(self._detector.module):
            if self._gauge is None:
                layers = find_layers(self._detector, pixels[:1])
                self._gauge = Gauge(self._detector, layers)
                channels = sum(layer.channels for layer in layers)
                self.tally = Tally(len(self._detector.class_names) + 1, channels)
            found = self._gauge.strengths(pixels, [image.boxes for image in group])
        values = torch.cat(found).double().numpy()
        rows = np.concatenate([image.rows for image in group])
        self.tally.add(rows, values)
        self._keep(values[rows < len(self._detector.class_names)])

    def _keep(self, rows: Float64[np.ndarray, "b k"]) -> None:
        """A uniform sample of all boxes (Vitter's algorithm R, 1985)."""
        for values in rows.astype(np.float32):
            self._seen += 1
            if len(self.sample) < MOST_VALUES:
                self.sample.append(values)
            elif (place := self._drawn()) < MOST_VALUES:
                self.sample[place] = values

    def _drawn(self) -> int:
        return int(torch.randint(self._seen, (1,), generator=self._draws))

    def state(self) -> dict[str, np.ndarray]:
        """All that was counted, as arrays; whoever waits for a pass gets it first."""
        self._finish()
        return {
            "n": self.tally.n,
            "mean": self.tally.mean,
            "squares": self.tally.squares,
            "sample": np.stack(self.sample) if self.sample else np.zeros((0, 0), np.float32),
            "seen": np.array([self._seen]),
            "layers": np.frombuffer(json.dumps(self.layers).encode(), np.uint8),
            "places": self._places.get_state().numpy(),
            "draws": self._draws.get_state().numpy(),
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from what ``state`` gave."""
        self.tally = Tally(*state["mean"].shape)
        self.tally.n, self.tally.mean, self.tally.squares = (
            state[name].copy() for name in ("n", "mean", "squares")
        )
        self.sample = list(state["sample"])
        layers = tuple(Layer(*layer) for layer in json.loads(state["layers"].tobytes()))
        self._gauge = Gauge(self._detector, layers) if layers else None
        self._seen = int(state["seen"][0])
        self._places.set_state(torch.from_numpy(state["places"].copy()))
        self._draws.set_state(torch.from_numpy(state["draws"].copy()))

    def _finish(self) -> None:
        for size in list(self._waiting):
            self._pass(size)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """What is measured; none before the first pass."""
        return self._gauge.layers if self._gauge is not None else ()

    def result(self, source: str = "") -> Statistics:
        """The statistics of all that was seen.

        Raises:
            InputError: If no image held a box.
        """
        self._finish()
        if not self.sample:
            raise InputError("no image holds an annotated box; parchgrad needs boxes to fit on")
        return summarised(
            self.layers,
            tuple(self._detector.class_names),
            weights_digest(self._detector),
            self._seed,
            source,
            self.tally,
            shapiro(np.stack(self.sample)),
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
