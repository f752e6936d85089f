"""Classes of a detector and of a data set, paired by name, and detections put in its labels."""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from xai_detect.data.records import Dataset
from xai_detect.errors import InputError
from xai_detect.values.detections import Detections
from xai_detect.values.names import without_number


def pair_classes(
    found: Sequence[str], real: Sequence[str]
) -> tuple[dict[int, int], tuple[str, ...]]:
    """Which label of the detector is which label of the data set.

    Names that are the same pair first; then those that differ in case, spaces, hyphens or
    underscores alone, unless several could be meant.

    Returns:
        Labels by name, and one sentence for the classes without a partner on either side.

    Raises:
        InputError: If no name is shared.
    """
    pairs: dict[int, int] = {}
    unsure: dict[str, list[str]] = {}
    for fold in _FOLDS:
        known: dict[str, list[int]] = defaultdict(list)
        for label, name in enumerate(real):
            if label not in pairs.values() and fold(name):
                known[fold(name)].append(label)
        new = {
            label: known[fold(name)] for label, name in enumerate(found)
            if label not in pairs and fold(name) in known
        }  # fmt: skip
        pairs |= {label: meant[0] for label, meant in new.items() if len(meant) == 1}
        unsure |= {
            found[label]: [real[one] for one in meant]
            for label, meant in new.items() if len(meant) > 1
        }  # fmt: skip
    if not pairs:
        raise InputError(
            f"the detector's classes ({_some(found)}) and the data set's ({_some(real)}) have no "
            "name in common; use a detector trained for these classes or rename the data set's"
        )
    notes = [
        f"the detector's class {name!r} could be {' or '.join(map(repr, meant))} of the data set, "
        "so it is paired with none of them; rename one"
        for name, meant in unsure.items() if name not in {found[label] for label in pairs}
    ]  # fmt: skip
    if dropped := [name for label, name in enumerate(found) if label not in pairs]:
        notes.append(
            f"classes that are not in the data set, so dropped from all figures: {_some(dropped)}"
        )
    if unknown := [name for label, name in enumerate(real) if label not in pairs.values()]:
        notes.append(f"classes unknown to the detector, so always missed: {_some(unknown)}")
    return pairs, tuple(notes)


def pairing_line(found: Sequence[str], real: Sequence[str]) -> str:
    """How the classes were paired, in one sentence that shows all names that are not the same.

    Raises:
        InputError: If no name is shared.
    """
    pairs, _ = pair_classes(found, real)
    same = [real[theirs] for ours, theirs in pairs.items() if found[ours] == real[theirs]]
    other = [
        f"{real[theirs]!r} with {found[ours]!r}"
        for ours, theirs in pairs.items() if found[ours] != real[theirs]
    ]  # fmt: skip
    said = [f"{len(same)} by the same name ({_some(same)})"] if same else []
    paired = len(set(pairs.values()))
    return (
        f"{paired} of the data set's {len(real)} classes are paired with the detector's: "
        + ", ".join([*other, *said])
    )


def fitted(dataset: Dataset, class_names: tuple[str, ...]) -> Dataset:
    """A data set of clean images alone in the detector's classes, if it shares none of them.

    Any other data set comes back as it is.
    """
    if any(scan.items for scan in dataset.scans):
        return dataset
    try:
        pair_classes(class_names, dataset.class_names)
    except InputError:
        ids = tuple(range(len(class_names)))
        return replace(dataset, class_names=class_names, class_ids=ids)
    return dataset


def _spaced(name: str) -> str:
    folded = unicodedata.normalize("NFKC", without_number(name)).casefold()
    return " ".join(folded.replace("_", " ").replace("-", " ").split())


def _squeezed(name: str) -> str:
    return "".join(letter for letter in _spaced(name) if letter.isalnum())


def _spoken(name: str) -> str:
    """Names that YAML may have taken for truth values, as such values."""
    return _TRUTHS.get(_spaced(name), "")


_TRUTHS = {
    "no": "false", "off": "false", "n": "false", "false": "false",
    "yes": "true", "on": "true", "y": "true", "true": "true",
}  # fmt: skip

_FOLDS: tuple[Callable[[str], str], ...] = (str, without_number, _spaced, _squeezed, _spoken)
"""What makes two names the same, strictest first; empty for a name that it does not hold for."""


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
