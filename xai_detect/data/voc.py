"""Pascal VOC: ``JPEGImages``, ``Annotations/*.xml``, ``ImageSets/Main/<split>.txt``.

Corners are 1-based and inclusive, so 1 is taken off the minima. ``difficult`` objects need not be
found. Names may carry stray spaces. An image without an XML file is a clean image. Folders may be
called as in other sets of this kind (``images``, ``Annotation``, lower case), or be one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

from xai_detect.data import corners, fields, files
from xai_detect.data.folders import Finder, child, images_in, is_image, same
from xai_detect.data.problems import DIFFICULT, Problems
from xai_detect.data.records import Dataset
from xai_detect.errors import InputError
from xai_detect.values.boxes import Size
from xai_detect.values.names import name_text
from xai_detect.values.truth import Item, Scan

VOC_NAMES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
"""The challenge's classes: used whole when a folder holds no others."""

NOTES = ("Annotations", "Annotation", "labels", "label", "xmls", "xml")
IMAGES = ("JPEGImages", "JPEGImage", "images", "image", "imgs", "img")
LISTS = ("ImageSets", "ImageSet")

_XML = frozenset({".xml"})
_MARKS = frozenset({"-1", "0", "1"})
"""Second column of lists of one class."""


class Row(NamedTuple):
    """An object as it is written: name, whether it is difficult, and corners."""

    raw: str
    difficult: bool
    corners: tuple[float, ...]


def read_voc(
    folder: Path, images: Path | None = None, split: str | None = None, *, first: int = 1
) -> Dataset:
    """Read one split, or all images if the folder has no splits.

    Args:
        folder: Holds ``Annotations``.
        images: Folder of the images; None means ``JPEGImages`` beside it.
        split: Name of a list in ``ImageSets/Main``; None takes val, else test, else everything.
        first: What the annotation tool calls the first pixel: 1 as in VOC, 0 in some others.

    Raises:
        InputError: If the layout is another, the split does not exist, or an XML file declares a
            document type.
    """
    found = notes_of(folder)
    notes = files.folder_at(found or folder / NOTES[0], "the XML files of a Pascal VOC data set")
    usual = child(folder, *IMAGES) or (notes if found == folder else folder / IMAGES[0])
    source = files.folder_at(images or usual, "the images of a Pascal VOC data set")
    problems, finder = Problems("XML file"), Finder()
    read: list[tuple[Path, str, Size, list[Row]]] = []
    stems = _stems(folder, notes, source, split)
    for stem in stems:
        image = finder.image(source, stem)
        try:
            note = finder.stem(notes, stem, _XML)
            root = None if note is None else files.read_xml(note)
            if root is not None and not image.is_file():
                image = _by_filename(root, source, finder) or image
            size = files.upright_size(image)
        except InputError as error:
            if "document type" in str(error):
                raise
            problems.image(image if note is None else note, error)
            continue
        if root is None:
            problems.unlabelled()
        rows = [] if root is None else _rows(root, stem, problems)
        read.append((image, stem, size, rows))
    known = {name_text(row.raw) for _, _, _, rows in read for row in rows}
    names = VOC_NAMES if known and known <= set(VOC_NAMES) else tuple(sorted(known))
    shares = _in_shares([row for _, _, _, rows in read for row in rows])
    if shares:
        problems.note(
            notes.name, " holds boxes in shares of the image; they were turned into pixels"
        )
    scans = tuple(
        Scan(
            name=image.relative_to(source).as_posix(),
            path=image,
            image_id=stem,
            size=size,
            items=_items(rows, names, size, None if shares else first, stem, problems),
        )
        for image, stem, size, rows in read
    )
    title = f"{folder.name} {split}" if split else folder.name
    return Dataset(
        title, "voc", names, tuple(range(len(names))), scans,
        problems.lines(), problems.losses(len(stems)),
    )  # fmt: skip


def notes_of(folder: Path) -> Path | None:
    """The folder that holds the XML files of a data set, or itself; None if there are none."""
    named = child(folder, *NOTES)
    inner = None if named is None else child(named, "xmls", "xml")
    for place in (named, inner, folder):
        if place is not None and any(path.suffix.lower() == ".xml" for path in place.iterdir()):
            return place
    return None


