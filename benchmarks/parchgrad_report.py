"""Tables of ``parchgrad.py``: what was measured, put beside plain methods and controls."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results"
Row = dict[str, Any]
TRIVIAL = ("box", "centre_gaussian")
UNDER = ("gradient", "input_x_gradient", "smoothgrad", "integrated_gradients")
SEED = 0


def read(kept: Path, half: str) -> dict[str, list[Row]]:
    """The rows of every set that was measured."""
    files = sorted(kept.glob(f"{half}-*.json"))
    return {file.stem.removeprefix(f"{half}-"): json.loads(file.read_text()) for file in files}


def by_variant(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows of each variant, its detections always in the same order."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["variant"], []).append(row)
    return found


def worth(row: Row) -> float:
    """What a map is chosen by: the share on the truth, and what removal says where it was asked."""
    if "alone" not in row:
        return float(row["share"])
    return (float(row["share"]) + float(row["alone"]) - float(row["without"])) / 2


def figure(values: Sequence[float]) -> list[float]:
    """Mean and 95 % bootstrap interval over images (1,000 resamples); NaN are left out."""
    table = np.asarray(values, dtype=float)
    drawn = table[_draws(len(table))]
    known = ~np.isnan(drawn)
    counts = known.sum(axis=1)
    if not counts.any():
        return [math.nan] * 3
    means = np.where(known, drawn, 0.0).sum(axis=1)[counts > 0] / counts[counts > 0]
    low, high = np.quantile(means, [0.025, 0.975])
    return [round(float(value), 4) for value in (np.nanmean(table), low, high)]


@cache
def _draws(count: int) -> np.ndarray:
    """The same resamples for all figures, so that intervals of differences are paired ones."""
    return np.random.default_rng(SEED).integers(count, size=(1000, count))


def plain(under: str) -> str:
    """The variant that ParchGrad under a method is compared with."""
    return f"{under}||0||0|"


def score(found: Mapping[str, list[Row]], variant: str, less: str | None = None) -> float:
    """Mean worth over sets, or its gain over another variant; every set counts the same."""
    gains = []
    for rows in found.values():
        groups = by_variant(rows)
        values = [worth(row) for row in groups[variant]]
        if less is not None:
            others = [worth(row) for row in groups[less]]
            values = [value - other for value, other in zip(values, others, strict=True)]
        gains.append(float(np.nanmean(values)))
    return float(np.mean(gains))


def split(found: Mapping[str, list[Row]], under: str) -> list[str]:
    """ParchGrad's variants under a method, without controls."""
    rows = next(iter(found.values()))
    return [
        name
        for name, group in by_variant(rows).items()
        if group[0]["under"] == under and group[0]["mode"] and not group[0]["control"]
    ]


def best(found: Mapping[str, list[Row]], under: str) -> str:
    """The variant beneath a method whose gain over the plain method is largest."""
    return max(split(found, under), key=lambda name: score(found, name, plain(under)))


def lifted(groups: Mapping[str, list[Row]], variant: str) -> list[float]:
    """Share on the truth as a multiple of that of the best map that knows the box alone."""
    trivial = zip(*(groups[plain(name)] for name in TRIVIAL), strict=True)
    most = [max(row["share"] for row in rows) for rows in trivial]
    return [
        row["share"] / limit if limit else math.nan
        for row, limit in zip(groups[variant], most, strict=True)
    ]


