"""The verdict on images with known answers: is its reason right, and what is TRUSTED?

    python benchmarks/verdict.py measure sixray marker --data DATA --weights WEIGHTS --out ROWS
    python benchmarks/verdict.py read ROWS

``measure`` judges, of each image, at most ``--each`` right detections and one wrong one, drawn with
a seed, and writes a row each. ``read`` puts the rows of the fresh half together into
``results/verdict.md`` and ``.json``, with intervals by image.
"""

import json
import math
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import verdict_sets
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from xai_detect.detectors.place import place
from xai_detect.detectors.protocol import Detector
from xai_detect.measures.statistics import wilson
from xai_detect.trust.budget import budget_named
from xai_detect.trust.verdict import judge
from xai_detect.trust.weigh import weigh

Row = dict[str, Any]
RESULTS = Path(__file__).parent / "results"
SEED, DRAWS = 0, 1000
FEATURES = (
    "presence_first", "presence_second", "name_box", "detected_box", "class_box", "detected_ratio",
    "class_ratio",
)  # fmt: skip


def chosen(truth: list[bool | None], each: int, key: str) -> list[int]:
    """Detections that are asked about: some right ones and one wrong one."""
    draw, rows = random.Random(key), []  # noqa: S311 - a draw, not a secret
    for wanted, most in ((True, each), (False, 1)):
        fitting = [row for row, right in enumerate(truth) if right is wanted]
        rows += draw.sample(fitting, min(most, len(fitting)))
    return rows


def judged(
    detector: Detector, shown: list[verdict_sets.Shown], each: int, budget: str
) -> list[Row]:
    """One row per detection that is asked about."""
    others, found = verdict_sets.references(detector, shown), []
    for image in shown:
        placed = place(detector, image.image)
        detections = detector.detect(placed.pixels, placed.frame)[0]
        truth = verdict_sets.right(detections, image.truth)
        rows = chosen(truth, each, image.key)
        began = time.perf_counter()
        weighed = weigh(
            detector, placed, detections, budget=budget_named(budget), rows=rows,
            references=[reference for reference in others if reference.name != image.key],
        )  # fmt: skip
        seconds = (time.perf_counter() - began) / max(len(rows), 1)
        for row, measured in zip(rows, weighed, strict=True):
            verdict = judge(measured.evidence)
            found.append(
                {
                    "image": image.key, "right": truth[row], "cause": image.cause,
                    "box": list(map(float, detections.boxes[row])),
                    "level": verdict.level, "why": verdict.cause, "seconds": seconds,
                    "numbers": dict(measured.evidence), "words": dict(measured.evidence.words),
                }
            )  # fmt: skip
    return found


def measure(arguments: list[str]) -> None:
    """Judge sets and write their rows."""
    parser = verdict_sets.options()
    parser.add_argument("--each", type=int, default=2)
    parser.add_argument("--budget", default="standard")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    for name in given.sets:
        began = time.monotonic()
        rows = judged(*verdict_sets.load(given, name), given.each, given.budget)
        (given.out / f"{name}-{given.half}.json").write_text(json.dumps(rows))
        print(name, len(rows), f"{time.monotonic() - began:.0f} s", flush=True)


COLUMNS = (
    "UNTRUSTED", "TRUSTED", "evidence outside", "disagrees", "renamed / swaps",
    "passes tests, maps",
)  # fmt: skip
GROUPS = {
    "class causes outside": ("marker", "context", "scanner"),
    "default class": ("default",),
    "presence causes outside, one cue": ("presence_one", "presence_two"),
    "presence causes outside, cue twice": ("presence_twice",),
    "real network that needs a mark": ("beside_mark",),
    "causes inside": ("object", "part", "presence_one_honest", "presence_two_honest"),
    "right, real": ("coco-yolo11n", "coco-yolov8n", "coco-yolo26n", "sixray", "opixray"),
}


def read(folder: Path) -> None:
    """Put the rows of the fresh half together."""
    known = {name: table(folder, name) for group in GROUPS.values() for name in group}
    sets = {name: rows for name, rows in known.items() if rows}
    found = {name: figures(rows) for name, rows in sets.items()}
    for group, names in GROUPS.items():
        together = [row for name in names for row in sets.get(name, [])]
        if together and len(names) > 1:
            found[group] = figures(together)
    real = [row for name in GROUPS["right, real"] for row in sets.get(name, [])]
    gain = added(real) if real else dict.fromkeys(("n", "gain", "low", "high"), math.nan)
    lines = [
        "# What decides a detection", "",
        "`python benchmarks/verdict.py`: right detections of images that chose no limit, budget",
        "`standard` with twelve references; 95 % intervals by image. *Disagrees*: by the tests",
        "object, by a map outside.", "",
        f"| set | n | {' | '.join(COLUMNS)} |",
        "|---|---|---|---|---|---|---|---|",
        *(_line(name, values) for name, values in found.items()), "",
        "Wrong detections of the same images:", "",
        "| set | n wrong | UNTRUSTED | TRUSTED | right among TRUSTED |", "|---|---|---|---|---|",
        *(_wrong_line(name, values) for name, values in found.items() if values["wrong"]), "",
        "Why right detections are not TRUSTED:", "",
        *(f"- {name}: {values['causes']}" for name, values in found.items()), "",
        "What tests and maps add to the probability for telling right from wrong (AUROC,",
        "five folds by image, {n} real detections): {gain:+.3f} [{low:+.3f}, {high:+.3f}]"
        .format(**gain),
    ]  # fmt: skip
    RESULTS.joinpath("verdict.md").write_text("\n".join(lines) + "\n")
    content = {"sets": found, "tests and maps add": gain}
    RESULTS.joinpath("verdict.json").write_text(json.dumps(content, indent=1) + "\n")
    print("\n".join(lines))


