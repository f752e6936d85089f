"""One pass with chosen layers opened: their activations, and every target's gradient there.

A zero is added to each opened layer's output; the gradient of a target's score with respect to
that zero is the gradient at the layer. Nothing before the first opened layer is in the graph.

Layers are opened in one of two ways:

- ``auto``: the levels that enter the head, cut off from one another. The gradient at a level is
  what the head itself reads there, and nothing passes through another level. Together the levels
  are one layer spread over several grids, so their maps are added up.
- by name: the whole gradient at each layer, through every later one. Each map is an account of the
  whole score, so several are averaged.

Maps are never rescaled before they are added.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from xai_detect.detectors.lending import lent
from xai_detect.detectors.place import Image, place
from xai_detect.detectors.protocol import (
    Candidates,
    CoveredDetector,
    PatchDetector,
    Patches,
    WhiteBoxDetector,
)
from xai_detect.errors import InputError, near
from xai_detect.scores.scalars import differentiable, passes_ahead
from xai_detect.values import boxes
from xai_detect.values.boxes import Size
from xai_detect.values.detections import Target

AUTO = "auto"
"""Stands for the layers whose outputs enter the head."""


class Slope(NamedTuple):
    """The gradient of one target's score at one layer; 0 outside a window of its cells.

    Attributes:
        layer: Which of the opened layers.
        top: First row of the window.
        left: First column of the window.
        values: The gradient in the window.
    """

    layer: int
    top: int
    left: int
    values: Float[Tensor, "c n m"]

    def beneath(self, whole: Float[Tensor, "*c h w"]) -> Float[Tensor, "*c n m"]:
        """What lies under the window."""
        height, width = self.values.shape[1:]
        return whole[..., self.top : self.top + height, self.left : self.left + width]

    def spread(self, window: Float[Tensor, "n m"], size: Size) -> Float[Tensor, "h w"]:
        """Values in the window, and 0 in all other cells of a layer."""
        whole = window.new_zeros(size)
        self.beneath(whole).copy_(window)
        return whole


def checked_layer(layer: str) -> tuple[str, ...]:
    """Names out of a list with commas; one of them may be ``auto``, alone.

    Raises:
        InputError: If there is no name, or ``auto`` stands beside others.
    """
    names = tuple(dict.fromkeys(part.strip() for part in layer.split(",")))
    if not all(names) or (AUTO in names and len(names) > 1):
        raise InputError(
            f"layer is {layer!r}; expected 'auto', or names of layers separated by commas"
        )
    return names


class OpenLayers:
    """Chosen layers of a network during one pass over one image.

    Attributes:
        activations: What each layer answered with, ``(c, h, w)``; not to be edited in place.
        forward_passes: Forward passes so far.
        backward_passes: Backward passes so far; one that serves all targets counts once.
    """

    def __init__(
        self,
        detector: WhiteBoxDetector,
        image: Image,
        targets: Sequence[Target],
        layer: str = AUTO,
    ) -> None:
        """Run the network.

        Args:
            detector: The detector that found the targets.
            image: RGB in [0, 1], placed or not.
            targets: The questions.
            layer: ``auto``, or names in ``detector.module`` separated by commas.

        Raises:
            InputError: If there is no such layer, or it does not answer with one map per pass.
        """
        self._auto = checked_layer(layer) == (AUTO,)
        self._names = _known(detector, checked_layer(layer))
        self._detector = detector
        self._targets = targets
        placed = place(detector, image)
        self._frame, self._pixels = placed.frame, placed.pixels
        with (
            lent(detector.module),
            _opened(detector.module, self._names, cut=self._auto) as (outputs, leaves),
            torch.enable_grad(),
        ):
            self._found: Candidates = detector.candidate(self._pixels, targets, self._frame)
        idle = [name for name in self._names if name not in outputs]
        if idle:
            raise InputError(
                f"layer {idle[0]!r} is not used when the network answers; choose another"
            )
        self._leaves = [leaves[name] for name in self._names]
        self.activations = [outputs[name][0] for name in self._names]
        self.forward_passes = 1
        self.backward_passes = 0

    def slopes(self, scalar: str) -> Iterator[list[Slope]]:
        """Per target, its gradient at every opened layer that it reaches; none where it is 0.

        Args:
            scalar: What is explained: a name in ``DIFFERENTIABLE``.

        Raises:
            InputError: If there is no such scalar.
        """
        read = differentiable(scalar, self._detector, self._targets, self._frame, self._pixels)
        self.forward_passes += passes_ahead(scalar, self._targets)
        with torch.enable_grad():
            patches = self._patches()
            scores = read(self._found if patches is None else patches.candidates)[0]
        if patches is not None:
            self.backward_passes += 1
            yield from self._local(scores, patches)
            return
        for score in scores:
            self.backward_passes += 1
            yield self._whole(score)

    def _patches(self) -> Patches | None:
        if not (self._auto and isinstance(self._detector, PatchDetector)):
            return None
        return self._detector.patches(
            [activation[None] for activation in self.activations], self._targets
        )

    def _local(self, scores: Float[Tensor, "k"], patches: Patches) -> Iterator[list[Slope]]:
        """One backward pass for all: a target's score depends on no window but its own."""
        found = torch.autograd.grad(
            scores.sum(), patches.windows, retain_graph=True, allow_unused=True
        )
        for gradient, level, (top, left) in zip(
            found, patches.levels, patches.corners, strict=True
        ):
            if gradient is None or not bool(gradient.any()):
                yield []
                continue
            height, width = self.activations[level].shape[1:]
            side = gradient.shape[-1]
            inside = gradient[
                :, max(-top, 0) : min(side, height - top), max(-left, 0) : min(side, width - left)
            ]
            yield [Slope(level, max(top, 0), max(left, 0), inside)]

    def _whole(self, score: Float[Tensor, ""]) -> list[Slope]:
        """One backward pass for one target."""
        if not score.requires_grad:  # no opened layer leads to it
            return []
        found = torch.autograd.grad(score, self._leaves, retain_graph=True, allow_unused=True)
        return [
            Slope(layer, 0, 0, gradient[0])
            for layer, gradient in enumerate(found)
            if gradient is not None and bool(gradient.any())
        ]

    def to_image(self, maps: Mapping[int, Float[Tensor, "_ _"]]) -> Float[Tensor, "h w"]:
        """Maps of some of the layers, brought to image pixels and added up.

        Layers without a map count as 0. With layers chosen by name the sum is divided by their
        number.
        """
        frame = self._frame
        total = torch.zeros(1, *frame.input_size)
        for heatmap in maps.values():
            total += over_input(heatmap[None], self._detector, frame.input_size)
        return frame.map_to_image(total if self._auto else total / len(self._names))[0]

    def stride(self, layer: int) -> tuple[float, float]:
        """Input pixels per cell of a layer, ``(down, across)``."""
        left, top, right, bottom = _covered(self._detector, self._frame.input_size)
        rows, columns = self.activations[layer].shape[1:]
        return (bottom - top) / rows, (right - left) / columns

    def cells(self, layer: int, target: Target) -> Bool[Tensor, "h w"]:
        """The cells of a layer whose middle lies in the target's box; at least one."""
        down, across = self.stride(layer)
        left, top, _, _ = _covered(self._detector, self._frame.input_size)
        box = self._frame.boxes_to_input(torch.tensor([target.box]))[0]
        box = box - torch.tensor([left, top, left, top])
        x1, y1, x2, y2 = (box / torch.tensor([across, down, across, down])).tolist()
        rows, columns = self.activations[layer].shape[1:]
        return boxes.mask((x1, y1, x2, y2), (rows, columns))

    def passes(self) -> dict[str, float]:
        """What has been spent, as an explanation records it."""
        return {
            "forward_passes": float(self.forward_passes),
            "backward_passes": float(self.backward_passes),
        }


