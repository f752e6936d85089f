"""A compact training loop for the networks that ship: random start, simulated scans, own numbers.

The simulator is faster than training, so scans are made while the network learns: a pool is filled
first and then refreshed all the time, and a scan is seen a few times in one of eight orientations.
Scans are square, so nothing is ever padded; air, and thus the letterbox value, is white.
"""

import copy
import json
import logging
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils.loss import v8DetectionLoss

log = logging.getLogger("training")


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One training scan.

    Attributes:
        image: RGB ``(s, s, 3)``.
        boxes: ``(n, 4)`` x1, y1, x2, y2 in pixels.
        labels: ``(n,)`` class indices.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]


Maker = Callable[[np.random.Generator], Sample]


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast to learn.

    Attributes:
        steps: Optimiser steps.
        batch: Scans per step.
        pool: Scans held at a time.
        refresh: New scans per step.
        rate: Highest learning rate (AdamW).
        classification: Weight of the class loss against the box losses (7.5 and 1.5).
        seed: Decides weights, scans and order.
        threads: CPU threads.
        small: Side to which scans are shrunk in the first ``early`` share of the schedule, which is
            then twice as fast; None never.
        early: That share.
        minutes: Stop the schedule early after this many minutes, whatever the step; None never.
    """

    steps: int
    batch: int = 16
    pool: int = 512
    refresh: int = 4
    rate: float = 2e-3
    classification: float = 0.5
    seed: int = 0
    threads: int = 2
    small: int | None = None
    early: float = 0.45
    minutes: float | None = None


def architecture(classes: int, depth: float, width: float, most: int) -> dict[str, Any]:
    """A YOLOv8 layout as a plain dict, the form that the weights manifest stores.

    Args:
        classes: Number of classes.
        depth: Multiplies the number of repeated blocks.
        width: Multiplies the channels.
        most: Largest number of channels before ``width``.
    """
    backbone = [
        [-1, 1, "Conv", [64, 3, 2]], [-1, 1, "Conv", [128, 3, 2]],
        [-1, 3, "C2f", [128, True]], [-1, 1, "Conv", [256, 3, 2]],
        [-1, 6, "C2f", [256, True]], [-1, 1, "Conv", [512, 3, 2]],
        [-1, 6, "C2f", [512, True]], [-1, 1, "Conv", [1024, 3, 2]],
        [-1, 3, "C2f", [1024, True]], [-1, 1, "SPPF", [1024, 5]],
    ]  # fmt: skip
    head = [
        [-1, 1, "nn.Upsample", [None, 2, "nearest"]], [[-1, 6], 1, "Concat", [1]],
        [-1, 3, "C2f", [512]],
        [-1, 1, "nn.Upsample", [None, 2, "nearest"]], [[-1, 4], 1, "Concat", [1]],
        [-1, 3, "C2f", [256]],
        [-1, 1, "Conv", [256, 3, 2]], [[-1, 12], 1, "Concat", [1]], [-1, 3, "C2f", [512]],
        [-1, 1, "Conv", [512, 3, 2]], [[-1, 9], 1, "Concat", [1]], [-1, 3, "C2f", [1024]],
        [[15, 18, 21], 1, "Detect", ["nc"]],
    ]  # fmt: skip
    return {"nc": classes, "scales": {"n": [depth, width, most]}, "scale": "n",
            "backbone": backbone, "head": head}  # fmt: skip


def network(layout: Mapping[str, Any], seed: int = 0) -> DetectionModel:
    """An untrained network of a layout, its weights drawn from ``seed``."""
    torch.manual_seed(seed)
    return DetectionModel(copy.deepcopy(dict(layout)), ch=3, nc=layout["nc"], verbose=False)


def turned(sample: Sample, turn: int) -> Sample:
    """The sample in one of the eight orientations of a square: ``turn`` in 0..7."""
    image, boxes, size = sample.image, sample.boxes, sample.image.shape[0]
    if turn & 1:
        image = image[:, ::-1]
        boxes = np.stack([size - boxes[:, 2], boxes[:, 1], size - boxes[:, 0], boxes[:, 3]], 1)
    if turn & 2:
        image = image[::-1]
        boxes = np.stack([boxes[:, 0], size - boxes[:, 3], boxes[:, 2], size - boxes[:, 1]], 1)
    if turn & 4:
        image = image.transpose(1, 0, 2)
        boxes = boxes[:, [1, 0, 3, 2]]
    return Sample(np.ascontiguousarray(image), boxes.astype(np.float32), sample.labels)


def collate(samples: list[Sample]) -> dict[str, torch.Tensor]:
    """A batch as ultralytics' loss wants it: boxes as cx, cy, w, h in shares of the image."""
    size = samples[0].image.shape[0]
    images = torch.from_numpy(np.stack([s.image for s in samples])).permute(0, 3, 1, 2)
    boxes = torch.from_numpy(np.concatenate([s.boxes for s in samples]).reshape(-1, 4)) / size
    centres = torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], dim=1)
    owner = np.repeat(np.arange(len(samples)), [len(s.labels) for s in samples])
    return {
        "img": images.float().div(255).contiguous(memory_format=torch.channels_last),
        "cls": torch.from_numpy(np.concatenate([s.labels for s in samples])).float(),
        "bboxes": centres,
        "batch_idx": torch.from_numpy(owner).float(),
    }


