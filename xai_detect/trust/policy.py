"""The policy: limits of a verdict, as data."""

import math
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

    Raises:
        InputError: If a limit is not finite.
    """

    limits: Mapping[str, float]

    def __post_init__(self) -> None:
        for key, value in self.limits.items():
            if not math.isfinite(value):
                raise InputError(f"a policy sets [limits] {key} to {value}; expected a number")


def read_policy(path: str | Path) -> Policy:
    """Read a policy; what the file leaves out keeps its default.

    Raises:
        InputError: If the file is missing, no TOML, or holds an unknown or ill-typed entry, or a
            limit that is not finite.
    """
    try:
        with Path(path).open("rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise InputError(f"the policy {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the policy {path} is not TOML: {error}") from error
    for table in content:
        if table != "limits":
            raise InputError(
                f"the policy {path} holds [{table}], expected [limits] alone: sentences stand in "
                "the catalogue of words of each language"
            )
    given = content.get("limits", {})
    if not isinstance(given, dict):
        raise InputError(f"the policy {path} must hold a table [limits]")
    known = {} if Path(path) == DEFAULT_FILE else DEFAULT_POLICY.limits
    for key, value in given.items():
        if known and key not in known:
            hint = near(key, known) or f"it knows {', '.join(known)}"
            raise InputError(f"the policy {path} sets [limits] {key}, which does not exist; {hint}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"the policy {path} sets [limits] {key} to {value!r}, not a number")
    limits = {**known, **{key: float(value) for key, value in given.items()}}
    try:
        return Policy(MappingProxyType(limits))
    except InputError as error:
        raise InputError(f"the policy {path} cannot be used: {error}") from error


DEFAULT_POLICY = read_policy(DEFAULT_FILE)
