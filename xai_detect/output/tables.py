"""A run as tables for other programs: COCO results and one row per detection."""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from xai_detect.output.exchange import to_coco_results
from xai_detect.output.folder.records import Record


def coco_table(records: Sequence[Record]) -> list[dict[str, Any]]:
    """All detections in COCO results format, each with its file, verdict and evidence.

    ``image_id`` is the number in the file's name, as in COCO, or the record's name where files
    are not numbered or two share a number.
    """
    stems = Counter(_stem(record) for record in records)
    rows: list[dict[str, Any]] = []
    for record in records:
        stem = _stem(record)
        numbered = stem.isascii() and stem.isdecimal() and len(stem) < 19 and stems[stem] == 1
        image_id = int(stem) if numbered else record.name
        rows += [{**row, "file_name": record.source} for row in to_coco_results(record, image_id)]
    return rows


def _stem(record: Record) -> str:
    return PurePath(record.source.replace("\\", "/")).stem


def evidence_table(records: Sequence[Record]) -> pa.Table:
    """One row per detection; evidence and the method's own numbers as columns, null if unmeasured.

    Columns of evidence start with ``evidence_``, those of the method with ``measured_``.
    """
    rows = [
        {
            "image": record.name,
            "source": _printable(record.source),
            "detection": row,
            "label": own.label,
            "class": own.name,
            "asked": target.name,
            "score": own.score,
            **dict(zip(("x1", "y1", "x2", "y2"), own.box, strict=True)),
            "level": record.verdicts[row].level.value,
            "sentence": _printable(record.verdicts[row].sentence),
            "right": None if record.outcome is None else record.outcome.right[row],
            "method": record.methods[row],
            **{f"evidence_{name}": value for name, value in record.evidence[row].items()},
            **{f"measured_{name}": value for name, value in record.measured[row].items()},
        }
        for record in records
        for row, (own, target) in enumerate(zip(record.detections, record.targets, strict=True))
    ]
    numbers = sorted({name for row in rows for name in row} - _FIXED.keys())
    schema = pa.schema([*_FIXED.items(), *((name, pa.float64()) for name in numbers)])
    columns = [
        pa.array((row.get(field.name) for row in rows), field.type, from_pandas=True)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


_FIXED = {
    "image": pa.string(),
    "source": pa.string(),
    "detection": pa.int32(),
    "label": pa.int32(),
    "class": pa.string(),
    "asked": pa.string(),
    "score": pa.float64(),
    **dict.fromkeys(("x1", "y1", "x2", "y2"), pa.float64()),
    "level": pa.string(),
    "sentence": pa.string(),
    "right": pa.bool_(),
    "method": pa.string(),
}


def _printable(text: str) -> str:
    """Text without the half characters that stand for undecodable bytes in file names."""
    return text.encode("utf-8", "replace").decode()


def parquet(table: pa.Table) -> bytes:
    """The table as the content of a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()
