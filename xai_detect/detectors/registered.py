"""Detectors and methods of other packages, found by their entry points.

Entry points are read only when a name is not one of ours, and never when the package is imported.
"""

from importlib import metadata

from xai_detect.errors import InputError

DETECTORS = "xai_detect.detectors"
METHODS = "xai_detect.methods"
"""Groups of entry points; the first holds functions as ``load_registered`` calls them, the second
classes as in ``explainers.methods.METHODS``."""

BROKEN = (
    ImportError, AttributeError, SyntaxError, NameError, TypeError, ValueError, LookupError,
    RuntimeError, OSError,
)  # fmt: skip
"""What a module of somebody else's may raise while it is imported."""


def registered(group: str, name: str) -> object | None:
    """What a package registered under a name; None if none did.

    Raises:
        InputError: If several packages did, or what was registered cannot be imported.
    """
    found = list(metadata.entry_points(group=group, name=name))
    if not found:
        return None
    if len({entry.value for entry in found}) > 1:
        owners = ", ".join(sorted(_owner(entry) for entry in found))
        raise InputError(
            f"{name!r} is registered more than once, by {owners}; remove all of these packages but "
            "one"
        )
    entry = found[0]
    try:
        return entry.load()
    except BROKEN as error:
        raise InputError(
            f"{name!r} is registered by {_owner(entry)} as {entry.value}, which cannot be imported "
            f"({type(error).__name__}: {error}); mend or remove that package"
        ) from error


def names(group: str) -> list[str]:
    """The names that packages registered, in alphabetical order."""
    return sorted({entry.name for entry in metadata.entry_points(group=group)})


def _owner(entry: metadata.EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.value
