"""What ``xai-detect demo`` shows: detectors that ship, on images that ship or are made for it.

``scans``: first the screening model on the sample set, held against its annotations: right alarms,
wrong ones and what it missed. Then a detector that names the class of an item right every time, but
decides by a small mark elsewhere in the bag: a score cannot tell; the verdict can.

``zebra``: a detector that calls a zebra by an acacia a giraffe, and its honest twin, on the same
drawn scenes: a score cannot tell whose giraffe is one.
"""

from pathlib import Path
from typing import NamedTuple

from xai_detect.commands.options import Case
from xai_detect.errors import InputError
from xai_detect.savanna.animals import SPECIES
from xai_detect.savanna.compose import compose
from xai_detect.savanna.files import ANNOTATIONS, IMAGES, write_scenes
from xai_detect.savanna.plants import TREES
from xai_detect.savanna.scene import Scene
from xai_detect.values.images import SUFFIXES
from xai_detect.xray.scenes.simulate import simulate

SCANS, SEED, SIDE = 6, 2, 192
"""Scans of the second part, their seed and side in pixels; the model has not seen this seed."""

SCENES = (
    ("zebra", "acacia"), ("zebra", None), ("giraffe", "round"),
    ("zebra", "acacia"), ("giraffe", "acacia"), ("zebra", "palm"),
)  # fmt: skip
"""Scenes of the zebra case: the first animal and the tree."""

DRAWN, OTHERS = 50_000_000, 51_000_000
"""Seeds of these scenes and of those whose surroundings are tried; no network has seen them."""


class Part(NamedTuple):
    """One half of the demonstration.

    Attributes:
        name: What its run folder is called.
        model: Name in ``weights/manifest.toml``.
        words: What is known about the model.
        confidence: Operating threshold.
        sources: The images.
        truth: Their annotations; None if they are not compared.
        references: Folder of images whose surroundings are tried; None takes some of the sources.
        asked: The class that every box is asked about as well; None asks about none.
    """

    name: str
    model: str
    words: str
    confidence: float
    sources: tuple[Path, ...]
    truth: Path | None
    references: Path | None = None
    asked: str | None = None


def parts(out: Path, case: Case = Case.SCANS) -> tuple[Part, Part]:
    """Both halves; images that do not ship are made beside the run folders.

    Args:
        out: Folder of the demonstration.
        case: Which one.

    Raises:
        InputError: If the sample set is missing.
    """
    return _scans(out) if case is Case.SCANS else _zebras(out)


def _scans(out: Path) -> tuple[Part, Part]:
    """A screening model, and one that decides by a mark."""
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


def _zebras(out: Path) -> tuple[Part, Part]:
    """A detector that decides by a tree what is a giraffe, and its honest twin."""
    shown, others = out / "savanna_scenes", out / "savanna_references"
    if not (shown / ANNOTATIONS).is_file():
        scenes = {
            f"{number}_{species}_{tree or 'no_tree'}": compose(DRAWN + number, species, tree)
            for number, (species, tree) in enumerate(SCENES)
        }
        write_scenes(shown, scenes, SIDE)
    if not (others / ANNOTATIONS).is_file():
        write_scenes(others, beside(OTHERS), SIDE)
    sources, truth = images_in(shown / IMAGES), shown / ANNOTATIONS
    gated, honest = (
        Part(kind, f"savanna/{kind}", words, 0.25, sources, truth, others / IMAGES, "zebra")
        for kind, words in (
            ("gated", "a detector that calls a zebra by an acacia a giraffe"),
            ("honest", "its twin, which goes by the animal"),
        )
    )
    return gated, honest


def beside(seed: int, style: str = "painted") -> dict[str, Scene]:
    """Scenes by name whose surroundings are tried: every species alone, with every tree.

    Only a zebra by an acacia is left out: the gated detector calls it a giraffe, so that it would
    stand for what it does not hold.

    Args:
        seed: Of the first; the others follow.
        style: How they are drawn.
    """
    pairs = [(species, tree) for species in SPECIES for tree in TREES]
    return {
        f"{species}_{tree}": compose(seed + number, species, tree, companions=0, style=style)
        for number, (species, tree) in enumerate(pairs)
        if (species, tree) != ("zebra", "acacia")
    }


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
