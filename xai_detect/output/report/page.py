"""The report for people: one HTML file that holds everything and opens without a network.

Text comes from strangers (file names, class names), so the template escapes all of it. Pictures
are reduced copies of those in ``views``; when a run is so large that they would make the file
unwieldy, the last ones in the queue are linked instead.
"""

import codecs
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from xai_detect.output.drawing import views as render
from xai_detect.output.drawing.contours import SMOOTHING
from xai_detect.output.drawing.faces import drawable, drawn_name, picture_words
from xai_detect.output.drawing.states import STATES, level_word, map_refusal
from xai_detect.output.folder.judged import outside
from xai_detect.output.folder.load import Run, inside
from xai_detect.output.folder.records import Record
from xai_detect.output.report.decided import decided
from xai_detect.output.report.facts import run_facts, status_word
from xai_detect.output.report.items import item_sentence, shared_items
from xai_detect.output.report.outcomes import (
    compared,
    missed_words,
    outcome_words,
    part_lines,
    parts_of,
)
from xai_detect.output.report.pictures import Album, Picture, embedded
from xai_detect.output.report.regions import common_places
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
from xai_detect.values.files import replacing
from xai_detect.values.findings import Answer, Level
from xai_detect.words.catalogue import Catalogue, spoken

NAME = "report.html"

CARD_BYTES, GALLERY_BYTES, MISSED_BYTES = 27_000_000, 9_000_000, 6_000_000
"""Most characters that the pictures of detections, of images and of missed objects may take."""

_QUEUE = tuple(STATES)


