"""One catalogue of words per language: every sentence that the project shows to people, by name.

A sentence is a template with ``{names}`` in braces. All languages hold the same names and use the
same braces; a test holds them to it.
"""

import locale
import re
import string
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from xai_detect.errors import InputError

FOLDER = Path(__file__).parent

LANGUAGES = ("en", "ko")

PERCENT = re.compile(r"(?<=\d)%")
"""Where a space belongs before the sign."""


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
        return PERCENT.sub(" %", self.templates[name].format(**values))

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


def of_locale() -> str:
    """The language of the user's locale, where there are words in it; else English."""
    found = (locale.getlocale()[0] or "")[:2].lower()
    return {"ko": "ko"}.get(found, "en")


def fields(template: str) -> frozenset[str]:
    """What a template asks for in braces."""
    return frozenset(name for _, name, _, _ in string.Formatter().parse(template) if name)
