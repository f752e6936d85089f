"""Measure the screening model: ``python benchmarks/screening.py``.

Writes ``results/screening.json`` and ``.md``. Simulated bags of an unseen seed are scanned at
640 px, stored as JPEG of quality 92 and scaled to the network's input; real scans are letterboxed
with white.
"""

import argparse
import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import batched_nms

from xai_detect.xray.scenes.scan import compose, scan
from xai_detect.xray.things.items import DANGEROUS

CLASSES = tuple(DANGEROUS)
RESULTS = Path(__file__).parent / "results"
SEED = 1_000_000
KNIVES = ("folding_knife", "straight_knife", "box_cutter")
#: Real class name to ours; a real set is scored on the classes that it and the model share.
REAL: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Gun": ("pistol", "revolver"),
        "Knife": KNIVES,
        "Wrench": ("wrench",),
        "Scissor": ("scissors",),
        "Folding_Knife": KNIVES,
        "Straight_Knife": KNIVES,
        "Utility_Knife": KNIVES,
        "Multi-tool_Knife": KNIVES,
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A scan at any size with its true boxes (pixels) and labels."""

    image: NDArray[np.uint8]
    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]


def held_out(count: int, seed: int, size: int = 640) -> list[Case]:
    """Fresh bags, one seed each from ``seed`` on."""
    cases = []
    for index in range(count):
        made = scan(compose(np.random.default_rng(seed + index)), size)
        jpeg = cv2.imencode(".jpg", made.image, [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
        pairs = [
            (shadow.box, CLASSES.index(thing.label))
            for thing, shadow in zip(made.scene.things, made.shadows, strict=True)
            if thing.label in DANGEROUS and shadow.mask.any()
        ]
        boxes = np.asarray([box for box, _ in pairs], np.float64).reshape(-1, 4)
        labels = np.asarray([label for _, label in pairs], np.int64)
        cases.append(Case(np.asarray(cv2.imdecode(jpeg, 1), np.uint8), boxes, labels))
    return cases


@torch.no_grad()
def found(
    model: torch.nn.Module, cases: Sequence[Case], size: int, least: float = 0.01
) -> list[NDArray[np.float64]]:
    """Rows of x1, y1, x2, y2 (image pixels), score, label for each case, best first."""
    results = []
    for case in cases:
        height, width = case.image.shape[:2]
        scale = size / max(height, width)
        new = (round(width * scale), round(height * scale))
        left, top = (size - new[0]) // 2, (size - new[1]) // 2
        canvas = np.full((size, size, 3), 255, np.uint8)
        canvas[top : top + new[1], left : left + new[0]] = cv2.resize(
            case.image, new, interpolation=cv2.INTER_AREA
        )
        output = model(torch.from_numpy(canvas).permute(2, 0, 1)[None] / 255)
        decoded = (output[0] if isinstance(output, tuple) else output)[0].T
        scores, labels = decoded[:, 4:].max(dim=1)
        keep = scores >= least
        x, y, w, h = decoded[keep, :4].T
        boxes = (
            torch.stack([x - w / 2 - left, y - h / 2 - top, x + w / 2 - left, y + h / 2 - top], 1)
            / scale
        )
        chosen = batched_nms(boxes, scores[keep], labels[keep], 0.6)[:100]
        results.append(
            torch.cat([boxes[chosen], scores[keep][chosen, None], labels[keep][chosen, None]], 1)
            .double()
            .numpy()
        )
    return results


def overlaps(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU of every pair of boxes."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:4], b[None, :, 2:4])
    inside = np.prod(np.clip(high - low, 0, None), axis=2)
    area_a, area_b = (np.prod(x[:, 2:4] - x[:, :2], axis=1) for x in (a, b))
    return np.asarray(inside / np.maximum(area_a[:, None] + area_b[None] - inside, 1e-9))


def matched(rows: NDArray[np.float64], case: Case) -> NDArray[np.bool_]:
    """Which rows hit a true box of their class at IoU 0.5, each true box once, best first."""
    hit, used = np.zeros(len(rows), np.bool_), np.zeros(len(case.labels), np.bool_)
    if len(case.labels) == 0 or len(rows) == 0:
        return hit
    table = overlaps(rows, case.boxes)
    for index, row in enumerate(rows):
        free = np.where((case.labels == row[5]) & ~used, table[index], -1)
        best = int(free.argmax())
        if free[best] >= 0.5:
            hit[index] = used[best] = True
    return hit


def average_precision(scores: NDArray[np.float64], hits: NDArray[np.bool_], truths: int) -> float:
    """COCO's 101-point average precision; NaN without a true box."""
    if truths == 0:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    gained = np.cumsum(hits[order])
    precision = gained / np.arange(1, len(order) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(gained / truths, np.linspace(0, 1, 101), side="left")
    return float(np.append(envelope, 0.0)[np.minimum(at, len(envelope))].mean())


def summary(
    results: Sequence[NDArray[np.float64]], hits: Sequence[NDArray[np.bool_]], cases: Sequence[Case]
) -> dict[str, float]:
    """mAP50, recall at 0.25, and clean bags with an alarm at 0.25."""
    rows, flags = np.concatenate(list(results)), np.concatenate(list(hits))
    labels = np.concatenate([case.labels for case in cases])
    values = [
        average_precision(
            rows[rows[:, 5] == k, 4], flags[rows[:, 5] == k], int((labels == k).sum())
        )
        for k in range(len(CLASSES))
    ]
    sure = rows[:, 4] >= 0.25
    clean = [
        (r[:, 4] >= 0.25).any() for r, c in zip(results, cases, strict=True) if len(c.labels) == 0
    ]
    return {
        "map50": float(np.nanmean(values)),
        "recall": float((flags & sure).sum() / max(len(labels), 1)),
        "precision": float((flags & sure).sum() / max(sure.sum(), 1)),
        "clean_alarm": float(np.mean(clean)) if clean else float("nan"),
    }


def figures(model: torch.nn.Module, cases: Sequence[Case], size: int) -> dict[str, float]:
    """The summary of a model on cases, rounded for a log line."""
    results = found(model, cases, size)
    hits = [matched(rows, case) for rows, case in zip(results, cases, strict=True)]
    return {key: round(value, 4) for key, value in summary(results, hits, cases).items()}


def real_cases(root: Path) -> tuple[list[Case], tuple[str, ...]]:
    """Validation scans of a real set in YOLO layout, in groups of ``REAL``; and the group names."""
    import yaml

    names = yaml.safe_load((root / "data.yaml").read_text())["names"]
    names = names if isinstance(names, list) else [names[key] for key in sorted(names)]
    groups = tuple(dict.fromkeys(REAL[name][0] for name in names))
    cases = []
    for path in sorted((root / "val" / "images").iterdir()):
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        height, width = image.shape[:2]
        text = (root / "val" / "labels" / f"{path.stem}.txt").read_text()
        rows = np.asarray([line.split() for line in text.splitlines()], np.float64).reshape(-1, 5)
        x, y, w, h = rows[:, 1:].T * np.array([[width], [height], [width], [height]])
        boxes = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1)
        labels = [groups.index(REAL[names[int(label)]][0]) for label in rows[:, 0]]
        rgb = np.asarray(image[..., ::-1], np.uint8)
        cases.append(Case(rgb, boxes, np.asarray(labels, np.int64)))
    return cases, groups


