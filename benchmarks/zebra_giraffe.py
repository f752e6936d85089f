"""The zebra called giraffe: evidence for the right class and for the wrong one, in the same box.

    python -m benchmarks.zebra_giraffe WEIGHTS --data COCO_FOLDER --figures FOLDER

Takes detections of zebras and giraffes that are right (IoU >= 0.5 with the truth, confidence
>= 0.5), at most one per image, asks each about the other class as well, and counts verdicts and
answers. Writes ``benchmarks/results/zebra_giraffe.md`` and ``.json``; figures go to the folder
given, because the photographs have licences of their own. ``docs/images/zebra_giraffe.png``
shows the first zebra's two maps and its box without the photograph.
"""

import argparse
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import matplotlib.pyplot as plt
import torch

import xai_detect
from xai_detect.data.read import read_dataset
from xai_detect.data.records import Dataset
from xai_detect.detectors.load import load_detector
from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.inspection.image import inspect
from xai_detect.measures.matching import match
from xai_detect.measures.statistics import wilson
from xai_detect.output.drawing import contours
from xai_detect.output.drawing.views import view
from xai_detect.values.findings import Answer, Inspection, Level
from xai_detect.values.images import load_image
from xai_detect.values.truth import Scan

RESULTS = Path(__file__).parent / "results"
SHAPES = Path(__file__).parents[1] / "docs" / "images" / "zebra_giraffe.png"
PAIR = ("zebra", "giraffe")


def chosen_row(detector: WhiteBoxDetector, dataset: Dataset, scan: Scan, name: str) -> int | None:
    """The best right detection of a class in one image; None if there is none."""
    detections = xai_detect.detect(detector, load_image(scan.path), 0.5)
    labels = torch.tensor(
        [dataset.class_names.index(detector.class_names[label]) for label in detections.labels],
        dtype=torch.int64,
    )
    fates = match(
        type(detections)(
            detections.boxes, detections.scores, labels, detections.candidates,
            detections.proposals, detections.image_size, dataset.class_names,
        ),
        scan.truth(),
    )  # fmt: skip
    rows = [
        row
        for row, target in enumerate(detections)
        if target.name == name and bool(fates.right[row])
    ]
    return rows[0] if rows else None


def ask(detector: WhiteBoxDetector, scan: Scan, row: int, name: str) -> dict[str, Any]:
    """What decides one box, and whether the other class is seen in it."""
    other = PAIR[1 - PAIR.index(name)]
    inspection = inspect(detector, scan.path, confidence=0.5, as_class=other)
    verdict, asked = inspection.verdicts[row], inspection.asked[row]
    return {
        "image": scan.name,
        "class": name,
        "row": row,
        "score": inspection.evidence[row]["score"],
        "level": str(verdict.level),
        "reason": str(verdict.reason),
        "sentence": verdict.sentence,
        "asked": None if asked is None else asdict(asked),
        "inspection": inspection,
    }


def without_photograph(inspection: Inspection, row: int, path: Path) -> None:
    """Draw both maps of one box, and nothing of the image itself.

    Both are smoothed and in the unit of the report.
    """
    target, asked = inspection.detections.target(row), inspection.asked[row]
    maps = (inspection.explanations[row], inspection.contrasts[row])
    words = (
        f"Why is a {target.name} detected?  score {target.score:.2f}",
        f"Why {target.name} and not {asked.name if asked else 'another'}?",
    )
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    for axis, made, title in zip(axes, maps, words, strict=True):
        if made is None:
            raise SystemExit("no map was made; use a detector that shows its gradients")
        shown = axis.imshow(contours.evidence(made.heatmap), cmap="Greys", vmin=0, vmax=1)
        x1, y1, x2, y2 = target.box
        axis.add_patch(plt.Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, lw=2, ec="#a83e00"))
        axis.set_title(title, loc="left")
        axis.set(xticks=[], yticks=[])
    bar = figure.colorbar(shown, ax=axes, shrink=0.8)
    bar.set_label("log-odds in one hundredth of the image")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def run(weights: Path, data: Path, figures: Path, most: int) -> list[dict[str, Any]]:
    """What is said of up to ``most`` boxes of each class."""
    detector = load_detector(weights)
    figures.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for split in ("val2017", "train2017"):
        dataset = read_dataset(data / "annotations" / f"instances_{split}.json")
        for scan in dataset.scans:
            names = {dataset.class_names[one.label] for one in scan.items if one.label is not None}
            for name in PAIR:
                if name not in names or sum(one["class"] == name for one in rows) >= most:
                    continue
                row = chosen_row(detector, dataset, scan, name)
                if row is None:
                    continue
                answers = ask(detector, scan, row, name)
                inspection = answers.pop("inspection")
                picture = view(inspection, row)
                if not any(one["class"] == name for one in rows) and name == PAIR[0]:
                    without_photograph(inspection, row, SHAPES)
                path = figures / f"{name}_{Path(scan.name).stem}.png"
                cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
                rows.append(answers)
    return rows


def report(rows: list[dict[str, Any]], weights: str) -> str:
    """The results in words and one table."""
    sizes = ", ".join(f"{sum(row['class'] == name for row in rows)} {name}s" for name in PAIR)
    lines = [
        "# The zebra called giraffe",
        "",
        f"{weights}, right detections with confidence >= 0.5, n = {len(rows)} ({sizes}); "
        "budget standard without references, default policy. Intervals: Wilson, 95 %. Nothing is "
        "drawn at random: the first such box of each image, in the data set's order.",
        "",
        "| the class it is | boxes |",
        "|---|---|",
        *(f"| {level} | {_share(rows, 'level', str(level))} |" for level in Level),
        *(f"| decided by: {answer} | {_share(rows, 'reason', str(answer))} |" for answer in Answer),
        "",
        "| the other class, same box | boxes |",
        "|---|---|",
    ]
    absent = sum(not row["asked"]["supported"] for row in rows)
    lines += [
        f"| {words} | {_interval(count, len(rows))} |"
        for words, count in (("absent", absent), ("supported", len(rows) - absent))
    ]
    for row in rows[:1]:
        lines += [
            "",
            f"One of them, {row['image']}:",
            "",
            f"* **{row['class']}**: {row['level']}. {row['sentence']}",
            f"* **{row['asked']['name']}**: {row['asked']['sentence']}",
        ]
    return "\n".join(lines) + "\n"


def _share(rows: list[dict[str, Any]], key: str, value: str) -> str:
    return _interval(Counter(row[key] for row in rows)[value], len(rows))


def _interval(count: int, total: int) -> str:
    low, high = wilson(count, total)
    return f"{count} [{low:.2f}, {high:.2f}]"


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--figures", type=Path, required=True)
    parser.add_argument("--most", type=int, default=12, help="boxes of each class")
    given = parser.parse_args()
    rows = run(given.weights, given.data, given.figures, given.most)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "zebra_giraffe.md").write_text(report(rows, given.weights.name), encoding="utf-8")
    content = json.dumps(rows, indent=1) + "\n"
    (RESULTS / "zebra_giraffe.json").write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
