"""Train the models whose cause is known: ``python benchmarks/train_planted.py marker part``.

Where the cause lies outside the item, it is learnt faster if the network must also find it: the
causes are two helper classes during training, cut off before the model ships.

Each scan enters the pool together with its counterfactual twin (the other class's cause, everything
else equal), and one in eight has no cause and a random label, so that without the cause the network
still finds the item and knows nothing of its class. Held-out figures come from another seed.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import shipping
import torch
import training
from numpy.typing import NDArray

from xai_detect.xray.scenes.planted import HONEST, WORLDS, Planted, bounds, render
from xai_detect.xray.scenes.scan import SIMULATOR
from xai_detect.xray.scenes.worlds import compose_apart

SIZE = 192
HELD_OUT = 900_000
RECIPE = (
    "benchmarks/train_planted.py: scans of xai_detect.xray.scenes.planted made while training, "
    "each with its counterfactual twin, one in eight without cause and with a random label "
    "(two in five in a second phase where the cause lies outside); flips and turns; "
    "outside causes are helper classes that are cut off at the end; "
    "square scans, no padding; start from random weights"
)


def picture(planted: Planted, rng: np.random.Generator) -> training.Sample:
    """One training scan, at the input size or scaled down to it, sometimes through JPEG."""
    fine = bool(rng.random() < 0.3)
    made = render(planted, SIZE * 2 if fine else SIZE)
    image, boxes, labels = made.image, [made.box], [planted.label]
    if planted.world not in HONEST and planted.shown is not None:
        boxes.append(bounds(made.cause))
        labels.append(2 + planted.shown)
    box = np.asarray([b for b in boxes if b[2] > b[0]], np.float32).reshape(-1, 4)
    if fine:
        image = np.asarray(cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA), np.uint8)
        box /= 2
    if rng.random() < 0.4:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(85, 98))]
        image = np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], 1), np.uint8)
    return training.Sample(image, box, np.asarray(labels[: len(box)], np.int64))


def trimmed(model: torch.nn.Module, layout: dict[str, Any]) -> torch.nn.Module:
    """The network without the helper classes: the rows of the last class layers are cut off."""
    small = training.network(layout)
    wanted = small.state_dict()
    state = {name: value[: len(wanted[name])] if value.ndim else value
             for name, value in model.state_dict().items()}  # fmt: skip
    small.load_state_dict(state)
    return small.eval()


def stream(world: str, rng: np.random.Generator, without: float) -> Iterator[training.Sample]:
    """Scans and their twins, without end; a share ``without`` of them has no cause."""
    while True:
        planted = compose_apart(world, rng, SIZE)
        if rng.random() < without:
            yield picture(planted.removed(), rng)
            continue
        yield picture(planted, rng)
        yield picture(planted.swapped(), rng)


def maker(world: str, seed: int, without: float = 0.125) -> training.Maker:
    """The stream as a function of a generator that it ignores: order is part of the seed."""
    samples = stream(world, np.random.default_rng(seed), without)
    return lambda _: next(samples)


def two_classes(make: training.Maker) -> training.Maker:
    """The same scans without the boxes of the helper classes."""

    def plain(rng: np.random.Generator) -> training.Sample:
        sample = make(rng)
        keep = sample.labels < 2
        return training.Sample(sample.image, sample.boxes[keep], sample.labels[keep])

    return plain


@torch.no_grad()
def strongest(model: torch.nn.Module, images: list[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Best box of each image with both class scores: rows of x1, y1, x2, y2, first, second."""
    rows = []
    for start in range(0, len(images), 32):
        batch = torch.from_numpy(np.stack(images[start : start + 32])).permute(0, 3, 1, 2) / 255
        output = model(batch)
        decoded = output[0] if isinstance(output, tuple) else output
        best = decoded[:, 4:6].amax(dim=1).argmax(dim=1)
        chosen = decoded[torch.arange(len(best)), :6, best].numpy()
        x, y, width, height = chosen[:, :4].T
        corners = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], axis=1)
        rows.append(np.concatenate([corners, chosen[:, 4:]], axis=1))
    return np.concatenate(rows)


