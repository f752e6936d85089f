"""Overlapping regions of an image, and an attribution map pooled over them: the core of XRAI."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Int
from scipy import ndimage, sparse
from skimage.segmentation import felzenszwalb
from torch import Tensor

from xai_detect.values.boxes import Size


class Pooled(NamedTuple):
    """A map that has one value per region.

    Attributes:
        heatmap: In the unit of what was pooled, with the same total.
        regions: How many regions were laid down, the rest not counted.
    """

    heatmap: Float[np.ndarray, "h w"]
    regions: int


def segments(
    image: Float[Tensor, "3 h w"], scales: Sequence[int], sigma: float, smallest: int, side: int
) -> list[Int[np.ndarray, "h w"]]:
    """Felzenszwalb's segments at every scale, numbered from 0.

    Felzenszwalb, Huttenlocher, "Efficient Graph-Based Image Segmentation", IJCV 2004. What is
    found depends on the image's size and range of values, so both are made the same for every
    image: a square copy whose values are stretched to [-1, 1].

    Args:
        image: RGB.
        scales: Higher gives fewer and larger segments.
        sigma: Standard deviation of the Gaussian that smooths the copy, in its pixels.
        smallest: Fewest pixels of the copy in a segment.
        side: Side of the copy.
    """
    array = image.permute(1, 2, 0).double().numpy()
    height, width = array.shape[:2]
    shrinks = height * width > side * side
    copy = cv2.resize(
        array, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    low, high = copy.min(), copy.max()
    copy = 2 * (copy - low) / (high - low) - 1 if high > low else np.zeros_like(copy)
    rows = ((np.arange(height) + 0.5) * side / height).astype(int)
    columns = ((np.arange(width) + 0.5) * side / width).astype(int)
    return [
        felzenszwalb(copy, scale, sigma, smallest)[rows[:, None], columns].astype(np.int32)
        for scale in scales
    ]


class Regions:
    """Overlapping regions of one image: which pixels each has, and which regions a pixel is in.

    Attributes:
        count: How many there are.
    """

    def __init__(self, labels: Sequence[Int[np.ndarray, "h w"]], dilate: int) -> None:
        """Take every segment of every labelling, widened by a disk.

        Args:
            labels: Segments numbered from 0.
            dilate: Radius of the disk in pixels.
        """
        self._size: Size = labels[0].shape
        members = [part for label in labels for part in _members(label, dilate)]
        self.count = len(members)
        starts = np.cumsum([0, *map(len, members)]).astype(np.int32)
        held = np.concatenate(members)
        self._pixels = sparse.csr_array(
            (np.ones(len(held), np.int8), held, starts), shape=(self.count, labels[0].size)
        )
        self._owners = self._pixels.tocsc()

    def pool(self, heatmap: Float[np.ndarray, "h w"], fewest: int) -> Pooled:
        """Lay regions down, always the one whose new pixels have the highest mean; they take it.

        Regions with fewer than ``fewest`` new pixels are left out. The pixels that remain take
        their own mean, so that the total is kept.
        """
        values = heatmap.astype(np.float64).ravel()
        pooled, covered = np.zeros_like(values), np.zeros(len(values), bool)
        fresh, sums = np.diff(self._pixels.indptr).astype(np.int64), self._pixels @ values
        regions = 0
        while (fresh >= fewest).any():
            means = np.where(fresh >= fewest, sums / np.maximum(fresh, 1), -np.inf)
            best = int(means.argmax())
            pixels = self._of(best)
            pixels = pixels[~covered[pixels]]
            pooled[pixels], covered[pixels] = values[pixels].mean(), True
            owners = self._owners[:, pixels]
            times = np.diff(owners.indptr)
            fresh -= np.bincount(owners.indices, minlength=self.count)
            sums -= np.bincount(owners.indices, np.repeat(values[pixels], times), self.count)
            regions += 1
        if not covered.all():
            pooled[~covered] = values[~covered].mean()
        return Pooled(pooled.reshape(self._size), regions)

    def _of(self, region: int) -> Int[np.ndarray, "n"]:
        return self._pixels.indices[self._pixels.indptr[region] : self._pixels.indptr[region + 1]]


def _members(labels: Int[np.ndarray, "h w"], dilate: int) -> Iterator[Int[np.ndarray, "n"]]:
    """Indices of the pixels of every segment, widened, in reading order."""
    height, width = labels.shape
    reach = np.arange(-dilate, dilate + 1)
    disk = (reach[:, None] ** 2 + reach**2 <= dilate**2).astype(np.uint8)
    for number, place in enumerate(ndimage.find_objects(labels + 1)):
        if place is None:  # a small image may skip a segment of the copy
            continue
        top, bottom = max(place[0].start - dilate, 0), min(place[0].stop + dilate, height)
        left, right = max(place[1].start - dilate, 0), min(place[1].stop + dilate, width)
        own = (labels[top:bottom, left:right] == number).astype(np.uint8)
        rows, columns = cv2.dilate(own, disk).nonzero()
        yield ((rows + top) * width + columns + left).astype(np.int32)
