"""One image of a run as a card of the page: its picture, what was found in it and what was missed.

All detections of an image stand beside one picture of it; which one's marks lie over the picture
is chosen on the page.
"""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from xai_detect.output.drawing.states import STATES, level_word, map_refusal
from xai_detect.output.drawing.titles import map_title
from xai_detect.output.folder.header import TRUTH
from xai_detect.output.folder.judged import outside
from xai_detect.output.folder.load import Run
from xai_detect.output.folder.pictures import BARE
from xai_detect.output.folder.records import Record
from xai_detect.output.report.alike import alike_card
from xai_detect.output.report.items import item_sentence, shared_items
from xai_detect.output.report.outcomes import compared, missed_words, part_lines, parts_of
from xai_detect.output.report.pictures import Album
from xai_detect.output.report.wording import (
    OUTSIDE,
    alternative_text,
    base_name,
    evidence_lines,
    judged_lines,
    making_words,
    place_lines,
    share_lines,
    unmeasured_names,
)
from xai_detect.values.boxes import Box, Size
from xai_detect.words.catalogue import Catalogue

ORDER = tuple(STATES)
"""Levels, the most urgent first."""


def urgency(record: Record, row: int) -> tuple[int, float]:
    """Sorts detections: the most urgent level first, then by confidence."""
    level = ORDER.index(record.verdicts[row].level)
    return level, -float(record.detections.scores[row])


def by_urgency(run: Run) -> list[Record]:
    """The images in reading order: by their most urgent detections, those without any last."""
    return sorted(
        run.records,
        key=lambda record: min(
            (urgency(record, row) for row in range(len(record.detections))),
            default=(len(ORDER), 0.0),
        ),
    )


def cards(run: Run, words: Catalogue, album: Album) -> Iterator[dict[str, Any]]:
    """A card for each image; made one at a time to save memory."""
    for place, record in enumerate(by_urgency(run)):
        rows = sorted(range(len(record.detections)), key=partial(urgency, record))
        size = record.detections.image_size
        scores = record.detections.scores.tolist()
        found = [
            {**_found(record, row, album, words),
             "alike": alike_card(record, row, str(run.header.options.get(TRUTH, "")), album, words)}
            for row in rows
        ]  # fmt: skip
        yield {
            "place": place,
            "id": record.name,
            "file": base_name(record),
            "source": record.source,
            "original": _original(record.source),
            "picture": album.place(f"pictures/{record.name}.webp"),
            "width": size[1],
            "height": size[0],
            "score": f"{max(scores, default=0.0):.3f}",
            "boxes": [
                {"id": f"{record.name}-{row}", **_percent(own.box, size)}
                for row, own in enumerate(record.detections)
            ],
            "shared": [item_sentence(record.detections, group, words)
                      for group in shared_items(record.detections)],
            "found": found,
            "hot": any(shown["heat"] for own in found for shown in own["maps"]),
            "missed": list(_missed(record, words)),
        }  # fmt: skip


def _found(record: Record, row: int, album: Album, words: Catalogue) -> dict[str, Any]:
    """One detection: words first, numbers folded under them."""
    own, verdict, evidence = (
        record.detections.target(row), record.verdicts[row], record.evidence[row],
    )  # fmt: skip
    parts, count = parts_of(record, row), len(record.detections)
    outcome = compared(record, row, words)
    maps = list(_maps(record, row, album, words))
    return {
        "id": f"{record.name}-{row}",
        "level": verdict.level.value,
        "word": level_word(verdict.level, words),
        "name": own.name,
        "score": f"{own.score:.2f}",
        "number": words.say("card.place", number=row + 1, count=count) if count > 1 else "",
        "probability": f"{evidence.get('probability', 0.0):.4f}",
        "sentence": verdict.sentence,
        "numbers": verdict.numbers,
        "asked": record.asked[row],
        "judged": list(judged_lines(verdict, evidence, words)),
        "outside": OUTSIDE[outside(evidence)],
        "outcome": outcome,
        "lookalike": record.lookalikes[row] if record.lookalikes else None,
        "parts": None if parts is None else (parts.sentence, part_lines(parts, words)),
        "maps": maps,
        "refusal": map_refusal(evidence, words),
        "alt": alternative_text(own, record, any(shown["heat"] for shown in maps), words),
        "shares": list(share_lines(evidence, words)),
        "places": list(place_lines(verdict, evidence, words)),
        "evidence": list(evidence_lines(evidence, words)),
        "makings": [
            (words.say(f"map.{_MAPS[kind]}"), making_words(made, words))
            for kind, made_rows in record.maps.items()
            if (made := made_rows[row]) is not None
        ],
        "unmeasured": unmeasured_names(verdict, words),
    }


_MAPS = {"detected": "detected", "class": "this_class", "between": "named", "added": "added"}


def _maps(record: Record, row: int, album: Album, words: Catalogue) -> Iterator[dict[str, Any]]:
    """The maps that lie over the picture: their marks and their heat."""
    own, evidence = record.detections.target(row), record.evidence[row]
    other = record.lookalikes[row] if record.lookalikes else None
    start, shown = f"pictures/{record.name}.{row}", False
    for kind, rows in record.maps.items():
        made = rows[row]
        if made is None or (map_refusal(evidence) is not None and kind != "added"):
            continue
        shown = True
        yield {
            "kind": kind,
            "title": map_title(kind, own, evidence, other, made.method, words),
            "marks": album.place(f"{start}.{kind}.svg"),
            "heat": album.place(f"{start}.{kind}.webp"),
        }
    if not shown:
        yield {"kind": BARE, "title": "", "marks": album.place(f"{start}.{BARE}.svg"), "heat": ""}


def _missed(record: Record, words: Catalogue) -> Iterator[dict[str, Any]]:
    """Objects that no detection found: what they are, and where."""
    if record.outcome is None:
        return
    said = Counter(
        missed_words(item, record.outcome, record.detections, words)
        for item in record.outcome.missed
    )
    for item in record.outcome.missed:
        text = missed_words(item, record.outcome, record.detections, words)
        if text in said:
            count = said.pop(text)
            name = f"{text} ({count})" if count > 1 else text
        else:
            name = ""
        yield {"name": name, **_percent(item.box, record.detections.image_size)}


def _percent(box: Box, size: Size) -> dict[str, str]:
    """A box in percent of the picture, for a style."""
    height, width = size
    x1, y1 = min(max(box[0], 0.0), width), min(max(box[1], 0.0), height)
    x2, y2 = min(max(box[2], x1), width), min(max(box[3], y1), height)
    sides = {"left": x1 / width, "top": y1 / height,
             "wide": (x2 - x1) / width, "tall": (y2 - y1) / height}  # fmt: skip
    return {name: f"{100 * share:.2f}" for name, share in sides.items()}


def _original(source: str) -> str:
    """Where the untouched file lies, for a page on the same machine; empty if that is not known."""
    if source.startswith(("//", "\\\\")):  # another machine, which a page must not ask
        return ""
    path = Path(source)
    try:
        return path.as_uri() if path.is_absolute() else ""
    except ValueError:  # bytes that are no text
        return ""
