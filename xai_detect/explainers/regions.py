"""An image cut into regions that are shown or hidden as a whole."""

import numpy as np
import torch
from jaxtyping import Float, Int
from skimage.segmentation import slic
from torch import Tensor

from xai_detect.errors import InputError
from xai_detect.values.boxes import Size

SEGMENTS = ("slic", "slico", "grid")

COMPACTNESS, SIGMA = 10.0, 1.0
"""How square segments are, and the blur before they are grown, in pixels."""

RULER, ITERATIONS = 20.0, 20
"""SLICO's compactness to begin with, and its iterations, as in Visual Precision Search."""

LEAST_SIDE = 8
"""Images narrower than this, in pixels, are cut by a grid: there is no room to grow segments."""


def cut(image: Float[Tensor, "3 h w"], regions: int, segments: str) -> Int[Tensor, "h w"]:
    """Number every pixel's region, from 0 on; no number is left out.

    Args:
        image: RGB in [0, 1].
        regions: About how many; an image with fewer pixels gets one region per pixel.
        segments: ``slic`` follows edges (Achanta et al., "SLIC Superpixels Compared to
            State-of-the-Art Superpixel Methods", PAMI 2012, as in scikit-image), ``slico`` is its
            form that adapts its compactness; ``grid`` does not look at the image.

    Raises:
        InputError: If there is no such way to cut.
    """
    size = (image.shape[1], image.shape[2])
    match segments:
        case "grid":
            return grid(size, *_shape(size, regions))
        case "slic" | "slico":
            few = min(size) < LEAST_SIDE or size[0] * size[1] <= 4 * regions
            if few:
                return grid(size, *_shape(size, regions))
            return _slic(image, regions, adaptive=segments == "slico")
    raise InputError(f"there are no segments {segments!r}; choose from {', '.join(SEGMENTS)}")


def grid(size: Size, rows: int, columns: int) -> Int[Tensor, "h w"]:
    """Cells in reading order; their sides differ by one pixel where the image's do not divide.

    Args:
        size: ``(height, width)`` in pixels, no less than the cells.
        rows: Cells down.
        columns: Cells across.
    """
    down = torch.arange(size[0]) * rows // size[0]
    across = torch.arange(size[1]) * columns // size[1]
    return down[:, None] * columns + across


def _shape(size: Size, regions: int) -> tuple[int, int]:
    """Rows and columns of about so many nearly square cells."""
    height, width = size
    rows = min(height, max(1, round((regions * height / width) ** 0.5)))
    columns = min(width, max(1, round(regions / rows)))
    return min(height, max(1, round(regions / columns))), columns


def squares(size: Size, side: int) -> Int[Tensor, "h w"]:
    """Squares in reading order, ``side`` of them along the longer side; the last may be cut off."""
    edge = -(-max(size) // side)
    rows, columns = (torch.arange(length) // edge for length in size)
    return rows[:, None] * (int(columns[-1]) + 1) + columns


def shuffled(labels: Int[Tensor, "h w"], seed: int) -> Int[Tensor, "h w"]:
    """The same regions, numbered at random.

    Searches break ties by the lower number; in reading order the top left corner would win them.
    """
    count = int(labels.max()) + 1
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return order[labels]


def _slic(image: Tensor, regions: int, *, adaptive: bool) -> Tensor:
    array = image.permute(1, 2, 0).numpy()
    found = (
        slic(
            array, regions, compactness=RULER, max_num_iter=ITERATIONS, slic_zero=True,
            start_label=0, channel_axis=2,
        )
        if adaptive
        else slic(
            array.astype(float), regions, compactness=COMPACTNESS, sigma=SIGMA, start_label=0,
            channel_axis=2,
        )
    )  # fmt: skip
    _, numbers = np.unique(found, return_inverse=True)
    return torch.from_numpy(numbers.reshape(found.shape))
