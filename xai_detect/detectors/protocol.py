"""What a detector must be able to do, in three steps of trust.

A black box answers ``detect``. One that shows its raw predictions also answers ``raw``: enough for
every mask method. A white box also answers ``candidate``: gradients, and all methods.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor, nn

from xai_detect.values.boxes import Size
from xai_detect.values.detections import Detections, Provenance, Target
from xai_detect.values.frame import Frame


class Raw(NamedTuple):
    """Every prediction before threshold and suppression.

    Attributes:
        boxes: ``(x1, y1, x2, y2)`` in input pixels; ``g`` is 1 where all classes share a box, else
            the number of classes.
        probabilities: What the detector would report as confidence, per class, in [0, 1].
    """

    boxes: Float[Tensor, "b a g 4"]
    probabilities: Float[Tensor, "b a c"]


class Named(NamedTuple):
    """Every prediction before threshold and suppression, with what a target calls it.

    Attributes:
        raw: The predictions.
        candidates: ``Target.candidate`` of each row.
        proposals: ``Target.proposal`` of each row, in input pixels; None where it is the box.
    """

    raw: Raw
    candidates: Int[Tensor, "b a"]
    proposals: Float[Tensor, "b a 4"] | None


class Candidates(NamedTuple):
    """Chosen raw predictions, with gradients.

    Attributes:
        log_odds: ``ln(p / (1 - p))`` of the confidence the detector reports for each class. For a
            sigmoid head this is the class logit; for a softmax head it is the class logit against
            all others, so that a common shift of the logits changes nothing. Sigmoid gives the
            reported confidence back.
        boxes: ``(x1, y1, x2, y2)`` in input pixels, for the target's class.
    """

    log_odds: Float[Tensor, "b k c"]
    boxes: Float[Tensor, "b k 4"]


@runtime_checkable
class Detector(Protocol):
    """Finds objects. This is all that a sealed black box offers."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in label order."""

    @property
    def provenance(self) -> Provenance:
        """Where its answers come from."""

    def frame(self, image_size: Size) -> Frame:
        """How an image of this size will be placed in the network's input."""

    def detect(
        self, pixels: Float[Tensor, "b 3 i j"], frame: Frame, confidence: float = 0.25
    ) -> list[Detections]:
        """Find objects in a batch, without gradients, exactly as the library itself would.

        Args:
            pixels: RGB in [0, 1], already placed by ``frame``.
            frame: Maps boxes back to the image; shared by the whole batch.
            confidence: Detections at or below it are dropped.

        Returns:
            One result per input, boxes in image pixels, best first. An image with nothing in it
            gives an empty result.
        """


@runtime_checkable
class RawDetector(Detector, Protocol):
    """A detector that shows its predictions before threshold and suppression."""

    def raw(self, pixels: Float[Tensor, "b 3 i j"]) -> Raw:
        """Every raw prediction, without gradients."""


@runtime_checkable
class FinerDetector(RawDetector, Protocol):
    """A detector whose network takes inputs of any size."""

    def finer(self, image_size: Size, factor: float) -> Frame:
        """How an image will be placed at ``factor`` times the resolution of ``frame``."""


@runtime_checkable
class SharingDetector(RawDetector, Protocol):
    """A detector that tells its detections and the predictions behind them from one pass."""

    def look(
        self, pixels: Float[Tensor, "b 3 i j"], frames: Sequence[Frame], confidence: float = 0.25
    ) -> tuple[list[Detections], "Named"]:
        """What ``detect`` and ``named`` give for a batch.

        Args:
            pixels: RGB in [0, 1].
            frames: How each image was placed; they may be of images of several sizes.
            confidence: Detections at or below it are dropped.
        """


@runtime_checkable
class NamedDetector(RawDetector, Protocol):
    """A detector whose targets call raw predictions by more than the number of their row."""

    def named(self, pixels: Float[Tensor, "b 3 i j"]) -> Named:
        """What ``raw`` gives, and the name of every row."""


@runtime_checkable
class WhiteBoxDetector(RawDetector, Protocol):
    """A detector whose gradients can be asked for."""

    @property
    def module(self) -> nn.Module:
        """The network itself; whoever borrows it gives it back as it was."""

    @property
    def feature_layers(self) -> tuple[str, ...]:
        """Names in ``module`` of the layers whose outputs enter the head, finest level first.

        Each answers with one map ``(1, c, h, w)`` per pass. Empty where they are not known.
        """

    def candidate(
        self, pixels: Float[Tensor, "b 3 i j"], targets: Sequence[Target], frame: Frame
    ) -> Candidates:
        """The raw predictions named by the targets, differentiable in ``pixels``.

        The candidate is fixed. There is no matching, thresholding or suppression in between, so
        the scores are smooth and the graph is unbroken. One forward pass serves all targets.

        Raises:
            TargetError: If a candidate or label does not exist in this network, or a box from
                elsewhere has no candidate.
        """

    def score(
        self, pixels: Float[Tensor, "b 3 i j"], target: Target, frame: Frame | None = None
    ) -> Float[Tensor, "b"]:
        """Log-odds of the target's class at its candidate, differentiable in ``pixels``.

        Args:
            pixels: RGB in [0, 1], in input pixels.
            target: The question.
            frame: Where the image lies in ``pixels``; needed by two-stage detectors on a resized
                image only. None: input pixels are image pixels.

        Raises:
            TargetError: If the candidate or label does not exist in this network.
        """


@runtime_checkable
class CoveredDetector(WhiteBoxDetector, Protocol):
    """A white box whose network pads or crops its input once more, by itself."""

    def covered(self, input_size: Size) -> tuple[int, int, int, int]:
        """The part ``(x1, y1, x2, y2)`` that feature maps cover, in input pixels."""


class Patches(NamedTuple):
    """Chosen raw predictions, each computed from no more of a level than reaches it.

    Attributes:
        candidates: What ``candidate`` gives, differentiable in ``windows``.
        windows: Per target, the square of its level's features that reaches its cell; a leaf of
            the graph. Cells beyond the edge of the level are 0 and count for nothing.
        levels: Per target, the row of ``feature_layers`` that holds its cell.
        corners: Per target, row and column of the window's first cell; below 0 beyond the edge.
    """

    candidates: Candidates
    windows: list[Float[Tensor, "c s s"]]
    levels: list[int]
    corners: list[tuple[int, int]]


@runtime_checkable
class PatchDetector(WhiteBoxDetector, Protocol):
    """A white box whose head may be run on windows of its features instead of whole levels."""

    def nearby(
        self, pixels: Float[Tensor, "b 3 i j"], targets: Sequence[Target], frame: Frame
    ) -> Candidates:
        """The same as ``candidate``, cheaper; hooks on layers of the head may not be called."""

    def patches(
        self, features: Sequence[Float[Tensor, "1 _ _ _"]], targets: Sequence[Target]
    ) -> Patches | None:
        """The targets' predictions from windows of the features; None if the head allows it not.

        Args:
            features: What ``feature_layers`` answered with.
            targets: The questions.
        """
