"""Images and maps as files, without loss.

An image is kept as PNG: exactly if its values are multiples of 1/255, else with 16 bits. Maps of
one image share a file: signed float16 shares of each map's largest absolute value, and that value
as float32, so that tiny attributions do not vanish. Nothing here is pickled.
"""

import hashlib
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect.values.boxes import Size
from xai_detect.values.json import damaged

PNG_START = b"\x89PNG\r\n\x1a\n"


def quantised(image: Float[Tensor, "3 h w"]) -> np.ndarray:
    """The image as ``(h, w, 3)`` uint8 where that is exact, else uint16."""
    array = image.permute(1, 2, 0).numpy()
    bytes_ = array * 255
    if np.abs(bytes_ - np.rint(bytes_)).max() < 1e-2:
        return np.rint(bytes_).astype(np.uint8)
    return np.rint(array * 65535).astype(np.uint16)


def image_sha256(array: np.ndarray) -> str:
    """Digest of pixel values, so that the same picture in two files has the same digest."""
    start = f"{array.shape} {array.dtype}".encode()
    return hashlib.sha256(start + np.ascontiguousarray(array).tobytes()).hexdigest()


def encode_png(array: np.ndarray) -> bytes:
    """An RGB picture ``(h, w, 3)`` as PNG."""
    _, content = cv2.imencode(".png", cv2.cvtColor(array, cv2.COLOR_RGB2BGR))
    return content.tobytes()


def read_png(path: Path, size: Size | None = None, limit: int = 100_000_000) -> np.ndarray:
    """Read a PNG of this package as RGB.

    Args:
        path: The file.
        size: ``(height, width)`` it must have; None for any.
        limit: Most pixels it may claim.

    Raises:
        InputError: If it is damaged or claims another size.
    """
    with damaged(path):
        content = path.read_bytes()
        if not content.startswith(PNG_START):
            raise ValueError("not a PNG")
        width, height = (int.from_bytes(content[at : at + 4]) for at in (16, 20))
        if width * height > limit or (size is not None and size != (height, width)):
            raise ValueError(f"a picture of {width} x {height} pixels was not expected")
        array = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        if array is None or array.ndim != 3 or array.shape[2] != 3:
            raise ValueError("not an RGB picture")
        return cv2.cvtColor(array, cv2.COLOR_BGR2RGB)


def image_from(array: np.ndarray) -> Float[Tensor, "3 h w"]:
    """Pixels back as a float image in [0, 1]."""
    values = array.astype(np.float32) / np.iinfo(array.dtype).max
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))


def encode_maps(heatmaps: Sequence[Float[Tensor, "h w"]], size: Size) -> bytes:
    """The maps of one image as the content of an ``.npz`` file."""
    maps = np.zeros((len(heatmaps), *size), np.float16)
    scales = np.ones(len(heatmaps), np.float32)
    for row, heatmap in enumerate(heatmaps):
        values = heatmap.numpy().astype(np.float64)
        scales[row] = np.abs(values).max() or 1.0
        maps[row] = values / float(scales[row])
    stream = io.BytesIO()
    np.savez_compressed(stream, maps=maps, scales=scales)
    return stream.getvalue()


def read_maps(path: Path, count: int, size: Size) -> Float[Tensor, "n h w"]:
    """Read the maps of one image.

    Raises:
        InputError: If the file is missing, damaged, or does not hold ``count`` maps of ``size``.
    """
    with damaged(path):
        expected = 2 * count * size[0] * size[1]
        with zipfile.ZipFile(path) as archive:
            claimed = {member.filename: member.file_size for member in archive.infolist()}
        if claimed.keys() != {"maps.npy", "scales.npy"} or (
            max(claimed["maps.npy"] - expected, claimed["scales.npy"] - 4 * count) > 4096
        ):
            raise ValueError("other maps than the record announces")
        with np.load(path, allow_pickle=False) as archive:
            maps, scales = archive["maps"], archive["scales"]
        if maps.dtype != np.float16 or scales.dtype != np.float32:
            raise ValueError(f"maps of {maps.dtype} with scales of {scales.dtype}")
        if maps.shape != (count, *size) or scales.shape != (count,):
            raise ValueError(f"maps of shape {maps.shape}, expected {(count, *size)}")
        values = maps.astype(np.float32) * scales[:, None, None]
        if not np.isfinite(values).all():
            raise ValueError("a map holds a value that is not finite")
        return torch.from_numpy(values)
