"""YOLO layout: ``data.yaml``, image folders or lists, one text file of labels per image.

A label row is ``class cx cy width height`` or ``class x1 y1 x2 y2 x3 y3 ...`` (a polygon), in
shares of the upright image's width and height. A missing or empty label file is a clean image.
"""

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from xai_detect.data import corners, files
from xai_detect.data.names import classes
from xai_detect.data.problems import Problems
from xai_detect.data.records import Dataset
from xai_detect.data.yolo_labels import LabelFiles, label_place
from xai_detect.data.yolo_places import SPLITS, images_of, split_entry
from xai_detect.errors import InputError
from xai_detect.values.boxes import Size
from xai_detect.values.files import write_bytes
from xai_detect.values.truth import Item, Scan


def read_yolo(path: Path, split: str | None = None) -> Dataset:
    """Read one split.

    Args:
        path: The ``data.yaml``; its ``path`` is relative to its own folder.
        split: ``train``, ``val`` or ``test``; None takes the first of val, test, train it names.

    Raises:
        InputError: If the file names no classes, or no such split, or one that does not exist.
    """
    config = files.read_yaml(path)
    problems = Problems()
    listed = _listed_names(config, path)
    known = classes(listed, path.name, problems)
    labels = {int(number): label for (number, _), label in zip(listed, known.labels, strict=True)}
    chosen = split or next((name for name in SPLITS if split_entry(config, name)), "val")
    root, images = images_of(config, chosen, path)
    pose = "kpt_shape" in config
    beside = LabelFiles(images, root, problems)
    scans = []
    for number, image in enumerate(images):
        name = _name(image, root)
        try:
            size = files.upright_size(image)
            file = beside.of(image)
            items = () if file is None else _items(file, labels, size, pose, problems)
        except InputError as error:
            problems.image(image, error)
            continue
        if file is None:
            problems.unlabelled()
        scans.append(Scan(name, image, number, size, items))
    return Dataset(
        name=f"{path.parent.name or path.stem} {chosen}",
        format="yolo",
        class_names=known.names,
        class_ids=known.ids,
        scans=tuple(scans),
        problems=problems.lines(),
        losses=problems.losses(len(images)),
    )


def _name(image: Path, root: Path) -> str:
    return (image.relative_to(root) if image.is_relative_to(root) else image).as_posix()


def _listed_names(config: Mapping[str, object], path: Path) -> list[tuple[int, object]]:
    """Names by class number, in number order."""
    names = config.get("names")
    if names is None and str(config.get("nc", "")).isdigit():
        names = [f"class {number}" for number in range(int(str(config["nc"])))]
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names:
        raise InputError(f"{path} has no names; expected a list, or a mapping from number to name")
    try:
        return sorted(((int(key), name) for key, name in names.items()), key=lambda pair: pair[0])
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: the keys of names must be whole numbers") from error


def _items(
    path: Path, labels: Mapping[int, int], size: Size, pose: bool, problems: Problems
) -> tuple[Item, ...]:
    rows = [
        line.replace(",", " ").split()
        for line in files.read_text(path).splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    unique = list(dict.fromkeys(map(tuple, rows)))
    if len(unique) < len(rows):
        repeated = len(rows) - len(unique)
        problems.note(
            path.name, f": {repeated} repeated row(s) left out", ": repeated rows left out"
        )
    items = []
    for number, row in enumerate(unique, start=1):
        what = f"{path.name}, row {number}"
        values = corners.numbers(row)
        if values is None or len(values) < 5:
            problems.lost(what, ": expected a class and at least four numbers")
        elif values[0] not in labels:
            problems.lost(what, f": class {row[0]} is not among the names")
        elif (item := _item(values, labels, size, pose, what, problems)) is not None:
            items.append(replace(item, raw_label=row[0]))
    return tuple(items)


def _item(
    values: tuple[float, ...],
    labels: Mapping[int, int],
    size: Size,
    pose: bool,
    what: str,
    problems: Problems,
) -> Item | None:
    height, width = size
    numbers = values[1:5] if pose else values[1:]
    area = math.nan
    if len(numbers) == 4:
        x, y, w, h = numbers
        sides: Sequence[float] = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    elif len(numbers) >= 6 and len(numbers) % 2 == 0:
        xs, ys = numbers[::2], numbers[1::2]
        sides = (min(xs), min(ys), max(xs), max(ys))
        area = _polygon_area(xs, ys) * width * height
    else:
        problems.lost(
            what,
            f": {len(values)} columns are neither a box nor a polygon",
            ": the columns are neither a box nor a polygon",
        )
        return None
    if min(sides) > 2 and min(width, height) > 2:
        problems.lost(
            what,
            f": the box lies outside the image, at {sides[0]:g} times its width; expected shares "
            "of the image, 0 to 1, not pixels",
            ": the box lies outside the image; expected shares of the image, 0 to 1, not pixels",
        )
        return None
    x1, y1, x2, y2 = sides
    box = corners.fit((x1 * width, y1 * height, x2 * width, y2 * height), size, what, problems)
    if box is None:
        return None
    problems.box()
    return Item(box, labels[int(values[0])], corners.area_of(box) if math.isnan(area) else area)


def _polygon_area(xs: tuple[float, ...], ys: tuple[float, ...]) -> float:
    """Area by the shoelace formula; the last point joins the first."""
    ring = [*zip(xs, ys, strict=True), (xs[0], ys[0])]
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(ring))) / 2


def write_yolo(dataset: Dataset, folder: Path, split: str = "val") -> None:
    """Write images, labels and ``data.yaml``.

    YOLO has no crowds and no difficult objects: they are left out. Masks' areas are lost.
    """
    for scan in dataset.scans:
        image = folder / "images" / split / scan.name
        image.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(scan.path, image)
        height, width = scan.size
        rows = [
            f"{dataset.class_ids[item.label]} {(x1 + x2) / 2 / width!r} {(y1 + y2) / 2 / height!r} "
            f"{(x2 - x1) / width!r} {(y2 - y1) / height!r}\n"
            for item in scan.items
            for x1, y1, x2, y2 in [item.box]
            if item.label is not None and not (item.crowd or item.difficult)
        ]
        write_bytes(label_place(image), "".join(rows).encode())
    config = {
        split: f"images/{split}",
        "names": dict(zip(dataset.class_ids, dataset.class_names, strict=True)),
    }
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    write_bytes(folder / "data.yaml", text.encode())
