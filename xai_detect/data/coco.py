"""COCO ``instances_*.json``: read and write.

Category ids have gaps, so labels are positions in the file's category list and the ids are kept
beside them. ``iscrowd`` marks a region of many objects. ``area`` is the mask's. Images that are
views of one thing share a ``case``, and objects have ``parts``, which COCO itself does not know.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from xai_detect.data import files, parts
from xai_detect.data.records import Dataset
from xai_detect.errors import InputError
from xai_detect.values.json import Json, read_json, write_json
from xai_detect.values.truth import Item, Scan

Row = Mapping[str, Any]
"""What a file lists: its ids are whole numbers or text, the rest may be anything."""


def read_coco(path: Path, images: Path | None = None) -> Dataset:
    """Read annotations; images that are missing or damaged are listed and left out.

    Args:
        path: The JSON file.
        images: Folder the file names are relative to; None looks in the usual places.

    Raises:
        InputError: If the file is no COCO annotation file, names a file outside the image folder,
            or no image folder is found.
    """
    source = read_json(path, limit=files.MAX_JSON_BYTES, strict=False)
    problems: list[str] = []
    categories = list(_rows(source, "categories", ("id", "name"), path, problems))
    names = tuple(str(row["name"]) for row in categories)
    labels = {row["id"]: label for label, row in enumerate(categories)}
    points = [_texts(row.get("keypoints")) for row in categories]
    named = {row["id"]: row for row in _rows(source, "images", ("id", "file_name"), path, problems)}
    annotations: dict[int | str, list[Row]] = {image_id: [] for image_id in named}
    needed = ("id", "image_id", "category_id", "bbox")
    for row in _rows(source, "annotations", needed, path, problems):
        if row["image_id"] in annotations:
            annotations[row["image_id"]].append(row)
        else:
            problems.append(
                f"annotation {row['id']} belongs to image {row['image_id']}, which {path.name} "
                "does not list; left out"
            )
    folder = _image_folder(path, images, [str(row["file_name"]) for row in named.values()])
    scans = []
    for image_id, row in named.items():
        image = files.inside(folder, str(row["file_name"]), path)
        try:
            size = files.upright_size(image)
        except InputError as error:
            problems.append(f"{error}; the image is left out")
            continue
        _compare(row, size, problems)
        items = [_item(row, labels, names, points, size, problems) for row in annotations[image_id]]
        found = tuple(item for item in items if item is not None)
        case = str(row.get("case") or "")
        scans.append(Scan(str(row["file_name"]), image, image_id, size, found, case))
    return Dataset(
        name=path.stem.removeprefix("instances_"),
        format="coco",
        class_names=names,
        class_ids=tuple(row["id"] for row in categories),
        scans=tuple(scans),
        problems=tuple(problems),
    )


def _rows(
    source: Json, key: str, needed: tuple[str, ...], path: Path, problems: list[str]
) -> Iterator[Row]:
    """The list under a key; rows that lack something, or repeat an id, become problems."""
    if isinstance(source, list):
        raise InputError(
            f"{path} holds a list, as detection results do; expected COCO annotations with "
            "images, annotations and categories"
        )
    rows = source.get(key) if isinstance(source, dict) else None
    if not isinstance(rows, list):
        raise InputError(f"{path} has no list {key!r}, so it is no COCO annotation file")
    seen = set()
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or any(key not in row for key in needed):
            problems.append(f"{path.name}: {key}[{number}] lacks one of {', '.join(needed)}")
        elif not all(isinstance(row[key], int | str) for key in needed if key.endswith("id")):
            problems.append(f"{path.name}: {key}[{number}] has an id that is no number or text")
        elif row["id"] in seen and key != "annotations":
            problems.append(f"{path.name}: {key} holds the id {row['id']} twice; the first counts")
        else:
            seen.add(row["id"])
            yield row


def _image_folder(path: Path, images: Path | None, names: list[str]) -> Path:
    if images is not None:
        return files.folder_at(images, "the folder of the images")
    split = path.stem.removeprefix("instances_")
    root = path.parent.parent if path.parent.name == "annotations" else path.parent
    guesses = (root / "images" / split, root / split, root / "images", root, path.parent)
    for guess in guesses:
        if any(files.inside(guess, name, path).is_file() for name in names):
            return guess
    if not names:
        return path.parent
    raise InputError(
        f"no image that {path} names was found in {', '.join(map(str, dict.fromkeys(guesses)))}; "
        "say where the images lie with --images DIR"
    )


def _compare(row: Row, size: tuple[int, int], problems: list[str]) -> None:
    recorded = (row.get("height", size[0]), row.get("width", size[1]))
    if recorded != size:
        problems.append(
            f"{row['file_name']}: recorded as {recorded[1]} x {recorded[0]} but the upright image "
            f"has {size[1]} x {size[0]} pixels; boxes are read in pixels of the image"
        )


def _item(
    row: Row,
    labels: Mapping[int | str, int],
    names: tuple[str, ...],
    points: list[tuple[str, ...]],
    size: tuple[int, int],
    problems: list[str],
) -> Item | None:
    what = f"annotation {row['id']}"
    if row["category_id"] not in labels:
        problems.append(f"{what} has the unknown category {row['category_id']!r}; left out")
        return None
    corners = row["bbox"]
    if not (isinstance(corners, list) and len(corners) == 4 and all(map(_is_number, corners))):
        problems.append(f"{what}: bbox is not four numbers x, y, width, height; left out")
        return None
    x, y, width, height = map(float, corners)
    box = files.fit((x, y, x + width, y + height), size, what, problems)
    if box is None:
        return None
    area, label = row.get("area"), labels[row["category_id"]]
    return Item(
        box=box,
        label=label,
        area=float(area) if area is not None and _is_number(area) else files.area_of(box),
        crowd=bool(row.get("iscrowd", 0)),
        difficult=bool(row.get("ignore", 0)),
        raw_label=names[label],
        source_id=row["id"],
        parts=parts.read_parts(row, points[label], box, size, what, problems),
    )


def _texts(value: object) -> tuple[str, ...]:
    """A list of texts; empty if it is none."""
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _parts_of(item: Item) -> dict[str, Json]:
    return {part.name: parts.part_to_coco(part) for part in item.parts}


def write_coco(dataset: Dataset, path: Path) -> None:
    """Write the annotations as COCO JSON; images stay where they are.

    Regions for all classes have no form in COCO and become one crowd per class. Annotations keep
    their ids where each has one of its own, else they are numbered.

    Raises:
        InputError: If the file cannot be written.
    """
    annotations: list[dict[str, Json]] = []
    for scan in dataset.scans:
        for item in scan.items:
            x1, y1, x2, y2 = item.box
            ids = dataset.class_ids if item.label is None else (dataset.class_ids[item.label],)
            annotations += [
                {
                    "id": item.source_id,
                    "image_id": scan.image_id,
                    "category_id": class_id,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": item.area,
                    "iscrowd": int(item.crowd),
                    "ignore": int(item.difficult),
                    **({"parts": _parts_of(item)} if item.parts else {}),
                }
                for class_id in ids
            ]
    kept = {row["id"] for row in annotations} - {None}
    if len(kept) < len(annotations):
        for number, annotation in enumerate(annotations, start=1):
            annotation["id"] = number
    content: dict[str, Json] = {
        "images": [
            {
                "id": scan.image_id,
                "file_name": scan.name,
                "height": scan.size[0],
                "width": scan.size[1],
                **({"case": scan.case} if scan.case else {}),
            }
            for scan in dataset.scans
        ],
        "categories": [
            {"id": class_id, "name": name}
            for class_id, name in zip(dataset.class_ids, dataset.class_names, strict=True)
        ],
        "annotations": annotations,
    }
    write_json(path, content)
