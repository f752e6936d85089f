"""Measure the screening model: ``python benchmarks/screening.py``.

Writes ``results/screening.json`` and ``.md``. Simulated bags of an unseen seed are scanned at
640 px, stored as JPEG of quality 92 and scaled to the network's input; real scans are letterboxed
with white.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import batched_nms

from xai_detect.xray.items import DANGEROUS
from xai_detect.xray.scenes import compose, scan

CLASSES = tuple(DANGEROUS)


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
