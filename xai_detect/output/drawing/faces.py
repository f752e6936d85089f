"""Typefaces of pictures: one that comes with matplotlib; for letters that it lacks, the system's.

The first makes pictures the same on any machine, but has no Hangul and no Chinese characters. A
text that mixes both is drawn in pieces. What no typeface of the machine has cannot be read in a
picture; then names become numbers, and the report says whose they are.
"""

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib import font_manager, ft2font
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import ImageFont

from xai_detect.words.catalogue import ENGLISH, Catalogue, spoken

EAST_ASIAN = ("ko", "zh-cn", "ja", "zh-tw")
"""Languages whose usual typeface is asked for, as fontconfig names them."""

KNOWN = (
    "NotoSansCJK-Regular.ttc", "NotoSansCJKkr-Regular.otf", "NotoSansKR-Regular.otf",
    "NanumGothic.ttf", "UnDotum.ttf", "malgun.ttf", "AppleSDGothicNeo.ttc", "msyh.ttc",
    "YuGothM.ttc", "PingFang.ttc", "wqy-microhei.ttc", "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
)  # fmt: skip
"""Files that are looked for besides, where there is no fontconfig or its answer lacks letters."""

_SAMPLES = frozenset(map(ord, "가一あ"))


class Face(NamedTuple):
    """A typeface.

    Attributes:
        path: Its file.
        place: Its place in a file that holds several.
    """

    path: Path
    place: int = 0


@cache
def own(*, bold: bool) -> Face:
    """The typeface that comes with matplotlib."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return Face(Path(mpl.get_data_path(), "fonts", "ttf", name))


@cache
def of_system(*, bold: bool) -> tuple[Face, ...]:
    """Typefaces of this machine for East Asian text, best first; looked up once."""
    matched = [face for language in EAST_ASIAN for face in _matched(language, bold=bold)]
    files = [Path(path) for path in font_manager.findSystemFonts()]
    listed = [Face(path) for name in KNOWN for path in files if path.name == name]
    return tuple(face for face in dict.fromkeys(matched + listed) if letters(face) & _SAMPLES)


def _matched(language: str, *, bold: bool) -> list[Face]:
    """What fontconfig gives for a language; it always gives something, fit or not."""
    command = shutil.which("fc-match")
    if command is None:
        return []
    pattern = f":lang={language}" + (":bold" if bold else "")
    asked = [command, "--format=%{file}\n%{index}", pattern]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=20)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return []
    path, _, index = said.stdout.partition("\n")
    # the upper half of the index names a variant of a variable typeface
    return (
        [Face(Path(path), int(index) & 0xFFFF)] if index.isdigit() and Path(path).is_file() else []
    )


@lru_cache(maxsize=32)
def letters(face: Face) -> frozenset[int]:
    """Code points that a typeface has; none if the file cannot be read."""
    try:
        return frozenset(ft2font.FT2Font(str(face.path)).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()


def _face(letter: str, *, bold: bool) -> Face | None:
    """The first typeface that has a letter; None if none has."""
    if ord(letter) in letters(own(bold=bold)):
        return own(bold=bold)
    return next((face for face in of_system(bold=bold) if ord(letter) in letters(face)), None)


@lru_cache(maxsize=64)
def _font(face: Face, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(face.path), size, index=face.place)


def font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The typeface that comes with matplotlib, ``size`` pixels high."""
    return _font(own(bold=bold), size)


def pieces(text: str, size: int, *, bold: bool) -> Iterator[tuple[str, ImageFont.FreeTypeFont]]:
    """A text cut where its typeface changes, each part with its own."""

    def of(letter: str) -> Face:
        return _face(letter, bold=bold) or own(bold=bold)

    for face, run in groupby(text, of):
        yield "".join(run), _font(face, size)


def drawable(text: str) -> bool:
    """Whether every letter of a text can be drawn on this machine, also in bold."""
    seen = {letter for letter in text if letter.isprintable()}
    return all(_face(letter, bold=bold) is not None for letter in seen for bold in (False, True))


def drawn_name(name: str, label: int, words: Catalogue) -> str:
    """A class's name as it stands in pictures: its number, from 1, where it cannot be drawn."""
    return name if drawable(name) else words.say("picture.class_number", number=label + 1)


def legible(text: str) -> str:
    """A text with a question mark for each letter that cannot be drawn."""
    return "".join(letter if drawable(letter) else "?" for letter in text)


@cache
def picture_words(language: str) -> Catalogue:
    """The words of pictures: those of the language if this machine can draw it, else English."""
    words = spoken(language)
    tables = ("level.", "picture.", "map.", "comparison.", "plot.", "count.")
    said = "".join(text for name, text in words.templates.items() if name.startswith(tables))
    return words if drawable(said) else ENGLISH


def in_every_letter(figure: Figure) -> Figure:
    """A figure of matplotlib whose texts take letters that its typeface lacks from the system's."""
    for text in figure.findobj(Text):
        if any(ord(letter) not in letters(own(bold=False)) for letter in text.get_text()):
            # few of these typefaces come in bold, and matplotlib complains of each that does not
            text.set(fontfamily=families(), fontweight="normal")
    return figure


@cache
def families() -> tuple[str, ...]:
    """Names of the typefaces for matplotlib's figures, each for letters that those before lack."""
    names = ["DejaVu Sans"]
    for face in of_system(bold=False):
        font_manager.fontManager.addfont(str(face.path))
        names.append(font_manager.get_font(str(face.path)).family_name)
    return tuple(dict.fromkeys(names))
