"""An ultralytics network up to what its head regresses, without the head's own decoding.

The head decodes boxes in the precision of its features and keeps the grid of its last input. Under
an engine both would be wrong: in bfloat16 the middle of a far cell is rounded by whole pixels, and
a grid that is kept is compiled again for every other batch.
"""

from typing import Any, no_type_check

import torch
from torch import Tensor, nn
from ultralytics.utils.tal import make_anchors


class BareNetwork(nn.Module):
    """Runs the layers of a network with a dense head; answers sides and class logits.

    Attributes:
        network: The network; its layers are shared, not copied.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    @no_type_check  # compiled: a checked signature would be traced as well
    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The chosen branch's ``(b, sides, a)`` and ``(b, classes, a)``."""
        head = self.network.model[-1]
        branch = head.one2one if head.end2end else head.one2many
        found = head.forward_head(features(self.network, pixels), **branch)
        return found["boxes"], found["scores"]


@no_type_check
def features(network: Any, pixels: Tensor) -> list[Tensor]:
    """What enters the head, level by level."""
    *body, head = network.model
    kept: list[Tensor | None] = []
    for layer in body:
        pixels = layer(_entering(layer.f, pixels, kept))
        kept.append(pixels if layer.i in network.save else None)
    return _entering(head.f, pixels, kept)


@no_type_check
def _entering(source: int | list[int], last: Tensor, kept: list[Tensor | None]) -> Any:
    """What a layer reads: -1 is the layer before, other numbers are layers by number."""
    if isinstance(source, int):
        return last if source == -1 else kept[source]
    return [last if layer == -1 else kept[layer] for layer in source]


def grid(head: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Middle of every cell in cells, ``(2, a)``, and its stride ``(1, a)``, in float32."""
    height, width = pixels.shape[2:]
    levels = [
        torch.empty(1, 1, -(-height // step), -(-width // step), device=pixels.device)
        for step in (int(stride) for stride in head.stride)
    ]
    anchors, strides = make_anchors(levels, head.stride, 0.5)
    return anchors.T, strides.T
