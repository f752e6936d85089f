"""Detections whose evidence can be read against a truth, for ``parchgrad.py``; one per image.

Planted worlds and simulated bags come from seeds that nothing else uses: there the mask of what
decides, or of the item, is known. Of real sets the mask (COCO) or the annotated box is. Each set
has two halves: settings are chosen on ``dev``, figures are read on ``fresh``. The networks of real
sets have no statistics that ship; theirs are fitted on images of neither half.
"""

import argparse
import contextlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import fit_parchgrad_statistics
import numpy as np
import torch
import train_planted
import train_screening
from pycocotools.coco import COCO
from torch import Tensor
from verdict_sets import REAL, hashed

import xai_detect as xd
from xai_detect.data.classes import pair_classes
from xai_detect.data.read import read_dataset
from xai_detect.data.records import Dataset
from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.evaluation.labelled import labelled_images
from xai_detect.explainers.parchgrad.fit import LabelledImage, fit
from xai_detect.explainers.parchgrad.statistics import load_statistics, save_statistics
from xai_detect.values import boxes
from xai_detect.values.boxes import Box
from xai_detect.values.truth import Scan
from xai_detect.xray.scenes.cued import State, draw_cued
from xai_detect.xray.scenes.dataset import full_mask
from xai_detect.xray.scenes.planted import PlantedScan, render
from xai_detect.xray.scenes.scan import compose, scan
from xai_detect.xray.scenes.worlds import compose_apart

PLANTED = ("marker", "context", "scanner", "default", "object", "part")
SIMULATED = (*PLANTED, "screening")
PHOTOGRAPHED = ("coco-yolo11n", "sixray", "opixray")
SEEDS = {"dev": 430_000, "fresh": 790_000}
SIDE = 320
"""Of the input of real sets' networks."""

TRAINING = {"coco": "train2017", "sixray": "train", "opixray": "train"}
MEASURED = 50
"""Images of each half that are looked through; the rest of the validation images are fitted on."""

FITTED = 400
"""Most training images that statistics are fitted on."""

FEWEST = 10
"""Boxes of a class below which none of its detections is explained."""

SMALLEST, LARGEST = 0.002, 0.5
"""Shares of the image between which a truth says something about a map."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A right detection, and where its evidence ought to lie.

    Attributes:
        key: What the image is called.
        image: RGB in [0, 1].
        target: The detection.
        truth: The cause, the object or its box, in image pixels.
    """

    key: str
    image: Tensor
    target: xd.Target
    truth: Tensor


def questions(
    name: str, half: str, count: int, given: argparse.Namespace
) -> tuple[WhiteBoxDetector, str, Iterator[Question]]:
    """Detector, statistics file (empty: the one that ships) and questions of half a set."""
    if name in SIMULATED:
        network = "screening" if name == "screening" else f"planted/{name}"
        detector = xd.load_detector(network)
        return detector, "", _first(count, _simulated(name, detector, SEEDS[half]))
    data, weights, _, domain = REAL[name]
    detector = xd.load_detector(str(given.weights / f"{weights}.pt"), imgsz=SIDE, domain=domain)
    dataset = read_dataset(given.data / data, split="val2017" if data == "coco" else "val")
    scans = sorted(dataset.scans, key=lambda scan: hashed(Path(scan.name).name))
    middle = len(scans) // 2
    halves = {"dev": scans[:middle], "fresh": scans[middle:]}
    used = [*halves["dev"][:MEASURED], *halves["fresh"][:MEASURED]]
    file = given.kept / f"{name}.statistics"
    if not file.exists():
        spare = [scan for scan in scans if scan not in used]
        training = read_dataset(given.data / data, split=TRAINING[data])
        _fit(detector, [(training, training.scans[:FITTED]), (dataset, spare)], file)
    counts = load_statistics(file, detector, "box").counts
    known = {row for row in range(len(detector.class_names)) if counts[row] >= FEWEST}
    masks = _coco(given.data / data) if data == "coco" else None
    return (
        detector,
        str(file),
        _first(count, _real(dataset, halves[half][:MEASURED], detector, known, masks)),
    )


