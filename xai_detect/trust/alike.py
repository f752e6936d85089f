"""The most similar confirmed detections: what a person holds a detection against.

They are a picture for people. How similar they are enters no level and no probability.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from jaxtyping import Float, UInt8
from torch import Tensor

from xai_detect.values.boxes import Box
from xai_detect.values.detections import Target
from xai_detect.values.frame import Frame, Placed

SHOWN = 2
"""So many stand beside a detection."""


@dataclass(frozen=True, slots=True, eq=False)
class Confirmed:
    """A detection that is right as annotated, and what is needed to show it.

    Attributes:
        source: The file it was found in.
        box: In pixels of that file.
        target: The question about it, in content pixels.
        features: What each channel contributes to it, at length 1; see ``contributions``.
        content: The image as the network sees it, in 8 bits to save memory.
        frame: Where that lies in the input.
    """

    source: str
    box: Box
    target: Target
    features: Float[Tensor, "d"]
    content: UInt8[Tensor, "3 a b"]
    frame: Frame

    def placed(self) -> Placed:
        """Its image in the detector's input; its pixels are content pixels."""
        return Placed.of(self.content.float() / 255, self.frame)


class Near(NamedTuple):
    """A confirmed detection beside another.

    Attributes:
        similarity: Cosine of their features, above 0 and at most 1.
        confirmed: The confirmed one.
    """

    similarity: float
    confirmed: Confirmed


def nearest(
    features: Float[Tensor, "d"], label: int, confirmed: Sequence[Confirmed], count: int = SHOWN
) -> list[Near]:
    """The most similar ones of a class, best first; as similar ones by the name of their file.

    What has no channel in common is not similar: large and small objects may be read from other
    layers.

    Args:
        features: Those of the detection, at length 1.
        label: The class under which it was detected.
        confirmed: All there are; the detection's own image is to be left out before.
        count: At most so many.
    """
    found = [
        Near(min(similarity, 1.0), held)
        for held in confirmed
        if held.target.label == label and (similarity := float(features @ held.features)) > 0
    ]
    found.sort(key=lambda near: (-near.similarity, near.confirmed.source))
    return found[:count]
