"""The policy: limits and sentences, as data."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from xai_detect.errors import InputError, near

DEFAULT_FILE = Path(__file__).with_name("policy.toml")


@dataclass(frozen=True, slots=True)
class Policy:
    """What a verdict is measured against.

    Attributes:
        limits: One number per check; see ``policy.toml`` for what each means.
        sentences: One sentence per finding, with ``{names}`` of evidence in braces.
    """

    limits: Mapping[str, float]
    sentences: Mapping[str, str]


def read_policy(path: str | Path) -> Policy:
    """Read a policy; what the file leaves out keeps its default.

    Raises:
        InputError: If the file is missing, no TOML, or holds an unknown or ill-typed entry.
    """
    try:
        with Path(path).open("rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise InputError(f"the policy {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the policy {path} is not TOML: {error}") from error
    known = DEFAULT_POLICY if Path(path) != DEFAULT_FILE else None
    return Policy(
        limits=_table(content, "limits", (int, float), known.limits if known else None, path),
        sentences=_table(content, "sentences", (str,), known.sentences if known else None, path),
    )


def _table(
    content: dict[str, object],
    name: str,
    types: tuple[type, ...],
    known: Mapping[str, object] | None,
    path: str | Path,
) -> Mapping[str, object]:
    table = content.get(name, {})
    if not isinstance(table, dict):
        raise InputError(f"the policy {path} must hold a table [{name}]")
    for key, value in table.items():
        if known is not None and key not in known:
            hint = near(key, known) or f"it knows {', '.join(known)}"
            raise InputError(f"the policy {path} sets [{name}] {key}, which does not exist; {hint}")
        if not isinstance(value, types) or isinstance(value, bool):
            raise InputError(f"the policy {path} sets [{name}] {key} to {value!r}: wrong type")
    return MappingProxyType({**(known or {}), **table})


DEFAULT_POLICY = read_policy(DEFAULT_FILE)
