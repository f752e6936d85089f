"""One score per target as an ordinary network: what any method for classifiers can be run on."""

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image as PillowImage
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from xai_detect.detectors.lending import Around, device_of, lent
from xai_detect.detectors.place import place
from xai_detect.detectors.protocol import Detector, WhiteBoxDetector
from xai_detect.errors import InputError, TargetError
from xai_detect.scores.scalars import differentiable
from xai_detect.scores.survival import fitting_batch
from xai_detect.values import boxes
from xai_detect.values.detections import Target
from xai_detect.values.frame import Placed
from xai_detect.values.images import load_image

PIXELS = ("input", "image")

SAME_OBJECT = 0.5
"""A raw prediction that overlaps its target's box less than this is that of another image."""

SAME_SCORE = 0.05
"""So is one whose confidence differs by more; engines in half precision differ by less."""


class ScoreFunction(Around):
    """A network from pixels ``(n, 3, h, w)`` to one score per target, ``(n, targets)``.

    Thresholds and suppression are not in the graph: each score is read off the target's own raw
    prediction. While it runs, the detector's network is in evaluation mode and its parameters are
    without gradients; afterwards they are as they were. ``train`` and ``eval`` change nothing.

    A large batch goes through in parts of ``batch`` images, so that memory does not grow with it;
    with gradients each part is run once more on the way back. It goes through whole while a layer
    of the network is hooked, since hooks expect to see all of it, and with gradients on a GPU.

    Attributes:
        network: The detector's network: layers to hook are found here.
        inputs: The unchanged image where the function wants it, ``(1, 3, h, w)``: in input pixels,
            padding included, or in image pixels.
        targets: The questions, one column each.
        class_names: The detector's classes, in label order.
        scalar: What is read; see ``scores.scalars.differentiable``.
        pixels: ``input`` or ``image``.
        batch: Most images that go through at once.
    """

    inputs: Tensor

    def __init__(
        self,
        detector: WhiteBoxDetector,
        placed: Placed,
        targets: tuple[Target, ...],
        scalar: str,
        pixels: str,
    ) -> None:
        """Prepare; ``score_function`` checks what is given here."""
        super().__init__()
        self.network = detector.module
        self.targets = targets
        self.class_names = detector.class_names
        self.scalar = scalar
        self.pixels = pixels
        self.batch = fitting_batch(detector, placed.frame)
        self.training = False
        shown = placed.pixels if pixels == "input" else placed.image[None]
        self.register_buffer("inputs", shown, persistent=False)
        self._detector = detector
        self._placed = placed
        self._read = differentiable(scalar, detector, targets, placed.frame, placed.pixels)

    def forward(self, pixels: Tensor) -> Float[Tensor, "n k"]:
        """Scores of a batch, differentiable in ``pixels`` and in the outputs of hooked layers.

        Args:
            pixels: ``(n, 3, h, w)``: changed copies of ``inputs``, whose values are not clipped.

        Raises:
            InputError: If they have another size.
        """
        if pixels.ndim != 4 or pixels.shape[1:] != self.inputs.shape[1:]:
            raise InputError(
                f"the batch is {tuple(pixels.shape)}; expected (n, {_numbers(self.inputs)}), "
                f"copies of the {self.pixels} pixels that `inputs` holds"
            )
        if torch.is_grad_enabled() and not pixels.requires_grad:
            # A network's parameters would start a graph; lent they do not, and layers need one.
            pixels = pixels.detach().clone().requires_grad_()
        recorded = torch.is_grad_enabled()
        if len(pixels) <= self.batch or self._hooked() or (recorded and self._elsewhere):
            return self._scores(pixels)
        run = self._again if recorded else self._scores
        return torch.cat([run(part) for part in torch.split(pixels, self.batch)])

    def train(self, mode: bool = True) -> "ScoreFunction":
        """Change nothing: the network is somebody else's, and is run in evaluation mode."""
        del mode
        return self

    def _scores(self, pixels: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        placed = self._placed
        if self.pixels == "image":
            # The image is seen as the detector sees it, and changes to it as linear resizing does:
            # neither rounded to 8 bits nor clipped, so that gradients and differences agree.
            change = pixels.cpu() - placed.image
            frame = replace(placed.frame, quantised=False, fill=0.0)
            entered = (placed.pixels + frame.to_input(change)).to(pixels.device)
        else:
            entered = pixels
        with lent(self.network):
            return self._read(self._detector.candidate(entered, self.targets, placed.frame))

    def _again(self, pixels: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """Scores whose graph is not kept but made again on the way back."""
        found: Tensor = checkpoint(
            self._scores, pixels, use_reentrant=False, preserve_rng_state=False
        )
        return found

    @property
    def _elsewhere(self) -> bool:
        """Whether the way back runs in threads of the device's own.

        They could not borrow the network from a caller who has borrowed it.
        """
        return device_of(self.network).type != "cpu"

    def _hooked(self) -> bool:
        """Whether somebody listens to a part of the network."""
        kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
        return any(vars(part)[kind] for part in self.network.modules() for kind in kinds)

    def __repr__(self) -> str:
        asked = ", ".join(_question(target) for target in self.targets)
        return (
            f"ScoreFunction({self.scalar} of {asked}; (n, {_numbers(self.inputs)}) "
            f"{self.pixels} pixels -> (n, {len(self.targets)}))"
        )


def score_function(
    detector: Detector,
    image: str | Path | np.ndarray | Tensor | PillowImage.Image | Placed,
    targets: Iterable[Target],
    scalar: str = "logit",
    *,
    contrast: str | None = None,
    pixels: str = "input",
) -> ScoreFunction:
    """A network that gives each target's score, for Captum, pytorch-grad-cam, SHAP or your own.

    Args:
        detector: A white box; the network is borrowed for each call and never changed.
        image: A file, an image as ``load_image`` takes it, or one that ``place`` has placed.
        targets: The questions, such as ``Detections``: the columns of the answer.
        scalar: A name in ``DIFFERENTIABLE``; ``logit`` is the log-odds of the confidence.
        contrast: The class whose log-odds are taken off; the scalar becomes ``margin``.
        pixels: What it is called with: ``input``, as the network gets it; or ``image``, RGB in
            [0, 1], which is placed in the input differentiably.

    Raises:
        InputError: If the detector is a black box, there are no targets, or a name is wrong.
        TargetError: If a target is none of this detector and this image.
    """
    if not isinstance(detector, WhiteBoxDetector):
        raise InputError(
            f"{detector.provenance.name} is a black box and shows no scores to differentiate; "
            "explain it with a method that needs only scores, such as d_rise"
        )
    if pixels not in PIXELS:
        raise InputError(f"pixels is {pixels!r}; choose from {', '.join(PIXELS)}")
    if contrast is not None and scalar not in ("logit", "margin"):
        raise InputError(
            f"the scalar is {scalar!r}, but a contrast is one of log-odds, the scalar 'margin'; "
            "leave one of them out"
        )
    asked = tuple(targets)
    if not asked:
        raise InputError("there are no targets; give at least one detection to score")
    placed = place(detector, image if isinstance(image, Placed) else load_image(image))
    for target in asked:
        if target.class_names != detector.class_names:
            raise TargetError(
                f"this {target.name} comes from a detector with other classes than "
                f"{detector.provenance.name}; take targets from what this one detects"
            )
    _check_image(detector, placed, asked)
    if contrast is not None:
        asked, scalar = tuple(target.against(contrast) for target in asked), "margin"
    return ScoreFunction(detector, placed, asked, scalar, pixels)


def _check_image(detector: WhiteBoxDetector, placed: Placed, targets: tuple[Target, ...]) -> None:
    """Check that raw predictions in this image are the ones that the targets speak of.

    A target that asks about another class than was reported has no score to hold against it.
    """
    frame = placed.frame
    with torch.no_grad():
        found = detector.candidate(placed.pixels, targets, frame)
    places = frame.boxes_to_image(found.boxes[0]).cpu()
    for target, place_, odds in zip(targets, places, found.log_odds[0].cpu(), strict=True):
        seen = float(odds[target.label].sigmoid())
        overlap = float(boxes.iou(torch.tensor([target.box]), place_[None].float()))
        known = not math.isnan(target.score)
        if known and (abs(seen - target.score) > SAME_SCORE or overlap < SAME_OBJECT):
            raise TargetError(
                f"this {target.name} was reported with {target.score:.2f}, but in this image its "
                f"raw prediction has {seen:.2f} and overlaps its box by {overlap:.2f}; take "
                "targets from what this detector detects in this image"
            )


def _question(target: Target) -> str:
    return target.name if target.rival_name is None else f"{target.name} not {target.rival_name}"


def _numbers(inputs: Tensor) -> str:
    return ", ".join(map(str, inputs.shape[1:]))
