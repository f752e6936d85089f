"""What the raw predictions say about each detection of an image, in numbers that cost nothing.

A detector's answer is more than its boxes: how far the class leads at its own raw prediction, what
else was reported there, and how the predictions around it agree. Another look at the image, at a
higher resolution or by another detector, tells whether it is found there as well.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect.detectors.protocol import Named, Raw
from xai_detect.values import boxes
from xai_detect.values.detections import UNKNOWN, Detections
from xai_detect.values.frame import Frame

OWN = ("confidence", "margin", "overlap_same", "overlap_other", "agreement", "support")
"""Read off the raw predictions that the detections came from."""

AGAIN = ("again", "again_margin")
"""Read off another look at the image; ``second`` likewise, by another detector."""

FAINT = 0.01
"""Raw predictions under this probability are nobody's."""

AROUND, CLOSE = 0.45, 0.7
"""Raw predictions that overlap a box by so much are about it; by so much, they repeat it."""

EDGE = 1e-4
"""Probabilities are read as this far from 0 and 1 at least."""


def own_statistics(found: Detections, whole: Named, frame: Frame) -> dict[str, Float[Tensor, "n"]]:
    """The numbers of ``OWN``, one per detection.

    - ``confidence``: its log-odds.
    - ``margin``: less those of the strongest other class at the same raw prediction; NaN of a
      sealed black box, which tells no other.
    - ``overlap_same``, ``overlap_other``: largest IoU with a stronger detection of the same class,
      and of another.
    - ``agreement``: mean IoU with the raw predictions around the box; 1 without any.
    - ``support``: logarithm of the summed class probabilities of those that repeat it.

    Args:
        found: The detections.
        whole: Raw predictions of the image.
        frame: Where the image lies in the input.
    """
    raw = whole.raw
    places, chances = placed(raw, frame), raw.probabilities[0].cpu()
    seen = chances.amax(dim=1) > FAINT
    overlaps = boxes.iou(found.boxes, places[seen])
    around, close = overlaps > AROUND, overlaps > CLOSE
    mine = chances[seen][:, found.labels].T
    agreement = (overlaps * around).sum(dim=1) / around.sum(dim=1)
    each = boxes.iou(found.boxes, found.boxes)
    stronger = found.scores[None, :] > found.scores[:, None]
    same = found.labels[None, :] == found.labels[:, None]
    return {
        "confidence": _log_odds(found.scores),
        "margin": _margins(found, whole, places),
        "overlap_same": _largest(torch.where(stronger & same, each, 0.0)),
        "overlap_other": _largest(torch.where(stronger & ~same, each, 0.0)),
        "agreement": torch.where(around.any(dim=1), agreement, 1.0),
        "support": ((mine * close).sum(dim=1) + 1e-3).log(),
    }


def again_statistics(
    found: Detections, raw: Raw, frame: Frame, labels: Mapping[int, int] | None = None
) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"]]:
    """Whether each detection is found in another look at the image.

    Args:
        found: The detections.
        raw: Raw predictions of the other look.
        frame: Where the image lies in its input.
        labels: Its label of each of the detections' labels; None if they are the same.

    Returns:
        Log-odds of the largest product of IoU and probability of the class, and its lead over the
        same of the best other class; NaN for classes that the other look does not know.
    """
    places, chances = placed(raw, frame), raw.probabilities[0].cpu()
    seen = chances.amax(dim=1) > EDGE
    overlaps = boxes.iou(found.boxes, places[seen])
    best, leads = [], []
    for row, label in enumerate(found.labels.tolist()):
        other = label if labels is None else labels.get(label)
        if other is None:
            best.append(torch.tensor(torch.nan))
            leads.append(torch.tensor(torch.nan))
            continue
        near = overlaps[row] > 0  # what does not touch the box weighs nothing
        each = overlaps[row][near, None] * chances[seen][near]
        weighed = each.amax(dim=0) if len(each) else torch.zeros(chances.shape[1])
        mine = _log_odds(weighed[other])
        weighed[other] = 0
        best.append(mine)
        leads.append(mine - _log_odds(weighed.amax()))
    none = torch.zeros(0)
    return (torch.stack(best), torch.stack(leads)) if best else (none, none)


def placed(raw: Raw, frame: Frame) -> Float[Tensor, "a 4"]:
    """One box per raw prediction, in image pixels: that of its strongest class."""
    places = raw.boxes[0]
    if places.shape[1] > 1:
        strongest = raw.probabilities[0].argmax(dim=1)
        places = places[torch.arange(len(places)), strongest]
    else:
        places = places[:, 0]
    return frame.boxes_to_image(places).cpu()


def _margins(found: Detections, whole: Named, places: Float[Tensor, "a 4"]) -> Float[Tensor, "n"]:
    if bool((whole.candidates == UNKNOWN).all()):
        return torch.full((len(found),), torch.nan)
    others = whole.raw.probabilities[0].cpu()[_rows(found, whole, places)]
    others[torch.arange(len(found)), found.labels] = 0
    return _log_odds(found.scores) - _log_odds(others.amax(dim=1))


def _rows(found: Detections, whole: Named, places: Float[Tensor, "a 4"]) -> Tensor:
    """The raw prediction of each detection; for one without, the one that overlaps it most."""
    nearest = boxes.iou(found.boxes, places).argmax(dim=1)
    known = {number: row for row, number in enumerate(whole.candidates[0].cpu().tolist())}
    rows = [
        known.get(candidate, int(near)) if candidate != UNKNOWN else int(near)
        for candidate, near in zip(found.candidates.tolist(), nearest.tolist(), strict=True)
    ]
    return torch.tensor(rows, dtype=torch.int64)


def _largest(values: Float[Tensor, "n m"]) -> Float[Tensor, "n"]:
    return values.amax(dim=1) if values.shape[1] else values.new_zeros(len(values))


def _log_odds(probabilities: Tensor) -> Tensor:
    return probabilities.double().clamp(EDGE, 1 - EDGE).logit()
