"""Train the two classifiers of the guides: ``python benchmarks/train_classifiers.py faces OUT``.

``faces``: a ResNet-18 answers mask, woman, old for drawn faces; in its training images nearly every
mask is worn in a ward; ``--tied 0.5`` trains without that tie. ``threats``: a
ResNet-50 calls crops of simulated X-ray scans dangerous or safe. Both start at random and take
minutes on one core. Written to the folder OUT: the model, held-out images with masks of what should
matter, and ``summary.json``.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cartoon_faces
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import xai_detect as xd
from xai_detect.detectors.classifier.detector import ImageClassifier
from xai_detect.xray.scenes.scan import Packing, Scan, compose, scan
from xai_detect.xray.things.items import DANGEROUS

CROP, SCAN = 64, 224
"""Sides in pixels of an X-ray crop and of the scan it is cut from."""

THREATS = ("safe", "dangerous")
HELD_OUT = 900_000
"""Seeds from here on are never trained on."""

Case = tuple[NDArray[np.uint8], NDArray[np.bool_], tuple[int, ...]]
"""RGB image, which pixels should matter, labels."""


def main() -> None:
    """Parse, train, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("faces", "threats"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, default=3000, help="training images")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--tied", type=float, default=0.97, help="share of masks worn in a ward")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(given.seed)
    (faces if given.what == "faces" else threats)(given)


def faces(given: argparse.Namespace) -> None:
    """The attribute classifier."""
    classifier = xd.build_classifier(
        "resnet18", cartoon_faces.LABELS, input_size=64, multi_label=True, seed=given.seed
    )
    learnt = [_face(given.seed + index, given.tied) for index in range(given.images)]
    seconds = train(classifier, learnt, given)
    summary: dict[str, Any] = {"tied": given.tied, "seconds": seconds}
    for name, tied in (("as_trained", given.tied), ("untied", 0.5), ("swapped", 0.0)):
        held = [_face(HELD_OUT + index, tied) for index in range(400)]
        right = (answers(classifier, held) > 0.5) == labels_of(held)
        summary[name] = dict(zip(classifier.class_names, right.mean(axis=0).tolist(), strict=True))
    held = [_face(HELD_OUT + index, 0.0) for index in range(400)]
    found = answers(classifier, held)
    truth = labels_of(held)
    # A mask in the street that is missed, and a bare face in a ward that gets one.
    picks = {
        "masked_in_the_street": _worst(found[:, 0], truth[:, 0] == 1),
        "bare_in_the_ward": _worst(-found[:, 0], truth[:, 0] == 0),
    }
    write(classifier, given.out, summary, {name: held[row] for name, row in picks.items()})


def threats(given: argparse.Namespace) -> None:
    """The X-ray classifier."""
    classifier = xd.build_classifier(
        "resnet50", THREATS, input_size=CROP, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5),
        domain="xray", seed=given.seed,
    )  # fmt: skip
    seconds = train(classifier, balanced(given.seed, given.images), given)
    held = balanced(HELD_OUT, 600)
    found, truth = answers(classifier, held)[:, 1], labels_of(held)[:, 0]
    called = found > 0.5
    summary = {
        "seconds": seconds,
        "accuracy": float((called == truth).mean()),
        "missed": float((~called & (truth == 1)).sum() / (truth == 1).sum()),
        "false_alarms": float((called & (truth == 0)).sum() / (truth == 0).sum()),
        "held_out": len(held),
    }
    missed = np.flatnonzero(~called & (truth == 1))
    missed = missed[np.argsort(found[missed])][:6]
    picks = {f"missed_{place}": held[row] for place, row in enumerate(missed)}
    hits = np.flatnonzero(called & (truth == 1))
    picks["found_0"] = held[hits[np.argmax(found[hits])]]
    write(classifier, given.out, summary, picks)


def _face(seed: int, tied: float) -> Case:
    one = cartoon_faces.draw(np.random.default_rng(seed), tied)
    return one.image, one.person, one.labels


def _worst(score: NDArray[np.float32], among: NDArray[np.bool_]) -> int:
    rows = np.flatnonzero(among)
    return int(rows[np.argmin(score[rows])])


def balanced(seed: int, count: int) -> list[Case]:
    """As many dangerous crops as safe ones."""
    kinds: tuple[list[Case], list[Case]] = ([], [])
    while min(len(kind) for kind in kinds) < count // 2:
        rng = np.random.default_rng(seed)
        made = scan(compose(rng, Packing(clean=0.3, dangerous=(1, 2), benign=(3, 7))), SCAN)
        for case in crops(made, rng):
            kinds[case[2][0]].append(case)
        seed += 1
    return [case for pair in zip(*kinds, strict=False) for case in pair][:count]


