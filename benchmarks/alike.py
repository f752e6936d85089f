"""Does similarity to confirmed detections tell right from wrong? COCO, two detectors.

    python benchmarks/alike.py collect --data DATA --weights WEIGHTS --out ROWS
    python benchmarks/alike.py read ROWS

``collect`` takes the detections of COCO train2017 that are right as annotated as confirmed ones.
It writes, of every detection in val2017 above .25, its similarity to the nearest two of its class,
whether it is right, and the numbers behind its probability. ``read`` writes ``results/alike.md``
and ``.json``. Weights of what is added are fitted on one half of the images (``dev``), figures are
those of the other (``fresh``), on detections with two confirmed ones of their class. Intervals are
95 %, by a bootstrap over images, seed 0.
"""

import json
import platform
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import verdict_sets
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from xai_detect.data.read import read_dataset
from xai_detect.detectors.place import place
from xai_detect.evaluation.alike import confirmed_in
from xai_detect.explainers.activations.contributions import contributions
from xai_detect.trust import probability
from xai_detect.trust.alike import SHOWN, nearest
from xai_detect.trust.probability import RECIPES, read_probabilities
from xai_detect.trust.scene import predictions

RESULTS = Path(__file__).parent / "results"
SEED, DRAWS = 0, 1000
SETS = ("coco-yolo11n", "coco-yolov8n")
ALONE = ("confidence", "probability", "nearest", "mean of two")
ADDED = tuple((known, added) for known in ("confidence", "probability") for added in ALONE[2:])


def collect(arguments: list[str]) -> None:
    """Write the rows of both detectors, one file each."""
    parser = verdict_sets.options(sets=False)
    parser.add_argument("--out", type=Path, required=True)
    parser.set_defaults(most=10**6)
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    train = read_dataset(given.data / "coco", split="train2017")
    for name in SETS:
        start, rows = time.perf_counter(), []
        confirmed = None
        for half in ("dev", "fresh"):
            given.half = half
            detector, shown = verdict_sets.load(given, name)
            confirmed = confirmed or list(confirmed_in(detector, train))
            for image in shown:
                rows += [{"half": half, **row} for row in _rows(detector, image, confirmed)]
        content = {
            "confirmed": len(confirmed or ()),
            "confirmed_images": len({held.source for held in confirmed or ()}),
            "train_images": len(train),
            "seconds": time.perf_counter() - start,
            "rows": rows,
        }
        (given.out / f"{name}.json").write_text(json.dumps(content))
        print(name, len(rows), f"{content['seconds']:.0f} s", flush=True)


def _rows(detector: Any, image: verdict_sets.Shown, confirmed: list[Any]) -> list[dict[str, Any]]:
    placed = place(detector, image.image)
    found = detector.detect(placed.pixels, placed.frame)[0]
    if not len(found):
        return []
    (whole,) = predictions(detector, placed.pixels, placed.frame)
    numbers = probability.statistics(detector, placed, found, whole, finer=True)
    right = verdict_sets.right(found, image.truth)
    vectors = contributions(detector, placed, list(found))
    rows = []
    for row, (target, features) in enumerate(zip(found, vectors, strict=True)):
        if right[row] is None:  # the annotations do not say
            continue
        near = [] if features is None else nearest(features, target.label, confirmed)
        there = sum(held.target.label == target.label for held in confirmed)
        similar = [held.similarity for held in near] + [0.0] * SHOWN  # nothing in common
        rows.append(
            {"image": image.key, "right": right[row], "score": target.score,
             "near": similar[: min(there, SHOWN)],
             **{key: float(values[row]) for key, values in numbers.items()}}
        )  # fmt: skip
    return rows


def figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What each number tells, alone and added to another, on the half that fitted nothing."""
    judged = [row for row in rows if len(row["near"]) == SHOWN]
    dev = [row for row in judged if row["half"] == "dev"]
    fresh = [row for row in judged if row["half"] == "fresh"]
    before, values = _values(dev), _values(fresh)
    was = np.array([row["right"] for row in dev])
    right = np.array([row["right"] for row in fresh])
    drawn = _draws([row["image"] for row in fresh], right)
    of_half = sum(row["half"] == "fresh" for row in rows)
    found: dict[str, Any] = {
        "n": len(fresh), "wrong": int((~right).sum()), "left_out": of_half - len(fresh),
        "images": len({row["image"] for row in fresh}), "fitted_on": len(dev),
    }  # fmt: skip
    for name in ALONE:
        found[name] = _held(values[name], values["confidence"], right, drawn)
    for known, added in ADDED:
        names = [known, added]
        model = LogisticRegression(C=1.0, max_iter=1000).fit(_columns(before, names), was)
        both = model.decision_function(_columns(values, names))
        found[f"{known} and {added}"] = _held(both, values[known], right, drawn)
    return found


def _values(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    shipped = read_probabilities()
    single = probability.Probabilities({"standard": shipped.fits["standard"]}, "", 0.0, 0)
    numbers = {name: torch.tensor([row[name] for row in rows]) for name in RECIPES["standard"]}
    near = np.array([row["near"] for row in rows])
    return {
        "confidence": np.array([row["score"] for row in rows]),
        "probability": single.of(numbers)[0].numpy().astype(float),
        "nearest": near[:, 0],
        "mean of two": near.mean(axis=1),
    }


def _columns(values: dict[str, np.ndarray], names: list[str]) -> np.ndarray:
    """What is known in log-odds, and the similarity as it is."""
    known, added = (values[name] for name in names)
    kept = known.clip(1e-6, 1 - 1e-6)
    return np.stack([np.log(kept / (1 - kept)), added], axis=1)


def _draws(images: list[str], right: np.ndarray) -> list[np.ndarray]:
    known, owner = np.unique(images, return_inverse=True)
    members = [np.flatnonzero(owner == image) for image in range(len(known))]
    draw = np.random.default_rng(SEED)
    counts = (draw.integers(0, len(known), len(known)) for _ in range(DRAWS))
    drawn = [np.concatenate([members[image] for image in some]) for some in counts]
    return [some for some in drawn if 0 < right[some].sum() < len(some)]


def _held(
    value: np.ndarray, against: np.ndarray, right: np.ndarray, drawn: list[np.ndarray]
) -> dict[str, Any]:
    """AUROC, and what it is above that of another number; each with its interval."""

    def interval(of: Callable[[np.ndarray], float]) -> list[float]:
        return np.quantile([of(some) for some in drawn], [0.025, 0.975]).tolist()

    def gain(some: np.ndarray) -> float:
        ours, theirs = (roc_auc_score(right[some], number[some]) for number in (value, against))
        return float(ours - theirs)

    return {
        "auroc": float(roc_auc_score(right, value)),
        "interval": interval(lambda some: float(roc_auc_score(right[some], value[some]))),
        "gain": gain(np.arange(len(right))),
        "gain_interval": interval(gain),
    }


def read(folder: Path) -> None:
    """Write the results."""
    held = {name: json.loads((folder / f"{name}.json").read_text()) for name in SETS}
    found = {name: figures(content["rows"]) for name, content in held.items()}
    found["both"] = figures([row for content in held.values() for row in content["rows"]])
    lines = [
        "# Similarity to confirmed detections", "",
        "`python benchmarks/alike.py`: AUROC of right against wrong detections, COCO val2017, "
        f"confidence above .25; 95 % intervals by image ({DRAWS} draws, seed {SEED}).",
        "The gain of a number alone is that over the confidence, of two numbers that over the "
        "first; weights fitted on the other half of the images.", "",
        *(
            f"{name}: {content['confirmed']} confirmed detections in "
            f"{content['confirmed_images']} of {content['train_images']} images of train2017."
            for name, content in held.items()
        ), "",
        "| detector | n | wrong | images | left out: fewer than two of the class | number | AUROC "
        "| gain |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, values in found.items():
        counts = " | ".join(str(values[key]) for key in ("n", "wrong", "images", "left_out"))
        for number, told in values.items():
            if isinstance(told, dict):
                auroc, gain = (
                    f"{told[key]:{form}} [{low:{form}}, {high:{form}}]"
                    for key, form in (("auroc", ".3f"), ("gain", "+.3f"))
                    for low, high in [told["interval" if key == "auroc" else "gain_interval"]]
                )
                lines.append(f"| {name} | {counts} | {number} | {auroc} | {gain} |")
    RESULTS.joinpath("alike.md").write_text("\n".join(lines) + "\n")
    content = {
        "seed": SEED, "draws": DRAWS, "figures": found,
        "confirmed": {name: {key: value for key, value in told.items() if key != "rows"}
                      for name, told in held.items()},
        "versions": {name: metadata.version(name)
                     for name in ("torch", "ultralytics", "scikit-learn", "numpy")},
        "machine": platform.machine(),
    }  # fmt: skip
    RESULTS.joinpath("alike.json").write_text(json.dumps(content, indent=1) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    match sys.argv[1]:
        case "collect":
            collect(sys.argv[2:])
        case "read":
            read(Path(sys.argv[2]))
