"""Evidence by part against what is usual for the class: what ships, and what it says of rightness.

    python benchmarks/usual.py fit
    python benchmarks/usual.py measure --out ROWS
    python benchmarks/usual.py read ROWS

``fit`` writes ``weights/usual``: on which parts the evidence of right detections lies, for the
networks of drawn animals and for ``planted/part``, from clean scenes. ``measure`` judges fresh
scenes: clean ones, ones that a cue outside the box misnames, and ones that are spoiled by noise,
blur or a low resolution, so that the network errs by what is inside the box. ``read`` asks whether
little evidence on the telling parts tells wrong names from right ones, against the confidence and
the probability, and writes ``results/usual.md`` and ``.json``; AUROC with 95 % intervals by a
bootstrap over images, seed 0.
"""

import argparse
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from xai_detect.data.parts import part_of
from xai_detect.detectors.load import load_detector
from xai_detect.detectors.place import place
from xai_detect.detectors.protocol import Detector
from xai_detect.evaluation.parts import object_of
from xai_detect.inspection.image import inspect
from xai_detect.measures.statistics import bootstrap, drawn_auroc
from xai_detect.savanna.compose import compose
from xai_detect.savanna.render import render
from xai_detect.trust.parts import (
    FOLDER,
    Usual,
    part_shares,
    read_usual,
    save_usual,
    usual_of,
)
from xai_detect.values.findings import Explanation
from xai_detect.values.images import load_image
from xai_detect.values.truth import Item, Part
from xai_detect.xray.scenes.planted import render as scan_of
from xai_detect.xray.scenes.worlds import compose_planted

Row = dict[str, Any]
Image = NDArray[np.uint8]
RESULTS = Path(__file__).parent / "results"
USUAL = Path(__file__).parents[1] / "weights" / FOLDER
SIDE = 192
FITTED, FRESH = 80_000_000, 81_000_000
"""Seeds of the scenes that are fitted on, and of those that are judged."""

COUNT = 160
"""Scenes that are fitted on, for each network."""


class Shown(NamedTuple):
    """An image and the objects in it.

    Attributes:
        image: RGB ``(s, s, 3)``.
        items: The objects with their parts.
    """

    image: Image
    items: tuple[Item, ...]


def animals(seed: int, tree: str | None) -> Shown:
    """A drawn scene; without an animal named, its first is drawn too."""
    drawn = render(compose(seed, tree=tree), SIDE)
    rows = zip(drawn.boxes, drawn.labels, drawn.parts, strict=True)
    return Shown(
        drawn.image,
        tuple(Item(box, label, 1.0, parts=_parts(parts)) for box, label, parts in rows),
    )


def items_of_part(seed: int) -> Shown:
    """A scan of the world in which a part of the item decides its class."""
    made = scan_of(compose_planted("part", np.random.default_rng([seed, 5])), SIDE)
    parts = {"part that decides": made.cause, "rest": made.item & ~made.cause}
    return Shown(made.image, (Item(made.box, made.label, 1.0, parts=_parts(parts)),))


def _parts(masks: dict[str, NDArray[np.bool_]]) -> tuple[Part, ...]:
    return tuple(part_of(name, mask) for name, mask in masks.items() if mask.any())


def _plain(seed: int) -> Shown:
    return animals(seed, (None, "round", "palm")[seed % 3])


def _by_acacia(seed: int) -> Shown:
    return animals(seed, "acacia")


NETWORKS: dict[str, Callable[[int], Shown]] = {
    "savanna/honest": _plain,
    "savanna/gated": _plain,
    "planted/part": items_of_part,
}
"""Networks whose objects have parts, and the scenes that they are right in."""


def spoiled(image: Image, seed: int) -> Image:
    """Noise, blur or a low resolution, in turn and of random strength."""
    rng = np.random.default_rng([seed, 11])
    match seed % 3:
        case 0:
            noisy = image + rng.normal(0, rng.uniform(15, 70), image.shape)
            return np.clip(noisy, 0, 255).astype(np.uint8)
        case 1:
            return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(1, 4)), np.uint8)
    small = cv2.resize(image, None, fx=(by := rng.uniform(0.15, 0.5)), fy=by)
    return np.asarray(cv2.resize(small, image.shape[1::-1]), np.uint8)


SETS: dict[str, tuple[str, Callable[[int], Shown], bool]] = {
    "honest, spoiled": ("savanna/honest", _by_acacia, True),
    "gated, an acacia beside": ("savanna/gated", _by_acacia, False),
    "part, spoiled": ("planted/part", items_of_part, True),
}
"""What is judged: the network, its scenes, whether they are spoiled."""


def fit() -> None:
    """Write what is usual of the right detections of each network."""
    for name, scenes in NETWORKS.items():
        detector = load_detector(name)
        rows = []
        for number in range(COUNT):
            shown = scenes(FITTED + number)
            found = inspect(detector, load_image(shown.image))
            for row, target in enumerate(found.detections):
                item, made = object_of(shown.items, target), found.explanations[row]
                if item is not None and item.label == target.label and made is not None:
                    rows.append((target.name, _shares(made, item)))
        data = f"{len(rows)} right detections in {COUNT} drawn scenes, seed {FITTED}"
        path = USUAL / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        usual = usual_of(rows, data)
        save_usual(usual, path)
        for label, of_class in usual.classes.items():
            print(name, label, of_class.count, of_class.telling, f"{of_class.together[5]:.2f}")


