"""What decides a detection: rows of both tests over sets of images with known answers.

    python benchmarks/reasons.py coco-yolo11n sixray marker --data DATA --weights WEIGHTS

Of each image at most ``--each`` right and one wrong detection are asked about, drawn with a seed.
Writes a JSON file of rows per set into ``--out``.
"""

import json
import random
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import torch
import verdict_sets

from xai_detect.detectors.match import named
from xai_detect.detectors.place import place
from xai_detect.detectors.protocol import Detector
from xai_detect.trust.reasons import reasons
from xai_detect.trust.scene import Scene, ring
from xai_detect.values.detections import Detections


def chosen(found: Detections, truth: list[bool | None], each: int, key: str) -> list[int]:
    """Detections that are asked about: some right ones and one wrong one."""
    draw, rows = random.Random(key), []
    for wanted, most in ((True, each), (False, 1)):
        fitting = [row for row, right in enumerate(truth) if right is wanted]
        rows += draw.sample(fitting, min(most, len(fitting)))
    return rows


def measure(detector: Detector, shown: list[verdict_sets.Shown], each: int) -> list[dict[str, Any]]:
    """One row per detection."""
    others, rows = verdict_sets.references(detector, shown), []
    for image in shown:
        placed = place(detector, image.image)
        whole = named(detector, placed.pixels)
        found = detector.detect(placed.pixels, placed.frame)[0]
        truth = verdict_sets.right(found, image.truth)
        for row in chosen(found, truth, each, image.key):
            target, began = found.target(row), time.perf_counter()
            own = [reference for reference in others if reference.name != image.key]
            scene = Scene(detector, placed)
            near = ring(scene.box(target), scene.size)
            said = reasons(scene, target, whole, near, references=own)
            region = said.naming.region
            rows.append(
                {
                    "image": image.key, "right": truth[row], "cause": image.cause,
                    "name": target.name, "score": target.score, "box": target.box,
                    "answer": said.answer, "passes": scene.spent,
                    "seconds": time.perf_counter() - began,
                    "presence": asdict(said.presence),
                    "naming": {**{key: getattr(said.naming, key) for key in NAMING},
                               "area": None if region is None else float(region.float().mean())},
                }
            )  # fmt: skip
    return rows


NAMING = (
    "answer", "stage", "margin", "box", "hidden", "placebo", "seen", "swap", "swapped", "renamed",
)  # fmt: skip


def main() -> None:
    parser = verdict_sets.options()
    parser.add_argument("--each", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    for name in given.sets:
        began = time.monotonic()
        detector, shown = verdict_sets.load(given, name)
        rows = measure(detector, shown, given.each)
        (given.out / f"{name}-{given.half}.json").write_text(json.dumps(rows))
        for wanted in (True, False):
            mine = [row for row in rows if row["right"] is wanted]
            counts = {key: sum(row["answer"] == key for row in mine) for key in
                      ("object", "unclear", "surroundings", "unmeasured")}  # fmt: skip
            passes = sum(row["passes"] for row in mine) / max(len(mine), 1)
            print(name, "right" if wanted else "wrong", len(mine), counts, f"passes {passes:.1f}")
        print(name, f"{time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
