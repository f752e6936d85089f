"""Reading images: any common file, array or PIL image becomes float32 ``(3, H, W)`` RGB in [0, 1].

Rotation stored in EXIF is applied; grey is repeated over three channels; transparency is laid
over white; CMYK is converted; 16-bit values are divided by 65535.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from xai_detect.errors import InputError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")
MAX_PIXELS = 100_000_000
"""Larger images are refused: a small file can claim a size that fills the memory."""


def load_image(source: str | Path | np.ndarray | Tensor | Image.Image) -> Float[Tensor, "3 h w"]:
    """Read an image.

    Args:
        source: A file; a PIL image; an array ``(H, W)``, ``(H, W, 3)`` or ``(H, W, 4)`` in RGB
            order of uint8, uint16 or float in [0, 1]; or a tensor ``(3, H, W)`` float in [0, 1].

    Raises:
        InputError: If the file is missing, empty, damaged, too large or no image, or the array
            has another shape, type or range.
    """
    if isinstance(source, Tensor):
        return _checked(source.detach().to("cpu", torch.float32, copy=True), "the tensor")
    if isinstance(source, np.ndarray):
        return _from_array(source, "the array")
    if isinstance(source, Image.Image):
        return _from_pil(source, "the PIL image")
    return _from_file(Path(source))


def _from_file(path: Path) -> Tensor:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"{path} {what}; expected an image file")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); copy the image again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with open_file(path) as image:
                return _from_pil(image, str(path))
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


def open_file(path: Path) -> Image.Image:
    """Open a file by Pillow's own reader, for the formats this program knows and no others.

    Importing ultralytics replaces ``Image.open`` by a function that installs a package when it
    meets a file that is no image; the original is kept there under another name.
    """
    patches = sys.modules.get("ultralytics.utils.patches")
    opener = getattr(patches, "_image_open", Image.open)
    return opener(path, formats=FORMATS)


def _from_pil(image: Image.Image, name: str) -> Tensor:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{name} has {width} x {height} pixels; the limit is {MAX_PIXELS:,}: "
            "make it smaller first"
        )
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or image.mode == "I":
        return _from_array(_sixteen_bit(np.asarray(image), name), name)
    if image.mode == "F":
        return _from_array(np.asarray(image), name)
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return _from_array(np.asarray(image.convert("RGB")), name)


def _sixteen_bit(array: np.ndarray, name: str) -> np.ndarray:
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > 65535:
        raise InputError(
            f"{name} holds values from {low} to {high}; expected at most 16 bits, 0 to 65535"
        )
    return array.astype(np.uint16)


def _from_array(array: np.ndarray, name: str) -> Tensor:
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
        values = array.astype(np.float32) / 65535
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