def _stems(folder: Path, notes: Path, source: Path, split: str | None) -> list[str]:
    sets = child(folder, *LISTS)
    lists = None if sets is None else child(sets, "Main") or sets
    known = {} if lists is None else {
        path.stem: path for path in sorted(lists.iterdir()) if path.suffix.lower() == ".txt"
    }  # fmt: skip
    if split is None:
        split = next((name for name in ("val", "test") if name in known), None)
        if split is None:
            return _every_stem(notes, source)
    if split not in known:
        raise InputError(
            f"{lists or folder / LISTS[0] / 'Main'} holds no split {split!r}; it has: "
            f"{', '.join(list(known)[:10]) or 'none'}"
        )
    there = {same(stem) for stem in _every_stem(notes, source)}
    lines = [line.strip() for line in files.read_text(known[split]).splitlines()]
    stems = [_listed(line, there) for line in lines if line and not _comment(line, there)]
    for stem in stems:
        files.inside(notes, stem, known[split])
    return list(dict.fromkeys(stems))


def _every_stem(notes: Path, source: Path) -> list[str]:
    """Stems of XML files and of images; an image in a folder of its own is named with it."""
    written = {path.stem for path in notes.iterdir() if path.suffix.lower() == ".xml"}
    shown = {
        path.relative_to(source).with_suffix("").as_posix()
        for path in (images_in(source) if source != notes else filter(is_image, notes.iterdir()))
    }
    known = {same(stem) for stem in written}
    return sorted(written | {stem for stem in shown if same(stem) not in known})


def _comment(line: str, there: set[str]) -> bool:
    return line.startswith("#") and same(line) not in there


def _listed(line: str, there: set[str]) -> str:
    """The stem in a line of a list; lists of one class have a second column, 1, 0 or -1."""
    start, _, mark = line.rpartition(" ")
    for text in (line, start.strip() if mark in _MARKS else line):
        for stem in (text, text.rpartition(".")[0]):
            if stem and same(stem) in there:
                return stem
    return start.strip() if mark in _MARKS and start.strip() else line


def _by_filename(root: ET.Element, source: Path, finder: Finder) -> Path | None:
    """The image that an XML file names, if it lies among the images."""
    name = (root.findtext("filename") or "").strip()
    path = finder.find(source / Path(name.replace("\\", "/")).name) if name else source
    return path if path.is_file() else None


def _rows(root: ET.Element, stem: str, problems: Problems) -> list[Row]:
    """Name as written, difficulty and written corners of each object."""
    rows = []
    for number, thing in enumerate(root.iter("object"), start=1):
        what = f"{stem}.xml, object {number}"
        raw = thing.findtext("name") or ""
        sides = _corners(thing)
        if not name_text(raw) or sides is None:
            problems.lost(what, ": lacks a name or a corner")
            continue
        written = thing.findtext("difficult")
        difficult = fields.flag(written)
        if difficult is None:
            said = f": difficult is {written!r}; expected 0 or 1, read as 0"
            problems.note(what, said, ": difficult is neither 0 nor 1; read as 0")
        rows.append(Row(raw, bool(difficult), sides))
    return rows


def _corners(thing: ET.Element) -> tuple[float, ...] | None:
    """Left, top, right, bottom of an object as written, or around its polygon."""
    sides = ("xmin", "ymin", "xmax", "ymax")
    written = corners.numbers(thing.findtext(f"bndbox/{side}") or "" for side in sides)
    polygon = thing.find("polygon")
    if written is not None or polygon is None:
        return written
    points = [(part.tag, part.text or "") for part in polygon.iter() if part.tag[:1] in "xy"]
    xs = corners.numbers(text for tag, text in points if tag.startswith("x"))
    ys = corners.numbers(text for tag, text in points if tag.startswith("y"))
    return (min(xs), min(ys), max(xs), max(ys)) if xs and ys else None


def _in_shares(rows: Sequence[Row]) -> bool:
    """Whether all boxes are shares of their image, 0 to 1, not pixels."""
    values = [value for row in rows for value in row.corners]
    inside = all(0 <= value <= 1 for value in values)
    return inside and any(value != int(value) for value in values)


def _items(
    rows: list[Row],
    names: tuple[str, ...],
    size: Size,
    first: int | None,
    stem: str,
    problems: Problems,
) -> tuple[Item, ...]:
    """The objects of an image; ``first`` is None where corners are shares of it."""
    items = []
    for raw, difficult, (x1, y1, x2, y2) in rows:
        name = name_text(raw)
        if first is None:
            height, width = size
            written = (x1 * width, y1 * height, x2 * width, y2 * height)
        else:
            # The last pixel is inside: its far edge is one further, which cancels the offset.
            written = (x1 - first, y1 - first, x2 - first + 1, y2 - first + 1)
        box = corners.fit(written, size, f"{stem}.xml, {name}", problems)
        if box is not None:
            problems.box(DIFFICULT if difficult else "")
            area = corners.area_of(box)
            items.append(Item(box, names.index(name), area, difficult=difficult, raw_label=raw))
    return tuple(items)
