"""Everything that can go wrong, as one tree.

    XaiDetectError
    ├── InputError          what was given is wrong: file, box, class name, folder, setting
    │   ├── TargetError     the target does not exist in this detector
    │   ├── WeightsError    a checkpoint is missing, damaged, refused or no detector
    │   └── DiskError       the disk refuses; nothing that was written is lost
    ├── ExplainError        a method could not produce a map
    └── MissingExtraError   an optional package is needed; the message holds the pip command

Each class is also the builtin a caller would expect. A message says what was given, what was
expected and what to do. Anything outside this tree is a bug and keeps its traceback.
"""

import difflib
from collections.abc import Iterable


class XaiDetectError(Exception):
    """The root: catch this to catch everything this package raises on purpose."""


class InputError(XaiDetectError, ValueError):
    """What was given is wrong, and the caller can mend it."""


class TargetError(InputError):
    """The target names a class or a candidate that this detector does not have."""


class WeightsError(InputError):
    """A checkpoint is missing, damaged, refused, or holds no detector."""


class DiskError(InputError):
    """The disk refuses: full, read-only or not permitted; nothing that was written is lost."""


class ExplainError(XaiDetectError, RuntimeError):
    """A method could not produce a map."""


class MissingExtraError(XaiDetectError, ImportError):
    """An optional package is needed; the message holds the pip command."""


def near(name: str, known: Iterable[str]) -> str:
    """A question that names the known words closest to one that is not known, or ``""``."""
    folded = {word.casefold(): word for word in known}
    close = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(repr(folded[word]) for word in close)}?" if close else ""
