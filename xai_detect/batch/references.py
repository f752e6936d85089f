"""The references of a run: chosen before its first verdict, and the same when it goes on.

They come from a folder that the user names, or from a draw out of the images of the run themselves:
the sorted list in an order that a hash gives, so that no image's verdict depends on its neighbours.
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from xai_detect.detectors.protocol import Detector
from xai_detect.errors import InputError
from xai_detect.trust.references import LEAST, Reference, as_reference, balanced
from xai_detect.values.images import load_image

MOST = 12
"""So many references are drawn."""

LOOKED_AT = 40
"""At most so many images are looked at in search of them."""


def references_of(detector: Detector, paths: Iterable[Path]) -> list[Reference]:
    """Named images as references.

    Raises:
        InputError: If one cannot be read, or fewer than six hold anything.
    """
    found = [as_reference(detector, str(path), load_image(path)) for path in paths]
    held = [reference for reference in found if len(reference.detections)]
    if len(held) < LEAST:
        raise InputError(
            f"{len(held)} of {len(found)} references hold something that the detector finds; "
            f"expected at least {LEAST}, with several classes among them"
        )
    return held


def drawn(detector: Detector, sources: Sequence[Path]) -> list[Reference]:
    """References out of the images of a run; none if too few of them hold anything."""
    found: list[Reference] = []
    for path in _shuffled(sources)[:LOOKED_AT]:
        try:
            found.append(as_reference(detector, str(path), load_image(path)))
        except InputError:  # told where the image is inspected
            continue
    chosen = balanced(found, MOST)
    return chosen if len(chosen) >= LEAST else []


def _shuffled(sources: Sequence[Path]) -> list[Path]:
    """An order that has nothing to do with names or folders, and is always the same."""
    # Namesakes in several folders follow each other in the order of those.
    return sorted(
        sources, key=lambda path: (hashlib.sha256(path.name.encode()).hexdigest(), str(path))
    )
