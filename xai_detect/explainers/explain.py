"""One call that runs any method: borrow the model, explain, check the maps, give the model back."""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

from jaxtyping import Float
from torch import Tensor, nn

from xai_detect.detectors.protocol import Detector
from xai_detect.errors import ExplainError
from xai_detect.types import Explanation, Target

D = TypeVar("D", bound=Detector, contravariant=True)


class Attribution(NamedTuple):
    """What a method returns for one target.

    Attributes:
        heatmap: Signed, in image pixels, summed over colours.
        measured: ``forward_passes`` and ``backward_passes`` that served this call (shared by all
            its targets), and whatever else the method measures; NaN where not defined.
    """

    heatmap: Float[Tensor, "h w"]
    measured: dict[str, float]


class Method(Protocol[D]):
    """A frozen dataclass of hyper-parameters that explains many targets of one image at once.

    Attributes:
        name: The name in ``METHODS``.
        input_level: Whether the map can show evidence anywhere in the input. Maps taken at the
            detector's last layers cannot: they see a few cells around the box.
    """

    name: ClassVar[str]
    input_level: ClassVar[bool]

    def __call__(
        self, detector: D, image: Float[Tensor, "3 h w"], targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return one attribution per target, in their order; forward passes are shared."""

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """About how many forward and backward passes a call with so many targets takes."""


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Lend a module in evaluation mode with its parameters kept out of the graph.

    Training modes, ``requires_grad`` flags and gradients are put back on the way out, also after
    an exception.
    """
    modes = [(part, part.training) for part in module.modules()]
    flags = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
    try:
        module.eval()
        for parameter, _ in flags:
            parameter.requires_grad_(False)
        yield
    finally:
        for part, training in modes:
            part.training = training
        for parameter, flag in flags:
            parameter.requires_grad_(flag)


def explain(
    method: Method[D],
    detector: D,
    image: Float[Tensor, "3 h w"],
    targets: Sequence[Target],
) -> list[Explanation]:
    """Explain several detections of one image, sharing forward passes.

    Args:
        method: What to run; see ``METHODS``.
        detector: The detector that found the targets.
        image: RGB in [0, 1].
        targets: The questions; none gives an empty list.

    Returns:
        One explanation per target. ``measured["seconds"]`` is the call's time over its targets.

    Raises:
        ExplainError: If a map has the wrong size or holds a value that is not finite.
    """
    if not targets:
        return []
    start = time.perf_counter()
    with undisturbed(getattr(detector, "module", nn.Identity())):
        attributions = method(detector, image, targets)
    seconds = (time.perf_counter() - start) / len(targets)
    return [
        _checked(method, image, target, attribution, seconds)
        for target, attribution in zip(targets, attributions, strict=True)
    ]


def _checked(
    method: Method[Any], image: Tensor, target: Target, attribution: Attribution, seconds: float
) -> Explanation:
    heatmap, measured = attribution
    if heatmap.shape != image.shape[1:]:
        raise ExplainError(
            f"{method.name} returned a {tuple(heatmap.shape)} map for a "
            f"{tuple(image.shape[1:])} image"
        )
    if not heatmap.isfinite().all():
        raise ExplainError(
            f"{method.name} returned a map that is not finite for {target.name!r}; "
            "the weights may hold NaN, or the score is constant there"
        )
    return Explanation(
        heatmap=heatmap.detach().to("cpu").float(),
        target=target,
        method=method.name,
        settings=settings_of(method),
        measured={**measured, "seconds": seconds},
    )


def settings_of(method: Method[Any]) -> dict[str, Any]:
    """The hyper-parameters of a method, enough to build it again."""
    return {
        field.name: getattr(method, field.name)
        for field in dataclasses.fields(method)  # type: ignore[arg-type]
    }
