"""What is ParchGrad worth on detectors? Maps against known causes, masks, boxes and removal.

    python benchmarks/parchgrad.py measure --kept FOLDER --data DATA --weights WEIGHTS
    python benchmarks/parchgrad.py cost --kept FOLDER --data DATA --weights WEIGHTS
    python benchmarks/parchgrad.py report --kept FOLDER

``measure`` reads every set's ``dev`` half, chooses by it, then reads the ``fresh`` half with the
controls of what was chosen; ``--kept`` holds what is measured, so that a run that was stopped goes
on. Without ``--data`` the simulated sets are measured alone. ``cost`` times the fit of statistics.
``report`` writes ``results/parchgrad.md``, ``.json`` and ``.jpg``.

Evidence is what a map says is for the detection: its positive part, or the absolute value of a
plain or averaged gradient, whose sign depends on whether a part is brighter or darker than its
surroundings. Removal hides the strongest cells of 32 x 32 on a fill that is no method's baseline.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import parchgrad_picture
import parchgrad_report
import parchgrad_sets as sets
import torch
from parchgrad_variants import (
    PLAIN,
    SPLIT,
    STEPS,
    TRIVIAL,
    UNDER,
    Variant,
    evidence,
    on_fresh,
)
from torch import Tensor
from torch.nn import functional

import xai_detect as xd
from xai_detect.detectors.place import place
from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.explainers.parchgrad.fit import fit
from xai_detect.scores.survival import Survival
from xai_detect.values.fills import hide

LEVELS = (0.05, 0.1, 0.2)
"""Shares of the image that removal hides, or shows alone."""

CELLS = 32
FIT_IMAGES = 100
HELD_OUT = {"photo": "mean", "xray": "blur"}
"""Fills that no method here has as its baseline."""

COUNTS = {"dev": 10, "fresh": 20}
"""Detections of half a set; removal costs time, so where it is asked there are fewer."""

COUNTS_REMOVAL = {"dev": 8, "fresh": 10}


def location(found: Tensor, truth: Tensor) -> dict[str, float]:
    """Where evidence lies; NaN without any."""
    total = float(found.sum())
    if total == 0:
        return {"share": float("nan"), "strongest": float("nan")}
    return {
        "share": float(found[truth].sum()) / total,
        "strongest": float(truth.flatten()[int(found.argmax())]),
    }


def removal(found: Tensor, question: sets.Question, detector: WhiteBoxDetector) -> dict[str, float]:
    """What is left of the score without the strongest cells, and with them alone (shares of it)."""
    image = question.image
    cells = functional.adaptive_avg_pool2d(found[None, None], CELLS).flatten()
    # cells of equal evidence, as those without any, come in an order of their own
    order = torch.randperm(len(cells), generator=torch.Generator().manual_seed(0))
    ranks = torch.empty(len(cells))
    ranks[order[cells[order].argsort(descending=True, stable=True)]] = torch.arange(
        len(cells), dtype=torch.float32
    )
    plane = functional.interpolate(ranks.view(1, 1, CELLS, CELLS), image.shape[1:])[0, 0]
    strongest = [plane < round(level * len(cells)) for level in LEVELS]
    fill = HELD_OUT[detector.provenance.domain]
    survival = Survival(detector, image, [question.target])
    changed = [image, *(hide(image, top, fill) for top in strongest)]
    changed += [hide(image, ~top, fill) for top in strongest]
    inputs = survival.frame.to_input(torch.stack(changed))
    scores = survival.of_inputs(inputs)[:, 0]
    kept = (scores / scores[0].clamp(min=1e-6)).tolist()[1:]
    return {
        "without": float(np.mean(kept[: len(LEVELS)])),
        "alone": float(np.mean(kept[len(LEVELS) :])),
    }


def measured(
    name: str, half: str, variants: Sequence[Variant], given: argparse.Namespace
) -> list[dict[str, Any]]:
    """Some variants on half a set, a row each per detection."""
    count = (given.counts if name in sets.PLANTED else given.counts_removal)[half]
    detector, statistics, questions = sets.questions(name, half, count, given)
    rows = []
    for question in questions:
        bare = bare_seconds(detector, question.image)
        for variant in variants:
            (explanation,) = xd.explain(
                variant.method(statistics), detector, question.image, [question.target]
            )
            found = evidence(explanation.heatmap, variant)
            row = {
                "key": question.key,
                "class": question.target.name,
                **asdict(variant),
                "variant": variant.key,
                "chance": float(question.truth.float().mean()),
                **location(found, question.truth),
                "forward": explanation.measured.get("forward_passes", 0.0),
                "backward": explanation.measured.get("backward_passes", 0.0),
                "times_bare": explanation.measured["seconds"] / bare,
            }
            if name not in sets.PLANTED:
                row |= removal(found, question, detector)
            rows.append(row)
    return rows


def bare_seconds(detector: WhiteBoxDetector, image: Tensor) -> float:
    """Median time of one forward pass."""
    pixels = place(detector, image).pixels
    times = []
    for _ in range(3):
        start = time.perf_counter()
        detector.raw(pixels)
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def fit_cost(given: argparse.Namespace) -> None:
    """Processor time of fitting a set, statistics and tests included, over that of detecting it."""
    torch.set_num_threads(1)
    rows = []
    for name in ("screening", *(("coco-yolo11n",) if given.data else ())):
        detector, scans = sets.labelled_scans(name, FIT_IMAGES, given)
        xd.detect(detector, scans[0][0])
        start = time.process_time()
        for image, _, _ in scans:
            xd.detect(detector, image)
        middle = time.process_time()
        fit(detector, scans)
        detecting, fitting = middle - start, time.process_time() - middle
        rows.append({
            "set": name, "images": len(scans), "boxes": sum(len(one[1]) for one in scans),
            "detect": round(detecting, 2), "fit": round(fitting, 2),
            "ratio": round(fitting / detecting, 2),
        })  # fmt: skip
        print(rows[-1], flush=True)
    (given.kept / "fit_cost.json").write_text(json.dumps(rows))


def measure(given: argparse.Namespace) -> None:
    """Both halves of all sets; what the files of ``--kept`` hold is not measured again."""
    torch.set_num_threads(1)
    chosen: list[Variant] = []
    for half in ("dev", "fresh"):
        split = on_fresh(chosen) if chosen else SPLIT
        for name in given.sets:
            file = given.kept / f"{half}-{name}.json"
            rows = json.loads(file.read_text()) if file.exists() else []
            known = {row["variant"] for row in rows}
            wanted = [one for one in (*TRIVIAL, *PLAIN, *split) if one.key not in known]
            if wanted:
                start = time.monotonic()
                rows += measured(name, half, wanted, given)
                file.write_text(json.dumps(rows))
                print(half, name, len(rows), f"{time.monotonic() - start:.0f} s", flush=True)
        if half == "dev":
            found = parchgrad_report.read(given.kept, "dev")
            chosen = [Variant.of(parchgrad_report.best(found, under)) for under in UNDER]
            print("chosen on dev:", [variant.key for variant in chosen], flush=True)


def main() -> None:
    """Measure, or report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["measure", "cost", "report"])
    parser.add_argument("--kept", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--sets", nargs="+", default=None)
    parser.add_argument("--few", action="store_true", help="two images of each half, to try it out")
    given = parser.parse_args()
    two = dict.fromkeys(COUNTS, 2)
    given.counts, given.counts_removal = (two, two) if given.few else (COUNTS, COUNTS_REMOVAL)
    everything = (*sets.SIMULATED, *(sets.PHOTOGRAPHED if given.data else ()))
    given.sets = given.sets or everything
    if given.what != "report":
        given.kept.mkdir(parents=True, exist_ok=True)
        (measure if given.what == "measure" else fit_cost)(given)
        return
    machine = (
        f"{platform.machine()}, one thread of {os.cpu_count()} cores, torch {torch.__version__}"
    )
    settings = {
        "steps": STEPS, "levels": LEVELS, "cells": CELLS, "seeds": sets.SEEDS,
        "fit_cost": json.loads((given.kept / "fit_cost.json").read_text()),
    }  # fmt: skip
    choice = parchgrad_report.write(given.kept, machine, settings)
    parchgrad_picture.draw(
        parchgrad_picture.drawn(Variant.of(choice)), parchgrad_report.RESULTS / "parchgrad.jpg"
    )


if __name__ == "__main__":
    main()
