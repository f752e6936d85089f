"""One call that reads any data set: the format follows from what is given."""

from pathlib import Path

from xai_detect.data.coco import read_coco
from xai_detect.data.files import read_yaml
from xai_detect.data.folders import child
from xai_detect.data.kitti import read_kitti
from xai_detect.data.records import Dataset
from xai_detect.data.voc import notes_of, read_voc
from xai_detect.data.yolo import read_yolo
from xai_detect.data.yolo_places import SPLITS, split_entry
from xai_detect.errors import InputError

EXPECTED = (
    "expected a COCO instances_*.json, a YOLO data.yaml or its folder, a Pascal VOC folder "
    "(Annotations, JPEGImages) or a KITTI folder (training/label_2)"
)

_LOOKED_AT = 65_536
"""So many bytes at both ends of a JSON file are looked at."""


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
        InputError: If nothing is there, the format is unknown or malformed, or no image could be
            read.
    """
    place = Path(path)
    folder = Path(images) if images is not None else None
    try:
        dataset = _read(place, folder, split)
    except OSError as error:
        raise InputError(
            f"{error.filename or place} cannot be read ({error.strerror or error})"
        ) from error
    if not dataset.scans:
        first = f"; first problem: {dataset.problems[0]}" if dataset.problems else ""
        raise InputError(f"{place} holds no image that can be read{first}")
    return dataset


def read_truth(
    path: str | Path, images: str | Path | None = None, split: str | None = None
) -> Dataset:
    """As ``read_dataset``, for what cannot do without truth.

    Raises:
        InputError: Also if no truth is left: none of the images has labels, or none of the objects
            counts.
    """
    dataset = read_dataset(path, images, split)
    losses = dataset.losses
    if not losses.everything:
        return dataset
    first = f"; {dataset.problems[0]}" if dataset.problems else ""
    if losses.unlabelled:
        first += (
            f"; put the {losses.label}s where the layout says, or an empty one for each image that "
            "is clean"
        )
    raise InputError(f"{losses.warning}, so there is no truth in {path}{first}")


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
    if _configs(folder):
        return "yolo"
    if notes_of(folder) is not None:
        return "voc"
    if child(child(folder, "training") or folder, "label_2") is not None:
        return "kitti"
    return "coco" if _instances(folder) else None


def _configs(folder: Path) -> list[Path]:
    """The files that describe a YOLO data set; those called ``data`` alone if there are some."""
    found = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in {".yaml", ".yml"}]
    named = [path for path in found if path.stem.lower() == "data"]
    return named or [path for path in found if _describes(path)]


def _describes(path: Path) -> bool:
    """Whether a YAML file describes a data set; others hold settings or models."""
    try:
        config = read_yaml(path)
    except InputError:
        return False
    return "names" in config and any(split_entry(config, split) for split in SPLITS)


def _instances(folder: Path) -> list[Path]:
    """The files that may hold COCO annotations: by name, else the only ones there are."""
    places = [place for place in (child(folder, "annotations"), folder) if place is not None]
    found = [
        path
        for place in places
        for path in sorted(place.iterdir())
        if path.suffix.lower() == ".json" and not path.name.startswith(".")
    ]
    named = [path for path in found if path.name.startswith("instances_")]
    return named or [path for path in found if _may_be_coco(path)]


def _may_be_coco(path: Path) -> bool:
    """Whether the words of COCO stand at the beginning or the end of a file."""
    with path.open("rb") as stream:
        start = stream.read(_LOOKED_AT)
        stream.seek(max(0, path.stat().st_size - _LOOKED_AT))
        return any(word in start + stream.read() for word in (b'"images"', b'"annotations"'))


def _read_folder(folder: Path, images: Path | None, split: str | None) -> Dataset:
    match _layout(folder):
        case "yolo":
            configs = _configs(folder)
            if len(configs) > 1:
                names = ", ".join(path.name for path in configs)
                raise InputError(
                    f"{folder} holds {len(configs)} files that describe a data set ({names}); name "
                    "the one to read"
                )
            return _yolo(configs[0], images, split)
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
