"""Measure, once per detector, how strongly each channel answers to each class.

The strength of a channel is its mean activation, over the whole image and over each box's cells.
Over the image, what goes with a class counts as well, wherever it lies; over the boxes, only what
shows inside them.
"""

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from xai_detect.detectors.lending import lent
from xai_detect.detectors.place import place
from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.errors import InputError
from xai_detect.explainers.parchgrad.counted import Counted
from xai_detect.explainers.parchgrad.layers import Gauge, Layer, find_layers
from xai_detect.explainers.parchgrad.moments import shapiro
from xai_detect.explainers.parchgrad.statistics import OVER, Statistics, summarised, weights_digest
from xai_detect.values import boxes as geometry
from xai_detect.values.boxes import Size

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
    """An image that waits for its pass.

    Attributes:
        pixels: Placed in the input.
        places: Its boxes, then the whole image, in input pixels.
        boxes: The row of each box, a class or background.
        shown: The rows of the image: classes that it shows, or background.
    """

    pixels: Float[Tensor, "1 3 i j"]
    places: Float[Tensor, "n 4"]
    boxes: Integer[np.ndarray, "m"]
    shown: Integer[np.ndarray, "k"]


def fit(
    detector: WhiteBoxDetector,
    scans: Iterable[LabelledImage],
    *,
    seed: int = 0,
    source: str = "",
) -> dict[str, Statistics]:
    """Measure the channels over images and boxes of known class; images of one size share passes.

    An image counts for each class that it shows, and as background if nothing is annotated. For
    every box, one of the same size is placed where nothing is annotated, if there is room; these
    are the background that boxes are compared with.

    Args:
        detector: The detector.
        scans: Images with ground truth, or with detections known to be right.
        seed: Of the background boxes and of the sample for the test of normality.
        source: What the images are, in words, for the record.

    Returns:
        The statistics by where strengths were taken, a name in ``OVER``.

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
    """

    def __init__(self, detector: WhiteBoxDetector, seed: int) -> None:
        self._detector = detector
        self._seed = seed
        self._places = torch.Generator().manual_seed(seed)
        self._gauge: Gauge | None = None
        self._waiting: dict[Size, list[Waiting]] = {}
        self._counted = {over: Counted(0, 0, seed) for over in OVER}

    def see(
        self,
        image: Float[Tensor, "3 h w"],
        boxes: Float[Tensor, "_ 4"],
        labels: Integer[Tensor, "_"],
    ) -> None:
        """Count an image and its boxes, at once or once there are enough images of its size."""
        classes = len(self._detector.class_names)
        _check(boxes, labels, classes)
        known = labels >= 0
        if len(labels) and not known.any():
            return
        placed = place(self._detector, image)
        size = (image.shape[1], image.shape[2])
        background = background_boxes(boxes[known], boxes, size, self._places)
        whole = torch.tensor([[0.0, 0.0, size[1], size[0]]])
        places = placed.frame.boxes_to_input(torch.cat([boxes[known].float(), background, whole]))
        rows = np.array([*labels[known].tolist(), *[classes] * len(background)], dtype=np.int64)
        shown = np.unique(rows[rows < classes]) if known.any() else np.array([classes])
        input_size = (placed.pixels.shape[2], placed.pixels.shape[3])
        group = self._waiting.setdefault(input_size, [])
        group.append(Waiting(placed.pixels, places, rows, shown))
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
                rows = len(self._detector.class_names) + 1
                self._counted = {over: Counted(rows, channels, self._seed) for over in OVER}
            found = self._gauge.strengths(pixels, [image.places for image in group])
        values = [one.double().numpy() for one in found]
        self._counted["image"].add(
            [image.shown for image in group], np.stack([one[-1] for one in values])
        )
        self._counted["box"].add(
            [np.array([row]) for image in group for row in image.boxes],
            np.concatenate([one[:-1] for one in values]),
        )

    def state(self) -> dict[str, np.ndarray]:
        """All that was counted, as arrays; whoever waits for a pass gets it first."""
        self._finish()
        return {
            "layers": np.frombuffer(json.dumps(self._layers).encode(), np.uint8),
            "places": self._places.get_state().numpy(),
            **{
                f"{over}.{name}": array
                for over, counted in self._counted.items()
                for name, array in counted.state().items()
            },
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from what ``state`` gave."""
        layers = tuple(Layer(*layer) for layer in json.loads(state["layers"].tobytes()))
        self._gauge = Gauge(self._detector, layers) if layers else None
        self._places.set_state(torch.from_numpy(state["places"].copy()))
        for over in OVER:
            own = {
                name.removeprefix(f"{over}."): array
                for name, array in state.items()
                if name.startswith(f"{over}.")
            }
            self._counted[over] = Counted.restored(own)

    def _finish(self) -> None:
        for size in list(self._waiting):
            self._pass(size)

    @property
    def _layers(self) -> tuple[Layer, ...]:
        return self._gauge.layers if self._gauge is not None else ()

    def result(self, source: str = "") -> dict[str, Statistics]:
        """The statistics of all that was seen, by where strengths were taken.

        Raises:
            InputError: If no image held a box.
        """
        self._finish()
        if not self._counted["box"].sample:
            raise InputError("no image holds an annotated box; parchgrad needs boxes to fit on")
        return {
            over: summarised(
                self._layers,
                tuple(self._detector.class_names),
                weights_digest(self._detector),
                self._seed,
                source,
                over,
                counted.tally,
                counted.whole.row(0),
                shapiro(np.stack(counted.sample)),
            )
            for over, counted in self._counted.items()
        }


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
