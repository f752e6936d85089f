"""From matter to the two signals of a dual-energy line scanner.

Matter is summed as *thickness*, never as transmission: a beam that has crossed steel is harder, and
the next millimetre takes less of it. Because the 17 materials' attenuation curves lie in a space of
four dimensions (error of the log ratio below 0.004, lead 0.008), a scan is accumulated as four
planes of coefficients instead of seventeen thickness maps. All arrays are float32, images are
``(height, width)``, lengths are millimetres, transmissions are in [0, 1] with 1 for air.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from xai_detect.errors import InputError
from xai_detect.xray.physics.materials import (
    DENSITY,
    HIGH_WEIGHTS,
    LOW_WEIGHTS,
    MASS_ATTENUATION,
    MATERIALS,
)

Plane = NDArray[np.float32]

#: Number of coefficient planes.
RANK = 4
# pixels worked on at once: all energies of a band stay in the cache, and products this small are
# not spread over threads, which would only get in the way of the other worker processes
_BAND = 4096


@dataclass(frozen=True, slots=True)
class Scanner:
    """What one machine does to the beam, after the matter has had its say.

    Attributes:
        photons: Detected quanta per pixel and energy in air (assumption: 1e4 to 1e5).
        blur: Standard deviation of the detector's point spread, in pixels.
        dark: Dark signal, as a share of the air signal.
        stripes: Relative standard deviation of the gain left over per detector row.
        palette: Name of the colour table.
    """

    photons: float = 4e4
    blur: float = 0.6
    dark: float = 2e-4
    stripes: float = 0.002
    palette: str = "standard"


@lru_cache(maxsize=1)
def attenuation() -> NDArray[np.float64]:
    """Linear attenuation in 1/mm of each material (rows) at each energy (columns)."""
    rows = [np.asarray(MASS_ATTENUATION[name]) * DENSITY[name] / 10 for name in MATERIALS]
    return np.stack(rows)


@lru_cache(maxsize=1)
def basis() -> NDArray[np.float64]:
    """Four attenuation curves ``(RANK, energies)`` that span those of all materials."""
    curves = attenuation()
    curves = curves / np.linalg.norm(curves, axis=1, keepdims=True)
    # errors count where the detectors look
    weight = np.sqrt(np.asarray(LOW_WEIGHTS) + np.asarray(HIGH_WEIGHTS))
    _, _, rows = np.linalg.svd(curves * weight, full_matrices=False)
    return np.asarray(rows[:RANK] / weight)


@lru_cache(maxsize=len(MATERIALS))
def coefficients(material: str) -> Plane:
    """Coefficients of one millimetre of a material on ``basis``.

    Raises:
        InputError: If the material is not in the table.
    """
    if material not in DENSITY:
        raise InputError(f"no material {material!r}; expected one of {', '.join(MATERIALS)}")
    weight = np.sqrt(np.asarray(LOW_WEIGHTS) + np.asarray(HIGH_WEIGHTS))
    curve = attenuation()[MATERIALS.index(material)]
    solved, *_ = np.linalg.lstsq((basis() * weight).T, curve * weight, rcond=None)
    return np.asarray(solved, dtype=np.float32)


def transmissions(planes: Plane) -> tuple[Plane, Plane]:
    """Low- and high-energy transmission of accumulated matter.

    Args:
        planes: Coefficients ``(RANK, h, w)``: thickness in mm times ``coefficients``, summed.

    Returns:
        Two ``(h, w)`` planes in [0, 1].
    """
    rank, height, width = planes.shape
    matter = planes.reshape(rank, -1)
    curves = -basis().astype(np.float32).T  # (energies, RANK)
    weights = np.asarray([LOW_WEIGHTS, HIGH_WEIGHTS], dtype=np.float32)
    signals = np.empty((2, height * width), np.float32)
    for start in range(0, height * width, _BAND):
        here = slice(start, start + _BAND)
        exponent = curves @ matter[:, here]  # (energies, pixels)
        survived = np.empty_like(exponent)
        cv2.exp(np.minimum(exponent, 0, out=exponent), survived)
        signals[:, here] = weights @ survived
    low, high = signals
    return low.reshape(height, width), high.reshape(height, width)


def slab(thickness: Mapping[str, int | float]) -> tuple[float, float]:
    """Low and high transmission of a stack of layers, exactly, without the four-curve basis.

    Args:
        thickness: Millimetres of each material.
    """
    optical = np.zeros(len(LOW_WEIGHTS))
    for material, depth in thickness.items():
        optical += attenuation()[MATERIALS.index(material)] * depth
    survived = np.exp(-optical)
    return float(survived @ np.asarray(LOW_WEIGHTS)), float(survived @ np.asarray(HIGH_WEIGHTS))


def log_ratio(low: Plane, high: Plane) -> Plane:
    """``R = ln T_low / ln T_high``; 1 where the beam lost nothing, so that air has no material."""
    low_log = -np.log(np.clip(low, 1e-5, 1.0))
    high_log = -np.log(np.clip(high, 1e-5, 1.0))
    return np.where(high_log > 1e-4, low_log / np.maximum(high_log, 1e-4), 1.0).astype(np.float32)


def detect(
    low: Plane, high: Plane, scanner: Scanner, rng: np.random.Generator
) -> tuple[Plane, Plane]:
    """What the detectors record: blur, photon noise, dark signal, imperfect gain correction.

    Noise is Gaussian with Poisson variance, which is indistinguishable above some tens of quanta.
    The belt moves along the columns, so one detector element writes one row and its gain error is
    a stripe along that row.

    Returns:
        Corrected low and high transmission; noise may carry air slightly above 1.
    """
    recorded = []
    for signal in (low, high):
        blurred = cv2.GaussianBlur(signal, (0, 0), scanner.blur) if scanner.blur > 0 else signal
        noise = rng.standard_normal(signal.shape, dtype=np.float32)
        spread = np.sqrt(np.maximum(blurred, 0) / np.float32(scanner.photons))
        gain = rng.normal(1.0, scanner.stripes, size=(signal.shape[0], 1)).astype(np.float32)
        dark = scanner.dark * rng.standard_normal((signal.shape[0], 1), dtype=np.float32)
        recorded.append(np.clip((blurred + noise * spread) * gain + dark, 0.0, 1.1))
    return recorded[0], recorded[1]


def quantise(signal: Plane) -> NDArray[np.uint16]:
    """A transmission as the 16-bit raw value; air is 60000, which leaves room for noise."""
    return np.asarray(np.clip(np.rint(signal * 60000.0), 0, 65535), dtype=np.uint16)
