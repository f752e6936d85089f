"""Threat projection: put an item into a scan of which only the colours are known, or take it out.

A scan's colour over the colour of air is treated as a transmission, and transmissions multiply.
That is right for organics and thin metal and too dark for metal on metal (the beam is harder than
the product knows). Images are RGB uint8 ``(h, w, 3)``; masks are boolean ``(h, w)``.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from xai_detect.errors import InputError
from xai_detect.xray.physics.colour import colourise
from xai_detect.xray.physics.scanner import RANK, transmissions
from xai_detect.xray.scenes.scan import FIELD
from xai_detect.xray.scenes.shadows import cast
from xai_detect.xray.things.items import DANGEROUS, build
from xai_detect.xray.things.solids import Item, Pose

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Transmission = NDArray[np.float32]

#: Files that ``load_bags`` reads.
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True, slots=True, eq=False)
class Projected:
    """A scan with something put into it.

    Attributes:
        image: RGB ``(h, w, 3)``.
        mask: Where the item is ``(h, w)``.
        label: Item type.
        material: Its main material.
    """

    image: Image
    mask: Mask
    label: str
    material: str


def air(image: Image) -> NDArray[np.float32]:
    """The colour of air in a scan: the median of its brightest tenth, RGB in 0 to 255."""
    light = image.min(axis=2)
    bright = image[light >= np.quantile(light, 0.9)]
    return np.asarray(np.median(bright, axis=0), np.float32)


def item_transmission(
    item: Item, pose: Pose, size: tuple[int, int], pixels_per_mm: float, palette: str = "standard"
) -> tuple[Transmission, Mask]:
    """Colour transmission ``(h, w, 3)`` of a simulated item in an empty scan, and its mask.

    Args:
        item: What.
        pose: Where, in mm, and how it lies.
        size: ``(height, width)`` of the scan in pixels.
        pixels_per_mm: Resolution.
        palette: Colour table.
    """
    shadow = cast(item, pose, pixels_per_mm, size)
    planes = np.zeros((RANK, *size), np.float32)
    height, width = shadow.mask.shape
    here = (slice(shadow.top, shadow.top + height), slice(shadow.left, shadow.left + width))
    planes[:, here[0], here[1]] = shadow.planes
    mask = np.zeros(size, np.bool_)
    mask[here] = shadow.mask
    low, high = transmissions(planes)
    low, high = (cv2.GaussianBlur(signal, (0, 0), 0.6) for signal in (low, high))
    colours = colourise(np.asarray(low), np.asarray(high), palette).astype(np.float32)
    return colours / air(colours.astype(np.uint8)), mask


def cut_transmission(image: Image, mask: Mask) -> Transmission:
    """Colour transmission of an item cut out of a real scan: the scan over its inpainted self.

    Args:
        image: The scan that shows the item.
        mask: Where the item is.

    Returns:
        ``(h, w, 3)`` in (0, 1], exactly 1 outside the grown mask.
    """
    background = inpaint(image, mask).astype(np.float32)
    ratio = image.astype(np.float32) / np.maximum(background, 1)
    ratio[~_grown(mask)] = 1
    return np.clip(ratio, 1 / 255, 1)


def insert(image: Image, transmission: Transmission) -> Image:
    """Multiply a scan by an item's colour transmission.

    Args:
        image: Scan ``(h, w, 3)``; not changed.
        transmission: ``(h, w, 3)`` in [0, 1]; 1 changes nothing.

    Raises:
        InputError: If the shapes differ.
    """
    if image.shape != transmission.shape:
        raise InputError(f"expected a transmission {image.shape}, but got {transmission.shape}")
    product = image.astype(np.float32) * np.clip(transmission, 0, 1)
    return np.asarray(np.clip(np.rint(product), 0, 255), np.uint8)


def remove(image: Image, transmission: Transmission, least: float = 0.12) -> Image:
    """Divide an item out of a scan; where too little light came through, inpaint instead.

    Args:
        image: The scan with the item.
        transmission: The item's colour transmission.
        least: Where a colour channel let through less than this, nothing is known behind the item.

    Raises:
        InputError: If the shapes differ.
    """
    if image.shape != transmission.shape:
        raise InputError(f"expected a transmission {image.shape}, but got {transmission.shape}")
    divided = image.astype(np.float32) / np.maximum(transmission, 1e-3)
    restored = np.asarray(np.clip(np.rint(divided), 0, 255), np.uint8)
    opaque = transmission.min(axis=2) < least
    return inpaint(restored, opaque, grow=1) if opaque.any() else restored


def inpaint(image: Image, mask: Mask, grow: int = 2, radius: float = 5.0) -> Image:
    """The same bag without what the mask covers: Telea's inpainting from its surroundings.

    A. Telea, "An image inpainting technique based on the fast marching method", 2004.

    Args:
        image: Scan; not changed.
        mask: What to take out; may be empty.
        grow: The mask is grown by this many pixels first, because edges are blurred.
        radius: Neighbourhood that fills a pixel, in pixels.

    Raises:
        InputError: If the mask is not the size of the image, or covers all of it.
    """
    if mask.shape != image.shape[:2]:
        raise InputError(f"the mask is {mask.shape}; expected {image.shape[:2]}, as the scan")
    if not mask.any():
        return image.copy()
    area = _grown(mask, grow)
    if area.all():
        raise InputError("the mask covers the whole scan; nothing is left to inpaint from")
    return np.asarray(
        cv2.inpaint(image, area.astype(np.uint8), radius, cv2.INPAINT_TELEA), np.uint8
    )


def _grown(mask: Mask, grow: int = 2) -> Mask:
    if grow <= 0:
        return mask
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grow + 1, 2 * grow + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel) > 0)


def load_bags(folder: Path) -> tuple[Path, ...]:
    """Image files of a folder, sorted by name; subfolders are not entered.

    Raises:
        InputError: If there is no folder, or no image in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; expected a folder of scans")
    found = tuple(sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES))
    if not found:
        raise InputError(f"{folder} holds no image; expected files ending in {', '.join(SUFFIXES)}")
    return found


