"""How much is spent on a verdict: three tiers, from a few forward passes to a few hundred."""

from dataclasses import dataclass

from xai_detect.errors import InputError
from xai_detect.explainers.gradients.sighted import SightedGradients


@dataclass(frozen=True, slots=True)
class Budget:
    """What one tier buys.

    Attributes:
        name: ``quick``, ``standard`` or ``full``.
        references: Other images whose surroundings are tried, at most.
        search: Whether the place is looked for that decides presence.
        maps: How the two maps are made; None makes none, and nothing is TRUSTED.
        finer: Whether the image is looked at once more at a higher resolution.
        repeat: Whether the map of a shifted, noisy copy is compared with.
        expected_passes: Forward passes per detection, as measured (``benchmarks/verdict_cost.py``).
    """

    name: str
    references: int
    search: bool
    maps: SightedGradients | None
    finer: bool
    repeat: bool
    expected_passes: float


BUDGETS = {
    budget.name: budget
    for budget in (
        Budget("quick", 0, False, None, False, False, 4.0),
        Budget("standard", 4, True, SightedGradients(), True, False, 40.0),
        Budget("full", 8, True, SightedGradients(16, 48, 0.05), True, True, 200.0),
    )
}
"""The tiers by name."""


def budget_named(name: str) -> Budget:
    """The tier of that name.

    Raises:
        InputError: If there is none.
    """
    if name not in BUDGETS:
        raise InputError(f"there is no budget {name!r}; choose from {', '.join(BUDGETS)}")
    return BUDGETS[name]
