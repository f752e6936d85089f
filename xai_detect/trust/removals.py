"""The removal tests: what the detector still finds when parts of the image are gone.

Masks are over content pixels, and what is hidden is hidden there: see ``values.frame``.
"""

import math

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from xai_detect.detectors.protocol import Detector, Raw, RawDetector
from xai_detect.scores.scalars import class_kept, class_survival
from xai_detect.scores.survival import FAINT, fitting_batch
from xai_detect.trust.maps import smooth, smoothing_width
from xai_detect.values import boxes, fills
from xai_detect.values.detections import Target
from xai_detect.values.frame import Frame, Placed

FAINTEST = 1e-4
"""Confidences below this are all the same: nothing."""

RIVALS = (
    "rival", "rival_label", "rival_box_only", "rival_box_label",
    "margin", "margin_box_only", "margin_without_outside",
)  # fmt: skip

RATIOS = ("necessity", "sufficiency", "outside_effect")

MOST_PASSES = 7
"""Forward passes that ``weigh`` spends on one detection, repeatability left out."""

EMPTY = {"photo": ("grey", "mean"), "xray": ("air", "mean")}
"""Fills that mean "nothing there" around a kept box; two, so that no one fill decides."""

REGION_SHARE = 0.5
"""Part of the outside evidence that ``outside_region`` holds, its rim left out."""

RIM = 2.5
"""Width of the rim around that region, in standard deviations of the smoothing."""


def removals(
    detector: Detector,
    placed: Placed,
    target: Target,
    heatmap: Float[Tensor, "a b"],
    unchanged: Raw | None,
) -> dict[str, float]:
    """Scores with parts of the image removed, and what follows from them; see ``trust.evidence``.

    Args:
        detector: The detector that found the target.
        placed: The image.
        target: The question.
        heatmap: Its map, in content pixels: what is removed outside follows from it.
        unchanged: The detector's raw predictions for the image as it is; None computes them.
    """
    content, own = placed.content, placed.frame.box_to_content(target.box)
    size = placed.frame.content_size
    box, near = boxes.mask(own, size), boxes.mask(boxes.near(own), size)
    first, second = EMPTY[detector.provenance.domain]
    beyond = outside_region(heatmap, near)
    placebo = None if beyond is None else elsewhere(beyond, near)
    changed = {
        "without_box": fills.hide(content, box, "inpaint"),
        "context_only": fills.hide(content, near, first),
        "first": fills.hide(content, ~near, first),
        "second": fills.hide(content, ~near, second),
    }
    if beyond is not None:
        changed["without_outside"] = fills.hide(content, beyond, "inpaint")
    if placebo is not None:
        changed["without_elsewhere"] = fills.hide(content, placebo, "inpaint")
    inputs = placed.frame.pad(torch.stack(list(changed.values())))
    rows = _survivals(detector, inputs, target, placed.frame)
    found = dict(zip(changed, rows, strict=True))
    if unchanged is None:
        whole = _survivals(detector, placed.pixels, target, placed.frame)[0]
    else:
        whole = class_survival(unchanged, target.box, placed.frame)[0].cpu()
    if beyond is None:
        found["without_outside"] = found["without_elsewhere"] = whole
    alone = torch.stack([found["first"], found["second"]])
    values = {
        "score": float(whole[target.label]),
        "without_box": float(found["without_box"][target.label]),
        "context_only": float(found["context_only"][target.label]),
        "box_only": float(alone[:, target.label].max()),
        "box_only_least": float(alone[:, target.label].min()),
        "without_outside": float(found["without_outside"][target.label]),
        "without_elsewhere": math.nan,
        "forward_passes": float(len(inputs) + (unchanged is None)),
    }
    if "without_elsewhere" in found:
        values["without_elsewhere"] = float(found["without_elsewhere"][target.label])
    if not isinstance(detector, RawDetector):
        return {**values, **dict.fromkeys((*RATIOS, *RIVALS), math.nan)}
    rivals = _rivals(whole, alone, found["without_outside"], target.label)
    return {**values, **_ratios(values), **rivals}


def _survivals(
    detector: Detector, inputs: Float[Tensor, "n 3 i j"], target: Target, frame: Frame
) -> Float[Tensor, "n c"]:
    """Per input and class, the confidence still found at the target's box."""
    rows = []
    for some in torch.split(inputs, fitting_batch(detector, frame)):
        if isinstance(detector, RawDetector):
            rows.append(class_survival(detector.raw(some), target.box, frame).cpu())
        else:
            found = detector.detect(some, frame, FAINT)
            rows.append(torch.stack([class_kept(each, target.box) for each in found]).cpu())
    return torch.cat(rows)


