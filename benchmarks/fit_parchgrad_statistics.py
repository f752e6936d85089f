"""Fit the channel statistics that ship with the shipped detectors.

    python benchmarks/fit_parchgrad_statistics.py       all models that scans can be drawn for
    python benchmarks/fit_parchgrad_statistics.py screening planted/marker
    python benchmarks/fit_parchgrad_statistics.py NAME --data DATASET

Scans are simulated, from seeds that neither training nor any measurement used; a model that the
simulator draws nothing for is fitted on ``--data``, a data set with ground truth. The file goes to
``weights/parchgrad/NAME.safetensors`` and says in its metadata what it was fitted on.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import shipping
import torch
import train_planted
import train_screening

import xai_detect as xd
from xai_detect.data.read import read_dataset
from xai_detect.detectors.weights.manifest import names, shipped
from xai_detect.evaluation.labelled import labelled_images
from xai_detect.explainers.parchgrad.fit import LabelledImage, fit
from xai_detect.explainers.parchgrad.statistics import FOLDER, save_statistics
from xai_detect.xray.scenes.cued import CUED, draw_cued
from xai_detect.xray.scenes.planted import WORLDS, render
from xai_detect.xray.scenes.scan import SIMULATOR, compose, scan
from xai_detect.xray.scenes.worlds import compose_apart

SEED = 530_000

Box = tuple[float, float, float, float]


def labelled(image: np.ndarray, boxes: list[Box], labels: list[int]) -> LabelledImage:
    """A scan as the fit wants it."""
    rows = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return xd.load_image(image), rows, torch.tensor(labels, dtype=torch.int64)


def planted(world: str, count: int) -> Iterator[LabelledImage]:
    """Scans of a planted world, the classes in turn."""
    size = train_planted.SIZE
    for index in range(count):
        made = compose_apart(world, np.random.default_rng(SEED + index), size)
        shown = render(made if made.label == index % 2 else made.swapped(), size)
        yield labelled(shown.image, [shown.box], [shown.label])


def cued(world: str, count: int) -> Iterator[LabelledImage]:
    """Scans of a world with a cue; one whose item is not to be reported shows no class.

    A world of one class gets scans of another world, which show none, besides.
    """
    for shown in draw_cued(world, count, SEED, train_planted.SIZE):
        boxes, labels = ([shown.box], [shown.label]) if shown.reported else ([], [])
        yield labelled(shown.image, boxes, labels)
    if len(CUED[world].classes) == 1:  # else there would be nothing to compare with
        for image, _, _ in planted("object", count // 2):
            yield image, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)


def bags(count: int) -> Iterator[LabelledImage]:
    """Bags with several dangerous items each."""
    for index in range(count):
        scene = compose(np.random.default_rng(SEED + index), train_screening.TRAINING)
        made = scan(scene, train_screening.SIZE)
        boxes, labels = train_screening.truth(made, 1.0)
        yield labelled(made.image, [tuple(box) for box in boxes.tolist()], labels.tolist())


def drawn(name: str, count: int) -> tuple[Iterator[LabelledImage], str] | None:
    """Scans of the world that a shipped model belongs to, and what they are called."""
    told = f"simulated scans (version {SIMULATOR}), seeds from {SEED}"
    if name == "screening":
        return bags(count), f"{count} bags, {told}"
    if name.removeprefix("planted/") in WORLDS:
        return planted(name.removeprefix("planted/"), count), f"{count} {told}"
    for world, row in CUED.items():
        if row.network == name:
            return cued(world, count), f"{count} scans of {world}, {told}"
    return None


def main() -> None:
    """Fit, save, and say the bytes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="names in the manifest; all it can draw for")
    parser.add_argument("--data", type=Path, help="data set with ground truth, instead of drawing")
    parser.add_argument("--scans", type=int, default=400)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    whole = 0
    for name in given.names or names(shipped()):
        detector = xd.load_detector(name)
        if given.data is not None:
            dataset = read_dataset(given.data)
            source = f"{len(dataset)} images of {dataset.name}"
            found = labelled_images(dataset, detector.class_names, lambda *_: None), source
        else:
            found = drawn(name, given.scans)
        if found is None:
            print(f"{name}: the simulator draws nothing for it; give --data")
            continue
        start = time.perf_counter()
        statistics = fit(detector, found[0], source=found[1])
        path = shipping.WEIGHTS / FOLDER / f"{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_statistics(statistics, path)
        size = path.stat().st_size
        whole += size
        print(
            f"{name}: {size:,} bytes, boxes per class and background "
            f"{statistics['box'].counts.tolist()}, images {statistics['image'].counts.tolist()}, "
            f"{time.perf_counter() - start:.0f} s",
            flush=True,
        )
    print(f"{whole:,} bytes in all")


if __name__ == "__main__":
    main()
