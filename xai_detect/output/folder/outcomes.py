"""How the detections of one image compare with its annotations and their parts, to JSON and back.

Everything read back is checked like any other input: a run folder may come from a stranger.
"""

from collections.abc import Sequence

from xai_detect.values.findings import Lookalike, PartsFound, PartShare
from xai_detect.values.json import (
    Json,
    as_box,
    as_list,
    as_mapping,
    as_number,
    as_text,
    as_whole,
    number,
)
from xai_detect.values.truth import Fate, Kind, Missed, Outcome


def outcome_to_json(outcome: Outcome | None) -> dict[str, Json] | None:
    """A comparison with annotations; None where there is none."""
    if outcome is None:
        return None
    return {
        "detections": [fate_to_json(fate) for fate in outcome.fates],
        "missed": [missed_to_json(item) for item in outcome.missed],
    }


def fate_to_json(fate: Fate) -> dict[str, Json]:
    """What became of one detection; rows are those of its image, from 0."""
    return {
        "kind": fate.kind.value,
        "annotated": fate.name or None,
        "iou": fate.iou,
        "of": fate.of,
    }


def missed_to_json(item: Missed) -> dict[str, Json]:
    """An object that was not found; rows are those of its image, from 0."""
    return {"class": item.name, "box": list(item.box), "beside": item.beside}


def outcome_from_json(content: object, count: int) -> Outcome | None:
    """Read a comparison back.

    Args:
        content: What the file says.
        count: How many detections the image has.

    Raises:
        LookupError: If something is missing.
        TypeError: If something is of another kind.
        ValueError: If something is impossible.
    """
    if content is None:
        return None
    known = as_mapping(content)
    fates = tuple(_fate(as_mapping(row)) for row in as_list(known["detections"]))
    if len(fates) != count:
        raise ValueError(f"{len(fates)} outcomes for {count} detections")
    return Outcome(fates, tuple(_missed(as_mapping(row)) for row in as_list(known["missed"])))


def _fate(row: dict[str, Json]) -> Fate:
    return Fate(
        kind=Kind(as_text(row["kind"])),
        name="" if row["annotated"] is None else as_text(row["annotated"]),
        iou=None if row["iou"] is None else as_number(row["iou"]),
        of=_row(row["of"]),
    )


def _missed(row: dict[str, Json]) -> Missed:
    return Missed(as_text(row["class"]), as_box(row["box"]), _row(row["beside"]))


def _row(content: Json) -> int | None:
    return None if content is None else as_whole(content)


def parts_to_json(parts: Sequence[PartsFound | None]) -> list[Json]:
    """Where on its object the evidence for each detection lies; empty where no parts are known."""
    return [None if found is None else _parts_to_json(found) for found in parts]


def _parts_to_json(found: PartsFound) -> dict[str, Json]:
    return {
        "shares": [
            {"part": part.name, "share": number(part.share), "chance": number(part.chance)}
            for part in found.shares
        ],
        "here": number(found.here),
        "usual": number(found.usual),
        "lower": number(found.lower),
        "sentence": found.sentence,
    }


def by_detection(content: object, count: int, what: str) -> list[Json]:
    """A list with an entry for each detection, or for none at all.

    Raises:
        TypeError: If it is no list.
        ValueError: If it is of other detections.
    """
    rows = as_list(content)
    if rows and len(rows) != count:
        raise ValueError(f"{what} of {len(rows)} detections for {count}")
    return rows


def parts_from_json(content: object, count: int) -> tuple[PartsFound | None, ...]:
    """Read them back.

    Args:
        content: What the file says.
        count: How many detections the image has.

    Raises:
        LookupError: If something is missing.
        TypeError: If something is of another kind.
        ValueError: If something is impossible.
    """
    rows = by_detection(content, count, "parts")
    return tuple(None if row is None else _parts(as_mapping(row)) for row in rows)


def _parts(known: dict[str, Json]) -> PartsFound:
    rows = [as_mapping(row) for row in as_list(known["shares"])]
    return PartsFound(
        tuple(
            PartShare(as_text(row["part"]), as_number(row["share"]), as_number(row["chance"]))
            for row in rows
        ),
        as_number(known["here"]),
        as_number(known["usual"]),
        as_number(known["lower"]),
        as_text(known["sentence"]),
    )


def lookalikes_to_json(found: Sequence[Lookalike | None]) -> list[Json]:
    """The annotated class of each detection with a wrong name; empty where none is known."""
    return [None if other is None else _lookalike_to_json(other) for other in found]


def _lookalike_to_json(found: Lookalike) -> dict[str, Json]:
    return {
        "annotated": found.name,
        "margin": number(found.margin),
        "near": number(found.near),
        "sentence": found.sentence,
    }


def lookalikes_from_json(content: object, count: int) -> tuple[Lookalike | None, ...]:
    """Read them back; see ``parts_from_json``."""
    rows = by_detection(content, count, "annotated classes")
    return tuple(None if row is None else _lookalike(as_mapping(row)) for row in rows)


def _lookalike(row: dict[str, Json]) -> Lookalike:
    return Lookalike(
        as_text(row["annotated"]),
        as_number(row["margin"]),
        as_number(row["near"]),
        as_text(row["sentence"]),
    )
