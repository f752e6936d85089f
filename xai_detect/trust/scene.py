"""Changed copies of one image, shown to one detector: what every test of a verdict asks.

Masks, boxes and copies are over content pixels: what is hidden is hidden at the resolution at which
the network sees the image, so that neither an answer nor its cost depends on the photograph's size.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from xai_detect.detectors.match import named
from xai_detect.detectors.protocol import (
    Detector,
    Named,
    Raw,
    RawDetector,
    SharingDetector,
    WhiteBoxDetector,
)
from xai_detect.scores.scalars import class_survival
from xai_detect.scores.survival import FAINT, fitting_batch
from xai_detect.values import boxes, fills
from xai_detect.values.boxes import Box, Size
from xai_detect.values.detections import UNKNOWN, Detections, Target
from xai_detect.values.frame import Frame, Placed

CERTAIN = 1e-7
"""Probabilities nearer to 0 or 1 than this are read as this far from it: single precision."""


class Scene:
    """One image as one detector sees it.

    Attributes:
        detector: Who is asked.
        placed: The image.
        content: The image as the network sees it, without padding.
        size: ``(height, width)`` of the content.
        spent: What has been asked so far, in forward passes; a backward pass counts as one.
    """

    def __init__(self, detector: Detector, placed: Placed) -> None:
        self.detector = detector
        self.placed = placed
        self.content: Float[Tensor, "3 a b"] = placed.content
        self.size: Size = placed.frame.content_size
        self.spent = 0
        self._whole: dict[str, Float[Tensor, "3 a b"]] = {}
        self._batch = fitting_batch(detector, placed.frame)

    @property
    def domain(self) -> str:
        """``photo`` or ``xray``."""
        return self.detector.provenance.domain

    @property
    def frame(self) -> Frame:
        """Where the image lies in the input."""
        return self.placed.frame

    def box(self, target: Target) -> Box:
        """The target's box in content pixels."""
        return self.frame.box_to_content(target.box)

    def emptied(self, fill: str) -> Float[Tensor, "3 a b"]:
        """The image with everything hidden."""
        if fill not in self._whole:
            self._whole[fill] = fills.hide_all(self.content, fill)
        return self._whole[fill]

    def alone(self, shown: Bool[Tensor, "a b"], fill: str) -> Float[Tensor, "3 a b"]:
        """The image with nothing but ``shown``."""
        return torch.where(shown, self.content, self.emptied(fill))

    def without(self, hidden: Bool[Tensor, "a b"], fill: str) -> Float[Tensor, "3 a b"]:
        """The image without ``hidden``."""
        if fill in fills.BY_MASK:
            return fills.hide(self.content, hidden, fill)
        return torch.where(hidden, self.emptied(fill), self.content)

    def ask(self, copies: Sequence[Float[Tensor, "3 a b"]]) -> list[Named]:
        """What the detector predicts for each copy, one answer each; see ``predictions``."""
        answers = []
        for start in range(0, len(copies), self._batch):
            pixels = self.frame.pad(torch.stack(list(copies[start : start + self._batch])))
            answers += predictions(self.detector, pixels, self.frame)
        self.spent += len(copies)
        return answers

    def seen(self, answers: Sequence[Named], target: Target) -> Float[Tensor, "n c"]:
        """Per copy and class, the highest probability at the target's box (IoU >= 0.5)."""
        found = [class_survival(answer.raw, target.box, self.frame)[0] for answer in answers]
        return torch.stack(found).cpu() if found else torch.zeros(0, len(target.class_names))

    def log_odds(
        self,
        copies: Sequence[Float[Tensor, "3 a b"]],
        answers: Sequence[Named],
        target: Target,
    ) -> Float[Tensor, "n c"]:
        """Log-odds of every class at the very raw prediction that became the target.

        Read off ``answers``, which the detector gave for ``copies``, where they hold it; else asked
        for: the proposals of a two-stage detector are others in every copy. NaN for a box from
        elsewhere, which has no raw prediction.
        """
        rows = [_at(answer, target) for answer in answers]
        missing = [place for place, row in enumerate(rows) if row is None]
        known = target.candidate != UNKNOWN
        if missing and known and isinstance(self.detector, WhiteBoxDetector):
            asked = self._candidate(self.detector, [copies[place] for place in missing], target)
            for place, row in zip(missing, asked, strict=True):
                rows[place] = row
        unknown = torch.full((len(target.class_names),), torch.nan)
        return torch.stack([unknown if row is None else row.cpu() for row in rows])

    def _candidate(
        self,
        detector: WhiteBoxDetector,
        copies: Sequence[Float[Tensor, "3 a b"]],
        target: Target,
    ) -> list[Tensor]:
        found: list[Tensor] = []
        with torch.no_grad():
            for start in range(0, len(copies), self._batch):
                pixels = self.frame.pad(torch.stack(list(copies[start : start + self._batch])))
                answer = detector.candidate(pixels, [target], self.frame)
                found += list(answer.log_odds[:, 0].float())
        self.spent += len(copies)
        return found


