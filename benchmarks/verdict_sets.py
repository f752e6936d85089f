"""Images with known answers, by name: real sets, halved once, and planted worlds.

Real sets are read from folders that are not part of the project: ``--data`` holds ``coco``,
``sixray`` and ``opixray``, ``--weights`` the detectors. Their validation images are halved by the
hash of their names: limits are chosen on ``dev``, figures are read on ``fresh``. Planted scans come
from seeds that no training saw, another range for each half.
"""

import argparse
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from train_beside_mark import marked, opened

from xai_detect.data.classes import pair_classes
from xai_detect.data.read import read_dataset
from xai_detect.detectors.load import load_detector
from xai_detect.detectors.protocol import Detector
from xai_detect.measures.matching import match
from xai_detect.trust.references import Reference, as_reference, balanced
from xai_detect.values.detections import Detections
from xai_detect.values.images import load_image
from xai_detect.values.truth import Truth
from xai_detect.xray.scenes.cued import CUED, State, draw_cued
from xai_detect.xray.scenes.planted import HONEST, render
from xai_detect.xray.scenes.worlds import compose_apart

REAL = {
    "coco-yolo11n": ("coco", "yolo11n", 640, "photo"),
    "coco-yolov8n": ("coco", "yolov8n", 640, "photo"),
    "coco-yolo26n": ("coco", "yolo26n", 640, "photo"),
    "coco-yolov10n": ("coco", "yolov10n", 640, "photo"),
    "sixray": ("sixray", "sixray_yolov8n", 416, "xray"),
    "opixray": ("opixray", "opixray_yolov8n", 416, "xray"),
}
"""Set to data, detector, side of the input and domain."""

PLANTED = ("object", "part", "marker", "context", "scanner")
SEEDS = {"dev": 400_000, "fresh": 760_000}
SIDE = 192
LIKE = 40
"""References of a set are drawn from at most so many of its images."""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """An image and what is so.

    Attributes:
        key: What it is called.
        image: RGB in [0, 1].
        truth: What it shows, in the detector's labels.
        cause: Where the cause is: ``inside``, ``outside``, or empty where it is not known.
    """

    key: str
    image: Tensor
    truth: Truth
    cause: str = ""


def options(*, sets: bool = True) -> argparse.ArgumentParser:
    """The options that all scripts over these sets share; ``sets`` are named where asked for."""
    parser = argparse.ArgumentParser()
    if sets:
        parser.add_argument("sets", nargs="+")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--marked", type=Path, help="checkpoint of train_beside_mark.py")
    parser.add_argument("--half", choices=[*SEEDS, "all"], default="fresh")
    parser.add_argument("--most", type=int, default=60, help="images of a set")
    return parser


def load(given: argparse.Namespace, name: str) -> tuple[Detector, list[Shown]]:
    """Detector and images of a set."""
    if name in REAL:
        data, weights, side, domain = REAL[name]
        detector = load_detector(str(given.weights / f"{weights}.pt"), imgsz=side, domain=domain)
        return detector, list(_real(given, data, detector))[: given.most]
    if name == "beside_mark":
        detector = load_detector(str(given.marked), imgsz=416, domain="xray")
        return detector, list(_marked(given, detector))[: given.most]
    if name in CUED:
        return load_detector(CUED[name].network), list(_cued(name, SEEDS[given.half], given.most))
    detector = load_detector(f"planted/{name}")
    return detector, [_planted(name, SEEDS[given.half] + row, row % 2) for row in range(given.most)]


def _marked(given: argparse.Namespace, detector: Detector) -> Iterator[Shown]:
    """Real scans with a drawn mark, without which their detector reports nothing."""
    dataset = read_dataset(given.data / "sixray", split="val")
    labels, _ = pair_classes(detector.class_names, dataset.class_names)
    back = {theirs: ours for ours, theirs in labels.items()}
    scans = sorted(dataset.scans, key=lambda scan: hashed(Path(scan.name).name))
    half = len(scans) // 2
    for scan in {"dev": scans[:half], "fresh": scans[half:], "all": scans}[given.half]:
        image, places, known = opened(scan)
        made = marked(image, places, State.CUE, np.random.default_rng(SEEDS["fresh"]))
        if made is not None:
            own = torch.tensor([back[label] for label in known.tolist()])
            truth = Truth.of(torch.from_numpy(places).float(), own)
            yield Shown(Path(scan.name).name, load_image(made[0]), truth, "outside")


def _cued(world: str, seed: int, count: int) -> Iterator[Shown]:
    """Scans that hold a report: with the cue; twins and the default class in every state."""
    decides = CUED[world].decides
    state = State.CUE if decides == "presence" else None
    for row, made in enumerate(draw_cued(world, count, seed, SIDE, state)):
        truth = Truth.of(torch.tensor([made.box]), torch.tensor([made.label]))
        cause = "inside" if decides == "nothing" else "outside"
        yield Shown(f"{row}-{made.state}", load_image(made.image), truth, cause)


def _real(given: argparse.Namespace, data: str, detector: Detector) -> Iterator[Shown]:
    folder = given.data / data
    dataset = read_dataset(folder, split="val2017" if data == "coco" else "val")
    labels, _ = pair_classes(detector.class_names, dataset.class_names)
    back = {theirs: ours for ours, theirs in labels.items()}
    scans = sorted(dataset.scans, key=lambda scan: hashed(Path(scan.name).name))
    half = len(scans) // 2
    parts = {"dev": scans[:half], "fresh": scans[half:], "all": scans}
    for scan in parts[given.half]:
        truth = scan.truth()
        own = torch.tensor([back.get(label, -1) for label in truth.labels.tolist()])
        known = own >= 0
        yield Shown(
            Path(scan.name).name,
            load_image(scan.path),
            Truth(
                truth.boxes[known], own[known].long(), truth.areas[known], truth.crowd[known],
                truth.difficult[known],
            ),
        )  # fmt: skip


def hashed(name: str) -> str:
    """An order of names that has nothing to do with them."""
    return hashlib.sha256(name.encode()).hexdigest()


def _planted(world: str, seed: int, label: int) -> Shown:
    scan = compose_apart(world, np.random.default_rng(seed), SIDE)
    made = render(scan if scan.label == label else scan.swapped(), SIDE)
    truth = Truth.of(torch.tensor([made.box]), torch.tensor([made.label]))
    cause = "inside" if world in HONEST else "outside"
    return Shown(str(seed), load_image(made.image), truth, cause)


def right(found: Detections, truth: Truth) -> list[bool | None]:
    """Whether each detection is right as annotated; None where the annotations do not say."""
    matches = match(found, truth)
    return [
        None if ignored else hit
        for hit, ignored in zip(matches.right.tolist(), matches.ignored.tolist(), strict=True)
    ]


def references(detector: Detector, shown: list[Shown], count: int = 12) -> list[Reference]:
    """References out of the set itself: a draw with a fixed seed that holds every class it can.

    Whoever is asked about leaves itself out by name.
    """
    ranked = sorted(shown, key=lambda image: hashed("reference" + image.key))[:LIKE]
    made = [as_reference(detector, image.key, image.image) for image in ranked]
    return balanced(made, count)
