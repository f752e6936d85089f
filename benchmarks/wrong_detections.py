"""Real wrong detections, and what the verdict said of them.

    python -m benchmarks.wrong_detections RUN --data COCO_FOLDER

Reads a run folder of ``xai-detect inspect`` over COCO val2017 images and the ground truth. A
detection is wrong when no free object of its class overlaps it by IoU >= 0.5 (greedy, best first;
crowds are neither right nor wrong). Writes ``benchmarks/results/wrong_detections.md`` and
``.json``: counts of verdicts for right and wrong ones, AUROC of probability and of confidence with
bootstrap intervals over images (seed 0), and the clearest six wrong ones.
"""

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

import torch

from xai_detect.data.read import read_dataset
from xai_detect.data.records import Dataset
from xai_detect.measures.matching import match
from xai_detect.measures.verdicts import Judged, verdict_figures
from xai_detect.output.folder.load import Run, load_run
from xai_detect.values import boxes
from xai_detect.values.detections import Detections
from xai_detect.values.findings import Level
from xai_detect.values.truth import Scan

RESULTS = Path(__file__).parent / "results"
LEAST_CONFIDENCE = 0.4
SHOWN = 6


class Wrong(NamedTuple):
    """A wrong detection and what was said of it."""

    image: str
    name: str
    score: float
    level: str
    sentence: str
    truth: str


def relabelled(detections: Detections, dataset: Dataset) -> Detections:
    """The detections with the data set's labels."""
    known = {name: label for label, name in enumerate(dataset.class_names)}
    labels = [known[detections.class_names[label]] for label in detections.labels.tolist()]
    return Detections(
        detections.boxes, detections.scores, torch.tensor(labels, dtype=torch.int64),
        detections.candidates, detections.proposals, detections.image_size, dataset.class_names,
    )  # fmt: skip


def nearest_truth(scan: Scan, box: Any, dataset: Dataset) -> str:
    """What really is at a box: the best overlapping object, in words."""
    items = [item for item in scan.items if item.label is not None]
    if not items:
        return "nothing annotated in the image"
    overlaps = boxes.iou(torch.tensor([box]), torch.tensor([item.box for item in items]))[0]
    best = int(overlaps.argmax())
    if float(overlaps[best]) < 0.1:
        return "nothing annotated there"
    label = items[best].label
    name = dataset.class_names[label] if label is not None else ""
    return f"{name} (IoU {float(overlaps[best]):.2f})"


def read(run: Run, dataset: Dataset) -> tuple[list[list[Judged]], list[Wrong]]:
    """Every detection's fate and verdict, and the wrong ones in detail."""
    scans = {Path(scan.name).name: scan for scan in dataset.scans}
    judged, wrong = [], []
    for record in run.records:
        scan = scans.get(Path(record.source).name)
        if scan is None:
            continue
        fates = match(relabelled(record.detections, dataset), scan.truth())
        image = []
        for row, target in enumerate(record.detections):
            ignored, right = bool(fates.ignored[row]), bool(fates.right[row])
            verdict, evidence = record.verdicts[row], record.evidence[row]
            image.append(
                Judged(
                    level=verdict.level,
                    reason=verdict.reason,
                    name=target.name,
                    probability=evidence["probability"],
                    confidence=target.score,
                    outside=evidence.outside,
                    right=None if ignored else right,
                )
            )
            if not ignored and not right and target.score >= LEAST_CONFIDENCE:
                truth = nearest_truth(scan, target.box, dataset)
                sentence = verdict.sentence
                wrong.append(
                    Wrong(scan.name, target.name, target.score, str(verdict.level), sentence, truth)
                )
        judged.append(image)
    return judged, wrong


def clearest(wrong: list[Wrong]) -> list[Wrong]:
    """The most confident wrong ones whose place holds nothing, or another class altogether."""
    clear = [one for one in wrong if not one.truth.startswith(one.name)]
    return sorted(clear, key=lambda one: -one.score)[:SHOWN]


def report(run: Run, judged: list[list[Judged]], wrong: list[Wrong]) -> str:
    """Counts, AUROC and the clearest wrong detections."""
    figures = verdict_figures(judged, seed=0)
    lines = [
        "# Wrong detections and their verdicts",
        "",
        f"{run.header.provenance.name} on {len(judged)} images of COCO val2017, "
        f"budget {run.header.budget}, confidence > {run.header.confidence:g}, default policy.",
        "",
        "| verdict | right | wrong | share right [95 %] |",
        "|---|---|---|---|",
    ]
    for level in Level:
        counts = figures.levels[level]
        low, high = counts.interval
        lines.append(
            f"| {level} | {counts.right} | {counts.wrong} | "
            f"{counts.share_right:.2f} [{low:.2f}, {high:.2f}] |"
        )
    for name, ranking in (("probability", figures.probability), ("confidence", figures.confidence)):
        low, high = ranking.interval
        lines += ["", f"AUROC of the {name}, right against wrong: {ranking.auroc:.3f} "
                      f"[{low:.3f}, {high:.3f}], n = {ranking.n}."]  # fmt: skip
    caught = sum(one.level != Level.TRUSTED for one in wrong)
    lines += [
        "",
        f"Wrong with confidence >= {LEAST_CONFIDENCE:g}: {len(wrong)}, of which {caught} were not "
        "TRUSTED. The rest are called TRUSTED although they are wrong: the detector did look at "
        "the box, and took what is there for something else.",
        "",
        "## The clearest six",
        "",
        "| image | detected as | really | verdict | why |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.image} | {one.name} {one.score:.2f} | {one.truth} | {one.level} | {one.sentence} |"
        for one in clearest(wrong)
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Read and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    given = parser.parse_args()
    dataset = read_dataset(given.data / "annotations" / "instances_val2017.json")
    run = load_run(given.run)
    judged, wrong = read(run, dataset)
    RESULTS.mkdir(exist_ok=True)
    text = report(run, judged, wrong)
    (RESULTS / "wrong_detections.md").write_text(text, encoding="utf-8")
    rows = json.dumps([one._asdict() for one in wrong], indent=1, ensure_ascii=False) + "\n"
    (RESULTS / "wrong_detections.json").write_text(rows, encoding="utf-8")


if __name__ == "__main__":
    main()
