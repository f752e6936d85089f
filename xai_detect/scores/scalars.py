"""The number that is explained: scalars read off a detector's raw predictions for one question.

Differentiable ones follow the target's own candidate; they are what gradients are taken of. Those
for changed images look at all raw predictions near the box, because a neighbouring candidate may
take over without the object being lost.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from xai_detect.detectors.protocol import Candidates, Detector, Raw, RawDetector, WhiteBoxDetector
from xai_detect.errors import InputError
from xai_detect.values import boxes
from xai_detect.values.boxes import Box
from xai_detect.values.detections import Detections, Target
from xai_detect.values.frame import Frame

SAME_OBJECT = 0.5
"""A raw prediction that overlaps a box by this IoU still means the same object."""

DIFFERENTIABLE = (
    "logit", "margin", "probability", "iou_probability", "side_l", "side_t", "side_r", "side_b",
)  # fmt: skip
"""Scalars with a gradient; ``differentiable`` says what each is."""

SIDES = {"side_l": 0, "side_t": 1, "side_r": 2, "side_b": 3}

SURVIVAL = ("max_raw", "max_raw_cos", "margin", "post_nms")
"""Scalars for changed images, without gradient; ``survival``, ``cosine_survival``,
``margin_survival`` and ``kept`` say what each is."""

CERTAIN = 1e-6
"""Probabilities are read as this far from 0 and 1 at least, where log-odds are taken of them."""


def check_differentiable(name: str, detector: Detector) -> None:
    """Check that a scalar of ``DIFFERENTIABLE`` can be read off a detector.

    Raises:
        InputError: If there is no such scalar, or ``margin`` is asked of a one-class detector.
    """
    if name not in DIFFERENTIABLE:
        raise InputError(f"there is no scalar {name!r}; choose from {', '.join(DIFFERENTIABLE)}")
    if name == "margin" and len(detector.class_names) < 2:
        raise InputError(
            "the scalar 'margin' compares two classes, but this detector has one; use 'logit'"
        )


def check_survival(name: str, detector: Detector) -> None:
    """Check that a scalar of ``SURVIVAL``, or ``auto``, can be read off a detector.

    Raises:
        InputError: If there is no such scalar, or it needs raw predictions that are not shown.
    """
    if name not in ("auto", *SURVIVAL):
        raise InputError(f"there is no scalar {name!r}; choose from auto, {', '.join(SURVIVAL)}")
    if name not in ("auto", "post_nms") and not isinstance(detector, RawDetector):
        raise InputError(
            f"scalar {name!r} needs raw predictions, which this detector does not show; "
            "use 'post_nms'"
        )
    if name == "margin" and len(detector.class_names) < 2:
        raise InputError(
            "the scalar 'margin' compares two classes, but this detector has one; use 'max_raw'"
        )


Reader = Callable[[Candidates], Float[Tensor, "b k"]]
"""Reads one number per image and target off the targets' candidates."""


def differentiable(
    name: str,
    detector: WhiteBoxDetector,
    targets: Sequence[Target],
    frame: Frame,
    pixels: Float[Tensor, "1 3 i j"],
) -> Reader:
    """The reader of one of ``DIFFERENTIABLE`` for some targets.

    - ``logit``: log-odds of the confidence; for a sigmoid head the class logit.
    - ``margin``: log-odds of the class less those of the target's rival, or of the runner-up, which
      is fixed at ``pixels``.
    - ``probability``: the confidence; it saturates near 1.
    - ``iou_probability``: confidence times IoU of the candidate's box with the target's. At the
      image itself the IoU is at its peak and has no gradient there: for paths and search only.
    - ``side_l``, ``side_t``, ``side_r``, ``side_b``: one side of the candidate's box, image pixels.

    Args:
        name: Which.
        detector: The detector that found the targets.
        targets: The questions.
        frame: Where the image lies in the input.
        pixels: The unchanged input; see ``passes_ahead``.

    Raises:
        InputError: If there is no such scalar, or ``margin`` is asked of a one-class detector.
    """
    check_differentiable(name, detector)
    labels = torch.tensor([target.label for target in targets], dtype=torch.int64)
    rows = torch.arange(len(targets))
    match name:
        case "logit":
            return lambda found: found.log_odds[:, rows, labels]
        case "probability":
            return lambda found: found.log_odds[:, rows, labels].sigmoid()
        case "iou_probability":
            whole = frame.boxes_to_input(torch.tensor([target.box for target in targets]))
            return lambda found: (
                _paired_iou(found.boxes, whole) * found.log_odds[:, rows, labels].sigmoid()
            )
        case "margin":
            rivals = _rivals(detector, targets, frame, pixels)
            return lambda found: found.log_odds[:, rows, labels] - found.log_odds[:, rows, rivals]
        case _:
            side = SIDES[name]
            scale, padding = frame.scale[1 - side % 2], (frame.left, frame.top)[side % 2]
            return lambda found: (found.boxes[:, :, side] - padding) / scale


