"""Toys whose answer depends on a blue patch away from the item; ``from cues import CueToy``.

A red square is the item. A blue square in a cell of ``cues`` is the cue. What the cue decides is
chosen, so every verdict's right answer is known.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from toy import BIAS, CELL, GAIN, ToyDetector, ToyNetwork, scene

from xai_detect.values.detections import Provenance

LOSS = 8.0
"""Log-odds that the item loses without its cue: 4 becomes -4."""

LEAD = 8.0
"""Log-odds by which the cue's class leads with the cue, and the default without."""

ITEM = (5, 5)
CUE = (1, 1)
OTHER = (1, 6)
SIZE = (64, 64)


class CueNetwork(nn.Module):
    """Redness of each cell, and what the cue adds to it."""

    def __init__(self, decides: str, cues: Sequence[tuple[int, int]], how: str) -> None:
        super().__init__()
        self.plain = ToyNetwork(CELL, 0.0, curved=False)
        self.decides, self.cues, self.how = decides, tuple(cues), how

    @property
    def seen(self) -> list[int]:
        return self.plain.seen

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits ``(b, cells, c)``, cells in reading order."""
        logits = self.plain(pixels)
        columns = pixels.shape[3] // CELL
        own = (logits - BIAS) / GAIN
        blue = torch.stack([own[:, row * columns + column, 2] for row, column in self.cues], dim=1)
        cue = torch.sigmoid(16 * (blue - 0.65))
        cue = cue.amax(dim=1) if self.how == "any" else cue.amin(dim=1)
        item = logits[:, :, :1]
        plain = item / 2 - 4  # the item itself says its class: 4 against -2
        if self.decides == "presence":
            return torch.cat([item, plain], dim=2) - LOSS * (1 - cue)[:, None, None]
        if self.decides == "one_class":
            return item - LOSS * (1 - cue)[:, None, None]
        if self.decides == "class":
            lead = LEAD * (2 * cue - 1)[:, None, None] / 2
            return torch.cat([item + lead, item - lead], dim=2)
        return torch.cat([item, plain], dim=2)


class CueToy(ToyDetector):
    """A white box over ``CueNetwork``.

    ``decides``: ``presence`` (without the cue nothing is reported), ``one_class`` (the same with
    one class), ``class`` (with the cue the first class, else the second) or ``nothing``.
    ``how``: whether any cue is enough or all are needed.
    """

    def __init__(
        self,
        decides: str,
        *,
        cues: Sequence[tuple[int, int]] = (CUE,),
        how: str = "any",
        domain: str = "photo",
        letterbox: int | None = None,
    ) -> None:
        super().__init__(letterbox=letterbox)
        self.module = CueNetwork(decides, cues, how).eval()
        self.class_names = ("item",) if decides == "one_class" else ("cued", "plain")
        self.feature_layers = ("plain.act",)
        self.provenance = Provenance("cue", "toy", "", domain, str(letterbox or "any"))


def shown(
    *cues: tuple[int, int], item: tuple[int, int] = ITEM, background: float = 1.0, size=SIZE
) -> Tensor:
    """An image with the item and some cues."""
    squares = [("red", *item), *(("blue", *cue) for cue in cues)]
    return scene(*squares, background=background, size=size)
