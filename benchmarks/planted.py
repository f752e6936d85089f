"""Known causes: do the planted models use them, and do maps and verdicts say so?

``python benchmarks/planted.py --scans 60`` writes ``results/planted.json`` and ``.md``. Every scan
comes from seeds that no training saw. First the models: a model counts only if swapping the cause
flips the class in at least 95 % of scans and removing it leaves chance. Then, per method and world,
the share of positive evidence on the true cause beside the cause's share of the image (what a flat
map scores) and the hit rate of the strongest pixel; and the verdicts, with the surroundings of
further scans of the same world to try.
"""

import argparse
import json
import math
import os
import platform
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shipping
import torch
import train_planted

import xai_detect as xd
from xai_detect.detectors.protocol import Detector
from xai_detect.measures.statistics import wilson
from xai_detect.trust.budget import BUDGETS
from xai_detect.xray.scenes.planted import HONEST, WORLDS, PlantedScan, render
from xai_detect.xray.scenes.scan import SIMULATOR
from xai_detect.xray.scenes.worlds import compose_apart

RESULTS = Path(__file__).parent / "results"
#: Scans beside those that are judged, whose surroundings are tried.
REFERENCES = 16
#: First seed of the scans measured here; training, its checks and the shipped figures used others.
SEED = 950_000


def interval(hits: float, count: int) -> tuple[float, float]:
    """95 % interval of a rate."""
    low, high = wilson(int(hits), count)
    return (round(low, 4), round(high, 4))


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95 % bootstrap interval (2,000 resamples, seed 0); NaN without values."""
    table = np.asarray([value for value in values if not math.isnan(value)])
    if len(table) == 0:
        return (math.nan, math.nan, math.nan)
    drawn = np.random.default_rng(0).choice(table, (2000, len(table))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return (round(float(table.mean()), 4), round(float(low), 4), round(float(high), 4))


def model_figures(world: str, count: int) -> dict[str, Any]:
    """Whether a model finds its item and obeys its cause, on ``count`` held-out scans."""
    model = shipping.rebuilt(f"planted/{world}")
    values = train_planted.measure(model, world, count, SEED)
    rates = ("found", "right", "flips", "right_without", "found_without", "first_without")
    figures: dict[str, Any] = {
        name: [round(float(values[name].mean()), 4), *interval(float(values[name].sum()), count)]
        for name in rates
    }
    low, high = figures["right_without"][1:]
    # an honest object model has nothing left to classify once its item is gone
    chance = low <= 0.5 <= high or (world == "object" and figures["found_without"][0] <= 0.05)
    figures["counts"] = bool(figures["flips"][0] >= 0.95 and chance)
    figures["scans"] = count
    return figures


def balanced(world: str, index: int, size: int) -> PlantedScan:
    """Held-out scan number ``index``; even ones are of the first class, odd ones of the second."""
    planted = compose_apart(world, np.random.default_rng(SEED + index), size)
    return render(planted if planted.label == index % 2 else planted.swapped(), size)


def mapped(world: str, method: str, scans: Sequence[PlantedScan]) -> dict[str, Any]:
    """Evidence on the true cause, for the best detection of each scan that names the class right.

    A map without positive evidence has no share on the cause and no strongest pixel.
    """
    detector = xd.load_detector(f"planted/{world}")
    shares, chances, hits, seconds, empty = [], [], [], [], 0
    for scan in scans:
        image = xd.load_image(scan.image)
        targets = list(xd.detect(detector, image))[:1]
        if not targets or targets[0].label != scan.label:
            continue
        explanation = xd.explain(method, detector, image, targets)[0]
        positive = explanation.heatmap.clamp(min=0).numpy()
        total = float(positive.sum())
        seconds.append(explanation.measured["seconds"])
        chances.append(float(scan.cause.mean()))
        if total > 0:
            shares.append(float(positive[scan.cause].sum()) / total)
            hits.append(bool(scan.cause.flat[int(positive.argmax())]))
        else:
            empty += 1
    return {
        "share_on_cause": mean_interval(shares),
        "chance": round(float(np.mean(chances)), 4) if chances else math.nan,
        "strongest_on_cause": [
            round(float(np.mean(hits)), 4) if hits else math.nan,
            *interval(sum(hits), len(hits)),
        ],
        "empty_maps": empty,
        "seconds": round(float(np.median(seconds)), 3) if seconds else math.nan,
        "scans": len(scans),
    }


def others(world: str, detector: Detector, first: int) -> list[xd.Reference]:
    """Scans that are not judged, whose surroundings are tried."""
    scans = [balanced(world, first + index, train_planted.SIZE) for index in range(REFERENCES)]
    found = [
        xd.as_reference(detector, str(index), xd.load_image(scan.image))
        for index, scan in enumerate(scans)
    ]
    return [reference for reference in found if len(reference.detections)]


def judged(world: str, scans: Sequence[PlantedScan], budget: str) -> dict[str, Any]:
    """Verdicts under the default policy, for each scan's best detection."""
    detector = xd.load_detector(f"planted/{world}")
    references = others(world, detector, len(scans))
    levels, by_class, reasons = Counter[str](), Counter[str](), Counter[str]()
    for scan in scans:
        seen = xd.inspect(detector, scan.image, budget=budget, references=references)
        if len(seen.detections) == 0 or seen.detections.target(0).label != scan.label:
            levels["missed or misread"] += 1
            continue
        levels[str(seen.verdicts[0].level)] += 1
        by_class[f"{scan.class_name} {seen.verdicts[0].level}"] += 1
        reasons[str(seen.verdicts[0].reason)] += 1
    wanted = "TRUSTED" if world in HONEST else "UNTRUSTED"
    judged = sum(count for name, count in levels.items() if name != "missed or misread")
    return {
        "verdicts": dict(sorted(levels.items())),
        "verdicts_by_class": dict(sorted(by_class.items())),
        "reasons": dict(sorted(reasons.items())),
        "wanted": wanted,
        "as_wanted": [
            round(levels[wanted] / judged, 4) if judged else math.nan,
            *interval(levels[wanted], judged),
        ],
        "scans": len(scans),
    }


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        "# Planted causes",
        "",
        f"Seeds from {results['seed']}; {results['machine']}. In brackets: 95 % interval (Wilson "
        "for rates, bootstrap for shares).",
        "",
        "## Models",
        "",
        "| world | n | item found | class right | swap flips | right without cause | "
        "first class without cause | counts |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for world, row in results["models"].items():
        cells = [
            _cell(row[name])
            for name in ("found", "right", "flips", "right_without", "first_without")
        ]
        counts = "yes" if row["counts"] else "**no**"
        lines.append(f"| {world} | {row['scans']} | {' | '.join(cells)} | {counts} |")
    lines += [
        "",
        f"## Verdicts at the budget {results['budget']}, under the default policy",
        "",
        "| world | n | wanted | as wanted | verdicts | decided by |",
        "|---|---|---|---|---|---|",
    ]
    for row in results["verdicts"]:
        verdicts, reasons = (
            ", ".join(f"{name} {count}" for name, count in row[key].items())
            for key in ("verdicts_by_class", "reasons")
        )
        lines.append(
            f"| {row['world']} | {row['scans']} | {row['wanted']} | "
            f"{_cell(row['as_wanted'])} | {verdicts} | {reasons} |"
        )
    lines += [
        "",
        "## Maps",
        "",
        "Share of positive evidence on the true cause, and whether the strongest pixel lies on it. "
        "Chance is what a flat map scores. A map without positive evidence counts as empty.",
        "",
        "| method | world | n | share on cause | chance | strongest pixel on cause | empty | "
        "seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['method']} | {row['world']} | {row['scans']} | "
        f"{_cell(row['share_on_cause'])} | {row['chance']:.3f} | "
        f"{_cell(row['strongest_on_cause'])} | {row['empty_maps']} | {row['seconds']} |"
        for row in results["maps"]
    ]
    return "\n".join([*lines, ""])


