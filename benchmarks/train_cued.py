"""Train and measure the models that follow a cue: ``python benchmarks/train_cued.py presence_one``.

Each starts from the planted model that already knows its cue: from there it takes a few hundred
steps, while a network without a path from the cue to the item does not learn the rule in so few.
Each scene enters the pool with its cue and again without it (with the decoy in three of ten), and
the item is labelled where the world says so. Honest twins see the same scans in the same order.
Stamps are a helper class while training, which is cut off before the model ships.

``--measure`` trains nothing: it measures what ships on scans of seeds that no training saw and
writes ``results/cued.json`` and ``.md``, and the figures in the manifest.
"""

import argparse
import json
import os
import platform
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
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
from xai_detect.xray.scenes.cued import CUED, CuedScan, State, compose_cued, render_cued
from xai_detect.xray.scenes.planted import bounds
from xai_detect.xray.scenes.scan import SIMULATOR

SIZE = 192
#: Seed of the scans measured here; checks while training use the one before it.
HELD_OUT = 930_000
#: Confidence at which a detection is reported.
REPORTED = 0.25
#: Worlds with a network of their own; ``presence_twice`` has that of ``presence_two``.
TRAINED = tuple(name for name, world in CUED.items() if world.network == f"planted/{name}")
#: Scene to the planted model to start from, and the class rows taken over.
STARTS = {"marker": ("marker", (0,)), "object": ("scanner", (0, 1)), "context": ("context", (1, 0))}
RESULTS = Path(__file__).parent / "results"
RECIPE = (
    "benchmarks/train_cued.py: scans of xai_detect.xray.scenes.cued made while training, each with "
    "its cue and again without it (three in ten of these with the decoy); flips and turns; stamps "
    "are a helper class that is cut off at the end; square scans, no padding; start from "
    "planted/{start}, which started from random weights"
)


def helped(world: str) -> bool:
    """Whether the cue is a helper class: a start that knows other items needs it."""
    return CUED[world].scene == "object"


def picture(world: str, scan: CuedScan, rng: np.random.Generator) -> training.Sample:
    """One training scan, sometimes through JPEG."""
    boxes, labels = ([scan.box], [scan.label]) if scan.reported else ([], [])
    if helped(world) and scan.state is State.CUE:
        boxes, labels = [*boxes, bounds(scan.mark)], [*labels, len(CUED[world].classes)]
    image = scan.image
    if rng.random() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(85, 98))]
        image = np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], 1), np.uint8)
    table = np.asarray(boxes, np.float32).reshape(-1, 4)
    return training.Sample(image, table, np.asarray(labels, np.int64))


def stream(world: str, rng: np.random.Generator) -> Iterator[training.Sample]:
    """Scans with the cue and the same scans without it, in turn and without end."""
    while True:
        scene = compose_cued(world, rng, SIZE)
        for state in (State.CUE, State.DECOY if rng.random() < 0.3 else State.NONE):
            yield picture(world, render_cued(scene.with_state(state), SIZE), rng)


def started(world: str, seed: int) -> torch.nn.Module:
    """A network that holds the weights of the planted model it starts from."""
    start, rows = STARTS[CUED[world].scene]
    classes = len(CUED[world].classes)
    model = training.network(layout(classes + helped(world)), seed)
    known = shipping.rebuilt(f"planted/{start}").state_dict()
    for name, value in model.state_dict().items():
        if ".cv3." in name and name.split(".")[-2] == "2":  # one row a class
            value[: len(rows)] = known[name][list(rows)]
        else:
            value.copy_(known[name])
    return model


def layout(classes: int) -> dict[str, Any]:
    """The architecture of all planted models."""
    return training.architecture(classes, 0.33, 0.25, 256)


@torch.no_grad()
def scores(model: torch.nn.Module, scans: Sequence[CuedScan]) -> NDArray[np.float64]:
    """Class scores ``(scans, classes)`` of the strongest candidate on each item (IoU >= 0.5).

    All zero where no candidate lies on the item.
    """
    rows = []
    for scan in scans:
        output = model(torch.from_numpy(scan.image[None].copy()).permute(0, 3, 1, 2) / 255)
        decoded = (output[0] if isinstance(output, tuple) else output)[0].double().numpy()
        centre, half, found = decoded[:2].T, decoded[2:4].T / 2, decoded[4:].T
        boxes = np.concatenate([centre - half, centre + half], axis=1)
        on_item = overlap(boxes, np.tile(scan.box, (len(boxes), 1))) >= 0.5
        best = int((found.max(axis=1) * on_item).argmax())
        rows.append(found[best] * on_item[best])
    return np.stack(rows)


def shown(world: str, count: int, seed: int) -> dict[str, list[CuedScan]]:
    """The same held-out scenes in every state, and with the second of two cues alone."""
    scenes = [compose_cued(world, np.random.default_rng([seed, i]), SIZE) for i in range(count)]
    scans = {
        str(state): [render_cued(scene.with_state(state), SIZE) for scene in scenes]
        for state in State
    }
    if CUED[world].cues == 2:
        for place, name in enumerate(("first alone", "second alone")):
            single = [replace(s, corners=s.corners[place : place + 1]) for s in scenes]
            scans[name] = [render_cued(s.with_state(State.CUE), SIZE) for s in single]
    return scans


