"""KITTI object layout: ``training/image_2/NNNNNN.png`` and ``training/label_2/NNNNNN.txt``.

A row has 15 columns: type, truncation, occlusion, alpha, left, top, right, bottom, and seven of
3-D. ``DontCare`` is a region where nothing was annotated. As in KITTI's own scoring, a van is no
mistake for a car and a sitting person none for a pedestrian: neighbours are ignored.
Geiger et al., "Are we ready for autonomous driving? The KITTI vision benchmark suite", CVPR 2012.
"""

import random
import shutil
from pathlib import Path

from xai_detect.data import corners, files
from xai_detect.data.folders import Finder, child, images_in, same
from xai_detect.data.problems import REGION, Problems
from xai_detect.data.records import Dataset
from xai_detect.errors import InputError
from xai_detect.values.boxes import Size
from xai_detect.values.files import write_bytes
from xai_detect.values.truth import Item, Scan

KITTI_NAMES = (
    "Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc",
)  # fmt: skip
NEIGHBOURS = {"Van": "Car", "Person_sitting": "Pedestrian"}
COLUMNS = 15

Row = tuple[str, tuple[float, ...]]


def read_kitti(folder: Path, images: Path | None = None, split: str | None = None) -> Dataset:
    """Read the annotated images.

    Args:
        folder: Holds ``label_2``, or ``training`` which holds it.
        images: Folder of the images; None means ``image_2`` beside it.
        split: None reads all. KITTI has no official validation part: ``train`` and ``val`` are
            halves drawn once with a fixed seed.

    Raises:
        InputError: If the layout or the split is another.
    """
    root = child(folder, "training") or folder
    notes = files.folder_at(
        child(root, "label_2") or root / "label_2", "the label files of a KITTI data set"
    )
    source = files.folder_at(
        images or child(root, "image_2") or root / "image_2", "the images of a KITTI data set"
    )
    problems, finder = Problems(), Finder()
    read: list[tuple[Path, Size, list[Row]]] = []
    stems = _stems(notes, source, split)
    for stem in stems:
        image, note = finder.image(source, stem), finder.stem(notes, stem, frozenset({".txt"}))
        try:
            size = files.upright_size(image)
            text = "" if note is None else files.read_text(note)
        except InputError as error:
            problems.image(image, error)
            continue
        if note is None:
            problems.unlabelled()
        read.append((image, size, _rows(text, stem, problems)))
    found = {name for _, _, rows in read for name, _ in rows} - {"DontCare"}
    names = KITTI_NAMES + tuple(sorted(found - set(KITTI_NAMES)))
    scans = tuple(
        Scan(
            name=image.relative_to(source).as_posix(),
            path=image,
            image_id=image.stem,
            size=size,
            items=_items(rows, names, size, image.stem, problems),
        )
        for image, size, rows in read
    )
    title = f"{folder.name} {split}" if split else folder.name
    return Dataset(
        title, "kitti", names, tuple(range(len(names))), scans,
        problems.lines(), problems.losses(len(stems)),
    )  # fmt: skip


def _stems(notes: Path, source: Path, split: str | None) -> list[str]:
    """Stems of label files, and of images without one."""
    written = {path.stem for path in notes.iterdir() if path.suffix.lower() == ".txt"}
    known = {same(stem) for stem in written}
    shown = {path.stem for path in images_in(source) if path.parent == source}
    stems = sorted(written | {stem for stem in shown if same(stem) not in known})
    if split in (None, "training"):
        return stems
    if split not in ("train", "val"):
        raise InputError(f"a KITTI folder has no split {split!r}; expected training, train or val")
    shuffled = stems.copy()
    random.Random(0).shuffle(shuffled)  # noqa: S311  (a fixed split, no secret)
    half = (len(stems) + 1) // 2
    return sorted(shuffled[:half] if split == "train" else shuffled[half:])


def _rows(text: str, stem: str, problems: Problems) -> list[Row]:
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        values = corners.numbers(words[1:])
        if values is None or len(words) < COLUMNS:
            what = f"{stem}.txt, row {number}"
            problems.lost(what, f": expected a type and {COLUMNS - 1} numbers")
            continue
        rows.append((words[0], values[3:7]))
    return rows


def _items(
    rows: list[Row], names: tuple[str, ...], size: Size, stem: str, problems: Problems
) -> tuple[Item, ...]:
    items = []
    for name, sides in rows:
        box = corners.fit(sides, size, f"{stem}.txt, {name}", problems)
        if box is None:
            continue
        problems.box(REGION if name == "DontCare" else "")
        area = corners.area_of(box)
        if name == "DontCare":
            items.append(Item(box, None, area, crowd=True, raw_label=name))
            continue
        items.append(Item(box, names.index(name), area, raw_label=name))
        if name in NEIGHBOURS:
            neighbour = names.index(NEIGHBOURS[name])
            items.append(Item(box, neighbour, area, difficult=True, raw_label=name))
    return tuple(items)


def write_kitti(dataset: Dataset, folder: Path) -> None:
    """Write images and labels.

    Class names lose their spaces. What need not be found has no form in KITTI and is left out,
    except for ``DontCare``; reading restores the neighbours.
    """
    images, notes = folder / "training" / "image_2", folder / "training" / "label_2"
    images.mkdir(parents=True, exist_ok=True)
    for scan in dataset.scans:
        shutil.copyfile(scan.path, images / Path(scan.name).name)
        rows = []
        for item in scan.items:
            if item.label is not None and (item.crowd or item.difficult):
                continue
            name = "DontCare" if item.label is None else dataset.class_names[item.label]
            sides = " ".join(map(repr, item.box))
            rows.append(
                f"{name.replace(' ', '_')} 0 0 -10 {sides} -1 -1 -1 -1000 -1000 -1000 -10\n"
            )
        write_bytes(notes / f"{Path(scan.name).stem}.txt", "".join(rows).encode())
