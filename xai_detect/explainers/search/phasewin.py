"""PhaseWin: the same search as Visual Precision Search, with most rescorings left out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, NamedTuple

import torch

from xai_detect.errors import InputError
from xai_detect.explainers.search.region_scores import TIE, Scores, best_first
from xai_detect.explainers.search.vps import SuperpixelSearch


class Constants(NamedTuple):
    """What PhaseWin's rules compare gains with.

    Attributes:
        window: Places in the window; a share of the candidates if below 1.
        delete: Candidates below this part of the phase's best gain are set aside.
        pool: Candidates from this part of the phase's best gain on may enter the window.
        accept: Regions from this part of the window's best gain on are accepted.
        temperature: Chance that a region is deferred when it could enter the window.
        decay: What the temperature is multiplied by after each rescoring of the window.
        ratio_step: Rise of the ratio of successive gains at which a phase ends.
        protection: Part of the gain before it that the last region of a phase must reach.
    """

    window: float
    delete: float
    pool: float
    accept: float
    temperature: float
    decay: float
    ratio_step: float
    protection: float


CONSTANTS: Mapping[str, Constants] = MappingProxyType(
    {
        "selector": Constants(16, 0.3, 0.8, 0.9, 0.5, 0.85, 0.025, 0.95),
        "wrapper": Constants(0.3, 0.05, 0.6, 0.99, 0.5, 0.85, 0.02, 0.98),
    }
)
"""The two sets in the authors' release; ``wrapper`` is what its explainer runs with."""


class Search:
    """One PhaseWin search.

    Attributes:
        order: Regions accepted so far.
    """

    def __init__(
        self, worth: Scores, count: int, constants: Constants, generator: torch.Generator
    ) -> None:
        self.order: list[int] = []
        self._worth = worth
        self._constants = constants
        self._generator = generator
        self._temperature = constants.temperature
        self._candidates = list(range(count))
        self._aside: list[int] = []
        self._chosen = 0

    def run(self) -> list[int]:
        """Rank every region: by phases while something gains, the rest by one last rescoring."""
        self._accept(self._ranked(self._candidates)[0])
        while self._candidates and self._phase():
            pass
        for rest in (self._candidates, self._aside):
            for region in self._ranked(rest):
                self._accept(region)
        return self.order

    def _phase(self) -> bool:
        """Set weak candidates aside and accept some strong ones; False if none of them gains."""
        gains = self._gains(self._candidates)
        best = max(gains.values())
        if best <= TIE:
            return False
        weak = [
            region for region in self._candidates if gains[region] < self._constants.delete * best
        ]
        self._aside += weak
        self._candidates = [region for region in self._candidates if region not in weak]
        limit = self._constants.pool * best
        pool = [region for region in _descending(gains) if gains[region] >= limit]
        self._work_off(pool, self._places(), limit)
        return True

    def _places(self) -> int:
        window = self._constants.window
        return int(window) if window >= 1 else max(1, math.ceil(window * len(self._candidates)))

    def _work_off(self, pool: Sequence[int], places: int, limit: float) -> None:
        """Rescore the window, accept what stays near its best, refill; until a gain drops away."""
        window, queue = list(pool[:places]), list(pool[places:])
        deferred: set[int] = set()
        accepted: list[float] = []
        while window:
            gains = self._gains(window)
            enough = max(self._constants.accept * max(gains.values()), limit)
            for region in _descending(gains):
                if gains[region] < enough:
                    break
                dropped = self._dropped([*accepted[-2:], gains[region]])
                if dropped and gains[region] < self._constants.protection * accepted[-1]:
                    return
                self._accept(region)
                accepted.append(gains[region])
                if dropped:
                    return
            window = [
                region for region in window if region in self._candidates and gains[region] >= limit
            ]
            self._refill(window, queue, places, deferred)
            self._temperature *= self._constants.decay

    def _refill(self, window: list[int], queue: list[int], places: int, deferred: set[int]) -> None:
        """Let those who wait enter, best first; each may be sent to the end of the queue once."""
        while queue and len(window) < places:
            region = queue.pop(0)
            chance = float(torch.rand((), generator=self._generator))
            if region not in deferred and chance < self._temperature:
                deferred.add(region)
                queue.append(region)
            else:
                window.append(region)

    def _dropped(self, gains: Sequence[float]) -> bool:
        """Whether the last of three successive gains falls off faster than the one before."""
        if len(gains) < 3:
            return False
        first, second, third = (max(gain, TIE) for gain in gains)
        return second / third - first / second > self._constants.ratio_step

    def _gains(self, regions: Sequence[int]) -> dict[int, float]:
        """What each region would add now."""
        found = self._worth([self._chosen, *(self._chosen | 1 << region for region in regions)])
        return dict(zip(regions, (found[1:] - found[0]).tolist(), strict=True))

    def _ranked(self, regions: Sequence[int]) -> list[int]:
        return _descending(self._gains(regions)) if regions else []

    def _accept(self, region: int) -> None:
        self.order.append(region)
        self._chosen |= 1 << region
        self._candidates = [other for other in self._candidates if other != region]


def _descending(gains: Mapping[int, float]) -> list[int]:
    """Regions by gain, the largest first; ties by number."""
    regions = sorted(gains)
    places = best_first(torch.tensor([gains[region] for region in regions], dtype=torch.float64))
    return [regions[place] for place in places]


@dataclass(frozen=True, slots=True)
class PhaseWin(SuperpixelSearch):
    """Visual Precision Search in phases: candidates are rescored a window at a time.

    Gu et al., "PhaseWin Search Framework Enable Efficient Object-Level Interpretation", CVPR 2026.
    Its guarantees assume that every region adds something, which detectors do not keep.

    Attributes:
        regions: See ``SuperpixelSearch``, as for all the others.
        constants: Which of the release's two sets of constants; a name in ``CONSTANTS``.
        seed: Of the deferrals, and which region wins a tie.
    """

    name: ClassVar[str] = "phasewin"
    citation: ClassVar[str] = (
        "Gu et al., PhaseWin Search Framework Enable Efficient Object-Level Interpretation, "
        "CVPR 2026"
    )
    constants: str = "wrapper"

    def __post_init__(self) -> None:
        SuperpixelSearch.__post_init__(self)
        if self.constants not in CONSTANTS:
            raise InputError(
                f"constants is {self.constants!r}; expected one of {', '.join(CONSTANTS)}"
            )

    def rank(self, worth: Scores, count: int) -> list[int]:
        """By phases."""
        generator = torch.Generator().manual_seed(self.seed)
        return Search(worth, count, CONSTANTS[self.constants], generator).run()

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """About four scorings of every region, the first shared, as measured on simulated scans."""
        sides = 1 if self.mode == "deletion" else 2
        return float(sides * self.regions * (1 + 3 * targets)), 0.0
