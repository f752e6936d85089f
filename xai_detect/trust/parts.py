"""On which parts of its object the evidence for a detection lies, and what is usual for its class.

The argument of a zebra that is called a giraffe by a detector that has seen neither neck nor head.
A detection is named by the evidence it has; where confirmed detections of its class have most of
theirs on some parts and this one has little there, a person should know. It changes no verdict.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from xai_detect.detectors.protocol import Detector
from xai_detect.detectors.weights.manifest import shipped, shipped_name
from xai_detect.errors import InputError
from xai_detect.trust.maps import smooth
from xai_detect.values.findings import PartsFound, PartShare
from xai_detect.values.json import (
    Json,
    as_list,
    as_mapping,
    as_number,
    as_text,
    as_whole,
    damaged,
    write_json,
)
from xai_detect.words.catalogue import catalogue

FOLDER = "usual"
"""Beside the shipped manifest: what is usual of the networks it lists, under the same names."""

TELLING = 1.2
"""A part is telling whose share of the evidence on the object is usually this many times its share
of the object's area."""

MENTIONED = 0.05
"""Share beyond box and ring from which a sentence mentions it."""

FEWEST = 5
"""Confirmed detections of a class below which nothing is said to be usual."""

_STEPS = np.linspace(0, 1, 11)


def part_shares(
    heatmap: Float[Tensor, "h w"], parts: Mapping[str, Bool[Tensor, "_ _"]]
) -> tuple[PartShare, ...]:
    """How much of the positive evidence of a map lies on each part, after smoothing.

    Args:
        heatmap: Signed, in image pixels.
        parts: Masks in image pixels, by name.

    Raises:
        InputError: If a mask is not of the map's size.
    """
    for name, mask in parts.items():
        if mask.shape != heatmap.shape:
            raise InputError(
                f"the part {name!r} is a mask of {tuple(mask.shape)}, but the map is "
                f"{tuple(heatmap.shape)}: pass masks in pixels of the image"
            )
    positive = smooth(heatmap).double().clamp(min=0)
    total = float(positive.sum())
    return tuple(
        PartShare(
            name,
            float(positive[mask].sum()) / total if total > 0 else math.nan,
            float(mask.double().mean()),
        )
        for name, mask in parts.items()
    )


@dataclass(frozen=True, slots=True)
class UsualOfClass:
    """Where the evidence of confirmed detections of one class lies.

    Attributes:
        count: How many there are.
        parts: Median share and median chance of each part.
        telling: The parts that hold more of the evidence on the object than their area would, the
            strongest first.
        together: What these hold together: eleven quantiles, from the least to the most.
    """

    count: int
    parts: Mapping[str, tuple[float, float]]
    telling: tuple[str, ...]
    together: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual of the confirmed detections of a detector, by class.

    Attributes:
        classes: By class name; classes with too few confirmed detections are not there.
        data: What they were found in, in words.
    """

    classes: Mapping[str, UsualOfClass]
    data: str

    def compare(
        self, name: str, shares: Sequence[PartShare], outside: float, language: str = "en"
    ) -> PartsFound:
        """The parts of one detection against what is usual for its class.

        Args:
            name: The class under which it was detected.
            shares: Where its evidence lies; parts that are not there hold nothing.
            outside: Share of its positive evidence beyond box and ring.
            language: Of the sentence.
        """
        usual = self.classes.get(name)
        if usual is None or not usual.telling or any(math.isnan(part.share) for part in shares):
            return PartsFound(tuple(shares))
        held = {part.name: part.share for part in shares}
        here = sum(held.get(part, 0.0) for part in usual.telling)
        # where several quantiles are the same, as many have as little
        lower = float(np.interp(here, usual.together, _STEPS, left=0.0, right=1.0))
        middle = usual.together[len(usual.together) // 2]
        words = catalogue(language)
        said = {
            "class": name,
            "parts": words.listed(usual.telling),
            "usual": words.fraction(middle),
            "here": words.fraction(here),
        }
        if outside >= MENTIONED:
            sentence = words.say("parts.usual_outside", **said, outside=words.fraction(outside))
        else:
            sentence = words.say("parts.usual", **said)
        return PartsFound(tuple(shares), here, middle, lower, sentence)


def usual_of(confirmed: Iterable[tuple[str, Sequence[PartShare]]], data: str) -> Usual:
    """What is usual of confirmed detections.

    Args:
        confirmed: Class and parts of each; those without positive evidence are left out.
        data: What they were found in, in words.
    """
    rows: dict[str, list[Sequence[PartShare]]] = {}
    for name, shares in confirmed:
        if shares and not any(math.isnan(part.share) for part in shares):
            rows.setdefault(name, []).append(shares)
    return Usual(
        {name: _of_class(found) for name, found in rows.items() if len(found) >= FEWEST}, data
    )


def _of_class(rows: Sequence[Sequence[PartShare]]) -> UsualOfClass:
    names = dict.fromkeys(part.name for shares in rows for part in shares)
    held = {
        name: [next((part for part in shares if part.name == name), None) for shares in rows]
        for name in names
    }
    middle = {
        name: (
            float(np.median([part.share if part else 0.0 for part in found])),
            float(np.median([part.chance if part else 0.0 for part in found])),
        )
        for name, found in held.items()
    }
    shares, areas = (sum(column) for column in zip(*middle.values(), strict=True))
    telling = [
        name for name, (share, area) in middle.items() if share * areas > TELLING * area * shares
    ]
    telling.sort(key=lambda name: -middle[name][0])
    together = [sum(part.share for part in shares if part.name in telling) for shares in rows]
    quantiles = np.quantile(together, _STEPS)
    return UsualOfClass(len(rows), middle, tuple(telling), tuple(map(float, quantiles)))


def shipped_usual(detector: Detector) -> Usual | None:
    """What is usual of a detector that ships; None for any other, or where its parts are unknown.

    Raises:
        InputError: If the file is damaged.
    """
    name = shipped_name(detector.provenance.sha256)
    path = shipped().parent / FOLDER / f"{name}.json"
    return read_usual(path) if name is not None and path.is_file() else None


def save_usual(usual: Usual, path: Path) -> None:
    """Write it as JSON.

    Raises:
        InputError: If the file cannot be written.
    """
    classes: dict[str, Json] = {
        name: {
            "count": found.count,
            "parts": {part: list(pair) for part, pair in found.parts.items()},
            "telling": list(found.telling),
            "together": list(found.together),
        }
        for name, found in usual.classes.items()
    }
    write_json(path, {"data": usual.data, "classes": classes})


def read_usual(path: Path) -> Usual:
    """Read it back.

    Raises:
        InputError: If the file cannot be read or is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"the usual parts {path} cannot be read: {error}") from error
    with damaged(path):
        known = as_mapping(content)
        classes = as_mapping(known["classes"])
        return Usual(
            {name: _class_from(as_mapping(found)) for name, found in classes.items()},
            as_text(known["data"]),
        )


def _class_from(found: Mapping[str, Json]) -> UsualOfClass:
    together = tuple(as_number(value) for value in as_list(found["together"]))
    if len(together) != len(_STEPS) or list(together) != sorted(together):
        raise ValueError(f"{len(together)} quantiles; expected {len(_STEPS)} that never fall")
    parts = {}
    for name, pair in as_mapping(found["parts"]).items():
        share, chance = (as_number(value) for value in as_list(pair))
        parts[name] = (share, chance)
    telling = tuple(as_text(name) for name in as_list(found["telling"]))
    return UsualOfClass(as_whole(found["count"]), parts, telling, together)
