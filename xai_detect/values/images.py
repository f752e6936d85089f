"""Reading images: any common file, array or PIL image becomes float32 ``(3, H, W)`` RGB in [0, 1].

Rotation stored in EXIF is applied; grey is repeated over three channels; transparency is laid
over white; CMYK is converted; 16-bit values are divided by 65535, or by the highest of 12 or 8 bits
where none is above that.
"""

import io
import logging
import sys
import warnings
from contextvars import ContextVar
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from xai_detect.errors import InputError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")
ORDERS = ("rgb", "bgr")
MAX_PIXELS = 100_000_000
"""Larger images are refused: a small file can claim a size that fills the memory."""


DEPTHS = (8, 12)
"""Bits that tools store in 16-bit files; images whose values all fit are taken for such."""

_notes = logging.getLogger(__name__)
_depth: ContextVar[int | None] = ContextVar("depth", default=None)
_told: set[int] = set()


@runtime_checkable
class Readable(Protocol):
    """A stream that can be read."""

    def read(self) -> bytes | str:
        """All that is left of it."""


Source = str | Path | bytes | Readable | np.ndarray | Tensor | Image.Image


def read_at(bits: int | None) -> None:
    """Read 16-bit images at this depth from now on; None tells the depth by the range."""
    _depth.set(bits)


def check_order(order: str) -> None:
    """Check the name of an order of colours.

    Raises:
        InputError: If there is no such order.
    """
    if order not in ORDERS:
        raise InputError(f"order is {order!r}; expected 'rgb', or 'bgr' for images from OpenCV")


def load_image(
    source: Source, depth: int | None = None, *, order: str = "rgb"
) -> Float[Tensor, "3 h w"]:
    """Read an image as RGB; arrays are taken for RGB too, those of OpenCV need ``order="bgr"``.

    Args:
        source: A file, its bytes, or a binary stream of them; a PIL image; an array ``(H, W)``,
            ``(H, W, 3)`` or ``(H, W, 4)`` of uint8, uint16 or float in [0, 1]; or a tensor
            ``(3, H, W)`` float in [0, 1], on any device.
        depth: Bits of the values of 16-bit images, 8 to 16. None takes what ``read_at`` set, else
            12 or 8 where no value is above these (a log line says so), else 16.
        order: Of the colours in an array or a tensor: ``rgb`` or ``bgr``, opacity last. Files and
            PIL images know their own.

    Returns:
        Float32 in main memory, a copy.

    Raises:
        InputError: If the file is missing, empty, damaged, too large or no image, the array has
            another shape, type or range, or there is no such order.
    """
    check_order(order)
    bits = _depth.get() if depth is None else depth
    if bits is not None and not 8 <= bits <= 16:
        raise InputError(f"depth is {bits}; expected 8 to 16 bits")
    if isinstance(source, Tensor):
        image = _checked(source.detach().to("cpu", torch.float32, copy=True), "the tensor")
        return image.flip(0) if order == "bgr" else image
    if isinstance(source, np.ndarray):
        image = _from_array(source, "the array", bits)
        return image.flip(0) if order == "bgr" else image
    if isinstance(source, Image.Image):
        return _from_pil(source, "the PIL image", bits)
    if isinstance(source, bytes | bytearray | memoryview):
        return _decoded(io.BytesIO(source), "the image in memory", bits)
    if isinstance(source, str | Path):
        return _from_file(Path(source), bits)
    return _from_stream(source, bits)


def _from_stream(stream: Readable, bits: int | None) -> Tensor:
    name = f"the stream {getattr(stream, 'name', '')}".strip()
    content = stream.read()
    if not isinstance(content, bytes):
        raise InputError(f"{name} gives text; open the image in binary mode, 'rb'")
    return _decoded(io.BytesIO(content), name, bits)


def _from_file(path: Path, bits: int | None) -> Tensor:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"{path} {what}; expected an image file")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); copy the image again")
    return _decoded(path, str(path), bits)


