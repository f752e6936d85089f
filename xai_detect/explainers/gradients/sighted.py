"""Integrated gradients of a class that is in sight: two maps of one detection, cheap and true.

On the path from a blurred photograph to the photograph, most of a class's log-odds are won while
nobody sees anything, and there their gradient is huge and erratic: hundreds of steps are needed for
a map that holds. What happens there decides nothing, so it is not counted:

- *why detected*: the score is ``log(1 + exp(log_odds - FLOOR))``, which is 0 while the class is out
  of sight and the log-odds less ``FLOOR`` afterwards. The map adds up to its difference.
- *why this class*: the lead over the runner-up, its gradient weighted by how far the class is in
  sight, the logistic of ``log_odds - FLOOR``.

Another quantity than plain integrated gradients, which stay ``integrated_gradients``. Steps lie
where a few forward passes found that the scores change.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.values.detections import Target
from xai_detect.values.frame import Placed

FLOOR = -4.0
"""Log-odds below which a class is out of sight: a probability of .018."""

PILOTS = 9
"""Forward passes that find out where the scores change."""

NODES = 10
"""Gradients along the path."""

EVEN, OFFSET = 0.5, 0.1
"""Part of the nodes that lie as ``1 / (alpha + OFFSET)`` whatever the pilots say."""

FINE = 33
"""Points between two pilots on which the density of nodes is kept."""

CLOSE = 2e-4
"""Shorter stretches of the path are not halved by a pilot any more."""

UNSEEN = 0.002
"""Nodes where the class is this little in sight get no backward pass: they count for nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Sighted:
    """Both maps of one target, over the input, with what they should add up to.

    Attributes:
        seen: Average gradient of the floored score.
        lead: Average weighted gradient of the lead; None with one class.
        seen_half: ``seen`` from every second node alone, to see whether the map has settled.
        lead_half: The same of ``lead``.
        seen_gained: What ``seen`` times the change of the image should sum to.
        lead_gained: The same of ``lead``; NaN with one class.
        forward_passes: Spent.
        backward_passes: Spent.
    """

    seen: Float[Tensor, "3 i j"]
    lead: Float[Tensor, "3 i j"] | None
    seen_half: Float[Tensor, "3 i j"]
    lead_half: Float[Tensor, "3 i j"] | None
    seen_gained: float
    lead_gained: float
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
    ) -> None:
        """Prepare.

        Args:
            detector: The detector that found the target.
            placed: The image.
            target: The question; its class and its raw prediction stay fixed.
            start: The baseline, placed in the input.
        """
        self._detector = detector
        self._target = target
        self._frame = placed.frame
        self._start = start
        self._change = placed.pixels - start
        self.forward_passes = 0
        self.backward_passes = 0
        with torch.no_grad():
            self._last = self._log_odds(self._at(1.0))
        others = self._last.clone()
        others[target.label] = -torch.inf
        self._rival = int(others.argmax()) if len(others) > 1 else None

    def _at(self, alpha: float) -> Float[Tensor, "1 3 i j"]:
        return torch.add(self._start, self._change, alpha=alpha)

    def _log_odds(self, pixels: Float[Tensor, "1 3 i j"]) -> Float[Tensor, "c"]:
        self.forward_passes += 1
        return self._detector.candidate(pixels, [self._target], self._frame).log_odds[0, 0]

    def _scalars(self, log_odds: Float[Tensor, "c"]) -> Float[np.ndarray, "2"]:
        """Floored score and lead; the lead is 0 with one class."""
        own = float(log_odds[self._target.label])
        other = own if self._rival is None else float(log_odds[self._rival])
        return np.array([np.logaddexp(0, own - FLOOR), own - other])

    def integrate(self, nodes: int = NODES) -> Sighted:
        """Both maps from so many gradients."""
        with torch.no_grad():
            places, values = self._pilots()
        alphas, weights = spread(nodes, places, values)
        shape = self._change.shape[1:]
        sums = {name: torch.zeros(2, *shape) for name in ("seen", "lead")}
        halves = np.array([weights[row : row + 2].sum() for row in range(0, nodes, 2)])
        seen: list[tuple[float, np.ndarray]] = list(zip(places, values, strict=True))
        for row, (alpha, weight) in enumerate(zip(alphas, weights, strict=True)):
            point = self._at(float(alpha)).detach().requires_grad_()
            with torch.enable_grad():
                log_odds = self._log_odds(point)
            seen.append((float(alpha), self._scalars(log_odds.detach())))
            sight = float(torch.sigmoid(log_odds[self._target.label].detach() - FLOOR))
            if sight < UNSEEN:
                continue
            half = halves[row // 2] if row % 2 == 0 else 0.0
            own = self._gradient(log_odds[self._target.label], point, self._rival is not None)
            each = torch.tensor([weight, half]) * sight
            sums["seen"] += each[:, None, None, None] * own
            if self._rival is not None:
                lead = own - self._gradient(log_odds[self._rival], point, False)
                sums["lead"] += each[:, None, None, None] * lead
        alone = self._rival is None
        return Sighted(
            sums["seen"][0], None if alone else sums["lead"][0],
            sums["seen"][1], None if alone else sums["lead"][1],
            *gained(seen, alone), self.forward_passes, self.backward_passes,
        )  # fmt: skip

    def _gradient(self, value: Tensor, point: Tensor, again: bool) -> Float[Tensor, "3 i j"]:
        self.backward_passes += 1
        return torch.autograd.grad(value, point, retain_graph=again)[0][0].cpu().float()

    def _pilots(self) -> tuple[Float[np.ndarray, "p"], Float[np.ndarray, "p 2"]]:
        """Places on the path and both scalars there; the stretch that changes most is halved."""
        roots = np.linspace(0, 1, 5).tolist()  # of alpha: the start is where most is won
        values = [self._scalars(self._log_odds(self._at(root**2))) for root in roots[:-1]]
        values.append(self._scalars(self._last))
        while len(roots) < PILOTS:
            steps = [
                np.abs(values[row + 1] - values[row]).max()
                * (roots[row + 1] ** 2 - roots[row] ** 2 > CLOSE)
                for row in range(len(roots) - 1)
            ]
            row = int(np.argmax(steps)) + 1
            middle = (roots[row - 1] + roots[row]) / 2
            roots.insert(row, middle)
            values.insert(row, self._scalars(self._log_odds(self._at(middle**2))))
        return np.array(roots) ** 2, np.array(values)


def spread(
    count: int, places: Float[np.ndarray, "p"], values: Float[np.ndarray, "p 2"]
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]]:
    """Nodes and weights: stretches that hold equal parts of the density, and their middles.

    Half of the density follows the change of both scalars between the places, half is even in
    ``log(alpha + OFFSET)``. The weights add up to 1.
    """
    change = np.abs(np.diff(values, axis=0))
    change = (change / np.maximum(change.sum(axis=0), 1e-9)).mean(axis=1)
    ends = zip(places[:-1], places[1:], strict=True)
    grid = np.unique(np.concatenate([np.linspace(low, high, FINE) for low, high in ends]))
    even = np.diff(np.log(grid + OFFSET)) / np.log((1 + OFFSET) / OFFSET)
    middles = (grid[1:] + grid[:-1]) / 2
    stretch = np.clip(np.searchsorted(places, middles) - 1, 0, len(change) - 1)
    mass = EVEN * even + (1 - EVEN) * change[stretch] / (FINE - 1)
    summed = np.r_[0, np.cumsum(mass)] / mass.sum()
    nodes = np.interp((np.arange(count) + 0.5) / count, summed, grid)
    edges = np.interp(np.linspace(0, 1, count + 1), summed, grid)
    return nodes, np.diff(edges)


def gained(
    seen: list[tuple[float, Float[np.ndarray, "2"]]], alone: bool
) -> tuple[float, float]:
    """What the maps should add up to: exact for the score, a sum over all places for the lead."""
    ordered = sorted(seen, key=lambda place: place[0])
    scores = np.array([values[0] for _, values in ordered])
    leads = np.array([values[1] for _, values in ordered])
    sight = 1 - np.exp(-scores)  # the logistic of the log-odds above the floor
    weighted = ((sight[1:] + sight[:-1]) / 2 * np.diff(leads)).sum()
    return float(scores[-1] - scores[0]), float("nan") if alone else float(weighted)
