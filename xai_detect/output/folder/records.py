"""What the run folder says about one image, to JSON and back.

Everything read back is checked like any other input: a run folder may come from a stranger.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

import torch

from xai_detect.output.folder.alike import alike_from_json, alike_to_json
from xai_detect.output.folder.judged import (
    KINDS,
    Making,
    asked_from_json,
    asked_to_json,
    evidence_from_json,
    evidence_to_json,
    judged_to_json,
    making_from_json,
    making_to_json,
    maps_of,
    verdict_from_json,
)
from xai_detect.output.folder.outcomes import (
    lookalikes_from_json,
    lookalikes_to_json,
    outcome_from_json,
    outcome_to_json,
    parts_from_json,
    parts_to_json,
)
from xai_detect.values.detections import Detections
from xai_detect.values.findings import (
    Alike,
    Asked,
    Evidence,
    Inspection,
    Lookalike,
    PartsFound,
    Verdict,
)
from xai_detect.values.images import MAX_PIXELS
from xai_detect.values.json import (
    Json,
    as_box,
    as_id,
    as_list,
    as_mapping,
    as_number,
    as_text,
    as_whole,
    damaged,
)
from xai_detect.values.truth import Outcome


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One image of a run, without its pixels and maps.

    Attributes:
        name: What its files in the run folder are called.
        source: The file it came from, or a name the caller gave.
        image_sha256: Digest of the pixels.
        detections: What the detector found.
        maps: By ``KINDS``, how the map of each detection was made; None where there is none.
        evidence: The numbers per detection.
        verdicts: The judgement per detection.
        asked: What became of the class that was asked about; None where none was.
        outcome: Comparison with annotations; None if there are none.
        parts: Where on its object the evidence for each detection lies; None, or empty as a whole,
            where that is not known.
        lookalikes: The annotated class of each detection with a wrong name; likewise.
        alike: The most similar confirmed detections of each, without pictures; empty as a whole
            where none are known.
        image_id: The data set's own id of the image; None if no data set names it.
        file_sha256: Digest of the file it was read from; empty if there was none.
    """

    name: str
    source: str
    image_sha256: str
    detections: Detections
    maps: Mapping[str, tuple[Making | None, ...]]
    evidence: tuple[Evidence, ...]
    verdicts: tuple[Verdict, ...]
    asked: tuple[Asked | None, ...]
    outcome: Outcome | None
    parts: tuple[PartsFound | None, ...]
    lookalikes: tuple[Lookalike | None, ...]
    alike: tuple[tuple[Alike, ...], ...]
    image_id: int | str | None
    file_sha256: str

    def __repr__(self) -> str:
        return f"Record({self.source}: {self.detections!r})"


def record_of(inspection: Inspection) -> Record:
    """An inspection without its pixels and maps, as if a run held it."""
    return Record(
        name=file_name(inspection.source),
        source=inspection.source,
        image_sha256="",
        detections=inspection.detections,
        maps={
            kind: tuple(
                None
                if made is None
                else Making(made.method, made.settings, made.measured, made.content_size)
                for made in rows
            )
            for kind, rows in maps_of(inspection).items()
        },
        evidence=inspection.evidence,
        verdicts=inspection.verdicts,
        asked=inspection.asked,
        outcome=inspection.outcome,
        parts=inspection.parts,
        lookalikes=inspection.lookalikes,
        alike=inspection.alike,
        image_id=None,
        file_sha256="",
    )


def file_name(source: str) -> str:
    """A name for an image's files: readable, safe on any disk, different for every source."""
    stem = PurePath(source.replace("\\", "/")).stem
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", stem)[:60].strip("_") or "image"
    digest = hashlib.sha256(source.encode("utf-8", "surrogateescape")).hexdigest()[:10]
    return f"{readable}-{digest}"


def record_to_json(
    inspection: Inspection,
    image_sha256: str,
    image_id: int | str | None = None,
    file_sha256: str = "",
) -> dict[str, Json]:
    """Everything about one image except its pixels and maps."""
    found, maps = inspection.detections, maps_of(inspection)
    return {
        "source": inspection.source,
        "image_id": image_id,
        "image_sha256": image_sha256,
        "file_sha256": file_sha256,
        "image_size": list(found.image_size),
        "detections": [
            {
                "box": list(own.box),
                "label": own.label,
                "class": own.name,
                "score": own.score,
                "candidate": own.candidate,
                "proposal": list(own.proposal),
                **judged_to_json(inspection.verdicts[row], inspection.evidence[row]),
                **evidence_to_json(inspection.evidence[row]),
                "asked": asked_to_json(inspection.asked[row]),
                "maps": {kind: making_to_json(made[row]) for kind, made in maps.items()},
            }
            for row, own in enumerate(found)
        ],
        "outcome": outcome_to_json(inspection.outcome),
        "parts": parts_to_json(inspection.parts),
        "lookalikes": lookalikes_to_json(inspection.lookalikes),
        "alike": alike_to_json(inspection.alike),
    }


def record_from_json(content: object, class_names: tuple[str, ...], path: Path) -> Record:
    """Read one image's record back; its name is that of the file it lies in.

    Raises:
        InputError: If something is missing, of another kind, or impossible.
    """
    with damaged(path):
        known = as_mapping(content)
        rows = [as_mapping(row) for row in as_list(known["detections"])]
        height, width = (as_whole(side) for side in as_list(known["image_size"]))
        if height < 1 or width < 1 or height * width > MAX_PIXELS:
            raise ValueError(f"an image of {height} x {width} pixels")
        detections = Detections(
            boxes=torch.tensor([as_box(row["box"]) for row in rows]).reshape(-1, 4),
            scores=torch.tensor([as_number(row["score"]) for row in rows], dtype=torch.float32),
            labels=torch.tensor([as_whole(row["label"]) for row in rows], dtype=torch.int64),
            candidates=torch.tensor(
                [as_whole(row["candidate"]) for row in rows], dtype=torch.int64
            ),
            proposals=torch.tensor([as_box(row["proposal"]) for row in rows]).reshape(-1, 4),
            image_size=(height, width),
            class_names=class_names,
        )
        return Record(
            name=path.stem,
            source=as_text(known["source"]),
            image_sha256=as_text(known["image_sha256"]),
            detections=detections,
            maps={
                kind: tuple(making_from_json(as_mapping(row["maps"])[kind]) for row in rows)
                for kind in KINDS
            },
            evidence=tuple(evidence_from_json(row) for row in rows),
            verdicts=tuple(verdict_from_json(row["verdict"]) for row in rows),
            asked=tuple(asked_from_json(row["asked"]) for row in rows),
            outcome=outcome_from_json(known["outcome"], len(rows)),
            parts=parts_from_json(known["parts"], len(rows)),
            lookalikes=lookalikes_from_json(known["lookalikes"], len(rows)),
            alike=alike_from_json(known["alike"], len(rows)),
            image_id=None if known["image_id"] is None else as_id(known["image_id"]),
            file_sha256=as_text(known["file_sha256"]),
        )