def _decoded(source: Path | io.BytesIO, path: str, bits: int | None) -> Tensor:
    """An image file's content; ``path`` is what to call it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with open_file(source) as image:
                return _from_pil(image, path, bits)
    except UnidentifiedImageError as error:
        raise InputError(
            f"{path} is not an image this program can read; expected JPEG, PNG, TIFF, BMP or WebP"
        ) from error
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{path} claims more pixels than the limit of {MAX_PIXELS:,}; make it smaller first"
        ) from error
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} is damaged or cut short ({error}); copy the image again"
        ) from error


def open_file(path: Path | io.BytesIO) -> Image.Image:
    """Open a file by Pillow's own reader, for the formats this program knows and no others.

    Importing ultralytics replaces ``Image.open`` by a function that installs a package when it
    meets a file that is no image; the original is kept there under another name.
    """
    patches = sys.modules.get("ultralytics.utils.patches")
    opener = getattr(patches, "_image_open", Image.open)
    return opener(path, formats=FORMATS)


def _from_pil(image: Image.Image, name: str, bits: int | None) -> Tensor:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{name} has {width} x {height} pixels; the limit is {MAX_PIXELS:,}: "
            "make it smaller first"
        )
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or image.mode == "I":
        return _from_array(_sixteen_bit(np.asarray(image), name), name, bits)
    if image.mode == "F":
        return _from_array(np.asarray(image), name, bits)
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return _from_array(np.asarray(image.convert("RGB")), name, bits)


def _sixteen_bit(array: np.ndarray, name: str) -> np.ndarray:
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > 65535:
        raise InputError(
            f"{name} holds values from {low} to {high}; expected at most 16 bits, 0 to 65535"
        )
    return array.astype(np.uint16)


def _highest(array: np.ndarray, name: str, bits: int | None) -> int:
    """What the brightest value of a 16-bit image can be."""
    high = int(array.max(initial=0))
    if bits is None:
        bits = next((depth for depth in DEPTHS if 0 < high < 2**depth), 16)
        if bits != 16 and bits not in _told:
            _told.add(bits)
            _notes.warning(
                "%s is a 16-bit image whose range looks like %d bits (0 to %d), so it is read as "
                "%d bits, as are others like it; --depth %d reads all so, --depth 16 none",
                name, bits, high, bits, bits,
            )  # fmt: skip
    if high >= 2**bits:
        raise InputError(
            f"{name} holds values up to {high}; expected at most {bits} bits, 0 to {2**bits - 1}: "
            "give another --depth"
        )
    return 2**bits - 1


def _from_array(array: np.ndarray, name: str, bits: int | None) -> Tensor:
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, axis=2)
    if array.ndim != 3 or array.shape[2] not in (3, 4):
        raise InputError(
            f"{name} has the shape {array.shape} and is no image; "
            "expected (H, W), (H, W, 3) or (H, W, 4), in RGB order"
        )
    if array.dtype == np.uint8:
        values = array.astype(np.float32) / 255
    elif array.dtype == np.uint16:
        values = array.astype(np.float32) / _highest(array, name, bits)
    elif np.issubdtype(array.dtype, np.floating):
        values = array.astype(np.float32)
    else:
        raise InputError(
            f"{name} is of {array.dtype} and no image; expected uint8, uint16 or float in [0, 1]"
        )
    if values.shape[2] == 4:
        values = values[:, :, :3] * values[:, :, 3:] + (1 - values[:, :, 3:])
    return _checked(torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1))), name)


def _checked(image: Tensor, name: str) -> Tensor:
    if image.ndim != 3 or image.shape[0] != 3 or image.numel() == 0:
        raise InputError(
            f"{name} has the shape {tuple(image.shape)} and is no image; "
            "expected (3, H, W), not empty"
        )
    if not image.isfinite().all():
        raise InputError(f"{name} holds a value that is not finite")
    low, high = float(image.min()), float(image.max())
    if low < 0 or high > 1:
        raise InputError(
            f"{name} holds values from {low:g} to {high:g}; expected [0, 1]: "
            "divide 8-bit values by 255"
        )
    return image