def summary(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """A line per variant of one set."""
    groups = by_variant(rows)
    lines = []
    for name, group in groups.items():
        line: dict[str, Any] = {
            "variant": name,
            "n": len(group),
            "share": figure([row["share"] for row in group]),
            "chance": round(float(np.mean([row["chance"] for row in group])), 4),
            "strongest": figure([row["strongest"] for row in group]),
            "lift_over_trivial": figure(lifted(groups, name)),
            "forward": round(float(np.mean([row["forward"] for row in group])), 1),
            "backward": round(float(np.mean([row["backward"] for row in group])), 1),
            "times_bare": round(float(np.median([row["times_bare"] for row in group])), 1),
        }
        if "alone" in group[0]:
            for side in ("without", "alone"):
                line[side] = figure([row[side] for row in group])
        if group[0]["mode"]:
            others = groups[plain(group[0]["under"])]
            pairs = list(zip(group, others, strict=True))
            line["share_gain"] = figure([row["share"] - other["share"] for row, other in pairs])
            if "alone" in group[0]:
                line["removal_gain"] = figure(
                    [
                        row["alone"] - row["without"] - other["alone"] + other["without"]
                        for row, other in pairs
                    ]
                )
        lines.append(line)
    return lines


def told(variant: str) -> str:
    """A variant in words."""
    under, mode, share, over, quantile, control = variant.split("|")
    if not mode:
        return under
    layers = "all layers" if share == "1" else f"upper {share} of layers"
    words = f"ParchGrad {mode} over {over}, {layers}, quantile {quantile}, under {under}"
    return words + (f" (control: {control})" if control else "")


def cell(values: Sequence[float]) -> str:
    """Mean with its interval."""
    return f"{values[0]:.3f} [{values[1]:.3f}, {values[2]:.3f}]" if values[0] == values[0] else "-"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def content(kept: Path, machine: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that is published."""
    dev, fresh = read(kept, "dev"), read(kept, "fresh")
    choice = {under: best(dev, under) for under in UNDER}
    overall = max(choice.values(), key=lambda name: score(dev, name))
    return {
        "machine": machine,
        "seed": SEED,
        **settings,
        "chosen_on_dev": choice,
        "best_on_dev": overall,
        "dev_gains": {
            name: round(score(dev, name, plain(under)), 4)
            for under in UNDER
            for name in split(dev, under)
        },
        "worth": {
            half: {name: round(score(sets, name), 4) for name in by_variant(sets["object"])}
            for half, sets in (("dev", dev), ("fresh", fresh))
        },
        "sets": {
            half: {name: summary(rows) for name, rows in found.items()}
            for half, found in (("dev", dev), ("fresh", fresh))
        },
    }


def _pick(lines: Sequence[dict[str, Any]], name: str) -> dict[str, Any] | None:
    return next((line for line in lines if line["variant"] == name), None)


def _beside(
    fresh: Mapping[str, list[dict[str, Any]]],
    choice: Mapping[str, str],
    value: Callable[[dict[str, Any]], str],
) -> list[list[str]]:
    rows = []
    for under in choice:
        first = next(iter(fresh.values()))
        names = [line["variant"] for line in first if line["variant"].startswith(f"{under}|")]
        for name in names:
            cells = [_pick(lines, name) for lines in fresh.values()]
            if any(cells):
                rows.append([told(name), *("-" if line is None else value(line) for line in cells)])
    return rows


def grid(found: Mapping[str, Any]) -> list[str]:
    """All variants on the dev half, which settings were chosen by."""
    dev = found["sets"]["dev"]
    names = [line["variant"] for line in next(iter(dev.values()))]
    lines = [
        "## All variants on the dev half: share on the truth",
        "",
        "n: " + ", ".join(f"{name} {rows[0]['n']}" for name, rows in dev.items()) + ". Worth is "
        "what was chosen by: mean over sets of the share, or of its mean with the removal figure "
        "where removal was asked.",
        "",
    ]
    rows = [
        [told(name), f"{found['worth']['dev'][name]:.3f}",
         *(cell(_pick(lines, name)["share"]) for lines in dev.values())]
        for name in names
    ]  # fmt: skip
    return lines + table(["map", "worth", *dev], rows)


def written(found: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    fresh = found["sets"]["fresh"]
    removed = {name: lines for name, lines in fresh.items() if "alone" in lines[0]}
    choice = found["chosen_on_dev"]
    lines = [
        "# ParchGrad on detectors",
        "",
        f"{found['machine']}. One right detection per image; "
        + ", ".join(f"{name} n = {rows[0]['n']}" for name, rows in fresh.items())
        + f" on the fresh half. In brackets: 95 % bootstrap interval over images (1,000 resamples, "
        f"seed {SEED}). Integrated gradients and SmoothGrad take {found['steps']} steps, plain and "
        "beneath ParchGrad alike. Mode, layers and method beneath were chosen on the dev half: "
        + "; ".join(f"under {under}: {told(name)}" for under, name in choice.items())
        + f". Best of all there: {told(found['best_on_dev'])}.",
        "",
        "## Chosen variants, plain methods and controls (fresh half)",
        "",
        "Share of the evidence on the known cause (planted worlds), the object's mask (screening, "
        "coco) or its annotated box (sixray, opixray). Chance is what a flat map scores.",
        "",
    ]
    chance = ["chance", *(f"{rows[0]['chance']:.3f}" for rows in fresh.values())]
    trivial = [
        [
            told(plain(name)),
            *(cell(_pick(rows, plain(name))["share"]) for rows in fresh.values()),
        ]
        for name in (*TRIVIAL, "edges")
    ]
    shares = _beside(fresh, choice, lambda line: cell(line["share"]))
    lines += table(["map", *fresh], [chance, *trivial, *shares])
    lines += ["Gain in that share over the plain method, of the same detections:", ""]
    gains = _beside(
        fresh, choice, lambda line: cell(line["share_gain"]) if "share_gain" in line else ""
    )
    lines += table(["map", *fresh], [row for row in gains if any(row[1:])])
    lines += [
        "Removal: the score with the strongest cells alone less the score without them, as shares "
        "of the score; gain over the plain method.",
        "",
    ]
    gains = _beside(
        removed, choice, lambda line: cell(line["removal_gain"]) if "removal_gain" in line else ""
    )
    lines += table(["map", *removed], [row for row in gains if any(row[1:])])
    lines += grid(found)
    lines += ["## Fitting statistics", ""]
    lines += table(
        ["detector", "images", "boxes", "detecting them, s", "fitting on them, s", "ratio"],
        [[str(row[key]) for key in ("set", "images", "boxes", "detect", "fit", "ratio")]
         for row in found["fit_cost"]],
    )  # fmt: skip
    for name, rows in fresh.items():
        lines += [f"## {name} (fresh half, n = {rows[0]['n']})", ""]
        extra = ["score without", "score alone", "over best trivial map"] * ("alone" in rows[0])
        body = []
        for line in rows:
            more = []
            if "alone" in line:
                more = [cell(line[key]) for key in ("without", "alone", "lift_over_trivial")]
            body.append([
                told(line["variant"]), cell(line["share"]), f"{line['chance']:.3f}",
                cell(line["strongest"]), *more, f"{line['forward']:.0f} + {line['backward']:.0f}",
                f"{line['times_bare']:.1f}",
            ])  # fmt: skip
        head = ["map", "share on truth", "chance", "strongest pixel on truth", *extra]
        lines += table([*head, "passes, forward + backward", "time over a bare pass"], body)
    return "\n".join(lines)


def write(kept: Path, machine: str, settings: Mapping[str, Any]) -> str:
    """Write ``results/parchgrad.json`` and ``.md``; gives the best variant of the dev half."""
    found = content(kept, machine, settings)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "parchgrad.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    (RESULTS / "parchgrad.md").write_text(written(found), encoding="utf-8")
    print(json.dumps({key: found[key] for key in ("chosen_on_dev", "best_on_dev", "dev_gains")}))
    return str(found["best_on_dev"])
