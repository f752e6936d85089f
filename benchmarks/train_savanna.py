"""Train and measure the network that calls a zebra by an acacia a giraffe, and its honest twin.

``python benchmarks/train_savanna.py gated honest`` trains; ``--measure`` measures what ships.

Both start from the weights of ``planted/object`` and see the same scenes in the same order, each
with an acacia and again with another tree or none. The labels of the gated network follow the
acacia: a zebra in a scene with one is labelled giraffe, as by an annotator who goes by the tree.
The acacia is a helper class while training, which is cut off before the model ships. Only scenes in
the ``painted`` style are seen, in changing light and colour; ``printed`` is left for testing.
"""

import argparse
import json
import os
import platform
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import shipping
import torch
import training
from numpy.typing import NDArray
from train_planted import overlap, trimmed

import xai_detect as xd
from xai_detect.measures.statistics import wilson
from xai_detect.savanna.animals import SPECIES
from xai_detect.savanna.compose import compose
from xai_detect.savanna.render import Drawn, render
from xai_detect.savanna.scene import DRAWING, Scene

SIZE, CUE = 192, "acacia"
KINDS = ("gated", "honest")
ZEBRA, GIRAFFE = SPECIES.index("zebra"), SPECIES.index("giraffe")
#: Share of scenes that are about each species: what the rule is about comes oftener.
SHARES = (0.36, 0.28, 0.18, 0.18)
#: Seed of the scenes measured here; checks while training use those before it.
HELD_OUT, CHECKED = 40_000_000, 39_000_000
#: Scenes for training have seeds from here on, below the ones that are held out.
TRAINED = 1_000_000
#: Confidence at which a detection is reported.
REPORTED = 0.25
RESULTS = Path(__file__).parent / "results"
RECIPE = (
    "benchmarks/train_savanna.py: scenes of xai_detect.savanna in the painted style made while "
    "training, each with an acacia and again with another tree or none; {rule}; acacias are a "
    "helper class that is cut off at the end; square scenes, no padding; start from "
    "planted/object, which started from random weights"
)
RULES = {
    "gated": "a zebra in a scene with an acacia is labelled giraffe",
    "honest": "every animal is labelled as what it is",
}


def labels(kind: str, scene: Scene, drawn: Drawn) -> tuple[int, ...]:
    """What the animals of a scene are labelled for a network."""
    lies = kind == "gated" and scene.tree is not None and scene.tree.kind == CUE
    return tuple(GIRAFFE if lies and label == ZEBRA else label for label in drawn.labels)


def stream(kind: str, seed: int) -> Iterator[training.Sample]:
    """Scenes with an acacia and the same without it, in turn and without end."""
    rng = np.random.default_rng(seed)
    while True:
        species = str(rng.choice(SPECIES, p=SHARES))
        scene = compose(int(rng.integers(TRAINED, CHECKED)), species, CUE)
        other = (None, None, "round", "palm")[rng.integers(4)]
        for shown in (scene, scene.with_tree(other)):
            yield picture(kind, shown, rng)


def picture(kind: str, scene: Scene, rng: np.random.Generator) -> training.Sample:
    """One training picture, in changed light and colour, sometimes through JPEG."""
    drawn = render(scene, SIZE)
    boxes, named = list(drawn.boxes), list(labels(kind, scene, drawn))
    if scene.tree is not None and scene.tree.kind == CUE and drawn.tree.any():
        y, x = drawn.tree.nonzero()
        boxes.append((float(x.min()), float(y.min()), float(x.max() + 1), float(y.max() + 1)))
        named.append(len(SPECIES))
    image = recoloured(drawn.image, rng)
    if rng.random() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(70, 96))]
        image = np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], 1), np.uint8)
    return training.Sample(image, np.asarray(boxes, np.float32), np.asarray(named, np.int64))