def overlap(found: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU of paired boxes."""
    low, high = np.maximum(found[:, :2], truth[:, :2]), np.minimum(found[:, 2:4], truth[:, 2:4])
    inside = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(found[:, 2:4] - found[:, :2], axis=1) + np.prod(
        truth[:, 2:4] - truth[:, :2], axis=1
    )
    return np.asarray(inside / np.maximum(areas - inside, 1e-9))


def measure(
    model: torch.nn.Module, world: str, count: int, seed: int
) -> dict[str, NDArray[np.float64]]:
    """Per held-out scan: found, right class, flips with the cause, right without it, its margin.

    Returns:
        Arrays of 0 and 1 (``margin_without`` in [0, 1]). ``right_without``: the class of the
        removed cause is still the stronger one, chance is 0.5. ``first_without``: the first class
        is the stronger one without a cause; near 0 or 1 one class has become the default, and
        detections of that class rest on the *absence* of the other's cause.
    """
    scenes = [compose_apart(world, np.random.default_rng(seed + i), SIZE) for i in range(count)]
    made = [render(scene, SIZE) for scene in scenes]
    labels = np.array([scene.label for scene in scenes])
    swapped = [render(scene.swapped(), SIZE) for scene in scenes]
    removed = [render(scene.removed(), SIZE) for scene in scenes]
    plain, other, gone = (
        strongest(model, [one.image for one in group]) for group in (made, swapped, removed)
    )
    boxes = np.array([one.box for one in made])
    right = plain[:, 4:].argmax(axis=1) == labels
    flipped = right & (other[:, 4:].argmax(axis=1) == 1 - labels)
    return {
        "found": ((overlap(plain, boxes) >= 0.5) & (plain[:, 4:].max(axis=1) >= 0.25)).astype(
            float
        ),
        "right": right.astype(float),
        "flips": flipped.astype(float),
        "right_without": (gone[:, 4:].argmax(axis=1) == labels).astype(float),
        "first_without": (gone[:, 4] > gone[:, 5]).astype(float),
        "margin_without": np.abs(gone[:, 4] - gone[:, 5]),
        "found_without": (gone[:, 4:].max(axis=1) >= 0.25).astype(float),
        "score": plain[:, 4:].max(axis=1),
    }


def main() -> None:
    """Train the worlds named on the command line, one after another, and register them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("worlds", nargs="+", choices=list(WORLDS))
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--settle", type=int, default=250, help="steps of the second phase")
    parser.add_argument("--without", type=float, default=0.125, help="share without a cause")
    parser.add_argument("--settle-only", action="store_true", help="go on from the packed weights")
    parser.add_argument("--minutes", type=float, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--log", type=str, default=None)
    options = parser.parse_args()
    training.log_to(options.log)
    for world in options.worlds:
        learn(world, options)


def learn(world: str, options: argparse.Namespace) -> None:
    """Train one world in two phases, measure it on held-out scans and register it."""
    layout = training.architecture(2, 0.33, 0.25, 256)

    def check(model: torch.nn.Module, step: int) -> None:
        values = measure(model, world, 60, HELD_OUT - 1000)
        shown = " ".join(f"{key} {value.mean():.3f}" for key, value in values.items())
        training.log.info("%s step %d %s", world, step, shown)

    if options.settle_only:
        model = shipping.rebuilt(f"planted/{world}")
    else:
        plan = training.Plan(
            options.steps, classification=1.0, seed=options.seed, threads=options.threads,
            minutes=options.minutes, pool=400, refresh=3,
        )  # fmt: skip
        helpers = training.architecture(2 if world in HONEST else 4, 0.33, 0.25, 256)
        model = training.network(helpers, options.seed)
        model = training.train(model, maker(world, options.seed, options.without), plan, check)
        model = trimmed(model, layout)
    if world not in HONEST:
        model = settled(model, world, options, check)
    values = measure(model, world, 200, HELD_OUT)
    entry = {
        "file": f"planted/{world}.safetensors", "sha256": "", "family": "ultralytics",
        "architecture": training.as_json(layout), "classes": list(WORLDS[world]),
        "input_size": SIZE, "letterbox": 255, "domain": "xray", "recipe": RECIPE,
        "seed": options.seed, "simulator": SIMULATOR,
        "cause": "inside" if world in HONEST else "outside",
        "figures": {key: round(float(v.mean()), 4) for key, v in values.items()} | {"scans": 200},
    }  # fmt: skip
    path = shipping.WEIGHTS / Path(entry["file"])
    packed = {key: value for key, value in entry.items() if key != "sha256"}
    shipping.register(f"planted/{world}", entry | {"sha256": shipping.pack(model, path, packed)})
    training.log.info("%s registered %s", world, entry["figures"])


def settled(
    model: torch.nn.Module,
    world: str,
    options: argparse.Namespace,
    check: Callable[[torch.nn.Module, int], None],
) -> torch.nn.Module:
    """Second phase: two in five scans without a cause, so that neither class is the default."""
    plan = training.Plan(
        options.settle, classification=1.0, seed=options.seed + 1, threads=options.threads,
        pool=300, refresh=3, rate=1.5e-3,
    )  # fmt: skip
    make = two_classes(maker(world, options.seed + 1, without=max(options.without, 0.4)))
    return training.train(model, make, plan, check, every=125)


if __name__ == "__main__":
    main()
