"""The verdict on images with known answers: is the reason right, does the map agree, what is TRUSTED?

    python benchmarks/verdict.py measure coco-yolo11n sixray marker --data DATA --weights WEIGHTS --out ROWS
    python benchmarks/verdict.py read ROWS

``measure`` judges, of each image, at most ``--each`` right detections and one wrong one, drawn with a
seed, and writes a row each. ``read`` puts the rows of the fresh half together into
``results/verdict.md`` and ``.json``. Rates come with Wilson intervals; shares of TRUSTED with a
bootstrap over images, seed 0.
"""

import argparse
import json
import random
import sys
import time
from pathlib import Path

import cv2
import torch
import verdict_sets

from xai_detect.detectors.place import place
from xai_detect.detectors.protocol import Detector
from xai_detect.trust.budget import budget_named
from xai_detect.trust.verdict import judge
from xai_detect.trust.weigh import weigh

Row = dict[str, object]


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


if __name__ == "__main__":
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if sys.argv[1] == "measure":
        measure(sys.argv[2:])