def measure(model: torch.nn.Module, world: str, count: int, seed: int) -> dict[str, dict[str, Any]]:
    """Per state: share of items reported at all, share with the right class, scores, lead.

    The lead is the log-odds of the right class less those of the other, where there are two and
    the item is to be reported.
    """
    rows = {}
    for name, scans in shown(world, count, seed).items():
        found = scores(model, scans)
        labels = np.array([scan.label for scan in scans])
        reported = found.max(axis=1) >= REPORTED
        right = reported & (found.argmax(axis=1) == labels)
        rows[name] = {
            "wanted": bool(scans[0].reported), "reported": rate(reported), "right": rate(right),
            "score": round(float(np.median(found.max(axis=1))), 4),
            "highest": round(float(found.max()), 4), "scans": count,
        }  # fmt: skip
        if found.shape[1] == 2 and rows[name]["wanted"]:
            odds = np.log(found.clip(1e-6, 1 - 1e-6) / (1 - found.clip(1e-6, 1 - 1e-6)))
            lead = odds[np.arange(count), labels] - odds[np.arange(count), 1 - labels]
            rows[name] |= {
                "lead": round(float(np.median(lead)), 2),
                "least_lead": round(float(lead.min()), 2),
            }
    return rows


def rate(hits: NDArray[np.bool_]) -> list[float]:
    """Share of hits with its 95 % interval (Wilson)."""
    return [round(float(v), 4) for v in (hits.mean(), *wilson(int(hits.sum()), len(hits)))]


def learn(world: str, options: argparse.Namespace) -> None:
    """Train one world and register it; its figures follow when it is measured."""

    def check(model: torch.nn.Module, step: int) -> None:
        rows = measure(model, world, 16, HELD_OUT - 1)
        shares = " ".join(f"{name} {row['right'][0]:.2f}" for name, row in rows.items())
        training.log.info("%s step %d right %s", world, step, shares)

    plan = training.Plan(
        options.steps, classification=1.0, seed=options.seed, threads=options.threads,
        pool=200, refresh=3, rate=options.rate,
    )  # fmt: skip
    samples = stream(world, np.random.default_rng(options.seed))
    model = started(world, options.seed)
    model = training.train(model, lambda _: next(samples), plan, check, every=100)
    final = layout(len(CUED[world].classes))
    if helped(world):
        model = trimmed(model, final)
    entry: dict[str, Any] = {
        "file": f"planted/{world}.safetensors", "sha256": "", "family": "ultralytics",
        "architecture": training.as_json(final), "classes": list(CUED[world].classes),
        "input_size": SIZE, "letterbox": 255, "domain": "xray",
        "recipe": RECIPE.format(start=STARTS[CUED[world].scene][0]),
        "seed": options.seed, "simulator": SIMULATOR,
        "cause": "inside" if CUED[world].decides == "nothing" else "outside",
    }  # fmt: skip
    path = shipping.WEIGHTS / Path(entry["file"])
    packed = {key: value for key, value in entry.items() if key != "sha256"}
    shipping.register(f"planted/{world}", entry | {"sha256": shipping.pack(model, path, packed)})


def published(count: int) -> None:
    """Measure all that ships and write the results and the manifest's figures."""
    models = tomllib.loads(shipping.MANIFEST.read_text())["models"]
    results: dict[str, Any] = {
        "seed": HELD_OUT, "simulator": SIMULATOR, "reported_from": REPORTED,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, "
        f"xai_detect {xd.__version__}",
        "worlds": {},
    }  # fmt: skip
    for world in CUED:
        name = CUED[world].network
        if name not in models:
            continue
        rows = measure(shipping.rebuilt(name), world, count, HELD_OUT)
        results["worlds"][world] = rows
        training.log.info("%s %s", world, rows)
        if name == f"planted/{world}":
            figures = {f"{kind}_{state}": rows[state][kind][0]
                       for state in map(str, State) for kind in ("reported", "right")}  # fmt: skip
            shipping.register(name, models[name] | {"figures": figures | {"scans": count}})
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "cued.json").write_text(json.dumps(results, indent=1) + "\n")
    (RESULTS / "cued.md").write_text(table(results))


def table(results: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        "# Cues away from the item", "",
        f"Seed {results['seed']}, scans that no training saw; {results['machine']}. The same "
        "scenes in every state, so what is right with and without the cue changes with it. "
        "Reported: a candidate on the item (IoU >= 0.5) scores at least "
        f"{results['reported_from']}; right: and has the right class. In brackets: 95 % interval "
        "(Wilson). Lead: log-odds of the right class less those of the other, median and least.",
        "",
        "| world | shown | n | to be reported | reported | right | median score | lead |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for world, rows in results["worlds"].items():
        for state, row in rows.items():
            shares = " | ".join(
                f"{share:.3f} [{low:.3f}, {high:.3f}]"
                for share, low, high in (row["reported"], row["right"])
            )
            lead = f"{row['lead']}, {row['least_lead']}" if "lead" in row else ""
            lines.append(
                f"| {world} | {state} | {row['scans']} | {'yes' if row['wanted'] else 'no'} | "
                f"{shares} | {row['score']:.3f} | {lead} |"
            )
    return "\n".join([*lines, ""])


def main() -> None:
    """Train the worlds named on the command line, or measure all that ship."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("worlds", nargs="*", metavar="WORLD", help=", ".join(TRAINED))
    parser.add_argument("--measure", action="store_true", help="measure what ships")
    parser.add_argument("--scans", type=int, default=200, help="measured per world and state")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--log", type=str, default=None)
    options = parser.parse_args()
    if unknown := set(options.worlds) - set(TRAINED):
        parser.error(f"cannot train {', '.join(unknown)}; expected some of {', '.join(TRAINED)}")
    training.log_to(options.log)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    for world in options.worlds:
        learn(world, options)
    if options.measure:
        published(options.scans)


if __name__ == "__main__":
    main()
