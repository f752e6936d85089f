"""Pictures small enough to live inside a report."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from xai_detect.errors import InputError
from xai_detect.output.folder.pixels import read_png

_GRADES = ((1500, 82), (1200, 76), (960, 70), (760, 62), (640, 52), (520, 42), (440, 38))
"""Longer side in pixels and WebP quality, from the best to the smallest."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An embedded picture.

    Attributes:
        uri: The picture itself, as a data URI.
        width: In pixels.
        height: In pixels.
    """

    uri: str
    width: int
    height: int


class Album:
    """Embeds pictures one after the other, each as good as the space for the rest allows.

    Args:
        bytes_: Most characters that all data URIs together may take.
        count: How many pictures are expected; the more, the smaller each.
    """

    def __init__(self, bytes_: int, count: int) -> None:
        self._left = bytes_
        self._expected = count
        self._grade = 0

    def embed(self, path: Path, *, skip_rows: int = 0) -> Picture | None:
        """The picture as WebP; None if it is missing, damaged, or does not fit any more.

        Args:
            path: A PNG of the run.
            skip_rows: Rows to leave out at the top.
        """
        fair = min(1.2 * self._left / max(self._expected, 1), self._left)
        self._expected -= 1
        try:
            array = read_png(path)[skip_rows:]
        except InputError:
            return None
        if array.dtype == np.uint16:
            array = (array >> 8).astype(np.uint8)
        for grade in range(max(self._grade - 1, 0), len(_GRADES)):
            self._grade = grade
            picture = _encoded(array, *_GRADES[grade])
            if len(picture.uri) <= fair:
                break
        if len(picture.uri) > self._left:
            return None
        self._left -= len(picture.uri)
        return picture


def embedded(array: np.ndarray) -> Picture:
    """A small picture, ``(h, w, 3)`` uint8, as it is."""
    return _encoded(array, *_GRADES[0])


def _encoded(array: np.ndarray, side: int, quality: int) -> Picture:
    height, width = array.shape[:2]
    scale = min(side / max(width, height), 1.0)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(array, size, interpolation=cv2.INTER_AREA)
    stream = io.BytesIO()
    Image.fromarray(small).save(stream, "webp", quality=quality, method=2)
    content = base64.b64encode(stream.getvalue()).decode()
    return Picture(f"data:image/webp;base64,{content}", *size)
