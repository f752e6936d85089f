"""Pictures small enough to live inside a report."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from xai_detect.errors import InputError
from xai_detect.output.pixels import read_png

_TIERS = ((90_000, 1500, 82), (45_000, 1200, 78), (25_000, 960, 72), (0, 760, 64))
"""Bytes a picture may have on average, and the width and WebP quality that meet it."""


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
    """Embeds pictures one after the other until the space is used up.

    Args:
        bytes_: Most characters that all data URIs together may take.
        count: How many pictures are expected; the more, the smaller each.
    """

    def __init__(self, bytes_: int, count: int) -> None:
        self._left = bytes_
        allowance = bytes_ * 3 // 4 // max(count, 1)
        self._width, self._quality = next(
            (width, quality) for least, width, quality in _TIERS if allowance >= least
        )

    def embed(self, path: Path, *, skip_rows: int = 0) -> Picture | None:
        """The picture as WebP; None if it is missing, damaged, or the space is used up.

        Args:
            path: A PNG of the run.
            skip_rows: Rows to leave out at the top.
        """
        if self._left <= 0:
            return None
        try:
            array = read_png(path)[skip_rows:]
        except InputError:
            return None
        if array.dtype == np.uint16:
            array = (array >> 8).astype(np.uint8)
        uri, size = self._encoded(array)
        self._left -= len(uri)
        return Picture(uri, *size) if self._left >= 0 else None

    def _encoded(self, array: np.ndarray) -> tuple[str, tuple[int, int]]:
        height, width = array.shape[:2]
        scale = min(self._width / max(width, height), 1.0)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.resize(array, size, interpolation=cv2.INTER_AREA)
        stream = io.BytesIO()
        Image.fromarray(small).save(stream, "webp", quality=self._quality, method=2)
        content = base64.b64encode(stream.getvalue()).decode()
        return f"data:image/webp;base64,{content}", size
