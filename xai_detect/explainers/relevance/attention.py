"""Where a transformer detector's query looked: deformable attention splatted onto the image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from xai_detect.detectors.attention import AttentionDetector, Sampled
from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.errors import InputError
from xai_detect.explainers.protocol import Attribution, Needs
from xai_detect.values.boxes import Size
from xai_detect.values.detections import Target
from xai_detect.values.frame import Placed

ABLE = "RT-DETR (ultralytics, rtdetr-l or rtdetr-x)"


@dataclass(frozen=True, slots=True)
class Attention:
    """Each sampling point's weight, added bilinearly at its place on its level, over all heads.

    A map sums to the weight that fell inside the image, at most layers times heads; a cell's weight
    is spread evenly over its pixels. Attention is not attribution: it says from where a query read,
    not what it made of it, and the same map serves every class. Test it by deletion before it is
    believed.

    Zhu et al., "Deformable DETR: Deformable Transformers for End-to-End Object Detection", ICLR
    2021, for the attention; the splat is this project's own.

    Attributes:
        layers: How many decoder layers count, from the last; 0 takes all.
    """

    name: ClassVar[str] = "attention"
    input_level: ClassVar[bool] = False
    takes_placed: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs.ATTENTION
    citation: ClassVar[str] = (
        "Zhu et al., Deformable DETR: Deformable Transformers for End-to-End Object Detection, "
        "ICLR 2021"
    )
    layers: int = 0

    def __post_init__(self) -> None:
        if self.layers < 0:
            raise InputError(f"layers is {self.layers}; expected 0 for all, or how many")

    def __call__(
        self, detector: WhiteBoxDetector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return attention weight per pixel, never negative."""
        if not isinstance(detector, AttentionDetector):
            raise InputError(
                f"attention needs a detector whose queries read features through attention, which "
                f"{detector.provenance.name} does not show; {ABLE} does"
            )
        frame = placed.frame
        with torch.no_grad():
            found = detector.sampled(placed.pixels, targets, frame)
        depth = int(found.layers.max()) + 1
        kept = found.layers >= depth - (self.layers or depth)
        found = Sampled(
            found.places[:, kept], found.weights[:, kept], found.levels[kept], found.layers[kept],
            found.shapes,
        )  # fmt: skip
        maps = frame.map_to_image(splat(found, frame.input_size))
        maps = maps * (frame.scale[0] * frame.scale[1])  # the area of an image pixel in the input
        return [
            Attribution(
                heatmap,
                {
                    "attention": float(found.weights[row].sum()),
                    "inside_image": float(heatmap.sum()) / float(found.weights[row].sum()),
                    "forward_passes": 1.0,
                    "backward_passes": 0.0,
                },
            )
            for row, heatmap in enumerate(maps)
        ]

    def brief(self) -> "Attention":
        """The method itself, which is as cheap as can be."""
        return self

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """One forward pass."""
        del targets
        return 1.0, 0.0


def splat(found: Sampled, input_size: Size) -> Float[Tensor, "k i j"]:
    """Weights on the cells of each level, spread evenly over their input pixels, and summed."""
    maps = torch.zeros(len(found.places), *input_size)
    for level, shape in enumerate(found.shapes):
        own = found.levels == level
        cells = on_cells(found.places[:, own], found.weights[:, own], shape)
        area = input_size[0] * input_size[1] / (shape[0] * shape[1])
        maps += functional.interpolate(cells[:, None], size=input_size, mode="nearest")[:, 0] / area
    return maps


def on_cells(
    places: Float[Tensor, "k s 2"], weights: Float[Tensor, "k s"], shape: Size
) -> Float[Tensor, "k r c"]:
    """Weights added bilinearly to the four cells around each place; none beyond the border."""
    rows, columns = shape
    x, y = places[..., 0] * columns - 0.5, places[..., 1] * rows - 0.5
    cells = torch.zeros(len(places), rows * columns)
    for down in (0, 1):
        for right in (0, 1):
            column, row = x.floor() + right, y.floor() + down
            share = (1 - (x - column).abs()) * (1 - (y - row).abs()) * weights
            inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
            place: Int[Tensor, "k s"] = (row * columns + column).long().clamp(0, rows * columns - 1)
            cells.scatter_add_(1, place, torch.where(inside, share, 0.0))
    return cells.view(-1, rows, columns)
