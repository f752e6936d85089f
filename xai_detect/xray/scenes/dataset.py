"""Writing simulated scans as a COCO data set with exact truth.

``images/<split>/`` holds the scans and ``annotations/instances_<split>.json`` the dangerous items
(or a planted world's item), so that the set reads like any other. ``truth/`` holds what a real set
cannot have: every item, dangerous or not (``items_<split>.json``), and each planted cause as an
image.
Masks are amodal and stored as COCO run-length encodings, which are exact; ``iscrowd`` is 0.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from xai_detect.errors import InputError
from xai_detect.values.files import write_bytes
from xai_detect.values.json import Json
from xai_detect.xray.physics.scanner import quantise
from xai_detect.xray.scenes.scan import Scan
from xai_detect.xray.scenes.shadows import Shadow
from xai_detect.xray.things.items import BENIGN, DANGEROUS

#: Quality of the JPEG files, like the public sets.
QUALITY = 92


def encode(mask: NDArray[np.bool_]) -> dict[str, Json]:
    """A mask ``(h, w)`` as compressed COCO run lengths."""
    encoded = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(encoded["size"]), "counts": encoded["counts"].decode("ascii")}


def full_mask(shadow: Shadow, size: int) -> NDArray[np.bool_]:
    """A shadow's mask on the whole square scan."""
    mask = np.zeros((size, size), np.bool_)
    height, width = shadow.mask.shape
    mask[shadow.top : shadow.top + height, shadow.left : shadow.left + width] = shadow.mask
    return mask


def annotation(mask: NDArray[np.bool_], **fields: Json) -> dict[str, Json]:
    """A COCO annotation of a mask that is not empty; ``fields`` are added as they are."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    box = [x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y]
    return {
        **fields,
        "bbox": [float(value) for value in box],
        "area": float(mask.sum()),
        "iscrowd": 0,
        "segmentation": encode(mask),
    }


def annotations(
    made: Scan, image_id: int, first: int, names: Sequence[str]
) -> list[dict[str, Json]]:
    """Annotations of the scan's items whose label is in ``names``.

    Args:
        made: A scan.
        image_id: Its id in the file.
        first: Id of the first annotation.
        names: Category names; the category id is the position plus one.
    """
    rows: list[dict[str, Json]] = []
    size = made.image.shape[0]
    for thing, shadow, over in zip(made.scene.things, made.shadows, made.overlaps, strict=True):
        if thing.label is None or thing.label not in names or not shadow.mask.any():
            continue
        rows.append(
            annotation(
                full_mask(shadow, size),
                id=first + len(rows),
                image_id=image_id,
                category_id=list(names).index(thing.label) + 1,
                material=thing.item.material,
                grams={name: round(mass, 2) for name, mass in sorted(shadow.grams.items())},
                overlap=round(over, 4),
            )
        )
    return rows


def categories(names: Sequence[str]) -> list[dict[str, Json]]:
    """COCO categories, ids from 1; the simulator's items say whether they are dangerous."""
    kinds = dict.fromkeys(DANGEROUS, "dangerous") | dict.fromkeys(BENIGN, "benign")
    return [
        {"id": index + 1, "name": name, "supercategory": kinds.get(name, "planted")}
        for index, name in enumerate(names)
    ]


def write_image(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an RGB image as JPEG (quality 92) or PNG, as the suffix says.

    Raises:
        InputError: If the suffix is neither.
    """
    settings = {
        ".jpg": [cv2.IMWRITE_JPEG_QUALITY, QUALITY],
        ".png": [cv2.IMWRITE_PNG_COMPRESSION, 3],
    }
    if path.suffix not in settings:
        raise InputError(f"cannot write {path.name}; expected a name ending in .jpg or .png")
    bgr = np.ascontiguousarray(image[..., ::-1])
    path.write_bytes(cv2.imencode(path.suffix, bgr, settings[path.suffix])[1].tobytes())


def write_raw(folder: Path, stem: str, made: Scan) -> None:
    """Write the 16-bit low- and high-energy pair as PNG; air is 60000."""
    for name, signal in (("low", made.low), ("high", made.high)):
        settings = [cv2.IMWRITE_PNG_COMPRESSION, 1]
        encoded = cv2.imencode(".png", quantise(signal), settings)[1]
        (folder / f"{stem}_{name}.png").write_bytes(encoded.tobytes())


def write_json(path: Path, content: Mapping[str, Json]) -> None:
    """Write JSON with a stable order of keys, whole or not at all."""
    write_bytes(path, json.dumps(content, sort_keys=True, separators=(",", ":")).encode("ascii"))
