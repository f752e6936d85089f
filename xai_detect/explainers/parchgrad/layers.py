"""Which convolutions ParchGrad looks at, and how strongly each channel answers to a box.

Networks are borrowed: hooks are removed on the way out, also after an exception.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from xai_detect.detectors.lending import lent
from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.errors import InputError
from xai_detect.values.boxes import Size

ELEMENTWISE = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.Mish, nn.GELU, nn.Hardswish, nn.Sigmoid,
    nn.Hardsigmoid, nn.Identity, nn.BatchNorm2d,
)  # fmt: skip
"""Modules that act on each channel alone, so that a split of the channels holds on either side."""


class Layer(NamedTuple):
    """One convolution.

    Attributes:
        name: Its dotted name in the network.
        channels: Output channels.
        groups: Parts of the output that share no input.
    """

    name: str
    channels: int
    groups: int


def find_layers(detector: WhiteBoxDetector, pixels: Float[Tensor, "1 3 i j"]) -> tuple[Layer, ...]:
    """The convolutions of backbone and neck whose gradients can be split, in running order.

    Left out are the stem and the head; depthwise convolutions, where nothing is summed over the
    output channels; attention; and layers that run more than once in a pass. In the supported
    detectors those that remain are 3x3 and 1x1. A network of unknown build is taken whole.

    Raises:
        InputError: If nothing remains.
    """
    convolutions = _convolutions(detector.module)
    order: list[str] = []
    with lent(detector.module), ExitStack() as hooks:
        for name, part in convolutions.items():
            hook = part.register_forward_hook(lambda *_, name=name: order.append(name))
            hooks.callback(hook.remove)
        detector.raw(pixels)
    in_trunk = _trunk(detector.module, order)
    attention = _attention(detector.module)
    layers = tuple(
        Layer(name, convolutions[name].out_channels, convolutions[name].groups)
        for name in order
        if in_trunk(name)
        and order.count(name) == 1
        and convolutions[name].out_channels > convolutions[name].groups
        and not name.startswith(attention)
    )
    if not layers:
        raise InputError(
            f"{detector.provenance.name} has no dense convolution outside stem and head; "
            "parchgrad cannot explain it, use integrated_gradients"
        )
    return layers


def _convolutions(module: nn.Module) -> dict[str, nn.Conv2d]:
    return {name: part for name, part in module.named_modules() if isinstance(part, nn.Conv2d)}


def _trunk(module: nn.Module, order: list[str]) -> Callable[[str], bool]:
    """Whether a convolution belongs to the backbone or neck, without the stem."""
    stages = getattr(module, "model", None)
    if isinstance(stages, nn.Sequential):  # ultralytics: the last stage is the head
        head = f"model.{len(stages) - 1}."
        return lambda name: name != order[0] and not name.startswith(head)
    if isinstance(getattr(module, "backbone", None), nn.Module):  # torchvision: neck included
        return lambda name: name != order[0] and name.startswith("backbone.")
    return lambda _name: True


def _attention(module: nn.Module) -> tuple[str, ...]:
    return tuple(
        f"{name}."
        for name, part in module.named_modules()
        if "attn" in type(part).__name__.lower() or "attention" in type(part).__name__.lower()
    )


class Gauge:
    """Reads how strongly every channel answers to boxes, in one forward pass for a whole batch.

    A raw convolution's zero means nothing where batch norm and SiLU follow, so each layer is read
    after the activation that follows it. What follows is found by watching which module is handed
    the very tensor that the layer returned; activations are often one object shared by all layers,
    so its own name would not tell. The first pass reads a layer at every step, and learns which
    one is the last.

    Attributes:
        layers: What is read; their channels are laid side by side in this order.
    """

    def __init__(self, detector: WhiteBoxDetector, layers: tuple[Layer, ...]) -> None:
        self.layers = layers
        self._detector = detector
        self._steps: Mapping[str, int] = {}

    def strengths(
        self, pixels: Float[Tensor, "b 3 i j"], boxes: Sequence[Float[Tensor, "_ 4"]]
    ) -> list[Float[Tensor, "_ k"]]:
        """One row per box of each image.

        Args:
            pixels: RGB in [0, 1], placed by the detector's frame.
            boxes: Per image, ``(x1, y1, x2, y2)`` in input pixels.
        """
        padded = torch.nn.utils.rnn.pad_sequence(list(boxes), batch_first=True)
        found: dict[str, Tensor] = {}

        def read(name: str, output: Tensor, scale: tuple[float, float]) -> None:
            found[name] = box_strengths(output, padded, scale)

        module = self._detector.module
        names = {layer.name for layer in self.layers}
        watch = _Watch((pixels.shape[2], pixels.shape[3]), read, self._steps)
        with lent(module), watching(module, names, watch):
            self._detector.raw(pixels)
        self._steps = watch.steps
        rows = torch.cat([found[layer.name] for layer in self.layers], dim=2).cpu()
        return [row[: len(own)] for row, own in zip(rows, boxes, strict=True)]


Read = Callable[[str, Float[Tensor, "b c h w"], tuple[float, float]], None]
"""What to do with a layer's name, its output, and how many of its cells lie under one input pixel,
``(down, across)``; where it is called several times for a layer, the last one holds."""


@contextmanager
def watching(module: nn.Module, names: set[str], watch: "_Watch") -> Iterator[None]:
    """Hook everything that may come between a layer and its activation."""
    with ExitStack() as hooks:
        for name, part in module.named_modules():
            seen: Callable[..., None] | None = None
            if isinstance(part, nn.Conv2d):
                seen = watch.convolution(name, name in names)
            elif isinstance(part, ELEMENTWISE) or type(part).__name__ == "FrozenBatchNorm2d":
                seen = watch.elementwise
            elif type(part).__name__ == "GeneralizedRCNNTransform":
                seen = watch.resized
            if seen is not None:
                hooks.callback(part.register_forward_hook(seen).remove)
        yield


class _Watch:
    """The layer that ran last, as far as it has been followed.

    Attributes:
        steps: How many outputs each layer was followed through.
    """

    def __init__(self, input_size: Size, read: Read, known: Mapping[str, int]) -> None:
        self.steps: dict[str, int] = {}
        self._read = read
        self._known = known
        self._input_size = input_size
        self._content_size = input_size
        self._padded_size: Size | None = None
        self._name = ""
        self._output: Tensor | None = None
        self._version = 0

    def resized(self, _part: nn.Module, _inputs: object, output: Any) -> None:
        """Torchvision networks resize by themselves, then pad; a batch is of one size."""
        self._content_size = tuple(output[0].image_sizes[0])

    def convolution(
        self, name: str, wanted: bool
    ) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(_part: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if self._padded_size is None:  # the first convolution sees the image itself
                self._padded_size = (inputs[0].shape[2], inputs[0].shape[3])
            self._output = None
            if wanted:
                self._follow(name, output)

        return hook

    def elementwise(self, _part: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if inputs[0] is not self._output:
            return
        # A residual sum is often added in place: then the tensor is no longer this layer's alone.
        if inputs[0]._version == self._version:  # noqa: SLF001
            self._follow(self._name, output)
        else:
            self._output = None

    def _follow(self, name: str, output: Tensor) -> None:
        self._name, self._output = name, output
        self._version = output._version  # noqa: SLF001
        self.steps[name] = self.steps.get(name, 0) + 1
        if self.steps[name] < self._known.get(name, 0):
            return
        padded = self._padded_size or self._input_size
        down, across = (
            content / given * cells / whole
            for content, given, cells, whole in zip(
                self._content_size, self._input_size, output.shape[2:], padded, strict=True
            )
        )
        self._read(name, output.detach(), (down, across))


def box_strengths(
    output: Float[Tensor, "b c h w"], boxes: Float[Tensor, "b n 4"], scale: tuple[float, float]
) -> Float[Tensor, "b n c"]:
    """Mean of ``max(0, activation)`` over each box's cells on the layer's grid, at least one cell.

    Args:
        output: A layer's output.
        boxes: ``(x1, y1, x2, y2)`` in input pixels.
        scale: Cells per input pixel, ``(down, across)``.
    """
    x1, y1, x2, y2 = boxes.double().cpu().unbind(dim=2)
    rows = _shares(y1 * scale[0], y2 * scale[0], output.shape[2]).to(output)
    columns = _shares(x1 * scale[1], x2 * scale[1], output.shape[3]).to(output)
    lines = output.clamp(min=0).flatten(1, 2) @ columns.mT  # (b, c * h, n)
    lines = lines.view(*output.shape[:3], -1)
    return torch.einsum("bchn,bnh->bnc", lines, rows)


def _shares(
    low: Float[Tensor, "b n"], high: Float[Tensor, "b n"], length: int
) -> Float[Tensor, "b n l"]:
    """What each cell along a side counts towards the mean over ``low`` to ``high``."""
    first = low.floor().clamp(0, length - 1)
    end = high.ceil().maximum(first + 1).clamp(max=length)
    cells = torch.arange(length)
    inside = (cells >= first[..., None]) & (cells < end[..., None])
    return inside / (end - first)[..., None]


def strengths(
    detector: WhiteBoxDetector,
    layers: tuple[Layer, ...],
    pixels: Float[Tensor, "1 3 i j"],
    boxes: Float[Tensor, "n 4"],
) -> Float[Tensor, "n k"]:
    """How strongly every channel of every layer answers to each box of one image.

    Args:
        detector: The detector, its network in evaluation mode.
        layers: What to read.
        pixels: RGB in [0, 1], placed by the detector's frame.
        boxes: ``(x1, y1, x2, y2)`` in input pixels.
    """
    (found,) = Gauge(detector, layers).strengths(pixels, [boxes])
    return found