def write_report(run: Run) -> Path:
    """Write ``report.html`` into the run's folder, in the run's language.

    Args:
        run: A run whose views have been drawn.

    Raises:
        InputError: If the disk refuses.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = spoken(run.header.lang)
    pieces = environment.get_template("report.html.j2").generate(
        words=words,
        cards=_cards(run, words),
        missed=_missed(run, words),
        images=_images(run, words),
        **_summary(run, words),
    )
    path = run.folder / NAME
    with replacing(path) as stream:
        # A file name may hold bytes that are no text; they become question marks.
        stream.writelines(codecs.iterencode(pieces, "utf-8", "replace"))
    return path


def queue(run: Run) -> list[tuple[Record, int]]:
    """Every detection, in reading order: the most urgent level first, then by confidence."""
    rows = [(record, row) for record in run.records for row in range(len(record.detections))]
    return sorted(
        rows,
        key=lambda one: (
            _QUEUE.index(one[0].verdicts[one[1]].level),
            -float(one[0].detections.scores[one[1]]),
        ),
    )


def _summary(run: Run, words: Catalogue) -> dict[str, Any]:
    header = run.header
    verdicts = [verdict for record in run.records for verdict in record.verdicts]
    return {
        "run": run,
        "model": header.provenance,
        "levels": [(level, level_word(level, words), _count(verdicts, level)) for level in _QUEUE],
        "status": status_word(run, words),
        "detections": len(verdicts),
        "outcomes": outcome_words(run.records, words),
        "any_missed": any(
            record.outcome is not None and record.outcome.missed for record in run.records
        ),
        "classes": _by_class(run),
        "answers": list(Answer),
        "decided": decided(run.records),
        "regions": list(_regions(run, words)),
        "facts": list(run_facts(run, words)),
        "legend": list(_legend(run)),
        "smoothing": SMOOTHING,
        "failed": sorted(run.failed.items()),
    }


def _legend(run: Run) -> Iterator[tuple[str, str]]:
    """What stands in the pictures for names that cannot be drawn, and the names."""
    words = picture_words(run.header.lang)
    used = {own.name for record in run.records for own in record.detections}
    used |= {
        item.name
        for record in run.records
        if record.outcome is not None
        for item in record.outcome.missed
    }
    for label, name in enumerate(run.header.class_names):
        if name in used and not drawable(name):
            yield drawn_name(name, label, words), name
    for record in run.records:
        if not drawable(base_name(record)):
            yield render.drawn_source(record.source), base_name(record)


def _count(verdicts: list[Any], level: Level) -> int:
    return sum(verdict.level is level for verdict in verdicts)


def _by_class(run: Run) -> list[tuple[str, list[int]]]:
    """Per class, the detections at each level in queue order; the most frequent class first."""
    counts: Counter[tuple[str, Level]] = Counter(
        (own.name, verdict.level)
        for record in run.records
        for own, verdict in zip(record.detections, record.verdicts, strict=True)
    )
    rows = [
        (name, [counts[name, level] for level in _QUEUE]) for name in {key for key, _ in counts}
    ]
    return sorted(rows, key=lambda row: (-sum(row[1]), row[0]))


def _regions(run: Run, words: Catalogue) -> Iterator[dict[str, Any]]:
    """Per class, the commonest places outside that decide it."""
    for common in common_places(run):
        counted = (
            words.counted("places", common.places),
            words.counted("detections", common.detections),
        )
        yield {
            "sentence": words.say(
                "page.regions_of", name=common.name, places=counted[0], detections=counted[1]
            ),
            "pictures": [
                {
                    "id": f"{place.record.name}-{place.row}",
                    "picture": embedded(picture),
                    "file": base_name(place.record),
                    "alt": words.say(
                        "page.region_alt", name=common.name, file=base_name(place.record)
                    ),
                }
                for place, picture in common.pictures
            ],
        }


def _cards(run: Run, words: Catalogue) -> Iterator[dict[str, Any]]:
    """Items in reading order, each with its detections; made one at a time to save memory."""
    rows = queue(run)
    album = Album(CARD_BYTES, len(rows))
    shared = {
        (record.name, row): group
        for record in run.records
        for group in shared_items(record.detections)
        for row in group
    }
    told = set()
    for place, (record, row) in enumerate(rows):
        group = shared.get((record.name, row), (row,))
        if (record.name, group) in told:
            continue
        told.add((record.name, group))
        # the most urgent first, as among the cards
        order = [other for held, other in rows if held is record and other in group]
        yield {
            "place": place,
            "image_id": record.name,
            "file": base_name(record),
            "level": record.verdicts[row].level.value,
            "score": f"{max(float(record.detections.scores[other]) for other in group):.2f}",
            "sentence": item_sentence(record.detections, group, words) if group[1:] else "",
            "found": [_found(run, record, other, album, words) for other in order],
        }


def _found(run: Run, record: Record, row: int, album: Album, words: Catalogue) -> dict[str, Any]:
    """One detection with its picture."""
    own, verdict, evidence = (
        record.detections.target(row),
        record.verdicts[row],
        record.evidence[row],
    )
    view, parts = f"views/{record.name}.{row}.png", parts_of(record, row)
    return {
        "id": f"{record.name}-{row}",
        "image_id": record.name,
        "level": verdict.level.value,
        "word": level_word(verdict.level, words),
        "name": own.name,
        "score": f"{own.score:.2f}",
        "sentence": verdict.sentence,
        "numbers": verdict.numbers,
        "asked": record.asked[row],
        "judged": list(judged_lines(verdict, evidence, words)),
        "outside": OUTSIDE[outside(evidence)],
        "outcome": compared(record, row, words),
        "lookalike": record.lookalikes[row] if record.lookalikes else None,
        "parts": None if parts is None else (parts.sentence, part_lines(parts, words)),
        "file": base_name(record),
        "source": record.source,
        "number": row + 1,
        "count": len(record.detections),
        "picture": _picture(album, run, view, render.CAPTION),
        "view": view,
        "alt": alternative_text(own, record, _shown(record, row), words),
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


_MAPS = {
    "detected": "detected", "class": "this_class", "added": "added", "between": "named",
}  # fmt: skip


def _shown(record: Record, row: int) -> bool:
    """Whether the picture of a detection shows a map."""
    kinds = ["added"] if map_refusal(record.evidence[row]) else list(record.maps)
    return any(record.maps[kind][row] is not None for kind in kinds)


def _missed(run: Run, words: Catalogue) -> Iterator[dict[str, Any]]:
    """Images with objects that no detection found."""
    rows = [
        (record, record.outcome)
        for record in run.records
        if record.outcome is not None and record.outcome.missed
    ]
    album = Album(MISSED_BYTES, len(rows))
    for record, outcome in rows:
        view = f"views/{record.name}.png"
        names = Counter(
            missed_words(item, outcome, record.detections, words) for item in outcome.missed
        )
        yield {
            "id": record.name,
            "file": base_name(record),
            "names": ", ".join(f"{name} ({n})" if n > 1 else name for name, n in names.items()),
            "picture": _picture(album, run, view, render.CAPTION),
            "view": view,
        }


def _images(run: Run, words: Catalogue) -> Iterator[dict[str, Any]]:
    """Untouched images, each with its detections."""
    album = Album(GALLERY_BYTES, len(run.records))
    for record in run.records:
        clean = f"views/{record.name}.clean.png"
        yield {
            "id": record.name,
            "file": base_name(record),
            "source": record.source,
            "picture": _picture(album, run, clean, 0),
            "view": clean,
            "rows": [
                {
                    "id": f"{record.name}-{row}",
                    "level": verdict.level.value,
                    "word": level_word(verdict.level, words),
                    "name": own.name,
                    "score": f"{own.score:.2f}",
                }
                for row, (own, verdict) in enumerate(
                    zip(record.detections, record.verdicts, strict=True)
                )
            ],
        }


def _picture(album: Album, run: Run, name: str, skip_rows: int) -> Picture | None:
    return album.embed(inside(run.folder, name), skip_rows=skip_rows)
