"""How many masks does each mask design need? Rank correlation with a map of 20,000 masks.

    python benchmarks/mask_designs.py WEIGHTS IMAGE... --imgsz 192 --scores scores.pt

Every box of an image shares its masks. The reference of a box is the plain covariance map of 20,000
independent masks (``iid``) of a seed that nothing else uses; a second table takes the regression
map of the same masks. Each design and estimator is compared with them after 128, 256, ... masks,
for several seeds, on a lattice of points. Scores are kept in ``--scores`` so that a run that was
stopped goes on, and so that maps can be estimated again.
Writes ``results/mask_designs.md`` and ``.json``.
"""

import argparse
import json
import math
import os
import platform
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from xai_detect.detectors.load import load_detector
from xai_detect.detectors.place import place
from xai_detect.detectors.protocol import Detector
from xai_detect.explainers.masks.bank import DESIGNS, Draw, MaskBank, Mixer, Raster
from xai_detect.explainers.masks.estimate import ESTIMATORS, MaskEstimator
from xai_detect.inspection.image import detect
from xai_detect.measures.statistics import bootstrap
from xai_detect.scores.survival import Survival
from xai_detect.values import fills
from xai_detect.values.images import load_image

RESULTS = Path(__file__).parent / "results"
GRID = 16
BATCH = 32
LATTICE = (48, 48)
REFERENCE, REFERENCE_SEED = 20_000, 1_000_000
COUNTS = (128, 256, 512, 1024)
SEEDS = (0, 1)
LATER = (2048, 4096, 8192)
"""Counts of ``iid`` that are compared with the other half of the reference's masks."""
WANTED = 0.95


def scores_of(
    survival: Survival, mixer: Mixer, raster: Raster, bank: MaskBank, count: int
) -> torch.Tensor:
    """Scores of a bank's first masks, a column per box."""
    parts = []
    for draw in bank.blocks(count):
        for start in range(0, len(draw.shown), BATCH):
            some = Draw(*(one[start : start + BATCH] for one in draw))
            parts.append(survival.of_inputs(mixer.show(raster.masks(some))))
    return torch.cat(parts)


def measure(
    detector: Detector, path: Path, confidence: float, kept: dict[str, Any], file: Path
) -> None:
    """All scores of one image; what was measured before is not measured again."""
    image = load_image(path)
    targets = list(detect(detector, image, confidence))
    survival = Survival(detector, image, targets, batch=BATCH)
    placed = place(detector, image)
    mixer = Mixer(placed, fills.default_fill(detector.provenance.domain))
    raster = Raster(GRID, survival.frame.content_size)
    wanted = [("iid", REFERENCE_SEED, REFERENCE)]
    wanted += [(design, seed, max(COUNTS)) for seed in SEEDS for design in DESIGNS]
    names = [f"{target.name} {target.score:.2f}" for target in targets]
    for design, seed, count in wanted:
        key = f"{path.stem} {design} {seed}"
        if key not in kept:
            start = time.process_time()
            scores = scores_of(survival, mixer, raster, MaskBank(design, GRID, 0.5, seed), count)
            kept[key] = {"scores": scores, "seconds": time.process_time() - start, "boxes": names}
            torch.save(kept, file)
            print(key, names, f"{kept[key]['seconds']:.0f} s", flush=True)


