"""Which channels of a layer are relevant: by rank inside each group, or drawn for comparison."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from xai_detect.explainers.parchgrad.gradient import Choice


def smallest(p: Float[Tensor, "c"], groups: int, quantile: float) -> Bool[Tensor, "c"]:
    """Channels with the smallest p-values of their group: a ``quantile`` of them, at least one.

    Channels that tie with the last one are in as well.
    """
    parts = p.view(groups, -1)
    rank = max(1, math.floor(quantile * parts.shape[1]))
    limit = parts.sort(dim=1).values[:, rank - 1 : rank]
    return (parts <= limit).flatten()


def drawn_anew(
    relevant: Bool[Tensor, "c"], groups: int, generator: torch.Generator
) -> Bool[Tensor, "c"]:
    """As many channels of each group, drawn at random."""
    parts = relevant.view(groups, -1)
    rows = [part[torch.randperm(len(part), generator=generator)] for part in parts]
    return torch.cat(rows)


def record(choice: Choice) -> dict[str, float]:
    """What was split: layers hooked, layers changed, and the share of channels kept in those."""
    parts = [part for layer, relevant in choice.items() for part in relevant.view(layer.groups, -1)]
    split = [part for part in parts if part.any() and not part.all()]
    kept = float(torch.cat(split).float().mean()) if split else math.nan
    return {
        "completeness_error": math.nan,
        "layers": float(len(choice)),
        "groups_split": float(len(split)),
        "channels_kept": kept,
    }
