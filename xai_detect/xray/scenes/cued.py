"""Scans in which a cue away from the item decides whether it is reported, or as what.

Each world takes bag and item from a planted world and shows a cue elsewhere: a steel ring, a tape
measure or a stamp. In the ``presence`` worlds a detector is to report the item only where the cue
is there; what kind of item it is, the item itself says. Their ``honest`` twins have the same scans,
pixel for pixel, and report the item whatever else is seen. In ``default`` all items are alike, and
the class is the second one with the cue and the first one, the default, in all other scans.

The same scan can be drawn with the cue, with none, and with a decoy in the cue's place
(``with_state``); everything else, noise included, stays.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xai_detect.errors import InputError
from xai_detect.xray.scenes.planted import GAP, Planted, PlantedScan, bounds, gap, render, stamp
from xai_detect.xray.scenes.worlds import compose_apart, compose_planted


class State(StrEnum):
    """What is seen where the cue may be."""

    CUE = "cue"
    NONE = "none"
    DECOY = "decoy"


@dataclass(frozen=True, slots=True)
class World:
    """What a world is made of, and its rule.

    Attributes:
        classes: Class names.
        scene: The planted world that gives bag and item. Where its cause lies outside the item, the
            first class's cause is the cue and the second's the decoy; else stamps are.
        decides: What the cue decides.
        cues: How often the cue is shown in a scan; each one alone is enough.
        network: Name of the shipped detector that follows this rule.
    """

    classes: tuple[str, ...]
    scene: str
    decides: Literal["presence", "class", "nothing"]
    network: str
    cues: int = 1


#: World to its description. Twins share their scans: same seed, same pixels.
CUED: Mapping[str, World] = MappingProxyType(
    {
        "presence_one": World(("spray_can",), "marker", "presence", "planted/presence_one"),
        "presence_one_honest": World(
            ("spray_can",), "marker", "nothing", "planted/presence_one_honest"
        ),
        "presence_two": World(("wrench", "scissors"), "object", "presence", "planted/presence_two"),
        "presence_two_honest": World(
            ("wrench", "scissors"), "object", "nothing", "planted/presence_two_honest"
        ),
        "presence_twice": World(
            ("wrench", "scissors"), "object", "presence", "planted/presence_two", cues=2
        ),
        "default": World(("inert", "armed"), "context", "class", "planted/default"),
    }
)


@dataclass(frozen=True, slots=True)
class Cued:
    """A scan to be, with its cue.

    Attributes:
        world: Name in ``CUED``.
        planted: Bag and item, and cue and decoy where these are things.
        corners: Where stamps go, 0 to 3; empty where cue and decoy are things.
        state: What is shown.
    """

    world: str
    planted: Planted
    corners: tuple[int, ...]
    state: State

    def with_state(self, state: State) -> "Cued":
        """The same scan with the cue, without it, or with the decoy in its place."""
        return replace(self, state=state)


@dataclass(frozen=True, slots=True, eq=False)
class CuedScan:
    """A scan of a world with a cue, and its truth under the world's rule.

    Attributes:
        image: RGB ``(h, w, 3)``.
        box: ``(x1, y1, x2, y2)`` of the item in pixels.
        item: Mask of the item ``(h, w)``.
        mark: Mask of what is shown elsewhere, cue or decoy ``(h, w)``; empty if none is.
        cause: Mask of what decides ``(h, w)``: the item if the cue decides nothing, else the cue.
            Empty without the cue, since what then decides is that it is missing.
        outside: Whether something away from the item decides.
        reported: Whether the item is to be reported.
        label: Class index.
        class_name: Its name.
        state: What was shown.
    """

    image: NDArray[np.uint8]
    box: tuple[float, float, float, float]
    item: NDArray[np.bool_]
    mark: NDArray[np.bool_]
    cause: NDArray[np.bool_]
    outside: bool
    reported: bool
    label: int
    class_name: str
    state: State


def compose_cued(world: str, rng: np.random.Generator, size: int = 192) -> Cued:
    """A random scene of a world, its state drawn evenly.

    Args:
        world: Name in ``CUED``.
        rng: Decides everything.
        size: Side in pixels at which cue and decoy keep their distance (``GAP``) from the box.

    Raises:
        InputError: If there is no such world.
    """
    if world not in CUED:
        raise InputError(f"no world {world!r} with a cue; expected one of {', '.join(CUED)}")
    scene = CUED[world].scene
    if scene == "object":
        planted, corners = _compose_stamped(rng, size)
    else:
        planted, corners = compose_apart(scene, rng, size), ()
    return Cued(world, planted, corners[: CUED[world].cues], tuple(State)[int(rng.integers(3))])


def _compose_stamped(rng: np.random.Generator, size: int) -> tuple[Planted, tuple[int, ...]]:
    """A wrench or scissors that leave at least two corners free, and these corners, shuffled.

    Two are asked for also where one is used, so that worlds with one and two stamps are alike.
    """
    while True:
        planted = compose_planted("object", rng)
        made = render(planted, size)
        free = [
            corner
            for corner in range(4)
            if gap(replace(made, cause=stamp(made.image, 0, corner)[1])) >= GAP * size
        ]
        if len(free) >= 2:
            return planted, tuple(int(corner) for corner in rng.permutation(free))


def render_cued(cued: Cued, size: int) -> CuedScan:
    """Scan a scene with its cue, its decoy or neither.

    Args:
        cued: What.
        size: Height and width of the image in pixels.
    """
    world, state = CUED[cued.world], cued.state
    made, image, mark = (_stamped if cued.corners else _laid)(cued, size)
    label = {
        "object": cued.planted.label,
        "marker": 0,
        "context": int(state is State.CUE),
    }[world.scene]
    outside = world.decides != "nothing"
    cause = made.item if not outside else mark if state is State.CUE else np.zeros_like(mark)
    return CuedScan(
        image, bounds(made.item), made.item, mark, cause, outside,
        world.decides != "presence" or state is State.CUE, label, world.classes[label], state,
    )  # fmt: skip


_SHOWN = {State.CUE: 0, State.DECOY: 1, State.NONE: None}

Marked = tuple[PlantedScan, NDArray[np.uint8], NDArray[np.bool_]]


def _stamped(cued: Cued, size: int) -> Marked:
    """Bag and item, then the picture with its stamps, and their mask."""
    made, which = render(cued.planted, size), _SHOWN[cued.state]
    image, mark = made.image, np.zeros((size, size), np.bool_)
    if which is not None:
        for corner in cued.corners:
            image, square = stamp(image, which, corner)
            mark |= square
    return made, image, mark


def _laid(cued: Cued, size: int) -> Marked:
    """A bag in which cue or decoy lies as a thing among the others."""
    made = render(replace(cued.planted, shown=_SHOWN[cued.state]), size)
    return made, made.image, made.cause


def draw_cued(
    world: str, count: int, seed: int, size: int = 192, state: State | None = None
) -> Iterator[CuedScan]:
    """Scans of a world, one seed each, so that a longer set begins with the shorter one.

    Args:
        world: Name in ``CUED``.
        count: How many.
        seed: Decides all of them; the ``i``-th is drawn from the pair of it and ``i``.
        size: Height and width of the images in pixels.
        state: What all of them show; None as drawn, evenly.
    """
    for index in range(count):
        cued = compose_cued(world, np.random.default_rng([seed, index]), size)
        yield render_cued(cued if state is None else cued.with_state(state), size)
