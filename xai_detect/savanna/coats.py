"""Coats: which colour a pixel of an animal has, from where it lies on its stroke."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from xai_detect.savanna.strokes import Colour, Floats, Mask, Rng
from xai_detect.savanna.styles import Style

PLAIN: Mapping[str, Colour] = MappingProxyType(
    {
        "hoof": (52, 42, 38),
        "tuft": (46, 36, 32),
        "eye": (18, 14, 14),
        "tusk": (248, 240, 220),
        "horn": (62, 48, 40),
        "muzzle": (58, 48, 46),
    }
)
"""Colourings that are the same on every animal."""

PINK: Colour = (188, 166, 160)
"""A giraffe's muzzle."""

WHITE: Colour = (244, 234, 214)
"""An antelope's belly and feet."""

FINENESS = {"barrel": 1.0, "coat": 0.8, "leg": 0.62, "mane": 0.8}
"""Width of a zebra's stripes by colouring, of those on its barrel."""

SEAM = 0.17
"""Width of the pale seams between a giraffe's patches, in patches."""


class Coat:
    """One animal's colours, drawn once."""

    def __init__(self, species: str, style: Style, rng: Rng) -> None:
        self._species = species
        self._period = rng.uniform(0.105, 0.15) * style.fineness
        self._cell = rng.uniform(0.12, 0.17) * style.fineness
        self._phase, self._duty = rng.uniform(0, 1), rng.uniform(-0.15, 0.15)
        self._seeds = rng.uniform(0.1, 0.9, (64, 64, 2))
        # warmer and cooler animals: red goes up as blue goes down
        warm = rng.uniform(-1, 1) * np.array([9.0, 3.0, -5.0])
        self._dark, self._pale = (np.array(colour) + warm for colour in style.coats[species])

    def colour(self, coat: str, along: Floats, across: Floats, where: Floats) -> Floats:
        """RGB ``(n, 3)`` of some pixels of a stroke.

        Args:
            coat: The stroke's colouring.
            along: ``(n,)`` way along it, in shoulder heights.
            across: ``(n,)`` from -1 at one edge to 1 at the other, belly to back.
            where: ``(n, 2)`` place in the animal, in shoulder heights.
        """
        if coat in PLAIN:
            pink = coat == "muzzle" and self._species == "giraffe"
            return np.tile(np.array(PINK if pink else PLAIN[coat], float), (len(along), 1))
        dark = np.zeros(len(along), bool)
        if self._species == "zebra":
            dark = self._striped(coat, along, across)
        elif self._species == "giraffe":
            dark = (coat == "mane") | (self._patched(where) & (where[:, 1] > 0.30))
        elif self._species == "antelope" and coat == "barrel":
            dark = (across > -0.55) & (across < -0.28)
        rgb = np.where(dark[:, None], self._dark, self._pale)
        if self._species == "antelope" and coat in ("barrel", "leg"):
            white = across < -0.55 if coat == "barrel" else where[:, 1] < 0.3
            rgb = np.where(white[:, None], WHITE, rgb)
        return rgb

    def _striped(self, coat: str, along: Floats, across: Floats) -> Mask:
        """Rings around a stroke, so stripes turn with neck and legs; the belly is white."""
        barrel = coat == "barrel"
        slant = 0.035 * across**2 + (0.10 * across if barrel else 0.0)
        turns = (along + slant) / (self._period * FINENESS[coat]) + self._phase
        dark = np.sin(2 * np.pi * (turns + 0.1 * np.sin(9 * across))) > self._duty
        return np.asarray(dark & (across > -0.86) if barrel else dark)

    def _patched(self, where: Floats) -> Mask:
        """The cells around the seeds of a jittered grid, without their seams."""
        at = where / self._cell + 20
        home = np.floor(at).astype(int)
        cells = home[:, None] + np.mgrid[-1:2, -1:2].reshape(2, 9).T
        seeds = cells + self._seeds[cells[..., 0] % 64, cells[..., 1] % 64]
        first, second = np.sort(np.linalg.norm(seeds - at[:, None], axis=2), axis=1)[:, :2].T
        return np.asarray(second - first > SEAM)