def predictions(detector: Detector, pixels: Float[Tensor, "n 3 i j"], frame: Frame) -> list[Named]:
    """Every raw prediction for each input, one answer each.

    Of a sealed black box, what it reports: every detection as a raw prediction of one class.
    """
    if isinstance(detector, RawDetector):
        found = named(detector, pixels)
        return [_single(found, row) for row in range(len(pixels))]
    return [_as_raw(reported, frame) for reported in detector.detect(pixels, frame, FAINT)]


class Looked(NamedTuple):
    """What a detector finds in an image.

    Attributes:
        detections: What it reports.
        whole: The predictions behind them; None where they were not asked for, as where nothing
            was found and asking costs a pass.
    """

    detections: Detections
    whole: Named | None


def look(detector: Detector, placed: Placed, confidence: float = 0.25) -> Looked:
    """What a detector finds in an image, and the predictions behind it; one pass where it can."""
    return look_all(detector, [placed], confidence)[0]


def look_all(
    detector: Detector,
    images: Sequence[Placed],
    confidence: float = 0.25,
    *,
    predicted: bool = True,
) -> list[Looked]:
    """The same for several images; inputs of one size share forward passes.

    Args:
        detector: Who is asked.
        images: In any order; the answers come in the same.
        confidence: Detections at or below it are dropped.
        predicted: Whether the predictions are asked for where they cost a pass of their own.
    """
    sharing = isinstance(detector, SharingDetector)
    alike: dict[Hashable, list[int]] = {}
    for row, placed in enumerate(images):
        # What only detects maps a whole batch back by one frame.
        alike.setdefault(placed.frame.input_size if sharing else placed.frame, []).append(row)
    found: dict[int, Looked] = {}
    for rows in alike.values():
        most = fitting_batch(detector, images[rows[0]].frame)
        for start in range(0, len(rows), most):
            some = rows[start : start + most]
            together = [images[row] for row in some]
            answers = _look_together(detector, together, confidence, predicted)
            found.update(zip(some, answers, strict=True))
    return [found[row] for row in range(len(images))]


def _look_together(
    detector: Detector, images: Sequence[Placed], confidence: float, predicted: bool
) -> list[Looked]:
    pixels = torch.cat([placed.pixels for placed in images])
    if isinstance(detector, SharingDetector):
        reported, whole = detector.look(pixels, [placed.frame for placed in images], confidence)
        return [Looked(found, _single(whole, row)) for row, found in enumerate(reported)]
    frame = images[0].frame
    reported = detector.detect(pixels, frame, confidence)
    asked = [row for row, found in enumerate(reported) if predicted and len(found)]
    answers = iter(predictions(detector, pixels[asked], frame) if asked else ())
    return [
        Looked(found, next(answers) if row in asked else None) for row, found in enumerate(reported)
    ]


def lead(log_odds: Float[Tensor, "n c"], label: int) -> Float[Tensor, "n"]:
    """Log-odds of a class less those of the strongest other; NaN where there is no other."""
    if log_odds.shape[1] < 2:
        return torch.full((len(log_odds),), torch.nan)
    others = log_odds.clone()
    others[:, label] = -torch.inf
    return log_odds[:, label] - others.amax(dim=1)


def _single(found: Named, row: int) -> Named:
    proposals = None if found.proposals is None else found.proposals[row : row + 1]
    raw = Raw(found.raw.boxes[row : row + 1], found.raw.probabilities[row : row + 1])
    return Named(raw, found.candidates[row : row + 1], proposals)


def _as_raw(found: Detections, frame: Frame) -> Named:
    probabilities = torch.zeros(1, len(found), len(found.class_names))
    probabilities[0, torch.arange(len(found)), found.labels] = found.scores
    placed = frame.boxes_to_input(found.boxes)[None, :, None]
    return Named(Raw(placed, probabilities), torch.full((1, len(found)), UNKNOWN), None)


def _at(answer: Named, target: Target) -> Float[Tensor, "c"] | None:
    """The target's own raw prediction in an answer, as log-odds; None where it is not there."""
    if answer.proposals is not None or target.candidate == UNKNOWN:
        return None
    places = (answer.candidates[0] == target.candidate).nonzero()
    if not len(places):
        return None
    found = answer.raw.probabilities[0, int(places[0])]
    return found.double().clamp(CERTAIN, 1 - CERTAIN).logit().float()


def ring(box: Box, size: Size) -> Bool[Tensor, "a b"]:
    """A box and its ring, as a mask over content pixels: what travels with the object."""
    return boxes.mask(boxes.near(box), size)