def train(
    model: DetectionModel,
    make: Maker,
    plan: Plan,
    check: Callable[[DetectionModel, int], None] | None = None,
    augment: bool = True,
    every: int = 500,
) -> DetectionModel:
    """Train and return the exponential average of the weights, in evaluation mode.

    Args:
        model: Network to train in place.
        make: Gives one fresh scan.
        plan: Schedule.
        check: Called with the averaged network and the step, now and then.
        augment: Whether scans may be flipped and turned.
        every: Steps between checks.
    """
    torch.set_num_threads(plan.threads)
    rng = np.random.default_rng(plan.seed)
    pool = [make(rng) for _ in range(plan.pool)]
    model.args = SimpleNamespace(box=7.5, cls=plan.classification, dfl=1.5)
    model.requires_grad_(True).to(memory_format=torch.channels_last).train()
    criterion = v8DetectionLoss(model)
    average = copy.deepcopy(model).eval()
    optimiser = torch.optim.AdamW(_groups(model), lr=plan.rate, betas=(0.9, 0.99))
    start, shown = time.monotonic(), 0.0
    for step in range(plan.steps):
        share = step / plan.steps
        if plan.minutes is not None:
            share = max(share, (time.monotonic() - start) / 60 / plan.minutes)
            if share >= 1:
                break
        warm = min((step + 1) / 150, 1.0)
        for group in optimiser.param_groups:
            group["lr"] = plan.rate * warm * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2)
        for _ in range(plan.refresh):
            pool[int(rng.integers(plan.pool))] = make(rng)
        chosen = rng.choice(plan.pool, plan.batch, replace=False)
        turns = rng.integers(0, 8 if augment else 1, plan.batch)
        batch = collate([turned(pool[i], int(t)) for i, t in zip(chosen, turns, strict=True)])
        pixels = batch["img"]
        if plan.small is not None and share < plan.early:
            pixels = torch.nn.functional.interpolate(pixels, (plan.small, plan.small), mode="area")
        with torch.autocast("cpu", torch.bfloat16):
            predictions = model(pixels)
        loss, parts = criterion({k: _full(v) for k, v in predictions.items()}, batch)
        optimiser.zero_grad(set_to_none=True)
        loss.sum().div(plan.batch).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimiser.step()
        _blend(average, model, min(0.998, (step + 1) / (step + 10)))
        shown = 0.98 * shown + 0.02 * float(parts["cls_loss"]) if step else float(parts["cls_loss"])
        if step % 50 == 0:
            spent = time.monotonic() - start
            values = " ".join(f"{k} {float(v):.3f}" for k, v in parts.items())
            log.info("step %d %.0f s share %.3f %s (cls %.3f)", step, spent, share, values, shown)
        if check is not None and (step + 1) % every == 0:
            check(average, step + 1)
    return average


def _full(value: Any) -> Any:
    """Predictions back in float32."""
    return [v.float() for v in value] if isinstance(value, list) else value.float()


def _groups(model: DetectionModel) -> list[dict[str, Any]]:
    """Weight decay on matrices only."""
    decayed = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    plain = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    return [{"params": decayed, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}]


@torch.no_grad()
def _blend(average: DetectionModel, model: DetectionModel, keep: float) -> None:
    """Move the averaged weights a little towards the current ones; counters are copied."""
    for old, new in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if old.dtype.is_floating_point:
            old.lerp_(new, 1 - keep)
        else:
            old.copy_(new)


def log_to(path: str | None) -> None:
    """Send the progress lines to a file, or to stderr."""
    handler = logging.FileHandler(path) if path else logging.StreamHandler(sys.stderr)
    logging.basicConfig(level=logging.INFO, handlers=[handler], format="%(asctime)s %(message)s")


def as_json(layout: Mapping[str, Any]) -> str:
    """The layout as one line of JSON."""
    return json.dumps(layout, separators=(",", ":"))
