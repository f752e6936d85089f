"""The probability that a detection is right: fits what ships, and what it adds to the confidence.

    python benchmarks/probability.py collect coco-yolo11n --half dev --out ROWS ...
    python benchmarks/probability.py fit ROWS
    python benchmarks/probability.py read ROWS

``collect`` writes the numbers of every detection and whether it is right, as annotated. ``fit``
fits a logistic regression per recipe on the rows of ``FITTED`` and writes
``xai_detect/trust/probability.json``. ``read`` holds it against images that were not fitted on and
writes ``results/probability.md`` and ``.json``: AUROC, less that of the confidence, within
quartiles of confidence, and less that of a stronger detector's confidence at the box; 95 %
intervals by a bootstrap over images, seed 0.
"""

import json
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import verdict_sets
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from xai_detect.data.classes import pair_classes
from xai_detect.detectors.load import load_detector
from xai_detect.detectors.place import place
from xai_detect.trust import probability
from xai_detect.trust.probability import RECIPES, read_probabilities
from xai_detect.trust.scene import predictions

RESULTS = Path(__file__).parent / "results"
SEED, DRAWS = 0, 1000
FITTED = ("coco-yolo11n-dev", "coco-yolov8n-dev")
READ = (
    "coco-yolo11n-fresh",
    "coco-yolov8n-fresh",
    "coco-yolo26n-fresh",
    "sixray-all",
    "opixray-all",
)
SECOND = {"coco-yolo11n": "yolo26n", "coco-yolov8n": "yolo26n", "coco-yolo26n": "yolo11n"}


def collect(arguments: list[str]) -> None:
    """Write the numbers of every detection of some sets."""
    parser = verdict_sets.options()
    parser.add_argument("--out", type=Path, required=True)
    parser.set_defaults(most=10**6)
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    for name in given.sets:
        detector, shown = verdict_sets.load(given, name)
        second, labels = None, None
        if name in SECOND:
            second = load_detector(str(given.weights / f"{SECOND[name]}.pt"), imgsz=640)
            labels, _ = pair_classes(detector.class_names, second.class_names)
        rows: list[dict[str, Any]] = []
        for image in shown:
            placed = place(detector, image.image)
            found = detector.detect(placed.pixels, placed.frame)[0]
            if not len(found):
                continue
            (whole,) = predictions(detector, placed.pixels, placed.frame)
            numbers = probability.statistics(
                detector, placed, found, whole, finer=True, second=second, second_labels=labels
            )
            right = verdict_sets.right(found, image.truth)
            rows += [
                {"image": image.key, "right": right[row], "score": float(found.scores[row]),
                 **{key: float(values[row]) for key, values in numbers.items()}}
                for row in range(len(found))
            ]  # fmt: skip
        (given.out / f"{name}-{given.half}.json").write_text(json.dumps(rows))
        print(name, given.half, len(rows), flush=True)


