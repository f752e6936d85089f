"""An image put where a detector sees it."""

from jaxtyping import Float
from torch import Tensor

from xai_detect.detectors.lending import free, ordinary
from xai_detect.detectors.protocol import Detector
from xai_detect.values.frame import Placed

Image = Float[Tensor, "3 h w"] | Placed
"""RGB in [0, 1], placed already or not."""


def place(detector: Detector, image: Image) -> Placed:
    """The image in the detector's input; one that is placed already is handed through.

    Gradients can be taken of it, also where it is placed in inference mode.
    """
    with ordinary():
        if not isinstance(image, Placed):
            return Placed.of(free(image), detector.frame((image.shape[1], image.shape[2])))
        if image.pixels.is_inference() or image.image.is_inference():
            return Placed(free(image.image), image.frame, free(image.pixels))
        return image
