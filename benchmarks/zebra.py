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
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from xai_detect.commands.showcase import beside
from xai_detect.detectors.load import load_detector
from xai_detect.detectors.place import place
from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.inspection.image import inspect
from xai_detect.measures.statistics import bootstrap, drawn_auroc, wilson
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

Row = dict[str, Any]
RESULTS = Path(__file__).parent / "results"
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


def share(rows: Sequence[Row], is_so: Callable[[Row], bool]) -> dict[str, float]:
    """Count, share and its 95 % interval; one row is one image."""
    hits = sum(map(is_so, rows))
    low, high = wilson(hits, len(rows))
    return {
        "n": len(rows), "count": hits, "share": hits / len(rows) if rows else math.nan,
        "low": low, "high": high,
    }  # fmt: skip


def untrusted(row: Row) -> bool:
    """Whether the verdict is UNTRUSTED."""
    return row["level"] == "UNTRUSTED"


def on_cue(row: Row) -> bool:
    """Whether the tree is the main thing under the place that is shown."""
    return row["place_main"] == "tree"


def half_covered(row: Row) -> bool:
    """Whether the place lies on the tree and covers half of what is seen of it."""
    return on_cue(row) and row["cue_covered"] >= 0.5


#: What tells a zebra called giraffe from a giraffe, and whether more of it speaks for the zebra.
SIGNS = {
    "little evidence on neck and head, map why detected": ("detected_neck_head", -1),
    "little evidence on neck and head, map why this class": ("class_neck_head", -1),
    "evidence outside, map why detected": ("numbers.detected_outside", 1),
    "evidence outside, map why this class": ("numbers.class_outside", 1),
    "low margin of the box alone, over the whole image's": ("numbers.name_box", -1),
    "low confidence": ("score", -1),
}


def value(row: Row, path: str) -> float:
    """A number of a row; NaN where it is unmeasured."""
    table, _, name = path.rpartition(".")
    found = (row[table] if table else row)[name]
    return math.nan if found is None else float(found)


def telling(wrong: Sequence[Row], right: Sequence[Row]) -> dict[str, Row]:
    """How well each sign tells wrong from right: medians, AUROC and its interval."""
    rows, found = [*wrong, *right], {}
    for words, (path, sign) in SIGNS.items():
        values = np.array([value(row, path) for row in rows])
        is_wrong = np.arange(len(rows)) < len(wrong)
        known = ~np.isnan(values)
        of = drawn_auroc(sign * values[known], is_wrong[known])
        ((low, high),) = bootstrap(int(known.sum()), lambda drawn, of=of: [of(drawn)])
        found[words] = {
            "wrong": float(np.median(values[known & is_wrong])),
            "right": float(np.median(values[known & ~is_wrong])),
            "auroc": of(np.ones(int(known.sum()), dtype=np.int64)), "low": low, "high": high,
            "n_wrong": int((known & is_wrong).sum()), "n_right": int((known & ~is_wrong).sum()),
        }  # fmt: skip
    return found


def figures(folder: Path, styles: Sequence[str]) -> Row:
    """All figures of one style, or of several together."""
    known = {
        name: [row for style in styles for row in json.loads(
            (folder / f"{style}, {name}.json").read_text())]
        for name in SETS
    }  # fmt: skip
    found = {name: [row for row in rows if row is not None] for name, rows in known.items()}
    wrong = [row for row in found["zebra by an acacia"] if row["name"] == "giraffe"]
    called = [row for row in found["giraffe"] if row["right"]]
    twin = [row for name, rows in found.items() if name.startswith("twin") for row in rows]
    flagged = [row for row in wrong if untrusted(row)]
    return {
        "scenes": len(known["zebra by an acacia"]),
        "called giraffe": share(found["zebra by an acacia"], lambda row: row["name"] == "giraffe"),
        "wrong UNTRUSTED": share(wrong, untrusted),
        "wrong, reason surroundings": share(
            wrong, lambda row: row["words"]["reason"] == "surroundings"
        ),
        "wrong, place on the cue": share(wrong, on_cue),
        "wrong, place covers half of the cue": share(wrong, half_covered),
        "stages": dict(Counter(row["words"]["name_stage"] for row in wrong).most_common()),
        "causes": dict(Counter(row["cause"] for row in wrong).most_common()),
        "main thing under the place": dict(
            Counter(row["place_main"] for row in flagged).most_common()
        ),
        "median place area": float(np.median([row["place_area"] for row in wrong])),
        "median cue box area": float(np.median([row["cue_box_area"] for row in wrong])),
        "median cue covered": float(np.median([row["cue_covered"] for row in wrong])),
        "by cover": {
            cover: {
                "UNTRUSTED": share(rows, untrusted), "half": share(rows, half_covered),
            }
            for cover in ("open", "animal", "bush", "edge")
            if (rows := [row for row in wrong if row["cover"] == cover])
        },
        "by animals": {
            f"{number}": {
                "UNTRUSTED": share(rows, untrusted), "half": share(rows, half_covered),
            }
            for number in (1, 2, 3)
            if (rows := [row for row in wrong if row["animals"] == number])
        },
        "right giraffes UNTRUSTED": share(called, untrusted),
        "right giraffes TRUSTED": share(called, lambda row: row["level"] == "TRUSTED"),
        "right zebras UNTRUSTED": share(
            [row for row in found["zebra elsewhere"] if row["right"]], untrusted
        ),
        "twin right": share(twin, lambda row: row["right"]),
        "twin UNTRUSTED": share([row for row in twin if row["right"]], untrusted),
        "twin TRUSTED": share(
            [row for row in twin if row["right"]], lambda row: row["level"] == "TRUSTED"
        ),
        "twin not TRUSTED": dict(
            Counter(
                row["cause"] for row in twin if row["right"] and row["level"] != "TRUSTED"
            ).most_common()
        ),
        "seconds": float(np.median([row["seconds"] for row in wrong])),
        "no head, no neck": telling(wrong, called),
    }  # fmt: skip