def _cell(values: Sequence[float]) -> str:
    return f"{values[0]:.3f} [{values[1]:.3f}, {values[2]:.3f}]"


def main() -> None:
    """Measure what is in the manifest and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", nargs="+", choices=list(WORLDS), default=None)
    parser.add_argument("--budget", choices=list(BUDGETS), default="standard")
    parser.add_argument("--methods", nargs="*", default=["integrated_gradients"])
    parser.add_argument("--scans", type=int, default=60, help="judged per world")
    parser.add_argument("--map-scans", type=int, default=24, help="per method and world")
    parser.add_argument("--model-scans", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    here = [w for w in WORLDS if (shipping.WEIGHTS / f"planted/{w}.safetensors").exists()]
    worlds = options.worlds or here
    start = time.monotonic()
    results: dict[str, Any] = {
        "seed": SEED,
        "simulator": SIMULATOR,
        "budget": options.budget,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, "
        f"xai_detect {xd.__version__}",
        "models": {},
        "verdicts": [],
        "maps": [],
    }
    for world in worlds:
        results["models"][world] = model_figures(world, options.model_scans)
        most = max(options.scans, options.map_scans)
        scans = [balanced(world, index, train_planted.SIZE) for index in range(most)]
        row = judged(world, scans[: options.scans], options.budget)
        results["verdicts"].append({"world": world} | row)
        for method in options.methods:
            few = scans[: options.map_scans]
            results["maps"].append({"method": method, "world": world} | mapped(world, method, few))
    results["maps"].sort(key=lambda row: options.methods.index(row["method"]))
    results["seconds"] = round(time.monotonic() - start)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "planted.json").write_text(json.dumps(results, indent=1))
    (RESULTS / "planted.md").write_text(table(results))


if __name__ == "__main__":
    main()
