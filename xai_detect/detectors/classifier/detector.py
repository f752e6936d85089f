"""Image classifiers as white boxes whose only candidate is the whole image.

How an image becomes an input is part of what is explained (``ClassifierLayout.preprocessing``):
``stretch`` lays the whole image over the network's input; ``crop`` brings its shorter side to a
length and keeps the middle, as libraries do by default, so that what was cut off receives no
evidence; ``letterbox`` fits it into the input in proportion and pads the rest. Cutting, padding
and normalising are done inside the network, so that outside it pixels are those of the whole image
and nothing else, RGB in [0, 1].
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from xai_detect.detectors.asked import check_targets
from xai_detect.detectors.classifier.layout import ClassifierLayout, Colour
from xai_detect.detectors.engine import Engine
from xai_detect.detectors.lending import (
    Around,
    contiguous_gradients,
    device_of,
    handed_over,
    lent,
)
from xai_detect.detectors.protocol import Candidates, Raw
from xai_detect.detectors.softmax import softmax_log_odds
from xai_detect.errors import InputError, TargetError
from xai_detect.values.boxes import Size
from xai_detect.values.detections import Detections, Provenance, Target
from xai_detect.values.frame import Frame

POOLS = (nn.AvgPool2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.Dropout)
"""Layers after which a feature map is no longer what the last convolution made."""


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


class ClassifierNetwork(Around):
    """From RGB in [0, 1] to class logits ``(b, c)``, differentiable; cuts or pads as trained."""

    def __init__(self, network: nn.Module, layout: ClassifierLayout) -> None:
        super().__init__()
        self.layout = layout
        with torch.inference_mode(False):
            self.normalise = Normalise(layout.mean, layout.std).to(device_of(network))
        self.network = network
        self.training = self.normalise.training = network.training

    def forward(self, pixels: Tensor) -> Tensor:
        """The logits; some libraries return probabilities beside them."""
        height, width = pixels.shape[2:]
        left, top, right, bottom = self.layout.seen((height, width))
        # Negative padding cuts.
        sides = (-left, right - width, -top, bottom - height)
        shown = functional.pad(pixels, sides, value=self.layout.fill)
        answer: Any = self.network(self.normalise(shown))
        return answer[-1] if isinstance(answer, tuple) else answer


class ImageClassifier:
    """A classifier, white box; each class above the confidence is one detection.

    Attributes:
        module: From RGB pixels in [0, 1] to logits.
        layout: How to build it again; None if its file is of another library.
        feature_layers: The last convolutional stage, by its name in ``module``.
    """

    def __init__(
        self,
        network: nn.Module,
        layout: ClassifierLayout,
        provenance: Provenance,
        *,
        engine: str = "eager",
    ) -> None:
        """Wrap a network; it runs where it lies, in evaluation mode, and is left as it is.

        Args:
            network: From normalised pixels to logits ``(b, c)``, or to a tuple that ends in them.
            layout: Its classes, input size and colours.
            provenance: Where the weights come from.
            engine: How to run: one of ``ENGINES``.

        Raises:
            InputError: If the network does not answer one logit per class, or the engine cannot be
                used.
        """
        self.module: nn.Module = ClassifierNetwork(network, layout)
        self._engine = Engine(engine, self.module, self.module, self.device)
        self.layout = layout
        self.provenance = provenance
        self.class_names: tuple[str, ...] = layout.classes
        self.feature_layers: tuple[str, ...] = self._last_stage()

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return device_of(self.module)

    def _last_stage(self) -> tuple[str, ...]:
        """The last part of the network, in order of computation, that answers with a map."""
        names = {part: name for name, part in self.module.named_modules() if name}
        seen: list[str] = []

        def watch(part: nn.Module, _inputs: Any, output: Any) -> None:
            spatial = (
                isinstance(output, Tensor) and output.ndim == 4 and not isinstance(part, POOLS)
            )
            if spatial and min(output.shape[2:]) > 1:
                seen.append(names[part])

        with lent(self.module), torch.no_grad(), ExitStack() as hooks:
            for part in names:
                hooks.callback(part.register_forward_hook(watch).remove)
            logits = self._logits(torch.zeros(1, 3, *self.layout.input_size))
        if logits.shape != (1, len(self.class_names)):
            raise InputError(
                f"the network answers {tuple(logits.shape[1:])} per image, but there are "
                f"{len(self.class_names)} class names; expected one logit for each"
            )
        return tuple(seen[-1:])

    def frame(self, image_size: Size) -> Frame:
        """The image as large as the input shows it, before anything is cut off or padded."""
        return self.layout.frame(image_size)

    def covered(self, input_size: Size) -> tuple[int, int, int, int]:
        """What the network sees, in input pixels; with padding it reaches beyond the image."""
        return self.layout.seen(input_size)

    def detect(
        self, pixels: Float[Tensor, "b 3 i j"], frame: Frame, confidence: float = 0.25
    ) -> list[Detections]:
        """The classes above ``confidence``, best first; each box is the whole image."""
        if not 0 <= confidence <= 1:
            raise InputError(f"confidence is {confidence}; expected a threshold in [0, 1]")
        with lent(self.module), torch.no_grad():
            answers = self._probabilities(self._logits(pixels)).cpu()
        return [self._select(answer, frame, confidence) for answer in answers]

    def _select(
        self, probabilities: Float[Tensor, "c"], frame: Frame, confidence: float
    ) -> Detections:
        scores, labels = probabilities.sort(descending=True, stable=True)
        kept = scores > confidence
        height, width = frame.image_size
        boxes = torch.tensor([[0.0, 0.0, width, height]]).repeat(int(kept.sum()), 1)
        return Detections(
            boxes=boxes,
            scores=scores[kept],
            labels=labels[kept],
            candidates=torch.zeros_like(labels[kept]),
            proposals=boxes,
            image_size=frame.image_size,
            class_names=self.class_names,
        )

    def raw(self, pixels: Float[Tensor, "b 3 i j"]) -> Raw:
        """One prediction per image: every class's probability."""
        with lent(self.module), torch.no_grad():
            probabilities = self._probabilities(self._logits(pixels))
        return Raw(self._whole(pixels)[:, None, None], probabilities[:, None])

    def candidate(
        self, pixels: Float[Tensor, "b 3 i j"], targets: Sequence[Target], frame: Frame
    ) -> Candidates:
        """Log-odds of every class, differentiable in ``pixels``; the box never moves."""
        del frame  # the pixels are those of the whole image
        check_targets(targets, len(self.class_names))
        for target in targets:
            if target.candidate != 0:
                raise TargetError(
                    f"candidate {target.candidate} does not exist; a classifier has one, the image"
                )
        with lent(self.module):
            logits = self._logits(pixels, exact=True).to(pixels.device)
            log_odds = logits if self.layout.multi_label else softmax_log_odds(logits)
        # Tied to the graph, so that asking for a side's gradient gives 0 and no error.
        boxes = self._whole(pixels).to(logits) + 0 * logits[:, :1]
        count = len(targets)
        return Candidates(
            log_odds[:, None].expand(-1, count, -1), boxes[:, None].expand(-1, count, -1)
        )

    def score(
        self, pixels: Float[Tensor, "b 3 i j"], target: Target, frame: Frame | None = None
    ) -> Float[Tensor, "b"]:
        """Log-odds of the target's class, differentiable in ``pixels``."""
        frame = frame or Frame.unchanged((pixels.shape[2], pixels.shape[3]))
        return self.candidate(pixels, [target], frame).log_odds[:, 0, target.label]

    def _logits(self, pixels: Tensor, *, exact: bool = False) -> Float[Tensor, "b c"]:
        given = handed_over(pixels, self.module)
        if self._engine.plain(exact=exact):
            with contiguous_gradients(self.module):
                logits: Tensor = self.module(given)
        else:
            logits = self._engine(given, exact=exact)
        return logits.to(pixels.dtype)

    def _probabilities(self, logits: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
        return logits.sigmoid() if self.layout.multi_label else logits.softmax(dim=1)

    def _whole(self, pixels: Tensor) -> Float[Tensor, "b 4"]:
        height, width = pixels.shape[2:]
        box = torch.tensor([0.0, 0.0, width, height], device=self.device)
        return box.expand(len(pixels), -1)
