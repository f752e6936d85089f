"""Writes drawn scenes as a folder of images with COCO annotations.

An animal's annotation also has ``parts``, which COCO itself does not know: a mask by name.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from xai_detect.savanna.animals import SPECIES
from xai_detect.savanna.render import render
from xai_detect.savanna.scene import DRAWING, Scene
from xai_detect.savanna.strokes import Mask
from xai_detect.values.files import write_bytes
from xai_detect.values.json import Json

IMAGES, ANNOTATIONS = Path("images") / "val", Path("annotations") / "instances_val.json"
"""Where both lie in the folder."""


def write_scenes(folder: Path, scenes: Mapping[str, Scene], side: int) -> Path:
    """Draw scenes into a folder, and write what they show.

    Args:
        folder: Where to; what is there under the same names is replaced.
        scenes: By the name of their image, without suffix.
        side: Of the images, in pixels.

    Returns:
        The annotations, which are written last.
    """
    for place in (folder / IMAGES, (folder / ANNOTATIONS).parent):
        place.mkdir(parents=True, exist_ok=True)
    images: list[Json] = []
    animals: list[Json] = []
    for number, (name, scene) in enumerate(scenes.items(), start=1):
        drawn = render(scene, side)
        file = f"{name}.png"
        write_bytes(folder / IMAGES / file, _png(drawn.image))
        images.append({"id": number, "file_name": file, "width": side, "height": side})
        for (x1, y1, x2, y2), label, parts in zip(
            drawn.boxes, drawn.labels, drawn.parts, strict=True
        ):
            animals.append(
                {
                    "id": len(animals) + 1, "image_id": number, "category_id": label + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": 0, "parts": {part: _runs(mask) for part, mask in parts.items()},
                }
            )  # fmt: skip
    content: dict[str, Json] = {
        "info": {"drawing": DRAWING},
        "images": images,
        "annotations": animals,
        "categories": [{"id": k, "name": name} for k, name in enumerate(SPECIES, start=1)],
    }
    path = folder / ANNOTATIONS
    write_bytes(path, json.dumps(content, separators=(",", ":")).encode("ascii"))
    return path


def _runs(mask: Mask) -> dict[str, Json]:
    """A mask as a compressed run-length code."""
    code = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(code["size"]), "counts": code["counts"].decode("ascii")}


def _png(image: NDArray[np.uint8]) -> bytes:
    """An RGB image as PNG."""
    return cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))[1].tobytes()
