"""One call that reads any data set: the format follows from what is given."""

from pathlib import Path

from xai_detect.data.coco import read_coco
from xai_detect.data.kitti import read_kitti
from xai_detect.data.records import Dataset
from xai_detect.data.voc import read_voc
from xai_detect.data.yolo import read_yolo
from xai_detect.errors import InputError

EXPECTED = (
    "expected a COCO instances_*.json, a YOLO data.yaml or its folder, a Pascal VOC folder "
    "(Annotations, JPEGImages) or a KITTI folder (training/label_2)"
)


def read_dataset(
    path: str | Path, images: str | Path | None = None, split: str | None = None
) -> Dataset:
    """Read images with ground truth.

    What is wrong with single images or boxes is listed in ``problems`` of the result, and the
    rest is read.

    Args:
        path: A COCO JSON file, a YOLO ``data.yaml``, or the folder of a data set.
        images: Folder of the images, where it is not in the usual place; not for YOLO.
        split: Part of the data set, where it has parts; None prefers validation.

    Raises:
        InputError: If nothing is there, the format is unknown or malformed, a name leads out of
            the data set's folder, or no image could be read.
    """
    place = Path(path)
    folder = Path(images) if images is not None else None
    dataset = _read(place, folder, split)
    if not dataset.scans:
        first = f"; first problem: {dataset.problems[0]}" if dataset.problems else ""
        raise InputError(f"{place} holds no image that can be read{first}")
    return dataset


def _read(place: Path, images: Path | None, split: str | None) -> Dataset:
    if not place.exists():
        raise InputError(f"{place} does not exist; {EXPECTED}")
    if place.is_dir():
        return _read_folder(place, images, split)
    match place.suffix.lower():
        case ".json":
            return read_coco(place, images)
        case ".yaml" | ".yml":
            return _yolo(place, images, split)
    raise InputError(f"{place} is no annotation file this program knows; {EXPECTED}")


def annotated(path: Path) -> bool:
    """Whether ``read_dataset`` would take this for a data set; a folder of images is none."""
    if path.is_dir():
        return _layout(path) is not None
    return path.suffix.lower() in {".json", ".yaml", ".yml"}


def _layout(folder: Path) -> str | None:
    """The format that a folder is laid out for; None if for none."""
    configs = _configs(folder)
    if len(configs) == 1 or any(path.stem == "data" for path in configs):
        return "yolo"
    if any(folder.glob("Annotations/*.xml")):
        return "voc"
    if (folder / "label_2").is_dir() or (folder / "training" / "label_2").is_dir():
        return "kitti"
    return "coco" if _instances(folder) else None


def _configs(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.suffix.lower() in {".yaml", ".yml"}]


def _instances(folder: Path) -> list[Path]:
    return sorted({*folder.glob("annotations/instances_*.json"), *folder.glob("instances_*.json")})


def _read_folder(folder: Path, images: Path | None, split: str | None) -> Dataset:
    match _layout(folder):
        case "yolo":
            configs = _configs(folder)
            named = [path for path in configs if path.stem == "data"]
            return _yolo((named or configs)[0], images, split)
        case "voc":
            return read_voc(folder, images, split)
        case "kitti":
            return read_kitti(folder, images, split)
        case "coco":
            return read_coco(_chosen(_instances(folder), folder, split), images)
    raise InputError(f"the layout of {folder} is not one this program knows; {EXPECTED}")


def _yolo(path: Path, images: Path | None, split: str | None) -> Dataset:
    if images is not None:
        raise InputError(f"{path} names its own image folders; leave --images out")
    return read_yolo(path, split)


def _chosen(found: list[Path], folder: Path, split: str | None) -> Path:
    """The JSON file of the split; validation if none is asked for."""
    names = {path.stem.removeprefix("instances_"): path for path in found}
    wanted = split or "val"
    exact = [path for name, path in names.items() if name == wanted]
    near = [path for name, path in names.items() if name.startswith(wanted)]
    if exact or near:
        return (exact or near)[0]
    if split is None and len(found) == 1:
        return found[0]
    raise InputError(
        f"{folder} holds no split {wanted!r}; it has: {', '.join(names)}; "
        "give one, or the JSON file itself"
    )
