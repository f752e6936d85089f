"""A classifier's network from RGB pixels to logits: what comes before it, and what it answers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from xai_detect.detectors.classifier.layout import ClassifierLayout, Colour, Head
from xai_detect.detectors.lending import Around, device_of
from xai_detect.errors import InputError

Prepare = Callable[[Tensor], Tensor]
"""From RGB in [0, 1], as large as the input, to what a network takes; differentiable."""


class Normalise(nn.Module):
    """Each colour less a constant, over another."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Colour, std: Colour) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """From RGB in [0, 1] to what the network was trained with."""
        return (pixels - self.mean) / self.std


class Prepared(nn.Module):
    """What somebody else does to pixels before their network, as a layer."""

    def __init__(self, prepare: Prepare) -> None:
        super().__init__()
        self._prepare = prepare

    def forward(self, pixels: Tensor) -> Tensor:
        """From RGB in [0, 1] to what the network was trained with."""
        return self._prepare(pixels)


class ClassifierNetwork(Around):
    """From RGB in [0, 1] to class logits ``(b, c)``, differentiable; cuts or pads as trained."""

    def __init__(
        self, network: nn.Module, layout: ClassifierLayout, prepare: Prepare | None = None
    ) -> None:
        super().__init__()
        self.layout = layout
        self.normalise: nn.Module
        with torch.inference_mode(False):
            self.normalise = Normalise(layout.mean, layout.std).to(device_of(network))
        if prepare is not None:
            self.normalise = Prepared(prepare)
        self.network = network
        self.training = self.normalise.training = network.training

    def forward(self, pixels: Tensor) -> Tensor:
        """The logits; those of several heads side by side."""
        height, width = pixels.shape[2:]
        left, top, right, bottom = self.layout.seen((height, width))
        # Negative padding cuts.
        sides = (-left, right - width, -top, bottom - height)
        shown = functional.pad(pixels, sides, value=self.layout.fill)
        answer: Any = self.network(self.normalise(shown))
        if self.layout.heads:
            return torch.cat(outputs(answer, self.layout.heads), dim=1)
        if hasattr(answer, "logits"):
            answer = answer.logits
        if isinstance(answer, tuple):  # some libraries return probabilities before the logits
            answer = answer[-1]
        if not isinstance(answer, Tensor):
            raise InputError(
                f"the network answers with a {type(answer).__name__}; expected logits (n, c), or "
                "class_names that describe each head, such as {'mask': ('none', 'worn')}"
            )
        return answer


def outputs(answer: Any, heads: Sequence[Head]) -> list[Tensor]:
    """The logits ``(b, c)`` of each head, taken from a mapping by name or from a list in order.

    Raises:
        InputError: If the network does not answer with one tensor of logits for each.
    """
    found: list[Any] = [None]
    if isinstance(answer, Mapping):
        found = [answer.get(head.name) for head in heads]
        got = f"outputs named {', '.join(map(str, answer))}"
    elif isinstance(answer, list | tuple):
        found = [*answer] if len(answer) == len(heads) else [None]
        got = f"{len(answer)} outputs"
    else:
        got = f"a {type(answer).__name__}"
    if any(not isinstance(part, Tensor) for part in found):
        raise InputError(
            f"the network answers with {got}; expected one output for each of "
            f"{', '.join(head.name for head in heads)}: a mapping with these names, or a tuple in "
            "this order"
        )
    parts = [part[:, None] if part.ndim == 1 else part for part in found]  # one logit an image
    for part, head in zip(parts, heads, strict=True):
        if part.ndim != 2 or part.shape[1] != head.stop - head.start:
            raise InputError(
                f"the network answers {tuple(part.shape[1:])} per image for {head.name}, but there "
                f"are {head.stop - head.start} class names; expected one logit for each"
            )
    return parts
