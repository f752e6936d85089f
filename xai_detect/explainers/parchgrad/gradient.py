"""The backward pass of ParchGrad: a gradient hook at the output of each chosen convolution.

The hook multiplies each channel by a factor; autograd does the rest (stride, dilation, groups).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from xai_detect.detectors.lending import lent
from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.explainers.gradients.probe import Probe
from xai_detect.explainers.parchgrad.layers import Layer
from xai_detect.values.detections import Target
from xai_detect.values.frame import Placed

TINY = 1e-13
"""Added to both spreads, so that their ratio exists."""

Choice = Mapping[Layer, Bool[Tensor, "c"]]
"""Which channels of each hooked layer are relevant to one target."""


class Rule(NamedTuple):
    """What happens to the two parts of a gradient; see ``ParchGrad``."""

    gamma: float | None = None
    conserve_variance: bool = True
    support: bool = False


def repartition(
    gradient: Float[Tensor, "b c h w"], relevant: Bool[Tensor, "c"], groups: int, rule: Rule
) -> Float[Tensor, "b c h w"]:
    """The gradient at a convolution's output, with its relevant channels set over the others.

    Inside each group of channels; a group whose channels are all relevant, or all not, is left as
    it was. Nothing is edited in place.
    """
    batch, _, height, width = gradient.shape
    parts = gradient.reshape(batch, groups, -1, height, width)
    high = relevant.view(groups, -1)
    chosen = high[None, :, :, None, None]
    seen = (gradient != 0).any(dim=1)[:, None] if rule.support else None
    m = _spread(torch.where(chosen, parts, 0.0).sum(dim=2).double(), seen) + TINY
    n = _spread(torch.where(chosen, 0.0, parts).sum(dim=2).double(), seen) + TINY
    if rule.gamma is None:
        raised, lowered = torch.ones_like(m), torch.zeros_like(m)
    else:
        raised, lowered = rule.gamma * (n / m).sqrt(), torch.ones_like(m)
    if rule.conserve_variance:
        kept = ((m + n) / (m * raised**2 + n * lowered**2)).sqrt()
        raised, lowered = raised * kept, lowered * kept
    factors = torch.where(high, raised[:, :, None], lowered[:, :, None])  # (b, groups, channels)
    split = high.any(dim=1) & ~high.all(dim=1)
    factors = torch.where(split[:, None], factors, 1.0).to(gradient.dtype)
    return (parts * factors[..., None, None]).flatten(1, 2)


def _spread(
    total: Float[Tensor, "b groups h w"], seen: Bool[Tensor, "b 1 h w"] | None
) -> Float[Tensor, "b groups"]:
    """Variance over positions; where there is one position only, the size of its value."""
    flat = total.flatten(2)
    weights = torch.ones_like(flat) if seen is None else seen.flatten(2).expand_as(flat).to(flat)
    count = weights.sum(dim=2)
    mean = (flat * weights).sum(dim=2) / count.clamp(min=1)
    variance = ((flat - mean[..., None]) ** 2 * weights).sum(dim=2) / count.clamp(min=1)
    return torch.where(count == 1, mean.abs(), variance)


class PartitionedProbe(Probe):
    """Scores as they are, gradients with every target's own channels set over the others."""

    def __init__(
        self,
        detector: WhiteBoxDetector,
        targets: Sequence[Target],
        placed: Placed,
        choices: Sequence[Choice],
        rule: Rule,
        scalar: str = "logit",
    ) -> None:
        super().__init__(detector, targets, placed, scalar)
        self._module = detector.module
        self._choices = choices
        self._rule = rule
        self._rows = [0]

    @contextmanager
    def partitioned(self) -> Iterator[None]:
        """Hook the layers; they are released on the way out, also after an exception."""
        with lent(self._module), ExitStack() as hooks:
            for layer in self._choices[0]:
                part = self._module.get_submodule(layer.name)
                hooks.callback(part.register_forward_hook(self._hook(layer)).remove)
            yield

    def _backward(self, row: int, scores: Tensor, point: Tensor, last: bool) -> Tensor:
        self._rows = [row]
        return super()._backward(row, scores, point, last)

    def _paired(self, points: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        self._rows = rows.tolist()
        return super()._paired(points, rows)

    def _turned(self, gradient: Tensor, row: int, layer: Layer) -> Tensor:
        relevant = self._choices[row][layer].to(gradient.device)
        return repartition(gradient, relevant, layer.groups, self._rule)

    def _hook(self, layer: Layer) -> Callable[[nn.Module, object, Tensor], None]:
        def turn(gradient: Tensor) -> Tensor:
            parts = zip(
                torch.split(gradient, 1), self._rows, strict=True
            )  # each sample is one target's
            return torch.cat([self._turned(part, row, layer) for part, row in parts])

        def attach(_part: nn.Module, _inputs: object, output: Tensor) -> None:
            if output.requires_grad:
                output.register_hook(turn)  # type: ignore[no-untyped-call]

        return attach
