"""What a verdict costs: wall time per detection over that of one bare forward pass, by budget.

    python benchmarks/verdict_cost.py --data DATA --weights WEIGHTS [--images 6]

Scans (SIXray, 416 px) and photographs (COCO, 640 px), with one detection and with about ten; each
image from placed pixels to verdict, everything included, with twelve references; one thread. A bare
pass is the network alone on the same input, the median of five beside each measurement. Photographs
with ten boxes are those with eight to twelve; scans never hold so many, so for them the weakest
predictions count as well (confidence 0.01). Writes ``results/verdict_cost.md`` and ``.json``.
"""

import json
import statistics
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import verdict_sets

from xai_detect.detectors.place import place
from xai_detect.detectors.yolo.detector import UltralyticsDetector
from xai_detect.inspection.image import inspect
from xai_detect.trust.budget import BUDGETS

RESULTS = Path(__file__).parent / "results"
SETS = {"scans": "sixray", "photographs": "coco-yolo11n"}
BOXES = {"1": (1, 1), "10": (8, 12)}


def bare_pass(detector: UltralyticsDetector, pixels: torch.Tensor) -> float:
    """Seconds of the network alone."""
    times = []
    with torch.no_grad():
        for _ in range(5):
            start = time.perf_counter()
            detector.module.eval()(pixels)
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Measure and write the table."""
    parser = verdict_sets.options(sets=False)
    parser.add_argument("--images", type=int, default=6)
    parser.set_defaults(half="all", most=10**6)
    given = parser.parse_args()
    rows = []
    for kind, name in SETS.items():
        detector, shown = verdict_sets.load(given, name)
        others = verdict_sets.references(detector, shown)
        for boxes, (least, most) in BOXES.items():
            confidence = 0.01 if (kind, boxes) == ("scans", "10") else 0.25
            placed = [place(detector, image.image) for image in shown[: 40 * given.images]]
            found = [
                image
                for image in placed
                if least <= len(detector.detect(image.pixels, image.frame, confidence)[0]) <= most
            ][: given.images]
            for budget in BUDGETS:
                costs = []
                for image in found:
                    bare = bare_pass(detector, image.pixels)
                    start = time.perf_counter()
                    result = inspect(
                        detector, image, budget=budget, references=others, confidence=confidence
                    )
                    costs.append((time.perf_counter() - start) / bare / len(result.verdicts))
                mean, tail = float(np.mean(costs)), float(np.quantile(costs, 0.9))
                row = {"images": kind, "boxes": boxes, "budget": budget, "n": len(costs)}
                row |= {"mean": mean, "90 %": tail}
                rows.append(row)
                print(row, flush=True)
    lines = [
        "# What a verdict costs", "",
        "Wall time per detection over one bare forward pass of the same network at the same size;",
        f"`python benchmarks/verdict_cost.py`, torch {torch.__version__}, one thread.", "",
        "| budget | images | boxes | n images | mean | 90 % |", "|---|---|---|---|---|---|",
        *("| {budget} | {images} | {boxes} | {n} | {mean:.1f} | {90 %:.1f} |".format(**row)
          for row in rows),
    ]  # fmt: skip
    RESULTS.joinpath("verdict_cost.md").write_text("\n".join(lines) + "\n")
    RESULTS.joinpath("verdict_cost.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    main()
