"""What ``xai-detect demo`` shows: two detectors that ship, one honest and one not.

Both find the same kind of item in simulated scans, and both name its class right every time. One
looks at the item; the other decides by a small mark elsewhere in the bag. A score cannot tell them
apart; the verdict can.
"""

from pathlib import Path
from typing import NamedTuple

from xai_detect.images import SUFFIXES
from xai_detect.xray.simulate import simulate

SCANS, SEED, SIDE = 8, 2, 192
"""Scans per detector, their seed and side in pixels; no model has seen this seed in training."""


class Part(NamedTuple):
    """One half of the demonstration.

    Attributes:
        model: Name in ``weights/manifest.toml``.
        world: The planted world whose scans it inspects.
        words: What is known about it.
    """

    model: str
    world: str
    words: str


PARTS = (
    Part("planted/object", "object", "a detector that looks at the item"),
    Part("planted/marker", "marker", "a detector that decides by a mark elsewhere in the bag"),
)


def scans_of(part: Part, out: Path) -> list[Path]:
    """The scans of one half, simulated beside its run folder where they are not there yet."""
    folder = out / f"{part.world}_scans"
    images = folder / "images" / "val"
    if not (folder / "annotations").is_dir():
        simulate(folder, SCANS, SEED, SIDE, part.world)
    return sorted(one for one in images.iterdir() if one.suffix.lower() in SUFFIXES)
