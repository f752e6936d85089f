"""Natural wrong names: photographs in which a detector names an object wrongly, and what decides.

    python benchmarks/misnamed.py measure coco-yolo11n ... --data DATA --weights WEIGHTS --out ROWS
    python benchmarks/misnamed.py read ROWS

``measure`` looks through every validation image of COCO that is at hand for detections that lie on
an annotated object of another class (``wrong name``), judges at most ``--each`` of them by network,
drawn by a hash, and as many right ones. ``read`` counts what decides them and their levels, and
asks what tells them from the right ones: AUROC with 95 % intervals by a bootstrap over images, seed
0. Writes ``results/misnamed.md`` and ``.json``.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import verdict_sets
from numpy.typing import NDArray

from xai_detect.detectors.place import place
from xai_detect.measures.matching import match
from xai_detect.measures.mistakes import mistakes
from xai_detect.measures.statistics import bootstrap, drawn_auroc, wilson
from xai_detect.trust.verdict import judge
from xai_detect.trust.weigh import weigh
from xai_detect.values.truth import Kind

Row = dict[str, Any]
RESULTS = Path(__file__).parent / "results"
ANIMALS = frozenset(
    ("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe")
)
KINDS = (Kind.WRONG_NAME, Kind.RIGHT)


def measure(arguments: list[str]) -> None:
    """Judge wrong names and as many right ones."""
    parser = verdict_sets.options()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--each", type=int, default=50)
    parser.set_defaults(most=10**6, half="all")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    for name in given.sets:
        detector, shown = verdict_sets.load(given, name)
        others = verdict_sets.references(detector, shown)
        found_in: list[tuple[str, Kind, int, int]] = []
        for number, image in enumerate(shown):
            placed = place(detector, image.image)
            found = detector.detect(placed.pixels, placed.frame)[0]
            became = mistakes(found, image.truth, match(found, image.truth))
            for row, kind in enumerate(became.kinds):
                if kind in KINDS:
                    key = verdict_sets.hashed(f"{image.key}-{row}")
                    found_in.append((key, kind, number, row))
        seen = Counter(kind for _, kind, _, _ in found_in)
        chosen = [
            one
            for kind in KINDS
            for one in sorted(one for one in found_in if one[1] is kind)[: given.each]
        ]
        rows = []
        for _, kind, number, row in chosen:
            image = shown[number]
            placed = place(detector, image.image)
            found = detector.detect(placed.pixels, placed.frame)[0]
            became = mistakes(found, image.truth, match(found, image.truth))
            (weighed,) = weigh(
                detector, placed, found, rows=[row],
                references=[other for other in others if other.name != image.key],
            )  # fmt: skip
            verdict, evidence = judge(weighed.evidence), weighed.evidence
            truth = int(image.truth.labels[int(became.truth[row])])
            rows.append({
                "image": image.key, "right": kind is Kind.RIGHT,
                "name": detector.class_names[int(found.labels[row])],
                "annotated": detector.class_names[truth],
                "score": evidence["score"], "probability": evidence["probability"],
                "level": verdict.level, "reason": verdict.reason,
                "outside": evidence["evidence_outside"],
                "near": evidence["class_box"] + evidence["class_ring"],
                "rival": evidence.words["rival"], "map": evidence.words["map"],
            })  # fmt: skip
        content = {"seen": {kind.value: seen[kind] for kind in KINDS}, "rows": rows}
        (given.out / f"{name}.json").write_text(json.dumps(content))
        print(name, dict(seen), len(rows), flush=True)


def figures(rows: list[Row]) -> Row:
    """Counts of the wrong names, and what tells them from right ones."""
    wrong = [row for row in rows if not row["right"]]
    count = len(wrong)
    right = np.array([row["right"] for row in rows])
    images, owner = np.unique([row["image"] for row in rows], return_inverse=True)
    of = {
        name: drawn_auroc([row[name] for row in rows], right) for name in ("score", "probability")
    }

    def statistics(drawn: NDArray[np.int64]) -> list[float]:
        score, probability = (value(drawn[owner]) for value in of.values())
        return [score, probability, probability - score]

    values = statistics(np.ones(len(images), np.int64))
    intervals = bootstrap(len(images), statistics)
    held = [row["near"] for row in wrong if row["map"] == "reliable"]
    return {
        "wrong": count, "right": int(right.sum()), "images": len(images),
        "animals called another animal": sum(
            row["name"] in ANIMALS and row["annotated"] in ANIMALS for row in wrong
        ),
        "the rival is the annotated class": sum(row["rival"] == row["annotated"] for row in wrong),
        "reason": dict(Counter(row["reason"] for row in wrong)),
        "level": dict(Counter(row["level"] for row in wrong)),
        "decided by surroundings": [
            sum(row["reason"] == "surroundings" for row in wrong),
            *wilson(sum(row["reason"] == "surroundings" for row in wrong), count),
        ],
        "evidence outside": sum(row["outside"] == 1 for row in wrong),
        "median share of the class map on the object": float(np.nanmedian(held)),
        **{
            name: [value, *interval]
            for name, value, interval in zip(
                ("confidence AUROC", "probability AUROC", "probability less confidence"),
                values, intervals, strict=True,
            )
        },
    }  # fmt: skip


def read(folder: Path) -> None:
    """Write the results."""
    sets = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("coco-*.json"))}
    found = {name: {**held["seen"], **figures(held["rows"])} for name, held in sets.items()}
    every = [row for held in sets.values() for row in held["rows"]]
    found["all"] = figures(every)
    pairs = Counter((row["annotated"], row["name"]) for row in every if not row["right"])
    lines = [
        "# Natural wrong names", "",
        "`python benchmarks/misnamed.py`: detections of COCO val2017 (images at hand, confidence",
        "from .25, IoU from .5 with an annotated object of another class). Judged at `standard`",
        "with references; as many right detections beside them. 95 % intervals: Wilson's, and a",
        "bootstrap over images (seed 0).", "",
        "| network | wrong names | animal for animal | object | surroundings | unclear |"
        " UNTRUSTED | TRUSTED | evidence outside | class map on the object | confidence AUROC |"
        " probability AUROC | difference |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, row in found.items():
        reason, level = Counter(row["reason"]), Counter(row["level"])
        low, high = row["decided by surroundings"][1:]
        share = row["median share of the class map on the object"]
        gain, *interval = row["probability less confidence"]
        lines.append(
            f"| {name} | {row['wrong']} | {row['animals called another animal']} | "
            f"{reason['object']} | {reason['surroundings']} [{low:.3f}, {high:.3f}] | "
            f"{reason['unclear']} | {level['UNTRUSTED']} | {level['TRUSTED']} | "
            f"{row['evidence outside']} | {share:.2f} | {row['confidence AUROC'][0]:.3f} | "
            f"{row['probability AUROC'][0]:.3f} | {gain:+.3f} [{interval[0]:.3f}, "
            f"{interval[1]:.3f}] |"
        )
    lines += ["", "Most frequent: " + ", ".join(
        f"{annotated} as {name} {count}" for (annotated, name), count in pairs.most_common(12)
    ) + "."]  # fmt: skip
    RESULTS.joinpath("misnamed.md").write_text("\n".join(lines) + "\n")
    RESULTS.joinpath("misnamed.json").write_text(json.dumps(found, indent=1) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    what, *rest = sys.argv[1:]
    measure(rest) if what == "measure" else read(Path(rest[0]))
