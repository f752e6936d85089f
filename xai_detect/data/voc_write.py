"""Pascal VOC written from the one form that data sets are read into."""

import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

from xai_detect.data.records import Dataset
from xai_detect.values.files import write_bytes
from xai_detect.values.truth import Item


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