def insert_random(path: Path, rng: np.random.Generator) -> Projected:
    """Project a random dangerous item into a scan, wholly over the bag.

    Args:
        path: Image file.
        rng: Decides item, size, pose and place.

    Raises:
        InputError: If the file is no image, or shows nothing but air.
    """
    read = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if read is None:
        raise InputError(f"{path} cannot be read as an image")
    image = np.asarray(read[..., ::-1], np.uint8)
    matter = (air(image) - image.astype(np.float32)).max(axis=2) > 12
    if matter.mean() < 0.005:
        raise InputError(f"{path.name} shows nothing but air; expected a scan of a bag")
    matter = cv2.morphologyEx(matter.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((15, 15), np.uint8))
    per_mm = max(image.shape[:2]) / FIELD
    name = str(rng.choice(list(DANGEROUS)))
    best, chosen = -1.0, None
    for _ in range(12):
        item = build(name, rng)
        row, column = rng.choice(np.argwhere(matter > 0))
        leans = np.clip(rng.normal(0, 0.25, 2), -0.8, 0.8)
        turn = float(rng.uniform(0, 2 * np.pi))
        pose = Pose(column / per_mm, row / per_mm, turn, float(leans[0]), float(leans[1]))
        transmission, mask = item_transmission(item, pose, image.shape[:2], per_mm)
        inside = float(matter[mask].mean()) if mask.any() else 0.0
        if inside > best:
            best, chosen = inside, (transmission, mask, item)
        if inside > 0.97:
            break
    if chosen is None or not chosen[1].any():
        raise InputError(f"{path.name}: no place for a {name}")
    transmission, mask, item = chosen
    return Projected(insert(image, transmission), mask, name, item.material)
