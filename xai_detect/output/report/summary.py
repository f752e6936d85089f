"""A run at a glance: counts, how likely its detections are to be right, and the worst of them."""

import math
from collections import Counter
from typing import Any

from xai_detect.output.drawing.states import level_word
from xai_detect.output.folder.load import Run
from xai_detect.output.folder.pictures import encode_webp
from xai_detect.output.report.cards import ORDER, urgency
from xai_detect.output.report.pictures import data_uri
from xai_detect.output.report.regions import common_places
from xai_detect.output.report.wording import base_name
from xai_detect.values.findings import Level
from xai_detect.words.catalogue import Catalogue

WORST = 20
"""So many detections are listed as the worst."""

BINS = 10


def worst(run: Run, words: Catalogue) -> list[dict[str, Any]]:
    """The detections to look at first: not TRUSTED, the most urgent level first."""
    rows = [
        (urgency(record, row), record, row)
        for record in run.records
        for row, verdict in enumerate(record.verdicts)
        if verdict.level is not Level.TRUSTED
    ]
    rows.sort(key=lambda found: found[0])
    return [
        {
            "id": f"{record.name}-{row}",
            "level": record.verdicts[row].level.value,
            "word": level_word(record.verdicts[row].level, words),
            "name": record.detections.target(row).name,
            "score": f"{float(record.detections.scores[row]):.2f}",
            "file": base_name(record),
        }
        for _, record, row in rows[:WORST]
    ]


def probabilities(run: Run) -> list[dict[str, Any]]:
    """How many detections have which probability of being right: ten bars, with their heights."""
    values = [
        value
        for record in run.records
        for evidence in record.evidence
        if not math.isnan(value := evidence.get("probability", math.nan))
    ]
    counts = Counter(min(int(value * BINS), BINS - 1) for value in values)
    most = max(counts.values(), default=0)
    if not most:
        return []
    return [
        {
            "from": f"{place / BINS:.1f}",
            "to": f"{(place + 1) / BINS:.1f}",
            "count": counts[place],
            "height": f"{100 * counts[place] / most:.0f}",
        }
        for place in range(BINS)
    ]


def passes(run: Run) -> float:
    """Forward passes a detection cost on average; NaN where that is not known."""
    spent = [
        evidence.get("test_passes", math.nan) + evidence.get("map_passes", 0.0)
        for record in run.records
        for evidence in record.evidence
    ]
    known = [value for value in spent if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def by_class(run: Run) -> list[tuple[str, list[int]]]:
    """Per class, the detections at each level, most urgent first; the most frequent class first."""
    counts: Counter[tuple[str, Level]] = Counter(
        (own.name, verdict.level)
        for record in run.records
        for own, verdict in zip(record.detections, record.verdicts, strict=True)
    )
    rows = [(name, [counts[name, level] for level in ORDER]) for name in {key for key, _ in counts}]
    return sorted(rows, key=lambda row: (-sum(row[1]), row[0]))


def regions(run: Run, words: Catalogue) -> list[dict[str, Any]]:
    """Per class, the commonest places outside that decide it."""
    found = []
    for common in common_places(run):
        said = words.say(
            "page.regions_of",
            name=common.name,
            places=words.counted("places", common.places),
            detections=words.counted("detections", common.detections),
        )
        pictures = [
            {
                "id": f"{place.record.name}-{place.row}",
                "uri": data_uri(encode_webp(picture), ".webp"),
                "width": picture.shape[1],
                "height": picture.shape[0],
                "file": base_name(place.record),
                "alt": words.say("page.region_alt", name=common.name, file=base_name(place.record)),
            }
            for place, picture in common.pictures
        ]
        found.append({"sentence": said, "pictures": pictures})
    return found