def table(folder: Path, name: str) -> list[Row]:
    """The rows of a set; of the default class those where nothing shows the other class's cue."""
    path = folder / f"{name}-fresh.json"
    rows = json.loads(path.read_text()) if path.exists() else []
    return [row for row in rows if name != "default" or not row["image"].endswith("cue")]


def figures(rows: list[Row]) -> dict[str, object]:
    """Counts and rates of one set or several together."""
    right = [row for row in rows if row["right"] is True]
    wrong = [row for row in rows if row["right"] is False]
    outside = [row for row in right if not math.isnan(row["numbers"]["evidence_outside"])]
    trusted = sum(row["level"] == "TRUSTED" for row in right)
    return {
        "n": len(right),
        "untrusted": rate(right, lambda row: row["level"] == "UNTRUSTED"),
        "trusted": rate(right, lambda row: row["level"] == "TRUSTED"),
        "outside": rate(outside, lambda row: row["numbers"]["evidence_outside"] == 1),
        "disagrees": rate(right, lambda row: row["why"] == "map_disagrees"),
        "test_passes": mean([row["numbers"]["test_passes"] for row in right]),
        "map_passes": mean([row["numbers"]["map_passes"] for row in right]),
        "swaps": int(sum(row["numbers"]["swapped"] for row in right)),
        "swaps_renamed": int(sum(row["numbers"]["renamed"] for row in right)),
        "wrong": len(wrong),
        "wrong_untrusted": rate(wrong, lambda row: row["level"] == "UNTRUSTED"),
        "wrong_trusted": rate(wrong, lambda row: row["level"] == "TRUSTED"),
        "right_among_trusted": rate(
            [row for row in rows if row["level"] == "TRUSTED" and row["right"] is not None],
            lambda row: row["right"] is True,
        ),
        "causes": dict(
            Counter(row["why"] for row in right if row["level"] != "TRUSTED").most_common()
        ),
        "n_trusted": trusted,
    }


def rate(rows: list[Row], is_so: Callable[[Row], bool]) -> list[float]:
    """Share, lower and upper bound, count; NaN without rows.

    The bounds hold 95 % of a bootstrap over images; where all rows agree, which no draw can change,
    they are Wilson's for as many images.
    """
    told = np.array([is_so(row) for row in rows], dtype=float)
    if not len(told):
        return [math.nan, math.nan, math.nan, 0]
    images, owner = np.unique([row["image"] for row in rows], return_inverse=True)
    if told.min() == told.max():
        low, high = wilson(int(told[0]) * len(images), len(images))
        return [told.mean(), low, high, int(told.sum())]
    sums = np.bincount(owner, told), np.bincount(owner)
    drawn = np.random.default_rng(SEED).integers(0, len(images), (DRAWS, len(images)))
    low, high = np.quantile(sums[0][drawn].sum(1) / sums[1][drawn].sum(1), [0.025, 0.975])
    return [told.mean(), float(low), float(high), int(told.sum())]


def added(rows: list[Row]) -> dict[str, float]:
    """What tests and maps add to the probability's AUROC, five folds by image."""
    rows = [row for row in rows if row["right"] is not None]
    right = np.array([row["right"] for row in rows])
    images, owner = np.unique([row["image"] for row in rows], return_inverse=True)
    columns = np.array([[row["numbers"][name] for name in FEATURES] for row in rows], float)
    columns = np.nan_to_num(np.clip(columns, -2, 2))
    chances = np.array([row["numbers"]["probability"] for row in rows], float)
    alone = np.log(chances / (1 - chances))[:, None]
    found = {}
    for name, table_ in (("alone", alone), ("with", np.hstack([alone, columns]))):
        model = make_pipeline(StandardScaler(), LogisticRegression())
        found[name] = cross_val_predict(
            model, table_, right, groups=owner, cv=GroupKFold(5), method="predict_proba"
        )[:, 1]
    members = [np.flatnonzero(owner == image) for image in range(len(images))]
    draw, gains = np.random.default_rng(SEED), []
    for _ in range(DRAWS):
        some = np.concatenate([members[k] for k in draw.integers(0, len(images), len(images))])
        gains.append(
            roc_auc_score(right[some], found["with"][some])
            - roc_auc_score(right[some], found["alone"][some])
        )
    low, high = np.quantile(gains, [0.025, 0.975])
    gain = roc_auc_score(right, found["with"]) - roc_auc_score(right, found["alone"])
    return {"n": len(rows), "gain": gain, "low": float(low), "high": float(high)}


def mean(values: list[float]) -> float:
    """Their mean; NaN without any."""
    return sum(values) / len(values) if values else float("nan")


def _share(found: list[float]) -> str:
    return f"{found[0]:.3f} [{found[1]:.3f}, {found[2]:.3f}] ({found[3]:.0f})"


def _line(name: str, values: dict) -> str:
    shares = " | ".join(
        _share(values[key]) for key in ("untrusted", "trusted", "outside", "disagrees")
    )
    passes = f"{values['test_passes']:.1f}, {values['map_passes']:.1f}"
    swaps = f"{values['swaps_renamed']} / {values['swaps']}"
    return f"| {name} | {values['n']} | {shares} | {swaps} | {passes} |"


def _wrong_line(name: str, values: dict) -> str:
    keys = ("wrong_untrusted", "wrong_trusted", "right_among_trusted")
    return f"| {name} | {values['wrong']} | {' | '.join(_share(values[key]) for key in keys)} |"


if __name__ == "__main__":
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if sys.argv[1] == "measure":
        measure(sys.argv[2:])
    else:
        read(Path(sys.argv[2]))
