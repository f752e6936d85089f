"""Does the evaluator's AP equal pycocotools run by hand on ultralytics' own detections?

    python -m benchmarks.detection_parity WEIGHTS... --data COCO_FOLDER

The reference shares no code with the package: ultralytics reads and predicts from the files
(confidence 0.001, NMS IoU 0.7, at most 300 per image, 640 pixels), and pycocotools reads the
annotation file itself. Writes ``benchmarks/results/detection_parity.md`` and ``.json``.
"""

import argparse
import contextlib
import io
import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

import xai_detect
from xai_detect.data.read import read_dataset
from xai_detect.data.records import Dataset
from xai_detect.detectors.load import load_detector
from xai_detect.evaluation.evaluate import evaluate
from xai_detect.measures.detection import FIGURES

RESULTS = Path(__file__).parent / "results"
TOLERANCE = 0.005
PACKAGES = ("torch", "torchvision", "ultralytics", "pycocotools", "numpy", "opencv-python")


class Pair(NamedTuple):
    """One figure from both ways; NaN where there is nothing of that size."""

    ours: float
    theirs: float


def compare(weights: Path, folder: Path, limit: int | None = None) -> dict[str, Pair]:
    """COCO's figures of one network on ``val2017``, by the package and by hand.

    Args:
        weights: An ultralytics checkpoint trained on COCO.
        folder: Holds ``annotations/instances_val2017.json`` and ``images/val2017``.
        limit: Only the first images; None takes all.
    """
    annotations = folder / "annotations" / "instances_val2017.json"
    dataset = read_dataset(annotations)
    dataset = Dataset(
        dataset.name,
        dataset.format,
        dataset.class_names,
        dataset.class_ids,
        dataset.scans[:limit],
        dataset.problems,
    )
    found = evaluate(load_detector(weights), dataset, explain=False)
    ours = found.precision_figures.figures
    images = {int(scan.image_id): scan.path for scan in dataset.scans}
    theirs = by_hand(weights, annotations, images)
    return {name: Pair(ours[name], theirs[name]) for name in FIGURES}


def by_hand(weights: Path, annotations: Path, images: Mapping[int, Path]) -> dict[str, float]:
    """The reference: ultralytics' own predict, pycocotools' own files."""
    from ultralytics import YOLO

    network = YOLO(str(weights))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        ids = {category["name"]: category["id"] for category in truth.dataset["categories"]}
        rows = []
        for image_id, path in images.items():
            (result,) = network.predict(
                str(path), conf=0.001, iou=0.7, max_det=300, imgsz=640, verbose=False
            )
            for (x1, y1, x2, y2), score, label in zip(
                result.boxes.xyxy.tolist(),
                result.boxes.conf.tolist(),
                result.boxes.cls.tolist(),
                strict=True,
            ):
                rows.append(
                    {
                        "image_id": image_id,
                        "category_id": ids[network.names[int(label)]],
                        "bbox": [x1, y1, x2 - x1, y2 - y1],
                        "score": score,
                    }
                )
        evaluator = COCOeval(truth, truth.loadRes(rows), "bbox")
        evaluator.params.imgIds = sorted(images)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return {
        name: float("nan") if value < 0 else float(value)
        for name, value in zip(FIGURES, evaluator.stats, strict=True)
    }


def write(results: Mapping[str, Mapping[str, Pair]], images: int) -> None:
    """Both files of the result."""
    versions = {"xai-detect": xai_detect.__version__, "python": platform.python_version()}
    versions |= {name: version(name) for name in PACKAGES}
    worst = max(abs(pair.ours - pair.theirs) for rows in results.values() for pair in rows.values())
    lines = [
        "# AP of the evaluator against pycocotools by hand",
        "",
        f"COCO val2017, the first {images} images of the annotation file at hand; confidence above "
        "0.001, NMS IoU 0.7, at most 300 detections per image, 640 pixels, CPU. Each cell: "
        "`xai_detect.evaluate` / pycocotools on `ultralytics predict`. Nothing is random, so there "
        f"is no seed. The largest difference is {worst:.5f}; the limit is {TOLERANCE}.",
        "",
        "| model | " + " | ".join(FIGURES) + " |",
        "|---|" + "---|" * len(FIGURES),
    ]
    for name, rows in results.items():
        cells = (f"{pair.ours:.4f} / {pair.theirs:.4f}" for pair in rows.values())
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "Figures on so few images say nothing about the models' rank: they show agreement only.",
        "",
        "Versions: " + ", ".join(f"{name} {number}" for name, number in versions.items()) + ".",
        f"Machine: {platform.system()} {platform.machine()}, CPU.",
        "",
    ]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "detection_parity.md").write_text("\n".join(lines), encoding="utf-8")
    content = {
        "images": images,
        "tolerance": TOLERANCE,
        "largest_difference": worst,
        "versions": versions,
        "models": {
            name: {figure: pair._asdict() for figure, pair in rows.items()}
            for name, rows in results.items()
        },
    }
    (RESULTS / "detection_parity.json").write_text(
        json.dumps(content, indent=1) + "\n", encoding="utf-8"
    )


def main() -> None:
    """Compare every given network and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int)
    options = parser.parse_args()
    results = {}
    for weights in options.weights:
        results[weights.stem] = compare(weights, options.data, options.limit)
        print(weights.stem, results[weights.stem]["AP"], flush=True)
    every = len(read_dataset(options.data / "annotations" / "instances_val2017.json"))
    write(results, min(options.limit or every, every))


if __name__ == "__main__":
    main()
