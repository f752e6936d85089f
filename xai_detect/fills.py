"""What a hidden pixel becomes: one place for every baseline, mask fill and removal.

A fill should mean "object removed". In X-ray images that is air (white) or the inpainted
surroundings; grey and black *add* a dense object. In photographs a strong blur or the inpainted
surroundings are the least intrusive.
"""

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
    array = (image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    # Pixels that mix hidden and shown would leak the object into its own surroundings.
    holes = cv2.resize(hidden.numpy().astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    if holes.all():
        return mean(image, hidden)
    small = cv2.resize(array, size, interpolation=cv2.INTER_AREA)
    solved = cv2.inpaint(small, holes.astype(np.uint8), 3, cv2.INPAINT_TELEA)
    whole = cv2.resize(solved, (width, height), interpolation=cv2.INTER_LINEAR)
    return torch.from_numpy(whole.transpose(2, 0, 1).astype(np.float32) / 255)


def mean(image: Float[Tensor, "3 h w"], hidden: Bool[Tensor, "h w"]) -> Float[Tensor, "3 h w"]:
    """The average colour of what is shown; of the whole image if nothing is."""
    shown = image[:, ~hidden] if not bool(hidden.all()) else image.flatten(1)
    return shown.mean(dim=1)[:, None, None].expand_as(image).clone()


def noise(image: Float[Tensor, "3 h w"], _hidden: Bool[Tensor, "h w"]) -> Float[Tensor, "3 h w"]:
    """Uniform random colours, the same at every call."""
    return torch.rand(image.shape, generator=torch.Generator().manual_seed(0))


def _flat(value: float) -> Fill:
    def flat(image: Float[Tensor, "3 h w"], _hidden: Bool[Tensor, "h w"]) -> Tensor:
        return torch.full_like(image, value)

    return flat


FILLS: Mapping[str, Fill] = MappingProxyType(
    {
        "blur": blur,
        "inpaint": inpaint,
        "air": _flat(1.0),
        "mean": mean,
        "black": _flat(0.0),
        "grey": _flat(0.5),
        "noise": noise,
    }
)

DOMAINS = ("photo", "xray")


def filling(name: str) -> Fill:
    """The fill of that name.

    Raises:
        InputError: If there is none.
    """
    if name not in FILLS:
        raise InputError(f"there is no fill {name!r}; choose from {', '.join(FILLS)}")
    return FILLS[name]


def hide(
    image: Float[Tensor, "3 h w"], hidden: Bool[Tensor, "h w"], fill: str
) -> Float[Tensor, "3 h w"]:
    """A copy of the image with some pixels replaced."""
    return torch.where(hidden, filling(fill)(image, hidden), image)


def hide_all(image: Float[Tensor, "3 h w"], fill: str) -> Float[Tensor, "3 h w"]:
    """An image of the same size with everything hidden: the baseline of path methods."""
    return filling(fill)(image, torch.ones(image.shape[1:], dtype=torch.bool))


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
