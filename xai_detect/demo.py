"""What ``xai-detect demo`` looks at: scans that ship, and a model that ships."""

from pathlib import Path

from xai_detect.detectors.load import load_detector
from xai_detect.errors import WeightsError
from xai_detect.images import SUFFIXES
from xai_detect.xray.simulate import simulate

MODELS = ("screening", "planted/object")
"""The first of these that is there is used."""

SAMPLE = Path(__file__).parents[1] / "datasets" / "screening_sample" / "images" / "val"

SIMULATED, SEED = 12, 2
"""Scans to make, and their seed, where the sample set did not come along."""


def demo_model() -> str:
    """The name of a model that can be loaded here.

    Raises:
        WeightsError: If there is none.
    """
    for name in MODELS:
        try:
            load_detector(name)
        except WeightsError:
            continue
        return name
    raise WeightsError(
        f"none of the models {', '.join(MODELS)} is there; reinstall the package with its weights"
    )


def demo_sources(out: Path) -> list[Path]:
    """The sample scans; where they did not come along, simulated ones beside the run folder."""
    folder = SAMPLE
    if not folder.is_dir():
        folder = out.parent / f"{out.name}_scans" / "images" / "val"
        if not folder.is_dir():
            simulate(folder.parents[1], SIMULATED, SEED, 416)
    return sorted(one for one in folder.iterdir() if one.suffix.lower() in SUFFIXES)
