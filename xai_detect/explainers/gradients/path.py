"""Gradients of several targets at once, integrated along a straight path."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from xai_detect.explainers.gradients.probe import Probe

SETTLED = 20
"""A piece that misses less than this part of the tolerance is never cut again."""

MOST_HELD = 96
"""Gradients held at most; those of pieces that miss least are counted for good beyond it, so that
memory does not grow with the number of steps."""


class _Piece(NamedTuple):
    """A piece of the path, with every target's score at both ends."""

    low: float
    high: float
    before: Float[Tensor, "k"]
    after: Float[Tensor, "k"]


class _Held(NamedTuple):
    """A piece that may still be cut: its gradient, what it attributes, and by how much it misses.

    All but ``piece`` have a row for each of the targets ``rows``. ``missed`` is a share of the
    target's whole score difference. A gradient is kept in half precision as a part of its target's
    own largest value, which is finer than the rule that made it.
    """

    piece: _Piece
    rows: Int[Tensor, "r"]
    half: Float[Tensor, "r 3 i j"]
    largest: Float[Tensor, "r"]
    attributed: Float[Tensor, "r"]
    missed: Float[Tensor, "r"]

    @property
    def gradient(self) -> Float[Tensor, "r 3 i j"]:
        """The gradient at full precision."""
        return self.half.float() * self.largest[:, None, None, None]

    def of(self, kept: Bool[Tensor, "r"]) -> "_Held":
        """The same piece for some of its targets."""
        return _Held(
            self.piece, self.rows[kept], self.half[kept], self.largest[kept],
            self.attributed[kept], self.missed[kept],
        )  # fmt: skip


class _Sums:
    """What the pieces add up to; pieces that miss too much are held apart until they are cut.

    Attributes:
        attributed: What each target's attributions sum to.
    """

    def __init__(
        self, change: Float[Tensor, "1 3 i j"], difference: Float[Tensor, "k"], settled: float
    ) -> None:
        self.attributed = torch.zeros_like(difference)
        self._change = change
        self._difference = difference
        self._settled = settled
        self._total: Tensor = torch.zeros_like(change).repeat(len(difference), 1, 1, 1)
        self._held: list[_Held] = []

    def add(
        self, piece: _Piece, rows: Int[Tensor, "r"], gradient: Float[Tensor, "r 3 i j"]
    ) -> None:
        """Count a piece for some targets; hold it for those whose score difference it misses."""
        width = piece.high - piece.low
        attributed = gradient.flatten(1) @ self._change.flatten() * width
        gap = (attributed - (piece.after - piece.before)[rows]).abs()
        missed = gap / self._difference[rows].abs().clamp(min=torch.finfo(gap.dtype).tiny)
        self.attributed[rows] += attributed
        kept = missed > self._settled
        if bool(kept.any()):
            tiny = torch.finfo(gradient.dtype).tiny
            held = gradient[kept]
            largest = held.flatten(1).abs().amax(dim=1).clamp(min=tiny)
            half = (held / largest[:, None, None, None]).half()
            self._held.append(
                _Held(piece, rows[kept], half, largest, attributed[kept], missed[kept])
            )
            rows, gradient = rows[~kept], gradient[~kept]
        self._total.index_add_(0, rows, gradient, alpha=width)
        while sum(len(held.rows) for held in self._held) > MOST_HELD:
            least = min(range(len(self._held)), key=lambda row: self._held[row].missed.amax())
            self._count(self._held.pop(least))

    def take_worst(self, tolerance: float) -> _Held | None:
        """Take back the piece that misses most; None if every target is within ``tolerance``.

        Targets within it are settled for good: they cost no further backward pass.
        """
        gap = (self.attributed - self._difference).abs()
        failing = gap > tolerance * self._difference.abs()
        self._settle(failing)
        if not self._held:
            return None
        misses = torch.stack([held.missed.amax() for held in self._held])
        worst = self._held.pop(int(misses.argmax()))
        self.attributed[worst.rows] -= worst.attributed
        return worst

    def _settle(self, failing: Bool[Tensor, "k"]) -> None:
        """Add up, of every piece, the targets that fail no more; hold the others."""
        left = []
        for held in self._held:
            open_ = failing[held.rows]
            if not bool(open_.all()):
                self._count(held.of(~open_))
            if bool(open_.any()):
                left.append(held.of(open_))
        self._held = left

    def _count(self, held: _Held) -> None:
        """Add up a piece for good."""
        width = held.piece.high - held.piece.low
        self._total.index_add_(0, held.rows, held.gradient, alpha=width)

    def gradient(self) -> Float[Tensor, "k 3 i j"]:
        """The average gradient over the whole path."""
        for held in self._held:
            self._count(held)
        self._held.clear()
        return self._total


class StraightPath:
    """The straight line between two inputs, integrated piece by piece.

    Attributes:
        first: Score of every target at the start.
        last: Score of every target at the end.
        evaluations: Gradient evaluations so far, those of pieces that were cut again included.
    """

    def __init__(
        self, probe: Probe, start: Float[Tensor, "1 3 i j"], end: Float[Tensor, "1 3 i j"]
    ) -> None:
        self._probe = probe
        self._start = start
        self._change = end - start
        self.first = self._scores(0.0)
        self.last = self._scores(1.0)
        self.evaluations = 0

    def integrate(
        self, steps: int, max_steps: int, tolerance: float
    ) -> tuple[Float[Tensor, "k 3 i j"], Float[Tensor, "k"]]:
        """Average gradient over the path, and what each target's attributions sum to.

        The piece that misses most is cut first, until no target misses more than ``tolerance``.
        """
        edges = [(step / steps) ** 2 for step in range(steps + 1)]
        cutting = self.evaluations + steps + 2 <= max_steps
        settled = tolerance / SETTLED if cutting else math.inf
        # The scores in between say which piece to cut next; nobody else asks.
        inner = [self._scores(edge) if cutting else self.first for edge in edges[1:-1]]
        scores = [self.first, *inner, self.last]
        sums = _Sums(self._change, self.last - self.first, settled)
        everyone = torch.arange(len(self.first))
        for piece in zip(edges, edges[1:], scores, scores[1:], strict=False):
            sums.add(_Piece(*piece), everyone, self._gradient(piece[0], piece[1], everyone))
        while self.evaluations + 2 <= max_steps:
            worst = sums.take_worst(tolerance)
            if worst is None:
                break
            for piece, gradient in self._thirds(worst):
                sums.add(piece, worst.rows, gradient)
        return sums.gradient().cpu(), sums.attributed

    def _thirds(self, held: _Held) -> list[tuple[_Piece, Tensor]]:
        """The piece cut in three; the gradient of the whole is the middle third's as well."""
        low, high, before, after = held.piece
        third = (high - low) / 3
        first, second = low + third, high - third
        left, right = self._scores(first), self._scores(second)
        return [
            (_Piece(low, first, before, left), self._gradient(low, first, held.rows)),
            (_Piece(first, second, left, right), held.gradient),
            (_Piece(second, high, right, after), self._gradient(second, high, held.rows)),
        ]

    def _gradient(
        self, low: float, high: float, rows: Int[Tensor, "r"]
    ) -> Float[Tensor, "r 3 i j"]:
        """The average gradient on one piece of the path by the midpoint rule."""
        self.evaluations += 1
        middle = torch.add(self._start, self._change, alpha=(low + high) / 2)
        return self._probe.gradients(middle, rows.tolist())[0]

    def _scores(self, position: float) -> Float[Tensor, "k"]:
        with torch.no_grad():
            return self._probe.scores(torch.add(self._start, self._change, alpha=position))
