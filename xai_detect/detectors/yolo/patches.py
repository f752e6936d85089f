"""Ultralytics' convolutional heads, run on windows of their features instead of whole levels.

A cell's prediction depends on few cells of its level: the radius is the sum of those of the
kernels. So the windows of many targets are cut out, stacked, and run through the head's
convolutions without padding, which leaves one cell of each. Where the head pads with zeros, inside
every convolution, a window that hangs over the edge of the level is set to 0 beyond it before every
convolution: the predictions are those of the whole head, at the edge as well.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from ultralytics.nn.modules.conv import Conv, DWConv
from ultralytics.nn.modules.head import Detect, v10Detect
from ultralytics.utils.tal import make_anchors

from xai_detect.values.detections import Target

CELLWISE = (
    nn.BatchNorm2d, nn.ELU, nn.GELU, nn.Hardswish, nn.Identity, nn.LeakyReLU, nn.Mish, nn.ReLU,
    nn.ReLU6, nn.Sigmoid, nn.SiLU,
)  # fmt: skip
"""Layers that treat every cell alike in evaluation mode and never look at its neighbours."""


class LocalOutput(NamedTuple):
    """What a head says at chosen cells; all but ``anchors`` and ``strides`` have a graph.

    Attributes:
        logits: Class logits.
        sides: What the head decodes to a box.
        anchors: Middle of each cell, in cells.
        strides: Input pixels per cell.
        windows: See ``Patches``.
        levels: See ``Patches``.
        corners: See ``Patches``.
    """

    logits: Float[Tensor, "1 k c"]
    sides: Float[Tensor, "1 s k"]
    anchors: Float[Tensor, "2 k"]
    strides: Float[Tensor, "1 k"]
    windows: list[Tensor]
    levels: list[int]
    corners: list[tuple[int, int]]


class _Place(NamedTuple):
    level: int
    row: int
    column: int


class _Branch(NamedTuple):
    """One branch of a head at one level: its layers in order, and how many cells they reach."""

    layers: list[nn.Module]
    radius: int


def run_locally(
    head: Any,
    features: Sequence[Float[Tensor, "1 _ _ _"]],
    targets: Sequence[Target],
    attached: bool = False,
) -> LocalOutput | None:
    """The head's output at the targets' cells; None if it is not made of plain convolutions.

    Args:
        head: The network's last layer.
        features: What enters it, level by level.
        targets: The questions; their candidates are cells, counted over all levels.
        attached: Whether the windows belong to the features' graph; else they are leaves.
    """
    branches = _branches(head)
    if branches is None or not targets:
        return None
    places = [_place(features, target.candidate) for target in targets]
    reach = [max(pair[0].radius, pair[1].radius) for pair in branches]
    windows = [_window(features[place.level], place, reach[place.level]) for place in places]
    if not attached:
        windows = [window.detach().clone().requires_grad_() for window in windows]
    logits: list[Tensor] = [torch.empty(0)] * len(targets)
    sides = list(logits)
    for level, (box, score) in enumerate(branches):
        rows = [row for row, place in enumerate(places) if place.level == level]
        if not rows:
            continue
        stacked = torch.stack([windows[row] for row in rows])
        inside = _inside(features[level], [places[row] for row in rows], reach[level])
        found = [_run(branch, stacked, inside, reach[level]) for branch in (score, box)]
        for row, logit, side in zip(rows, *found, strict=True):
            logits[row], sides[row] = logit, side
    cells = [target.candidate for target in targets]
    anchors, strides = (grid.T[:, cells] for grid in make_anchors(list(features), head.stride, 0.5))
    corners = [
        (place.row - reach[place.level], place.column - reach[place.level]) for place in places
    ]
    return LocalOutput(
        torch.stack(logits)[None], torch.stack(sides, dim=1)[None], anchors, strides,
        windows, [place.level for place in places], corners,
    )  # fmt: skip


def _branches(head: Any) -> list[tuple[_Branch, _Branch]] | None:
    """Box and class branch of every level, if all are plain convolutions."""
    if type(head) not in (Detect, v10Detect):
        return None
    chosen = head.one2one if head.end2end else head.one2many
    pairs = [
        (_branch(box), _branch(score))
        for box, score in zip(chosen["box_head"], chosen["cls_head"], strict=True)
    ]
    known = [(box, score) for box, score in pairs if box is not None and score is not None]
    return known if len(known) == len(pairs) else None


def _branch(module: nn.Module) -> _Branch | None:
    layers = _layers(module)
    radii = [_radius(layer) for layer in layers]
    known = [radius for radius in radii if radius is not None]
    return _Branch(layers, sum(known)) if len(known) == len(radii) else None


def _layers(module: nn.Module) -> list[nn.Module]:
    """The layers of a branch in the order they run in; one that is not known is kept as it is."""
    if type(module) is nn.Sequential:
        return [layer for part in module for layer in _layers(part)]
    if type(module) in (Conv, DWConv):
        parts = [getattr(module, name, None) for name in ("conv", "bn", "act")]
        return [part for part in parts if isinstance(part, nn.Module)]
    return [module]


def _radius(layer: nn.Module) -> int | None:
    """How far a layer sees, in cells; None if it is no layer that can be run on a window."""
    if isinstance(layer, CELLWISE):
        return None if layer.training else 0
    if not isinstance(layer, nn.Conv2d) or layer.padding_mode != "zeros":
        return None
    (size, across), (dilation, dilation_across) = layer.kernel_size, layer.dilation
    reach = dilation * (size - 1) // 2
    square = size == across and dilation == dilation_across and size % 2 == 1
    plain = layer.stride == (1, 1) and layer.padding == (reach, reach)
    return reach if square and plain else None


def _place(features: Sequence[Tensor], cell: int) -> _Place:
    for level, feature in enumerate(features):
        cells = feature.shape[2] * feature.shape[3]
        if cell < cells:
            return _Place(level, cell // feature.shape[3], cell % feature.shape[3])
        cell -= cells
    raise IndexError(cell)


def _window(features: Tensor, place: _Place, reach: int) -> Tensor:
    """The cells around one, 0 beyond the edge."""
    return functional.pad(_near(features, place, reach), _overhang(features, place, reach))


def _near(features: Tensor, place: _Place, reach: int) -> Tensor:
    rows = slice(max(place.row - reach, 0), place.row + reach + 1)
    columns = slice(max(place.column - reach, 0), place.column + reach + 1)
    return features[0, :, rows, columns]


def _overhang(features: Tensor, place: _Place, reach: int) -> tuple[int, int, int, int]:
    """Cells of a window beyond the edge: left, right, top, bottom."""
    height, width = features.shape[2:]
    return (
        max(reach - place.column, 0),
        max(place.column + reach + 1 - width, 0),
        max(reach - place.row, 0),
        max(place.row + reach + 1 - height, 0),
    )


def _inside(features: Tensor, places: Sequence[_Place], reach: int) -> Tensor:
    """1 where a window's cell is one of the level, 0 beyond the edge; ``(n, 1, s, s)``."""
    ones = torch.ones_like(features[:, :1])
    return torch.stack(
        [
            functional.pad(_near(ones, place, reach), _overhang(features, place, reach))
            for place in places
        ]
    )


def _run(branch: _Branch, windows: Tensor, inside: Tensor, reach: int) -> Tensor:
    """A branch's answer at the middle cell of each window, ``(n, channels)``."""
    spare = reach - branch.radius
    windows, inside = _trim(windows, spare), _trim(inside, spare)
    for layer in branch.layers:
        radius = _radius(layer) or 0
        if not isinstance(layer, nn.Conv2d):
            windows = layer(windows)
            continue
        if radius:
            windows, inside = windows * inside, _trim(inside, radius)
        windows = functional.conv2d(
            windows, layer.weight, layer.bias, dilation=layer.dilation, groups=layer.groups
        )
    return windows[:, :, 0, 0]


def _trim(values: Tensor, cells: int) -> Tensor:
    side = values.shape[-1]
    return values[..., cells : side - cells, cells : side - cells]