def box_figures(kept: dict[str, Any], stem: str) -> list[dict[str, float]]:
    """Rank correlations of every box of an image, by ``design estimator count``."""
    bank = MaskBank("iid", GRID, 0.5, REFERENCE_SEED)
    scores = kept[f"{stem} iid {REFERENCE_SEED}"]["scores"]
    plain = MaskEstimator(bank, LATTICE, "covariance")
    reference, widths = plain.estimate(scores)
    closer = MaskEstimator(bank, LATTICE, "regression").estimate(scores).heatmaps
    second = plain.estimate(scores, half=1).heatmaps
    parts = {count: plain.estimate(scores[: 2 * count], half=0).heatmaps for count in LATER}
    parts[REFERENCE // 2] = plain.estimate(scores, half=0).heatmaps
    linear = linear_share(bank, scores)
    odd = odd_share([kept[f"{stem} antithetic {seed}"]["scores"] for seed in SEEDS])
    rows = [
        {
            **{f"iid {count} with the other half": rank(one[box], second[box])
               for count, one in parts.items()},
            "pixels told from 0": float((reference[box].abs() > widths[box]).float().mean()),
            "regression map of all masks": rank(closer[box], reference[box]),
            "score variance that is linear in the mask": float(linear[box]),
            "score variance that changes sign with the mask": float(odd[box]),
        }
        for box in range(len(reference))
    ]  # fmt: skip
    for design in DESIGNS:
        for estimator in ESTIMATORS:
            for count in COUNTS:
                found: list[list[float]] = [[] for _ in rows]
                better: list[list[float]] = [[] for _ in rows]
                for seed in SEEDS:
                    some = kept[f"{stem} {design} {seed}"]["scores"][:count]
                    bank = MaskBank(design, GRID, 0.5, seed)
                    maps = MaskEstimator(bank, LATTICE, estimator).estimate(some).heatmaps
                    for box in range(len(rows)):
                        found[box].append(rank(maps[box], reference[box]))
                        better[box].append(rank(maps[box], closer[box]))
                for box, row in enumerate(rows):
                    row[f"{design} {estimator} {count}"] = sum(found[box]) / len(SEEDS)
                    row[f"{design} {estimator} {count} closer"] = sum(better[box]) / len(SEEDS)
    return rows


def linear_share(bank: MaskBank, scores: torch.Tensor) -> torch.Tensor:
    """Share of the scores' variance that least squares explain, less what chance explains."""
    lattice = Raster(GRID, (GRID, GRID))
    parts = [lattice.masks(draw).flatten(1).double() for draw in bank.blocks(len(scores))]
    seen, wanted = torch.cat(parts) - bank.keep, scores.double() - scores.double().mean(dim=0)
    missed = wanted - seen @ torch.linalg.solve(seen.T @ seen, seen.T @ wanted)
    spare = (len(scores) - 1) / (len(scores) - 1 - seen.shape[1])
    return 1 - spare * missed.square().sum(dim=0) / wanted.square().sum(dim=0)


def odd_share(pairs: list[torch.Tensor]) -> torch.Tensor:
    """Share of the scores' variance that lies in half the difference of opposite masks."""
    scores = torch.cat(pairs)
    return ((scores[::2] - scores[1::2]) / 2).var(dim=0) / scores.var(dim=0)


def rank(one: torch.Tensor, other: torch.Tensor) -> float:
    """Spearman's correlation of two maps."""
    return float(spearmanr(one.flatten().numpy(), other.flatten().numpy()).statistic)


def summary(rows: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Mean over boxes and its bootstrap interval, per figure."""
    figures = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        mean = partial(_mean_of_drawn, np.array(values))
        ((low, high),) = bootstrap(len(values), mean, seed=0)
        figures[name] = {"mean": sum(values) / len(values), "low": low, "high": high}
    return figures


def _mean_of_drawn(values: np.ndarray, drawn: np.ndarray) -> list[float]:
    return [float(np.average(values, weights=drawn))]


def as_good_as(
    figures: dict[str, dict[str, float]], design: str, estimator: str, suffix: str
) -> str:
    """How many plain independent masks do what one mask of a design does, at its largest count.

    Read off between the counts measured, on a logarithmic scale.
    """
    curve = [figures[f"iid covariance {count}{suffix}"]["mean"] for count in COUNTS]
    count = COUNTS[-1]
    while figures[f"{design} {estimator} {count}{suffix}"]["mean"] > curve[-1]:
        if count == COUNTS[0]:
            return f"more than {COUNTS[-1] / count:.1f}"
        count //= 2
    level = figures[f"{design} {estimator} {count}{suffix}"]["mean"]
    for at in range(len(COUNTS) - 1):
        if curve[at] <= level <= curve[at + 1]:
            share = (level - curve[at]) / (curve[at + 1] - curve[at])
            steps = math.log(COUNTS[at]) + share * math.log(COUNTS[at + 1] / COUNTS[at])
            return f"{math.exp(steps) / count:.1f}"
    return f"less than {COUNTS[0] / count:.1f}"


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    figures = results["figures"]
    lines = [
        "# Mask designs",
        "",
        f"{results['detector']} at {results['imgsz']} px, {len(results['boxes'])} boxes of "
        f"{len(results['images'])} images, grid {GRID}, keep 0.5, seeds {list(SEEDS)} for every "
        f"count; {results['machine']}. Mean over boxes of Spearman's correlation on "
        f"{LATTICE[0]} x {LATTICE[1]} points; in brackets its 95 % bootstrap interval over boxes "
        "(1,000 resamples, seed 0). Boxes of one image share masks and are not independent.",
        "",
    ]
    heads = {"": f"With the plain map of {REFERENCE:,} independent masks (the reference)"}
    heads[" closer"] = "With the regression map of the same masks, which holds less noise"
    for suffix, title in heads.items():
        counts = " | ".join(f"{count} masks" for count in COUNTS)
        lines += [f"## {title}", "", f"| design | estimator | {counts} | iid masks per mask |",
                  "|---|---|" + "---|" * (len(COUNTS) + 1)]  # fmt: skip
        for design in DESIGNS:
            for estimator in ESTIMATORS:
                names = [f"{design} {estimator} {count}{suffix}" for count in COUNTS]
                cells = " | ".join(cell(figures[name]) for name in names)
                worth = as_good_as(figures, design, estimator, suffix)
                lines.append(f"| {design} | {estimator} | {cells} | {worth} |")
        lines.append("")
    lines += ["## How well the reference knows itself", "", "| figure | value |", "|---|---|"]
    for name, value in figures.items():
        if not name.startswith(DESIGNS) or "other half" in name:
            lines.append(f"| {name} | {cell(value)} |")
    return "\n".join([*lines, "", results["answer"], ""])


def cell(figure: dict[str, float]) -> str:
    """A mean with its interval."""
    return f"{figure['mean']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def answer(figures: dict[str, dict[str, float]]) -> str:
    """Does a design get to 0.95 with a quarter of the masks that independent ones need?"""
    curve = {count: figures[f"iid covariance {count}"]["mean"] for count in COUNTS}
    halves = (*LATER, REFERENCE // 2)
    curve |= {count: figures[f"iid {count} with the other half"]["mean"] for count in halves}
    needed = min((count for count, value in curve.items() if value >= WANTED), default=None)
    found = {
        (design, estimator, count): figures[f"{design} {estimator} {count}"]["mean"]
        for design in DESIGNS
        for estimator in ESTIMATORS
        for count in COUNTS
    }
    reached = [key for key, value in found.items() if value >= WANTED]
    best = max(found, key=lambda key: found[key])
    words = (
        f"Independent masks with the plain estimate reach {WANTED} with {needed:,} masks."
        if needed
        else f"Independent masks with the plain estimate do not reach {WANTED} with "
        f"{REFERENCE // 2:,} masks: two such halves correlate by {curve[REFERENCE // 2]:.3f}."
    )
    if reached and (needed is None or min(reached, key=lambda key: key[2])[2] * 4 <= needed):
        first = min(reached, key=lambda key: key[2])
        return f"{words} {first[0]} with {first[1]} reaches it with {first[2]:,}."
    linear = figures["score variance that is linear in the mask"]["mean"]
    odd = figures["score variance that changes sign with the mask"]["mean"]
    unequal = 1 - figures["pixels told from 0"]["mean"]
    return (
        f"{words} No design reaches it with up to {max(COUNTS):,} masks, the most that were tried; "
        f"the best is {best[0]} with {best[1]}, {found[best]:.3f} at {best[2]:,}. Why: a design or "
        f"a fit can take away the variance that is linear in the mask ({linear:.0%}), and pairs of "
        f"opposites what does not change sign with it ({1 - odd:.0%}); the rest "
        f"({odd - linear:.0%}) stays, and counts twice because a pair costs two masks. And ranks "
        f"count every pixel: even {REFERENCE:,} masks do not tell {unequal:.0%} of the pixels "
        "from 0."
    )


def main() -> None:
    """Measure, estimate and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--confidence", type=float, default=0.5)
    parser.add_argument("--scores", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    detector = load_detector(given.weights, imgsz=given.imgsz)
    kept: dict[str, Any] = torch.load(given.scores) if given.scores.exists() else {}
    for path in given.images:
        measure(detector, path, given.confidence, kept, given.scores)
    rows = {path.stem: box_figures(kept, path.stem) for path in given.images}
    figures = summary([row for some in rows.values() for row in some])
    results = {
        "detector": detector.provenance.name,
        "imgsz": given.imgsz,
        "images": [path.stem for path in given.images],
        "boxes": [
            f"{stem} {name}" for stem in rows
            for name in kept[f"{stem} iid {REFERENCE_SEED}"]["boxes"]
        ],
        "reference": {"masks": REFERENCE, "seed": REFERENCE_SEED},
        "seeds": SEEDS,
        "machine": f"{platform.machine()}, one thread of {os.cpu_count()} cores, torch "
        f"{version('torch')}",
        "cpu_seconds": round(sum(one["seconds"] for one in kept.values())),
        "answer": answer(figures),
        "figures": figures,
        "per_box": rows,
    }  # fmt: skip
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "mask_designs.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    (RESULTS / "mask_designs.md").write_text(table(results), encoding="utf-8")


if __name__ == "__main__":
    main()
