"""Where do the figures differ from those of pycocotools on the same file, and by how much?

    python -m benchmarks.coco_differences

Sets of grey images with annotations drawn by a seed, and detections that are near nine tenths of
them. In each set a tenth of the annotations is of a kind that the package reads otherwise than
pycocotools does. Writes ``benchmarks/results/coco_differences.md`` and ``.json``.
"""

import contextlib
import io
import json
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from xai_detect.data.coco import read_coco
from xai_detect.data.records import Dataset
from xai_detect.measures.detection import average_precision
from xai_detect.values.detections import UNKNOWN, Detections

RESULTS = Path(__file__).parent / "results"
IMAGES, OBJECTS, SIDE, SEED = 40, 10, 200, 0

Row = dict[str, Any]
Change = Callable[[Row, random.Random], None]


def nothing(row: Row, chance: random.Random) -> None:
    """Leave it as it is."""
    del row, chance


def without_area(row: Row, chance: random.Random) -> None:
    """A box of no width."""
    del chance
    row["bbox"][2] = 0.0
    row["area"] = 0.0


def beyond(row: Row, chance: random.Random) -> None:
    """A box that reaches out of the image by up to half its width."""
    _, _, width, _ = row["bbox"]
    row["bbox"][0] = SIDE - width * chance.uniform(0.5, 1)


def ignored(row: Row, chance: random.Random) -> None:
    """An object with the flag ``ignore``, which the detector does not find."""
    del chance
    row["ignore"] = 1


def negative(row: Row, chance: random.Random) -> None:
    """An area that is no area."""
    del chance
    row["area"] = -1.0


KINDS: dict[str, tuple[Change, str]] = {
    "none": (nothing, "the same"),
    "boxes without area": (without_area, "left out and counted; pycocotools counts them as missed"),
    "boxes beyond the image": (beyond, "cut to the image; pycocotools compares them as they are"),
    "`ignore` is 1": (ignored, "need not be found; pycocotools reads over the flag"),
    "a negative area": (negative, "that of the box; pycocotools ignores such objects"),
}


def annotations(change: Change) -> Row:
    """A set in COCO's form, a tenth of its objects changed."""
    chance = random.Random(SEED)  # noqa: S311
    rows: list[Row] = []
    for image in range(1, IMAGES + 1):
        for place in range(OBJECTS):
            width, height = chance.uniform(20, 40), chance.uniform(20, 40)
            x, y = chance.uniform(0, SIDE - width), chance.uniform(0, SIDE - height)
            row = {
                "id": len(rows) + 1, "image_id": image, "category_id": 1 + place % 2,
                "bbox": [x, y, width, height], "area": width * height, "iscrowd": 0,
            }  # fmt: skip
            if place == 0:
                change(row, chance)
            rows.append(row)
    return {
        "images": [
            {"id": image, "file_name": f"{image}.png", "width": SIDE, "height": SIDE}
            for image in range(1, IMAGES + 1)
        ],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        "annotations": rows,
    }


def detections(source: Row) -> list[Row]:
    """Detections near the annotations, inside the image, as COCO results."""
    chance = random.Random(SEED + 1)  # noqa: S311
    found = []
    for row in source["annotations"]:
        x, y, width, height = row["bbox"]
        x, y = x + chance.gauss(0, 1.5), y + chance.gauss(0, 1.5)
        right, bottom = min(x + width, SIDE), min(y + height, SIDE)
        x, y = max(x, 0.0), max(y, 0.0)
        seen = chance.random() < 0.9 and right - x > 1 and not row.get("ignore")
        if seen:
            found.append({
                "image_id": row["image_id"], "category_id": row["category_id"],
                "bbox": [x, y, right - x, bottom - y], "score": chance.random(),
            })  # fmt: skip
    return found


def by_pycocotools(path: Path, found: list[Row]) -> float:
    """AP of the file as it is."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        scorer = COCOeval(truth, truth.loadRes(found), "bbox")
        scorer.evaluate()
        scorer.accumulate()
        scorer.summarize()
    return float(scorer.stats[0])


def by_package(dataset: Dataset, found: list[Row]) -> float:
    """AP of the file as the package reads it."""
    images = []
    for scan in dataset.scans:
        rows = [row for row in found if row["image_id"] == scan.image_id]
        rows.sort(key=lambda row: -row["score"])
        boxes = torch.tensor([row["bbox"] for row in rows]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        held = Detections(
            boxes=boxes,
            scores=torch.tensor([row["score"] for row in rows]),
            labels=torch.tensor([row["category_id"] - 1 for row in rows], dtype=torch.int64),
            candidates=torch.full((len(rows),), UNKNOWN),
            proposals=boxes,
            image_size=scan.size,
            class_names=dataset.class_names,
        )
        images.append((held, scan.truth()))
    return average_precision(images, len(dataset.class_names)).figures["AP"]


def measured(change: Change) -> tuple[float, float]:
    """AP of the package and of pycocotools on one set."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        for image in range(1, IMAGES + 1):
            Image.new("L", (SIDE, SIDE)).save(folder / "images" / f"{image}.png")
        path, source = folder / "instances_val.json", annotations(change)
        path.write_text(json.dumps(source))
        found = detections(source)
        return by_package(read_coco(path), found), by_pycocotools(path, found)


def main() -> None:
    """Measure all kinds and write the table."""
    rows = {kind: (*measured(change), words) for kind, (change, words) in KINDS.items()}
    table = "\n".join(
        f"| {kind} | {ours:.4f} | {theirs:.4f} | {ours - theirs:+.4f} | {words} |"
        for kind, (ours, theirs, words) in rows.items()
    )
    (RESULTS / "coco_differences.md").write_text(
        "# Where AP differs from pycocotools on the same file\n\n"
        f"{IMAGES} images with {OBJECTS} objects each, seed {SEED}; a tenth of the objects (one in "
        "each image) is of the kind named.\n\n"
        "| kind | AP here | AP of pycocotools | difference | what the package does |\n"
        f"|---|---|---|---|---|\n{table}\n"
    )
    content = {kind: {"ours": ours, "theirs": theirs} for kind, (ours, theirs, _) in rows.items()}
    (RESULTS / "coco_differences.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