def _ratios(values: dict[str, float]) -> dict[str, float]:
    score = values["score"]
    if score == 0:
        return dict.fromkeys(RATIOS, math.nan)
    lost = (values["without_elsewhere"] - values["without_outside"]) / score
    return {
        "necessity": _unit(1 - values["without_box"] / score),
        "sufficiency": _unit(values["box_only"] / score),
        "outside_effect": lost if math.isnan(lost) else max(-1.0, min(1.0, lost)),
    }


def _rivals(
    whole: Float[Tensor, "c"],
    alone: Float[Tensor, "2 c"],
    without: Float[Tensor, "c"],
    label: int,
) -> dict[str, float]:
    if len(whole) < 2:
        return dict.fromkeys(RIVALS, math.nan)
    rival, strongest, margin = _against(whole, label)
    boxes_alone = [_against(survivals, label) for survivals in alone]
    rival_box, strongest_box, margin_box = min(boxes_alone, key=lambda lead: lead[2])
    return {
        "rival": strongest,
        "rival_label": float(rival),
        "rival_box_only": strongest_box,
        "rival_box_label": float(rival_box),
        "margin": margin,
        "margin_box_only": margin_box,
        "margin_without_outside": _against(without, label)[2],
    }


def _against(found: Float[Tensor, "c"], label: int) -> tuple[int, float, float]:
    """The strongest other class, its confidence, and the log-odds by which the label leads it."""
    others = found.clone()
    others[label] = -1
    rival = int(others.argmax())
    odds = found[[label, rival]].double().clamp(FAINTEST, 1 - FAINTEST).logit()
    return rival, float(found[rival]), float(odds[0] - odds[1])


def _unit(value: float) -> float:
    return max(0.0, min(1.0, value))


def outside_region(
    heatmap: Float[Tensor, "h w"], near: Bool[Tensor, "h w"]
) -> Bool[Tensor, "h w"] | None:
    """The smallest region beyond the ring that holds half of the evidence there, and its rim.

    The rim keeps what is inpainted there from continuing the very thing that is removed.
    None if there is no positive evidence beyond the ring.
    """
    beyond = smooth(heatmap.clamp(min=0))
    beyond = torch.where(near, 0.0, beyond)
    total = float(beyond.sum())
    if total <= 0:
        return None
    ranked, order = beyond.flatten().sort(descending=True)
    count = int((ranked.cumsum(0) < REGION_SHARE * total).sum()) + 1
    region = torch.zeros(heatmap.numel(), dtype=torch.uint8)
    region[order[:count]] = 1
    side = 2 * round(RIM * smoothing_width(heatmap)) + 1
    grown = cv2.dilate(region.view(heatmap.shape).numpy(), np.ones((side, side), np.uint8))
    return torch.from_numpy(grown).bool() & ~near


def elsewhere(region: Bool[Tensor, "h w"], near: Bool[Tensor, "h w"]) -> Bool[Tensor, "h w"] | None:
    """A placebo for the removal of a region: as many pixels, none of them in it or in ``near``.

    The region turned by half a turn about the image's centre; where that falls on the region or on
    ``near``, the free pixels closest to it take its place. None if there are too few free pixels.
    """
    free, wanted = ~(region | near), int(region.sum())
    if int(free.sum()) < wanted:
        return None
    turned = region.flip(0, 1) & free
    if not bool(turned.any()):
        turned = _farthest(free, region)
    distance = _distance(turned).masked_fill(~free, float("inf")).flatten()
    chosen = torch.zeros(region.numel(), dtype=torch.bool)
    chosen[distance.argsort(stable=True)[:wanted]] = True
    return chosen.view(region.shape)


def _farthest(free: Bool[Tensor, "h w"], region: Bool[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    """The free pixel that is farthest from a region, the first of several."""
    place = _distance(region).masked_fill(~free, -1.0).flatten().argmax()
    chosen = torch.zeros(free.numel(), dtype=torch.bool)
    chosen[place] = True
    return chosen.view(free.shape)


def _distance(region: Bool[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """Each pixel's distance to the region, in pixels; 0 inside."""
    outside = (~region).numpy().astype(np.uint8)
    return torch.from_numpy(cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE))
