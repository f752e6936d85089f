"""The references of a run: chosen before its first verdict, and the same when it goes on.

They come from a folder that the user names, from a draw out of a data set that says what its images
hold, or from a draw out of the images of the run themselves: the sorted list in an order that a
hash gives, so that no image's verdict depends on its neighbours.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from xai_detect.data.classes import pair_classes
from xai_detect.data.records import Dataset
from xai_detect.detectors.protocol import Detector
from xai_detect.errors import InputError
from xai_detect.trust.references import LEAST, Reference, as_reference, balanced
from xai_detect.values.detections import UNKNOWN, Detections
from xai_detect.values.images import load_image
from xai_detect.values.truth import Scan

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


def references_with_truth(
    detector: Detector, dataset: Dataset, names: Sequence[str] | None = None
) -> list[Reference]:
    """Images of a data set as references that hold what is annotated, whatever the detector says.

    Args:
        detector: The detector whose verdicts they serve.
        dataset: The images and what they hold.
        names: The paths that were chosen before; None draws, every class about equally often.

    Raises:
        InputError: If fewer than six hold something that the detector knows, one that was chosen
            before is gone, or data set and detector share no class.
    """
    pairs, _ = pair_classes(detector.class_names, dataset.class_names)
    own = {theirs: ours for ours, theirs in pairs.items()}
    scans = by_path(dataset)
    if names is not None:
        gone = set(names) - set(map(str, scans))
        if gone:
            raise InputError(f"the data set has no image {min(gone)} any more")
        return [_annotated(detector, path, scans[path], own) for path in map(Path, names)]
    found: list[Reference] = []
    for scan in looked_at(dataset).scans:
        try:
            found.append(_annotated(detector, scan.path, scan, own))
        except InputError:  # not readable; others take its place
            continue
    chosen = balanced(found, MOST)
    if len(chosen) < LEAST:
        raise InputError(
            f"{len(chosen)} of {len(found)} references hold something annotated that the detector "
            f"knows; expected at least {LEAST}, with several classes among them"
        )
    return chosen


def looked_at(dataset: Dataset) -> Dataset:
    """The part of a data set that is looked at in search of references, under their paths."""
    scans = by_path(dataset)
    chosen = _shuffled(list(scans))[:LOOKED_AT]
    return replace(dataset, scans=tuple(replace(scans[path], path=path) for path in chosen))


def by_path(dataset: Dataset) -> dict[Path, Scan]:
    """The images of a data set by the path under which they are references."""
    return {scan.path.parent.resolve() / scan.path.name: scan for scan in dataset.scans}


def _annotated(detector: Detector, path: Path, scan: Scan, own: Mapping[int, int]) -> Reference:
    """One image with what is annotated in it, in the detector's labels."""
    image = load_image(path)
    items = [item for item in scan.items if item.label is not None and item.label in own]
    boxes = torch.tensor([item.box for item in items]).reshape(-1, 4)
    held = Detections(
        boxes=boxes,
        scores=torch.ones(len(items)),
        labels=torch.tensor([own[item.label] for item in items if item.label is not None]).long(),
        candidates=torch.full((len(items),), UNKNOWN),
        proposals=boxes,
        image_size=(image.shape[1], image.shape[2]),
        class_names=detector.class_names,
    )
    return as_reference(detector, str(path), image, held=held)


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