def passes_ahead(name: str, targets: Sequence[Target]) -> int:
    """Forward passes that ``differentiable`` takes: 1 where it looks for a runner-up, else 0."""
    return int(name == "margin" and any(target.rival is None for target in targets))


def _rivals(
    detector: WhiteBoxDetector, targets: Sequence[Target], frame: Frame, pixels: Tensor
) -> Int[Tensor, "k"]:
    """The class that each target is compared with: its rival, else the runner-up at ``pixels``."""
    named = torch.tensor([-1 if target.rival is None else target.rival for target in targets])
    if not passes_ahead("margin", targets):
        return named
    with torch.no_grad():
        log_odds = detector.candidate(pixels, targets, frame).log_odds[0].clone()
    for row, target in enumerate(targets):
        log_odds[row, target.label] = -torch.inf
    return torch.where(named < 0, log_odds.argmax(dim=1).cpu(), named)


def _paired_iou(found: Float[Tensor, "b k 4"], wanted: Float[Tensor, "k 4"]) -> Tensor:
    wanted = wanted.to(found)
    low = torch.maximum(found[..., :2], wanted[:, :2])
    high = torch.minimum(found[..., 2:], wanted[:, 2:])
    overlap = (high - low).clamp(min=0).prod(dim=-1)
    union = boxes.area(found) + boxes.area(wanted) - overlap
    return overlap / union.clamp(min=torch.finfo(overlap.dtype).tiny)


def class_survival(raw: Raw, box: Box, frame: Frame) -> Float[Tensor, "b c"]:
    """How well each class is still found in a box, in [0, 1], without gradients.

    The highest confidence per class among raw predictions that overlap the box by IoU >= 0.5; 0 if
    none does.

    Args:
        raw: Predictions of a batch.
        box: In image pixels.
        frame: Where the image lies in the input.
    """
    if not raw.boxes.shape[1]:  # a sealed black box that reports nothing
        return raw.probabilities.new_zeros(len(raw.probabilities), raw.probabilities.shape[2])
    wanted = frame.boxes_to_input(torch.tensor([box])).to(raw.boxes)
    overlap = boxes.iou(wanted, raw.boxes.flatten(0, 2))[0].view(raw.boxes.shape[:3])
    found = torch.where(overlap >= SAME_OBJECT, raw.probabilities, 0.0)
    none = found.new_zeros(found.shape[0], found.shape[2])  # a black box may report nothing at all
    return found.amax(dim=1) if found.shape[1] else none


def survival(raw: Raw, targets: Sequence[Target], frame: Frame) -> Float[Tensor, "b k"]:
    """The scalar ``max_raw`` of each target, in [0, 1].

    The largest product of a raw prediction's IoU with the target's box and its confidence for the
    target's class.

    Args:
        raw: Predictions of a batch.
        targets: The questions.
        frame: Where the image lies in the input.
    """
    wanted = _wanted(targets, frame).to(raw.boxes)
    overlaps = _overlaps(raw, wanted, [target.label for target in targets])
    best = [
        (overlap * raw.probabilities[:, :, target.label]).amax(dim=1)
        for target, overlap in zip(targets, overlaps, strict=True)
    ]
    return torch.stack(best, dim=1) if best else raw.boxes.new_zeros(len(raw.boxes), 0)


