"""What ``xai-detect demo`` shows: two detectors that ship, on simulated X-ray scans.

First the screening model on the sample set, held against its annotations: right alarms, wrong ones
and what it missed. Then a detector that names the class of an item right every time, but decides by
a small mark elsewhere in the bag: a score cannot tell; the verdict can.
"""

from pathlib import Path
from typing import NamedTuple

from xai_detect.errors import InputError
from xai_detect.values.images import SUFFIXES
from xai_detect.xray.scenes.simulate import simulate

SCANS, SEED, SIDE = 6, 2, 192
"""Scans of the second part, their seed and side in pixels; the model has not seen this seed."""


class Part(NamedTuple):
    """One half of the demonstration.

    Attributes:
        name: What its run folder is called.
        model: Name in ``weights/manifest.toml``.
        words: What is known about the model.
        confidence: Operating threshold.
        sources: The scans.
        truth: Their annotations; None if they are not compared.
    """

    name: str
    model: str
    words: str
    confidence: float
    sources: tuple[Path, ...]
    truth: Path | None


def parts(out: Path) -> tuple[Part, Part]:
    """Both halves; scans that do not ship are simulated beside the run folders.

    Args:
        out: Folder of the demonstration.

    Raises:
        InputError: If the sample set is missing.
    """
    sample = sample_set()
    marked = out / "marker_scans"
    if not (marked / "annotations" / "instances_val.json").is_file():
        simulate(marked, SCANS, SEED, SIDE, "marker")
    return (
        Part(
            "screening",
            "screening",
            "the screening model on the sample set, alarms from 0.5",
            0.5,
            images_in(sample / "images" / "val"),
            sample / "annotations" / "instances_val.json",
        ),
        Part(
            "marker",
            "planted/marker",
            "a detector that decides by a mark elsewhere in the bag",
            0.25,
            images_in(marked / "images" / "val"),
            None,
        ),
    )


def sample_set() -> Path:
    """The sample set that came with this package.

    Raises:
        InputError: If it is not there.
    """
    installed = Path(__file__).parents[1] / "_screening_sample"
    checkout = Path(__file__).parents[2] / "datasets" / "screening_sample"
    for folder in (installed, checkout):
        if folder.is_dir():
            return folder
    raise InputError(f"the sample set is missing: expected it at {checkout}; reinstall xai-detect")


def images_in(folder: Path) -> tuple[Path, ...]:
    """Its images, by name."""
    return tuple(sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES))
