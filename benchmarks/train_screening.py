"""Train the screening model that ships: ``python benchmarks/train_screening.py --minutes 60``.

A small YOLOv8 from random weights, on bags packed while it learns. Training bags hold more
dangerous items than the bags it is measured on (more to learn per scan), at varying scale and under
all colour tables. Square scans on air: nothing is padded, so the letterbox value is white.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import screening
import shipping
import torch
import training

from xai_detect.xray.scenes.scan import FIELD, SIMULATOR, Packing, Scan, Scene, compose, scan
from xai_detect.xray.things.items import DANGEROUS

SIZE = 320
CLASSES = tuple(DANGEROUS)
#: Seeds from here on are held out: training draws below, measuring from here.
HELD_OUT = 1_000_000
TRAINING = Packing(clean=0.06, dangerous=(2, 5), benign=(2, 11))
RECIPE = (
    "benchmarks/train_screening.py: bags of xai_detect.xray.scenes.scan made while training "
    "(2 to 5 dangerous items in most), first at 224 then at 320 pixels, scale 0.85 to 1.35, "
    "all colour tables, half through JPEG, flips and turns; square scans, no padding; start from "
    "random weights; then --go-on at 320 pixels with a lower rate"
)


def zoomed(scene: Scene, factor: float) -> Scene:
    """The scene seen ``factor`` times larger, centred."""
    field = FIELD / factor
    shift = (field - FIELD) / 2
    things = tuple(
        replace(thing, pose=replace(thing.pose, x=thing.pose.x + shift, y=thing.pose.y + shift))
        for thing in scene.things
    )
    return replace(scene, things=things, field=field)


def picture(rng: np.random.Generator) -> training.Sample:
    """One training scan."""
    scene = zoomed(compose(rng, TRAINING), float(rng.uniform(0.85, 1.35)))
    fine = bool(rng.random() < 0.25)
    made = scan(scene, SIZE * 2 if fine else SIZE)
    image = made.image
    if fine:
        image = np.asarray(cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA), np.uint8)
    if rng.random() < 0.3:
        table = 255 * np.linspace(0, 1, 256)[:, None] ** rng.uniform(0.8, 1.25, 3)
        image = np.stack([table[image[..., i], i] for i in range(3)], axis=-1).astype(np.uint8)
    if rng.random() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(80, 98))]
        image = np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], 1), np.uint8)
    boxes, labels = truth(made, 2.0 if fine else 1.0)
    return training.Sample(image, boxes, labels)


def truth(made: Scan, shrink: float) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (divided by ``shrink``) and labels of the dangerous items that are on the scan."""
    boxes, labels = [], []
    for thing, shadow in zip(made.scene.things, made.shadows, strict=True):
        if thing.label in DANGEROUS and shadow.mask.any():
            boxes.append(shadow.box)
            labels.append(CLASSES.index(thing.label))
    return (
        np.asarray(boxes, np.float32).reshape(-1, 4) / np.float32(shrink),
        np.asarray(labels, np.int64),
    )


def main() -> None:
    """Train, measure on held-out scans, write weights and manifest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=12000)
    parser.add_argument("--minutes", type=float, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--go-on", action="store_true", help="from the packed weights, full size")
    parser.add_argument("--log", type=str, default=None)
    parser.add_argument("--draft", type=Path, default=None, help="weights so far, now and then")
    options = parser.parse_args()
    training.log_to(options.log)
    layout = training.architecture(len(CLASSES), 0.33, 0.25, 768)
    plan = training.Plan(
        options.steps, seed=options.seed, threads=options.threads, minutes=options.minutes,
        pool=1000, refresh=2, rate=options.rate, small=None if options.go_on else 224,
    )  # fmt: skip
    bags = screening.held_out(40, HELD_OUT - 100_000)

    def check(model: torch.nn.Module, step: int) -> None:
        training.log.info("step %d %s", step, screening.figures(model, bags, SIZE))
        if options.draft is not None:
            shipping.pack(model, options.draft, {"classes": list(CLASSES)})

    start = training.network(layout, options.seed)
    if options.go_on:
        start = shipping.rebuilt("screening")
    model = training.train(start, picture, plan, check, every=250)
    measured = screening.figures(model, screening.held_out(500, HELD_OUT), SIZE)
    training.log.info("held out: %s", measured)
    write(model, layout, options.seed, measured | {"scans": 500})


def write(model: torch.nn.Module, layout: dict, seed: int, figures: dict[str, float]) -> None:
    """Pack the network and put it into the manifest."""
    entry = {
        "file": "screening.safetensors", "sha256": "", "family": "ultralytics",
        "architecture": training.as_json(layout), "classes": list(CLASSES), "input_size": SIZE,
        "letterbox": 255, "domain": "xray", "recipe": RECIPE, "seed": seed,
        "simulator": SIMULATOR, "figures": figures,
    }  # fmt: skip
    packed = {key: value for key, value in entry.items() if key != "sha256"}
    digest = shipping.pack(model, shipping.WEIGHTS / "screening.safetensors", packed)
    shipping.register("screening", entry | {"sha256": digest})


if __name__ == "__main__":
    main()