def labelled_scans(
    name: str, count: int, given: argparse.Namespace
) -> tuple[WhiteBoxDetector, list[LabelledImage]]:
    """A detector at its usual input size, and images with ground truth in memory."""
    if name == "screening":
        return xd.load_detector(name), list(fit_parchgrad_statistics.bags(count))
    data, weights, side, domain = REAL[name]
    detector = xd.load_detector(str(given.weights / f"{weights}.pt"), imgsz=side, domain=domain)
    dataset = read_dataset(given.data / data, split=TRAINING[data])
    few = replace(dataset, scans=dataset.scans[:count])
    return detector, list(labelled_images(few, detector.class_names, lambda *_: None))


def _first(count: int, found: Iterator[Question]) -> Iterator[Question]:
    for _, one in zip(range(count), found, strict=False):
        yield one


def _fit(
    detector: WhiteBoxDetector, parts: Iterable[tuple[Dataset, Iterable[Scan]]], file: Path
) -> None:
    def scans() -> Iterator[LabelledImage]:
        for dataset, some in parts:
            part = replace(dataset, scans=tuple(some))
            yield from labelled_images(part, detector.class_names, lambda *_: None)

    file.parent.mkdir(parents=True, exist_ok=True)
    save_statistics(fit(detector, scans()), file)


def _simulated(name: str, detector: WhiteBoxDetector, seed: int) -> Iterator[Question]:
    if name == "default":
        drawn = draw_cued(name, 10_000, seed, train_planted.SIZE, State.CUE)
    elif name == "screening":
        yield from _bags(detector, seed)
        return
    else:
        drawn = (_balanced(name, seed + row, row % 2) for row in range(10_000))
    for row, shown in enumerate(drawn):
        image = xd.load_image(shown.image)
        targets = list(xd.detect(detector, image))[:1]
        if targets and targets[0].label == shown.label:
            yield Question(str(seed + row), image, targets[0], torch.from_numpy(shown.cause))


def _balanced(world: str, seed: int, label: int) -> PlantedScan:
    made = compose_apart(world, np.random.default_rng(seed), train_planted.SIZE)
    return render(made if made.label == label else made.swapped(), train_planted.SIZE)


def _bags(detector: WhiteBoxDetector, seed: int) -> Iterator[Question]:
    for row in range(10_000):
        scene = compose(np.random.default_rng(seed + row), train_screening.TRAINING)
        made = scan(scene, train_screening.SIZE)
        image = xd.load_image(made.image)
        items = [
            (
                shadow.box,
                detector.class_names.index(thing.label),
                torch.from_numpy(full_mask(shadow, train_screening.SIZE)),
            )
            for thing, shadow in zip(made.scene.things, made.shadows, strict=True)
            if thing.label in detector.class_names and shadow.mask.any()
        ]
        found = _right(xd.detect(detector, image), items)
        if found is not None:
            yield Question(str(seed + row), image, *found)


def _right(
    found: Iterable[xd.Target], items: list[tuple[Box, int, Tensor]]
) -> tuple[xd.Target, Tensor] | None:
    """The most confident detection of an annotated item whose truth says something."""
    for target in found:
        for box, label, truth in items:
            pair = boxes.iou(torch.tensor([target.box]), torch.tensor([box]))
            share = float(truth.float().mean())
            if label == target.label and float(pair) >= 0.5 and SMALLEST <= share <= LARGEST:
                return target, truth
    return None


def _real(
    dataset: Dataset,
    scans: list[Scan],
    detector: WhiteBoxDetector,
    known: set[int],
    masks: COCO | None,
) -> Iterator[Question]:
    pairs, _ = pair_classes(detector.class_names, dataset.class_names)
    own = {theirs: ours for ours, theirs in pairs.items()}
    for shown in scans:
        image = xd.load_image(shown.path)
        size = (image.shape[1], image.shape[2])
        items = [
            (item.box, own[item.label], _truth(item.box, item.source_id, size, masks))
            for item in shown.items
            if not item.crowd and own.get(item.label if item.label is not None else -1) in known
        ]
        found = _right(xd.detect(detector, image), items)
        if found is not None:
            yield Question(Path(shown.name).name, image, *found)


def _truth(box: Box, source: object, size: tuple[int, int], masks: COCO | None) -> Tensor:
    if masks is None:
        return boxes.mask(box, size)
    annotation = masks.anns[source]
    if "segmentation" not in annotation:
        return torch.zeros(size, dtype=torch.bool)  # too small a truth: passed over
    return torch.from_numpy(masks.annToMask(annotation).astype(bool))


def _coco(folder: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(folder / "annotations" / "instances_val2017.json"))
