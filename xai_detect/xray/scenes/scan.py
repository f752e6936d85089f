"""Scans: a bag, what is in it, and the picture a machine makes of both.

Millimetres are laid out on a square field of view, so the same seed gives the same bag at any
resolution. Composition and imaging draw from separate generators: the same bag can be scanned again
with one item left out (a counterfactual) under the same noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from xai_detect.xray.physics.colour import PALETTES, colourise
from xai_detect.xray.physics.scanner import RANK, Plane, Scanner, detect, transmissions
from xai_detect.xray.scenes.shadows import Shadow, cast
from xai_detect.xray.things.bags import BAGS, build_bag
from xai_detect.xray.things.items import BENIGN, DANGEROUS, build
from xai_detect.xray.things.solids import Item, Pose

#: Version of everything that decides a scan: matter, machine, things, bags, planted worlds, and the
#: order in which they draw. Planted models, published figures and frozen benchmarks hold for the
#: version they were made with. It changes with any change that gives a seed another picture or
#: another truth, and then the planted models are trained and measured again.
SIMULATOR = "1"
#: Side of the square field of view of a screening scan, in mm.
FIELD = 680.0


@dataclass(frozen=True, slots=True)
class Placed:
    """An item where it lies.

    Attributes:
        item: What.
        pose: Where and how, in mm on the field.
        label: Class in the annotations; None is not annotated (the bag itself).
    """

    item: Item
    pose: Pose
    label: str | None


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that decides a scan.

    Attributes:
        things: In any order: matter adds, nothing is hidden.
        scanner: The machine.
        noise_seed: Seed of the detector noise.
        bag: Kind of bag.
        field: Side of the square field of view in mm.
    """

    things: tuple[Placed, ...]
    scanner: Scanner
    noise_seed: int
    bag: str
    field: float = FIELD

    def without(self, index: int) -> "Scene":
        """The same bag and the same noise with one thing taken out."""
        return replace(self, things=self.things[:index] + self.things[index + 1 :])


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """What the machine gives, and the truth.

    Attributes:
        image: RGB ``(h, w, 3)``.
        low: Low-energy transmission ``(h, w)``, about [0, 1.1].
        high: High-energy transmission.
        scene: What was scanned.
        shadows: One per thing of the scene.
        overlaps: Per thing, the share of its mask that lies over other annotated things.
    """

    image: NDArray[np.uint8]
    low: Plane
    high: Plane
    scene: Scene
    shadows: tuple[Shadow, ...]
    overlaps: tuple[float, ...]


def scan(scene: Scene, size: int) -> Scan:
    """Scan a scene.

    Args:
        scene: What to scan.
        size: Height and width of the image in pixels.
    """
    per_mm = size / scene.field
    planes = np.zeros((RANK, size, size), np.float32)
    cover = np.zeros((size, size), np.uint8)
    shadows = []
    for thing in scene.things:
        shadow = cast(thing.item, thing.pose, per_mm, (size, size))
        height, width = shadow.mask.shape
        here = (slice(shadow.top, shadow.top + height), slice(shadow.left, shadow.left + width))
        planes[:, here[0], here[1]] += shadow.planes
        if thing.label is not None:
            cover[here] += shadow.mask
        shadows.append(shadow)
    low, high = transmissions(planes)
    rng = np.random.default_rng(scene.noise_seed)
    blur = scene.scanner.blur * size / 640
    low, high = detect(low, high, replace(scene.scanner, blur=blur), rng)
    overlaps = tuple(
        _overlap(shadow, cover) if thing.label is not None else 0.0
        for thing, shadow in zip(scene.things, shadows, strict=True)
    )
    image = colourise(low, high, scene.scanner.palette)
    return Scan(image, low, high, scene, tuple(shadows), overlaps)


def _overlap(shadow: Shadow, cover: NDArray[np.uint8]) -> float:
    height, width = shadow.mask.shape
    here = cover[shadow.top : shadow.top + height, shadow.left : shadow.left + width]
    inside = here[shadow.mask]
    return float((inside > 1).mean()) if inside.size else 0.0


