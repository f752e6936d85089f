"""COCO ``instances_*.json`` read.

Category ids have gaps, so labels are positions in the file's category list and the ids are kept
beside them. ``iscrowd`` marks a region of many objects. ``area`` is the mask's. Images that are
views of one thing share a ``case``, and objects have ``parts``, which COCO itself does not know.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from xai_detect.data import coco_boxes, corners, fields, files, parts
from xai_detect.data.fields import Ids
from xai_detect.data.folders import Finder
from xai_detect.data.names import Classes, classes
from xai_detect.data.problems import CROWD, DIFFICULT, Problems
from xai_detect.data.records import Dataset
from xai_detect.errors import InputError
from xai_detect.values.boxes import Size
from xai_detect.values.json import Json, read_json
from xai_detect.values.truth import Item, Scan

Row = Mapping[str, Any]
"""What a file lists: it may hold anything."""

_LOOKED_AT = 200
"""So many names are tried to find the folder of the images."""


def read_coco(path: Path, images: Path | None = None) -> Dataset:
    """Read annotations; images that are missing, damaged or lead out of the folder are left out.

    Args:
        path: The JSON file.
        images: Folder the file names are relative to; None looks in the usual places.

    Raises:
        InputError: If the file is no COCO annotation file, or no image folder is found.
    """
    source = read_json(path, limit=files.MAX_JSON_BYTES, strict=False)
    problems = Problems()
    listed = list(_rows(source, "categories", ("id", "name"), path, problems))
    known = classes([(row["id"], row["name"]) for row in listed], path.name, problems)
    labels = Ids((row["id"], label) for row, label in zip(listed, known.labels, strict=True))
    points = _keypoints(listed, known)
    named = list(_rows(source, "images", ("id", "file_name"), path, problems))
    held: list[list[Row]] = [[] for _ in named]
    places = Ids((row["id"], number) for number, row in enumerate(named))
    for row in _rows(source, "annotations", ("image_id", "category_id"), path, problems):
        place = places.get(row["image_id"])
        if place is None:
            problems.lost(
                f"annotation {row['id']}",
                f" belongs to image {row['image_id']}, which {path.name} does not list",
                f" belong to images that {path.name} does not list",
            )
        else:
            held[place].append(row)
    finder = Finder()
    folder = _image_folder(path, images, [str(row["file_name"]) for row in named], finder)
    shares = coco_boxes.in_shares(row for rows in held for row in rows)
    if shares:
        problems.note(
            path.name, " holds boxes in shares of the image, 0 to 1; they were turned into pixels"
        )
    scans = []
    for row, rows in zip(named, held, strict=True):
        name = str(row["file_name"])
        if _leads_out(name):
            said = " out of the folder of the images; the image is left out"
            problems.image_lost(repr(name), f" in {path.name} leads{said}", f" lead{said}")
            continue
        try:
            image = finder.find(files.inside(folder, name, path))
            size = files.upright_size(image)
        except InputError as error:
            problems.image(folder / name, error)
            continue
        _compare(row, size, problems)
        items = [_item(one, labels, known.names, points, size, shares, problems) for one in rows]
        found = tuple(item for item in items if item is not None)
        case = str(row.get("case") or "")
        scans.append(Scan(name, image, row["id"], size, found, case))
    return Dataset(
        name=path.stem.removeprefix("instances_"),
        format="coco",
        class_names=known.names,
        class_ids=known.ids,
        scans=tuple(scans),
        problems=problems.lines(),
        losses=problems.losses(len(scans) + problems.images_out),
    )


def _rows(
    source: Json, key: str, needed: tuple[str, ...], path: Path, problems: Problems
) -> Iterator[Row]:
    """The list under a key with plain ids; rows that lack something become problems."""
    if isinstance(source, list):
        raise InputError(
            f"{path} holds a list, as detection results do; expected COCO annotations with "
            "images, annotations and categories"
        )
    rows = source.get(key) if isinstance(source, dict) else None
    if not isinstance(rows, list):
        raise InputError(f"{path} has no list {key!r}, so it is no COCO annotation file")
    seen: dict[str, object] = {}
    for number, row in enumerate(rows):
        what = f"{path.name}: {key}[{number}]"
        if not isinstance(row, dict):
            _lost(key, what, " is no object with named fields", "", problems)
            continue
        lacking = next((field for field in needed if field not in row), None)
        if lacking is not None:
            _lost(key, what, f" lacks one of {', '.join(needed)}", "", problems)
            continue
        ids = {field: fields.identity(row[field]) for field in needed if field.endswith("id")}
        bad = next((field for field, value in ids.items() if value is None), None)
        if bad is not None:
            said = f" has an id that is no number or text: {bad} is {_short(row[bad])}"
            _lost(key, what, said, f" has a {bad} that is no number or text", problems)
            continue
        if key == "annotations":
            own = fields.identity(row.get("id"))
            yield {**row, **ids, "id": f"[{number}]" if own is None else own, "own_id": own}
        elif key == "images" and (row["file_name"] is None or row["file_name"] == ""):
            _lost(key, what, " has no file_name", "", problems)
        elif (spelled := str(ids["id"])) in seen:
            if key == "images" or seen[spelled] != row.get("name"):
                said = f": {key} holds the id {ids['id']} twice; the first counts"
                _lost(key, path.name, said, f": {key} holds ids twice; the first counts", problems)
        else:
            seen[spelled] = row.get("name")
            yield {**row, **ids}


def _lost(key: str, what: str, said: str, kind: str, problems: Problems) -> None:
    match key:
        case "annotations":
            problems.lost(what, said, kind)
        case "images":
            problems.image_lost(what, said, kind)
        case _:
            problems.note(what, said, kind)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def _keypoints(listed: Sequence[Row], known: Classes) -> list[tuple[str, ...]]:
    """Names of the key points of each class."""
    points: list[tuple[str, ...]] = [()] * len(known.names)
    for row, label in zip(listed, known.labels, strict=True):
        names = row.get("keypoints")
        if isinstance(names, list) and not points[label]:
            points[label] = tuple(map(str, names))
    return points


def _image_folder(path: Path, images: Path | None, names: list[str], finder: Finder) -> Path:
    if images is not None:
        return files.folder_at(images, "the folder of the images")
    split = path.stem.removeprefix("instances_")
    root = path.parent.parent if path.parent.name.casefold() == "annotations" else path.parent
    guesses = dict.fromkeys((
        root / "images" / split, root / split, root / "images", root / "JPEGImages", root,
        path.parent, path.parent / "images",
    ))  # fmt: skip
    tried = names[:_LOOKED_AT]
    found = {
        guess: sum(_is_there(guess, name, path, finder) for name in tried) for guess in guesses
    }
    best = max(found, key=lambda guess: found[guess])
    if found[best]:
        return best
    if all(_leads_out(name) for name in names):
        return path.parent
    raise InputError(
        f"no image that {path} names was found in {', '.join(map(str, guesses))}; "
        "say where the images lie with --images DIR"
    )


def _is_there(folder: Path, name: str, path: Path, finder: Finder) -> bool:
    return not _leads_out(name) and finder.find(files.inside(folder, name, path)).is_file()


def _leads_out(name: str) -> bool:
    try:
        files.inside(Path(), name, Path())
    except InputError:
        return True
    return False


def _compare(row: Row, size: Size, problems: Problems) -> None:
    height, width = (fields.number(row.get(side)) for side in ("height", "width"))
    recorded = (size[0] if height is None else height, size[1] if width is None else width)
    if recorded != size:
        problems.note(
            str(row["file_name"]),
            f": recorded as {recorded[1]:g} x {recorded[0]:g} but the upright image "
            f"has {size[1]} x {size[0]} pixels; boxes are read in pixels of the image",
            ": the recorded size is not that of the upright image; boxes are read in pixels of "
            "the image",
        )


def _item(
    row: Row,
    labels: Ids[int],
    names: tuple[str, ...],
    points: list[tuple[str, ...]],
    size: Size,
    shares: bool,
    problems: Problems,
) -> Item | None:
    what = f"annotation {row['id']}"
    label = labels.get(row["category_id"])
    if label is None:
        problems.lost(what, f" has the unknown category {row['category_id']!r}")
        return None
    try:
        written = coco_boxes.box_of(row, size, shares)
    except ValueError as error:
        problems.lost(what, f": {error}")
        return None
    box = corners.fit(written, size, what, problems)
    if box is None:
        return None
    crowd, ignored = (_flag(row, name, what, problems) for name in ("iscrowd", "ignore"))
    problems.box(CROWD if crowd else DIFFICULT if ignored else "")
    return Item(
        box=box,
        label=label,
        area=_area(row, what, problems, corners.area_of(box), shares),
        crowd=crowd,
        difficult=ignored,
        raw_label=names[label],
        source_id=row["own_id"],
        parts=parts.read_parts(row, points[label], box, size, what, problems),
    )


def _flag(row: Row, name: str, what: str, problems: Problems) -> bool:
    found = fields.flag(row.get(name))
    if found is None:
        said = f": {name} is {_short(row[name])}; expected 0 or 1, read as 0"
        problems.note(what, said, f": {name} is neither 0 nor 1; read as 0")
    return bool(found)


def _area(row: Row, what: str, problems: Problems, own: float, shares: bool) -> float:
    """The area as written, else that of the box."""
    given = row.get("area")
    if given is None or shares:
        return own
    area = fields.number(given)
    if area is None or area < 0:
        said = f": area is {_short(given)}; expected a number from 0, that of the box is taken"
        problems.note(what, said, ": area is no number from 0; that of the box is taken")
        return own
    return area
