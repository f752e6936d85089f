"""Image classifiers as white boxes whose candidates are the whole image, one for each question.

A classifier that answers one question has one candidate, 0; one with several heads has a candidate
for each, and a class is asked of its own head whatever the target's candidate.

How an image becomes an input is part of what is explained (``ClassifierLayout.preprocessing``):
``stretch`` lays the whole image over the network's input; ``crop`` brings its shorter side to a
length and keeps the middle, as libraries do by default, so that what was cut off receives no
evidence; ``letterbox`` fits it into the input in proportion and pads the rest. Cutting, padding
and normalising are done inside the network, so that outside it pixels are those of the whole image
and nothing else, RGB in [0, 1].
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from xai_detect.detectors.asked import check_targets
from xai_detect.detectors.classifier.layout import ClassifierLayout
from xai_detect.detectors.classifier.network import ClassifierNetwork, Prepare
from xai_detect.detectors.engine import Engine
from xai_detect.detectors.lending import (
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


ABSENT = -100.0
"""Log-odds of a class at the candidate of a head that does not know it."""


class ImageClassifier:
    """A classifier, white box; each class above the confidence is one detection.

    Attributes:
        module: From RGB pixels in [0, 1] to logits.
        layout: How to build it again; None if its file is of another library.
        feature_layers: The last convolutional stage, by its name in ``module``; none where tokens
            follow it.
    """

    def __init__(
        self,
        network: nn.Module,
        layout: ClassifierLayout,
        provenance: Provenance,
        *,
        engine: str = "eager",
        prepare: Prepare | None = None,
        feature_layers: Sequence[str] | None = None,
    ) -> None:
        """Wrap a network; it runs where it lies, in evaluation mode, and is left as it is.

        Args:
            network: From normalised pixels to logits ``(b, c)``, a tuple that ends in them, or
                something that holds them as ``logits``; with heads, to an output for each.
            layout: Its classes, input size and colours.
            provenance: Where the weights come from.
            engine: How to run: one of ``ENGINES``.
            prepare: What is done to pixels instead of the layout's mean and std.
            feature_layers: Names in ``module``; None looks for them.

        Raises:
            InputError: If the network does not answer one logit per class, or the engine cannot be
                used.
        """
        self.module: nn.Module = ClassifierNetwork(network, layout, prepare)
        self._engine = Engine(engine, self.module, self.module, self.device)
        self.layout = layout
        self.provenance = provenance
        self.class_names: tuple[str, ...] = layout.classes
        found = self._last_stage()
        self.feature_layers: tuple[str, ...] = (
            found if feature_layers is None else tuple(feature_layers)
        )

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return device_of(self.module)

    def _last_stage(self) -> tuple[str, ...]:
        """The last part of the network, in order of computation, that answers with a map.

        A transformer makes tokens of its first map; what that shows is not yet what was seen.
        """
        names = {part: name for name, part in self.module.named_modules() if name}
        seen: list[str] = []
        cells = [1]

        def watch(part: nn.Module, _inputs: Any, output: Any) -> None:
            spatial = (
                isinstance(output, Tensor) and output.ndim == 4 and not isinstance(part, POOLS)
            )
            if spatial and min(output.shape[2:]) > 1:
                seen.append(names[part])
                cells[0] = output.shape[2] * output.shape[3]
            elif isinstance(output, Tensor) and output.ndim == 3 and output.shape[1] >= cells[0]:
                seen.clear()

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
        """The classes above ``confidence``, best first; each box is the whole image.

        The candidate of each is its head.
        """
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
            candidates=self._heads()[labels[kept]],
            proposals=boxes,
            image_size=frame.image_size,
            class_names=self.class_names,
        )

    def raw(self, pixels: Float[Tensor, "b 3 i j"]) -> Raw:
        """One prediction per image and head: the probability of its classes, 0 for the others."""
        with lent(self.module), torch.no_grad():
            probabilities = self._probabilities(self._logits(pixels))
        heads = self._heads().to(probabilities.device)
        rows = torch.arange(len(self.layout.answers), device=probabilities.device)
        own = torch.where(rows[:, None] == heads, probabilities[:, None], 0.0)
        return Raw(self._whole(pixels)[:, None, None].expand(-1, len(rows), -1, -1), own)

    def candidate(
        self, pixels: Float[Tensor, "b 3 i j"], targets: Sequence[Target], frame: Frame
    ) -> Candidates:
        """Log-odds of every class, differentiable in ``pixels``; the box never moves."""
        del frame  # the pixels are those of the whole image
        check_targets(targets, len(self.class_names))
        for target in targets:
            self._check(target)
        with lent(self.module):
            logits = self._logits(pixels, exact=True).to(pixels.device)
            log_odds = torch.cat([*self._by_head(logits, _same, softmax_log_odds)], dim=1)
        # Tied to the graph, so that asking for a side's gradient gives 0 and no error.
        boxes = self._whole(pixels).to(logits) + 0 * logits[:, :1]
        heads, count = self._heads(), len(targets)
        asked = heads[torch.tensor([target.label for target in targets], dtype=torch.int64)]
        own = (asked[:, None] == heads).to(log_odds.device)  # (k, c)
        return Candidates(
            torch.where(own, log_odds[:, None], ABSENT), boxes[:, None].expand(-1, count, -1)
        )

    def _check(self, target: Target) -> None:
        count = len(self.layout.answers)
        if not 0 <= target.candidate < count:
            one = "one, the image" if count == 1 else f"{count}, one for each head"
            raise TargetError(
                f"candidate {target.candidate} does not exist; a classifier has {one}"
            )
        heads = self._heads()
        if target.rival is not None and heads[target.rival] != heads[target.label]:
            raise TargetError(
                f"{target.name!r} and {target.rival_name!r} are answers to different questions; "
                "contrast it with another class of its own head"
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
        return torch.cat([*self._by_head(logits, torch.sigmoid, _softmax)], dim=1)

    def _by_head(
        self, logits: Float[Tensor, "b c"], alone: Prepare, chosen: Prepare
    ) -> Iterator[Tensor]:
        """What is made of each head's logits, where classes stand alone or one is chosen."""
        for head in self.layout.answers:
            make = alone if head.multi_label else chosen
            yield make(logits[:, head.start : head.stop])

    def _heads(self) -> Int[Tensor, "c"]:
        """The head of each class."""
        counts = torch.tensor([head.stop - head.start for head in self.layout.answers])
        return torch.repeat_interleave(torch.arange(len(counts)), counts)

    def _whole(self, pixels: Tensor) -> Float[Tensor, "b 4"]:
        height, width = pixels.shape[2:]
        box = torch.tensor([0.0, 0.0, width, height], device=self.device)
        return box.expand(len(pixels), -1)


def _same(logits: Tensor) -> Tensor:
    return logits


def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(dim=1)