def cosine_survival(
    raw: Raw, targets: Sequence[Target], frame: Frame, whole: Raw
) -> Float[Tensor, "b k"]:
    """The scalar ``max_raw_cos`` of each target: D-RISE's own similarity, in [0, 1].

    The largest product of IoU, cosine between the class probabilities of a raw prediction and
    those of the target in the unchanged image, and objectness, for which the largest
    class probability stands. Petsiuk et al., CVPR 2021.

    Args:
        raw: Predictions of a batch.
        targets: The questions; what stands for each in ``whole`` is the raw prediction that
            answers ``max_raw`` best.
        frame: Where the image lies in the input.
        whole: Predictions for the unchanged image.
    """
    wanted = _wanted(targets, frame).to(raw.boxes)
    labels = [target.label for target in targets]
    objectness = raw.probabilities.amax(dim=2)
    lengths = raw.probabilities.norm(dim=2).clamp(min=1e-12)
    best = []
    for label, before, overlap in zip(
        labels, _overlaps(whole, wanted, labels), _overlaps(raw, wanted, labels), strict=True
    ):
        row = int((before[0] * whole.probabilities[0, :, label]).argmax())
        asked = whole.probabilities[0, row]
        cosine = raw.probabilities @ (asked / asked.norm().clamp(min=1e-12)) / lengths
        best.append((overlap * cosine * objectness).amax(dim=1))
    return torch.stack(best, dim=1) if best else raw.boxes.new_zeros(len(raw.boxes), 0)


def margin_survival(raw: Raw, targets: Sequence[Target], frame: Frame) -> Float[Tensor, "b k"]:
    """The scalar ``margin`` of each target on changed images: why this class, in [0, 1].

    The logistic of the log-odds by which the class leads its rival, or the strongest other, among
    the raw predictions at the box (IoU >= 0.5), times the largest probability of any class there: 0
    where nothing is seen, a half where two classes are seen alike.

    Args:
        raw: Predictions of a batch.
        targets: The questions.
        frame: Where the image lies in the input.
    """
    columns = []
    for target in targets:
        found = class_survival(raw, target.box, frame)
        log_odds = found.double().clamp(CERTAIN, 1 - CERTAIN).logit()
        if target.rival is None:
            others = log_odds.clone()
            others[:, target.label] = -torch.inf
        else:
            others = log_odds[:, target.rival, None]
        lead = log_odds[:, target.label] - others.amax(dim=1)
        columns.append(lead.sigmoid().to(found) * found.amax(dim=1))
    return torch.stack(columns, dim=1) if columns else raw.boxes.new_zeros(len(raw.boxes), 0)


def _wanted(targets: Sequence[Target], frame: Frame) -> Float[Tensor, "k 4"]:
    """The targets' boxes in input pixels."""
    rows = torch.tensor([target.box for target in targets], dtype=torch.float32)
    return frame.boxes_to_input(rows.reshape(-1, 4))


def _overlaps(
    raw: Raw, wanted: Float[Tensor, "k 4"], labels: Sequence[int]
) -> Iterator[Float[Tensor, "b a"]]:
    """IoU of every raw prediction with one wanted box after the other.

    With a box per class, the label's own counts. One at a time, because a table of all predictions
    by all boxes does not fit the processor's cache.
    """
    shared = raw.boxes.shape[2] == 1
    columns = [0 if shared else label for label in labels]
    sides = {
        column: tuple(side.contiguous() for side in raw.boxes[:, :, column].unbind(dim=2))
        for column in set(columns)
    }
    areas = {
        column: (right - left).clamp(min=0) * (bottom - top).clamp(min=0)
        for column, (left, top, right, bottom) in sides.items()
    }
    for column, box in zip(columns, wanted, strict=True):
        left, top, right, bottom = sides[column]
        x1, y1, x2, y2 = box
        across = (torch.minimum(right, x2) - torch.maximum(left, x1)).clamp_(min=0)
        overlap = across.mul_((torch.minimum(bottom, y2) - torch.maximum(top, y1)).clamp_(min=0))
        union = areas[column] + boxes.area(box) - overlap
        yield overlap / union.clamp_(min=torch.finfo(overlap.dtype).tiny)


def kept(found: Detections, targets: Sequence[Target]) -> Float[Tensor, "k"]:
    """The scalar ``post_nms`` of each target: ``max_raw`` over final detections; 0 without any.

    For sealed black boxes only; it jumps where a detection crosses the threshold.
    """
    if len(found) == 0:
        return torch.zeros(len(targets))
    overlap = boxes.iou(torch.tensor([target.box for target in targets]), found.boxes)
    labels = torch.tensor([target.label for target in targets])
    same = found.labels[None, :] == labels[:, None]
    return (overlap * same * found.scores).amax(dim=1)
