"""The Gaussian under which single pixels of a map are read and drawn."""

import cv2
import numpy as np
from jaxtyping import Float


def smooth(values: Float[np.ndarray, "h w"], sigma: float) -> Float[np.ndarray, "h w"]:
    """A map under a Gaussian of this many pixels; its sum is kept, being mirrored at the border.

    A Gaussian narrower than half a pixel leaves the map as it is.
    """
    if sigma < 0.5:
        return values
    side = 2 * int(3 * sigma) + 1
    return cv2.GaussianBlur(values, (side, side), sigma, borderType=cv2.BORDER_REFLECT)