def table(folder: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a set whose truth is known."""
    return [
        row for row in json.loads((folder / f"{name}.json").read_text()) if row["right"] is not None
    ]


def fit(folder: Path) -> None:
    """Fit every recipe and write what ships."""
    rows = [row for name in FITTED for row in table(folder, name)]
    right = np.array([row["right"] for row in rows])
    recipes = {}
    for recipe, names in RECIPES.items():
        columns = np.array([[row[name] for name in names] for row in rows])
        means, deviations = columns.mean(axis=0), columns.std(axis=0)
        model = LogisticRegression(C=1.0, max_iter=1000).fit((columns - means) / deviations, right)
        recipes[recipe] = {
            "names": list(names),
            "means": means.round(5).tolist(),
            "deviations": deviations.round(5).tolist(),
            "weights": model.coef_[0].round(5).tolist(),
            "bias": round(float(model.intercept_[0]), 5),
        }
    images = len({row["image"] for row in rows})
    content = {
        "provenance": {
            "data": f"{images} images of COCO val2017 as seen by yolo11n and yolov8n at 640 px",
            "detections": len(rows),
            "share_right": round(float(right.mean()), 4),
            "clean_images": 0,
            "least_confidence": 0.25,
            "script": "benchmarks/probability.py",
            "seed": SEED,
            "versions": {
                name: metadata.version(name) for name in ("scikit-learn", "torch", "ultralytics")
            },
        },
        "recipes": recipes,
    }
    probability.SHIPPED.write_text(json.dumps(content, indent=1) + "\n")
    print(len(rows), "rows,", f"{right.mean():.3f} right")


def figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """AUROC of the confidence, of every recipe, and what each adds, with intervals."""
    shipped = read_probabilities()
    right = np.array([row["right"] for row in rows])
    images, owner = np.unique([row["image"] for row in rows], return_inverse=True)
    confidence = np.array([row["score"] for row in rows])
    values: dict[str, np.ndarray] = {}
    for recipe, names in RECIPES.items():
        if all(name in row for row in rows for name in names):
            numbers = {name: torch.tensor([row[name] for row in rows]) for name in names}
            single = probability.Probabilities({recipe: shipped.fits[recipe]}, "", 0.0, 0)
            values[recipe] = single.of(numbers)[0].numpy()
    if all("second" in row for row in rows):
        values["stronger detector's confidence"] = np.array([row["second"] for row in rows])
    draw = np.random.default_rng(SEED)
    members = [np.flatnonzero(owner == image) for image in range(len(images))]
    counts = (draw.integers(0, len(images), len(images)) for _ in range(DRAWS))
    drawn = [np.concatenate([members[image] for image in some]) for some in counts]
    drawn = [some for some in drawn if 0 < right[some].sum() < len(some)]
    found: dict[str, Any] = {
        "n": len(rows), "wrong": int((~right).sum()), "images": len(images),
        "confidence": roc_auc_score(right, confidence),
        "confidence within quartiles": within(right, confidence, confidence),
    }  # fmt: skip
    for name, value in values.items():
        gains = [
            roc_auc_score(right[some], value[some]) - roc_auc_score(right[some], confidence[some])
            for some in drawn
        ]
        found[name] = {
            "auroc": roc_auc_score(right, value),
            "gain": roc_auc_score(right, value) - found["confidence"],
            "interval": np.quantile(gains, [0.025, 0.975]).tolist(),
            "within quartiles": within(right, value, confidence),
        }
    if "standard" in values and "stronger detector's confidence" in values:
        other = values["stronger detector's confidence"]
        gains = [
            roc_auc_score(right[some], values["standard"][some])
            - roc_auc_score(right[some], other[some])
            for some in drawn
        ]
        found["standard less the stronger detector's"] = {
            "gain": roc_auc_score(right, values["standard"]) - roc_auc_score(right, other),
            "interval": np.quantile(gains, [0.025, 0.975]).tolist(),
        }
    return found


def within(right: np.ndarray, value: np.ndarray, confidence: np.ndarray) -> float:
    """Mean AUROC within the quartiles of confidence that hold both kinds."""
    edges = np.quantile(confidence, [0.25, 0.5, 0.75])
    quarter = np.searchsorted(edges, confidence)
    parts = [quarter == number for number in range(4)]
    held = [part for part in parts if 0 < right[part].sum() < part.sum()]
    return float(np.mean([roc_auc_score(right[part], value[part]) for part in held]))


def read(folder: Path) -> None:
    """Hold what ships against images that were not fitted on."""
    sets = {name: table(folder, name) for name in READ if (folder / f"{name}.json").exists()}
    found = {name: figures(rows) for name, rows in sets.items()}
    coco = [row for name in sets if name.startswith("coco") for row in sets[name]]
    found["coco, all detectors"] = figures(coco)
    lines = [
        "# Probability that a detection is right", "",
        "`python benchmarks/probability.py read`: images that were not fitted on; AUROC, gain over",
        f"the confidence with its 95 % interval ({DRAWS} bootstrap draws of images, seed {SEED}).",
        "", "| set | n | wrong | confidence | recipe | AUROC | gain | within quartiles |",
        "|---|---|---|---|---|---|---|---|",
        *(line for name, values in found.items() for line in _lines(name, values)),
    ]  # fmt: skip
    RESULTS.joinpath("probability.md").write_text("\n".join(lines) + "\n")
    RESULTS.joinpath("probability.json").write_text(json.dumps(found, indent=1) + "\n")
    print("\n".join(lines))


def _lines(name: str, values: dict[str, Any]) -> Iterator[str]:
    plain = values["confidence within quartiles"]
    for recipe, told in values.items():
        if not isinstance(told, dict):
            continue
        low, high = told["interval"]
        auroc = f"{told['auroc']:.3f}" if "auroc" in told else ""
        inner = "within quartiles"
        quartiles = f"{told[inner]:.3f} (confidence {plain:.3f})" if inner in told else ""
        start = f"| {name} | {values['n']} | {values['wrong']} | {values['confidence']:.3f}"
        gain = f"{told['gain']:+.3f} [{low:+.3f}, {high:+.3f}]"
        yield f"{start} | {recipe} | {auroc} | {gain} | {quartiles} |"


if __name__ == "__main__":
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    match sys.argv[1]:
        case "collect":
            collect(sys.argv[2:])
        case "fit":
            fit(Path(sys.argv[2]))
        case "read":
            read(Path(sys.argv[2]))