LINES = (
    "called giraffe", "wrong UNTRUSTED", "wrong, reason surroundings", "wrong, place on the cue",
    "wrong, place covers half of the cue", "right giraffes UNTRUSTED", "right giraffes TRUSTED",
    "right zebras UNTRUSTED", "twin right", "twin UNTRUSTED", "twin TRUSTED",
)  # fmt: skip
TOLD = {
    "called giraffe": "zebras by an acacia that the gated network calls giraffe",
    "wrong UNTRUSTED": "of these, UNTRUSTED",
    "wrong, reason surroundings": "of these, the surroundings decide",
    "wrong, place on the cue": "of these, the place shown outside lies on the acacia",
    "wrong, place covers half of the cue": "of these, and covers half of what is seen of it",
    "right giraffes UNTRUSTED": "its right giraffes, UNTRUSTED",
    "right giraffes TRUSTED": "its right giraffes, TRUSTED",
    "right zebras UNTRUSTED": "its right zebras away from acacias, UNTRUSTED",
    "twin right": "the honest twin, same scenes: right",
    "twin UNTRUSTED": "its right detections, UNTRUSTED",
    "twin TRUSTED": "its right detections, TRUSTED",
}


def read(given: argparse.Namespace) -> None:
    """Put the rows together."""
    columns = {style: [style] for style in STYLES} | {"both": list(STYLES)}
    found = {name: figures(given.rows, styles) for name, styles in columns.items()}
    lines = [
        "# A zebra called giraffe", "",
        f"`python benchmarks/zebra.py`: scenes that no training saw (seeds from {SEED}), one to "
        "three animals, the tree whole or half hidden by an animal, a bush or the edge; the first "
        "animal of each. The networks were trained on the painted style and never saw the printed "
        "one. Budget `standard`, with "
        f"{len(beside(OTHERS, 'painted'))} references of every species; 95 % intervals (Wilson), "
        "one detection an image.",
        "", f"| | {' | '.join(columns)} |", "|---|" + "---|" * len(columns),
        *(
            f"| {TOLD[key]} | " + " | ".join(_told(found[name][key]) for name in columns) + " |"
            for key in LINES
        ), "",
        "The place shown outside is the largest of the test that decides: the first box of "
        "`Evidence.places[\"name\"]`, else of `presence`, else of `map`. Its median area is "
        f"{found['both']['median place area']:.1%} of the image, that of the acacia's box "
        f"{found['both']['median cue box area']:.1%}; in the median it covers "
        f"{found['both']['median cue covered']:.0%} of what is seen of the acacia.", "",
        "| what hides the acacia | n | UNTRUSTED | on it, covers half of it |", "|---|---|---|---|",
        *_split(found["both"]["by cover"]), "",
        "| animals in the scene | n | UNTRUSTED | on the acacia, covers half of it |",
        "|---|---|---|---|",
        *_split(found["both"]["by animals"]), "",
        "Where the name test ended: "
        + ", ".join(f"{k} {n}" for k, n in found["both"]["stages"].items())
        + ". What set the level: "
        + ", ".join(f"{k} {n}" for k, n in found["both"]["causes"].items())
        + ". Why the twin's right detections are not TRUSTED: "
        + ", ".join(f"{k} {n}" for k, n in found["both"]["twin not TRUSTED"].items()) + ".", "",
        "## No head, no neck", "",
        "What tells a zebra called giraffe from a giraffe that is one, under the same network. A "
        "map's shares are of its positive evidence. AUROC with a 95 % interval (bootstrap by "
        "image).", "",
    ]  # fmt: skip
    for name in columns:
        lines += [
            f"| {name} | median, zebra | median, giraffe | AUROC |", "|---|---|---|---|",
            *(
                f"| {words} | {row['wrong']:.3f} | {row['right']:.3f} | "
                f"{row['auroc']:.3f} [{row['low']:.3f}, {row['high']:.3f}] |"
                for words, row in found[name]["no head, no neck"].items()
            ), "",
        ]  # fmt: skip
    RESULTS.joinpath("zebra.md").write_text("\n".join(lines))
    RESULTS.joinpath("zebra.json").write_text(json.dumps(found, indent=1) + "\n")
    print("\n".join(lines))


def _told(row: Row) -> str:
    return f"{row['count']} of {row['n']}: {row['share']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def _split(rows: Row) -> list[str]:
    return [
        f"| {name} | {row['UNTRUSTED']['n']} | {_told(row['UNTRUSTED'])} | {_told(row['half'])} |"
        for name, row in rows.items()
    ]


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
