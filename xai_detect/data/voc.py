"""Pascal VOC layout: ``JPEGImages``, ``Annotations/*.xml``, ``ImageSets/Main/<split>.txt``.

Corners are 1-based and inclusive, so 1 is taken off the minima. ``difficult`` objects need not be
found. Names may carry stray spaces.
"""

import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

from xai_detect.data import files
from xai_detect.data.records import Dataset
from xai_detect.errors import InputError
from xai_detect.values.boxes import Size
from xai_detect.values.files import write_bytes
from xai_detect.values.truth import Item, Scan

VOC_NAMES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
"""The challenge's classes: used whole when a folder holds no others."""

Row = tuple[str, bool, tuple[float, ...]]


def read_voc(
    folder: Path, images: Path | None = None, split: str | None = None, *, first: int = 1
) -> Dataset:
    """Read one split, or all annotations if the folder has no splits.

    Args:
        folder: Holds ``Annotations``.
        images: Folder of the images; None means ``JPEGImages`` beside it.
        split: Name of a list in ``ImageSets/Main``; None takes val, else test, else everything.
        first: What the annotation tool calls the first pixel: 1 as in VOC, 0 in some others.

    Raises:
        InputError: If the layout is another, the split does not exist, or an XML file declares a
            document type.
    """
    notes = files.folder_at(folder / "Annotations", "the XML files of a Pascal VOC data set")
    source = files.folder_at(images or folder / "JPEGImages", "the images of a Pascal VOC data set")
    problems: list[str] = []
    read: list[tuple[Path, Size, list[Row]]] = []
    for stem in _stems(folder, notes, split):
        try:
            rows = _rows(files.read_xml(notes / f"{stem}.xml"), stem, problems)
            image = files.image_named(source, stem)
            read.append((image, files.upright_size(image), rows))
        except InputError as error:
            problems.append(f"{error}; the image is left out")
    found = {_name(raw) for _, _, rows in read for raw, _, _ in rows}
    names = VOC_NAMES if found <= set(VOC_NAMES) else tuple(sorted(found))
    scans = tuple(
        Scan(
            name=image.relative_to(source).as_posix(),
            path=image,
            image_id=image.stem,
            size=size,
            items=_items(rows, names, size, first, image.stem, problems),
        )
        for image, size, rows in read
    )
    title = f"{folder.name} {split}" if split else folder.name
    return Dataset(title, "voc", names, tuple(range(len(names))), scans, tuple(problems))


def _stems(folder: Path, notes: Path, split: str | None) -> list[str]:
    lists = folder / "ImageSets" / "Main"
    known = sorted(path.stem for path in lists.glob("*.txt"))
    if split is None:
        split = next((name for name in ("val", "test") if name in known), None)
        if split is None:
            return sorted(path.stem for path in notes.glob("*.xml"))
    if split not in known:
        raise InputError(
            f"{lists} holds no split {split!r}; it has: {', '.join(known[:10]) or 'none'}"
        )
    chosen = lists / f"{split}.txt"
    # Lists of one class have a second column, 1 or -1; the first is the image in both kinds.
    stems = [line.split()[0] for line in files.read_text(chosen).splitlines() if line.strip()]
    for stem in stems:
        files.inside(notes, stem, chosen)
    return list(dict.fromkeys(stems))


def _rows(root: ET.Element, stem: str, problems: list[str]) -> list[Row]:
    """Name as written, difficulty and written corners of each object."""
    rows = []
    for number, thing in enumerate(root.iter("object"), start=1):
        raw = thing.findtext("name") or ""
        corners = files.numbers(
            thing.findtext(f"bndbox/{side}") or "" for side in ("xmin", "ymin", "xmax", "ymax")
        )
        if not _name(raw) or corners is None:
            problems.append(f"{stem}.xml, object {number}: lacks a name or a corner; left out")
            continue
        rows.append((raw, (thing.findtext("difficult") or "0").strip() == "1", corners))
    return rows


def _name(raw: str) -> str:
    return " ".join(raw.split())


def _items(
    rows: list[Row], names: tuple[str, ...], size: Size, first: int, stem: str, problems: list[str]
) -> tuple[Item, ...]:
    items = []
    for raw, difficult, (x1, y1, x2, y2) in rows:
        name = _name(raw)
        # The last pixel is inside: its far edge is one further, which cancels the offset.
        written = (x1 - first, y1 - first, x2 - first + 1, y2 - first + 1)
        box = files.fit(written, size, f"{stem}.xml, {name}", problems)
        if box is not None:
            area = files.area_of(box)
            items.append(Item(box, names.index(name), area, difficult=difficult, raw_label=raw))
    return tuple(items)


def write_voc(dataset: Dataset, folder: Path, split: str = "val") -> None:
    """Write images, annotations and the split's list.

    VOC has no crowds: they become difficult objects. Regions for all classes are left out.
    """
    (folder / "JPEGImages").mkdir(parents=True, exist_ok=True)
    stems = []
    for scan in dataset.scans:
        stem = Path(scan.name).stem
        stems.append(stem)
        shutil.copyfile(scan.path, folder / "JPEGImages" / Path(scan.name).name)
        root = ET.Element("annotation")
        ET.SubElement(root, "filename").text = Path(scan.name).name
        size = ET.SubElement(root, "size")
        for tag, value in zip(("height", "width", "depth"), (*scan.size, 3), strict=True):
            ET.SubElement(size, tag).text = str(value)
        for item in scan.items:
            if item.label is not None:
                _write_object(root, dataset.class_names[item.label], item)
        write_bytes(folder / "Annotations" / f"{stem}.xml", ET.tostring(root, encoding="utf-8"))
    listed = "".join(f"{stem}\n" for stem in stems)
    write_bytes(folder / "ImageSets" / "Main" / f"{split}.txt", listed.encode())


def _write_object(root: ET.Element, name: str, item: Item) -> None:
    thing = ET.SubElement(root, "object")
    ET.SubElement(thing, "name").text = name
    ET.SubElement(thing, "difficult").text = str(int(item.difficult or item.crowd))
    corners = ET.SubElement(thing, "bndbox")
    x1, y1, x2, y2 = item.box
    written = (x1 + 1, y1 + 1, x2, y2)
    for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), written, strict=True):
        ET.SubElement(corners, tag).text = repr(value)
