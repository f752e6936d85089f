"""Strengths counted one batch after the other, and a sample of them."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Float64, Integer

from xai_detect.explainers.parchgrad.moments import Tally

MOST_VALUES = 5000
"""Values per channel for the Shapiro-Wilk test, whose p-value is unreliable above that."""


class Counted:
    """What was counted, over images or over boxes.

    Attributes:
        tally: Moments per class, and of background last.
        sample: Strengths of a uniform sample of all classes, for the test of normality.
        seen: How many there were to draw it from.
    """

    def __init__(self, rows: int, channels: int, seed: int) -> None:
        self._draws = torch.Generator().manual_seed(seed)
        self.tally = Tally(rows, channels)
        self.sample: list[Float[np.ndarray, k]] = []
        self.seen = 0

    def add(self, rows: Integer[np.ndarray, "b"], values: Float64[np.ndarray, "b k"]) -> None:
        """Count strengths, each for its row; the sample is kept by Vitter's algorithm R (1985)."""
        self.tally.add(rows, values)
        for one in values[rows < len(self.tally.n) - 1].astype(np.float32):
            self.seen += 1
            if len(self.sample) < MOST_VALUES:
                self.sample.append(one)
                continue
            place = int(torch.randint(self.seen, (1,), generator=self._draws))
            if place < MOST_VALUES:
                self.sample[place] = one

    def state(self) -> dict[str, np.ndarray]:
        """All of it as arrays."""
        return {
            "n": self.tally.n,
            "mean": self.tally.mean,
            "squares": self.tally.squares,
            "sample": np.stack(self.sample) if self.sample else np.zeros((0, 0), np.float32),
            "seen": np.array([self.seen]),
            "draws": self._draws.get_state().numpy(),
        }

    @classmethod
    def restored(cls, state: Mapping[str, np.ndarray]) -> "Counted":
        """What ``state`` gave."""
        rows, channels = state["mean"].shape
        found = cls(rows, channels, seed=0)
        found._draws.set_state(torch.from_numpy(state["draws"].copy()))
        found.tally.n, found.tally.mean, found.tally.squares = (
            state[name].copy() for name in ("n", "mean", "squares")
        )
        found.sample = list(state["sample"])
        found.seen = int(state["seen"][0])
        return found
