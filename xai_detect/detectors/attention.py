"""Where the queries of a transformer detector looked.

``AttentionDetector`` is what the rest of the package knows; the part below it reads multi-scale
deformable attention as ultralytics' RT-DETR holds it: ``decoder.layers[*].cross_attn`` with
``n_heads``, ``n_levels``, ``n_points``, ``sampling_offsets`` and ``attention_weights``.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.values.boxes import Size
from xai_detect.values.detections import Target
from xai_detect.values.frame import Frame


class Sampled(NamedTuple):
    """The points from which each target's query read, over all layers and heads.

    Attributes:
        places: ``(x, y)`` as a share of the input's width and height; may lie outside.
        weights: What each point counts, positive; they sum to 1 per layer and head.
        levels: Row of ``shapes`` that each point was read from.
        layers: Decoder layer of each point, from 0.
        shapes: ``(rows, columns)`` of each level of features.
    """

    places: Float[Tensor, "k s 2"]
    weights: Float[Tensor, "k s"]
    levels: Int[Tensor, "s"]
    layers: Int[Tensor, "s"]
    shapes: tuple[Size, ...]


@runtime_checkable
class AttentionDetector(WhiteBoxDetector, Protocol):
    """A white box whose queries read features through attention that can be seen."""

    def sampled(
        self, pixels: Float[Tensor, "1 3 i j"], targets: Sequence[Target], frame: Frame
    ) -> Sampled:
        """Where the targets' queries looked, in one forward pass without gradients.

        Raises:
            InputError: If this network has no such attention.
            TargetError: If a candidate does not exist in this network.
        """


class _Seen:
    """What one attention module was given and made of it, in one forward pass."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.reference: Tensor
        self.offsets: Tensor
        self.logits: Tensor
        self.shapes: tuple[Size, ...]

    def inputs(self, _module: nn.Module, args: Any, kwargs: Any) -> None:
        given = dict(zip(("query", "refer_bbox", "value", "value_shapes"), args, strict=False))
        given.update(kwargs)
        self.reference = given["refer_bbox"].detach()
        self.shapes = tuple((int(rows), int(columns)) for rows, columns in given["value_shapes"])

    def points(self) -> tuple[Tensor, Tensor]:
        """Places ``(q, heads, levels * points, 2)`` and weights of the first image's queries."""
        heads, levels, points = self.module.n_heads, self.module.n_levels, self.module.n_points
        offsets = self.offsets[0].view(-1, heads, levels * points, 2)
        weights = self.logits[0].view(-1, heads, levels * points).softmax(dim=-1)
        reference = self.reference[0][:, None]  # (q, 1, 1, 2 or 4)
        if reference.shape[-1] == 4:  # offsets are parts of half the box
            return reference[..., :2] + offsets / points * reference[..., 2:] * 0.5, weights
        cells = torch.tensor([[columns, rows] for rows, columns in self.shapes]).to(offsets)
        return reference + offsets / cells.repeat_interleave(points, dim=0), weights


@contextmanager
def watched(layers: Sequence[Any]) -> Iterator[list[_Seen]]:
    """See what the cross-attention of some decoder layers reads in the next forward pass."""
    found = [_Seen(layer.cross_attn) for layer in layers]

    def keeping(seen: _Seen, name: str) -> Any:
        return lambda _module, _inputs, output: setattr(seen, name, output.detach())

    with ExitStack() as hooks:
        for seen in found:
            part = seen.module
            for hook in (
                part.register_forward_pre_hook(seen.inputs, with_kwargs=True),
                part.sampling_offsets.register_forward_hook(keeping(seen, "offsets")),
                part.attention_weights.register_forward_hook(keeping(seen, "logits")),
            ):
                hooks.callback(hook.remove)
        yield found


def gathered(seen: Sequence[_Seen], rows: Int[Tensor, "k"]) -> Sampled:
    """The points of some queries, layer after layer, head after head."""
    places, weights, levels, layers = [], [], [], []
    for layer, watched in enumerate(seen):
        where, counts = watched.points()
        places.append(where[rows].flatten(1, 2).cpu())
        weights.append(counts[rows].flatten(1).cpu())
        own = torch.arange(watched.module.n_levels).repeat_interleave(watched.module.n_points)
        levels.append(own.repeat(watched.module.n_heads))
        layers.append(torch.full_like(levels[-1], layer))
    return Sampled(
        torch.cat(places, dim=1), torch.cat(weights, dim=1), torch.cat(levels),
        torch.cat(layers), seen[0].shapes,
    )  # fmt: skip
