"""Classes of a detector and of a data set, paired by name, and detections put in its labels."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from xai_detect.errors import InputError
from xai_detect.values.detections import Detections


def pair_classes(
    found: Sequence[str], real: Sequence[str]
) -> tuple[dict[int, int], tuple[str, ...]]:
    """Which label of the detector is which label of the data set.

    Returns:
        Labels by name, and one sentence for the classes without a partner on either side.

    Raises:
        InputError: If no name is shared.
    """
    known = {_folded(name): label for label, name in enumerate(real)}
    pairs = {
        label: known[_folded(name)] for label, name in enumerate(found) if _folded(name) in known
    }
    if not pairs:
        raise InputError(
            f"the detector's classes ({_some(found)}) and the data set's ({_some(real)}) have no "
            "name in common; use a detector trained for these classes or rename the data set's"
        )
    notes = []
    if dropped := [name for label, name in enumerate(found) if label not in pairs]:
        notes.append(
            f"classes that are not in the data set, so dropped from all figures: {_some(dropped)}"
        )
    if unknown := [name for label, name in enumerate(real) if label not in pairs.values()]:
        notes.append(f"classes unknown to the detector, so always missed: {_some(unknown)}")
    return pairs, tuple(notes)


def _folded(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").split())


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def relabel(
    detections: Detections, labels: Mapping[int, int], class_names: tuple[str, ...]
) -> tuple[Detections, list[int]]:
    """The detections whose class the data set has, in its labels, and their rows."""
    rows = [row for row, label in enumerate(detections.labels.tolist()) if label in labels]
    chosen = select(detections, torch.tensor(rows, dtype=torch.int64))
    mapped = torch.tensor([labels[int(label)] for label in chosen.labels], dtype=torch.int64)
    return (
        Detections(
            chosen.boxes,
            chosen.scores,
            mapped,
            chosen.candidates,
            chosen.proposals,
            chosen.image_size,
            class_names,
        ),
        rows,
    )


def select(detections: Detections, rows: Int[Tensor, "r"]) -> Detections:
    """The detections of these rows."""
    return Detections(
        detections.boxes[rows],
        detections.scores[rows],
        detections.labels[rows],
        detections.candidates[rows],
        detections.proposals[rows],
        detections.image_size,
        detections.class_names,
    )
