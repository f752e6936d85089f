"""Untrained weights from a generator of one's own."""

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

RANDOM = frozenset({
    "kaiming_normal_", "kaiming_uniform_", "normal_", "uniform_", "rand", "randn", "randint",
    "randperm",
})  # fmt: skip


class Seeded(TorchFunctionMode):
    """While it is entered, weights are drawn by a seed; the generator of all threads stays."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._generator = torch.Generator().manual_seed(seed)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict(kwargs or {})
        if getattr(func, "__name__", "") in RANDOM and given.get("generator") is None:
            given["generator"] = self._generator
        return func(*args, **given)
