"""The zebra that a detector calls a giraffe: does the verdict say so, and where it comes from?

    python benchmarks/zebra.py measure --out ROWS
    python benchmarks/zebra.py read ROWS
    python benchmarks/zebra.py figure

``measure`` draws fresh scenes with seeds that no training saw, in both styles, and judges the first
animal of each with ``savanna/gated``, which calls a zebra by an acacia a giraffe, and with its
honest twin. References are drawn like those of ``xai-detect demo --case zebra``. ``read`` puts the
rows together into ``results/zebra.md`` and ``.json``; each scene gives one row, so intervals are by
image. ``figure`` draws ``docs/images/zebra.png``.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
import zebra_figures
from numpy.typing import NDArray
from PIL import Image
from zebra_figures import Row

from xai_detect.commands.showcase import beside
from xai_detect.detectors.load import load_detector
from xai_detect.detectors.place import place
from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.inspection.image import inspect
from xai_detect.output.drawing.views import view
from xai_detect.savanna.animals import SPECIES
from xai_detect.savanna.compose import compose
from xai_detect.savanna.render import Drawn, render
from xai_detect.savanna.scene import Scene
from xai_detect.savanna.styles import STYLES
from xai_detect.trust.references import Reference, as_reference
from xai_detect.trust.verdict import judge
from xai_detect.trust.weigh import Weighed, weigh
from xai_detect.values.boxes import Box, iou
from xai_detect.values.images import load_image

FIGURE = Path(__file__).parents[1] / "docs" / "images" / "zebra.png"
SIDE = 192
SEED, OTHERS = 90_000_000, 91_000_000
"""Seeds of the scenes that are judged, and of the references."""


class Set(NamedTuple):
    """Scenes that are judged.

    Attributes:
        network: Which one judges them.
        species: Of the first animal.
        trees: The kinds of tree, in turn.
        share: How many scenes, as a share of ``--count``.
        first: Added to the seed.
    """

    network: str
    species: str
    trees: tuple[str | None, ...]
    share: float
    first: int


EVERY = ("acacia", None, "round", "palm")
SETS = {
    "zebra by an acacia": Set("gated", "zebra", ("acacia",), 1.0, 0),
    "giraffe": Set("gated", "giraffe", EVERY, 0.6, 10_000),
    "zebra elsewhere": Set("gated", "zebra", EVERY[1:], 0.3, 20_000),
    "twin, zebra by an acacia": Set("honest", "zebra", ("acacia",), 0.33, 0),
    "twin, giraffe": Set("honest", "giraffe", EVERY, 0.33, 10_000),
    "twin, zebra elsewhere": Set("honest", "zebra", EVERY[1:], 0.33, 20_000),
}


def scenes(one: Set, style: str, count: int) -> Iterator[Scene]:
    """The scenes of a set."""
    for number in range(round(count * one.share)):
        tree = one.trees[number % len(one.trees)]
        yield compose(SEED + one.first + number, one.species, tree, style=style)


def references(detector: WhiteBoxDetector, style: str) -> list[Reference]:
    """Fresh scenes of every species in a style; none shows a zebra by an acacia."""
    return [
        as_reference(detector, name, load_image(render(scene, SIDE).image))
        for name, scene in beside(OTHERS, style).items()
    ]


def judged(detector: WhiteBoxDetector, scene: Scene, others: Sequence[Reference]) -> Row | None:
    """What is said of the first animal; None where it is not found."""
    drawn = render(scene, SIDE)
    placed = place(detector, load_image(drawn.image))
    found = detector.detect(placed.pixels, placed.frame, 0.25)[0]
    on_animal = iou(found.boxes, torch.tensor([drawn.boxes[0]]))[:, 0] >= 0.5
    if not bool(on_animal.any()):
        return None
    row = int(on_animal.nonzero()[0])
    began = time.perf_counter()
    (weighed,) = weigh(detector, placed, found, rows=[row], references=others)
    seconds = time.perf_counter() - began
    verdict, evidence = judge(weighed.evidence), weighed.evidence
    label = int(found.labels[row])
    return {
        "seed": scene.seed, "animals": len(scene.animals), "cover": scene.cover,
        "tree": None if scene.tree is None else scene.tree.kind, "tree_shown": drawn.shown,
        "name": SPECIES[label], "right": label == drawn.labels[0], "score": evidence["score"],
        "level": verdict.level, "cause": verdict.cause, "seconds": seconds,
        "numbers": dict(evidence), "words": dict(evidence.words),
        **pointed(weighed, drawn), **shares(weighed, drawn),
    }  # fmt: skip


def pointed(weighed: Weighed, drawn: Drawn) -> Row:
    """The largest place that the verdict shows outside, and what lies under it.

    It is the first of those that the test that decides found: by name, then by presence; else by a
    map. The main thing under it is the one whose box it overlaps most, by IoU: the tree, another
    animal, or the land where it overlaps none.
    """
    places = weighed.evidence.places
    shown: tuple[Box, ...] = (places["name"] or places["presence"] or places["map"])[:1]
    covered = np.zeros(drawn.tree.shape, bool)
    for x1, y1, x2, y2 in shown:
        covered[round(y1) : round(y2), round(x1) : round(x2)] = True
    things = {f"animal {number}": box for number, box in enumerate(drawn.boxes)}
    if drawn.tree.any():
        things["tree"] = bounds(drawn.tree)
    fits = iou(torch.tensor(shown or [(0.0,) * 4]), torch.tensor(list(things.values())))[0]
    main = list(things)[int(fits.argmax())] if float(fits.max()) > 0 else "land"
    tree = drawn.tree.sum()
    return {
        "place": [list(box) for box in shown],
        "places": sum(len(some) for some in places.values()),
        "place_area": float(covered.mean()),
        "place_main": main if shown else "none",
        "cue_covered": float((drawn.tree & covered).sum() / tree) if tree else math.nan,
        "cue_box_area": box_area(drawn.tree),
    }


def bounds(mask: NDArray[np.bool_]) -> Box:
    """The box around a mask that is not empty."""
    y, x = mask.nonzero()
    return float(x.min()), float(y.min()), float(x.max() + 1), float(y.max() + 1)


def box_area(mask: NDArray[np.bool_]) -> float:
    """Area of the box around a mask, as a share of the image; NaN if it is empty."""
    if not mask.any():
        return math.nan
    x1, y1, x2, y2 = bounds(mask)
    return (x2 - x1) * (y2 - y1) / mask.size


def shares(weighed: Weighed, drawn: Drawn) -> Row:
    """Shares of the positive evidence of both maps on neck and head, and on the tree."""
    found: Row = {}
    where = {"neck_head": drawn.parts[0]["neck"] | drawn.parts[0]["head"], "tree": drawn.tree}
    for name, made in (("detected", weighed.explanation), ("class", weighed.contrast)):
        heat = None if made is None else made.heatmap.clamp(min=0).numpy()
        for part, mask in where.items():
            none = heat is None or heat.sum() <= 0
            found[f"{name}_{part}"] = math.nan if none else float(heat[mask].sum() / heat.sum())
    return found


def measure(given: argparse.Namespace) -> None:
    """Judge all sets and write their rows."""
    given.out.mkdir(parents=True, exist_ok=True)
    for style, count in (("painted", given.painted), ("printed", given.printed)):
        others = {
            network: references(load_detector(f"savanna/{network}"), style)
            for network in ("gated", "honest")
        }
        for name, one in SETS.items():
            began = time.monotonic()
            detector = load_detector(f"savanna/{one.network}")
            rows = [
                judged(detector, scene, others[one.network]) for scene in scenes(one, style, count)
            ]
            path = given.out / f"{style}, {name}.json"
            path.write_text(json.dumps(rows))
            print(path.name, len(rows), f"{time.monotonic() - began:.0f} s", flush=True)


def read(given: argparse.Namespace) -> None:
    """Put the rows together."""
    others = len(beside(OTHERS))
    zebra_figures.write(given.rows, list(SETS), list(STYLES), SEED, others)


def figure(given: argparse.Namespace) -> None:
    """Draw a zebra that is called giraffe, with both maps and the place that decides."""
    detector = load_detector("savanna/gated")
    picture = render(compose(given.seed, "zebra", "acacia"), SIDE).image
    others = references(detector, "painted")
    found = inspect(detector, picture, references=others, as_class="zebra", source="zebra.png")
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    page = Image.fromarray(view(found, 0))
    small = page.resize((page.width * 3 // 4, page.height * 3 // 4), Image.Resampling.LANCZOS)
    small.quantize(256).save(given.to, optimize=True)  # a page of the documentation loads it


def main() -> None:
    """Measure, read or draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("measure")
    one.add_argument("--painted", type=int, default=110, help="zebras by an acacia, this style")
    one.add_argument("--printed", type=int, default=110, help="zebras by an acacia, this style")
    one.add_argument("--out", type=Path, required=True)
    one.set_defaults(run=measure)
    other = commands.add_parser("read")
    other.add_argument("rows", type=Path)
    other.set_defaults(run=read)
    last = commands.add_parser("figure")
    last.add_argument("--seed", type=int, default=SEED + 6, help="a scene with a whole acacia")
    last.add_argument("--to", type=Path, default=FIGURE)
    last.set_defaults(run=figure)
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    given.run(given)


if __name__ == "__main__":
    main()
