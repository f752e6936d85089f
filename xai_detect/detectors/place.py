"""An image put where a detector sees it."""

from jaxtyping import Float
from torch import Tensor

from xai_detect.detectors.protocol import Detector
from xai_detect.values.frame import Placed

Image = Float[Tensor, "3 h w"] | Placed
"""RGB in [0, 1], placed already or not."""


def place(detector: Detector, image: Image) -> Placed:
    """The image in the detector's input; one that is placed already is handed through."""
    if isinstance(image, Placed):
        return image
    return Placed.of(image, detector.frame((image.shape[1], image.shape[2])))