def regrouped(rows: NDArray[np.float64], groups: Sequence[str]) -> NDArray[np.float64]:
    """Detections with their labels turned into groups; classes without a group are dropped."""
    members = {name: k for k, first in enumerate(groups) for v in REAL.values()
               if v[0] == first for name in v}  # fmt: skip
    kept = [
        [*row[:5], members[CLASSES[int(row[5])]]] for row in rows if CLASSES[int(row[5])] in members
    ]
    return np.asarray(kept, np.float64).reshape(-1, 6)


def intervals(
    results: Sequence[NDArray[np.float64]], cases: Sequence[Case], samples: int = 300
) -> dict[str, list[float]]:
    """Each figure with its 95 % bootstrap interval over scans (seed 0)."""
    hits = [matched(rows, case) for rows, case in zip(results, cases, strict=True)]
    whole = summary(results, hits, cases)
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(samples):
        chosen = rng.integers(0, len(cases), len(cases))
        drawn.append(
            summary(
                [results[i] for i in chosen], [hits[i] for i in chosen], [cases[i] for i in chosen]
            )
        )
    return {
        name: [
            round(value, 4),
            *(round(float(q), 4) for q in np.nanquantile([d[name] for d in drawn], [0.025, 0.975])),
        ]
        for name, value in whole.items()
    }


