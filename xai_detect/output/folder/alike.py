"""The confirmed detections beside those of one image, to JSON and back; without their pictures.

Everything read back is checked like any other input: a run folder may come from a stranger.
"""

from collections.abc import Sequence

from xai_detect.output.folder.outcomes import by_detection
from xai_detect.values.findings import Alike
from xai_detect.values.json import Json, as_box, as_list, as_mapping, as_number, as_text, number


def alike_to_json(found: Sequence[Sequence[Alike]]) -> list[Json]:
    """Those of each detection, best first; empty as a whole where no confirmed ones are known."""
    return [[_to_json(other) for other in beside] for beside in found]


def _to_json(other: Alike) -> dict[str, Json]:
    return {
        "source": other.source,
        "box": list(other.box),
        "score": number(other.score),
        "similarity": number(other.similarity),
    }


def alike_from_json(content: object, count: int) -> tuple[tuple[Alike, ...], ...]:
    """Read them back.

    Args:
        content: What the file says.
        count: How many detections the image has.

    Raises:
        LookupError: If something is missing.
        TypeError: If something is of another kind.
        ValueError: If something is impossible.
    """
    rows = by_detection(content, count, "similar detections")
    return tuple(tuple(_alike(as_mapping(row)) for row in as_list(beside)) for beside in rows)


def _alike(known: dict[str, Json]) -> Alike:
    x1, y1, x2, y2 = as_box(known["box"])
    if x2 < x1 or y2 < y1:
        raise ValueError(f"the box ({x1}, {y1}, {x2}, {y2})")
    return Alike(
        as_text(known["source"]),
        (x1, y1, x2, y2),
        _share(known["score"]),
        _share(known["similarity"]),
    )


def _share(content: Json) -> float:
    value = as_number(content)
    if not 0 <= value <= 1:
        raise ValueError(f"{value} where a number in [0, 1] was expected")
    return value
