"""Timing of works that take turns, the rows that come of it, and the tables they are written to."""

import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

ROW = "row: "
"""Opens a line of a measuring process that holds one row as JSON."""

Work = Callable[[], object]

ENOUGH = 8.0
"""Seconds of timed runs from which on a comparison is not repeated more often than asked for."""

MOST = 25
"""Most repeats."""


class Seconds(NamedTuple):
    """What each repeat of one work took."""

    wall: list[float]
    processor: list[float]


def in_turns(
    works: Mapping[str, Work], repeats: int, threads: int, *, warm: bool = True
) -> dict[str, Seconds]:
    """Time works that take turns, so that a slow minute of the machine falls on all of them.

    The order is turned round every other time, and short works run more often.

    Args:
        works: What to run, by name.
        repeats: Fewest timed runs of each; up to ``MOST`` while all take less than ``ENOUGH``.
        threads: Of torch, set before every run, because some libraries change it.
        warm: Whether each runs once before it is timed.
    """
    taken = {name: Seconds([], []) for name in works}
    spent, turn = 0.0, -1 if warm else 0
    while turn < repeats or (turn < MOST and spent < ENOUGH):
        for name in works if turn % 2 == 0 else reversed(works):
            torch.set_num_threads(threads)
            wall, processor = time.perf_counter(), time.process_time()
            works[name]()
            if turn >= 0:
                taken[name].wall.append(time.perf_counter() - wall)
                taken[name].processor.append(time.process_time() - processor)
                spent += taken[name].wall[-1]
        turn += 1
    return taken


