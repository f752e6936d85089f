"""What is in a scene and where; ``render`` draws it.

Places and sizes are shares of the image's side, x to the right and y down. One seed gives one
scene: the parts have random streams of their own, so that with another tree, or none, everything
else stays as it is.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from xai_detect.errors import InputError
from xai_detect.savanna.animals import SPECIES
from xai_detect.savanna.plants import TREES
from xai_detect.savanna.styles import STYLES

DRAWING = "1"
"""Version of what is drawn: a seed gives the same picture as long as this stays."""


class Cover(StrEnum):
    """What hides a part of the tree."""

    OPEN = "open"
    ANIMAL = "animal"
    BUSH = "bush"
    EDGE = "edge"


@dataclass(frozen=True, slots=True)
class Animal:
    """An animal in a scene.

    Attributes:
        species: One of ``SPECIES``.
        x: Middle of its box.
        foot: Row that it stands on.
        size: Its shoulder height.
        faces: 1 to the right, -1 to the left.
        seed: Decides pose and coat.
    """

    species: str
    x: float
    foot: float
    size: float
    faces: int
    seed: int

    def __post_init__(self) -> None:
        known(self.species, SPECIES, "species")


@dataclass(frozen=True, slots=True)
class Plant:
    """A tree or a bush in a scene.

    Attributes:
        kind: One of ``TREES``, or ``bush``.
        x: Middle.
        foot: Row that it stands on.
        wide: Its width.
        tall: Its height.
        seed: Decides its shape.
    """

    kind: str
    x: float
    foot: float
    wide: float
    tall: float
    seed: int

    def __post_init__(self) -> None:
        known(self.kind, (*TREES, "bush"), "plant")


@dataclass(frozen=True, slots=True)
class Scene:
    """What is drawn.

    Attributes:
        animals: The first is the one in front that a scene is about; no tree touches its ring.
        tree: The tree, if there is one.
        bush: What stands before the tree, if anything does.
        cover: What hides a part of the tree.
        horizon: Row of the horizon.
        style: Name in ``STYLES``.
        seed: Decides the land and the camera.
    """

    animals: tuple[Animal, ...]
    tree: Plant | None
    bush: Plant | None
    cover: Cover
    horizon: float
    style: str
    seed: int

    def __post_init__(self) -> None:
        known(self.style, tuple(STYLES), "style")

    def with_tree(self, kind: str | None) -> "Scene":
        """The same scene with a tree of another kind in the tree's place, or none."""
        if kind is None or self.tree is None:
            return replace(self, tree=None)
        return replace(self, tree=replace(self.tree, kind=kind))


def known(name: str, names: tuple[str, ...], what: str) -> None:
    """Refuse a name that is not drawn.

    Raises:
        InputError: If it is not one of the names.
    """
    if name not in names:
        options = ", ".join(names)
        raise InputError(f"{name!r} is no {what} that is drawn here; give one of {options}")
