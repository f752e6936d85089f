"""Names of classes: text on one line, whatever a file holds, and each told from the others."""

import re
from collections import Counter
from collections.abc import Iterable

_APART = re.compile(r" \(class \d+\)$")


def name_text(raw: object) -> str:
    """A name as text on one line; empty if there is none."""
    return "" if raw is None else " ".join(str(raw).split())


def distinct(names: Iterable[object]) -> tuple[str, ...]:
    """The names of a network's classes, each once.

    A class without a name is called by its number, and classes of the same name by name and number,
    so that no question about a class by its name can mean two.
    """
    plain = [name_text(name) or f"class {label}" for label, name in enumerate(names)]
    times = Counter(plain)
    return tuple(
        f"{name} (class {label})" if times[name] > 1 else name for label, name in enumerate(plain)
    )


def without_number(name: str) -> str:
    """The name before it was told from its namesakes."""
    return _APART.sub("", name)