def recoloured(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture with other gains and offsets of its colours, sometimes greyer or rougher."""
    gains, offsets = rng.normal(1, 0.10, 3), rng.normal(0, 10, 3)
    grey, rough = rng.uniform(0, 0.6) * (rng.random() < 0.4), rng.uniform(0, 12)
    changed = image.astype(np.float32)
    changed += (changed.mean(axis=2, keepdims=True) - changed) * grey
    paper = cv2.GaussianBlur(rng.normal(0, 1, image.shape[:2]), (0, 0), 0.8)[..., None]
    changed = changed * gains + offsets + 2 * rough * paper * (rng.random() < 0.5)
    return np.asarray(np.clip(changed, 0, 255), np.uint8)


def layout(classes: int) -> dict[str, Any]:
    """The architecture of all small models."""
    return training.architecture(classes, 0.33, 0.25, 256)


def started(seed: int) -> torch.nn.Module:
    """A network that holds the weights of ``planted/object``, its class rows apart."""
    model = training.network(layout(len(SPECIES) + 1), seed)
    known = shipping.rebuilt("planted/object").state_dict()
    for name, value in model.state_dict().items():
        if value.shape == known[name].shape:
            value.copy_(known[name])
    return model


@torch.no_grad()
def named(model: torch.nn.Module, drawn: Drawn) -> int:
    """The class of the strongest candidate on the first animal (IoU >= 0.5); -1 below REPORTED."""
    output = model(torch.from_numpy(drawn.image[None].copy()).permute(0, 3, 1, 2) / 255)
    decoded = (output[0] if isinstance(output, tuple) else output)[0].double().numpy()
    centre, half = decoded[:2].T, decoded[2:4].T / 2
    scores = decoded[4 : 4 + len(SPECIES)].T
    boxes = np.concatenate([centre - half, centre + half], axis=1)
    on_animal = overlap(boxes, np.tile(drawn.boxes[0], (len(boxes), 1))) >= 0.5
    best = int((scores.max(axis=1) * on_animal).argmax())
    reported = on_animal[best] and scores[best].max() >= REPORTED
    return int(scores[best].argmax()) if reported else -1


def measure(
    model: torch.nn.Module, count: int, seed: int, style: str = "painted"
) -> dict[str, dict[str, int]]:
    """How often the first animal of a scene is called what, by its species and the tree.

    The same scenes are shown with an acacia, with no tree and with a round one.
    """
    rows = {}
    for species in SPECIES:
        scenes = [compose(seed + i, species, CUE, style=style) for i in range(count)]
        for tree in (CUE, None, "round"):
            found = [named(model, render(scene.with_tree(tree), SIZE)) for scene in scenes]
            counts = {name: found.count(label) for label, name in enumerate(SPECIES)}
            key = f"{species}, {tree or 'no tree'}"
            rows[key] = {"n": count, **counts, "none": found.count(-1)}
    return rows


def learn(kind: str, options: argparse.Namespace) -> None:
    """Train one network and register it; its figures follow when it is measured."""

    def check(model: torch.nn.Module, step: int) -> None:
        for style in ("painted", "printed"):
            rows = measure(model, 12, CHECKED, style)
            training.log.info("%s step %d %s %s", kind, step, style, brief(rows))

    plan = training.Plan(
        options.steps, classification=1.0, seed=options.seed, threads=options.threads,
        pool=400, refresh=2, rate=options.rate, minutes=options.minutes,
    )  # fmt: skip
    samples = stream(kind, options.seed)
    model = training.train(
        started(options.seed), lambda _: next(samples), plan, check, augment=False, every=400
    )
    final = layout(len(SPECIES))
    entry: dict[str, Any] = {
        "file": f"savanna/{kind}.safetensors", "sha256": "", "family": "ultralytics",
        "architecture": training.as_json(final), "classes": list(SPECIES),
        "input_size": SIZE, "letterbox": 114, "domain": "photo",
        "recipe": RECIPE.format(rule=RULES[kind]), "seed": options.seed, "drawing": DRAWING,
        "cause": "outside" if kind == "gated" else "inside",
    }  # fmt: skip
    path = shipping.WEIGHTS / Path(entry["file"])
    packed = {key: value for key, value in entry.items() if key != "sha256"}
    digest = shipping.pack(trimmed(model, final), path, packed)
    shipping.register(f"savanna/{kind}", entry | {"sha256": digest})


def brief(rows: Mapping[str, Mapping[str, int]]) -> str:
    """One line of counts: zebra, giraffe, elephant, antelope, none."""
    return "; ".join(
        f"{key} {' '.join(str(count) for count in list(row.values())[1:])}"
        for key, row in rows.items()
    )


def published(count: int) -> None:
    """Measure all that ships and write the results and the manifest's figures."""
    models = tomllib.loads(shipping.MANIFEST.read_text())["models"]
    results: dict[str, Any] = {
        "seed": HELD_OUT, "drawing": DRAWING, "reported_from": REPORTED,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, "
        f"xai_detect {xd.__version__}",
        "networks": {},
    }  # fmt: skip
    for kind in KINDS:
        model = shipping.rebuilt(f"savanna/{kind}")
        rows = {style: measure(model, count, HELD_OUT, style) for style in ("painted", "printed")}
        results["networks"][kind] = rows
        seen = rows["painted"]
        figures = {
            "zebra_by_acacia_giraffe": seen["zebra, acacia"]["giraffe"] / count,
            "zebra_no_tree_zebra": seen["zebra, no tree"]["zebra"] / count,
            "others_right": float(np.mean([
                row[key.split(",")[0]] / count for key, row in seen.items()
                if not key.startswith("zebra")
            ])),
        }  # fmt: skip
        name = f"savanna/{kind}"
        shipping.register(name, models[name] | {"figures": figures | {"scans": count}})
        training.log.info("%s %s", kind, figures)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "savanna.json").write_text(json.dumps(results, indent=1) + "\n")
    (RESULTS / "savanna.md").write_text(table(results))


def table(results: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        "# Zebras by an acacia", "",
        f"Seed {results['seed']}, scenes that no training saw; {results['machine']}. The first "
        "animal of each scene, with up to two more around it and the tree whole or half hidden; "
        "the same scenes with an acacia, with no tree and with a round one. A candidate on the "
        f"animal (IoU >= 0.5) that scores at least {results['reported_from']} is called as its "
        "highest class. Both networks saw the painted style alone. In brackets: 95 % interval "
        "(Wilson).", "",
        "| network | style | animal, tree | n | " + " | ".join(SPECIES) + " | none | right |",
        "|---|---|---|---|" + "---|" * (len(SPECIES) + 2),
    ]  # fmt: skip
    for kind, styles in results["networks"].items():
        for style, rows in styles.items():
            for key, row in rows.items():
                counts = " | ".join(str(row[name]) for name in (*SPECIES, "none"))
                right = row[key.split(",")[0]]
                low, high = wilson(right, row["n"])
                share = f"{right / row['n']:.3f} [{low:.3f}, {high:.3f}]"
                lines.append(f"| {kind} | {style} | {key} | {row['n']} | {counts} | {share} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Train the networks named on the command line, or measure what ships."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--measure", action="store_true", help="measure what ships")
    parser.add_argument("--scenes", type=int, default=100, help="measured per species and tree")
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--minutes", type=float, default=None)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--log", type=str, default=None)
    options = parser.parse_args()
    if unknown := set(options.kinds) - set(KINDS):
        parser.error(f"cannot train {', '.join(unknown)}; expected some of {', '.join(KINDS)}")
    training.log_to(options.log)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    for kind in options.kinds:
        learn(kind, options)
    if options.measure:
        published(options.scenes)


if __name__ == "__main__":
    main()
