"""ODAM: gradient times activation per detection, for the class and for each side of the box."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.errors import InputError
from xai_detect.explainers.activations.cam import product
from xai_detect.explainers.activations.layers import AUTO, OpenLayers, checked_layer
from xai_detect.explainers.gradients.integrated import refuse_pointless
from xai_detect.explainers.protocol import Attribution, Needs
from xai_detect.values.detections import Target
from xai_detect.values.frame import Placed

SIDES = ("side_l", "side_t", "side_r", "side_b")
PARTS = ("class", *SIDES, "combined")


@dataclass(frozen=True, slots=True)
class Odam:
    """ODAM: gradient times activation in every cell of the level that produced the box.

    ``sum_c g_c A_c`` of the class's probability or of a side of the box in pixels. The paper draws
    the positive part; here the sign is kept, and on a side it says which way the cell moves it.
    ``combined`` is the largest of the five, cell for cell: of each the positive part, as a share
    of its own peak, because probabilities and pixels have no common unit; it lies in [0, 1].

    Two 3x3 convolutions of a head see 5x5 cells: such a map cannot show context. A detector whose
    head is made of convolutions is asked for all boxes in one small backward pass.

    Zhao, Chan, "ODAM: Gradient-based Instance-Specific Visual Explanations for Object Detection",
    ICLR 2023.

    Attributes:
        part: ``class``, ``side_l``, ``side_t``, ``side_r``, ``side_b`` or ``combined``.
        layer: ``auto`` for the levels that enter the head, or names of layers separated by commas.
        scalar: What stands for the class: a name in ``DIFFERENTIABLE``.
    """

    name: ClassVar[str] = "odam"
    input_level: ClassVar[bool] = False
    takes_placed: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs.GRADIENTS
    citation: ClassVar[str] = "Zhao, Chan, ODAM, ICLR 2023"
    part: str = "class"
    layer: str = AUTO
    scalar: str = "probability"

    def __post_init__(self) -> None:
        if self.part not in PARTS:
            raise InputError(f"part is {self.part!r}; choose from {', '.join(PARTS)}")
        checked_layer(self.layer)
        refuse_pointless(self.name, self.scalar)

    def __call__(
        self, detector: WhiteBoxDetector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return one map per target, in the scalar's unit; ``combined`` has none.

        Raises:
            InputError: If a side of the box is explained and a target has a rival.
        """
        if self.part in SIDES and any(target.rival is not None for target in targets):
            raise InputError(
                f"part is {self.part!r}, a place, but a contrast compares classes; use part='class'"
            )
        layers = OpenLayers(detector, placed, targets, self.layer)
        if self.part == "combined":
            found = self._combined(layers, targets)
        else:
            scalar = self.scalar if self.part == "class" else self.part
            found = [
                layers.to_image(
                    {slope.layer: product(layers, slope, slope.values) for slope in slopes}
                )
                for slopes in layers.slopes(scalar)
            ]
        return [Attribution(heatmap, layers.passes()) for heatmap in found]

    def _combined(self, layers: OpenLayers, targets: Sequence[Target]) -> list[Tensor]:
        largest: list[Tensor | None] = [None] * len(targets)
        for scalar in (self.scalar, *SIDES):
            for row, slopes in enumerate(layers.slopes(scalar)):
                maps = {
                    slope.layer: product(layers, slope, slope.values).clamp(min=0)
                    for slope in slopes
                }
                drawn = layers.to_image(maps)
                peak = drawn.amax()
                drawn = drawn / torch.where(peak > 0, peak, 1.0)
                before = largest[row]
                largest[row] = drawn if before is None else torch.maximum(before, drawn)
        return [heatmap for heatmap in largest if heatmap is not None]

    def brief(self) -> "Odam":
        """The method itself, which is as cheap as can be."""
        return self

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """One forward pass; a backward pass per target and part, or one per part for all."""
        parts = 1 + len(SIDES) if self.part == "combined" else 1
        return 1.0, float(targets * parts)
