"""Puts the rows of ``benchmarks/zebra.py`` together: counts, intervals and tables."""

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xai_detect.measures.statistics import bootstrap, drawn_auroc, wilson

Row = dict[str, Any]
RESULTS = Path(__file__).parent / "results"


def share(rows: Sequence[Row], is_so: Callable[[Row], bool]) -> dict[str, float]:
    """Count, share and its 95 % interval; one row is one image."""
    hits = sum(map(is_so, rows))
    low, high = wilson(hits, len(rows))
    return {
        "n": len(rows), "count": hits, "share": hits / len(rows) if rows else math.nan,
        "low": low, "high": high,
    }  # fmt: skip


def untrusted(row: Row) -> bool:
    """Whether the verdict is UNTRUSTED."""
    return row["level"] == "UNTRUSTED"


def on_cue(row: Row) -> bool:
    """Whether the tree is the main thing under the place that is shown."""
    return row["place_main"] == "tree"


def half_covered(row: Row) -> bool:
    """Whether the place lies on the tree and covers half of what is seen of it."""
    return on_cue(row) and row["cue_covered"] >= 0.5


#: What tells a zebra called giraffe from a giraffe, and whether more of it speaks for the zebra.
SIGNS = {
    "little evidence on neck and head, map why detected": ("detected_neck_head", -1),
    "little evidence on neck and head, map why this class": ("class_neck_head", -1),
    "evidence outside, map why detected": ("numbers.detected_outside", 1),
    "evidence outside, map why this class": ("numbers.class_outside", 1),
    "low margin of the box alone, over the whole image's": ("numbers.name_box", -1),
    "low confidence": ("score", -1),
}


def value(row: Row, path: str) -> float:
    """A number of a row; NaN where it is unmeasured."""
    table, _, name = path.rpartition(".")
    found = (row[table] if table else row)[name]
    return math.nan if found is None else float(found)


def telling(wrong: Sequence[Row], right: Sequence[Row]) -> dict[str, Row]:
    """How well each sign tells wrong from right: medians, AUROC and its interval."""
    rows, found = [*wrong, *right], {}
    for words, (path, sign) in SIGNS.items():
        values = np.array([value(row, path) for row in rows])
        is_wrong = np.arange(len(rows)) < len(wrong)
        known = ~np.isnan(values)
        of = drawn_auroc(sign * values[known], is_wrong[known])
        ((low, high),) = bootstrap(int(known.sum()), lambda drawn, of=of: [of(drawn)])
        found[words] = {
            "wrong": float(np.median(values[known & is_wrong])),
            "right": float(np.median(values[known & ~is_wrong])),
            "auroc": of(np.ones(int(known.sum()), dtype=np.int64)), "low": low, "high": high,
            "n_wrong": int((known & is_wrong).sum()), "n_right": int((known & ~is_wrong).sum()),
        }  # fmt: skip
    return found


def figures(folder: Path, sets: Sequence[str], styles: Sequence[str]) -> Row:
    """All figures of one style, or of several together."""
    known = {
        name: [row for style in styles for row in json.loads(
            (folder / f"{style}, {name}.json").read_text())]
        for name in sets
    }  # fmt: skip
    found = {name: [row for row in rows if row is not None] for name, rows in known.items()}
    wrong = [row for row in found["zebra by an acacia"] if row["name"] == "giraffe"]
    called = [row for row in found["giraffe"] if row["right"]]
    twin = [row for name, rows in found.items() if name.startswith("twin") for row in rows]
    flagged = [row for row in wrong if untrusted(row)]
    return {
        "scenes": len(known["zebra by an acacia"]),
        "called giraffe": share(found["zebra by an acacia"], lambda row: row["name"] == "giraffe"),
        "wrong UNTRUSTED": share(wrong, untrusted),
        "wrong, reason surroundings": share(
            wrong, lambda row: row["words"]["reason"] == "surroundings"
        ),
        "wrong, place on the cue": share(wrong, on_cue),
        "wrong, place covers half of the cue": share(wrong, half_covered),
        "stages": dict(Counter(row["words"]["name_stage"] for row in wrong).most_common()),
        "causes": dict(Counter(row["cause"] for row in wrong).most_common()),
        "main thing under the place": dict(
            Counter(row["place_main"] for row in flagged).most_common()
        ),
        "median place area": float(np.median([row["place_area"] for row in wrong])),
        "median cue box area": float(np.median([row["cue_box_area"] for row in wrong])),
        "median cue covered": float(np.median([row["cue_covered"] for row in wrong])),
        "by cover": {
            cover: {
                "UNTRUSTED": share(rows, untrusted), "half": share(rows, half_covered),
            }
            for cover in ("open", "animal", "bush", "edge")
            if (rows := [row for row in wrong if row["cover"] == cover])
        },
        "by animals": {
            f"{number}": {
                "UNTRUSTED": share(rows, untrusted), "half": share(rows, half_covered),
            }
            for number in (1, 2, 3)
            if (rows := [row for row in wrong if row["animals"] == number])
        },
        "right giraffes UNTRUSTED": share(called, untrusted),
        "right giraffes TRUSTED": share(called, lambda row: row["level"] == "TRUSTED"),
        "right zebras UNTRUSTED": share(
            [row for row in found["zebra elsewhere"] if row["right"]], untrusted
        ),
        "twin right": share(twin, lambda row: row["right"]),
        "twin UNTRUSTED": share([row for row in twin if row["right"]], untrusted),
        "twin TRUSTED": share(
            [row for row in twin if row["right"]], lambda row: row["level"] == "TRUSTED"
        ),
        "twin not TRUSTED": dict(
            Counter(
                row["cause"] for row in twin if row["right"] and row["level"] != "TRUSTED"
            ).most_common()
        ),
        "seconds": float(np.median([row["seconds"] for row in wrong])),
        "no head, no neck": telling(wrong, called),
    }  # fmt: skip