def per_class(
    results: Sequence[NDArray[np.float64]], cases: Sequence[Case], names: Sequence[str]
) -> dict[str, dict[str, float]]:
    """AP50, recall at 0.25 and number of true items of each class."""
    hits = np.concatenate(
        [matched(rows, case) for rows, case in zip(results, cases, strict=True)]
    ).astype(bool)
    rows = np.concatenate(list(results))
    labels = np.concatenate([case.labels for case in cases])
    table = {}
    for k, name in enumerate(names):
        own, count = rows[:, 5] == k, int((labels == k).sum())
        sure = own & (rows[:, 4] >= 0.25)
        table[name] = {
            "items": count,
            "ap50": round(average_precision(rows[own, 4], hits[own], count), 4),
            "recall": round(float(hits[sure].sum() / max(count, 1)), 4),
        }
    return table


def main() -> None:
    """Measure the packed model on fresh simulated scans, and on real ones where given."""
    import shipping

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=500)
    parser.add_argument("--real", type=Path, action="append", default=[], help="YOLO folder")
    options = parser.parse_args()
    model = shipping.rebuilt("screening")
    sets: dict[str, Any] = {}

    def measure(
        name: str, cases: list[Case], names: Sequence[str], change: Callable[..., Any]
    ) -> None:
        results = [change(rows) for rows in found(model, cases, 320)]
        sets[name] = {
            "scans": len(cases),
            "figures": intervals(results, cases),
            "classes": per_class(results, cases, names),
        }

    measure("simulated", held_out(options.scans, SEED), CLASSES, lambda rows: rows)
    for root in options.real:
        cases, groups = real_cases(root)
        measure(root.name, cases, groups, lambda rows, g=groups: regrouped(rows, g))
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    RESULTS.mkdir(exist_ok=True)
    content = {"seed": SEED, "machine": machine, "sets": sets}
    (RESULTS / "screening.json").write_text(json.dumps(content, indent=1))
    (RESULTS / "screening.md").write_text(written(content))


def written(content: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    lines = ["# The screening model", "",
             f"Simulated scans from seed {content['seed']}; {content['machine']}. In brackets: "
             "95 % bootstrap interval over scans. Recall and precision at confidence .25, IoU .5.",
             "",
             "| set | n | mAP50 | recall | precision | clean bags with an alarm |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for name, one in content["sets"].items():
        cells = [
            "{:.3f} [{:.3f}, {:.3f}]".format(*one["figures"][key])
            for key in ("map50", "recall", "precision", "clean_alarm")
        ]
        lines.append(f"| {name} | {one['scans']} | {' | '.join(cells)} |")
    for name, one in content["sets"].items():
        lines += ["", f"## {name}", "", "| class | items | AP50 | recall |", "|---|---|---|---|"]
        lines += [
            f"| {label} | {row['items']} | {row['ap50']:.3f} | {row['recall']:.3f} |"
            for label, row in one["classes"].items()
        ]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
