"""Images as files, without loss, and maps as files.

An image is kept as PNG: exactly if its values are multiples of 1/255, else with 16 bits. Maps of
one image share a file, by kind: signed float16 shares of each map's largest absolute value, and
that value as float32, so that tiny attributions do not vanish. Nothing here is pickled.
"""

import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect.values.boxes import Size
from xai_detect.values.json import damaged

CELLS = 160
"""Cells along the longer side in which a map is kept; what is read off it is coarser."""

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


def cells(size: Size) -> Size:
    """Rows and columns in which a map of an image is kept."""
    scale = min(CELLS / max(size), 1.0)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _resized(values: Float[np.ndarray, "h w"], size: Size) -> Float[np.ndarray, "a b"]:
    """A map over another grid, the sums of what is for and of what is against kept."""
    if values.shape == size:
        return values
    smaller = max(size) < max(values.shape)
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    spread = np.zeros(size, values.dtype)
    for sign in (1, -1):
        part = np.maximum(sign * values, 0)
        found = cv2.resize(part, (size[1], size[0]), interpolation=how)
        # interpolation gives cells unequal weights
        spread += sign * found * (part.sum() / (found.sum() or 1.0))
    return spread


def encode_maps(maps: Mapping[str, Sequence[Float[Tensor, "h w"] | None]], size: Size) -> bytes:
    """The maps of one image as the content of an ``.npz`` file.

    Args:
        maps: By kind, the map of each row in image pixels; rows without one take no space.
        size: ``(height, width)`` of the image.
    """
    arrays: dict[str, np.ndarray] = {}
    rows_of, columns_of = cells(size)
    for kind, rows in maps.items():
        heatmaps = [heatmap for heatmap in rows if heatmap is not None]
        shares = arrays[kind] = np.zeros((len(heatmaps), rows_of, columns_of), np.float16)
        scales = arrays[f"{kind}_scales"] = np.ones(len(heatmaps), np.float32)
        for place, heatmap in enumerate(heatmaps):
            values = _resized(heatmap.numpy().astype(np.float64), (rows_of, columns_of))
            scales[place] = np.abs(values).max() or 1.0
            shares[place] = values / float(scales[place])
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]  # its stub takes them for flags
    return stream.getvalue()


def read_maps(
    path: Path, there: Mapping[str, Sequence[bool]], size: Size
) -> dict[str, list[Float[Tensor, "h w"] | None]]:
    """Read the maps of one image.

    Args:
        path: The file.
        there: By kind, whether each row has a map.
        size: ``(height, width)`` of the image.

    Raises:
        InputError: If the file is missing, damaged, or does not hold such maps.
    """
    with damaged(path):
        expected: dict[str, int] = {}
        grid = cells(size)
        for kind, rows in there.items():
            expected[f"{kind}.npy"] = 2 * sum(rows) * grid[0] * grid[1]
            expected[f"{kind}_scales.npy"] = 4 * sum(rows)
        with zipfile.ZipFile(path) as archive:
            claimed = {member.filename: member.file_size for member in archive.infolist()}
        if claimed.keys() != expected.keys() or any(
            claimed[name] > expected[name] + 4096 for name in expected
        ):
            raise ValueError("other maps than the record announces")
        with np.load(path, allow_pickle=False) as archive:
            return {
                kind: _rows(archive[kind], archive[f"{kind}_scales"], rows, size)
                for kind, rows in there.items()
            }


def _rows(
    shares: np.ndarray, scales: np.ndarray, there: Sequence[bool], size: Size
) -> list[Float[Tensor, "h w"] | None]:
    shape = (sum(there), *cells(size))
    if shares.dtype != np.float16 or scales.dtype != np.float32:
        raise ValueError(f"maps of {shares.dtype} with scales of {scales.dtype}")
    if shares.shape != shape or scales.shape != shape[:1]:
        raise ValueError(f"maps of shape {shares.shape}, expected {shape}")
    values = shares.astype(np.float32) * scales[:, None, None]
    if not np.isfinite(values).all():
        raise ValueError("a map holds a value that is not finite")
    heatmaps = (torch.from_numpy(_resized(heatmap, size)) for heatmap in values)
    return [next(heatmaps) if known else None for known in there]
