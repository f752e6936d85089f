"""Where an annotation of COCO says that its object lies: a box, polygons or a run-length code."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from xai_detect.data import fields
from xai_detect.data.parts import runs_of
from xai_detect.errors import InputError
from xai_detect.values.boxes import Box, Size
from xai_detect.values.truth import Part

_WHOLE = 1.01
"""Shares of an image end here, some rounding included."""


def in_shares(rows: Iterable[Mapping[str, Any]]) -> bool:
    """Whether all boxes and polygons of a file are shares of their image, 0 to 1, not pixels.

    Args:
        rows: Its annotations.
    """
    fractions = False
    for row in rows:
        values = fields.numbers(row.get("bbox")) or ()
        if len(values) != 4 or (_empty(values) and row.get("segmentation")):
            rings = row.get("segmentation")
            rings = rings if isinstance(rings, list) else []
            rings = rings if rings and isinstance(rings[0], list) else [rings]
            values = tuple(value for ring in rings for value in fields.numbers(ring) or ())
        if not all(0 <= value <= _WHOLE for value in values):
            return False
        fractions = fractions or any(value != int(value) for value in values)
    return fractions


def box_of(row: Mapping[str, Any], size: Size, shares: bool) -> Box:
    """The corners of an annotation, in image pixels.

    Args:
        row: The annotation.
        size: ``(height, width)`` of the image.
        shares: Whether the file's boxes are shares of the image.

    Raises:
        ValueError: If it says nothing that can be read; the text names the field.
    """
    given = fields.numbers(row.get("bbox"))
    if given is not None and len(given) == 4 and not (_empty(given) and row.get("segmentation")):
        x, y, width, height = given
        down, across = (size[0], size[1]) if shares else (1, 1)
        return (x * across, y * down, (x + width) * across, (y + height) * down)
    if row.get("segmentation"):
        return _around(row["segmentation"], size, shares)
    if row.get("bbox") is None:
        raise ValueError("there is neither a bbox nor a segmentation")
    raise ValueError("bbox is not four numbers x, y, width, height")


def _empty(box: Sequence[float]) -> bool:
    return not any(box)


def _around(segmentation: Any, size: Size, shares: bool) -> Box:
    """The box around polygons, or around the pixels of a code."""
    if isinstance(segmentation, list):
        nested = isinstance(segmentation[0], list | tuple)
        rings = [fields.numbers(ring) for ring in (segmentation if nested else [segmentation])]
        points = [value for ring in rings if ring is not None for value in ring]
        if None in rings or len(points) < 6 or len(points) % 2:
            raise ValueError("segmentation is no list of polygons with at least three x, y pairs")
        xs, ys = points[::2], points[1::2]
        down, across = (size[0], size[1]) if shares and max(points) <= _WHOLE else (1, 1)
        return (min(xs) * across, min(ys) * down, max(xs) * across, max(ys) * down)
    try:
        mask = Part("segmentation", size, tuple(runs_of(segmentation, size))).mask().numpy()
    except (TypeError, ValueError, InputError) as error:
        raise ValueError(f"segmentation cannot be read ({error})") from error
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        raise ValueError("segmentation marks no pixel")
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    return (float(left), float(top), float(right), float(bottom))
