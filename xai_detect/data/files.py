"""Reading files that a stranger may have written: bounded, inside one folder, never executed."""

import math
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree as ET
from xml.parsers import expat

import yaml  # type: ignore[import-untyped]
from PIL import Image

from xai_detect.errors import InputError
from xai_detect.values.boxes import Box, Size
from xai_detect.values.images import MAX_PIXELS, SUFFIXES, open_file

MAX_TEXT_BYTES = 16 * 1024**2
"""Limit for an XML, YAML, label or list file; real ones stay far below."""

MAX_JSON_BYTES = 1024**3
"""Limit for annotations in JSON; COCO's largest takes less than half of it."""

ROUNDING = 1.0
"""Pixels by which a box may leave the image without a word: annotation tools round."""

_EXIF_ORIENTATION = 0x0112
_QUARTER_TURNS = frozenset({5, 6, 7, 8})


def inside(folder: Path, name: str, source: Path) -> Path:
    """The file of that name in a folder.

    Raises:
        InputError: If the name leads out of the folder; ``source`` is the file that holds it.
    """
    parts = PurePosixPath(name.replace("\\", "/"))
    drive = len(name) > 1 and name[1] == ":"
    if parts.is_absolute() or drive or ".." in parts.parts or "\0" in name:
        raise InputError(
            f"{source} names {name!r}, which leads out of its folder; names must be relative "
            f"to {folder} and stay inside it"
        )
    return folder / parts


def folder_at(path: Path, what: str) -> Path:
    """The path, if it is a folder.

    Raises:
        InputError: If it is not.
    """
    if not path.is_dir():
        raise InputError(f"{path} is not a folder; expected {what}")
    return path


def _bytes(path: Path, limit: int) -> bytes:
    if not path.is_file():
        raise InputError(f"{path} does not exist or is not a file")
    size = path.stat().st_size
    if size > limit:
        raise InputError(f"{path} has {size:,} bytes; the limit for such a file is {limit:,}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error


def read_text(path: Path) -> str:
    """A small UTF-8 text file.

    Raises:
        InputError: If it is missing, too large or not text.
    """
    try:
        return _bytes(path, MAX_TEXT_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a UTF-8 text file") from error


def read_yaml(path: Path) -> dict[str, object]:
    """A YAML file that holds a mapping; tags that would build objects are refused.

    Raises:
        InputError: If it is missing, too large, malformed or no mapping.
    """
    try:
        content = yaml.safe_load(read_text(path))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not valid YAML ({reason})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no mapping; expected keys such as train, val and names")
    return content


def read_xml(path: Path) -> ET.Element:
    """An XML file without a document type, so without entities.

    Raises:
        InputError: If it is missing, too large, malformed or declares a document type.
    """
    content = _bytes(path, MAX_TEXT_BYTES)

    def refuse(*_: object) -> None:
        raise InputError(
            f"{path} declares a document type, which could pull in other files; "
            "remove the <!DOCTYPE> line"
        )

    guard = expat.ParserCreate()
    guard.StartDoctypeDeclHandler = refuse
    try:
        guard.Parse(content, True)
        return ET.fromstring(content)  # noqa: S314  (the guard has refused every declaration)
    except (expat.ExpatError, ET.ParseError, RecursionError, LookupError) as error:
        raise InputError(f"{path} is not valid XML ({error})") from error


def upright_size(path: Path) -> Size:
    """``(height, width)`` of an image as it is shown, EXIF rotation applied, from its header.

    Raises:
        InputError: If it is missing, no image, damaged or too large.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with open_file(path) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise InputError(
                        f"{path} has {width} x {height} pixels; the limit is {MAX_PIXELS:,}"
                    )
                turned = image.getexif().get(_EXIF_ORIENTATION) in _QUARTER_TURNS
    except Image.DecompressionBombError as error:
        raise InputError(f"{path} claims more pixels than the limit of {MAX_PIXELS:,}") from error
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is damaged or not an image ({error})") from error
    return (width, height) if turned else (height, width)


def images_in(folder: Path) -> list[Path]:
    """Every image below a folder, sorted by path."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")
    )


def image_named(folder: Path, stem: str) -> Path:
    """The image of that stem in a folder, whatever its suffix; a ``.jpg`` path if there is none."""
    for suffix in sorted(SUFFIXES | {ending.upper() for ending in SUFFIXES}):
        if (path := folder / f"{stem}{suffix}").is_file():
            return path
    return folder / f"{stem}.jpg"


def numbers(words: Iterable[str]) -> tuple[float, ...] | None:
    """The words as finite numbers, or None if one of them is not."""
    try:
        values = tuple(float(word) for word in words)
    except ValueError:
        return None
    return values if all(math.isfinite(value) for value in values) else None


def fit(box: Sequence[float], size: Size, what: str, problems: list[str]) -> Box | None:
    """A box cut to the image, or None if nothing is left; says so in ``problems``.

    Args:
        box: Corners in image pixels.
        size: ``(height, width)`` of the image.
        what: What to call the box in a problem.
        problems: Sentences are appended here.
    """
    height, width = size
    x1, y1, x2, y2 = box
    if not all(math.isfinite(value) for value in box):
        problems.append(f"{what}: the box holds a value that is not finite; left out")
        return None
    if x2 <= x1 or y2 <= y1:
        problems.append(f"{what}: the box {_words(box)} is inverted or has no area; left out")
        return None
    cut = (max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height)))
    if cut[2] <= cut[0] or cut[3] <= cut[1]:
        problems.append(
            f"{what}: the box {_words(box)} lies outside the {width} x {height} image; left out"
        )
        return None
    if max(abs(was - now) for was, now in zip(box, cut, strict=True)) > ROUNDING:
        problems.append(
            f"{what}: the box {_words(box)} reaches out of the {width} x {height} image; cut to it"
        )
    return cut


def _words(box: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in box) + ")"


def area_of(box: Box) -> float:
    """Area of a box in square pixels."""
    return (box[2] - box[0]) * (box[3] - box[1])
