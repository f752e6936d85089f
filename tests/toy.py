"""A detector small enough to know every answer by hand; ``from toy import ToyDetector``.

It looks for red, green and blue squares on a grid of cells. With ``own`` the mean of a colour in a
cell minus the mean of the other two colours there, the logit of that colour is
``BIAS + GAIN * own``: 4 for a full square, ``BIAS`` for a white, grey or black cell. So without
``curved`` the gradient of a logit is ``GAIN / cell**2`` on each pixel of its own colour in the
cell, half of that with a minus on the other two colours, and exactly 0 elsewhere.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from xai_detect.detectors.protocol import Candidates, Raw
from xai_detect.errors import TargetError
from xai_detect.values.boxes import Size
from xai_detect.values.detections import Detections, Provenance, Target
from xai_detect.values.frame import Frame

GAIN, BIAS = 20.0, -16.0
COLOURS = ("red", "green", "blue")
CELL = 8


class ToyNetwork(nn.Module):
    """Two convolutions: the mean of each colour in a cell, then own colour against the others."""

    def __init__(self, cell: int, elsewhere: float, curved: bool) -> None:
        super().__init__()
        self.means = nn.Conv2d(3, 3, cell, stride=cell)
        self.act = nn.ReLU()
        self.contrast = nn.Conv2d(3, 3, 1)
        with torch.no_grad():
            for layer in (self.means, self.contrast):
                layer.weight.zero_()
                layer.bias.zero_()
            self.means.bias.fill_(1.0)  # the ReLU stays open; the contrast's weights sum to 0
            for colour in range(3):
                self.means.weight[colour, colour] = 1 / cell**2
                self.contrast.weight[colour, :, 0, 0] = -0.5
                self.contrast.weight[colour, colour, 0, 0] = 1.0
        self.elsewhere = elsewhere
        self.curved = curved
        self.fails = False
        self.seen: list[int] = []

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits ``(b, cells, 3)``, cells in reading order."""
        self.seen.append(len(pixels))
        features = self.act(self.means(pixels))
        if self.fails:
            raise RuntimeError("the toy was told to fail")
        own = self.contrast(features).flatten(2).transpose(1, 2)
        if self.curved:
            own = torch.tanh(2 * own) / torch.tanh(torch.tensor(2.0))
        own = (1 - self.elsewhere) * own + self.elsewhere * own[:, :1]
        return BIAS + GAIN * own


class ToyDetector:
    """A white box. Its candidates are cells in reading order; a cell's box is the cell itself.

    Attributes:
        module: The network; ``module.seen`` lists the batch sizes of its forward passes, and with
            ``module.fails = True`` it raises in the middle of the next one.
    """

    def __init__(
        self,
        *,
        cell: int = CELL,
        elsewhere: float = 0.0,
        curved: bool = False,
        letterbox: int | None = None,
        domain: str = "photo",
    ) -> None:
        """Build the toy.

        Args:
            cell: Side of a cell in input pixels.
            elsewhere: Share of every cell's logit that is read from the top left cell instead: a
                detector that decides by something outside the box. Up to 0.75 an empty cell stays
                undetected whatever the corner shows.
            curved: Saturate, so that one gradient is not enough to explain the logit.
            letterbox: Side of the input; None hands images over unchanged.
            domain: ``photo`` or ``xray``.
        """
        self.module = ToyNetwork(cell, elsewhere, curved).eval()
        self.feature_layers: tuple[str, ...] = ("act",)
        self.class_names: tuple[str, ...] = COLOURS
        self.provenance = Provenance("toy", "toy", "", domain, str(letterbox or "any"))
        self.cell = cell
        self.letterbox = letterbox

    def frame(self, image_size: Size) -> Frame:
        if self.letterbox is None:
            return Frame.unchanged(image_size)
        return Frame.letterbox(image_size, self.letterbox, stride=self.cell, fill=114 / 255)

    @torch.no_grad()
    def detect(self, pixels: Tensor, frame: Frame, confidence: float = 0.25) -> list[Detections]:
        raw = self.raw(pixels)
        return [
            self._select(boxes[:, 0], probabilities, frame, confidence)
            for boxes, probabilities in zip(*raw, strict=True)
        ]

    def _select(
        self, cells: Tensor, probabilities: Tensor, frame: Frame, confidence: float
    ) -> Detections:
        scores, labels = probabilities.max(dim=1)
        order = scores.argsort(descending=True, stable=True)
        order = order[scores[order] > confidence]
        boxes = frame.boxes_to_image(cells[order])
        return Detections(
            boxes, scores[order], labels[order], order, boxes, frame.image_size, self.class_names
        )

    @torch.no_grad()
    def raw(self, pixels: Tensor) -> Raw:
        probabilities = self.module(pixels).sigmoid()
        cells = self._cells(pixels).expand(len(pixels), -1, -1)
        return Raw(cells[:, :, None], probabilities)

    def candidate(self, pixels: Tensor, targets: Sequence[Target], frame: Frame) -> Candidates:
        del frame
        logits, cells = self.module(pixels), self._cells(pixels)
        wanted = [target.candidate for target in targets]
        for target in targets:
            if not (0 <= target.candidate < len(cells) and 0 <= target.label < len(COLOURS)):
                raise TargetError(f"no candidate {target.candidate} or label {target.label}")
        return Candidates(logits[:, wanted], cells[wanted].expand(len(pixels), -1, -1))

    def score(self, pixels: Tensor, target: Target, frame: Frame | None = None) -> Tensor:
        frame = frame or Frame.unchanged((pixels.shape[2], pixels.shape[3]))
        return self.candidate(pixels, [target], frame).log_odds[:, 0, target.label]

    def _cells(self, pixels: Tensor) -> Tensor:
        rows, columns = pixels.shape[2] // self.cell, pixels.shape[3] // self.cell
        corners = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).float()
        low = corners.flip(1) * self.cell
        return torch.cat([low, low + self.cell], dim=1)


class RawToy:
    """The same toy, showing no more than its raw predictions."""

    def __init__(self, toy: ToyDetector) -> None:
        self.class_names, self.provenance = toy.class_names, toy.provenance
        self.frame, self.detect, self.raw = toy.frame, toy.detect, toy.raw


class SealedToy:
    """The same toy as a sealed black box: detections and nothing else."""

    def __init__(self, toy: ToyDetector) -> None:
        self.class_names, self.provenance = toy.class_names, toy.provenance
        self.frame, self.detect = toy.frame, toy.detect


def scene(
    *squares: tuple[str, int, int],
    size: Size = (64, 64),
    background: float = 1.0,
    cell: int = CELL,
) -> Tensor:
    """An image with full squares, each given as colour, row and column of its cell."""
    image = torch.full((3, *size), background)
    for colour, row, column in squares:
        value = torch.eye(3)[COLOURS.index(colour)]
        top, left = row * cell, column * cell
        image[:, top : top + cell, left : left + cell] = value[:, None, None]
    return image
