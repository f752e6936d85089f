"""A run as tables for other programs: COCO results and one row per detection."""

import csv
import io
import json
from collections.abc import Sequence
from itertools import count

import pyarrow as pa
import pyarrow.parquet as pq

from xai_detect.output.exchange import to_coco_results
from xai_detect.output.folder.judged import KINDS, TESTS
from xai_detect.output.folder.records import Record
from xai_detect.trust.evidence import NAMES
from xai_detect.values.json import Json

MEASURED = (
    "completeness_error", "score", "baseline_score", "steps", "forward_passes", "backward_passes",
    "seconds",
)  # fmt: skip
"""Numbers of a map that have a column, whatever the method."""


def image_ids(images: Sequence[tuple[str, int | str | None]]) -> list[int | str]:
    """One id per image: the data set's where it has one, else one that is made up here.

    Without a data set images are numbered from 1 in the given order. With one, an image that it
    does not know gets a negative number below all of its own, or its name if the data set's ids are
    text, so that it is never taken for another.

    Args:
        images: Name and the data set's id of each, None where it has none.
    """
    known = [image_id for _, image_id in images if image_id is not None]
    numbers = [image_id for image_id in known if isinstance(image_id, int)]
    if len(numbers) < len(known):
        return [name if image_id is None else image_id for name, image_id in images]
    made = count(min(0, *numbers) - 1, -1) if numbers else count(1)
    return [next(made) if image_id is None else image_id for _, image_id in images]


def coco_table(
    records: Sequence[Record], category_ids: Sequence[int | str] = ()
) -> list[dict[str, Json]]:
    """All detections in COCO results format, each with its file, verdict and evidence.

    Args:
        records: The images, in the order of their sources.
        category_ids: As in ``to_coco_results``; empty for the default.
    """
    ids = image_ids([(record.name, record.image_id) for record in records])
    return [
        {**row, "file_name": record.source}
        for image_id, record in zip(ids, records, strict=True)
        for row in to_coco_results(record, image_id, category_ids or None)
    ]


def evidence_table(records: Sequence[Record]) -> pa.Table:
    """One row per detection, with the same columns whatever was run; null is unmeasured.

    Columns of evidence start with ``evidence_``, those of a map with ``measured_`` and its kind.
    Numbers that have no column of their own lie in the map ``others`` under such names.
    """
    rows = [
        {
            "image": record.name,
            "source": _printable(record.source),
            "detection": row,
            "label": own.label,
            "class": own.name,
            "score": own.score,
            **dict(zip(("x1", "y1", "x2", "y2"), own.box, strict=True)),
            **_judged(record, row),
            **_numbers(record, row),
        }
        for record in records
        for row, own in enumerate(record.detections)
    ]
    columns = [
        pa.array((row.get(field.name) for row in rows), field.type, from_pandas=True)
        for field in _SCHEMA
    ]
    return pa.table(columns, schema=_SCHEMA)


def _judged(record: Record, row: int) -> dict[str, object]:
    verdict, evidence, asked = record.verdicts[row], record.evidence[row], record.asked[row]
    added = record.maps["added"][row]
    return {
        "level": verdict.level.value,
        "reason": verdict.reason.value,
        "cause": verdict.cause,
        "sentence": _printable(verdict.sentence),
        **{test: evidence.answer(test).value for test in TESTS[1:]},
        "map": evidence.words.get("map"),
        "evidence_outside": evidence.outside,
        "asked": asked.name if asked else None,
        "asked_supported": asked.supported if asked else None,
        "asked_score": asked.score if asked else None,
        "right": record.outcome.right[row] if record.outcome else None,
        "outcome": record.outcome.fates[row].kind.value if record.outcome else None,
        "method": added.method if added else None,
    }


def _numbers(record: Record, row: int) -> dict[str, object]:
    evidence = record.evidence[row].items()
    found = {f"evidence_{name}": value for name, value in evidence if name not in _TRUTH_VALUES}
    for kind, makings in record.maps.items():
        made = makings[row]
        measured = {} if made is None else made.measured
        found |= {f"measured_{kind}_{name}": value for name, value in measured.items()}
    others = [(name, value) for name, value in found.items() if name not in _SCHEMA.names]
    return {**found, "others": others}


_TRUTH_VALUES = ("evidence_outside",)
"""Numbers that are a yes or a no; their columns are too."""

_TEXTS = ("level", "reason", "cause", "sentence", *TESTS[1:], "map")

_SCHEMA = pa.schema(
    {
        "image": pa.string(),
        "source": pa.string(),
        "detection": pa.int32(),
        "label": pa.int32(),
        "class": pa.string(),
        "score": pa.float64(),
        **dict.fromkeys(("x1", "y1", "x2", "y2"), pa.float64()),
        **dict.fromkeys(_TEXTS, pa.string()),
        "evidence_outside": pa.bool_(),
        "asked": pa.string(),
        "asked_supported": pa.bool_(),
        "asked_score": pa.float64(),
        "right": pa.bool_(),
        "outcome": pa.string(),
        "method": pa.string(),
        **{f"evidence_{name}": pa.float64() for name in NAMES if name not in _TRUTH_VALUES},
        **{f"measured_{kind}_{name}": pa.float64() for kind in KINDS for name in MEASURED},
        "others": pa.map_(pa.string(), pa.float64()),
    }
)


def _printable(text: str) -> str:
    """Text without the half characters that stand for undecodable bytes in file names."""
    return text.encode("utf-8", "replace").decode()


def parquet(table: pa.Table) -> bytes:
    """The table as the content of a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


REMARKS = "remarks"
"""A column of the spreadsheet that is left empty, for whoever goes through it."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet may take for a formula, at the start of a cell."""


def spreadsheet(table: pa.Table) -> bytes:
    """The table as the content of a CSV file, with a column for remarks; unmeasured is empty.

    Text comes from strangers: what could be taken for a formula begins with an apostrophe.
    """
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow([*table.column_names, REMARKS])
    for row in table.to_pylist():
        writer.writerow([*map(_cell, row.values()), ""])
    return stream.getvalue().encode("utf-8-sig")  # the mark by which Excel knows UTF-8


def _cell(value: object) -> object:
    if isinstance(value, list):  # the map of others, as pairs
        return json.dumps(dict(value)) if value else ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
