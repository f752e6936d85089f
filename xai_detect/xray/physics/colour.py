"""Pseudo-colour: material class as hue, transmission as lightness.

Class limits are curves in the high-energy transmission, never constants: the log ratio of every
material falls as it gets thicker (beam hardening). The class coordinate is 0 at water, 1 at the
organic limit, 2 at the metal limit and 3 at steel, and hue blends smoothly along it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from xai_detect.errors import InputError
from xai_detect.xray.physics.scanner import Plane

#: High-energy transmissions at which the class curves are tabulated, thickest first.
CURVE_AT = (0.03, 0.1, 0.3, 0.5, 0.7, 0.9)
#: ``ln T_low / ln T_high`` along the four curves (computed from the tables in ``materials``).
CURVES = (
    (1.17, 1.18, 1.21, 1.23, 1.25, 1.27),  # water
    (1.24, 1.27, 1.32, 1.37, 1.44, 1.53),  # midway between water and glass
    (1.41, 1.52, 1.68, 1.80, 1.98, 2.35),  # midway between PVC and titanium
    (1.49, 1.66, 1.93, 2.11, 2.34, 2.87),  # steel
)

Rgb = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Palette:
    """One vendor-like colour table.

    Attributes:
        organic: Colour of mid-density organic matter, RGB in [0, 1].
        mixed: Colour of inorganic or mixed matter.
        metal: Colour of metal.
        gamma: How fast colour darkens below ``full``.
        background: Colour of air.
        full: Transmission at which colour is strongest; below it, it darkens.
        black: Transmission below which everything turns black.
        saturation: How soon colour appears as matter gets thicker; larger is sooner.
    """

    organic: Rgb
    mixed: Rgb
    metal: Rgb
    gamma: float = 0.8
    background: Rgb = (1.0, 1.0, 1.0)
    full: float = 0.45
    black: float = 0.05
    saturation: float = 2.6


PALETTES: Mapping[str, Palette] = MappingProxyType(
    {
        "standard": Palette((0.94, 0.55, 0.12), (0.36, 0.72, 0.22), (0.02, 0.36, 0.66)),
        "vivid": Palette((0.98, 0.50, 0.05), (0.20, 0.68, 0.45), (0.08, 0.32, 0.86), 0.7),
        "pale": Palette((0.93, 0.63, 0.30), (0.48, 0.74, 0.34), (0.12, 0.45, 0.66), 0.7),
        "teal": Palette((0.97, 0.56, 0.16), (0.10, 0.62, 0.48), (0.12, 0.36, 0.80), 0.75),
        "grey_air": Palette(
            (0.86, 0.50, 0.18), (0.26, 0.58, 0.22), (0.05, 0.22, 0.60), 1.0, (0.90, 0.90, 0.89)
        ),
    }
)

_STEPS = 256
_DEPTH = 5.0  # largest high-energy log-attenuation in the table
_CLASS = 3.5  # largest class coordinate in the table


def material_class(ratio: Plane, high: Plane) -> Plane:
    """Class coordinate of each pixel: below 1 organic, 1 to 2 mixed, above 2 metal.

    Args:
        ratio: ``ln T_low / ln T_high``.
        high: High-energy transmission.
    """
    at = np.clip(high, CURVE_AT[0], CURVE_AT[-1])
    water, organic, metal, steel = (np.interp(at, CURVE_AT, curve) for curve in CURVES)
    pieces = (
        (ratio - water) / (organic - water),
        1 + (ratio - organic) / (metal - organic),
        2 + (ratio - metal) / (steel - metal),
    )
    found = np.where(ratio < organic, pieces[0], np.where(ratio < metal, pieces[1], pieces[2]))
    return np.clip(found, 0.0, _CLASS).astype(np.float32)


@lru_cache(maxsize=len(PALETTES))
def table(name: str) -> NDArray[np.uint8]:
    """The colour table ``(high-energy log-attenuation, ratio, RGB)`` of a palette.

    Raises:
        InputError: If there is no such palette.
    """
    if name not in PALETTES:
        raise InputError(f"no palette {name!r}; expected one of {', '.join(PALETTES)}")
    palette = PALETTES[name]
    depth = np.linspace(0, _DEPTH, _STEPS, dtype=np.float32)[:, None]
    ratio = np.linspace(1.0, 3.0, _STEPS, dtype=np.float32)[None, :]
    high = np.broadcast_to(np.exp(-depth), (_STEPS, _STEPS)).astype(np.float32)
    classes = material_class(np.broadcast_to(ratio, high.shape).astype(np.float32), high)
    stops = np.asarray([palette.organic, palette.organic, palette.mixed, palette.metal])
    places = (0.0, 0.85, 1.5, 2.2)
    hue = np.stack([np.interp(classes, places, stops[:, i]) for i in range(3)], axis=-1)
    return _shade(palette, hue, high)


def _shade(palette: Palette, hue: NDArray[np.float64], high: Plane) -> NDArray[np.uint8]:
    """Blend white air, full colour and black along the transmission."""
    light = np.clip(high[..., None].astype(np.float64), 0.0, 1.0)
    air = np.asarray(palette.background)
    # colour comes early, darkness late: pale tint near air, full hue at half, black when opaque
    amount = 1 - light**palette.saturation
    dark = np.clip(light / palette.full, 0.0, 1.0) ** palette.gamma
    floor = np.clip(light / palette.black, 0.0, 1.0) ** 0.5
    rgb = (1 - amount) * air + amount * hue * dark * (0.15 + 0.85 * floor)
    return np.asarray(np.clip(np.rint(rgb * 255), 0, 255), dtype=np.uint8)


def colourise(low: Plane, high: Plane, palette: str) -> NDArray[np.uint8]:
    """Colour a scan.

    Args:
        low: Low-energy transmission.
        high: High-energy transmission.
        palette: Name in ``PALETTES``.

    Returns:
        RGB ``(h, w, 3)``, air in the palette's background colour.
    """
    depth = -np.log(np.clip(high, 1e-3, 1.0))
    low_depth = -np.log(np.clip(low, 1e-4, 1.0))
    # near air the ratio is noise over noise: pull it to the organic end
    ratio = (low_depth + 0.012) / (depth + 0.01)
    rows = np.minimum(depth * np.float32((_STEPS - 1) / _DEPTH), _STEPS - 1).astype(np.intp)
    columns = np.clip((ratio - 1.0) * np.float32((_STEPS - 1) / 2.0), 0, _STEPS - 1)
    flat = table(palette).reshape(-1, 3)
    return np.asarray(np.take(flat, rows * _STEPS + columns.astype(np.intp), axis=0))
