"""What a method is and what it returns."""

import dataclasses
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar, Union, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from xai_detect.detectors.protocol import Detector
from xai_detect.values.detections import Target
from xai_detect.values.frame import Placed

D = TypeVar("D", bound=Detector, contravariant=True)


class Needs(StrEnum):
    """What a method asks of a detector, most first.

    ``ATTENTION`` and ``GRADIENTS`` need a white box; ``SCORES`` any detector, a sealed black box
    included; ``NOTHING`` the image and the box alone.
    """

    ATTENTION = "attention"
    GRADIENTS = "gradients"
    SCORES = "scores"
    NOTHING = "nothing"


class Attribution(NamedTuple):
    """What a method returns for one target.

    Attributes:
        heatmap: Signed, in image pixels, summed over colours.
        measured: ``forward_passes`` and ``backward_passes`` that served this call (shared by all
            its targets), and whatever else the method measures; NaN where not defined.
    """

    heatmap: Float[Tensor, "h w"]
    measured: dict[str, float]


@runtime_checkable
class ImageMethod(Protocol[D]):
    """A frozen dataclass of hyper-parameters that explains many targets of one image at once.

    It is called with the image, RGB in [0, 1]; see ``PlacedMethod`` for those that also want to
    know where the network sees it.

    Attributes:
        name: The name in ``METHODS``.
        input_level: Whether the map can show evidence anywhere in the input. Maps taken at the
            detector's last layers cannot: they see a few cells around the box. Nor can controls,
            which hold no evidence at all.
        needs: What it asks of the detector.
        citation: Authors, title, venue and year.
    """

    name: ClassVar[str]
    input_level: ClassVar[bool]
    needs: ClassVar[Needs]
    citation: ClassVar[str]

    def __call__(
        self, detector: D, image: Float[Tensor, "3 h w"], targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return one attribution per target, in their order; forward passes are shared."""

    def brief(self) -> "ImageMethod[D]":
        """A cheaper form of the same method, for a second map to compare with; may be itself."""

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """About how many forward and backward passes a call with so many targets takes."""


@runtime_checkable
class PlacedMethod(Protocol[D]):
    """A method that is called with the image where the network sees it, as all of ``METHODS`` are.

    Attributes:
        takes_placed: True: ``__call__`` wants a ``Placed``.
        name: See ``ImageMethod``, as for all the others.
        input_level: See ``ImageMethod``.
        needs: See ``ImageMethod``.
        citation: See ``ImageMethod``.
    """

    takes_placed: ClassVar[bool]
    name: ClassVar[str]
    input_level: ClassVar[bool]
    needs: ClassVar[Needs]
    citation: ClassVar[str]

    def __call__(self, detector: D, placed: Placed, targets: Sequence[Target]) -> list[Attribution]:
        """Return one attribution per target, in their order; forward passes are shared."""

    def brief(self) -> "PlacedMethod[D]":
        """A cheaper form of the same method, for a second map to compare with; may be itself."""

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """About how many forward and backward passes a call with so many targets takes."""


Method = Union[ImageMethod[D], PlacedMethod[D]]  # noqa: UP007 - takes a parameter, as Method[Any]


def settings_of(method: Method[Any]) -> dict[str, object]:
    """The hyper-parameters of a method, enough to build it again; none if it is no dataclass."""
    given: object = method  # a protocol cannot say that its methods are dataclasses
    if not dataclasses.is_dataclass(given):
        return {}
    return {field.name: getattr(given, field.name) for field in dataclasses.fields(given)}