LINES = (
    "called giraffe", "wrong UNTRUSTED", "wrong, reason surroundings", "wrong, place on the cue",
    "wrong, place covers half of the cue", "right giraffes UNTRUSTED", "right giraffes TRUSTED",
    "right zebras UNTRUSTED", "twin right", "twin UNTRUSTED", "twin TRUSTED",
)  # fmt: skip
TOLD = {
    "called giraffe": "zebras by an acacia that the gated network calls giraffe",
    "wrong UNTRUSTED": "of these, UNTRUSTED",
    "wrong, reason surroundings": "of these, the surroundings decide",
    "wrong, place on the cue": "of these, the place shown outside lies on the acacia",
    "wrong, place covers half of the cue": "of these, and covers half of what is seen of it",
    "right giraffes UNTRUSTED": "its right giraffes, UNTRUSTED",
    "right giraffes TRUSTED": "its right giraffes, TRUSTED",
    "right zebras UNTRUSTED": "its right zebras away from acacias, UNTRUSTED",
    "twin right": "the honest twin, same scenes: right",
    "twin UNTRUSTED": "its right detections, UNTRUSTED",
    "twin TRUSTED": "its right detections, TRUSTED",
}


def write(folder: Path, sets: Sequence[str], styles: Sequence[str], seed: int, others: int) -> None:
    """Write the results.

    Args:
        folder: The rows, a file per style and set.
        sets: Names of the sets.
        styles: Names of the styles.
        seed: Of the first scene.
        others: Number of references.
    """
    columns = {style: [style] for style in styles} | {"both": list(styles)}
    found = {name: figures(folder, sets, some) for name, some in columns.items()}
    lines = [
        "# A zebra called giraffe", "",
        f"`python benchmarks/zebra.py`: scenes that no training saw (seeds from {seed}), one to "
        "three animals, the tree whole or half hidden by an animal, a bush or the edge; the first "
        "animal of each. The networks were trained on the painted style and never saw the printed "
        "one. Budget `standard`, with "
        f"{others} references of every species; 95 % intervals (Wilson), "
        "one detection an image.",
        "", f"| | {' | '.join(columns)} |", "|---|" + "---|" * len(columns),
        *(
            f"| {TOLD[key]} | " + " | ".join(_told(found[name][key]) for name in columns) + " |"
            for key in LINES
        ), "",
        "The place shown outside is the largest of the test that decides: the first box of "
        "`Evidence.places[\"name\"]`, else of `presence`, else of `map`. Its median area is "
        f"{found['both']['median place area']:.1%} of the image, that of the acacia's box "
        f"{found['both']['median cue box area']:.1%}; in the median it covers "
        f"{found['both']['median cue covered']:.0%} of what is seen of the acacia.", "",
        "| what hides the acacia | n | UNTRUSTED | on it, covers half of it |", "|---|---|---|---|",
        *_split(found["both"]["by cover"]), "",
        "| animals in the scene | n | UNTRUSTED | on the acacia, covers half of it |",
        "|---|---|---|---|",
        *_split(found["both"]["by animals"]), "",
        "Where the name test ended: "
        + ", ".join(f"{k} {n}" for k, n in found["both"]["stages"].items())
        + ". What set the level: "
        + ", ".join(f"{k} {n}" for k, n in found["both"]["causes"].items())
        + ". Why the twin's right detections are not TRUSTED: "
        + ", ".join(f"{k} {n}" for k, n in found["both"]["twin not TRUSTED"].items()) + ".", "",
        "## No head, no neck", "",
        "What tells a zebra called giraffe from a giraffe that is one, under the same network. A "
        "map's shares are of its positive evidence. AUROC with a 95 % interval (bootstrap by "
        "image).", "",
    ]  # fmt: skip
    for name in columns:
        lines += [
            f"| {name} | median, zebra | median, giraffe | AUROC |", "|---|---|---|---|",
            *(
                f"| {words} | {row['wrong']:.3f} | {row['right']:.3f} | "
                f"{row['auroc']:.3f} [{row['low']:.3f}, {row['high']:.3f}] |"
                for words, row in found[name]["no head, no neck"].items()
            ), "",
        ]  # fmt: skip
    RESULTS.joinpath("zebra.md").write_text("\n".join(lines))
    RESULTS.joinpath("zebra.json").write_text(json.dumps(found, indent=1) + "\n")
    print("\n".join(lines))


def _told(row: Row) -> str:
    return f"{row['count']} of {row['n']}: {row['share']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def _split(rows: Row) -> list[str]:
    return [
        f"| {name} | {row['UNTRUSTED']['n']} | {_told(row['UNTRUSTED'])} | {_told(row['half'])} |"
        for name, row in rows.items()
    ]