@dataclass(frozen=True, slots=True)
class Comparison:
    """How long one work takes beside another: ``upper`` over ``lower``, repeat for repeat.

    Attributes:
        part: Key of ``PARTS``.
        what: What is compared.
        boxes: Explained boxes.
        upper: Median wall seconds of the work on top of the ratio.
        lower: Median wall seconds of the other.
        wall: Median, least and greatest ratio of wall time.
        processor: The same of processor time.
        most: The median ratio of wall time should be no higher; None: no such aim.
        least: It should be no lower; None: no such aim.
        note: What a reader should know.
    """

    part: str
    what: str
    boxes: int
    upper: float
    lower: float
    wall: tuple[float, float, float]
    processor: tuple[float, float, float]
    most: float | None = None
    least: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A comparison that could not be made, and why, in one line."""

    part: str
    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Peak:
    """Peak resident memory, each in a process of its own, in GB.

    Attributes:
        what: What was run.
        few: The smaller number of masks or steps.
        many: The larger.
        loaded: Peak before the run, with the network loaded and used once.
        low: Peak at ``few``.
        high: Peak at ``many``.
        ours: Whether the aims hold for it.
    """

    what: str
    few: int
    many: int
    loaded: float
    low: float
    high: float
    ours: bool


def compared(
    part: str, what: str, boxes: int, upper: Seconds, lower: Seconds, **rest: Any
) -> Comparison:
    """A row from two works that took turns."""
    return Comparison(
        part, what, boxes,
        statistics.median(upper.wall), statistics.median(lower.wall),
        _spread(upper.wall, lower.wall), _spread(upper.processor, lower.processor), **rest,
    )  # fmt: skip


def _spread(upper: list[float], lower: list[float]) -> tuple[float, float, float]:
    ratios = [one / other for one, other in zip(upper, lower, strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


def tell(row: Comparison | Mapping[str, Any]) -> None:
    """Print a row for the process that collects them."""
    print(ROW + json.dumps(asdict(row) if isinstance(row, Comparison) else dict(row)), flush=True)


def told(output: str) -> Iterator[dict[str, Any]]:
    """The rows in what a measuring process printed."""
    for line in output.splitlines():
        if line.startswith(ROW):
            yield json.loads(line.removeprefix(ROW))


PARTS = {
    "overhead": (
        "Overhead over the bare network",
        "The method's time over that of the same network called as often, at the same batch sizes, "
        "with as many backward passes to the input, and nothing else. One box. Methods that go "
        "back only as far as a late layer come out below 1. Some do work of their own that no "
        "number of passes pays for: LRP runs every layer several times, once for each part of its "
        "rules; XRAI, D-CLOSE and the methods on regions segment the image, once; guided "
        "integrated gradients sort all pixels at every step; guided backpropagation and EigenCAM "
        "last only a pass or two, so that some milliseconds show.",
    ),
    "sharing": ("Many boxes of one image", "The first over the second."),
    "odam": (
        "ODAM of all boxes in one call",
        "The other way's time over that of one call with one small backward pass for all boxes. A "
        "loop over n calls cannot cost more than n of them, so that ten times is out of reach for "
        "ten boxes; the last rows are the backward passes alone.",
    ),
    "peers": (
        "Beside other libraries",
        "The other library's time over ours; above 1, ours is faster. Both use the same network "
        "object, image, boxes and numbers of masks, steps or evaluations. Its parameters are "
        "frozen, which spares the others gradients of weights. The two other D-RISEs share their "
        "masks among boxes as ours does, and the network takes most of the time of all three: what "
        "is left to win is small. Our integrated gradients measure their completeness, two forward "
        "passes a call more than captum without its convergence delta. Searches over regions share "
        "what several boxes ask for; a single search for the sum of all boxes is cheaper, but its "
        "map of a box depends on the others.",
    ),
}  # fmt: skip
"""Heading and explanation of every part with times."""


def write(
    folder: Path,
    setting: Mapping[str, Any],
    rows: list[Comparison],
    peaks: list[Peak],
    failures: list[Failure],
) -> None:
    """Write ``speed.md`` and ``speed.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "setting": dict(setting),
        "comparisons": [asdict(row) for row in rows],
        "peaks": [asdict(row) for row in peaks],
        "failures": [asdict(row) for row in failures],
    }
    (folder / "speed.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    lines = ["# Speed and memory", "", *_opening(setting)]
    for part, (heading, explanation) in PARTS.items():
        lines += ["", f"## {heading}", "", explanation, "", *_times(part, rows, failures)]
    lines += ["", "## Peak memory", "", *_memory(peaks, failures)]
    (folder / "speed.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _opening(setting: Mapping[str, Any]) -> list[str]:
    given = ", ".join(f"{name} {value}" for name, value in setting["plan"].items())
    versions = ", ".join(f"{name} {value}" for name, value in setting["versions"].items())
    return [
        f"{setting['weights']} on {setting['image']} ({setting['size']} pixels), "
        f"{setting['machine']}. Ratios of wall time and of processor time: medians over repeats "
        "in which the compared works take turns, more of them where the works are short; least and "
        "greatest in brackets.",
        "",
        f"Settings: {given}. Versions: {versions}.",
    ]


def _times(part: str, rows: list[Comparison], failures: list[Failure]) -> list[str]:
    lines = [
        "| what | boxes | seconds | ratio, wall | ratio, processor | aim | note |",
        "|---|--:|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.what} | {row.boxes} | {row.upper:.3g} / {row.lower:.3g} "
        f"| {_range(row.wall)} | {_range(row.processor)} | {_aim(row)} | {row.note} |"
        for row in rows
        if row.part == part
    ]
    lines += [
        f"| {one.what} | | | | | | failed: {one.reason.replace('|', '/')} |"
        for one in failures
        if one.part == part
    ]
    return lines


def _range(ratio: tuple[float, float, float]) -> str:
    middle, low, high = ratio
    return f"**{middle:.3g}** ({low:.3g} to {high:.3g})"


def _aim(row: Comparison) -> str:
    if row.most is not None:
        return f"at most {row.most:g}: {'met' if row.wall[0] <= row.most else 'missed'}"
    if row.least is not None:
        return f"at least {row.least:g}: {'met' if row.wall[0] >= row.least else 'missed'}"
    return ""


GROWTH = 1.05
"""More than this at the larger number counts as growing."""

MOST_GB = 1.5


def _memory(peaks: list[Peak], failures: list[Failure]) -> list[str]:
    lines = [
        "Peak resident memory of a process that loads the network and explains one box, in GB. "
        f"Aims for ours: no growth (at most {GROWTH:g} times) and less than {MOST_GB:g} GB.",
        "",
        "| what | network loaded | few | many | many / few | aim |",
        "|---|--:|--:|--:|--:|---|",
    ]
    for row in peaks:
        met = row.high / row.low <= GROWTH and max(row.low, row.high) < MOST_GB
        aim = ("met" if met else "missed") if row.ours else ""
        lines.append(
            f"| {row.what} | {row.loaded:.2f} | {row.low:.2f} ({row.few}) "
            f"| {row.high:.2f} ({row.many}) | {row.high / row.low:.2f} | {aim} |"
        )
    lines += [
        f"| {one.what} | | | | | failed: {one.reason.replace('|', '/')} |"
        for one in failures
        if one.part == "memory"
    ]
    return lines
