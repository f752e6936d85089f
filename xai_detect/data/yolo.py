"""YOLO layout: ``data.yaml``, image folders or lists, one text file of labels per image.

A label row is ``class cx cy width height`` or ``class x1 y1 x2 y2 x3 y3 ...`` (a polygon), in
shares of the upright image's width and height. A missing or empty label file is a clean image.
"""

import math
import shutil
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from xai_detect.data import files
from xai_detect.data.records import Dataset
from xai_detect.errors import InputError
from xai_detect.values.boxes import Size
from xai_detect.values.files import write_bytes
from xai_detect.values.truth import Item, Scan

SPLITS = ("val", "test", "train")


def read_yolo(path: Path, split: str | None = None) -> Dataset:
    """Read one split.

    Args:
        path: The ``data.yaml``; its ``path`` is relative to its own folder.
        split: ``train``, ``val`` or ``test``; None takes the first of val, test, train it names.

    Raises:
        InputError: If the file names no classes or no such split, or leads out of its folder.
    """
    config = files.read_yaml(path)
    names = _class_names(config, path)
    labels = {class_id: label for label, class_id in enumerate(names)}
    chosen = split or next((name for name in SPLITS if config.get(name)), "val")
    if not config.get(chosen):
        known = ", ".join(name for name in SPLITS if config.get(name)) or "none"
        raise InputError(f"{path} names no split {chosen!r}; it has: {known}")
    problems: list[str] = []
    pose = "kpt_shape" in config
    scans = []
    root, images = _images(config, chosen, path)
    for number, image in enumerate(images):
        try:
            size = files.upright_size(image)
            items = _items(_label_file(image), labels, size, pose, problems)
        except InputError as error:
            problems.append(f"{error}; the image is left out")
            continue
        name = image.relative_to(root).as_posix()
        scans.append(Scan(name, image, number, size, items))
    return Dataset(
        name=f"{path.parent.name or path.stem} {chosen}",
        format="yolo",
        class_names=tuple(names.values()),
        class_ids=tuple(names),
        scans=tuple(scans),
        problems=tuple(problems),
    )


def _class_names(config: Mapping[str, object], path: Path) -> dict[int, str]:
    """Names by class number, in number order."""
    names = config.get("names")
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names:
        raise InputError(f"{path} has no names; expected a list, or a mapping from number to name")
    try:
        return {number: str(name) for number, name in sorted((int(k), v) for k, v in names.items())}
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: the keys of names must be whole numbers") from error


def _images(config: Mapping[str, object], split: str, path: Path) -> tuple[Path, list[Path]]:
    """The data set's folder and the images of a split."""
    given = config[split]
    entries = given if isinstance(given, list) else [given]
    stated = path.parent / str(config.get("path") or "")
    for root in dict.fromkeys((stated, path.parent)):
        places = [_place(root, str(entry), path) for entry in entries]
        if all(place.exists() for place in places):
            found = [image for place in places for image in _listed(place, root)]
            return root, list(dict.fromkeys(found))
    missing = ", ".join(str(_place(stated, str(entry), path)) for entry in entries)
    raise InputError(f"{path} names {missing} for {split!r}, which does not exist")


def _place(root: Path, entry: str, source: Path) -> Path:
    """An entry of the file as a path; exporters write ``../train`` for a folder beside the file."""
    absolute = Path(entry)
    if absolute.is_absolute() and absolute.is_relative_to(root.resolve()):
        return root / absolute.relative_to(root.resolve())
    return files.inside(root, entry.removeprefix("../"), source)


def _listed(place: Path, root: Path) -> list[Path]:
    if place.is_dir():
        return files.images_in(place)
    lines = [line.strip() for line in files.read_text(place).splitlines()]
    # In list files "./" means the list's own folder; everything else is relative to the root.
    return [
        files.inside(place.parent, line, place)
        if line.startswith("./")
        else _place(root, line, place)
        for line in lines
        if line
    ]


def _label_file(image: Path) -> Path:
    """The label file: the last folder called ``images`` becomes ``labels``."""
    parts = list(image.parent.parts)
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return Path(*parts) / f"{image.stem}.txt"


def _items(
    path: Path, labels: Mapping[int, int], size: Size, pose: bool, problems: list[str]
) -> tuple[Item, ...]:
    if not path.is_file():
        return ()
    rows = [line.split() for line in files.read_text(path).splitlines() if line.strip()]
    unique = list(dict.fromkeys(map(tuple, rows)))
    if len(unique) < len(rows):
        problems.append(f"{path.name}: {len(rows) - len(unique)} repeated row(s) left out")
    items = []
    for number, row in enumerate(unique, start=1):
        what = f"{path.name}, row {number}"
        values = files.numbers(row)
        if values is None or len(values) < 5:
            problems.append(f"{what}: expected a class and at least four numbers; left out")
        elif values[0] not in labels:
            problems.append(f"{what}: class {row[0]} is not among the names; left out")
        elif (item := _item(values, labels, size, pose, what, problems)) is not None:
            items.append(replace(item, raw_label=row[0]))
    return tuple(items)


def _item(
    values: tuple[float, ...],
    labels: Mapping[int, int],
    size: Size,
    pose: bool,
    what: str,
    problems: list[str],
) -> Item | None:
    height, width = size
    numbers = values[1:5] if pose else values[1:]
    area = math.nan
    if len(numbers) == 4:
        x, y, w, h = numbers
        corners = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    elif len(numbers) >= 6 and len(numbers) % 2 == 0:
        xs, ys = numbers[::2], numbers[1::2]
        corners = (min(xs), min(ys), max(xs), max(ys))
        area = _polygon_area(xs, ys) * width * height
    else:
        problems.append(f"{what}: {len(values)} columns are neither a box nor a polygon; left out")
        return None
    x1, y1, x2, y2 = corners
    box = files.fit((x1 * width, y1 * height, x2 * width, y2 * height), size, what, problems)
    if box is None:
        return None
    return Item(box, labels[int(values[0])], files.area_of(box) if math.isnan(area) else area)


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
        write_bytes(_label_file(image), "".join(rows).encode())
    config = {
        split: f"images/{split}",
        "names": dict(zip(dataset.class_ids, dataset.class_names, strict=True)),
    }
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    write_bytes(folder / "data.yaml", text.encode())