def over_input(
    maps: Float[Tensor, "k r c"], detector: WhiteBoxDetector, input_size: Size
) -> Float[Tensor, "k i j"]:
    """Maps over the cells of a layer, stretched over what it covers; 0 in the rest of the input."""
    left, top, right, bottom = _covered(detector, input_size)
    stretched = functional.interpolate(
        maps[:, None].detach().float().cpu(),
        (bottom - top, right - left),
        mode="bilinear",
        align_corners=False,
    )
    height, width = input_size
    return functional.pad(stretched[:, 0], (left, width - right, top, height - bottom))


def _covered(detector: WhiteBoxDetector, input_size: Size) -> tuple[int, int, int, int]:
    if isinstance(detector, CoveredDetector):
        return detector.covered(input_size)
    return (0, 0, input_size[1], input_size[0])


def _known(detector: WhiteBoxDetector, names: tuple[str, ...]) -> tuple[str, ...]:
    """The layers meant, if the network has them all."""
    parts = [name for name, _ in detector.module.named_modules() if name]
    if names == (AUTO,):
        names = detector.feature_layers
        if not names:
            raise InputError(
                f"which layers enter the head of {detector.provenance.name} is not known; "
                f"name one or more as 'layer', such as {parts[0]!r}"
            )
    for name in names:
        if name not in parts:
            hint = near(name, parts) or f"choose one such as {', '.join(parts[-3:])}"
            raise InputError(f"the network has no layer {name!r}; {hint}")
    return names


@contextmanager
def _opened(
    module: nn.Module, names: Sequence[str], *, cut: bool
) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """Collect outputs of a borrowed network's layers, and zeros added to them; then unhook."""
    outputs: dict[str, Tensor] = {}
    leaves: dict[str, Tensor] = {}

    def opener(name: str) -> Callable[[nn.Module, object, object], Tensor]:
        def add_zero(_module: nn.Module, _inputs: object, output: object) -> Tensor:
            if not isinstance(output, Tensor) or output.ndim != 4 or len(output) != 1:
                raise InputError(
                    f"layer {name!r} answers with {_words(output)}; "
                    "expected one map (1, channels, rows, columns): choose a convolution or block"
                )
            if name in outputs:
                raise InputError(
                    f"layer {name!r} runs more than once in a pass; choose one that runs once"
                )
            outputs[name] = output.detach()
            leaves[name] = torch.zeros_like(outputs[name]).requires_grad_()
            return (outputs[name] if cut else output) + leaves[name]

        return add_zero

    hooks = [module.get_submodule(name).register_forward_hook(opener(name)) for name in names]
    try:
        yield outputs, leaves
    finally:
        for hook in hooks:
            hook.remove()


def _words(output: object) -> str:
    if isinstance(output, Tensor):
        return f"a tensor {tuple(output.shape)}"
    return f"a {type(output).__name__}"
