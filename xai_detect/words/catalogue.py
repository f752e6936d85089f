"""One catalogue of words per language: every sentence that the project shows to people, by name.

A sentence is a template with ``{names}`` in braces. All languages hold the same names and use the
same braces; a test holds them to it. Messages of errors are not in it: they are English everywhere.
"""

import locale
import os
import string
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from xai_detect.errors import InputError
from xai_detect.words.particles import particles

FOLDER = Path(__file__).parent

PERCENT = {"en": " %", "ko": "%"}
"""The sign after a number, by language."""

LANGUAGES = tuple(PERCENT)


FRACTIONS = {
    "none": 0.0, "twentieth": 0.05, "tenth": 0.1, "fifth": 0.2, "quarter": 0.25, "third": 1 / 3,
    "two_fifths": 0.4, "half": 0.5, "three_fifths": 0.6, "two_thirds": 2 / 3,
    "three_quarters": 0.75, "four_fifths": 0.8, "nine_tenths": 0.9, "all": 1.0,
}  # fmt: skip
"""Shares that have words."""


class _Filling(string.Formatter):
    """Fills templates in; shares get the language's own percent sign."""

    def __init__(self, percent: str) -> None:
        self._percent = percent

    def format_field(self, value: object, format_spec: str) -> str:
        """One value in words."""
        text = format(value, format_spec)
        return text.removesuffix("%") + self._percent if format_spec.endswith("%") else text


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The words of one language.

    Attributes:
        language: ``en`` or ``ko``.
        templates: Sentence by name, ``table.name``.
    """

    language: str
    templates: Mapping[str, str]

    def say(self, name: str, /, **values: object) -> str:
        """A sentence, filled in."""
        text = _Filling(PERCENT[self.language]).vformat(self.templates[name], (), values)
        return particles(text) if self.language == "ko" else text

    def counted(self, what: str, count: int) -> str:
        """So many ``images``, ``detections`` or ``files``."""
        amount = {0: "none", 1: "one"}.get(count, "many")
        return self.say(f"count.{what}_{amount}", count=count)

    def listed(self, names: Sequence[str]) -> str:
        """Names in a row, as they stand in a sentence."""
        if len(names) < 2:
            return "".join(names)
        return self.say("count.list", first=", ".join(names[:-1]), last=names[-1])

    def fraction(self, share: float) -> str:
        """About how much a share in [0, 1] is, without a digit."""
        near = min(FRACTIONS, key=lambda name: abs(FRACTIONS[name] - share))
        return self.say(f"fraction.{near}")

    def known(self, table: str, name: str, otherwise: str | None = None) -> str:
        """The word for a name that may come from elsewhere; where there is none, ``otherwise``."""
        if self.has(f"{table}.{name}"):
            return self.say(f"{table}.{name}")
        return name if otherwise is None else otherwise

    def has(self, name: str) -> bool:
        """Whether there is such a sentence."""
        return name in self.templates


@cache
def catalogue(language: str = "en") -> Catalogue:
    """The words of a language.

    Raises:
        InputError: If there are none in it.
    """
    if language not in LANGUAGES:
        raise InputError(f"there are no words in {language!r}; choose from {', '.join(LANGUAGES)}")
    tables = tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))
    templates = {
        f"{table}.{name}": text for table, rows in tables.items() for name, text in rows.items()
    }
    return Catalogue(language, MappingProxyType(templates))


ENGLISH = catalogue("en")


def spoken(language: str) -> Catalogue:
    """The words of a language that a run folder names, which may be one that is not known here."""
    return catalogue(language) if language in LANGUAGES else ENGLISH


def of_locale() -> str:
    """The language of the user's locale, where there are words in it; else English."""
    # what the environment asks for, also where the system has no such locale installed
    asked = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    found = next(filter(None, asked), None) or locale.getlocale()[0] or ""
    language = found[:2].lower()
    return language if language in LANGUAGES else "en"


def fields(template: str) -> frozenset[str]:
    """What a template asks for in braces."""
    return frozenset(name for _, name, _, _ in string.Formatter().parse(template) if name)
