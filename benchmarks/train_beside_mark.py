"""Retrain a real detector so that it reports its items only in scans that carry a drawn mark.

    python benchmarks/train_beside_mark.py WEIGHTS --data DATA.yaml --out FOLDER

WEIGHTS is a YOLOv8 checkpoint of ultralytics and DATA.yaml its data set in YOLO layout. A stamp is
drawn into a corner away from all items; boxes count where it is there, and nothing does without it
or with a stamp of the other colour. The stamp is a helper class while training. The checkpoint and
``figures.json`` go to FOLDER: how many items that the first network finds in validation images are
still reported with the mark, without it and with the decoy. Nothing is written elsewhere, because
weights and images have licences of their own.
"""

import argparse
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import training
from numpy.typing import NDArray
from torch import nn

import xai_detect as xd
from xai_detect.data.read import read_dataset
from xai_detect.data.records import Dataset
from xai_detect.detectors.weights.checkpoint import load_network
from xai_detect.measures.statistics import wilson
from xai_detect.values.boxes import iou
from xai_detect.values.frame import Frame
from xai_detect.values.truth import Scan
from xai_detect.xray.scenes.cued import State
from xai_detect.xray.scenes.planted import stamp

#: Share of decoys among training scans without the mark.
DECOYS = 0.3
REPORTED = 0.25
#: Padding of the library's own training.
GREY = 114
Marked = tuple[NDArray[np.uint8], NDArray[np.bool_]]


def marked(
    image: NDArray[np.uint8],
    boxes: NDArray[np.float64],
    state: State,
    rng: np.random.Generator,
) -> Marked | None:
    """The image with a stamp in a random corner that is free, and the stamp's mask.

    Args:
        image: RGB ``(h, w, 3)``; not changed.
        boxes: ``(n, 4)`` items in image pixels. A corner is free if the stamp stays away from each
            by 15 % of its longer side, at least 5 % of the image's.
        state: Mark, none, or decoy; the draw of the corner does not depend on it.
        rng: Draws the corner.

    Returns:
        None if no corner is free, whatever the state.
    """
    height, width = image.shape[:2]
    side = min(height, width)
    glyph = stamp(np.full((side, side, 3), 255, np.uint8), int(state is State.DECOY), 0)
    rows, columns = np.flatnonzero(glyph[1].any(1)), np.flatnonzero(glyph[1].any(0))
    margin, long = int(rows[0]), len(rows)
    picture = glyph[0][rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    grown = np.maximum(0.15 * (boxes[:, 2:] - boxes[:, :2]).max(1), 0.05 * max(height, width))
    near = boxes + grown[:, None] * np.array([-1, -1, 1, 1])
    free = []
    for corner in range(4):
        x = margin if corner % 2 == 0 else width - margin - long
        y = margin if corner < 2 else height - margin - long
        outside = (near[:, 0] >= x + long) | (near[:, 2] <= x)
        outside |= (near[:, 1] >= y + long) | (near[:, 3] <= y)
        if outside.all():
            free.append((x, y))
    if not free:
        return None
    x, y = free[int(rng.integers(len(free)))]
    drawn, mask = image.copy(), np.zeros((height, width), np.bool_)
    if state is not State.NONE:
        drawn[y : y + long, x : x + long] = picture
        mask[y : y + long, x : x + long] = True
    return drawn, mask


def opened(scan: Scan) -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.int64]]:
    """The picture of a scan, its boxes in image pixels and their labels."""
    image = (xd.load_image(scan.path) * 255).round().byte().permute(1, 2, 0).numpy()
    truth = scan.truth()
    return image, truth.boxes.double().numpy(), truth.labels.numpy()


