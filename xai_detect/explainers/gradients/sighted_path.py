"""The straight path to an image on which a class comes into sight, for one target.

See ``sighted`` for what its maps are. The path is cut where the scores change; a piece whose
gradient misses its own change is cut again.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect.detectors.protocol import PatchDetector, WhiteBoxDetector
from xai_detect.values.detections import Target
from xai_detect.values.frame import Placed

FLOOR = -4.0
"""Log-odds below which a class is out of sight: a probability of .018."""

UNSEEN = 0.002
"""Where the class is this little in sight there is no backward pass: it would count for nothing."""

EVEN, OFFSET = 0.5, 0.1
"""Part of the pieces that lie evenly in ``log(alpha + OFFSET)``, whatever the scores do."""

SHORTEST = 2e-4
"""Shorter stretches of the path are not cut any more."""

SPIKE, SLACK = 2.0, 0.2
"""A gradient that attributes more than this many times what its piece really gains, and this much
in log-odds, has hit a spike of the path: it is scaled back to that."""

LEAST_GAIN = 1.0
"""Where a scalar gains less than this along the path, in log-odds, what its map misses is a share
of this: a class that leads everywhere alike has a map of next to nothing, which is no failure."""


class Point(NamedTuple):
    """A place on the path, with the floored score and the lead there."""

    alpha: float
    score: float
    lead: float

    @property
    def sight(self) -> float:
        """How far the class is in sight: the logistic of its log-odds above the floor."""
        return 1 - float(np.exp(-self.score))


class Piece(NamedTuple):
    """A piece of the path: its ends, the weighted gradients in its middle, what they attribute."""

    low: Point
    high: Point
    gradients: Float[Tensor, "s 3 i j"] | None
    attributed: Float[np.ndarray, "s"]

    @property
    def width(self) -> float:
        """Its part of the path."""
        return self.high.alpha - self.low.alpha

    def gained(self) -> Float[np.ndarray, "2"]:
        """What score and weighted lead really change by."""
        sight = (self.low.sight + self.high.sight) / 2
        return np.array(
            [self.high.score - self.low.score, sight * (self.high.lead - self.low.lead)]
        )


class Sighted(NamedTuple):
    """Both maps of one target, before they are multiplied by the change of the image.

    Attributes:
        gradients: Averages along the path: of the floored score and, if asked for, of the lead.
        before: The same before the last piece was cut, to see whether the maps have settled.
        missed: Part of its gain that each map misses; of ``LEAST_GAIN`` where it gains less.
        forward_passes: Spent.
        backward_passes: Spent.
    """

    gradients: Float[Tensor, "s 3 i j"]
    before: Float[Tensor, "s 3 i j"]
    missed: tuple[float, ...]
    forward_passes: int
    backward_passes: int


class SightedPath:
    """The straight line from a baseline to an image, for one target."""

    def __init__(
        self,
        detector: WhiteBoxDetector,
        placed: Placed,
        target: Target,
        start: Float[Tensor, "1 3 i j"],
        rival: int | None,
    ) -> None:
        """Prepare.

        Args:
            detector: The detector that found the target.
            placed: The image.
            target: The question; its class and its raw prediction stay fixed.
            start: The baseline, placed in the input.
            rival: The class that the lead is over; None leaves the lead out.
        """
        self._ask = detector.nearby if isinstance(detector, PatchDetector) else detector.candidate
        self._target = target
        self._rival = rival
        self._frame = placed.frame
        self._start = start
        self._change = placed.pixels - start
        self._forward_passes = 0
        self._backward_passes = 0

    def integrate(self, first: int, most: int, tolerance: float) -> Sighted:
        """Average gradients.

        Args:
            first: Pieces to begin with.
            most: Most gradient evaluations; at least one piece is cut, which takes two.
            tolerance: No more pieces are cut once all together miss less than this share.
        """
        points = self._points(first)
        pieces = [self._piece(low, high) for low, high in pairwise(points)]
        whole = np.array([abs(piece.gained()) for piece in pieces]).sum(axis=0)
        before, evaluations = self._sum(pieces[:0]), first
        while evaluations == first or (
            evaluations + 2 <= most
            and sum(self._miss(piece, whole) for piece in pieces) > tolerance
        ):
            before = self._sum([self._calmed(piece) for piece in pieces])
            worst = max(range(len(pieces)), key=lambda row: self._miss(pieces[row], whole))
            pieces[worst : worst + 1] = self._thirds(pieces[worst])
            evaluations += 2
        pieces = [self._calmed(piece) for piece in pieces]
        gains = np.array([piece.gained() for piece in pieces]).sum(axis=0)
        sums = np.array([piece.attributed for piece in pieces]).sum(axis=0)
        missed = tuple(
            float(abs(total - gain) / max(abs(gain), LEAST_GAIN))
            for total, gain in zip(sums, gains[: len(sums)], strict=True)
        )
        return Sighted(
            self._sum(pieces), before, missed, self._forward_passes, self._backward_passes
        )

    def _points(self, count: int) -> list[Point]:
        """Both ends of so many pieces; the stretch that matters most is halved first."""
        points = [self._point(root**2) for root in (0.0, 0.5, 1.0)]  # most is won at the start
        while len(points) <= count:
            values = np.array([(point.score, point.lead) for point in points])
            changes = np.abs(np.diff(values, axis=0))
            changes = (changes / np.maximum(changes.sum(axis=0), 1e-9)).mean(axis=1)
            places = np.array([point.alpha for point in points])
            even = np.diff(np.log(places + OFFSET)) / np.log((1 + OFFSET) / OFFSET)
            weights = ((1 - EVEN) * changes + EVEN * even) * (np.diff(places) > SHORTEST)
            row = int(weights.argmax())
            points.insert(row + 1, self._point(_between(points[row], points[row + 1], 0.5)))
        return points

    def _point(self, alpha: float) -> Point:
        with torch.no_grad():
            return self._values(alpha, self._log_odds(self._at(alpha)))

    def _values(self, alpha: float, log_odds: Float[Tensor, "c"]) -> Point:
        own = float(log_odds[self._target.label])
        other = own if self._rival is None else float(log_odds[self._rival])
        return Point(alpha, float(np.logaddexp(0, own - FLOOR)), own - other)

    def _piece(self, low: Point, high: Point) -> Piece:
        """The gradients in the middle of a piece."""
        alpha = _between(low, high, 0.5)
        point = self._at(alpha).detach().requires_grad_()
        with torch.enable_grad():
            log_odds = self._log_odds(point)
        scalars = 1 if self._rival is None else 2
        sight = self._values(alpha, log_odds.detach()).sight
        if sight < UNSEEN:
            return Piece(low, high, None, np.zeros(scalars))
        own = self._gradient(log_odds[self._target.label], point, scalars > 1)
        gradients = [own]
        if self._rival is not None:
            gradients.append(own - self._gradient(log_odds[self._rival], point, False))
        return self._weighed(low, high, torch.stack(gradients) * sight)

    def _weighed(self, low: Point, high: Point, gradients: Float[Tensor, "s 3 i j"]) -> Piece:
        attributed = gradients.flatten(1) @ self._change[0].flatten().cpu()
        return Piece(low, high, gradients, attributed.numpy() * (high.alpha - low.alpha))

    def _calmed(self, piece: Piece) -> Piece:
        """The piece without what only a spike of the path can have attributed to it."""
        if piece.gradients is None:
            return piece
        most = SPIKE * np.abs(piece.gained()[: len(piece.attributed)]) + SLACK
        share = np.minimum(1, most / np.maximum(np.abs(piece.attributed), 1e-9))
        calm = piece.gradients * torch.from_numpy(share).float()[:, None, None, None]
        return piece._replace(gradients=calm, attributed=piece.attributed * share)

    def _thirds(self, piece: Piece) -> list[Piece]:
        """The piece cut in three; what was measured in its middle serves the middle third."""
        first, second = (self._point(_between(*piece[:2], share)) for share in (1 / 3, 2 / 3))
        middle = Piece(first, second, None, piece.attributed * 0)
        if piece.gradients is not None:
            middle = self._weighed(first, second, piece.gradients)
        return [self._piece(piece.low, first), middle, self._piece(second, piece.high)]

    def _miss(self, piece: Piece, whole: Float[np.ndarray, "2"]) -> float:
        """What a piece misses of its own change, as a share of all; the worse of both scalars."""
        if piece.width < SHORTEST:
            return 0.0
        gap = np.abs(piece.attributed - piece.gained()[: len(piece.attributed)])
        return float((gap / np.maximum(whole[: len(gap)], 1e-9)).max())

    def _sum(self, pieces: Sequence[Piece]) -> Float[Tensor, "s 3 i j"]:
        scalars = 1 if self._rival is None else 2
        total = torch.zeros(scalars, *self._change.shape[1:])
        for piece in pieces:
            if piece.gradients is not None:
                total.add_(piece.gradients, alpha=piece.width)
        return total

    def _at(self, alpha: float) -> Float[Tensor, "1 3 i j"]:
        return torch.add(self._start, self._change, alpha=alpha)

    def _log_odds(self, pixels: Float[Tensor, "1 3 i j"]) -> Float[Tensor, "c"]:
        self._forward_passes += 1
        return self._ask(pixels, [self._target], self._frame).log_odds[0, 0]

    def _gradient(self, value: Tensor, point: Tensor, again: bool) -> Float[Tensor, "3 i j"]:
        self._backward_passes += 1
        return torch.autograd.grad(value, point, retain_graph=again)[0][0].cpu().float()


def _between(low: Point, high: Point, share: float) -> float:
    """A place between two others, in the root of alpha."""
    first, last = math.sqrt(low.alpha), math.sqrt(high.alpha)
    return (first + share * (last - first)) ** 2
