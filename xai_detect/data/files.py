"""Reading files that a stranger may have written: bounded, inside one folder, never executed."""

import codecs
import re
import warnings
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree as ET
from xml.parsers import expat

import yaml  # type: ignore[import-untyped]
from PIL import Image

from xai_detect.errors import InputError
from xai_detect.values.boxes import Size
from xai_detect.values.images import MAX_PIXELS, open_file

MAX_TEXT_BYTES = 16 * 1024**2
"""Limit for an XML, YAML, label or list file; real ones stay far below."""

MAX_JSON_BYTES = 1024**3
"""Limit for annotations in JSON; COCO's largest takes less than half of it."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WIDER = {
    "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "sjis": "cp932",
    "euc_kr": "cp949", "ks_c_5601_1987": "cp949", "big5": "cp950", "ascii": "utf-8",
    "us_ascii": "utf-8", "iso_8859_1": "cp1252", "latin_1": "cp1252", "unicode": "utf-8",
}  # fmt: skip
"""What tools write under these names: the wider encoding that holds them."""

_DECLARED = re.compile(r"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([\w.:-]+)["'][^>]*\?>""")

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
    """A small text file: UTF-8, what a byte order mark says, or what Chinese Windows writes.

    Raises:
        InputError: If it is missing, too large or not text.
    """
    content = _bytes(path, MAX_TEXT_BYTES)
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _decoded(content.removeprefix(mark), encoding, path)
    if b"\0" in content:
        raise InputError(f"{path} is not a UTF-8 text file; save it as one")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return _decoded(content, "gb18030", path)


def _decoded(content: bytes, encoding: str, path: Path) -> str:
    encoding = _WIDER.get(encoding.casefold().replace("-", "_"), encoding)
    try:
        return content.decode(encoding)
    except LookupError as error:
        raise InputError(
            f"{path} declares the encoding {encoding!r}, which is unknown; save it as UTF-8"
        ) from error
    except ValueError as error:
        raise InputError(
            f"{path} is not a UTF-8 text file, nor one in {encoding}; save it as UTF-8"
        ) from error


def read_yaml(path: Path) -> dict[str, object]:
    """A YAML file that holds a mapping; tags that would build objects are refused.

    What stands under ``names`` is text as it is written.

    Raises:
        InputError: If it is missing, too large, malformed or no mapping.
    """
    text = read_text(path)
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not valid YAML ({reason})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no mapping; expected keys such as train, val and names")
    if "names" in content:
        # As they are written: YAML takes the name ``no`` for false and ``010`` for 8.
        written = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506  (builds text only)
        content["names"] = written["names"]
    return content


def read_xml(path: Path) -> ET.Element:
    """An XML file without a document type, so without entities; name spaces are taken off.

    Raises:
        InputError: If it is missing, too large, malformed or declares a document type.
    """
    text = _xml_text(path)

    def refuse(*_: object) -> None:
        raise InputError(
            f"{path} declares a document type, which could pull in other files; "
            "remove the <!DOCTYPE> line"
        )

    guard = expat.ParserCreate()
    guard.StartDoctypeDeclHandler = refuse
    try:
        guard.Parse(text, True)
        root = ET.fromstring(text)  # noqa: S314  (the guard has refused every declaration)
    except (expat.ExpatError, ET.ParseError, RecursionError, LookupError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not valid XML ({error})") from error
    for element in root.iter():
        element.tag = str(element.tag).rpartition("}")[2]
    return root


def _xml_text(path: Path) -> str:
    """The text of an XML file without its declaration, by the encoding that this names.

    Expat itself knows only a few encodings, none of them of Chinese, Japanese or Korean.
    """
    content = _bytes(path, MAX_TEXT_BYTES)
    found = _DECLARED.match(content[:200].decode("latin-1"))
    marked = any(content.startswith(mark) for mark, _ in _MARKS)
    if found is None or marked or found[1].casefold() in ("utf-8", "utf8", "utf-16"):
        text = read_text(path).lstrip()
    else:
        text = _decoded(content, found[1], path).lstrip()
    return re.sub(r"^<\?xml.*?\?>", "", text, count=1, flags=re.DOTALL)


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
