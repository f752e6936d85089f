"""Scores of several targets on many changed copies of one image: what every mask method asks."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect.detectors.place import Image, place
from xai_detect.detectors.protocol import Detector, RawDetector
from xai_detect.errors import InputError
from xai_detect.scores.scalars import (
    check_survival,
    cosine_survival,
    kept,
    margin_survival,
    survival,
)
from xai_detect.values.detections import Target
from xai_detect.values.frame import Frame

FAINT = 0.001
"""Confidence from which a sealed black box is asked for detections."""

PIXELS = 820_000
"""Input pixels per forward pass on a CPU, two images of 640 by 640: more of them leave its caches,
and their memory is fetched anew from the system for every layer."""

MOST = 16
"""Most images per forward pass where nobody says how many; so many on a GPU."""


def check_batch(batch: int | None) -> None:
    """Check the number of images per forward pass; None is whatever suits the device.

    Raises:
        InputError: If it is below 1.
    """
    if batch is not None and batch < 1:
        raise InputError(f"batch is {batch}; expected at least 1")


def fitting_batch(detector: Detector, frame: Frame) -> int:
    """Images per forward pass that suit the network and its device.

    A network that takes a fixed number gets it. A detector that names no device runs on a CPU, as
    far as is known here.
    """
    fixed: int | None = getattr(detector, "fixed_batch", None)
    if fixed is not None:
        return fixed
    device = torch.device(getattr(detector, "device", "cpu"))
    if device.type != "cpu":
        return MOST
    height, width = frame.input_size
    return max(1, min(MOST, PIXELS // (height * width)))


class Survival:
    """Asks a detector about changed copies of one image; all targets share each forward pass.

    Attributes:
        frame: Where the image lies in the input.
        pixels: The unchanged input, ``(1, 3, i, j)``.
        scalar: What is read: a name in ``SURVIVAL``.
        batch: Images per forward pass.
        forward_passes: Images shown to the network so far.
    """

    def __init__(
        self,
        detector: Detector,
        image: Image,
        targets: Sequence[Target],
        scalar: str = "auto",
        batch: int | None = None,
    ) -> None:
        """Prepare.

        Args:
            detector: Any detector; one that shows no raw predictions answers ``post_nms`` only.
            image: RGB in [0, 1], placed or not.
            targets: The questions.
            scalar: A name in ``SURVIVAL``; ``auto`` takes ``max_raw`` where it can.
            batch: Images per forward pass; None for what suits the device. Never changes a result.

        Raises:
            InputError: If there is no such scalar, or the detector cannot answer it.
        """
        check_survival(scalar, detector)
        if scalar == "auto":
            scalar = "max_raw" if isinstance(detector, RawDetector) else "post_nms"
        check_batch(batch)
        self.scalar = scalar
        self.forward_passes = 0
        placed = place(detector, image)
        self.frame = placed.frame
        self.pixels = placed.pixels
        self._detector = detector
        self._targets = targets
        self.batch = batch or fitting_batch(detector, self.frame)
        self._whole = None
        if scalar == "max_raw_cos":
            self._whole = detector.raw(self.pixels)  # type: ignore[attr-defined]
            self.forward_passes += 1

    def of_contents(self, contents: Float[Tensor, "n 3 a b"]) -> Float[Tensor, "n k"]:
        """Scores on changed contents of the input."""
        return self.of_inputs(self.frame.pad(contents))

    def of_inputs(self, pixels: Float[Tensor, "n 3 i j"]) -> Float[Tensor, "n k"]:
        """Scores on changed inputs, in input pixels."""
        parts = [self._ask(some) for some in torch.split(pixels, self.batch)]
        return torch.cat(parts) if parts else torch.zeros(0, len(self._targets))

    def passes(self) -> dict[str, float]:
        """What has been spent, as an explanation records it."""
        return {"forward_passes": float(self.forward_passes), "backward_passes": 0.0}

    def _ask(self, pixels: Tensor) -> Tensor:
        self.forward_passes += len(pixels)
        if self.scalar == "post_nms":
            found = self._detector.detect(pixels, self.frame, FAINT)
            return torch.stack([kept(detections, self._targets) for detections in found])
        raw = self._detector.raw(pixels)  # type: ignore[attr-defined]
        if self.scalar == "margin":
            return margin_survival(raw, self._targets, self.frame).cpu()
        if self._whole is None:
            return survival(raw, self._targets, self.frame).cpu()
        return cosine_survival(raw, self._targets, self.frame, self._whole).cpu()
