"""The policy: limits and sentences, as data."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from xai_detect.errors import InputError, near
from xai_detect.trust.evidence import NAMES

DEFAULT_FILE = Path(__file__).with_name("policy.toml")

WORDS = ("name", "rival_name", "rival_box_name", "missing")
"""What sentences may ask for besides numbers."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a verdict is measured against.

    Attributes:
        limits: One number per check; see ``policy.toml`` for what each means.
        sentences: One sentence per finding, with ``{names}`` of evidence in braces.

    Raises:
        InputError: If a limit is not finite, or a sentence asks for what does not exist.
    """

    limits: Mapping[str, float]
    sentences: Mapping[str, str]

    def __post_init__(self) -> None:
        for key, value in self.limits.items():
            if not math.isfinite(value):
                raise InputError(f"a policy sets [limits] {key} to {value}; expected a number")
        for key, sentence in self.sentences.items():
            _check_sentence(key, sentence)


def read_policy(path: str | Path) -> Policy:
    """Read a policy; what the file leaves out keeps its default.

    Raises:
        InputError: If the file is missing, no TOML, or holds an unknown or ill-typed entry, a limit
            that is not finite, or a sentence with a number in braces that does not exist.
    """
    try:
        with Path(path).open("rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise InputError(f"the policy {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the policy {path} is not TOML: {error}") from error
    known = None if Path(path) == DEFAULT_FILE else DEFAULT_POLICY
    limits = _table(content, "limits", known.limits if known else None, path)
    sentences = _table(content, "sentences", known.sentences if known else None, path)
    for key, value in limits.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"the policy {path} sets [limits] {key} to {value!r}, not a number")
    for key, value in sentences.items():
        if not isinstance(value, str):
            raise InputError(f"the policy {path} sets [sentences] {key} to {value!r}, not text")
    try:
        return Policy(
            limits=MappingProxyType({key: float(value) for key, value in limits.items()}),
            sentences=MappingProxyType({key: str(value) for key, value in sentences.items()}),
        )
    except InputError as error:
        raise InputError(f"the policy {path} cannot be used: {error}") from error


def _check_sentence(key: str, sentence: str) -> None:
    """Fill in a sentence before it is needed."""
    numbers, words = dict.fromkeys((*NAMES, "limit"), 0.5), dict.fromkeys(WORDS, "word")
    try:
        sentence.format(**numbers, **words)
    except KeyError as error:
        asked = str(error.args[0])
        hint = near(asked, [*numbers, *words]) or f"choose from {', '.join([*WORDS, *numbers])}"
        raise InputError(
            f"a policy asks for {{{asked}}} in [sentences] {key}, which does not exist; {hint}"
        ) from error
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise InputError(
            f"a policy has a sentence that cannot be filled in, [sentences] {key} "
            f"({error}); write numbers as {{score:.2f}} or {{inside:.0%}} and a brace as {{{{"
        ) from error


def _table(
    content: dict[str, Any], name: str, known: Mapping[str, Any] | None, path: str | Path
) -> dict[str, Any]:
    table = content.get(name, {})
    if not isinstance(table, dict):
        raise InputError(f"the policy {path} must hold a table [{name}]")
    for key in table:
        if known is not None and key not in known:
            hint = near(key, known) or f"it knows {', '.join(known)}"
            raise InputError(f"the policy {path} sets [{name}] {key}, which does not exist; {hint}")
    return {**(known or {}), **table}


DEFAULT_POLICY = read_policy(DEFAULT_FILE)
