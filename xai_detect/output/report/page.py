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
from xai_detect.output.drawing.states import STATES, map_refusal
from xai_detect.output.folder.judged import outside
from xai_detect.output.folder.load import Run, inside
from xai_detect.output.folder.records import Record
from xai_detect.output.report.outcomes import compared, missed_words, outcome_words
from xai_detect.output.report.pictures import Album, Picture
from xai_detect.output.report.wording import (
    OUTSIDE,
    alternative_text,
    base_name,
    evidence_lines,
    judged_lines,
    making_words,
    place_lines,
    run_facts,
    share_lines,
)
from xai_detect.values.files import replacing
from xai_detect.values.findings import Level

NAME = "report.html"

CARD_BYTES, GALLERY_BYTES, MISSED_BYTES = 27_000_000, 9_000_000, 6_000_000
"""Most characters that the pictures of detections, of images and of missed objects may take."""

_QUEUE = tuple(STATES)


def write_report(run: Run) -> Path:
    """Write ``report.html`` into the run's folder.

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
    pieces = environment.get_template("report.html.j2").generate(
        cards=_cards(run), missed=_missed(run), images=_images(run), **_summary(run)
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


def _summary(run: Run) -> dict[str, Any]:
    header = run.header
    verdicts = [verdict for record in run.records for verdict in record.verdicts]
    return {
        "run": run,
        "model": header.provenance,
        "levels": [(level, STATES[level], _count(verdicts, level)) for level in _QUEUE],
        "detections": len(verdicts),
        "outcomes": outcome_words(run.records),
        "any_missed": any(
            record.outcome is not None and record.outcome.missed for record in run.records
        ),
        "classes": _by_class(run),
        "facts": list(run_facts(run)),
        "smoothing": f"{100 * SMOOTHING:.1f} %",
        "failed": sorted(run.failed.items()),
    }


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


def _cards(run: Run) -> Iterator[dict[str, Any]]:
    """Detections in reading order, each with its picture; made one at a time to save memory."""
    rows = queue(run)
    album = Album(CARD_BYTES, len(rows))
    for place, (record, row) in enumerate(rows):
        own, verdict, evidence = (
            record.detections.target(row),
            record.verdicts[row],
            record.evidence[row],
        )
        view = f"views/{record.name}.{row}.png"
        yield {
            "id": f"{record.name}-{row}",
            "image_id": record.name,
            "place": place,
            "level": verdict.level.value,
            "name": own.name,
            "score": f"{own.score:.2f}",
            "sentence": verdict.sentence,
            "numbers": verdict.numbers,
            "asked": record.asked[row],
            "judged": list(judged_lines(verdict, evidence)),
            "outside": OUTSIDE[outside(evidence)],
            "outcome": compared(record, row),
            "file": base_name(record),
            "source": record.source,
            "number": row + 1,
            "count": len(record.detections),
            "picture": _picture(album, run, view, render.CAPTION),
            "view": view,
            "alt": alternative_text(own, record, _shown(record, row)),
            "shares": list(share_lines(evidence)),
            "places": list(place_lines(verdict, evidence)),
            "evidence": list(evidence_lines(evidence)),
            "makings": [
                (_MAPS[kind], making_words(made))
                for kind, rows_ in record.maps.items()
                if (made := rows_[row]) is not None
            ],
            "unmeasured": [name.replace("_", " ") for name in verdict.unmeasured],
        }


_MAPS = {"detected": "Why detected", "class": "Why this class", "added": "Added"}


def _shown(record: Record, row: int) -> bool:
    """Whether the picture of a detection shows a map."""
    kinds = ["added"] if map_refusal(record.evidence[row]) else list(record.maps)
    return any(record.maps[kind][row] is not None for kind in kinds)


def _missed(run: Run) -> Iterator[dict[str, Any]]:
    """Images with objects that no detection found."""
    rows = [
        (record, record.outcome)
        for record in run.records
        if record.outcome is not None and record.outcome.missed
    ]
    album = Album(MISSED_BYTES, len(rows))
    for record, outcome in rows:
        view = f"views/{record.name}.png"
        names = Counter(missed_words(item, outcome, record.detections) for item in outcome.missed)
        yield {
            "id": record.name,
            "file": base_name(record),
            "names": ", ".join(f"{name} ({n})" if n > 1 else name for name, n in names.items()),
            "picture": _picture(album, run, view, render.CAPTION),
            "view": view,
        }


def _images(run: Run) -> Iterator[dict[str, Any]]:
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