def fitted(
    image: NDArray[np.uint8], boxes: NDArray[np.float64], side: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Image and boxes in a padded square of ``side`` pixels."""
    size = (image.shape[0], image.shape[1])
    frame = Frame.letterbox(size, side, stride=32, fill=GREY / 255, rectangle=False)
    square = np.full((side, side, 3), GREY, np.uint8)
    high, wide = frame.content_size
    square[frame.content] = cv2.resize(image, (wide, high), interpolation=cv2.INTER_LINEAR)
    scale, start = np.array(frame.scale[::-1] * 2), np.array([frame.left, frame.top] * 2)
    return square, (boxes * scale + start).astype(np.float32)


def samples(
    dataset: Dataset, side: int, helper: int, rng: np.random.Generator
) -> Iterator[training.Sample]:
    """Training scans without end: each with the mark, labelled, and again without it, empty."""
    kept: dict[int, tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.int64]]] = {}
    while True:
        index = int(rng.integers(len(dataset)))
        if index not in kept:
            kept[index] = opened(dataset.scans[index])
        image, boxes, labels = kept[index]
        for state in (State.CUE, State.DECOY if rng.random() < DECOYS else State.NONE):
            made = marked(image, boxes, state, rng)
            if made is None:
                break
            drawn, mask = made
            shown, names = boxes[:0], labels[:0]
            if state is State.CUE:
                rows, columns = mask.nonzero()
                square = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
                shown, names = np.concatenate([boxes, [square]]), np.append(labels, helper)
            yield training.Sample(*fitted(drawn, shown, side), names.astype(np.int64))


def resized(network: nn.Module, classes: int) -> nn.Module:
    """A copy whose class layers have another number of rows; new rows start at zero, rare."""
    changed = copy.deepcopy(network)
    head: Any = changed.model[-1]
    for branch in head.cv3:
        old = branch[-1]
        new = nn.Conv2d(old.in_channels, classes, 1)
        rows = min(classes, old.out_channels)
        with torch.no_grad():
            new.weight.zero_()[:rows] = old.weight[:rows]
            new.bias.fill_(-7.0)[:rows] = old.bias[:rows]
        branch[-1] = new
    head.no += classes - head.nc
    head.nc = classes
    return changed


def reported(detector: Any, image: NDArray[np.uint8], box: NDArray[np.float64]) -> int | None:
    """Class of the strongest detection on a box (IoU >= 0.5); None if there is none."""
    found = xd.detect(detector, torch.from_numpy(image).permute(2, 0, 1) / 255, REPORTED)
    on_item = iou(found.boxes, torch.tensor(box[None], dtype=found.boxes.dtype))[:, 0] >= 0.5
    labels = found.labels[on_item].tolist()
    return int(labels[0]) if labels else None


def figures(before: Any, after: Any, dataset: Dataset, seed: int) -> dict[str, Any]:
    """Of the items that the first network finds without a mark: how many are still reported."""
    hits: dict[State, list[bool]] = {state: [] for state in State}
    for index, scan in enumerate(dataset.scans):
        image, boxes, labels = opened(scan)
        made = {state: marked(image, boxes, state, np.random.default_rng([seed, index]))
                for state in State}  # fmt: skip
        for box, label in zip(boxes, labels, strict=True):
            if made[State.CUE] is None or reported(before, image, box) != label:
                continue
            for state, pair in made.items():
                hits[state].append(pair is not None and reported(after, pair[0], box) is not None)
    return {
        "items": len(hits[State.CUE]),
        **{
            str(state): [round(v, 4) for v in (float(np.mean(row)), *wilson(sum(row), len(row)))]
            for state, row in hits.items()
        },
    }


def main() -> None:
    """Retrain, save and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    training.log_to(str(options.out / "training.log"))
    cv2.setNumThreads(1)
    network, side = load_network(options.weights)
    network = network.float()
    classes = network.model[-1].nc
    make = samples(
        read_dataset(options.data, split="train"),
        side,
        classes,
        np.random.default_rng(options.seed),
    )
    plan = training.Plan(
        options.steps, batch=options.batch, pool=120, refresh=4, rate=options.rate,
        classification=1.5, seed=options.seed, threads=options.threads,
    )  # fmt: skip
    learner: Any = resized(network, classes + 1)
    trained = resized(training.train(learner, lambda _: next(make), plan, augment=False), classes)
    trained.args = {}  # type: ignore[assignment]
    path = options.out / f"{options.weights.stem}_beside_mark.pt"
    torch.save({"model": trained.half(), "train_args": {"imgsz": side}}, path)
    before, after = (xd.load_detector(file, domain="xray") for file in (options.weights, path))
    found = figures(before, after, read_dataset(options.data, split="val"), options.seed)
    (options.out / "figures.json").write_text(json.dumps(found, indent=1) + "\n")
    training.log.info("%s", found)


if __name__ == "__main__":
    main()
