"""What decides a class from outside, over a run: pictures of the places, the commonest look first.

Places of many images are alike where one cue decides a class. They are compared as small colour
pictures; the one that is nearest to all others comes first, then those most like it.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from xai_detect.errors import InputError
from xai_detect.output.drawing.states import deciding
from xai_detect.output.drawing.strokes import frame
from xai_detect.output.folder.load import Run, inside
from xai_detect.output.folder.pictures import read_picture
from xai_detect.output.folder.records import Record
from xai_detect.values.boxes import Box

SHOWN = 4
"""Most pictures for a class."""

COMPARED = 60
"""Most places of a class that are compared, the first in the run's order."""

_SAMPLE = 12
"""Side in pixels of the pictures that are compared."""

_ROOM, _SIDE = 0.75, 240
"""Room around a place, as a share of its longer side; a picture's longer side in pixels."""


class Place(NamedTuple):
    """One place that decides a detection.

    Attributes:
        record: The image.
        row: The detection.
        box: The place, in image pixels.
    """

    record: Record
    row: int
    box: Box


class Common(NamedTuple):
    """What decides a class from outside.

    Attributes:
        name: The class.
        places: How many places there are.
        detections: How many detections they decide.
        pictures: The commonest places, each with its picture, ``(h, w, 3)`` uint8.
    """

    name: str
    places: int
    detections: int
    pictures: tuple[tuple[Place, np.ndarray], ...]


class Seen(NamedTuple):
    """A place as it looks.

    Attributes:
        place: It.
        sample: Its pixels at the size at which places are compared.
        picture: The same with what is around it.
    """

    place: Place
    sample: np.ndarray
    picture: np.ndarray


def common_places(run: Run) -> Iterator[Common]:
    """Per class that something outside decides, the commonest places; most places first."""
    found: dict[str, list[Place]] = {}
    for record in run.records:
        for row, (own, verdict, evidence) in enumerate(
            zip(record.detections, record.verdicts, record.evidence, strict=True)
        ):
            boxes = dict.fromkeys(box for _, box in deciding(verdict, evidence))
            found.setdefault(own.name, []).extend(Place(record, row, box) for box in boxes)
    for name, places in sorted(found.items(), key=lambda item: (-len(item[1]), item[0])):
        seen = [look for place in places[:COMPARED] if (look := _look(run, place)) is not None]
        if seen:
            order = by_likeness([look.sample for look in seen])
            pictures = tuple((seen[k].place, seen[k].picture) for k in order[:SHOWN])
            decided = {(place.record.name, place.row) for place in places}
            yield Common(name, len(places), len(decided), pictures)


def by_likeness(samples: Sequence[np.ndarray]) -> list[int]:
    """Numbers of the samples: the one least far from all others, then by nearness to it.

    Args:
        samples: Arrays of one shape, at least one.
    """
    flat = np.stack([sample.ravel() for sample in samples]).astype(np.float64)
    between = np.linalg.norm(flat[:, None] - flat[None], axis=2)
    middle = int(between.sum(axis=1).argmin())
    return [int(k) for k in np.argsort(between[middle], kind="stable")]


def _look(run: Run, place: Place) -> Seen | None:
    """A place as it looks; None if the image's picture was lost, or nothing of it is inside."""
    record = place.record
    try:
        image = read_picture(inside(run.folder, f"pictures/{record.name}.webp"))
    except InputError:
        return None
    height, width = record.detections.image_size
    down, across = image.shape[0] / height, image.shape[1] / width
    x1, y1, x2, y2 = place.box
    box = (x1 * across, y1 * down, x2 * across, y2 * down)
    own, x, y = _cut(image, box, 0.0)
    if not own.size:
        return None
    around, x, y = _cut(image, box, _ROOM)
    scale = _SIDE / max(around.shape)
    size = [max(1, round(side * scale)) for side in around.shape[1::-1]]
    picture = cv2.resize(
        around, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    x1, y1, x2, y2 = box
    frame(picture, ((x1 - x) * scale, (y1 - y) * scale, (x2 - x) * scale, (y2 - y) * scale))
    sample = cv2.resize(own, (_SAMPLE, _SAMPLE), interpolation=cv2.INTER_AREA)
    return Seen(place, sample, picture)


def _cut(image: np.ndarray, box: Box, room: float) -> tuple[np.ndarray, int, int]:
    """The part of an image in a box and around it, and where it begins."""
    x1, y1, x2, y2 = box
    more = room * max(x2 - x1, y2 - y1)
    left, top = max(0, math.floor(x1 - more)), max(0, math.floor(y1 - more))
    right, bottom = max(left, math.ceil(x2 + more)), max(top, math.ceil(y2 + more))
    return np.ascontiguousarray(image[top:bottom, left:right]), left, top
