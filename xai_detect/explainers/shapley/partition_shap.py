"""Owen values down a tree of image halves, by the ``shap`` package: Partition SHAP."""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect.detectors.protocol import Detector
from xai_detect.errors import InputError, MissingExtraError
from xai_detect.explainers.protocol import Attribution, Needs
from xai_detect.explainers.regions import grid
from xai_detect.explainers.shapley.coalitions import Game, game
from xai_detect.scores.survival import check_batch
from xai_detect.values.boxes import Size
from xai_detect.values.detections import Target
from xai_detect.values.frame import Placed

TOGETHER = 10
"""Images asked for at a time, as the package does. More would be a coarser search: what to cut next
is decided before their scores are known."""

LEAST = 4
"""Fewest evaluations: all, nothing, and the two halves of the image."""

Block = tuple[int, int, int, int]
"""Top, bottom, left and right of a node of the tree, in cells."""


@dataclass(frozen=True, slots=True)
class PartitionShap:
    """Owen values down a tree of axis-aligned halves of the image.

    The node where hiding changes the score most is cut next. What a node adds and its halves do
    not share out is spread evenly over its pixels, so the map is blocky and sums to
    ``score(all) - score(nothing)``. Each target is searched by itself, since where to cut depends
    on its score; an image that was asked about for one target serves all the others.

    Lundberg, Lee, "A Unified Approach to Interpreting Model Predictions", NIPS 2017, arXiv
    1705.07874, as ``PartitionExplainer`` of the ``shap`` package, which is needed.

    Attributes:
        evaluations: Most images looked at for each target.
        masker: What a hidden block becomes: a fill's name; ``auto`` inpaints in X-ray images
            (``inpaint_telea``) and blurs in photographs.
        cells: Leaves of the tree along the longer side; blocks are never smaller.
        seed: Decides between blocks that matter exactly as much.
        scalar: What is explained: a name in ``SURVIVAL``, or ``auto``.
        batch: Images per forward pass, None for what suits the device; never changes a result.
    """

    name: ClassVar[str] = "partition_shap"
    input_level: ClassVar[bool] = True
    takes_placed: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs.SCORES
    citation: ClassVar[str] = (
        "Lundberg, Lee, A Unified Approach to Interpreting Model Predictions, NIPS 2017"
    )
    evaluations: int = 500
    masker: str = "auto"
    cells: int = 64
    seed: int = 0
    scalar: str = "auto"
    batch: int | None = None

    def __post_init__(self) -> None:
        if self.evaluations < LEAST:
            raise InputError(f"evaluations is {self.evaluations}; expected at least {LEAST}")
        if not 1 <= self.cells <= 256:
            raise InputError(f"cells is {self.cells}; expected 1 to 256 along the longer side")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed is {self.seed}; expected 0 to 2**32 - 1")
        check_batch(self.batch)

    def __call__(
        self, detector: Detector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return values in the scalar's unit, spread evenly over the pixels of each block."""
        shap = _shap()
        size = placed.frame.image_size
        least = min(size, placed.frame.content_size, key=min)
        rows, columns = _cells(least, self.cells)
        asked = _Asked(
            game(
                detector, placed, targets, grid(placed.frame.content_size, rows, columns),
                masker=self.masker, scalar=self.scalar, batch=self.batch,
            ),
            rows * columns,
        )  # fmt: skip
        tree, blocks = halves(rows, columns)
        found = [
            self._owen(shap, asked.reader(row), tree) if len(tree) else asked.gains()[row : row + 1]
            for row in range(len(targets))
        ]
        return [
            Attribution(
                spread(values, blocks, size, rows, columns),
                {**asked.ends(row, float(values.sum())), **asked.game.survival.passes()},
            )
            for row, values in enumerate(found)
        ]

    def _owen(
        self, shap: ModuleType, score: Callable[[np.ndarray], np.ndarray], tree: np.ndarray
    ) -> np.ndarray:
        """What each node of the tree adds and its halves do not share out."""
        with _without_numba_warnings():
            explainer = _seeded(shap.PartitionExplainer(score, _Masks(tree)), self.seed)
            told: dict[str, np.ndarray] = explainer.explain_row(
                np.zeros(len(tree) + 1),
                max_evals=self.evaluations,
                batch_size=TOGETHER,
                main_effects=False,
                error_bounds=False,
                outputs=None,
                silent=True,
            )
        return told["hierarchical_values"]

    def brief(self) -> "PartitionShap":
        """A quarter of the evaluations."""
        fewer = max(LEAST, self.evaluations // 4)
        return replace(self, evaluations=min(self.evaluations, fewer))

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """All evaluations for each target; what targets share makes it less."""
        return float(self.evaluations * targets), 0.0


class _Masks:
    """A masker that hands the mask itself on, and the tree that its bits are the leaves of."""

    immutable_outputs = True

    def __init__(self, clustering: np.ndarray) -> None:
        self.clustering = clustering
        self.shape = (1, len(clustering) + 1)

    def __call__(self, mask: np.ndarray, _row: np.ndarray) -> tuple[np.ndarray]:
        return (mask[None],)


class _Asked:
    """A game that remembers: no image is shown to the detector twice."""

    def __init__(self, played: Game, regions: int) -> None:
        self.game = played
        self._known: dict[bytes, np.ndarray] = {}
        self._regions = regions

    def scores(self, shown: np.ndarray) -> np.ndarray:
        """Of every coalition, for every target."""
        shown = np.ascontiguousarray(shown, dtype=bool)
        keys = [row.tobytes() for row in shown]
        new = {key: row for key, row in zip(keys, shown, strict=True) if key not in self._known}
        if new:
            fresh = self.game.values(torch.from_numpy(np.stack(list(new.values()))))
            self._known.update(zip(new, fresh.numpy(), strict=True))
        return np.stack([self._known[key] for key in keys])

    def reader(self, target: int) -> Callable[[np.ndarray], np.ndarray]:
        """The scores of one target."""
        return lambda shown: self.scores(shown)[:, target]

    def gains(self) -> np.ndarray:
        """What showing everything adds, for every target."""
        nothing, whole = self.scores(np.array([[False], [True]]).repeat(self._regions, axis=1))
        return whole - nothing

    def ends(self, target: int, total: float) -> dict[str, float]:
        """The scores of the hidden and the whole image, and how far a map's sum is from them."""
        both = self.scores(np.array([[False], [True]]).repeat(self._regions, axis=1))
        nothing, whole = both[:, target].tolist()
        gain = whole - nothing
        return {
            "score": whole,
            "baseline_score": nothing,
            "completeness_error": abs(total - gain) / abs(gain) if gain else math.nan,
            "cells": float(self._regions),
        }


def _cells(size: Size, most: int) -> tuple[int, int]:
    """Rows and columns of nearly square cells, ``most`` of them along the longer side."""
    side = max(size) / min(most, max(size))
    return max(1, round(size[0] / side)), max(1, round(size[1] / side))


def halves(rows: int, columns: int) -> tuple[np.ndarray, list[Block]]:
    """A tree of halves of a grid, the longer side cut first, as SciPy writes hierarchies.

    Args:
        rows: Cells down.
        columns: Cells across.

    Returns:
        A row per inner node (its two children, a distance, its leaves), the root last; and the
        block of every node, leaves first, in reading order.
    """
    leaves = rows * columns
    blocks: list[Block] = [
        (row, row + 1, column, column + 1) for row in range(rows) for column in range(columns)
    ]
    tree: list[tuple[int, int, float, int]] = []

    def node(block: Block) -> int:
        top, bottom, left, right = block
        if (bottom - top, right - left) == (1, 1):
            return top * columns + left
        if bottom - top >= right - left:
            middle = (top + bottom) // 2
            parts = (top, middle, left, right), (middle, bottom, left, right)
        else:
            middle = (left + right) // 2
            parts = (top, bottom, left, middle), (top, bottom, middle, right)
        first, second = node(parts[0]), node(parts[1])
        tree.append((first, second, 1.0, (bottom - top) * (right - left)))
        blocks.append(block)
        return leaves + len(tree) - 1

    node((0, rows, 0, columns))
    return np.array(tree, dtype=float).reshape(-1, 4), blocks


def spread(
    values: np.ndarray, blocks: Sequence[Block], size: Size, rows: int, columns: int
) -> Float[Tensor, "h w"]:
    """A map on which each node's value lies evenly on its pixels."""
    heatmap = np.zeros(size)
    # Where ``grid`` starts a new cell: the first pixel whose cell number is that high.
    down = [-(-row * size[0] // rows) for row in range(rows + 1)]
    across = [-(-column * size[1] // columns) for column in range(columns + 1)]
    for value, (top, bottom, left, right) in zip(values, blocks, strict=True):
        if value != 0:
            place = heatmap[down[top] : down[bottom], across[left] : across[right]]
            place += value / place.size
    return torch.from_numpy(heatmap).float()


def _shap() -> ModuleType:
    # Its import and its compiler warn about versions of other packages, none of them ours.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import shap
        except ImportError as error:
            raise MissingExtraError(
                "partition_shap needs the shap package: pip install 'xai-detect[shap]'"
            ) from error
    return shap


@contextmanager
def _without_numba_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(numba|shap)\b")
        yield


def _seeded(explainer: Any, seed: int) -> Any:
    """The explainer, breaking ties by a seed; the package's generator is that of all threads."""
    numpy = SimpleNamespace(**{**vars(np), "random": np.random.RandomState(seed)})
    for name in ("owen", "owen3"):
        method = getattr(type(explainer), name)
        scope = {**method.__globals__, "np": numpy}
        own = FunctionType(method.__code__, scope, name, method.__defaults__, method.__closure__)
        setattr(explainer, name, MethodType(own, explainer))
    return explainer
