"""A run as tables for other programs: COCO results and one row per detection."""

from collections.abc import Sequence
from itertools import count

import pyarrow as pa
import pyarrow.parquet as pq

from xai_detect.output.exchange import to_coco_results
from xai_detect.output.folder.records import Record
from xai_detect.trust.evidence import NAMES
from xai_detect.values.json import Json

MEASURED = (
    "completeness_error", "score", "baseline_score", "steps", "forward_passes", "backward_passes",
    "seconds",
)  # fmt: skip
"""Numbers of an explanation that have a column, whatever the method."""


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

    Columns of evidence start with ``evidence_``, those of the method with ``measured_``. Numbers
    that have no column of their own lie in the map ``others`` under such names.
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
            **_numbers(record, row),
        }
        for record in records
        for row, (own, target) in enumerate(zip(record.detections, record.targets, strict=True))
    ]
    columns = [
        pa.array((row.get(field.name) for row in rows), field.type, from_pandas=True)
        for field in _SCHEMA
    ]
    return pa.table(columns, schema=_SCHEMA)


def _numbers(record: Record, row: int) -> dict[str, object]:
    found = {f"evidence_{name}": value for name, value in record.evidence[row].items()}
    found |= {f"measured_{name}": value for name, value in record.measured[row].items()}
    others = [(name, value) for name, value in found.items() if name not in _SCHEMA.names]
    return {**found, "others": others}


_SCHEMA = pa.schema(
    {
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
        **{f"evidence_{name}": pa.float64() for name in NAMES},
        **{f"measured_{name}": pa.float64() for name in MEASURED},
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