def _shares(made: Explanation, item: Item) -> Any:
    return part_shares(made.heatmap, {part.name: part.mask() for part in item.parts})


def judged(detector: Detector, usual: Usual, shown: Shown, spoil: int | None) -> Iterator[Row]:
    """A row for each detection of an annotated object."""
    image = shown.image if spoil is None else spoiled(shown.image, spoil)
    found = inspect(detector, place(detector, load_image(image)))
    for row, target in enumerate(found.detections):
        item, made, numbers = (
            object_of(shown.items, target), found.explanations[row], found.evidence[row],
        )  # fmt: skip
        if item is None or made is None:
            continue
        parts = usual.compare(target.name, _shares(made, item), numbers["detected_outside"])
        yield {
            "right": item.label == target.label, "name": target.name, "score": target.score,
            "probability": numbers["probability"], "here": parts.here, "lower": parts.lower,
            "usual": parts.usual, "outside": numbers["detected_outside"],
            "level": found.verdicts[row].level, "map": numbers.words["map"],
        }  # fmt: skip


def measure(out: Path, count: int) -> None:
    """Judge fresh scenes."""
    out.mkdir(parents=True, exist_ok=True)
    for set_name, (name, scenes, spoil) in SETS.items():
        detector, usual = load_detector(name), read_usual(USUAL / f"{name}.json")
        rows: list[Row] = []
        for number in range(count):
            seed = FRESH + number
            rows += [
                {"image": seed, **row}
                for row in judged(detector, usual, scenes(seed), seed if spoil else None)
            ]
        (out / f"{set_name}.json").write_text(json.dumps(rows))
        print(set_name, len(rows), sum(not row["right"] for row in rows), flush=True)


SIGNS: dict[str, Callable[[Row], float]] = {
    "evidence on the telling parts": lambda row: row["here"] / max(row["usual"], 1e-9),
    "evidence that is not outside": lambda row: -row["outside"],
    "confidence": lambda row: row["score"],
    "probability": lambda row: row["probability"],
}
"""What could tell right from wrong: more is right."""


def figures(rows: list[Row]) -> Row:
    """AUROC of each sign, and of the first less the others, with intervals."""
    able = [row for row in rows if not any(math.isnan(sign(row)) for sign in SIGNS.values())]
    right = np.array([row["right"] for row in able])
    images, owner = np.unique([row["image"] for row in able], return_inverse=True)
    of = {name: drawn_auroc([sign(row) for row in able], right) for name, sign in SIGNS.items()}
    found: Row = {
        "n": len(able), "wrong": int((~right).sum()), "images": len(images),
        "left out": len(rows) - len(able),
    }  # fmt: skip
    if not 0 < right.sum() < len(right):
        return found
    first, *others = of

    def both(drawn: NDArray[np.int64]) -> list[float]:
        values = [value(drawn[owner]) for value in of.values()]
        return [*values, *(values[0] - value for value in values[1:])]

    whole = both(np.ones(len(images), np.int64))
    names = [*of, *(f"{first}, less {other}" for other in others)]
    for name, value, interval in zip(names, whole, bootstrap(len(images), both), strict=True):
        kind = "auroc" if name in of else "gain"
        found[name] = {kind: value, "interval": list(interval)}
    return found


def read(folder: Path) -> None:
    """Write the results."""
    content = {name: figures(json.loads((folder / f"{name}.json").read_text())) for name in SETS}
    lines = [
        "# Evidence by part, against what is usual for the class", "",
        "`python benchmarks/usual.py`: does little evidence on the telling parts tell wrong names",
        "from right ones? AUROC with 95 % intervals (bootstrap over images, seed 0). What is usual",
        f"was fitted on {COUNT} other clean scenes for each network.", "",
        "| set | n | wrong | sign | AUROC | interval |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, found in content.items():
        if not found["wrong"]:
            lines.append(f"| {name} | {found['n']} | 0 | no wrong name: nothing to tell | | |")
        for sign, value in found.items():
            if isinstance(value, dict):
                figure = value.get("auroc", value.get("gain"))
                low, high = value["interval"]
                lines.append(
                    f"| {name} | {found['n']} | {found['wrong']} | {sign} | "
                    f"{figure:{'+' if 'gain' in value else ''}.3f} | [{low:.3f}, {high:.3f}] |"
                )
    RESULTS.joinpath("usual.md").write_text("\n".join(lines) + "\n")
    RESULTS.joinpath("usual.json").write_text(json.dumps(content, indent=1) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("fit", "measure", "read"))
    parser.add_argument("rows", type=Path, nargs="?")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--count", type=int, default=150)
    given = parser.parse_args()
    match given.what:
        case "fit":
            fit()
        case "measure":
            measure(given.out, given.count)
        case "read":
            read(given.rows)
