"""What a hidden pixel becomes: one place for every baseline, mask fill and removal.

A fill should mean "object removed". In X-ray images that is air (white) or the inpainted
surroundings; grey and black *add* a dense object. In photographs a strong blur or the inpainted
surroundings are the least intrusive.

Fills by name: those of ``FILLS``, and ``blur(51,51)``, a box filter of that width and height.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from xai_detect.errors import InputError

BLUR_SHARE = 0.1
"""Standard deviation of ``blur`` as a share of the image's longer side."""

INPAINT_SIDE = 128
"""Longer side, in pixels, at which ``inpaint`` solves; surroundings are smooth at that size."""

INPAINT_RADIUS = 3
"""Pixels around a hidden one that its value is continued from."""

BOX_BLUR = re.compile(r"blur\((\d{1,4}), ?(\d{1,4})\)")

Fill = Callable[[Float[Tensor, "3 h w"], Bool[Tensor, "h w"]], Float[Tensor, "3 h w"]]


def blur(image: Float[Tensor, "3 h w"], _hidden: Bool[Tensor, "h w"]) -> Float[Tensor, "3 h w"]:
    """The image under a Gaussian so wide that no object is left, only light and colour."""
    array = image.permute(1, 2, 0).numpy()
    sigma = max(BLUR_SHARE * max(array.shape[:2]), 1.0)
    # A wide Gaussian is smooth: blurring a small copy differs by less than one grey level, except
    # near the border, where what is repeated outwards is an average and not the last pixel.
    factor = max(1, int(sigma // 8))
    height, width = array.shape[:2]
    small = cv2.resize(
        array, (max(1, width // factor), max(1, height // factor)), interpolation=cv2.INTER_AREA
    )
    small = cv2.GaussianBlur(small, (0, 0), sigma / factor, borderType=cv2.BORDER_REPLICATE)
    wide = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return torch.from_numpy(wide.transpose(2, 0, 1).copy()).clamp(0, 1)


def inpaint(image: Float[Tensor, "3 h w"], hidden: Bool[Tensor, "h w"]) -> Float[Tensor, "3 h w"]:
    """Hidden pixels continued from what surrounds them; the image mean if everything is hidden.

    Telea, "An Image Inpainting Technique Based on the Fast Marching Method", Journal of Graphics
    Tools 9(1), 2004, as in OpenCV, solved on a small copy and brought back to size.
    """
    if bool(hidden.all()):
        return mean(image, hidden)
    height, width = hidden.shape
    scale = min(1.0, INPAINT_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    array = _eight_bit(image)
    # Pixels that mix hidden and shown would leak the object into its own surroundings.
    holes = cv2.resize(hidden.numpy().astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    if holes.all():
        return mean(image, hidden)
    small = cv2.resize(array, size, interpolation=cv2.INTER_AREA)
    solved = cv2.inpaint(small, holes.astype(np.uint8), INPAINT_RADIUS, cv2.INPAINT_TELEA)
    whole = cv2.resize(solved, (width, height), interpolation=cv2.INTER_LINEAR)
    return torch.from_numpy(whole.transpose(2, 0, 1).astype(np.float32) / 255)


def _eight_bit(image: Float[Tensor, "3 h w"]) -> np.ndarray:
    return (image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


def _inpaint_whole(flag: int) -> "Fill":
    """Inpainting at full size: sharper than ``inpaint``, and slower on large images."""

    def solve(image: Float[Tensor, "3 h w"], hidden: Bool[Tensor, "h w"]) -> Tensor:
        if bool(hidden.all()):
            return mean(image, hidden)
        holes = hidden.numpy().astype(np.uint8)
        solved = cv2.inpaint(_eight_bit(image), holes, INPAINT_RADIUS, flag)
        return torch.from_numpy(solved.transpose(2, 0, 1).astype(np.float32) / 255)

    return solve


def mean(image: Float[Tensor, "3 h w"], _hidden: Bool[Tensor, "h w"]) -> Float[Tensor, "3 h w"]:
    """The average colour of the image; of what is shown alone it would be the object's own."""
    return image.mean(dim=(1, 2), keepdim=True).expand_as(image).clone()


def noise(image: Float[Tensor, "3 h w"], _hidden: Bool[Tensor, "h w"]) -> Float[Tensor, "3 h w"]:
    """Uniform random colours, the same at every call."""
    return torch.rand(image.shape, generator=torch.Generator().manual_seed(0))


def _flat(value: float) -> Fill:
    def flat(image: Float[Tensor, "3 h w"], _hidden: Bool[Tensor, "h w"]) -> Tensor:
        return torch.full_like(image, value)

    return flat


def _box_blur(width: int, height: int) -> Fill:
    """The mean over a window of that size; beyond the border the image is mirrored."""

    def blurred(image: Float[Tensor, "3 h w"], _hidden: Bool[Tensor, "h w"]) -> Tensor:
        array = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        even = cv2.blur(array, (width, height), borderType=cv2.BORDER_REFLECT_101)
        return torch.from_numpy(even.transpose(2, 0, 1).copy()).clamp(0, 1)

    return blurred


FILLS: Mapping[str, Fill] = MappingProxyType(
    {
        "blur": blur,
        "inpaint": inpaint,
        "air": _flat(1.0),
        "mean": mean,
        "black": _flat(0.0),
        "grey": _flat(0.5),
        "noise": noise,
        "inpaint_telea": _inpaint_whole(cv2.INPAINT_TELEA),
        "inpaint_ns": _inpaint_whole(cv2.INPAINT_NS),
    }
)

BY_MASK = frozenset({"inpaint", "inpaint_telea", "inpaint_ns"})
"""Fills that look at what is hidden; the others are the same for every mask."""

DOMAINS = ("photo", "xray")


def filling(name: str) -> Fill:
    """The fill of that name.

    Raises:
        InputError: If there is none.
    """
    if name in FILLS:
        return FILLS[name]
    box = BOX_BLUR.fullmatch(name)
    if box and min(int(box[1]), int(box[2])) > 0:
        return _box_blur(int(box[1]), int(box[2]))
    raise InputError(
        f"there is no fill {name!r}; choose from {', '.join(FILLS)}, or blur(51,51) with the width "
        "and height of the filter in pixels, 1 to 9999"
    )


def check(name: str) -> None:
    """Refuse a setting that names no fill.

    Raises:
        InputError: If it is neither ``auto`` nor a fill's name.
    """
    if name != "auto":
        filling(name)


def resolved(name: str, domain: str) -> str:
    """The fill that a setting means: ``auto`` is the domain's baseline, see ``default_fill``."""
    return default_fill(domain) if name == "auto" else name


def resolved_masker(name: str, domain: str) -> str:
    """The fill that a masker means: ``auto`` is the domain's own, see ``default_masker``."""
    return default_masker(domain) if name == "auto" else name


def is_fill(name: str) -> bool:
    """Whether ``filling`` takes a text for the name of a fill, be its numbers right or not."""
    return name in FILLS or BOX_BLUR.fullmatch(name) is not None


def hide(
    image: Float[Tensor, "3 h w"], hidden: Bool[Tensor, "h w"], fill: str
) -> Float[Tensor, "3 h w"]:
    """A copy of the image with some pixels replaced."""
    return torch.where(hidden, filling(fill)(image, hidden), image)


class Hiding:
    """Hides parts of one image again and again; what depends on no mask is computed once."""

    def __init__(self, image: Float[Tensor, "3 h w"], fill: str) -> None:
        """Prepare.

        Args:
            image: RGB in [0, 1].
            fill: A fill's name.

        Raises:
            InputError: If there is no such fill.
        """
        self._image = image
        self._fill = fill
        self._whole = None if fill in BY_MASK else hide_all(image, fill)

    def __call__(self, hidden: Bool[Tensor, "n h w"]) -> Float[Tensor, "n 3 h w"]:
        """Copies of the image, each with the pixels of its own mask replaced."""
        if self._whole is not None:
            return torch.where(hidden[:, None], self._whole, self._image)
        copies = [hide(self._image, mask, self._fill) for mask in hidden]
        return torch.stack(copies) if copies else self._image.new_zeros(0, *self._image.shape)


def hide_all(image: Float[Tensor, "3 h w"], fill: str) -> Float[Tensor, "3 h w"]:
    """An image of the same size with everything hidden: the baseline of path methods."""
    return filling(fill)(image, torch.ones(image.shape[1:], dtype=torch.bool))


def default_masker(domain: str) -> str:
    """What hides a region while the rest is shown: inpainting in X-ray images, blur in photographs.

    Raises:
        InputError: If the domain is neither ``photo`` nor ``xray``.
    """
    return "inpaint_telea" if default_fill(domain) == "air" else "blur"


def default_fill(domain: str) -> str:
    """The baseline that means "nothing there": air in X-ray images, blur in photographs.

    Raises:
        InputError: If the domain is neither ``photo`` nor ``xray``.
    """
    match domain:
        case "xray":
            return "air"
        case "photo":
            return "blur"
    raise InputError(f"there is no domain {domain!r}; choose from {', '.join(DOMAINS)}")
