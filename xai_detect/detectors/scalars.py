"""Numbers read off a detector's raw predictions for one question."""

import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect import boxes
from xai_detect.boxes import Box
from xai_detect.detectors.protocol import Raw
from xai_detect.frame import Frame

SAME_OBJECT = 0.5
"""A raw prediction that overlaps a box by this IoU still means the same object."""


def class_survival(raw: Raw, box: Box, frame: Frame) -> Float[Tensor, "b c"]:
    """How well each class is still found in a box, in [0, 1], without gradients.

    The highest confidence per class among raw predictions that overlap the box by IoU >= 0.5; 0 if
    none does. Suppression is not in it, because a neighbouring candidate may take over without the
    object being lost.

    Args:
        raw: Predictions of a batch.
        box: In image pixels.
        frame: Where the image lies in the input.
    """
    wanted = frame.boxes_to_input(torch.tensor([box])).to(raw.boxes)
    overlap = boxes.iou(wanted, raw.boxes.flatten(0, 2))[0].view(raw.boxes.shape[:3])
    return torch.where(overlap >= SAME_OBJECT, raw.probabilities, 0.0).amax(dim=1)
