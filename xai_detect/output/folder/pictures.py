"""The pictures of a run: small copies of the images, as WebP.

They are as large as the network saw the image, at most, and for the eye: where the untouched image
is wanted, the file that it was read from is, or the copy that the run was asked to keep.
"""

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from xai_detect.values.boxes import Size
from xai_detect.values.json import damaged

LONGEST = 640
"""Longer side of a picture, in pixels, where the network's own size is not known or larger."""

QUALITY = 82

BARE = "bare"
"""Stands for the map in the name of a detection's marks, where none is shown."""

_MOST = 4096
"""Longer side that a picture may claim."""


def encode_picture(array: np.ndarray, content: Size | None = None) -> bytes:
    """An RGB image ``(h, w, 3)``, uint8 or uint16, as a small WebP.

    Args:
        array: The image.
        content: ``(height, width)`` at which the network saw it; None where that is not known.
    """
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    side = min(max(content or (LONGEST, LONGEST)), LONGEST)
    scale = min(side / max(array.shape[:2]), 1.0)
    height, width = (max(1, round(length * scale)) for length in array.shape[:2])
    small = cv2.resize(array, (width, height), interpolation=cv2.INTER_AREA)
    return encode_webp(small)


def encode_webp(array: np.ndarray) -> bytes:
    """``(h, w, 3)`` or, with transparency, ``(h, w, 4)`` uint8 as WebP."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array)).save(stream, "webp", quality=QUALITY, method=2)
    return stream.getvalue()


def read_picture(path: Path) -> np.ndarray:
    """Read a picture of a run as RGB ``(h, w, 3)`` uint8.

    Raises:
        InputError: If it is missing, damaged or claims to be larger than pictures are.
    """
    with damaged(path):
        content = path.read_bytes()
        width, height = _claimed(content)
        if max(width, height) > _MOST:
            raise ValueError(f"a picture of {width} x {height} pixels was not expected")
        with Image.open(io.BytesIO(content), formats=("WEBP",)) as picture:
            return np.asarray(picture.convert("RGB"))


def _claimed(content: bytes) -> tuple[int, int]:
    """Width and height that a WebP claims, read before a decoder makes room for them."""
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP" or len(content) < 30:
        raise ValueError("not a WebP")
    match content[12:16]:
        case b"VP8X":  # 24 bits each, less one
            return 1 + _number(content[24:27]), 1 + _number(content[27:30])
        case b"VP8L":  # 14 bits each, less one
            bits = _number(content[21:25])
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8 ":  # 14 bits each
            return _number(content[26:28]) & 0x3FFF, _number(content[28:30]) & 0x3FFF
    raise ValueError("not a WebP")


def _number(part: bytes) -> int:
    return int.from_bytes(part, "little")