@dataclass(frozen=True, slots=True)
class Packing:
    """How bags are filled.

    Attributes:
        clean: Share of bags without a dangerous item.
        dangerous: Fewest and most dangerous items in the others.
        benign: Fewest and most benign items.
        tilt: Standard deviation of the out-of-plane rotations, in radians.
    """

    clean: int | float = 0.3
    dangerous: tuple[int, int] = (1, 2)
    benign: tuple[int, int] = (4, 11)
    tilt: int | float = 0.28


_BAG_SHARES = {
    "suitcase": 0.2,
    "backpack": 0.25,
    "handbag": 0.15,
    "briefcase": 0.12,
    "tray": 0.2,
    "parcel": 0.08,
}


def compose(rng: np.random.Generator, packing: Packing | None = None) -> Scene:
    """Pack a random bag.

    Args:
        rng: Decides everything, including the seed of the noise.
        packing: How full, and with what.
    """
    packing = packing or Packing()
    kind = str(rng.choice(list(BAGS), p=[_BAG_SHARES[name] for name in BAGS]))
    bag = build_bag(kind, rng)
    centre = FIELD / 2 + rng.uniform(-25, 25, 2)
    lie = Pose(
        float(centre[0]),
        float(centre[1]),
        float(rng.choice([0, np.pi / 2, np.pi]) + rng.normal(0, 0.25)),
    )
    things = [Placed(bag.shell, lie, None)]
    names = [
        str(name)
        for name in rng.choice(
            list(BENIGN), int(rng.integers(packing.benign[0], packing.benign[1] + 1))
        )
    ]
    if rng.random() >= packing.clean:
        count = int(rng.integers(packing.dangerous[0], packing.dangerous[1] + 1))
        names += [str(name) for name in rng.choice(list(DANGEROUS), count)]
    taken: list[NDArray[np.float64]] = []
    for name in names:
        spot = _free_spot(bag.room, taken if name in DANGEROUS else [], rng)
        if name in DANGEROUS:
            taken.append(spot)
        things.append(Placed(build(name, rng), place(lie, spot, packing.tilt, rng), name))
    return Scene(tuple(things), draw_scanner(rng), int(rng.integers(2**31)), kind)


def place(bag: Pose, spot: NDArray[np.float64], tilt: float, rng: np.random.Generator) -> Pose:
    """A random pose at a spot given in the bag's own frame."""
    x, y = bag.rotation()[:2, :2] @ spot + (bag.x, bag.y)
    leans = np.clip(rng.normal(0, tilt, 2), -0.9, 0.9)
    return Pose(
        float(x),
        float(y),
        float(rng.uniform(0, 2 * np.pi)),
        float(leans[0]),
        float(leans[1]),
        bool(rng.random() < 0.5),
    )


def _free_spot(
    room: tuple[float, float], taken: Sequence[NDArray[np.float64]], rng: np.random.Generator
) -> NDArray[np.float64]:
    """A spot in the room, the best of eight tries at keeping dangerous items apart."""
    tries = rng.uniform(-1, 1, (8, 2)) * room
    if not taken:
        return np.asarray(tries[0])
    gaps = np.min([np.linalg.norm(tries - other, axis=1) for other in taken], axis=0)
    return np.asarray(tries[int(gaps.argmax())])


def draw_scanner(rng: np.random.Generator) -> Scanner:
    """A machine: colour table, dose, sharpness and gain errors vary from one to the next."""
    return Scanner(
        photons=float(np.exp(rng.uniform(np.log(1e4), np.log(1e5)))),
        blur=float(rng.uniform(0.4, 0.9)),
        stripes=float(rng.uniform(0.0005, 0.003)),
        palette=str(rng.choice(list(PALETTES), p=[0.4, 0.2, 0.15, 0.15, 0.1])),
    )
