"""Which files a run holds already, told by what is in them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from xai_detect.errors import InputError
from xai_detect.values.files import file_sha256


def recognised(sources: Sequence[Path], held: Mapping[str, str]) -> dict[Path, str]:
    """The source that each file has in a run, for the files that the run holds.

    A file that was replaced under its name is not held, nor one that cannot be read. One
    that lies under a new path is held under its old one if nothing lies there any more: it was
    moved. A file that is no longer there is held as long as its record stands.

    Args:
        sources: Files that may be held.
        held: Digest by source of what the run holds; empty where it is not known.
    """
    if not held:
        return {}
    digests = {path: digest for path in sources if (digest := _digest(path)) is not None}
    found = {
        path: str(path)
        for path, digest in digests.items()
        if str(path) in held and (not digest or held[str(path)] in (digest, ""))
    }
    lost = _lost(held, set(found.values()))
    for path, digest in digests.items():
        if path not in found and lost.get(digest):
            names = [Path(source).name for source in lost[digest]]
            place = names.index(path.name) if path.name in names else 0
            found[path] = lost[digest].pop(place)
    return found


def _lost(held: Mapping[str, str], found: set[str]) -> dict[str, list[str]]:
    """Sources whose files are gone from their places, by digest."""
    lost: dict[str, list[str]] = {}
    for source, digest in held.items():
        if digest and source not in found and _gone(Path(source)):
            lost.setdefault(digest, []).append(source)
    return lost


def _digest(path: Path) -> str | None:
    """Digest of a file; empty where nothing lies, None where it cannot be read."""
    try:
        digest = file_sha256(path)
    except InputError:  # told where the image is inspected
        return None
    return digest if digest or _gone(path) else None


def _gone(path: Path) -> bool:
    """Whether nothing lies there; what may not be looked at is not gone."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # or no file can have the name
        return True
    except OSError:
        return False
    return False
