"""Boxes from elsewhere, matched to what a detector itself predicts on the image."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect.detectors.place import Image, place
from xai_detect.detectors.protocol import Detector, Named, NamedDetector, Raw, RawDetector
from xai_detect.errors import InputError
from xai_detect.values import boxes
from xai_detect.values.detections import UNKNOWN, Detections
from xai_detect.values.frame import Frame

SAME_OBJECT = 0.5
"""A raw prediction that overlaps a box less than this is another object."""

SAME_BOX = 1e-3
"""Raw predictions whose overlaps with a box differ by less are told apart by their scores."""

SAME_SCORE = 1e-3
"""A raw prediction may be told by its score, where it is reported for several classes."""


def match_candidates(detector: Detector, image: Image, detections: Detections) -> Detections:
    """Give boxes that came from elsewhere the raw predictions of a detector that fit them best.

    A box without a candidate (-1) gets, of the raw predictions that overlap it by IoU >= 0.5, one
    of its own class where there is one: the one that overlaps most; of several alike, the one whose
    confidence for the class is closest. Where none fits, the candidate stays -1. Boxes that have a
    candidate keep it.

    Args:
        detector: The detector to explain; it must show its raw predictions.
        image: RGB in [0, 1], or the same placed in the detector's input by ``place``.
        detections: Boxes in pixels of this image, with the detector's own class names.

    Raises:
        InputError: If the detector shows no raw predictions, or image size or class names differ.
    """
    if not isinstance(detector, RawDetector):
        raise InputError(
            f"{detector.provenance.name} shows no raw predictions to match boxes with; use a "
            "method that needs only scores, such as occlusion or d_rise"
        )
    placed = place(detector, image)
    frame = placed.frame
    if detections.image_size != frame.image_size:
        raise InputError(
            f"the boxes belong to an image of {detections.image_size[1]} x "
            f"{detections.image_size[0]} pixels, but this one has {frame.image_size[1]} x "
            f"{frame.image_size[0]}"
        )
    if detections.class_names != detector.class_names:
        raise InputError(
            "the boxes have other class names than the detector; read them with its class_names"
        )
    unknown = (detections.candidates == UNKNOWN).nonzero()[:, 0].tolist()
    if not unknown:
        return detections
    predictions = named(detector, placed.pixels)
    candidates, proposals = detections.candidates.clone(), detections.proposals.clone()
    for row in unknown:
        found = _best(predictions.raw, frame, detections, row)
        if found is not None:
            candidates[row] = predictions.candidates[0, found]
            if predictions.proposals is not None:
                proposals[row] = frame.boxes_to_image(predictions.proposals[0, found][None])[0]
    return replace(detections, candidates=candidates, proposals=proposals)


def named(detector: RawDetector, pixels: Float[Tensor, "b 3 i j"]) -> Named:
    """Every raw prediction with what a target calls it: the number of its row, if nothing else."""
    if isinstance(detector, NamedDetector):
        return detector.named(pixels)
    raw = detector.raw(pixels)
    return Named(raw, torch.arange(raw.boxes.shape[1]).expand(len(pixels), -1), None)


def _best(raw: Raw, frame: Frame, detections: Detections, row: int) -> int | None:
    """The row of the raw predictions that fits a box best; None where none does."""
    label = int(detections.labels[row])
    column = label if raw.boxes.shape[2] > 1 else 0
    places = frame.boxes_to_image(raw.boxes[0, :, column]).cpu()
    # A head without bins may turn a weak box inside out.
    places[:, 2:] = torch.maximum(places[:, :2], places[:, 2:])
    overlaps = boxes.iou(detections.boxes[row][None].to(places), places)[0]
    probabilities = raw.probabilities[0].cpu()
    apart = (probabilities[:, label] - detections.scores[row]).abs()
    near = overlaps >= SAME_OBJECT
    own = near & ((probabilities.argmax(dim=1) == label) | (apart <= SAME_SCORE))
    near = own if bool(own.any()) else near
    if not bool(near.any()):
        return None
    near &= overlaps >= overlaps[near].max() - SAME_BOX
    return int(apart.masked_fill(~near, torch.inf).argmin())