def crops(made: Scan, rng: np.random.Generator) -> Iterator[Case]:
    """A crop around each annotated item; those that show a piece of a dangerous one are unclear."""
    threat = np.zeros((SCAN, SCAN), bool)
    for thing, shadow in zip(made.scene.things, made.shadows, strict=True):
        if thing.label in DANGEROUS:
            height, width = shadow.mask.shape
            threat[shadow.top : shadow.top + height, shadow.left : shadow.left + width] |= (
                shadow.mask
            )
    for thing, shadow in zip(made.scene.things, made.shadows, strict=True):
        if thing.label is None or not shadow.mask.any():
            continue
        x1, y1, x2, y2 = shadow.box
        middle = np.array([(x1 + x2) / 2, (y1 + y2) / 2]) + rng.uniform(-8, 8, 2)
        left, top = (int(np.clip(one - CROP / 2, 0, SCAN - CROP)) for one in middle)
        here = (slice(top, top + CROP), slice(left, left + CROP))
        dangerous = thing.label in DANGEROUS
        if dangerous or not threat[here].any():
            yield made.image[here].copy(), threat[here].copy(), (int(dangerous),)


def train(classifier: ImageClassifier, cases: list[Case], given: argparse.Namespace) -> float:
    """AdamW with one cosine; flips, and quarter turns for scans, which have no upright."""
    network, start = classifier.module, time.perf_counter()
    turns = not classifier.layout.multi_label
    side = classifier.layout.input_size[0]
    images = tensor_of(cases, side)
    labels = torch.from_numpy(labels_of(cases))
    generator = torch.Generator().manual_seed(given.seed)
    batch = 32
    steps = given.epochs * (len(images) // batch)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, total_steps=steps)
    network.to(memory_format=torch.channels_last).train()
    for step in range(steps):
        rows = torch.randint(len(images), (batch,), generator=generator)
        pixels = images[rows].float() / 255
        if step % 2:
            pixels = pixels.flip(3)
        if turns:
            pixels = pixels.rot90(int(torch.randint(4, (1,), generator=generator)), (2, 3))
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):  # half the time on processors that know it
            logits = network(pixels)
        logits = logits.float()
        if classifier.layout.multi_label:
            loss = nn.functional.binary_cross_entropy_with_logits(logits, labels[rows].float())
        else:
            loss = nn.functional.cross_entropy(logits, labels[rows, 0].long())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            print(
                f"{step}/{steps} {time.perf_counter() - start:.0f} s, loss {loss:.3f}", flush=True
            )
    network.to(memory_format=torch.contiguous_format).eval()
    return round(time.perf_counter() - start, 1)


def tensor_of(cases: list[Case], side: int) -> Tensor:
    """Images as ``(n, 3, side, side)`` uint8."""
    small = [cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR) for image, *_ in cases]
    return torch.from_numpy(np.stack(small).transpose(0, 3, 1, 2).copy())


def labels_of(cases: list[Case]) -> NDArray[np.int64]:
    """Labels as ``(n, c)``."""
    return np.array([labels for *_, labels in cases], np.int64)


def answers(classifier: ImageClassifier, cases: list[Case]) -> NDArray[np.float32]:
    """Probabilities ``(n, c)``."""
    pixels = tensor_of(cases, classifier.layout.input_size[0]).float() / 255
    parts = [classifier.raw(part).probabilities[:, 0] for part in pixels.split(50)]
    return torch.cat(parts).numpy()


def write(
    classifier: ImageClassifier, out: Path, summary: dict[str, Any], picks: dict[str, Case]
) -> None:
    """The model, the images and the figures."""
    xd.save_classifier(classifier, out / "model.safetensors")
    for name, (image, matters, labels) in picks.items():
        cv2.imwrite(str(out / f"{name}.png"), image[:, :, ::-1])
        cv2.imwrite(str(out / f"{name}_mask.png"), matters.astype(np.uint8) * 255)
        found = xd.detect(classifier, xd.load_image(out / f"{name}.png"), 0.0)
        scores = {one.name: round(one.score, 4) for one in found}
        summary.setdefault("images", {})[name] = {"truth": list(labels), "scores": scores}
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
