"""Strengths counted one batch after the other, and a sample of them."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64, Integer

from xai_detect.explainers.parchgrad.moments import Tally

MOST_VALUES = 5000
"""Values per channel for the Shapiro-Wilk test, whose p-value is unreliable above that."""


MOMENTS = ("n", "mean", "squares")


class Counted:
    """What was counted, images or boxes.

    Attributes:
        tally: Moments per class, and of background last; an image may count for several.
        whole: Moments of all, each counted once.
        sample: Strengths of a uniform sample of all but background, for the test of normality.
        seen: How many there were to draw it from.
    """

    def __init__(self, rows: int, channels: int, seed: int) -> None:
        self._draws = torch.Generator().manual_seed(seed)
        self.tally = Tally(rows, channels)
        self.whole = Tally(1, channels)
        self.sample: list[Float[np.ndarray, k]] = []
        self.seen = 0

    def add(
        self, rows: Sequence[Integer[np.ndarray, "_"]], values: Float64[np.ndarray, "b k"]
    ) -> None:
        """Count strengths, each for its rows; the sample is kept by Vitter's algorithm R (1985)."""
        if not len(values):
            return
        counts = [len(own) for own in rows]
        self.tally.add(np.concatenate(rows), values.repeat(counts, axis=0))
        self.whole.add(np.zeros(len(values), dtype=np.int64), values)
        background = len(self.tally.n) - 1
        for own, one in zip(rows, values.astype(np.float32), strict=True):
            if background in own:
                continue
            self.seen += 1
            if len(self.sample) < MOST_VALUES:
                self.sample.append(one)
                continue
            place = int(torch.randint(self.seen, (1,), generator=self._draws))
            if place < MOST_VALUES:
                self.sample[place] = one

    def state(self) -> dict[str, np.ndarray]:
        """All of it as arrays."""
        sample = np.stack(self.sample) if self.sample else np.zeros((0, 0), np.float32)
        return {
            **{f"tally.{name}": getattr(self.tally, name) for name in MOMENTS},
            **{f"whole.{name}": getattr(self.whole, name) for name in MOMENTS},
            "sample": sample,
            "seen": np.array([self.seen]),
            "draws": self._draws.get_state().numpy(),
        }

    @classmethod
    def restored(cls, state: Mapping[str, np.ndarray]) -> "Counted":
        """What ``state`` gave."""
        rows, channels = state["tally.mean"].shape
        found = cls(rows, channels, seed=0)
        for name in MOMENTS:
            setattr(found.tally, name, state[f"tally.{name}"].copy())
            setattr(found.whole, name, state[f"whole.{name}"].copy())
        found._draws.set_state(torch.from_numpy(state["draws"].copy()))
        found.sample = list(state["sample"])
        found.seen = int(state["seen"][0])
        return found
