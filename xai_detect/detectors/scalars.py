"""Numbers read off a detector for one question; all differentiable ones take ``Candidates``."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect import boxes
from xai_detect.detectors.protocol import Raw
from xai_detect.frame import Frame
from xai_detect.types import Target


def survival(
    raw: Raw, targets: Sequence[Target], frame: Frame, least_iou: float = 0.5
) -> Float[Tensor, "b k"]:
    """How well each target's object is still found, in [0, 1], without gradients.

    The highest confidence for the target's class among raw predictions that overlap its box by at
    least ``least_iou``; 0 if none does. Suppression is not in it, because a neighbouring candidate
    may take over without the object being lost.
    """
    wanted = frame.boxes_to_input(torch.tensor([target.box for target in targets]))
    wanted = wanted.to(raw.boxes)
    found = raw.probabilities.new_zeros(len(raw.boxes), len(targets))
    for item, (places, probabilities) in enumerate(zip(*raw, strict=True)):
        for row, target in enumerate(targets):
            place = places[:, target.label if places.shape[1] > 1 else 0]
            near = boxes.iou(wanted[row : row + 1], place)[0] >= least_iou
            found[item, row] = torch.where(near, probabilities[:, target.label], 0.0).amax()
    return found
