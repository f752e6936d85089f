"""Random masks on a grid, known by a seed and drawn block by block, so that nothing is stored.

A mask is a grid of cells that are shown or hidden, drawn smoothly over the image and shifted by
less than a cell. It is a function of the place in the image, from 0 to 1 down and across: it can be
drawn at any resolution, and no image is resized for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.linalg import hadamard
from scipy.stats import qmc
from torch import Tensor

from xai_detect.errors import InputError
from xai_detect.values import fills
from xai_detect.values.boxes import Size
from xai_detect.values.frame import Placed

PHASES = 4
"""Shifts per axis: ``(phase + 1/2) / PHASES`` of a cell."""

BLOCK = 512
"""Masks drawn from one generator; a design that needs more for its balance takes more."""

SCRAMBLED = 128
"""Points of one scrambling of a low-discrepancy sequence, a power of two."""

DESIGNS = ("iid", "antithetic", "orthogonal", "sobol")
"""How cells are drawn; ``MaskBank`` says what each is."""

MOST_CELLS = 64
"""Finest grid, cells per side."""


class Draw(NamedTuple):
    """Some masks.

    Attributes:
        shown: Which cells are shown.
        phases: The shift of each mask, down and across, in ``[0, PHASES)``.
    """

    shown: Bool[Tensor, "n g g"]
    phases: Int[Tensor, "n 2"]


@dataclass(frozen=True, slots=True)
class MaskBank:
    """An endless row of masks.

    - ``iid``: each cell shown with chance ``keep``, by itself.
    - ``antithetic``: every second mask is the opposite of the one before, with the same shift.
    - ``orthogonal``: such pairs from the rows of a Hadamard matrix, columns and signs at random:
      over a whole block, no cell's state tells anything about another's. Plackett, Burman, "The
      Design of Optimum Multifactorial Experiments", Biometrika 33, 1946.
    - ``sobol``: scrambled Sobol points, a cell shown where its coordinate is below ``keep``. A new
      scrambling every ``SCRAMBLED`` masks, which also deals the coordinates to other cells: at a
      threshold of 1/2 only their first binary digit counts, in which many coordinates agree.

    Attributes:
        design: One of ``DESIGNS``.
        grid: Cells per side.
        keep: Chance that a cell is shown; pairs of opposites need 1/2.
        seed: Names the bank.
    """

    design: str = "orthogonal"
    grid: int = 16
    keep: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.design not in DESIGNS:
            raise InputError(
                f"there is no mask design {self.design!r}; choose from {', '.join(DESIGNS)}"
            )
        if not 2 <= self.grid <= MOST_CELLS:
            raise InputError(f"grid is {self.grid}; expected 2 to {MOST_CELLS} cells per side")
        if not 0 < self.keep < 1:
            raise InputError(f"keep is {self.keep}; expected a chance between 0 and 1")
        if self.paired and self.keep != 0.5:
            raise InputError(
                f"keep is {self.keep}, but the design {self.design!r} pairs each mask with its "
                "opposite, which needs keep 0.5; use the design 'iid' or 'sobol'"
            )
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}; expected 0 or more")

    @property
    def paired(self) -> bool:
        """Whether masks ``2n`` and ``2n + 1`` are opposites."""
        return self.design in ("antithetic", "orthogonal")

    @property
    def unit(self) -> int:
        """Masks that hang together and count as one sample where a spread is measured."""
        return SCRAMBLED if self.design == "sobol" else 2 if self.paired else 1

    def blocks(self, count: int, start: int = 0) -> Iterator[Draw]:
        """Masks ``start`` up to ``count``, a block at a time."""
        size = 2 * self._order if self.design == "orthogonal" else BLOCK
        for number in range(start // size, -(-count // size)):
            first, last = max(start - number * size, 0), min(count - number * size, size)
            if first < last:
                block = self._block(np.random.default_rng([self.seed, number]))
                yield Draw(block.shown[first:last], block.phases[first:last])

    @property
    def _order(self) -> int:
        """Rows of the Hadamard matrix: the power of two with a column for every cell."""
        return max(1 << (self.grid**2 - 1).bit_length(), BLOCK // 2)

    def _block(self, generator: np.random.Generator) -> Draw:
        cells = self.grid**2
        match self.design:
            case "antithetic":
                half = generator.random((BLOCK // 2, cells)) < 0.5
            case "orthogonal":
                half = _hadamard_rows(self._order, cells, generator)
            case "sobol":
                return self._drawn(_sobol_points(cells, generator) < self.keep, generator)
            case _:
                return self._drawn(generator.random((BLOCK, cells)) < self.keep, generator)
        return self._drawn(np.stack([half, ~half], axis=1).reshape(-1, cells), generator)

    def _drawn(self, shown: np.ndarray, generator: np.random.Generator) -> Draw:
        repeat = 2 if self.paired else 1
        phases = generator.integers(PHASES, size=(len(shown) // repeat, 2)).repeat(repeat, axis=0)
        grids = torch.from_numpy(shown).view(-1, self.grid, self.grid)
        return Draw(grids, torch.from_numpy(phases))


def _hadamard_rows(order: int, cells: int, generator: np.random.Generator) -> np.ndarray:
    """Rows in random order; columns, and the sign of every row and column, at random."""
    signs: np.ndarray = hadamard(order, dtype=np.int8)
    rows, columns = generator.permutation(order), generator.permutation(order)[:cells]
    picked = signs[rows][:, columns]
    picked *= generator.choice(np.array([-1, 1], dtype=np.int8), (order, 1))
    picked *= generator.choice(np.array([-1, 1], dtype=np.int8), (1, cells))
    return picked > 0


def _sobol_points(cells: int, generator: np.random.Generator) -> np.ndarray:
    """A block of points in ``[0, 1)``, some scramblings one after the other."""
    parts = []
    for _ in range(BLOCK // SCRAMBLED):
        sequence = qmc.Sobol(cells, scramble=True, seed=generator)
        points = sequence.random_base2(SCRAMBLED.bit_length() - 1)
        parts.append(points[:, generator.permutation(cells)])
    return np.concatenate(parts)


class Raster:
    """Draws the masks of a grid at one resolution, and adds up maps that were kept on the grid.

    The grid is drawn over one cell more than there are across the image, bilinearly and held at its
    rim, and the image sees a part of it that starts at the shift.

    Attributes:
        rows: Weight of every cell row in every pixel row, for each phase.
        columns: The same across.
    """

    rows: Float[Tensor, "p h g"]
    columns: Float[Tensor, "p w g"]

    def __init__(self, grid: int, size: Size) -> None:
        """Prepare.

        Args:
            grid: Cells per side.
            size: ``(height, width)`` to draw at.
        """
        self.rows, self.columns = _weights(grid, size[0]), _weights(grid, size[1])

    def masks(self, draw: Draw) -> Float[Tensor, "n h w"]:
        """The masks, 0 hidden to 1 shown."""
        rows, columns = self.rows[draw.phases[:, 0]], self.columns[draw.phases[:, 1]]
        return rows @ draw.shown.float() @ columns.transpose(1, 2)

    def spread(self, sums: Float[Tensor, "k p p g g"]) -> Float[Tensor, "k h w"]:
        """Draw sums over grids, kept apart by phase, and add them up."""
        half = torch.einsum("phg,kpqgf->kqhf", self.rows.to(sums), sums)
        return torch.einsum("qwf,kqhf->khw", self.columns.to(sums), half)


def _weights(grid: int, length: int) -> Float[Tensor, "p length g"]:
    places = (torch.arange(length, dtype=torch.float64) + 0.5) / length * grid
    shifts = (torch.arange(PHASES, dtype=torch.float64) + 0.5) / PHASES
    nodes = ((places + shifts[:, None]) * (grid / (grid + 1)) - 0.5).clamp(0, grid - 1)
    distance = (nodes[:, :, None] - torch.arange(grid, dtype=torch.float64)).abs()
    return (1 - distance).clamp(min=0).float()


class Mixer:
    """Shows an image through masks: what is hidden becomes the fill. Padding stays as it is."""

    def __init__(self, placed: Placed, fill: str) -> None:
        """Prepare.

        Args:
            placed: The image.
            fill: A fill's name.
        """
        self._content = placed.frame.content
        self._filled = placed.frame.pad(fills.hide_all(placed.content, fill)[None])
        self._change = (placed.pixels - self._filled)[..., *self._content]

    def show(self, masks: Float[Tensor, "n a b"]) -> Float[Tensor, "n 3 i j"]:
        """Inputs ``fill + mask * (image - fill)``; masks cover the image alone, 1 shows it."""
        mixed = self._filled.repeat(len(masks), 1, 1, 1)
        mixed[..., *self._content].addcmul_(masks[:, None], self._change)
        return mixed
