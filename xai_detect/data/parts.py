"""Parts of annotated objects: COCO's key points, and masks under names of their own.

COCO has no parts. Here an annotation may have ``parts``, from a name to a segmentation as COCO
writes them: polygons, or a run-length code. Key points are parts as well: a small square each.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from pycocotools import mask as coco_mask

from xai_detect.data.problems import Problems
from xai_detect.errors import InputError
from xai_detect.values.boxes import Box, Size
from xai_detect.values.json import Json, as_whole
from xai_detect.values.truth import Part

KEYPOINT = 0.1
"""Side of the square around a key point, as a share of the root of its object's box."""

_SEEN = 1
"""Flag above which a key point is visible."""


def read_parts(
    row: Mapping[str, Json],
    keypoints: Sequence[str],
    box: Box,
    size: Size,
    what: str,
    problems: Problems,
) -> tuple[Part, ...]:
    """The parts that one annotation names.

    Args:
        row: The annotation.
        keypoints: Names of its category's key points, in their order.
        box: The object, in image pixels.
        size: ``(height, width)`` of the image.
        what: How to call the annotation.
        problems: Takes a sentence for every part that is left out.
    """
    found = list(_points(row.get("keypoints"), keypoints, box, size))
    given = row.get("parts") or {}
    if not isinstance(given, dict):
        problems.note(what, ": parts is no mapping from names to segmentations; left out")
        return tuple(found)
    for name, segmentation in given.items():
        try:
            found.append(Part(name, size, tuple(runs_of(segmentation, size))))
        except (TypeError, ValueError, InputError) as error:
            problems.note(
                what,
                f": the part {name!r} is no segmentation ({error}); left out",
                ": a part is no segmentation; left out",
            )
    return tuple(found)


def part_of(name: str, mask: np.ndarray) -> Part:
    """A part from its mask, ``(h, w)`` bool."""
    down = np.concatenate([[False], mask.astype(bool).ravel(order="F")])
    turns = np.flatnonzero(down[1:] != down[:-1])
    runs = np.diff(np.concatenate([[0], turns, [mask.size]]))
    return Part(name, (mask.shape[0], mask.shape[1]), tuple(runs.tolist()))


def part_to_coco(part: Part) -> dict[str, Json]:
    """A part as a compressed run-length code."""
    packed = coco_mask.encode(np.asfortranarray(part.mask().numpy().astype(np.uint8)))
    return {"size": list(part.size), "counts": packed["counts"].decode("ascii")}


def runs_of(segmentation: Json, size: Size) -> list[int]:
    """A segmentation of COCO as runs."""
    height, width = size
    if isinstance(segmentation, list):
        nested = bool(segmentation) and isinstance(segmentation[0], list)
        rows = _polygons(segmentation if nested else [segmentation])
        packed = coco_mask.merge(coco_mask.frPyObjects(rows, height, width))
        return _uncompressed(packed["counts"].decode("ascii"))
    if not isinstance(segmentation, dict):
        raise TypeError("expected polygons or a run-length code")
    if segmentation.get("size") != [height, width]:
        raise ValueError(f"it is of an image of {segmentation.get('size')}, not {[*size]}")
    match segmentation.get("counts"):
        case str() as code:
            return _uncompressed(code)
        case [*runs]:
            return [as_whole(run) for run in runs]
    raise TypeError("counts is neither a list nor text")


def _polygons(rows: Sequence[Json]) -> list[list[float]]:
    """Lists of x, y pairs, at least three each."""
    found = []
    for row in rows:
        if not isinstance(row, list) or len(row) < 6 or len(row) % 2:
            raise ValueError("a polygon is not a list of at least three x, y pairs")
        if not all(isinstance(value, int | float) and math.isfinite(value) for value in row):
            raise ValueError("a polygon holds what is no number")
        found.append([float(value) for value in row if isinstance(value, int | float)])
    return found


def _uncompressed(code: str) -> list[int]:
    """The runs of COCO's compressed code; its own decoder trusts it and writes where it says."""
    runs: list[int] = []
    value = shift = 0
    for letter in code:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 30:
            raise ValueError("its code is damaged")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("its code is cut short")
    return runs


def _points(values: Json | None, names: Sequence[str], box: Box, size: Size) -> list[Part]:
    """A square around each visible key point."""
    if not isinstance(values, list) or len(values) != 3 * len(names):
        return []
    side = KEYPOINT * math.sqrt((box[2] - box[0]) * (box[3] - box[1]))
    found = []
    for name, x, y, flag in zip(names, values[::3], values[1::3], values[2::3], strict=True):
        numbers = [value for value in (x, y, flag) if isinstance(value, int | float)]
        if len(numbers) < 3 or numbers[2] <= _SEEN:
            continue
        left, top = (max(0, round(value - side / 2)) for value in numbers[:2])
        right, bottom = left + max(1, round(side)), top + max(1, round(side))
        if left < size[1] and top < size[0]:
            found.append(
                rectangle(name, (left, top, min(right, size[1]), min(bottom, size[0])), size)
            )
    return found


def rectangle(name: str, box: tuple[int, int, int, int], size: Size) -> Part:
    """A part that is a box with area inside the image, in whole image pixels."""
    left, top, right, bottom = box
    tall, wide = bottom - top, right - left
    between = [tall, size[0] - tall] * (wide - 1)
    rest = size[0] * size[1] - left * size[0] - top - wide * tall - (wide - 1) * (size[0] - tall)
    return Part(name, size, (left * size[0] + top, *between, tall, rest))
